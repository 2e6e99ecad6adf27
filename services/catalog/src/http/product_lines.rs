//! Lines of imports and exports: JSON, or CSV with the names of the columns in its first line. Independent of SQL.

use agora_api::catalog as api;
use agora_vocab::contains_card_number;
use agora_web::{Problem, json_of};
use serde_json::{Map, Value, json};

use super::{
    records::{RECORD_BYTES_MAX, Record},
    wire,
};
use crate::domain::{Exported, ImportedProduct};

/// Longest reason of a wrong line, in characters.
const REASON_CHARACTERS_MAX: usize = 500;

/// Columns of CSV, and whether each holds a number.
const COLUMNS: [(&str, bool); 12] = [
    ("id", false),
    ("version", true),
    ("sku", false),
    ("name", false),
    ("description", false),
    (AMOUNT, true),
    (CURRENCY, false),
    ("stock", true),
    ("category", false),
    ("brand", false),
    ("supplier", false),
    ("imageUrl", false),
];
const AMOUNT: &str = "price.amount";
const CURRENCY: &str = "price.currency";
/// Columns that no line can do without.
const REQUIRED: [&str; 3] = ["name", AMOUNT, CURRENCY];

/// What some programs write at the start of CSV.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Form of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineForm {
    Ndjson,
    Csv,
}

impl LineForm {
    /// Parses the parameter `format`.
    pub(super) fn parse(format: Option<&str>) -> Result<Self, Problem> {
        match format {
            Some("ndjson") => Ok(Self::Ndjson),
            Some("csv") => Ok(Self::Csv),
            _ => {
                Err(Problem::new(http::StatusCode::BAD_REQUEST, "INVALID_QUERY")
                    .field("format", "must be ndjson or csv"))
            }
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// The name of the file in which a browser saves an export.
    pub(super) const fn disposition(self) -> &'static str {
        match self {
            Self::Ndjson => "attachment; filename=\"products.ndjson\"",
            Self::Csv => "attachment; filename=\"products.csv\"",
        }
    }

    /// The lines of some products; of CSV, with the names of the columns before the first ones.
    pub(super) fn write(self, products: Vec<Exported>, first: bool) -> Result<Vec<u8>, Problem> {
        let lines = products.into_iter().map(to_line);
        match self {
            Self::Ndjson => {
                let mut text = Vec::new();
                for line in lines {
                    serde_json::to_writer(&mut text, &line).map_err(Problem::internal)?;
                    text.push(b'\n');
                }
                Ok(text)
            }
            Self::Csv => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                if first {
                    writer.write_record(COLUMNS.map(|(name, _)| name)).map_err(Problem::internal)?;
                }
                for line in lines {
                    writer.write_record(cells(line)).map_err(Problem::internal)?;
                }
                writer.into_inner().map_err(|error| Problem::internal(error.into_error()))
            }
        }
    }
}

