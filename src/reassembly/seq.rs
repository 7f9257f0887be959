//! Sequence numbers, which wrap (RFC 9293 3.4).

/// A TCP sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seq(pub(super) u32);

impl Seq {
    /// The number `count` bytes later.
    #[inline]
    pub(super) const fn plus(self, count: u64) -> Self {
        // Modulo 2^32 is what sequence numbers are made of.
        Self(self.0.wrapping_add(count as u32))
    }

    /// The number `count` bytes earlier.
    #[inline]
    pub(super) const fn minus(self, count: u64) -> Self {
        Self(self.0.wrapping_sub(count as u32))
    }

    /// How far `self` lies after `other`, the shorter way round: -2^31 to 2^31 - 1.
    #[inline]
    pub(super) const fn distance(self, other: Self) -> i64 {
        self.0.wrapping_sub(other.0) as i32 as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps() {
        assert_eq!(Seq(u32::MAX).plus(2), Seq(1));
        assert_eq!(Seq(1).minus(2), Seq(u32::MAX));
        assert_eq!(Seq(5).distance(Seq(u32::MAX)), 6);
        assert_eq!(Seq(u32::MAX).distance(Seq(5)), -6);
        assert_eq!(Seq(0).distance(Seq(1 << 31)), -(1 << 31));
    }
}
