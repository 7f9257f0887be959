//! ERSPAN II and III: mirrored frames in GRE (draft-foschiano-erspan-03 4.2 and 4.3).

use super::cursor::Cursor;
use super::next::Next;
use super::{DecodeError, Fault, Layer};

/// Version 1 in the first nibble, eight bytes, then the frame.
pub(super) fn type_two(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<8>(Layer::Erspan)?;
    check_version(header[0], 1)?;
    Ok(Next::Ethernet)
}

/// Version 2, twelve bytes, of which the last two say what follows: frame type in bits 2 to 6 of byte 10, and in
/// the lowest bit of byte 11 whether eight bytes about the platform come first.
pub(super) fn type_three(cursor: &mut Cursor<'_>) -> Result<Next, DecodeError> {
    let header = cursor.take::<12>(Layer::Erspan)?;
    check_version(header[0], 2)?;
    if header[11] & 1 != 0 {
        cursor.skip(8, Layer::Erspan)?;
    }
    match header[10] >> 2 & 0x1f {
        0 => Ok(Next::Ethernet),
        2 => Ok(Next::version(cursor).unwrap_or(Next::Foreign)),
        _ => Ok(Next::Foreign),
    }
}

fn check_version(first: u8, version: u8) -> Result<(), DecodeError> {
    if first >> 4 == version {
        Ok(())
    } else {
        Err(DecodeError { layer: Layer::Erspan, fault: Fault::BadVersion })
    }
}
