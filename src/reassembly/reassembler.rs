//! All connections of one worker.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use crate::flow::{Age, Direction, EntryId, FlowKey, Table};
use crate::reassembly::connection::{Connection, Hold, Turn, Usage};
use crate::reassembly::holders::{Line, Name};
use crate::reassembly::spaces::SECOND;
use crate::reassembly::{Application, Budget, Counters, Limits, Segment, Space};
use crate::time::{PacketTime, Timestamp, grid};

/// Last use of a connection that was rejected is kept to this much. Nobody asks for it but the time-out.
const REJECTED_GRAIN: Duration = Duration::from_secs(8);

/// Turns segments into streams and hands these to one [`Application`] per connection.
#[derive(Debug)]
pub struct Reassembler<A: Application> {
    pub(super) limits: Limits,
    pub(super) budget: Arc<Budget>,
    pub(super) counters: Counters,
    pub(super) now: Timestamp,
    /// How far that is ahead of stamps.
    ahead: Duration,
    cleaned: u128,
    pub(super) table: Table<Connection<A>>,
    /// Directions that wait for something, by the time when they may stop. Each stands here once at most, and not
    /// later than it should.
    pub(super) deadlines: BinaryHeap<Reverse<Deadline>>,
    pub(super) holders: Line,
    pub(super) queue: Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deadline {
    pub(super) due: Timestamp,
    pub(super) number: u64,
    pub(super) direction: Direction,
    pub(super) id: EntryId,
}

/// What causes something: a packet, a tick or the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub(super) sequence: u64,
    packet: Option<u32>,
    captured: Timestamp,
}

impl<A: Application> Reassembler<A> {
    /// A reassembler within `limits`; those that are global are shared with all that have the same `budget`.
    #[must_use]
    pub fn new(limits: Limits, budget: Arc<Budget>) -> Self {
        Self {
            table: Table::new(limits.max_connections),
            limits,
            budget,
            counters: Counters::default(),
            now: Timestamp::default(),
            ahead: Duration::ZERO,
            cleaned: 0,
            deadlines: BinaryHeap::new(),
            holders: Line::default(),
            queue: Line::default(),
        }
    }

    /// Takes the segment of packet number `sequence`, which is the `packet`th of its batch. `now` is packet time and
    /// does not go back; the segment's own stamp may. `hint` is where its connection probably is. Tells whose it was.
    #[inline]
    pub fn segment(
        &mut self,
        hint: Option<EntryId>,
        (sequence, packet): (u64, Option<u32>),
        now: Timestamp,
        segment: &Segment<'_>,
        output: &mut A::Output,
    ) -> Option<EntryId> {
        self.now = self.now.max(now);
        add(&mut self.counters.segments, 1);
        add(&mut self.counters.payload_bytes, segment.payload.len());
        let cause = Cause { sequence, packet, captured: segment.captured };
        let found = hint.filter(|&id| self.table.has(id, segment.hash));
        let found = found.or_else(|| self.table.find(segment.hash));
        let Some(id) = found.or_else(|| self.admit(segment, cause, output)) else {
            // Nobody knows it and nothing begins here: an ACK, or a RST for nothing.
            add(&mut self.counters.dropped_bytes, segment.payload.len());
            return None;
        };
        if self.table.get(id)?.declines(segment) {
            add(&mut self.counters.rejected_bytes, segment.payload.len());
            if self.rejected_until(id).is_some_and(|(until, _)| self.now >= until) {
                self.table.touch(id, self.now);
            }
            return Some(id);
        }
        let (key, connection) = self.table.touch(id, self.now)?;
        let direction = key.direction(segment.source);
        let mut turn = Turn {
            limits: &self.limits,
            counters: &mut self.counters,
            output,
            sequence,
            packet,
            captured: segment.captured,
            now: self.now,
        };
        match connection.push_next(&mut turn, key, direction, segment) {
            Some(true) => return Some(id),
            Some(false) => {}
            None if is_bare_ack(segment) => return Some(id),
            None => {
                let taker = self.push(id, cause, direction, segment, output);
                self.settle(taker, cause, output);
                return Some(id);
            }
        }
        self.settle(id, cause, output);
        Some(id)
    }

