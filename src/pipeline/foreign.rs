//! TCP connections that carry no SIP: their segments are counted by the intake and go no further.
//!
//! In: what the stream workers say of connections that they have rejected, over a queue of its own. Most TCP of a network is such, and a
//! segment that is passed over here costs a hash and a cache line.
//!
//! A verdict holds for less than the seconds in which a worker would do nothing with such a segment but count it,
//! and until the next SYN, FIN or RST between the same endpoints, or, where nothing is known but that SIP was searched in vain, the next
//! segment that may begin with it. Passing a segment over therefore changes nothing but where it is counted, and it
//! does not matter how late a verdict comes, or whether it gets lost.

use crossbeam_channel::{Receiver, Sender, bounded};
use wide::i32x4;

use crate::decode::TcpFlags;
use crate::near::fetch;
use crate::time::{Timestamp, tick_number};

/// Connections in a set: as many as are compared at once.
const WAYS: usize = 4;

/// Sets at first: 64 KiB.
const LEAST_SETS: usize = 1 << 10;

/// Sets at most: 4 MiB, 262,144 connections. Beyond, connections displace each other and cost what they cost without
/// this table.
const MOST_SETS: usize = 1 << 16;

/// Verdicts that may wait for the intake.
const QUEUE: usize = 1 << 10;

/// What a stream worker says of a connection that it has rejected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Foreign {
    /// What [`PairHasher::hash_either_way`](crate::flow::PairHasher::hash_either_way) has for its ends.
    pub(crate) hash: u64,
    /// Number of the packet that it was seen from.
    pub(crate) sequence: u64,
    /// Before that time no segment needs to be seen by the worker.
    pub(crate) until: Timestamp,
    /// But those that [may begin](crate::sip::may_resume) with what it reads.
    pub(crate) may_resume: bool,
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

/// One cache line of connections. Hashes are made with a secret of this process: nobody outside can make two connections
/// share one.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Set {
    /// The upper halves of the hashes, and the lower.
    high: [i32; WAYS],
    low: [i32; WAYS],
    /// The first ticks at which each is no longer valid.
    until: [i32; WAYS],
    /// Number of the latest packet that opened or ended a connection here. What was said of earlier ones may be about the
    /// one before it.
    opened: u64,
    /// A bit for each that may be read again.
    may_resume: u32,
}

impl Set {
    /// A bit for each that has that hash, was rejected and its time is not up. Which of the set it is
    /// cannot be foreseen, so all are compared at once.
    #[inline(always)]
    fn holds(&self, hash: u64, tick: i32) -> u32 {
        let (high, low) = halves(hash);
        let is_it = i32x4::new(self.high).simd_eq(high) & i32x4::new(self.low).simd_eq(low);
        // What is left of its time is less than nothing, counted the other way round.
        let is_valid = i32x4::splat(tick) - i32x4::new(self.until);
        (is_it & is_valid).to_bitmask()
    }

    /// Each of its ways: whether that is the one with this hash, and until when it is valid.
    fn ways(&mut self, hash: u64) -> impl Iterator<Item = Way<'_>> {
        let (high, low) = halves(hash);
        let hashes = self.high.iter_mut().zip(&mut self.low);
        hashes.zip(&mut self.until).map(move |((known_high, known_low), until)| Way {
            is_it: (*known_high, *known_low) == (high, low),
            hash: (known_high, known_low),
            until,
        })
    }
}

struct Way<'a> {
    is_it: bool,
    hash: (&'a mut i32, &'a mut i32),
    until: &'a mut i32,
}

#[inline(always)]
const fn halves(hash: u64) -> (i32, i32) {
    ((hash >> 32) as i32, hash as i32)
}

/// The connections that were rejected lately.
#[derive(Debug)]
pub(crate) struct ForeignConnections {
    sets: Vec<Set>,
    /// The tick of now, counted from 1 so that 0 is over.
    tick: i32,
    /// The number on the grid of tick 0.
    origin: u64,
    /// Nothing was ever said of any.
    is_empty: bool,
    /// Those displaced while their time was not up, since the table grew.
    displaced: usize,
    verdicts: Receiver<Foreign>,
    counters: Counters,
}

impl ForeignConnections {
    /// An empty table, and the end of its queue that every worker gets.
    pub(crate) fn new() -> (Self, Verdicts) {
        let (sender, verdicts) = bounded(QUEUE);
        let table = Self {
            sets: vec![Set::default(); LEAST_SETS],
            tick: 0,
            origin: 0,
            is_empty: true,
            displaced: 0,
            verdicts,
            counters: Counters::default(),
        };
        (table, Verdicts(sender))
    }

    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether nothing was ever said of any connection.
    pub(crate) const fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// It is that time now; to be said whenever a tick has passed. After six years, and when the first packet is not of
    /// the first six of the epoch, ticks are counted anew: nothing is known then.
    pub(crate) fn reach(&mut self, now: Timestamp) {
        self.tick = self.tick_of(now);
        if self.tick == i32::MAX {
            self.origin = tick_number(now).saturating_sub(1);
            self.tick = self.tick_of(now);
            self.sets.iter_mut().for_each(|set| set.until = [0; WAYS]);
        }
    }

