//! What names a flow: its two endpoints, in an order that does not depend on who is talking.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use foldhash::fast::SeedableRandomState;

use crate::flow::Endpoint;

/// Which of a connection's two streams: named by the order of its endpoints, not by who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From the lower endpoint to the higher.
    Up,
    /// From the higher endpoint to the lower.
    Down,
}

impl Direction {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Up, Self::Down];

    /// The other one.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// The two endpoints of a flow, the lower one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    low: Endpoint,
    high: Endpoint,
}

impl FlowKey {
    /// The key of the flow from `source` to `destination`, and which way that is.
    #[must_use]
    #[inline]
    pub fn new(source: Endpoint, destination: Endpoint) -> (Self, Direction) {
        if source <= destination {
            (Self { low: source, high: destination }, Direction::Up)
        } else {
            (Self { low: destination, high: source }, Direction::Down)
        }
    }

    /// Which way it is from that end of it; up where both ends are the same.
    #[must_use]
    #[inline]
    pub fn direction(&self, source: Endpoint) -> Direction {
        if self.low == source { Direction::Up } else { Direction::Down }
    }

    /// Sender and receiver of that direction.
    #[must_use]
    #[inline]
    pub const fn ends(&self, direction: Direction) -> (Endpoint, Endpoint) {
        match direction {
            Direction::Up => (self.low, self.high),
            Direction::Down => (self.high, self.low),
        }
    }
}

/// Hashes ordered pairs of endpoints with a secret of its own, in a handful of instructions: for tables that are
/// asked once per packet.
#[derive(Clone, Debug)]
pub struct PairHasher {
    secret: [u64; 3],
}

impl Default for PairHasher {
    fn default() -> Self {
        Self { secret: [1u8, 2, 3].map(|number| SECRET.hash_one(number)) }
    }
}

impl PairHasher {
    /// One whose secret is known.
    #[cfg(test)]
    pub(crate) fn seeded(seed: u64) -> Self {
        let hasher = foldhash::quality::FixedState::with_seed(seed);
        Self { secret: [1u8, 2, 3].map(|number| hasher.hash_one(number)) }
    }

    /// The hash of the way from `source` to `destination`.
    #[must_use]
    #[inline]
    pub const fn hash(&self, source: Endpoint, destination: Endpoint) -> u64 {
        let [first, second, third] = self.secret;
        let (source_high, source_low) = source.address.halves();
        let (destination_high, destination_low) = destination.address.halves();
        if source.address.is_v4() && destination.address.is_v4() {
            return self.pair((self.one(source), self.one(destination)), true);
        }
        let ports = (source.port as u32) << 16 | destination.port as u32;
        let high = fold(source_high ^ second, destination_high ^ third);
        let low = fold(source_low ^ first, destination_low ^ second);
        fold(low ^ ports as u64, high ^ first)
    }

    /// The same for IPv4, address and port of each as they lie in a packet, the first byte of each the lowest; that of both
    /// ways, if it is not to be `directed`.
    #[must_use]
    #[inline(always)]
    pub const fn hash_v4(&self, source: (u32, u16), destination: (u32, u16), directed: bool) -> u64 {
        self.pair((one_v4(source.0, source.1), one_v4(destination.0, destination.1)), directed)
    }

    #[inline(always)]
    const fn pair(&self, (source, destination): (u64, u64), directed: bool) -> u64 {
        let [first, second, third] = self.secret;
        fold(fold(source ^ first, destination ^ if directed { third } else { first }), second)
    }

    /// The hash of both ways between two endpoints.
    #[must_use]
    #[inline]
    pub const fn hash_either_way(&self, a: Endpoint, b: Endpoint) -> u64 {
        self.pair((self.one(a), self.one(b)), false)
    }

    /// The hash of one direction of an SCTP association, whichever of their addresses its hosts use (RFC 9260 6.4): the
    /// verification tag, which its receiver drew at random (5.3.1), and the ports of sender and receiver.
    #[must_use]
    #[inline]
    pub const fn hash_tag(&self, tag: u32, (source, destination): (u16, u16)) -> u64 {
        self.pair((tag as u64, (source as u64) << 16 | destination as u64), true)
    }

