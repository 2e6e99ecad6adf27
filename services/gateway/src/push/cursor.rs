//! Where a client goes on that was connected before.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// The last event that a client has received: `<event>` or `<event>.<process>.<number>`. The second form is exact at the
/// process that gave it; at another one, both stand for the event, which has another place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub event: Uuid,
    pub place: Option<Place>,
}

/// A place among the events of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub process: Uuid,
    pub number: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            None => write!(f, "{}", self.event),
            Some(Place { process, number }) => write!(f, "{}.{}.{number}", self.event, process.simple()),
        }
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must be the id of the last event that was received";
        let mut parts = text.split('.');
        let event = parts.next().and_then(|event| event.parse().ok()).ok_or(WRONG)?;
        let place = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(process), Some(number), None) => {
                let (process, number) = (process.parse().map_err(|_| WRONG)?, number.parse().map_err(|_| WRONG)?);
                Some(Place { process, number })
            }
            _ => return Err(WRONG),
        };
        Ok(Self { event, place })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{Cursor, Place};

    #[test]
    fn gw18_a_cursor_is_read_as_it_was_written() {
        let event = Uuid::from_u128(1);
        for place in [None, Some(Place { process: Uuid::from_u128(2), number: 3 })] {
            let cursor = Cursor { event, place };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for wrong in
            ["", "7", "x.y.z", &format!("{event}."), &format!("{event}.{event}"), &format!("{event}.{event}.-1")]
        {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
