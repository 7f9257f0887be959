//! What the first bytes of a stream say about the rest.

use memchr::{memchr, memmem};

use crate::reassembly::Chunk;
use crate::sip::websocket::{Upgrade, WebSocket, WebSocketFrame, upgrade};
use crate::sip::{Probe, is_sip_datagram, may_begin_sip, probe};

/// What a direction carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// SIP; a message begins here.
    Sip,
    /// Not known to be anything else, and the beginning was not captured: messages may begin anywhere.
    Search,
    /// WebSocket, after an HTTP head of that many bytes.
    WebSocket { head: usize },
    /// So many line ends, which say nothing (RFC 3261 7.5).
    LineEnds(usize),
    /// What a load balancer says in front of a connection that it hands on, so many bytes (the PROXY protocol of HAProxy).
    Proxy(usize),
    /// TLS.
    Tls,
    /// Something else.
    Other,
    /// It begins like nothing that is known: SIP may follow, or nothing for us.
    Unknown,
    /// That cannot be told yet.
    NeedMore,
}

/// Reads the first bytes of a direction, which `is_joined` in the middle or not. `upgraded`: the other direction is
/// WebSocket already.
pub(super) fn guess(bytes: &[u8], is_joined: bool, upgraded: bool) -> Guess {
    match bytes.iter().take_while(|&&byte| byte == b'\r' || byte == b'\n').count() {
        0 if is_joined => joined(bytes, upgraded),
        0 => opening(bytes, upgraded),
        ends => Guess::LineEnds(ends),
    }
}

/// A direction whose SYN was seen begins with something that is known.
fn opening(bytes: &[u8], upgraded: bool) -> Guess {
    if let Some(guess) = tls(bytes).or_else(|| proxy(bytes)) {
        return guess;
    }
    match probe(bytes) {
        Probe::Sip => Guess::Sip,
        Probe::NeedMore => Guess::NeedMore,
        Probe::NotSip => match upgrade(bytes) {
            Upgrade::Incomplete => Guess::NeedMore,
            // A server need not name the protocol that the client has named (RFC 6455 4.2.2).
            Upgrade::Yes { length, sip } if sip || upgraded => Guess::WebSocket { head: length },
            Upgrade::Yes { .. } => Guess::Other,
            Upgrade::No if foreign_text(bytes) == Some(Guess::Other) => Guess::Other,
            Upgrade::No => Guess::Unknown,
        },
    }
}

/// The header of the PROXY protocol: one line of at most 107 bytes, or, in its second version, a signature whose first four
/// bytes are line ends, and a length (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>, 2.1 and 2.2).
fn proxy(bytes: &[u8]) -> Option<Guess> {
    const LINE: &[u8] = b"PROXY ";
    const LONGEST_LINE: usize = 107;
    const SIGNATURE: &[u8] = b"\0\r\nQUIT\n";
    if bytes.starts_with(LINE) {
        let line = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
        let end = memchr(b'\n', line).map(|end| Guess::Proxy(end + 1));
        return end.or_else(|| (line.len() < LONGEST_LINE).then_some(Guess::NeedMore));
    }
    if !bytes.is_empty() && SIGNATURE.starts_with(bytes) {
        return Some(Guess::NeedMore);
    }
    let [_version, _family, high, low, rest @ ..] = bytes.strip_prefix(SIGNATURE)? else {
        return Some(Guess::NeedMore);
    };
    let addresses = usize::from(u16::from_be_bytes([*high, *low]));
    let is_whole = rest.len() >= addresses;
    Some(if is_whole { Guess::Proxy(bytes.len() - rest.len() + addresses) } else { Guess::NeedMore })
}

/// A direction that was joined in the middle can only be told by what it is not.
fn joined(bytes: &[u8], upgraded: bool) -> Guess {
    let foreign = tls(bytes).or_else(|| foreign_text(bytes));
    match foreign {
        Some(Guess::Other) => opening(bytes, upgraded),
        // Not even a start line is trusted here: it may be `NVITE`, the rest of one. The search wants a method that
        // is registered.
        _ => foreign.unwrap_or(Guess::Search),
    }
}

/// Whether a segment in a direction that was given up begins with something that is worth to be read again: SIP, or
/// the upgrade to it.
pub(super) fn again(segment: &[u8]) -> bool {
    match segment.first() {
        Some(b'G' | b'H') => matches!(upgrade(segment), Upgrade::Yes { sip: true, .. }),
        Some(_) => probe(segment) == Probe::Sip,
        None => false,
    }
}

/// Whether a segment may begin with something for which a connection is read again that was searched in vain; of those
/// that do not, nobody needs to know more. Looks at the first three bytes.
#[inline]
#[must_use]
pub fn may_resume(segment: &[u8]) -> bool {
    may_be_websocket(segment) || may_begin_sip(segment)
}

/// Whether bytes begin as a WebSocket frame that may hold a message does.
#[inline]
pub(super) fn may_be_websocket(bytes: &[u8]) -> bool {
    // FIN with text or binary (RFC 6455 5.2): the only frames that RFC 7118 5 needs.
    matches!(bytes.first(), Some(0x81 | 0x82))
}

