//! Which messages a call has already seen: tells a first copy from a retransmission and from a second capture.

use std::time::Duration;

use wide::u32x4;

use crate::time::Timestamp;

/// Messages remembered per call. A plain call through a proxy has 13, with authentication 16.
const REMEMBERED: usize = 24;

/// A copy that follows this soon was captured twice (`any`, both sides of a router): the shortest
/// retransmission timer in use is ten times as long (RFC 3261 17.1.1.1: T1, 500 ms).
pub(crate) const CAPTURED_TWICE: Duration = Duration::from_millis(20);

/// What a message is to its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copy {
    /// Seen for the first time.
    First,
    /// Sent again.
    Retransmission,
    /// Captured again.
    Duplicate,
}

/// The latest messages of one call: 32 bits of what makes each itself, and when its latest copy came, in milliseconds
/// since the first. Those of a usual call fill two cache lines.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Seen {
    first: Timestamp,
    count: u32,
    /// They begin anew every 65.5 s: a copy that comes just then would be taken for one that was captured twice, but
    /// whoever sends again has given up long before (RFC 3261 17.1.1.2).
    times: [u16; REMEMBERED],
    identities: [u32; REMEMBERED],
}

impl Default for Seen {
    fn default() -> Self {
        Self { count: 0, identities: [0; REMEMBERED], times: [0; REMEMBERED], first: Timestamp::default() }
    }
}

/// Nanoseconds of the unit of [`Seen::times`].
const UNIT: u64 = 1_000_000;

impl Seen {
    /// Takes a message's identity and tells whether it came before.
    pub(crate) fn observe(&mut self, identity: u64, at: Timestamp, datagram: bool) -> Copy {
        if self.count == 0 {
            self.first = at;
        }
        let at = (at.0.saturating_sub(self.first.0) / UNIT) as u16;
        let identity = identity as u32;
        let known = self.position(identity);
        if let Some(time) = known.and_then(|index| self.times.get_mut(index)) {
            // Two interfaces need not agree on which copy was first.
            let apart = at.wrapping_sub(*time).min(time.wrapping_sub(at));
            *time = at;
            let soon = Duration::from_millis(apart.into()) <= CAPTURED_TWICE;
            return if datagram && soon { Copy::Duplicate } else { Copy::Retransmission };
        }
        // Twice round the ring is as good as once: the count stays small and still says that the ring is full.
        self.count = if self.count as usize >= 2 * REMEMBERED { REMEMBERED as u32 } else { self.count };
        let index = self.count as usize % REMEMBERED;
        if let (Some(place), Some(time)) = (self.identities.get_mut(index), self.times.get_mut(index)) {
            (*place, *time) = (identity, at);
        }
        self.count += 1;
        Copy::First
    }

    /// Where an identity is remembered, four looked at together.
    #[inline]
    fn position(&self, identity: u32) -> Option<usize> {
        let wanted = u32x4::splat(identity);
        let (fours, _) = self.identities.as_chunks::<4>();
        let used = fours.iter().take((self.count as usize).div_ceil(4));
        let found = used.zip(0..).find_map(|(four, index)| {
            let marks = u32x4::new(*four).simd_eq(wanted).to_bitmask();
            (marks != 0).then(|| index * 4 + marks.trailing_zeros() as usize)
        });
        found.filter(|&index| index < self.count as usize)
    }

    /// Reads a little of each cache line that a usual call fills.
    #[inline]
    pub(crate) fn touch(&self) -> u32 {
        let ([_, identity, ..], [time, ..]) = (self.identities, self.times);
        identity ^ u32::from(time)
    }

    /// Forgets everything.
    pub(crate) const fn clear(&mut self) {
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp(millis * 1_000_000)
    }

    #[test]
    fn a_timer_makes_a_retransmission_and_a_second_tap_a_duplicate() {
        let mut seen = Seen::default();
        assert_eq!(seen.observe(7, at(0), true), Copy::First);
        assert_eq!(seen.observe(7, at(1), true), Copy::Duplicate);
        assert_eq!(seen.observe(7, at(501), true), Copy::Retransmission);
        assert_eq!(seen.observe(7, at(502), true), Copy::Duplicate);
        assert_eq!(seen.observe(7, at(503), false), Copy::Retransmission, "a stream delivers bytes once");
    }

    #[test]
    fn neither_disorder_nor_an_hour_makes_a_copy_something_else() {
        let mut seen = Seen::default();
        for start in [1_000, 3_600_000] {
            assert_eq!(seen.observe(start, at(start), true), Copy::First);
            assert_eq!(seen.observe(start, at(start - 3), true), Copy::Duplicate, "from another interface");
            assert_eq!(seen.observe(start, at(start), true), Copy::Duplicate);
            for later in [21, 500, 32_000, 65_000, 66_000, 130_000] {
                let again = at(start + later);
                assert_eq!(seen.observe(start, again, true), Copy::Retransmission, "{later}");
                assert_eq!(seen.observe(start, at(start), true), Copy::Retransmission, "{later} back");
            }
        }
    }

    #[test]
    fn the_latest_are_remembered() {
        let mut seen = Seen::default();
        for identity in 0..1000 {
            assert_eq!(seen.observe(identity, at(identity * 1000), true), Copy::First);
        }
        assert_eq!(seen.observe(999, at(2_000_000), true), Copy::Retransmission);
        assert_eq!(seen.observe(980, at(2_000_000), true), Copy::Retransmission);
        assert_eq!(seen.observe(900, at(2_000_000), true), Copy::First);
    }
}
