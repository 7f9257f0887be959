//! Where the outermost IP header of a frame begins: what stands before it can be put before other packets; and whether an IP header
//! is behind a header of the link layer.

use super::cursor::Cursor;
use super::first;
use super::next::{MAX_LAYERS, Next};
use crate::capture::LinkType;

/// Where the IP header of a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its offset in the frame.
    pub offset: usize,
    /// IPv6, not IPv4.
    pub v6: bool,
    /// A header before it holds a length (IEEE 802.3, PPPoE), so that it fits this packet only.
    pub sized: bool,
}

/// Finds the outermost IP header of `frame`; none when it is not IP, or not of a link type known here.
#[must_use]
pub fn network(link: LinkType, frame: &[u8]) -> Option<Network> {
    let mut cursor = Cursor::new(frame);
    let mut next = first(link, &mut cursor).ok()?;
    let mut sized = false;
    for _ in 0..MAX_LAYERS {
        match next {
            Next::Ipv4 | Next::Ipv6 => {
                return Some(Network { offset: cursor.at(), v6: matches!(next, Next::Ipv6), sized });
            }
            Next::Ethernet | Next::Vlan | Next::Mpls | Next::Ppp => {}
            Next::Llc | Next::Pppoe => sized = true,
            _ => return None,
        }
        next = next.read(&mut cursor).ok()?;
    }
    None
}

/// Whether the IP header at `offset` of `frame` is behind a header of the link layer, the captured one or one in a tunnel (VXLAN,
/// ERSPAN), and not behind that of a tunnel which carries IP.
#[must_use]
pub(crate) fn is_behind_link(link: LinkType, frame: &[u8], offset: usize) -> bool {
    let mut cursor = Cursor::new(frame);
    let Ok(mut next) = first(link, &mut cursor) else { return false };
    let mut is_behind = true;
    for _ in 0..MAX_LAYERS {
        match next {
            Next::Ipv4 | Next::Ipv6 if cursor.at() == offset => return is_behind,
            Next::Ipv4 | Next::Ipv6 => is_behind = false,
            Next::Ethernet => is_behind = true,
            Next::Other(_) | Next::Foreign | Next::Done(_) => return false,
            _ => {}
        }
        let Ok(read) = next.read(&mut cursor) else { return false };
        next = read;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::{ethernet, packet4, packet6, udp, v4};
    use proptest::prelude::*;

    fn at(offset: usize, v6: bool, sized: bool) -> Option<Network> {
        Some(Network { offset, v6, sized })
    }

    #[test]
    fn tags_and_labels_are_looked_behind() {
        let on_ethernet = |kind, rest: &[u8]| network(LinkType::ETHERNET, &ethernet(kind, rest));
        assert_eq!(on_ethernet(0x88a8, b"\0\x01\x81\0\0\x02\x86\xdd"), at(22, true, false));
        assert_eq!(on_ethernet(0x8847, b"\0\0\0\x40\0\0\x11\x40\x45"), at(22, false, false));
        // RFC 4448: an Ethernet frame below the labels, behind a control word.
        let pseudowire = [b"\0\0\x11\x40\0\0\0\0".as_slice(), &ethernet(0x0800, b"\x45")].concat();
        assert_eq!(on_ethernet(0x8847, &pseudowire), at(36, false, false));
        assert_eq!(on_ethernet(0x8864, b"\x11\0\0\x01\0\x2a\0\x21"), at(22, false, true));
        assert_eq!(on_ethernet(44, b"\xaa\xaa\x03\0\0\0\x08\0\x45"), at(22, false, true), "RFC 1042");
        assert_eq!(on_ethernet(0x0806, b""), None, "ARP");
        // RFC 1661 6.5 compresses protocol numbers; Cisco HDLC has EtherTypes.
        assert_eq!(network(LinkType::PPP, b"\xff\x03\x21\x45"), at(3, false, false));
        assert_eq!(network(LinkType::PPP_HDLC, b"\x0f\0\x86\xdd\x60"), at(4, true, false));
        assert_eq!(network(LinkType(127), b"\x45"), None);
    }

    #[test]
    fn a_tunnel_has_a_link_layer_or_none() {
        let inner = ethernet(0x0800, &packet4());
        let vxlan = udp(49_152, 4_789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &inner].concat());
        let gtpu = udp(2_152, 2_152, &[&[0x30, 255, 0, 35, 0, 0, 0, 77][..], &packet4()].concat());
        // The protocol and what it carries in front of the inner IP header: RFC 2784, RFC 7637, RFC 2003, RFC 4213, RFC 7348,
        // 3GPP TS 29.281.
        for (protocol, carried, before, expected) in [
            (47, [&[0, 0, 8, 0][..], &packet4()].concat(), 4, false),
            (47, [&[0x20, 0, 0x65, 0x58, 0, 0, 1, 0][..], &inner].concat(), 8 + 14, true),
            (4, packet4(), 0, false),
            (41, packet6(), 0, false),
            (17, vxlan, 8 + 8 + 14, true),
            (17, gtpu, 8 + 8, false),
        ] {
            let frame = ethernet(0x0800, &v4(protocol, &carried));
            let at = |offset| is_behind_link(LinkType::ETHERNET, &frame, offset);
            assert_eq!((at(14), at(14 + 20 + before)), (true, expected), "{protocol}, {before}");
            assert!(!at(15));
        }
    }

    proptest! {
        #[test]
        fn no_frame_panics(link in 0u16..300, frame in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(!is_behind_link(LinkType(link), &frame, 34) || frame.len() >= 34);
            if let Some(network) = network(LinkType(link), &frame) {
                prop_assert!(network.offset <= frame.len());
            }
        }
    }
}
