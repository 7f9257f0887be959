//! MPLS label stacks (RFC 3032) and what lies below: IP, or an Ethernet pseudowire (RFC 4448).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Layer};

/// One label. No label says what the bottom one carries, so the first nibble has to (RFC 4928 3): 4 and 6 are
/// IP, 1 is an associated channel (RFC 4385 5), anything else an Ethernet pseudowire.
pub(super) fn label(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let entry = cursor.take::<4>(Layer::Mpls)?;
    if entry[2] & 1 == 0 {
        return Ok(Next::Mpls);
    }
    match cursor.peek::<1>().map(|first| first[0] >> 4) {
        Some(4) => return Ok(Next::Ipv4),
        Some(6) => return Ok(Next::Ipv6),
        Some(1) | None => return Ok(Next::Foreign),
        Some(0) if has_control_word(cursor.rest()) => cursor.skip(4, Layer::Mpls)?,
        Some(_) => {}
    }
    Ok(Next::Ethernet)
}

/// Zero in the first nibble is a control word, but an address may begin so as well, and most do. The frame has
/// none if only without one its type is known.
fn has_control_word(frame: &[u8]) -> bool {
    let carries = |at: usize| match frame.get(at..at + 2) {
        Some(&[high, low]) => !matches!(Next::ether_type(be16(high, low)), Next::Foreign),
        _ => false,
    };
    carries(16) || !carries(12)
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{error, ethernet, finds, finds_in, packet4, packet6};
    use crate::decode::{Decoded, decode};

    /// RFC 3032 2.1: label 20 bits, class 3, bottom 1, time to live 8.
    const STACK: [u8; 8] = [0, 1, 0x00, 64, 0, 2, 0x01, 64];

    #[test]
    fn labels_over_ip() {
        for kind in [0x8847, 0x8848] {
            finds(LinkType::ETHERNET, &ethernet(kind, &[&STACK[..], &packet4()].concat()), false);
            finds(LinkType::ETHERNET, &ethernet(kind, &[&STACK[4..], &packet6()].concat()), false);
        }
        finds_in(137, &[&STACK[..], &packet4()].concat());
    }

    #[test]
    fn pseudowires_with_and_without_control_word() {
        let inner = ethernet(0x0800, &packet4());
        // RFC 4448 4.6: four bits of zero, then flags and a sequence number.
        for word in [&[][..], &[0, 0, 0x12, 0x34]] {
            for first in [0, 2, 0x0c, 0xfe] {
                let mut inner = inner.clone();
                inner[0] = first;
                finds(LinkType::ETHERNET, &ethernet(0x8847, &[&STACK[4..], word, &inner].concat()), false);
            }
        }
    }

    #[test]
    fn channels_and_ends() {
        let channel = [&STACK[4..], &[0x10, 0, 0, 0x21], &packet4()].concat();
        assert_eq!(decode(LinkType::ETHERNET, &ethernet(0x8847, &channel)), Ok(Decoded::NonIp));
        assert_eq!(error(LinkType::ETHERNET, &ethernet(0x8847, &STACK[..6])), "mpls.truncated");
    }
}
