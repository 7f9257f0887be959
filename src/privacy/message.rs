//! A SIP message without what is not to be told.

use super::Privacy;
use super::mask::{text_with, user};
use crate::sip::header::{parameter as parameter_of, same_name};

/// Digits in a row that are a number in a header field: extensions are short.
const NUMBER: usize = 5;

/// What stands for what is hidden.
const HIDDEN: &str = "***";

/// Header fields with credentials, or with what they are made of (RFC 3261 20.7, 20.27, 20.28, 20.44, 20.6).
const CREDENTIALS: [&[u8]; 5] = [
    b"Authorization",
    b"Proxy-Authorization",
    b"WWW-Authenticate",
    b"Proxy-Authenticate",
    b"Authentication-Info",
];

/// Parameters of these that are no secret (RFC 7616 3.3 to 3.5).
const TOLD: [&str; 8] = ["realm", "uri", "algorithm", "qop", "nc", "stale", "domain", "charset"];

/// Header fields that name no user: they stay as they are.
const NEUTRAL: [&[u8]; 31] = [
    b"Via",
    b"Call-ID",
    b"CSeq",
    b"Max-Forwards",
    b"Content-Length",
    b"Content-Type",
    b"Content-Encoding",
    b"Content-Disposition",
    b"MIME-Version",
    b"Expires",
    b"Date",
    b"User-Agent",
    b"Server",
    b"Allow",
    b"Supported",
    b"Require",
    b"Proxy-Require",
    b"Unsupported",
    b"Accept",
    b"Accept-Encoding",
    b"Accept-Language",
    b"Event",
    b"Subscription-State",
    b"Min-SE",
    b"Session-Expires",
    b"RSeq",
    b"RAck",
    b"Timestamp",
    b"Min-Expires",
    b"Allow-Events",
    b"Session-ID",
];

pub(super) fn has_credentials(name: &[u8]) -> bool {
    CREDENTIALS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The message as it may be shown.
pub(super) fn shown(bytes: &[u8], privacy: Privacy) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let (head, body) = split(bytes);
    let mut kind: &[u8] = &[];
    for (number, field) in fields(head).into_iter().enumerate() {
        let name =
            field.iter().position(|byte| *byte == b':').and_then(|end| field.get(..end)).unwrap_or_default();
        let name = name.trim_ascii();
        if same_name(name, b"Content-Type") {
            kind = field;
        }
        match () {
            () if number > 0 && has_credentials(name) => out.extend(redacted(field, privacy)),
            () if !privacy.masked || (number > 0 && is_neutral(name)) => out.extend_from_slice(field),
            () => out.extend(masked(field, number > 0)),
        }
    }
    out.extend(shown_body(body, kind, privacy, NESTING));
    out
}

fn is_neutral(name: &[u8]) -> bool {
    NEUTRAL.iter().any(|known| same_name(name, known))
}

/// Start line and header fields with the empty line, and the body.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
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
fn fields(head: &[u8]) -> Vec<&[u8]> {
    let (mut fields, mut start, mut at) = (Vec::new(), 0, 0);
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let is_folded = at > 0 && matches!(line.first(), Some(b' ' | b'\t')) && !line.trim_ascii().is_empty();
        if !is_folded && at > start {
            fields.push(head.get(start..at).unwrap_or_default());
            start = at;
        }
        at += line.len();
    }
    fields.push(head.get(start..at).unwrap_or_default());
    fields
}

/// A field's text, and its line end.
fn text_and_end(field: &[u8]) -> (String, &[u8]) {
    let text = field.trim_ascii_end();
    (String::from_utf8_lossy(text).into_owned(), field.get(text.len()..).unwrap_or_default())
}

fn redacted(field: &[u8], privacy: Privacy) -> Vec<u8> {
    let (text, end) = text_and_end(field);
    let (name, value) = text.split_once(':').unwrap_or((&text, ""));
    let mut out = format!("{name}: {}", credentials(value.trim(), privacy)).into_bytes();
    out.extend_from_slice(end);
    out
}

