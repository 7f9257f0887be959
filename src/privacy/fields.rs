//! Header fields: what each holds, and its value as it may be told.

use super::Privacy;
use super::mask::{HIDDEN, has_query, has_scheme, local_part, text_with, user};
use crate::sip::header::long_name;
use crate::sip::uri::unescaped as bytes_of;

/// Parameters of credentials that are no secret (RFC 7616 3.3 to 3.5).
const TOLD: [&str; 8] = ["realm", "uri", "algorithm", "qop", "nc", "stale", "domain", "charset"];

/// What the value of a header field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// Nothing of a user's: it stays.
    Nothing,
    /// Credentials, or what they are made of. Nobody is told, whether names are masked or not.
    Credentials,
    /// What cannot be masked in parts: hidden, but for these of its parameters.
    Opaque(&'static [&'static str]),
    /// Addresses: of a URI that is no user's, what stands behind its host is hidden.
    Addresses,
    /// Text that may name somebody.
    Text,
}

use Holds::{Addresses, Credentials, Nothing, Opaque, Text};

/// The fields of the IANA registry "SIP Header Fields", and some that are not in it, whose values are more or less
/// than text. A field that is not here holds text.
const FIELDS: [(&[u8], Holds); 81] = [
    // RFC 3261 20.6, 20.7, 20.27, 20.28, 20.44; RFC 7615 4; RFC 3313 5.
    (b"Authentication-Info", Credentials),
    (b"Authorization", Credentials),
    (b"P-Media-Authorization", Credentials),
    (b"Proxy-Authenticate", Credentials),
    (b"Proxy-Authentication-Info", Credentials),
    (b"Proxy-Authorization", Credentials),
    (b"WWW-Authenticate", Credentials),
    // A PASSporT (RFC 8225 5) or a signature (RFC 4474 9), and where its certificate is: RFC 8224 4.
    (b"Identity", Opaque(&["info", "alg", "ppt"])),
    // RFC 7433 4.1: in hex, what end systems tell each other.
    (b"User-to-User", Opaque(&["encoding", "content", "purpose"])),
    // RFC 3323 4.1 has user agents leave these out that want to be anonymous.
    (b"Organization", Opaque(&[])),
    (b"Subject", Opaque(&[])),
    // No field, but the body of the request to come, in a URI: RFC 3261 19.1.1.
    (b"body", Opaque(&[])),
    // RFC 5503 8: who listens in, with a key; RFC 2543 6.35: a key.
    (b"P-DCS-LAES", Opaque(&[])),
    (b"Response-Key", Opaque(&[])),
    (b"Additional-Identity", Addresses),
    (b"Call-Info", Addresses),
    (b"Contact", Addresses),
    (b"Content-ID", Addresses),
    (b"Diversion", Addresses),
    (b"From", Addresses),
    (b"Geolocation", Addresses),
    (b"History-Info", Addresses),
    (b"P-Asserted-Identity", Addresses),
    (b"P-Associated-URI", Addresses),
    (b"P-Called-Party-ID", Addresses),
    (b"P-Charge-Info", Addresses),
    (b"P-DCS-Trace-Party-ID", Addresses),
    (b"P-Preferred-Identity", Addresses),
    (b"P-Profile-Key", Addresses),
    (b"P-Refused-URI-List", Addresses),
    (b"P-Served-User", Addresses),
    (b"Path", Addresses),
    (b"Permission-Missing", Addresses),
    (b"Record-Route", Addresses),
    (b"Refer-To", Addresses),
    (b"Referred-By", Addresses),
    (b"Remote-Party-ID", Addresses),
    (b"Reply-To", Addresses),
    (b"Route", Addresses),
    (b"Service-Route", Addresses),
    (b"To", Addresses),
    (b"Trigger-Consent", Addresses),
    // Call-IDs with tags, and what else names a call or a session.
    (b"Call-ID", Nothing),
    (b"In-Reply-To", Nothing),
    (b"Join", Nothing),
    (b"P-Charging-Vector", Nothing),
    (b"Replaces", Nothing),
    (b"Session-ID", Nothing),
    (b"Target-Dialog", Nothing),
    // Hosts, networks and devices.
    (b"P-Charging-Function-Addresses", Nothing),
    (b"P-Visited-Network-ID", Nothing),
    (b"Server", Nothing),
    (b"User-Agent", Nothing),
    (b"Via", Nothing),
    // Words of the protocol, times and counts.
    (b"Accept", Nothing),
    (b"Accept-Encoding", Nothing),
    (b"Accept-Language", Nothing),
    (b"Allow", Nothing),
    (b"Allow-Events", Nothing),
    (b"CSeq", Nothing),
    (b"Content-Disposition", Nothing),
    (b"Content-Encoding", Nothing),
    (b"Content-Length", Nothing),
    (b"Content-Type", Nothing),
    (b"Date", Nothing),
    (b"Event", Nothing),
    (b"Expires", Nothing),
    (b"MIME-Version", Nothing),
    (b"Max-Forwards", Nothing),
    (b"Min-Expires", Nothing),
    (b"Min-SE", Nothing),
    (b"Proxy-Require", Nothing),
    (b"RAck", Nothing),
    (b"RSeq", Nothing),
    (b"Require", Nothing),
    (b"SIP-ETag", Nothing),
    (b"SIP-If-Match", Nothing),
    (b"Session-Expires", Nothing),
    (b"Subscription-State", Nothing),
    (b"Supported", Nothing),
    (b"Timestamp", Nothing),
];

