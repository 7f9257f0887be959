//! Geneve (RFC 8926 3.4).

use super::cursor::{Cursor, be16};
use super::next::Next;
use super::{DecodeError, Layer};

/// Whether a UDP payload has the header: version 0, the reserved bits zero, a payload type that is read here.
pub(super) fn is_header(payload: &[u8]) -> bool {
    match payload.first_chunk::<8>() {
        Some([first, second, high, low, .., 0]) => {
            first >> 6 == 0
                && second & 0x3f == 0
                && !matches!(Next::ether_type(be16(*high, *low)), Next::Foreign)
        }
        _ => false,
    }
}

/// Eight bytes, then options whose length is told in fours.
pub(super) fn geneve(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<8>(Layer::Geneve)?;
    cursor.skip(usize::from(header[0] & 0x3f) * 4, Layer::Geneve)?;
    Ok(Next::ether_type(be16(header[2], header[3])))
}
