//! Imports of products: what a line requires, given the products that exist. Pure.

use std::collections::{BTreeMap, BTreeSet};

use agora_vocab::{Ids, ProductId, SellerId};
use time::OffsetDateTime;

use super::{
    fields::{Label, Sku},
    prices::Prices,
    product::{Details, Product},
    translation::Translations,
};

/// Most lines of an import.
pub const IMPORT_LINES_MAX: u64 = 100_000;
/// Most lines that one transaction writes.
pub const IMPORT_BATCH_LINES: usize = 100;
/// Most wrong lines of an import that are listed; all are counted.
pub const IMPORT_FAULTS_MAX: u32 = 1_000;

/// A line of an import that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportLine {
    /// Its number in the body, from 1.
    pub number: u64,
    /// SHA-256 of the digest of the line before and of this line.
    pub digest: Vec<u8>,
    /// The product, or why the line is wrong.
    pub product: Result<ImportedProduct, String>,
}

/// A product as a line describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedProduct {
    pub id: Option<ProductId>,
    /// The version that the client has read.
    pub version: Option<i64>,
    /// Without translations and prices in other currencies.
    pub details: Details,
    /// `None`: those of a product that exists stay.
    pub translations: Option<Translations>,
    /// `None`: those of a product that exists stay.
    pub prices: Option<Prices>,
    /// Units in the main warehouse, if the product is created.
    pub units: i64,
}

/// How far an import is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportCheckpoint {
    /// Lines that were handled, from the first.
    pub lines: u64,
    /// The digest of the last one; empty before the first.
    pub digest: Vec<u8>,
    /// Whether there are no more.
    pub complete: bool,
}

/// What an import did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportProgress {
    pub state: ImportState,
    pub lines: u64,
    pub tally: ImportTally,
    /// The first wrong lines, at most [`IMPORT_FAULTS_MAX`].
    pub faults: Vec<ImportFault>,
    pub started_at: OffsetDateTime,
    pub changed_at: OffsetDateTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// A request handles lines, or ended without notice a moment ago.
    Running,
    /// The same request, sent again, continues.
    Interrupted,
    /// All lines were handled.
    Complete,
}

/// Lines by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportTally {
    pub created: u64,
    pub updated: u64,
    /// Lines that describe a product as it was.
    pub unchanged: u64,
    pub failed: u64,
}

/// A wrong line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFault {
    pub line: u64,
    pub reason: String,
}

/// The products and variants that lines of a batch may match.
#[derive(Clone, Debug, Default)]
pub struct ImportMatches {
    /// By id; `None` for a deleted product.
    products: BTreeMap<ProductId, Option<Product>>,
    by_sku: BTreeMap<Sku, ProductId>,
    variant_skus: BTreeSet<Sku>,
}

impl ImportMatches {
    /// Collects products, each with whether it is deleted, and the stock keeping units of variants.
    pub fn new(products: impl IntoIterator<Item = (Product, bool)>, variant_skus: BTreeSet<Sku>) -> Self {
        let mut matches = Self { variant_skus, ..Self::default() };
        for (product, deleted) in products {
            if let (Some(sku), false) = (&product.details.sku, deleted) {
                matches.by_sku.insert(sku.clone(), product.id);
            }
            matches.products.insert(product.id, (!deleted).then_some(product));
        }
        matches
    }
}

/// What a batch writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportPlan {
    /// How many lines of the batch it covers, from the first.
    pub lines: usize,
    /// The products to insert, with their units in the main warehouse.
    pub created: Vec<(Product, i64)>,
    /// The products to replace, each with its next version.
    pub updated: Vec<Product>,
    pub tally: ImportTally,
    pub faults: Vec<ImportFault>,
}

/// What one line requires.
enum Action {
    Create(Box<Product>, i64),
    Update(Box<Product>, Option<Sku>),
    Nothing,
}

