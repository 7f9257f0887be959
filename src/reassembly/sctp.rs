//! Pieces of SCTP user messages become whole (RFC 9260 6.9).
//!
//! In: DATA chunks that hold a piece of a message, in capture order. Out: the message, when the last of its pieces has come.
//! A message has consecutive transmission numbers, on one stream of the association. Only SIP is waited for: a
//! direction of an association is known from the first piece on that begins like it. Pieces that come before it may be captured in
//! front of the first, which may end within the start line; they are kept until one begins another protocol, and go before those of
//! known directions.
//!
//! A direction is known by its verification tag and its ports ([`PairHasher::hash_tag`]), not by addresses: hosts may have several,
//! and what is sent again takes another (RFC 9260 6.4). An association that begins anew between the same endpoints has
//! other tags (5.2.4). What was whole once and comes again is let go of (6.2). It is known by all that it says: where
//! captures were made by hand, tags and numbers are those of others, too.
//!
//! Bounded in directions, pieces and bytes; what is too much, or too late, goes and is counted. Absent on purpose: I-DATA chunks
//! (RFC 8260).
//!
//! [`PairHasher::hash_tag`]: crate::flow::PairHasher::hash_tag

use std::hash::BuildHasher;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::decode::DataChunk;
use crate::flow::{Age, Endpoint, EntryId, FlowKey, Table};
use crate::reassembly::seen::Seen;
use crate::time::Timestamp;

/// Directions of associations waited for at once, of each worker; about 150 bytes each.
const MAX_DIRECTIONS: usize = 20_000;

/// Pieces that one direction may hold. The longest message has 47 in packets of 1,500 bytes.
const MAX_PIECES: usize = 256;

/// Bytes that one direction may hold, hence of the longest message: as much as a datagram has.
const MAX_BYTES: usize = 64 << 10;

/// Bytes that all may hold, of each worker, with what it takes to hold them. Attack: pieces of a byte.
const MAX_BYTES_IN_ALL: usize = 16 << 20;

/// What an allocator takes for a piece beside its bytes, and what it rounds up, about.
const ALLOCATED: usize = 24;

/// What a sender repeats a piece for, and a bit more (RFC 9260 16: ten times, up to a minute apart, at worst; nobody
/// waits for SIP that long).
const TIMEOUT: Duration = Duration::from_secs(30);

/// The messages that are not whole.
#[derive(Debug)]
pub struct UserMessages {
    /// Those that are not known to carry SIP age among the closing.
    directions: Table<Waiting>,
    bytes: usize,
    /// What was whole.
    seen: Seen,
    hasher: RandomState,
    /// The latest that became whole.
    whole: Vec<u8>,
    given_up: u64,
    repeated: u64,
}

/// What a direction carries, by the first pieces of its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Carries {
    /// None was seen.
    #[default]
    Unknown,
    Other,
    Sip,
}

/// What one direction has of messages that are not whole, in the order of its numbers.
#[derive(Debug, Default)]
struct Waiting {
    carries: Carries,
    pieces: Vec<Piece>,
    bytes: usize,
}

#[derive(Debug)]
struct Piece {
    /// What it is known by when it comes again.
    hash: u64,
    /// Its transmission sequence number.
    number: u32,
    stream: u16,
    begin: bool,
    end: bool,
    since: Timestamp,
    bytes: Box<[u8]>,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken<'a> {
    /// Nobody waits for it.
    Not,
    /// It waits for others, or has come before.
    Held,
    /// With it this message is whole.
    Whole(&'a [u8]),
}

impl Default for UserMessages {
    fn default() -> Self {
        Self {
            directions: Table::new(MAX_DIRECTIONS),
            bytes: 0,
            seen: Seen::default(),
            hasher: RandomState::default(),
            whole: Vec::new(),
            given_up: 0,
            repeated: 0,
        }
    }
}

impl UserMessages {
    /// Pieces of messages that did not become whole.
    #[must_use]
    pub const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Chunks that came again after they were whole.
    #[must_use]
    pub const fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Takes a chunk of that direction that is a SIP message by itself, and tells whether it has come before.
    pub fn is_repeated(&mut self, direction: u64, chunk: &DataChunk<'_>, now: Timestamp) -> bool {
        if let Some(id) = self.direction(direction, Carries::Sip, now) {
            self.directions.touch(id, now);
        }
        let chunk = self.hash(direction, chunk);
        let is_repeated = self.seen.has(chunk);
        if is_repeated {
            self.repeated += 1;
        } else {
            self.seen.note(chunk);
        }
        is_repeated
    }

