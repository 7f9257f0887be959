//! Numbers and names with their ends hidden.

use std::borrow::Cow;

/// Digits that are hidden at least: a subscriber among ten thousand.
const HIDDEN: usize = 4;

/// Digits in a row that are a number wherever they stand. Ports, times and codes are shorter.
pub(super) const NUMBER: usize = 7;

/// What stands for what is hidden of a name, and so not for its length.
const STARS: &str = "***";

/// Names that tell nobody: RFC 3323 4.1.1.3.
const NOBODY: [&str; 3] = ["", "-", "anonymous"];

/// A user part: of a number the country and area (its first half, and never its last four digits), of a name the
/// first character. A whole URI is masked as [`free_text`].
#[must_use]
pub fn user(text: &str) -> String {
    if has_scheme(text) {
        return free_text(text);
    }
    if NOBODY.iter().any(|name| text.eq_ignore_ascii_case(name)) || is_masked(text) {
        return text.to_owned();
    }
    // Parameters and a password (RFC 3261 19.1.1, RFC 3966) say more of the same.
    let bare = text.split([';', ':']).next().unwrap_or(text);
    if let Some(digits) = digits(bare) {
        return number(bare.starts_with('+'), &digits);
    }
    match bare.chars().count() {
        0..=2 => STARS.to_owned(),
        _ => bare.chars().take(1).chain(STARS.chars()).collect(),
    }
}

/// The digits of a telephone number, its visual separators (RFC 3966 5.1.1) left out; none when it is no number.
fn digits(text: &str) -> Option<String> {
    let rest = text.strip_prefix('+').unwrap_or(text);
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '.' | '(' | ')' | ' ' | '*' | '#');
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty() && rest.chars().all(is_part)).then_some(digits)
}

fn number(is_global: bool, digits: &str) -> String {
    let keep = kept(digits.len());
    let plus = if is_global { "+" } else { "" };
    let stars = "*".repeat(digits.len() - keep);
    format!("{plus}{}{stars}", digits.get(..keep).unwrap_or_default())
}

/// How many digits of a number are told.
const fn kept(length: usize) -> usize {
    let half = length / 2;
    let most = length.saturating_sub(HIDDEN);
    if half < most { half } else { most }
}

/// Whether it is what [`user`] makes.
fn is_masked(text: &str) -> bool {
    let shown = text.trim_end_matches('*');
    let stars = text.len() - shown.len();
    let bare = shown.strip_prefix('+').unwrap_or(shown);
    let is_number =
        stars > 0 && bare.bytes().all(|byte| byte.is_ascii_digit()) && bare.len() <= kept(bare.len() + stars);
    is_number || (stars == STARS.len() && shown.chars().count() <= 1)
}

const SCHEMES: [&str; 3] = ["sip:", "sips:", "tel:"];

fn has_scheme(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| has_scheme_of(text, scheme))
}

/// Text with the users of its URIs masked, and numbers of seven digits or more.
#[must_use]
pub fn free_text(text: &str) -> String {
    text_with(text, NUMBER)
}

/// As [`free_text`], where numbers have at least `shortest` digits.
pub(super) fn text_with(text: &str, shortest: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // A scheme begins a word: `gossip:` is none.
    let mut is_word = false;
    let mut userless = usize::MAX;
    while let Some(first) = rest.chars().next() {
        let taken = if is_word {
            None
        } else {
            uri(rest, &mut userless, &mut out).or_else(|| run(rest, shortest, &mut out))
        };
        let taken = taken.unwrap_or_else(|| {
            out.push(first);
            first.len_utf8()
        });
        is_word = rest.get(..taken).and_then(|it| it.chars().next_back()).is_some_and(char::is_alphanumeric);
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// A URI at the beginning: writes its scheme and its user, masked, and returns how much was taken. `userless` is what is
/// left of the text behind a word without `@`: such a word is not looked through again for each scheme in it.
fn uri(text: &str, userless: &mut usize, out: &mut String) -> Option<usize> {
    let scheme = SCHEMES.iter().find(|scheme| has_scheme_of(text, scheme))?;
    let (name, rest) = text.split_at_checked(scheme.len())?;
    let stop = if *scheme == "tel:" { ';' } else { '@' };
    if stop == '@' && text.len() > *userless {
        return None;
    }
    let ends = |c: char| c == stop || c.is_whitespace() || matches!(c, '>' | '<' | '"' | ',');
    let (party, behind) = rest.split_at_checked(rest.find(ends).unwrap_or(rest.len()))?;
    if stop == '@' && !behind.starts_with(stop) {
        *userless = behind.len();
        return None;
    }
    if party.is_empty() {
        return None;
    }
    out.push_str(name);
    out.push_str(&user_of_uri(party));
    Some(scheme.len() + party.len())
}

/// Never takes a user part for a URI of its own, as `sip:sip:x@host` would have it.
fn user_of_uri(party: &str) -> Cow<'_, str> {
    if has_scheme(party) { STARS.into() } else { user(party).into() }
}

fn has_scheme_of(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme))
}

