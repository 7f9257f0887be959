//! What of a call may leave the program: numbers and names of users, keys pressed, credentials.
//!
//! In: records, events, answers, messages. Out: the same, as far as it may be told. [`Private`] stands between the
//! tracker and whoever writes; answers and messages are treated where they are made.
//!
//! Invariants: credentials are told by nobody; what is masked stays masked however often it passes; masking costs
//! nothing where it is off. Absent on purpose: Call-IDs, which name a call everywhere, and the packets in call files.

mod body;
mod fields;
mod listener;
mod mask;
mod message;
mod record;

pub use listener::Private;
pub use mask::{free_text, user};

use serde_json::Value;

use crate::call::{CallEvent, CallRecord};

/// What may be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privacy {
    /// Numbers and names of users are masked.
    pub masked: bool,
    /// Keys pressed are told one by one.
    pub digits: bool,
}

/// Keys of answers and records whose text stays as it is: they hold no text of a user's. All others are masked, those
/// too that do not exist yet.
pub(crate) const HARMLESS: [&str; 38] = [
    "call_id",
    "session",
    "joined_by",
    "evidence",
    "replaces",
    "replaced_by",
    "kind",
    "method",
    "result",
    "state",
    "start",
    "ringing",
    "answered",
    "end",
    "ended_by",
    "transports",
    "source",
    "destination",
    "user_agents",
    "user_agent",
    "media_endpoints",
    "codecs",
    "codec",
    "mos_missing",
    "delay_source",
    "code",
    "pcap",
    "expires",
    "since",
    "refreshed",
    "registrar",
    "next",
    "ssrc",
    "dtmf",
    "sip_call_id",
    "name",
    "time",
    "transport",
];

impl Privacy {
    /// Masks a record.
    pub fn record(self, record: &mut CallRecord) {
        if self.masked {
            record::mask_record(record);
        }
    }

    /// Masks an event.
    pub fn event(self, event: &mut CallEvent) {
        if self.masked {
            record::mask_event(event);
        }
    }

    /// Masks an answer, or a record as it was read from a file; says whether that changed it. Keys pressed go unless
    /// they may be told.
    pub fn value(self, value: &mut Value) -> bool {
        if !self.masked && self.digits {
            return false;
        }
        match value {
            Value::Array(items) => items.iter_mut().fold(false, |changed, item| self.value(item) | changed),
            Value::Object(object) => {
                // Before the parties are masked: their names may be in the name of a file.
                let is_named = self.masked && names_a_party(object);
                if is_named {
                    object.insert("pcap".to_owned(), Value::Null);
                }
                object.iter_mut().fold(is_named, |changed, (key, value)| self.keyed(key, value) | changed)
            }
            _ => false,
        }
    }

    fn keyed(self, key: &str, value: &mut Value) -> bool {
        let text = match value {
            Value::Array(items) => {
                return items.iter_mut().fold(false, |changed, item| self.keyed(key, item) | changed);
            }
            Value::Object(_) => return self.value(value),
            Value::String(_) if key == "dtmf" && !self.digits => {
                *value = Value::Null;
                return true;
            }
            Value::String(text) => text,
            _ => return false,
        };
        let masked = match key {
            _ if !self.masked || HARMLESS.contains(&key) => return false,
            "from" | "to" => user(text),
            _ => free_text(text),
        };
        let is_changed = masked != *text;
        *text = masked;
        is_changed
    }

    /// The value of a header field that is copied. Credentials are never in it.
    #[must_use]
    pub fn header_value(self, name: &[u8], value: &str) -> String {
        fields::told(name, value, mask::NUMBER, self).unwrap_or_else(|| value.to_owned())
    }

    /// A SIP message as it may be shown: line by line the same, without credentials and keys of SRTP, and without what
    /// else is not to be told.
    #[must_use]
    pub fn message(self, bytes: &[u8]) -> Vec<u8> {
        message::shown(bytes, self)
    }
}

/// Whether a call file's name may hold a party's, or a number.
fn names_a_party(record: &serde_json::Map<String, Value>) -> bool {
    let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
    let path = text("pcap");
    let has = |party: &str| !party.is_empty() && path.contains(party);
    has(text("from")) || has(text("to")) || free_text(path) != path
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MASKED: Privacy = Privacy { masked: true, digits: false };

    #[test]
    fn answers_are_masked_wherever_a_user_is_named() {
        let mut answer = json!([{
            "call_id": "4930123456789@host", "from": "+4930123456789", "to": "alice", "source": "192.0.2.1:5060",
            "request_uri": "sip:+4930123456789@example.com;user=phone", "start": "2026-01-31T12:00:00.123456Z",
            "findings": [{"code": "x", "text": "sent to tel:+4930123456789"}], "media": [{"ssrc": 4_294_967_295_u32, "dtmf": "123"}],
            "later_field": {"referred_by": "<sip:bob@example.com>"},
        }]);
        MASKED.value(&mut answer);
        let expected = json!([{
            "call_id": "4930123456789@host", "from": "+493012*******", "to": "a***", "source": "192.0.2.1:5060",
            "request_uri": "sip:+493012*******@example.com;user=phone", "start": "2026-01-31T12:00:00.123456Z",
            "findings": [{"code": "x", "text": "sent to tel:+493012*******"}], "media": [{"ssrc": 4_294_967_295_u32, "dtmf": null}],
            "later_field": {"referred_by": "<sip:b***@example.com>"},
        }]);
        assert_eq!(answer, expected);
        MASKED.value(&mut answer);
        assert_eq!(answer, expected, "twice is as once");
        let mut filed = json!([{"from": "alice", "to": "bob", "pcap": "out/alice_1.pcap"}, {"from": "alice", "to": "bob", "pcap": "out/1.pcap"}]);
        MASKED.value(&mut filed);
        assert_eq!((&filed[0]["pcap"], &filed[1]["pcap"]), (&Value::Null, &json!("out/1.pcap")));
        let mut open = json!({"from": "+4930123456789", "media": [{"dtmf": "1"}]});
        let before = open.clone();
        Privacy { masked: false, digits: true }.value(&mut open);
        assert_eq!(open, before);
    }

    #[test]
    fn copied_header_fields_have_no_credentials() {
        let open = Privacy { masked: false, digits: true };
        assert_eq!(open.header_value(b"X-Trace", "sip:alice@b +4930123456789"), "sip:alice@b +4930123456789");
        assert_eq!(
            MASKED.header_value(b"X-Trace", "sip:alice@b +4930123456789"),
            "sip:a***@b +493012*******"
        );
        assert_eq!(
            MASKED.header_value(b"From", "\"Al Bo\" <sip:alice@b>;tag=x"),
            "\"A***\" <sip:a***@b>;tag=x"
        );
        assert_eq!(MASKED.header_value(b"From", "Al Bo <sip:alice@b>"), "A*** <sip:a***@b>");
        assert_eq!(open.header_value(b"authorization", "Basic YWxpY2U6c2VjcmV0"), "Basic ***");
    }
}
