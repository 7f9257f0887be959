//! The event log: what happened to calls and registrations, one JSON object a line, for those who have to account
//! for it.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::call::{CallEvent, CallKind, CallResult, EndedBy};
use crate::escape::json_line;
use crate::privacy::Privacy;
use crate::sink::line_file::{Begin, LineFile};
use crate::sip::{header, uri};

/// Longest header value that is copied.
const MAX_VALUE: usize = 1_024;

/// Which header fields of a call's first message go into its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFields {
    /// Its value is `trace_id`.
    pub trace: String,
    /// Their values go into `details`, under their names as written here.
    pub headers: Vec<String>,
    /// What of these values may be told.
    pub privacy: Privacy,
}

/// What a call's first message says besides what everybody reads in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extract {
    trace_id: Option<String>,
    /// Index into [`EventFields::headers`], and the value.
    headers: Vec<(usize, String)>,
}

impl EventFields {
    /// Finds the fields in a message; none when it has none of them.
    pub(super) fn extract(&self, message: &[u8]) -> Option<Box<Extract>> {
        let mut extract = Extract::default();
        let start = message.iter().position(|&byte| byte == b'\n')? + 1;
        for (name, value) in header::Lines::new(message, start).filter_map(header::split) {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
            if extract.trace_id.is_none() && is(&self.trace) {
                // A trace is found by its name: of it only credentials are hidden.
                let open = Privacy { masked: false, ..self.privacy };
                extract.trace_id = Some(open.header_value(name, &text(value)));
            }
            for (index, _) in self.headers.iter().enumerate().filter(|(_, wanted)| is(wanted)) {
                if !extract.headers.iter().any(|(known, _)| *known == index) {
                    extract.headers.push((index, self.privacy.header_value(name, &text(value))));
                }
            }
        }
        (extract != Extract::default()).then(|| Box::new(extract))
    }
}

fn text(value: &[u8]) -> String {
    header::text(value.get(..MAX_VALUE).unwrap_or(value))
}

/// Writes the event log.
#[derive(Debug)]
pub struct EventLog {
    file: LineFile,
    fields: EventFields,
}

/// One line of it.
#[derive(Serialize)]
struct Entry<'a> {
    timestamp: String,
    event_type: &'static str,
    trace_id: Option<&'a str>,
    source_ip: String,
    details: Details<'a>,
}

#[derive(Serialize)]
struct Details<'a> {
    call_id: &'a str,
    sip_call_id: &'a str,
    method: &'a str,
    from: &'a str,
    to: &'a str,
    /// User part of the request URI.
    expert_id: Option<String>,
    source: String,
    destination: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<CallResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<EndedBy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    #[serde(flatten)]
    headers: serde_json::Map<String, serde_json::Value>,
}

impl EventLog {
    /// Goes on with the file at `path`, or writes to standard output for `-`. Directories are made.
    ///
    /// # Errors
    /// The directories or the file cannot be made or opened.
    pub fn append(path: &Path, fields: EventFields) -> io::Result<Self> {
        Ok(Self { file: LineFile::open(path, Begin::Behind)?, fields })
    }

    /// Begins the file at `path` anew, with [`super::Lines::new`].
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn create(path: &Path, fields: EventFields) -> io::Result<Self> {
        Ok(Self { file: LineFile::open(path, Begin::Anew)?, fields })
    }

    /// Which header fields it wants.
    #[must_use]
    pub const fn fields(&self) -> &EventFields {
        &self.fields
    }

    /// What the system says of the file; none when it is none, as standard output.
    #[must_use]
    pub fn about(&self) -> Option<Metadata> {
        self.file.about()
    }

    pub(super) const fn file(&self) -> &LineFile {
        &self.file
    }

    pub(super) const fn file_mut(&mut self) -> &mut LineFile {
        &mut self.file
    }

    pub(super) fn push(&mut self, event: &CallEvent, extract: Option<&Extract>) -> io::Result<()> {
        let mut outcome = Ok(());
        for event_type in types(event) {
            let entry = entry(&self.fields, event, extract, event_type);
            // A line that the disk did not take is kept, and those behind it are no less wanted.
            outcome = outcome.and(self.file.push(|out| json_line(out, &entry)));
        }
        outcome
    }
}

