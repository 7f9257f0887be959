//! Link-layer headers: those that fit other packets too, and one made up for IP that lost its own.

use crate::capture::LinkType;
use crate::decode::{Network, network};

/// Whether `header` is a whole header of `link` type that announces IPv6 (or IPv4) and nothing about a length.
#[must_use]
pub(super) fn announces(link: LinkType, header: &[u8], v6: bool) -> bool {
    match link {
        LinkType::RAW => header.is_empty(),
        _ => network(link, header) == Some(Network { offset: header.len(), v6, sized: false }),
    }
}

/// What a classic file of frames of `link` type is said to hold. Link types of bare IP are one to a file: their frames
/// are the same bytes, and only [`LinkType::RAW`], the registered one of both families, can be followed by the other.
#[must_use]
pub(super) const fn of_file(link: LinkType) -> LinkType {
    match link {
        LinkType::RAW_BSD | LinkType::RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => LinkType::RAW,
        _ => link,
    }
}

/// Writes into a made-up header what it says of the length of its frame, which has `original` bytes on the wire.
pub(super) fn fit(link: LinkType, header: &mut [u8], original: u32) {
    if link == LinkType::PPP_ETHER
        && let Some(length) = header.get_mut(4..6)
    {
        // RFC 2516 4: the PPPoE payload without this header; it has the PPP protocol.
        let payload = u16::try_from(original.saturating_sub(6)).unwrap_or(u16::MAX);
        length.copy_from_slice(&payload.to_be_bytes());
    }
}

/// The longest header that is made up.
pub(super) const LONGEST: usize = 20;

/// A header of `link` type for an IPv6 (or IPv4) packet, yet to [`fit`] it; none when this program cannot make one.
#[must_use]
pub(super) const fn made_up(link: LinkType, v6: bool) -> Option<&'static [u8]> {
    let (for_v4, for_v6): (&[u8], &[u8]) = match link {
        LinkType::ETHERNET => (b"\0\0\0\0\0\0\0\0\0\0\0\0\x08\x00", b"\0\0\0\0\0\0\0\0\0\0\0\0\x86\xdd"),
        // Incoming, ARPHRD_ETHER, a zero address of six bytes.
        LinkType::LINUX_SLL => {
            (b"\0\0\0\x01\0\x06\0\0\0\0\0\0\0\0\x08\x00", b"\0\0\0\x01\0\x06\0\0\0\0\0\0\0\0\x86\xdd")
        }
        LinkType::LINUX_SLL2 => (
            b"\x08\x00\0\0\0\0\0\0\0\x01\0\x06\0\0\0\0\0\0\0\0",
            b"\x86\xdd\0\0\0\0\0\0\0\x01\0\x06\0\0\0\0\0\0\0\0",
        ),
        // The byte order of a file of ours, and Darwin's AF_INET6, which every reader knows.
        LinkType::NULL => (b"\x02\0\0\0", b"\x1e\0\0\0"),
        LinkType::LOOP => (b"\0\0\0\x02", b"\0\0\0\x1e"),
        LinkType::PPP | LinkType::PPP_HDLC => (b"\xff\x03\x00\x21", b"\xff\x03\x00\x57"),
        LinkType::PPP_ETHER => (b"\x11\0\0\0\0\0\0\x21", b"\x11\0\0\0\0\0\0\x57"),
        LinkType::C_HDLC => (b"\x0f\0\x08\0", b"\x0f\0\x86\xdd"),
        LinkType::RAW => (b"", b""),
        _ => return None,
    };
    Some(if v6 { for_v6 } else { for_v4 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKEABLE: [LinkType; 9] = [
        LinkType::ETHERNET,
        LinkType::LINUX_SLL,
        LinkType::LINUX_SLL2,
        LinkType::NULL,
        LinkType::LOOP,
        LinkType::PPP,
        LinkType::PPP_HDLC,
        LinkType::C_HDLC,
        LinkType::RAW,
    ];

    #[test]
    fn what_is_made_up_announces_what_it_should() {
        for link in MAKEABLE {
            for v6 in [false, true] {
                let header = made_up(link, v6).unwrap();
                assert!(announces(link, header, v6), "{link:?} {v6}");
                assert!(link == LinkType::RAW || !announces(link, header, !v6), "{link:?} {v6}");
            }
        }
        assert_eq!(made_up(LinkType::IPV4, true), None);
        assert_eq!(made_up(LinkType(127), false), None);
    }

    #[test]
    fn a_made_up_header_of_a_session_tells_the_length_of_its_packet() {
        // RFC 2516 4: version 1, type 1, code 0, a session, the length of the payload, the PPP protocol (RFC 1661 2) first.
        let mut header = made_up(LinkType::PPP_ETHER, true).unwrap().to_vec();
        fit(LinkType::PPP_ETHER, &mut header, 8 + 300);
        assert_eq!(header, b"\x11\0\0\0\x01\x2e\0\x57");
        let session = Some(Network { offset: 8, v6: true, sized: true });
        assert_eq!(network(LinkType::PPP_ETHER, &header), session);
        let mut other = *b"\x0f\0\x08\0\0\0\0\0";
        fit(LinkType::C_HDLC, &mut other, 300);
        assert_eq!(other, *b"\x0f\0\x08\0\0\0\0\0");
    }

    #[test]
    fn a_header_with_a_length_fits_one_packet_only() {
        let tagged = b"\0\0\0\0\0\0\0\0\0\0\0\0\x88\xa8\0\x01\x81\0\0\x02\x86\xdd";
        assert!(announces(LinkType::ETHERNET, tagged, true));
        let pppoe = b"\0\0\0\0\0\0\0\0\0\0\0\0\x88\x64\x11\0\0\x01\0\x2a\0\x21";
        assert!(!announces(LinkType::ETHERNET, pppoe, false));
    }
}
