//! The playout buffer that a receiver would have had at the point of capture.
//!
//! A packet is played at the time of the fastest packet of the round before, moved by its media time and the delay of
//! the buffer. What comes later is discarded (RFC 3611 4.7.1), and lost to the listener.
//!
//! A buffer that adapts does not discard for long. When the network takes a longer way from one packet to the next, it
//! begins anew: at the first packet of a talkspurt at once (Ramjee, Kurose, Towsley, Schulzrinne: Adaptive playout
//! mechanisms for packetized audio applications, 1994), else at the fourth packet in a row that is too late, as
//! Asterisk's does, if a buffer that had begun at the fastest of these would have played all four. A spike of
//! delay is none (the same, algorithm 4): what waited in a queue comes all at once, each packet less late than the one before
//! it, and is over by itself. Delays that become shorter make nothing late; the next round is played by them.

use crate::time::Timestamp;

/// Nanoseconds in a millisecond.
const MS: u32 = 1_000_000;

/// Packets in a row that are too late for a buffer that then begins anew: three are discarded, the fourth is played.
const BEGINS_ANEW: u8 = 4;

/// How long packets wait before they are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playout {
    /// The shortest delay, in nanoseconds.
    shortest: u32,
    /// The longest.
    longest: u32,
}

impl Default for Playout {
    /// What telephones usually have: 40 to 200 ms, as the jitter asks for.
    fn default() -> Self {
        Self::adaptive(40, 200)
    }
}

impl Playout {
    /// A buffer whose delay follows the jitter between these bounds, in milliseconds; where both are the same it is
    /// fixed.
    #[must_use]
    pub const fn adaptive(shortest: u16, longest: u16) -> Self {
        Self { shortest: (shortest as u32).saturating_mul(MS), longest: (longest as u32).saturating_mul(MS) }
    }

    /// Whether it begins anew when delays do.
    #[must_use]
    pub(super) const fn is_adaptive(self) -> bool {
        self.shortest < self.longest
    }

    /// Its delay in nanoseconds at a jitter in nanoseconds: four times the mean deviation, which few packets exceed.
    #[must_use]
    pub(super) const fn delay(self, jitter: u32) -> i32 {
        let wanted = jitter.saturating_mul(4);
        let delay = if wanted < self.shortest {
            self.shortest
        } else if wanted > self.longest {
            self.longest
        } else {
            wanted
        };
        // An i32 holds 2.1 s of nanoseconds.
        if delay > i32::MAX as u32 { i32::MAX } else { delay as i32 }
    }
}

/// Packets in a row that were too late. Times under way are in nanoseconds, relative to anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LateRun {
    count: u8,
    /// When the first of them came, and how long it was under way.
    since: Timestamp,
    first: i64,
    /// The least and the most that one of them was.
    least: i64,
    most: i64,
}

impl LateRun {
    /// A packet that was under way for `transit` came at `at` and is too late, as the one before it was if it `follows`.
    /// When a buffer with `delay` begins anew, tells where: the time that the fastest of them was under way.
    pub(super) fn add(&mut self, (at, transit): (Timestamp, i64), follows: bool, delay: i32) -> Option<i64> {
        if !follows || self.count == 0 {
            self.begin(at, transit);
            return None;
        }
        self.count = self.count.saturating_add(1);
        (self.least, self.most) = (self.least.min(transit), self.most.max(transit));
        if self.count < BEGINS_ANEW {
            return None;
        }
        // They come as fast as they were sent, or at most twice as fast: media that is made up for is less than time.
        let made_up = self.first.saturating_sub(transit);
        let has_pace = i128::from(at.0.saturating_sub(self.since.0)) >= i128::from(made_up);
        let is_level = self.most.saturating_sub(self.least) <= i64::from(delay);
        if has_pace && is_level {
            let least = self.least;
            *self = Self::default();
            return Some(least);
        }
        // Otherwise this one may be the first of a new level.
        self.begin(at, transit);
        None
    }

    const fn begin(&mut self, at: Timestamp, transit: i64) {
        *self = Self { count: 1, since: at, first: transit, least: transit, most: transit };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_follows_the_jitter_within_its_bounds() {
        let buffer = Playout::adaptive(40, 200);
        for (jitter_ms, delay_ms) in [(0, 40), (10, 40), (20, 80), (50, 200), (3000, 200)] {
            assert_eq!(buffer.delay(jitter_ms * MS), delay_ms * MS as i32, "{jitter_ms} ms");
        }
        assert_eq!(Playout::adaptive(60, 60).delay(500 * MS), 60 * MS as i32);
    }

    /// Packets of 20 ms: milliseconds of their arrival and under way. Where the buffer of 40 ms begins anew.
    fn begins_anew(packets: &[(u64, i64)]) -> Vec<Option<i64>> {
        let mut run = LateRun::default();
        let ms = |ms: i64| ms * i64::from(MS);
        let add = |&(at, transit): &(u64, i64)| {
            let arrival = (Timestamp(at * u64::from(MS)), ms(transit));
            run.add(arrival, true, 40 * MS as i32).map(|least| least / i64::from(MS))
        };
        packets.iter().map(add).collect()
    }

    #[test]
    fn the_fourth_of_a_level_begins_anew_at_the_fastest() {
        let level = [(0, 85), (15, 80), (45, 90), (65, 90), (90, 95)];
        assert_eq!(begins_anew(&level), [None, None, None, Some(80), None]);
    }

    /// The spike of Ramjee et al.: what waited comes at one moment, each packet by its media time less late.
    #[test]
    fn a_spike_does_not() {
        let queue: Vec<_> = (0..8).map(|step| (0, 200 - 20 * step)).collect();
        assert_eq!(begins_anew(&queue), [None; 8]);
        // Of 10 ms: all four are within the delay of the buffer, and still on their way back.
        assert_eq!(begins_anew(&[(0, 100), (0, 90), (1, 81), (1, 71)]), [None; 4]);
    }

    #[test]
    fn what_is_too_far_apart_for_one_buffer_does_not() {
        assert_eq!(begins_anew(&[(0, 50), (70, 100), (70, 80), (90, 80)]), [None; 4]);
        // The next level may begin with the last of these.
        let late = [(0, 50), (70, 100), (70, 80), (90, 80), (110, 80), (130, 80), (150, 80)];
        assert_eq!(begins_anew(&late).last(), Some(&Some(80)));
    }
}
