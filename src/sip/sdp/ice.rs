//! Candidates of ICE: where else the media of a section may flow (RFC 8839 5.1, 5.2).

use std::net::IpAddr;

use super::{Media, Words, number_of};
use crate::flow::{Address, Endpoint};

/// Candidates read of one section. Hosts with many interfaces have a dozen; who lists thousands, to fill the table of
/// endpoints, gets no more.
pub(super) const MAX_CANDIDATES: usize = 16;

/// Somewhere that media may come from and go to, beside the endpoint of its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its address, in IPv4 or IPv6, and port.
    pub endpoint: Endpoint,
    /// It is for RTCP: component 2 (RFC 8839 5.1).
    pub is_rtcp: bool,
    /// It is one of who gets the description, not of who sends it (RFC 8839 5.2).
    pub is_remote: bool,
}

/// Reads `<foundation> <component> <transport> <priority> <address> <port> typ <type> …`, what follows `a=candidate:`
/// (RFC 8839 5.1). TCP (RFC 6544) is passed over: media over TCP is not followed. So are names, as that section says, and
/// names of mDNS are some. A related address is for diagnostics alone: nobody sends media from or to it but a candidate of
/// its own.
pub(super) fn candidate(value: &[u8], media: &mut Media) {
    let mut words = Words(value);
    let (_foundation, component, transport) = (words.next(), words.next(), words.next());
    let (_priority, address, port, typ) = (words.next(), words.next(), words.next(), words.next());
    if transport.is_some_and(|name| name.eq_ignore_ascii_case(b"UDP")) && typ == Some(b"typ") {
        add(component, (address, port), false, media);
    }
}

/// Reads `<component> <address> <port>` once or more, what follows `a=remote-candidates:` (RFC 8839 5.2).
pub(super) fn remote_candidates(value: &[u8], media: &mut Media) {
    let mut words = Words(value);
    for _ in 0..MAX_CANDIDATES {
        let (component, address, port) = (words.next(), words.next(), words.next());
        add(component, (address, port), true, media);
    }
}

fn add(
    component: Option<&[u8]>,
    (address, port): (Option<&[u8]>, Option<&[u8]>),
    is_remote: bool,
    media: &mut Media,
) {
    let is_rtcp = match component {
        Some(b"1") => false,
        Some(b"2") => true,
        _ => return,
    };
    let address = address.and_then(literal).filter(|address| !address.is_unspecified());
    let port = port.and_then(number_of::<u16>).filter(|&port| port != 0);
    let (Some(address), Some(port)) = (address, port) else { return };
    let candidate = Candidate { endpoint: Endpoint::new(address, port), is_rtcp, is_remote };
    if media.candidates.len() < MAX_CANDIDATES && !media.candidates.contains(&candidate) {
        media.candidates.push(candidate);
    }
}

