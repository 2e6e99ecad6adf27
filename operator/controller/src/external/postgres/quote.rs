//! Quoting of identifiers and literals, for statements without parameters, such as `create role`.

/// Quotes an identifier. NUL, which PostgreSQL does not allow, is removed.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// Quotes a string literal, for any value of `standard_conforming_strings`. NUL, which PostgreSQL does not allow, is removed.
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\0', "").replace('\'', "''");
    if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

#[cfg(test)]
mod tests {
    use super::{quote_ident, quote_literal};

    #[test]
    fn an_identifier_cannot_end_its_quotes() {
        assert_eq!(quote_ident("shop_main_order"), r#""shop_main_order""#);
        assert_eq!(quote_ident(r#"a"; drop role b; --"#), r#""a""; drop role b; --""#);
        assert_eq!(quote_ident("a\0\"b"), r#""a""b""#);
    }

    #[test]
    fn a_literal_cannot_end_its_quotes() {
        assert_eq!(quote_literal("shop/shop 1"), "'shop/shop 1'");
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal(r"\'; drop"), r"E'\\''; drop'");
    }
}
