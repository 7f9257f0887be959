//! What header fields say of the other legs of a session: identifiers that all legs share, and whom a call was for before
//! it was diverted.

use smallvec::SmallVec;

use crate::sip::header::{Lines, Name, NameAddress, list, parameter, same_name, split};
use crate::sip::uri::{until, user_part};

/// Identifiers, and diverted numbers, taken from one message.
const MAX_NAMED: usize = 8;

/// The shortest value that two legs may share: `1` or `none` in a field of somebody's own tells nothing.
const SHORTEST: usize = 8;

/// The longest value that is looked at.
const LONGEST: usize = 256;

/// What named a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Field {
    XCallId,
    XCid,
    /// Session-ID (RFC 7989, and RFC 7329 before it).
    SessionId,
    /// The icid-value of P-Charging-Vector (RFC 7315 4.6).
    Icid,
    /// The field of that place in the configured list.
    Configured(u8),
}

impl Field {
    /// Whether its value is, or may be, the Call-ID of another leg.
    pub(super) const fn names_call_id(self) -> bool {
        matches!(self, Self::XCallId | Self::XCid | Self::Configured(_))
    }

    /// The fields that may name a Call-ID, with `configured` ones of the user's.
    pub(super) fn naming(configured: &[String]) -> impl Iterator<Item = Self> + use<> {
        let places = 0..u8::try_from(configured.len()).unwrap_or(u8::MAX);
        [Self::XCallId, Self::XCid].into_iter().chain(places.map(Self::Configured))
    }
}

