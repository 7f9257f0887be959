//! Whose a flow is whose one end no description names, where several calls announced the other: a phone with one port for all
//! of its calls, or a server, hears somebody behind a NAT, or early media that is ahead of its answer.
//!
//! A call whose descriptions name the stream's SSRC has it (RFC 5576). Of others, those that did not describe its payload
//! type come last. In each call a phone hears one other at a time. So it is of a call that hears nobody yet since it last
//! got anywhere; of several, of one that knows the sender's host; of several, of the one that got anywhere last. Two calls
//! have it when they are legs of one conversation: then the same end was announced by two. Nothing of that is looked at
//! where a packet goes on with its flow.

use std::cmp::Reverse;
use std::time::Duration;

use smallvec::SmallVec;

use super::{Flow, MediaTable, Owners, distinct};
use crate::flow::{Address, Endpoint};
use crate::media::endpoints::{CallRef, Entry, port_before};
use crate::time::{PacketTime, Timestamp};

/// Flows at an endpoint that are looked at, the latest: both directions of as many calls as are looked at. Attack: a packet
/// each from many made-up senders, which cost no more.
const LATEST: usize = 16;

/// At an endpoint with more flows they stay whose they are. Attack: one message after the other that names the endpoint, each of
/// which would have all of them looked at.
const MANY: usize = 32;

/// For so long packets may come that were sent before an answer or an end.
const ON_THEIR_WAY: Duration = Duration::from_millis(100);

/// A flow at an endpoint that a call announced.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    /// The endpoint.
    pub end: Endpoint,
    /// The host of the flow's other end.
    pub other: Address,
    /// It goes to the endpoint, not from it.
    pub is_heard: bool,
    /// SSRC and payload type of its stream; none where there was no RTP yet.
    pub stream: Option<(u32, u8)>,
}

/// What the signalling of a call tells of such a flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// Of its two sides, those that described a session without the payload type.
    pub misses: u8,
    /// It has to do with the host of the flow's other end: a message, or a description, names it.
    pub knows_other: bool,
    /// Whoever was called has answered, be it provisionally.
    pub is_under_way: bool,
    /// When it last got anywhere.
    pub since: Timestamp,
    /// The host of who announced the endpoint, as its messages come from there.
    pub announced_by: Address,
}

/// What is known of calls beside their media.
pub trait Standings {
    /// What a call's signalling tells of a flow.
    fn standing(&self, call: CallRef, sought: &Sought) -> Standing;

    /// Whether its descriptions name an SSRC (RFC 5576).
    fn names(&self, call: CallRef, ssrc: u32) -> bool;

    /// Whether two calls may be legs of one conversation: the later one began before the other was answered.
    fn may_be_legs(&self, one: CallRef, other: CallRef) -> bool;
}

#[cfg(test)]
impl Standings for () {
    fn standing(&self, _: CallRef, _: &Sought) -> Standing {
        Standing::default()
    }

    fn names(&self, _: CallRef, _: u32) -> bool {
        false
    }

    fn may_be_legs(&self, _: CallRef, _: CallRef) -> bool {
        true
    }
}

/// What tells whose a flow is, beside its ends.
#[derive(Clone, Copy)]
pub(super) struct Signs<'a> {
    pub(super) known: &'a dyn Standings,
    /// SSRC and payload type of the stream that begins, where that is why it is asked.
    pub(super) begins: Option<(u32, u8)>,
}

impl<'a> Signs<'a> {
    /// For a flow as it is.
    pub(super) const fn of(known: &'a dyn Standings) -> Self {
        Self { known, begins: None }
    }

    /// Whether a flow was somebody's before, for long enough, or a stream is not the first that begins there.
    pub(super) fn go_on(&self, flow: &Flow, time: PacketTime) -> bool {
        if self.begins.is_some() { flow.stream.is_some() } else { flow.is_under_way(time) }
    }

    /// SSRC and payload type of a flow's stream.
    fn stream(&self, flow: &Flow) -> Option<(u32, u8)> {
        let so_far = || flow.stream.is_some().then(|| (flow.stream.ssrc, flow.stream.payload_type()));
        self.begins.or_else(so_far)
    }

    /// Which of some calls name a flow's SSRC; none where that tells nothing, for all do.
    fn named(&self, flow: &Flow, calls: impl Iterator<Item = CallRef> + Clone) -> SmallVec<[CallRef; 8]> {
        let Some((ssrc, _)) = self.stream(flow) else { return SmallVec::new() };
        let named: SmallVec<_> = calls.clone().filter(|&call| self.known.names(call, ssrc)).collect();
        if named.len() == calls.count() { SmallVec::new() } else { named }
    }

