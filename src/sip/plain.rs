//! Values of header fields that are written as nearly all are.
//!
//! What is taken here is what the general readers of [`super::header`] make of it, found in fewer steps; what is not,
//! is theirs. Values are given as places in their message: what follows a value may then be looked at together with its
//! last bytes.

use super::head::Span;
use super::search::{WINDOW, after, find_within, window_marks, without_lowest};

/// Whether there is something, without white space around it.
#[inline(always)]
pub(super) fn is_trim(text: &[u8]) -> bool {
    matches!((text.first(), text.last()), (Some(b'!'..), Some(b'!'..)))
}

/// The branch of a Via: one value, its branch the first parameter, not quoted (RFC 3261 20.42).
#[inline]
pub(super) fn branch(message: &[u8], via: Span) -> Option<Span> {
    let text = message.get(via.start as usize..)?;
    let length = via.length as usize;
    let marks = window_marks(*b";,", text.first_chunk()?) & lowest(length);
    let semicolon = marks.trailing_zeros() as usize;
    if after(text.get(semicolon..)?, b";branch=")?.first() == Some(&b'"') {
        return None;
    }
    let mut others = without_lowest(marks);
    let (begin, end) = (semicolon + 8, (others.trailing_zeros() as usize).min(length));
    // In a window that ends before the value, another mark may be to come.
    let is_whole = others != 0 || length <= WINDOW;
    if !is_whole || !is_trim(text.get(begin..end)?) || text.get(..length)?.ends_with(b";") {
        return None;
    }
    while others != 0 {
        if text.get(others.trailing_zeros() as usize) != Some(&b';') {
            return None;
        }
        others = without_lowest(others);
    }
    if length > WINDOW && find_within(*b",", text.get(WINDOW..)?, length - WINDOW).is_some() {
        return None;
    }
    Some(Span { start: via.start + begin as u32, length: (end - begin) as u32 })
}

/// URI and tag of a From or To, which has no white space around it: `<uri>` or `"name" <uri>`, and behind it nothing or `;tag=` with nothing more (RFC 3261
/// 20.20, 20.39).
#[inline]
pub(super) fn party(message: &[u8], value: Span) -> Option<(Span, Span)> {
    let text = message.get(value.start as usize..)?;
    let length = value.length as usize;
    let place = |begin: usize, end: usize| {
        is_trim(text.get(begin..end)?)
            .then(|| Span { start: value.start + begin as u32, length: (end - begin) as u32 })
    };
    let begin = match text.first()? {
        b'<' => 1,
        b'"' => {
            let name = text.get(1..)?;
            let bracketed = after(name.get(find_within(*b"\"\\", name, length)?..)?, b"\" <")?;
            text.len() - bracketed.len()
        }
        _ => return None,
    };
    let end = begin + first_in_window(b'>', text.get(begin..)?, length)?;
    let uri = place(begin, end)?;
    if length == end + 1 {
        return Some((uri, Span::default()));
    }
    let tag = place(end + 6, length)?;
    let others = find_within(*b";,\"", after(text.get(end + 1..)?, b";tag=")?, tag.length as usize);
    others.is_none().then_some((uri, tag))
}

/// [`find_within`] for what is mostly found far from the beginning.
#[inline(always)]
fn first_in_window(needle: u8, text: &[u8], length: usize) -> Option<usize> {
    match text.first_chunk().map(|window| window_marks([needle], window)) {
        Some(marks) if marks != 0 => Some(marks.trailing_zeros() as usize).filter(|&found| found < length),
        _ => find_within([needle], text, length),
    }
}

