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

/// A header of `link` type for an IPv6 (or IPv4) packet; none when this program cannot make one.
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
        LinkType::C_HDLC => (b"\x0f\0\x08\0", b"\x0f\0\x86\xdd"),
        LinkType::RAW => (b"", b""),
        LinkType::IPV4 if !v6 => (b"", b""),
        LinkType::IPV6 if v6 => (b"", b""),
        _ => return None,
    };
    Some(if v6 { for_v6 } else { for_v4 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKEABLE: [LinkType; 8] = [
        LinkType::ETHERNET,
        LinkType::LINUX_SLL,
        LinkType::LINUX_SLL2,
        LinkType::NULL,
        LinkType::LOOP,
        LinkType::PPP,
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
    fn a_header_with_a_length_fits_one_packet_only() {
        let tagged = b"\0\0\0\0\0\0\0\0\0\0\0\0\x88\xa8\0\x01\x81\0\0\x02\x86\xdd";
        assert!(announces(LinkType::ETHERNET, tagged, true));
        let pppoe = b"\0\0\0\0\0\0\0\0\0\0\0\0\x88\x64\x11\0\0\x01\0\x2a\0\x21";
        assert!(!announces(LinkType::ETHERNET, pppoe, false));
    }
}