fn entry<'a>(
    fields: &EventFields,
    event: &'a CallEvent,
    extract: Option<&'a Extract>,
    event_type: &'static str,
) -> Entry<'a> {
    let headers = extract.map(|it| it.headers.as_slice()).unwrap_or_default();
    let named = headers.iter().filter_map(|(index, value)| {
        fields.headers.get(*index).map(|name| (name.clone(), value.as_str().into()))
    });
    Entry {
        timestamp: event.timestamp.rfc3339(),
        event_type,
        trace_id: extract.and_then(|it| it.trace_id.as_deref()),
        source_ip: event.source.address.ip().to_string(),
        details: Details {
            call_id: &event.call_id,
            sip_call_id: &event.call_id,
            method: &event.method,
            from: &event.from,
            to: &event.to,
            expert_id: event.request_uri.as_deref().and_then(user),
            source: event.source.to_string(),
            destination: event.destination.to_string(),
            state: (event_type == "STATE_CHANGE").then(|| state(event)),
            status_code: event.status_code,
            reason: reason(event),
            result: event.result,
            ended_by: event.ended_by.filter(|_| event.event == "end"),
            duration_seconds: event.duration_seconds,
            headers: named.collect(),
        },
    }
}

/// The types under which an event is logged.
fn types(event: &CallEvent) -> &'static [&'static str] {
    let is_success = event.result == Some(CallResult::Success);
    match (event.kind, event.event) {
        (CallKind::Call, "start") => &["CALL_START"],
        (CallKind::Call, "ringing") => &["STATE_CHANGE"],
        (CallKind::Call, "answered") => &["CALL_ANSWERED", "STATE_CHANGE"],
        (CallKind::Call, "end") if is_success => &["CALL_END", "STATE_CHANGE"],
        (CallKind::Call, "end") if is_refused(event) => &["CALL_FAILED", "AUTH_FAILED", "STATE_CHANGE"],
        (CallKind::Call, "end") => &["CALL_FAILED", "STATE_CHANGE"],
        (CallKind::Registration, "end") if is_success && event.unregisters => &["UNREGISTERED"],
        (CallKind::Registration, "end") if is_success => &["REGISTERED"],
        (CallKind::Registration, "end") if is_refused(event) => &["AUTH_FAILED"],
        _ => &[],
    }
}

/// Whether credentials were given and not accepted.
fn is_refused(event: &CallEvent) -> bool {
    event.authenticated && matches!(event.status_code, Some(401 | 403 | 407))
}

/// The state that a call is in from now on; the words are those of `RFC 4235`, as far as it has them.
fn state(event: &CallEvent) -> &'static str {
    match event.event {
        "ringing" => "early",
        "answered" => "confirmed",
        _ => "terminated",
    }
}

/// Why: the Reason header field of what ended the call, or the answer, or that there was none.
fn reason(event: &CallEvent) -> Option<String> {
    if event.event != "end" {
        return None;
    }
    let phrase = event.reason.as_deref().unwrap_or_default();
    let answer = event.status_code.map(|code| format!("{code} {phrase}").trim_end().to_owned());
    let timeout = (event.result == Some(CallResult::Timeout) && event.status_code.is_none())
        .then(|| "no final answer".to_owned());
    event.end_reason.clone().or(timeout).or(answer)
}

