//! SIP and tel URIs, as far as calls are told by them (RFC 3261 19.1, RFC 3966).

use memchr::{memchr, memchr2};

use super::parse::addr_spec as name_addr_spec;

/// The URI inside a name-addr or addr-spec header value.
#[must_use]
pub fn addr_spec(value: &[u8]) -> &[u8] {
    let ((start, length), _) = name_addr_spec(value);
    value.get(start..start.saturating_add(length)).unwrap_or_default()
}

/// The user part: of `sip:` and `sips:` what stands before the `@`, without password and user parameters; of
/// `tel:` the number. None when there is none. Escapes stay as they are.
#[must_use]
pub fn user_part(uri: &[u8]) -> Option<&[u8]> {
    let colon = memchr(b':', uri)?;
    let (scheme, rest) = (uri.get(..colon)?, uri.get(colon + 1..)?);
    if scheme.eq_ignore_ascii_case(b"tel") {
        let end = memchr2(b';', b'?', rest).unwrap_or(rest.len());
        return rest.get(..end).filter(|number| !number.is_empty());
    }
    // The first `@` ends it: a further one is in the URI's headers (`?subject=a@b`).
    let user = rest.get(..memchr(b'@', rest)?)?;
    let end = memchr2(b':', b';', user).unwrap_or(user.len());
    user.get(..end).filter(|user| !user.is_empty())
}

/// How a party is named to people: the user part, or the whole URI without one.
#[must_use]
pub fn display(uri: &[u8]) -> &[u8] {
    user_part(uri).unwrap_or(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found() {
        let rows: &[(&str, Option<&str>)] = &[
            ("sip:alice@atlanta.example", Some("alice")),
            ("sips:alice:secret@atlanta.example;transport=tcp", Some("alice")),
            ("sip:+12125551212;phone-context=x@host;user=phone", Some("+12125551212")),
            ("tel:+1-201-555-0123;isub=1", Some("+1-201-555-0123")),
            ("sip:atlanta.example", None),
            ("sip:@atlanta.example", None),
            ("sip:carol@[2001:db8::9:1]:5060", Some("carol")),
            ("sip:user%40x@host", Some("user%40x")),
            ("sip:a@host?subject=b@c", Some("a")),
            ("nonsense", None),
            ("", None),
        ];
        for (uri, user) in rows {
            let found = user_part(uri.as_bytes()).map(|user| std::str::from_utf8(user).unwrap());
            assert_eq!(found, *user, "{uri}");
        }
    }

    #[test]
    fn addresses_are_taken_out_of_values() {
        assert_eq!(addr_spec(b"\"A <b> C\" <sip:a@b>;tag=1"), b"sip:a@b");
        assert_eq!(addr_spec(b"sip:a@b;tag=1"), b"sip:a@b");
        assert_eq!(addr_spec(b"<sip:a@b"), b"sip:a@b");
        assert_eq!(addr_spec(b""), b"");
    }
}
