//! Limits of a document: of its text before it is parsed, and of what it selects before it is validated. Must not know the
//! schema.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned,
    parser::types::{ExecutableDocument, Field, FragmentDefinition, Selection, SelectionSet},
};

/// Most lexical tokens of a document.
pub const TOKENS_MAX: usize = 2_000;

/// Deepest nesting of brackets in a document: the parser recurses with them.
pub const BRACKETS_MAX: usize = 32;

/// Deepest nesting of fields.
pub const DEPTH_MAX: usize = 8;

/// Most fields with an alias, those of fragments counted wherever they are spread.
pub const ALIASES_MAX: usize = 20;

/// Most fields, counted like aliases.
pub const FIELDS_MAX: usize = 400;

/// Most directives at one place.
pub const DIRECTIVES_MAX: usize = 4;

/// Deepest nesting of fields below `__schema` and `__type`. The query that tools send needs 13.
pub const INTROSPECTION_DEPTH_MAX: usize = 16;

/// Lists of the schema on the way to a field below `__schema`, besides that of all types. A second one is a circle.
const INTROSPECTION_LISTS_MAX: usize = 1;
const INTROSPECTION_LISTS: [&str; 4] = ["fields", "inputFields", "interfaces", "possibleTypes"];

/// Why a document is refused before it is validated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    #[error("the document has more than {TOKENS_MAX} tokens")]
    Tokens,
    #[error("the document nests brackets deeper than {BRACKETS_MAX}")]
    Brackets,
    #[error("the document nests fields deeper than {DEPTH_MAX}")]
    Depth,
    #[error("the document has more than {ALIASES_MAX} aliases")]
    Aliases,
    #[error("the document has more than {FIELDS_MAX} fields")]
    Fields,
    #[error("a place in the document has more than {DIRECTIVES_MAX} directives")]
    Directives,
    #[error("fragments of the document spread each other in a circle")]
    FragmentCycle,
    #[error("the document asks for the schema in a circle")]
    IntrospectionCycle,
    #[error("introspection is off: the schema is docs/api/schema.graphql in the sources of Agora")]
    Introspection,
}

impl Excess {
    /// The kind for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Tokens | Self::Brackets => "DOCUMENT_TOO_LARGE",
            Self::Depth | Self::IntrospectionCycle => "QUERY_TOO_DEEP",
            Self::Aliases => "TOO_MANY_ALIASES",
            Self::Fields => "TOO_MANY_FIELDS",
            Self::Directives => "TOO_MANY_DIRECTIVES",
            Self::FragmentCycle => "INVALID_QUERY",
            Self::Introspection => "INTROSPECTION_DISABLED",
        }
    }
}

/// Whether the text may be parsed. What is no token is left for the parser to refuse.
pub fn check_text(text: &str) -> Result<(), Excess> {
    let (mut rest, mut tokens, mut brackets) = (text.as_bytes(), 0_usize, 0_usize);
    while let Some((&first, after)) = rest.split_first() {
        rest = match first {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                rest = after;
                continue;
            }
            b'#' => {
                rest = &after[after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len())..];
                continue;
            }
            b'"' => after_string(rest),
            b'{' | b'[' | b'(' => {
                brackets += 1;
                after
            }
            b'}' | b']' | b')' => {
                brackets = brackets.saturating_sub(1);
                after
            }
            first if is_of_word(first) => {
                &after[after.iter().position(|byte| !is_of_word(*byte)).unwrap_or(after.len())..]
            }
            _ => after,
        };
        tokens += 1;
        if tokens > TOKENS_MAX {
            return Err(Excess::Tokens);
        }
        if brackets > BRACKETS_MAX {
            return Err(Excess::Brackets);
        }
    }
    Ok(())
}

const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The text after the string that it begins with.
fn after_string(text: &[u8]) -> &[u8] {
    let (quotes, escape): (&[u8], &[u8]) =
        if text.starts_with(b"\"\"\"") { (b"\"\"\"", b"\\\"\"\"") } else { (b"\"", b"\\") };
    let mut rest = &text[quotes.len()..];
    loop {
        if rest.is_empty() {
            return rest;
        }
        if rest.starts_with(escape) {
            // In a plain string, any character after a backslash is escaped.
            let escaped = escape.len() + usize::from(quotes.len() == 1);
            rest = rest.get(escaped..).unwrap_or_default();
        } else if rest.starts_with(quotes) {
            return &rest[quotes.len()..];
        } else {
            rest = &rest[1..];
        }
    }
}

