//! The statements `sql/page_by_*.sql` are those of one template, for each order and with and without a category.
//! `AGORA_UPDATE=1` rewrites them.

use std::{collections::BTreeMap, path::Path};

const TEMPLATE: &str = include_str!("page_template.sql");

/// File name, description, column and whether the order is descending.
const ORDERS: [(&str, &str, &str, bool); 5] = [
    ("name", "name", "name_key", false),
    ("price", "price", "price_amount", false),
    ("price_down", "price, highest first", "price_amount", true),
    ("created", "time of creation", "created_at", false),
    ("created_down", "time of creation, newest first", "created_at", true),
];

/// The statements by file name.
fn statements() -> BTreeMap<String, String> {
    let mut statements = BTreeMap::new();
    for (name, order, key, descending) in ORDERS {
        for in_category in [false, true] {
            let category = |text: &'static str| if in_category { text } else { "" };
            let text = [
                ("{of_category}", category(" of a category")),
                ("{order}", order),
                ("{parameter}", category(", $6 category")),
                ("{key}", key),
                ("{after}", if descending { "<" } else { ">" }),
                ("{condition}", category("\n    and p.category = $6")),
                ("{direction}", if descending { " desc" } else { "" }),
            ]
            .into_iter()
            .fold(TEMPLATE.to_owned(), |text, (placeholder, value)| text.replace(placeholder, value));
            statements.insert(format!("page_by_{name}{}.sql", category("_in_category")), text);
        }
    }
    statements
}

#[test]
fn the_committed_pages_are_those_of_the_template() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    agora_testkit::assert_generated(&folder, "page_by_", &statements());
}
