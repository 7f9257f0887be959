//! Records as they come: from files of lines, from a capture, from the running sniffer.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;
use serde_json::ser::Formatter as _;

use crate::call::{CallRecord, Listener, Wants};
use crate::capture::SourceError;
use crate::capture::file::unpacked;
use crate::escape::{SafeJson, json_line};
use crate::privacy::Privacy;

/// Longest line: a record has at most 256 streams of about a kilobyte.
const MAX_LINE: u64 = 4 << 20;

/// One record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its fields.
    pub value: Value,
    /// As it was read, when nothing of it had to be masked.
    line: Option<String>,
}

impl Record {
    /// A record that did not come from a file, as far as it may be told.
    #[must_use]
    pub fn new(value: Value, privacy: Privacy) -> Self {
        Self { value, line: None }.masked(privacy)
    }

    /// The record of a call that a capture holds.
    ///
    /// # Errors
    /// It cannot be told in JSON.
    pub fn of(record: &CallRecord) -> io::Result<Self> {
        let mut line = Vec::new();
        json_line(&mut line, record)?;
        let line = String::from_utf8(line).ok().map(|line| line.trim_end().to_owned());
        Ok(Self { value: serde_json::to_value(record)?, line })
    }

    /// A line of a file; none when it is no record.
    fn read(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        value.get("call_id").and_then(Value::as_str)?;
        let line = std::str::from_utf8(bytes).ok().map(|line| line.trim().to_owned());
        Some(Self { value, line })
    }

    /// As far as it may be told.
    fn masked(mut self, privacy: Privacy) -> Self {
        if privacy.value(&mut self.value) {
            self.line = None;
        }
        self
    }

    /// A field of the record itself as text; empty where there is none.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field of the record itself as a number.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<f64> {
        self.value.get(key).and_then(Value::as_f64)
    }

    /// As one line of JSON in which nothing acts on a terminal, without its end.
    ///
    /// # Errors
    /// It cannot be told in JSON.
    pub fn json(&self) -> io::Result<String> {
        let Some(line) = &self.line else {
            let mut line = Vec::new();
            json_line(&mut line, &self.value)?;
            return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
        };
        let mut safe = Vec::with_capacity(line.len());
        // Between values they are white space; within there are none.
        SafeJson.write_string_fragment(&mut safe, &line.replace(['\t', '\r'], " "))?;
        Ok(String::from_utf8_lossy(&safe).into_owned())
    }
}

/// What to do after a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// The next, please.
    On,
    /// That is enough.
    Stop,
}

/// Takes records.
pub trait Taker {
    /// Whether it wants this one, of which nothing is masked yet: filters look at what was captured.
    fn wants(&mut self, _record: &Record) -> bool {
        true
    }

    /// Takes one that it wants, as far as it may be told.
    ///
    /// # Errors
    /// The output says no.
    fn take(&mut self, record: &Record) -> io::Result<Go>;
}

/// Hands over a record that is in full, if it is wanted.
///
/// # Errors
/// The taker's output says no.
pub fn offer(record: Record, privacy: Privacy, taker: &mut dyn Taker) -> io::Result<Go> {
    if taker.wants(&record) { taker.take(&record.masked(privacy)) } else { Ok(Go::On) }
}

/// What a file of records was like.
#[derive(Debug, Default)]
pub struct Told {
    /// Lines that are records.
    pub records: u64,
    /// Lines that are none.
    pub damaged: u64,
    /// What ended it before its end.
    pub cut: Option<io::Error>,
    /// The taker has enough.
    pub stopped: bool,
}

/// Reads a file of records, plain or packed with gzip or zstd; `-` is standard input. An empty one has none.
///
/// # Errors
/// It cannot be opened, or the taker's output says no.
pub fn read(path: &Path, privacy: Privacy, taker: &mut dyn Taker) -> Result<Told, ReadError> {
    let mut input = match unpacked(path) {
        Ok(input) => BufReader::with_capacity(128 << 10, input),
        Err(SourceError::Empty { .. }) => return Ok(Told::default()),
        Err(error) => return Err(error.into()),
    };
    let (mut told, mut line) = (Told::default(), Vec::new());
    loop {
        line.clear();
        match (&mut input).take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(told),
            Ok(_) => {}
            Err(error) => {
                told.cut = Some(error);
                return Ok(told);
            }
        }
        if line.len() as u64 == MAX_LINE && line.last() != Some(&b'\n') {
            told.damaged += 1;
            if let Err(error) = skip_line(&mut input) {
                told.cut = Some(error);
                return Ok(told);
            }
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let Some(record) = Record::read(&line) else {
            told.damaged += 1;
            continue;
        };
        told.records += 1;
        if offer(record, privacy, taker)? == Go::Stop {
            told.stopped = true;
            return Ok(told);
        }
    }
}

