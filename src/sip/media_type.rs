//! What a body is said to be.

/// Whether the value of a Content-Type names the media type `kind/of`, its parameters aside. Case does not matter, and there may
/// be white space around the slash (RFC 3261 25.1: `SLASH = SWS "/" SWS`).
#[must_use]
pub fn is_media_type(value: &[u8], kind: &[u8], of: &[u8]) -> bool {
    let (known, rest) = kind_and_rest(value);
    let subtype = rest.split(|&byte| byte == b';').next().unwrap_or_default();
    known.eq_ignore_ascii_case(kind) && subtype.trim_ascii().eq_ignore_ascii_case(of)
}

/// The type in front of the slash, and what is behind it.
pub(super) fn kind_and_rest(value: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = value.splitn(2, |&byte| byte == b'/');
    (parts.next().unwrap_or_default().trim_ascii(), parts.next().unwrap_or_default())
}