/// Whether bytes begin with a WebSocket frame that holds a SIP message, or the beginning of one as far as it is there.
pub(super) fn websocket(bytes: &[u8], max_message: usize, scratch: &mut Vec<u8>) -> bool {
    if !may_be_websocket(bytes) {
        return false;
    }
    scratch.clear();
    let mut codec = WebSocket::new(max_message);
    let is_frame = match codec.next(bytes, scratch) {
        WebSocketFrame::Message { .. } => true,
        WebSocketFrame::Incomplete { .. } => codec.cut(bytes, scratch).is_some(),
        _ => false,
    };
    let found = is_frame && is_sip_datagram(scratch);
    scratch.clear();
    found
}

/// Where the WebSocket frame begins whose payload may be what follows `skipped`: one without a mask, of 126 bytes to 64 KiB
/// (RFC 6455 5.2), as every SIP message is that a server sends.
pub(super) fn frame_before(skipped: &[u8]) -> Option<usize> {
    match skipped {
        [before @ .., 0x81 | 0x82, 126, _, _] => Some(before.len()),
        _ => None,
    }
}

/// Whether a direction begins with a TLS record. Neither SIP nor HTTP begins with such a byte.
#[inline]
pub(super) fn begins_tls(chunk: &Chunk<'_>) -> bool {
    match chunk.bytes {
        [0x14..=0x17] => chunk.opening,
        [0x14..=0x17, 3, ..] => true,
        _ => false,
    }
}

/// Whether a `ClientHello` may name SIP as what it wants to speak: it does not when the whole of it is there and the
/// name is not (RFC 7301 6, `sip/2`).
pub(super) fn may_greet_sip(bytes: &[u8]) -> bool {
    let is_whole = match bytes {
        [0x16, 3, _, high, low, rest @ ..] => rest.len() >= usize::from(u16::from_be_bytes([*high, *low])),
        [0x16] | [0x16, 3] | [0x16, 3, _] | [0x16, 3, _, _] => false,
        _ => return false,
    };
    !is_whole || memmem::find(bytes, b"\x05sip/2").is_some()
}

/// A TLS record: its type, and major version 3 (RFC 8446 5.1).
fn tls(bytes: &[u8]) -> Option<Guess> {
    match bytes {
        [0x14..=0x17, 3, ..] => Some(Guess::Tls),
        [0x14..=0x17] => Some(Guess::NeedMore),
        _ => None,
    }
}

/// Text protocols that are told by their first word. Most of all HTTP, in whose bodies SIP may stand.
fn foreign_text(bytes: &[u8]) -> Option<Guess> {
    const WORDS: [&[u8]; 13] = [
        b"HTTP/1.",
        b"GET ",
        b"POST ",
        b"PUT ",
        b"HEAD ",
        b"DELETE ",
        b"PATCH ",
        b"CONNECT ",
        b"PRI * HTTP/2",
        b"SSH-",
        b"RTSP/1.",
        b"MSRP ",
        b"EHLO ",
    ];
    WORDS.into_iter().find_map(|word| match bytes {
        _ if bytes.starts_with(word) => Some(Guess::Other),
        _ if word.starts_with(bytes) => Some(Guess::NeedMore),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_protocols_are_known_by_their_first_bytes() {
        assert_eq!(opening(&[0x16], false), Guess::NeedMore);
        assert_eq!(opening(&[0x16, 3, 1, 2, 0], false), Guess::Tls);
        assert_eq!(joined(&[0x17, 3, 3], false), Guess::Tls);
        assert_eq!(joined(b"HT", false), Guess::NeedMore);
        assert_eq!(joined(b"POST /x HTTP/1.1\r\n", false), Guess::Other);
        assert_eq!(foreign_text(b"SIP/2.0"), None);
        assert_eq!(foreign_text(b"PUBLISH sip:"), None);
        assert_eq!(opening(b"SSH-2.0-a\r\n", false), Guess::Other);
        assert_eq!(opening(b"220 mail.example ESMTP\r\n", false), Guess::Unknown);
        assert_eq!(opening(b"OPTIONS sip:a SIP/7.0\r\n", false), Guess::Unknown);
    }

    /// The examples of 2.1 and 2.2; what is behind is not looked at.
    #[test]
    fn the_header_of_a_load_balancer_is_known() {
        let line = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n";
        assert_eq!(opening(&[line, &b"INVITE"[..]].concat(), false), Guess::Proxy(line.len()));
        for cut in 1..line.len() {
            assert_eq!(opening(&line[..cut], false), Guess::NeedMore, "{cut}");
        }
        assert_eq!(opening(&[b"PROXY ", &[b'1'; 101][..], b"\n"].concat(), false), Guess::Unknown);
        let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x9c\x40\x13\xc4";
        assert_eq!(guess(binary, false, false), Guess::LineEnds(4));
        assert_eq!(guess(&binary[4..], false, false), Guess::Proxy(binary.len() - 4));
        for cut in 5..binary.len() {
            assert_eq!(guess(&binary[4..cut], false, false), Guess::NeedMore, "{cut}");
        }
    }
}
