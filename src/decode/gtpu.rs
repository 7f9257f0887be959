//! GTP-U version 1: the user's packets of a mobile network (3GPP TS 29.281 5.1 and 5.2).

use etherparse::checksum::Sum16BitWords;

use super::cursor::{Cursor, be16};
use super::ethernet::carries_ip;
use super::next::Next;
use super::{DecodeError, Fault, Layer};

/// Message type of a packet; all others are the protocol's own signalling.
const G_PDU: u8 = 255;
/// Any of extension header, sequence number, N-PDU number: four more bytes, of which each bit validates its own.
const OPTIONAL: u8 = 0x07;
const EXTENSION: u8 = 0x04;

/// Whether a UDP payload of `length` bytes on the wire is a packet: version 1, protocol type GTP, and a length
/// field that agrees with UDP's.
pub(super) fn is_header(payload: &[u8], length: usize) -> bool {
    match payload.first_chunk::<8>() {
        Some([flags, G_PDU, high, low, ..]) => {
            flags & 0xf8 == 0x30 && usize::from(be16(*high, *low)) + 8 == length
        }
        _ => false,
    }
}

pub(super) fn gtpu(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let flags = cursor.take::<8>(Layer::Gtpu)?[0];
    if flags & OPTIONAL != 0 {
        let optional = cursor.take::<4>(Layer::Gtpu)?;
        if flags & EXTENSION != 0 {
            extensions(cursor, optional[3])?;
        }
    }
    // Nothing in the header tells what kind of session it is: a frame, like a packet, is known by what it looks like.
    let rest = cursor.rest();
    if carries_ip(rest) && !is_packet(rest, rest.len() + cursor.missing()) {
        return Ok(Next::Ethernet);
    }
    Ok(Next::version(cursor).unwrap_or(Next::Foreign))
}

/// Whether an IP header says that its packet has `length` bytes, or fewer and padding follows, which only a checksum can vouch for.
fn is_packet(bytes: &[u8], length: usize) -> bool {
    match bytes {
        [first @ 0x45..=0x4f, _, high, low, ..] => {
            let header = bytes.get(..usize::from(first & 0xf) * 4).unwrap_or_default();
            let total = usize::from(be16(*high, *low));
            // RFC 1071 1: with a checksum that is right, the sum of a header has no bit that is zero.
            let is_intact =
                || !header.is_empty() && Sum16BitWords::new().add_slice(header).ones_complement() == 0;
            total == length || total < length && is_intact()
        }
        [0x60..=0x6f, _, _, _, high, low, ..] => usize::from(be16(*high, *low)) + 40 == length,
        _ => false,
    }
}

/// Extension headers: length in fours, content, type of the next one; none is shorter than four bytes, so that
/// the frame bounds the loop.
fn extensions(cursor: &mut Cursor<'_>, mut next: u8) -> Result<(), DecodeError> {
    while next != 0 {
        let fours = usize::from(cursor.take::<1>(Layer::Gtpu)?[0]);
        let content =
            (fours * 4).checked_sub(2).ok_or(DecodeError { layer: Layer::Gtpu, fault: Fault::BadLength })?;
        cursor.skip(content, Layer::Gtpu)?;
        next = cursor.take::<1>(Layer::Gtpu)?[0];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{error, ethernet, finds_in, packet4, packet6, udp, unit, v4};
    use crate::decode::{Decoded, Transport, decode};

    /// A message with its length set (TS 29.281 5.1: what follows the first eight bytes).
    fn message(flags: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        let bytes = [&[flags, kind, length[0], length[1], 0, 0, 0, 7][..], rest].concat();
        udp(2152, 2152, &bytes)
    }

    #[test]
    fn packets_with_every_optional_part() {
        finds_in(17, &message(0x30, 255, &packet4()));
        finds_in(17, &message(0x32, 255, &[&[0, 1, 0, 0][..], &packet6()].concat()));
        // A PDU session container (0x85), then a PDCP number (0xc0), one word each.
        let extended = [0, 0, 0, 0x85, 1, 0, 9, 0xc0, 1, 0, 1, 0];
        finds_in(17, &message(0x34, 255, &[&extended[..], &packet4()].concat()));
    }

    /// An Ethernet PDU session (3GPP TS 23.501 5.6.10.2), and addresses on either side that look like the other kind.
    #[test]
    fn frames() {
        for first in [0x02, 0x45, 0x60] {
            let mut frame = ethernet(0x0800, &packet4());
            frame[0] = first;
            finds_in(17, &message(0x30, 255, &frame));
        }
        let mut packet = packet4();
        packet[12..14].copy_from_slice(&[8, 0]);
        packet[14] = 0x45;
        assert_eq!(unit(LinkType::RAW, &v4(17, &message(0x30, 255, &packet))).source.port, 5060);
        // Padding behind it, which its total length leaves out: the checksum is that of RFC 1071.
        packet[10..12].fill(0);
        let words = packet[..20].chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let sum: u32 = words.sum();
        let checksum = !u16::try_from((sum >> 16) + (sum & 0xffff)).unwrap();
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet.extend([0; 7]);
        assert_eq!(unit(LinkType::RAW, &v4(17, &message(0x30, 255, &packet))).source.port, 5060);
    }

    #[test]
    fn signalling_and_media_are_payloads() {
        for packet in [
            message(0x32, 1, &[0; 4]),
            udp(9, 2152, &[0x30, 255, 0, 9, 0, 0, 0, 0]),
            udp(9, 2152, &[0x80; 172]),
        ] {
            assert_eq!(unit(LinkType::RAW, &v4(17, &packet)).transport, Transport::Udp);
        }
    }

    #[test]
    fn bad_extensions_and_other_sessions() {
        let endless = v4(17, &message(0x34, 255, &[0, 0, 0, 0x85, 0, 0, 0, 0]));
        assert_eq!(error(LinkType::RAW, &endless), "gtpu.bad_length");
        assert_eq!(decode(LinkType::RAW, &v4(17, &message(0x30, 255, &[2; 30]))), Ok(Decoded::NonIp));
    }
}