    /// The hash of one endpoint.
    #[must_use]
    #[inline]
    pub const fn hash_one(&self, endpoint: Endpoint) -> u64 {
        self.twice(self.one(endpoint))
    }

    /// The same for IPv4: address and port as they lie in a packet, the first byte of each the lowest.
    #[must_use]
    #[inline]
    pub const fn hash_one_v4(&self, address: u32, port: u16) -> u64 {
        self.twice(one_v4(address, port))
    }

    /// Once would leave ports that follow each other too close together for some secrets.
    #[inline]
    const fn twice(&self, one: u64) -> u64 {
        let [first, second, third] = self.secret;
        fold(fold(one ^ first, second) ^ third, first)
    }

    /// A number for an endpoint: one to one for IPv4, keyed for IPv6.
    #[inline]
    const fn one(&self, endpoint: Endpoint) -> u64 {
        let (high, low) = endpoint.address.halves();
        if endpoint.address.is_v4() {
            return one_v4((low as u32).swap_bytes(), endpoint.port.swap_bytes());
        }
        let [first, second, third] = self.secret;
        fold(fold(high ^ second, low ^ third), first) ^ (endpoint.port as u64) << 48
    }
}

#[inline]
const fn one_v4(address: u32, port: u16) -> u64 {
    (port as u64) << 32 | address as u64
}

/// Both halves of the 128-bit product, folded into one another.
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

static SECRET: LazyLock<SeedableRandomState> = LazyLock::new(SeedableRandomState::random);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Address;

    fn endpoint(last: u8, port: u16) -> Endpoint {
        Endpoint::new(Address::v4([192, 0, 2, last]), port)
    }

    #[test]
    fn both_directions_have_one_key_and_one_hash() {
        let (a, b) = (endpoint(1, 5060), endpoint(2, 40000));
        let (there, up) = FlowKey::new(a, b);
        let (back, down) = FlowKey::new(b, a);
        assert_eq!(there, back);
        assert_eq!((up, down), (Direction::Up, Direction::Down));
        let hasher = PairHasher::default();
        assert_eq!(hasher.hash_either_way(a, b), hasher.hash_either_way(b, a));
        assert_eq!(there.ends(Direction::Up), (a, b));
        assert_eq!(there.ends(Direction::Down), (b, a));
    }

    #[test]
    fn pairs_are_told_apart_in_order() {
        let hasher = PairHasher::default();
        let ports = 0..64;
        let mut hashes: Vec<u64> = ports
            .clone()
            .flat_map(|a| ports.clone().map(move |b| (a, b)))
            .map(|(a, b)| hasher.hash(endpoint(1, a), endpoint(2, b)))
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 64 * 64);
        assert_ne!(hasher.hash(endpoint(1, 5), endpoint(2, 5)), hasher.hash(endpoint(2, 5), endpoint(1, 5)));
    }

    #[test]
    fn connections_have_one_hash_and_differ_from_each_other() {
        let hasher = PairHasher::default();
        let v6 = |last: u8, port| {
            let mut bytes = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            bytes[15] = last;
            Endpoint::new(Address::v6(bytes), port)
        };
        let ends: Vec<Endpoint> = (0..8)
            .flat_map(|last| (0..8).flat_map(move |port| [endpoint(last, port), v6(last, port)]))
            .collect();
        let mut hashes = Vec::new();
        for (index, &a) in ends.iter().enumerate() {
            for &b in &ends[index + 1..] {
                assert_eq!(hasher.hash_either_way(a, b), hasher.hash_either_way(b, a));
                hashes.push(hasher.hash_either_way(a, b));
            }
        }
        let all = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
    }

    #[test]
    fn swapped_ports_are_another_flow() {
        let one = FlowKey::new(endpoint(1, 1000), endpoint(2, 2000)).0;
        let other = FlowKey::new(endpoint(1, 2000), endpoint(2, 1000)).0;
        assert_ne!(one, other);
        let hasher = PairHasher::default();
        let hash = |key: FlowKey| hasher.hash_either_way(key.low, key.high);
        assert_ne!(hash(one), hash(other));
    }
}
