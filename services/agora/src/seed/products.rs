//! Five hundred sample products made of the words: the same ones each time. Pure.

use std::collections::BTreeMap;

use agora_api::catalog::{NewVariant, ProductLine, Translation};
use agora_vocab::{Currency, Money, MoneyError};

use super::words::{COLOURS, Phrase, RANGES, Range};

/// Languages of the translations, by their place in a phrase. The first language is the shop's own.
const LANGUAGES: [(usize, &str); 2] = [(1, "de"), (2, "fr")];
/// What the price rises by from one series to the next, in percent of the first.
const SERIES_PERCENT: i64 = 9;
/// Dollars for a hundred euros.
const DOLLARS_PERCENT: i64 = 112;
/// Units of each product, and of each variant.
const STOCK_MIN: i64 = 20;
const STOCK_SPREAD: i64 = 180;
const VARIANT_STOCK: i64 = 25;
const VARIANTS: usize = 3;
/// What the last variant costs more, in cents.
const SPECIAL_CENTS: i64 = 500;

/// A sample product with its variants.
#[derive(Debug)]
pub struct Sample {
    pub product: ProductLine,
    /// Each with its units.
    pub variants: Vec<(NewVariant, i64)>,
}

/// All sample products.
pub fn samples(dollars: Currency) -> Result<Vec<Sample>, MoneyError> {
    let places = RANGES.iter().flat_map(|range| (0..range.types.len() * range.series.len()).map(move |n| (range, n)));
    places.map(|(range, number)| sample(range, number, dollars)).collect()
}

/// The product with a number of a range: its series and, within it, its type.
fn sample(range: &Range, number: usize, dollars: Currency) -> Result<Sample, MoneyError> {
    let (series, kind) = (number / range.types.len(), number % range.types.len());
    let (types, first_cents) = &range.types[kind];
    let cents = rounded(first_cents * (100 + SERIES_PERCENT * whole(series)) / 100, 90);
    let sku = format!("{}-{:03}", range.prefix, number + 1);
    let details = [range.materials[(series + kind) % 3], range.features[(series * 3 + kind) % 4]];
    let (name, description) = texts(types, range.series[series], &details, 0);
    let translations: BTreeMap<String, Translation> = LANGUAGES
        .into_iter()
        .map(|(place, language)| {
            let (name, description) = texts(types, range.series[series], &details, place);
            (language.to_owned(), Translation { name, description })
        })
        .collect();
    let price = Money::new(cents, Currency::EUR)?;
    let product = ProductLine {
        id: None,
        version: None,
        sku: Some(sku.clone()),
        name,
        description: Some(description),
        price,
        stock: Some(STOCK_MIN + whole(number * 37 + range.prefix.len() * 11) % STOCK_SPREAD),
        category: Some(range.category.to_owned()),
        brand: Some(range.brand.to_owned()),
        supplier: Some(range.supplier.to_owned()),
        image_url: None,
        translations: Some(translations),
        prices: Some(vec![Money::new(rounded(cents * DOLLARS_PERCENT / 100, 99), dollars)?]),
    };
    let variants = if range.coloured { variants(&sku, price, number)? } else { Vec::new() };
    Ok(Sample { product, variants })
}

/// Name and description in the language at a place of the phrases.
fn texts(types: &Phrase, series: &str, details: &[Phrase; 2], place: usize) -> (String, String) {
    let [material, feature] = details;
    (format!("{} {series}", types[place]), format!("{}. {}", material[place], feature[place]))
}

fn variants(sku: &str, price: Money, number: usize) -> Result<Vec<(NewVariant, i64)>, MoneyError> {
    let variant = |place: usize| {
        let colour = COLOURS[(number + place) % COLOURS.len()];
        let special = place + 1 == VARIANTS;
        let own_price = special.then(|| Money::new(price.amount + SPECIAL_CENTS, price.currency)).transpose()?;
        let variant = NewVariant {
            name: colour.to_owned(),
            sku: Some(format!("{sku}-{}", colour.to_uppercase())),
            own_price,
            options: Some(BTreeMap::from([("colour".to_owned(), colour.to_owned())])),
        };
        Ok((variant, VARIANT_STOCK))
    };
    (0..VARIANTS).map(variant).collect()
}

/// The amount with these cents at its end.
const fn rounded(amount: i64, cents: i64) -> i64 {
    amount / 100 * 100 + cents
}

/// Numbers of samples are small.
fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Sample, samples};

    fn all() -> Vec<Sample> {
        samples("USD".parse().unwrap()).unwrap()
    }

    #[test]
    fn da3_five_hundred_products_in_three_languages_and_two_currencies_are_distinct_and_the_same_each_time() {
        let all = all();
        let distinct = |of: &dyn Fn(&Sample) -> String| all.iter().map(of).collect::<BTreeSet<_>>().len();
        assert_eq!(all.len(), 500);
        assert_eq!(distinct(&|sample| sample.product.sku.clone().unwrap()), 500);
        for language in ["de", "fr"] {
            let name = |sample: &Sample| sample.product.translations.as_ref().unwrap()[language].name.clone();
            assert_eq!(distinct(&name), 500, "{language}");
        }
        assert_eq!(distinct(&|sample| sample.product.name.clone()), 500);
        assert_eq!(distinct(&|sample| sample.product.category.clone().unwrap()), 10);
        let again: Vec<_> = samples("USD".parse().unwrap()).unwrap();
        assert!(all.iter().zip(&again).all(|(first, second)| first.product == second.product));
    }

    #[test]
    fn da3_prices_stock_and_variants_are_believable() {
        for Sample { product, variants } in all() {
            let [dollars] = product.prices.as_deref().unwrap() else { panic!("{product:?}") };
            assert!((890..100_000).contains(&product.price.amount) && dollars.amount > product.price.amount);
            assert!(product.stock.is_some_and(|units| units >= 20));
            assert!([0, 3].contains(&variants.len()));
            let names: BTreeSet<_> = variants.iter().map(|(variant, _)| &variant.name).collect();
            assert_eq!(names.len(), variants.len());
        }
        assert_eq!(all().iter().filter(|sample| !sample.variants.is_empty()).count(), 100);
    }
}
