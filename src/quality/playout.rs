//! The playout buffer that a receiver would have had at the point of capture.
//!
//! A packet is played at the time of the fastest packet of the round before, moved by its media time and the delay of
//! the buffer. What comes later is discarded (RFC 3611 4.7.1), and lost to the listener.

/// Nanoseconds in a millisecond.
const MS: u32 = 1_000_000;

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
}
