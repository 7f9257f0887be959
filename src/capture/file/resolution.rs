//! What a pcapng interface's timestamps count (draft-ietf-opsawg-pcapng, if_tsresol and if_tsoffset).

use crate::time::Timestamp;

/// How to turn an interface's timestamps into nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resolution {
    unit: Unit,
    /// Seconds to add.
    offset: i64,
    /// The unit is finer than a microsecond.
    finer: bool,
}

/// One unit of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Nanoseconds(u64),
    /// A nanosecond has so many of them.
    PerNanosecond(u128),
    /// A second divided by two so many times.
    Halvings(u8),
}

impl Default for Resolution {
    fn default() -> Self {
        Self::new(6, 0)
    }
}

impl Resolution {
    /// From the value of if_tsresol (10 to the minus `code`; with the highest bit set, 2 to the minus the
    /// rest) and of if_tsoffset (seconds).
    pub(super) fn new(code: u8, offset: i64) -> Self {
        let exponent = code & 0x7f;
        if code & 0x80 != 0 {
            // 2^-20 s is 0.95 us.
            return Self { unit: Unit::Halvings(exponent), offset, finer: exponent >= 20 };
        }
        let unit = match 9_u32.checked_sub(u32::from(exponent)) {
            Some(power) => Unit::Nanoseconds(10_u64.pow(power)),
            None => Unit::PerNanosecond(10_u128.checked_pow(u32::from(exponent) - 9).unwrap_or(u128::MAX)),
        };
        Self { unit, offset, finer: exponent > 6 }
    }

    /// The unit is finer than a microsecond.
    #[inline]
    pub(super) const fn is_finer_than_microsecond(&self) -> bool {
        self.finer
    }

    /// The time of a timestamp; saturates at both ends.
    #[inline]
    pub(super) fn timestamp(&self, count: u64) -> Timestamp {
        let nanoseconds = match self.unit {
            Unit::Nanoseconds(each) => count.saturating_mul(each),
            Unit::PerNanosecond(each) => saturate(u128::from(count) / each),
            // Cannot overflow: 2^64 times 10^9 is less than 2^94.
            Unit::Halvings(times) => saturate((u128::from(count) * 1_000_000_000) >> times),
        };
        if self.offset == 0 { Timestamp(nanoseconds) } else { self.moved(nanoseconds) }
    }

    #[cold]
    fn moved(&self, nanoseconds: u64) -> Timestamp {
        let sum = i128::from(nanoseconds) + i128::from(self.offset) * 1_000_000_000;
        Timestamp(saturate(u128::try_from(sum).unwrap_or(0)))
    }
}

fn saturate(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_powers_of_ten_and_of_two() {
        // (if_tsresol, timestamp, nanoseconds, finer than a microsecond)
        let rows = [
            (6, 1_500_000, 1_500_000_000, false),
            (0, 3, 3_000_000_000, false),
            (3, 1_500, 1_500_000_000, false),
            (9, 1_500_000_001, 1_500_000_001, true),
            (7, 15_000_001, 1_500_000_100, true),
            (12, 1_500_000_001_999, 1_500_000_001, true),
            (0x80, 2, 2_000_000_000, false),
            (0x81, 3, 1_500_000_000, false),
            (0x80 | 19, 1 << 19, 1_000_000_000, false),
            (0x80 | 20, 1 << 19, 500_000_000, true),
            (0x80 | 32, 3 << 31, 1_500_000_000, true),
            (127, u64::MAX, 0, true),
            (0xff, u64::MAX, 0, true),
        ];
        for (code, count, nanoseconds, finer) in rows {
            let resolution = Resolution::new(code, 0);
            assert_eq!(resolution.timestamp(count).0, nanoseconds, "if_tsresol {code:#x}");
            assert_eq!(resolution.is_finer_than_microsecond(), finer, "if_tsresol {code:#x}");
        }
    }

    #[test]
    fn offsets_and_wild_stamps_saturate() {
        assert_eq!(Resolution::new(6, 10).timestamp(5_000_000).0, 15_000_000_000);
        assert_eq!(Resolution::new(6, -2).timestamp(5_000_000).0, 3_000_000_000);
        assert_eq!(Resolution::new(6, -9).timestamp(5_000_000).0, 0);
        assert_eq!(Resolution::new(6, i64::MIN).timestamp(u64::MAX).0, 0);
        assert_eq!(Resolution::new(6, i64::MAX).timestamp(u64::MAX).0, u64::MAX);
        assert_eq!(Resolution::new(0, 0).timestamp(u64::MAX).0, u64::MAX);
        assert_eq!(Resolution::new(0x80, 0).timestamp(u64::MAX).0, u64::MAX);
    }
}
