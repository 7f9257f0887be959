//! What strikes a person who looks at a call.

use crate::call::{CallKind, CallResult, MediaRecord};

use super::stream;
use super::summary::seconds;
use super::trace::{Call, Line, Traced};

/// Loss from which on it is named: one packet in a hundred, the usual limit of voice networks.
const NAMED_LOSS: f64 = 0.01;

/// Something that strikes, and the messages that show it, by their places in the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Striking {
    pub(crate) text: String,
    pub(crate) messages: Vec<usize>,
    /// Codes of findings of the record that say the same.
    pub(crate) codes: &'static [&'static str],
}

/// What strikes, most of all first.
pub(super) fn findings(call: &Call) -> Vec<Striking> {
    let mut findings = signalling(call);
    if call.record.kind == CallKind::Call {
        findings.extend(media(call).into_iter().map(|text| Striking {
            text,
            messages: Vec::new(),
            codes: &[],
        }));
    }
    findings
}

/// What strikes in the messages alone.
pub(crate) fn signalling(call: &Call) -> Vec<Striking> {
    let mut findings = Vec::new();
    findings.extend(challenge(call));
    if call.record.kind == CallKind::Call {
        findings.extend(rejection(call));
        findings.extend(silence(call));
        findings.extend(unacknowledged(call));
    }
    findings
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

fn challenge(call: &Call) -> Option<Striking> {
    let mut messages = places(call);
    let (place, challenge) = messages.find(|(_, message)| matches!(response(message), Some(401 | 407)))?;
    let status = response(challenge)?;
    let is_answer = |message: &Traced| {
        message.credentials && message.method == challenge.method && message.cseq > challenge.cseq
    };
    let answer = messages.find(|(_, message)| is_answer(message)).map(|(place, _)| place);
    let is_repeated = answer.is_some() || call.record.authenticated;
    let is_final = call.record.status_code == Some(status);
    let text = match (is_repeated, is_final) {
        (true, false) => format!("{status} answered with credentials"),
        (true, true) => format!("{status}, and the credentials were not accepted"),
        (false, _) => format!("{status} not answered with credentials"),
    };
    let messages = std::iter::once(place).chain(answer).collect();
    Some(Striking { text, messages, codes: &["authentication_failed"] })
}

/// Who said no: the first to send the final answer, before proxies passed it on. Challenges are told apart.
fn rejection(call: &Call) -> Option<Striking> {
    let status = call.record.status_code.filter(|status| *status >= 400 && !matches!(status, 401 | 407))?;
    let is_no = matches!(call.record.result, CallResult::Failed | CallResult::Busy | CallResult::Timeout);
    let is_it = |message: &Traced| response(message) == Some(status) && is_of_first(message, call);
    let (place, first) = places(call).find(|(_, message)| is_it(message)).filter(|_| is_no)?;
    let text = format!("rejected with {status} by {}", first.source.address);
    Some(Striking { text, messages: vec![place], codes: &[] })
}

/// An INVITE that nobody answered for good.
fn silence(call: &Call) -> Option<Striking> {
    let record = &call.record;
    if record.status_code.is_some() || record.answered.is_some() {
        return None;
    }
    let is_request =
        |message: &Traced| matches!(message.line, Line::Request(_)) && is_of_first(message, call);
    let (place, first) = places(call).find(|(_, message)| is_request(message))?;
    let last = record.end.into_iter().chain(call.trace.messages.last().map(|message| message.at)).max()?;
    let waited = seconds(last.since(first.at).as_secs_f64());
    let heard = call.trace.messages.iter().any(|message| response(message).is_some());
    let text = match (record.end.is_some(), heard) {
        (true, true) => format!("no final answer for {waited}"),
        (true, false) => format!("no answer at all for {waited}"),
        (false, _) => format!("no final answer in the capture, which ends {waited} after the first request"),
    };
    Some(Striking { text, messages: vec![place], codes: &["no_response", "no_final_answer"] })
}

fn unacknowledged(call: &Call) -> Option<Striking> {
    call.record.answered?;
    let acknowledged = |message: &Traced| matches!(&message.line, Line::Request(method) if method == "ACK");
    let is_seen = call.trace.messages.iter().any(acknowledged) || call.trace.left_out > 0;
    let is_answer =
        |message: &Traced| matches!(response(message), Some(200..=299)) && is_of_first(message, call);
    let answer = places(call).find(|(_, message)| is_answer(message)).map(|(place, _)| place);
    (!is_seen).then(|| Striking {
        text: "the answer was never acknowledged (no ACK)".to_owned(),
        messages: answer.into_iter().collect(),
        codes: &["no_ack"],
    })
}

fn media(call: &Call) -> Vec<String> {
    let (record, mut findings) = (&call.record, Vec::new());
    let streams: Vec<&MediaRecord> = record.media.iter().filter(|stream| stream.packets > 0).collect();
    let Some(first) = streams.iter().min_by_key(|stream| stream.start) else {
        if record.answered.is_some() && !record.media_endpoints.is_empty() {
            findings.push("answered, but the capture has no RTP".to_owned());
        }
        return findings;
    };
    if let Some(answered) = record.answered {
        let early = answered.since(first.start).as_secs_f64();
        if early > 0.0 {
            findings.push(format!("RTP {} before the answer", seconds(early)));
        }
        if !streams.iter().any(|one| streams.iter().any(|other| answers(one, other))) {
            let (source, destination) = (first.source.address, first.destination.address);
            let wish = if is_on_hold(call) { ", as the SDP asks" } else { "" };
            findings.push(format!("RTP one way only{wish}: from {source} to {destination}"));
        }
    }
    for stream in streams.iter().filter(|stream| stream::loss(stream) >= NAMED_LOSS) {
        findings.push(format!(
            "{} of RTP from {} to {}",
            stream::lost(stream),
            stream.source,
            stream.destination
        ));
    }
    findings
}

/// Whether some description asked for media in one direction or none.
fn is_on_hold(call: &Call) -> bool {
    let mut offers = call.trace.messages.iter().filter_map(|message| message.media.as_deref());
    offers.any(|offer| ["sendonly", "recvonly", "inactive"].iter().any(|flow| offer.ends_with(flow)))
}

/// Whether `other` goes to where `one` comes from. Ports count only on one host: many devices send from another
/// port than they receive on.
fn answers(one: &MediaRecord, other: &MediaRecord) -> bool {
    let is_back = other.destination.address == one.source.address;
    let is_local = one.source.address == one.destination.address;
    is_back && (!is_local || other.destination == one.source || other.source == one.destination)
}
