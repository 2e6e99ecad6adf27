//! Verifies the orders of a database against their histories and prints those that differ.

use agora_chassis::settings;
use agora_order::service::Verification;
use anyhow::{Context as _, bail};

/// Orders between two lines of progress.
const PROGRESS_EVERY: u64 = 10_000;

/// Verifies every order. An error if one differs.
pub async fn orders() -> anyhow::Result<()> {
    let database = settings("order", agora_postgres::Config::read)?.with_pool_size(1);
    let mut reported = 0;
    let verification = agora_order::verification(agora_postgres::open(&database, "verify"));
    let found =
        verification.verify(|found| progress(found, &mut reported)).await.context("could not read the orders")?;
    report(&found)
}

/// Prints a line for every [`PROGRESS_EVERY`] orders.
fn progress(found: &Verification, reported: &mut u64) {
    let due = found.checked / PROGRESS_EVERY;
    if due > *reported {
        *reported = due;
        eprintln!("{} orders compared, {} differ", found.checked, found.differing);
    }
}

fn report(found: &Verification) -> anyhow::Result<()> {
    let Verification { checked, differing, listed } = found;
    for (order, difference) in listed {
        println!("{order}: {difference}");
    }
    if *differing == 0 {
        println!("{checked} orders equal their histories");
        return Ok(());
    }
    let all = usize::try_from(*differing).is_ok_and(|differing| differing == listed.len());
    let more = if all { "" } else { " (the first are listed)" };
    bail!(
        "{differing} of {checked} orders differ from their histories{more}: the table order_event is right, unless it was changed \
         by hand; correct the rows of orders and order_item by it"
    )
}
