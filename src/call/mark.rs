//! Which datagram brought a message: tells a copy that another tap captured from one that was sent again, where the clocks of the
//! two are further apart than any way takes.

use super::listener::Delivery;
use crate::capture::LinkType;
use crate::decode;
use crate::near::fetch;
use crate::pipeline::{Place, View};
use crate::sip::{Carriage, Message};

/// What captures of one datagram have in common, or what places of capture have not, in 7 bits; 0 when nothing is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark(u8);

/// The mark is of the identification of the datagram, and not of its way.
const IDENTIFIED: u8 = 0x80;

/// Length of an IPv4 header without options, of an IPv6 header, and of a UDP header.
const IPV4: usize = 20;
const IPV6: usize = 40;
const UDP: usize = 8;

impl Mark {
    /// That of a message that came alone in a packet, or in fragments. A sender numbers its datagrams (RFC 791 3.2, RFC 8200 4.5),
    /// unless they must not be fragmented (RFC 6864 4.1: many have 0 then) or are IPv6 and whole; of these, the link layer's header
    /// and the hops left tell where they were captured, and in a tunnel the number of the packet around them which they are.
    #[inline]
    pub(crate) fn of(delivery: &Delivery<'_>) -> Self {
        let message = delivery.message;
        match message.carriage {
            Carriage::Frame(index) if message.bytes.place == Place::Packets => {
                let numbered = || Self::numbered(delivery.view.batch.arena, message.bytes.start as usize);
                let known = if message.source.address.is_v4() { numbered() } else { None };
                known.or_else(|| Self::on_its_way(delivery, index)).unwrap_or_default()
            }
            Carriage::Datagram(index) => Self::in_fragments(delivery, index).unwrap_or_default(),
            _ => Self::default(),
        }
    }

    /// Fetches what tells the mark of a message that comes soon.
    #[inline]
    pub(crate) fn touch(message: &Message, view: &View<'_>) {
        let headers = (message.bytes.start as usize).saturating_sub(IPV4 + UDP);
        view.batch.arena.get(headers).into_iter().for_each(fetch);
    }

    /// That of the number in an IPv4 header without options, in front of the UDP header of a payload that begins there.
    #[inline]
    fn numbered(bytes: &[u8], payload: usize) -> Option<Self> {
        let headers: &[u8; IPV4 + UDP] = bytes.get(payload.checked_sub(IPV4 + UDP)?..)?.first_chunk()?;
        match *headers {
            [0x45, _, _, _, 0, 0, ..] => None,
            [0x45, _, _, _, high, low, _, _, _, 17, ..] => {
                Some(Self::identified(u16::from_be_bytes([high, low])))
            }
            _ => None,
        }
    }

    #[cold]
    fn on_its_way(delivery: &Delivery<'_>, index: u32) -> Option<Self> {
        let message = delivery.message;
        let (packet, frame) = delivery.view.packet(index)?;
        let payload = message.bytes.start.checked_sub(packet.offset)? as usize;
        let is_v4 = message.source.address.is_v4();
        let network = payload.checked_sub(UDP + if is_v4 { IPV4 } else { IPV6 })?;
        let (link, rest) = frame.split_at_checked(network)?;
        let hops = match *rest.first_chunk::<10>()? {
            [0x45, _, _, _, 0, 0, _, _, hops, 17] => hops,
            [0x60..=0x6f, _, _, _, _, _, 17, hops, ..] => hops,
            _ => return None,
        };
        // There is an IP header in front of one in a tunnel.
        if network >= IPV4 && !decode::is_behind_link(packet.link, frame, network) {
            return Self::in_tunnel(packet.link, frame);
        }
        Some(Self::way(link.last_chunk().copied().unwrap_or_default(), hops))
    }

    /// That of the number of the packet around a tunnel, which the tunnel's end gives anew to what is sent again.
    fn in_tunnel(link: LinkType, frame: &[u8]) -> Option<Self> {
        let outer = decode::network(link, frame)?;
        match *frame.get(outer.offset..)?.first_chunk()? {
            [0x40..=0x4f, _, _, _, 0, 0] => None,
            [0x40..=0x4f, _, _, _, high, low] => Some(Self::identified(u16::from_be_bytes([high, low]))),
            _ => None,
        }
    }

    /// That of a datagram, which all its fragments have.
    #[cold]
    fn in_fragments(delivery: &Delivery<'_>, index: u32) -> Option<Self> {
        let identification = *delivery.view.fragments.identifications.get(index as usize)?;
        Some(Self::identified((identification >> 16) as u16 ^ identification as u16))
    }

    const fn identified(identification: u16) -> Self {
        // Some count in the upper byte.
        Self(IDENTIFIED | identification.wrapping_add(identification >> 8) as u8 & !IDENTIFIED)
    }

    /// Of the last bytes of a link layer's header: addresses, and a VLAN.
    const fn way(link: [u8; 14], hops: u8) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = link;
        let front = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let back = u64::from_le_bytes([i, j, k, l, m, n, hops, 1]);
        let mixed = (front.rotate_left(29) ^ back).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mark = (mixed >> 57) as u8;
        Self(if mark == 0 { 1 } else { mark })
    }

    /// One of these bits, for tests of others.
    #[cfg(test)]
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    const fn is_identified(self) -> bool {
        self.0 & IDENTIFIED != 0
    }

    /// Whether another copy of a message is probably the same datagram, captured at another place.
    pub(crate) const fn is_again(self, other: Self) -> bool {
        let is_known = self.0 != 0 && other.0 != 0 && self.is_identified() == other.is_identified();
        is_known && (self.0 == other.0) == self.is_identified()
    }

    /// What is kept of a message when another copy has that mark: the latest datagram, but the first way.
    pub(crate) const fn after(self, other: Self) -> Self {
        if other.is_identified() { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_known_by_its_number_or_its_way() {
        let numbered = Mark::identified;
        assert!(numbered(1).is_again(numbered(1)) && numbered(0xffff).is_again(numbered(0xffff)));
        for number in 1..u16::MAX {
            assert!(!numbered(number).is_again(numbered(number + 1)), "{number}");
        }
        let way = |vlan: u8, hops: u8| Mark::way([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, vlan], hops);
        assert!(!way(1, 64).is_again(way(1, 64)), "sent again on the same way");
        assert!(way(1, 64).is_again(way(1, 63)) && way(1, 64).is_again(way(2, 64)));
        assert!(!way(1, 64).is_again(numbered(7)) && !numbered(7).is_again(way(1, 64)));
        for known in [way(1, 64), numbered(7), Mark::default()] {
            assert!(!known.is_again(Mark::default()) && !Mark::default().is_again(known));
        }
    }
}
