//! Telephone numbers and names, so that two legs' can be compared: a B2BUA rewrites `+49 30…` to `0049 30…` or `030…`.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

/// Digits that two numbers must share at their ends to be the same: a subscriber and a good part of the area. Shorter
/// ones, and names, are the same only as a whole.
const SHARED: u32 = 7;

/// Digits kept: the longest number of ITU-T E.164.
const KEPT: u32 = 15;

/// User parts that tell nobody apart (RFC 3323 4.1.1.3, and what devices write instead).
const NOBODY: [&[u8]; 4] = [b"anonymous", b"unknown", b"unavailable", b"restricted"];

/// A user part in 64 bits: of a number its last digits, four bits each, and above them how many; of anything else a hash.
/// Zero is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Number(u64);

impl Number {
    /// That of a user part as it stands in a URI, or in a `tel:` URI.
    pub(super) fn of(user: &[u8], hasher: &RandomState) -> Self {
        if user.is_empty() || NOBODY.iter().any(|name| user.eq_ignore_ascii_case(name)) {
            return Self::default();
        }
        digits(user).unwrap_or_else(|| Self(hasher.hash_one(user) >> 4 | 1))
    }

    /// Whether it names anybody.
    pub(super) const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// How many digits; 0 of what is no number.
    const fn length(self) -> u32 {
        (self.0 >> (4 * KEPT)) as u32
    }

    /// Whether both name the same: the shorter of two numbers is the end of the longer.
    pub(super) fn is_same(self, other: Self) -> bool {
        let digits = self.length().min(other.length());
        if digits == 0 {
            return self.is_some() && self == other;
        }
        (self.0 ^ other.0) << (64 - 4 * digits) == 0
    }

    /// What all that may be the same have in common: for tables.
    pub(super) const fn common(self) -> u64 {
        if self.length() == 0 { self.0 } else { self.0 & ((1 << (4 * SHARED)) - 1) }
    }
}

/// A number of enough digits, without `+`, leading zeros (of the international prefix 00, of the trunk prefix 0) and
/// visual separators (RFC 3966 5.1.1).
fn digits(user: &[u8]) -> Option<Number> {
    let mut packed = 0u64;
    let mut length = 0;
    for &byte in user.strip_prefix(b"+").unwrap_or(user) {
        match byte {
            b'0' if length == 0 => {}
            b'0'..=b'9' => {
                packed = packed << 4 & ((1 << (4 * KEPT)) - 1) | u64::from(byte - b'0');
                length = KEPT.min(length + 1);
            }
            b'-' | b'.' | b'(' | b')' => {}
            _ => return None,
        }
    }
    (length >= SHARED).then(|| Number(u64::from(length) << (4 * KEPT) | packed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_however_they_are_dialled() {
        let hasher = RandomState::default();
        let same = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|user| Number::of(user.as_bytes(), &hasher));
            assert_eq!(a.is_same(b), b.is_same(a));
            assert!(!a.is_same(b) || a.common() == b.common());
            a.is_same(b)
        };
        for (a, b) in [
            ("+4930123456", "004930123456"),
            ("+4930123456", "030123456"),
            ("+49-30-123(456)", "30123456"),
            ("+15551234567", "15551234567"),
            ("15551234567", "5551234567"),
            ("99915551234567", "+15551234567"),
            ("alice", "alice"),
            ("2302", "2302"),
            ("1234567890123456789", "01234567890123456789"),
        ] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("+4930123456", "+4930123457"),
            ("+4930123456", "+4940123456"),
            ("123456", "0123456"),
            ("100", "0100"),
            ("2302", "92302"),
            ("alice", "Alice"),
            ("alice", "bob"),
            ("anonymous", "anonymous"),
            ("Anonymous", "anonymous"),
            ("", ""),
            ("123456", "4930123456"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
    }
}