    /// Notes where the connections with these hashes probably are. They are looked up together, so that none is waited for
    /// alone.
    pub fn look_up(&self, hashes: impl Iterator<Item = Option<u64>> + Clone, hints: &mut [Option<EntryId>]) {
        hashes.clone().flatten().for_each(|hash| self.table.fetch(hash));
        for (hint, hash) in hints.iter_mut().zip(hashes) {
            *hint = hash.and_then(|hash| self.table.likely(hash));
        }
    }

    /// Fetches what a connection will need soon, and of one that comes sooner, which was fetched before, what its application
    /// will. All at once would be too much: a processor forgets what it is told to fetch while it fetches.
    #[inline]
    pub fn look_ahead(&self, soon: Option<EntryId>, sooner: Option<EntryId>) {
        soon.and_then(|id| self.table.get(id)).into_iter().for_each(Connection::touch);
        let connection = sooner.and_then(|id| self.table.get(id));
        connection.and_then(Connection::application).into_iter().for_each(A::touch);
    }

    /// Gives a segment to the connection it belongs to, and tells which that is.
    fn push(
        &mut self,
        id: EntryId,
        cause: Cause,
        direction: Direction,
        segment: &Segment<'_>,
        output: &mut A::Output,
    ) -> EntryId {
        let connection = self.table.get(id);
        let is_apart = connection.is_some_and(|connection| connection.is_apart(direction, segment));
        let is_first = connection.is_some_and(|connection| connection.space == Space::First);
        let beside = if is_apart {
            self.beside(id, cause, direction, segment, output)
        } else if is_first {
            self.second_next(id, direction, segment)
        } else {
            None
        };
        let (id, hash) = beside.map_or((id, segment.hash), |second| (second, segment.hash ^ SECOND));
        if self.table.get(id).is_some_and(|connection| connection.is_followed_by(direction, segment)) {
            self.replace(id, cause, hash, output);
        }
        self.visit(id, cause, output, |connection, turn, key| {
            connection.push(turn, key, direction, segment);
        });
        id
    }

    /// The ports are used again: the old connection ends, a new one has its entry.
    fn replace(&mut self, id: EntryId, cause: Cause, hash: u64, output: &mut A::Output) {
        add(&mut self.counters.port_reuse, 1);
        let Some((key, old)) = self.table.remove(id) else { return };
        let space = old.space;
        self.bury(key, old, cause, output);
        self.budget.connections.replace(0, 1);
        // The table had this entry a moment ago: there is room, and the slot just freed is the first to be used.
        self.table.insert(hash, key, Connection::new(cause.sequence, self.now, space), self.now);
    }

    /// A new entry, for a segment with which a connection can begin.
    #[cold]
    fn admit(&mut self, segment: &Segment<'_>, cause: Cause, output: &mut A::Output) -> Option<EntryId> {
        let flags = segment.header.flags;
        if flags.rst() || (segment.payload.is_empty() && !flags.syn()) {
            return None;
        }
        self.insert(Space::Only, segment, cause, output)
    }

    /// A new entry, for the connection that begins with a segment.
    pub(super) fn insert(
        &mut self,
        space: Space,
        segment: &Segment<'_>,
        cause: Cause,
        output: &mut A::Output,
    ) -> Option<EntryId> {
        let cap = self.limits.max_connections;
        if self.table.is_full() || self.budget.connections() >= cap {
            let oldest = self.table.oldest(Age::Closing).or_else(|| self.table.oldest(Age::Live));
            if let Some((key, old)) = oldest.and_then(|(id, _)| self.table.remove(id)) {
                add(&mut self.counters.streams_evicted, 1);
                self.bury(key, old, cause, output);
            }
        }
        // A worker that has none to evict may exceed the global cap by this one.
        let (key, _) = FlowKey::new(segment.source, segment.destination);
        let hash = if space == Space::Second { segment.hash ^ SECOND } else { segment.hash };
        let connection = Connection::new(cause.sequence, self.now, space);
        let id = self.table.insert(hash, key, connection, self.now)?;
        self.budget.connections.replace(0, 1);
        Some(id)
    }

