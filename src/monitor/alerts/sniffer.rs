//! The rules about the sniffer itself.

use serde_json::{Map, Value, json};

use super::{AlertSettings, Facts, Level, Levels, Limit, Reading};
use crate::call::percent;
use crate::monitor::Totals;

/// A share of fewer streams than that says nothing.
const MIN_STREAMS: u64 = 10;

/// Packets of which a share of losses is told, at least.
const MIN_PACKETS: u64 = 100;

/// Reads every rule.
#[must_use]
pub fn read(facts: &Facts<'_>, settings: &AlertSettings) -> Vec<Reading> {
    let mut readings = memory(facts, settings);
    readings.extend(stream_failures(facts, settings));
    readings.extend(saturation(facts, settings));
    readings.extend(unhealthy(facts, settings));
    readings.extend(drops(facts, settings));
    readings.extend(files(facts, settings));
    readings
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// What an alert is called.
#[derive(Clone, Copy)]
struct Title {
    id: &'static str,
    name: &'static str,
    level: Level,
    component: &'static str,
}

fn above(title: Title, limit: &Limit, value: f64, message: String, metrics: &Map<String, Value>) -> Reading {
    let (fires, stays) = limit.judge(value);
    Reading {
        id: title.id.into(),
        name: title.name,
        level: title.level,
        component: title.component,
        fires,
        stays,
        hold: limit.hold,
        message,
        metrics: metrics.clone(),
    }
}

/// A warning and a critical alert about one percentage.
struct Pair {
    ids: [&'static str; 2],
    name: &'static str,
    component: &'static str,
    what: &'static str,
    advice: &'static str,
}

fn levels(pair: &Pair, levels: &Levels, value: f64, metrics: &Map<String, Value>) -> [Reading; 2] {
    let [warning, critical] = pair.ids;
    let rows = [(warning, Level::Warning, levels.warning), (critical, Level::Critical, levels.critical)];
    rows.map(|(id, level, threshold)| {
        let title = Title { id, name: pair.name, level, component: pair.component };
        let limit = Limit { threshold, hold: levels.hold, clear: levels.clear };
        let message = format!("{}: {value:.1} % (limit {threshold} %); {}", pair.what, pair.advice);
        above(title, &limit, value, message, metrics)
    })
}

fn memory(facts: &Facts<'_>, settings: &AlertSettings) -> Vec<Reading> {
    let process = &facts.sample.process;
    let value = process.own_bytes as f64;
    let metrics = object(json!({
        "memory_bytes": process.own_bytes,
        "resident_bytes": process.resident_bytes,
        "peak_resident_bytes": process.peak_resident_bytes,
        "held_bytes": facts.sample.snapshot.gauges.held_bytes,
    }));
    let rows = [
        (
            "memory-high",
            "MemoryHigh",
            &settings.memory_high,
            "see lippycat debug buffers, or use mode memory",
        ),
        ("memory-critical", "MemoryCritical", &settings.memory_critical, "restart it, in mode memory"),
    ];
    let readings = rows.map(|(id, name, limit, advice)| {
        let title = Title { id, name, level: Level::Critical, component: "Memory" };
        let message = format!(
            "{:.0} MB of memory in use (limit {:.0} MB); {advice}",
            value / 1e6,
            limit.threshold / 1e6
        );
        above(title, limit, value, message, &metrics)
    });
    readings.into()
}

fn stream_failures(facts: &Facts<'_>, settings: &AlertSettings) -> Vec<Reading> {
    let recent = facts.history.within(settings.stream_window);
    let ended = recent.streams_completed + recent.streams_failed;
    if ended < MIN_STREAMS {
        return Vec::new();
    }
    let rate = percent(recent.streams_failed, ended).unwrap_or_default();
    let streams = &facts.sample.snapshot.outcome.streams;
    let metrics = object(json!({
        "failure_rate_percent": rate,
        "failed": recent.streams_failed,
        "ended": ended,
        "window_seconds": settings.stream_window.as_secs(),
        "total_created": streams.streams_created,
        "total_completed": streams.streams_completed,
        "total_failed": streams.streams_failed,
    }));
    let pair = Pair {
        ids: ["failure-rate-warning", "failure-rate-critical"],
        name: "StreamFailureRate",
        component: "Stream Processing",
        what: "TCP SIP streams that lost bytes",
        advice: "see lippycat debug streams, and whether the capture drops packets",
    };
    levels(&pair, &settings.stream_failures, rate, &metrics).into()
}

/// Of each thing that has a cap: how much of it is used.
fn saturation(facts: &Facts<'_>, settings: &AlertSettings) -> Vec<Reading> {
    let (gauges, caps) = (&facts.sample.snapshot.gauges, facts.caps);
    let mut readings = Vec::new();
    if let Some(used) = caps.streams.and_then(|cap| percent(gauges.streams_holding, cap)) {
        let metrics = object(json!({
            "utilization_percent": used,
            "active_goroutines": gauges.streams_holding,
            "max_goroutines": caps.streams,
        }));
        let pair = Pair {
            ids: ["goroutine-warning", "goroutine-critical"],
            name: "WorkersSaturated",
            component: "Goroutine Pool",
            what: "streams that hold bytes",
            advice: "increase max_goroutines",
        };
        readings.extend(levels(&pair, &settings.workers, used, &metrics));
    }
    if let Some(used) = percent(gauges.streams_queued, caps.queue) {
        let metrics = object(json!({
            "utilization_percent": used,
            "queue_length": gauges.streams_queued,
            "queue_capacity": caps.queue,
        }));
        let pair = Pair {
            ids: ["queue-warning", "queue-critical"],
            name: "QueueSaturated",
            component: "Stream Queue",
            what: "streams that wait to hold bytes",
            advice: "increase max_goroutines or stream_queue_buffer",
        };
        readings.extend(levels(&pair, &settings.queue, used, &metrics));
    }
    if let Some(used) = caps.buffers.and_then(|cap| percent(gauges.buffers, cap)) {
        let tcp = &facts.sample.snapshot.outcome.reassembly;
        let metrics = object(json!({
            "utilization_percent": used,
            "total_buffers": gauges.buffers,
            "max_tcp_buffers": caps.buffers,
            "total_packets": tcp.out_of_order_segments,
            "buffers_dropped": tcp.segment_memcap_drop,
        }));
        let pair = Pair {
            ids: ["buffer-warning", "buffer-critical"],
            name: "BuffersHigh",
            component: "TCP Buffers",
            what: "out-of-order TCP segments held",
            advice: "increase max_tcp_buffers, or find out why segments come out of order",
        };
        readings.extend(levels(&pair, &settings.buffers, used, &metrics));
    }
    readings
}

fn unhealthy(facts: &Facts<'_>, settings: &AlertSettings) -> Vec<Reading> {
    let Some(failing) = facts.unhealthy_for else { return Vec::new() };
    let (warning, critical) = settings.unhealthy;
    let rows = [
        ("tcp-unhealthy-warning", Level::Warning, warning),
        ("tcp-unhealthy-critical", Level::Critical, critical),
    ];
    let metrics = object(json!({"unhealthy_seconds": failing.as_secs()}));
    let readings = rows.map(|(id, level, limit)| Reading {
        id: id.into(),
        name: "SnifferUnhealthy",
        level,
        component: "TCP Assembler",
        fires: failing >= limit,
        stays: true,
        hold: std::time::Duration::ZERO,
        message: format!("unhealthy for {} s; see lippycat debug health", failing.as_secs()),
        metrics: metrics.clone(),
    });
    readings.into()
}

fn drops(facts: &Facts<'_>, settings: &AlertSettings) -> Option<Reading> {
    let recent = facts.history.within(settings.drops_window);
    let all = recent.packets + recent.lost;
    if all < MIN_PACKETS {
        return None;
    }
    let rate = percent(recent.lost, all).unwrap_or_default();
    let limit = &settings.drops;
    let metrics = object(json!({
        "drop_rate_percent": rate,
        "dropped": recent.lost,
        "packets": recent.packets,
        "window_seconds": settings.drops_window.as_secs(),
    }));
    let title =
        Title { id: "capture-drops", name: "CaptureDrops", level: Level::Critical, component: "Capture" };
    let message = format!(
        "{} packets lost by kernel, interface or queues, {rate:.2} % (limit {} %); increase --buffer-size, or use mode throughput",
        recent.lost, limit.threshold
    );
    Some(above(title, limit, rate, message, &metrics))
}

fn files(facts: &Facts<'_>, settings: &AlertSettings) -> Vec<Reading> {
    let mut readings = Vec::new();
    if let Some(files) = &facts.sample.files {
        let Totals { write_errors, not_taken, .. } = facts.history.within(settings.write_window);
        let fires = write_errors > 0 || not_taken > 0;
        readings.push(Reading {
            id: "pcap-write-failed".into(),
            name: "PcapWriteFailed",
            level: Level::Critical,
            component: "Capture Files",
            fires,
            stays: fires,
            hold: std::time::Duration::ZERO,
            message: format!(
                "within {:?} {write_errors} writes of capture files, records or events were refused, and {not_taken} frames, \
                 calls or lines were lost; {} frames and {} lines are lost so far; see the log",
                settings.write_window,
                files.frames_lost + files.queue_full,
                files.lines_lost
            ),
            metrics: object(json!({
                "write_errors": write_errors,
                "not_taken": not_taken,
                "total_write_errors": files.refusals(),
                "total_not_taken": files.not_taken(),
                "frames_lost": files.frames_lost,
            })),
        });
    }
    if let Some(disk) = facts.sample.disk {
        let limits = &settings.disk;
        let (free, share) = (disk.percent(), limits.clear.clamp(0.01, 1.0));
        let low =
            |margin: f64| free < limits.percent / margin || (disk.free as f64) < limits.bytes as f64 / margin;
        readings.push(Reading {
            id: "disk-space-low".into(),
            name: "DiskSpaceLow",
            level: Level::Critical,
            component: "Capture Files",
            fires: low(1.0),
            stays: low(share),
            hold: std::time::Duration::ZERO,
            message: format!(
                "{free:.1} % or {:.2} GB of the disk for capture files is free; delete files, or set pcap.max_total_size",
                disk.free as f64 / 1e9
            ),
            metrics: object(json!({
                "free_percent": free,
                "free_bytes": disk.free,
                "total_bytes": disk.total,
            })),
        });
    }
    readings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::monitor::{Caps, Disk, History, Sample};
    use crate::pipeline::Snapshot;
    use crate::sink::DiskFigures;
    use crate::time::Timestamp;

    fn caps() -> Caps {
        Caps { streams: Some(100), queue: 100, buffers: Some(100), live: true, ..Caps::default() }
    }

    /// The ids that fire of a sample and of what was counted before and within the window.
    fn fired(sample: &Sample, totals: Totals, unhealthy: Option<u64>) -> Vec<String> {
        let mut history = History::default();
        // What was before the window does not count.
        let before =
            Totals { streams_failed: 1000, lost: 1000, write_errors: 7, not_taken: 7, ..Totals::default() };
        history.push(Duration::ZERO, before);
        let now = Duration::from_secs(300);
        let total = |before: u64, added: u64| before + added;
        history.push(
            now,
            Totals {
                packets: totals.packets,
                lost: total(before.lost, totals.lost),
                streams_completed: totals.streams_completed,
                streams_failed: total(before.streams_failed, totals.streams_failed),
                write_errors: total(before.write_errors, totals.write_errors),
                not_taken: total(before.not_taken, totals.not_taken),
            },
        );
        let caps = caps();
        let unhealthy_for = unhealthy.map(Duration::from_secs);
        let facts = Facts { now, sample, history: &history, caps: &caps, unhealthy_for };
        let readings = read(&facts, &AlertSettings::default());
        assert!(readings.iter().all(|reading| reading.stays || !reading.fires), "{readings:?}");
        readings.iter().filter(|reading| reading.fires).map(|reading| reading.id.to_string()).collect()
    }

    fn of(change: impl FnOnce(&mut Sample)) -> Vec<String> {
        let mut sample = Sample::default();
        change(&mut sample);
        fired(&sample, Totals::default(), None)
    }

    fn counted(totals: Totals) -> Vec<String> {
        fired(&Sample { files: Some(DiskFigures::default()), ..Sample::default() }, totals, None)
    }

    #[test]
    fn each_fires_above_its_threshold_and_not_at_it() {
        assert_eq!(of(|_| {}), [""; 0]);
        assert_eq!(of(|it| it.snapshot.gauges.streams_holding = 80), [""; 0]);
        assert_eq!(of(|it| it.snapshot.gauges.streams_holding = 81), ["goroutine-warning"]);
        assert_eq!(
            of(|it| it.snapshot.gauges.streams_holding = 96),
            ["goroutine-warning", "goroutine-critical"]
        );
        assert_eq!(of(|it| it.snapshot.gauges.streams_queued = 71), ["queue-warning"]);
        assert_eq!(of(|it| it.snapshot.gauges.streams_queued = 91), ["queue-warning", "queue-critical"]);
        assert_eq!(of(|it| it.snapshot.gauges.buffers = 81), ["buffer-warning"]);
        assert_eq!(of(|it| it.snapshot.gauges.buffers = 96), ["buffer-warning", "buffer-critical"]);
        assert_eq!(of(|it| it.process.own_bytes = 500_000_000), [""; 0]);
        assert_eq!(of(|it| it.process.own_bytes = 500_000_001), ["memory-high"]);
        assert_eq!(of(|it| it.process.own_bytes = 1_000_000_001), ["memory-high", "memory-critical"]);
        assert_eq!(
            of(|it| it.process.resident_bytes = 1 << 40),
            [""; 0],
            "the kernel's ring is resident too"
        );
    }

    #[test]
    fn disks_are_low_by_share_or_by_bytes() {
        const GIB: u64 = 1 << 30;
        let disk = |free, total| of(|it| it.disk = Some(Disk { free, total }));
        assert_eq!(disk(10 * GIB, 100 * GIB), [""; 0]);
        assert_eq!(disk(9 * GIB, 100 * GIB), ["disk-space-low"]);
        assert_eq!(disk(GIB, 2 * GIB), [""; 0]);
        assert_eq!(disk(GIB - 1, 2 * GIB), ["disk-space-low"]);
        assert_eq!(disk(0, 0), ["disk-space-low"]);
    }

    #[test]
    fn shares_are_those_of_the_window_and_of_enough() {
        let streams = |streams_failed, streams_completed| {
            counted(Totals { streams_failed, streams_completed, ..Totals::default() })
        };
        assert_eq!(streams(1, 19), [""; 0]);
        assert_eq!(streams(2, 18), ["failure-rate-warning"]);
        assert_eq!(streams(4, 16), ["failure-rate-warning", "failure-rate-critical"]);
        assert_eq!(streams(9, 0), [""; 0], "too few to say");
        let lost = |lost, packets| counted(Totals { lost, packets, ..Totals::default() });
        assert_eq!(lost(1, 999), [""; 0]);
        assert_eq!(lost(2, 998), ["capture-drops"]);
        assert_eq!(lost(50, 0), [""; 0], "too few to say");
        let files = DiskFigures { line_errors: 3, write_errors: 2, ..DiskFigures::default() };
        assert_eq!(
            Sample { files: Some(files), ..Sample::default() }.totals().write_errors,
            5,
            "records, too"
        );
        assert_eq!(counted(Totals { write_errors: 1, ..Totals::default() }), ["pcap-write-failed"]);
    }

    /// docs/records.md names them `dropped.files.queue_full`, `dropped.files.calls_refused` and `dropped.lines.not_written`.
    #[test]
    fn what_a_slow_disk_or_reader_did_not_take_is_told_while_it_runs() {
        let files = DiskFigures {
            queue_full: 1,
            calls_refused: 2,
            lines_lost: 4,
            line_errors: 8,
            write_errors: 16,
            ..DiskFigures::default()
        };
        let sample = Sample::new(Duration::ZERO, Timestamp::default(), Snapshot::default(), Some(files));
        let dropped = [
            ("files", "queue_full", 1),
            ("files", "calls_refused", 2),
            ("lines", "not_written", 4),
            ("lines", "write_errors", 8),
            ("files", "write_errors", 16),
        ];
        for (stage, reason, count) in dropped {
            assert_eq!(sample.dropped(stage, reason), count, "{stage}.{reason}");
        }
        assert_eq!(sample.totals().not_taken, 7);
        assert_eq!(counted(Totals { not_taken: 1, ..Totals::default() }), ["pcap-write-failed"]);
    }

    #[test]
    fn failing_health_is_told_after_a_while() {
        let after = |seconds| fired(&Sample::default(), Totals::default(), Some(seconds));
        assert_eq!(after(119), [""; 0]);
        assert_eq!(after(120), ["tcp-unhealthy-warning"]);
        assert_eq!(after(300), ["tcp-unhealthy-warning", "tcp-unhealthy-critical"]);
    }
}
