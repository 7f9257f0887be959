//! Who may hold what: the caps that connections share.

use std::cmp::Reverse;

use crate::flow::{Age, Direction, EntryId};
use crate::reassembly::connection::{Connection, Hold};
use crate::reassembly::holders::Name;
use crate::reassembly::reassembler::{Cause, Deadline, add};
use crate::reassembly::{Application, Reassembler};
use crate::time::Timestamp;

/// How many others a connection may make give up their bytes at once.
const MAX_YIELDS: usize = 8;

/// How many active connections are passed over before one has to yield nevertheless.
const MAX_CHANCES: usize = 32;

impl<A: Application> Reassembler<A> {
    /// Draws the consequences of what happened to a connection: what it holds is charged, and capped.
    pub(super) fn settle(&mut self, id: EntryId, cause: Cause, output: &mut A::Output) {
        let is_idle = self.table.get(id).is_some_and(Connection::is_idle);
        if !is_idle && self.charge(id) {
            self.ask(id, cause, output);
        }
        self.relieve(id, cause, output);
        let Some((_, connection)) = self.table.get_mut(id) else { return };
        for direction in Direction::BOTH.into_iter().filter(|_| !is_idle) {
            let number = connection.number;
            let due = connection.deadline(direction, self.limits.gap_timeout);
            let half = connection.half_mut(direction);
            if let Some(due) = due.filter(|_| !half.scheduled) {
                half.scheduled = true;
                self.deadlines.push(Reverse(Deadline { due, number, direction, id }));
            }
        }
        if connection.retires() {
            self.table.move_to(id, Age::Closing, self.now);
        }
    }

    /// Charges a connection for what it holds now; true when it holds bytes and has not asked for leave.
    fn charge(&mut self, id: EntryId) -> bool {
        let Some((_, connection)) = self.table.get_mut(id) else { return false };
        let usage = connection.usage();
        let before = std::mem::replace(&mut connection.charged, usage);
        self.budget.memory.replace(before.memory as usize, usage.memory as usize);
        self.budget.buffers.replace(before.pieces as usize, usage.pieces as usize);
        if usage.memory > 0 {
            return connection.hold == Hold::Nothing;
        }
        let hold = std::mem::take(&mut connection.hold);
        self.release(hold);
        false
    }

    pub(super) fn release(&mut self, hold: Hold) {
        match hold {
            Hold::Nothing => {}
            Hold::Queued(_) => self.budget.queued.give(),
            Hold::Granted => {
                self.budget.holding.give();
                self.promote();
            }
        }
    }

    /// Leave goes to whoever has queued the longest.
    pub(super) fn promote(&mut self) {
        let cap = self.limits.max_holding.unwrap_or(usize::MAX);
        while let Some((name, since)) = self.queue.front() {
            let waits = self.hold_of(name) == Hold::Queued(since);
            if waits && !self.budget.holding.take(cap) {
                return;
            }
            self.queue.pop();
            if waits {
                self.budget.queued.give();
                self.grant(name.id);
            }
        }
    }

    fn grant(&mut self, id: EntryId) {
        let Some((_, connection)) = self.table.get_mut(id) else { return };
        connection.hold = Hold::Granted;
        if !std::mem::replace(&mut connection.listed, true) {
            let name = Name { id, number: connection.number };
            let table = &mut self.table;
            let stands = |&(name, _): &(Name, Timestamp)| match table.get_mut(name.id) {
                Some((_, connection)) if connection.number == name.number => {
                    connection.listed = connection.hold == Hold::Granted;
                    connection.listed
                }
                _ => false,
            };
            self.holders.push(name, self.now, stands);
        }
    }

    /// A connection wants to hold bytes.
    fn ask(&mut self, id: EntryId, cause: Cause, output: &mut A::Output) {
        let cap = self.limits.max_holding.unwrap_or(usize::MAX);
        let mut leave = self.budget.holding.take(cap);
        if !leave && self.limits.backpressure && self.yield_holder(id, cause, output) {
            leave = self.budget.holding.take(cap);
        }
        if leave {
            self.grant(id);
        } else if self.budget.queued.take(self.limits.queue) {
            add(&mut self.counters.streams_queued, 1);
            let Some((_, connection)) = self.table.get_mut(id) else { return };
            connection.hold = Hold::Queued(self.now);
            let name = Name { id, number: connection.number };
            let table = &mut self.table;
            self.queue.push(name, self.now, |&(name, since)| {
                table.get_mut(name.id).is_some_and(|(_, connection)| {
                    connection.number == name.number && connection.hold == Hold::Queued(since)
                })
            });
        } else {
            self.shed(id, cause, output);
        }
    }

    /// Keeps within the caps on segments and memory: whoever waits or holds the longest gives way.
    fn relieve(&mut self, id: EntryId, cause: Cause, output: &mut A::Output) {
        for _ in 0..MAX_YIELDS {
            if self.limits.max_buffers.is_some_and(|cap| self.budget.buffers() > cap) {
                self.yield_hole(id, cause, output);
            } else if self.budget.memory() <= self.limits.memory_limit {
                return;
            } else if !self.yield_holder(id, cause, output) {
                break;
            }
        }
        if self.budget.memory() > self.limits.memory_limit {
            self.shed(id, cause, output);
        }
    }

    /// The direction that has waited the longest (or `id`, if there is none) stops waiting.
    fn yield_hole(&mut self, id: EntryId, cause: Cause, output: &mut A::Output) {
        add(&mut self.counters.segment_memcap_drop, 1);
        let oldest = self.deadlines.pop().map(|Reverse(deadline)| deadline);
        let oldest = oldest.filter(|&Deadline { id, number, .. }| self.stands(Name { id, number }));
        let id = oldest.map_or(id, |deadline| deadline.id);
        if let (Some(Deadline { direction, .. }), Some((_, connection))) = (oldest, self.table.get_mut(id)) {
            connection.half_mut(direction).scheduled = false;
        }
        self.visit(id, self.aside(cause), output, |connection, turn, key| connection.flush(turn, key));
        self.charge(id);
    }

    /// The connection that is least recently active, of those that hold bytes, gives them up. False when there is
    /// none but `id`.
    fn yield_holder(&mut self, id: EntryId, cause: Cause, output: &mut A::Output) -> bool {
        let mut chances = self.holders.len().min(MAX_CHANCES);
        for _ in 0..=self.holders.len() {
            let Some((name, since)) = self.holders.pop() else { return false };
            let used = self.table.used(name.id).unwrap_or_default();
            if self.hold_of(name) != Hold::Granted {
                self.unlist(name);
            } else if name.id == id || (used > since && chances > 0) {
                // Active since it was last looked at: it goes to the end of the line, for a while.
                self.holders.push(name, used.max(since), |_| true);
                chances = chances.saturating_sub(1);
            } else {
                self.unlist(name);
                self.shed(name.id, self.aside(cause), output);
                return true;
            }
        }
        false
    }

    fn unlist(&mut self, name: Name) {
        let found = self.table.get_mut(name.id).filter(|(_, connection)| connection.number == name.number);
        if let Some((_, connection)) = found {
            connection.listed = false;
        }
    }

    pub(super) fn shed(&mut self, id: EntryId, cause: Cause, output: &mut A::Output) {
        self.visit(id, self.aside(cause), output, |connection, turn, key| connection.shed(turn, key));
        self.charge(id);
    }
}
