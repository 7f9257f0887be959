//! When the sender of a stream sent nothing, and went on behind that with the next sequence number: silence that is not sent.

use std::time::Duration;

use crate::time::Timestamp;

/// Shorter ones are jitter.
const SHORTEST: Duration = Duration::from_millis(100);

/// Pauses kept of a stream, the latest.
const KEPT: usize = 16;

/// The latest pauses of a stream, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    latest: Vec<(Timestamp, Timestamp)>,
    /// Earlier ones were forgotten.
    is_cut: bool,
    /// Its last packet was comfort noise (RFC 3389): the receiver goes on with that, until the sender speaks.
    pub ends_in_noise: bool,
}

impl Pauses {
    /// A packet comes at `at`, and one is sent for the time since `after`.
    pub(super) fn note(&mut self, after: Timestamp, at: Timestamp) {
        if at.since(after) < SHORTEST {
            return;
        }
        if self.latest.len() >= KEPT {
            self.latest.remove(0);
            self.is_cut = true;
        }
        self.latest.push((after, at));
    }

    /// From when to when each was.
    pub fn iter(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        self.latest.iter().copied()
    }

    /// Since when all are known; none if they are from the first packet on.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.latest.first().filter(|_| self.is_cut).map(|(after, _)| *after)
    }
}