/// What a message says of other legs.
#[derive(Clone, Debug, Default)]
pub(super) struct Named<'a> {
    /// Fields that name the session, with their values.
    pub(super) identifiers: SmallVec<[(Field, Value<'a>); 4]>,
    /// User parts of Diversion and History-Info.
    pub(super) diverted: SmallVec<[&'a [u8]; 4]>,
}

/// A value of an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Value<'a> {
    Text(&'a [u8]),
    Uuid(u128),
}

impl<'a> Named<'a> {
    /// Reads a message; `configured` are names of fields of the user's.
    pub(super) fn of(message: &'a [u8], configured: &[String]) -> Self {
        let mut named = Self::default();
        for (name, value) in Lines::new(message, 0).filter_map(split) {
            match Name::of(name) {
                Name::XCallId => named.text(Field::XCallId, value),
                Name::XCid => named.text(Field::XCid, value),
                Name::SessionId => named.session_id(value),
                Name::ChargingVector => named.text(Field::Icid, icid(value)),
                Name::Diversion | Name::HistoryInfo => named.diverted(value),
                _ => {
                    let known = configured.iter().position(|known| same_name(name, known.as_bytes()));
                    if let Some(place) = known.and_then(|place| u8::try_from(place).ok()) {
                        named.text(Field::Configured(place), value);
                    }
                }
            }
        }
        named
    }

    fn text(&mut self, field: Field, value: &'a [u8]) {
        if (SHORTEST..=LONGEST).contains(&value.len()) {
            self.identifier(field, Value::Text(value));
        }
    }

    fn identifier(&mut self, field: Field, value: Value<'a>) {
        if self.identifiers.len() < MAX_NAMED {
            self.identifiers.push((field, value));
        }
    }

    /// `local-uuid;remote=remote-uuid` (RFC 7989 5), or the first alone (RFC 7329). Whose is which changes with the
    /// direction, so that both count; the nil UUID stands for an end that is not known yet.
    fn session_id(&mut self, value: &'a [u8]) {
        let local = until(value, b';').trim_ascii_end();
        let remote = parameter(value, b"remote").unwrap_or_default();
        let known = [local, remote].into_iter().filter_map(uuid).filter(|&uuid| uuid != 0);
        known.for_each(|uuid| self.identifier(Field::SessionId, Value::Uuid(uuid)));
    }

    fn diverted(&mut self, value: &'a [u8]) {
        let room = MAX_NAMED.saturating_sub(self.diverted.len());
        let users = list(value).filter_map(|value| user_part(NameAddress::parse(value).uri));
        self.diverted.extend(users.take(room));
    }
}

/// 32 hexadecimal digits.
fn uuid(text: &[u8]) -> Option<u128> {
    let is_one = text.len() == 32 && text.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_one)?;
    u128::from_str_radix(text, 16).ok()
}

/// The icid-value among the parameters of a P-Charging-Vector, without its quotes; empty when there is none.
fn icid(value: &[u8]) -> &[u8] {
    let parameters = value.split(|&byte| byte == b';');
    let found = parameters.filter_map(|parameter| {
        let (name, value) = parameter.split_at_checked(until(parameter, b'=').len())?;
        name.trim_ascii().eq_ignore_ascii_case(b"icid-value").then(|| value.get(1..).unwrap_or_default())
    });
    let found = found.map(<[u8]>::trim_ascii).next().unwrap_or_default();
    found.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(fields: &str) -> (Vec<(Field, String)>, Vec<String>) {
        let message = format!(
            "INVITE sip:bob@b SIP/2.0\r\nCall-ID: own-call-id\r\n{fields}\r\n\r\nX-CID: in the body\r\n"
        );
        let named = Named::of(message.as_bytes(), &["X-Trace".to_owned()]);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let value = |value| match value {
            Value::Text(bytes) => text(bytes),
            Value::Uuid(uuid) => format!("{uuid:032x}"),
        };
        (
            named.identifiers.into_iter().map(|(field, it)| (field, value(it))).collect(),
            named.diverted.into_iter().map(text).collect(),
        )
    }

    /// RFC 7989 5: the value in its section 5, folded as in RFC 7989 10, and RFC 7329's without its remote.
    #[test]
    fn session_ids_name_both_ends_as_far_as_they_are_known() {
        const ALICE: &str = "ab30317f1a784dc48ff824d0d3715d86";
        const BOB: &str = "47755a9de7794ba387653f2099600ef2";
        let uuids = |value: &str| -> Vec<String> {
            let (found, _) = named(&format!("Session-ID: {value}"));
            assert!(found.iter().all(|(field, _)| *field == Field::SessionId));
            found.into_iter().map(|(_, value)| value).collect()
        };
        assert_eq!(uuids(&format!("{ALICE};remote={BOB}")), [ALICE, BOB]);
        assert_eq!(uuids(&format!("{BOB}\r\n ;remote={ALICE}")), [BOB, ALICE]);
        assert_eq!(uuids(&format!("{ALICE};Remote={}", "0".repeat(32))), [ALICE]);
        assert_eq!(uuids(ALICE), [ALICE], "RFC 7329");
        assert_eq!(uuids(&ALICE.to_uppercase()), [ALICE]);
        for nothing in [&"0".repeat(32), "1", "", &format!("{ALICE}0"), "+b30317f1a784dc48ff824d0d3715d86"] {
            assert_eq!(uuids(nothing), [""; 0], "{nothing}");
        }
    }

    /// The value of RFC 7315 5.6 and 7, in other orders and quotes.
    #[test]
    fn icid_values_are_found_among_their_parameters() {
        let icid = |value: &str| named(&format!("P-Charging-Vector: {value}")).0;
        let found = |value: &str| vec![(Field::Icid, value.to_owned())];
        let value = "icid-value=1234bc9876e;icid-generated-at=192.0.6.8;orig-ioi=home1.net";
        assert_eq!(icid(value), found("1234bc9876e"));
        assert_eq!(
            icid("orig-ioi=home1.net ; ICID-value = \"AyretyU0dm+6O2IrT5tAFrbHLso=\""),
            found("AyretyU0dm+6O2IrT5tAFrbHLso=")
        );
        assert_eq!(icid("icid-value=1"), []);
        assert_eq!(icid("orig-ioi=home1.net"), []);
    }

    #[test]
    fn what_names_a_call_id_is_taken_whole_and_what_is_too_short_is_not() {
        let (found, _) = named(
            "X-CID: 12345@192.0.2.1\r\nx-call-id: a;b c@d.e.f.g\r\nX-TRACE: trace-one\r\nX-Other: something",
        );
        let expected = [
            (Field::XCid, "12345@192.0.2.1"),
            (Field::XCallId, "a;b c@d.e.f.g"),
            (Field::Configured(0), "trace-one"),
        ];
        assert_eq!(found, expected.map(|(field, value)| (field, value.to_owned())));
        assert!(named("X-CID: 1\r\nX-Trace: -").0.is_empty());
        let many = format!("X-CID: {}\r\n", "x".repeat(LONGEST + 1)) + &"X-CID: 12345678\r\n".repeat(100);
        assert_eq!(named(&many).0.len(), MAX_NAMED);
    }

    /// RFC 5806 and RFC 7044: whom the call was for before.
    #[test]
    fn diverted_numbers_are_those_of_all_entries() {
        let (_, users) = named(
            "Diversion: <sip:+4930123456@a;user=phone>;reason=no-answer, \"B\" <tel:+4940123456>\r\n\
             History-Info: <sip:bob@example.com>;index=1,<sip:192.0.2.3>;index=1.1",
        );
        assert_eq!(users, ["+4930123456", "+4940123456", "bob"]);
        let (_, users) = named(&format!("History-Info: {}", "<sip:a@b>,".repeat(1000)));
        assert_eq!(users.len(), MAX_NAMED);
    }
}
