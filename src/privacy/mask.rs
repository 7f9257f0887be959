//! Numbers and names with their ends hidden.

use std::borrow::Cow;

use super::fields;

/// Digits that are hidden at least: a subscriber among ten thousand.
const SUBSCRIBER: usize = 4;

/// Digits in a row that are a number wherever they stand. Ports, times and codes are shorter.
pub(super) const NUMBER: usize = 7;

/// What stands for what is hidden of a name, and so not for its length, and for what cannot be masked in parts.
pub(super) const HIDDEN: &str = "***";

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
        0..=2 => HIDDEN.to_owned(),
        _ => bare.chars().take(1).chain(HIDDEN.chars()).collect(),
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
    let most = length.saturating_sub(SUBSCRIBER);
    if half < most { half } else { most }
}

/// Whether it is what [`user`] makes.
fn is_masked(text: &str) -> bool {
    let shown = text.trim_end_matches('*');
    let stars = text.len() - shown.len();
    let bare = shown.strip_prefix('+').unwrap_or(shown);
    let is_number =
        stars > 0 && bare.bytes().all(|byte| byte.is_ascii_digit()) && bare.len() <= kept(bare.len() + stars);
    is_number || (stars == HIDDEN.len() && shown.chars().count() <= 1)
}

/// Schemes with a user in front of the `@`, and that of numbers: RFC 3261 19.1, 3860, 3859, 6068, 5122, 3508, 4975, 3966.
const SCHEMES: [&str; 10] =
    ["sip:", "sips:", "tel:", "im:", "pres:", "mailto:", "xmpp:", "h323:", "msrp://", "msrps://"];

pub(super) fn has_scheme(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| has_scheme_of(text, scheme))
}

/// `alice@host` with its user masked. Without `@` it is a host's, or no name.
pub(super) fn local_part(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((local, host)) => format!("{}@{host}", user(local)),
        None => text.to_owned(),
    }
}

/// Text with the users of its URIs masked, and numbers of seven digits or more, in groups too.
#[must_use]
pub fn free_text(text: &str) -> String {
    text_with(text, Some(NUMBER))
}

/// As [`free_text`], where numbers have at least `shortest` digits. Without that, numbers stay.
pub(super) fn text_with(text: &str, shortest: Option<usize>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    let mut userless = usize::MAX;
    while let Some(first) = rest.chars().next() {
        if let Some(escape) = escape(rest) {
            out.push_str(escape);
            before = Some(' ');
            rest = rest.get(escape.len()..).unwrap_or_default();
            continue;
        }
        // A scheme begins a word: `gossip:` is none.
        let taken = if before.is_some_and(char::is_alphanumeric) {
            None
        } else {
            uri(rest, &mut userless, &mut out)
                .or_else(|| token(rest, &mut out))
                .or_else(|| shortest.and_then(|_| groups(rest, before, &mut out)))
                .or_else(|| shortest.and_then(|shortest| run(rest, shortest, &mut out)))
        };
        let taken = taken.or_else(|| query(rest, shortest.unwrap_or(NUMBER), &mut out));
        let taken = taken.unwrap_or_else(|| {
            out.push(first);
            first.len_utf8()
        });
        before = rest.get(..taken).and_then(|it| it.chars().next_back());
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// A URI at the beginning: writes its scheme and its user, masked, and returns how much was taken. `userless` is what is
/// left of the text behind a word without `@`: such a word is not looked through again for each scheme in it.
fn uri(text: &str, userless: &mut usize, out: &mut String) -> Option<usize> {
    let scheme = SCHEMES.iter().find(|scheme| has_scheme_of(text, scheme))?;
    let (name, rest) = text.split_at_checked(scheme.len())?;
    let is_number = *scheme == "tel:";
    let stop = if is_number { ';' } else { '@' };
    if stop == '@' && text.len() > *userless {
        return None;
    }
    let ends = |c: char| {
        c == stop || c.is_whitespace() || matches!(c, '>' | '<' | '"' | ',') || (is_number && c == '?')
    };
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
    let extension = if is_number { extensions(behind, out) } else { 0 };
    Some(scheme.len() + party.len() + extension)
}

/// Extension and subaddress of a number (RFC 3966 5.3, 5.4), which begin with a semicolon. Returns how much was taken.
fn extensions(text: &str, out: &mut String) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(name) = [";ext=", ";isub="].into_iter().find(|name| has_scheme_of(rest, name)) else {
            break;
        };
        let value = rest.get(name.len()..).unwrap_or_default();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-.!~*'()%".contains(c);
        let value = value.get(..value.find(|c| !is_part(c)).unwrap_or(value.len())).unwrap_or_default();
        out.push_str(rest.get(..name.len()).unwrap_or_default());
        out.push_str(&user(value));
        at += name.len() + value.len();
    }
    at
}

