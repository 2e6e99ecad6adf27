//! Errors as text, for logs and condition messages.

/// An error and its sources on one line. A source whose text is part of the error's own text is left out, because the
/// errors of `kube` repeat their sources.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let source_text = source.to_string();
        if !text.contains(&source_text) {
            text = format!("{text}: {source_text}");
        }
        next = source.source();
    }
    text
}
