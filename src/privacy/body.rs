//! Bodies of messages without what is not to be told.

use super::Privacy;
use super::mask::{HIDDEN, NUMBER, local_part, text_with, user};
use super::message::{lines, split, text_and_end};
use crate::sip::header::{parameter as parameter_of, same_name};

/// How deep a multipart may lie in another: what lies deeper is not shown.
const NESTING: u32 = 2;

/// The body as it may be shown. `kind` is the whole Content-Type field.
pub(super) fn shown(body: &[u8], kind: &[u8], privacy: Privacy) -> Vec<u8> {
    shown_body(body, kind, privacy, NESTING)
}

fn shown_body(body: &[u8], kind: &[u8], privacy: Privacy, nesting: u32) -> Vec<u8> {
    let has = |word: &[u8]| contains(kind, word);
    // What tells which keys were pressed: INFO, and KPML (RFC 4730).
    let tells_keys =
        |text: &[u8]| [&b"dtmf"[..], b"digit", b"kpml-response"].iter().any(|word| contains(text, word));
    let media_type = media_type(kind);
    if body.is_empty() || (privacy.digits && tells_keys(media_type)) {
        return body.to_vec();
    }
    let is_description = media_type.eq_ignore_ascii_case(b"application/sdp");
    if (tells_keys(kind) && !privacy.digits) || (privacy.masked && !is_description) {
        return hidden(body);
    }
    if has(b"multipart/") && !privacy.digits {
        let boundary = nesting.checked_sub(1).and_then(|nesting| Some((boundary(kind)?, nesting)));
        return boundary
            .map_or_else(|| hidden(body), |(boundary, nesting)| parts(body, boundary, privacy, nesting));
    }
    body.split_inclusive(|byte| *byte == b'\n').flat_map(|line| description_line(line, privacy)).collect()
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

/// Type and subtype, without parameters.
fn media_type(kind: &[u8]) -> &[u8] {
    let value = kind.iter().position(|byte| *byte == b':').and_then(|colon| kind.get(colon + 1..));
    value.unwrap_or_default().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
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
    let kind = lines(head).into_iter().find(is_kind).unwrap_or_default();
    out.extend(head.split_inclusive(|byte| *byte == b'\n').flat_map(|line| description_line(line, privacy)));
    out.extend(shown_body(body, kind, privacy, nesting));
}

/// What a line of a session description holds.
#[derive(Clone, Copy)]
enum Holds {
    /// Nothing of a user's: it stays.
    Nothing,
    /// A key or a password. Nobody is told, whether names are masked or not.
    Secret,
    /// Keys of SRTP, with what they are for.
    Keys,
    /// The user, and numbers.
    Origin,
    /// Numbers.
    Text,
    /// The user of a `cname`, RFC 3550 6.5.1.
    Source,
    /// Maybe a URI. Its numbers are of candidates, formats and streams.
    Attribute,
    /// What names somebody and cannot be masked in parts.
    Personal,
}

/// Lines by how they begin, in lower case; the first that fits counts. Others are personal.
const LINES: [(&str, Holds); 21] = [
    // RFC 4568 9.1, RFC 4567, RFC 8866 5.12, RFC 8839 5.4.
    ("a=crypto:", Holds::Keys),
    ("a=key-mgmt:", Holds::Secret),
    ("a=ice-pwd:", Holds::Secret),
    ("k=", Holds::Secret),
    ("o=", Holds::Origin),
    // Of circuits the address is a number: RFC 7195 5.2.1.
    ("c=in ", Holds::Nothing),
    ("c=", Holds::Text),
    // RFC 7195 5.2.3, RFC 8827 5, RFC 5547 6, RFC 8866 6.2, RFC 4574.
    ("a=cs-correlation:", Holds::Personal),
    ("a=identity:", Holds::Personal),
    ("a=file-selector:", Holds::Personal),
    ("a=keywds:", Holds::Personal),
    ("a=label:", Holds::Text),
    ("a=ssrc:", Holds::Source),
    ("a=", Holds::Attribute),
    ("v=", Holds::Nothing),
    ("b=", Holds::Nothing),
    ("t=", Holds::Nothing),
    ("r=", Holds::Nothing),
    ("z=", Holds::Nothing),
    ("m=", Holds::Nothing),
    // The SSRC in GB/T 28181.
    ("y=", Holds::Nothing),
];

/// A line of a session description, or of another text.
pub(super) fn description_line(line: &[u8], privacy: Privacy) -> Vec<u8> {
    let (text, end) = text_and_end(line);
    let lower = text.to_ascii_lowercase();
    let row = LINES.iter().find(|(start, _)| lower.starts_with(start));
    let (start, holds) = row.map_or(
        (text.find('=').filter(|at| *at == 1).map_or(0, |_| 2), Holds::Personal),
        |(start, holds)| (start.len(), *holds),
    );
    let (front, value) = text.split_at_checked(start).unwrap_or((&text, ""));
    let told = match holds {
        Holds::Secret => HIDDEN.to_owned(),
        Holds::Keys => return [keyless(&text, &lower).as_bytes(), end].concat(),
        _ if !privacy.masked || text.is_empty() => return line.to_vec(),
        Holds::Nothing => return line.to_vec(),
        Holds::Origin => {
            let (name, rest) = value.split_once(' ').unwrap_or((value, ""));
            format!("{} {rest}", user(name))
        }
        Holds::Text => text_with(value, Some(NUMBER)),
        Holds::Source => source(value),
        Holds::Attribute => text_with(value, None),
        Holds::Personal => HIDDEN.to_owned(),
    };
    [front.as_bytes(), told.as_bytes(), end].concat()
}

/// `1 cname:alice@host`.
fn source(value: &str) -> String {
    match value.split_once("cname:") {
        Some((front, name)) => format!("{front}cname:{}", text_with(&local_part(name), Some(NUMBER))),
        None => text_with(value, None),
    }
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

    fn masked(line: &str) -> String {
        String::from_utf8(description_line(line.as_bytes(), Privacy { masked: true, digits: true })).unwrap()
    }

    /// RFC 3550 6.5.1, RFC 7195 5.2, RFC 8866 5, RFC 4975 6, RFC 8839 5.1.
    #[test]
    fn lines_that_name_somebody_are_masked_and_others_stay() {
        let rows = [
            (
                "o=alice 2890844526 2890842807 IN IP4 192.0.2.1\r\n",
                "o=a*** 2890844526 2890842807 IN IP4 192.0.2.1\r\n",
            ),
            ("a=ssrc:2566107569 cname:alice@host.example\n", "a=ssrc:2566107569 cname:a***@host.example\n"),
            ("a=ssrc:1 cname:4930123456", "a=ssrc:1 cname:49301*****"),
            ("c=PSTN E164 +4930123456\r\n", "c=PSTN E164 +49301*****\r\n"),
            ("a=cs-correlation:callerid:+4930123456 dtmf:123456\r\n", "a=cs-correlation:***\r\n"),
            (
                "a=path:msrp://alice@host.example:7394/2s93i9ek2a;tcp",
                "a=path:msrp://a***@host.example:7394/2s93i9ek2a;tcp",
            ),
            ("a=label:+4930123456", "a=label:+49301*****"),
            ("a=x-owner:sip:alice@host", "a=x-owner:sip:a***@host"),
            ("e=alice@host (Alice)\r\n", "e=***\r\n"),
            ("I am Alice\r\n", "***\r\n"),
            ("q=Alice", "q=***"),
        ];
        for (line, expected) in rows {
            assert_eq!(masked(line), expected);
            assert_eq!(masked(expected), expected);
        }
        for line in [
            "v=0\r\n",
            "c=IN IP4 224.2.36.42/127\r\n",
            "t=2873397496 2873404696\r\n",
            "m=audio 40000 RTP/SAVP 0 101\r\n",
            "a=candidate:1467250027 1 udp 2122260223 192.168.0.196 46243 typ host\r\n",
            "a=ssrc:2566107569 cname:t9YU8M1UxTF8Y1A1\r\n",
            "a=fmtp:96 profile-level-id=4D0028;sprop-parameter-sets=Z00AKpWoHgCJ+VA=,aO48gA==\r\n",
            "a=fingerprint:sha-256 49:66:12:17:0D:1C:91:AE:57:4C:C6:36:DD:D5:97:D2\r\n",
            "a=rtcp:53020 IN IP4 126.16.64.4\r\n",
            "\r\n",
        ] {
            assert_eq!(masked(line), line);
        }
    }

    #[test]
    fn only_a_session_description_is_shown_as_one() {
        let body = b"v=0\r\nHello Alice\r\n";
        let told = |kind: &str| {
            String::from_utf8(shown(body, kind.as_bytes(), Privacy { masked: true, digits: true })).unwrap()
        };
        assert_eq!(told("c:\r\n Application/SDP ; charset=utf-8\r\n"), "v=0\r\n***\r\n");
        for kind in [
            "Content-Type: text/plain; was=\"application/sdp\"",
            "c: multipart/mixed;boundary=application/sdp",
            "c: text/plain;x=dtmf",
            "c",
            "",
        ] {
            assert_eq!(told(kind), "[18 bytes are not shown]\r\n");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_masked_once(line in "([ -~]|a=ssrc:|cname:|sip:|@){0,30}") {
            let once = masked(&line);
            prop_assert_eq!(masked(&once), once);
        }
    }
}
