//! How late consumers handle events and how late mails are sent, while orders are placed: from the histograms of the services
//! and the table of notifications.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::statements::psql;
use super::{memory, print};
use crate::cluster::tools;
use crate::command::{command, feed, output};
use crate::environment::Paths;

const NEEDS: [tools::Need; 2] = [("nsenter", "util-linux"), ("curl", "curl")];
/// Age of an event when its consumer begins to handle it, and how long it is handled.
const AGE: &str = "consumer_event_age_seconds_bucket";
const HANDLING: &str = "consumer_event_duration_seconds_bucket";

/// Cumulative counts by upper bound in seconds, of all services together.
#[derive(Debug, Clone, Default, PartialEq)]
struct Histogram(Vec<(f64, f64)>);

/// The histograms of all services since they started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delays {
    age: Histogram,
    handling: Histogram,
}

impl Delays {
    /// Reads `/metrics` of each service in the network namespace of its process.
    pub fn read() -> Result<Self> {
        tools::install(&NEEDS)?;
        let url = format!("http://127.0.0.1:{}/metrics", agora_topology::ADMIN_PORT);
        let services = memory::running()?.into_iter().filter(|process| process.name != "agora-operator");
        let metrics = services.map(|process| {
            let pid = process.pid.to_string();
            output(&mut command("nsenter", ["--target", &pid, "--net", "curl", "-sf", "-m", "5", &url]))
                .with_context(|| format!("reading the metrics of {}", process.name))
        });
        let text = metrics.collect::<Result<Vec<_>>>()?.join("\n");
        Ok(Self { age: histogram(&text, AGE), handling: histogram(&text, HANDLING) })
    }

    /// Prints what was added since `before`.
    pub fn print_since(&self, before: &Self) {
        for (name, now, then, goals) in [
            ("age of events when handled", &self.age, &before.age, ["150 ms", "500 ms"]),
            ("handling of a batch of events", &self.handling, &before.handling, ["-", "-"]),
        ] {
            let added = now.since(then);
            for (share, goal) in [(0.5, goals[0]), (0.99, goals[1])] {
                let label = format!("{name}, p{:.0}", share * 100.0);
                print(&label, &format!("{:.0} ms", added.quantile(share) * 1_000.0), goal);
            }
        }
    }
}

impl Histogram {
    fn since(&self, before: &Self) -> Self {
        let old =
            |bound: f64| before.0.iter().find(|(of, _)| of.total_cmp(&bound).is_eq()).map_or(0.0, |(_, count)| *count);
        Self(self.0.iter().map(|(bound, count)| (*bound, count - old(*bound))).collect())
    }

    /// The quantile, interpolated in its bucket as Prometheus does; NaN if nothing was counted.
    fn quantile(&self, share: f64) -> f64 {
        let wanted = self.0.last().map_or(0.0, |(_, all)| all * share);
        let (mut low, mut below) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= wanted && *count > below {
                return if bound.is_finite() { low + (bound - low) * (wanted - below) / (count - below) } else { low };
            }
            (low, below) = (*bound, *count);
        }
        f64::NAN
    }
}

/// The sum of the series of a histogram in the text format of Prometheus.
fn histogram(metrics: &str, name: &str) -> Histogram {
    let mut sums: BTreeMap<u64, f64> = BTreeMap::new();
    for line in metrics.lines() {
        let Some((labels, count)) = line.strip_prefix(name).and_then(|rest| rest.rsplit_once(' ')) else { continue };
        let bound = labels.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
        let bound = bound.map(|bound| bound.replace("+Inf", "inf")).and_then(|bound| bound.parse::<f64>().ok());
        if let (Some(bound), Ok(count)) = (bound, count.trim().parse::<f64>()) {
            // The bits of positive numbers are in the order of the numbers.
            *sums.entry(bound.to_bits()).or_default() += count;
        }
    }
    Histogram(sums.into_iter().map(|(bits, count)| (f64::from_bits(bits), count)).collect())
}

/// Prints how long after its event each mail of the last `seconds` was sent.
pub fn print_mails(paths: &Paths, seconds: u32) -> Result<()> {
    let query = format!(
        "\\connect shop_shop_notification\nselect count(*), \
            coalesce(percentile_cont(0.99) within group (order by extract(epoch from sent_at - created_at)), 'NaN') \
            from notification where mail = 'sent' and priority = 'critical' and created_at > now() - interval '{seconds} s';\n"
    );
    let row = feed(&mut psql(paths)?, &query)?;
    let (count, p99) = row.trim().split_once('|').context("no row of mails")?;
    print(&format!("mails of orders, {count} of them, p99"), &format!("{:.1} s", p99.parse::<f64>()?), "10 s");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "\
# TYPE consumer_event_age_seconds histogram
consumer_event_age_seconds_bucket{service=\"cart\",le=\"0.1\"} 10
consumer_event_age_seconds_bucket{service=\"cart\",le=\"0.5\"} 30
consumer_event_age_seconds_bucket{service=\"cart\",le=\"+Inf\"} 30
consumer_event_age_seconds_sum{service=\"cart\"} 4
consumer_event_age_seconds_bucket{service=\"search\",le=\"0.1\"} 20
consumer_event_age_seconds_bucket{service=\"search\",le=\"0.5\"} 70
consumer_event_age_seconds_bucket{service=\"search\",le=\"+Inf\"} 70
";

    #[test]
    fn histograms_of_services_are_added() {
        assert_eq!(histogram(METRICS, AGE), Histogram(vec![(0.1, 30.0), (0.5, 100.0), (f64::INFINITY, 100.0)]));
        assert_eq!(histogram(METRICS, HANDLING), Histogram(vec![]));
    }

    #[test]
    fn a_quantile_is_interpolated_in_its_bucket() {
        let before = Histogram(vec![(0.1, 10.0), (0.5, 30.0), (f64::INFINITY, 30.0)]);
        let added = histogram(METRICS, AGE).since(&before);
        assert_eq!(added, Histogram(vec![(0.1, 20.0), (0.5, 70.0), (f64::INFINITY, 70.0)]));
        assert!((added.quantile(0.5) - (0.1 + 0.4 * 15.0 / 50.0)).abs() < 1e-9);
        assert!((Histogram(vec![(0.1, 0.0), (f64::INFINITY, 4.0)]).quantile(0.5) - 0.1).abs() < 1e-9);
        assert!(Histogram::default().quantile(0.5).is_nan());
    }
}
