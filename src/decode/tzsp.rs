//! TaZmen Sniffer Protocol: how MikroTik routers mirror frames (version 1, tagged fields).

use super::cursor::Cursor;
use super::next::Next;
use super::{DecodeError, Layer};

const PADDING: u8 = 0;
const END: u8 = 1;

/// Whether a UDP payload has the header: version 1, a packet received (0) or to transmit (1), Ethernet inside.
pub(super) fn is_header(payload: &[u8]) -> bool {
    matches!(payload.first_chunk(), Some([1, 0 | 1, 0, 1]))
}

/// Four bytes, then tags: padding and end are one byte, others have a length. A tag is at least a byte long, so
/// that the frame bounds the loop.
pub(super) fn tzsp(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    cursor.skip(4, Layer::Tzsp)?;
    loop {
        match cursor.take::<1>(Layer::Tzsp)?[0] {
            END => break,
            PADDING => {}
            _ => {
                let length = cursor.take::<1>(Layer::Tzsp)?[0];
                cursor.skip(usize::from(length), Layer::Tzsp)?;
            }
        }
    }
    Ok(Next::Ethernet)
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::Transport;
    use crate::decode::tests::{error, ethernet, finds_in, packet4, udp, unit, v4};

    #[test]
    fn frames_behind_any_tags() {
        let inner = ethernet(0x0800, &packet4());
        // Padding, a signal strength (10, one byte), the end.
        for tags in [&[1][..], &[0, 0, 10, 1, 0xd0, 1], &[0x3c, 0, 1]] {
            finds_in(17, &udp(37_008, 37_008, &[&[1, 0, 0, 1][..], tags, &inner].concat()));
        }
    }

    #[test]
    fn what_is_not_tzsp() {
        for payload in [&[1, 0, 0, 18, 1][..], &[1, 4, 0, 0, 1], &[0x80; 20]] {
            assert_eq!(unit(LinkType::RAW, &v4(17, &udp(1, 37_008, payload))).transport, Transport::Udp);
        }
        assert_eq!(error(LinkType::RAW, &v4(17, &udp(1, 37_008, &[1, 0, 0, 1, 10, 9]))), "tzsp.bad_length");
        assert_eq!(error(LinkType::RAW, &v4(17, &udp(1, 37_008, &[1, 0, 0, 1, 0, 0]))), "tzsp.bad_length");
    }
}
