//! Steps of calls on standard output, as they happen (`--format`).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use crate::call::{CallEvent, CallResult};
use crate::escape::{json_line, terminal};
use crate::sink::line_file::LineFile;

/// How events are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventFormat {
    /// One aligned line each.
    #[default]
    Text,
    /// One object a line.
    Json,
    /// Not at all.
    None,
}

/// How Call-IDs are shown in lines of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallIds {
    /// As they are: what reads the lines may look for one.
    Whole,
    /// Long ones without their middle, for the lines of a terminal.
    Short,
}

/// Writes events to standard output. Once its reader is gone (`| head`) it is silent, and that is no error.
#[derive(Debug)]
pub struct EventWriter {
    out: LineFile,
    format: EventFormat,
    call_ids: CallIds,
}

impl EventWriter {
    /// A writer in that form.
    #[must_use]
    pub fn new(format: EventFormat, call_ids: CallIds) -> Self {
        Self { out: LineFile::stdout(), format, call_ids }
    }

    /// Whether nobody reads: the format is none, or the reader is gone. Events need not be made then.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.format == EventFormat::None || self.out.is_unread()
    }

    /// Shows an event.
    ///
    /// # Errors
    /// Those of the output, except that its reader is gone.
    pub fn push(&mut self, event: &CallEvent) -> io::Result<()> {
        let Self { out, format, call_ids } = self;
        match format {
            EventFormat::Text => out.push(|out| line(out, event, *call_ids)),
            EventFormat::Json => out.push(|out| json_line(out, event)),
            EventFormat::None => Ok(()),
        }
    }

    pub(super) const fn file(&self) -> &LineFile {
        &self.out
    }

    pub(super) const fn file_mut(&mut self) -> &mut LineFile {
        &mut self.out
    }
}

/// Longest Call-ID that is never shortened.
const CALL_ID_WIDTH: usize = 28;

/// Time, Call-ID, step, who, where, answer, result.
fn line(out: &mut impl Write, event: &CallEvent, call_ids: CallIds) -> io::Result<()> {
    let call_id = terminal(event.call_id.as_bytes());
    let call_id = if call_ids == CallIds::Short { middle_cut(&call_id) } else { call_id };
    let who = format!("{} -> {}", terminal(event.from.as_bytes()), terminal(event.to.as_bytes()));
    let place = format!("{} -> {}", event.source, event.destination);
    let method = terminal(event.method.as_bytes());
    let mut line = format!(
        "{}  {call_id:<CALL_ID_WIDTH$}  {method:<9} {:<9} {who:<32}  {place:<44}",
        event.timestamp.rfc3339(),
        event.event,
    );
    // Nothing can go wrong where text is appended to text.
    if let Some(code) = event.status_code {
        let _ = write!(line, "  {code}");
    }
    if let Some(reason) = &event.reason {
        let _ = write!(line, " {}", terminal(reason.as_bytes()));
    }
    if let Some(result) = event.result {
        let _ = write!(line, "  {}", result_word(result));
    }
    if let Some(seconds) = event.duration_seconds {
        let _ = write!(line, "  {seconds:.1} s");
    }
    writeln!(out, "{}", line.trim_end_matches(' '))
}

/// The first and last characters of a long text: Call-IDs differ at either end.
fn middle_cut<'a>(text: &Cow<'a, str>) -> Cow<'a, str> {
    let count = text.chars().count();
    if count <= CALL_ID_WIDTH {
        return text.clone();
    }
    let half = (CALL_ID_WIDTH - 1) / 2;
    let head = text.chars().take(half);
    let tail = text.chars().skip(count - (CALL_ID_WIDTH - 1 - half));
    head.chain(std::iter::once('…')).chain(tail).collect::<String>().into()
}

/// The word that records use.
const fn result_word(result: CallResult) -> &'static str {
    match result {
        CallResult::Success => "success",
        CallResult::Failed => "failed",
        CallResult::Timeout => "timeout",
        CallResult::Cancelled => "cancelled",
        CallResult::Busy => "busy",
        CallResult::Redirected => "redirected",
        CallResult::Open => "open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::CallKind;
    use crate::flow::{Address, Endpoint};
    use crate::sink::line_file::Begin;
    use crate::time::Timestamp;

    fn event(call_id: &str) -> CallEvent {
        CallEvent {
            timestamp: Timestamp::new(482_196_050, 520_000_000),
            call_id: call_id.to_owned(),
            kind: CallKind::Call,
            event: "end",
            method: "INVITE".to_owned(),
            from: "al\u{1b}[31mice".to_owned(),
            to: "b\u{202e}ob".to_owned(),
            source: Endpoint::new(Address::v4([192, 0, 2, 1]), 5060),
            destination: Endpoint::new(Address::v6([1; 16]), 5060),
            status_code: Some(200),
            reason: Some("O\nK".to_owned()),
            result: Some(CallResult::Success),
            duration_seconds: Some(12.34),
            request_uri: None,
            ended_by: None,
            end_reason: None,
            authenticated: false,
            unregisters: false,
            kept: true,
        }
    }

    fn shown(format: EventFormat, call_id: &str) -> String {
        written(format, CallIds::Short, &event(call_id))
    }

    fn written(format: EventFormat, call_ids: CallIds, event: &CallEvent) -> String {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("events");
        let out = LineFile::open(&path, Begin::Anew).unwrap();
        let mut writer = EventWriter { out, format, call_ids };
        writer.push(event).unwrap();
        writer.out.flush().unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_line_is_one_line_and_safe() {
        let line = shown(EventFormat::Text, "a84b4c76e66710@pc33.atlanta.example.com");
        assert_eq!(
            line,
            "1985-04-12T23:20:50.520000Z  a84b4c76e6671…ta.example.com  INVITE    end       \
             al\\x1b[31mice -> b\\xe2\\x80\\xaeob  \
             192.0.2.1:5060 -> [101:101:101:101:101:101:101:101]:5060  200 O\\x0aK  success  12.3 s\n"
        );
        assert!(shown(EventFormat::Text, "short").contains("  short                         INVITE"));
    }

    #[test]
    fn a_call_id_is_whole_where_no_terminal_is_and_a_line_ends_with_its_last_word() {
        let call_id = "a84b4c76e66710@pc33.atlanta.example.com";
        let bare = CallEvent {
            status_code: None,
            reason: None,
            result: None,
            duration_seconds: None,
            ..event(call_id)
        };
        let line = written(EventFormat::Text, CallIds::Whole, &bare);
        assert!(line.contains(&format!("  {call_id}  INVITE    end ")), "{line}");
        assert!(line.ends_with(" -> [101:101:101:101:101:101:101:101]:5060\n"), "{line:?}");
        let short = CallEvent { destination: event("x").source, ..bare };
        let line = written(EventFormat::Text, CallIds::Whole, &short);
        assert!(line.ends_with("  192.0.2.1:5060 -> 192.0.2.1:5060\n"), "{line:?}");
    }

    #[test]
    fn json_is_the_event() {
        let value: serde_json::Value = serde_json::from_str(&shown(EventFormat::Json, "x")).unwrap();
        assert_eq!(value["result"], result_word(CallResult::Success));
        assert_eq!(value["from"], "al\u{1b}[31mice");
        assert_eq!(shown(EventFormat::None, "x"), "");
    }

    #[test]
    fn results_have_the_words_of_records() {
        use CallResult::*;
        for result in [Success, Failed, Timeout, Cancelled, Busy, Redirected, Open] {
            assert_eq!(serde_json::to_value(result).unwrap(), result_word(result));
        }
    }
}
