//! Reading a start line byte by byte (RFC 3261 7.1, 7.2).
//!
//! The answer to a prefix is exact: `More` only while some continuation would complete the line. A whole line that is
//! as nearly all are is taken at a glance.

use crate::sip::search::memchr;

/// What a start line may measure, with its line end. RFC 3261 names no limit; HTTP servers use 8 KiB.
const MAX_LINE: usize = 8 * 1024;
/// What a method may measure; the registry's longest is 9, the strangest of RFC 4475 (3.1.1.2) is 43.
const MAX_METHOD: usize = 64;
const VERSION: &[u8] = b"SIP/2.0";
/// What a start line begins with, before a space: the methods of the IANA registry, and the version. Where one is
/// the end of another, the longer stands first.
const KEYWORDS: [&[u8]; 15] = [
    VERSION,
    b"INVITE",
    b"PRACK",
    b"ACK",
    b"BYE",
    b"CANCEL",
    b"REGISTER",
    b"OPTIONS",
    b"SUBSCRIBE",
    b"NOTIFY",
    b"PUBLISH",
    b"INFO",
    b"REFER",
    b"MESSAGE",
    b"UPDATE",
];

/// How far a start line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It can still become one.
    More,
    /// It is one, of so many bytes, line end included.
    Complete(usize),
    /// It can never become one.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Method,
    MethodGap,
    Uri,
    UriGap,
    /// So many bytes of the version that ends a request line.
    Version(usize),
    VersionGap,
    /// So many bytes of the version that begins a status line.
    StatusVersion(usize),
    StatusGap,
    Digits(u8),
    Reason,
    /// A CR, which only LF may follow.
    Return,
    Complete,
    Never,
}

/// Reads one start line; remembers how far it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    /// Between messages everything that other implementations may have meant is taken: any method, blanks in the
    /// URI, a version in lower case (RFC 4475 3.1.2). While searching, where any byte may be anything, only a
    /// line as the grammar has it, with a registered method.
    strict: bool,
    status: bool,
    state: State,
    at: usize,
}

impl Reader {
    pub(super) const fn lenient() -> Self {
        Self { strict: false, status: false, state: State::Method, at: 0 }
    }

    /// Behind a keyword and before its space.
    pub(super) fn strict(keyword: &[u8]) -> Self {
        let status = keyword == VERSION;
        let state = if status { State::StatusVersion(VERSION.len()) } else { State::Method };
        Self { strict: true, status, state, at: keyword.len() }
    }

    /// Bytes that were looked at.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Reads on in `bytes`, which begin where the line begins.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Progress {
        let window = bytes.get(..MAX_LINE).unwrap_or(bytes);
        if self.at == 0
            && !self.strict
            && let Some(length) = ordinary(window)
        {
            (self.state, self.at) = (State::Complete, length);
            return Progress::Complete(length);
        }
        while let Some(&byte) = window.get(self.at) {
            self.state = self.step(byte, window.get(..self.at).unwrap_or_default());
            self.at += 1;
            match self.state {
                State::Complete => return Progress::Complete(self.at),
                State::Never => return Progress::Never,
                _ => {}
            }
        }
        if window.len() == MAX_LINE { Progress::Never } else { Progress::More }
    }

    fn step(&mut self, byte: u8, before: &[u8]) -> State {
        let blank = matches!(byte, b' ' | b'\t');
        match self.state {
            State::Method if is_token(byte) && self.at < MAX_METHOD => State::Method,
            State::Method if blank && self.at > 0 => State::MethodGap,
            State::Method if byte == b'/' && before.eq_ignore_ascii_case(b"SIP") => {
                self.status = true;
                State::StatusVersion(before.len() + 1)
            }
            State::MethodGap if blank => State::MethodGap,
            // A URI begins with its scheme. "GET /" ends here and not only at its line end.
            State::MethodGap if byte.is_ascii_alphanumeric() || b"<+[".contains(&byte) => State::Uri,
            State::Uri if self.strict && blank => State::UriGap,
            State::Uri if self.strict && is_text(byte) => State::Uri,
            State::Uri if !self.strict => self.line(byte, before, State::Uri),
            State::UriGap if blank => State::UriGap,
            State::UriGap if VERSION.first() == Some(&byte) => State::Version(1),
            State::Version(known) if VERSION.get(known) == Some(&byte) => State::Version(known + 1),
            State::Version(known) if known == VERSION.len() && (blank || !is_text(byte)) => {
                self.line(byte, before, State::VersionGap)
            }
            State::VersionGap if blank || !is_text(byte) => self.line(byte, before, State::VersionGap),
            State::StatusVersion(known) if known == VERSION.len() && blank => State::StatusGap,
            State::StatusVersion(known)
                if VERSION.get(known).is_some_and(|expected| expected.eq_ignore_ascii_case(&byte)) =>
            {
                State::StatusVersion(known + 1)
            }
            State::StatusGap if blank => State::StatusGap,
            State::StatusGap if byte.is_ascii_digit() => State::Digits(1),
            State::Digits(known) if known < 3 && byte.is_ascii_digit() => State::Digits(known + 1),
            State::Digits(3) if blank || !is_text(byte) => self.line(byte, before, State::Reason),
            // A body that ends in a status line (message/sipfrag) and no line end may stand before the real one.
            State::Reason if self.strict && byte == b' ' && before.ends_with(VERSION) => State::Never,
            State::Reason => self.line(byte, before, State::Reason),
            State::Return if byte == b'\n' => State::Complete,
            _ => State::Never,
        }
    }

    /// A byte of what runs to the line's end.
    fn line(&self, byte: u8, before: &[u8], same: State) -> State {
        match byte {
            b'\n' if self.can_end(before) => State::Complete,
            b'\r' if self.can_end(before) => State::Return,
            _ if is_text(byte) => same,
            _ => State::Never,
        }
    }

    fn can_end(&self, line: &[u8]) -> bool {
        match (self.status, self.strict) {
            (true, true) => request_in_reason(line).is_none(),
            (true, false) | (false, true) => true,
            (false, false) => {
                before_version(line).is_some_and(|rest| rest.iter().any(u8::is_ascii_whitespace))
            }
        }
    }
}

