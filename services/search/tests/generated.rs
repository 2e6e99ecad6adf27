//! The statements `sql/browse_by_*.sql` are those of one template, for each order. `AGORA_UPDATE=1` rewrites them.

use std::path::Path;

const TEMPLATE: &str = include_str!("browse_template.sql");

/// File name, column and whether the order is descending.
const ORDERS: [(&str, &str, bool); 5] = [
    ("name", "name_key", false),
    ("price", "price_amount", false),
    ("price_down", "price_amount", true),
    ("created", "created_at", false),
    ("created_down", "created_at", true),
];

#[test]
fn the_committed_pages_are_those_of_the_template() {
    let statements = ORDERS.into_iter().map(|(name, key, descending)| {
        let text = TEMPLATE
            .replace("{key}", key)
            .replace("{highest}", if descending { ", the highest first" } else { "" })
            .replace("{after}", if descending { "<" } else { ">" })
            .replace("{direction}", if descending { " desc" } else { "" });
        (format!("browse_by_{name}.sql"), text)
    });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    agora_testkit::assert_generated(&folder, "browse_by_", &statements.collect());
}
