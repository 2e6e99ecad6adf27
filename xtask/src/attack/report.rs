//! The measured rows as a table in Markdown, and whether they hold.

use std::fmt::Write as _;
use std::time::Duration;

use super::{LOGIN_FACTOR_MAX, NEWCOMER_MAX};

/// What one attack cost.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: &'static str,
    /// Resident memory of each process, in the order of the services: the most meanwhile, or at the end of a rest.
    pub memory_kib: Vec<u64>,
    /// What each may have.
    pub memory_kib_max: u64,
    /// Longest read of a client that connected meanwhile.
    pub newcomer_max: Duration,
    /// Half of the honest logins at rest and meanwhile took at most this, where the attack is on logins.
    pub login: Option<(Duration, Duration)>,
    /// What the attackers saw.
    pub outcome: String,
}

impl Row {
    pub fn holds(&self) -> bool {
        let logins =
            self.login.is_none_or(|(rest, meanwhile)| meanwhile.as_secs_f64() <= rest.as_secs_f64() * LOGIN_FACTOR_MAX);
        self.memory_kib.iter().all(|kib| *kib <= self.memory_kib_max) && self.newcomer_max <= NEWCOMER_MAX && logins
    }
}

pub fn table(rows: &[Row], services: &[&str]) -> String {
    let mut text = format!(
        "| attack | what the attackers saw | most MiB: {} | newcomer's read | verdict |\n",
        services.join(", ")
    );
    text.push_str("|---|---|---|---|---|\n");
    for row in rows {
        let mib: Vec<String> = row.memory_kib.iter().map(|kib| kib.div_ceil(1 << 10).to_string()).collect();
        let verdict = if row.holds() { "holds" } else { "missed" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} ms | {verdict} |",
            row.name,
            row.outcome,
            mib.join(", "),
            row.newcomer_max.as_millis()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            name: "heads",
            memory_kib: vec![10 << 10, (20 << 10) + 1],
            memory_kib_max: 64 << 10,
            newcomer_max: Duration::from_millis(7),
            login: None,
            outcome: "700 × closed".to_owned(),
        }
    }

    #[test]
    fn a_row_holds_within_every_figure() {
        assert!(row().holds());
        let slow = (Duration::from_millis(50), Duration::from_millis(151));
        let missed = [
            Row { memory_kib: vec![1, (64 << 10) + 1], ..row() },
            Row { newcomer_max: Duration::from_millis(251), ..row() },
            Row { login: Some(slow), ..row() },
        ];
        assert!(missed.iter().all(|row| !row.holds()));
    }

    #[test]
    fn the_table_has_a_line_for_each_attack() {
        let text = table(&[row()], &["gateway", "user"]);
        assert!(text.contains("most MiB: gateway, user"), "{text}");
        assert!(text.ends_with("| heads | 700 × closed | 10, 21 | 7 ms | holds |\n"), "{text}");
    }
}
