//! The mapping of errors to HTTP status and code.

use agora_web::Problem;
use axum::http::StatusCode;

use crate::{
    domain::{ADDRESSES_MAX, Violations},
    ports::{HashError, StoreError, TokenError, UserError},
    service::Error,
};

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::BadCredentials => unauthorized("INVALID_CREDENTIALS"),
            Error::TooManyAttempts { retry_after_s } => Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_ATTEMPTS")
                .detail("too many attempts: try again later")
                .retry_after(retry_after_s),
            Error::BadRefreshToken => unauthorized("INVALID_REFRESH_TOKEN"),
            Error::BadResetToken => {
                Self::unprocessable().field("token", "is not valid, was used or has expired: request another mail")
            }
            Error::BadEmailToken => Self::unprocessable()
                .field("token", "is not valid, was used or replaced, or has expired: ask for the change again"),
            Error::SameEmail => Self::unprocessable().field("newEmail", "is the present address of this account"),
            Error::LastAdmin => conflict("LAST_ADMIN").detail("another active administrator must exist first"),
            Error::SessionEnded => unauthorized("INVALID_TOKEN").title("Invalid token"),
            Error::OwnAccount => conflict("OWN_ACCOUNT").detail("another administrator must do this to your account"),
            Error::WrongPassword => {
                Self::unprocessable().field("currentPassword", "is not the present password of this account")
            }
            Error::NotFound => Self::not_found(),
            Error::NoStaffProvider => Self::new(StatusCode::NOT_FOUND, "NO_IDENTITY_PROVIDER")
                .detail("this shop has no identity provider for its staff: set spec.identity.staff of the Marketplace"),
            Error::BadStaffLogin => unauthorized("INVALID_STAFF_LOGIN").detail(
                "the login was not begun here, was ended before, has expired or is not valid: begin another one",
            ),
            Error::NoStaffRole => Self::new(StatusCode::FORBIDDEN, "NO_STAFF_ROLE")
                .detail("no group of this person gives a role: see spec.identity.staff.oidc.roles of the Marketplace"),
            Error::StaffProviderUnavailable(error) => Self::unavailable(error),
            Error::Hash(HashError::Busy) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "BUSY").retry_after(HASH_RETRY_AFTER_S)
            }
            Error::Hash(failure @ HashError::Failed(_)) => Self::internal(failure),
            Error::Token(failure @ TokenError::NoKey) => Self::unavailable(failure),
            Error::Token(failure @ TokenError::Failed(_)) => Self::internal(failure),
            Error::Store(error) => store(error),
        }
    }
}

/// The same for bodies whose present password is `password`.
pub fn of_password(error: Error) -> Problem {
    match error {
        Error::WrongPassword => {
            Problem::unprocessable().field("password", "is not the present password of this account")
        }
        error => error.into(),
    }
}

/// The same for a new address, whose owner has proven that it is theirs.
pub fn of_address(error: Error) -> Problem {
    match error {
        Error::Store(UserError::EmailTaken) => conflict("EMAIL_TAKEN")
            .detail("another account has this e-mail address: log in there, or choose another one"),
        error => error.into(),
    }
}

/// Time in which half of a full hashing queue is processed, in seconds.
const HASH_RETRY_AFTER_S: u32 = 1;

fn store(error: UserError) -> Problem {
    match error {
        UserError::EmailTaken => {
            conflict("EMAIL_TAKEN").field("email", "is taken: log in, or register another address")
        }
        UserError::UsernameTaken => conflict("USERNAME_TAKEN").field("username", "is taken: choose another one"),
        UserError::BookFull => {
            conflict("ADDRESS_BOOK_FULL").detail(format!("it holds {ADDRESSES_MAX} entries: remove one first"))
        }
        UserError::NoOwner => Problem::not_found(),
        UserError::LastAdmin => Error::LastAdmin.into(),
        UserError::Store(StoreError::KeyReused) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
                .detail("this Idempotency-Key was sent with another body")
        }
        UserError::Store(StoreError::Running) => conflict("IDEMPOTENCY_KEY_IN_USE").retry_after(1),
        failure @ UserError::Store(StoreError::Unavailable(_)) => Problem::unavailable(failure),
        failure @ UserError::Store(StoreError::Broken(_)) => Problem::internal(failure),
    }
}

fn conflict(code: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, code)
}

fn unauthorized(code: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code)
}

/// Lists all invalid fields.
impl From<Violations> for Problem {
    fn from(violations: Violations) -> Self {
        violations
            .into_inner()
            .into_iter()
            .fold(Self::unprocessable(), |problem, invalid| problem.field(invalid.field, invalid.message))
    }
}
