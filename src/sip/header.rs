//! Header fields: lines, names, lists and parameters (RFC 3261 7.3.1, 20, 25.1).

use super::search::{LineFeeds, memchr, memchr2, memchr3};
use super::uri::until;

/// The header fields that a [`crate::sip::Head`] takes something from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the registry")]
pub enum Name {
    CallId,
    From,
    To,
    Via,
    CSeq,
    Contact,
    ContentType,
    ContentLength,
    UserAgent,
    Server,
    Reason,
    AssertedIdentity,
    Expires,
    Authorization,
    ProxyAuthorization,
    RSeq,
    RAck,
    MinSe,
    ReferTo,
    Event,
    SubscriptionState,
    Replaces,
    SessionExpires,
    /// X-Call-ID and X-CID, by which a B2BUA names the Call-ID of the other leg.
    XCallId,
    XCid,
    SessionId,
    ChargingVector,
    Diversion,
    HistoryInfo,
    Other,
}

impl Name {
    /// The field that `name` names, in its long or its compact form, in any case.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let Some(&first) = name.first() else { return Self::Other };
        let (long, found): (&[u8], Self) = match (first | 0x20, name.len()) {
            (_, 1) => return Self::compact(first),
            (b'v', 3) => (b"via", Self::Via),
            (b't', 2) => (b"to", Self::To),
            (b'f', 4) => (b"from", Self::From),
            (b'c', 4) => (b"cseq", Self::CSeq),
            // Call-ID and Contact have the same length; only one of them has a hyphen.
            (b'c', 7) if name.get(4) == Some(&b'-') => (b"call-id", Self::CallId),
            (b'c', 7) => (b"contact", Self::Contact),
            (b'c', 12) => (b"content-type", Self::ContentType),
            (b'c', 14) => (b"content-length", Self::ContentLength),
            (b'u', 10) => (b"user-agent", Self::UserAgent),
            (b's', 6) => (b"server", Self::Server),
            (b'r', 6) => (b"reason", Self::Reason),
            (b'r', 4) if name.get(1).is_some_and(|second| second | 0x20 == b's') => (b"rseq", Self::RSeq),
            (b'r', 4) => (b"rack", Self::RAck),
            (b'r', 8) if name.get(5) == Some(&b'-') => (b"refer-to", Self::ReferTo),
            (b'r', 8) => (b"replaces", Self::Replaces),
            (b'm', 6) => (b"min-se", Self::MinSe),
            (b's', 15) => (b"session-expires", Self::SessionExpires),
            (b's', 10) => (b"session-id", Self::SessionId),
            (b's', 18) => (b"subscription-state", Self::SubscriptionState),
            (b'x', 9) => (b"x-call-id", Self::XCallId),
            (b'x', 5) => (b"x-cid", Self::XCid),
            (b'd', 9) => (b"diversion", Self::Diversion),
            (b'h', 12) => (b"history-info", Self::HistoryInfo),
            (b'e', 7) => (b"expires", Self::Expires),
            (b'e', 5) => (b"event", Self::Event),
            (b'a', 13) => (b"authorization", Self::Authorization),
            (b'p', 19) if name.get(1) == Some(&b'-') => (b"p-asserted-identity", Self::AssertedIdentity),
            (b'p', 19) => (b"proxy-authorization", Self::ProxyAuthorization),
            (b'p', 17) => (b"p-charging-vector", Self::ChargingVector),
            _ => return Self::Other,
        };
        if name.eq_ignore_ascii_case(long) { found } else { Self::Other }
    }

    /// RFC 3261 7.3.3. Compact forms of fields that nothing here reads are [`Name::Other`].
    const fn compact(letter: u8) -> Self {
        match letter | 0x20 {
            b'i' => Self::CallId,
            b'f' => Self::From,
            b't' => Self::To,
            b'v' => Self::Via,
            b'm' => Self::Contact,
            b'c' => Self::ContentType,
            b'l' => Self::ContentLength,
            b'r' => Self::ReferTo,
            b'o' => Self::Event,
            b'x' => Self::SessionExpires,
            _ => Self::Other,
        }
    }
}

