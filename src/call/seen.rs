//! Which messages a call has already seen: tells a first copy from a retransmission and from a second capture.

use std::time::Duration;

use wide::u32x4;

use crate::near::fetch;
use crate::time::Timestamp;

/// Messages remembered per call. A plain call through a proxy has 13, with authentication 16.
const REMEMBERED: usize = 20;

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
/// since the call began. Two cache lines.
#[derive(Clone, Debug)]
#[repr(C, align(8))]
pub(crate) struct Seen {
    identities: [u32; REMEMBERED],
    /// They begin anew every 65.5 s: a copy that comes just then would be taken for one that was captured twice, but
    /// whoever sends again has given up long before (RFC 3261 17.1.1.2).
    times: [u16; REMEMBERED],
    count: u8,
}

impl Default for Seen {
    fn default() -> Self {
        Self { identities: [0; REMEMBERED], times: [0; REMEMBERED], count: 0 }
    }
}

/// Nanoseconds of the unit of [`Seen::times`].
const UNIT: u64 = 1_000_000;

impl Seen {
    /// Takes a message's identity and tells whether it came before. The call began at `start`.
    pub(crate) fn observe(&mut self, identity: u64, at: Timestamp, start: Timestamp, datagram: bool) -> Copy {
        let at = (at.0.saturating_sub(start.0) / UNIT) as u16;
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
        self.count = if self.count >= 2 * REMEMBERED as u8 { REMEMBERED as u8 } else { self.count };
        let index = usize::from(self.count) % REMEMBERED;
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
        let used = fours.iter().take(usize::from(self.count).div_ceil(4));
        let found = used.zip(0..).find_map(|(four, index)| {
            let marks = u32x4::new(*four).simd_eq(wanted).to_bitmask();
            (marks != 0).then(|| index * 4 + marks.trailing_zeros() as usize)
        });
        found.filter(|&index| index < usize::from(self.count))
    }

    /// Fetches it.
    #[inline]
    pub(crate) fn touch(&self) {
        fetch(&self.identities);
        fetch(&self.count);
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
        assert_eq!(seen.observe(7, at(0), at(0), true), Copy::First);
        assert_eq!(seen.observe(7, at(1), at(0), true), Copy::Duplicate);
        assert_eq!(seen.observe(7, at(501), at(0), true), Copy::Retransmission);
        assert_eq!(seen.observe(7, at(502), at(0), true), Copy::Duplicate);
        assert_eq!(
            seen.observe(7, at(503), at(0), false),
            Copy::Retransmission,
            "a stream delivers bytes once"
        );
    }

    #[test]
    fn neither_disorder_nor_an_hour_makes_a_copy_something_else() {
        let mut seen = Seen::default();
        for start in [1_000, 3_600_000] {
            assert_eq!(seen.observe(start, at(start), at(0), true), Copy::First);
            assert_eq!(
                seen.observe(start, at(start - 3), at(0), true),
                Copy::Duplicate,
                "from another interface"
            );
            assert_eq!(seen.observe(start, at(start), at(0), true), Copy::Duplicate);
            for later in [21, 500, 32_000, 65_000, 66_000, 130_000] {
                let again = at(start + later);
                assert_eq!(seen.observe(start, again, at(0), true), Copy::Retransmission, "{later}");
                assert_eq!(seen.observe(start, at(start), at(0), true), Copy::Retransmission, "{later} back");
            }
        }
    }

    #[test]
    fn the_latest_are_remembered() {
        let mut seen = Seen::default();
        for identity in 0..1000 {
            assert_eq!(seen.observe(identity, at(identity * 1000), at(0), true), Copy::First);
        }
        assert_eq!(seen.observe(999, at(2_000_000), at(0), true), Copy::Retransmission);
        assert_eq!(seen.observe(980, at(2_000_000), at(0), true), Copy::Retransmission);
        assert_eq!(seen.observe(900, at(2_000_000), at(0), true), Copy::First);
    }
}
