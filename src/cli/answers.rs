//! Answers of `debug` as text: plain, without colour, each value on a line of its own.

use std::fmt::Write;

use comfy_table::{Table, presets};
use serde_json::Value;

use crate::escape::terminal;

/// Text of a place in an answer; what comes from the wire is shown and does not act.
fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => terminal(text.as_bytes()).into_owned(),
        Some(Value::Number(number)) => short(number.as_f64().unwrap_or_default()),
        Some(other) => terminal(other.to_string().as_bytes()).into_owned(),
    }
}

/// A number without digits that nobody reads.
fn short(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.3}") }
}

fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or_default()
}

fn percent(value: &Value, pointer: &str) -> String {
    format!("{:.1} %", 100.0 * number(value, pointer))
}

fn bytes(value: &Value, pointer: &str) -> String {
    format!("{:.1} MB", number(value, pointer) / 1e6)
}

/// Lines of `label: value`, the values below each other.
fn rows(out: &mut String, rows: &[(&str, String)]) {
    let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or_default() + 1;
    for (label, value) in rows {
        let _ = writeln!(out, "  {:width$} {value}", format!("{label}:"));
    }
}

/// Seconds as people say them.
fn ago(seconds: f64) -> String {
    let whole = std::time::Duration::from_secs(seconds.max(0.0) as u64);
    humantime::format_duration(whole).to_string()
}

/// `debug health`.
#[must_use]
pub fn health(answer: &Value) -> String {
    let mut out = format!("Status: {}\n", verdict(answer));
    for check in answer.pointer("/checks").and_then(Value::as_array).into_iter().flatten() {
        let word = if check.pointer("/ok") == Some(&Value::Bool(true)) { "ok  " } else { "FAIL" };
        let (name, value) = (text(check, "/name"), text(check, "/value"));
        let _ = writeln!(out, "  {word}  {name:8} {value} (limit: {})", text(check, "/limit"));
    }
    rows(&mut out, &utilization(answer));
    out
}

fn verdict(answer: &Value) -> String {
    text(answer, "/status").to_uppercase()
}

