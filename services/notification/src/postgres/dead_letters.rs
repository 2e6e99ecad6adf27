//! Dead letters: of the events of `dead-letter-queue`, and of mails.

use agora_vocab::{Page, PageSize, UserId};
use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    PgNotifications,
    notifications::{END_OF_TIME, place},
    rows::{LetterRow, broken},
};
use crate::{
    domain::{DeadLetter, LetterState},
    ports::{DeadLetters, Decision, StoreError},
};

#[async_trait]
impl DeadLetters for PgNotifications {
    async fn store_dead_letter(&self, letter: &DeadLetter) -> Result<(), StoreError> {
        const STORE: &str = include_str!("../../sql/store_dead_letter.sql");
        let origin = letter.origin.as_ref();
        let headers = origin.map(|origin| serde_json::to_string(&origin.headers)).transpose().map_err(broken)?;
        sqlx::query(STORE)
            .bind(letter.id)
            .bind(&letter.consumer)
            .bind(origin.map(|origin| &origin.topic))
            .bind(origin.map(|origin| origin.partition))
            .bind(origin.map(|origin| origin.offset))
            .bind(headers.unwrap_or_else(|| "{}".to_owned()))
            .bind(&letter.payload)
            .bind(&letter.reason)
            .bind(letter.created_at)
            .execute(&mut *self.db.acquire().await?)
            .await?;
        Ok(())
    }

    async fn page_of_dead_letters(
        &self,
        state: Option<LetterState>,
        before: Option<(OffsetDateTime, Uuid)>,
        size: PageSize,
    ) -> Result<Page<DeadLetter>, StoreError> {
        const ALL: &str = include_str!("../../sql/page_of_dead_letters.sql");
        const IN_STATE: &str = include_str!("../../sql/page_of_dead_letters_in_state.sql");
        let (at, id) = before.unwrap_or((END_OF_TIME, Uuid::max()));
        let query = sqlx::query_as(if state.is_some() { IN_STATE } else { ALL });
        let query = query.bind(at).bind(id).bind(i64::from(size.get()) + 1);
        let query = if let Some(state) = state { query.bind(state.as_str()) } else { query };
        let rows: Vec<LetterRow> = query.fetch_all(&mut *self.db.acquire().await?).await?;
        let mut items = rows.into_iter().map(DeadLetter::try_from).collect::<Result<Vec<_>, _>>()?;
        let more = items.len() > usize::from(size.get());
        items.truncate(usize::from(size.get()));
        let next = items.last().filter(|_| more).map(|last| place(last.created_at, last.id));
        Ok(Page { items, total: None, next })
    }

    async fn open_dead_letters(&self) -> Result<u32, StoreError> {
        const COUNT: &str =
            "select count(*) from (select id from dead_letter_entry where state = 'open' limit 1000) as letters";
        let count: i64 = sqlx::query_scalar(COUNT).fetch_one(&mut *self.db.acquire().await?).await?;
        u32::try_from(count).map_err(broken)
    }

    async fn find_dead_letter(&self, id: Uuid) -> Result<Option<DeadLetter>, StoreError> {
        const FIND: &str = include_str!("../../sql/find_dead_letter.sql");
        let find = sqlx::query_as(FIND).bind(id);
        let row: Option<LetterRow> = find.fetch_optional(&mut *self.db.acquire().await?).await?;
        row.map(DeadLetter::try_from).transpose()
    }

    async fn decide(&self, id: Uuid, decision: &Decision) -> Result<bool, StoreError> {
        const DECIDE: &str = include_str!("../../sql/decide_dead_letter.sql");
        let Decision { state, by, note } = decision;
        let decide = sqlx::query(DECIDE).bind(id).bind(state.as_str()).bind(UserId::uuid(*by)).bind(note);
        Ok(decide.fetch_optional(&mut *self.db.acquire().await?).await?.is_some())
    }
}
