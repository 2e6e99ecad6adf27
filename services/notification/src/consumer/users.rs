//! What user events change: the recipient, and notifications about the account's security.

use agora_events::{
    Envelope,
    user::{Account, EmailChangeRequest, Login, Preferences as EventPreferences, UserEvent},
};
use agora_outbox::Failure;
use agora_vocab::{Email, UserId};
use serde_json::json;

use super::notification;
use crate::{
    domain::{Content, Kind, NewNotification, Preferences, Priority, RecipientChange, Revision, UserUpdate},
    service::Effects,
};

const KIND: (Kind, Priority) = (Kind::UserUpdate, Priority::Critical);

pub(super) fn add(effects: &mut Effects, envelope: &Envelope, event: UserEvent) -> Result<(), Failure> {
    let (user, update) = match event {
        UserEvent::Registered(account) => (of_account(effects, envelope, account)?, UserUpdate::Registered),
        UserEvent::Updated(account) => (of_account(effects, envelope, account)?, UserUpdate::ProfileChanged),
        UserEvent::Login(Login { user_id, email, .. }) => {
            effects.recipients.push(change(envelope, user_id, &email)?);
            (user_id, UserUpdate::SignedIn { at: envelope.time })
        }
        UserEvent::EmailChanged(changed) => {
            effects.recipients.push(change(envelope, changed.user_id, &changed.email)?);
            let (previous_email, email) = (address(&changed.previous_email)?, changed.email);
            (changed.user_id, UserUpdate::EmailChanged { previous_email, email })
        }
        UserEvent::PasswordResetRequested(reset) => {
            let (email, reset_id, expires_at) = (address(&reset.email)?, reset.reset_id, reset.expires_at);
            (reset.user_id, UserUpdate::PasswordReset { email, reset_id, expires_at })
        }
        UserEvent::EmailChangeRequested(request) => {
            effects.notifications.extend(of_email_change(envelope, request)?);
            return Ok(());
        }
        UserEvent::Erased(erased) => {
            effects.erased.push((erased.user_id, revision(envelope)));
            return Ok(());
        }
        UserEvent::Revoked(revoked) => {
            let (all, reason) = (revoked.session_id.is_none(), revoked.reason);
            (revoked.user_id, UserUpdate::SessionsEnded { all, reason })
        }
    };
    effects.notifications.push(notification(envelope, user, KIND, Content::UserUpdate(update), json!({})));
    Ok(())
}

/// A confirmation for the new address, and a notice for the present one, whose source is the request: one event is two mails.
fn of_email_change(envelope: &Envelope, request: EmailChangeRequest) -> Result<[NewNotification; 2], Failure> {
    let EmailChangeRequest { user_id, email, new_email, change_id, expires_at } = request;
    let (email, new_email) = (address(&email)?, address(&new_email)?);
    let notice = UserUpdate::EmailChangeRequested { email, new_email: new_email.clone() };
    let confirmation = UserUpdate::EmailConfirmation { email: new_email, change_id, expires_at };
    let make = |update| notification(envelope, user_id, KIND, Content::UserUpdate(update), json!({}));
    Ok([make(confirmation), NewNotification { source: change_id.uuid(), ..make(notice) }])
}

fn of_account(effects: &mut Effects, envelope: &Envelope, account: Account) -> Result<UserId, Failure> {
    let Account { user_id, email, name, preferences, blocked: _ } = account;
    let EventPreferences { promotions, order_updates, recommendations } = preferences;
    let profile = Some((name, Preferences { promotions, order_updates, recommendations }));
    effects.recipients.push(RecipientChange { profile, ..change(envelope, user_id, &email)? });
    Ok(user_id)
}

fn change(envelope: &Envelope, user: UserId, email: &str) -> Result<RecipientChange, Failure> {
    Ok(RecipientChange { user, revision: revision(envelope), email: address(email)?, profile: None })
}

fn revision(envelope: &Envelope) -> Revision {
    Revision { epoch: i64::from(envelope.epoch), number: envelope.seq }
}

fn address(text: &str) -> Result<String, Failure> {
    Email::parse_stored(text).map(|email| email.to_string()).map_err(|error| Failure::Poison(error.into()))
}
