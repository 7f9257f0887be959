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