    /// Takes a piece of that direction; `begins_sip` says whether a message of which this is the first piece, or the whole, is
    /// SIP; nothing while that is open.
    pub fn piece(
        &mut self,
        direction: u64,
        chunk: &DataChunk<'_>,
        now: Timestamp,
        begins_sip: impl Fn(&[u8]) -> Option<bool>,
    ) -> Taken<'_> {
        let judge = |message: &[u8]| match begins_sip(message) {
            Some(true) => Carries::Sip,
            Some(false) => Carries::Other,
            None => Carries::Unknown,
        };
        let begins = if chunk.begin { judge(chunk.bytes) } else { Carries::Unknown };
        let Some(id) = self.direction(direction, begins, now) else { return Taken::Not };
        let hash = self.hash(direction, chunk);
        let Some((_, waiting)) = self.directions.touch(id, now) else { return Taken::Not };
        let is_known = waiting.carries == Carries::Sip;
        if begins == Carries::Other || waiting.carries == Carries::Other {
            return Taken::Not;
        }
        if self.seen.has(hash) {
            self.repeated += 1;
            return Taken::Held;
        }
        let before = waiting.held();
        let gone = waiting.make_room(chunk.bytes.len(), now);
        self.given_up += if is_known { gone } else { 0 };
        let run = waiting.add(hash, chunk, now);
        self.whole.clear();
        if let Some((first, last)) = run {
            for piece in waiting.pieces.drain(first..=last) {
                self.seen.note(piece.hash);
                self.whole.extend_from_slice(&piece.bytes);
            }
            waiting.bytes -= self.whole.len();
            if waiting.pieces.is_empty() {
                waiting.pieces = Vec::new();
            }
        }
        self.bytes = self.bytes - before + waiting.held();
        while self.bytes > MAX_BYTES_IN_ALL && self.evict() {}
        if run.is_some() && !is_known {
            // Its first piece was too short to tell.
            self.direction(direction, judge(&self.whole), now);
        }
        match run {
            Some(_) => Taken::Whole(&self.whole),
            None if is_known => Taken::Held,
            None => Taken::Not,
        }
    }

    /// The direction with that hash, which knows what it carries now that a message of it `begins` so.
    fn direction(&mut self, hash: u64, begins: Carries, now: Timestamp) -> Option<EntryId> {
        let id = match self.directions.find(hash) {
            Some(id) => id,
            None => {
                if self.directions.is_full() {
                    self.evict();
                }
                // It may have any addresses.
                let (key, _) = FlowKey::new(Endpoint::default(), Endpoint::default());
                let id = self.directions.insert(hash, key, Waiting::default(), now)?;
                self.directions.move_to(id, Age::Closing, now);
                id
            }
        };
        let carries = self.directions.get(id)?.carries;
        if begins == Carries::Sip && carries != Carries::Sip {
            self.directions.move_to(id, Age::Live, now);
            self.directions.get_mut(id)?.1.carries = begins;
        } else if begins == Carries::Other && carries == Carries::Unknown {
            let known = self.directions.get_mut(id)?.1;
            let before = std::mem::replace(known, Waiting { carries: begins, ..Waiting::default() });
            self.bytes -= before.held();
        }
        Some(id)
    }

    /// What a chunk of that direction is known by when it comes again.
    fn hash(&self, direction: u64, chunk: &DataChunk<'_>) -> u64 {
        self.hasher.hash_one((direction, chunk.tsn, chunk.bytes))
    }

    /// Lets packet time pass.
    pub fn expire(&mut self, now: Timestamp) {
        for age in [Age::Live, Age::Closing] {
            while let Some(id) = self.directions.expired(age, TIMEOUT, now) {
                if let Some((_, waiting)) = self.directions.remove(id) {
                    self.give_up(&waiting);
                }
            }
        }
    }

