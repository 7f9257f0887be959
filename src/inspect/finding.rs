//! What the messages of a call show and its record does not tell. What is wrong with a call is decided in one place,
//! [`crate::call`]: the findings of a record are shown as they are, and what is here never contradicts them.

use crate::call::{CallKind, CallResult};
use crate::sip::asks_again;

use super::trace::{Call, Line, Traced};

/// Something that the messages show, and which of them do, by their places in the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    /// A word for programs, as findings have one.
    pub(crate) code: &'static str,
    pub(crate) text: String,
    pub(crate) messages: Vec<usize>,
}

/// What the messages of a call show beyond the findings of its record.
pub(crate) fn remarks(call: &Call) -> Vec<Remark> {
    challenge(call).into_iter().chain(rejection(call)).collect()
}

/// The messages with their places.
fn places(call: &Call) -> impl Iterator<Item = (usize, &Traced)> {
    call.trace.messages.iter().enumerate()
}

/// The dialog's first request, as a name: responses to it are those that count.
fn is_of_first(message: &Traced, call: &Call) -> bool {
    message.method == call.record.method
}

fn response(message: &Traced) -> Option<u16> {
    match message.line {
        Line::Response(status, _) => Some(status),
        Line::Request(_) => None,
    }
}

/// A challenge and what answered it. That nothing did, or in vain, is a finding once the dialog is over.
fn challenge(call: &Call) -> Option<Remark> {
    if call.record.findings.iter().any(|finding| finding.code == "authentication_failed") {
        return None;
    }
    let mut messages = places(call);
    let (place, challenge) = messages.find(|(_, message)| matches!(response(message), Some(401 | 407)))?;
    let status = response(challenge)?;
    let is_answer = |message: &Traced| {
        message.credentials && message.method == challenge.method && message.cseq > challenge.cseq
    };
    let answer = messages.find(|(_, message)| is_answer(message)).map(|(place, _)| place);
    let text = if answer.is_some() || call.record.authenticated {
        format!("{status} answered with credentials")
    } else {
        format!("{status} not answered with credentials")
    };
    Some(Remark { code: "challenged", text, messages: std::iter::once(place).chain(answer).collect() })
}

/// Who said no: the first to send the final answer, before proxies passed it on, and what that one had heard from others.
/// Challenges are told apart.
fn rejection(call: &Call) -> Option<Remark> {
    let status = call.record.status_code.filter(|status| *status >= 400 && !matches!(status, 401 | 407))?;
    let is_no = call.record.kind == CallKind::Call
        && matches!(call.record.result, CallResult::Failed | CallResult::Busy | CallResult::Timeout);
    let is_it = |message: &Traced| response(message) == Some(status) && is_of_first(message, call);
    let (place, first) = places(call).find(|(_, message)| is_it(message)).filter(|_| is_no)?;
    let address = first.source.address;
    let text = if status == 408 {
        format!("{address} gave up waiting and sent 408")
    } else {
        format!("rejected with {status} by {address}")
    };
    // Another try, and a branch that is cancelled because of this answer, tell nothing.
    let is_other = |message: &Traced| {
        let is_refusal = response(message).is_some_and(|it| it >= 300 && !asks_again(it) && it != 487);
        is_refusal && is_of_first(message, call) && message.destination.address == address
    };
    let heard = places(call)
        .take(place)
        .filter(|(_, message)| is_other(message) && message.cseq == first.cseq)
        .last();
    let after = heard.and_then(|(_, it)| Some(format!(", after {} by {}", response(it)?, it.source.address)));
    let messages = heard.map(|(place, _)| place).into_iter().chain([place]).collect();
    Some(Remark { code: "rejected", text: text + &after.unwrap_or_default(), messages })
}
