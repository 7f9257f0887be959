//! Segments that wait for the other direction: one that answers what is behind a hole there, and all that came after it.
//!
//! Who says something has read what it acknowledges (RFC 9293 3.4). If that is behind a hole, the capture lost the hole, or the tap
//! put packets in another order. So nothing is given up at once, and no answer is told before what it answers.

use std::collections::VecDeque;
use std::time::Duration;

use crate::decode::TcpHeader;
use crate::flow::{Direction, FlowKey};
use crate::reassembly::seq::Seq;
use crate::reassembly::{Limits, Segment};
use crate::time::Timestamp;

/// How long an answer waits. What puts packets in another order on their way to a capture is off by milliseconds.
const PATIENCE: Duration = Duration::from_millis(100);

/// Among so many of the latest a segment is put where its number belongs. Attack: numbers that go down.
const REORDERED: usize = 64;

/// The segments of a connection that wait, in the order of capture.
#[derive(Debug, Default)]
pub(super) struct Answers {
    segments: VecDeque<Answer>,
    bytes: usize,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) direction: Direction,
    hash: u64,
    header: TcpHeader,
    payload: Box<[u8]>,
    missing: u32,
    pub(super) captured: Timestamp,
    /// Packet time of its arrival.
    arrived: Timestamp,
}

impl Answer {
    /// When it waits no longer.
    pub(super) fn due(&self) -> Timestamp {
        self.arrived.after(PATIENCE)
    }

    /// The other direction's number that it waits for.
    pub(super) const fn acknowledged(&self) -> Seq {
        Seq(self.header.acknowledgement)
    }

    /// It as it was captured, on the connection with that key.
    pub(super) fn segment(&self, key: &FlowKey) -> Segment<'_> {
        let (source, destination) = key.ends(self.direction);
        let Self { hash, header, ref payload, missing, captured, .. } = *self;
        Segment { source, destination, hash, header, payload, place: None, missing, captured }
    }
}

impl Answers {
    /// Puts a segment behind all, or in front of what the same sender has sent after it.
    pub(super) fn push(&mut self, direction: Direction, segment: &Segment<'_>, arrived: Timestamp) {
        let Segment { hash, header, payload, missing, captured, .. } = *segment;
        self.bytes = self.bytes.saturating_add(payload.len());
        let is_later = |answer: &Answer| {
            answer.direction == direction && Seq(answer.header.sequence).distance(Seq(header.sequence)) > 0
        };
        let latest = self.segments.iter().rev().zip(1..=REORDERED);
        let behind = latest.filter(|(answer, _)| is_later(answer)).map(|(_, behind)| behind).max();
        let place = self.len().saturating_sub(behind.unwrap_or(0));
        let payload = payload.into();
        self.segments.insert(place, Answer { direction, hash, header, payload, missing, captured, arrived });
    }

    pub(super) fn first(&self) -> Option<&Answer> {
        self.segments.front()
    }

    pub(super) fn pop(&mut self) -> Option<Answer> {
        let answer = self.segments.pop_front()?;
        self.bytes = self.bytes.saturating_sub(answer.payload.len());
        Some(answer)
    }

    pub(super) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Payload bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What that costs, by allocation.
    pub(super) fn memory(&self) -> usize {
        self.bytes.saturating_add(self.len().saturating_mul(size_of::<Answer>()))
    }

    /// Whether there are as many as one direction may hold.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.len() >= limits.max_direction_segments || self.memory() >= limits.max_direction_bytes
    }
}
