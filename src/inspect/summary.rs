//! What stands around the ladder: what happened in one sentence, what strikes, and the streams.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::call::{CallKind, CallRecord, CallResult, EndedBy, MediaRecord};
use crate::flow::Endpoint;
use crate::sip::asks_again;
use crate::time::Timestamp;

use super::before::Before;
use super::elsewhere::elsewhere;
use super::finding;
use super::screen::{Ink, Screen};
use super::stream;
use super::trace::Call;

/// User agents named; each proxy on the way adds one.
const MAX_AGENTS: usize = 4;

/// Writes what happened.
pub(super) fn head(call: &Call, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    let record = &call.record;
    let (sentence, ink) = sentence(record);
    writeln!(out, "{}", screen.paint(ink, &screen.text(&sentence)))?;
    writeln!(out, "Call-ID {}", screen.text(&record.call_id))?;
    writeln!(out, "{}", screen.paint(Ink::Dim, &screen.text(&facts(record))))?;
    let findings = record.findings.iter().map(|finding| (finding.code, finding.text.as_str()));
    let remarks = finding::remarks(call);
    let remarks = remarks.iter().map(|remark| (remark.code, remark.text.as_str()));
    for (code, text) in findings.chain(remarks) {
        let mark = screen.paint(Ink::Warning, screen.pick("▸", "*"));
        writeln!(out, "{mark} {} ({code})", screen.text(text))?;
    }
    Ok(())
}

/// Writes the streams, one a line, and the flows of a fax.
pub(super) fn streams(call: &Call, screen: &Screen, out: &mut dyn Write) -> io::Result<()> {
    let (media, faxes) = (&call.record.media, &call.record.fax);
    let widest = |texts: &mut dyn Iterator<Item = String>| texts.map(|text| text.width()).max().unwrap_or(0);
    let ends = || {
        let faxes = faxes.iter().map(|fax| (fax.source, fax.destination));
        media.iter().map(|stream| (stream.source, stream.destination)).chain(faxes)
    };
    let sources = widest(&mut ends().map(|(source, _)| source.to_string()));
    let destinations = widest(&mut ends().map(|(_, destination)| destination.to_string()));
    let route = |(source, destination): (Endpoint, Endpoint)| {
        let (source, destination) = (source.to_string(), destination.to_string());
        format!("  {source:<sources$} {} {destination:<destinations$}", screen.pick("→", "->"))
    };
    let codecs = widest(&mut media.iter().map(|stream| screen.text(&stream::codec(stream)).into_owned()));
    if !media.is_empty() {
        writeln!(out, "\n{}", screen.paint(Ink::Strong, "RTP streams"))?;
    }
    for (stream, is_copy) in media.iter().zip(stream::copies(media)) {
        let codec = stream::codec(stream);
        let again = if is_copy { ", captured again" } else { "" };
        writeln!(
            out,
            "{}  {:<codecs$}  {}, SSRC {:#010x}{again}",
            route((stream.source, stream.destination)),
            screen.text(&codec),
            figures(stream),
            stream.ssrc,
        )?;
    }
    if !faxes.is_empty() {
        writeln!(out, "\n{}", screen.paint(Ink::Strong, "T.38 fax"))?;
    }
    for fax in faxes {
        let packets = stream::count(fax.packets, "packet");
        let long = seconds(fax.end.since(fax.start).as_secs_f64());
        writeln!(out, "{}  {packets} in {long}", route((fax.source, fax.destination)))?;
    }
    Ok(())
}

/// `665 packets in 13.3 s, lost 0, jitter 0.1 ms (at most 1.2), 3 keys`.
fn figures(stream: &MediaRecord) -> String {
    let long = seconds(stream.end.since(stream.start).as_secs_f64());
    let mut parts = vec![format!("{} in {long}", stream::packets(stream)), stream::lost(stream)];
    if let (Some(mean), Some(max)) = (stream.jitter_ms, stream.max_jitter_ms) {
        parts.push(format!("jitter {mean:.1} ms (at most {max:.1})"));
    }
    parts.extend(stream::keys(stream));
    parts.join(", ")
}

/// What happened, and whether that is good.
fn sentence(record: &CallRecord) -> (String, Ink) {
    let ink = match record.result {
        CallResult::Success => Ink::Good,
        CallResult::Failed | CallResult::Timeout => Ink::Bad,
        _ => Ink::Warning,
    };
    let (from, to) = (&record.from, &record.to);
    if record.kind != CallKind::Call {
        let answer = answer(record).unwrap_or_else(|| "no final answer".to_owned());
        return (format!("{} from {from} to {to}: {answer}", record.method), ink);
    }
    if let Some(sentence) = begun_before(record) {
        return (sentence, ink);
    }
    let outcome = if record.answered.is_some() { answered(record) } else { unanswered(record) };
    (format!("{from} called {to}: {outcome}"), ink)
}

/// Of a call that was up before the capture, how it went on.
fn begun_before(record: &CallRecord) -> Option<String> {
    let before = Before {
        from: &record.from,
        to: &record.to,
        method: &record.method,
        result: record.result.name(),
        is_answered: record.answered.is_some(),
        has_reinvites: record.reinvites > 0,
        ended_by: record.ended_by.map_or("", EndedBy::name),
        seconds: record.end.map(|end| end.since(record.start).as_secs_f64()),
    };
    before.sentence()
}