fn utilization(health: &Value) -> [(&'static str, String); 5] {
    let of = |used: &str, cap: &str, share: &str| match health.pointer(cap) {
        None | Some(Value::Null) => format!("{} (no cap)", text(health, used)),
        Some(_) => format!("{} of {} ({})", text(health, used), text(health, cap), percent(health, share)),
    };
    [
        (
            "Goroutines (streams holding bytes)",
            of("/active_goroutines", "/max_goroutines", "/goroutine_utilization"),
        ),
        ("Queue (streams that wait)", of("/queue_length", "/queue_capacity", "/queue_utilization")),
        ("Active streams", text(health, "/active_streams")),
        ("Active calls", text(health, "/active_calls")),
        ("Uptime", ago(number(health, "/uptime_seconds"))),
    ]
}

/// `debug streams`, with what it advises.
#[must_use]
pub fn streams(answer: &Value) -> String {
    let mut out = "TCP streams that carry SIP\n".to_owned();
    rows(
        &mut out,
        &[
            ("Active streams", text(answer, "/active_streams")),
            ("Total created", text(answer, "/total_streams_created")),
            ("Total completed", text(answer, "/total_streams_completed")),
            ("Total failed", text(answer, "/total_streams_failed")),
            ("Queued streams", text(answer, "/queued_streams")),
            ("Dropped streams", text(answer, "/dropped_streams")),
            ("Holding bytes", text(answer, "/holding_streams")),
            ("TCP connections known", text(answer, "/connections")),
            ("Not SIP", text(answer, "/not_sip_streams")),
            ("Encrypted (TLS)", text(answer, "/tls_streams")),
            ("Joined in the middle", text(answer, "/midstream_pickups")),
            ("Holes", text(answer, "/reassembly_gaps")),
            ("Success rate", success(answer)),
        ],
    );
    let failed = number(answer, "/total_streams_failed");
    let ended = failed + number(answer, "/total_streams_completed");
    if ended > 0.0 && failed / ended > 0.05 {
        out.push_str(
            "Advice: more than 5 % of the streams lost bytes. See debug metrics for what the capture drops; increase --buffer-size.\n",
        );
    }
    if number(answer, "/queued_streams") > 0.0 {
        out.push_str("Advice: streams wait for leave to hold bytes. Increase max_goroutines.\n");
    }
    if number(answer, "/tls_streams") > 0.0 {
        out.push_str("Note: encrypted streams cannot be read.\n");
    }
    out
}

fn success(streams: &Value) -> String {
    let completed = number(streams, "/total_streams_completed");
    let ended = completed + number(streams, "/total_streams_failed");
    if ended > 0.0 { format!("{:.1} %", 100.0 * completed / ended) } else { "-".to_owned() }
}

/// `debug buffers`, with what it advises.
#[must_use]
pub fn buffers(answer: &Value) -> String {
    let (held, cap) = (number(answer, "/total_buffers"), number(answer, "/max_buffers"));
    let of = if cap > 0.0 { format!("{} of {}", short(held), short(cap)) } else { short(held) };
    let mut out = "Buffers of TCP streams\n".to_owned();
    rows(
        &mut out,
        &[
            ("Total buffers (segments held)", of),
            ("Total packets (segments that had to wait)", text(answer, "/total_packets")),
            ("Buffers dropped", text(answer, "/buffers_dropped")),
            ("Packets dropped", text(answer, "/packets_dropped")),
            ("Memory held", format!("{} of {}", bytes(answer, "/held_bytes"), bytes(answer, "/max_bytes"))),
            ("Bytes dropped", text(answer, "/bytes_dropped")),
        ],
    );
    if cap > 0.0 && held / cap > 0.8 {
        out.push_str("Advice: more than 80 % of max_tcp_buffers are in use. Increase it, or find out why segments come out of order.\n");
    }
    if number(answer, "/held_bytes") > 0.8 * number(answer, "/max_bytes") {
        out.push_str("Advice: more than 80 % of tcp_memory_limit is in use. Increase it.\n");
    }
    if number(answer, "/buffers_dropped") > 0.0 {
        out.push_str("Advice: segments were given up because a limit was reached. Increase max_tcp_buffers or tcp_memory_limit.\n");
    }
    out
}

/// `debug metrics`.
#[must_use]
pub fn metrics(answer: &Value) -> String {
    let mut out = String::new();
    let sections = [
        ("Health", "health"),
        ("Streams", "streams"),
        ("Buffers", "buffers"),
        ("Capture", "capture"),
        ("Calls", "calls"),
        ("Media", "media"),
        ("Process", "process"),
    ];
    for (title, section) in sections {
        let _ = writeln!(out, "{title}");
        let mut flat = Vec::new();
        flatten("", answer.get(section).unwrap_or(&Value::Null), &mut flat);
        let lines: Vec<(&str, String)> =
            flat.iter().map(|(key, text)| (key.as_str(), text.clone())).collect();
        rows(&mut out, &lines);
    }
    let _ = writeln!(out, "Report generated: {}", text(answer, "/timestamp"));
    out
}

fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, value, out);
            }
        }
        Value::Null => {}
        other => out.push((terminal(prefix.as_bytes()).into_owned(), text(other, ""))),
    }
}

fn memory(process: &Value) -> String {
    format!("{} of its own, {} resident", bytes(process, "/memory_bytes"), bytes(process, "/resident_bytes"))
}