/// The compact forms of the IANA registry "SIP Header Fields".
const COMPACT: [(&[u8], u8); 20] = [
    (b"accept-contact", b'a'),
    (b"allow-events", b'u'),
    (b"call-id", b'i'),
    (b"contact", b'm'),
    (b"content-encoding", b'e'),
    (b"content-length", b'l'),
    (b"content-type", b'c'),
    (b"event", b'o'),
    (b"from", b'f'),
    (b"identity", b'y'),
    (b"identity-info", b'n'),
    (b"refer-to", b'r'),
    (b"referred-by", b'b'),
    (b"reject-contact", b'j'),
    (b"request-disposition", b'd'),
    (b"session-expires", b'x'),
    (b"subject", b's'),
    (b"supported", b'k'),
    (b"to", b't'),
    (b"via", b'v'),
];

/// The long form of a field's name as it stands in a message; what is no compact form stays.
#[must_use]
pub fn long_name(name: &[u8]) -> &[u8] {
    let [letter] = name else { return name };
    let compact = COMPACT.iter().find(|(_, short)| *short == letter.to_ascii_lowercase());
    compact.map_or(name, |&(long, _)| long)
}

/// Whether `name`, as it stands in a message, is the field of that `long` name: in any case, or in its compact form.
#[must_use]
pub fn same_name(name: &[u8], long: &[u8]) -> bool {
    long_name(name).eq_ignore_ascii_case(long)
}

/// The lines of a header section, folded lines in one piece (RFC 3261 7.3.1), up to the empty line.
/// Lines end in CRLF or LF; each is given with its line end.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    bytes: &'a [u8],
    feeds: LineFeeds,
    position: usize,
    closed: bool,
}

impl<'a> Lines<'a> {
    /// The header section that begins at `position` of `bytes`.
    #[must_use]
    #[inline]
    pub const fn new(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, feeds: LineFeeds::new(position), position, closed: false }
    }

    /// Where the next line begins; behind the empty line once [`Lines::is_closed`].
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Whether the empty line was met.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.position;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty() && !self.closed)?;
        let end = self.feeds.next(self.bytes).unwrap_or(self.bytes.len());
        self.position = end;
        if let [b'\n', ..] | [b'\r', b'\n', ..] = rest {
            self.closed = true;
            return None;
        }
        if let Some(b' ' | b'\t') = self.bytes.get(end) {
            (self.position, self.feeds) = unfold(self.bytes, self.feeds, end);
            return self.bytes.get(start..self.position);
        }
        self.bytes.get(start..end)
    }
}

/// Where a line that is folded at `end` really ends: behind the lines that it goes on in (RFC 3261 7.3.1). An empty line
/// is none of them, whatever follows it. With the line feeds behind them.
#[cold]
pub(super) fn unfold(bytes: &[u8], mut feeds: LineFeeds, mut end: usize) -> (usize, LineFeeds) {
    while let Some(b' ' | b'\t') = bytes.get(end) {
        end = feeds.next(bytes).unwrap_or(bytes.len());
    }
    (end, feeds)
}

/// Name and value of a header line, without the white space around them. None without a colon or a name.
#[must_use]
#[inline]
pub fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = cut(line)?;
    Some((name, value.trim_ascii()))
}

/// Name and value of a header line, the value with the white space around it.
#[inline]
pub(super) fn cut(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
    // Blanks only (RFC 3261 25.1, HCOLON): a form feed is part of a name that means nothing, to the framer too.
    let length = name.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    let name = name.get(..length).unwrap_or_default();
    (!name.is_empty()).then(|| (name, value.get(1..).unwrap_or_default()))
}

/// Field and value of a header line. None without a colon or a name.
#[must_use]
pub fn field(line: &[u8]) -> Option<(Name, &[u8])> {
    split(line).map(|(name, value)| (Name::of(name), value))
}

/// The values of a field in a message, in their order: for what is asked of few messages. The start line is none.
pub fn values(message: &[u8], name: Name) -> impl Iterator<Item = &[u8]> {
    let fields = Lines::new(message, 0).filter_map(field);
    fields.filter_map(move |(found, value)| (found == name).then_some(value))
}

/// A value as text, in one line: where it is folded there is one space (RFC 3261 7.3.1). Whoever shows it escapes it.
#[must_use]
pub fn text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    if memchr(b'\n', value).is_none() {
        return text.into_owned();
    }
    let lines: Vec<&str> = text.split('\n').map(str::trim_ascii).collect();
    lines.join(" ")
}