/// The value of a field with credentials: of Digest (RFC 7616) what is no secret, of others the name of the scheme.
pub(super) fn credentials(value: &str, privacy: Privacy) -> String {
    // Authentication-Info has no scheme: its first word is a parameter.
    let (scheme, rest) = match value.split_once(char::is_whitespace) {
        Some((word, rest)) if !word.contains('=') => (word, rest),
        _ if value.contains('=') => ("", value),
        _ => return HIDDEN.to_owned(),
    };
    if !scheme.is_empty() && !scheme.eq_ignore_ascii_case("Digest") {
        return format!("{scheme} {HIDDEN}");
    }
    let parameters: Vec<String> = parameters(rest).into_iter().map(|text| parameter(text, privacy)).collect();
    format!("{scheme} {}", parameters.join(", ")).trim_start().to_owned()
}

fn parameter(text: &str, privacy: Privacy) -> String {
    let Some((name, value)) = text.split_once('=') else { return HIDDEN.to_owned() };
    let (name, value) = (name.trim(), value.trim());
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match () {
        () if is("username") && privacy.masked => format!("{name}=\"{}\"", user(value.trim_matches('"'))),
        () if is("username") => format!("{name}={value}"),
        () if TOLD.iter().any(|known| is(known)) && privacy.masked => {
            format!("{name}={}", text_with(value, NUMBER))
        }
        () if TOLD.iter().any(|known| is(known)) => format!("{name}={value}"),
        () => format!("{name}={HIDDEN}"),
    }
}