impl Holds {
    fn of(name: &[u8]) -> Self {
        let name = long_name(name);
        FIELDS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map_or(Text, |(_, holds)| *holds)
    }
}

/// The value of the field `name` as it may be told; none where it may be as it stands. Numbers have at least
/// `shortest` digits.
pub(super) fn told(name: &[u8], value: &str, shortest: usize, privacy: Privacy) -> Option<String> {
    let told = match Holds::of(name) {
        Credentials => credentials(value, shortest, privacy),
        Nothing => return None,
        _ if !privacy.masked => return None,
        Opaque(told) => opaque(value, told, shortest),
        Addresses => each(value, |entry| address(entry, shortest)),
        Text => text_with(&each(value, |entry| names(entry, false)), Some(shortest)),
    };
    Some(told)
}

/// A value of which only these parameters may be told.
fn opaque(value: &str, told: &[&str], shortest: usize) -> String {
    let hidden = |text: &str| {
        let bare = text.trim_start();
        let stars = if bare.is_empty() { "" } else { HIDDEN };
        format!("{}{stars}", text.get(..text.len() - bare.len()).unwrap_or_default())
    };
    if told.is_empty() {
        return hidden(value);
    }
    let parameter = |text: &str| match text.split_once('=') {
        Some((name, _)) if told.iter().any(|known| name.trim().eq_ignore_ascii_case(known)) => {
            text_with(text, Some(shortest))
        }
        _ => hidden(text),
    };
    each(value, |entry| {
        let mut parts = parts(entry, ';').into_iter();
        let first = hidden(parts.next().unwrap_or_default());
        parts.fold(first, |out, part| out + ";" + &parameter(part))
    })
}