/// A number at the beginning, if it is long enough.
fn run(text: &str, shortest: usize, out: &mut String) -> Option<usize> {
    let bare = text.strip_prefix('+').unwrap_or(text);
    let length = bare.bytes().take_while(u8::is_ascii_digit).count();
    // What follows is the rest of an identifier, as of a hash.
    let is_whole = !bare.get(length..)?.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '*');
    if length < shortest || !is_whole {
        return None;
    }
    let is_global = bare.len() < text.len();
    out.push_str(&number(is_global, bare.get(..length)?));
    Some(length + usize::from(is_global))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn country_and_area_stay_and_the_subscriber_goes() {
        let rows = [
            ("+4930123456789", "+493012*******"),
            ("12125551234", "12125******"),
            ("(212) 555-1234", "21255*****"),
            ("1001", "****"),
            ("112", "***"),
            ("100100", "10****"),
            ("+49", "+**"),
            ("alice", "a***"),
            ("al", "***"),
            ("alice:secret", "a***"),
            ("+4930123456789;phone-context=x", "+493012*******"),
            ("user1001", "u***"),
            ("anonymous", "anonymous"),
            ("sip:1001@192.0.2.1", "sip:****@192.0.2.1"),
            ("sip:example.com", "sip:example.com"),
            ("tel:+4930123456789;isub=1", "tel:+493012*******;isub=1"),
            ("Ünal", "Ü***"),
        ];
        for (text, masked) in rows {
            assert_eq!(user(text), masked, "{text}");
            assert_eq!(user(masked), masked, "{text} twice");
        }
    }

    #[test]
    fn users_in_text_are_masked_and_the_rest_stays() {
        let rows = [
            ("Q.850;cause=16;text=\"Normal call clearing\"", "Q.850;cause=16;text=\"Normal call clearing\""),
            (
                "RTP from 192.0.2.1:40000 to [2001:db8::1]:50000",
                "RTP from 192.0.2.1:40000 to [2001:db8::1]:50000",
            ),
            ("<SIP:alice@a.b>, <sips:bob:pw@c.d>", "<SIP:a***@a.b>, <sips:b***@c.d>"),
            ("call 4930123456789 failed", "call 493012******* failed"),
            ("gossip:alice@x", "gossip:alice@x"),
            ("sip:sip:x@host", "sip:***@host"),
            ("at 2026-01-31T12:00:00.123456Z", "at 2026-01-31T12:00:00.123456Z"),
        ];
        for (text, masked) in rows {
            assert_eq!(free_text(text), masked);
        }
    }

    proptest! {
        #[test]
        fn no_digit_of_the_end_comes_through(digits in "[0-9]{5,20}", plus: bool) {
            let text = format!("{}{digits}", if plus { "+" } else { "" });
            let masked = user(&text);
            prop_assert!(!masked.contains(&digits[digits.len() - 4..]) || digits[..digits.len() / 2].contains(&digits[digits.len() - 4..]));
            prop_assert!(masked.ends_with("****") && masked.len() == text.len());
            prop_assert_eq!(user(&masked), masked);
        }

        #[test]
        fn any_text_can_be_masked(text: String) {
            let once = free_text(&text);
            prop_assert_eq!(free_text(&once), once);
            let _ = user(&text);
        }
    }
}
