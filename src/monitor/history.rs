//! The last minutes: totals as they were every second, so that shares and rates are those of a window and not of a
//! lifetime.

use std::collections::VecDeque;
use std::time::Duration;

/// Totals kept: five minutes of seconds, and the one before them.
const KEPT: usize = 301;

/// Counters of which windows are made. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets that the stages saw.
    pub packets: u64,
    /// Packets lost before or between the stages.
    pub lost: u64,
    /// SIP streams that ended whole.
    pub streams_completed: u64,
    /// SIP streams that lost bytes or were dropped.
    pub streams_failed: u64,
    /// Times that the disk said no.
    pub write_errors: u64,
    /// Frames, calls and lines that found no room, and lines that a disk never took.
    pub not_taken: u64,
}

impl Totals {
    /// What was added since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(earlier.packets),
            lost: self.lost.saturating_sub(earlier.lost),
            streams_completed: self.streams_completed.saturating_sub(earlier.streams_completed),
            streams_failed: self.streams_failed.saturating_sub(earlier.streams_failed),
            write_errors: self.write_errors.saturating_sub(earlier.write_errors),
            not_taken: self.not_taken.saturating_sub(earlier.not_taken),
        }
    }
}

/// Totals by time, the latest last.
#[derive(Clone, Debug, Default)]
pub struct History {
    kept: VecDeque<(Duration, Totals)>,
}

impl History {
    /// Adds the totals at `now`, a time since the start.
    pub fn push(&mut self, now: Duration, totals: Totals) {
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((now, totals));
    }

    /// What was added within the last `window`, as far back as is known. Before the first totals everything was 0.
    #[must_use]
    pub fn within(&self, window: Duration) -> Totals {
        let Some((now, latest)) = self.kept.back() else { return Totals::default() };
        let begin = now.saturating_sub(window);
        let before = self.kept.iter().rev().find(|(at, _)| *at <= begin);
        let first = self.kept.front().filter(|_| self.kept.len() >= KEPT);
        before.or(first).map_or(*latest, |(_, earlier)| latest.since(earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, packets: u64) -> (Duration, Totals) {
        (Duration::from_secs(seconds), Totals { packets, ..Totals::default() })
    }

    #[test]
    fn a_window_is_what_came_within_it() {
        let mut history = History::default();
        assert_eq!(history.within(Duration::from_secs(60)).packets, 0);
        for second in 0..1000 {
            let (now, totals) = at(second, second * 10 + 7);
            history.push(now, totals);
        }
        assert_eq!(history.within(Duration::from_secs(60)).packets, 600);
        assert_eq!(history.within(Duration::from_secs(300)).packets, 3000);
        assert_eq!(history.kept.len(), KEPT);
        assert_eq!(history.within(Duration::from_secs(9999)).packets, 3000, "as far back as is known");
    }

    #[test]
    fn a_young_run_counts_from_nothing() {
        let mut history = History::default();
        let (now, totals) = at(2, 50);
        history.push(now, totals);
        assert_eq!(history.within(Duration::from_secs(60)).packets, 50);
    }

    /// A machine that slept, or a monitor that was not scheduled.
    #[test]
    fn missing_seconds_do_not_shorten_a_window() {
        let mut history = History::default();
        for (now, totals) in [at(0, 0), at(10, 100), at(200, 300), at(210, 500)] {
            history.push(now, totals);
        }
        assert_eq!(history.within(Duration::from_secs(60)).packets, 400);
    }
}
