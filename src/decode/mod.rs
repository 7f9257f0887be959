//! From a frame's first byte to its transport payload: link layers, VLAN tags, tunnels, IP, transport headers.
//!
//! In: a link type and a captured frame. Out: one [`Decoded`], or a [`DecodeError`] that names the layer whose
//! length was wrong. Every offset is relative to the buffer that was decoded. Nothing is copied, nothing is
//! remembered between packets, and the number of nested layers is capped at [`MAX_LAYERS`].
//!
//! A length field that promises more than its surroundings hold is an error; bytes that a header announces and
//! the capture cut off are `missing`. Padding after the IP packet never reaches a payload.
//!
//! The walk is our own: a packet costs a few nanoseconds here, tunnels and the cap are beyond what slicing
//! crates do. `etherparse` reads the packets quoted in ICMP errors, and is the oracle of the tests.
//!
//! Absent on purpose: checksums (cards fill them in after the capture has seen the packet), fragments'
//! reassembly (see [`crate::defrag`]), and any judgement on what a payload is, HEP and tunnels apart.

mod cooked;
mod cursor;
mod erspan;
mod ethernet;
mod extension;
mod geneve;
mod gre;
mod gtpu;
mod hep;
mod icmp;
mod ipv4;
mod ipv6;
mod mpls;
mod network;
mod next;
mod plain;
mod ppp;
mod sctp;
mod tcp;
mod tzsp;
mod udp;
mod unit;
mod vxlan;

#[cfg(test)]
mod tests;

pub(crate) use network::is_behind_link;
pub use network::{Network, network};
pub use next::MAX_LAYERS;
use plain::plain;
pub(crate) use plain::{Ends, Front, Part, Plain, TCP, UDP};
pub use sctp::{DataChunk, data_chunks};
pub use unit::{
    DecodeError, Decoded, Fault, Fragment, Layer, TcpFlags, TcpHeader, Transport, Unit, Unreachable,
};

use crate::capture::LinkType;
use cursor::Cursor;
use next::{Next, walk};

/// Decodes a captured frame down to its innermost transport header.
///
/// # Errors
/// Names the layer that is cut short, contradicts itself, is of an unknown version or lies too deep.
#[inline]
pub fn decode(link: LinkType, frame: &[u8]) -> Result<Decoded, DecodeError> {
    match plain(link, frame) {
        Some(unit) => Ok(Decoded::Unit(unit)),
        None => decode_any(link, frame),
    }
}

/// Decodes the payload of a datagram that was put together from fragments: `fragment` is the datagram's first
/// one, with `missing` the bytes cut off the datagram's end. Offsets are relative to `payload`; a unit whose
/// transport header is the payload's first has `network` 0, having no IP header there.
///
/// # Errors
/// As [`decode`] does; layers before reassembly count towards the cap.
pub fn decode_datagram(fragment: &Fragment, payload: &[u8]) -> Result<Decoded, DecodeError> {
    let mut cursor = Cursor::new(payload);
    cursor.source = fragment.source;
    cursor.destination = fragment.destination;
    cursor.depth = fragment.depth;
    cursor.tunnelled = fragment.tunnelled;
    cursor.end_at(payload.len().saturating_add(fragment.missing as usize));
    walk(&mut cursor, Next::protocol(fragment.protocol))
}

/// [`decode`] where [`plain`] has found nothing.
#[inline(never)]
pub(crate) fn decode_any(link: LinkType, frame: &[u8]) -> Result<Decoded, DecodeError> {
    let mut cursor = Cursor::new(frame);
    let next = first(link, &mut cursor)?;
    walk(&mut cursor, next)
}

/// The first layer of a frame, behind what the capture itself put before it.
fn first(link: LinkType, cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    Ok(match link {
        LinkType::ETHERNET => Next::Ethernet,
        LinkType::LINUX_SLL => cooked::sll(cursor)?,
        LinkType::LINUX_SLL2 => cooked::sll2(cursor)?,
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => cooked::raw(cursor)?,
        LinkType::IPV4 => Next::Ipv4,
        LinkType::IPV6 => Next::Ipv6,
        LinkType::NULL | LinkType::LOOP => cooked::loopback(cursor)?,
        LinkType::PPP => Next::Ppp,
        LinkType::PPP_HDLC | LinkType::C_HDLC => ppp::hdlc(cursor)?,
        LinkType::PPP_ETHER => Next::Pppoe,
        _ => return Err(DecodeError { layer: Layer::Link, fault: Fault::UnknownLink }),
    })
}
