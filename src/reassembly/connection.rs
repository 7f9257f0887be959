//! One connection: two directions and the application that reads both.

use std::time::Duration;

use crate::flow::{Direction, FlowKey};
use crate::near::fetch;
use crate::reassembly::answers::{Answer, Answers};
use crate::reassembly::arrival::{Arrival, Receiver};
use crate::reassembly::direction::Half;
use crate::reassembly::seq::Seq;
use crate::reassembly::stray::Stray;
use crate::reassembly::{Application, Chunk, Context, Counters, Limits, Segment, Space, Verdict};
use crate::time::Timestamp;

/// What is going on: a packet, a tick or the end, and where its consequences go.
pub(super) struct Turn<'a, A: Application> {
    pub(super) limits: &'a Limits,
    pub(super) counters: &'a mut Counters,
    pub(super) output: &'a mut A::Output,
    pub(super) sequence: u64,
    pub(super) packet: Option<u32>,
    pub(super) captured: Timestamp,
    pub(super) now: Timestamp,
}

impl<A: Application> Turn<'_, A> {
    /// The same cause, for what was captured at another time.
    fn aside(&mut self, captured: Timestamp) -> Turn<'_, A> {
        Turn {
            limits: self.limits,
            counters: &mut *self.counters,
            output: &mut *self.output,
            sequence: self.sequence,
            packet: None,
            captured,
            now: self.now,
        }
    }
}

/// The leave of a connection to hold bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hold {
    /// It holds none.
    #[default]
    Nothing,
    /// Given.
    Granted,
    /// Asked for, at that time; until then the bytes may stay.
    Queued(Timestamp),
}

/// Bytes and out-of-order segments that a connection is charged for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) memory: u32,
    pub(super) pieces: u32,
}

/// Whether the application reads a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Yes,
    /// Not until a segment begins with something to read.
    Paused,
    /// Never again.
    No,
}

/// A client does not use a port again so soon, and if it does then with a number not far from the last (RFC 9293 3.4.1): a SYN
/// with a number far away is that of the other side of a firewall, and one with the same number a copy from another tap.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A SYN with the same number, while neither side has ended, is a copy for longer: taps whose clocks are seconds apart are no rarity.
const WHILE_UP: Duration = Duration::from_secs(10);

/// A connection, as long as the table knows it.
#[derive(Debug)]
pub(super) struct Connection<A> {
    /// Sequence number of the packet that opened it.
    pub(super) number: u64,
    /// When that came.
    began: Timestamp,
    up: Half,
    down: Half,
    /// There from the first byte (or gap) on, until both directions are over or the application declines.
    application: Option<Box<A>>,
    reading: Reading,
    pub(super) space: Space,
    carried: bool,
    /// Segments that wait for the other direction, and those behind them.
    answers: Option<Box<Answers>>,
    /// One direction is over.
    closing: bool,
    /// The table knows that it is closing.
    retired: bool,
    pub(super) hold: Hold,
    /// It stands in the list of holders.
    pub(super) listed: bool,
    pub(super) charged: Usage,
}

impl<A: Application> Connection<A> {
    pub(super) fn new(number: u64, began: Timestamp, space: Space) -> Self {
        Self {
            number,
            began,
            up: Half::default(),
            down: Half::default(),
            application: None,
            reading: Reading::Yes,
            space,
            carried: false,
            answers: None,
            closing: false,
            retired: false,
            hold: Hold::Nothing,
            listed: false,
            charged: Usage::default(),
        }
    }

    /// Fetches what a segment will need.
    #[inline]
    pub(super) fn touch(&self) {
        fetch(&self.number);
        fetch(&self.up.position);
        fetch(&self.down.position);
        fetch(&self.retired);
        fetch(&self.charged);
    }

    #[inline]
    pub(super) fn application(&self) -> Option<&A> {
        self.application.as_deref()
    }

