//! TCP connections that carry no SIP: their segments are counted by the intake and go no further.
//!
//! In: what the stream workers say of connections that they have rejected, over a queue of its own. Most TCP of a network is such, and a
//! segment that is passed over here costs a hash and a cache line.
//!
//! A verdict holds for less than the second in which a worker would do nothing with such a segment but count it,
//! and until the next SYN between the same endpoints. Passing a segment over therefore changes nothing but where it
//! is counted, and it does not matter how late a verdict comes, or whether it gets lost.

use std::hint::black_box;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::decode::TcpFlags;
use crate::flow::{Endpoint, PairHasher};
use crate::time::Timestamp;

/// Connections in a set.
const WAYS: usize = 3;

/// Sets at first: 64 KiB.
const LEAST_SETS: usize = 1 << 10;

/// Sets at most: 4 MiB, 196,608 connections. Beyond, connections displace each other and cost what they cost without
/// this table.
const MOST_SETS: usize = 1 << 16;

/// Verdicts that may wait for the intake.
const QUEUE: usize = 1 << 10;

/// What a stream worker says of a connection that it has rejected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    /// Number of the packet that it was seen from.
    pub(crate) sequence: u64,
    /// Before that time no segment needs to be seen by the worker.
    pub(crate) until: Timestamp,
}

/// The workers' end of the queue.
#[derive(Clone, Debug)]
pub(crate) struct Verdicts(Sender<Foreign>);

impl Verdicts {
    /// Tells the intake. What does not fit is said again with the connection's next segment.
    pub(crate) fn say(&self, foreign: Foreign) {
        let _ = self.0.try_send(foreign);
    }
}

/// What was passed over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) segments: u64,
    /// Their payload bytes, as far as captured.
    pub(crate) payload_bytes: u64,
}

/// One cache line of connections.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Set {
    /// Hashes with a secret of this process: nobody outside can make two connections share one.
    hashes: [u64; WAYS],
    until: [Timestamp; WAYS],
    /// Number of the latest packet that opened a connection here. What was said of earlier ones may be about the one
    /// before it.
    opened: u64,
}

impl Set {
    /// Whether a connection with that hash was rejected, and its time is not up. Which of the set it is cannot be
    /// foreseen: comparing all of them is cheaper than a wrong guess, which the compiler is not to make of it either.
    #[inline]
    fn holds(&self, hash: u64, now: Timestamp) -> bool {
        let ([a, b, c], [until_a, until_b, until_c]) = (self.hashes, self.until);
        black_box(
            (a == hash) & (now < until_a) | (b == hash) & (now < until_b) | (c == hash) & (now < until_c),
        )
    }
}

/// The connections that were rejected lately.
#[derive(Debug)]
pub(crate) struct ForeignConnections {
    sets: Vec<Set>,
    /// Nothing said so far holds longer.
    until: Timestamp,
    /// Connections displaced while their time was not up, since the table grew.
    displaced: usize,
    hasher: PairHasher,
    verdicts: Receiver<Foreign>,
    counters: Counters,
}

impl ForeignConnections {
    /// An empty table, and the end of its queue that every worker gets.
    pub(crate) fn new() -> (Self, Verdicts) {
        let (sender, verdicts) = bounded(QUEUE);
        let table = Self {
            sets: vec![Set::default(); LEAST_SETS],
            until: Timestamp::default(),
            displaced: 0,
            hasher: PairHasher::default(),
            verdicts,
            counters: Counters::default(),
        };
        (table, Verdicts(sender))
    }

    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether a segment with a payload of that many bytes needs nothing but to be counted; it is counted then.
    #[inline(always)]
    pub(crate) fn pass_over(
        &mut self,
        ends: (Endpoint, Endpoint),
        flags: TcpFlags,
        length: u32,
        now: Timestamp,
    ) -> bool {
        if flags.opens_or_ends() || now >= self.until {
            return false;
        }
        let hash = self.hasher.hash_either_way(ends.0, ends.1);
        let Some(set) = self.sets.get(self.index(hash)) else { return false };
        let passes = set.holds(hash, now);
        if passes {
            self.counters.segments += 1;
            self.counters.payload_bytes += u64::from(length);
        }
        passes
    }

    /// A SYN between these endpoints, packet number `sequence`: what was said of them is void.
    pub(crate) fn open(&mut self, source: Endpoint, destination: Endpoint, sequence: u64) {
        let hash = self.hasher.hash_either_way(source, destination);
        let at = self.index(hash);
        let Some(set) = self.sets.get_mut(at) else { return };
        set.opened = sequence;
        for (known, until) in set.hashes.iter().zip(&mut set.until) {
            if *known == hash {
                *until = Timestamp::default();
            }
        }
    }

