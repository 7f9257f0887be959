//! Pieces of SCTP user messages become whole (RFC 9260 6.9).
//!
//! In: DATA chunks that hold a piece of a message, in capture order. Out: the message, when the last of its pieces has come.
//! A message has consecutive transmission numbers, on one stream of the association. Only SIP is waited for: an
//! association is known from the first piece on that begins like it. Pieces that come before it may be captured in front
//! of the first, which may end within the start line; they are kept until one begins another protocol, and go before those of known
//! associations. What was whole once and comes again is let go of (RFC 9260 6.2).
//!
//! Bounded in associations, pieces and bytes; what is too much, or too late, goes and is counted. Absent on purpose: the
//! pieces of one message sent to several addresses of a host, I-DATA chunks (RFC 8260).

use std::time::Duration;

use crate::decode::DataChunk;
use crate::flow::{Age, Direction, Endpoint, EntryId, FlowKey, PairHasher, Table};
use crate::reassembly::window::Window;
use crate::time::Timestamp;

/// Associations waited for at once, of each worker; about 600 bytes each.
const MAX_ASSOCIATIONS: usize = 10_000;

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
    associations: Table<Association>,
    hasher: PairHasher,
    bytes: usize,
    /// The latest that became whole.
    whole: Vec<u8>,
    given_up: u64,
    repeated: u64,
}

/// An association, as long as it is waited for.
#[derive(Debug, Default)]
struct Association {
    carries: Carries,
    ways: [Waiting; 2],
}

/// What an association carries, by the first pieces of its messages.
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
    pieces: Vec<Piece>,
    bytes: usize,
    /// The numbers of what was whole; none before the first.
    done: Option<Box<Window>>,
}

#[derive(Debug)]
struct Piece {
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
        let associations = Table::new(MAX_ASSOCIATIONS);
        let hasher = PairHasher::default();
        Self { associations, hasher, bytes: 0, whole: Vec::new(), given_up: 0, repeated: 0 }
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

    /// Takes a chunk that is a whole SIP message, and tells whether it has come before.
    pub fn is_repeated(
        &mut self,
        (source, destination): (Endpoint, Endpoint),
        chunk: &DataChunk<'_>,
        now: Timestamp,
    ) -> bool {
        let (key, direction) = FlowKey::new(source, destination);
        let hash = self.hasher.hash_either_way(source, destination);
        let id = self.association((hash, key), Carries::Sip, now);
        let Some((_, association)) = id.and_then(|id| self.associations.touch(id, now)) else { return false };
        let waiting = association.way(direction);
        let is_repeated = waiting.is_done(chunk.tsn);
        waiting.note(chunk.tsn);
        self.repeated += u64::from(is_repeated);
        is_repeated
    }

    /// Takes a piece that was sent between these endpoints; `begins_sip` says whether a message of which this is the first piece,
    /// or the whole, is SIP; nothing while that is open.
    pub fn piece(
        &mut self,
        (source, destination): (Endpoint, Endpoint),
        chunk: &DataChunk<'_>,
        now: Timestamp,
        begins_sip: impl Fn(&[u8]) -> Option<bool>,
    ) -> Taken<'_> {
        let (key, direction) = FlowKey::new(source, destination);
        let hash = self.hasher.hash_either_way(source, destination);
        let judge = |message: &[u8]| match begins_sip(message) {
            Some(true) => Carries::Sip,
            Some(false) => Carries::Other,
            None => Carries::Unknown,
        };
        let begins = if chunk.begin { judge(chunk.bytes) } else { Carries::Unknown };
        let Some(id) = self.association((hash, key), begins, now) else { return Taken::Not };
        let Some((_, association)) = self.associations.touch(id, now) else { return Taken::Not };
        let carries = association.carries;
        let is_known = carries == Carries::Sip;
        if begins == Carries::Other || carries == Carries::Other {
            return Taken::Not;
        }
        let waiting = association.way(direction);
        if waiting.is_done(chunk.tsn) {
            self.repeated += 1;
            return Taken::Held;
        }
        let before = waiting.held();
        let gone = waiting.make_room(chunk.bytes.len(), now);
        self.given_up += if is_known { gone } else { 0 };
        let run = waiting.add(chunk, now);
        self.whole.clear();
        if let Some((first, last)) = run {
            let done = waiting.done.get_or_insert_default();
            for piece in waiting.pieces.drain(first..=last) {
                done.note(piece.number);
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
            self.association((hash, key), judge(&self.whole), now);
        }
        match run {
            Some(_) => Taken::Whole(&self.whole),
            None if is_known => Taken::Held,
            None => Taken::Not,
        }
    }

