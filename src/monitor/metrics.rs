//! Metrics as text: the Prometheus exposition format 0.0.4, which the textfile collector reads too.
//!
//! [`TABLE`] has every name there is; what it has is in the exposition and in docs/metrics.md, and nothing else is.
//! A label has a value from a closed set or from the configuration, never from the wire.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::View;
use super::sample::LOSSES;
use crate::call::CallResult;
use crate::pipeline::Stage;

/// What a scrape is answered with.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Kind {
    /// The word of the exposition format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A metric's name, kind, labels and meaning.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

/// Every metric there is, in the order of the exposition.
pub const TABLE: &[Metric] = &[
    gauge("sip_active_calls", &["state"], "Calls that are up: early (not answered yet) or confirmed."),
    counter("sip_calls_total", &["result"], "Calls that ended, by result, 32 s after their last message."),
    counter("sip_requests_total", &["method"], "Requests, each counted once."),
    counter("sip_responses_total", &["method", "status_code"], "Responses, each counted once."),
    counter("sip_errors_total", &["status_code"], "Final responses of 4xx to 6xx but 401, 407 and 487."),
    counter("sip_retransmissions_total", &["method"], "Messages sent again."),
    gauge("sip_registrations_active", &[], "Bindings (address and contact) that have not expired."),
    counter("sip_registrations_total", &["result"], "Answers to REGISTER but challenges: success or failed."),
    gauge("rtp_streams_active", &[], "Media flows that belong to a call or may yet."),
    counter("rtp_packets_total", &[], "RTP packets that belong to a call."),
    counter("ip_fragments_total", &[], "IP fragments seen."),
    counter("ip_reassembled_total", &[], "Datagrams put together from fragments."),
    counter("ip_reassembly_failures_total", &["reason"], "Datagrams that were not, by reason."),
    gauge("tcp_streams_active", &[], "TCP connections that carried SIP and are open."),
    counter("tcp_reassembly_gaps_total", &[], "Holes in TCP streams that nothing filled."),
    counter(
        "lippycat_capture_loss_total",
        &["evidence"],
        "What the network delivered and the capture has not: TCP holes that their receiver acknowledged (tcp), RTP packets missing from all streams at once (rtp).",
    ),
    counter("tcp_midstream_pickups_total", &[], "TCP streams whose beginning was not captured."),
    gauge("tcp_buffered_bytes", &[], "Memory for out-of-order segments and partial messages."),
    counter("lippycat_packets_total", &["interface"], "Packets seen, by interface; file for captures read."),
    gauge(
        "lippycat_interface_up",
        &["interface"],
        "1 while it can be captured on, 0 while it is down or gone.",
    ),
    counter(
        "lippycat_packets_dropped_total",
        &["stage", "reason"],
        "Packets lost before they were looked at.",
    ),
    gauge(
        "lippycat_capture_loss_ratio",
        &["source"],
        "Share of packets lost in the last minute, 0 to 1; kernel: by kernel, interface and queues.",
    ),
    gauge("lippycat_queue_depth", &["stage"], "What waits before a stage."),
    gauge("lippycat_queue_capacity", &["stage"], "What may wait before a stage."),
    gauge("lippycat_tcp_healthy", &[], "1 when every check of debug health is good."),
    gauge("lippycat_alerts_active", &["name", "level"], "Active alerts."),
    gauge("lippycat_build_info", &["version"], "1; the version is in the label."),
    counter("lippycat_pcap_bytes_written_total", &[], "Bytes of per-call files on disk."),
    counter("lippycat_pcap_write_errors_total", &[], "Times that the disk refused to take them."),
    counter("lippycat_lines_lost_total", &[], "Records and events that no disk or reader took."),
    gauge("lippycat_pcap_open_files", &[], "Descriptors of unfinished per-call files."),
    counter("process_cpu_seconds_total", &[], "Processor time, user and system."),
    gauge("process_open_fds", &[], "Open descriptors."),
    gauge("process_max_fds", &[], "Descriptors that may be open."),
    gauge("process_resident_memory_bytes", &[], "Resident memory."),
    gauge("process_virtual_memory_bytes", &[], "Virtual memory."),
    gauge("process_start_time_seconds", &[], "When the process started, Unix seconds."),
];

