//! One event, one line, and nothing in it that acts.

use std::io::{self, Write};
use std::sync::Arc;

use tracing_subscriber::fmt::MakeWriter;

use super::output::LogFile;
use super::stderr;
use crate::config::LogFormat;
use crate::escape::{acts, json};

/// Makes writers of lines.
pub(super) struct Lines {
    format: LogFormat,
    file: Option<Arc<LogFile>>,
}

impl Lines {
    pub(super) const fn to_stderr(format: LogFormat) -> Self {
        Self { format, file: None }
    }

    pub(super) const fn to_file(format: LogFormat, file: Arc<LogFile>) -> Self {
        Self { format, file: Some(file) }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = SafeLine<Out<'a>>;

    fn make_writer(&'a self) -> Self::Writer {
        let out = self.file.as_deref().map_or_else(|| Out::Stderr(io::stderr()), Out::File);
        SafeLine { format: self.format, out }
    }
}

/// Where a line goes.
pub(super) enum Out<'a> {
    Stderr(io::Stderr),
    File(&'a LogFile),
}

impl Write for Out<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stderr(out) => match stderr::live() {
                Some(live) => live.push(line),
                None => out.write_all(line)?,
            },
            Self::File(file) => file.append(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes one event a call, as one line: what comes from the wire can neither forge a line nor move the cursor.
/// (The subscriber escapes some controls, but neither newlines nor bidirectional ones.)
pub(super) struct SafeLine<W> {
    format: LogFormat,
    out: W,
}

impl<W: Write> Write for SafeLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        self.out.write_all(safe(line, self.format).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn safe(line: &str, format: LogFormat) -> String {
    let mut safe = match format {
        LogFormat::Json => json(line).replace('\n', "\\n"),
        _ => String::with_capacity(line.len().saturating_add(1)),
    };
    if format != LogFormat::Json {
        for c in line.chars() {
            if acts(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
        }
    }
    safe.push('\n');
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_controls() {
        let mut line = SafeLine { format: LogFormat::Text, out: Vec::new() };
        line.write_all("a\x1b[31m\r\nerror: forged \u{202e}x\u{9b}\n".as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(line.out).unwrap(),
            "a\\u{1b}[31m\\r\\nerror: forged \\u{202e}x\\u{9b}\n"
        );
    }

    #[test]
    fn json_stays_json() {
        let mut line = SafeLine { format: LogFormat::Json, out: Vec::new() };
        line.write_all("{\"message\":\"x\u{202e}\u{9b}\u{e0041}\u{200b}\"}\n".as_bytes()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&line.out).unwrap();
        assert_eq!(value["message"], "x\u{202e}\u{9b}\u{e0041}\u{200b}");
        assert!(line.out.is_ascii());
    }
}
