//! VXLAN (RFC 7348 5).

use super::cursor::Cursor;
use super::next::Next;
use super::{DecodeError, Layer};

/// Whether a UDP payload has the header. Its ports lie where media and clients take theirs from, so every bit
/// that has to be zero is looked at: flags I alone, or I with the group policy extension's (whose own flags and
/// identifier fill the reserved bits).
pub(super) fn is_header(payload: &[u8]) -> bool {
    match payload.first_chunk::<8>() {
        Some([0x08, 0, 0, 0, .., 0]) => true,
        Some([0x88, policy, .., 0]) => policy & !0x48 == 0,
        _ => false,
    }
}

pub(super) fn vxlan(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    cursor.skip(8, Layer::Vxlan)?;
    Ok(Next::Ethernet)
}