/// An escape at the beginning: `%3C` (RFC 3986 2.1).
fn escape(text: &str) -> Option<&str> {
    let escape = text.get(..3).filter(|it| it.starts_with('%'))?;
    escape.bytes().skip(1).all(|byte| byte.is_ascii_hexdigit()).then_some(escape)
}

/// A JSON object in base64url at the beginning, as that of a PASSporT or of another token (RFC 7515 7.1), with all that belongs to it.
fn token(text: &str, out: &mut String) -> Option<usize> {
    /// `{"` with one claim has more.
    const SHORTEST: usize = 16;
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.=~+/".contains(byte);
    let length = text.starts_with("eyJ").then(|| text.bytes().take_while(|byte| is_part(byte)).count())?;
    (length >= SHORTEST).then(|| {
        out.push_str(HIDDEN);
        length
    })
}

/// The header fields of a URI (RFC 3261 19.1.1), with the question mark in front of them. Of a field that names
/// somebody the value is hidden: it is escaped.
fn query(text: &str, shortest: usize, out: &mut String) -> Option<usize> {
    let fields = query_at(text)?;
    out.push('?');
    for (number, field) in fields.split('&').enumerate() {
        if number > 0 {
            out.push('&');
        }
        let is_field =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'));
        match field.split_once('=') {
            None if field.is_empty() => {}
            Some((name, value)) if is_field(name) && fields::is_harmless(name, value, shortest) => {
                out.push_str(field);
            }
            Some((name, _)) => {
                out.push_str(if is_field(name) { name } else { HIDDEN });
                out.push('=');
                out.push_str(HIDDEN);
            }
            None => out.push_str(HIDDEN),
        }
    }
    Some(1 + fields.len())
}

/// Whether header fields of a URI are in the text.
pub(super) fn has_query(text: &str) -> bool {
    text.match_indices('?').any(|(at, _)| text.get(at..).and_then(query_at).is_some())
}

fn query_at(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('?')?;
    let name = rest.bytes().take_while(|&byte| is_name(byte)).count();
    if name == 0 || rest.as_bytes().get(name) != Some(&b'=') {
        return None;
    }
    let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | ',' | ';');
    rest.get(..rest.find(ends).unwrap_or(rest.len()))
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Never takes a user part for a URI of its own, as `sip:sip:x@host` would have it.
fn user_of_uri(party: &str) -> Cow<'_, str> {
    if has_scheme(party) { HIDDEN.into() } else { user(party).into() }
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

/// A number at the beginning whose digits stand in groups, with a space or a visual separator (RFC 3966 5.1.1) between them:
/// `030 123 45 67`, `(212) 555-1234`, `+49 (0)30/12345-67`. A date, a range, a decimal number and a part of an identifier or an address are none.
fn groups(text: &str, before: Option<char>, out: &mut String) -> Option<usize> {
    let is_inside = |c: char| matches!(c, '.' | ':' | '-' | '_' | '*' | '#' | '%' | '@' | '+' | '/' | '\\');
    if before.is_some_and(is_inside) {
        return None;
    }
    let is_global = text.starts_with('+');
    let mut at = usize::from(is_global);
    // With where each ends.
    let mut groups: Vec<(Group<'_>, usize)> = Vec::new();
    while let Some(group) = text.get(at..).and_then(|rest| Group::at(rest, is_global)) {
        // One digit alone is a country, or a trunk prefix in brackets.
        if group.digits.len() == 1 && !groups.is_empty() && !is_global && !group.is_bracketed {
            break;
        }
        let (end, next) = (at + group.length, group.next);
        groups.push((group, end));
        // Attack: dates without end, each looked at with all that follows.
        if text.starts_with(|c: char| c.is_ascii_digit()) && is_date(&groups) {
            return None;
        }
        let Some(next) = next else { break };
        at += next;
    }
    let goes_on = |end: usize| {
        let mut tail = text.get(end..).unwrap_or_default().chars();
        tail.next().is_some_and(|mark| matches!(mark, '-' | '_' | '/'))
            && tail.next().is_some_and(char::is_alphanumeric)
    };
    while groups.pop_if(|(_, end)| goes_on(*end)).is_some() {}
    let digits: String = groups.iter().map(|(group, _)| group.digits).collect();
    let (first, end) = match groups.as_slice() {
        [(first, _), .., (_, end)] if digits.len() >= NUMBER => (first, *end),
        _ => return None,
    };
    let is_else = match text.chars().next() {
        Some('(') => false,
        Some('+') => groups.len() == 2 && first.mark == '.',
        _ => is_range(&groups),
    };
    if is_else {
        return None;
    }
    out.push_str(&number(is_global, &digits));
    Some(end)
}

/// Digits in a row, in brackets or not, and what follows them.
struct Group<'a> {
    digits: &'a str,
    is_bracketed: bool,
    /// With its brackets.
    length: usize,
    /// What stands behind it, and where the next one may begin.
    mark: char,
    next: Option<usize>,
}