/// Whether the document may be validated. All its operations are counted, although one is executed.
pub fn check_document(document: &ExecutableDocument, introspection: bool) -> Result<(), Excess> {
    let mut sizes = Sizes { fragments: &document.fragments, known: HashMap::new() };
    let mut whole = Size::default();
    for (_name, operation) in document.operations.iter() {
        check_directives(operation.node.directives.len())?;
        whole = whole.beside(sizes.of_set(&operation.node.selection_set)?);
    }
    for fragment in document.fragments.values() {
        check_directives(fragment.node.directives.len())?;
    }
    whole.check(introspection)
}

fn check_directives(count: usize) -> Result<(), Excess> {
    if count > DIRECTIVES_MAX { Err(Excess::Directives) } else { Ok(()) }
}

/// What a set of fields contains.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    fields: usize,
    aliases: usize,
    /// Of fields that are not below `__schema` or `__type`.
    depth: usize,
    /// Of fields that might be.
    any_depth: usize,
    /// Most lists of the schema on the way to a field.
    lists: usize,
    /// Depth and lists below `__schema` and `__type`.
    introspection: Option<(usize, usize)>,
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self {
            fields: self.fields.saturating_add(other.fields),
            aliases: self.aliases.saturating_add(other.aliases),
            depth: self.depth.max(other.depth),
            any_depth: self.any_depth.max(other.any_depth),
            lists: self.lists.max(other.lists),
            introspection: match (self.introspection, other.introspection) {
                (Some((depth, lists)), Some((others, other_lists))) => {
                    Some((depth.max(others), lists.max(other_lists)))
                }
                (one, other) => one.or(other),
            },
        }
    }

    /// The size of a field with these fields below it.
    fn below(self, field: &Field) -> Self {
        let name = field.name.node.as_str();
        let is_introspection = matches!(name, "__schema" | "__type");
        let any_depth = self.any_depth + 1;
        let lists = self.lists + usize::from(INTROSPECTION_LISTS.contains(&name));
        Self {
            fields: self.fields.saturating_add(1),
            aliases: self.aliases.saturating_add(usize::from(field.alias.is_some())),
            depth: if is_introspection { 1 } else { self.depth + 1 },
            any_depth,
            lists,
            introspection: if is_introspection { Some((any_depth, lists)) } else { self.introspection },
        }
    }

    fn check(&self, introspection: bool) -> Result<(), Excess> {
        let checks = [
            (self.introspection.is_some() && !introspection, Excess::Introspection),
            (self.aliases > ALIASES_MAX, Excess::Aliases),
            (self.fields > FIELDS_MAX, Excess::Fields),
            (self.depth > DEPTH_MAX, Excess::Depth),
            (self.introspection.is_some_and(|(_, lists)| lists > INTROSPECTION_LISTS_MAX), Excess::IntrospectionCycle),
            (self.introspection.is_some_and(|(depth, _)| depth > INTROSPECTION_DEPTH_MAX), Excess::Depth),
        ];
        checks.into_iter().find(|(exceeded, _)| *exceeded).map_or(Ok(()), |(_, excess)| Err(excess))
    }
}

/// Sizes of fragments, each computed once however often it is spread.
struct Sizes<'d> {
    fragments: &'d HashMap<Name, Positioned<FragmentDefinition>>,
    /// `None`: it is being computed.
    known: HashMap<&'d str, Option<Size>>,
}

impl<'d> Sizes<'d> {
    fn of_set(&mut self, set: &'d Positioned<SelectionSet>) -> Result<Size, Excess> {
        let mut size = Size::default();
        for selection in &set.node.items {
            check_directives(selection.node.directives().len())?;
            let selected = match &selection.node {
                Selection::Field(field) => self.of_set(&field.node.selection_set)?.below(&field.node),
                Selection::InlineFragment(fragment) => self.of_set(&fragment.node.selection_set)?,
                Selection::FragmentSpread(spread) => self.of_fragment(spread.node.fragment_name.node.as_str())?,
            };
            size = size.beside(selected);
        }
        Ok(size)
    }

    fn of_fragment(&mut self, name: &'d str) -> Result<Size, Excess> {
        match self.known.get(name) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(Excess::FragmentCycle),
            None => {}
        }
        // One that does not exist is left for the validation to refuse.
        let Some(fragment) = self.fragments.get(name) else { return Ok(Size::default()) };
        self.known.insert(name, None);
        let size = self.of_set(&fragment.node.selection_set)?;
        self.known.insert(name, Some(size));
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::{BRACKETS_MAX, Excess, TOKENS_MAX, check_document, check_text};

    fn check(document: &str) -> Result<(), Excess> {
        check_text(document)?;
        check_document(&parse_query(document).unwrap(), true)
    }

    fn nested(depth: usize) -> String {
        format!("{{ {} }}", (1..depth).fold("a".to_owned(), |inner, _| format!("a {{ {inner} }}")))
    }

