//! Why something ended: the Reason header field (RFC 3326) and the causes of ITU-T Q.850.

use super::record::CauseRecord;
use crate::sip::header::{list, number, parameter, text};
use crate::sip::uri::until;

/// Values of one dialog that are told. Attack: a field of commas.
const MAX_CAUSES: usize = 8;

/// Protocol of ISDN causes.
pub(crate) const Q850: &str = "Q.850";

/// What a list of Reason values says: `Q.850;cause=16;text="Terminated", SIP;cause=200`.
pub(super) fn causes(reasons: &[u8]) -> Vec<CauseRecord> {
    list(reasons).filter_map(cause).take(MAX_CAUSES).collect()
}

fn cause(value: &[u8]) -> Option<CauseRecord> {
    let protocol = until(value, b';');
    let parameters = value.get(protocol.len()..)?;
    let protocol = protocol.trim_ascii();
    if protocol.is_empty() {
        return None;
    }
    let is_q850 = protocol.eq_ignore_ascii_case(Q850.as_bytes());
    let cause = parameter(parameters, b"cause").and_then(number).and_then(|cause| u16::try_from(cause).ok());
    let said = parameter(parameters, b"text").map(unquoted).filter(|text| !text.is_empty());
    let known = cause.filter(|_| is_q850).and_then(meaning).map(str::to_owned);
    let protocol = if is_q850 { Q850.to_owned() } else { text(protocol) };
    Some(CauseRecord { protocol, cause, text: said.or(known) })
}

/// A quoted string without its quotes and escapes (RFC 3261 25.1).
fn unquoted(value: &[u8]) -> String {
    let inside = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let Some(inside) = inside else { return text(value) };
    let mut plain = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(if byte == b'\\' { bytes.next().copied().unwrap_or(byte) } else { byte });
    }
    text(&plain)
}

/// Whether a Q.850 cause names a fault of the network or of equipment: classes resource unavailable, service or option
/// not available or not implemented, invalid message, protocol error (Q.850 table 1). 127 says nothing.
pub(crate) const fn is_fault(cause: u16) -> bool {
    matches!(cause, 34..=126) || matches!(cause, 27)
}

/// What Q.850 table 1 calls a cause; those that SIP networks meet (RFC 3398 7.2.4.1, 8.2.6.1).
const fn meaning(cause: u16) -> Option<&'static str> {
    Some(match cause {
        1 => "unallocated (unassigned) number",
        2 => "no route to specified transit network",
        3 => "no route to destination",
        16 => "normal call clearing",
        17 => "user busy",
        18 => "no user responding",
        19 => "no answer from user (user alerted)",
        20 => "subscriber absent",
        21 => "call rejected",
        22 => "number changed",
        23 => "redirection to new destination",
        26 => "non-selected user clearing",
        27 => "destination out of order",
        28 => "invalid number format (address incomplete)",
        29 => "facility rejected",
        31 => "normal, unspecified",
        34 => "no circuit/channel available",
        38 => "network out of order",
        41 => "temporary failure",
        42 => "switching equipment congestion",
        43 => "access information discarded",
        44 => "requested circuit/channel not available",
        47 => "resource unavailable, unspecified",
        50 => "requested facility not subscribed",
        55 => "incoming calls barred within CUG",
        57 => "bearer capability not authorized",
        58 => "bearer capability not presently available",
        63 => "service or option not available, unspecified",
        65 => "bearer capability not implemented",
        69 => "requested facility not implemented",
        70 => "only restricted digital information bearer capability is available",
        79 => "service or option not implemented, unspecified",
        87 => "user not member of CUG",
        88 => "incompatible destination",
        91 => "invalid transit network selection",
        95 => "invalid message, unspecified",
        97 => "message type non-existent or not implemented",
        99 => "information element non-existent or not implemented",
        102 => "recovery on timer expiry",
        110 => "message with unrecognized parameter, discarded",
        111 => "protocol error, unspecified",
        127 => "interworking, unspecified",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(list: &str) -> Vec<(String, Option<u16>, Option<String>)> {
        causes(list.as_bytes()).into_iter().map(|cause| (cause.protocol, cause.cause, cause.text)).collect()
    }

    fn row(protocol: &str, cause: u16, text: &str) -> (String, Option<u16>, Option<String>) {
        (protocol.to_owned(), Some(cause), (!text.is_empty()).then(|| text.to_owned()))
    }

    /// The examples of RFC 3326 section 2.
    #[test]
    fn the_rfc_s_examples_are_read() {
        assert_eq!(
            told(r#"SIP ;cause=200 ;text="Call completed elsewhere""#),
            [row("SIP", 200, "Call completed elsewhere")]
        );
        assert_eq!(told(r#"Q.850 ;cause=16 ;text="Terminated""#), [row("Q.850", 16, "Terminated")]);
        assert_eq!(told(r#"SIP ;cause=600 ;text="Busy Everywhere""#), [row("SIP", 600, "Busy Everywhere")]);
        assert_eq!(
            told(r#"SIP ;cause=580 ;text="Precondition Failure""#),
            [row("SIP", 580, "Precondition Failure")]
        );
    }

    #[test]
    fn several_values_escapes_and_names_of_q_850() {
        assert_eq!(
            told(r#"SIP;cause=503;text="a, \"b\"", q.850;cause=34"#),
            [row("SIP", 503, "a, \"b\""), row("Q.850", 34, "no circuit/channel available")]
        );
        assert_eq!(told("X;text=\"\";cause=70000"), [("X".to_owned(), None, None)]);
        assert_eq!(told(" , ;,"), []);
        assert_eq!(told(&"A,".repeat(100)).len(), MAX_CAUSES);
        assert!(is_fault(38) && is_fault(27) && !is_fault(16) && !is_fault(127));
    }
}
