//! A mail as it arrived, and how it is read: headers, and the parts of a multipart mail. Must not do I/O.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};

/// A mail as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMail {
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// Headers and body, with line feeds alone.
    pub raw: String,
}

impl ReceivedMail {
    /// A header by name, unfolded; empty where absent.
    pub fn header(&self, name: &str) -> String {
        headers(&self.raw).0.remove(&name.to_ascii_lowercase()).unwrap_or_default()
    }

    /// The decoded part of that type, such as `text/html`; empty where absent.
    pub fn part(&self, kind: &str) -> String {
        let content_type = self.header("content-type");
        let boundary = content_type.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next());
        let Some(boundary) = boundary.map(|boundary| format!("--{boundary}")) else { return String::new() };
        let parts = self.raw.split(&boundary).skip(1).map(|part| headers(part.trim_start_matches('\n')));
        let is_kind = |headers: &BTreeMap<String, String>| {
            headers.get("content-type").is_some_and(|found| found.starts_with(kind))
        };
        let part = parts.into_iter().find(|(headers, _)| is_kind(headers));
        part.map_or_else(String::new, |(headers, body)| {
            decoded(body, headers.get("content-transfer-encoding").map_or("7bit", String::as_str))
        })
    }
}

/// Headers by name in lower case, and the body.
fn headers(text: &str) -> (BTreeMap<String, String>, &str) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let head = head.replace("\n ", " ").replace("\n\t", " ");
    let pairs = head.lines().filter_map(|line| line.split_once(": "));
    (pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(), body)
}

/// A body that cannot be decoded is shown as it came.
fn decoded(body: &str, encoding: &str) -> String {
    let bytes = match encoding {
        "base64" => {
            let text: String = body.chars().filter(|char| !char.is_whitespace()).collect();
            BASE64_STANDARD.decode(text).unwrap_or_else(|_| body.as_bytes().to_vec())
        }
        "quoted-printable" => quoted_printable(body),
        _ => body.as_bytes().to_vec(),
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

fn quoted_printable(body: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let body = body.replace("=\n", "");
    let mut rest = body.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if *first == b'=' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::ReceivedMail;

    #[test]
    fn a_mail_is_read_by_headers_and_parts() {
        let raw = "Subject: a\n b\nContent-Type: multipart/alternative;\n boundary=\"x\"\n\n--x\nContent-Type: text/plain\n\
            Content-Transfer-Encoding: quoted-printable\n\nf=C3=BCr =\nAda\n--x\nContent-Type: text/html\n\
            Content-Transfer-Encoding: base64\n\nPGI+\n--x--\n";
        let mail = ReceivedMail { from: String::new(), to: Vec::new(), raw: raw.to_owned() };
        assert_eq!(mail.header("subject"), "a b");
        assert_eq!(mail.part("text/plain").trim(), "für Ada");
        assert_eq!(mail.part("text/html"), "<b>");
        assert_eq!((mail.header("bcc"), mail.part("image/png")), (String::new(), String::new()));
    }
}
