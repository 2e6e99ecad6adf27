//! The mailbox over HTTP: a page for people, JSON for programs. Shows mails as they are; runs nothing of them.

use std::fmt::Write as _;

use axum::{
    Router,
    extract::{RawPathParams, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse as _, Response},
    routing::get,
};
use serde_json::{Value, json};

use crate::{mail::ReceivedMail, server::MailServer};

/// A mail may load nothing and run nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// `GET /` lists the mails for people, `/mails` as JSON, `/mails/{n}` the HTML part, `/mails/{n}/text` the text part,
/// `/mails/{n}/raw` the mail as it came. Numbers count from 0, the oldest that is kept.
pub fn router(server: MailServer) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/mails", get(list))
        .route("/mails/{number}", get(|State(server): State<MailServer>, params: RawPathParams| async move { show(&server, &params, Part::Html) }))
        .route("/mails/{number}/text", get(|State(server): State<MailServer>, params: RawPathParams| async move { show(&server, &params, Part::Text) }))
        .route("/mails/{number}/raw", get(|State(server): State<MailServer>, params: RawPathParams| async move { show(&server, &params, Part::Raw) }))
        .with_state(server)
}

#[derive(Clone, Copy)]
enum Part {
    Html,
    Text,
    Raw,
}

async fn index(State(server): State<MailServer>) -> Html<String> {
    let mut rows = String::new();
    for (number, mail) in server.mails().iter().enumerate().rev() {
        let (to, subject, date) = (mail.to.join(", "), mail.header("subject"), mail.header("date"));
        let [to, subject, date] = [to, subject, date].map(|text| escaped(&text));
        // Writing to a String does not fail.
        let _ = write!(
            rows,
            "<tr><td>{date}<td>{to}<td><a href=\"/mails/{number}\">{subject}</a><td><a href=\"/mails/{number}/text\">text</a> \
             <a href=\"/mails/{number}/raw\">raw</a></tr>"
        );
    }
    Html(format!("<!doctype html><meta charset=\"utf-8\"><title>Mailbox</title><h1>Mailbox</h1><table>{rows}</table>"))
}

async fn list(State(server): State<MailServer>) -> Response {
    let mails: Vec<Value> = server.mails().iter().enumerate().map(|(number, mail)| wire(number, mail)).collect();
    let body = json!({ "mails": mails }).to_string();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn wire(number: usize, mail: &ReceivedMail) -> Value {
    json!({
        "number": number,
        "from": mail.from,
        "to": mail.to,
        "subject": mail.header("subject"),
        "messageId": mail.header("message-id"),
        "text": mail.part("text/plain"),
    })
}

fn show(server: &MailServer, params: &RawPathParams, part: Part) -> Response {
    let number =
        params.iter().find_map(|(name, value)| if name == "number" { value.parse::<usize>().ok() } else { None });
    let Some(mail) = number.and_then(|number| server.mails().get(number).cloned()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (kind, body) = match part {
        Part::Html => ("text/html; charset=utf-8", mail.part("text/html")),
        Part::Text => ("text/plain; charset=utf-8", mail.part("text/plain")),
        Part::Raw => ("text/plain; charset=utf-8", mail.raw),
    };
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, POLICY)], body).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt as _;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };
    use tower::ServiceExt as _;

    use super::router;
    use crate::server::MailServer;

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the server ends with the test's runtime")]
    async fn a_mail_that_was_sent_is_read_by_people_and_programs() {
        let (server, serving) = MailServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        tokio::spawn(serving);
        let mut client = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
        let session =
            "EHLO me\r\nMAIL FROM:<a@b.de>\r\nRCPT TO:<c@d.de>\r\nDATA\r\nSubject: <b>hi\r\n\r\n..dot\r\n.\r\nQUIT\r\n";
        client.write_all(session.as_bytes()).await.unwrap();
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        assert!(answers.ends_with("250 2.0.0 taken\r\n221 bye\r\n"), "{answers}");
        let get = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router(server.clone()).oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
        };
        let page = get("/").await.1;
        assert!(page.contains("&lt;b>hi") && page.contains("c@d.de"), "{page}");
        assert!(get("/mails").await.1.contains("\"subject\":\"<b>hi\""));
        assert_eq!(get("/mails/0/raw").await, (200, "Subject: <b>hi\n\n.dot\n".to_owned()));
        assert_eq!(get("/mails/1").await.0, 404);
    }
}
