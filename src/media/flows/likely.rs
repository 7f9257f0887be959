//! Whose a flow is whose one end no description names, where several calls announced the other: a phone with one port for all
//! of its calls, or a server, hears somebody behind a NAT, or early media that is ahead of its answer.
//!
//! In each call a phone hears one other at a time. So it is of a call that hears nobody yet since it last got anywhere; of
//! several, of one that knows the sender's host; of several, of the one that got anywhere last. Two calls have it when they are
//! legs of one conversation: then the same end was announced by two. Nothing of that is looked at where a packet goes on
//! with its flow.

use std::time::Duration;

use smallvec::SmallVec;

use super::{Flow, MediaTable, Owners, distinct};
use crate::flow::{Address, Endpoint};
use crate::media::endpoints::{CallRef, Entry, port_before};
use crate::time::Timestamp;

/// Flows at an endpoint that are looked at, the latest: both directions of as many calls as are looked at. Attack: a packet
/// each from many made-up senders, which cost no more.
const LATEST: usize = 16;

/// At an endpoint with more flows they stay whose they are. Attack: one message after the other that names the endpoint, each of
/// which would have all of them looked at.
const MANY: usize = 32;

/// For so long packets may come that were sent before an answer or an end.
const ON_THEIR_WAY: Duration = Duration::from_millis(100);

/// What the signalling of a call tells of a flow at an endpoint that it announced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
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
    /// What a call's signalling tells of a flow between an endpoint that it announced and another host.
    fn standing(&self, call: CallRef, end: Endpoint, other: Address) -> Standing;

    /// Whether two calls may be legs of one conversation: the later one began before the other was answered.
    fn may_be_legs(&self, one: CallRef, other: CallRef) -> bool;
}

#[cfg(test)]
impl Standings for () {
    fn standing(&self, _: CallRef, _: Endpoint, _: Address) -> Standing {
        Standing::default()
    }

    fn may_be_legs(&self, _: CallRef, _: CallRef) -> bool {
        true
    }
}

/// How well a flow fits a call, the first that differs decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    waits: bool,
    knows_other: bool,
    was_under_way: bool,
    since: Timestamp,
}

/// A call that a flow may be of.
struct Candidate {
    call: CallRef,
    fit: Fit,
    announced_by: Address,
}

impl MediaTable {
    /// The calls of a flow of which one end alone tells. Who merely names that end later has no part in what is spoken there.
    pub(super) fn calls_at(&self, flow: &Flow, end: &Entry, known: &dyn Standings) -> Owners {
        if end.count() <= 1 {
            return end.calls(&self.calls);
        }
        let before = self.still(flow, |call| end.has(call));
        let is_over = before.is_empty() && flow.owners.as_slice().iter().any(|&owner| end.has(owner));
        let had = if is_over { flow.owners } else { before };
        let stays = end.flows.len() > MANY || (!is_over && flow.is_under_way(self.time));
        if stays && !had.is_empty() {
            return had;
        }
        if let Some(calls) = self.calls_of_sibling(flow, end) {
            return calls;
        }
        let candidates = self.candidates(flow, end, known);
        let over = had.as_slice().first().filter(|_| is_over);
        let over = over.map(|&owner| known.standing(owner, end.endpoint, end.endpoint.address).since);
        let may_have = |candidate: &&Candidate| over.is_none_or(|over| self.succeeds(flow, over, candidate));
        let Some(best) = candidates.iter().filter(may_have).max_by_key(|candidate| candidate.fit) else {
            return if is_over { had } else { end.calls(&self.calls) };
        };
        let is_leg = |other: &&Candidate| {
            other.fit.waits == best.fit.waits
                && other.announced_by != best.announced_by
                && known.may_be_legs(best.call, other.call)
        };
        let leg = candidates.iter().filter(is_leg).max_by_key(|candidate| candidate.fit);
        let likely = [Some(best), leg].into_iter().flatten().map(|candidate| candidate.call);
        // After a pause the end of the one before may have been missed.
        let is_new = !flow.is_old(self.time);
        let first = before.as_slice().iter().take(usize::from(!is_new));
        Owners::new(distinct(first.copied().chain(likely)))
    }

    /// Whether a flow, whose call ended at that time, is of another from then on: late packets are not. Nobody had spoken there
    /// for a while when the other got anywhere, or it was up before, and has nothing else to hear: it took the place of the first.
    fn succeeds(&self, flow: &Flow, over: Timestamp, other: &Candidate) -> bool {
        let since = other.fit.since;
        let was_still = since.since(flow.latest()) >= ON_THEIR_WAY;
        other.fit.waits && (was_still || (since <= over && self.calls.is_agreed(other.call)))
    }

    /// RTCP is of the calls that have the RTP between the ports before, and who speaks is heard by whom he hears.
    fn calls_of_sibling(&self, flow: &Flow, end: &Entry) -> Option<Owners> {
        let flow_between = |source, destination| {
            let slot = self.find_flow(&source, &destination)?;
            self.flows.get(slot as usize)
        };
        if flow.is_rtcp
            && let (Some(source), Some(destination)) =
                (port_before(flow.source), port_before(flow.destination))
            && let Some(rtp) = flow_between(source, destination)
            && rtp.owners.as_slice().iter().any(|&owner| end.has(owner))
        {
            return Some(rtp.owners);
        }
        let back = flow_between(flow.destination, flow.source).filter(|back| back.speaks(self.time))?;
        Some(self.still(back, |call| end.has(call))).filter(|calls| !calls.is_empty())
    }

    /// The calls that are up, of the latest at an endpoint, and how well the flow fits them.
    fn candidates(&self, flow: &Flow, end: &Entry, known: &dyn Standings) -> SmallVec<[Candidate; 8]> {
        let is_heard = |flow: &Flow| flow.ends_at(end.endpoint);
        let other = if is_heard(flow) { flow.source } else { flow.destination };
        let flows = end.flows.iter().rev().take(LATEST).filter_map(|&slot| self.flows.get(slot as usize));
        let alike = flows.filter(|it| {
            it.hash != flow.hash && it.is_rtcp == flow.is_rtcp && is_heard(it) == is_heard(flow)
        });
        let alike: SmallVec<[(Owners, Timestamp); LATEST]> =
            alike.filter_map(|it| Some((it.owners, it.last(self.time)?))).collect();
        let is_old = flow.is_old(self.time);
        let up = end.latest().filter(|&call| !self.calls.has_ended(call));
        let candidates = up.map(|call| {
            let standing = known.standing(call, end.endpoint, other.address);
            let since = standing.since;
            let hears = |&(owners, last): &(Owners, Timestamp)| {
                owners.as_slice().contains(&call) && last > since.after(ON_THEIR_WAY)
            };
            let fit = Fit {
                waits: !alike.iter().any(hears),
                knows_other: standing.knows_other,
                was_under_way: standing.is_under_way && (is_old || since <= flow.first()),
                since,
            };
            Candidate { call, fit, announced_by: standing.announced_by }
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
