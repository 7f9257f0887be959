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

#[cfg(test)]
mod tests {
    use crate::capture::LinkType;
    use crate::decode::tests::{PAYLOAD, error, ethernet, finds_in, packet4, payload, unit, v4};

    #[test]
    fn all_three_types() {
        let inner = ethernet(0x0800, &packet4());
        // I: no sequence number, no header.
        finds_in(47, &[&[0, 0, 0x88, 0xbe][..], &inner].concat());
        // II: sequence number; version 1, VLAN, session, index.
        finds_in(47, &[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0, 1, 0, 0, 0, 9][..], &inner].concat());
        // III: version 2, frame type 0; then with the platform's bytes, and with an IP packet (type 2).
        let three = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0x80, 0];
        finds_in(47, &[&three[..], &inner].concat());
        let mut platform = three;
        platform[19] |= 1;
        finds_in(47, &[&platform[..], &[7; 8], &inner].concat());
        let mut ip = three;
        ip[18] |= 2 << 2;
        finds_in(47, &[&ip[..], &packet4()].concat());
    }

    #[test]
    fn versions_have_to_match() {
        let wrong = v4(47, &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x20, 5, 0, 1, 0, 0, 0, 9]);
        assert_eq!(error(LinkType::RAW, &wrong), "erspan.bad_version");
        assert_eq!(
            error(LinkType::RAW, &v4(47, &[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20])),
            "erspan.bad_length"
        );
    }

    #[test]
    fn a_mirror_that_cuts_frames_leaves_bytes_missing() {
        let inner = ethernet(0x0800, &packet4());
        let packet = v4(47, &[&[0, 0, 0x88, 0xbe][..], &inner[..inner.len() - 2]].concat());
        let found = unit(LinkType::RAW, &packet);
        assert_eq!((payload(&found, &packet), found.missing), (&PAYLOAD[..5], 2));
    }
}