/// The values of a comma-separated list.
pub fn list(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let value = (!list.is_empty()).then(|| first_value(list))?;
        let rest = list.get(value.len()..).unwrap_or_default();
        list = rest.trim_ascii_start().strip_prefix(b",").unwrap_or_default().trim_ascii_start();
        Some(value)
    })
}

/// Transport and sent-by, the host and maybe a port, of a Via value (RFC 3261 20.42): `SIP/2.0/UDP 192.0.2.1:5060;branch=…`.
#[must_use]
pub fn via(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let said = until(value, b';').splitn(3, |&byte| byte == b'/').nth(2)?.trim_ascii();
    let (transport, sent_by) = said.split_at_checked(said.iter().position(u8::is_ascii_whitespace)?)?;
    Some((transport, sent_by.trim_ascii_start()))
}

/// A character of a token (RFC 3261 25.1).
#[must_use]
#[inline]
pub const fn is_token(byte: u8) -> bool {
    matches!(byte,
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9'
        | b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// Content-Length's value: digits only. None also for numbers above 2^32 - 1: nothing of that size is a message,
/// and to believe one would blind us to the rest of its stream.
#[must_use]
pub fn content_length(value: &[u8]) -> Option<u64> {
    number(value).filter(|&length| length <= u64::from(u32::MAX))
}

/// A decimal number of digits alone; none when there are none or it does not fit.
#[must_use]
#[inline]
pub fn number(digits: &[u8]) -> Option<u64> {
    let value = |byte: u8| Some(u64::from(byte.wrapping_sub(b'0'))).filter(|&digit| digit <= 9);
    match digits {
        [] => None,
        // What has so few digits fits.
        short if short.len() < 20 => short.iter().try_fold(0u64, |sum, &byte| Some(sum * 10 + value(byte)?)),
        long => long.iter().try_fold(0u64, |sum, &byte| sum.checked_mul(10)?.checked_add(value(byte)?)),
    }
}

/// The number that `word` begins with, if it does with one that fits, and what follows it.
#[must_use]
#[inline]
pub fn digits(word: &[u8]) -> (Option<u64>, &[u8]) {
    let (mut rest, mut value) = (word, 0u64);
    while let [digit @ b'0'..=b'9', behind @ ..] = rest {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit & 0x0f));
        rest = behind;
    }
    let number = match word.len() - rest.len() {
        0 => None,
        // What has so few digits fits.
        1..20 => Some(value),
        length => number(word.get(..length).unwrap_or_default()),
    };
    (number, rest)
}

/// The length of the quoted string that `bytes` begin with, quotes included; none when it does not end.
#[must_use]
pub fn quoted(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The first value of a comma-separated list. Commas in quotes and in angle brackets do not count; quotes and
/// brackets that do not end take in the rest (to look behind each of them again would be quadratic).
#[must_use]
pub fn first_value(list: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(tail) = list.get(at..)
        && let Some(found) = memchr3(b',', b'"', b'<', tail)
    {
        at += found;
        let rest = list.get(at..).unwrap_or_default();
        at += match rest.first() {
            Some(b'"') => quoted(rest).unwrap_or(rest.len()),
            Some(b'<') => memchr(b'>', rest).unwrap_or(rest.len()),
            _ => return list.get(..at).unwrap_or(list).trim_ascii_end(),
        };
    }
    list
}

/// The value of parameter `name` (in lower case) among `parameters`, which begin at or before a semicolon. A quoted
/// value comes with its quotes, a parameter without value is empty.
#[must_use]
#[inline]
pub fn parameter<'a, const N: usize>(parameters: &'a [u8], name: &[u8; N]) -> Option<&'a [u8]> {
    let mut rest = parameters;
    loop {
        let semicolon = if rest.first() == Some(&b';') { 0 } else { memchr(b';', rest)? };
        rest = rest.get(semicolon + 1..)?;
        // What is asked for stands here more often than not: then its name need not be searched for its end.
        if let Some((found, [b'=', value @ ..])) = rest.split_first_chunk()
            && found == name
        {
            return Some(parameter_value(value.trim_ascii_start()).0);
        }
        let (found, value, tail) = any_parameter(rest)?;
        if found.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = tail;
    }
}

