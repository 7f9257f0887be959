//! Calls that were cancelled because somebody else took them.

/// What became of a call that was cancelled, if it was answered all the same: `is_replaced` by another dialog (RFC 3891), or by what
/// Reason says, each value by its protocol and number (RFC 3326 2: `SIP;cause=200`, a call that was completed elsewhere).
pub(crate) fn elsewhere<'a>(
    is_replaced: bool,
    mut causes: impl Iterator<Item = (&'a str, Option<u64>)>,
) -> Option<&'static str> {
    if is_replaced {
        return Some("picked up elsewhere");
    }
    let is_answered =
        causes.any(|(protocol, cause)| protocol.eq_ignore_ascii_case("SIP") && cause == Some(200));
    is_answered.then_some("answered elsewhere")
}
