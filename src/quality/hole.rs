//! The latest hole in a stream's sequence numbers, for a comparison with the other streams.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::time::Timestamp;

/// Holes that are no further apart are one.
const NEAR: Duration = Duration::from_millis(100);

/// A hole, and what earlier ones turned out to be.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hole {
    /// When the packet behind it came.
    at: Timestamp,
    /// Packets that have not come.
    missing: u32,
    /// Packets of earlier holes that the capture lost.
    pub(super) in_capture: u64,
}

impl Hole {
    pub(super) fn open(&mut self, at: Timestamp, missing: u32) {
        let before = if at.since(self.at) <= NEAR { self.missing } else { 0 };
        (self.at, self.missing) = (at, before.saturating_add(missing));
    }

    /// One of the packets has come late.
    pub(super) fn fill(&mut self) {
        self.missing = self.missing.saturating_sub(1);
    }

    pub(super) fn is_within(&self, times: &RangeInclusive<Timestamp>) -> bool {
        self.missing > 0 && times.contains(&self.at)
    }

    /// It was the capture: tells how many packets that are.
    pub(super) fn blame_capture(&mut self) -> u64 {
        let missing = u64::from(std::mem::take(&mut self.missing));
        self.in_capture += missing;
        missing
    }
}
