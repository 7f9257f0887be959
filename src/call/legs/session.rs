//! Sessions: the calls that are legs of one conversation. Each is in one at most, and the earliest is the first of it.

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::leg::{Hop, LegId};
use super::names::Field;
use super::score::Evidence;
use crate::time::Timestamp;

/// Calls of one session. Attack: a field with the same value in every call.
pub(super) const MAX_MEMBERS: usize = 16;

/// Identifiers under which a session is found.
const MAX_KEYS: usize = 32;

/// How a call came to be known as a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    /// A header field says so.
    Field(Field),
    /// So much speaks for it.
    Evidence(Evidence),
}

/// A call of a session.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) who: Who,
    pub(super) start: Timestamp,
    /// None of the first.
    pub(super) join: Option<Join>,
}

/// A call that is followed, or what is left of one.
#[derive(Debug)]
pub(super) enum Who {
    Here(LegId),
    Gone { call_id: Box<[u8]>, hops: SmallVec<[Hop; 1]> },
}

#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) members: Vec<Member>,
    keys: SmallVec<[u64; 2]>,
}

impl Session {
    /// Its calls that are still followed.
    pub(super) fn here(&self) -> impl Iterator<Item = LegId> {
        self.members.iter().filter_map(|member| match member.who {
            Who::Here(leg) => Some(leg),
            Who::Gone { .. } => None,
        })
    }
}

/// All sessions, and the identifiers that lead to them.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: Vec<Session>,
    free: Vec<u32>,
    keys: HashTable<(u64, u32)>,
    /// Joins that were not made because a session had all the calls it may have.
    pub(super) refused: u64,
}

impl Sessions {
    /// The session of this number plus 1; none of 0.
    pub(super) fn get(&self, number: u32) -> Option<&Session> {
        self.all.get(number.checked_sub(1)? as usize)
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut Session> {
        self.all.get_mut(number.checked_sub(1)? as usize)
    }

    /// A session of one call.
    pub(super) fn create(&mut self, leg: LegId, start: Timestamp) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.all.push(Session::default());
            self.all.len() as u32
        });
        if let Some(session) = self.get_mut(number) {
            session.members.push(Member { who: Who::Here(leg), start, join: None });
        }
        number
    }

    /// Whether no identifier is known at all, as where nobody sends any.
    pub(super) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The session that an identifier leads to.
    pub(super) fn find(&self, key: u64) -> Option<u32> {
        self.keys.find(key, |(known, _)| *known == key).map(|(_, number)| *number)
    }

    /// From now on an identifier leads to this session; one that leads to another still does.
    pub(super) fn name(&mut self, key: u64, number: u32) {
        let Some(session) = self.get_mut(number) else { return };
        if session.keys.len() < MAX_KEYS {
            session.keys.push(key);
            self.keys.insert_unique(key, (key, number), |(key, _)| *key);
        }
    }

    /// Makes one of two, of which the other goes; nothing when it would have too many calls. Tells which is left, and whose
    /// calls moved to it.
    pub(super) fn merge(&mut self, one: u32, other: u32, join: Join) -> Option<(u32, SmallVec<[LegId; 4]>)> {
        let first = |number| Some(self.get(number)?.members.first()?.start);
        let (one, other) = if first(one)? <= first(other)? { (one, other) } else { (other, one) };
        if one == other {
            return None;
        }
        if self.get(one)?.members.len() + self.get(other)?.members.len() > MAX_MEMBERS {
            self.refused += 1;
            return None;
        }
        let Session { mut members, keys } = std::mem::take(self.get_mut(other)?);
        self.free.push(other);
        if let Some(member) = members.first_mut() {
            member.join = Some(join);
        }
        let session = self.get_mut(one)?;
        let from = session.members.len();
        session.members.append(&mut members);
        let moved = session.members.iter().skip(from).filter_map(|member| match member.who {
            Who::Here(leg) => Some(leg),
            Who::Gone { .. } => None,
        });
        let moved = moved.collect();
        let room = MAX_KEYS.saturating_sub(session.keys.len());
        session.keys.extend(keys.iter().copied().take(room));
        for (place, key) in keys.into_iter().enumerate() {
            let Ok(mut entry) = self.keys.find_entry(key, |(known, _)| *known == key) else { continue };
            if place < room {
                entry.get_mut().1 = one;
            } else {
                entry.remove();
            }
        }
        Some((one, moved))
    }

    /// A call is not followed any more: what is left of it stays as long as any other is.
    pub(super) fn leave(&mut self, number: u32, leg: LegId, rest: impl FnOnce() -> Who) {
        let Some(session) = self.get_mut(number) else { return };
        let is_it = |member: &&mut Member| matches!(member.who, Who::Here(known) if known == leg);
        if let Some(member) = session.members.iter_mut().find(is_it) {
            member.who = rest();
        }
        if session.here().next().is_some() {
            return;
        }
        let Session { mut members, mut keys } = std::mem::take(session);
        for key in keys.drain(..) {
            if let Ok(entry) = self.keys.find_entry(key, |(known, _)| *known == key) {
                entry.remove();
            }
        }
        members.clear();
        self.free.push(number);
    }
}
