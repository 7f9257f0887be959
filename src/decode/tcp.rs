//! TCP headers (RFC 9293 3.1).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Fault, Layer, TcpFlags, TcpHeader, Transport};

/// Bytes of a header without options.
pub(super) const LEAST: usize = 20;

pub(super) fn tcp(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<LEAST>(Layer::Tcp)?;
    let options = length(header)
        .checked_sub(LEAST)
        .ok_or(DecodeError { layer: Layer::Tcp, fault: Fault::BadLength })?;
    cursor.skip(options, Layer::Tcp)?;
    let (source, destination) = (be16(header[0], header[1]), be16(header[2], header[3]));
    Ok(Next::Done(cursor.unit(Transport::Tcp(fields(header)), source, destination)))
}

/// Bytes of the header with its options, by the data offset.
#[inline]
pub(super) const fn length(header: &[u8; LEAST]) -> usize {
    (header[12] >> 4) as usize * 4
}

#[inline]
pub(super) const fn fields(header: &[u8; LEAST]) -> TcpHeader {
    TcpHeader {
        sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        acknowledgement: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        flags: TcpFlags(header[13]),
    }
}

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{error, payload, unit, v4};
    use crate::decode::{TcpFlags, TcpHeader, Transport};

    /// Port 5060 to 40000, sequence 1, acknowledgement 2, four bytes of options, PSH and ACK.
    const SEGMENT: [u8; 26] = [
        0x13, 0xc4, 0x9c, 0x40, 0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0x18, 0xff, 0xff, 0, 0, 0, 0, 2, 4, 5, 0xb4,
        b'h', b'i',
    ];

    #[test]
    fn fields_and_payload() {
        let packet = v4(6, &SEGMENT);
        let found = unit(LinkType::RAW, &packet);
        let header = TcpHeader { sequence: 1, acknowledgement: 2, flags: TcpFlags(0x18) };
        assert_eq!((found.transport, payload(&found, &packet)), (Transport::Tcp(header), &b"hi"[..]));
        assert_eq!((found.source.port, found.destination.port), (5060, 40_000));
        assert_eq!(unit(LinkType::RAW, &packet[..44]).missing, 2);
    }

    #[test]
    fn the_data_offset_has_to_fit() {
        let with_offset = |offset: u8| {
            let mut segment = SEGMENT;
            segment[12] = offset << 4;
            v4(6, &segment)
        };
        assert_eq!(error(LinkType::RAW, &with_offset(4)), "tcp.bad_length");
        assert_eq!(error(LinkType::RAW, &with_offset(7)), "tcp.bad_length");
        assert_eq!(error(LinkType::RAW, &with_offset(6)[..42]), "tcp.truncated");
        assert_eq!(error(LinkType::RAW, &v4(6, &SEGMENT[..19])), "tcp.bad_length");
    }
}