/// The user part of a URI; none when it has none.
fn user(text: &str) -> Option<String> {
    let shown = uri::display(text.as_bytes());
    (shown.len() < text.len()).then(|| String::from_utf8_lossy(shown).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Address, Endpoint};
    use crate::time::Timestamp;
    use serde_json::{Value, json};

    fn event(kind: CallKind, event: &'static str) -> CallEvent {
        CallEvent {
            timestamp: Timestamp::new(482_196_050, 520_000_000),
            call_id: "a\u{1b}\u{200b}\u{e0041}b".to_owned(),
            kind,
            event,
            method: "INVITE".to_owned(),
            from: "alice".to_owned(),
            to: "bob".to_owned(),
            source: Endpoint::new(Address::v4([192, 0, 2, 1]), 5060),
            destination: Endpoint::new(Address::v4([192, 0, 2, 2]), 5060),
            status_code: None,
            reason: None,
            result: None,
            duration_seconds: None,
            request_uri: Some("sip:expert-7@example.com".to_owned()),
            ended_by: None,
            end_reason: None,
            authenticated: false,
            unregisters: false,
            kept: true,
        }
    }

    fn logged(events: Vec<CallEvent>) -> Vec<Value> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log/events.jsonl");
        let fields = EventFields {
            trace: "X-Trace".to_owned(),
            headers: vec!["X-Hazard".to_owned()],
            privacy: Privacy::default(),
        };
        let message =
            b"INVITE sip:b SIP/2.0\r\nx-trace:  t1\r\nX-HAZARD: one\r\n two\r\nX-Trace: t2\r\n\r\nX-Trace: 3";
        let mut log = EventLog::append(&path, fields).unwrap();
        for event in events {
            let extract = log.fields().extract(message);
            log.push(&event, extract.as_deref()).unwrap();
        }
        log.file.flush().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        crate::escape::assert_harmless(&text);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn kinds(events: Vec<CallEvent>) -> Vec<String> {
        logged(events).iter().map(|line| line["event_type"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn an_entry_has_the_keys_that_scripts_read() {
        let lines = logged(vec![CallEvent {
            result: Some(CallResult::Success),
            duration_seconds: Some(12.5),
            ended_by: Some(EndedBy::Callee),
            end_reason: Some("Q.850;cause=16".to_owned()),
            ..event(CallKind::Call, "end")
        }]);
        let wanted = json!({
            "timestamp": "1985-04-12T23:20:50.520000Z", "event_type": "CALL_END", "trace_id": "t1",
            "source_ip": "192.0.2.1",
            "details": {
                "call_id": "a\u{1b}\u{200b}\u{e0041}b", "sip_call_id": "a\u{1b}\u{200b}\u{e0041}b", "method": "INVITE", "from": "alice", "to": "bob",
                "expert_id": "expert-7", "source": "192.0.2.1:5060", "destination": "192.0.2.2:5060",
                "reason": "Q.850;cause=16", "result": "success", "ended_by": "callee",
                "duration_seconds": 12.5, "X-Hazard": "one two",
            },
        });
        assert_eq!(lines[0], wanted);
        assert_eq!((lines.len(), &lines[1]["details"]["state"]), (2, &json!("terminated")));
    }

    /// Each line of an event is kept or counted, whatever the disk says of the one before it.
    #[test]
    fn a_full_disk_loses_no_line_uncounted() {
        let mut log = EventLog::append(Path::new("/dev/full"), EventFields::default()).unwrap();
        let answered = event(CallKind::Call, "answered");
        let refused = (0..2_000).filter(|_| log.push(&answered, None).is_err()).count();
        assert!(refused > 0);
        log.file.give_up();
        assert_eq!(log.file.counts().lost, 2 * 2_000, "CALL_ANSWERED and STATE_CHANGE");
    }

    #[test]
    fn every_step_has_its_type() {
        use CallKind::{Call, Options, Registration};
        let end = |kind, result, status, authenticated, unregisters| CallEvent {
            result: Some(result),
            status_code: status,
            authenticated,
            unregisters,
            ..event(kind, "end")
        };
        use CallResult::{Busy, Failed, Success, Timeout};
        let rows = [
            (event(Call, "start"), &["CALL_START"][..]),
            (event(Call, "ringing"), &["STATE_CHANGE"]),
            (event(Call, "answered"), &["CALL_ANSWERED", "STATE_CHANGE"]),
            (end(Call, Success, Some(200), true, false), &["CALL_END", "STATE_CHANGE"]),
            (end(Call, Busy, Some(486), true, false), &["CALL_FAILED", "STATE_CHANGE"]),
            (end(Call, Timeout, None, false, false), &["CALL_FAILED", "STATE_CHANGE"]),
            (end(Call, Failed, Some(403), false, false), &["CALL_FAILED", "STATE_CHANGE"]),
            (end(Call, Failed, Some(407), true, false), &["CALL_FAILED", "AUTH_FAILED", "STATE_CHANGE"]),
            (event(Registration, "start"), &[]),
            (end(Registration, Success, Some(200), true, false), &["REGISTERED"]),
            (end(Registration, Success, Some(200), true, true), &["UNREGISTERED"]),
            (end(Registration, Failed, Some(401), true, false), &["AUTH_FAILED"]),
            (end(Registration, Failed, Some(503), true, false), &[]),
            (end(Options, Success, Some(200), false, false), &[]),
        ];
        for (event, wanted) in rows {
            assert_eq!(kinds(vec![event.clone()]), wanted, "{event:?}");
        }
        let timeout = logged(vec![end(Call, Timeout, None, false, false)]);
        assert_eq!(timeout[0]["details"]["reason"], "no final answer");
    }
}
