//! What a challenge asks for (RFC 3261 22): credentials, or others than those that were there.

use std::sync::LazyLock;

use memchr::{memchr, memmem};

use crate::call::dialog::{Dialog, Look};
use crate::sip::call_id_key;
use crate::sip::header::{Lines, list, same_name, split};

/// What the latest challenge was about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Challenge {
    /// The request had no credentials.
    #[default]
    Plain,
    /// Those that it had were refused.
    Refused,
    /// They were right, and their nonce too old (RFC 7616 3.3).
    Stale,
    /// They were for another realm: one proxy after the other asks (RFC 3261 22.3).
    Realm,
}

impl Dialog {
    /// The latest try was challenged. What other hops hear of it comes again on its own.
    pub(in crate::call) fn note_challenge(&mut self, look: &Look<'_>) {
        if !self.is_own_hop(look) {
            return;
        }
        let challenge = challenge(look.bytes);
        let realm = realm(challenge);
        let before = std::mem::replace(&mut self.realm, realm);
        self.challenge = if !self.has_credentials {
            Challenge::Plain
        } else if is_stale(challenge) {
            Challenge::Stale
        } else if before != 0 && before != realm {
            Challenge::Realm
        } else {
            Challenge::Refused
        };
    }
}

/// A response's first challenge.
fn challenge(response: &[u8]) -> &[u8] {
    plain(response).unwrap_or_else(|| {
        let is_one = |name| same_name(name, b"WWW-Authenticate") || same_name(name, b"Proxy-Authenticate");
        let field = Lines::new(response, 0).filter_map(split).find(|(name, _)| is_one(name));
        field.map(|(_, value)| value).unwrap_or_default()
    })
}

/// The same as nearly everybody writes it, in one line; it is found without a look at any other.
fn plain(response: &[u8]) -> Option<&[u8]> {
    static NAME_END: LazyLock<memmem::Finder<'_>> = LazyLock::new(|| memmem::Finder::new("-Authenticate: "));
    let (before, field) = response.split_at_checked(NAME_END.find(response)?)?;
    let value = field.get(NAME_END.needle().len()..)?;
    let (value, next) = value.split_at_checked(memchr(b'\n', value)?)?;
    let is_folded = matches!(next, [_, b' ' | b'\t', ..]);
    let begins = before.ends_with(b"\nWWW") || before.ends_with(b"\nProxy");
    (begins && !is_folded).then(|| value.trim_ascii())
}

/// Its realm, as a hash that is not 0.
fn realm(challenge: &[u8]) -> u32 {
    call_id_key(said(challenge, b"realm").unwrap_or_default()) as u32 | 1
}

/// Whether it says `stale=true`.
fn is_stale(challenge: &[u8]) -> bool {
    said(challenge, b"stale").is_some_and(|value| value.eq_ignore_ascii_case(b"true"))
}

/// `Digest realm="a", nonce="n"`: the value of a parameter, quotes and all.
fn said<'a>(challenge: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    list(challenge).find_map(|item| {
        let (name, value) = item.split_at_checked(item.iter().position(|&byte| byte == b'=')?)?;
        let name = name.trim_ascii_end().rsplit(|byte| byte.is_ascii_whitespace()).next()?;
        name.eq_ignore_ascii_case(wanted).then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 3261 20.27 and 20.44, and what else devices send.
    #[test]
    fn realm_and_stale_are_read_wherever_they_stand() {
        let response = |field: &str| {
            let response = format!("SIP/2.0 401 X\r\nTo: b\r\n{field}\r\n\r\n");
            let challenge = challenge(response.as_bytes());
            (realm(challenge), is_stale(challenge))
        };
        let plain = "WWW-Authenticate: Digest realm=\"a, b\", domain=\"sip:x\", nonce=\"f8\", stale=FALSE";
        let (realm, stale) = response(plain);
        assert!(!stale && realm != 0);
        assert_eq!(
            response("proxy-authenticate: DIGEST\r\n stale = TRUE,nonce=\"=\" ,realm = \"a, b\""),
            (realm, true)
        );
        assert_ne!(response("Proxy-Authenticate: Digest realm=\"c\"").0, realm);
        for elsewhere in [
            "X-Authenticate: Digest realm=\"c\"\r\n",
            "Subject: WWW-Authenticate: Digest realm=\"c\"\r\n",
            "X: y\r\n WWW-Authenticate: Digest realm=\"c\"\r\n",
        ] {
            assert_eq!(response(&format!("{elsewhere}{plain}")).0, realm, "{elsewhere}");
        }
        let folded = "WWW-Authenticate: Digest\r\n realm=\"a, b\",\r\n\tstale=true";
        assert_eq!(response(folded), (realm, true));
        for hostile in [
            "",
            "WWW-Authenticate:",
            "WWW-Authenticate: =",
            "WWW-Authenticate: \"realm=",
            "X: realm=\"a, b\"",
        ] {
            assert_eq!(response(hostile), response(""));
        }
    }
}