/// Values by metric, each with the values of its labels.
#[derive(Debug, Default)]
struct Values(BTreeMap<&'static str, Vec<(Vec<String>, f64)>>);

impl Values {
    fn put(&mut self, name: &'static str, labels: &[&str], value: f64) {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.0.entry(name).or_default().push((labels, value));
    }

    fn one(&mut self, name: &'static str, value: u64) {
        self.put(name, &[], value as f64);
    }
}

/// The exposition of a view, for who scrapes this process.
#[must_use]
pub fn text(view: &View) -> String {
    exposition(view, "")
}

/// The exposition for a textfile collector: it is served along with the collector's own `process_*`, and a name that is
/// there twice is an error for all of them, so ours begin with `lippycat_`.
#[must_use]
pub fn textfile(view: &View) -> String {
    exposition(view, "lippycat_")
}

fn exposition(view: &View, of_process: &str) -> String {
    let mut values = Values::default();
    sip(view, &mut values);
    network(view, &mut values);
    sniffer(view, &mut values);
    process(view, &mut values);
    let mut text = String::with_capacity(8 << 10);
    for metric in TABLE {
        let prefix = if metric.name.starts_with("process_") { of_process } else { "" };
        write_metric(&mut text, prefix, metric, values.0.remove(metric.name).unwrap_or_default());
    }
    debug_assert!(values.0.is_empty(), "not in the table: {values:?}");
    text
}

/// A metric without values has its lines all the same: a dashboard finds its name.
fn write_metric(text: &mut String, prefix: &str, metric: &Metric, values: Vec<(Vec<String>, f64)>) {
    let name = metric.name;
    // Writing to a String does not fail.
    let _ = writeln!(text, "# HELP {prefix}{name} {}", metric.help);
    let _ = writeln!(text, "# TYPE {prefix}{name} {}", metric.kind.name());
    for (labels, value) in values {
        let _ = write!(text, "{prefix}{name}");
        let pairs: Vec<String> = metric
            .labels
            .iter()
            .zip(&labels)
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        if !pairs.is_empty() {
            let _ = write!(text, "{{{}}}", pairs.join(","));
        }
        let _ = writeln!(text, " {value}");
    }
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn sip(view: &View, values: &mut Values) {
    let outcome = &view.sample.snapshot.outcome;
    let gauges = &view.sample.snapshot.gauges.tracker;
    values.put("sip_active_calls", &["early"], gauges.early as f64);
    values.put("sip_active_calls", &["confirmed"], gauges.confirmed as f64);
    for (result, count) in CallResult::ALL.iter().zip(outcome.census.results) {
        if *result != CallResult::Open {
            values.put("sip_calls_total", &[result.name()], count as f64);
        }
    }
    for (method, count) in outcome.tally.requests() {
        values.put("sip_requests_total", &[method.name()], count as f64);
    }
    let mut errors: BTreeMap<u16, u64> = BTreeMap::new();
    let mut registrations = [0, 0];
    for (status, method, count) in outcome.tally.responses() {
        values.put("sip_responses_total", &[method.name(), &status.to_string()], count as f64);
        let is_error = status >= 400 && !matches!(status, 401 | 407 | 487);
        if is_error {
            *errors.entry(status).or_default() += count;
        }
        if method == crate::sip::Method::Register {
            match status {
                200..=299 => registrations[0] += count,
                _ if is_error => registrations[1] += count,
                _ => {}
            }
        }
    }
    for (status, count) in errors {
        values.put("sip_errors_total", &[&status.to_string()], count as f64);
    }
    for (method, count) in outcome.tally.retransmissions() {
        values.put("sip_retransmissions_total", &[method.name()], count as f64);
    }
    values.one("sip_registrations_active", gauges.bindings);
    for (result, count) in ["success", "failed"].iter().zip(registrations) {
        values.put("sip_registrations_total", &[result], count as f64);
    }
    values.one("rtp_streams_active", gauges.flows);
    values.one("rtp_packets_total", view.sample.summary.rtp.packets);
}

/// Reasons for which a datagram is not put together, as the summary calls them.
const FRAGMENT_FAILURES: [&str; 8] =
    ["expired", "evicted", "unfinished", "conflicts", "bad_length", "inconsistent", "cut", "oversize"];

fn network(view: &View, values: &mut Values) {
    let sample = &view.sample;
    values.one("ip_fragments_total", sample.summary.fragments.seen);
    values.one("ip_reassembled_total", sample.summary.fragments.reassembled);
    for reason in FRAGMENT_FAILURES {
        values.put("ip_reassembly_failures_total", &[reason], sample.dropped("defrag", reason) as f64);
    }
    values.one("tcp_streams_active", sample.active_streams());
    values.one("tcp_reassembly_gaps_total", sample.summary.tcp.gaps);
    let loss = sample.summary.capture_loss;
    values.put("lippycat_capture_loss_total", &["tcp"], loss.tcp_holes as f64);
    values.put("lippycat_capture_loss_total", &["rtp"], loss.rtp_packets as f64);
    values.one("tcp_midstream_pickups_total", sample.summary.tcp.midstream);
    values.one("tcp_buffered_bytes", sample.snapshot.gauges.held_bytes);
}

fn sniffer(view: &View, values: &mut Values) {
    let sample = &view.sample;
    if !view.caps.live {
        values.put("lippycat_packets_total", &["file"], sample.summary.packets as f64);
    }
    for (name, interface) in &sample.snapshot.outcome.interfaces {
        values.put("lippycat_packets_total", &[name], interface.packets as f64);
        values.put("lippycat_interface_up", &[name], if interface.is_down { 0.0 } else { 1.0 });
    }
    for (stage, reason) in LOSSES {
        let count = sample.dropped(stage, reason);
        values.put("lippycat_packets_dropped_total", &[stage, reason], count as f64);
    }
    let (lost, packets) = (sample.recent.lost, sample.recent.packets);
    let ratio = if lost == 0 { 0.0 } else { lost as f64 / (lost + packets) as f64 };
    values.put("lippycat_capture_loss_ratio", &["kernel"], ratio);
    queues(view, values);
    values.one("lippycat_tcp_healthy", u64::from(view.health.is_good()));
    let mut alerts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for alert in view.alerts.iter().filter(|alert| !alert.resolved) {
        *alerts.entry((alert.name, alert.level.name())).or_default() += 1;
    }
    for ((name, level), count) in alerts {
        values.put("lippycat_alerts_active", &[name, level], count as f64);
    }
    values.put("lippycat_build_info", &[env!("CARGO_PKG_VERSION")], 1.0);
    let files = sample.files.unwrap_or_default();
    values.one("lippycat_pcap_bytes_written_total", files.bytes_written);
    values.one("lippycat_pcap_write_errors_total", files.write_errors);
    values.one("lippycat_lines_lost_total", files.lines_lost);
    values.one("lippycat_pcap_open_files", files.open_files);
}

fn queues(view: &View, values: &mut Values) {
    let gauges = &view.sample.snapshot.gauges;
    let mut put = |stage: &str, depth: u64, capacity: u64| {
        values.put("lippycat_queue_depth", &[stage], depth as f64);
        values.put("lippycat_queue_capacity", &[stage], capacity as f64);
    };
    put("streams", gauges.streams_queued, view.caps.queue);
    for queue in &gauges.queues {
        match queue.stage {
            Stage::Worker(lane) => put(&format!("worker-{lane}"), queue.depth, queue.capacity),
            Stage::Tracker => put("tracker", queue.depth, queue.capacity),
        }
    }
}

fn process(view: &View, values: &mut Values) {
    let process = &view.sample.process;
    values.put("process_cpu_seconds_total", &[], process.cpu.as_secs_f64());
    values.one("process_open_fds", process.open_fds);
    values.one("process_max_fds", process.max_fds);
    values.one("process_resident_memory_bytes", process.resident_bytes);
    values.one("process_virtual_memory_bytes", process.virtual_bytes);
    values.one("process_start_time_seconds", process.start_time);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::alerts::{Alert, Level};
    use crate::monitor::{Caps, Sample, health::Health};

    fn view() -> View {
        let alert = Alert {
            id: "queue-warning".to_owned(),
            name: "QueueSaturated",
            level: Level::Warning,
            component: "Stream Queue",
            message: String::new(),
            timestamp: String::new(),
            metrics: serde_json::Map::new(),
            resolved: false,
            resolved_at: None,
        };
        View {
            sample: Sample::default(),
            caps: Caps::default(),
            health: Health::default(),
            alerts: vec![alert],
        }
    }

    #[test]
    fn every_name_has_its_lines_and_no_other_has() {
        let text = text(&view());
        for metric in TABLE {
            assert!(text.contains(&format!("# HELP {} ", metric.name)), "{}", metric.name);
            assert!(text.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind.name())));
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
        }
        let names = |line: &str| line.split(['{', ' ']).next().unwrap().to_owned();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(TABLE.iter().any(|metric| metric.name == names(line)), "{line}");
        }
        assert!(text.contains("lippycat_alerts_active{name=\"QueueSaturated\",level=\"warning\"} 1\n"));
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn a_textfile_has_no_name_of_its_collector() {
        let (scraped, file) = (text(&view()), textfile(&view()));
        let resident = |text: &str, name: &str| text.lines().filter(|line| line.contains(name)).count();
        assert_eq!(resident(&scraped, "lippycat_process_resident_memory_bytes"), 0);
        assert_eq!(resident(&file, "lippycat_process_resident_memory_bytes"), 3, "HELP, TYPE, value");
        let is_collectors = |line: &str| line.trim_start_matches("# HELP ").starts_with("process_");
        assert!(scraped.lines().any(is_collectors) && !file.lines().any(is_collectors));
        assert_eq!(scraped, file.replace("lippycat_process_", "process_"));
    }

    #[test]
    fn the_manual_has_every_name_and_no_other() {
        let manual = include_str!("../../docs/metrics.md").split("\n## Alerts").next().unwrap();
        let rows = manual.lines().filter_map(|line| line.strip_prefix("| `"));
        let rows: Vec<&str> = rows.collect();
        for metric in TABLE {
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let row = format!("{}` | {} | {} |", metric.name, metric.kind.name(), labels.join(", "));
            assert!(rows.iter().any(|line| line.starts_with(&row)), "docs/metrics.md: want | `{row}");
        }
        assert_eq!(rows.len(), TABLE.len());
    }

    #[test]
    fn label_values_cannot_break_out() {
        let metric = Metric { name: "a", kind: Kind::Gauge, labels: &["b"], help: "c" };
        let mut text = String::new();
        write_metric(&mut text, "", &metric, vec![(vec!["x\"} 1\nevil \\".to_owned()], 2.5)]);
        assert_eq!(text, "# HELP a c\n# TYPE a gauge\na{b=\"x\\\"} 1\\nevil \\\\\"} 2.5\n");
    }
}