    /// The last tick at or before a time; 0 before all.
    fn tick_of(&self, time: Timestamp) -> i32 {
        tick_number(time).saturating_sub(self.origin).min(i32::MAX as u64) as i32
    }

    /// Whether a segment, in packet number `sequence`, needs nothing but to be counted; it is counted then. `hash` is that of
    /// its connection, `length` that of its payload in bytes. `resumes` tells whether the payload
    /// [may begin](crate::sip::may_resume) with what is read: where that may be read again, what was said of the connection
    /// is void.
    #[inline(always)]
    pub(crate) fn pass_over(
        &mut self,
        hash: u64,
        (flags, length): (TcpFlags, u32),
        sequence: u64,
        resumes: impl FnOnce() -> bool,
    ) -> bool {
        if flags.opens_or_ends() {
            return false;
        }
        let Some(set) = self.sets.get(self.index(hash)) else { return false };
        let known = set.holds(hash, self.tick);
        if known == 0 {
            return false;
        }
        if known & set.may_resume != 0 && resumes() {
            self.void(hash, sequence);
            return false;
        }
        self.counters.segments += 1;
        self.counters.payload_bytes += u64::from(length);
        true
    }

    /// The connection with that hash begins or ends with packet number `sequence`: what was said of it before is void.
    pub(crate) fn void(&mut self, hash: u64, sequence: u64) {
        let (at, tick) = (self.index(hash), self.tick);
        let Some(set) = self.sets.get_mut(at) else { return };
        set.opened = sequence;
        set.ways(hash).filter(|way| way.is_it).for_each(|way| *way.until = tick);
    }

    /// Takes what workers said. `sequence` is the number of the latest packet.
    pub(crate) fn learn(&mut self, sequence: u64) {
        while let Ok(foreign) = self.verdicts.try_recv() {
            self.insert(&foreign);
            self.is_empty = false;
        }
        if self.displaced > self.sets.len() && self.sets.len() < MOST_SETS {
            // What was known is soon said again.
            let set = Set { opened: sequence, ..Set::default() };
            self.sets = vec![set; self.sets.len() * 2];
            self.displaced = 0;
        }
    }

    fn insert(&mut self, foreign: &Foreign) {
        let hash = foreign.hash;
        let (at, now, until) = (self.index(hash), self.tick, self.tick_of(foreign.until));
        let Some(set) = self.sets.get_mut(at).filter(|set| set.opened <= foreign.sequence) else { return };
        let left = |way: &Way<'_>| way.until.wrapping_sub(now);
        // The one that is known, else the one whose time is up first.
        let Some((index, way)) = (0..).zip(set.ways(hash)).min_by_key(|(_, way)| (!way.is_it, left(way)))
        else {
            return;
        };
        self.displaced += usize::from(!way.is_it && left(&way) > 0);
        (*way.hash.0, *way.hash.1) = halves(hash);
        *way.until = until;
        set.may_resume = set.may_resume & !(1 << index) | u32::from(foreign.may_resume) << index;
    }

    /// Fetches what is known of the connection with that hash.
    #[inline(always)]
    pub(crate) fn fetch(&self, hash: u64) {
        self.sets.get(self.index(hash)).into_iter().for_each(fetch);
    }

