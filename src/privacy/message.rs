//! A SIP message without what is not to be told.

use super::mask::text_with;
use super::{Privacy, body, fields};
use crate::sip::header::same_name;

/// Digits in a row that are a number in a header field: extensions are short.
const NUMBER: usize = 5;

/// The message as it may be shown.
pub(super) fn shown(bytes: &[u8], privacy: Privacy) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let (head, body) = split(bytes);
    let mut kind: &[u8] = &[];
    for (number, field) in lines(head).into_iter().enumerate() {
        let name =
            field.iter().position(|byte| *byte == b':').and_then(|end| field.get(..end)).unwrap_or_default();
        let name = name.trim_ascii();
        if same_name(name, b"Content-Type") {
            kind = field;
        }
        match shown_field(field, name, number == 0, privacy) {
            Some(shown) => out.extend(shown),
            None => out.extend_from_slice(field),
        }
    }
    out.extend(body::shown(body, kind, privacy));
    out
}

/// A header field or the start line, if something of it is not to be told.
fn shown_field(field: &[u8], name: &[u8], is_start: bool, privacy: Privacy) -> Option<Vec<u8>> {
    let (text, end) = text_and_end(field);
    let shown = match text.split_once(':').filter(|_| !is_start) {
        Some((front, value)) => {
            let bare = value.trim_start();
            let blank = value.get(..value.len() - bare.len()).unwrap_or_default();
            format!("{front}:{blank}{}", fields::told(name, bare, NUMBER, privacy)?)
        }
        None if privacy.masked => start_line(&text),
        None => return None,
    };
    Some([shown.as_bytes(), end].concat())
}

/// Start line and header fields with the empty line, and the body.
pub(super) fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if line.trim_ascii().is_empty() && at > line.len() {
            break;
        }
    }
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}

/// Lines, each with those that it is folded into (RFC 3261 7.3.1), line ends included.
pub(super) fn lines(head: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let is_folded = at > 0 && matches!(line.first(), Some(b' ' | b'\t')) && !line.trim_ascii().is_empty();
        if !is_folded && at > start {
            lines.push(head.get(start..at).unwrap_or_default());
            start = at;
        }
        at += line.len();
    }
    lines.push(head.get(start..at).unwrap_or_default());
    lines
}

/// A field's text, and its line end.
pub(super) fn text_and_end(field: &[u8]) -> (String, &[u8]) {
    let text = field.trim_ascii_end();
    (String::from_utf8_lossy(text).into_owned(), field.get(text.len()..).unwrap_or_default())
}

