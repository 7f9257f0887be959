//! How a direction ends, and what it stops waiting for.

use std::time::Duration;

use crate::reassembly::Verdict;
use crate::reassembly::arrival::Receiver;
use crate::reassembly::direction::Half;
use crate::reassembly::seq::Seq;
use crate::time::Timestamp;

impl Half {
    /// A FIN says that the stream ends there; what lies before may still come.
    pub(super) fn finish_at<R: Receiver>(&mut self, fin: u64, now: Timestamp, to: &mut R) {
        if fin > self.position {
            self.waiting(now).fin.get_or_insert(fin);
            self.end_if_due(to);
        } else if fin == self.position {
            self.end(to);
        }
    }

    pub(super) fn end_if_due<R: Receiver>(&mut self, to: &mut R) {
        let Some(waiting) = self.waiting.as_deref() else { return };
        let Some(fin) = waiting.fin.filter(|_| waiting.store.is_empty()) else { return };
        if fin <= self.position.saturating_add(u64::from(self.lost_after)) {
            self.conclude(to);
        }
    }

    /// Nothing more will come: the end, and a gap before it if the FIN told of more.
    fn conclude<R: Receiver>(&mut self, to: &mut R) {
        let fin = self.waiting.as_deref_mut().and_then(|waiting| waiting.fin.take());
        let lost = fin.map_or(0, |fin| fin.saturating_sub(self.position));
        if lost > 0 {
            let position = self.position;
            self.gap(lost, to);
            // Should the FIN have been forged, the stream goes on where it is.
            self.position = position;
        }
        self.end(to);
    }

    fn end<R: Receiver>(&mut self, to: &mut R) {
        if let Some(waiting) = self.waiting.as_deref_mut() {
            (waiting.fin, waiting.reset) = (None, false);
        }
        if !self.ended {
            self.ended = true;
            to.end();
        }
    }

    /// RST was seen, `by_sender` of this stream or of the other. Ends it at once if nothing is known to be missing.
    pub(super) fn reset<R: Receiver>(&mut self, by_sender: Option<Seq>, now: Timestamp, to: &mut R) {
        let complete = self.waiting.is_none() && by_sender == Some(self.next());
        if self.is_unknown() || complete {
            self.end(to);
        } else if !self.ended {
            self.waiting(now).reset = true;
        }
    }

    /// Whether a RST of that number is one that the stream's receiver obeys: it has exactly the number that comes next (RFC 5961 3.2),
    /// behind the FIN too; or, where what came before it was not captured, the one that the receiver has said.
    pub(super) fn may_reset(&self, sequence: Seq) -> bool {
        let beyond = sequence.distance(self.next());
        let is_next = beyond == 0 || beyond == 1 && self.ended;
        self.is_unknown() || is_next || beyond > 0 && sequence == self.acknowledged
    }

    /// When [`Half::expire`] has something to do.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Timestamp> {
        let waiting = self.waiting.as_ref()?;
        let (hole, stray) = (waiting.hole_deadline(patience), waiting.stray_deadline(patience));
        hole.into_iter().chain(stray).min()
    }

    /// Gives up what was waited for long enough.
    pub(super) fn expire<R: Receiver>(&mut self, now: Timestamp, patience: Duration, to: &mut R) -> Verdict {
        while let Some(waiting) = self.waiting.as_deref_mut() {
            if waiting.stray_deadline(patience).is_some_and(|due| due <= now) {
                if self.judge_stray(to) == Verdict::Reject {
                    return Verdict::Reject;
                }
            } else if waiting.hole_deadline(patience).is_none_or(|due| due > now) {
                break;
            } else if waiting.store.is_empty() {
                self.conclude(to);
            } else if self.skip_hole(None, to) == Verdict::Reject {
                return Verdict::Reject;
            }
        }
        self.tidy();
        Verdict::Continue
    }

    /// Gives up every hole and delivers all that is stored.
    pub(super) fn flush<R: Receiver>(&mut self, to: &mut R) -> Verdict {
        while self.waiting.as_ref().is_some_and(|waiting| !waiting.store.is_empty()) {
            if self.skip_hole(None, to) == Verdict::Reject {
                return Verdict::Reject;
            }
        }
        self.tidy();
        Verdict::Continue
    }

    /// Delivers what there is and ends.
    pub(super) fn close<R: Receiver>(&mut self, to: &mut R) -> Verdict {
        if self.flush(to) == Verdict::Reject || self.judge_stray(to) == Verdict::Reject {
            return Verdict::Reject;
        }
        self.conclude(to);
        self.waiting = None;
        Verdict::Continue
    }

    /// Drops all that is held and says how many bytes that was.
    pub(super) fn discard(&mut self) -> u64 {
        self.waiting.take().map_or(0, |waiting| waiting.bytes() as u64)
    }
}
