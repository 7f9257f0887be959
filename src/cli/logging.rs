//! Logs go to stderr, and nothing in them acts on a terminal.

use std::io::{self, Write};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat, LogLevel, is_unsafe};

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(log: Log) {
    let level = match log.level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .with_writer(SafeStderr { format: log.format });
    let started = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // Somebody who embeds the library may log already, and then keeps doing so.
    drop(started);
}

struct SafeStderr {
    format: LogFormat,
}

impl<'a> MakeWriter<'a> for SafeStderr {
    type Writer = SafeLine<io::Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        SafeLine { format: self.format, out: io::stderr() }
    }
}

/// Writes one event a call, as one line: what comes from the wire can neither forge a line nor move the cursor.
/// (The subscriber escapes some controls, but neither newlines nor bidirectional ones.)
struct SafeLine<W> {
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
    let mut safe = String::with_capacity(line.len().saturating_add(1));
    for c in line.chars() {
        match (is_unsafe(c), format) {
            (false, _) => safe.push(c),
            (true, LogFormat::Text) => safe.extend(c.escape_default()),
            // All of them are in the first plane, where JSON's escape needs no pair.
            (true, LogFormat::Json) => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
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
        line.write_all("{\"message\":\"x\u{202e}\u{9b}\"}\n".as_bytes()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&line.out).unwrap();
        assert_eq!(value["message"], "x\u{202e}\u{9b}");
        assert!(line.out.is_ascii());
    }
}