/// An address with its name and its parameters. Its tag (RFC 3261 19.3) names a dialog, and stays.
fn address(entry: &str, shortest: usize) -> String {
    let entry = names(entry, true);
    let at =
        find_outside_quotes(&entry, '<').map_or_else(|| entry.len() - entry.trim_start().len(), |at| at + 1);
    let (name, rest) = entry.split_at_checked(at).unwrap_or((&entry, ""));
    let close = if name.ends_with('<') { '>' } else { ';' };
    let (uri, parameters) =
        rest.split_at_checked(rest.find(close).unwrap_or(rest.len())).unwrap_or((rest, ""));
    // Without brackets it may be a name in quotes, which is masked, or no address.
    let is_plain = |c: char| c.is_alphanumeric() || "._-+:/@".contains(c);
    let is_address = !uri.contains('"') && (close == '>' || uri.chars().all(is_plain));
    let uri = if is_address { address_spec(uri) } else { uri.to_owned() };
    let entry = format!("{name}{uri}{parameters}");
    let (mut out, mut pending) = (String::with_capacity(entry.len()), String::new());
    for (number, part) in parts(&entry, ';').into_iter().enumerate() {
        let separator = if number > 0 { ";" } else { "" };
        if number > 0 && is_tag(part) {
            out += &text_with(&pending, Some(shortest));
            out += separator;
            out += part;
            pending.clear();
        } else {
            pending += separator;
            pending += part;
        }
    }
    out + &text_with(&pending, Some(shortest))
}

fn is_tag(parameter: &str) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c);
    let (name, value) = parameter.split_once('=').unwrap_or_default();
    name.trim().eq_ignore_ascii_case("tag") && value.trim().chars().all(is_token)
}

/// A URI that is none of those whose users are found in any text: its user is masked, and of a web page only the host
/// is told. `urn:service:sos` and the like stay (RFC 5031).
fn address_spec(uri: &str) -> String {
    let is_scheme = |it: &&str| it.chars().all(|c| c.is_ascii_alphabetic());
    let Some(scheme) = uri.split(':').next().filter(|it| it.len() < uri.len()).filter(is_scheme) else {
        return local_part(uri);
    };
    let rest = uri.get(scheme.len() + 1..).unwrap_or_default();
    let is = |known: &str| scheme.eq_ignore_ascii_case(known);
    if let Some(rest) = rest.strip_prefix("//") {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let path = if path.len() > 1 { format!("/{HIDDEN}") } else { path.to_owned() };
        return format!("{scheme}://{}{path}", local_part(host));
    }
    match () {
        () if has_scheme(uri) || is("urn") => uri.to_owned(),
        // RFC 2392.
        () if is("cid") || is("mid") => format!("{scheme}:{}", local_part(rest)),
        () if uri.contains('@') => local_part(uri),
        () => format!("{scheme}:{HIDDEN}"),
    }
}

/// Whether this header field of a URI (RFC 3261 19.1.1) tells nothing that has to be masked. `value` is escaped.
pub(super) fn is_harmless(name: &str, value: &str, shortest: usize) -> bool {
    if Holds::of(name.as_bytes()) == Nothing {
        return true;
    }
    let bytes = bytes_of(value.as_bytes());
    let plain = String::from_utf8_lossy(&bytes);
    // Attack: URIs in URIs without end.
    if has_query(&plain) || bytes_of(plain.as_bytes()) != plain.as_bytes() {
        return false;
    }
    let masked = Privacy { masked: true, digits: false };
    told(name.as_bytes(), &plain, shortest, masked).is_none_or(|told| told == plain)
}

/// The value of a field with credentials: of Digest (RFC 7616) what is no secret, of others the name of the scheme.
fn credentials(value: &str, shortest: usize, privacy: Privacy) -> String {
    // Authentication-Info has no scheme: its first word is a parameter.
    let (scheme, rest) = match value.split_once(char::is_whitespace) {
        Some((word, rest)) if !word.contains('=') => (word, rest),
        _ if value.contains('=') => ("", value),
        _ => return HIDDEN.to_owned(),
    };
    if !scheme.is_empty() && !scheme.eq_ignore_ascii_case("Digest") {
        return format!("{scheme} {HIDDEN}");
    }
    let parts = split(rest, ',', false).into_iter().map(str::trim).filter(|part| !part.is_empty());
    let parameters: Vec<String> = parts.map(|text| parameter(text, shortest, privacy)).collect();
    format!("{scheme} {}", parameters.join(", ")).trim_start().to_owned()
}

