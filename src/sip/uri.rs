//! URIs: whom they name (RFC 3261 19.1, RFC 3966). Escapes stay as they are, but where users are compared.

use std::borrow::Cow;

use super::search::memchr;

use super::header::{NameAddress, digits, parameter};

/// The scheme, without its colon; none when what stands before the first colon cannot be one.
#[must_use]
pub fn scheme(uri: &[u8]) -> Option<&[u8]> {
    let scheme = uri.get(..memchr(b':', uri)?)?;
    let (first, rest) = scheme.split_first()?;
    let tail = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (first.is_ascii_alphabetic() && rest.iter().all(tail)).then_some(scheme)
}

/// The URI in the value of a header field like From: without display name, brackets and the field's parameters.
#[must_use]
pub fn addr_spec(value: &[u8]) -> &[u8] {
    NameAddress::parse(value).uri
}

/// The user of a `sip:` or `sips:` URI without its password and parameters (`+1212;phone-context=x` is the number
/// alone), or the number of a `tel:` URI. Only the first `@` counts.
#[must_use]
pub fn user_part(uri: &[u8]) -> Option<&[u8]> {
    let (kind, rest) = dissect(uri)?;
    let user = match kind {
        Kind::Telephone => until(rest, b';'),
        Kind::Sip => until(until(rest.get(..memchr(b'@', rest)?)?, b':'), b';'),
    };
    (!user.is_empty()).then_some(user)
}

/// The user part as it is compared: escapes are what they stand for (RFC 3261 19.1.4), and visual separators of a telephone
/// number do not count (RFC 3966 4). A number is that of a `tel:` URI, of one with `user=phone`, or begins with `+`.
#[must_use]
pub fn compared_user(uri: &[u8]) -> Option<Cow<'_, [u8]>> {
    let user = unescaped(user_part(uri)?);
    let is_number =
        || user.starts_with(b"+") || matches!(dissect(uri), Some((Kind::Telephone, _))) || is_phone(uri);
    let has_separators = user.iter().copied().any(is_separator) && user.iter().copied().all(is_dialled);
    Some(if has_separators && is_number() { without_separators(&user).into() } else { user })
}

/// Bytes instead of the escapes that stand for them.
#[must_use]
pub fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'%', text).is_none() {
        return Cow::Borrowed(text);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match rest {
            [b'%', high, low, ..] => digit(*high).zip(digit(*low)).map(|(high, low)| (high << 4 | low) as u8),
            _ => None,
        };
        out.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { rest.get(3..).unwrap_or_default() } else { after };
    }
    Cow::Owned(out)
}

/// A visual separator of a telephone number (RFC 3966 3).
const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'(' | b')')
}

/// What a telephone number consists of (RFC 3966 3), but for the letters that a local one may have.
const fn is_dialled(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'+' | b'*' | b'#') || is_separator(byte)
}

/// A number without its visual separators; any other text as it is.
#[must_use]
pub fn without_separators(number: &[u8]) -> Vec<u8> {
    let is_number = number.iter().copied().all(is_dialled);
    number.iter().copied().filter(|&byte| !is_number || !is_separator(byte)).collect()
}

/// Whether a `sip:` or `sips:` URI says that its user is a telephone number.
fn is_phone(uri: &[u8]) -> bool {
    let parameters = host_and_port(uri).map(|(_, after)| until(after, b'?')).unwrap_or_default();
    parameter(parameters, b"user").is_some_and(|user| user.eq_ignore_ascii_case(b"phone"))
}

/// The host of a `sip:` or `sips:` URI; an IPv6 address without its brackets.
#[must_use]
pub fn host(uri: &[u8]) -> Option<&[u8]> {
    let (host, _) = host_and_port(uri)?;
    (!host.is_empty()).then_some(host)
}

/// The port of a `sip:` or `sips:` URI that names one.
#[must_use]
pub fn port(uri: &[u8]) -> Option<u16> {
    let (_, after) = host_and_port(uri)?;
    digits(after.strip_prefix(b":")?).0.and_then(|port| port.try_into().ok())
}

/// What records call the party: the user part, or else the whole URI.
#[must_use]
pub fn display(uri: &[u8]) -> &[u8] {
    user_part(uri).unwrap_or(uri)
}

enum Kind {
    Sip,
    Telephone,
}

/// The kind of a URI and what follows its scheme; none for schemes that do not name a user in a known way.
fn dissect(uri: &[u8]) -> Option<(Kind, &[u8])> {
    let scheme = scheme(uri)?;
    let rest = uri.get(scheme.len() + 1..)?;
    if scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips") {
        Some((Kind::Sip, rest))
    } else {
        scheme.eq_ignore_ascii_case(b"tel").then_some((Kind::Telephone, rest))
    }
}

