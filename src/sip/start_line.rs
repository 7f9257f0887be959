//! The first line of a message (RFC 3261 7.1, 7.2).

use memchr::memrchr2;

use super::head::Span;
use super::header::is_token;
use super::method::Method;
use super::plain::is_trim;
use super::search::{WINDOW, after, find, memchr2, window_marks, without_lowest};

/// The only version there is, in any case (RFC 3261 7.1).
const VERSION: &[u8] = b"SIP/2.0";

/// The first line of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine {
    /// `METHOD URI SIP/2.0`
    Request {
        /// The method.
        method: Method,
        /// The method as sent.
        token: Span,
        /// The request URI.
        uri: Span,
    },
    /// `SIP/2.0 CODE REASON`
    Response {
        /// Status code, 100 to 699 in conforming messages; any three digits are taken.
        status: u16,
        /// Reason phrase.
        reason: Span,
    },
}

impl Default for StartLine {
    fn default() -> Self {
        Self::Response { status: 0, reason: Span::default() }
    }
}

impl StartLine {
    /// Reads a start line, with or without its line end, and tells whether it keeps to the grammar. Spans are relative to `message`, of which `line` is a part. Blanks too many, blanks in the URI
    /// and brackets around it are taken (RFC 4475 3.1.2.7 to 3.1.2.10 leave that open). None when it is no
    /// start line.
    #[must_use]
    pub fn parse(message: &[u8], line: &[u8]) -> Option<(Self, bool)> {
        let line = match line.split_last_chunk() {
            Some((line, b"\r\n")) => line,
            _ => line.strip_suffix(b"\r").or(line.strip_suffix(b"\n")).unwrap_or(line),
        };
        if let Some(plain) = plain(message, line) {
            return Some((plain, true));
        }
        match line.split_at_checked(VERSION.len()) {
            Some((version, rest)) if version.eq_ignore_ascii_case(VERSION) => response(message, rest),
            _ => request(message, line),
        }
    }
}

/// Where the first line that is not empty begins, if it does as start lines do. Line ends before it are passed over
/// (RFC 3261 7.5).
#[inline(always)]
pub(super) fn start_of_line(message: &[u8]) -> Option<usize> {
    if let [b'A'..=b'Z', ..] = message {
        return Some(0);
    }
    later_line(message)
}

#[inline(never)]
fn later_line(message: &[u8]) -> Option<usize> {
    let begin = line_ends(message);
    is_token(*message.get(begin)?).then_some(begin)
}

/// Whether a response asks for another try: with credentials (RFC 3261 22.2, 22.3), or with a longer session (RFC 4028 7.3).
#[must_use]
pub const fn asks_again(status: u16) -> bool {
    matches!(status, 401 | 407 | 422)
}

/// Bytes of the line ends in front of a message, which are no part of it (RFC 3261 7.5).
#[must_use]
pub fn line_ends(message: &[u8]) -> usize {
    message.iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count()
}

/// A line that keeps to the grammar, with a registered method, as nearly all do.
#[inline]
fn plain(message: &[u8], line: &[u8]) -> Option<StartLine> {
    if let Some(rest) = after(line, b"SIP/2.0 ") {
        let (&[hundreds @ b'1'..=b'6', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' '], reason) =
            rest.split_first_chunk()?
        else {
            return None;
        };
        let digit = |byte: u8| u16::from(byte & 0x0f);
        let status = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
        let reason = if is_trim(reason) { reason } else { reason.trim_ascii() };
        return Some(StartLine::Response { status, reason: Span::between(message, reason) });
    }
    let begin = Span::between(message, line).start;
    let (method, token, uri) = plain_request(message.get(begin as usize..)?)?;
    if uri + b" SIP/2.0".len() != line.len() {
        return None;
    }
    let place = |start: usize, end: usize| Span { start: begin + start as u32, length: (end - start) as u32 };
    let (token, uri) = (place(0, token), place(token + 1, uri));
    Some(StartLine::Request { method, token, uri })
}

/// Method and ends of method and URI of the request line that `text` begins with, if it keeps to the grammar, has a
/// registered method and ends within `text`.
#[inline]
pub(super) fn plain_request(text: &[u8]) -> Option<(Method, usize, usize)> {
    let blanks = window_marks(*b" \t\n", text.first_chunk()?);
    let token = blanks.trailing_zeros() as usize;
    let uri = match without_lowest(blanks) {
        0 => WINDOW + find(*b" \t\n", text.get(WINDOW..)?)?,
        more => more.trailing_zeros() as usize,
    };
    let method = Method::from_token(text.get(..token)?);
    let [b' ', b'A'..=b'Z' | b'a'..=b'z', .., b'!'..=b'\xff'] = text.get(token..uri)? else { return None };
    let end = after(text.get(uri..)?, b" SIP/2.0")?;
    (method != Method::Other && matches!(end, [b'\n', ..] | [b'\r', b'\n', ..]))
        .then_some((method, token, uri))
}

/// What a first look at a datagram told of its start line, so that it need not be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    method: Method,
    /// Where method and URI end; the latter is 0 where nothing is known.
    token: u16,
    uri: u16,
}

impl Glimpse {
    /// Nothing is known.
    pub const NOTHING: Self = Self { method: Method::Other, token: 0, uri: 0 };

    /// What [`plain_request`] found at the beginning of a datagram.
    pub(super) fn of((method, token, uri): (Method, usize, usize)) -> Self {
        match (u16::try_from(token), u16::try_from(uri)) {
            (Ok(token), Ok(uri)) => Self { method, token, uri },
            _ => Self::NOTHING,
        }
    }