/// Decides about lines, up to the first one that depends on what an earlier one changes.
pub fn plan_import(lines: &[ImportLine], matches: &ImportMatches, ids: &dyn Ids) -> ImportPlan {
    let mut plan = ImportPlan::default();
    let (mut written, mut skus) = (BTreeSet::new(), BTreeSet::new());
    for ImportLine { number, product, .. } in lines {
        let action = match product {
            Ok(line) => {
                let sku = line.details.sku.as_ref();
                let by_sku = sku.and_then(|sku| matches.by_sku.get(sku));
                if line.id.iter().chain(by_sku).any(|id| written.contains(id))
                    || sku.is_some_and(|sku| skus.contains(sku))
                {
                    return plan;
                }
                decide(line, matches, ids)
            }
            Err(reason) => Err(reason.clone()),
        };
        plan.lines += 1;
        match action {
            Ok(Action::Create(product, units)) => {
                plan.tally.created += 1;
                written.insert(product.id);
                skus.extend(product.details.sku.clone());
                plan.created.push((*product, units));
            }
            Ok(Action::Update(product, former_sku)) => {
                plan.tally.updated += 1;
                written.insert(product.id);
                skus.extend(product.details.sku.clone().into_iter().chain(former_sku));
                plan.updated.push(*product);
            }
            Ok(Action::Nothing) => plan.tally.unchanged += 1,
            Err(reason) => {
                plan.tally.failed += 1;
                plan.faults.push(ImportFault { line: *number, reason });
            }
        }
    }
    plan
}

/// What a line requires, or why it is wrong.
fn decide(line: &ImportedProduct, matches: &ImportMatches, ids: &dyn Ids) -> Result<Action, String> {
    let sku = line.details.sku.as_ref();
    let by_sku = sku.and_then(|sku| matches.by_sku.get(sku));
    if let (Some(id), Some(other)) = (line.id, by_sku)
        && id != *other
    {
        return Err("sku belongs to another product".to_owned());
    }
    let existing = match line.id.or(by_sku.copied()).and_then(|id| matches.products.get(&id)) {
        Some(None) => return Err("id belongs to a deleted product: leave it out to create another one".to_owned()),
        Some(Some(existing)) => existing,
        None => return create(line, matches, ids),
    };
    let details = adapted(line, &existing.details);
    if details == existing.details {
        return Ok(Action::Nothing);
    }
    if line.version.is_some_and(|version| version != existing.version) {
        return Err(format!("version is {} now: read the product again", existing.version));
    }
    let currency = existing.details.price.money().currency;
    if details.price.money().currency != currency {
        return Err(format!("price.currency must stay {currency}"));
    }
    if details.sku != existing.details.sku {
        free_of_variants(&details, matches)?;
    }
    let former_sku = existing.details.sku.clone();
    let product = Product { details, version: existing.version + 1, ..existing.clone() };
    Ok(Action::Update(Box::new(product), former_sku))
}

fn create(line: &ImportedProduct, matches: &ImportMatches, ids: &dyn Ids) -> Result<Action, String> {
    match (line.id, &line.details.sku, line.version) {
        (None, None, _) => return Err("sku is required, or id".to_owned()),
        (None, Some(_), Some(_)) => {
            return Err("version: no product has this sku: leave version out to create one".to_owned());
        }
        _ => {}
    }
    free_of_variants(&line.details, matches)?;
    let product = Product {
        id: line.id.unwrap_or_else(|| ProductId::new(ids.next())),
        seller: SellerId::HOUSE,
        version: 1,
        details: adapted(line, &line.details),
        // The store replaces both times with the database's clock.
        created_at: OffsetDateTime::UNIX_EPOCH,
        updated_at: OffsetDateTime::UNIX_EPOCH,
    };
    Ok(Action::Create(Box::new(product), line.units))
}

fn free_of_variants(details: &Details, matches: &ImportMatches) -> Result<(), String> {
    match &details.sku {
        Some(sku) if matches.variant_skus.contains(sku) => Err("sku belongs to a variant".to_owned()),
        _ => Ok(()),
    }
}

/// The details that a line gives to a product with the details `now`: with its translations and prices, and the names of terms as the product has them where they differ by case alone: the terms would
/// give it back.
fn adapted(line: &ImportedProduct, now: &Details) -> Details {
    let wanted = &line.details;
    let label = |wanted: &Option<Label>, now: &Option<Label>| match (wanted, now) {
        (Some(wanted), Some(now)) if wanted.as_str().to_lowercase() == now.as_str().to_lowercase() => Some(now.clone()),
        _ => wanted.clone(),
    };
    Details {
        category: label(&wanted.category, &now.category),
        brand: label(&wanted.brand, &now.brand),
        supplier: label(&wanted.supplier, &now.supplier),
        translations: line.translations.as_ref().unwrap_or(&now.translations).clone(),
        prices: line.prices.as_ref().unwrap_or(&now.prices).clone(),
        ..wanted.clone()
    }
}

