//! Addresses and endpoints in a form that hashes and compares fast.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address; IPv4 is held as its IPv4-mapped IPv6 form (RFC 4291 2.5.5.2).
///
/// Aligned to four bytes, so that an endpoint has 20 bytes and not 24: tables and queues are full of them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C, packed(4))]
pub struct Address {
    high: u64,
    low: u64,
}

const MAPPED: u64 = 0x0000_ffff_0000_0000;

impl Address {
    /// An IPv4 address from its four bytes in network order.
    #[must_use]
    #[inline]
    pub const fn v4(bytes: [u8; 4]) -> Self {
        Self { high: 0, low: MAPPED | u32::from_be_bytes(bytes) as u64 }
    }

    /// An IPv6 address from its sixteen bytes in network order.
    #[must_use]
    #[inline]
    pub const fn v6(bytes: [u8; 16]) -> Self {
        let all = u128::from_be_bytes(bytes);
        Self { high: (all >> 64) as u64, low: all as u64 }
    }

    /// Whether this is an IPv4 address.
    #[must_use]
    #[inline]
    pub const fn is_v4(self) -> bool {
        self.high == 0 && self.low >> 32 == MAPPED >> 32
    }

    /// The unspecified address of either family (0.0.0.0 or ::): it names nobody.
    #[must_use]
    pub const fn is_unspecified(self) -> bool {
        self.high == 0 && (self.low == 0 || self.low == MAPPED)
    }

    /// The two 64-bit halves, for hashing.
    #[must_use]
    #[inline]
    pub const fn halves(self) -> (u64, u64) {
        (self.high, self.low)
    }

    /// The standard library's form.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        if self.is_v4() {
            IpAddr::V4(Ipv4Addr::from(self.low as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from(u128::from(self.high) << 64 | u128::from(self.low)))
        }
    }

    /// The four bytes of an IPv4 address.
    #[must_use]
    pub fn v4_bytes(self) -> Option<[u8; 4]> {
        self.is_v4().then(|| (self.low as u32).to_be_bytes())
    }

    /// The sixteen bytes, IPv4 in its mapped form.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        (u128::from(self.high) << 64 | u128::from(self.low)).to_be_bytes()
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::v4(v4.octets()),
            IpAddr::V6(v6) => Self::v6(v6.octets()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An address and a port. Prints as `192.0.2.1:5060` or `[2001:db8::1]:5060`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address.
    pub address: Address,
    /// The port; 0 where the transport has none.
    pub port: u16,
}

impl Endpoint {
    /// An endpoint of an address and a port.
    #[must_use]
    #[inline]
    pub const fn new(address: Address, port: u16) -> Self {
        Self { address, port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.is_v4() {
            write!(f, "{}:{}", self.address, self.port)
        } else {
            write!(f, "[{}]:{}", self.address, self.port)
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["192.0.2.1", "0.0.0.0", "2001:db8::1", "::", "255.255.255.255"] {
            let ip: IpAddr = text.parse().unwrap();
            let address = Address::from(ip);
            assert_eq!(address.ip(), ip);
            assert_eq!(address.is_v4(), ip.is_ipv4());
        }
    }

    #[test]
    fn endpoints_print_as_users_write_them() {
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(Endpoint::new(v6.into(), 5060).to_string(), "[2001:db8::1]:5060");
        assert_eq!(Endpoint::new(Address::v4([192, 0, 2, 1]), 5060).to_string(), "192.0.2.1:5060");
    }
}