    /// The start line, if it is known: one that keeps to the grammar, at the very beginning.
    #[inline]
    pub(super) fn start_line(self) -> Option<StartLine> {
        let (token, uri) = (u32::from(self.token), u32::from(self.uri));
        let after_blank = token + 1;
        (uri > after_blank).then(|| StartLine::Request {
            method: self.method,
            token: Span { start: 0, length: token },
            uri: Span { start: after_blank, length: uri - after_blank },
        })
    }
}

fn request(message: &[u8], line: &[u8]) -> Option<(StartLine, bool)> {
    let (token, rest) = line.split_at_checked(memchr2(b' ', b'\t', line)?)?;
    let method = Method::from_token(token);
    if token.is_empty() || (method == Method::Other && !token.iter().all(|&byte| is_token(byte))) {
        return None;
    }
    let trimmed = rest.trim_ascii_end();
    let (before, version) = trimmed.split_at_checked(memrchr2(b' ', b'\t', trimmed)? + 1)?;
    let uri = before.trim_ascii();
    // Numbers and addresses without a scheme are sent by mistake; a path is HTTP.
    let begins = uri.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"<+[".contains(byte));
    if !version.eq_ignore_ascii_case(VERSION) || !begins {
        return None;
    }
    // One space before the URI, one behind it, none in it, none at the end.
    let single = rest.first() == Some(&b' ') && before.last() == Some(&b' ');
    let exact = uri.len() + 2 + VERSION.len() == rest.len();
    let bare = uri.first().is_some_and(u8::is_ascii_alphabetic);
    let conforms = bare && single && exact && memchr2(b' ', b'\t', uri).is_none();
    let (token, uri) = (Span::between(message, token), Span::between(message, uri));
    Some((StartLine::Request { method, token, uri }, conforms))
}

fn response(message: &[u8], rest: &[u8]) -> Option<(StartLine, bool)> {
    let code = rest.trim_ascii_start();
    let blanks = rest.len() - code.len();
    let single = blanks == 1 && rest.first() == Some(&b' ');
    let (digits, reason) = code.split_first_chunk::<3>()?;
    if blanks == 0
        || !digits.iter().all(u8::is_ascii_digit)
        || !matches!(reason.first(), None | Some(b' ' | b'\t'))
    {
        return None;
    }
    let status = digits.iter().fold(0, |sum: u16, digit| sum * 10 + u16::from(digit & 0x0f));
    let reason = Span::between(message, reason.trim_ascii());
    // Many leave out the blank that has to stand before an empty reason phrase; that is not worth a fault.
    Some((StartLine::Response { status, reason }, single && (100..700).contains(&status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> Option<(&str, &str, bool)> {
        let (start, conforms) = StartLine::parse(line.as_bytes(), line.as_bytes())?;
        let StartLine::Request { token, uri, .. } = start else { return None };
        let text = |span: Span| &line[span.start as usize..(span.start + span.length) as usize];
        Some((text(token), text(uri), conforms))
    }

    fn response(line: &str) -> Option<(u16, &str, bool)> {
        let (start, conforms) = StartLine::parse(line.as_bytes(), line.as_bytes())?;
        let StartLine::Response { status, reason } = start else { return None };
        Some((status, &line[reason.start as usize..(reason.start + reason.length) as usize], conforms))
    }

    #[test]
    fn requests() {
        assert_eq!(request("INVITE sip:a@b SIP/2.0\r\n"), Some(("INVITE", "sip:a@b", true)));
        assert_eq!(request("INVITE sip:a@b SIP/2.0"), Some(("INVITE", "sip:a@b", true)));
        assert_eq!(request("ACK tel:+1 sip/2.0\n"), Some(("ACK", "tel:+1", true)));
        // RFC 4475 3.1.2.9, 3.1.2.10, 3.1.2.8 and 3.1.2.7.
        assert_eq!(request("INVITE  sip:a@b  SIP/2.0\r\n"), Some(("INVITE", "sip:a@b", false)));
        assert_eq!(request("INVITE sip:a@b SIP/2.0  \r\n"), Some(("INVITE", "sip:a@b", false)));
        assert_eq!(request("INVITE sip:a@b; lr SIP/2.0\r\n"), Some(("INVITE", "sip:a@b; lr", false)));
        assert_eq!(request("INVITE\tsip:a@b\tSIP/2.0\r\n"), Some(("INVITE", "sip:a@b", false)));
        assert_eq!(request("INVITE <sip:a@b> SIP/2.0\r\n"), Some(("INVITE", "<sip:a@b>", false)));
        for no in [
            "",
            "\r\n",
            "INVITE",
            "INVITE ",
            "INVITE SIP/2.0",
            "INVITE sip:a@bSIP/2.0",
            "INVITE sip:a@b SIP/7.0",
            "GET / HTTP/1.1",
            "GET /sip:a SIP/2.0",
            "IN(VITE sip:a@b SIP/2.0",
            " INVITE sip:a@b SIP/2.0",
        ] {
            assert_eq!(request(no), None, "{no}");
        }
    }

    #[test]
    fn responses() {
        assert_eq!(response("SIP/2.0 200 OK\r\n"), Some((200, "OK", true)));
        assert_eq!(response("SIP/2.0 100 \r\n"), Some((100, "", true)));
        assert_eq!(response("sip/2.0 100"), Some((100, "", true)));
        assert_eq!(response("SIP/2.0  486  Busy Here \n"), Some((486, "Busy Here", false)));
        assert_eq!(response("SIP/2.0 999 ?\r\n"), Some((999, "?", false)));
        for no in [
            "SIP/2.0",
            "SIP/2.0 20",
            "SIP/2.0200 OK",
            "SIP/2.0 4294967301 x",
            "SIP/2.0 2x0 OK",
            "SIP/2.0 200OK",
        ] {
            assert_eq!(response(no), None, "{no}");
        }
    }
}