    /// The association with that key, which knows what it carries now that a message of it `begins` so.
    fn association(
        &mut self,
        (hash, key): (u64, FlowKey),
        begins: Carries,
        now: Timestamp,
    ) -> Option<EntryId> {
        let id = match self.associations.find(hash) {
            Some(id) => id,
            None => {
                if self.associations.is_full() {
                    self.evict();
                }
                let id = self.associations.insert(hash, key, Association::default(), now)?;
                self.associations.move_to(id, Age::Closing, now);
                id
            }
        };
        let carries = self.associations.get(id)?.carries;
        if begins == Carries::Sip && carries != Carries::Sip {
            self.associations.move_to(id, Age::Live, now);
            self.associations.get_mut(id)?.1.carries = begins;
        } else if begins == Carries::Other && carries == Carries::Unknown {
            let known = self.associations.get_mut(id)?.1;
            let before = std::mem::replace(known, Association { carries: begins, ..Association::default() });
            self.bytes -= before.ways.iter().map(Waiting::held).sum::<usize>();
        }
        Some(id)
    }

    /// Lets packet time pass.
    pub fn expire(&mut self, now: Timestamp) {
        for age in [Age::Live, Age::Closing] {
            while let Some(id) = self.associations.expired(age, TIMEOUT, now) {
                if let Some((_, association)) = self.associations.remove(id) {
                    self.give_up(association);
                }
            }
        }
    }

    /// There will be no more.
    pub fn finish(&mut self) {
        while self.evict() {}
    }

    /// The association that was heard of least recently goes, first of those not known to carry SIP; false when there is
    /// none.
    fn evict(&mut self) -> bool {
        let oldest = self.associations.oldest(Age::Closing).or_else(|| self.associations.oldest(Age::Live));
        let oldest = oldest.and_then(|(id, _)| self.associations.remove(id));
        let is_there = oldest.is_some();
        oldest.into_iter().for_each(|(_, association)| self.give_up(association));
        is_there
    }

    fn give_up(&mut self, Association { carries, ways }: Association) {
        for way in ways {
            self.given_up += if carries == Carries::Sip { way.pieces.len() as u64 } else { 0 };
            self.bytes -= way.held();
        }
    }
}

impl Association {
    const fn way(&mut self, direction: Direction) -> &mut Waiting {
        let [up, down] = &mut self.ways;
        match direction {
            Direction::Up => up,
            Direction::Down => down,
        }
    }
}

impl Waiting {
    /// Bytes that it takes.
    fn held(&self) -> usize {
        self.bytes + self.pieces.capacity() * size_of::<Piece>() + self.pieces.len() * ALLOCATED
    }

    /// Whether what has that number was whole.
    fn is_done(&self, number: u32) -> bool {
        self.done.as_ref().is_some_and(|done| done.has(number))
    }