/// Reads records as products.
#[derive(Debug)]
pub(super) enum LineParser {
    Ndjson,
    /// With the columns of the first line, once it was read.
    Csv(Option<Vec<(&'static str, bool)>>),
}

impl LineParser {
    pub(super) const fn new(form: LineForm) -> Self {
        match form {
            LineForm::Ndjson => Self::Ndjson,
            LineForm::Csv => Self::Csv(None),
        }
    }

    /// The product of a record, or why it is wrong; `None` for the names of columns. 422 if these cannot be used.
    pub(super) fn parse(&mut self, record: &Record) -> Result<Option<Result<ImportedProduct, String>>, Problem> {
        let Some(text) = &record.text else {
            let quoted = if matches!(self, Self::Ndjson) { "" } else { ", or a quotation mark is missing" };
            return Ok(Some(Err(format!("the line has more than {RECORD_BYTES_MAX} bytes{quoted}"))));
        };
        match self {
            Self::Ndjson => Ok(Some(of_json(text))),
            Self::Csv(Some(columns)) => Ok(Some(json_text(columns, text).and_then(|text| of_json(&text)))),
            Self::Csv(columns) => {
                *columns = Some(parse_columns(text)?);
                Ok(None)
            }
        }
    }
}

fn of_json(text: &[u8]) -> Result<ImportedProduct, String> {
    json_of(text).and_then(of_line).map_err(|problem| reason(&problem))
}

/// Checks a line as the body of `POST /products` is checked.
fn of_line(line: api::ProductLine) -> Result<ImportedProduct, Problem> {
    let api::ProductLine {
        id,
        version,
        sku,
        name,
        description,
        price,
        stock,
        category,
        brand,
        supplier,
        image_url,
        translations,
        prices,
    } = line;
    let (keeps_translations, keeps_prices) = (translations.is_none(), prices.is_none());
    let product = api::NewProduct {
        name,
        description,
        sku,
        price,
        stock,
        category,
        brand,
        supplier,
        image_url,
        translations,
        prices,
    };
    let (mut details, units) = wire::new_product(product)?;
    let translations = Some(std::mem::take(&mut details.translations)).filter(|_| !keeps_translations);
    let prices = Some(std::mem::take(&mut details.prices)).filter(|_| !keeps_prices);
    Ok(ImportedProduct { id, version, details, translations, prices, units })
}

fn to_line(exported: Exported) -> api::ProductLine {
    let Exported { listed, levels: _ } = exported;
    let api::Product {
        id,
        name,
        description,
        sku,
        price,
        stock,
        category,
        brand,
        supplier,
        image_url,
        translations,
        prices,
        seller_id: _,
        version,
        created_at: _,
        updated_at: _,
    } = wire::product(listed);
    let description = Some(description).filter(|text| !text.is_empty());
    api::ProductLine {
        id: Some(id),
        version: Some(version),
        sku,
        name,
        description,
        price,
        stock: Some(stock),
        category,
        brand,
        supplier,
        image_url,
        translations: Some(translations),
        prices: Some(prices),
    }
}

/// The cells of a line, in the order of [`COLUMNS`]. CSV has neither translations nor other
/// currencies.
fn cells(line: api::ProductLine) -> [String; 12] {
    let api::ProductLine {
        id,
        version,
        sku,
        name,
        description,
        price,
        stock,
        category,
        brand,
        supplier,
        image_url,
        ..
    } = line;
    [
        id.map(|id| id.to_string()).unwrap_or_default(),
        version.map(|version| version.to_string()).unwrap_or_default(),
        sku.unwrap_or_default(),
        name,
        description.unwrap_or_default(),
        price.amount.to_string(),
        price.currency.to_string(),
        stock.map(|stock| stock.to_string()).unwrap_or_default(),
        category.unwrap_or_default(),
        brand.unwrap_or_default(),
        supplier.unwrap_or_default(),
        image_url.unwrap_or_default(),
    ]
}

/// The columns that the first line of CSV names.
fn parse_columns(text: &[u8]) -> Result<Vec<(&'static str, bool)>, Problem> {
    let refused = |message: String| Problem::unprocessable().field("columns", message);
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let names = record_of(text).ok_or_else(|| refused("must be UTF-8 with commas between".to_owned()))?;
    let mut columns = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let column = COLUMNS.iter().find(|(known, _)| *known == name.trim());
        let Some(column) = column.filter(|column| !columns.contains(*column)) else {
            let known = COLUMNS.map(|(name, _)| name).join(", ");
            return Err(refused(format!("column {} must be another one of {known}", place + 1)));
        };
        columns.push(*column);
    }
    let has = |name: &str| columns.iter().any(|(known, _)| *known == name);
    match REQUIRED.iter().find(|name| !has(name)) {
        Some(missing) => Err(refused(format!("must have {missing}"))),
        None if !has("sku") && !has("id") => Err(refused("must have sku or id".to_owned())),
        None => Ok(columns),
    }
}

fn record_of(text: &[u8]) -> Option<csv::StringRecord> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).buffer_capacity(text.len().max(1)).from_reader(text);
    let mut record = csv::StringRecord::new();
    matches!(reader.read_record(&mut record), Ok(true)).then_some(record)
}

