//! Splits a body into records: lines, or lines of CSV whose quoted cells may hold line breaks. Holds one record at a time.
//! Knows nothing of what they mean.

use axum::body::Bytes;

/// Largest record, in bytes.
pub(super) const RECORD_BYTES_MAX: usize = 16 << 10;

/// A record without its line break; `None` if it is longer than [`RECORD_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The number of its first line, from 1.
    pub line: u64,
    pub text: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct Splitter {
    /// Whether line breaks between quotation marks belong to the record.
    quoting: bool,
    in_quotes: bool,
    /// Line breaks so far.
    breaks: u64,
    /// The number of the first line of the present record.
    starts_at: u64,
    text: Vec<u8>,
    too_long: bool,
}

impl Splitter {
    pub(super) const fn new(quoting: bool) -> Self {
        Self { quoting, in_quotes: false, breaks: 0, starts_at: 1, text: Vec::new(), too_long: false }
    }

    /// Takes bytes off `chunk` until a record is complete; `None` if `chunk` is empty then.
    pub(super) fn next(&mut self, chunk: &mut Bytes) -> Option<Record> {
        while !chunk.is_empty() {
            let line_break = chunk.iter().position(|byte| *byte == b'\n');
            let part = chunk.split_to(line_break.map_or(chunk.len(), |at| at + 1));
            self.add(&part);
            if line_break.is_some() {
                self.breaks += 1;
                if !self.in_quotes
                    && let Some(record) = self.finish()
                {
                    return Some(record);
                }
            }
        }
        None
    }

    /// The record that the end of the body, or a line break, completes; `None` if it is blank.
    pub(super) fn finish(&mut self) -> Option<Record> {
        let text = self.text.trim_ascii().to_vec();
        let record = Record { line: self.starts_at, text: (!self.too_long).then_some(text) };
        let blank = record.text.as_ref().is_some_and(Vec::is_empty);
        self.text.clear();
        (self.too_long, self.in_quotes, self.starts_at) = (false, false, self.breaks + 1);
        (!blank).then_some(record)
    }

    fn add(&mut self, part: &[u8]) {
        // A doubled quotation mark, which stands for one, changes nothing.
        let odd = |bytes: &[u8]| bytes.iter().fold(false, |odd, byte| odd ^ (*byte == b'"'));
        if self.quoting && odd(part) {
            self.in_quotes = !self.in_quotes;
        }
        if self.too_long || self.text.len() + part.len() > RECORD_BYTES_MAX {
            self.too_long = true;
            self.text.clear();
        } else {
            self.text.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use proptest::prelude::*;

    use super::{RECORD_BYTES_MAX, Splitter};

    /// The records of a body that arrives in parts of this size.
    fn records(body: &str, quoting: bool, size: usize) -> Vec<(u64, Option<String>)> {
        let (mut splitter, mut found) = (Splitter::new(quoting), Vec::new());
        for part in body.as_bytes().chunks(size) {
            let mut part = Bytes::copy_from_slice(part);
            while let Some(record) = splitter.next(&mut part) {
                found.push(record);
            }
        }
        found.extend(splitter.finish());
        found
            .into_iter()
            .map(|record| (record.line, record.text.map(|text| String::from_utf8(text).unwrap())))
            .collect()
    }

    fn some(line: u64, text: &str) -> (u64, Option<String>) {
        (line, Some(text.to_owned()))
    }

    #[test]
    fn records_are_numbered_by_lines_and_blank_ones_are_left_out() {
        assert_eq!(records("a\r\n\n  \nb\nc", false, 2), [some(1, "a"), some(4, "b"), some(5, "c")]);
        assert_eq!(records("", false, 1), []);
    }

    #[test]
    fn a_quoted_cell_holds_line_breaks_in_csv_alone() {
        let body = "a,\"x\ny \"\"z\"\"\",b\nc\n";
        assert_eq!(records(body, true, 3), [some(1, "a,\"x\ny \"\"z\"\"\",b"), some(3, "c")]);
        assert_eq!(records(body, false, 3).len(), 3);
    }

    #[test]
    fn a_record_that_is_too_long_is_left_out_and_the_next_one_is_read() {
        let body = format!("{}\nb\n", "a".repeat(RECORD_BYTES_MAX + 1));
        assert_eq!(records(&body, false, 1_000), [(1, None), some(2, "b")]);
    }

    proptest! {
        #[test]
        fn the_parts_of_a_body_make_no_difference(body in "[ab\"\n\r ]{0,60}", size in 1_usize..20, quoting in any::<bool>()) {
            prop_assert_eq!(records(&body, quoting, size), records(&body, quoting, 60));
        }
    }
}
