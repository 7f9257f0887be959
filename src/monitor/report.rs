//! What `debug` is told: the objects of its JSON. Their keys are a promise to scripts.

use serde_json::{Map, Value, json};

use super::View;
use super::sample::{Caps, Sample};
use crate::pipeline::Stage;
use crate::sink::TlsSummary;

/// Seconds since 1970 as scripts want them: a number.
fn unix(sample: &Sample) -> f64 {
    (sample.taken.0 / 1_000_000) as f64 / 1e3
}

/// A share from 0 to 1; 0 where there is no cap.
fn utilization(used: u64, cap: Option<u64>) -> f64 {
    match cap {
        Some(cap) if cap > 0 => (used as f64 / cap as f64).min(1.0),
        _ => 0.0,
    }
}

/// `debug streams`: numbers only, for scripts make metrics of them.
#[must_use]
pub fn streams(sample: &Sample) -> Value {
    let outcome = &sample.snapshot.outcome;
    let (streams, tcp, gauges) = (&outcome.streams, &outcome.reassembly, &sample.snapshot.gauges);
    json!({
        "active_streams": sample.active_streams(),
        "total_streams_created": streams.streams_created,
        "total_streams_completed": streams.streams_completed,
        "total_streams_failed": streams.streams_failed,
        "queued_streams": gauges.streams_queued,
        "dropped_streams": tcp.streams_shed + tcp.streams_evicted,
        "holding_streams": gauges.streams_holding,
        "connections": gauges.connections,
        "total_connections": tcp.streams,
        "not_sip_streams": streams.rejected_streams,
        "tls_streams": streams.tls_streams,
        "midstream_pickups": tcp.midstream_pickups,
        "reassembly_gaps": tcp.reassembly_gaps,
        "acknowledged_gaps": tcp.acknowledged_gaps,
        "gap_bytes": tcp.gap_bytes,
        "resynchronisations": streams.resynchronisations,
        "last_metrics_update": unix(sample),
    })
}

/// `debug buffers`: numbers only.
#[must_use]
pub fn buffers(sample: &Sample, caps: &Caps) -> Value {
    let (tcp, gauges) = (&sample.snapshot.outcome.reassembly, &sample.snapshot.gauges);
    json!({
        "total_buffers": gauges.buffers,
        "max_buffers": caps.buffers.unwrap_or_default(),
        "total_packets": tcp.out_of_order_segments,
        "buffers_dropped": tcp.segment_memcap_drop,
        "packets_dropped": tcp.strange_segments,
        "held_bytes": gauges.held_bytes,
        "max_bytes": caps.memory,
        "bytes_dropped": tcp.dropped_bytes.saturating_add(tcp.shed_bytes),
        "last_cleanup_time": unix(sample),
    })
}

