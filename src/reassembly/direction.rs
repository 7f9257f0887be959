//! One direction of a connection: from segments in any order to bytes in order.

use crate::pipeline::Bytes;
use crate::reassembly::arrival::{Arrival, Receiver};
use crate::reassembly::seq::Seq;
use crate::reassembly::store::Origin;
use crate::reassembly::waiting::Waiting;
use crate::reassembly::{Chunk, Limits, Verdict};
use crate::time::Timestamp;

/// The largest window that TCP can have (RFC 7323 2.3). What lies further from the next byte belongs to another
/// stream, or was forged to end this one.
const WINDOW: u64 = 1 << 30;

/// How far before the byte where the capture joined a stream retransmissions may reach; also the largest gap that is
/// believed without doubt.
pub(super) const GRACE: u64 = 1 << 16;

/// More bytes than a capture loses of both directions between two segments of a connection with SIP. Initial sequence
/// numbers grow by about as much in a second where clocks make them (RFC 9293 3.4.1; Linux: one every 64 ns).
const LEAP: u64 = 1 << 24;

/// What is known of a stream's beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing.
    #[default]
    Unknown,
    /// The SYN (or the answer to it) was seen.
    Opened,
    /// The capture joined in the middle.
    Joined,
}

/// One of a connection's two streams. Positions count bytes from `base` on; they do not wrap.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// The sequence number of position 0: that of the SYN, or a grace before the first byte seen.
    pub(super) base: Seq,
    /// The receiver has acknowledged all before it.
    pub(super) acknowledged: Seq,
    /// Bytes after `position` that the capture cut off.
    pub(super) lost_after: u32,
    /// The next byte to deliver.
    pub(super) position: u64,
    pub(super) start: Start,
    pub(super) ended: bool,
    /// A place in the order of deadlines is taken.
    pub(super) scheduled: bool,
    pub(super) waiting: Option<Box<Waiting>>,
}

impl Half {
    /// The stream begins after the SYN with that sequence number.
    pub(super) fn open(&mut self, syn: Seq) {
        *self = Self {
            base: syn,
            acknowledged: syn,
            position: 1,
            start: Start::Opened,
            scheduled: self.scheduled,
            ..Self::default()
        };
    }

    pub(super) fn join(&mut self, first: Seq) {
        (self.base, self.position, self.start) = (first.minus(GRACE), GRACE, Start::Joined);
        self.acknowledged = first;
    }