    /// There will be no more.
    pub fn finish(&mut self) {
        while self.evict() {}
    }

    /// The direction that was heard of least recently goes, first of those not known to carry SIP; false when there is
    /// none.
    fn evict(&mut self) -> bool {
        let oldest = self.directions.oldest(Age::Closing).or_else(|| self.directions.oldest(Age::Live));
        let oldest = oldest.and_then(|(id, _)| self.directions.remove(id));
        let is_there = oldest.is_some();
        oldest.into_iter().for_each(|(_, waiting)| self.give_up(&waiting));
        is_there
    }

    fn give_up(&mut self, waiting: &Waiting) {
        self.given_up += if waiting.carries == Carries::Sip { waiting.pieces.len() as u64 } else { 0 };
        self.bytes -= waiting.held();
    }
}

impl Waiting {
    /// Bytes that it takes.
    fn held(&self) -> usize {
        self.bytes + self.pieces.capacity() * size_of::<Piece>() + self.pieces.len() * ALLOCATED
    }

    /// Lets go of what is too old, and of all when there is no room for so many bytes more; tells how many pieces that were.
    fn make_room(&mut self, bytes: usize, now: Timestamp) -> u64 {
        let before = self.pieces.len();
        let is_full = before >= MAX_PIECES || self.bytes + bytes > MAX_BYTES;
        self.pieces.retain(|piece| !is_full && now.since(piece.since) < TIMEOUT);
        if self.pieces.len() < before {
            self.bytes = self.pieces.iter().map(|piece| piece.bytes.len()).sum();
        }
        (before - self.pieces.len()) as u64
    }

    /// Puts a piece in its place, unless it is there; tells from where to where the pieces of its message are, if all are.
    fn add(&mut self, hash: u64, chunk: &DataChunk<'_>, now: Timestamp) -> Option<(usize, usize)> {
        let place = self.pieces.partition_point(|piece| is_before(piece.number, chunk.tsn));
        if self.pieces.get(place).is_some_and(|piece| piece.number == chunk.tsn) {
            return None;
        }
        let DataChunk { stream, tsn: number, begin, end, bytes, .. } = *chunk;
        self.bytes += bytes.len();
        let piece = Piece { hash, number, stream, begin, end, since: now, bytes: bytes.into() };
        self.pieces.insert(place, piece);
        let (before, after) = self.pieces.split_at_checked(place)?;
        let (this, after) = after.split_first()?;
        let back = reach(this, before.iter().rev(), |it| it.begin, |it, next| next.goes_on_with(it))?;
        let on = reach(this, after.iter(), |it| it.end, Piece::goes_on_with)?;
        Some((place - back, place + on))
    }
}

/// How many pieces there are from this one on to the first or the last of its message, if each `joins` the next.
fn reach<'a>(
    mut this: &'a Piece,
    others: impl Iterator<Item = &'a Piece>,
    is_end: fn(&Piece) -> bool,
    joins: fn(&Piece, &Piece) -> bool,
) -> Option<usize> {
    let mut count = 0;
    for next in others {
        if is_end(this) || !joins(this, next) {
            break;
        }
        this = next;
        count += 1;
    }
    is_end(this).then_some(count)
}

impl Piece {
    /// Whether `next` is the next of the same message.
    fn goes_on_with(&self, next: &Self) -> bool {
        next.number == self.number.wrapping_add(1) && next.stream == self.stream && !self.end && !next.begin
    }
}