/// The name and the value of a parameter, and what follows it.
fn any_parameter(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let bytes = bytes.trim_ascii_start();
    let length = bytes.iter().position(|&byte| !is_token(byte)).unwrap_or(bytes.len());
    let (name, tail) = bytes.split_at_checked(length)?;
    let tail = tail.trim_ascii_start();
    let (value, tail) = match tail.split_first() {
        Some((b'=', value)) => parameter_value(value.trim_ascii_start()),
        _ => (&[][..], tail),
    };
    Some((name, value, tail))
}

/// A parameter's value and what follows it.
fn parameter_value(bytes: &[u8]) -> (&[u8], &[u8]) {
    let quotes = if bytes.first() == Some(&b'"') { quoted(bytes) } else { None };
    let end = quotes.or_else(|| memchr2(b';', b',', bytes)).unwrap_or(bytes.len());
    let (value, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    (value.trim_ascii_end(), rest)
}

/// A URI with its display name and parameters: the value of From, To, Contact and others (RFC 3261 20.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddress<'a> {
    /// The URI, without brackets and without the field's parameters.
    pub uri: &'a [u8],
    /// The field's parameters, from the first semicolon on.
    pub parameters: &'a [u8],
    /// Quotes and brackets are balanced, and the display name is made of what it may be made of.
    pub sound: bool,
}

impl<'a> NameAddress<'a> {
    /// Reads one value (not a list).
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Self {
        let (display, rest, closed) = match value.first() {
            Some(b'"') => match quoted(value).and_then(|end| value.split_at_checked(end)) {
                Some((display, rest)) => (display, rest, true),
                None => (value, value, false),
            },
            _ => (&[][..], value, true),
        };
        let Some((before, bracketed)) = memchr(b'<', rest).and_then(|at| rest.split_at_checked(at)) else {
            return Self::without_brackets(rest, closed && display.is_empty());
        };
        let bracketed = bracketed.get(1..).unwrap_or_default();
        let end = memchr(b'>', bracketed);
        let (inside, parameters) = bracketed.split_at(end.unwrap_or(bracketed.len()));
        let uri = inside.trim_ascii();
        // Bytes above ASCII are wrong outside quotes too, but they are common and hurt nobody.
        let words =
            before.iter().all(|&byte| is_token(byte) || byte.is_ascii_whitespace() || !byte.is_ascii());
        let sound = closed && words && end.is_some() && uri.len() == inside.len();
        Self { uri, parameters, sound }
    }

