//! Untrusted text made fit for a terminal and for a line of JSON.
//!
//! A header field may hold an ANSI sequence that retitles the window or wipes the screen, or a bidirectional
//! override that makes `moc.live` read as `evil.com` (CVE-2021-42574). Both are shown, neither acts.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use serde_json::ser::Formatter;

/// Whether `c` acts instead of showing, or may be invisible: controls (C0, DEL, C1), format characters (bidirectional
/// and zero-width ones, soft hyphens, tags), line and paragraph separators. These are the general categories Cc, Cf, Zl
/// and Zp of Unicode 16.
#[must_use]
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// The characters of `text`, those of a kind spelled `\u{a0}`.
pub fn spelled(text: &str, is_spelled: impl Fn(char) -> bool) -> impl Iterator<Item = char> {
    text.chars().flat_map(move |c| {
        let (as_it_is, spelled) =
            if is_spelled(c) { (None, Some(c.escape_unicode())) } else { (Some(c), None) };
        as_it_is.into_iter().chain(spelled.into_iter().flatten())
    })
}

/// Lines to a person, in which what [`acts`] but for line ends is spelled out.
#[must_use]
pub fn lines(text: &str) -> String {
    spelled(text, |c| c != '\n' && acts(c)).collect()
}

/// A text that goes into a line, or the beginning of one that is too long for that.
#[must_use]
pub fn brief(text: &str) -> Cow<'_, str> {
    const CHARACTERS: usize = 120;
    let end = text.char_indices().nth(CHARACTERS).map(|(end, _)| end);
    match end.and_then(|end| text.get(..end)) {
        Some(beginning) => Cow::Owned(format!("{beginning}...")),
        None => Cow::Borrowed(text),
    }
}

/// Whether `c` shows as nothing, or as a space that it is not, and acts on nothing: spaces of the general category Zs but for
/// U+0020, characters that Unicode 16 has ignored by default, and the empty pattern of Braille. Who copies them from a
/// terminal may lose them.
#[must_use]
pub fn is_blank(c: char) -> bool {
    matches!(c,
        '\u{a0}' | '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{1680}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180d}'
        | '\u{180f}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{2800}' | '\u{3000}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{e0080}'..='\u{e0fff}')
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

/// A text of JSON in which every character that [`acts`] is a `\u` escape, above U+FFFF two (RFC 8259 section 7). Line
/// ends stay: inside of strings JSON has none, and outside they are the writer's.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| c != '\n' && acts(c);
    // Nearly every text is plain ASCII, whose controls are escaped already.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !text.chars().any(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().saturating_add(16));
    for c in text.chars() {
        if is_escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Compact JSON in which every character that [`acts`] is a `\u` escape, so that a line of it may be shown with
/// `cat`. (RFC 8259 section 7 demands it for C0 only.)
#[derive(Clone, Copy, Debug, Default)]
pub struct SafeJson;

impl Formatter for SafeJson {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        out.write_all(json(text).as_bytes())
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

/// What acts, for tests of all that shows text: Cc, Zl, Zp and Cf, one after the other.
#[cfg(test)]
const ACTING: [(char, char); 25] = [
    ('\0', '\u{1f}'),
    ('\u{7f}', '\u{9f}'),
    ('\u{2028}', '\u{2028}'),
    ('\u{2029}', '\u{2029}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{2064}'),
    ('\u{2066}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
];

/// Asserts that nothing in `text` but line ends acts.
#[cfg(test)]
pub(crate) fn assert_harmless(text: &str) {
    let acts = |c: char| c != '\n' && ACTING.iter().any(|&(first, last)| (first..=last).contains(&c));
    let found: Vec<char> = text.chars().filter(|c| acts(*c)).collect();
    assert!(found.is_empty(), "{found:?} in {text:?}");
}

/// One character of each kind that acts, but for line ends.
#[cfg(test)]
pub(crate) fn hostile() -> String {
    ACTING.iter().map(|&(_, last)| last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_stay_and_what_acts_in_them_is_spelled() {
        assert_eq!(lines("a\u{1b}[31m\nb\u{202e}\u{9b}\n"), "a\\u{1b}[31m\nb\\u{202e}\\u{9b}\n");
    }

    #[test]
    fn only_a_long_text_is_cut() {
        let (short, long) = ("\u{e4}".repeat(120), "\u{e4}".repeat(121));
        assert_eq!(brief(&short), short);
        assert_eq!(brief(&long), format!("{short}..."));
    }

    /// The categories as another crate knows them.
    #[test]
    fn what_acts_are_controls_format_characters_and_separators() {
        let acting = regex::Regex::new(r"^[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]$").unwrap();
        // Not assigned, and invisible all the same: what surrounds format characters in their blocks.
        let is_unassigned = |c: char| c == '\u{2065}' || ('\u{e0000}'..='\u{e007f}').contains(&c);
        for c in '\0'..=char::MAX {
            let wanted = acting.is_match(c.encode_utf8(&mut [0; 4]));
            assert!(acts(c) == wanted || acts(c) && is_unassigned(c), "{:?}", u32::from(c));
            let listed = ACTING.iter().any(|&(first, last)| (first..=last).contains(&c));
            assert_eq!(listed, wanted, "{:?}", u32::from(c));
        }
    }

    #[test]
    fn what_is_blank_are_spaces_and_what_is_ignored_by_default() {
        let blank = regex::Regex::new(r"^[\p{Zs}\p{Default_Ignorable_Code_Point}\u{2800}]$").unwrap();
        for c in '!'..=char::MAX {
            let wanted = blank.is_match(c.encode_utf8(&mut [0; 4])) && !acts(c);
            assert_eq!(is_blank(c), wanted, "{:?}", u32::from(c));
        }
        assert!(!is_blank(' '));
    }

    #[test]
    fn json_that_is_text_keeps_its_line_ends() {
        assert_eq!(json("{\n  \"a\": \"b\"\n}"), "{\n  \"a\": \"b\"\n}");
        assert_eq!(json("[\n\"\u{e0041}\u{200b}\r\"]"), "[\n\"\\udb40\\udc41\\u200b\\u000d\"]");
    }

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
            let text = text + &hostile();
            for shown in [terminal(&bytes), terminal(text.as_bytes())] {
                prop_assert!(!shown.contains('\n'));
                assert_harmless(&shown);
            }
            let mut line = Vec::new();
            json_line(&mut line, &text).unwrap();
            let line = String::from_utf8(line).unwrap();
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            assert_harmless(&line);
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