    /// Takes the segment if it is plain and the next of its stream, and tells whether what is held is as before.
    #[inline]
    pub(super) fn push_next(
        &mut self,
        turn: &mut Turn<'_, A>,
        key: &FlowKey,
        direction: Direction,
        segment: &Segment<'_>,
    ) -> Option<bool> {
        let arrival = Arrival::new(segment, turn.now);
        let is_plain = !segment.header.flags.opens_or_ends() && self.reads();
        if !is_plain || !self.half(direction).is_next(&arrival) || self.half(direction.reverse()).waits() {
            return None;
        }
        self.acknowledge(direction, segment);
        self.count_stream(turn.counters);
        let (half, mut delivery) = self.split(turn, key, direction);
        if half.push_next(&arrival, &mut delivery) == Verdict::Reject {
            self.reject(turn.counters);
        }
        Some(self.usage() == self.charged)
    }

    /// Whether the segment changes nothing: the application has declined the connection, which goes on.
    #[inline]
    pub(super) fn declines(&self, segment: &Segment<'_>) -> bool {
        !self.reads() && !segment.header.flags.opens_or_ends() && !self.is_over() && !self.resumes(segment)
    }

    #[inline]
    pub(super) const fn reads(&self) -> bool {
        matches!(self.reading, Reading::Yes)
    }

    /// Whether it, or what follows it, is read from that segment on.
    fn resumes(&self, segment: &Segment<'_>) -> bool {
        self.may_resume() && A::resumes(segment.payload)
    }

    /// Whether there are segments for which it is read again: what was declined for ever is followed by another connection
    /// between the same endpoints, whose SYN may be lost, when it has ended.
    fn may_resume(&self) -> bool {
        match self.reading {
            Reading::Yes => false,
            Reading::Paused => true,
            Reading::No => self.closing,
        }
    }

    /// Takes any segment, now or when it is its turn.
    pub(super) fn push(
        &mut self,
        turn: &mut Turn<'_, A>,
        key: &FlowKey,
        direction: Direction,
        segment: &Segment<'_>,
    ) {
        if self.has_to_wait(direction, segment) {
            self.acknowledge(direction, segment);
            self.answers.get_or_insert_default().push(direction, segment, turn.now);
        } else {
            self.take(turn, key, direction, segment);
        }
        self.catch_up(turn, key, false);
    }

    fn take(&mut self, turn: &mut Turn<'_, A>, key: &FlowKey, direction: Direction, segment: &Segment<'_>) {
        let flags = segment.header.flags;
        let arrival = Arrival::new(segment, turn.now);
        if !flags.opens_or_ends()
            && !self.is_over()
            && self.reading == Reading::Paused
            && self.resumes(segment)
        {
            (self.up, self.down, self.reading) = (Half::default(), Half::default(), Reading::Yes);
        }
        if flags.syn() && !flags.rst() {
            self.open(direction, segment);
        }
        self.acknowledge(direction, segment);
        if !self.reads() {
            add(&mut turn.counters.rejected_bytes, arrival.payload.len());
            self.closing |= flags.fin() || flags.rst();
        } else if flags.rst() {
            // RFC 9293 3.5.3: RST may carry an explanation; it is not part of the stream.
            add(&mut turn.counters.dropped_bytes, arrival.payload.len());
            self.reset(turn, key, direction, &arrival);
        } else {
            if !arrival.payload.is_empty() {
                self.count_stream(turn.counters);
            }
            let limits = turn.limits;
            let (half, mut delivery) = self.split(turn, key, direction);
            let verdict = half.push(&arrival, limits, &mut delivery);
            self.follow(verdict, turn.counters);
        }
    }

    /// Whether a segment says something and acknowledges what is stored behind a hole of the other direction.
    fn is_answer(&self, direction: Direction, segment: &Segment<'_>) -> bool {
        let header = segment.header;
        self.reads()
            && !segment.payload.is_empty()
            && header.flags.ack()
            && self.half(direction.reverse()).stores_before(Seq(header.acknowledgement))
            && !self.half(direction).is_strange(Seq(header.sequence))
    }

    /// Whether a segment has to wait: it is an answer, or comes after one, and brings nothing that this waits for.
    fn has_to_wait(&self, direction: Direction, segment: &Segment<'_>) -> bool {
        match self.answers.as_ref().and_then(|answers| answers.first()) {
            None => self.is_answer(direction, segment),
            Some(first) if first.direction == direction => true,
            Some(first) => first.acknowledged().distance(Seq(segment.header.sequence)) <= 0,
        }
    }