    /// The receiver says that it has all before that number (RFC 9293 3.4).
    #[inline]
    pub(super) fn acknowledge(&mut self, all_before: Seq) {
        // What is further is said on the other side of a firewall.
        if (1..=WINDOW as i64).contains(&all_before.distance(self.acknowledged)) {
            self.acknowledged = all_before;
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.start == Start::Unknown
    }

    pub(super) fn is_opened(&self) -> bool {
        self.start == Start::Opened
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether a SYN of that number can have begun this stream: it is a retransmission, or came after its data.
    pub(super) fn may_begin_with(&self, syn: Seq) -> bool {
        match self.start {
            Start::Unknown => true,
            Start::Opened => syn == self.base,
            Start::Joined => (0..=GRACE as i64).contains(&syn.plus(1).distance(self.base)),
        }
    }

    /// Whether it has got further than its SYN, which its sender does not send again then: it was answered.
    pub(super) const fn has_got_anywhere(&self) -> bool {
        self.position > 1
    }

    /// The sequence number of the next byte.
    #[inline]
    pub(super) fn next(&self) -> Seq {
        self.base.plus(self.position)
    }

    /// Position of a sequence number; none when it does not fit the stream.
    pub(super) fn locate(&self, sequence: Seq) -> Option<u64> {
        let distance = sequence.distance(self.next());
        let position = self.position.checked_add_signed(distance)?;
        let leapt = self.waiting.as_ref().is_some_and(|waiting| waiting.leapt.contains(&position));
        (distance.unsigned_abs() <= WINDOW && !leapt).then_some(position)
    }

    /// Whether a sequence number does not fit the stream.
    pub(super) fn is_strange(&self, sequence: Seq) -> bool {
        !self.is_unknown() && self.locate(sequence).is_none()
    }

    /// Whether a sequence number is further from the stream than a loss explains.
    pub(super) fn is_far(&self, sequence: Seq) -> bool {
        let distance = sequence.distance(self.next()).unsigned_abs();
        self.is_strange(sequence) || !self.is_unknown() && distance > LEAP
    }

    /// Whether the segment is what everybody hopes for: plain, and exactly the next.
    #[inline]
    pub(super) fn is_next(&self, arrival: &Arrival<'_>) -> bool {
        self.waiting.is_none()
            && arrival.sequence == self.next()
            && self.start != Start::Unknown
            && !self.ended
            && !arrival.fin
            && arrival.missing == 0
            && self.lost_after == 0
            && !arrival.payload.is_empty()
    }

    /// Takes a segment that [`Half::is_next`].
    #[inline]
    pub(super) fn push_next<R: Receiver>(&mut self, arrival: &Arrival<'_>, to: &mut R) -> Verdict {
        self.deliver(
            arrival.payload,
            Piece { place: arrival.place, captured: arrival.captured, missing: 0, segment_start: true },
            to,
        )
    }

    /// Takes a segment. After [`Verdict::Reject`] the owner discards what is held.
    pub(super) fn push<R: Receiver>(
        &mut self,
        arrival: &Arrival<'_>,
        limits: &Limits,
        to: &mut R,
    ) -> Verdict {
        if self.is_unknown() {
            if arrival.payload.is_empty() && !arrival.fin {
                return Verdict::Continue;
            }
            self.join(arrival.sequence);
        }
        let is_near = |position: &u64| position.saturating_sub(self.position) <= LEAP;
        let Some(position) = self.locate(arrival.sequence).filter(is_near) else {
            return self.stray(arrival, to);
        };
        count(&mut to.counters().snapped_bytes, u64::from(arrival.missing));
        let end = position.saturating_add(arrival.payload.len() as u64);
        if !arrival.payload.is_empty() && self.take(position, arrival, limits, to) == Verdict::Reject {
            return Verdict::Reject;
        }
        if arrival.payload.is_empty() && position == self.position {
            // The capture kept headers only.
            self.lost_after = self.lost_after.max(arrival.missing);
        }
        if arrival.fin {
            self.finish_at(end.saturating_add(u64::from(arrival.missing)), arrival.now, to);
        }
        self.tidy();
        Verdict::Continue
    }

    /// Takes a payload whose place in the stream is known.
    fn take<R: Receiver>(
        &mut self,
        position: u64,
        arrival: &Arrival<'_>,
        limits: &Limits,
        to: &mut R,
    ) -> Verdict {
        let end = position.saturating_add(arrival.payload.len() as u64);
        if end <= self.position {
            self.count_old(end, arrival.payload.len() as u64, to);
            return Verdict::Continue;
        }
        if position > self.position && self.lost_after > 0 {
            // The bytes that the snap length cut off will not come, and here is what followed them.
            let lost = u64::from(self.lost_after).min(position - self.position);
            self.gap(lost, to);
        }
        while position > self.position && !self.has_room(arrival.payload.len(), limits) {
            count(&mut to.counters().segment_memcap_drop, 1);
            if self.skip_hole(Some(position), to) == Verdict::Reject {
                count(&mut to.counters().rejected_bytes, arrival.payload.len() as u64);
                return Verdict::Reject;
            }
        }
        let front = self.waiting.as_ref().and_then(|waiting| waiting.store.front()).map(|(front, _)| front);
        if position > self.position || front.is_some_and(|front| front < end) {
            self.store(position, arrival, to)
        } else {
            self.take_next(position, arrival, to)
        }
    }

    /// Delivers the part of a payload that is new; nothing stored overlaps it.
    fn take_next<R: Receiver>(&mut self, position: u64, arrival: &Arrival<'_>, to: &mut R) -> Verdict {
        let old = self.position.saturating_sub(position);
        let skip = usize::try_from(old).unwrap_or(usize::MAX);
        let Some((seen, new)) = arrival.payload.split_at_checked(skip).filter(|(_, new)| !new.is_empty())
        else {
            // Filling earlier holes has brought all of it.
            self.count_old(0, arrival.payload.len() as u64, to);
            return Verdict::Continue;
        };
        if !seen.is_empty() {
            count(&mut to.counters().overlaps, 1);
            count(&mut to.counters().overlap_bytes, old);
        }
        let piece = Piece {
            place: arrival.place.map(|place| place.part(skip as u32, new.len() as u32)),
            captured: arrival.captured,
            missing: arrival.missing,
            segment_start: seen.is_empty(),
        };
        if self.deliver(new, piece, to) == Verdict::Reject {
            return Verdict::Reject;
        }
        self.advance(arrival.now, to)
    }

    /// Keeps a payload until its turn; what is there already stays as it is: the first bytes win.
    fn store<R: Receiver>(&mut self, position: u64, arrival: &Arrival<'_>, to: &mut R) -> Verdict {
        let in_order = position <= self.position;
        let old = usize::try_from(self.position.saturating_sub(position)).unwrap_or(usize::MAX);
        let new = arrival.payload.get(old..).unwrap_or_default();
        let origin = Origin { captured: arrival.captured, arrived: arrival.now, missing: arrival.missing };
        let at = position.max(self.position);
        let length = arrival.payload.len();
        let taken = self.waiting(arrival.now).store.insert(at, new, origin);
        let counters = to.counters();
        if taken == 0 {
            count(&mut counters.retransmitted_segments, 1);
            count(&mut counters.retransmitted_bytes, length as u64);
        } else {
            count(&mut counters.out_of_order_segments, u64::from(!in_order));
            count(&mut counters.overlaps, u64::from(taken < length));
            count(&mut counters.overlap_bytes, length.saturating_sub(taken) as u64);
        }
        if in_order { self.advance(arrival.now, to) } else { Verdict::Continue }
    }

    /// Delivers what has become next, after bytes came that were missing at the front.
    fn advance<R: Receiver>(&mut self, now: Timestamp, to: &mut R) -> Verdict {
        let verdict = self.drain(to);
        if let Some(waiting) = self.waiting.as_deref_mut() {
            // The sender is alive at the front: give the rest of the hole its full time again. (A forged segment
            // far ahead would otherwise cut a running stream.)
            waiting.since = now;
        }
        verdict
    }

    pub(super) fn drain<R: Receiver>(&mut self, to: &mut R) -> Verdict {
        while let Some(waiting) = self.waiting.as_deref_mut() {
            let Some((front, _)) = waiting.store.front() else { break };
            let hole = front.saturating_sub(self.position);
            if hole > u64::from(self.lost_after) {
                break;
            }
            let Some((_, piece)) = waiting.store.pop_front() else { break };
            if hole > 0 {
                self.gap(hole, to);
            }
            let origin = Piece {
                place: None,
                captured: piece.captured,
                missing: piece.missing,
                segment_start: piece.segment_start,
            };
            if self.deliver(&piece.bytes, origin, to) == Verdict::Reject {
                return Verdict::Reject;
            }
        }
        self.end_if_due(to);
        Verdict::Continue
    }

    #[inline]
    pub(super) fn deliver<R: Receiver>(&mut self, bytes: &[u8], piece: Piece, to: &mut R) -> Verdict {
        if self.ended {
            // The end was not the end: forged, or an address that is used again without a SYN.
            self.ended = false;
            to.gap(0);
        }
        let opening = self.start == Start::Opened && self.position == 1;
        let length = bytes.len() as u64;
        self.position = self.position.saturating_add(length);
        self.lost_after = if piece.missing > 0 {
            piece.missing
        } else {
            u64::from(self.lost_after).saturating_sub(length) as u32
        };
        count(&mut to.counters().delivered_bytes, length);
        let Piece { place, captured, missing, segment_start } = piece;
        to.data(&Chunk { bytes, place, captured, opening, segment_start, missing })
    }

    /// The next `lost` bytes will not come.
    pub(super) fn gap<R: Receiver>(&mut self, lost: u64, to: &mut R) {
        let is_cut = self.lost_after > 0;
        self.position = self.position.saturating_add(lost);
        self.lost_after = u64::from(self.lost_after).saturating_sub(lost) as u32;
        let counters = to.counters();
        count(&mut counters.reassembly_gaps, 1);
        count(&mut counters.gap_bytes, lost);
        if !is_cut && self.acknowledged.distance(self.next()) >= 0 {
            count(&mut counters.acknowledged_gaps, 1);
        }
        to.gap(lost);
    }

    /// Gives up the hole at the front, up to what is stored behind it (or `bound`, where a segment is at hand), and
    /// delivers what has become next.
    pub(super) fn skip_hole<R: Receiver>(&mut self, bound: Option<u64>, to: &mut R) -> Verdict {
        let front = self.waiting.as_ref().and_then(|waiting| waiting.store.front()).map(|(front, _)| front);
        let from = self.position;
        let target = front.into_iter().chain(bound).min().unwrap_or(from).max(from);
        if target > from {
            self.gap(target - from, to);
        }
        if let Some(waiting) = self.waiting.as_deref_mut().filter(|_| target - from > GRACE) {
            waiting.leapt = from..target;
        }
        let verdict = self.drain(to);
        if let Some(waiting) = self.waiting.as_deref_mut() {
            let arrived = waiting.store.front().map(|(_, piece)| piece.arrived);
            waiting.since = waiting.since.max(arrived.unwrap_or_default());
        }
        verdict
    }

    /// Whether something waits for bytes before it.
    #[inline]
    pub(super) const fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether something is stored of what comes before that number.
    pub(super) fn stores_before(&self, end: Seq) -> bool {
        let front = self.waiting.as_ref().and_then(|waiting| waiting.store.front()).map(|(front, _)| front);
        front.is_some_and(|front| self.locate(end).is_some_and(|end| front < end))
    }

    /// Gives up holes that the receiver has acknowledged, with something of what is stored behind them.
    pub(super) fn skip_acknowledged<R: Receiver>(&mut self, all_before: Seq, to: &mut R) -> Verdict {
        while self.stores_before(all_before) {
            if self.skip_hole(None, to) == Verdict::Reject {
                return Verdict::Reject;
            }
        }
        self.tidy();
        Verdict::Continue
    }

    fn has_room(&self, length: usize, limits: &Limits) -> bool {
        let (pieces, memory) = self.waiting.as_ref().map_or((0, 0), |w| (w.store.len(), w.store.memory()));
        pieces < limits.max_direction_segments && memory.saturating_add(length) <= limits.max_direction_bytes
    }

    fn count_old<R: Receiver>(&mut self, end: u64, length: u64, to: &mut R) {
        let counters = to.counters();
        if length <= 1 && end == self.position {
            // A keep-alive may carry one byte of garbage (RFC 9293 3.8.4).
            count(&mut counters.keepalive_probes, 1);
        } else {
            count(&mut counters.retransmitted_segments, 1);
        }
        count(&mut counters.retransmitted_bytes, length);
    }

    /// Bytes allocated to hold payload, and the number of pieces.
    #[inline]
    pub(super) fn usage(&self) -> (usize, usize) {
        self.waiting.as_ref().map_or((0, 0), |waiting| (waiting.memory(), waiting.store.len()))
    }

    /// Payload bytes held.
    pub(super) fn held(&self) -> u64 {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes() as u64)
    }

    /// For adding something to wait for: the clock of the hole starts unless it runs.
    pub(super) fn waiting(&mut self, now: Timestamp) -> &mut Waiting {
        let waiting = self.waiting.get_or_insert_default();
        if !waiting.has_hole() {
            waiting.since = now;
        }
        waiting
    }

    pub(super) fn tidy(&mut self) {
        if let Some(waiting) = self.waiting.as_deref_mut() {
            if self.position.saturating_sub(waiting.leapt.end) > GRACE {
                waiting.leapt = 0..0;
            }
            if waiting.is_idle() {
                self.waiting = None;
            }
        }
    }
}

/// What is said of bytes that are delivered.
pub(super) struct Piece {
    pub(super) place: Option<Bytes>,
    pub(super) captured: Timestamp,
    pub(super) missing: u32,
    pub(super) segment_start: bool,
}

#[inline]
pub(super) fn count(counter: &mut u64, by: u64) {
    *counter = counter.saturating_add(by);
}
