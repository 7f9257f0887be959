//! Finding the end of a header section and its Content-Length on the way (RFC 3261 7.3, 18.3).

use super::start_line::{is_strict, is_token};
use crate::sip::ContentLength;
use crate::sip::search::memchr;

/// What a start line and header fields may measure together. Nothing legitimate comes near; without a limit, one
/// header line without an end would be buffered for ever.
pub(super) const MAX_HEAD: usize = 64 * 1024;

const VIA: u8 = 1;
const CALL_ID: u8 = 1 << 1;
const CSEQ: u8 = 1 << 2;

/// How far a header section is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The empty line may still come.
    More,
    /// It ends with the empty line, so many bytes from the start line's first.
    Complete(usize),
    /// It can never end well. Neither can any that begins within the next so many bytes.
    Never(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    LineStart,
    Name,
    /// Between name and colon, where RFC 3261 7.3.1 allows blanks.
    NameGap,
    Value,
    /// In a line that is no header field.
    Junk,
}

/// Reads one header section; remembers how far it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    /// While searching, a line that is no header field ends the section, and Via, Call-ID and CSeq must be there;
    /// between messages all of this is put up with.
    strict: bool,
    phase: Phase,
    at: usize,
    line: usize,
    name_end: usize,
    /// Where the value of the Content-Length that is being read begins; it may be folded.
    length_at: Option<usize>,
    length: ContentLength,
    seen: u8,
}

impl Reader {
    /// Behind a start line that ends at `start`.
    pub(super) const fn new(start: usize, strict: bool) -> Self {
        Self {
            strict,
            phase: Phase::LineStart,
            at: start,
            line: start,
            name_end: start,
            length_at: None,
            length: ContentLength::Missing,
            seen: 0,
        }
    }

    /// Between messages, behind header fields that end at `start`, of which Content-Length says that.
    pub(super) const fn behind(start: usize, length: ContentLength) -> Self {
        Self { length, ..Self::new(start, false) }
    }

    /// Bytes that were looked at, the start line included.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// What Content-Length says, once the section is complete.
    pub(super) const fn content_length(&self) -> ContentLength {
        self.length
    }

    /// Reads on in `bytes`, which begin with the start line.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Progress {
        let window = bytes.get(..MAX_HEAD).unwrap_or(bytes);
        while let Some(&byte) = window.get(self.at) {
            let answer = match self.phase {
                Phase::LineStart => self.line_start(byte, window),
                Phase::Name => self.name(window),
                Phase::NameGap => self.name_gap(byte, window),
                Phase::Value | Phase::Junk => self.line_rest(window),
            };
            if let Some(answer) = answer {
                return answer;
            }
        }
        if window.len() == MAX_HEAD { Progress::Never(self.line) } else { Progress::More }
    }

    /// None when there is more to read; so in all phases.
    #[inline]
    fn line_start(&mut self, byte: u8, window: &[u8]) -> Option<Progress> {
        self.line = self.at;
        if !self.strict
            && let Some(length) = indifferent(window.get(self.at..).unwrap_or_default())
        {
            self.close_length(window);
            self.at += length;
            return None;
        }
        // Without these there is no transaction (RFC 3261 8.1.1), and while searching, no message.
        if self.strict && matches!(byte, b'\r' | b'\n') && self.seen != VIA | CALL_ID | CSEQ {
            return Some(Progress::Never(self.line));
        }
        let end = match (byte, window.get(self.at + 1)) {
            (b'\n', _) => Some(self.at + 1),
            (b'\r', Some(b'\n')) => Some(self.at + 2),
            // Alone at the end of the window it waits for its LF, or for the limit.
            (b'\r', None) if window.len() == MAX_HEAD => return Some(Progress::Never(self.line)),
            (b'\r', None) => return Some(Progress::More),
            _ => None,
        };
        if let Some(end) = end {
            self.close_length(window);
            return Some(Progress::Complete(end));
        }
        match byte {
            // A folded line goes on with the value before it (RFC 3261 7.3.1).
            b' ' | b'\t' => self.phase = Phase::Value,
            _ if is_token(byte) => {
                self.close_length(window);
                self.phase = Phase::Name;
            }
            _ => return Some(Progress::Never(self.line)),
        }
        None
    }

    fn name(&mut self, window: &[u8]) -> Option<Progress> {
        let rest = window.get(self.at..).unwrap_or_default();
        let Some(length) = rest.iter().position(|&byte| !is_token(byte)) else {
            self.at = window.len();
            return None;
        };
        self.at += length;
        self.name_end = self.at;
        self.phase = Phase::NameGap;
        None
    }

    fn name_gap(&mut self, byte: u8, window: &[u8]) -> Option<Progress> {
        match byte {
            b' ' | b'\t' => self.at += 1,
            b':' => {
                self.at += 1;
                self.phase = Phase::Value;
                self.field(window.get(self.line..self.name_end).unwrap_or_default());
            }
            _ if self.strict => return Some(Progress::Never(self.line)),
            _ => self.phase = Phase::Junk,
        }
        None
    }

    fn field(&mut self, name: &[u8]) {
        let is = |long: &[u8], compact: &[u8]| {
            name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(compact)
        };
        match name.len() {
            1 | 3 if is(b"Via", b"v") => self.seen |= VIA,
            1 | 7 if is(b"Call-ID", b"i") => self.seen |= CALL_ID,
            4 if is(b"CSeq", b"") => self.seen |= CSEQ,
            1 | 14 if is(b"Content-Length", b"l") => self.length_at = Some(self.at),
            _ => {}
        }
    }

    fn line_rest(&mut self, window: &[u8]) -> Option<Progress> {
        let rest = window.get(self.at..).unwrap_or_default();
        let Some(end) = memchr(b'\n', rest) else {
            self.at = window.len();
            return None;
        };
        self.at += end + 1;
        // The message broke off, and here is the next.
        if self.phase == Phase::Junk && is_strict(window.get(self.line..self.at).unwrap_or_default()) {
            return Some(Progress::Never(self.line));
        }
        self.phase = Phase::LineStart;
        None
    }

    /// Takes the Content-Length whose value ended with the last line.
    fn close_length(&mut self, window: &[u8]) {
        let Some(start) = self.length_at.take() else { return };
        let value = window.get(start..self.line).unwrap_or_default();
        self.length = self.length.and(value.trim_ascii());
    }
}