    /// Whether a call keeps its flow when a stream begins: none of the others at `end` got anywhere since the latest packet and
    /// since it did itself.
    pub(super) fn keeps(
        &self,
        flow: &Flow,
        call: CallRef,
        end: Endpoint,
        mut others: impl Iterator<Item = CallRef>,
    ) -> bool {
        if self.begins.is_none() {
            return true;
        }
        let since = |call| self.standing(flow, call, end).since;
        let last = flow.latest().max(since(call));
        others.all(|other| other == call || since(other) <= last)
    }

    /// Whether two calls may be legs of one conversation: another host said in each where an end is.
    pub(super) fn are_legs(
        &self,
        (one, its): (CallRef, &Standing),
        (other, other_s): (CallRef, &Standing),
    ) -> bool {
        its.announced_by != other_s.announced_by && self.known.may_be_legs(one, other)
    }

    pub(super) fn standing(&self, flow: &Flow, call: CallRef, end: Endpoint) -> Standing {
        let is_heard = flow.ends_at(end);
        let other = if is_heard { flow.source } else { flow.destination }.address;
        self.known.standing(call, &Sought { end, other, is_heard, stream: self.stream(flow) })
    }
}

/// How well a flow fits a call, the first that differs decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    is_named: bool,
    misses: Reverse<u8>,
    waits: bool,
    knows_other: bool,
    was_under_way: bool,
    since: Timestamp,
}

/// A call that a flow may be of.
struct Candidate {
    call: CallRef,
    standing: Standing,
    fit: Fit,
}

impl MediaTable {
    /// The calls of a flow of which one end alone tells. Who merely names that end later has no part in what is spoken there.
    pub(super) fn calls_at(&self, flow: &Flow, end: &Entry, signs: Signs<'_>) -> Owners {
        if end.count() <= 1 {
            return end.calls(&self.calls);
        }
        let before = self.still(flow, |call| end.has(call));
        let is_over = before.is_empty() && flow.owners.as_slice().iter().any(|&owner| end.has(owner));
        let had = if is_over { flow.owners } else { before };
        if end.flows.len() > MANY && !had.is_empty() {
            return had;
        }
        let up: SmallVec<[CallRef; 8]> = end.latest().filter(|&call| !self.calls.has_ended(call)).collect();
        let named = signs.named(flow, up.iter().copied());
        let may_stay = named.is_empty() || had.as_slice().iter().any(|owner| named.contains(owner));
        let keeps = |flow: &Flow, call| signs.keeps(flow, call, end.endpoint, up.iter().copied());
        let is_under_way = !is_over && signs.go_on(flow, self.time);
        if is_under_way && may_stay && had.as_slice().iter().any(|&owner| keeps(flow, owner)) {
            return had;
        }
        if named.is_empty()
            && let Some(calls) = self.calls_of_sibling(flow, |flow, call| end.has(call) && keeps(flow, call))
        {
            return calls;
        }
        let candidates = self.candidates(flow, end, (&up, &named), signs);
        let over = had.as_slice().first().filter(|_| is_over);
        let over = over.map(|&owner| signs.standing(flow, owner, end.endpoint).since);
        let may_have = |candidate: &&Candidate| {
            over.is_none_or(|over| candidate.fit.is_named || self.succeeds(flow, over, candidate, signs))
        };
        let Some(best) = candidates.iter().filter(may_have).max_by_key(|candidate| candidate.fit) else {
            return if is_over { had } else { end.calls(&self.calls) };
        };
        let is_leg = |other: &&Candidate| {
            other.fit.waits == best.fit.waits
                && signs.are_legs((best.call, &best.standing), (other.call, &other.standing))
        };
        let leg = candidates.iter().filter(is_leg).max_by_key(|candidate| candidate.fit);
        let likely = [Some(best), leg].into_iter().flatten().map(|candidate| candidate.call);
        Owners::new(distinct(likely))
    }

    /// Whether a flow, whose call ended at that time, is of another from then on: late packets are not. A stream begins, or
    /// nobody had spoken there for a while when the other got anywhere, or it was up before, and has nothing else to hear: it
    /// took the place of the first.
    fn succeeds(&self, flow: &Flow, over: Timestamp, other: &Candidate, signs: Signs<'_>) -> bool {
        let since = other.fit.since;
        let is_new = signs.begins.is_some() || since.since(flow.latest()) >= ON_THEIR_WAY;
        other.fit.waits && (is_new || (since <= over && self.calls.is_agreed(other.call)))
    }