impl ImportTally {
    /// Lines in all.
    pub const fn lines(self) -> u64 {
        self.created + self.updated + self.unchanged + self.failed
    }
}

impl ImportState {
    /// The text that clients see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Complete => "complete",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use agora_vocab::{Currency, Money};
    use uuid::Uuid;

    use super::{
        super::fields::{Description, Name, Price},
        *,
    };

    /// Ids from 1.
    #[derive(Debug, Default)]
    struct Counted(AtomicU64);

    impl Ids for Counted {
        fn next(&self) -> Uuid {
            Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::SeqCst)) + 1)
        }
    }

    fn id(n: u128) -> ProductId {
        ProductId::new(Uuid::from_u128(n))
    }

    fn details(sku: &str, category: &str) -> Details {
        Details {
            name: Name::parse("Chair").unwrap(),
            description: Description::default(),
            sku: Some(Sku::parse(sku).unwrap()),
            price: Price::parse(Money { amount: 100, currency: Currency::EUR }).unwrap(),
            category: Some(Label::parse("category", category).unwrap()),
            brand: None,
            supplier: None,
            image_url: None,
            translations: Translations::default(),
            prices: Prices::default(),
        }
    }

    fn product(n: u128, sku: &str) -> Product {
        let (created_at, updated_at) = (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH);
        let details = details(sku, "Chairs");
        Product { id: id(n), seller: SellerId::HOUSE, version: 3, details, created_at, updated_at }
    }

    fn line(id: Option<ProductId>, details: Details) -> ImportLine {
        let product = ImportedProduct { id, version: None, details, translations: None, prices: None, units: 2 };
        ImportLine { number: 1, digest: Vec::new(), product: Ok(product) }
    }

    fn matches() -> ImportMatches {
        ImportMatches::new(
            [(product(7, "A"), false), (product(8, "B"), false), (product(9, "C"), true)],
            BTreeSet::new(),
        )
    }

    fn plan(lines: &[ImportLine]) -> ImportPlan {
        plan_import(lines, &matches(), &Counted::default())
    }

    #[test]
    fn a_line_without_effect_is_no_change_also_if_it_writes_a_term_in_another_case() {
        for category in ["Chairs", "CHAIRS"] {
            assert_eq!(
                plan(&[line(None, details("A", category))]).tally,
                ImportTally { unchanged: 1, ..Default::default() }
            );
        }
        let changed = plan(&[line(None, details("A", "Seats"))]);
        assert_eq!((changed.updated[0].id, changed.updated[0].version), (id(7), 4));
    }

    #[test]
    fn a_plan_ends_before_a_line_about_a_product_or_sku_of_an_earlier_line() {
        let update = || line(Some(id(7)), details("D", "Chairs"));
        for second in
            [line(None, details("A", "x")), line(None, details("D", "x")), line(Some(id(7)), details("E", "x"))]
        {
            assert_eq!(plan(&[update(), second]).lines, 1);
        }
        assert_eq!(plan(&[line(None, details("N", "x")), line(None, details("N", "y"))]).lines, 1);
        assert_eq!(plan(&[update(), line(None, details("B", "x")), line(None, details("N", "x"))]).lines, 3);
    }

    #[test]
    fn the_id_of_a_line_is_that_of_its_product_and_of_no_deleted_one() {
        let created = plan(&[line(Some(id(20)), details("N", "x")), line(None, details("M", "x"))]);
        assert_eq!(created.created.iter().map(|(product, _)| product.id).collect::<Vec<_>>(), [id(20), id(1)]);
        // The stock keeping unit of a deleted product is free.
        assert_eq!(plan(&[line(None, details("C", "x"))]).tally.created, 1);
        for wrong in [line(Some(id(9)), details("N", "x")), line(Some(id(20)), details("A", "x"))] {
            assert_eq!(plan(&[wrong]).tally, ImportTally { failed: 1, ..Default::default() });
        }
    }
}