    #[inline]
    fn index(&self, hash: u64) -> usize {
        hash as usize & (self.sets.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Address, Endpoint, PairHasher};

    const ACK: u8 = 0x10;

    fn hash(client: u16, upward: bool) -> u64 {
        let client = Endpoint::new(Address::v4([192, 0, 2, 1]), client);
        let server = Endpoint::new(Address::v4([192, 0, 2, 2]), 443);
        let (source, destination) = if upward { (client, server) } else { (server, client) };
        PairHasher::default().hash_either_way(source, destination)
    }

    fn said(client: u16, sequence: u64, until: u64) -> Foreign {
        let until = Timestamp::new(until, 0);
        Foreign { hash: hash(client, true), sequence, until, may_resume: false }
    }

    fn passes(table: &mut ForeignConnections, client: u16, upward: bool, flags: u8, now: u64) -> bool {
        table.reach(Timestamp::new(now, 0));
        let hash = hash(client, upward);
        table.pass_over(hash, (TcpFlags(flags), 10), 0, || panic!("nothing is read again"))
    }

    #[test]
    fn both_directions_pass_until_their_time_is_up() {
        let (mut table, verdicts) = ForeignConnections::new();
        assert!(!passes(&mut table, 1, true, ACK, 5));
        verdicts.say(said(1, 7, 10));
        table.learn(7);
        assert!(passes(&mut table, 1, true, ACK, 9));
        assert!(passes(&mut table, 1, false, ACK, 9));
        assert!(!passes(&mut table, 2, true, ACK, 9));
        assert!(!passes(&mut table, 1, true, ACK, 10));
        assert_eq!((table.counters().segments, table.counters().payload_bytes), (2, 20));
        verdicts.say(said(1, 8, 11));
        table.learn(8);
        assert!(passes(&mut table, 1, true, ACK, 10), "it was said again");
    }

    /// A clock that was not set when the capture began.
    #[test]
    fn a_jump_of_many_years_voids_all() {
        for (first, then) in [(0, 5_000_000_000), (5, 1_000_000_000), (1_000_000_000, 1_300_000_000)] {
            let (mut table, verdicts) = ForeignConnections::new();
            table.reach(Timestamp::new(first, 0));
            verdicts.say(said(1, 7, first + 8));
            table.learn(7);
            assert!(passes(&mut table, 1, true, ACK, first + 7));
            assert!(!passes(&mut table, 1, true, ACK, then), "{then}");
            // Said before the jump, and late.
            verdicts.say(said(1, 8, first + 8));
            table.learn(8);
            assert!(!passes(&mut table, 1, true, ACK, then + 1), "{then}");
            verdicts.say(said(1, 9, then + 8));
            table.learn(9);
            assert!(passes(&mut table, 1, true, ACK, then + 2), "{then}");
        }
    }

    #[test]
    fn what_opens_or_ends_a_connection_is_the_worker_s() {
        let (mut table, verdicts) = ForeignConnections::new();
        table.reach(Timestamp::new(5, 0));
        verdicts.say(said(1, 7, 10));
        table.learn(7);
        for flags in [0x01, 0x02, 0x04, 0x12, 0x14] {
            assert!(!passes(&mut table, 1, true, flags, 6));
        }
    }

    #[test]
    fn a_syn_voids_what_was_said_before_it_and_no_more() {
        let (mut table, verdicts) = ForeignConnections::new();
        table.reach(Timestamp::new(5, 0));
        verdicts.say(said(1, 7, 10));
        table.learn(7);
        assert!(passes(&mut table, 1, true, ACK, 6) && passes(&mut table, 1, false, ACK, 6));
        table.void(hash(1, false), 8);
        assert!(!passes(&mut table, 1, true, ACK, 6) && !passes(&mut table, 1, false, ACK, 6));
        // Of a segment before the SYN, and late.
        verdicts.say(said(1, 7, 10));
        table.learn(9);
        assert!(!passes(&mut table, 1, true, ACK, 6));
        verdicts.say(said(1, 9, 10));
        table.learn(9);
        assert!(passes(&mut table, 1, true, ACK, 6));
    }

    #[test]
    fn what_may_be_read_again_passes_until_it_may_begin() {
        let (mut table, verdicts) = ForeignConnections::new();
        table.reach(Timestamp::new(5, 0));
        let say = |sequence, may_resume| {
            verdicts.say(Foreign { may_resume, ..said(1, sequence, 10) });
        };
        let pass = |table: &mut ForeignConnections, upward, sequence, resumes: bool| {
            table.pass_over(hash(1, upward), (TcpFlags(ACK), 10), sequence, || resumes)
        };
        say(7, true);
        table.learn(7);
        assert!(pass(&mut table, true, 8, false) && pass(&mut table, false, 9, false));
        assert!(!pass(&mut table, true, 10, true));
        assert!(!pass(&mut table, true, 11, false) && !pass(&mut table, false, 12, false), "either way");
        // Said before, and late.
        say(9, true);
        table.learn(12);
        assert!(!pass(&mut table, true, 13, false));
        // Of that very segment, with which nothing began.
        say(10, true);
        table.learn(13);
        assert!(pass(&mut table, true, 14, false));
        // Now it is known what it is.
        say(15, false);
        table.learn(15);
        assert!(pass(&mut table, true, 16, true));
    }

    #[test]
    fn it_grows_with_the_connections_and_is_bounded() {
        let (mut table, verdicts) = ForeignConnections::new();
        table.reach(Timestamp::new(5, 0));
        // What was known is gone when it has grown: the last word has a round in which it did not.
        let mut sizes = vec![0, LEAST_SETS];
        while !sizes.ends_with(&[table.sets.len(); 2]) || sizes.len() < 20 {
            let sequence = sizes.len() as u64;
            for client in 0..u16::MAX {
                verdicts.say(said(client, sequence, 1_000));
                if usize::from(client) % QUEUE == 0 {
                    table.learn(sequence - 1);
                }
            }
            sizes.push(table.sets.len());
        }
        let known = (0..u16::MAX).filter(|&client| passes(&mut table, client, true, ACK, 6)).count();
        assert!(known > 60_000, "{known}");
        assert!(table.sets.len() > LEAST_SETS && table.sets.len() <= MOST_SETS);
    }
}
