//! The cost of a field before anything runs. An operation that costs too much is refused. Must not know the schema.

/// Largest cost of an operation. A field costs 1 and what its children cost, unless it has a cost of its own.
pub const COST_MAX: usize = 10_000;

/// Cost of a field that asks a service.
const CALL: usize = 10;

/// Cost of a change: a request has at most 19 of them.
const CHANGE: usize = 500;

/// Cost of a field with a password or its answer, more than half of [`COST_MAX`]: a request tries one password.
const CREDENTIALS: usize = COST_MAX / 2 + 1;

/// Lines of an order, a cart or another list without pages, as the cost takes them to be.
const LINES: usize = 5;

/// Largest page of a service.
const PAGE_ITEMS_MAX: i32 = 100;

/// Largest cost of one field. The sum of all fields of a document cannot overflow.
const FIELD_COST_MAX: usize = 1_000_000;

/// A field that asks a service for one thing.
pub fn call(children: usize) -> usize {
    capped(children.saturating_add(CALL))
}

/// A field that asks a service for a page of at most `limit` items. A limit that the service refuses costs as much as the
/// largest one.
pub fn page(limit: i32, children: usize) -> usize {
    let items = if (1..=PAGE_ITEMS_MAX).contains(&limit) { limit } else { PAGE_ITEMS_MAX };
    call(children.saturating_mul(usize::try_from(items).unwrap_or(1)))
}

/// A field that asks a service for a list without pages.
pub fn list(children: usize) -> usize {
    call(lines(children))
}

/// A list that is part of its object.
pub fn lines(children: usize) -> usize {
    capped(children.saturating_mul(LINES).saturating_add(1))
}

/// A field that changes something.
pub fn change(children: usize) -> usize {
    capped(children.saturating_add(CHANGE))
}

/// A field that checks a password or creates an account.
pub fn credentials(children: usize) -> usize {
    capped(children.saturating_add(CREDENTIALS))
}

fn capped(cost: usize) -> usize {
    cost.min(FIELD_COST_MAX)
}

#[cfg(test)]
mod tests {
    use super::{COST_MAX, FIELD_COST_MAX, change, credentials, lines, page};

    #[test]
    fn gw4_a_list_multiplies_the_cost_of_its_items() {
        assert_eq!(page(20, 3), 70);
        assert_eq!(page(20, lines(3)), 20 * 16 + 10);
        assert_eq!(page(-1, 3), page(100, 3), "a limit that is refused is no way around the cost");
        assert_eq!(page(i32::MAX, 3), page(100, 3));
        assert_eq!(page(100, usize::MAX), FIELD_COST_MAX);
    }

    #[test]
    fn gw4_a_request_has_one_field_with_a_password_and_few_changes() {
        assert!(credentials(0) <= COST_MAX && 2 * credentials(0) > COST_MAX);
        assert!(19 * change(5) <= COST_MAX && 20 * change(1) > COST_MAX);
    }
}
