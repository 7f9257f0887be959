//! Caps that hold for all workers together.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What all reassemblers of a run use together, and gauges for whoever wants to know.
#[derive(Debug, Default)]
pub struct Budget {
    pub(super) connections: Gauge,
    pub(super) holding: Gauge,
    pub(super) queued: Gauge,
    pub(super) memory: Gauge,
    pub(super) buffers: Gauge,
}

impl Budget {
    /// Connections known.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.get()
    }

    /// Connections that hold bytes with leave to do so.
    #[must_use]
    pub fn holding(&self) -> usize {
        self.holding.get()
    }

    /// Connections that hold bytes and wait for leave.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued.get()
    }

    /// Bytes allocated for out-of-order segments and partial messages.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.memory.get()
    }

    /// Out-of-order segments held.
    #[must_use]
    pub fn buffers(&self) -> usize {
        self.buffers.get()
    }
}

/// A number that several threads change; nothing else is ordered by it, hence relaxed.
#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicUsize);

impl Gauge {
    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes one, unless `cap` are taken.
    pub(super) fn take(&self, cap: usize) -> bool {
        let more = |taken: usize| (taken < cap).then(|| taken.saturating_add(1));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives one back.
    pub(super) fn give(&self) {
        self.replace(1, 0);
    }

    /// A part of the number was `before` and is `after` now.
    pub(super) fn replace(&self, before: usize, after: usize) {
        if after > before {
            self.0.fetch_add(after - before, Ordering::Relaxed);
        } else if before > after {
            let less = |taken: usize| Some(taken.saturating_sub(before - after));
            let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_more_than_the_cap() {
        let gauge = Gauge::default();
        assert!(gauge.take(2) && gauge.take(2) && !gauge.take(2));
        gauge.give();
        assert!(gauge.take(2));
        gauge.replace(2, 10);
        assert_eq!(gauge.get(), 10);
        gauge.replace(20, 1);
        assert_eq!(gauge.get(), 0);
    }
}
