//! Segments whose sequence numbers do not fit the stream.

use crate::reassembly::Verdict;
use crate::reassembly::arrival::{Arrival, Receiver};
use crate::reassembly::direction::{Half, Piece, count};
use crate::reassembly::seq::Seq;
use crate::time::Timestamp;

/// A segment that does not fit the stream. If the next one carries on where it ends, both belong to another connection; if
/// the stream stands still until its time is up, then this is where the sender is; else it was forged or astray.
#[derive(Debug)]
pub(super) struct Stray {
    pub(super) sequence: Seq,
    pub(super) bytes: Box<[u8]>,
    pub(super) missing: u32,
    pub(super) captured: Timestamp,
    pub(super) arrived: Timestamp,
    /// Where the stream stood when it came.
    pub(super) position: u64,
}

impl Stray {
    pub(super) fn new(arrival: &Arrival<'_>, position: u64) -> Self {
        Self {
            sequence: arrival.sequence,
            bytes: arrival.payload.into(),
            missing: arrival.missing,
            captured: arrival.captured,
            arrived: arrival.now,
            position,
        }
    }

    /// The sequence number that would follow it.
    pub(super) fn next(&self) -> Seq {
        self.sequence.plus((self.bytes.len() as u64).saturating_add(u64::from(self.missing)))
    }
}

impl Half {
    /// A segment far from where the stream is. One forged segment must not move a stream; one in a stream that stands
    /// still shows where the sender is: after a long loss, or a reuse of ports whose SYN was lost.
    pub(super) fn stray<R: Receiver>(&mut self, arrival: &Arrival<'_>, to: &mut R) -> Verdict {
        count(&mut to.counters().strange_segments, 1);
        let position = self.position;
        if arrival.payload.is_empty() {
            return Verdict::Continue;
        }
        let slot = &mut self.waiting.get_or_insert_default().stray;
        match slot.take() {
            Some(stray)
                if stray.sequence == arrival.sequence && stray.bytes.len() >= arrival.payload.len() =>
            {
                count(&mut to.counters().retransmitted_segments, 1);
                count(&mut to.counters().retransmitted_bytes, arrival.payload.len() as u64);
                *slot = Some(stray);
            }
            other => {
                count(&mut to.counters().dropped_bytes, other.map_or(0, |stray| stray.bytes.len() as u64));
                *slot = Some(Stray::new(arrival, position));
            }
        }
        Verdict::Continue
    }

    /// Whether a stray segment ends before that number.
    pub(super) fn stray_before(&self, sequence: Seq) -> bool {
        let stray = self.waiting.as_ref().and_then(|waiting| waiting.stray.as_ref());
        stray.is_some_and(|stray| stray.next() == sequence)
    }

    /// Gives away the stray segment that ends before that number.
    pub(super) fn take_stray_before(&mut self, sequence: Seq) -> Option<Stray> {
        let stray = self.waiting.as_mut()?.stray.take_if(|stray| stray.next() == sequence);
        self.tidy();
        stray
    }

    /// The stream goes on at a stray segment.
    fn move_to<R: Receiver>(&mut self, stray: Stray, to: &mut R) -> Verdict {
        if self.flush(to) == Verdict::Reject {
            count(&mut to.counters().rejected_bytes, stray.bytes.len() as u64);
            return Verdict::Reject;
        }
        count(&mut to.counters().repickups, 1);
        self.lost_after = 0;
        self.gap(0, to);
        self.waiting = None;
        self.join(stray.sequence);
        let Stray { captured, missing, .. } = stray;
        self.deliver(&stray.bytes, Piece { place: None, captured, missing, segment_start: true }, to)
    }

    /// Time is up: a stream that stands still where it stood when the stray came goes on there.
    pub(super) fn judge_stray<R: Receiver>(&mut self, to: &mut R) -> Verdict {
        let Some(stray) = self.waiting.as_deref_mut().and_then(|waiting| waiting.stray.take()) else {
            return Verdict::Continue;
        };
        if stray.position == self.position {
            return self.move_to(stray, to);
        }
        count(&mut to.counters().dropped_bytes, stray.bytes.len() as u64);
        Verdict::Continue
    }
}