    /// What has that number is whole.
    fn note(&mut self, number: u32) {
        self.done.get_or_insert_default().note(number);
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
    fn add(&mut self, chunk: &DataChunk<'_>, now: Timestamp) -> Option<(usize, usize)> {
        let place = self.pieces.partition_point(|piece| is_before(piece.number, chunk.tsn));
        if self.pieces.get(place).is_some_and(|piece| piece.number == chunk.tsn) {
            return None;
        }
        let DataChunk { stream, tsn: number, begin, end, bytes, .. } = *chunk;
        self.bytes += bytes.len();
        self.pieces.insert(place, Piece { number, stream, begin, end, since: now, bytes: bytes.into() });
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
    use crate::flow::Address;

    const FIRST: &[u8] = b"INVITE sip:bob@example.com SIP/2.0\r\n";

    fn begins_sip(bytes: &[u8]) -> Option<bool> {
        const BEGIN: &[u8] = b"INVITE sip:";
        (!BEGIN.starts_with(bytes)).then(|| bytes.starts_with(BEGIN))
    }

    fn ends(port: u16) -> (Endpoint, Endpoint) {
        let host = |last| Address::v4([192, 0, 2, last]);
        (Endpoint::new(host(1), port), Endpoint::new(host(2), 5060))
    }

    fn now(second: u64) -> Timestamp {
        Timestamp::new(second, 0)
    }

    fn chunk(tsn: u32, (begin, end): (bool, bool), bytes: &[u8]) -> DataChunk<'_> {
        DataChunk { stream: 1, tsn, begin, end, protocol: 0, bytes, start: 0 }
    }

    /// What becomes of these pieces, given one a second.
    fn all(messages: &mut UserMessages, port: u16, chunks: &[DataChunk<'_>]) -> Vec<Option<String>> {
        let mut found = Vec::new();
        for (second, chunk) in (1..).zip(chunks) {
            found.push(match messages.piece(ends(port), chunk, now(second), begins_sip) {
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
        let repeated = |messages: &mut UserMessages, ends, chunk| messages.is_repeated(ends, chunk, now(1));
        assert!(!repeated(&mut messages, ends(1000), &alone) && !repeated(&mut messages, ends(1000), &other));
        assert!(repeated(&mut messages, ends(1000), &alone));
        let (source, destination) = ends(1000);
        assert!(
            !repeated(&mut messages, (destination, source), &alone),
            "the other direction has its own numbers"
        );
        assert!(!repeated(&mut messages, ends(1001), &alone), "and so has another association");
        let chunks = pieces(7);
        assert_eq!(all(&mut messages, 1000, &chunks).pop(), Some(Some(WHOLE.into())));
        assert_eq!(all(&mut messages, 1000, &chunks), vec![Some(String::new()); 4]);
        messages.finish();
        assert_eq!((messages.repeated(), messages.given_up()), (5, 0));
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
                    messages.piece(ends(5060), &chunk(20, (true, false), FIRST), now(9), begins_sip),
                    Taken::Held
                );
                assert_eq!(
                    messages.piece(ends(5060), &chunk(22, (false, false), b"A"), now(9), begins_sip),
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
        assert_eq!(messages.piece(ends(1), &first, now(1), begins_sip), Taken::Held);
        let long = vec![b'x'; 60_000];
        for port in 2..20_000 {
            assert_eq!(
                messages.piece(ends(port), &chunk(3, (false, false), &long), now(2), begins_sip),
                Taken::Not
            );
            assert!(messages.bytes <= MAX_BYTES_IN_ALL && messages.associations.len() <= MAX_ASSOCIATIONS);
        }
        let found = all(&mut messages, 1, &[second, third, last]);
        assert_eq!(found.last().unwrap().as_deref(), Some(WHOLE));
        // Another protocol begins: what was kept of it goes, and no more is kept.
        let mut messages = UserMessages::default();
        let diameter = [last, chunk(1, (true, false), &[1, 0, 1, 0]), second, third];
        assert_eq!(all(&mut messages, 3868, &diameter), [None, None, None, None]);
        assert_eq!((messages.bytes, messages.given_up, messages.associations.len()), (0, 0, 1));
        // SIP may come all the same.
        assert_eq!(
            all(&mut messages, 3868, &[first, second, third, last]).last().unwrap().as_deref(),
            Some(WHOLE)
        );
        messages.expire(now(70));
        assert_eq!((messages.bytes, messages.given_up, messages.associations.len()), (0, 0, 0));
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
        let (source, destination) = ends(3);
        assert_eq!(messages.piece((source, destination), &first, now(1), begins_sip), Taken::Held);
        for piece in [second, third, last] {
            assert_eq!(messages.piece((destination, source), &piece, now(1), begins_sip), Taken::Held);
        }
        messages.finish();
        assert_eq!((messages.given_up, messages.bytes, messages.associations.len()), (10, 0, 0));
    }

    #[test]
    fn nothing_is_kept_of_other_protocols() {
        let mut messages = UserMessages::default();
        let diameter = [chunk(1, (true, false), &[1, 0, 1, 0]), chunk(2, (false, true), &[0; 8])];
        assert_eq!(all(&mut messages, 3868, &diameter), [None, None]);
        assert_eq!((messages.bytes, messages.associations.len()), (0, 1), "but that it is another");
    }

    #[test]
    fn what_is_late_is_gone() {
        let mut messages = UserMessages::default();
        let [first, second, third, last] = pieces(7);
        for (piece, time) in [(first, 0), (second, 20), (third, 29), (last, 31)] {
            assert_eq!(messages.piece(ends(1), &piece, now(time), begins_sip), Taken::Held, "{time}");
        }
        assert_eq!(messages.given_up, 1);
        messages.expire(now(50));
        assert_eq!(messages.associations.len(), 1);
        messages.expire(now(70));
        assert_eq!((messages.associations.len(), messages.given_up, messages.bytes), (0, 4, 0));
    }

    /// What is counted is what is in memory: lists with their room, and the bytes of each piece.
    #[test]
    fn pieces_of_a_byte_are_bounded_too() {
        let mut messages = UserMessages::default();
        for port in 0..2500 {
            for number in 0..256 {
                let tiny = chunk(2 * number, (number == 0, false), if number == 0 { FIRST } else { b"x" });
                assert_ne!(messages.piece(ends(port), &tiny, now(1), begins_sip), Taken::Not);
            }
        }
        let ways = || messages.associations.ids().flat_map(|(_, it)| &it.ways);
        let in_memory: usize = ways().map(|way| way.pieces.capacity() * size_of::<Piece>() + way.bytes).sum();
        assert!(in_memory <= MAX_BYTES_IN_ALL, "{in_memory}");
        assert!(ways().map(|way| way.pieces.len()).sum::<usize>() > 100_000, "room is used");
    }

    #[test]
    fn there_is_an_end_to_all_of_it() {
        let mut messages = UserMessages::default();
        let long = vec![b'x'; 60_000];
        for port in 0..20_000 {
            let first = chunk(1, (true, false), FIRST);
            assert_eq!(messages.piece(ends(port), &first, now(1), begins_sip), Taken::Held);
            let more = chunk(3, (false, false), &long);
            assert_eq!(messages.piece(ends(port), &more, now(1), begins_sip), Taken::Held);
            assert!(messages.bytes <= MAX_BYTES_IN_ALL && messages.associations.len() <= MAX_ASSOCIATIONS);
        }
        let mut messages = UserMessages::default();
        assert_eq!(messages.piece(ends(1), &chunk(1, (true, false), FIRST), now(1), begins_sip), Taken::Held);
        for number in 0..100_000 {
            // Numbers that are in no order at all.
            let chunk = chunk(u32::wrapping_mul(number, 0x9e37_79b9), (false, false), b"abc");
            assert_eq!(messages.piece(ends(1), &chunk, now(1), begins_sip), Taken::Held);
            assert!(messages.bytes <= MAX_BYTES);
        }
        let held: usize =
            messages.associations.ids().flat_map(|(_, it)| &it.ways).map(|way| way.pieces.len()).sum();
        assert!(
            held <= MAX_PIECES && messages.given_up as usize + held >= 99_000,
            "{held} {}",
            messages.given_up
        );
    }
}