fn parameter(text: &str, shortest: usize, privacy: Privacy) -> String {
    let Some((name, value)) = text.split_once('=') else { return HIDDEN.to_owned() };
    let (name, value) = (name.trim(), value.trim());
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match () {
        () if is("username") && privacy.masked => format!("{name}=\"{}\"", user(value.trim_matches('"'))),
        () if is("username") => format!("{name}={value}"),
        () if TOLD.iter().any(|known| is(known)) && privacy.masked => {
            format!("{name}={}", text_with(value, Some(shortest)))
        }
        () if TOLD.iter().any(|known| is(known)) => format!("{name}={value}"),
        () => format!("{name}={HIDDEN}"),
    }
}

/// What `text` has between separators. Those in quotes or in a URI between angle brackets separate nothing.
fn parts(text: &str, separator: char) -> Vec<&str> {
    split(text, separator, true)
}

/// What `text` has between separators outside of quotes, and of angle brackets if these count.
fn split(text: &str, separator: char, has_brackets: bool) -> Vec<&str> {
    let (mut quoted, mut escaped, mut is_uri) = (false, false, false);
    let parts = text.split(move |c: char| {
        let is_end = c == separator && !quoted && !is_uri;
        match c {
            '"' if !escaped => quoted = !quoted,
            '<' | '>' if !quoted => is_uri = has_brackets && c == '<',
            _ => {}
        }
        escaped = c == '\\' && quoted && !escaped;
        is_end
    });
    parts.collect()
}

/// A list (RFC 3261 7.3.1) with each of its entries as it may be told.
fn each(value: &str, told: impl Fn(&str) -> String) -> String {
    parts(value, ',').into_iter().map(told).collect::<Vec<_>>().join(",")
}

/// Where the first such character outside of quotes is.
fn find_outside_quotes(text: &str, wanted: char) -> Option<usize> {
    parts(text, wanted).first().map(|first| first.len()).filter(|length| *length < text.len())
}

/// An entry with the names in it masked: those in quotes, and `Alice Smith <sip:…>` in front of an address. `text` of Reason
/// stays (RFC 3326). What stands in front of the brackets of an address, or of what may be one, is its name.
fn names(entry: &str, is_address: bool) -> String {
    let mut out = String::with_capacity(entry.len());
    let mut rest = entry;
    let mut is_name = true;
    while let Some((before, after)) = rest.split_once('"') {
        let (quoted, behind) = after.split_at(end_of_quoted(after));
        let is_phrase = before.trim_end().ends_with("text=");
        is_name = push_bare(before, is_name, is_address, &mut out);
        out.push('"');
        if is_phrase {
            out.push_str(quoted);
        } else {
            out.push_str(&escaped(&user(&unescaped(quoted))));
        }
        out.push('"');
        rest = behind.strip_prefix('"').unwrap_or(behind);
    }
    push_bare(rest, is_name, is_address, &mut out);
    out
}