/// The length, with its line end, of the line that `bytes` begin with, if it can be told at a glance that it has no say
/// in where a message ends. Between messages that is any line but an empty or a folded one, Content-Length, and what
/// looks like a start line; whether a name stands in it does not matter then.
#[inline]
fn indifferent(bytes: &[u8]) -> Option<usize> {
    let concerns = match *bytes.first()? {
        b'L' | b'l' => true,
        b'C' | b'c' => bytes.get(8).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'l')),
        b'S' => bytes.get(3) == Some(&b'/'),
        first => !is_token(first),
    };
    if concerns {
        return None;
    }
    let end = memchr(b'\n', bytes)?;
    let is_request = bytes.get(..end).is_some_and(|line| line.trim_ascii_end().ends_with(b"SIP/2.0"));
    (!is_request).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length_of(section: &[u8]) -> ContentLength {
        let mut reader = Reader::new(0, false);
        assert_eq!(reader.read(section), Progress::Complete(section.len()), "{}", section.escape_ascii());
        reader.content_length()
    }

    #[test]
    fn reads_content_length_in_all_its_forms() {
        let forms: [(&[u8], ContentLength); 17] = [
            (b"Content-Length: 10\r\n\r\n", ContentLength::Given(10)),
            (b"content-LENGTH:10\n\n", ContentLength::Given(10)),
            (b"l: 10\r\n\n", ContentLength::Given(10)),
            (b"L  \t:  10  \n\r\n", ContentLength::Given(10)),
            (b"Content-Length:\r\n 10\r\n\r\n", ContentLength::Given(10)),
            (b"Content-Length:\r\n\t\r\n  0010\r\n \r\n\r\n", ContentLength::Given(10)),
            (b"l: 10\r\nVia: x\r\nContent-Length: 10\r\n\r\n", ContentLength::Given(10)),
            (b"l: 4294967295\r\n\r\n", ContentLength::Given(u64::from(u32::MAX))),
            (b"l: 4294967296\r\n\r\n", ContentLength::Invalid),
            (b"l: 18446744073709551615\r\n\r\n", ContentLength::Invalid),
            (b"l: 10\r\nContent-Length: 11\r\nl: 10\r\n\r\n", ContentLength::Invalid),
            (b"l: -10\r\n\r\n", ContentLength::Invalid),
            (b"l: 1\r\n 0\r\n\r\n", ContentLength::Invalid),
            (b"l: 10, 10\r\n\r\n", ContentLength::Invalid),
            (b"l:\r\n\r\n", ContentLength::Invalid),
            (b"X-Content-Length: 10\r\nm: 10\r\n\r\n", ContentLength::Missing),
            (b"Subject: x\r\n Content-Length: 10\r\n\r\n", ContentLength::Missing),
        ];
        for (section, length) in forms {
            assert_eq!(length_of(section), length, "{}", section.escape_ascii());
        }
    }

    #[test]
    fn ends_where_no_header_field_can_be() {
        assert_eq!(Reader::new(0, false).read(b"Via: x\r\n\x80"), Progress::Never(8));
        assert_eq!(Reader::new(0, false).read(b"Via: x\r\n\rx"), Progress::Never(8));
        assert_eq!(Reader::new(0, false).read(b"Via: x\r\n\r"), Progress::More);
        assert_eq!(Reader::new(0, false).read(b"junk line\r\n\r\n"), Progress::Complete(13));
        assert_eq!(Reader::new(0, true).read(b"Via: x\r\njunk l"), Progress::Never(8));
        let next = b"Via: x\r\nSIP/2.0 200 OK\r\n\r\n";
        assert_eq!(Reader::new(0, false).read(next), Progress::Never(8));
    }

    #[test]
    fn is_bounded() {
        let mut section = b"Via: x\r\nSubject: ".to_vec();
        section.resize(MAX_HEAD - 3, b'x');
        section.extend_from_slice(b"\n\r\n");
        assert_eq!(Reader::new(0, false).read(&section), Progress::Complete(MAX_HEAD));
        section.insert(20, b'x');
        assert_eq!(Reader::new(0, false).read(&section), Progress::Never(MAX_HEAD - 1));
        assert_eq!(Reader::new(0, false).read(&section[..MAX_HEAD]), Progress::Never(MAX_HEAD - 1));
        assert_eq!(Reader::new(0, false).read(&section[..MAX_HEAD - 1]), Progress::More);
    }
}