/// `debug summary`: one screen.
#[must_use]
pub fn summary(answer: &Value) -> String {
    let null = Value::Null;
    let part = |name: &str| answer.get(name).unwrap_or(&null);
    let (health_part, capture, calls) = (part("health"), part("capture"), part("calls"));
    let mut out = format!("Overall status: {}\n", verdict(health_part));
    for check in health_part.pointer("/checks").and_then(Value::as_array).into_iter().flatten() {
        if check.pointer("/ok") != Some(&Value::Bool(true)) {
            let _ = writeln!(out, "  FAIL {}: {}", text(check, "/name"), text(check, "/value"));
        }
    }
    let alerts = answer.get("alerts").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let _ = writeln!(
        out,
        "Active alerts: {}",
        if alerts.is_empty() { "none".to_owned() } else { alerts.len().to_string() }
    );
    for alert in alerts.iter().take(5) {
        let _ = writeln!(
            out,
            "  {} {}: {}",
            text(alert, "/level"),
            text(alert, "/name"),
            text(alert, "/message")
        );
    }
    let mut lines = utilization(health_part).to_vec();
    lines.extend([
        ("Packets", format!("{} ({} lost)", text(capture, "/packets"), text(capture, "/lost"))),
        ("SIP messages", text(calls, "/sip/messages")),
        ("Calls", format!("{} ({} answered)", text(calls, "/total"), text(calls, "/answered"))),
        ("Registered contacts", text(calls, "/registered_contacts")),
        ("RTP packets", text(part("media"), "/rtp_packets")),
        (
            "Streams",
            format!(
                "{} created, {} completed, {} failed",
                text(part("streams"), "/total_streams_created"),
                text(part("streams"), "/total_streams_completed"),
                text(part("streams"), "/total_streams_failed")
            ),
        ),
        ("Stream success rate", success(part("streams"))),
        (
            "TCP buffers",
            format!("{}, {}", text(part("buffers"), "/total_buffers"), bytes(part("buffers"), "/held_bytes")),
        ),
        ("Memory", memory(part("process"))),
        ("CPU", percent(part("process"), "/cpu_utilization")),
        ("Performance mode", text(health_part, "/performance_mode")),
    ]);
    if number(part("streams"), "/tls_streams") > 0.0 {
        lines.push(("Unreadable (TLS) connections", text(part("streams"), "/tls_streams")));
    }
    let tls = part("tls");
    if number(tls, "/connections") > 0.0 {
        let failed = tls.pointer("/failed").and_then(Value::as_object);
        let failed: u64 =
            failed.into_iter().flat_map(|failed| failed.values()).filter_map(Value::as_u64).sum();
        let established = text(tls, "/established");
        let told = format!("{} ({established} established, {failed} failed)", text(tls, "/connections"));
        lines.push(("Of these, SIP over TLS", told));
    }
    rows(&mut out, &lines);
    for warning in tls.pointer("/warnings").and_then(Value::as_array).into_iter().flatten() {
        out.push_str(&format!("  {}\n", text(warning, "")));
    }
    out
}

/// `debug alerts`.
#[must_use]
pub fn alerts(answer: &Value) -> String {
    let alerts = answer.as_array().map_or(&[][..], Vec::as_slice);
    if alerts.is_empty() {
        return "No active alerts\n".to_owned();
    }
    let cells = |alert: &Value| {
        let resolved = alert.pointer("/resolved") == Some(&Value::Bool(true));
        let status = if resolved { "RESOLVED" } else { "ACTIVE" };
        vec![
            text(alert, "/level").to_uppercase(),
            text(alert, "/name"),
            status.to_owned(),
            text(alert, "/timestamp"),
            text(alert, "/message"),
        ]
    };
    table(&["LEVEL", "ALERT", "STATUS", "SINCE", "MESSAGE"], alerts.iter().map(cells))
}

/// `debug config`.
#[must_use]
pub fn config(answer: &Value) -> String {
    let mut flat = Vec::new();
    let origins = answer.get("origins").cloned().unwrap_or_default();
    let null = Value::Null;
    for (key, origin) in origins.as_object().into_iter().flatten() {
        let value = answer.get("text").and_then(|values| values.get(key)).unwrap_or(&null);
        flat.push(vec![key.clone(), text(value, ""), text(origin, "")]);
    }
    let file = match answer.get("config_file") {
        Some(Value::String(file)) => terminal(file.as_bytes()).into_owned(),
        _ => "no configuration file".to_owned(),
    };
    format!("# {file}\n{}", table(&["KEY", "VALUE", "SET BY"], flat.into_iter()))
}

