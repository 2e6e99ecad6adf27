//! Metrics of the process itself, read from `/proc` at each scrape, under the names that Prometheus's client libraries share.
//! Must not know a service.

use std::{fmt::Write as _, fs};

/// Unit of the times in `/proc/self/stat`: Linux shows hundredths of a second on every platform (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What `/proc` says of this process. A field is `None` where the file is missing or another kernel writes it differently.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Usage {
    user_seconds: Option<f64>,
    system_seconds: Option<f64>,
    /// In seconds since 1970.
    started_at_seconds: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    heap_bytes: Option<f64>,
    open_files: Option<f64>,
    open_files_max: Option<f64>,
}

/// The metrics in the text format of Prometheus, each with the label `app`. Empty where there is no `/proc`.
pub(crate) fn render(app: &str) -> String {
    text(app, &Usage::of_this_process())
}

fn text(app: &str, usage: &Usage) -> String {
    let cpu_seconds = usage.user_seconds.zip(usage.system_seconds).map(|(user, system)| user + system);
    let metrics = [
        ("process_cpu_user_seconds_total", "counter", "User CPU time in seconds.", usage.user_seconds),
        ("process_cpu_system_seconds_total", "counter", "System CPU time in seconds.", usage.system_seconds),
        ("process_cpu_seconds_total", "counter", "User and system CPU time in seconds.", cpu_seconds),
        ("process_start_time_seconds", "gauge", "Start of the process, in Unix time.", usage.started_at_seconds),
        ("process_resident_memory_bytes", "gauge", "Resident memory in bytes.", usage.resident_bytes),
        ("process_virtual_memory_bytes", "gauge", "Virtual memory in bytes.", usage.virtual_bytes),
        ("process_heap_bytes", "gauge", "Data segment in bytes.", usage.heap_bytes),
        ("process_open_fds", "gauge", "Open file descriptors.", usage.open_files),
        ("process_max_fds", "gauge", "Most open file descriptors.", usage.open_files_max),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in metrics {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{{app=\"{app}\"}} {value}");
        }
    }
    text
}

impl Usage {
    fn of_this_process() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let open = fs::read_dir("/proc/self/fd").ok().and_then(|files| u32::try_from(files.count()).ok());
        let files = [read("/proc/self/stat"), read("/proc/self/status"), read("/proc/self/limits"), read("/proc/stat")];
        let [stat, status, limits, machine] = &files;
        Self { open_files: open.map(f64::from), ..Self::parse(stat, status, limits, machine) }
    }

    fn parse(stat: &str, status: &str, limits: &str, machine: &str) -> Self {
        // The name of the program is in parentheses and may hold blanks; the third field of the line follows it.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let seconds = |number: usize| Some(fields.get(number - 3)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
        let bytes = |name: &str| Some(labelled(status, name)?.parse::<f64>().ok()? * 1024.0);
        let booted_at: Option<f64> = labelled(machine, "btime ").and_then(|seconds| seconds.parse().ok());
        Self {
            user_seconds: seconds(14),
            system_seconds: seconds(15),
            started_at_seconds: booted_at.zip(seconds(22)).map(|(booted_at, after)| booted_at + after),
            resident_bytes: bytes("VmRSS:"),
            virtual_bytes: bytes("VmSize:"),
            heap_bytes: bytes("VmData:"),
            open_files: None,
            open_files_max: labelled(limits, "Max open files").and_then(|soft| soft.parse().ok()),
        }
    }
}

/// The first word after a line's label.
fn labelled<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(label))?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::{Usage, render, text};

    const STAT: &str =
        "17 (a b) c) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 1000 4096 12 18446744073709551615";
    const STATUS: &str = "Name:\ta\nVmSize:\t    2048 kB\nVmRSS:\t    1024 kB\nVmData:\t     512 kB\n";
    const LIMITS: &str =
        "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096  files\n";

    #[test]
    fn de8_the_process_metrics_have_the_names_of_the_client_libraries_and_the_label_app() {
        let usage =
            Usage { open_files: Some(7.0), ..Usage::parse(STAT, STATUS, LIMITS, "cpu 1 2\nbtime 1700000000\n") };
        let shown = text("cart", &usage);
        for line in [
            "process_cpu_user_seconds_total{app=\"cart\"} 2.5",
            "process_cpu_system_seconds_total{app=\"cart\"} 0.5",
            "process_cpu_seconds_total{app=\"cart\"} 3",
            "process_start_time_seconds{app=\"cart\"} 1700000010",
            "process_resident_memory_bytes{app=\"cart\"} 1048576",
            "process_virtual_memory_bytes{app=\"cart\"} 2097152",
            "process_heap_bytes{app=\"cart\"} 524288",
            "process_open_fds{app=\"cart\"} 7",
            "process_max_fds{app=\"cart\"} 1024",
            "# TYPE process_cpu_seconds_total counter",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
        }
    }

    #[test]
    fn what_the_kernel_does_not_say_is_left_out() {
        assert_eq!(text("cart", &Usage::parse("", "VmRSS: much", "", "")), "");
        let shown = render("cart");
        assert_eq!(shown.lines().filter(|line| line.starts_with("process_")).count(), 9, "{shown}");
    }
}