/// The length, with its line end, of the start line that `bytes` begin with, if it is written as nearly everybody
/// writes it. What is not, is left to be read byte by byte.
#[inline]
pub(super) fn ordinary(bytes: &[u8]) -> Option<usize> {
    let is_status = matches!(
        bytes.split_first_chunk(),
        Some((b"SIP/2.0 ", [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', ..]))
    );
    if !is_status && !begins_request(bytes) {
        return None;
    }
    let end = memchr(b'\n', bytes)?;
    let line = bytes.get(..end).filter(|line| line.len() < MAX_LINE)?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // Without a way out, that many bytes are compared at once.
    let is_text = line.iter().fold(true, |so_far, &byte| so_far & (byte >= b' '));
    (is_text && (is_status || line.ends_with(b" SIP/2.0"))).then_some(end + 1)
}

/// Whether there is a method, one blank and the beginning of a scheme.
#[inline]
fn begins_request(bytes: &[u8]) -> bool {
    let method = bytes.iter().take(MAX_METHOD).take_while(|&&byte| is_token(byte)).count();
    method > 0 && matches!(bytes.get(method..), Some([b' ', b'a'..=b'z', ..]))
}

/// What stands before the version at the end of a request line.
fn before_version(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii_end();
    let (rest, version) = line.split_at_checked(line.len().checked_sub(VERSION.len())?)?;
    let spaced = rest.last().is_some_and(u8::is_ascii_whitespace);
    (spaced && version.eq_ignore_ascii_case(VERSION)).then(|| rest.trim_ascii_end())
}

/// A request line at the end of what was taken for a status line: the later start is the real one.
fn request_in_reason(line: &[u8]) -> Option<&'static [u8]> {
    let rest = before_version(line)?;
    let gap = rest.iter().rposition(u8::is_ascii_whitespace)?;
    keyword_before(rest.get(..gap)?.trim_ascii_end()).filter(|keyword| *keyword != VERSION)
}

/// The keyword that `bytes` end with.
pub(super) fn keyword_before(bytes: &[u8]) -> Option<&'static [u8]> {
    let last = bytes.last()?;
    KEYWORDS.into_iter().find(|keyword| keyword.last() == Some(last) && bytes.ends_with(keyword))
}

/// Bytes of the longest keyword.
const MAX_KEYWORD: usize = b"SUBSCRIBE".len();

/// How many of the last of `bytes` can be the beginning of a keyword.
pub(super) fn keyword_begun(bytes: &[u8]) -> usize {
    let last = bytes.last_chunk::<MAX_KEYWORD>().map_or(bytes, |last| last);
    let begins = |&place: &usize| {
        let Some(end @ [first, ..]) = last.get(place..) else { return false };
        // Nearly always the byte alone says no.
        first.is_ascii_uppercase()
            && KEYWORDS.iter().any(|keyword| keyword.first() == Some(first) && keyword.starts_with(end))
    };
    (0..last.len()).find(begins).map_or(0, |place| last.len() - place)
}

/// Whether a line, with its line end, is a start line in the strict sense.
pub(super) fn is_strict(line: &[u8]) -> bool {
    KEYWORDS
        .into_iter()
        .filter(|keyword| line.starts_with(keyword))
        .any(|keyword| Reader::strict(keyword).read(line) == Progress::Complete(line.len()))
}

/// The bytes of a token (RFC 3261 25.1).
#[allow(clippy::indexing_slicing, reason = "the compiler does it, and a byte is below 256")]
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"-.!%*_+`'~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    while let [byte, more @ ..] = rest {
        table[*byte as usize] = true;
        rest = more;
    }
    table
};

