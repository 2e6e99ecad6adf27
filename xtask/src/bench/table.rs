//! Arithmetic of the table of `bench orders`: amounts per second become amounts per order, and two rates become a
//! line of a fixed amount per second and an amount per order. Pure; must not measure anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::cpu::PartSeconds;

const MS_PER_SECOND: f64 = 1_000.0;
/// Two rates give a line only if the higher one is at least this multiple of the lower one.
const DISTANCE_MIN: f64 = 1.1;
const NAME_WIDTH: usize = 30;

/// Section and row of the table. Rows of one section are added to its total.
pub type Key = (Section, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Milliseconds of CPU time.
    Cpu(super::cpu::Group),
    /// Statements in PostgreSQL, including `begin` and `commit`.
    Statements,
    /// Transactions in PostgreSQL, including those that only read.
    Transactions,
    /// Transactions that write; counted for the whole server.
    Writes,
    /// Rows inserted into the outbox.
    Events,
}

/// The result of one rate.
#[derive(Debug, Clone, Default)]
pub struct Measurement {
    /// Heading of the column.
    pub title: String,
    /// Complete orders per second in the measured time.
    pub orders_per_second: f64,
    /// Amounts per second.
    pub per_second: BTreeMap<Key, f64>,
}

/// `fixed + per_order × orders` amounts per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub fixed: f64,
    pub per_order: f64,
}

impl Section {
    fn title(self) -> String {
        match self {
            Self::Cpu(group) => format!("{}, CPU ms", group.name()),
            Self::Statements => "statements".to_owned(),
            Self::Transactions => "transactions".to_owned(),
            Self::Writes => "transactions that write".to_owned(),
            Self::Events => "events".to_owned(),
        }
    }
}

impl Measurement {
    pub fn new(title: &str, orders: f64, wall_seconds: f64) -> Self {
        Self { title: title.to_owned(), orders_per_second: orders / wall_seconds, per_second: BTreeMap::new() }
    }

    pub fn add_cpu(&mut self, wall_seconds: f64, used: PartSeconds) {
        let row = |(part, seconds): (super::cpu::Part, f64)| {
            ((Section::Cpu(part.group), part.name), seconds * MS_PER_SECOND / wall_seconds)
        };
        self.per_second.extend(used.into_iter().map(row));
    }

    pub fn add(&mut self, section: Section, name: &str, amount: f64, wall_seconds: f64) {
        self.per_second.insert((section, name.to_owned()), amount / wall_seconds);
    }

    /// The amount per second of one row, or of a whole section.
    fn amount(&self, section: Section, row: Option<&str>) -> f64 {
        let rows = self.per_second.iter().filter(|((of, name), _)| *of == section && row.is_none_or(|row| row == name));
        rows.map(|(_, amount)| amount).sum()
    }

    /// The amount per complete order of a section.
    pub fn per_order(&self, section: Section) -> f64 {
        self.amount(section, None) / self.orders_per_second
    }
}

/// The line through the lowest and the highest of the points (orders per second, amount per second); None if they are
/// too close together.
pub fn line(points: &[(f64, f64)]) -> Option<Line> {
    let lowest = points.iter().copied().min_by(|a, b| a.0.total_cmp(&b.0))?;
    let highest = points.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0))?;
    if lowest.0 <= 0.0 || highest.0 < lowest.0 * DISTANCE_MIN {
        return None;
    }
    let per_order = (highest.1 - lowest.1) / (highest.0 - lowest.0);
    Some(Line { fixed: per_order.mul_add(-lowest.0, lowest.1), per_order })
}

/// The table with one column per measurement, and the two columns of the line if the measurements differ only in their
/// rate.
pub fn render(measurements: &[Measurement], with_line: bool) -> String {
    let mut text = String::new();
    let _ = write!(text, "{:<NAME_WIDTH$}", "per complete order");
    for measurement in measurements {
        let _ = write!(text, "{:>10}", measurement.title);
    }
    let heading = if with_line { format!("{:>13}{:>12}", "fixed per s", "per order") } else { String::new() };
    let _ = writeln!(text, "{heading}");
    let _ = write!(text, "{:<NAME_WIDTH$}", "complete orders per second");
    for measurement in measurements {
        let _ = write!(text, "{:>10.1}", measurement.orders_per_second);
    }
    text.push('\n');
    let keys: std::collections::BTreeSet<&Key> = measurements.iter().flat_map(|one| one.per_second.keys()).collect();
    let mut last = None;
    for (section, name) in keys {
        if last != Some(*section) {
            text.push_str(&row(measurements, &section.title(), *section, None, with_line));
            last = Some(*section);
        }
        text.push_str(&row(measurements, &format!("  {name}"), *section, Some(name), with_line));
    }
    text
}

fn row(measurements: &[Measurement], title: &str, section: Section, name: Option<&str>, with_line: bool) -> String {
    let mut text = format!("{title:<NAME_WIDTH$}");
    let points: Vec<(f64, f64)> =
        measurements.iter().map(|one| (one.orders_per_second, one.amount(section, name))).collect();
    for (orders, amount) in &points {
        // The sum of no value is -0.0 in Rust; adding 0.0 drops the sign.
        let _ = write!(text, "{:>10.2}", amount / orders + 0.0);
    }
    if let Some(Line { fixed, per_order }) = line(&points).filter(|_| with_line) {
        let _ = write!(text, "{fixed:>13.1}{per_order:>12.2}");
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::super::cpu::{Group, Part};
    use super::*;

    fn measured(title: &str, orders: f64, cart_seconds: f64) -> Measurement {
        let mut one = Measurement::new(title, orders, 10.0);
        let (cart, order) = (Part::new(Group::Services, "cart"), Part::new(Group::Services, "order"));
        one.add_cpu(10.0, PartSeconds::from([(cart, cart_seconds), (order, 1.0)]));
        one.add(Section::Events, "order", orders * 3.0, 10.0);
        one
    }

    #[test]
    fn the_line_separates_fixed_and_per_order() {
        let made = line(&[(40.0, 50.0 + 40.0 * 3.0), (20.0, 50.0 + 20.0 * 3.0), (30.0, 999.0)]).unwrap();
        assert!((made.fixed - 50.0).abs() < 1e-9 && (made.per_order - 3.0).abs() < 1e-9, "{made:?}");
    }

    #[test]
    fn rates_that_are_close_together_give_no_line() {
        assert_eq!(line(&[(20.0, 1.0), (21.0, 2.0)]), None);
        assert_eq!(line(&[(20.0, 1.0)]), None);
        assert_eq!(line(&[(0.0, 1.0), (20.0, 2.0)]), None);
    }

    #[test]
    fn a_section_is_the_sum_of_its_rows_per_order() {
        let one = measured("at 20/s", 200.0, 0.4);
        // 1.4 s of CPU time for 200 orders.
        assert!((one.per_order(Section::Cpu(Group::Services)) - 7.0).abs() < 1e-9);
        assert!((one.per_order(Section::Events) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn the_table_has_a_column_per_rate_and_the_line() {
        let text = render(&[measured("at 20/s", 200.0, 0.4), measured("at 40/s", 400.0, 0.8)], true);
        let row = |name: &str| {
            let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
            line.split_whitespace().rev().take(4).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(row("cart"), ["2.00", "0.0", "2.00", "2.00"]);
        // 1 s of CPU time in 10 s at both rates is a fixed amount.
        assert_eq!(row("order "), ["0.00", "100.0", "2.50", "5.00"]);
    }
}
