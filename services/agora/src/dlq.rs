//! The dead letters of every service, through the public API: list, show, replay, discard.

use agora_api::{
    List,
    notification::{DeadLetter, Decision, routes},
};
use anyhow::{Context as _, bail};
use clap::Subcommand;
use reqwest::{Method, StatusCode};
use uuid::Uuid;

use crate::admin_client::{AdminClient, describe};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List dead letters, newest first
    List {
        /// Only those in this state
        #[arg(long, value_parser = ["open", "replayed", "discarded"], default_value = "open")]
        state: String,
        /// How many, at most 100
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
    },
    /// Show a dead letter with its message, as JSON
    Show {
        /// Its id
        id: Uuid,
    },
    /// Send the message to its topic again, or queue the mail again
    ///
    /// Consumers that have handled the message skip it.
    Replay {
        /// Its id
        id: Uuid,
        /// Why; kept with the letter
        #[arg(long)]
        reason: String,
    },
    /// Set a dead letter aside for good
    Discard {
        /// Its id
        id: Uuid,
        /// Why; kept with the letter
        #[arg(long)]
        reason: String,
    },
}

/// Runs an action at the gateway `url` and prints its result.
pub async fn run(url: &str, action: Action) -> anyhow::Result<()> {
    let client = AdminClient::log_in(url, None).await?;
    let text = match action {
        Action::List { state, limit } => list(&client, &state, limit).await?,
        Action::Show { id } => {
            let letter: DeadLetter = get(&client, &routes::READ_DEAD.path_of([&id])).await?;
            serde_json::to_string_pretty(&letter)?
        }
        Action::Replay { id, reason } => decide(&client, &routes::REPLAY_DEAD.path_of([&id]), reason).await?,
        Action::Discard { id, reason } => decide(&client, &routes::DISCARD_DEAD.path_of([&id]), reason).await?,
    };
    println!("{text}");
    Ok(())
}

async fn list(client: &AdminClient, state: &str, limit: u8) -> anyhow::Result<String> {
    let path = format!("{}?state={state}&limit={limit}", routes::LIST_DEAD.path);
    let letters: List<DeadLetter> = get(client, &path).await?;
    let mut lines: Vec<String> = letters.items.iter().map(line).collect();
    if letters.next_cursor.is_some() {
        lines.push(format!("there are more: raise --limit above {limit}, or replay and discard some first"));
    }
    if lines.is_empty() {
        lines.push(format!("no dead letter is {state}"));
    }
    Ok(lines.join("\n"))
}

/// Time, id, consumer, origin and reason of a letter.
fn line(letter: &DeadLetter) -> String {
    let DeadLetter { id, consumer, origin, notification_id, reason, created_at, .. } = letter;
    let origin = origin.as_ref().map(|origin| format!("{}/{}@{}", origin.topic, origin.partition, origin.offset));
    let origin = origin.or_else(|| notification_id.map(|id| format!("mail of {id}"))).unwrap_or_default();
    format!("{created_at}  {id}  {consumer}  {origin}  {reason}")
}

async fn get<T: serde::de::DeserializeOwned>(client: &AdminClient, path: &str) -> anyhow::Result<T> {
    let answer = client.send(Method::GET, path, |request| request).await?;
    if answer.status() != StatusCode::OK {
        bail!("{}", describe(answer).await);
    }
    answer.json().await.context("could not parse the response")
}

async fn decide(client: &AdminClient, path: &str, reason: String) -> anyhow::Result<String> {
    let decision = Decision { reason };
    let answer = client.send(Method::POST, path, |request| request.json(&decision)).await?;
    if answer.status() != StatusCode::OK {
        bail!("{}", describe(answer).await);
    }
    let letter: DeadLetter = answer.json().await.context("could not parse the response")?;
    Ok(format!("{} is {}", letter.id, letter.state))
}

#[cfg(test)]
mod tests {
    use agora_api::notification::{DeadLetter, Origin};
    use time::macros::datetime;
    use uuid::Uuid;

    use super::line;

    #[test]
    fn a_letter_is_one_line_that_names_its_place_and_reason() {
        let letter = DeadLetter {
            id: Uuid::from_u128(1),
            kind: "message".into(),
            consumer: "cart".into(),
            origin: Some(Origin {
                topic: "product-events".into(),
                partition: 2,
                offset: 41,
                headers: serde_json::Map::new(),
            }),
            notification_id: None,
            reason: "no envelope".into(),
            state: "open".into(),
            decided_by: None,
            decided_at: None,
            note: None,
            created_at: datetime!(2026-01-02 03:04:05 UTC),
            message: None,
        };
        let shown = line(&letter);
        assert!(
            shown.ends_with("00000000-0000-0000-0000-000000000001  cart  product-events/2@41  no envelope"),
            "{shown}"
        );
        let mail =
            DeadLetter { origin: None, notification_id: Some(agora_vocab::NotificationId::new(Uuid::nil())), ..letter };
        assert!(line(&mail).contains("mail of 00000000-0000-0000-0000-000000000000"));
    }
}