    /// Takes what waits for nothing any more, has waited for long enough, or is too much; or `all`. Holes in what it acknowledges are
    /// given up before.
    fn catch_up(&mut self, turn: &mut Turn<'_, A>, key: &FlowKey, all: bool) {
        while let Some(answers) = self.answers.as_deref() {
            let Some(first) = answers.first() else {
                self.answers = None;
                return;
            };
            if self.is_answer(first.direction, &first.segment(key)) {
                if !all && turn.now < first.due() && !answers.is_full(turn.limits) {
                    return;
                }
                let (towards, acknowledged) = (first.direction.reverse(), first.acknowledged());
                let mut aside = turn.aside(turn.captured);
                let (half, mut delivery) = self.split(&mut aside, key, towards);
                let verdict = half.skip_acknowledged(acknowledged, &mut delivery);
                self.follow(verdict, turn.counters);
            }
            if let Some(first) = self.answers.as_deref_mut().and_then(Answers::pop) {
                self.take(&mut turn.aside(first.captured), key, first.direction, &first.segment(key));
            }
        }
    }

    /// Whether that segment belongs to a later connection between the same endpoints.
    pub(super) fn is_followed_by(&self, direction: Direction, segment: &Segment<'_>) -> bool {
        let flags = segment.header.flags;
        let half = self.half(direction);
        if flags.syn() && !flags.rst() {
            // Simulators, and captures that are played again and again, begin with the same numbers each time.
            let copies_come_for = if self.closing { AT_ONCE } else { WHILE_UP };
            let is_late = half.has_got_anywhere() && segment.captured.since(self.began) > copies_come_for;
            return is_late || !half.may_begin_with(Seq(segment.header.sequence));
        }
        if segment.payload.is_empty() {
            return false;
        }
        // Its SYN was not captured, but the last connection is over and the number does not fit it; or was not read, and
        // has ended, and here is something to read.
        let sequence = Seq(segment.header.sequence);
        self.is_over() && half.is_strange(sequence) || self.reading == Reading::No && self.resumes(segment)
    }

    /// Whether a segment lies further from the stream than a loss explains.
    pub(super) fn is_apart(&self, direction: Direction, segment: &Segment<'_>) -> bool {
        let (flags, sequence) = (segment.header.flags, Seq(segment.header.sequence));
        let half = self.half(direction);
        if flags.syn() && !flags.rst() { !half.may_begin_with(sequence) } else { half.is_far(sequence) }
    }

    /// Whether a segment that [is apart](Self::is_apart) begins a connection beside this one, which goes on: the other side
    /// of a firewall, or the use of the same ports after an end that was not captured. One that was forged
    /// takes nothing from this one.
    pub(super) fn has_beside(&self, direction: Direction, segment: &Segment<'_>, now: Timestamp) -> bool {
        let flags = segment.header.flags;
        if flags.syn() && !flags.rst() {
            let is_far = self.half(direction).is_far(Seq(segment.header.sequence));
            return is_far && !self.closing && now.since(self.began) <= AT_ONCE;
        }
        let stray = self.half(direction).stray_before(Seq(segment.header.sequence));
        !segment.payload.is_empty() && (stray || A::resumes(segment.payload))
    }

    /// The stray segment that ends where another begins: it belongs to that one's connection.
    pub(super) fn take_stray(&mut self, direction: Direction, sequence: Seq) -> Option<Stray> {
        self.half_mut(direction).take_stray_before(sequence)
    }

    /// What the sender of a segment says of the other direction.
    #[inline]
    fn acknowledge(&mut self, direction: Direction, segment: &Segment<'_>) {
        if segment.header.flags.ack() {
            self.half_mut(direction.reverse()).acknowledge(Seq(segment.header.acknowledgement));
        }
    }