/// Whether a number comes before another (RFC 9260 1.6, as RFC 1982 has it).
const fn is_before(number: u32, other: u32) -> bool {
    (number.wrapping_sub(other) as i32) < 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::PairHasher;

    const FIRST: &[u8] = b"INVITE sip:bob@example.com SIP/2.0\r\n";

    fn begins_sip(bytes: &[u8]) -> Option<bool> {
        const BEGIN: &[u8] = b"INVITE sip:";
        (!BEGIN.starts_with(bytes)).then(|| bytes.starts_with(BEGIN))
    }

    /// The direction with that tag.
    fn tag(tag: u32) -> u64 {
        PairHasher::seeded(1).hash_tag(tag, (5060, 5061))
    }

    fn now(second: u64) -> Timestamp {
        Timestamp::new(second, 0)
    }

    fn chunk(tsn: u32, (begin, end): (bool, bool), bytes: &[u8]) -> DataChunk<'_> {
        DataChunk { stream: 1, tsn, begin, end, protocol: 0, bytes, missing: 0, start: 0 }
    }

    /// What becomes of these pieces, given one a second.
    fn all(messages: &mut UserMessages, number: u32, chunks: &[DataChunk<'_>]) -> Vec<Option<String>> {
        let mut found = Vec::new();
        for (second, chunk) in (1..).zip(chunks) {
            found.push(match messages.piece(tag(number), chunk, now(second), begins_sip) {
                Taken::Not => None,
                Taken::Held => Some(String::new()),
                Taken::Whole(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            });
        }
        found
    }

    fn pieces(first: u32) -> [DataChunk<'static>; 4] {
        [
            chunk(first, (true, false), FIRST),
            chunk(first.wrapping_add(1), (false, false), b"A: 1\r\n"),
            chunk(first.wrapping_add(2), (false, false), b"B: 2\r\n"),
            chunk(first.wrapping_add(3), (false, true), b"\r\n"),
        ]
    }

    const WHOLE: &str = "INVITE sip:bob@example.com SIP/2.0\r\nA: 1\r\nB: 2\r\n\r\n";

    /// RFC 9260 6.2: what has come is let go of when it comes again, in pieces or not.
    #[test]
    fn what_was_whole_is_not_taken_twice() {
        let mut messages = UserMessages::default();
        let (alone, other) = (chunk(3, (true, true), FIRST), chunk(4, (true, true), FIRST));
        let repeated = |messages: &mut UserMessages, tag, chunk| messages.is_repeated(tag, chunk, now(1));
        assert!(!repeated(&mut messages, tag(1), &alone) && !repeated(&mut messages, tag(1), &other));
        assert!(repeated(&mut messages, tag(1), &alone));
        assert!(!repeated(&mut messages, tag(2), &alone), "another direction has its own numbers");
        let chunks = pieces(7);
        for number in [1, 2] {
            assert_eq!(all(&mut messages, number, &chunks).pop(), Some(Some(WHOLE.into())));
            assert_eq!(all(&mut messages, number, &chunks), vec![Some(String::new()); 4]);
        }
        // Numbers that begin anew, as those of captures made by hand.
        assert!(!repeated(&mut messages, tag(1), &chunk(4, (true, true), b"INVITE sip:carol@example.com")));
        messages.finish();
        assert_eq!((messages.repeated(), messages.given_up()), (9, 0));
    }

    /// Every order in which the first is not the last to come, over the end of the numbers too, and with each twice.
    #[test]
    fn a_message_is_whole_when_all_are_there() {
        for first in [7, u32::MAX - 2, u32::MAX, 0x7fff_fffe] {
            for order in [[0, 1, 2, 3], [0, 3, 2, 1], [0, 2, 1, 3], [0, 1, 3, 2], [0, 3, 1, 2]] {
                let pieces = order.map(|index: usize| pieces(first)[index]);
                let mut messages = UserMessages::default();
                let found = all(&mut messages, 5060, &pieces);
                assert_eq!(found.last().unwrap().as_deref(), Some(WHOLE), "{first} {order:?}");
                assert!(found[..3].iter().all(|held| held.as_deref() == Some("")));
                let mut twice = pieces.to_vec();
                twice.extend_from_slice(&pieces[..3]);
                twice.sort_by_key(|chunk| order.iter().position(|&at| pieces[at].tsn == chunk.tsn));
                assert!(all(&mut UserMessages::default(), 5060, &twice).contains(&Some(WHOLE.into())));
            }
        }
        let mut messages = UserMessages::default();
        assert_eq!(all(&mut messages, 1, &pieces(7)).last().unwrap().as_deref(), Some(WHOLE));
        let late = [pieces(11)[1], pieces(11)[3], pieces(11)[0], pieces(11)[2]];
        assert_eq!(all(&mut messages, 1, &late).last().unwrap().as_deref(), Some(WHOLE), "it is known now");
        assert_eq!((messages.bytes, messages.given_up), (0, 0));
    }

    /// RFC 9260 6.9: "DATA chunk fragments must be assigned TSNs sequentially"; in which order they are captured is up to the
    /// network. The first piece is the one that tells that all of them are SIP.
    #[test]
    fn pieces_may_come_in_front_of_the_first() {
        for order in [[3, 2, 1, 0], [1, 0, 2, 3], [2, 3, 0, 1], [3, 0, 1, 2]] {
            let mut messages = UserMessages::default();
            let pieces = order.map(|index: usize| pieces(7)[index]);
            let found = all(&mut messages, 5060, &pieces);
            assert_eq!(found.last().unwrap().as_deref(), Some(WHOLE), "{order:?}");
            assert_eq!(found[0], None, "nobody knows what it is");
            messages.finish();
            assert_eq!((messages.bytes, messages.given_up), (0, 0));
        }
    }

    /// RFC 9260 6.9 lets a sender cut anywhere.
    #[test]
    fn the_first_piece_may_be_too_short_to_tell() {
        let [first, second, third, last] = pieces(8);
        for cut in 1..FIRST.len() {
            let (begin, rest) = first.bytes.split_at(cut);
            let begin = DataChunk { tsn: 7, bytes: begin, ..first };
            let rest = DataChunk { begin: false, bytes: rest, ..first };
            for order in [[begin, rest, second, third, last], [last, rest, third, begin, second]] {
                let mut messages = UserMessages::default();
                let found = all(&mut messages, 5060, &order);
                assert_eq!(found.last().unwrap().as_deref(), Some(WHOLE), "{cut}");
                assert_eq!(
                    messages.piece(tag(5060), &chunk(20, (true, false), FIRST), now(9), begins_sip),
                    Taken::Held
                );
                assert_eq!(
                    messages.piece(tag(5060), &chunk(22, (false, false), b"A"), now(9), begins_sip),
                    Taken::Held
                );
                messages.finish();
                assert_eq!((messages.bytes, messages.given_up), (0, 2), "it is known from then on");
            }
        }
        // What began like it and is another protocol.
        let mut messages = UserMessages::default();
        let other = [
            chunk(1, (true, false), b"INV"),
            chunk(2, (false, true), b"OICE"),
            chunk(3, (false, false), b"x"),
        ];
        assert_eq!(all(&mut messages, 5060, &other), [None, Some("INVOICE".into()), None]);
        assert_eq!((messages.bytes, messages.given_up), (0, 0));
    }

    #[test]
    fn pieces_of_nobody_knows_what_go_first() {
        let mut messages = UserMessages::default();
        let [first, second, third, last] = pieces(7);
        assert_eq!(messages.piece(tag(1), &first, now(1), begins_sip), Taken::Held);
        let long = vec![b'x'; 60_000];
        for number in 2..30_000 {
            assert_eq!(
                messages.piece(tag(number), &chunk(3, (false, false), &long), now(2), begins_sip),
                Taken::Not
            );
            assert!(messages.bytes <= MAX_BYTES_IN_ALL && messages.directions.len() <= MAX_DIRECTIONS);
        }
        let found = all(&mut messages, 1, &[second, third, last]);
        assert_eq!(found.last().unwrap().as_deref(), Some(WHOLE));
        // Another protocol begins: what was kept of it goes, and no more is kept.
        let mut messages = UserMessages::default();
        let diameter = [last, chunk(1, (true, false), &[1, 0, 1, 0]), second, third];
        assert_eq!(all(&mut messages, 3868, &diameter), [None, None, None, None]);
        assert_eq!((messages.bytes, messages.given_up, messages.directions.len()), (0, 0, 1));
        // SIP may come all the same.
        assert_eq!(
            all(&mut messages, 3868, &[first, second, third, last]).last().unwrap().as_deref(),
            Some(WHOLE)
        );
        messages.expire(now(70));
        assert_eq!((messages.bytes, messages.given_up, messages.directions.len()), (0, 0, 0));
    }

    #[test]
    fn what_does_not_belong_together_is_not_put_together() {
        let mut messages = UserMessages::default();
        let [first, second, third, last] = pieces(7);
        let other_stream = DataChunk { stream: 2, ..third };
        assert!(
            all(&mut messages, 1, &[first, second, other_stream, last])
                .iter()
                .all(|held| held.as_deref() == Some(""))
        );
        // Another message begins where this one should go on, and is whole by itself.
        let again = DataChunk { tsn: 9, ..first };
        let found = all(&mut messages, 2, &[first, second, again, last]);
        assert_eq!(found.last().unwrap().as_deref(), Some("INVITE sip:bob@example.com SIP/2.0\r\n\r\n"));
        // The other direction has numbers of its own.
        assert_eq!(messages.piece(tag(3), &first, now(1), begins_sip), Taken::Held);
        assert_eq!(all(&mut messages, 4, &[second, third, last]), [None, None, None]);
        messages.finish();
        assert_eq!((messages.given_up, messages.bytes, messages.directions.len()), (7, 0, 0));
    }

    #[test]
    fn nothing_is_kept_of_other_protocols() {
        let mut messages = UserMessages::default();
        let diameter = [chunk(1, (true, false), &[1, 0, 1, 0]), chunk(2, (false, true), &[0; 8])];
        assert_eq!(all(&mut messages, 3868, &diameter), [None, None]);
        assert_eq!((messages.bytes, messages.directions.len()), (0, 1), "but that it is another");
    }

    #[test]
    fn what_is_late_is_gone() {
        let mut messages = UserMessages::default();
        let [first, second, third, last] = pieces(7);
        for (piece, time) in [(first, 0), (second, 20), (third, 29), (last, 31)] {
            assert_eq!(messages.piece(tag(1), &piece, now(time), begins_sip), Taken::Held, "{time}");
        }
        assert_eq!(messages.given_up, 1);
        messages.expire(now(50));
        assert_eq!(messages.directions.len(), 1);
        messages.expire(now(70));
        assert_eq!((messages.directions.len(), messages.given_up, messages.bytes), (0, 4, 0));
    }

    /// What is counted is what is in memory: lists with their room, and the bytes of each piece.
    #[test]
    fn pieces_of_a_byte_are_bounded_too() {
        let mut messages = UserMessages::default();
        for direction in 0..2500 {
            for number in 0..256 {
                let tiny = chunk(2 * number, (number == 0, false), if number == 0 { FIRST } else { b"x" });
                assert_ne!(messages.piece(tag(direction), &tiny, now(1), begins_sip), Taken::Not);
            }
        }
        let ways = || messages.directions.ids().map(|(_, it)| it);
        let in_memory: usize = ways().map(|way| way.pieces.capacity() * size_of::<Piece>() + way.bytes).sum();
        assert!(in_memory <= MAX_BYTES_IN_ALL, "{in_memory}");
        assert!(ways().map(|way| way.pieces.len()).sum::<usize>() > 100_000, "room is used");
    }

    #[test]
    fn there_is_an_end_to_all_of_it() {
        let mut messages = UserMessages::default();
        let long = vec![b'x'; 60_000];
        for number in 0..30_000 {
            let first = chunk(1, (true, false), FIRST);
            assert_eq!(messages.piece(tag(number), &first, now(1), begins_sip), Taken::Held);
            let more = chunk(3, (false, false), &long);
            assert_eq!(messages.piece(tag(number), &more, now(1), begins_sip), Taken::Held);
            assert!(messages.bytes <= MAX_BYTES_IN_ALL && messages.directions.len() <= MAX_DIRECTIONS);
        }
        let mut messages = UserMessages::default();
        assert_eq!(messages.piece(tag(1), &chunk(1, (true, false), FIRST), now(1), begins_sip), Taken::Held);
        for number in 0..100_000 {
            // Numbers that are in no order at all.
            let chunk = chunk(u32::wrapping_mul(number, 0x9e37_79b9), (false, false), b"abc");
            assert_eq!(messages.piece(tag(1), &chunk, now(1), begins_sip), Taken::Held);
            assert!(messages.bytes <= MAX_BYTES);
        }
        assert!(Table::<Waiting>::entry_size() <= 150, "what the cap says");
        let held: usize = messages.directions.ids().map(|(_, it)| it.pieces.len()).sum();
        assert!(
            held <= MAX_PIECES && messages.given_up as usize + held >= 99_000,
            "{held} {}",
            messages.given_up
        );
    }
}
