//! Untrusted text made fit for a terminal and for a line of JSON.
//!
//! A header field may hold an ANSI sequence that retitles the window or wipes the screen, or a bidirectional
//! override that makes `moc.live` read as `evil.com` (CVE-2021-42574). Both are shown, neither acts.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use serde_json::ser::Formatter;

/// Whether `c` acts instead of showing: controls (C0, DEL, C1), bidirectional controls, zero-width and other
/// invisible format characters, line and paragraph separators.
#[must_use]
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `bytes` as text that a terminal shows and does not obey.
///
/// Printable UTF-8 stays. Every byte of anything else (see [`acts`]; broken UTF-8) becomes `\xHH`, and a
/// backslash doubles, so that the text still says which bytes came in. Borrows when nothing had to change.
#[must_use]
pub fn terminal(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c == '\\' || acts(c)) => Cow::Borrowed(text),
        _ => Cow::Owned(escaped(bytes)),
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().saturating_add(16));
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                out.push_str("\\\\");
            } else if acts(c) {
                push_hex(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                out.push(c);
            }
        }
        push_hex(&mut out, chunk.invalid());
    }
    out
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(out, "\\x{byte:02x}");
    }
}

/// Compact JSON in which every character that [`acts`] is a `\u` escape, so that a line of it may be shown with
/// `cat`. (RFC 8259 section 7 demands it for C0 only.)
#[derive(Clone, Copy, Debug, Default)]
pub struct SafeJson;

impl Formatter for SafeJson {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        // Nearly every fragment is plain ASCII, and DEL is the only ASCII character left to escape here.
        if text.bytes().all(|byte| byte < 0x7f) {
            return out.write_all(text.as_bytes());
        }
        let mut shown = 0;
        for (at, c) in text.char_indices().filter(|&(_, c)| acts(c)) {
            out.write_all(text.get(shown..at).unwrap_or_default().as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            shown = at + c.len_utf8();
        }
        out.write_all(text.get(shown..).unwrap_or_default().as_bytes())
    }
}

/// Writes `value` as one line of [`SafeJson`].
///
/// # Errors
/// Those of the writer.
pub fn json_line<W: io::Write + ?Sized>(out: &mut W, value: &impl serde::Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, SafeJson);
    value.serialize(&mut serializer)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_is_borrowed() {
        assert!(matches!(
            terminal("Zoë <sip:z@example.com>".as_bytes()),
            Cow::Borrowed("Zoë <sip:z@example.com>")
        ));
    }

    #[test]
    fn what_acts_is_shown_as_bytes() {
        let rows: [(&[u8], &str); 7] = [
            (b"\x1b[2J", "\\x1b[2J"),
            (b"a\r\nb\0", "a\\x0d\\x0ab\\x00"),
            (b"\x7f", "\\x7f"),
            ("\u{9b}31m".as_bytes(), "\\xc2\\x9b31m"),
            ("a\u{202e}b".as_bytes(), "a\\xe2\\x80\\xaeb"),
            (b"\xff\xfeok", "\\xff\\xfeok"),
            (b"C:\\x1b", "C:\\\\x1b"),
        ];
        for (bytes, shown) in rows {
            assert_eq!(terminal(bytes), shown);
        }
    }

    #[test]
    fn json_hides_nothing_and_parses_back() {
        let text = "a\"\\\n\u{1}\u{7f}\u{85}\u{202e}\u{e0041}é";
        let mut line = Vec::new();
        json_line(&mut line, &text).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line, "\"a\\\"\\\\\\n\\u0001\\u007f\\u0085\\u202e\\udb40\\udc41é\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    proptest! {
        #[test]
        fn nothing_that_acts_comes_through(bytes: Vec<u8>, text: String) {
            prop_assert!(!terminal(&bytes).chars().any(acts));
            prop_assert!(!terminal(text.as_bytes()).chars().any(acts));
            let mut line = Vec::new();
            json_line(&mut line, &text).unwrap();
            let line = String::from_utf8(line).unwrap();
            prop_assert!(!line.trim_end_matches('\n').chars().any(acts));
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