/// The figures of `debug health`, without its checks.
#[must_use]
pub fn health(view: &View) -> Map<String, Value> {
    let (sample, caps) = (&view.sample, &view.caps);
    let gauges = &sample.snapshot.gauges;
    let depth = gauges.queues.iter().map(|queue| queue.depth).max().unwrap_or_default();
    let capacity = gauges.queues.iter().map(|queue| queue.capacity).max().unwrap_or_default();
    let value = json!({
        "healthy": view.health.is_good(),
        "status": view.health.status(),
        "active_goroutines": gauges.streams_holding,
        "max_goroutines": caps.streams,
        "goroutine_utilization": utilization(gauges.streams_holding, caps.streams),
        "queue_length": gauges.streams_queued,
        "queue_capacity": caps.queue,
        "queue_utilization": utilization(gauges.streams_queued, Some(caps.queue)),
        "active_streams": sample.active_streams(),
        "total_buffers": gauges.buffers,
        "batch_queue_length": depth,
        "batch_queue_capacity": capacity,
        "failing": view.health.failing(),
        "active_alerts": view.alerts.iter().filter(|alert| !alert.resolved).count(),
        "performance_mode": caps.mode,
        "uptime_seconds": sample.uptime.as_secs(),
        "active_calls": sample.active_calls(),
        "registered_contacts": sample.snapshot.gauges.tracker.bindings,
        "last_metrics_update": unix(sample),
    });
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// `debug health`.
#[must_use]
pub fn checked_health(view: &View) -> Value {
    let mut health = health(view);
    health.insert("checks".to_owned(), json!(view.health.checks));
    Value::Object(health)
}

/// `debug metrics`.
#[must_use]
pub fn metrics(view: &View) -> Value {
    let sample = &view.sample;
    json!({
        "health": health(view),
        "streams": streams(sample),
        "buffers": buffers(sample, &view.caps),
        "capture": capture(view),
        "calls": calls(sample),
        "media": media(sample),
        "carriers": {},
        "process": process(sample),
        "timestamp": sample.taken.rfc3339(),
    })
}

fn capture(view: &View) -> Value {
    let (sample, summary) = (&view.sample, &view.sample.summary);
    let queues = sample.snapshot.gauges.queues.iter().map(|queue| {
        let stage = match queue.stage {
            Stage::Worker(lane) => format!("worker-{lane}"),
            Stage::Tracker => "tracker".to_owned(),
        };
        (stage, json!({"length": queue.depth, "capacity": queue.capacity}))
    });
    json!({
        "live": view.caps.live,
        "files": summary.files,
        "packets": summary.packets,
        "bytes": summary.bytes,
        "first_packet": summary.first_packet.map(crate::time::Timestamp::rfc3339),
        "last_packet": summary.last_packet.map(crate::time::Timestamp::rfc3339),
        "packets_by": summary.packets_by,
        "lost": sample.totals().lost,
        "interfaces": sample.snapshot.outcome.interfaces.iter().map(|(name, interface)| (name.clone(), json!({
            "packets": interface.packets,
            "kernel_drops": interface.kernel_drops,
            "interface_drops": interface.interface_drops,
            "outages": interface.outages,
            "up": !interface.is_down,
        }))).collect::<Map<String, Value>>(),
        "dropped": summary.dropped,
        "fragments": summary.fragments,
        "queues": queues.collect::<Map<String, Value>>(),
        "files_written": summary.files_written,
        "pcap": sample.files.as_ref().map(|files| json!({
            "bytes_written": files.bytes_written,
            "open_files": files.open_files,
            "held_bytes": files.held_bytes,
            "frames_lost": files.frames_lost,
            "queue_full": files.queue_full,
            "lines_lost": files.lines_lost,
            "line_errors": files.line_errors,
            "deleted_files": files.deleted_files,
            "write_errors": files.write_errors,
        })),
        "disk": sample.disk.map(|disk| json!({
            "free_bytes": disk.free, "total_bytes": disk.total, "free_percent": disk.percent(),
        })),
    })
}

fn calls(sample: &Sample) -> Value {
    let (summary, tracker) = (&sample.summary, &sample.snapshot.gauges.tracker);
    json!({
        "active": sample.active_calls(),
        "early": tracker.early,
        "confirmed": tracker.confirmed,
        "total": summary.calls.total,
        "answered": summary.calls.answered,
        "by_result": summary.calls.by_result,
        "dialogs": tracker.dialogs,
        "registrations": summary.registrations,
        "registered_contacts": tracker.bindings,
        "sip": summary.sip,
    })
}

fn media(sample: &Sample) -> Value {
    let (summary, tracker) = (&sample.summary, &sample.snapshot.gauges.tracker);
    json!({
        "flows": tracker.flows,
        "unannounced_flows": tracker.unclaimed_flows,
        "rtp_packets": summary.rtp.packets,
        "rtp_streams": summary.rtp.streams,
        "rtcp_packets": summary.rtcp.packets,
    })
}

fn process(sample: &Sample) -> Value {
    let process = &sample.process;
    json!({
        "pid": process.pid,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": sample.uptime.as_secs(),
        "start_time": process.start_time,
        "resident_bytes": process.resident_bytes,
        "memory_bytes": process.own_bytes,
        "virtual_bytes": process.virtual_bytes,
        "cpu_seconds": process.cpu.as_secs_f64(),
        "cpu_utilization": process.cpu_ratio,
        "threads": process.threads,
        "open_fds": process.open_fds,
        "max_fds": process.max_fds,
        "peak_resident_bytes": process.peak_resident_bytes,
        "avg_resident_bytes": process.avg_resident_bytes,
        "peak_cpu_utilization": process.peak_cpu_ratio,
        "avg_cpu_utilization": process.avg_cpu_ratio,
        "peak_active_streams": sample.peaks.streams,
        "avg_active_streams": sample.peaks.avg_streams(),
        "peak_active_calls": sample.peaks.calls,
        "avg_active_calls": sample.peaks.avg_calls(),
    })
}

/// `debug summary`: one screen of it all.
#[must_use]
pub fn summary(view: &View) -> Value {
    let sample = &view.sample;
    let active: Vec<_> = view.alerts.iter().filter(|alert| !alert.resolved).collect();
    json!({
        "health": checked_health(view),
        "alerts": active,
        "streams": streams(sample),
        "buffers": buffers(sample, &view.caps),
        "capture": capture(view),
        "calls": calls(sample),
        "media": media(sample),
        "tls": tls(sample),
        "process": process(sample),
        "timestamp": sample.taken.rfc3339(),
    })
}

/// SIP over TLS, as in the summary of a run, and what of it asks for attention.
fn tls(sample: &Sample) -> Value {
    let outcome = &sample.snapshot.outcome;
    let tls = TlsSummary::new(&outcome.tls, outcome.intake.last);
    let warnings: Vec<String> = tls.warnings().collect();
    let mut told = json!(tls);
    if let Some(fields) = told.as_object_mut() {
        fields.insert("warnings".to_owned(), json!(warnings));
    }
    told
}