/// Why a file of records was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The output says no.
    #[error(transparent)]
    Output(#[from] io::Error),
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = memchr::memchr(b'\n', buffer);
        let length = end.map_or(buffer.len(), |end| end + 1);
        input.consume(length);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// Hears the records of a run over captures, in full.
pub struct OfCapture<'a> {
    privacy: Privacy,
    taker: &'a mut (dyn Taker + Send),
    full: bool,
    /// The first failure to write; nothing is written after it.
    pub outcome: io::Result<()>,
}

impl<'a> OfCapture<'a> {
    /// Passes them on to `taker`.
    pub fn new(privacy: Privacy, taker: &'a mut (dyn Taker + Send)) -> Self {
        Self { privacy, taker, full: false, outcome: Ok(()) }
    }
}

impl OfCapture<'_> {
    fn hand_over(&mut self, mut record: CallRecord) -> io::Result<Go> {
        let full = Record::of(&record)?;
        if !self.taker.wants(&full) {
            return Ok(Go::On);
        }
        if !self.privacy.masked {
            return self.taker.take(&full);
        }
        self.privacy.record(&mut record);
        self.taker.take(&Record::of(&record)?)
    }
}

impl Listener for OfCapture<'_> {
    fn wants(&self) -> Wants {
        Wants { frames: false, events: false, audit: false, records: true }
    }

    fn closed(&mut self, _: u32, _: bool, record: Option<CallRecord>) {
        let Some(record) = record.filter(|_| !self.full && self.outcome.is_ok()) else { return };
        match self.hand_over(record) {
            Ok(go) => self.full = go == Go::Stop,
            Err(error) => self.outcome = Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    struct Lines(Vec<String>);

    impl Taker for Lines {
        fn take(&mut self, record: &Record) -> io::Result<Go> {
            self.0.push(record.json()?);
            Ok(if self.0.len() < 3 { Go::On } else { Go::Stop })
        }
    }

    fn lines(bytes: &[u8]) -> (Vec<String>, Told) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut lines = Lines(Vec::new());
        let told = read(file.path(), Privacy::default(), &mut lines).unwrap();
        (lines.0, told)
    }

    #[test]
    fn damaged_lines_are_counted_and_cost_no_other() {
        let long = format!("{{\"call_id\":\"{}\"}}", "x".repeat(MAX_LINE as usize));
        let text =
            format!("{{\"call_id\":\"a\"}}\n{{\"call_id\":\n\n[1]\n{long}\n\u{0}\n {{\"call_id\": \"b\"}} ");
        let (lines, told) = lines(text.as_bytes());
        assert_eq!(lines, ["{\"call_id\":\"a\"}", "{\"call_id\": \"b\"}"]);
        assert_eq!((told.records, told.damaged, told.stopped), (2, 4, false));
    }

    #[test]
    fn what_acts_is_escaped_and_still_the_same() {
        let (lines, _) = lines("{\"call_id\":\t\"a\u{202e}\u{9b}\u{e0041}\"}\r\n".as_bytes());
        assert_eq!(lines, ["{\"call_id\": \"a\\u202e\\u009b\\udb40\\udc41\"}"]);
        let value: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(value["call_id"], "a\u{202e}\u{9b}\u{e0041}");
    }

    #[test]
    fn packed_cut_and_empty_files_are_read_as_far_as_they_go() {
        let line = b"{\"call_id\":\"a\"}\n";
        let packed = zstd::encode_all(&line[..], 1).unwrap();
        assert_eq!(lines(&packed).0.len(), 1);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&line.repeat(2)).unwrap();
        let gzip = gzip.finish().unwrap();
        assert_eq!(lines(&gzip).0.len(), 2);
        assert!(lines(&gzip[..gzip.len() - 4]).1.cut.is_some());
        assert_eq!(lines(b"").1.records, 0);
        let (shown, told) = lines(&line.repeat(5));
        assert!(shown.len() == 3 && told.stopped);
    }
}