    #[test]
    fn gw4_the_text_is_limited_before_it_is_parsed() {
        assert_eq!(check_text(&"a ".repeat(TOKENS_MAX)), Ok(()));
        assert_eq!(check_text(&"a ".repeat(TOKENS_MAX + 1)), Err(Excess::Tokens));
        assert_eq!(check_text(&"[".repeat(BRACKETS_MAX)), Ok(()));
        assert_eq!(check_text(&"[".repeat(BRACKETS_MAX + 1)), Err(Excess::Brackets));
        assert_eq!(check_text(&"[]".repeat(BRACKETS_MAX + 1)), Ok(()), "beside each other");
    }

    #[test]
    fn gw4_strings_and_comments_are_no_tokens_of_their_own() {
        let many = "{ [ ".repeat(TOKENS_MAX);
        for text in [
            format!("# {many}"),
            format!("\"{many}\""),
            format!("\"\\\"{many}\""),
            format!("\"\"\" \" {many} \\\"\"\" {many}\"\"\""),
            "\"\\".to_owned(),
            "\"\"\"".to_owned(),
        ] {
            assert_eq!(check_text(&text), Ok(()), "{text:.20}");
        }
        assert_eq!(check_text(&format!("\"\" {many}")), Err(Excess::Brackets), "after an empty string");
        assert_eq!(check_text(&format!("# \n {many}")), Err(Excess::Brackets), "after a comment");
    }

    #[test]
    fn gw4_fields_are_nested_at_most_eight_deep() {
        assert_eq!(check(&nested(8)), Ok(()));
        assert_eq!(check(&nested(9)), Err(Excess::Depth));
        let fragment = format!("fragment F on T {}", nested(5));
        assert_eq!(check(&format!("{{ a {{ b {{ c {{ ...F }} }} }} }} {fragment}")), Ok(()));
        assert_eq!(check(&format!("{{ a {{ b {{ c {{ d {{ ...F }} }} }} }} }} {fragment}")), Err(Excess::Depth));
    }

    #[test]
    fn gw4_aliases_and_fields_of_fragments_count_wherever_they_are_spread() {
        let aliases = |count: usize| (0..count).map(|number| format!("a{number}: a ")).collect::<String>();
        assert_eq!(check(&format!("{{ {} }}", aliases(20))), Ok(()));
        assert_eq!(check(&format!("{{ {} }}", aliases(21))), Err(Excess::Aliases));
        let twice = format!("{{ a {{ ...F }} b {{ ...F }} }} fragment F on T {{ {} }}", aliases(11));
        assert_eq!(check(&twice), Err(Excess::Aliases));
        assert_eq!(check(&format!("{{ {} }}", "__typename ".repeat(401))), Err(Excess::Fields));
        let bomb: String = (0..40)
            .map(|number| format!("fragment F{number} on T {{ a {{ ...F{0} ...F{0} }} }} ", number + 1))
            .collect();
        let refused = check(&format!("{{ ...F0 }} {bomb} fragment F40 on T {{ a }}"));
        assert_eq!(refused, Err(Excess::Fields));
    }

    #[test]
    fn gw4_directives_and_circles_of_fragments_are_refused() {
        assert_eq!(check(&format!("{{ a {} }}", "@skip ".repeat(4))), Ok(()));
        assert_eq!(check(&format!("{{ a {} }}", "@skip ".repeat(5))), Err(Excess::Directives));
        assert_eq!(check(&format!("query Q {} {{ a }}", "@skip ".repeat(5))), Err(Excess::Directives));
        let circle = "{ ...F } fragment F on T { a { ...G } } fragment G on T { a { ...F } }";
        assert_eq!(check(circle), Err(Excess::FragmentCycle));
    }

    #[test]
    fn gw4_the_schema_can_be_asked_for_once_and_in_no_circle() {
        let one = "{ __schema { types { fields { type { ofType { ofType { ofType { ofType { name } } } } } } } } }";
        assert_eq!(check(one), Ok(()), "deeper than other fields");
        let refused = check_document(&parse_query(one).unwrap(), false);
        assert_eq!(refused, Err(Excess::Introspection));
        let circle = "{ __schema { types { fields { type { fields { type { name } } } } } } }";
        assert_eq!(check(circle), Err(Excess::IntrospectionCycle));
        let hidden = "{ ...F } fragment F on Q { __type(name: \"Q\") { ...G } } fragment G on __Type { name }";
        assert_eq!(check_document(&parse_query(hidden).unwrap(), false), Err(Excess::Introspection));
        assert_eq!(check_document(&parse_query("{ __typename }").unwrap(), false), Ok(()));
    }
}