    fn open(&mut self, direction: Direction, segment: &Segment<'_>) {
        let header = segment.header;
        if self.half(direction).is_unknown() {
            self.half_mut(direction).open(Seq(header.sequence));
        }
        let other = self.half_mut(direction.reverse());
        if header.flags.ack() && other.is_unknown() {
            // The answer to a SYN that was not captured tells its number.
            other.open(Seq(header.acknowledgement).minus(1));
        }
    }

    fn reset(&mut self, turn: &mut Turn<'_, A>, key: &FlowKey, direction: Direction, arrival: &Arrival<'_>) {
        if !self.half(direction).may_reset(arrival.sequence) {
            add(&mut turn.counters.resets_ignored, 1);
            return;
        }
        add(&mut turn.counters.resets, 1);
        let now = turn.now;
        for towards in Direction::BOTH {
            let sender = (towards == direction).then_some(arrival.sequence);
            let (half, mut delivery) = self.split(turn, key, towards);
            half.reset(sender, now, &mut delivery);
        }
        self.follow(Verdict::Continue, turn.counters);
    }

    /// What a direction has to wait for no longer.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_, A>, key: &FlowKey, direction: Direction) {
        let (now, patience) = (turn.now, turn.limits.gap_timeout);
        let (half, mut delivery) = self.split(turn, key, direction);
        let verdict = half.expire(now, patience, &mut delivery);
        self.follow(verdict, turn.counters);
        self.catch_up(turn, key, false);
    }

    /// When [`Connection::expire`] has something to do for that direction.
    pub(super) fn deadline(&self, direction: Direction, patience: Duration) -> Option<Timestamp> {
        let first = self.answers.as_ref().and_then(|answers| answers.first());
        let answer = first.filter(|first| first.direction == direction).map(Answer::due);
        answer.into_iter().chain(self.half(direction).deadline(patience)).min()
    }

    /// Gives up every hole and delivers what is behind.
    pub(super) fn flush(&mut self, turn: &mut Turn<'_, A>, key: &FlowKey) {
        self.catch_up(turn, key, true);
        for direction in Direction::BOTH {
            let (half, mut delivery) = self.split(turn, key, direction);
            let verdict = half.flush(&mut delivery);
            self.follow(verdict, turn.counters);
        }
    }

    /// Gives up all that is held: holes are gaps, and partial messages are dropped.
    pub(super) fn shed(&mut self, turn: &mut Turn<'_, A>, key: &FlowKey) {
        self.flush(turn, key);
        add(&mut turn.counters.streams_shed, 1);
        if let Some(application) = self.application.as_deref_mut() {
            add(&mut turn.counters.shed_bytes, application.held());
            application.shed();
        }
        for half in [&mut self.up, &mut self.down] {
            add(&mut turn.counters.dropped_bytes, half.discard() as usize);
        }
    }

    /// Delivers what there is and ends both directions.
    pub(super) fn close(&mut self, turn: &mut Turn<'_, A>, key: &FlowKey) {
        self.catch_up(turn, key, true);
        for direction in Direction::BOTH {
            let (half, mut delivery) = self.split(turn, key, direction);
            let verdict = half.close(&mut delivery);
            self.follow(verdict, turn.counters);
        }
    }

    fn follow(&mut self, verdict: Verdict, counters: &mut Counters) {
        if verdict == Verdict::Reject {
            self.reject(counters);
        }
        self.closing |= self.up.has_ended() || self.down.has_ended();
        if self.is_read() {
            // Also when all that it carried was lost.
            self.count_stream(counters);
        }
        if self.is_over() && self.application.take().is_some() {
            add(&mut counters.streams_ended, 1);
        }
    }

    fn reject(&mut self, counters: &mut Counters) {
        let resumes = self.application.take().is_some_and(|application| application.may_resume());
        self.reading = if resumes { Reading::Paused } else { Reading::No };
        add(&mut counters.rejected_streams, usize::from(!resumes));
        add(&mut counters.rejected_bytes, self.answers.take().map_or(0, |answers| answers.bytes()));
        for half in [&mut self.up, &mut self.down] {
            add(&mut counters.rejected_bytes, half.discard() as usize);
        }
    }

    fn count_stream(&mut self, counters: &mut Counters) {
        if !self.carried {
            self.carried = true;
            add(&mut counters.streams, 1);
            let midstream = !self.up.is_opened() && !self.down.is_opened();
            add(&mut counters.midstream_pickups, usize::from(midstream));
        }
    }

    /// Whether it carries bytes that the application reads.
    pub(super) const fn is_read(&self) -> bool {
        self.application.is_some()
    }

    /// Whether the application declined it; and whether a segment that begins with something to read changes that.
    pub(super) fn declined(&self) -> Option<bool> {
        (!self.reads()).then_some(self.may_resume())
    }

    /// Whether nobody reads it and nothing of it waits: there is nothing to account for, and it ends without a word.
    pub(super) fn is_idle(&self) -> bool {
        self.application.is_none()
            && self.up.waiting.is_none()
            && self.down.waiting.is_none()
            && self.answers.is_none()
            && self.charged == Usage::default()
            && self.hold == Hold::Nothing
    }

    /// Whether it is time, once, to let it age among those that are closing.
    pub(super) fn retires(&mut self) -> bool {
        let first = self.closing && !self.retired;
        self.retired |= first;
        first
    }

    fn is_over(&self) -> bool {
        self.up.has_ended() && self.down.has_ended()
    }

    /// What it holds now.
    #[inline]
    pub(super) fn usage(&self) -> Usage {
        let application = self.application.as_ref().map_or(0, |application| application.held());
        let answers = self.answers.as_ref().map_or((0, 0), |answers| (answers.memory(), answers.len()));
        let (up, down) = (self.up.usage(), self.down.usage());
        let memory = application.saturating_add(up.0).saturating_add(down.0).saturating_add(answers.0);
        let pieces = up.1.saturating_add(down.1).saturating_add(answers.1);
        let cap = |sum: usize| u32::try_from(sum).unwrap_or(u32::MAX);
        Usage { memory: cap(memory), pieces: cap(pieces) }
    }

    /// Payload bytes that wait for others.
    pub(super) fn waiting_bytes(&self) -> u64 {
        let answers = self.answers.as_ref().map_or(0, |answers| answers.bytes() as u64);
        self.up.held().saturating_add(self.down.held()).saturating_add(answers)
    }

    #[inline]
    pub(super) const fn half(&self, direction: Direction) -> &Half {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    pub(super) const fn half_mut(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }

    #[inline]
    fn split<'a>(
        &'a mut self,
        turn: &'a mut Turn<'_, A>,
        key: &FlowKey,
        direction: Direction,
    ) -> (&'a mut Half, Delivery<'a, A>) {
        let (source, destination) = key.ends(direction);
        let context = Context {
            sequence: turn.sequence,
            timestamp: turn.captured,
            direction,
            source,
            destination,
            connection: self.number,
            packet: turn.packet,
            space: self.space,
        };
        let half = match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        };
        let application = &mut self.application;
        (half, Delivery { context, application, output: turn.output, counters: turn.counters })
    }
}

/// Hands the bytes of one direction to the application.
struct Delivery<'a, A: Application> {
    context: Context,
    application: &'a mut Option<Box<A>>,
    output: &'a mut A::Output,
    counters: &'a mut Counters,
}

impl<A: Application> Receiver for Delivery<'_, A> {
    #[inline]
    fn data(&mut self, chunk: &Chunk<'_>) -> Verdict {
        if self.context.packet.is_none() {
            // No packet brought it: it has waited for bytes that did not come. When nobody waits any more says nothing of it.
            self.context.timestamp = chunk.captured;
        }
        if self.application.is_none() && A::declines(&self.context, chunk, self.output) {
            return Verdict::Reject;
        }
        self.application.get_or_insert_default().data(&self.context, chunk, self.output)
    }

    fn gap(&mut self, lost: u64) {
        self.application.get_or_insert_default().gap(&self.context, lost, self.output);
    }

    fn end(&mut self) {
        if let Some(application) = self.application {
            application.end(&self.context, self.output);
        }
    }

    fn counters(&mut self) -> &mut Counters {
        self.counters
    }
}

#[inline]
fn add(counter: &mut u64, by: usize) {
    *counter = counter.saturating_add(by as u64);
}