/// How long what stands in quotes is, with its quoted pairs (RFC 3261 25.1), up to the quote that ends it.
fn end_of_quoted(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.find(|c: char| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    end.unwrap_or(text.len())
}

fn unescaped(quoted: &str) -> String {
    let mut is_escaped = false;
    let kept = quoted.chars().filter(|c| {
        is_escaped = *c == '\\' && !is_escaped;
        !is_escaped
    });
    kept.collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Writes what is not in quotes, where a name may still come masked as far as it is one; tells whether one may still come.
fn push_bare(text: &str, may_be_name: bool, is_address: bool, out: &mut String) -> bool {
    let (name, rest) = text.split_at(text.find('<').unwrap_or(text.len()));
    let bare = name.trim();
    // Parameters, an address without brackets, and what begins no address are no names.
    let is_text = !is_address && bare.contains([':', '@', ';', '=']);
    let is_name = may_be_name && !bare.is_empty() && !rest.is_empty() && !is_text;
    if is_name {
        let (start, end) = (name.len() - name.trim_start().len(), name.trim_end().len());
        out.push_str(name.get(..start).unwrap_or_default());
        out.push_str(&user(bare));
        out.push_str(name.get(end..).unwrap_or_default());
    } else {
        out.push_str(name);
    }
    out.push_str(rest);
    may_be_name && rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NUMBER: usize = 5;
    const MASKED: Privacy = Privacy { masked: true, digits: false };

    fn masked(name: &str, value: &str) -> String {
        told(name.as_bytes(), value, NUMBER, MASKED).unwrap_or_else(|| value.to_owned())
    }

    /// RFC 3261 25.1: a quoted pair ends no quoted string, and header fields are lists (7.3.1).
    #[test]
    fn a_masked_list_names_nobody() {
        let rows = [
            (r#" "Max \"Maxi\" Mustermann" <sip:max@a>;tag=1"#, r#" "M***" <sip:m***@a>;tag=1"#),
            (r#""\"" <sip:h>"#, r#""***" <sip:h>"#),
            (r#""a\\", "Bob" <sip:b@c>"#, r#""***", "B***" <sip:***@c>"#),
            (
                " Max M <sip:max@a>;reason=x, Erika M <sip:erika@a;p=\"x,y\">;reason=user-busy",
                " M*** <sip:m***@a>;reason=x, E*** <sip:e***@a;p=\"x***\">;reason=user-busy",
            ),
            (
                "<sip:bob@b>;index=1,Erika M <sip:erika@a>;index=1.1",
                "<sip:b***@b>;index=1,E*** <sip:e***@a>;index=1.1",
            ),
            (
                "\"A, B\" <sip:alice@a>, Carl <tel:+4930123456789>",
                "\"A***\" <sip:a***@a>, C*** <tel:+493012*******>",
            ),
            ("\"Al\" Bo Jones <sip:alice@a>", "\"***\" B*** <sip:a***@a>"),
            ("\"not ended <sip:alice@a>", "\"n***\""),
            (
                "SIP;cause=200;text=\"Call \\\"completed\\\", elsewhere\"",
                "SIP;cause=200;text=\"Call \\\"completed\\\", elsewhere\"",
            ),
        ];
        for (value, expected) in rows {
            for name in
                ["X-Name", "From"].into_iter().filter(|name| *name == "X-Name" || !value.starts_with("SIP;"))
            {
                assert_eq!(masked(name, value), expected, "{value}");
                assert_eq!(masked(name, expected), expected, "{value} twice");
            }
        }
    }

    /// RFC 8225 8, RFC 8224 4, RFC 4474 9, RFC 7433 4.1.
    #[test]
    fn what_is_encoded_is_hidden_but_for_its_parameters() {
        // The header and the claims of RFC 8225's PASSporT, which calls from 12155551212 to alice.
        let passport = "eyJ0eXAiOiJwYXNzcG9ydCIsImFsZyI6IkVTMjU2IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9.\
            eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6MTQ3MTM3NTQxOCwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEyIn19.\
            VLBCIVDCaeK6M4hLJb6SHQvacAQVvoiiEOWQ_iUqkk42FVkpZnjM1fR6lJvkGEBuYJ7-f7-zVuM2JA";
        let info = "info=<https://biloxi.example.org/biloxi.cer>";
        for name in ["Identity", "identity", "y"] {
            let parameters = format!("{info};alg=ES256;ppt=\"shaken\"");
            assert_eq!(masked(name, &format!("{passport};{parameters}")), format!("***;{parameters}"));
        }
        let two = format!("{passport} ;{info};canon=\"+12155551212\" , ..sig;{info}");
        assert_eq!(masked("Identity", &two), format!("***;{info};***, ***;{info}"));
        for cut in 1..passport.len() {
            assert_eq!(masked("Identity", &passport[..cut]), "***");
        }
        assert_eq!(masked("Identity", "\"ZYNBbHC00VMZr2kZt6VmCvPonWJMGvQTBDqghoWeLxJfzB2a1pxAr3\""), "***");
        assert_eq!(
            masked("n", "<https://example.org/cert.cer>;alg=rsa-sha1"),
            "<https://example.org/cert.cer>;alg=rsa-sha1"
        );
        assert_eq!(
            masked(
                "User-to-User",
                "56a390f3d2b7310023a2;encoding=hex;purpose=foo;content=bar, x;secret=+4930123456"
            ),
            "***;encoding=hex;purpose=foo;content=bar, ***;***"
        );
        assert_eq!(masked("s", "lunch, with Alice"), "***");
        // A token is one in whatever field it comes (RFC 7515 7.1).
        assert_eq!(
            masked("X-Verified", &format!("TN-Validation-Passed;by={passport};x=1")),
            "TN-Validation-Passed;by=***;x=1"
        );
        assert_eq!(masked("X-Word", "eyJoke, keyJkZXN0Ijp7InVyaSI6"), "eyJoke, keyJkZXN0Ijp7InVyaSI6");
    }

    /// RFC 3261 19.1.1 and 19.1.5: header fields in a URI.
    #[test]
    fn header_fields_of_a_uri_name_nobody() {
        let rows = [
            (
                "<sip:bob@x?Replaces=12345678%40y%3Bto-tag%3D7654321&From=%3Csip:%2B4930123456%40z%3E>",
                "<sip:b***@x?Replaces=12345678%40y%3Bto-tag%3D7654321&From=***>",
            ),
            (
                "<sip:bob@x?From=%22Alice%20Smith%22%20%3Csip%3Aalice%40z%3E&Expires=3600>;q=1",
                "<sip:b***@x?From=***&Expires=3600>;q=1",
            ),
            (
                "<sip:bob@x?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%22&Privacy=none>;index=1",
                "<sip:b***@x?Reason=SIP%3Bcause%3D302%3Btext%3D%22Moved%22&Privacy=none>;index=1",
            ),
            (
                "<sip:bob@x?Subject=lunch&body=I%20am%20Alice&Identity=..c2ln&+4930123456>",
                "<sip:b***@x?Subject=***&body=***&Identity=***&***>",
            ),
            ("<sip:bob@x?Refer-To=%3Csip:x%40y%3FFrom%3Dsip:alice%40z%3E>", "<sip:b***@x?Refer-To=***>"),
            ("<tel:+4930123456?To=alice@x>", "<tel:+49301*****?To=***>"),
            ("<sip:h?From=%2530%2531&X=%zz%>", "<sip:h?From=***&X=%zz%>"),
        ];
        for (value, expected) in rows {
            for name in ["Refer-To", "r", "History-Info", "X-Target"] {
                assert_eq!(masked(name, value), expected, "{name}: {value}");
            }
        }
        let nested = format!("<sip:bob@x{}", "?a=".repeat(20_000));
        assert_eq!(masked("Refer-To", &nested), "<sip:b***@x?a=***");
    }

    /// RFC 3261 19.3: tags; RFC 3966: extensions; RFC 6442, RFC 2392: content; RFC 5031: services.
    #[test]
    fn addresses_in_other_forms_name_nobody_and_tags_stay() {
        let rows = [
            ("From", "\"Al\" <sip:alice@a>;tag=4930123456", "\"***\" <sip:a***@a>;tag=4930123456"),
            (
                "t",
                "<sip:alice@a;x=4930123456>; tag = 1234567-89 ;y=4930123456",
                "<sip:a***@a;x=49301*****>; tag = 1234567-89 ;y=49301*****",
            ),
            ("From", "sip:alice@a;TAG=4930123456", "sip:a***@a;TAG=4930123456"),
            ("From", "alice@a;tag=1", "a***@a;tag=1"),
            ("From", "alice@corp.example <sip:alice@a>;tag=1", "a*** <sip:a***@a>;tag=1"),
            ("From", "<alice:secret@a>", "<a***@a>"),
            ("To", "<urn:service:sos>", "<urn:service:sos>"),
            (
                "To",
                "<tel:+4930123456;ext=4711;phone-context=x>",
                "<tel:+49301*****;ext=****;phone-context=x>",
            ),
            ("Contact", "*", "*"),
            (
                "Contact",
                "<im:alice@a>, <pres:alice@a>, mailto:alice@a",
                "<im:a***@a>, <pres:a***@a>, mailto:a***@a",
            ),
            (
                "Geolocation",
                "<cid:target123@a.example>, <https://lis.example:8222/y77syc7cuecbh>",
                "<cid:t***@a.example>, <https://lis.example:8222/***>",
            ),
            (
                "Call-Info",
                "<http://alice@a.example/alice/photo.jpg?x=alice>;purpose=icon",
                "<http://a***@a.example/***>;purpose=icon",
            ),
            (
                "Call-Info",
                "<data:application/json;base64,eyJmbiI6IkFsaWNlIn0>;purpose=jcard",
                "<data:***>;purpose=jcard",
            ),
            (
                "Route",
                "<sip:10.0.0.1:5060;lr>,<sip:alice@10.0.0.2;lr>",
                "<sip:10.0.0.1:5060;lr>,<sip:a***@10.0.0.2;lr>",
            ),
            (
                "Alert-Info",
                "<http://127.0.0.1/Bellcore-dr1>;info=alert",
                "<http://127.0.0.1/Bellcore-dr1>;info=alert",
            ),
            ("X-Party", "x=%2B4930123456, y=%3Csip:alice@a%3E", "x=%2B49301*****, y=%3Csip:a***@a%3E"),
        ];
        for (name, value, expected) in rows {
            assert_eq!(masked(name, value), expected, "{name}: {value}");
            assert_eq!(masked(name, expected), expected, "{name}: {value} twice");
        }
    }

    /// RFC 3891 6.1, RFC 3911 7.1, RFC 4538 7, RFC 3261 20.21, RFC 7989 5, RFC 7315 5.6.
    #[test]
    fn what_names_a_call_stays() {
        for name in [
            "Call-ID",
            "i",
            "Replaces",
            "Join",
            "Target-Dialog",
            "In-Reply-To",
            "Session-ID",
            "P-Charging-Vector",
        ] {
            let value = "4930123456@192.0.2.1;from-tag=7654321;icid-generated-at=\"192.0.2.1\"";
            assert_eq!(masked(name, value), value);
        }
    }

    /// RFC 3313 5, RFC 7615 4.
    #[test]
    fn credentials_are_told_by_nobody() {
        let open = Privacy { masked: false, digits: true };
        let shown = |name: &str, value| told(name.as_bytes(), value, NUMBER, open).unwrap();
        assert_eq!(shown("P-Media-Authorization", "0020c0ffee"), "***");
        assert_eq!(
            shown("Proxy-Authentication-Info", "nextnonce=\"x\", qop=auth"),
            "nextnonce=***, qop=auth"
        );
        assert_eq!(
            shown("Authorization", "Digest realm=<, response=s3cret>"),
            "Digest realm=<, response=***"
        );
        assert_eq!(told(b"Identity", "..sig", NUMBER, open), None);
    }

    proptest! {
        #[test]
        fn any_value_is_masked_once(value in "[ -~]{0,60}", row in 0..FIELDS.len() + 1) {
            let name = FIELDS.get(row).map_or(&b"X-Name"[..], |(name, _)| *name);
            let name = std::str::from_utf8(name).unwrap();
            let once = masked(name, &value);
            prop_assert!(Holds::of(name.as_bytes()) == Credentials || masked(name, &once) == once, "{} {}", name, once);
        }

        #[test]
        fn any_address_is_masked_once(value in "([ -~]|sip:|tel:|;tag=|<|>|\"|%3C|%22|\\?|From=|&|@|[0-9]{5,9}){0,14}") {
            for name in ["From", "X-Name"] {
                let once = masked(name, &value);
                prop_assert_eq!(masked(name, &once), once);
            }
        }
    }
}
