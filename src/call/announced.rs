//! The endpoints that a dialog announced, and which of them gives way to one more.
//!
//! Who describes its media anew, at other ports, means these from then on (RFC 3264 8): the ones before are not needed any more
//! but for late packets, and, with ICE, until another pair of candidates is nominated (RFC 8445 9).

use super::dialog::{Announced, Dialog};
use crate::flow::Endpoint;
use crate::media::EndpointId;

/// Media endpoints of one dialog at which packets are its; as many candidates of ICE, so that who lists thousands of these
/// hides neither side's endpoints.
const MAX_ENDPOINTS: usize = 32;

/// Endpoints that gave way and are kept for the record. Attack: ever other ones in each description.
const MAX_FORMER: usize = 256;

/// Endpoints of a dialog that gave way to others.
#[derive(Debug, Default)]
pub(super) struct Former {
    list: Vec<Announced>,
    /// Some were too many to be kept.
    has_more: bool,
}

impl Former {
    fn keep(&mut self, announced: Announced) {
        if self.list.len() >= MAX_FORMER {
            self.list.remove(0);
            self.has_more = true;
        }
        self.list.push(announced);
    }

    fn take(&mut self, endpoint: Endpoint) -> Option<Announced> {
        let index = self.list.iter().position(|known| known.endpoint == endpoint)?;
        Some(self.list.remove(index))
    }
}

impl Dialog {
    /// A description is read, of `by`: what it does not name any more is not current.
    #[inline]
    pub(super) fn begin_description(&mut self, by: u32) {
        let known = self.endpoints.iter_mut().filter(|known| known.described_by == by);
        known.for_each(|known| known.is_current = false);
    }

    /// Whether one more endpoint may be announced, or this one again.
    pub(super) fn has_room_for(&self, endpoint: Endpoint, is_candidate: bool) -> bool {
        let known = || self.endpoints.iter();
        self.endpoints.len() < MAX_ENDPOINTS
            || known().filter(|known| known.is_candidate == is_candidate).count() < MAX_ENDPOINTS
            || known().any(|known| known.endpoint == endpoint)
    }

    /// The endpoint that gives way to one of a full list: the first that its side does not name any more, of these one where nothing
    /// is heard; else the first of another branch of that side.
    pub(super) fn give_way(
        &mut self,
        new: &Announced,
        is_heard: impl Fn(EndpointId) -> bool,
    ) -> Option<Announced> {
        let known =
            || self.endpoints.iter().enumerate().filter(|(_, it)| it.is_candidate == new.is_candidate);
        let superseded = known().filter(|(_, it)| !it.is_current).min_by_key(|(_, it)| is_heard(it.id));
        let is_branch = |it: &Announced| it.by_caller == new.by_caller && it.described_by != new.described_by;
        let (index, _) = superseded.or_else(|| known().find(|(_, it)| is_branch(it)))?;
        let given_up = self.endpoints.remove(index);
        self.media.get_or_insert_default().former.keep(given_up);
        Some(given_up)
    }

    /// Remembers an announced endpoint.
    #[inline]
    pub(super) fn note_endpoint(&mut self, announced: Announced) {
        let Some(known) = self.endpoints.iter_mut().find(|known| known.endpoint == announced.endpoint) else {
            let before = self.media.as_mut().and_then(|media| media.former.take(announced.endpoint));
            let is_candidate = announced.is_candidate;
            let again = |before: Announced| Announced { is_candidate, ..before.again(&announced) };
            self.endpoints.push(before.map_or(announced, again));
            return;
        };
        *known = known.again(&announced);
    }

    /// All endpoints that it announced, those first that gave way.
    pub(super) fn announced(&self) -> impl Iterator<Item = &Announced> {
        let former = self.media.iter().flat_map(|media| &media.former.list);
        former.chain(&self.endpoints)
    }

    /// Whether it announced more than is known by now.
    pub(super) fn has_forgotten_endpoints(&self) -> bool {
        self.media.as_ref().is_some_and(|media| media.former.has_more)
    }
}

impl Announced {
    /// One that is announced again.
    fn again(mut self, new: &Self) -> Self {
        let before = self.may;
        self.id = new.id;
        self.may.send |= new.may.send;
        self.may.receive |= new.may.receive;
        if self.may != before {
            let after = new.since.since(self.since).as_millis();
            self.opened_after = u32::try_from(after).unwrap_or(u32::MAX);
        }
        // What one side says of the other's (`a=remote-candidates`) is not for it to take back.
        if self.by_caller == new.by_caller {
            (self.is_current, self.described_by) = (true, new.described_by);
        }
        self
    }
}
