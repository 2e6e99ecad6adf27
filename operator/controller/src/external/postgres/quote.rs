//! Names and texts as SQL has them. Statements that make roles and databases take no parameters, so they are written out.
//!
//! Knows PostgreSQL's lexer and nothing else.

/// A name, quoted whatever it holds. NUL, which no name can hold, is left out.
pub fn quote_ident(name: &str) -> String {
    format!("\"{}\"", name.replace('\0', "").replace('"', "\"\""))
}

/// A text, safe whether or not the server takes backslashes literally. NUL, which no text can hold, is left out.
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\0', "").replace('\'', "''");
    if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

#[cfg(test)]
mod tests {
    use super::{quote_ident, quote_literal};

    #[test]
    fn a_name_cannot_end_its_quotes() {
        assert_eq!(quote_ident("shop_main_order"), r#""shop_main_order""#);
        assert_eq!(quote_ident(r#"a"; drop role b; --"#), r#""a""; drop role b; --""#);
        assert_eq!(quote_ident("a\0\"b"), r#""a""b""#);
    }

    #[test]
    fn a_text_cannot_end_its_quotes() {
        assert_eq!(quote_literal("shop/shop 1"), "'shop/shop 1'");
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal(r"\'; drop"), r"E'\\''; drop'");
    }
}