    /// The latest segment of the connection with that hash is of that time, and not of the one with which it came.
    pub fn heard(&mut self, hash: u64, at: Timestamp) {
        if let Some(id) = self.table.find(hash) {
            self.table.renew(id, at);
        }
    }

    /// Lets packet time pass: holes, queues and connections whose time is up. What this completes carries the number
    /// `sequence`, and is in the order of connection numbers for each cause.
    pub fn expire(&mut self, sequence: u64, time: PacketTime, output: &mut A::Output) {
        self.now = self.now.max(time.now);
        self.ahead = time.ahead();
        let cause = Cause { sequence, packet: None, captured: self.stamp() };
        self.expire_holes(cause, output);
        self.expire_queue(cause, output);
        self.clean_up(cause, output);
        let mut over = Vec::new();
        for (age, limit) in
            [(Age::Live, self.limits.stream_timeout), (Age::Closing, self.limits.closing_timeout)]
        {
            while let Some(id) = self.table.expired(age, limit, self.now) {
                over.extend(self.table.remove(id).filter(|(_, connection)| !self.lets_go(connection)));
            }
        }
        self.bury_all(over, cause, output, |counters, connection| {
            add(&mut counters.streams_timed_out, usize::from(connection.is_read()));
        });
    }

    /// Ends every connection: there will be no more packets.
    pub fn finish(&mut self, sequence: u64, output: &mut A::Output) {
        let cause = Cause { sequence, packet: None, captured: self.stamp() };
        let all = std::mem::replace(&mut self.table, Table::new(self.limits.max_connections)).into_entries();
        let over = all.filter(|(_, connection)| !self.lets_go(connection)).collect();
        self.bury_all(over, cause, output, |_, _| {});
        self.deadlines.clear();
    }

    /// Until when no plain segment of a connection, one without SYN, FIN or RST, has to be given: it was rejected, and not
    /// even its age in the table would change. A tick of packet time; none when it was not rejected. With it, whether that
    /// does not hold for segments that the application [resumes](Application::resumes).
    #[must_use]
    pub fn rejected_until(&self, id: EntryId) -> Option<(Timestamp, bool)> {
        let may_resume = self.table.get(id)?.declined()?;
        // The table must not forget it before: then the next segment would begin another.
        let grain = REJECTED_GRAIN.min(self.limits.stream_timeout).min(self.limits.closing_timeout);
        Some((grid(self.table.used(id)?.after(grain)), may_resume))
    }

    /// Whether the application is certain that the connection carries what it reads.
    #[must_use]
    pub fn is_certain(&self, id: EntryId) -> bool {
        self.table.get(id).and_then(Connection::application).is_some_and(A::is_certain)
    }