fn answered(record: &CallRecord) -> String {
    let mut text = "answered".to_owned();
    if let Some(setup) = record.setup_seconds {
        text.push_str(&format!(" after {}", seconds(setup)));
    }
    if let (Some(ringing), Some(delay)) = (record.ringing, record.post_dial_delay_seconds)
        && record.answered.is_some_and(|answered| ringing < answered)
    {
        text.push_str(&format!(" (ringing after {})", seconds(delay)));
    }
    let long = record.duration_seconds.map_or_else(String::new, seconds);
    match (record.end, record.ended_by) {
        (None, _) => format!("{text}, still open when the capture ends {long} later"),
        (_, Some(EndedBy::Network)) => format!("{text}, no BYE seen, given up after {long}"),
        (_, Some(EndedBy::Caller)) => format!("{text}, {long} long, {} (the caller) hung up", record.from),
        (_, Some(EndedBy::Callee)) => {
            format!("{text}, {long} long, {} (the called party) hung up", record.to)
        }
        (_, None) => format!("{text}, {long} long"),
    }
}

fn unanswered(record: &CallRecord) -> String {
    let after = record.end.map(|end| format!(" after {}", seconds(end.since(record.start).as_secs_f64())));
    let after = after.unwrap_or_default();
    let answer = answer(record);
    let with = answer.as_ref().map(|answer| format!(" with {answer}")).unwrap_or_default();
    match record.result {
        CallResult::Cancelled => {
            let rang = if record.ringing.is_some() { ", while it rang" } else { "" };
            // It is over 32 s after who called gave up then (RFC 3261 9.1).
            let after = if answer.is_some() { after } else { String::new() };
            let causes = record.signalling.end_causes.iter();
            let causes = causes.map(|it| (it.protocol.as_str(), it.cause.map(u64::from)));
            let what = elsewhere(record.signalling.replaced_by.is_some(), causes).unwrap_or("cancelled");
            format!("{what}{after}{rang}")
        }
        CallResult::Busy if record.status_code == Some(603) => format!("declined{with}{after}"),
        CallResult::Busy => format!("busy, {}{after}", answer.unwrap_or_default()),
        CallResult::Redirected => format!("redirected{with}{after}"),
        CallResult::Timeout if answer.is_none() => format!("no final answer{after}"),
        CallResult::Timeout => format!("timed out{with}{after}"),
        CallResult::Failed => format!("failed{with}{after}"),
        _ if record.status_code.is_some_and(asks_again) => {
            format!("{}, and no other try when the capture ends", answer.unwrap_or_default())
        }
        _ => "not answered when the capture ends".to_owned(),
    }
}

/// `486 Busy Here`.
fn answer(record: &CallRecord) -> Option<String> {
    let reason = record.reason.as_deref().unwrap_or_default();
    record.status_code.map(|code| format!("{code} {reason}").trim_end().to_owned())
}

/// When, how many messages over what, by which user agents.
fn facts(record: &CallRecord) -> String {
    let mut facts = vec![
        record.start.rfc3339().replace('T', " ").replace('Z', " UTC"),
        format!("{} over {}", stream::count(record.messages, "message"), record.transports.join(", ")),
    ];
    let counted = [(record.retransmissions, "sent again"), (record.duplicates, "captured again")];
    let counted = counted.into_iter().filter(|(number, _)| *number > 0);
    facts.extend(counted.map(|(number, what)| format!("{number} {what}")));
    let digits = u64::from(record.signalling.overlap_invites);
    facts.extend((digits > 0).then(|| format!("{} with more digits", stream::count(digits, "INVITE"))));
    let inside = [(record.reinvites, "re-INVITE"), (record.updates, "UPDATE")];
    let inside = inside.into_iter().filter(|(number, _)| *number > 0);
    facts.extend(inside.map(|(number, method)| stream::count(u64::from(number), method)));
    // Branches of a fork, and proxies that answer themselves.
    if record.forks > 1 {
        facts.push(format!("{} To-tags in answers", record.forks));
    }
    if !record.user_agents.is_empty() {
        let more = if record.user_agents.len() > MAX_AGENTS { ", ..." } else { "" };
        let agents: Vec<&str> = record.user_agents.iter().take(MAX_AGENTS).map(String::as_str).collect();
        facts.push(format!("by {}{more}", agents.join(", ")));
    }
    facts.extend(record.end_reason.as_ref().map(|reason| format!("Reason: {reason}")));
    facts.join("; ")
}

/// `11:49:02.133`, UTC.
pub(super) fn time_of_day(time: Timestamp) -> String {
    let seconds = time.seconds() % 86_400;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}", seconds % 60, time.subsec_nanos() / 1_000_000)
}

/// `12 ms`, `3.2 s`, `2 min 5 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 0.95 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 119.95 {
        format!("{seconds:.1} s")
    } else {
        let whole = seconds.round() as u64;
        format!("{} min {} s", whole / 60, whole % 60)
    }
}