    /// Those of some calls, which announced both ends of a flow, that name its SSRC; of those that do or do not alike, where
    /// it is `open` whose it is, those that described its payload type. Their legs have it too: who is between them may have
    /// left out what one side said.
    pub(super) fn fitting(
        (flow, end): (&Flow, &Entry),
        calls: &[CallRef],
        signs: Signs<'_>,
        open: bool,
    ) -> SmallVec<[CallRef; 8]> {
        if calls.len() <= 1 {
            return SmallVec::from_slice(calls);
        }
        let mut fit = signs.named(flow, calls.iter().copied());
        if fit.is_empty() && !open {
            return SmallVec::from_slice(calls);
        }
        // One standing for each call: what follows asks for those of each two.
        let all: SmallVec<[(CallRef, Standing); 8]> =
            calls.iter().map(|&call| (call, signs.standing(flow, call, end.endpoint))).collect();
        if fit.is_empty() {
            let least = all.iter().map(|(_, standing)| standing.misses).min();
            let fits = all.iter().filter(|(_, standing)| Some(standing.misses) == least);
            fit = fits.map(|&(call, _)| call).collect();
        }
        let fits = |call: &CallRef| fit.contains(call);
        let is_leg_of_these = |(other, its): (CallRef, &Standing)| {
            let mut these = all.iter().filter(|(call, _)| fits(call));
            these.any(|(call, standing)| signs.are_legs((*call, standing), (other, its)))
        };
        let chosen = all.iter().filter(|(call, its)| fits(call) || is_leg_of_these((*call, its)));
        chosen.map(|&(call, _)| call).collect()
    }

    /// RTCP is of the calls that have the RTP between the ports before, and who speaks is heard by whom he hears; of these,
    /// those that `may` have it as they have the other flow.
    pub(super) fn calls_of_sibling(
        &self,
        flow: &Flow,
        may: impl Fn(&Flow, CallRef) -> bool,
    ) -> Option<Owners> {
        let flow_between = |source, destination| {
            let slot = self.find_flow(&source, &destination)?;
            self.flows.get(slot as usize)
        };
        if flow.is_rtcp
            && let (Some(source), Some(destination)) =
                (port_before(flow.source), port_before(flow.destination))
            && let Some(rtp) = flow_between(source, destination)
            && rtp.owners.as_slice().iter().any(|&owner| may(rtp, owner))
        {
            return Some(rtp.owners);
        }
        let back = flow_between(flow.destination, flow.source).filter(|back| back.speaks(self.time))?;
        Some(self.still(back, |call| may(back, call))).filter(|calls| !calls.is_empty())
    }

    /// Calls that are up, of the latest at an endpoint, and how well the flow fits them; `named` are those that name its SSRC.
    fn candidates(
        &self,
        flow: &Flow,
        end: &Entry,
        (up, named): (&[CallRef], &[CallRef]),
        signs: Signs<'_>,
    ) -> SmallVec<[Candidate; 8]> {
        let is_heard = |flow: &Flow| flow.ends_at(end.endpoint);
        let flows = end.flows.iter().rev().take(LATEST).filter_map(|&slot| self.flows.get(slot as usize));
        let alike = flows.filter(|it| {
            it.hash != flow.hash && it.is_rtcp == flow.is_rtcp && is_heard(it) == is_heard(flow)
        });
        let alike: SmallVec<[(Owners, Timestamp); LATEST]> =
            alike.filter_map(|it| Some((it.owners, it.last(self.time)?))).collect();
        let is_known = signs.begins.is_some() || flow.is_old(self.time);
        let candidates = up.iter().map(|&call| {
            let standing = signs.standing(flow, call, end.endpoint);
            let since = standing.since;
            let hears = |&(owners, last): &(Owners, Timestamp)| {
                owners.as_slice().contains(&call) && last > since.after(ON_THEIR_WAY)
            };
            let fit = Fit {
                is_named: named.contains(&call),
                misses: Reverse(standing.misses),
                waits: !alike.iter().any(hears),
                knows_other: standing.knows_other,
                was_under_way: standing.is_under_way && (is_known || since <= flow.first()),
                since,
            };
            Candidate { call, standing, fit }
        });
        candidates.collect()
    }
}

impl Flow {
    /// Whether it goes to an endpoint, as RTCP to its next port.
    fn ends_at(&self, endpoint: Endpoint) -> bool {
        self.destination == endpoint || (self.is_rtcp && port_before(self.destination) == Some(endpoint))
    }
}