    /// What it has counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many connections it knows.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.table.len()
    }

    /// Payload bytes that wait for bytes before them. Walks all connections.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.table.ids().map(|(_, connection)| connection.waiting_bytes()).sum()
    }

    fn expire_holes(&mut self, cause: Cause, output: &mut A::Output) {
        let mut due = Vec::new();
        while let Some(&Reverse(deadline)) = self.deadlines.peek() {
            if deadline.due > self.now {
                break;
            }
            self.deadlines.pop();
            due.push(deadline);
        }
        due.sort_unstable_by_key(|deadline| (deadline.number, deadline.direction));
        for Deadline { number, direction, id, .. } in due {
            if self.stands(Name { id, number }) {
                self.visit(id, cause, output, |connection, turn, key| {
                    connection.half_mut(direction).scheduled = false;
                    connection.expire(turn, key, direction);
                });
                self.settle(id, cause, output);
            }
        }
    }

    /// Connections that waited too long for leave to hold bytes give them up.
    fn expire_queue(&mut self, cause: Cause, output: &mut A::Output) {
        while let Some((name, since)) = self.queue.front() {
            if self.hold_of(name) != Hold::Queued(since) {
                self.queue.pop();
            } else if self.now.since(since) >= self.limits.max_queue_time {
                self.queue.pop();
                self.shed(name.id, cause, output);
            } else {
                break;
            }
        }
        self.promote();
    }

    /// Connections that hold bytes and have fallen silent give them up.
    fn clean_up(&mut self, cause: Cause, output: &mut A::Output) {
        let round = u128::from(self.now.0) / self.limits.cleanup_interval.as_nanos().max(1);
        if std::mem::replace(&mut self.cleaned, round) == round {
            return;
        }
        let (now, age) = (self.now, self.limits.buffer_max_age);
        let stale = |name: &Name| {
            let silent = self.table.used(name.id).is_some_and(|used| now.since(used) >= age);
            silent && self.hold_of(*name) != Hold::Nothing
        };
        let mut names: Vec<Name> = self.holders.iter().chain(self.queue.iter()).filter(stale).collect();
        names.sort_unstable_by_key(|name| name.number);
        names.dedup();
        for name in names {
            self.shed(name.id, cause, output);
        }
    }

    /// The same cause, for another connection than the packet's own.
    pub(super) fn aside(&self, cause: Cause) -> Cause {
        Cause { packet: None, captured: self.stamp(), ..cause }
    }

    /// Now, as packets are stamped.
    fn stamp(&self) -> Timestamp {
        self.now.before(self.ahead)
    }

    pub(super) fn stands(&self, name: Name) -> bool {
        self.table.get(name.id).is_some_and(|connection| connection.number == name.number)
    }

    pub(super) fn hold_of(&self, name: Name) -> Hold {
        let connection = self.table.get(name.id).filter(|connection| connection.number == name.number);
        connection.map_or(Hold::Nothing, |connection| connection.hold)
    }

    fn bury_all(
        &mut self,
        mut over: Vec<(FlowKey, Connection<A>)>,
        cause: Cause,
        output: &mut A::Output,
        count: impl Fn(&mut Counters, &Connection<A>),
    ) {
        over.sort_unstable_by_key(|(_, connection)| connection.number);
        for (key, connection) in over {
            count(&mut self.counters, &connection);
            self.bury(key, connection, cause, output);
        }
    }

    /// Whether a connection that is no longer in the table needs nothing more to be over; it is then.
    fn lets_go(&self, connection: &Connection<A>) -> bool {
        let is_idle = connection.is_idle();
        if is_idle {
            self.budget.connections.give();
        }
        is_idle
    }

    /// Ends a connection that is no longer in the table.
    pub(super) fn bury(
        &mut self,
        key: FlowKey,
        mut connection: Connection<A>,
        cause: Cause,
        output: &mut A::Output,
    ) {
        let cause = self.aside(cause);
        let mut turn = Turn {
            limits: &self.limits,
            counters: &mut self.counters,
            output,
            sequence: cause.sequence,
            packet: cause.packet,
            captured: cause.captured,
            now: self.now,
        };
        connection.close(&mut turn, &key);
        let Usage { memory, pieces } = connection.charged;
        self.budget.memory.replace(memory as usize, 0);
        self.budget.buffers.replace(pieces as usize, 0);
        self.budget.connections.give();
        self.release(connection.hold);
    }

    pub(super) fn visit(
        &mut self,
        id: EntryId,
        cause: Cause,
        output: &mut A::Output,
        act: impl FnOnce(&mut Connection<A>, &mut Turn<'_, A>, &FlowKey),
    ) {
        let Some((key, connection)) = self.table.get_mut(id) else { return };
        let mut turn = Turn {
            limits: &self.limits,
            counters: &mut self.counters,
            output,
            sequence: cause.sequence,
            packet: cause.packet,
            captured: cause.captured,
            now: self.now,
        };
        act(connection, &mut turn, key);
    }
}

fn is_bare_ack(segment: &Segment<'_>) -> bool {
    let flags = segment.header.flags;
    segment.payload.is_empty() && !flags.syn() && !flags.fin() && !flags.rst() && segment.missing == 0
}

#[inline]
pub(super) fn add(counter: &mut u64, by: usize) {
    *counter = counter.saturating_add(by as u64);
}
