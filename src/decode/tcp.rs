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