/// The host without brackets, and what follows it.
fn host_and_port(uri: &[u8]) -> Option<(&[u8], &[u8])> {
    let (Kind::Sip, rest) = dissect(uri)? else { return None };
    let rest = rest.get(memchr(b'@', rest).map_or(0, |at| at + 1)..)?;
    if let Some(reference) = rest.strip_prefix(b"[") {
        let (address, after) = reference.split_at_checked(memchr(b']', reference)?)?;
        return Some((address, after.get(1..)?));
    }
    let end = rest.iter().position(|byte| matches!(byte, b':' | b';' | b'?')).unwrap_or(rest.len());
    rest.split_at_checked(end)
}

/// The bytes before the first `stop`, or all.
pub(crate) fn until(bytes: &[u8], stop: u8) -> &[u8] {
    bytes.get(..memchr(stop, bytes).unwrap_or(bytes.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// URIs of RFC 3261 19.1.3 and 19.1.4, RFC 3966 6 and RFC 4475 3.1.1.
    #[test]
    fn users_and_hosts() {
        for (uri, user, host_name, port_number) in [
            ("sip:alice@atlanta.com", Some("alice"), Some("atlanta.com"), None),
            ("sip:alice:secretword@atlanta.com;transport=tcp", Some("alice"), Some("atlanta.com"), None),
            ("sips:alice@atlanta.com?subject=project%20x", Some("alice"), Some("atlanta.com"), None),
            (
                "sip:+1-212-555-1212:1234@gateway.com;user=phone",
                Some("+1-212-555-1212"),
                Some("gateway.com"),
                None,
            ),
            ("sip:alice@192.0.2.4", Some("alice"), Some("192.0.2.4"), None),
            ("sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com", None, Some("atlanta.com"), None),
            ("sip:alice;day=tuesday@atlanta.com", Some("alice"), Some("atlanta.com"), None),
            ("SIP:%61lice@atlanta.com:5061", Some("%61lice"), Some("atlanta.com"), Some(5061)),
            ("tel:+1-201-555-0123", Some("+1-201-555-0123"), None, None),
            ("tel:7042;phone-context=example.com", Some("7042"), None, None),
            ("sip:user;par=u%40example.net@example.com", Some("user"), Some("example.com"), None),
            (
                "sip:sips%3Auser%40example.com@example.net",
                Some("sips%3Auser%40example.com"),
                Some("example.net"),
                None,
            ),
            ("sip:[2001:db8::10]:5070", None, Some("2001:db8::10"), Some(5070)),
            ("sip:user@[2001:db8:::1]", Some("user"), Some("2001:db8:::1"), None),
            ("sip:user@host:99999", Some("user"), Some("host"), None),
            ("sip:@host", None, Some("host"), None),
            ("sip:a@host?subject=b@c", Some("a"), Some("host"), None),
            ("soap.beep://192.0.2.103:3002", None, None, None),
            ("isbn:2983792873", None, None, None),
            ("user@host", None, None, None),
            ("", None, None, None),
        ] {
            let bytes = uri.as_bytes();
            assert_eq!(user_part(bytes), user.map(str::as_bytes), "{uri}");
            assert_eq!(host(bytes), host_name.map(str::as_bytes), "{uri}");
            assert_eq!(port(bytes), port_number, "{uri}");
            assert_eq!(display(bytes), user.unwrap_or(uri).as_bytes(), "{uri}");
        }
    }

    /// RFC 3261 19.1.4 and RFC 3966 4, with URIs of RFC 3261 19.1.3 and RFC 3966 6.
    #[test]
    fn users_are_compared_by_what_they_stand_for() {
        for (uri, user) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "alice"),
            ("sip:%2B13105550000@example.com", "+13105550000"),
            ("tel:+1-201-555-0123", "+12015550123"),
            ("tel:863-1234;phone-context=+1-914-555", "8631234"),
            ("sip:+1-212-555-1212:1234@gateway.com;user=phone", "+12125551212"),
            ("sip:+1(212)555.1212@gateway.com", "+12125551212"),
            ("sip:555-1212@gateway.com;User=Phone?a=b", "5551212"),
            ("sip:555-1212@gateway.com", "555-1212"),
            ("sip:john.doe@example.com;user=phone", "john.doe"),
            ("sip:100%25@example.com", "100%"),
            ("sip:100%2@example.com", "100%2"),
            ("sip:1_unusual.URI~(to-be!sure)@example.com", "1_unusual.URI~(to-be!sure)"),
        ] {
            assert_eq!(compared_user(uri.as_bytes()).as_deref(), Some(user.as_bytes()), "{uri}");
        }
        assert_eq!(compared_user(b"sip:host"), None);
    }

    /// RFC 4475 3.1.1.2: a user part of everything that is allowed in one, then a password.
    #[test]
    fn strange_user() {
        let uri: &[u8] = b"sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com";
        assert_eq!(user_part(uri), Some(&b"1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/"[..]));
        assert_eq!(host(uri), Some(&b"example.com"[..]));
    }
}