/// `debug calls`.
#[must_use]
pub fn calls(answer: &Value) -> String {
    let calls = answer.as_array().map_or(&[][..], Vec::as_slice);
    if calls.is_empty() {
        return "No calls are up\n".to_owned();
    }
    let cells = |call: &Value| {
        let duration = call.pointer("/duration_seconds").and_then(Value::as_f64);
        vec![
            text(call, "/start"),
            text(call, "/state"),
            text(call, "/from"),
            text(call, "/to"),
            duration.map_or_else(|| "-".to_owned(), ago),
            text(call, "/source"),
            text(call, "/destination"),
            text(call, "/rtp_packets"),
            // A call whose other legs are not known is the only one.
            call.pointer("/legs").and_then(Value::as_array).map_or(1, Vec::len).to_string(),
            text(call, "/call_id"),
        ]
    };
    let head =
        ["START", "STATE", "FROM", "TO", "DURATION", "SOURCE", "DESTINATION", "RTP", "LEGS", "CALL-ID"];
    table(&head, calls.iter().map(cells))
}

/// `debug registrations`, where so many `others` were not asked for.
#[must_use]
pub fn registrations(answer: &Value, wanted: Option<&str>, others: u64) -> String {
    let bindings = answer.as_array().map_or(&[][..], Vec::as_slice);
    if bindings.is_empty() {
        return match wanted {
            Some(wanted) if others > 0 => {
                format!(
                    "No registrations of {} are known; of others: {others}\n",
                    terminal(wanted.as_bytes())
                )
            }
            _ => "No registrations are known\n".to_owned(),
        };
    }
    let pointers = ["/aor", "/contact", "/expires", "/source", "/registrar", "/user_agent"];
    let head = ["ADDRESS", "CONTACT", "EXPIRES", "SOURCE", "REGISTRAR", "USER AGENT"];
    let cells = |binding: &Value| {
        let lapsed = binding["lapsed"] == true;
        let cell = |pointer: &str| match text(binding, pointer) {
            expires if lapsed && pointer == "/expires" => format!("{expires} (lapsed)"),
            other => other,
        };
        pointers.map(cell).to_vec()
    };
    table(&head, bindings.iter().map(cells))
}

/// Columns without lines around them, as tools want them; not wrapped.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.to_vec());
    rows.for_each(|row| {
        table.add_row(row);
    });
    let lines = table.to_string();
    lines.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_wire_brought_does_not_act() {
        let call = json!([{"from": "\u{1b}[2Jalice\n", "call_id": "a\u{202e}b", "state": "early"}]);
        let shown = calls(&call);
        assert!(shown.contains("\\x1b[2Jalice\\x0a"), "{shown}");
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
        assert_eq!(shown.lines().count(), 2);
    }

    #[test]
    fn nothing_is_said_where_there_is_nothing() {
        assert_eq!(alerts(&json!([])), "No active alerts\n");
        assert_eq!(calls(&json!([])), "No calls are up\n");
        assert_eq!(registrations(&json!([]), None, 0), "No registrations are known\n");
        assert_eq!(registrations(&json!([]), Some("dave"), 0), "No registrations are known\n");
        assert_eq!(
            registrations(&json!([]), Some("dave"), 2),
            "No registrations of dave are known; of others: 2\n"
        );
    }

    #[test]
    fn settings_are_shown_as_the_file_writes_them() {
        let answer = json!({
            "interfaces": {"buffer_size": 33_554_432}, "records": {"file": null},
            "text": {"interfaces.buffer_size": "32MiB", "records.file": "null"},
            "origins": {"interfaces.buffer_size": "default", "records.file": "default"},
        });
        let shown = config(&answer);
        assert!(
            shown.contains(" 32MiB ") && shown.contains(" null ") && !shown.contains("33554432"),
            "{shown}"
        );
    }

    #[test]
    fn any_answer_can_be_shown() {
        for answer in
            [json!(null), json!({}), json!([1, null, "x"]), json!({"checks": [{}], "origins": {"a.b": 1}})]
        {
            let _ = (health(&answer), summary(&answer), metrics(&answer), config(&answer));
            let _ = (streams(&answer), buffers(&answer), registrations(&answer, None, 0), calls(&answer));
        }
    }
}
