//! Lines of a session description that are written as nearly all are.
//!
//! What is taken here is what the general readers make of it, found in fewer steps; what is not, is theirs.

use super::CodecName;
use crate::flow::Address;
use crate::sip::header::digits;
use crate::sip::search::{after, first_graphic, marks};

/// The port of `audio <port> RTP/AVP <format>…`, and the formats (RFC 4566 5.14).
#[inline]
pub(super) fn section(value: &[u8]) -> Option<(u16, &[u8])> {
    let (port, behind) = digits(after(value, b"audio ")?);
    let formats = after(behind, b" RTP/AVP")?;
    matches!(formats, [] | [b' ', ..]).then_some((u16::try_from(port?).ok()?, formats))
}

/// Payload type, encoding name and clock rate of `<payload type> <encoding name>/<clock rate>` (RFC 4566 6), which
/// `text` begins with. Other lines have to follow in it.
#[inline]
pub(super) fn mapping(text: &[u8]) -> Option<(u8, CodecName, u32)> {
    let (payload_type, behind) = digits(text);
    let [b' ', name @ ..] = behind else { return None };
    let block = name.first_chunk()?;
    let length = marks([b'/'], block).trailing_zeros();
    // No blank and no line end before the slash.
    if !(1..16).contains(&length) || first_graphic(block) < length {
        return None;
    }
    let letters = u128::from_le_bytes(*block) & ((1 << (8 * length)) - 1);
    let (clock, behind) = digits(name.get(length as usize + 1..)?);
    if !matches!(behind, [b'\r', b'\n', ..] | [b'\n' | b'/' | b' ' | b'\t', ..]) {
        return None;
    }
    let (payload_type, clock) = (u8::try_from(payload_type?).ok()?, u32::try_from(clock?).ok()?);
    Some((payload_type, CodecName(letters.to_le_bytes()), clock))
}

/// An IPv4 address and nothing else. Leading zeros are octal to some; std refuses them, and so the general reader
/// decides.
#[inline]
pub(super) fn dotted_quad(text: &[u8]) -> Option<Address> {
    let (first, [b'.', rest @ ..]) = octet(text)? else { return None };
    let (second, [b'.', rest @ ..]) = octet(rest)? else { return None };
    let (third, [b'.', rest @ ..]) = octet(rest)? else { return None };
    let (fourth, []) = octet(rest)? else { return None };
    Some(Address::v4([first, second, third, fourth]))
}

/// The number that a part of an address begins with, in as many digits as fit.
#[inline(always)]
fn octet(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| u16::from(byte & 0x0f);
    let (number, rest) = match *text {
        [a @ b'1'..=b'2', b @ b'0'..=b'9', c @ b'0'..=b'9', ref rest @ ..] => {
            (digit(a) * 100 + digit(b) * 10 + digit(c), rest)
        }
        [a @ b'1'..=b'9', b @ b'0'..=b'9', ref rest @ ..] => (digit(a) * 10 + digit(b), rest),
        [a @ b'0'..=b'9', ref rest @ ..] => (digit(a), rest),
        _ => return None,
    };
    Some((u8::try_from(number).ok()?, rest))
}
