//! Finding the session description in a message's body (RFC 2046 5.1, RFC 5621).

use memchr::{memchr, memmem};

use super::header::{Lines, Name, first_value, parameter, split};
use super::media_type::{is_media_type, kind_and_rest};

/// How deep a multipart may lie in another: `multipart/mixed` around `multipart/alternative` is seen, no more is.
const NESTING: u32 = 2;

/// The longest boundary (RFC 2046 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// The session description in `body`, whose Content-Type is `content_type` (empty when the field is missing).
#[must_use]
pub(super) fn session_description<'a>(content_type: &[u8], body: &'a [u8]) -> Option<&'a [u8]> {
    // As nearly everybody writes it.
    if content_type == b"application/sdp" {
        return Some(body);
    }
    find(content_type, body, NESTING)
}

fn find<'a>(content_type: &[u8], body: &'a [u8], nesting: u32) -> Option<&'a [u8]> {
    let (media_type, parameters) =
        content_type.split_at(memchr(b';', content_type).unwrap_or(content_type.len()));
    let media_type = media_type.trim_ascii();
    if media_type.is_empty() {
        return body.starts_with(b"v=0").then_some(body);
    }
    if is_media_type(media_type, b"application", b"sdp") {
        return Some(body);
    }
    let nesting = nesting.checked_sub(1)?;
    let (kind, _) = kind_and_rest(media_type);
    let multipart = kind.eq_ignore_ascii_case(b"multipart");
    let boundary = multipart.then(|| parameter(first_value(parameters), b"boundary")).flatten()?;
    Parts::new(body, unquoted(boundary)?).find_map(|part| described(part, nesting))
}

/// The session description in one part: header fields, an empty line, a body. A part without Content-Type is
/// plain text (RFC 2046 5.2).
fn described(part: &[u8], nesting: u32) -> Option<&[u8]> {
    let mut lines = Lines::new(part, 0);
    let fields = lines.by_ref().filter_map(split);
    let content_type = fields.fold(None, |found, (name, value)| match Name::of(name) {
        Name::ContentType => found.or(Some(value)),
        _ => found,
    });
    find(content_type.filter(|value| !value.is_empty())?, part.get(lines.position()..)?, nesting)
}

/// A boundary without its quotes; none when it is empty or too long to be one.
fn unquoted(boundary: &[u8]) -> Option<&[u8]> {
    let inside = boundary.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    Some(inside.unwrap_or(boundary)).filter(|bare| (1..=MAX_BOUNDARY).contains(&bare.len()))
}

/// The parts of a multipart body, without the line end that belongs to the delimiter behind them.
struct Parts<'a, 'b> {
    body: &'a [u8],
    boundary: memmem::FindIter<'a, 'b>,
    /// Length of the boundary.
    width: usize,
    /// Where the current part begins: none before the first delimiter and behind the last.
    begin: Option<usize>,
    closed: bool,
}

impl<'a, 'b> Parts<'a, 'b> {
    fn new(body: &'a [u8], boundary: &'b [u8]) -> Self {
        let width = boundary.len();
        Self { body, boundary: memmem::find_iter(body, boundary), width, begin: None, closed: false }
    }

    /// Where the next delimiter line begins, where it ends, and whether it is the last.
    fn delimiter(&mut self) -> Option<(usize, usize, bool)> {
        loop {
            let at = self.boundary.next()?;
            let before = self.body.get(..at)?.strip_suffix(b"--");
            let before = before.filter(|before| matches!(before.last(), None | Some(b'\n')));
            let rest = self.body.get(at + self.width..)?;
            // A longer boundary that begins with this one is that of another multipart.
            let ends = matches!(rest.first(), None | Some(b'-' | b' ' | b'\t' | b'\r' | b'\n'));
            if let Some(before) = before.filter(|_| ends) {
                let line = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                return Some((before.len(), at + self.width + line, rest.starts_with(b"--")));
            }
        }
    }
}

impl<'a> Iterator for Parts<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.closed {
            let Some((end, next, last)) = self.delimiter() else {
                // Cut off before its last delimiter: the part is what there is of it.
                self.closed = true;
                return self.body.get(self.begin?..);
            };
            self.closed = last;
            if let Some(begin) = self.begin.replace(next) {
                let part = self.body.get(begin..end).unwrap_or_default();
                let part = part.strip_suffix(b"\n").unwrap_or(part);
                return Some(part.strip_suffix(b"\r").unwrap_or(part));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(content_type: &str, body: &'a str) -> Option<&'a str> {
        session_description(content_type.as_bytes(), body.as_bytes())
            .map(|sdp| std::str::from_utf8(sdp).unwrap())
    }

    #[test]
    fn plain_bodies() {
        assert_eq!(found("application/sdp", "v=0\r\n"), Some("v=0\r\n"));
        assert_eq!(found("Application/SDP ; charset=utf-8", "v=0\r\n"), Some("v=0\r\n"));
        assert_eq!(found("", "v=0\r\n"), Some("v=0\r\n"));
        // RFC 3261 25.1: m-type SLASH m-subtype, and SLASH = SWS "/" SWS.
        for written in
            ["application / sdp", "application/ sdp;x=y", "application\t/sdp", "application /\r\n sdp"]
        {
            assert_eq!(found(written, "v=0\r\n"), Some("v=0\r\n"), "{written}");
        }
        assert_eq!(found("appli cation/sdp", "v=0\r\n"), None);
        assert_eq!(found("application/sdp/x", "v=0\r\n"), None);
        assert_eq!(found("", "<xml/>"), None);
        assert_eq!(found("text/plain", "v=0\r\n"), None);
    }

    #[test]
    fn parts() {
        let body = "preamble\r\n--b1\r\nContent-Type: text/plain\r\n\r\nv=0\r\n--b1x\r\n--b1 \r\nContent-Disposition: \
                    session\r\ncontent-TYPE : application/sdp\r\n\r\nv=0\r\ns=-\r\n--b1--\r\nepilogue --b1\r\n";
        assert_eq!(found("multipart/mixed;boundary=b1", body), Some("v=0\r\ns=-"));
        assert_eq!(found("Multipart/Related; type=\"a;b\" ; BOUNDARY=\"b1\"", body), Some("v=0\r\ns=-"));
        assert_eq!(found("multipart / mixed ; boundary=b1", body), Some("v=0\r\ns=-"));
        let spaced = body.replace("application/sdp", "application / sdp");
        assert_eq!(found("multipart/mixed;boundary=b1", &spaced), Some("v=0\r\ns=-"));
        assert_eq!(found("multipart/mixed;boundary=b", body), None);
        assert_eq!(found("multipart/mixed;boundary=\"\"", body), None);
        assert_eq!(found("multipart/mixed", body), None);
        assert_eq!(found("text/mixed;boundary=b1", body), None);
    }

    #[test]
    fn nothing_behind_the_last_delimiter() {
        let body = "--b--\r\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n";
        assert_eq!(found("multipart/mixed;boundary=b", body), None);
    }

    #[test]
    fn nested_once_and_cut_off() {
        let inner = "--in\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n";
        let body = format!("--out\r\nContent-Type: multipart/alternative;boundary=in\r\n\r\n{inner}");
        assert_eq!(found("multipart/mixed;boundary=out", &body), Some("v=0\r\n"));
        let deeper = format!("--x\r\nContent-Type: multipart/mixed;boundary=out\r\n\r\n{body}");
        assert_eq!(found("multipart/mixed;boundary=x", &deeper), None);
    }
}
