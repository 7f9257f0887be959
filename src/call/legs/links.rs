//! Calls that may be legs of each other, before it is certain. An outgoing call has a few incoming ones that it may
//! belong to; the best is its other leg when nothing else comes near.

use smallvec::SmallVec;

use super::Legs;
use super::leg::{Leg, LegId};
use super::score::{AHEAD, APART, CERTAIN, ENOUGH, Evidence, LIKELY, steps};
use crate::call::dialog::Dialog;
use crate::call::tracker::Tracker;
use crate::time::Timestamp;

/// Incoming calls that one outgoing call may belong to.
pub(super) const MAX_INCOMING: usize = 4;

/// Outgoing calls that one incoming call may have: a hunt, a group that rings together.
pub(super) const MAX_OUTGOING: usize = 8;

/// What a call has to do with others.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Those that it may be the outgoing leg of, with what the INVITEs say.
    pub(super) incoming: SmallVec<[(LegId, Evidence); 2]>,
    /// Those that may be its outgoing legs.
    pub(super) outgoing: SmallVec<[LegId; 2]>,
    /// What the INVITEs of others say at most that are not among `incoming`.
    pub(super) hidden: i16,
    /// Several had as much in common with it.
    pub(super) contested: bool,
    /// The most points of one that was among them and is not followed any more.
    pub(super) departed: i16,
}

impl Legs {
    pub(super) fn leg(&self, id: LegId) -> Option<&Leg> {
        self.legs.get(id.index as usize).filter(|leg| leg.in_use && leg.generation == id.generation)
    }

    pub(super) fn leg_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.legs.get_mut(id.index as usize).filter(|leg| leg.in_use && leg.generation == id.generation)
    }

    fn dialog<'a>(&self, id: LegId, tracker: &'a Tracker) -> Option<&'a Dialog> {
        tracker.dialogs.get(self.leg(id)?.slot as usize)
    }

    /// All that is known of a pair by now.
    pub(super) fn evidence(
        &self,
        pair: (LegId, LegId),
        invites: Evidence,
        tracker: &Tracker,
    ) -> Option<Evidence> {
        let (first, second) = (self.dialog(pair.0, tracker)?, self.dialog(pair.1, tracker)?);
        let evidence = steps(invites, first, second, tracker.stamp());
        let is_explained = || second.end.is_some_and(|end| self.is_hunt(pair, first.answered, end, tracker));
        if evidence.has(Evidence::ENDED_ALONE) && is_explained() {
            return Some(evidence.without(Evidence::ENDED_ALONE));
        }
        Some(evidence)
    }

    /// Whether the incoming call went on because another outgoing one was tried when this one was over, or was answered
    /// instead.
    fn is_hunt(
        &self,
        (incoming, outgoing): (LegId, LegId),
        answered: Option<Timestamp>,
        end: Timestamp,
        tracker: &Tracker,
    ) -> bool {
        let others = self.leg(incoming).and_then(|leg| leg.links.as_ref());
        let mut others =
            others.into_iter().flat_map(|links| &links.outgoing).filter(|other| **other != outgoing);
        others.any(|&other| {
            let Some(leg) = self.leg(other) else { return false };
            let known =
                leg.links.as_ref().and_then(|links| links.incoming.iter().find(|it| it.0 == incoming));
            let is_likely = known.is_some_and(|(_, invites)| invites.points() >= LIKELY);
            let is_answer = self.dialog(other, tracker).zip(answered).is_some_and(|(dialog, answered)| {
                dialog.answered.is_some_and(|callee| answered.since(callee) <= APART)
            });
            is_likely && (leg.began >= end || is_answer)
        })
    }

    /// The call that `outgoing` is a leg of, if one is and no other may be.
    fn choice(&self, outgoing: LegId, tracker: &Tracker) -> Option<(LegId, Evidence)> {
        let links = self.leg(outgoing)?.links.as_ref()?;
        let scored = links.incoming.iter().filter_map(|&(incoming, invites)| {
            Some((incoming, self.evidence((incoming, outgoing), invites, tracker)?, invites))
        });
        let scored: SmallVec<[_; MAX_INCOMING]> = scored.collect();
        let (place, &(best, evidence, invites)) = scored
            .iter()
            .enumerate()
            .max_by_key(|(place, (_, evidence, _))| (evidence.points(), usize::MAX - place))?;
        let points = evidence.points();
        let others = scored.iter().enumerate().filter(|(other, _)| *other != place);
        let next = others.map(|(_, (_, evidence, _))| evidence.points()).max().unwrap_or_default();
        let is_ahead = points >= next.max(links.departed) + AHEAD && invites.points() >= links.hidden + AHEAD;
        let enough = if links.contested { CERTAIN } else { ENOUGH };
        (points >= enough && is_ahead).then_some((best, evidence))
    }

    /// What joins a pair, if it is one: the outgoing call belongs to no other, and the incoming one was not put through to
    /// somebody else.
    pub(super) fn pair(&self, (incoming, outgoing): (LegId, LegId), tracker: &Tracker) -> Option<Evidence> {
        let (chosen, evidence) = self.choice(outgoing, tracker)?;
        if chosen != incoming || self.has_earlier(outgoing) {
            return None;
        }
        let answered = |leg: LegId| self.dialog(leg, tracker).is_some_and(|dialog| dialog.answered.is_some());
        let rivals = self.leg(incoming)?.links.as_ref()?.outgoing.iter().copied();
        let mut rivals = rivals.filter(|&rival| rival != outgoing && answered(outgoing) && answered(rival));
        let is_near = |rival: LegId| {
            let choice = self.choice(rival, tracker).filter(|(chosen, _)| *chosen == incoming);
            choice.is_some_and(|(_, other)| evidence.points() < other.points() + AHEAD)
        };
        (!rivals.any(is_near)).then_some(evidence)
    }

    /// Whether a header field already says which call began before this one in its session.
    fn has_earlier(&self, outgoing: LegId) -> bool {
        let Some(leg) = self.leg(outgoing) else { return false };
        let session = self.sessions.get(leg.session);
        session.and_then(|session| session.members.first()).is_some_and(|first| first.start < leg.began)
    }

    /// Forgets a pair, on both sides. What speaks for it counts against others when it was never decided.
    pub(super) fn unlink(&mut self, (incoming, outgoing): (LegId, LegId), points: Option<i16>) {
        if let Some(links) = self.leg_mut(incoming).and_then(|leg| leg.links.as_mut()) {
            links.outgoing.retain(|known| *known != outgoing);
        }
        if let Some(links) = self.leg_mut(outgoing).and_then(|leg| leg.links.as_mut()) {
            links.incoming.retain(|(known, _)| *known != incoming);
            links.departed = links.departed.max(points.unwrap_or_default());
        }
    }

    /// The pairs of a call, each as incoming and outgoing.
    pub(super) fn pairs(&self, id: LegId) -> SmallVec<[(LegId, LegId); 4]> {
        let Some(links) = self.leg(id).and_then(|leg| leg.links.as_ref()) else { return SmallVec::new() };
        let incoming = links.incoming.iter().map(|&(incoming, _)| (incoming, id));
        incoming.chain(links.outgoing.iter().map(|&outgoing| (id, outgoing))).collect()
    }
}