impl<'a> Group<'a> {
    /// The one at the beginning. It ends where no word, host or time goes on.
    fn at(text: &'a str, is_global: bool) -> Option<Self> {
        let bare = text.strip_prefix('(').unwrap_or(text);
        let is_bracketed = bare.len() < text.len();
        let width = bare.bytes().take_while(u8::is_ascii_digit).count();
        let digits = bare.get(..width).filter(|digits| !digits.is_empty())?;
        let length = width + if is_bracketed { 2 } else { 0 };
        let mut behind = bare.get(width..)?;
        if is_bracketed {
            behind = behind.strip_prefix(')')?;
        }
        let mut following = behind.chars();
        let (mark, then) = (following.next().unwrap_or(' '), following.next().unwrap_or(' '));
        let goes_on = (mark.is_alphanumeric() && !is_bracketed)
            || matches!(mark, '*' | '_' | '@')
            || (matches!(mark, '.' | ':') && then.is_ascii_digit() && !(mark == '.' && is_global));
        if goes_on {
            return None;
        }
        let is_separator = matches!(mark, ' ' | '-' | '/') || (mark == '.' && is_global);
        let next = match () {
            () if is_separator => Some(length + 1),
            () if is_bracketed => Some(length),
            () => None,
        };
        Some(Self { digits, is_bracketed, length, mark, next })
    }
}

/// `40000-40100`.
fn is_range(groups: &[(Group<'_>, usize)]) -> bool {
    let [(first, _), (second, _)] = groups else { return false };
    let is_one_width = first.digits.len() == second.digits.len();
    first.mark == '-' && is_one_width && !first.digits.starts_with('0')
}

/// `2026-01-31`, `31/01/2026`, whatever follows.
fn is_date(groups: &[(Group<'_>, usize)]) -> bool {
    let [(first, _), (second, _), (third, _), ..] = groups else { return false };
    let is_year = |group: &Group<'_>| {
        group.digits.len() == 4 && (group.digits.starts_with("19") || group.digits.starts_with("20"))
    };
    let are_short = |one: &Group<'_>, other: &Group<'_>| one.digits.len() <= 2 && other.digits.len() <= 2;
    let is_one = (is_year(first) && are_short(second, third)) || (is_year(third) && are_short(first, second));
    is_one && first.mark == second.mark && matches!(first.mark, '-' | '/')
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
            ("tel:+4930123456789;isub=1", "tel:+493012*******;isub=*"),
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

    /// RFC 3966 5.1.1, ITU-T E.123, RFC 3339.
    #[test]
    fn numbers_in_groups_are_masked_and_what_only_looks_so_stays() {
        let rows = [
            ("Not Found, dial 030 123 45 67 89", "Not Found, dial 030123******"),
            ("Foo: +49 (30) 123 456 789", "Foo: +493012*******"),
            ("+49 (0)30/12345-67", "+490301******"),
            ("+49.30.1234567", "+49301******"),
            ("030/123456-789", "030123******"),
            ("(212) 555-1234", "21255*****"),
            ("x=212-555-1234;y", "x=21255*****;y"),
            ("555-1234.", "555****."),
            ("1 212 555 1234, 1 212 555 1235", "12125******, 12125******"),
            ("2026-01-31 030 1234567", "2026-01-31 03012*****"),
        ];
        for (text, masked) in rows {
            assert_eq!(free_text(text), masked, "{text}");
        }
        for text in [
            "2026-01-31",
            "2026-01-31 12:00:00",
            "from 2026-01-31 12:00:00.123 to 31/01/2026",
            "192.168.100.200 5060",
            "12 345 packets from 10.20.30.40:40000 12 s",
            "lasted 3600.123456 s, +0.123456 s",
            "ports 40000-40100",
            "IS-41 4.2.1 555-12",
            "http://example.com/2026/01/31",
            "12:30:45 123456",
        ] {
            assert_eq!(free_text(text), text);
        }
    }

    proptest! {
        #[test]
        fn numbers_in_groups_are_masked_once(text in "[0-9 +()/.:*a-]{0,40}") {
            let once = free_text(&text);
            prop_assert_eq!(free_text(&once), once);
        }

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
