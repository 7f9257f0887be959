//! Audio that stops in the middle of a call, though its descriptions still let it flow.

use smallvec::SmallVec;

use super::dialog::{Announced, Dialog, Directions, Look};
use super::findings::{Finding, between, finding, is_audio, is_for_caller, is_to_group, route};
use super::media_record::MediaRecord;
use super::record::{CallRecord, EndedBy};
use super::signalling::{Side, TransferRecord};
use crate::sip::Method;
use crate::time::Timestamp;

/// Seconds without audio at the end of a call from which on it is missed.
const MISSED_AFTER: f64 = 5.0;

/// Seconds after a description within which audio goes another way by it.
const MOVED_WITHIN: f64 = 2.0;

/// Share of its time that a stream without pauses has packets for.
const UNINTERRUPTED: f64 = 0.9;

/// Times of restriction kept of a call; what is between two of those that come behind them counts as one. Attack: a hold a second.
const MAX_RESTRICTIONS: usize = 16;

/// What a call's descriptions say of when its audio flows.
#[derive(Clone, Debug, Default)]
pub(super) struct Directed {
    /// The latest of the caller's side, and of the other, does not let audio flow both ways.
    restricted: [bool; 2],
    /// When one of them let it flow both ways again.
    resumed: Timestamp,
    /// When the latest came after the answer.
    described: Timestamp,
    /// Since when audio is not to flow both ways, if it is not.
    restricted_since: Timestamp,
    /// From when to when it was not before.
    restrictions: SmallVec<[(Timestamp, Timestamp); 2]>,
    /// Offers of either side after the answer that nothing has decided.
    offered: [Option<Offered>; 2],
    /// Streams that end mean nothing: silence may not be sent (RFC 3389), or a flow of the call became another's.
    may_stop: bool,
    /// Nothing that the caller's side sent was captured, or that the other did.
    unheard: [bool; 2],
    /// More endpoints were announced than are known by now.
    pub(super) has_forgotten: bool,
}

/// An offer in a re-INVITE or an UPDATE: refused, it changes nothing (RFC 3261 14.1).
#[derive(Clone, Copy, Debug)]
struct Offered {
    cseq: u32,
    is_both_ways: bool,
    at: Timestamp,
}

impl Directed {
    /// From that time on a side's description says whether it lets audio flow both ways.
    fn describe(&mut self, side: Side, is_both_ways: bool, at: Timestamp) {
        let was_restricted = self.is_restricted();
        let [caller, callee] = &mut self.restricted;
        let restricted = if side == Side::Caller { caller } else { callee };
        if is_both_ways && *restricted {
            self.resumed = at;
        }
        *restricted = !is_both_ways;
        match (was_restricted, self.is_restricted()) {
            (false, true) => self.restricted_since = at,
            (true, false) if self.restrictions.len() < MAX_RESTRICTIONS => {
                self.restrictions.push((self.restricted_since, at));
            }
            (true, false) => self.restrictions.last_mut().into_iter().for_each(|(_, until)| *until = at),
            _ => {}
        }
    }

    /// What an offer said holds.
    fn accept(&mut self, side: Side, offered: Offered) {
        self.describe(side, offered.is_both_ways, offered.at);
        self.described = self.described.max(offered.at);
    }

    fn is_restricted(&self) -> bool {
        self.restricted != [false; 2]
    }

    /// Seconds of a time in which audio was to flow both ways.
    pub(super) fn both_ways(&self, from: Timestamp, until: Timestamp) -> f64 {
        let latest = self.is_restricted().then_some((self.restricted_since, until));
        let restrictions = self.restrictions.iter().copied().chain(latest);
        let restricted = restrictions.map(|(since, to)| between(since.max(from), to.min(until)));
        between(from, until) - restricted.sum::<f64>()
    }

    /// Whether nothing of one side was captured: what it said, sent or refused is not known.
    pub(super) fn is_one_sided(&self) -> bool {
        self.unheard != [false; 2]
    }

    /// Whether that is the caller's side, or the other.
    pub(super) const fn is_unheard(&self, is_caller: bool) -> bool {
        let [caller, callee] = self.unheard;
        if is_caller { caller } else { callee }
    }
}