    /// Takes what workers said. `sequence` is the number of the latest packet, `now` its time.
    pub(crate) fn learn(&mut self, sequence: u64, now: Timestamp) {
        while let Ok(foreign) = self.verdicts.try_recv() {
            self.insert(&foreign, now);
        }
        if self.displaced > self.sets.len() && self.sets.len() < MOST_SETS {
            // What was known is soon said again.
            let set = Set { opened: sequence, ..Set::default() };
            self.sets = vec![set; self.sets.len() * 2];
            self.displaced = 0;
        }
    }

    fn insert(&mut self, foreign: &Foreign, now: Timestamp) {
        let hash = self.hasher.hash_either_way(foreign.source, foreign.destination);
        let at = self.index(hash);
        let Some(set) = self.sets.get_mut(at).filter(|set| set.opened < foreign.sequence) else { return };
        // The one that is known, else the one whose time is up first.
        let ranked = set.hashes.iter_mut().zip(&mut set.until);
        let place = ranked.min_by_key(|(known, until)| (**known != hash, **until));
        if let Some((known, until)) = place {
            self.displaced += usize::from(*known != hash && now < *until);
            (*known, *until) = (hash, foreign.until);
            self.until = self.until.max(foreign.until);
        }
    }

    #[inline]
    fn index(&self, hash: u64) -> usize {
        hash as usize & (self.sets.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Address;

    const ACK: u8 = 0x10;

    fn ends(client: u16, upward: bool) -> (Endpoint, Endpoint) {
        let client = Endpoint::new(Address::v4([192, 0, 2, 1]), client);
        let server = Endpoint::new(Address::v4([192, 0, 2, 2]), 443);
        if upward { (client, server) } else { (server, client) }
    }

    fn said(client: u16, sequence: u64, until: u64) -> Foreign {
        let (source, destination) = ends(client, true);
        Foreign { source, destination, sequence, until: Timestamp::new(until, 0) }
    }

    fn passes(table: &mut ForeignConnections, client: u16, upward: bool, flags: u8, now: u64) -> bool {
        table.pass_over(ends(client, upward), TcpFlags(flags), 10, Timestamp::new(now, 0))
    }

    #[test]
    fn both_directions_pass_until_their_time_is_up() {
        let (mut table, verdicts) = ForeignConnections::new();
        assert!(!passes(&mut table, 1, true, ACK, 5));
        verdicts.say(said(1, 7, 10));
        table.learn(7, Timestamp::new(5, 0));
        assert!(passes(&mut table, 1, true, ACK, 9));
        assert!(passes(&mut table, 1, false, ACK, 9));
        assert!(!passes(&mut table, 2, true, ACK, 9));
        assert!(!passes(&mut table, 1, true, ACK, 10));
        assert_eq!((table.counters().segments, table.counters().payload_bytes), (2, 20));
    }

    #[test]
    fn what_opens_or_ends_a_connection_is_the_worker_s() {
        let (mut table, verdicts) = ForeignConnections::new();
        verdicts.say(said(1, 7, 10));
        table.learn(7, Timestamp::new(5, 0));
        for flags in [0x01, 0x02, 0x04, 0x12, 0x14] {
            assert!(!passes(&mut table, 1, true, flags, 6));
        }
    }

    #[test]
    fn a_syn_voids_what_was_said_before_it_and_no_more() {
        let (mut table, verdicts) = ForeignConnections::new();
        verdicts.say(said(1, 7, 10));
        table.learn(7, Timestamp::new(5, 0));
        let (source, destination) = ends(1, false);
        table.open(source, destination, 8);
        assert!(!passes(&mut table, 1, true, ACK, 6));
        // Of a segment before the SYN, and late.
        verdicts.say(said(1, 7, 10));
        table.learn(9, Timestamp::new(6, 0));
        assert!(!passes(&mut table, 1, true, ACK, 6));
        verdicts.say(said(1, 9, 10));
        table.learn(9, Timestamp::new(6, 0));
        assert!(passes(&mut table, 1, true, ACK, 6));
    }

    #[test]
    fn it_grows_with_the_connections_and_is_bounded() {
        let (mut table, verdicts) = ForeignConnections::new();
        for sequence in 1..20_u64 {
            for client in 0..u16::MAX {
                verdicts.say(said(client, sequence, 1_000));
                if usize::from(client) % QUEUE == 0 {
                    table.learn(sequence - 1, Timestamp::new(5, 0));
                }
            }
        }
        let known = (0..u16::MAX).filter(|&client| passes(&mut table, client, true, ACK, 6)).count();
        assert!(known > 60_000, "{known}");
        assert!(table.sets.len() > LEAST_SETS && table.sets.len() <= MOST_SETS);
    }
}
