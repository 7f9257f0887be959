//! Link-layer headers: where IP begins behind one, and one made up for IP that lost its own.

use crate::capture::LinkType;

/// Where the IP header of a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    /// Its offset in the frame.
    pub(super) offset: usize,
    /// IPv6, not IPv4.
    pub(super) v6: bool,
    /// A header before it holds a length (PPPoE), so it fits this packet only.
    pub(super) sized: bool,
}

/// Tags and labels that are looked behind; more than any network stacks, few enough to bound the walk.
const MAX_TAGS: usize = 8;

/// Finds the outermost IP header of `frame`; none when it is not IP, or not of a link type known here.
#[must_use]
pub(super) fn network(link: LinkType, frame: &[u8]) -> Option<Network> {
    let at = |offset, v6| Some(Network { offset, v6, sized: false });
    match link {
        LinkType::ETHERNET => after_ether_type(frame, 12),
        LinkType::LINUX_SLL => after_ether_type(frame, 14),
        LinkType::LINUX_SLL2 => match word(frame, 0)? {
            0x0800 => at(20, false),
            0x86dd => at(20, true),
            // A VLAN tag or label stands where the payload does: its own type field leads on.
            kind => tagged(frame, kind, 20),
        },
        LinkType::NULL => {
            let family = frame.first_chunk().copied()?;
            let (little, big) = (u32::from_le_bytes(family), u32::from_be_bytes(family));
            at(4, is_inet6(little.min(big))?)
        }
        LinkType::LOOP => at(4, is_inet6(u32::from_be_bytes(frame.first_chunk().copied()?))?),
        LinkType::PPP | LinkType::PPP_HDLC => {
            let skipped = if frame.starts_with(&[0xff, 0x03]) { 2 } else { 0 };
            at(skipped + 2, ppp_v6(word(frame, skipped)?)?)
        }
        LinkType::PPP_ETHER => Some(Network { offset: 8, v6: ppp_v6(word(frame, 6)?)?, sized: true }),
        LinkType::RAW => match frame.first()? >> 4 {
            4 => at(0, false),
            6 => at(0, true),
            _ => None,
        },
        LinkType::IPV4 => at(0, false),
        LinkType::IPV6 => at(0, true),
        _ => None,
    }
}

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
        LinkType::RAW => (b"", b""),
        LinkType::IPV4 if !v6 => (b"", b""),
        LinkType::IPV6 if v6 => (b"", b""),
        _ => return None,
    };
    Some(if v6 { for_v6 } else { for_v4 })
}

fn after_ether_type(frame: &[u8], offset: usize) -> Option<Network> {
    tagged(frame, word(frame, offset)?, offset + 2)
}

/// Walks from a type field to the IP header; `offset` is where that field's payload begins.
fn tagged(frame: &[u8], mut kind: u16, mut offset: usize) -> Option<Network> {
    for _ in 0..MAX_TAGS {
        let v6 = match kind {
            0x0800 => false,
            0x86dd => true,
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                kind = word(frame, offset + 2)?;
                offset += 4;
                continue;
            }
            0x8864 => {
                let v6 = ppp_v6(word(frame, offset + 6)?)?;
                return Some(Network { offset: offset + 8, v6, sized: true });
            }
            0x8847 | 0x8848 => return labelled(frame, offset),
            _ => return None,
        };
        return Some(Network { offset, v6, sized: false });
    }
    None
}

/// Walks an MPLS label stack (RFC 3032 2.1) to its bottom; only the packet's version nibble tells what follows.
fn labelled(frame: &[u8], mut offset: usize) -> Option<Network> {
    for _ in 0..MAX_TAGS {
        let bottom = frame.get(offset + 2)? & 1 == 1;
        offset += 4;
        if bottom {
            let v6 = match frame.get(offset)? >> 4 {
                4 => false,
                6 => true,
                _ => return None,
            };
            return Some(Network { offset, v6, sized: false });
        }
    }
    None
}

/// AF_INET is 2 everywhere; AF_INET6 is 24, 28 or 30 in the BSDs and 10 in Linux.
const fn is_inet6(family: u32) -> Option<bool> {
    match family {
        2 => Some(false),
        10 | 24 | 28 | 30 => Some(true),
        _ => None,
    }
}

/// PPP protocol numbers of IPv4 and IPv6 (RFC 1332, RFC 5072).
const fn ppp_v6(protocol: u16) -> Option<bool> {
    match protocol {
        0x0021 => Some(false),
        0x0057 => Some(true),
        _ => None,
    }
}

fn word(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().copied().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAKEABLE: [LinkType; 7] = [
        LinkType::ETHERNET,
        LinkType::LINUX_SLL,
        LinkType::LINUX_SLL2,
        LinkType::NULL,
        LinkType::LOOP,
        LinkType::PPP,
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
    fn tags_and_labels_are_looked_behind() {
        let tagged = b"\0\0\0\0\0\0\0\0\0\0\0\0\x88\xa8\0\x01\x81\0\0\x02\x86\xdd";
        assert!(announces(LinkType::ETHERNET, tagged, true));
        let label = b"\0\0\0\0\0\0\0\0\0\0\0\0\x88\x47\0\0\0\x40\0\0\x11\x40\x45";
        assert_eq!(network(LinkType::ETHERNET, label), Some(Network { offset: 22, v6: false, sized: false }));
        let pppoe = b"\0\0\0\0\0\0\0\0\0\0\0\0\x88\x64\x11\0\0\x01\0\x2a\0\x21";
        assert_eq!(network(LinkType::ETHERNET, pppoe).map(|network| network.offset), Some(22));
        assert!(!announces(LinkType::ETHERNET, pppoe, false), "its length fits one packet only");
        assert_eq!(network(LinkType::ETHERNET, b"\0\0\0\0\0\0\0\0\0\0\0\0\x08\x06"), None, "ARP");
    }

    proptest! {
        #[test]
        fn no_frame_panics(link in 0u16..300, frame in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = network(LinkType(link), &frame);
        }
    }
}
