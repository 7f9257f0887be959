//! MPLS label stacks (RFC 3032) and what lies below: IP, or an Ethernet pseudowire (RFC 4448).

use super::cursor::Cursor;
use super::next::Next;
use super::{DecodeError, Layer};

/// One label. No label says what the bottom one carries, so the first nibble has to (RFC 4928 3): 4 and 6 are
/// IP, 0 is a pseudowire's control word, 1 is an associated channel (RFC 4385 5), anything else the
/// destination address of an Ethernet frame without control word.
pub(super) fn label(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let entry = cursor.take::<4>(Layer::Mpls)?;
    if entry[2] & 1 == 0 {
        return Ok(Next::Mpls);
    }
    match cursor.peek::<1>().map(|first| first[0] >> 4) {
        Some(4) => Ok(Next::Ipv4),
        Some(6) => Ok(Next::Ipv6),
        Some(1) | None => Ok(Next::Foreign),
        Some(0) => {
            cursor.skip(4, Layer::Mpls)?;
            Ok(Next::Ethernet)
        }
        Some(_) => Ok(Next::Ethernet),
    }
}
