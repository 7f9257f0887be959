//! Calls that were up before the capture: who called whom was not seen, only how they went on.

use super::summary::seconds;

/// What a record tells of a call, in the record's words.
pub(crate) struct Before<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) method: &'a str,
    pub(crate) result: &'a str,
    /// It is known when it was answered.
    pub(crate) is_answered: bool,
    pub(crate) has_reinvites: bool,
    /// Empty while it goes on.
    pub(crate) ended_by: &'a str,
    /// From its first message to its end.
    pub(crate) seconds: Option<f64>,
}

impl Before<'_> {
    /// Whether it was up before its first message: nothing tells of its answer, and it had got as far as only calls do that were
    /// answered.
    fn is_it(&self) -> bool {
        let is_within =
            self.has_reinvites || matches!(self.method, "ACK" | "BYE" | "INFO" | "UPDATE" | "REFER");
        !self.is_answered && (self.result == "success" || (self.result == "open" && is_within))
    }

    /// How it went on; none when it began in the capture.
    pub(crate) fn sentence(&self) -> Option<String> {
        let Self { from, to, .. } = self;
        let after = self.seconds.map(seconds).unwrap_or_default();
        let outcome = match self.ended_by {
            "caller" => format!("{from} hung up {after} into it"),
            "callee" => format!("{to} hung up {after} into it"),
            "network" => format!("no BYE seen, silent from {after} into it on"),
            _ => "and still up".to_owned(),
        };
        self.is_it().then(|| format!("{from} and {to}: up before the capture, {outcome}"))
    }
}
