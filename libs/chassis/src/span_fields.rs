//! Fields of spans as JSON text. A field that is recorded later is appended, without reading the text again: every request
//! has such fields.

use std::fmt::{self, Debug, Write as _};

use tracing::{
    field::{Field, Visit},
    span::Record,
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, FormattedFields, format::Writer},
};

/// Writes the fields of a span as one JSON object. Where a field is recorded twice the object has both, the last of
/// which counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SpanFields;

impl<'writer> FormatFields<'writer> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        writer.write_char('{')?;
        append(&mut writer, true, fields)?;
        writer.write_char('}')
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let text = &mut current.fields;
        if text.pop() != Some('}') {
            text.replace_range(.., "{");
        }
        let first = text.len() == 1;
        append(text, first, fields)?;
        text.write_char('}')
    }
}

fn append(text: &mut dyn fmt::Write, first: bool, fields: impl RecordFields) -> fmt::Result {
    let mut members = Members { text, first, result: Ok(()) };
    fields.record(&mut members);
    members.result
}

/// Writes each field as a member of a JSON object.
struct Members<'a> {
    text: &'a mut dyn fmt::Write,
    first: bool,
    result: fmt::Result,
}

impl Members<'_> {
    fn member(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let comma = if self.first { "" } else { "," };
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        self.first = false;
        self.result = self.result.and_then(|()| write!(self.text, "{comma}\"{name}\":{value}"));
    }

    fn string(&mut self, field: &Field, value: &str) {
        match serde_json::to_string(value) {
            Ok(value) => self.member(field, format_args!("{value}")),
            Err(_) => self.result = Err(fmt::Error),
        }
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.member(field, format_args!("{value}"));
        } else {
            self.member(field, format_args!("null"));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.string(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.string(field, &format!("{value:?}"));
    }
}