/// Parameters between commas; those in quotes separate nothing.
fn parameters(text: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(move |c: char| {
        let is_end = c == ',' && !quoted;
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = c == '\\' && quoted && !escaped;
        is_end
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A field, or a start line, of which nothing is known but that it may name somebody.
fn masked(field: &[u8], is_field: bool) -> Vec<u8> {
    let (text, end) = text_and_end(field);
    let mut out = match text.split_once(':').filter(|_| is_field) {
        Some((name, value)) => format!("{name}:{}", masked_value(value, NUMBER)),
        None => start_line(&text),
    }
    .into_bytes();
    out.extend_from_slice(end);
    out
}

/// A start line with its users and numbers masked. That of a response begins with version and code (RFC 3261 7.2).
fn start_line(text: &str) -> String {
    let is_response = |(front, _): &(&str, &str)| front.starts_with("SIP/2.0 ");
    match text.split_at_checked("SIP/2.0 200 ".len()).filter(is_response) {
        Some((front, reason)) => format!("{front}{}", text_with(reason, NUMBER)),
        None => text_with(text, NUMBER),
    }
}

/// The value of such a field: names in front of addresses are masked, users, and numbers of so many digits.
pub(super) fn masked_value(value: &str, shortest: usize) -> String {
    let entries: Vec<String> = entries(value).into_iter().map(names).collect();
    text_with(&entries.join(","), shortest)
}

/// The entries of a list (RFC 3261 7.3.1): a comma in quotes or in a URI between angle brackets separates nothing.
fn entries(value: &str) -> Vec<&str> {
    let (mut quoted, mut escaped, mut is_uri) = (false, false, false);
    let parts = value.split(move |c: char| {
        let is_end = c == ',' && !quoted && !is_uri;
        match c {
            '"' if !escaped => quoted = !quoted,
            '<' | '>' if !quoted => is_uri = c == '<',
            _ => {}
        }
        escaped = c == '\\' && quoted && !escaped;
        is_end
    });
    parts.collect()
}

/// An entry with the names in it masked: those in quotes, and `Alice Smith <sip:…>` in front of an address. `text` of Reason
/// stays (RFC 3326).
fn names(entry: &str) -> String {
    let mut out = String::with_capacity(entry.len());
    let mut rest = entry;
    let mut is_name = true;
    while let Some((before, after)) = rest.split_once('"') {
        let (quoted, behind) = after.split_at(end_of_quoted(after));
        let is_phrase = before.trim_end().ends_with("text=");
        is_name = push_bare(before, is_name, &mut out);
        out.push('"');
        if is_phrase {
            out.push_str(quoted);
        } else {
            out.push_str(&escaped(&user(&unescaped(quoted))));
        }
        out.push('"');
        rest = behind.strip_prefix('"').unwrap_or(behind);
    }
    push_bare(rest, is_name, &mut out);
    out
}

/// How long what stands in quotes is, with its quoted pairs (RFC 3261 25.1), up to the quote that ends it.
fn end_of_quoted(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.find(|c: char| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    end.unwrap_or(text.len())
}

fn unescaped(quoted: &str) -> String {
    let mut is_escaped = false;
    let kept = quoted.chars().filter(|c| {
        is_escaped = *c == '\\' && !is_escaped;
        !is_escaped
    });
    kept.collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Writes what is not in quotes, where a name may still come masked as far as it is one; tells whether one may still come.
fn push_bare(text: &str, may_be_name: bool, out: &mut String) -> bool {
    let (name, rest) = text.split_at(text.find('<').unwrap_or(text.len()));
    let bare = name.trim();
    // Parameters, an address without brackets, and what begins no address are no names.
    let is_name = may_be_name && !bare.is_empty() && !rest.is_empty() && !bare.contains([':', '@', ';', '=']);
    if is_name {
        let start = name.len() - name.trim_start().len();
        out.push_str(name.get(..start).unwrap_or_default());
        out.push_str(&user(bare));
        out.push(' ');
    } else {
        out.push_str(name);
    }
    out.push_str(rest);
    may_be_name && rest.is_empty()
}

/// How deep a multipart may lie in another: what lies deeper is not shown.
const NESTING: u32 = 2;

/// `kind` is the whole Content-Type field.
fn shown_body(body: &[u8], kind: &[u8], privacy: Privacy, nesting: u32) -> Vec<u8> {
    let has = |word: &[u8]| kind.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word));
    // What tells which keys were pressed: INFO, and KPML (RFC 4730).
    let is_keys = has(b"dtmf") || has(b"digit") || has(b"kpml-response");
    let is_description = has(b"application/sdp");
    if body.is_empty() || (is_keys && privacy.digits) {
        return body.to_vec();
    }
    if is_keys || (privacy.masked && !is_description) {
        return hidden(body);
    }
    if has(b"multipart/") && !privacy.digits {
        let boundary = nesting.checked_sub(1).and_then(|nesting| Some((boundary(kind)?, nesting)));
        return boundary
            .map_or_else(|| hidden(body), |(boundary, nesting)| parts(body, boundary, privacy, nesting));
    }
    body.split_inclusive(|byte| *byte == b'\n').flat_map(|line| description_line(line, privacy)).collect()
}

fn hidden(body: &[u8]) -> Vec<u8> {
    format!("[{} bytes are not shown]\r\n", body.len()).into_bytes()
}

/// What separates the parts of a multipart (RFC 2046 5.1.1).
fn boundary(kind: &[u8]) -> Option<&[u8]> {
    let parameters = kind.get(kind.iter().position(|byte| *byte == b';')?..)?;
    let boundary = parameter_of(parameters, b"boundary")?;
    let inside = boundary.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    Some(inside.unwrap_or(boundary)).filter(|bare| !bare.is_empty())
}

/// The parts of a multipart, each as a body of its kind, with their header fields and the lines between them.
fn parts(body: &[u8], boundary: &[u8], privacy: Privacy, nesting: u32) -> Vec<u8> {
    let is_delimiter = |line: &[u8]| line.strip_prefix(b"--").is_some_and(|rest| rest.starts_with(boundary));
    let (mut out, mut start, mut at) = (Vec::with_capacity(body.len()), 0, 0);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        if is_delimiter(line) {
            part(body.get(start..at).unwrap_or_default(), privacy, nesting, &mut out);
            out.extend_from_slice(line);
            start = at + line.len();
        }
        at += line.len();
    }
    if start == 0 {
        return hidden(body);
    }
    part(body.get(start..).unwrap_or_default(), privacy, nesting, &mut out);
    out
}

fn part(part: &[u8], privacy: Privacy, nesting: u32, out: &mut Vec<u8>) {
    let is_bare = part.starts_with(b"\n") || part.starts_with(b"\r\n");
    let (head, body) = if is_bare { (&[][..], part) } else { split(part) };
    let is_kind = |field: &&[u8]| {
        let name = field.split(|byte| *byte == b':').next().unwrap_or_default();
        same_name(name.trim_ascii(), b"Content-Type")
    };
    let kind = fields(head).into_iter().find(is_kind).unwrap_or_default();
    out.extend(head.split_inclusive(|byte| *byte == b'\n').flat_map(|line| description_line(line, privacy)));
    out.extend(shown_body(body, kind, privacy, nesting));
}

/// A line of a session description: keys of SRTP (RFC 4568 9.1, RFC 4567, RFC 8866 5.12) and of ICE never, names not
/// when they are masked.
fn description_line(line: &[u8], privacy: Privacy) -> Vec<u8> {
    let (text, end) = text_and_end(line);
    let lower = text.to_ascii_lowercase();
    let secret = ["a=key-mgmt:", "a=ice-pwd:", "k="].into_iter().find(|start| lower.starts_with(start));
    let personal = ["s=", "i=", "u=", "e=", "p="].into_iter().find(|start| text.starts_with(start));
    let shown = if let Some(start) = secret {
        format!("{}{HIDDEN}", text.get(..start.len()).unwrap_or_default())
    } else if lower.starts_with("a=crypto:") {
        keyless(&text, &lower)
    } else if let Some(start) = personal.filter(|_| privacy.masked) {
        format!("{start}{HIDDEN}")
    } else if let Some(origin) = text.strip_prefix("o=").filter(|_| privacy.masked) {
        let (name, rest) = origin.split_once(' ').unwrap_or((origin, ""));
        format!("o={} {rest}", user(name))
    } else {
        return line.to_vec();
    };
    [shown.as_bytes(), end].concat()
}

/// `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***`.
fn keyless(text: &str, lower: &str) -> String {
    let start = lower.find("inline:").map_or(lower.len(), |at| at + "inline:".len());
    match text.get(..start) {
        Some(front) if start < text.len() => format!("{front}{HIDDEN}"),
        _ => format!("a=crypto:{HIDDEN}"),
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

    /// RFC 3261 25.1: a quoted pair ends no quoted string, and header fields are lists (7.3.1).
    #[test]
    fn a_masked_list_names_nobody() {
        let rows = [
            (r#" "Max \"Maxi\" Mustermann" <sip:max@a>;tag=1"#, r#" "M***" <sip:m***@a>;tag=1"#),
            (r#""\"" <sip:h>"#, r#""***" <sip:h>"#),
            (r#""a\\", "Bob" <sip:b@c>"#, r#""***", "B***" <sip:***@c>"#),
            (
                " Max M <sip:max@a>;reason=x, Erika M <sip:erika@a;p=\"x,y\">;reason=user-busy",
                " M*** <sip:m***@a>;reason=x, E*** <sip:e***@a;p=\"x***\">;reason=user-busy",
            ),
            (
                "<sip:bob@b>;index=1,Erika M <sip:erika@a>;index=1.1",
                "<sip:b***@b>;index=1,E*** <sip:e***@a>;index=1.1",
            ),
            (
                "\"A, B\" <sip:alice@a>, Carl <tel:+4930123456789>",
                "\"A***\" <sip:a***@a>, C*** <tel:+493012*******>",
            ),
            ("\"Al\" Bo Jones <sip:alice@a>", "\"***\" B*** <sip:a***@a>"),
            ("\"not ended <sip:alice@a>", "\"n***\""),
            (
                "SIP;cause=200;text=\"Call \\\"completed\\\", elsewhere\"",
                "SIP;cause=200;text=\"Call \\\"completed\\\", elsewhere\"",
            ),
        ];
        for (value, masked) in rows {
            assert_eq!(masked_value(value, NUMBER), masked, "{value}");
            assert_eq!(masked_value(masked, NUMBER), masked, "{value} twice");
        }
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
        fn any_value_is_masked_once(value in "[ -~ ]{0,60}") {
            let once = masked_value(&value, NUMBER);
            prop_assert_eq!(masked_value(&once, NUMBER), once);
        }

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