/// A start line with its users and numbers masked. That of a response begins with version and code (RFC 3261 7.2).
fn start_line(text: &str) -> String {
    let is_response = |(front, _): &(&str, &str)| front.starts_with("SIP/2.0 ");
    match text.split_at_checked("SIP/2.0 200 ".len()).filter(is_response) {
        Some((front, reason)) => format!("{front}{}", text_with(reason, Some(NUMBER))),
        None => text_with(text, Some(NUMBER)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INVITE: &str = "INVITE sip:+4930123456789@example.com SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK77123456\r\n\
        From: \"Alice Smith\" <sip:alice@example.com>;tag=1\r\n\
        To: Bob Jones <sip:+4930123456789@example.com>\r\n\
        Call-ID: 77123456@192.0.2.1\r\n\
        Reason: Q.850;cause=16;text=\"Normal clearing\"\r\n\
        Authorization: Digest username=\"alice\", realm=\"a,b\", nonce=\"n0nce\",\r\n\t uri=\"sip:1001@example.com\", response=\"r3sp\", nc=00000001\r\n\
        Proxy-Authorization: Bearer t0ken\r\n\
        Content-Type: application/sdp\r\n\r\n\
        v=0\r\no=alice 123456789 1 IN IP4 192.0.2.1\r\ns=Alice\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:s3cret|2^20\r\nm=audio 4000 RTP/SAVP 0\r\n";

    fn told(text: &str, masked: bool, digits: bool) -> String {
        String::from_utf8(shown(text.as_bytes(), Privacy { masked, digits })).unwrap()
    }

    #[test]
    fn credentials_and_keys_are_never_shown() {
        let expected = INVITE
            .replace("nonce=\"n0nce\",\r\n\t uri", "nonce=***, uri")
            .replace("response=\"r3sp\"", "response=***")
            .replace("Bearer t0ken", "Bearer ***")
            .replace("inline:s3cret|2^20", "inline:***");
        assert_eq!(told(INVITE, false, true), expected);
    }

    #[test]
    fn a_masked_message_names_nobody() {
        let text = told(INVITE, true, false);
        for hidden in
            ["alice", "Alice", "Smith", "Bob", "456789@ex", "1001", "n0nce", "r3sp", "t0ken", "s3cret"]
        {
            assert!(!text.contains(hidden), "{hidden}\n{text}");
        }
        for kept in [
            "INVITE sip:+493012*******@example.com SIP/2.0\r\n",
            "branch=z9hG4bK77123456\r\n",
            "Call-ID: 77123456@192.0.2.1\r\n",
            "text=\"Normal clearing\"",
            "o=a*** 123456789 1 IN IP4 192.0.2.1\r\n",
            "realm=\"a,b\"",
            "m=audio 4000 RTP/SAVP 0\r\n",
        ] {
            assert!(text.contains(kept), "{kept}\n{text}");
        }
    }

    #[test]
    fn keys_pressed_are_shown_where_they_may_be() {
        let info = "INFO sip:b SIP/2.0\r\nc: application/dtmf-relay\r\n\r\nSignal=5\r\nDuration=160\r\n";
        assert_eq!(told(info, false, true), info);
        assert!(!told(info, false, false).contains("Signal=5"));
        let text = "MESSAGE sip:b SIP/2.0\r\nContent-Type: text/plain\r\n\r\nmy PIN is 1234";
        assert_eq!(told(text, false, false), text);
        assert!(!told(text, true, true).contains("1234"));
    }

    /// RFC 4730 5.3, RFC 2046 5.1.
    #[test]
    fn keys_pressed_are_counted_wherever_they_are_told() {
        let kpml = "NOTIFY sip:b SIP/2.0\r\nContent-Type: application/kpml-response+xml\r\n\r\n<kpml-response version=\"1.0\" code=\"200\" text=\"OK\" digits=\"4711\"/>\r\n";
        assert!(!told(kpml, false, false).contains("4711") && told(kpml, false, true) == kpml);
        let inner = "--i\r\ncontent-type:\r\n Application/DTMF\r\n\r\n6\r\n--i--\r\n";
        let mixed = format!(
            "INFO sip:b SIP/2.0\r\nContent-Type: multipart/mixed; Boundary=\"x y\"\r\n\r\n--x y\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=8\r\n\
             --x y\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x y\r\n\r\nplain\r\n--x y\r\nContent-Type: multipart/alternative;boundary=i\r\n\r\n{inner}--x y--\r\n"
        );
        let shown = told(&mixed, false, false);
        assert!(!shown.contains("Signal=8") && !shown.contains("\r\n6\r\n"), "{shown}");
        let expected = mixed.replace("Signal=8\r\n", "[10 bytes are not shown]\r\n");
        assert_eq!(shown, expected.replace("\r\n6\r\n", "\r\n[3 bytes are not shown]\r\n"));
        assert_eq!(told(&mixed, false, true), mixed);
        let unknown = "INFO sip:b SIP/2.0\r\nContent-Type: multipart/mixed\r\n\r\n--x\r\nContent-Type: application/dtmf\r\n\r\n5\r\n";
        assert!(!told(unknown, false, false).contains("\r\n5\r\n"));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_shown(bytes: Vec<u8>, masked: bool, digits: bool) {
            let _ = shown(&bytes, Privacy { masked, digits });
        }

        #[test]
        fn without_masking_a_message_without_secrets_stays(lines in proptest::collection::vec("[A-Za-z-]{1,9}: [ -~]{0,20}\r\n", 0..6)) {
            let text = format!("OPTIONS sip:b SIP/2.0\r\n{}\r\n", lines.concat());
            prop_assert_eq!(told(&text, false, false), text);
        }
    }
}