/// An address that is written as one. The zone of a link-local one is of its host alone (RFC 4007 11.2).
fn literal(text: &[u8]) -> Option<Address> {
    let text = text.split(|&byte| byte == b'%').next()?;
    std::str::from_utf8(text).ok()?.parse::<IpAddr>().ok().map(Address::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::sdp::tests::media;
    use crate::sip::sdp::{Sections, parse_description};

    /// Candidates of a section with these lines: `rtcp` and `remote` where they are for that, or of them.
    fn candidates(lines: &str) -> Vec<String> {
        let list = media(&format!("v=0\r\nc=IN IP4 192.0.2.3\r\nm=audio 45664 RTP/AVP 0\r\n{lines}"));
        let text = |it: &Candidate| {
            let (rtcp, remote) =
                (if it.is_rtcp { " rtcp" } else { "" }, if it.is_remote { " remote" } else { "" });
            format!("{}{rtcp}{remote}", it.endpoint)
        };
        list[0].candidates.iter().map(text).collect()
    }

    /// The example of RFC 8839 4.2.6, whose folded line is one.
    #[test]
    fn the_example_of_the_rfc() {
        let list = media(
            "v=0\r\no=jdoe 2890844526 2890842807 IN IP4 203.0.113.141\r\ns=\r\nc=IN IP4 192.0.2.3\r\nt=0 0\r\n\
             a=ice-options:ice2\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-ufrag:8hhY\r\nm=audio 45664 RTP/AVP 0\r\n\
             b=RS:0\r\nb=RR:0\r\na=rtpmap:0 PCMU/8000\r\n\
             a=candidate:1 1 UDP 2130706431 203.0.113.141 8998 typ host\r\n\
             a=candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998\r\n",
        );
        let found: Vec<String> = list[0].candidates.iter().map(|it| it.endpoint.to_string()).collect();
        assert_eq!(found, ["203.0.113.141:8998", "192.0.2.3:45664"]);
        assert_eq!(list[0].endpoint.to_string(), "192.0.2.3:45664");
    }

    #[test]
    fn what_the_rfc_says_to_pass_over_is_none() {
        for (line, found) in [
            ("a=candidate:1 1 udp 1 2001:db8::7 9000 typ host generation 0", "[2001:db8::7]:9000"),
            (
                "a=candidate:1 2 UDP 1 192.0.2.9 9001 typ relay raddr 198.51.100.1 rport 5",
                "192.0.2.9:9001 rtcp",
            ),
            ("a=candidate:1 1 UDP 1 fe80::1%eth0 9000 typ host", "[fe80::1]:9000"),
            ("a=candidate:1 1 UDP 1 8f4e-1a.local 9000 typ host", ""),
            ("a=candidate:1 1 UDP 1 media.example.com 9000 typ host", ""),
            ("a=candidate:1 1 TCP 1 192.0.2.9 9 typ host tcptype active", ""),
            ("a=candidate:1 1 SCTP 1 192.0.2.9 9000 typ host", ""),
            ("a=candidate:1 3 UDP 1 192.0.2.9 9000 typ host", ""),
            ("a=candidate:1 1 UDP 1 192.0.2.9 0 typ host", ""),
            ("a=candidate:1 1 UDP 1 192.0.2.9 65536 typ host", ""),
            ("a=candidate:1 1 UDP 1 0.0.0.0 9 typ host", ""),
            ("a=candidate:1 1 UDP 1 192.0.2.9 9000", ""),
            ("a=candidate:", ""),
            ("a=candidates:1 1 UDP 1 192.0.2.9 9000 typ host", ""),
        ] {
            assert_eq!(candidates(&format!("{line}\r\n")).concat(), found, "{line}");
        }
    }

    /// RFC 8839 5.2: component, address and port, for each component.
    #[test]
    fn candidates_of_the_other_side() {
        let found = candidates("a=remote-candidates:1 192.0.2.3 45664 2 192.0.2.3 45665\r\n");
        assert_eq!(found, ["192.0.2.3:45664 remote", "192.0.2.3:45665 rtcp remote"]);
        assert_eq!(candidates("a=remote-candidates:1 192.0.2.3\r\n"), [""; 0]);
    }

    #[test]
    fn is_bounded() {
        let line = |port: u32| format!("a=candidate:1 1 UDP 1 192.0.2.9 {} typ host\r\n", port + 1);
        let remote: String = (1..1000).map(|port| format!("1 192.0.2.9 {port} ")).collect();
        let remote = format!("a=remote-candidates:{remote}\r\n");
        let same = "a=candidate:1 1 UDP 1 192.0.2.9 7 typ host\r\n".repeat(1000);
        assert_eq!(candidates(&same).len(), 1, "each is claimed once");
        let all: String = (0..1000).map(line).chain([remote.clone()]).collect();
        assert_eq!(candidates(&all).len(), MAX_CANDIDATES);
        assert_eq!(candidates(&remote).len(), MAX_CANDIDATES);
    }

    /// What is known of sections read before has no candidates: they differ from call to call.
    #[test]
    fn candidates_are_read_each_time() {
        let mut known = Sections::default();
        let description = "v=0\r\nc=IN IP4 192.0.2.3\r\nm=audio 4 RTP/AVP 0\r\na=candidate:1 1 UDP 1 192.0.2.9 9 typ host\r\n";
        for _ in 0..2 {
            let mut out = Vec::new();
            parse_description(description.as_bytes(), &mut known, &mut out);
            assert_eq!(out[0].candidates.len(), 1);
        }
    }
}