/// A line of CSV as the JSON that says the same, so that both are checked alike. Empty cells are absent members.
fn json_text(columns: &[(&'static str, bool)], text: &[u8]) -> Result<Vec<u8>, String> {
    let record = record_of(text).ok_or("must be UTF-8 with commas between")?;
    if record.len() != columns.len() {
        return Err(format!("must have {} cells, as the first line has", columns.len()));
    }
    let (mut members, mut price) = (Map::new(), Map::new());
    for ((name, is_number), cell) in columns.iter().zip(record.iter()).filter(|(_, cell)| !cell.trim().is_empty()) {
        let value = if *is_number {
            json!(cell.trim().parse::<i64>().map_err(|_| format!("{name} must be a whole number"))?)
        } else {
            json!(cell)
        };
        match *name {
            AMOUNT => price.insert("amount".to_owned(), value),
            CURRENCY => price.insert("currency".to_owned(), value),
            name => members.insert(name.to_owned(), value),
        };
    }
    members.insert("price".to_owned(), Value::Object(price));
    serde_json::to_vec(&members).map_err(|_| "cannot be read".to_owned())
}

/// The reason of a wrong line: what is wrong with which field, nothing that the line holds.
fn reason(problem: &Problem) -> String {
    let agora_api::Problem { code, title, detail, details, .. } = problem.to_wire();
    let fields: Vec<String> = details.iter().map(|field| format!("{} {}", field.field, field.message)).collect();
    let reason = match (code.as_str(), fields.is_empty()) {
        ("INVALID_JSON", _) => "must be one JSON object".to_owned(),
        (_, false) => fields.join("; "),
        (_, true) => detail.unwrap_or(title),
    };
    // The name of an unknown member is the client's.
    if contains_card_number(&reason) {
        return "must not contain a payment card number".to_owned();
    }
    reason.chars().filter(|c| !c.is_control()).take(REASON_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::{LineForm, LineParser, Record};
    use crate::domain::ImportedProduct;

    fn read(parser: &mut LineParser, text: &str) -> Option<Result<ImportedProduct, String>> {
        parser.parse(&Record { line: 1, text: Some(text.as_bytes().to_vec()) }).unwrap()
    }

    #[test]
    fn a_line_of_csv_means_what_the_same_line_of_json_means() {
        let json =
            "{\"sku\":\"C-1\",\"name\":\"Chair, oak\",\"price\":{\"amount\":1999,\"currency\":\"EUR\"},\"stock\":3}";
        let expected = read(&mut LineParser::new(LineForm::Ndjson), json).unwrap().unwrap();
        let mut csv = LineParser::new(LineForm::Csv);
        assert_eq!(read(&mut csv, "\u{feff}sku,name,price.amount,price.currency,stock,brand"), None);
        assert_eq!(read(&mut csv, "C-1,\"Chair, oak\",1999,EUR,3,"), Some(Ok(expected)));
    }

    #[test]
    fn a_wrong_line_says_every_wrong_field() {
        let reason = |text: &str| read(&mut LineParser::new(LineForm::Ndjson), text).unwrap().unwrap_err();
        let wrong = reason("{\"sku\":\"a b\",\"name\":\"\",\"price\":{\"amount\":0,\"currency\":\"EUR\"}}");
        for field in ["sku must", "name must", "price.amount must"] {
            assert!(wrong.contains(field), "{wrong}");
        }
        assert_eq!(reason("{\"sku\":"), "must be one JSON object");
        assert!(reason("[]").len() > 3);
        let mut csv = LineParser::new(LineForm::Csv);
        read(&mut csv, "sku,name,price.amount,price.currency");
        assert_eq!(read(&mut csv, "C-1,Chair,19.99,EUR").unwrap().unwrap_err(), "price.amount must be a whole number");
        assert_eq!(read(&mut csv, "C-1,Chair").unwrap().unwrap_err(), "must have 4 cells, as the first line has");
    }

    #[test]
    fn columns_are_known_and_named_once_and_none_that_is_needed_is_missing() {
        for wrong in [
            "sku,name,price.amount,price.currency,colour",
            "sku,sku,name,price.amount,price.currency",
            "sku,name,price.amount",
            "name,price.amount,price.currency",
        ] {
            let refused = LineParser::new(LineForm::Csv)
                .parse(&Record { line: 1, text: Some(wrong.as_bytes().to_vec()) })
                .unwrap_err();
            assert_eq!((refused.status().as_u16(), refused.code()), (422, "VALIDATION_FAILED"), "{wrong}");
        }
    }
}
