//! Findings, and the messages of a call that prove them.

use serde_json::Value;

use crate::inspect::finding::remarks;
use crate::inspect::trace::{Again, Call, Line, Traced};

/// A finding, and the messages that prove it, by number from 1.
pub(super) struct Told {
    pub(super) code: Option<String>,
    pub(super) text: String,
    /// When the message came that shows it, and which that was, as the record says.
    pub(super) shown: Option<(String, String)>,
    pub(super) messages: Vec<usize>,
}

/// The findings of a call in a capture whose record this is, and what its messages show beyond.
pub(super) fn proven(call: &Call, record: &Value) -> Vec<Told> {
    let mut told = recorded(record);
    for finding in &mut told {
        finding.messages = proof(finding, &call.trace.messages);
    }
    told.extend(remarks(call).into_iter().map(|it| Told {
        code: Some(it.code.to_owned()),
        text: it.text,
        shown: None,
        messages: it.messages.iter().map(|at| at + 1).collect(),
    }));
    told
}

/// The findings of a record alone.
pub(super) fn recorded(record: &Value) -> Vec<Told> {
    let findings = record.get("findings").and_then(Value::as_array).into_iter().flatten();
    let text = |finding: &Value, key: &str| Some(finding.get(key)?.as_str()?.to_owned());
    findings
        .map(|finding| Told {
            code: text(finding, "code"),
            text: text(finding, "text").unwrap_or_default(),
            shown: text(finding, "time").zip(text(finding, "message")),
            messages: Vec::new(),
        })
        .collect()
}

/// The messages that prove a finding: the one that it names, or those that say when media was to flow.
fn proof(finding: &Told, messages: &[Traced]) -> Vec<usize> {
    let Some((time, what)) = &finding.shown else {
        return about_media(finding.code.as_deref().unwrap_or_default(), messages);
    };
    if finding.code.as_deref() == Some("unreachable") {
        // The error came after the message that it quotes.
        let before = messages.iter().zip(1..).filter(|(message, _)| message.at.rfc3339() <= *time);
        let quoted = before.filter(|(message, _)| is_named(what, message)).last();
        return quoted.map_or_else(|| about_media("unreachable", messages), |(_, number)| vec![number]);
    }
    // Several may have come in one microsecond.
    let then = || messages.iter().zip(1..).filter(|(message, _)| message.at.rfc3339() == *time);
    let named = then().find(|(message, _)| is_named(what, message));
    named.or_else(|| then().next()).into_iter().map(|(_, number)| number).collect()
}

/// Whether a message is what a finding calls it: `BYE`, `200 to INVITE`, `1xx to INVITE`.
fn is_named(what: &str, message: &Traced) -> bool {
    match &message.line {
        Line::Request(method) => what == method,
        Line::Response(status, _) => {
            let (code, method) = what.split_once(" to ").unwrap_or((what, &message.method));
            let digits = code.trim_end_matches('x');
            method == message.method && !digits.is_empty() && status.to_string().starts_with(digits)
        }
    }
}

/// The messages that show what a finding about media is measured by; of most, the figures are the proof.
fn about_media(code: &str, messages: &[Traced]) -> Vec<usize> {
    let is_first = |message: &Traced| message.again == Again::No;
    let is_answer =
        |message: &Traced| matches!(message.line, Line::Response(200..=299, _)) && message.method == "INVITE";
    let is_end = |message: &Traced| matches!(&message.line, Line::Request(method) if method == "BYE");
    let numbered = || messages.iter().zip(1..).filter(|(message, _)| is_first(message));
    let all = |wanted: &dyn Fn(&Traced) -> bool| -> Vec<usize> {
        numbered().filter(|(message, _)| wanted(message)).map(|(_, number)| number).collect()
    };
    let mut proof = match code {
        "media_before_answer" | "late_media" => all(&is_answer),
        "media_after_end" => all(&is_end),
        "no_rtp"
        | "one_way_audio"
        | "media_stops"
        | "unannounced_source"
        | "unannounced_destination"
        | "unreachable"
        | "codec_mismatch" => {
            return all(&|message| message.media.is_some());
        }
        _ => Vec::new(),
    };
    proof.truncate(1);
    proof
}