impl Dialog {
    /// Remembers whether a side's description lets audio flow both ways. Most calls have nothing to remember.
    pub(super) fn note_directions(&mut self, look: &Look<'_>, is_both_ways: bool) {
        let side = self.sender(look);
        let is_change = self.answered.is_some_and(|answered| answered < self.last);
        if is_both_ways && !is_change && self.media.is_none() {
            return;
        }
        let at = self.last;
        let directed = &mut self.media.get_or_insert_default().directed;
        let is_offer = matches!(look.method(), Some(Method::Invite | Method::Update));
        if is_change && is_offer {
            let offered = directed.offered.get_mut(side as usize);
            let offer = Offered { cseq: look.head.cseq, is_both_ways, at };
            offered.into_iter().for_each(|offered| *offered = Some(offer));
            return;
        }
        directed.describe(side, is_both_ways, at);
        if is_change {
            directed.described = at;
        }
    }

    /// A final answer to a re-INVITE or an UPDATE.
    pub(super) fn offer_decided(&mut self, look: &Look<'_>, is_accepted: bool) {
        let side = self.sender(look).other();
        let Some(directed) = self.media.as_mut().map(|media| &mut media.directed) else { return };
        let offered = directed.offered.get_mut(side as usize);
        let is_its = |offered: &mut Offered| offered.cseq == look.head.cseq;
        if let Some(offered) = offered.and_then(|offered| offered.take_if(is_its)).filter(|_| is_accepted) {
            directed.accept(side, offered);
        }
    }

    /// What its descriptions say, and of whom there are any.
    pub(super) fn directed(&self) -> Directed {
        let mut directed = self.media.as_ref().map(|media| media.directed.clone()).unwrap_or_default();
        for side in [Side::Caller, Side::Callee] {
            // How it was answered was not captured.
            let offered = directed.offered.get_mut(side as usize).and_then(Option::take);
            offered.into_iter().for_each(|offered| directed.accept(side, offered));
        }
        let is_another_s = self.archived().is_some_and(|media| media.rtp > 0);
        directed.may_stop = is_another_s || self.has_comfort_noise();
        directed.has_forgotten = self.has_forgotten_endpoints();
        directed.unheard = [Side::Caller, Side::Callee].map(|side| !self.has_heard(side));
        directed
    }
}

/// The audio of one side, or of both, ends long before the call does.
pub(super) fn media_stops(
    record: &CallRecord,
    endpoints: &[&Announced],
    directed: &Directed,
) -> Option<Finding> {
    let (answered, until) = (record.answered?, until(record)?);
    if directed.may_stop || !is_wanted(record, endpoints, directed) {
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
        let last = of_side.clone().max_by_key(|stream| stream.end)?;
        // One that goes on with another SSRC has the same habits.
        let mut of_sender = of_side.filter(|stream| stream.source.address == last.source.address);
        let is_elsewhere = endpoints
            .iter()
            .any(|known| known.since > answered && between(known.since, last.end) < MOVED_WITHIN);
        let has_pauses = last.pauses.ends_in_noise
            || says_nothing_of_pauses(last)
            || of_sender.any(|stream| has_pauses(stream, answered, directed));
        (silent(last.end) >= MISSED_AFTER && !is_elsewhere && !has_pauses).then_some(last)
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

/// Whether both sides want audio to flow both ways at the end, and nothing says that it goes on elsewhere. Where there
/// were more streams than are told of, it may go on in one of the others.
fn is_wanted(record: &CallRecord, endpoints: &[&Announced], directed: &Directed) -> bool {
    let is_open =
        |by_caller| endpoints.iter().any(|it| it.by_caller == by_caller && it.may == Directions::BOTH);
    let signalling = &record.signalling;
    !directed.is_restricted()
        && is_open(true)
        && is_open(false)
        && signalling.transfers.iter().all(TransferRecord::is_refused)
        && signalling.replaced_by.is_none()
        && record.udptl_packets == 0
        && record.media_left_out == 0
        && !record.media.iter().any(is_to_group)
}

/// Whether a stream's codec, or what is known of its packets, does not tell if its sender sends silence (G.729 annex B, G.723.1
/// annex A).
fn says_nothing_of_pauses(stream: &MediaRecord) -> bool {
    let codec = stream.codec.as_deref().unwrap_or_default();
    let is_of = |name: &str| codec.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    ["G729", "G723", "speex"].into_iter().any(is_of) || stream.packet_ms.is_none()
}

/// Whether the sender of a stream sent nothing for a good part of it, since the answer and while audio was to flow both ways.
fn has_pauses(stream: &MediaRecord, answered: Timestamp, directed: &Directed) -> bool {
    let both_ways = |(from, until): (Timestamp, Timestamp)| directed.both_ways(from.max(answered), until);
    let paused: f64 = stream.pauses.iter().map(both_ways).sum();
    let since = stream.pauses.since().unwrap_or(stream.start);
    paused > (1.0 - UNINTERRUPTED) * both_ways((since, stream.end))
}
