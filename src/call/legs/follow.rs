//! The tracker's side of it: which messages and calls concern legs.

use smallvec::SmallVec;

use super::Legs;
use super::leg::LegId;
use super::record::{Call, LegRecord, legs};
use super::score::Evidence;
use super::session::{Join, MAX_MEMBERS, Who};
use crate::call::dialog::Look;
use crate::call::record::CallKind;
use crate::call::tracker::{Settings, Tracker};
use crate::sip::sdp::Media;
use crate::sip::{Method, StartLine};

/// Pairs that are looked at when a call is over, or asked for. Attack: calls that have as many links as there may be.
const MAX_LOOKS: usize = 64;

/// Pairs of an incoming and an outgoing call that are legs of one session, as far as can be told now.
type Joins = SmallVec<[((LegId, LegId), Evidence); 4]>;

impl Tracker {
    /// What follows legs, where somebody is told of them.
    pub(in crate::call) fn follows_legs(
        settings: &mut Settings,
        records: bool,
        room: usize,
    ) -> Option<Box<Legs>> {
        (records || settings.is_asked)
            .then(|| Box::new(Legs::new(std::mem::take(&mut settings.legs.fields), room)))
    }

    /// Takes a message that is seen for the first time.
    #[inline]
    pub(in crate::call) fn follow_leg(&mut self, slot: u32, look: &Look<'_>, media: &[Media]) {
        if look.head.cseq_method != Method::Invite || self.legs.is_none() {
            return;
        }
        self.invite_or_answer(slot, look, media);
    }

    fn invite_or_answer(&mut self, slot: u32, look: &Look<'_>, media: &[Media]) {
        // Taken out, so that it may look at what the tracker knows.
        let Some(mut legs) = self.legs.take() else { return };
        match look.head.start {
            StartLine::Request { method: Method::Invite, .. } if look.is_initial() => {
                let dialog = self.dialogs.get(slot as usize);
                if dialog.is_some_and(|dialog| dialog.kind == Some(CallKind::Call)) {
                    legs.invite(slot, look, media, self);
                }
            }
            StartLine::Response { status, .. } => legs.response(slot, look, status, self),
            StartLine::Request { .. } => {}
        }
        self.census.legs_dropped = legs.dropped();
        self.legs = Some(legs);
    }

    /// A dialog is about to be closed: which legs belong to it is decided.
    pub(in crate::call) fn settle_legs(&mut self, slot: u32) {
        let Some(id) = self.legs.as_ref().and_then(|legs| legs.of(slot)) else { return };
        let Some(mut legs) = self.legs.take() else { return };
        legs.settle(id, self);
        self.legs = Some(legs);
    }

    /// A dialog is closed.
    pub(in crate::call) fn leave_session(&mut self, slot: u32) {
        let Some(legs) = &mut self.legs else { return };
        let Some((id, dialog)) = legs.of(slot).zip(self.dialogs.get(slot as usize)) else { return };
        legs.leave(slot, id, dialog.call_id());
    }

    /// The session of a call and its legs; none when it is the only one.
    pub(in crate::call) fn told_legs(&self, slot: u32) -> (Option<String>, Vec<LegRecord>) {
        let legs = self.legs.as_ref().and_then(|legs| legs.told(slot, self)).unwrap_or_default();
        (legs.first().map(|first| first.call_id.clone()), legs)
    }
}

impl Legs {
    fn told(&self, slot: u32, tracker: &Tracker) -> Option<Vec<LegRecord>> {
        let id = self.of(slot)?;
        let leg = self.leg(id)?;
        if leg.session == 0 && leg.links.is_none() && leg.hops.len() < 2 {
            return None;
        }
        let (here, joins) = self.undecided(id, tracker);
        let mut calls: Vec<Call<'_>> = Vec::new();
        // Where the first call of each session, or a call without one, stands among them.
        let mut groups: SmallVec<[(u32, LegId, usize); 4]> = SmallVec::new();
        for &id in &here {
            let Some(leg) = self.leg(id) else { continue };
            let is_listed = leg.session != 0 && groups.iter().any(|(session, ..)| *session == leg.session);
            groups.push((leg.session, id, calls.len()));
            if is_listed {
                continue;
            }
            match self.sessions.get(leg.session) {
                Some(session) => {
                    calls.extend(session.members.iter().filter_map(|member| match &member.who {
                        Who::Here(id) => self.call(*id, member.join, tracker),
                        Who::Gone { call_id, hops } => {
                            Some(Call { call_id, hops, start: member.start, join: member.join })
                        }
                    }))
                }
                None => calls.extend(self.call(id, None, tracker)),
            }
        }
        for ((incoming, outgoing), evidence) in joins {
            self.mark((incoming, outgoing), evidence, &groups, &mut calls);
        }
        Some(legs(calls, &self.fields)).filter(|legs| legs.len() > 1)
    }

    fn call<'a>(&'a self, id: LegId, join: Option<Join>, tracker: &'a Tracker) -> Option<Call<'a>> {
        let leg = self.leg(id)?;
        let dialog = tracker.dialogs.get(leg.slot as usize)?;
        Some(Call { call_id: dialog.call_id(), hops: &leg.hops, start: leg.began, join })
    }

    /// Says of the later of two groups what joins it to the other.
    fn mark(
        &self,
        (incoming, outgoing): (LegId, LegId),
        evidence: Evidence,
        groups: &[(u32, LegId, usize)],
        calls: &mut [Call<'_>],
    ) {
        let first_of = |id: LegId| {
            let session = self.leg(id)?.session;
            let is_it = |group: &&(u32, LegId, usize)| {
                if session == 0 { group.1 == id } else { group.0 == session }
            };
            groups.iter().find(is_it).map(|(.., place)| *place)
        };
        let (Some(one), Some(other)) = (first_of(incoming), first_of(outgoing)) else { return };
        let start = |place: usize| calls.get(place).map(|call| call.start);
        let later = if start(one) <= start(other) { other } else { one };
        if let Some(call) = calls.get_mut(later) {
            call.join = Some(Join::Evidence(evidence));
        }
    }

    /// The calls that are followed of a call's session, and the pairs among them that only evidence joins: they are decided
    /// when one of them is over.
    pub(super) fn undecided(&self, id: LegId, tracker: &Tracker) -> (SmallVec<[LegId; 4]>, Joins) {
        let mut here: SmallVec<[LegId; 4]> = SmallVec::new();
        let mut joins = Joins::new();
        here.push(id);
        let (mut next, mut looks) = (0, 0);
        while let Some(&id) = here.get(next) {
            next += 1;
            let mut add = |id: LegId| {
                if !here.contains(&id) && here.len() < MAX_MEMBERS {
                    here.push(id);
                }
                here.contains(&id)
            };
            let session = self.leg(id).and_then(|leg| self.sessions.get(leg.session));
            session.into_iter().flat_map(|session| session.here()).for_each(|id| {
                add(id);
            });
            for pair in self.pairs(id) {
                looks += 1;
                if looks > MAX_LOOKS {
                    return (here, joins);
                }
                let Some(evidence) = self.pair(pair, tracker) else { continue };
                let other = if pair.0 == id { pair.1 } else { pair.0 };
                if add(other) && joins.iter().all(|(known, _)| *known != pair) {
                    joins.push((pair, evidence));
                }
            }
        }
        (here, joins)
    }
}