    /// Without brackets, parameters are the field's, not the URI's.
    fn without_brackets(value: &'a [u8], sound: bool) -> Self {
        let (uri, parameters) = value.split_at(memchr2(b';', b',', value).unwrap_or(value.len()));
        Self { uri: uri.trim_ascii(), parameters, sound }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_and_compact() {
        for (text, name) in [
            ("Call-ID", Name::CallId),
            ("CALL-id", Name::CallId),
            ("i", Name::CallId),
            ("Contact", Name::Contact),
            ("M", Name::Contact),
            ("cOntent-lengTh", Name::ContentLength),
            ("L", Name::ContentLength),
            ("Proxy-Authorization", Name::ProxyAuthorization),
            ("P-Asserted-Identity", Name::AssertedIdentity),
            ("RSeq", Name::RSeq),
            ("rack", Name::RAck),
            ("Refer-To", Name::ReferTo),
            ("r", Name::ReferTo),
            ("Event", Name::Event),
            ("O", Name::Event),
            ("Subscription-State", Name::SubscriptionState),
            ("Replaces", Name::Replaces),
            ("Min-SE", Name::MinSe),
            ("Session-Expires", Name::SessionExpires),
            ("x", Name::SessionExpires),
            ("X-Call-ID", Name::XCallId),
            ("x-cid", Name::XCid),
            ("Session-ID", Name::SessionId),
            ("P-Charging-Vector", Name::ChargingVector),
            ("Diversion", Name::Diversion),
            ("History-Info", Name::HistoryInfo),
            ("rsea", Name::Other),
            ("Callaid", Name::Other),
            ("Vib", Name::Other),
            ("", Name::Other),
            // Not every letter is a compact form, and 'I' ^ 0x20 of a control byte is not 'i'.
            ("q", Name::Other),
        ] {
            assert_eq!(Name::of(text.as_bytes()), name, "{text}");
        }
        assert!(same_name(b"x", b"Session-Expires"));
        assert!(!same_name(b"x", b"Subject"));
        assert!(same_name(b"subject", b"Subject"));
    }

    #[test]
    fn lines_unfold_and_stop_at_the_empty_line() {
        let bytes = b"a: 1\r\n 2\r\nb: 3\n\tfour\n\r\nbody\r\n";
        let mut lines = Lines::new(bytes, 0);
        assert_eq!(lines.next(), Some(&b"a: 1\r\n 2\r\n"[..]));
        assert_eq!(lines.next(), Some(&b"b: 3\n\tfour\n"[..]));
        assert_eq!(lines.next(), None);
        assert!(lines.is_closed());
        assert_eq!(&bytes[lines.position()..], b"body\r\n");

        let mut open = Lines::new(b"a: 1", 0);
        assert_eq!(open.next(), Some(&b"a: 1"[..]));
        assert_eq!(open.next(), None);
        assert!(!open.is_closed());
    }

    #[test]
    fn names_end_before_blanks_and_nothing_else() {
        assert_eq!(split(b"L \t: \t10 \r\n"), Some((&b"L"[..], &b"10"[..])));
        assert_eq!(split(b"l\x0c: 10\r\n"), Some((&b"l\x0c"[..], &b"10"[..])));
        assert_eq!(split(b" : 10\r\n"), None);
        assert_eq!(split(b"no colon\r\n"), None);
    }

    #[test]
    fn numbers_do_not_wrap() {
        assert_eq!(content_length(b"0150"), Some(150));
        assert_eq!(content_length(b"4294967295"), Some(4_294_967_295));
        for bad in ["", "-999", "+5", "5 5", "5,5", "4294967296", "99999999999999999999999", "0x10"] {
            assert_eq!(content_length(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn lists_respect_quotes_and_brackets() {
        assert_eq!(
            first_value(b"\"a, \\\"b\" <sip:a@b,c>;x=\",\" , <sip:d>"),
            b"\"a, \\\"b\" <sip:a@b,c>;x=\",\""
        );
        assert_eq!(first_value(b"one"), b"one");
        assert_eq!(first_value(b"\"open, <two"), b"\"open, <two");
        assert_eq!(first_value(b",,"), b"");
    }

    #[test]
    fn parameters_with_spaces_quotes_and_folds() {
        let value = b"<sip:a@b>\r\n ;\r\n  x = \";tag=no\" ; flag;TAG = 98asjd8 , next;tag=2";
        assert_eq!(parameter(value, b"tag"), Some(&b"98asjd8"[..]));
        assert_eq!(parameter(value, b"flag"), Some(&b""[..]));
        assert_eq!(parameter(value, b"x"), Some(&b"\";tag=no\""[..]));
        assert_eq!(parameter(value, b"none"), None);
        assert_eq!(parameter(b";;,;,,", b"branch"), None);
    }

    #[test]
    fn name_addresses() {
        let row = |value: &'static str| {
            let address = NameAddress::parse(value.as_bytes());
            (std::str::from_utf8(address.uri).unwrap(), parameter(address.parameters, b"tag"), address.sound)
        };
        assert_eq!(row("sip:a@b;tag=1"), ("sip:a@b", Some(&b"1"[..]), true));
        assert_eq!(row("<sip:a@b;user=phone>;tag=1"), ("sip:a@b;user=phone", Some(&b"1"[..]), true));
        assert_eq!(row("\"A <x> \\\" B\"  <sip:a@b>"), ("sip:a@b", None, true));
        assert_eq!(row("A. Bell <sip:a@b>"), ("sip:a@b", None, true));
        assert_eq!(row("Bell, A <sip:a@b>;tag=43"), ("sip:a@b", Some(&b"43"[..]), false));
        assert_eq!(row("< sip:a@b >"), ("sip:a@b", None, false));
        assert_eq!(row("\"open <sip:a@b>;tag=1"), ("sip:a@b", Some(&b"1"[..]), false));
        assert_eq!(row("<sip:a@b;tag=1"), ("sip:a@b;tag=1", None, false));
        assert_eq!(row(""), ("", None, true));
    }
}