/// A byte of a token.
#[inline]
pub(super) fn is_token(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Anything but a control character: reason phrases and broken URIs come in any encoding (RFC 4475 3.1.1.12).
const fn is_text(byte: u8) -> bool {
    byte >= b' ' || byte == b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lenient(line: &[u8]) -> Progress {
        Reader::lenient().read(line)
    }

    #[test]
    fn takes_the_start_lines_of_rfc_4475() {
        let lines: [&[u8]; 9] = [
            b"INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n", // 3.1.1.1
            b"!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\r\n", // 3.1.1.2
            b"SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe\r\n", // 3.1.1.12
            b"SIP/2.0 100 \r\n",                               // 3.1.1.13
            b"INVITE <sip:user@example.com> SIP/2.0\r\n",      // 3.1.2.7
            b"INVITE sip:user@example.com; lr SIP/2.0\r\n",    // 3.1.2.8
            b"INVITE  sip:user@example.com  SIP/2.0\r\n",      // 3.1.2.9
            b"OPTIONS sip:remote-target@example.com SIP/2.0  \r\n", // 3.1.2.10
            b"NEWMETHOD nobodyKnowsThisScheme:totallyopaquecontent sip/2.0\n", // 3.3.2, version in lower case
        ];
        for line in lines {
            assert_eq!(lenient(line), Progress::Complete(line.len()), "{}", line.escape_ascii());
            for cut in 0..line.len() {
                assert_eq!(lenient(&line[..cut]), Progress::More, "{}", line[..cut].escape_ascii());
            }
        }
    }

    #[test]
    fn refuses_at_the_first_byte_that_cannot_be() {
        let prefixes: [&[u8]; 13] = [
            b"\x80",
            b"\x16",
            b" ",
            b"GET /",
            b"SSH-2.0-x\r",
            b"220 mail.example ESMTP\n",
            b"OPTIONS sip:t.watson@example.org SIP/7.0\r", // RFC 4475 3.1.2.16
            b"SIP/2.0 4294",                               // RFC 4475 3.1.2.19
            b"SIP/2.0/",
            b"SIP/2.0 2x",
            b"INVITE SIP/2.0\n",
            b"INVITE sip:a\r",
            b"INVITE sip:a SIP/2.0\rS",
        ];
        for prefix in prefixes {
            assert_eq!(lenient(prefix), Progress::Never, "{}", prefix.escape_ascii());
            let shorter = &prefix[..prefix.len() - 1];
            assert_eq!(lenient(shorter), Progress::More, "{}", shorter.escape_ascii());
        }
    }

    #[test]
    fn bounds_method_and_line() {
        assert_eq!(lenient(&[b'A'; MAX_METHOD]), Progress::More);
        assert_eq!(lenient(&[b'A'; MAX_METHOD + 1]), Progress::Never);
        let mut line = b"INVITE sip:".to_vec();
        line.resize(MAX_LINE - 1, b'a');
        assert_eq!(lenient(&line), Progress::More);
        line.push(b'a');
        assert_eq!(lenient(&line), Progress::Never);
    }

    #[test]
    fn strict_lines_are_those_of_the_grammar() {
        assert!(is_strict(b"PRACK sip:a SIP/2.0\r\n"));
        assert!(is_strict(b"SIP/2.0 481 CANCEL does not match\n"));
        assert!(!is_strict(b"invite sip:a SIP/2.0\r\n"));
        assert!(!is_strict(b"NEWMETHOD sip:a SIP/2.0\r\n"));
        assert!(!is_strict(b"INVITE sip:a b SIP/2.0\r\n"));
        assert!(!is_strict(b"SIP/2.0 200 OKINVITE sip:a SIP/2.0\r\n"));
        assert!(!is_strict(b"SIP/2.0 200 OKSIP/2.0 200 OK\r\n"));
        assert!(!is_strict(b"CSeq: 1 INVITE\r\n"));
    }

    #[test]
    fn knows_what_may_be_the_beginning_of_a_keyword() {
        assert_eq!(keyword_begun(b"xxPRA"), 3);
        assert_eq!(keyword_begun(b"SUBSCRIBE"), 9);
        assert_eq!(keyword_begun(b"INVITE "), 0);
        assert_eq!(keyword_before(b"xPRACK"), Some(b"PRACK".as_slice()));
        assert_eq!(keyword_before(b"xxACK"), Some(b"ACK".as_slice()));
        assert_eq!(keyword_before(b""), None);
    }
}