/// So many of the lowest bits.
#[inline]
const fn lowest(bits: usize) -> u64 {
    if bits < WINDOW { (1 << bits) - 1 } else { u64::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::header::{NameAddress, first_value, parameter};
    use proptest::prelude::*;

    const PARTIES: [&str; 5] = [
        "<sip:a@b>",
        "\"A\" <sip:a@b>",
        "<sip:a@b>;tag=12",
        "\"A, <x>\" <sip:a@b;x>;tag=1-2",
        "\"+15551523782\" <sip:+15551523782@sip.example.net;user=phone>;tag=ae2a754df95ae2a754df95",
    ];

    const BRANCHES: [&str; 4] = [
        "SIP/2.0/UDP a;branch=z9hG4bK1",
        "SIP/2.0/UDP a;branch=z9hG4bK1;rport",
        "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1;rport=5060;received=2001:db8::2;x=\"y\"",
        "SIP/2.0/UDP a;branch=z",
    ];

    /// The value in a message, between other fields that would mislead whoever looked at them too.
    fn placed(value: &str, behind: usize) -> (Vec<u8>, Span) {
        let before = "Via: SIP/2.0/UDP x\r\nTo: ";
        let after =
            "\r\nX: \" <y>;tag=1;branch=2,>;;,,\" <z>;tag=3\r\nContact: <sip:user@host.example.com:5060>\r\n";
        let message = [before, value, after.get(..behind).unwrap_or(after)].concat();
        (message.into(), Span { start: before.len() as u32, length: value.len() as u32 })
    }

    fn party_is_as_any_other(value: &str, behind: usize) -> bool {
        let address = NameAddress::parse(value.as_bytes());
        let expected = (address.uri, parameter(address.parameters, b"tag").unwrap_or_default());
        let (message, place) = placed(value, behind);
        let found = party(&message, place);
        if let Some((uri, tag)) = found {
            assert_eq!(((uri.of(&message), tag.of(&message)), true), (expected, address.sound), "{value:?}");
        }
        found.is_some()
    }

    fn branch_is_as_any_other(value: &str, behind: usize) -> bool {
        let first = first_value(value.as_bytes());
        let (message, place) = placed(value, behind);
        let found = branch(&message, place);
        if let Some(found) = found {
            assert_eq!((first, first.ends_with(b";")), (value.as_bytes(), false), "{value:?}");
            assert_eq!(Some(found.of(&message)), parameter(first, b"branch"), "{value:?}");
        }
        found.is_some()
    }

    #[test]
    fn what_nearly_all_write_is_plain() {
        assert!(PARTIES.iter().all(|value| party_is_as_any_other(value, 90)));
        assert!(BRANCHES.iter().all(|value| branch_is_as_any_other(value, 90)));
    }

    #[test]
    fn what_is_written_otherwise_is_not() {
        let parties = [
            "sip:a@b;tag=1",
            "<sip:a@b> ;tag=1",
            "<sip:a@b>;tag=1;x",
            "<sip:a@b>;tag=\"1\"",
            "<sip:a@b>;tag=",
            "<sip:a@b>;tag=12, <sip:c>",
            "< sip:a@b>",
            "<sip:a@b",
            "\"A\"<sip:a@b>",
            "\"A\\\" <x>\" <sip:a@b>",
            "\"A <sip:a@b>",
            "A <sip:a@b>",
            "<sip:a@b>;TAG=1",
            "<>",
        ];
        assert!(!parties.iter().any(|value| party_is_as_any_other(value, 90)));
        let branches = [
            "SIP/2.0/UDP a",
            "SIP/2.0/UDP a;branch=",
            "SIP/2.0/UDP a;branch=1;",
            "SIP/2.0/UDP a;branch =1",
            "SIP/2.0/UDP a;branch=1 ;rport",
            "SIP/2.0/UDP a;rport;branch=1",
            "SIP/2.0/UDP a;branch=\"1;2\"",
            "SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b;branch=2",
        ];
        assert!(!branches.iter().any(|value| branch_is_as_any_other(value, 90)));
    }

    proptest! {
        /// Whatever is taken is what the general readers make of it, wherever the message ends.
        #[test]
        fn what_is_taken_is_what_others_take(
            pieces in prop::collection::vec(prop::sample::select([
                "<", ">", "\"", "\\", ";tag=", ";branch=", ";", ",", " ", "=", "a", "sip:a@b", "\"b\" <",
                "twenty-four-letters-more",
            ].as_slice()), 0..12),
            from in prop::sample::select(["", "<", "\"A\" <sip:a", "<sip:a>;tag=", "SIP/2.0/UDP a;branch=1"].as_slice()),
            behind in 0usize..90,
        ) {
            let text = from.to_owned() + &pieces.concat();
            let value = text.trim_ascii();
            if !value.is_empty() {
                party_is_as_any_other(value, behind);
                branch_is_as_any_other(value, behind);
            }
        }
    }
}
