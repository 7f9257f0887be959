//! Audio that stops in the middle of a call, though its descriptions still let it flow.

use super::dialog::{Announced, Dialog, Directions};
use super::findings::{Finding, between, finding, is_audio, is_for_caller, is_to_group, route};
use super::media_record::MediaRecord;
use super::record::{CallRecord, EndedBy};
use crate::media::MAX_STREAMS;
use crate::time::Timestamp;

/// Seconds without audio at the end of a call from which on it is missed.
const MISSED_AFTER: f64 = 5.0;

/// Seconds after a description within which audio goes another way by it.
const MOVED_WITHIN: f64 = 2.0;

/// Share of its time that a stream without pauses has packets for.
const UNINTERRUPTED: f64 = 0.9;

/// What a call's later descriptions say of its audio.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Directed {
    /// The latest of the caller's side, and of the other, does not let audio flow both ways.
    restricted: [bool; 2],
    /// When one of them let it flow both ways again.
    resumed: Timestamp,
    /// When the latest came after the answer.
    described: Timestamp,
}

impl Dialog {
    /// Remembers whether the latest description of a side lets audio flow both ways. Most calls have nothing to remember.
    pub(super) fn note_directions(&mut self, by_caller: bool, is_both_ways: bool) {
        let is_change = self.answered.is_some_and(|answered| answered < self.last);
        if is_both_ways && !is_change && self.media.is_none() {
            return;
        }
        let directed = &mut self.media.get_or_insert_default().directed;
        let [caller, callee] = &mut directed.restricted;
        let restricted = if by_caller { caller } else { callee };
        if is_both_ways && *restricted {
            directed.resumed = self.last;
        }
        *restricted = !is_both_ways;
        if is_change {
            directed.described = self.last;
        }
    }

    /// What its later descriptions say; none where streams that end mean nothing: its sides agree on comfort noise, which
    /// may stand for a long silence (RFC 3389), or a flow of it became another call's.
    pub(super) fn directed(&self) -> Option<Directed> {
        let is_another_s = self.archived().is_some_and(|media| media.rtp > 0);
        let directed = self.media.as_ref().map(|media| media.directed).unwrap_or_default();
        (!is_another_s && !self.has_comfort_noise()).then_some(directed)
    }
}

/// The audio of one side, or of both, ends long before the call does.
pub(super) fn media_stops(
    record: &CallRecord,
    endpoints: &[&Announced],
    directed: &Directed,
) -> Option<Finding> {
    let (answered, until) = (record.answered?, until(record)?);
    if !is_wanted(record, endpoints, directed) {
        return None;
    }
    let heard = record.media.iter().filter(|stream| stream.end > answered && is_audio(stream));
    let with_side = |stream| Some((stream, is_for_caller(stream, endpoints)?));
    let heard: Vec<(&MediaRecord, bool)> = heard.map(with_side).collect::<Option<_>>()?;
    // Where nothing came for long after the latest description, media may go past the capture.
    let last = heard.iter().map(|(stream, _)| stream.end).max()?;
    if between(directed.described, last) < MOVED_WITHIN {
        return None;
    }
    let silent = |end: Timestamp| between(end.max(directed.resumed), until);
    let stopped = [true, false].into_iter().filter_map(|for_caller| {
        let of_side = heard.iter().filter(|(_, is_for)| *is_for == for_caller).map(|(stream, _)| *stream);
        let last = of_side.max_by_key(|stream| stream.end)?;
        let is_elsewhere = endpoints
            .iter()
            .any(|known| known.since > answered && between(known.since, last.end) < MOVED_WITHIN);
        (silent(last.end) >= MISSED_AFTER && !is_elsewhere && !has_pauses(last, record)).then_some(last)
    });
    let stopped: Vec<&MediaRecord> = stopped.collect();
    let end = stopped.iter().map(|stream| stream.end).max()?;
    let when = |stream: &&MediaRecord| between(answered, stream.end);
    let what = match stopped.as_slice() {
        [one, other] => format!(
            "audio stops {:.1} s after the answer, {}, and {:.1} s after it, {}: dead air",
            when(one),
            route(one),
            when(other),
            route(other)
        ),
        stopped => {
            let one = stopped.first()?;
            format!("audio stops {:.1} s after the answer, {}: silence", when(one), route(one))
        }
    };
    let since = if directed.resumed > end { ", since it was allowed again" } else { "" };
    Some(finding("media_stops", format!("{what} for the last {:.1} s{since}", silent(end))))
}

/// Until when audio is missed: a side has ended the call, or other media shows that it is still up.
fn until(record: &CallRecord) -> Option<Timestamp> {
    match record.ended_by {
        Some(EndedBy::Caller | EndedBy::Callee) => record.end,
        _ => record.media.iter().map(|stream| stream.end).max(),
    }
}

/// Whether both sides want audio to flow both ways at the end, and nothing says that it goes on elsewhere. With as many streams
/// as a flow has room for, it may go on in one that is not told.
fn is_wanted(record: &CallRecord, endpoints: &[&Announced], directed: &Directed) -> bool {
    let is_open =
        |by_caller| endpoints.iter().any(|it| it.by_caller == by_caller && it.may == Directions::BOTH);
    let signalling = &record.signalling;
    directed.restricted == [false; 2]
        && is_open(true)
        && is_open(false)
        && signalling.transfers.is_empty()
        && signalling.replaced_by.is_none()
        && record.udptl_packets == 0
        && record.media.len() < MAX_STREAMS
        && !record.media.iter().any(is_to_group)
}

/// Whether its sender may send nothing while nobody speaks: it has done so, holds aside, or its codec says nothing of it
/// (G.729 annex B, G.723.1 annex A).
fn has_pauses(stream: &MediaRecord, record: &CallRecord) -> bool {
    let is_of = |name: &str| {
        let codec = stream.codec.as_deref().unwrap_or_default();
        codec.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    let held: f64 = record.signalling.holds.iter().map(|hold| hold.seconds).sum();
    let sent = stream.packet_ms.map(|ms| ms / 1e3 * stream.expected as f64);
    let lasted = between(stream.start, stream.end) - held;
    ["G729", "G723", "speex"].into_iter().any(is_of) || sent.is_none_or(|sent| sent < UNINTERRUPTED * lasted)
}
