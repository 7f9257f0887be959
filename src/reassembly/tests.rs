//! The reassembler against plain models: the stream that the segments were cut from.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::decode::{TcpFlags, TcpHeader};
use crate::flow::{Address, Endpoint, PairHasher};
use crate::pipeline::Bytes;
use crate::reassembly::{
    Application, Budget, Chunk, Context, Counters, Direction, Limits, Reassembler, Segment, Verdict,
};
use crate::time::{PacketTime, Timestamp};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Data(Vec<u8>, bool),
    Gap(u64),
    End,
}

/// Notes what it is told; rejects streams that begin with `!`, holds what does not end with a full stop, and takes `>` for
/// the beginning of something to read.
#[derive(Debug, Default)]
struct Recorder {
    partial: usize,
}

type Log = Vec<(u64, Direction, Event)>;

impl Application for Recorder {
    type Output = Log;

    fn data(&mut self, context: &Context, chunk: &Chunk<'_>, output: &mut Log) -> Verdict {
        assert!(!chunk.bytes.is_empty());
        output.push((
            context.connection,
            context.direction,
            Event::Data(chunk.bytes.to_vec(), chunk.opening),
        ));
        self.partial = if chunk.bytes.last() == Some(&b'?') { 1000 } else { 0 };
        if chunk.bytes[0] == b'!' { Verdict::Reject } else { Verdict::Continue }
    }

    fn resumes(payload: &[u8]) -> bool {
        payload.first() == Some(&b'>')
    }

    fn gap(&mut self, context: &Context, lost: u64, output: &mut Log) {
        output.push((context.connection, context.direction, Event::Gap(lost)));
    }

    fn end(&mut self, context: &Context, output: &mut Log) {
        output.push((context.connection, context.direction, Event::End));
    }

    fn shed(&mut self) {
        self.partial = 0;
    }

    fn held(&self) -> usize {
        self.partial
    }
}

fn client() -> Endpoint {
    Endpoint::new(Address::v4([192, 0, 2, 1]), 40000)
}

fn server() -> Endpoint {
    Endpoint::new(Address::v4([192, 0, 2, 2]), 5060)
}

struct Wire {
    reassembler: Reassembler<Recorder>,
    budget: Arc<Budget>,
    log: Log,
    packets: u64,
    now: Timestamp,
}

impl Wire {
    fn new(limits: Limits) -> Self {
        let budget = Arc::new(Budget::default());
        let reassembler = Reassembler::new(limits, Arc::clone(&budget));
        Self { reassembler, budget, log: Log::new(), packets: 0, now: Timestamp::new(1000, 0) }
    }

    fn send(&mut self, source: Endpoint, flags: u8, sequence: u32, payload: &[u8]) -> &mut Self {
        self.send_cut(source, flags, sequence, payload, 0)
    }

    fn send_cut(
        &mut self,
        source: Endpoint,
        flags: u8,
        sequence: u32,
        payload: &[u8],
        missing: u32,
    ) -> &mut Self {
        self.send_any(source, flags, (sequence, 0), payload, missing)
    }

    fn send_any(
        &mut self,
        source: Endpoint,
        flags: u8,
        (sequence, acknowledgement): (u32, u32),
        payload: &[u8],
        missing: u32,
    ) -> &mut Self {
        let destination = if source == server() { client() } else { server() };
        let header = TcpHeader { sequence, acknowledgement, flags: TcpFlags(flags) };
        let place = Some(Bytes { length: payload.len() as u32, ..Bytes::default() });
        let hash = PairHasher::default().hash_either_way(source, destination);
        let captured = self.now;
        let segment = Segment { source, destination, hash, header, payload, place, missing, captured };
        self.packets += 1;
        self.reassembler.segment(None, (self.packets, Some(0)), self.now, &segment, &mut self.log);
        self
    }

    fn pass(&mut self, milliseconds: u64) -> &mut Self {
        self.now = self.now.after(Duration::from_millis(milliseconds));
        self.reassembler.expire(self.packets, PacketTime::plain(self.now), &mut self.log);
        self
    }

    fn finish(&mut self) -> &mut Self {
        self.reassembler.finish(self.packets, &mut self.log);
        assert_eq!(self.reassembler.connections(), 0);
        assert_eq!(format!("{:?}", self.budget), format!("{:?}", Budget::default()));
        self.balance();
        self
    }

    /// Nothing vanishes.
    fn balance(&self) {
        let c = self.reassembler.counters();
        let out =
            c.delivered_bytes + c.retransmitted_bytes + c.overlap_bytes + c.rejected_bytes + c.dropped_bytes;
        assert_eq!(c.payload_bytes, out + self.reassembler.waiting_bytes(), "{c:?}");
        let logged: usize = self
            .log
            .iter()
            .map(|(_, _, event)| if let Event::Data(bytes, _) = event { bytes.len() } else { 0 })
            .sum();
        assert_eq!(c.delivered_bytes, logged as u64);
    }

    fn counters(&self) -> Counters {
        *self.reassembler.counters()
    }

    /// What the client's stream said since the last look, neighbouring data joined; ` [n] ` is a gap, ` . ` the end.
    fn said(&mut self) -> String {
        let mut text = String::new();
        for (_, direction, event) in self.log.iter().filter(|(_, direction, _)| *direction == Direction::Up) {
            assert_eq!(*direction, Direction::Up);
            match event {
                Event::Data(bytes, _) => text.push_str(&String::from_utf8_lossy(bytes)),
                Event::Gap(lost) => text.push_str(&format!("[{lost}]")),
                Event::End => text.push('.'),
            }
        }
        text
    }
}

fn wire() -> Wire {
    Wire::new(Limits::default())
}

#[test]
fn in_order_out_of_order_and_twice() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, b"ab").send(client(), ACK, 104, b"ef");
    assert_eq!(wire.said(), "ab");
    wire.send(client(), ACK, 100, b"ab").send(client(), ACK, 101, b"bcde").send(client(), ACK, 104, b"ef");
    assert_eq!(wire.said(), "abcdef");
    assert_eq!(wire.log[0].2, Event::Data(b"ab".to_vec(), true));
    assert!(matches!(wire.log[1].2, Event::Data(_, false)));
    let counters = wire.counters();
    assert_eq!((counters.out_of_order_segments, counters.retransmitted_segments), (1, 2));
    assert_eq!((counters.overlaps, counters.streams, counters.midstream_pickups), (1, 1, 0));
    wire.finish();
}

#[test]
fn the_first_bytes_win() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send(client(), ACK, 102, b"cd").send(client(), ACK, 100, b"ABCDEF");
    assert_eq!(wire.said(), "ABcdEF");
    wire.send(client(), ACK, 100, b"xyzxyzG");
    assert_eq!(wire.said(), "ABcdEFG");
    wire.finish();
}

#[test]
fn a_hole_is_a_gap_after_a_second_and_not_before() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, b"ab").send(client(), ACK, 105, b"fg");
    // The receiver has them; the tap may still bring them.
    wire.send(server(), ACK, 1, b"").pass(999);
    assert_eq!(wire.said(), "ab");
    wire.pass(1);
    assert_eq!(wire.said(), "ab[3]fg");
    wire.send(client(), ACK, 102, b"cde").send(client(), ACK, 107, b"h");
    assert_eq!(wire.said(), "ab[3]fgh");
    assert_eq!((wire.counters().reassembly_gaps, wire.counters().gap_bytes), (1, 3));
    wire.finish();
}

/// What both said, the server in small letters.
fn conversation(wire: &Wire) -> String {
    wire.balance();
    let said = wire.log.iter().map(|(_, direction, event)| match (event, direction) {
        (Event::Data(bytes, _), Direction::Up) => String::from_utf8_lossy(bytes).to_uppercase(),
        (Event::Data(bytes, _), Direction::Down) => String::from_utf8_lossy(bytes).to_lowercase(),
        (Event::Gap(lost), _) => format!("[{lost}]"),
        (Event::End, _) => ".".into(),
    });
    said.collect()
}

/// The client says twelve bytes, of which the capture has six.
fn with_holes(limits: Limits) -> Wire {
    let mut wire = Wire::new(limits);
    wire.send(client(), SYN, 99, b"").send(server(), SYN, 299, b"").send(client(), ACK, 100, b"ab");
    wire.send(client(), ACK, 105, b"fg").send(client(), ACK, 110, b"kl");
    wire
}

/// RFC 9293 3.4: who acknowledges bytes has all before them, and what comes with that may answer them.
#[test]
fn what_waits_behind_a_hole_comes_before_its_answer() {
    for (acknowledged, at_once, in_the_end) in [
        (102, "ABs", "ABs"),
        (105, "ABs", "ABs"),
        (106, "AB", "AB[3]FGs"),
        (107, "AB", "AB[3]FGs"),
        (112, "AB", "AB[3]FG[3]KLs"),
        // More than was sent; and less than anything.
        (0x3000_0000, "AB", "AB[3]FG[3]KLs"),
        (0x9000_0000, "ABs", "ABs"),
    ] {
        let mut wire = with_holes(Limits::default());
        wire.send_any(server(), ACK, (300, acknowledged), b"s", 0).pass(99);
        assert_eq!(conversation(&wire), at_once, "{acknowledged}");
        wire.pass(1);
        assert_eq!(conversation(&wire), in_the_end, "{acknowledged}");
        wire.finish();
    }
    // A segment that the sender cannot have sent answers nothing, and neither does an acknowledgement alone.
    for (sequence, payload) in [(0x9000_0000, &b"s"[..]), (300, b"")] {
        let mut wire = with_holes(Limits::default());
        wire.send_any(server(), ACK, (sequence, 112), payload, 0).pass(900);
        assert_eq!(conversation(&wire), "AB");
        wire.finish();
    }
}

/// Taps and cards may bring what is missing behind the answer.
#[test]
fn an_answer_waits_for_what_is_missing() {
    let mut wire = with_holes(Limits::default());
    wire.send_any(server(), ACK, (300, 112), b"s", 0).pass(50);
    wire.send(client(), ACK, 107, b"hij").send(client(), ACK, 102, b"cde");
    assert_eq!(conversation(&wire), "ABCDEFGHIJKLs");
    assert_eq!((wire.counters().reassembly_gaps, wire.budget.memory()), (0, 0));
    wire.finish();
    // And answers in another order, each of which is answered again.
    let mut wire = with_holes(Limits::default());
    wire.send_any(server(), ACK, (301, 112), b"t", 0).send_any(client(), ACK, (112, 302), b"m", 0);
    wire.send_any(server(), ACK, (300, 112), b"s", 0).send_any(server(), ACK, (302, 113), b"u", 0).pass(50);
    assert_eq!(conversation(&wire), "AB");
    wire.send(client(), ACK, 102, b"cde").send(client(), ACK, 107, b"hij");
    assert_eq!((conversation(&wire).as_str(), wire.counters().reassembly_gaps), ("ABCDEFGHIJKLstMu", 0));
    wire.finish();
}

#[test]
fn what_comes_after_an_answer_waits_with_it() {
    let go_on = |wire: &mut Wire| {
        wire.send_any(server(), ACK, (300, 112), b"s", 0).send_any(client(), ACK, (112, 301), b"m", 0);
        wire.send_any(server(), ACK | FIN, (301, 113), b"t", 0);
        assert_eq!(conversation(wire), "AB");
    };
    let mut wire = with_holes(Limits::default());
    go_on(&mut wire);
    wire.pass(100);
    assert_eq!(conversation(&wire), "AB[3]FG[3]KLsMt.");
    wire.finish();
    // The end of the capture comes first.
    let mut wire = with_holes(Limits::default());
    go_on(&mut wire);
    wire.finish();
    assert_eq!(conversation(&wire), "AB[3]FG[3]KLsMt..");
    // It is too much, or another hole makes it wait again.
    let mut wire = with_holes(Limits { max_direction_segments: 4, ..Limits::default() });
    go_on(&mut wire);
    wire.send(client(), ACK, 113, b"n");
    assert_eq!(conversation(&wire), "AB[3]FG[3]KLsMt.N");
    let mut wire = with_holes(Limits::default());
    wire.send_any(server(), ACK, (300, 107), b"s", 0).pass(50).send_any(server(), ACK, (301, 112), b"t", 0);
    wire.pass(50);
    assert_eq!(conversation(&wire), "AB[3]FGs");
    wire.send(client(), ACK, 107, b"hij");
    assert_eq!(conversation(&wire), "AB[3]FGsHIJKLt");
    wire.finish();
}

/// No sequence of answers makes anything wait for longer than a hole does, and all of it is charged.
#[test]
fn answers_are_bounded() {
    let mut wire = with_holes(Limits { memory_limit: 20_000, ..Limits::default() });
    for number in 0..10_000 {
        wire.send_any(server(), ACK, (300 + number, 0x3000_0000), b"s", 0);
        assert!(wire.budget.memory() <= 20_000);
    }
    wire.balance();
    wire.finish();
}

#[test]
fn data_may_come_after_the_fin() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send(client(), FIN | ACK, 104, b"").send(client(), ACK, 102, b"cd");
    wire.pass(500).send(client(), ACK, 100, b"ab");
    assert_eq!(wire.said(), "abcd.");
    wire.send(client(), FIN | ACK, 104, b"").send(client(), ACK, 100, b"abcd");
    assert_eq!(wire.said(), "abcd.");
    wire.finish();
    assert_eq!(wire.said(), "abcd.");
    assert_eq!(wire.counters().streams, 1);
}

#[test]
fn a_fin_tells_of_bytes_that_never_come() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, b"ab").send(client(), FIN | ACK, 104, b"");
    wire.pass(1000);
    assert_eq!(wire.said(), "ab[2].");
    wire.finish();
}

#[test]
fn streams_are_joined_in_the_middle_and_seen_from_one_side() {
    let mut wire = wire();
    wire.send(server(), ACK, 7, b"").send(client(), ACK, 0xffff_fffe, b"abc").send(client(), ACK, 1, b"d");
    assert_eq!(wire.said(), "abcd");
    assert!(wire.log.iter().all(|(_, _, event)| matches!(event, Event::Data(_, false))));
    assert_eq!((wire.counters().midstream_pickups, wire.counters().segments), (1, 3));
    // A SYN that the tap brings late begins what has been joined.
    wire.send(client(), SYN, 0xffff_fffd, b"").send(client(), ACK, 2, b"e");
    assert_eq!(wire.said(), "abcde");
    assert_eq!(wire.counters().port_reuse, 0);
    wire.finish();
}

#[test]
fn the_answer_to_a_syn_opens_both_streams() {
    let mut wire = wire();
    let header = TcpHeader { sequence: 500, acknowledgement: 100, flags: TcpFlags(SYN | ACK) };
    let (source, destination, captured) = (server(), client(), wire.now);
    let place = None;
    let hash = PairHasher::default().hash_either_way(source, destination);
    let segment = Segment { source, destination, hash, header, payload: b"", place, missing: 0, captured };
    wire.reassembler.segment(None, (0, None), captured, &segment, &mut wire.log);
    wire.send(client(), ACK, 102, b"cd").send(client(), ACK, 100, b"ab");
    assert_eq!(wire.said(), "abcd");
    assert_eq!(wire.log[0].2, Event::Data(b"ab".to_vec(), true));
}

#[test]
fn a_new_syn_begins_a_new_connection() {
    for fin in [ACK, ACK | FIN, ACK | RST] {
        let mut wire = wire();
        wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, b"ab").send(client(), ACK, 103, b"d");
        wire.send(client(), SYN, 99, b"").send(client(), fin, 104, b"");
        wire.send(client(), SYN, 5000, b"").send(client(), SYN, 5000, b"").send(client(), ACK, 5001, b"xy");
        assert_eq!(wire.said().replace('.', ""), "ab[1]dxy");
        let numbers: Vec<u64> = wire.log.iter().map(|entry| entry.0).collect();
        assert_eq!((numbers[0], numbers[numbers.len() - 1]), (1, 6));
        assert!(matches!(&wire.log[wire.log.len() - 1].2, Event::Data(bytes, true) if bytes == b"xy"));
        assert_eq!((wire.counters().port_reuse, wire.counters().streams), (1, 2));
        wire.finish();
    }
}

/// RFC 9293 3.10.7.4: in a connection that is up a SYN is none of it, nor in one that is over; 3.4.1 lets numbers be chosen otherwise than
/// by a clock.
#[test]
fn a_syn_of_the_same_number_begins_a_new_connection_behind_data() {
    for fin in [ACK, ACK | FIN, ACK | RST] {
        let mut wire = wire();
        let both = |wire: &mut Wire, said: &[u8]| {
            wire.send(client(), SYN, 99, b"").send_any(server(), SYN | ACK, (499, 100), b"", 0);
            wire.send_any(client(), ACK, (100, 500), said, 0).send_any(server(), ACK, (500, 102), b"s", 0);
        };
        // RFC 6298 2.1: what nothing answers is sent again after a second.
        wire.send(client(), SYN, 99, b"").pass(1000).send(client(), SYN, 99, b"").pass(2000);
        both(&mut wire, b"ab");
        assert_eq!(wire.counters().port_reuse, 0);
        // And another one, whose clock is seconds behind.
        wire.send(client(), SYN, 99, b"").send_any(client(), ACK, (100, 500), b"ab", 0);
        assert_eq!(wire.counters().port_reuse, 0);
        wire.pass(12_000);
        both(&mut wire, b"cd");
        wire.send_any(client(), fin, (102, 501), b"", 0);
        wire.send_any(server(), fin, (501, 102 + u32::from(fin & FIN)), b"", 0);
        // Another tap has it 400 ms later.
        wire.pass(400);
        both(&mut wire, b"cd");
        assert_eq!(wire.counters().port_reuse, 1);
        wire.pass(60_000);
        both(&mut wire, b"ef");
        let said = |direction| {
            let events = wire.log.iter().filter(|(_, of, _)| *of == direction);
            events
                .filter_map(|(number, _, event)| match event {
                    Event::Data(bytes, true) => Some((*number, bytes.clone())),
                    Event::Data(..) | Event::Gap(_) => panic!("{event:?}"),
                    Event::End => None,
                })
                .unzip::<_, _, Vec<_>, Vec<_>>()
        };
        let ((up, ups), (down, downs)) = (said(Direction::Up), said(Direction::Down));
        assert_eq!((ups, downs), (["ab", "cd", "ef"].map(Vec::from).into(), vec![b"s".to_vec(); 3]));
        assert_eq!((wire.counters().port_reuse, wire.counters().streams, up), (2, 3, down));
        wire.finish();
    }
}

/// Of one side alone, nothing says what was acknowledged.
#[test]
fn a_stream_of_one_side_begins_anew_with_the_same_number() {
    let mut wire = wire();
    for said in [b"ab", b"cd"] {
        wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, said).send(client(), ACK | FIN, 102, b"");
        wire.pass(10_000);
    }
    assert_eq!(wire.said(), "ab.cd.");
    wire.finish();
}

#[test]
fn ports_are_used_again_and_the_syn_was_lost() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send(client(), FIN, 100, b"ab").send(server(), FIN, 7, b"s");
    wire.send(client(), ACK, 0x7000_0000, b"xy");
    assert_eq!(wire.said(), "ab.xy");
    assert_eq!(wire.log.last().unwrap().0, 4);
    wire.finish();
}

/// RFC 9293 3.4.1: initial sequence numbers come from a clock, so those of the next connection are anywhere.
#[test]
fn ports_are_used_again_without_a_captured_syn_or_end() {
    for end in [ACK, ACK | FIN, ACK | RST] {
        for leap in [0x0180_0000, 0x2000_0000, 0x6000_0000, 0x9000_0000, 0xe000_0000, 0xfff0_0000_u32] {
            let mut wire = wire();
            wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, b"ab").send(server(), ACK, 7, b"s");
            wire.send_any(client(), end, (102, 8), b"", 0);
            let (up, down) = (102_u32.wrapping_add(leap), 8_u32.wrapping_add(leap));
            wire.send_any(client(), ACK, (up, down), b">xy", 0);
            assert_eq!(wire.said().replace('.', ""), "ab>xy", "{end} {leap:x}: at once, and no gap");
            wire.send_any(server(), ACK, (down, up.wrapping_add(3)), b">S", 0);
            assert_eq!(wire.log.last().unwrap(), &(5, Direction::Down, Event::Data(b">S".to_vec(), false)));
            assert_eq!(wire.counters().streams, 2);
            wire.finish();
        }
    }
}

/// What each connection's client said, in the order in which they began; neighbouring data joined, ` [n] ` is a gap.
fn apart(wire: &Wire) -> Vec<String> {
    let mut said: Vec<(u64, String)> = Vec::new();
    for (connection, _, event) in wire.log.iter().filter(|entry| entry.1 == Direction::Up) {
        let text = match event {
            Event::Data(bytes, _) => String::from_utf8_lossy(bytes).into_owned(),
            Event::Gap(lost) => format!("[{lost}]"),
            Event::End => String::new(),
        };
        match said.iter_mut().find(|one| one.0 == *connection) {
            Some((_, before)) => before.push_str(&text),
            None => said.push((*connection, text)),
        }
    }
    said.sort_unstable();
    said.into_iter().map(|one| one.1).collect()
}

/// RFC 9293 3.4.1: nobody outside may guess a sequence number, so firewalls choose others. Wherever they lie, and however much later
/// the other side is heard, both sides say all.
#[test]
fn a_connection_with_two_spaces_of_numbers_is_two() {
    let pieces: Vec<&[u8]> =
        [&b">one "[..], b"and ", b"a half", b">two", b"s ", b">three ", b"in all"].repeat(9);
    let whole: String = pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect();
    for offset in [0x0180_0000, 0x2000_0000, 0x6000_0000, 0x9000_0000, 0xe000_0000, 0xf700_0000_u32] {
        for (skew, begin, opened) in
            (0..9).flat_map(|skew| [(skew, 0, true), (skew, 0, false), (skew, 1, false)])
        {
            let mut wire = wire();
            for first in [99, offset.wrapping_add(99)].into_iter().filter(|_| opened) {
                wire.send(client(), SYN, first, b"");
            }
            let mut at = [100, offset.wrapping_add(100)];
            let mut say = |wire: &mut Wire, side: usize, piece: &[u8]| {
                wire.send(client(), ACK, at[side], piece).pass(10);
                at[side] = at[side].wrapping_add(piece.len() as u32);
                wire.balance();
            };
            let pieces = &pieces[begin..];
            for step in 0..pieces.len() + skew {
                pieces.get(step).into_iter().for_each(|piece| say(&mut wire, 0, piece));
                let later = step.checked_sub(skew).and_then(|step| pieces.get(step));
                later.into_iter().for_each(|piece| say(&mut wire, 1, piece));
            }
            let whole = if begin == 0 { &whole } else { &whole[5..] };
            assert_eq!(apart(&wire), [whole, whole], "{offset:x}, {skew} later, from {begin}");
            assert_eq!((wire.counters().streams, wire.counters().reassembly_gaps), (2, 0));
            wire.pass(20_000).finish();
        }
    }
}

/// Both directions have numbers of their own, and the server is heard on its side first.
#[test]
fn a_second_space_has_both_directions() {
    let near = 0x0010_0000;
    for (client_offset, server_offset) in [
        (0x7000_0000, 0),
        (0x7000_0000, 0x3000_0000),
        (0, 0x3000_0000),
        (0x7000_0000, near),
        (near, 0x7000_0000),
    ] {
        for order in [[1, 0], [0, 1]] {
            let mut wire = wire();
            let (up, down) = ([99, 99 + client_offset], [7, 7 + server_offset]);
            for side in [0, 1] {
                wire.send(client(), SYN, up[side], b"");
            }
            for side in order {
                wire.send_any(server(), SYN | ACK, (down[side], up[side] + 1), b"", 0);
            }
            for turn in 0..10 {
                for side in [0, 1] {
                    wire.send_any(
                        client(),
                        ACK,
                        (up[side] + 1 + 3 * turn, down[side] + 1 + 3 * turn),
                        b">xy",
                        0,
                    );
                }
                for side in order {
                    wire.send_any(
                        server(),
                        ACK,
                        (down[side] + 1 + 3 * turn, up[side] + 4 + 3 * turn),
                        b">YX",
                        0,
                    );
                }
            }
            let sides = 1 + usize::from(client_offset > 0);
            assert_eq!(apart(&wire), vec![">xy".repeat(10); sides], "{client_offset:x} {server_offset:x}");
            let answers =
                wire.log.iter().filter(|entry| matches!(&entry.2, Event::Data(bytes, _) if bytes == b">YX"));
            assert_eq!(answers.count(), if server_offset > 0 { 20 } else { 10 });
            assert_eq!(wire.counters().reassembly_gaps, 0);
            for side in [0, 1] {
                wire.send_any(client(), ACK | FIN, (up[side] + 31, down[side] + 31), b"", 0);
                wire.send_any(server(), ACK | FIN, (down[side] + 31, up[side] + 32), b"", 0);
            }
            // The port is used again, and again there are two sides.
            let (up, before) = ([0xa000_0000, 0x1234_0000], wire.log.len());
            for side in [0, 1] {
                wire.send(client(), SYN, up[side], b"").send(client(), ACK, up[side] + 1, b">again");
            }
            let again = |entry: &&(u64, Direction, Event)| matches!(&entry.2, Event::Data(bytes, true) if bytes == b">again");
            assert_eq!(wire.log[before..].iter().filter(again).count(), 2);
            wire.finish();
        }
    }
}

/// A client that numbers anew with every SYN, and one that forges segments that begin something, hold no more than two connections.
#[test]
fn there_are_no_more_than_two_spaces() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, b">a");
    for number in 1..200_u32 {
        let sequence = number.wrapping_mul(0x0765_4321);
        wire.send(client(), SYN, sequence, b"").send(client(), ACK, !sequence, b">forged");
        assert!(wire.reassembler.connections() <= 2);
    }
    wire.send(client(), ACK, 102, b"b");
    assert_eq!(apart(&wire)[0], ">ab");
    wire.finish();
}

#[test]
fn a_hole_is_no_other_connection() {
    // One number fits; or neither, but nothing begins there; or both are as far as a loss explains.
    let (far, near) = (0x2000_0000, 0x00ff_0000);
    for (up, down, payload) in [(far, 0, b">x"), (0, far, b">x"), (far, far, b"xy"), (near, near, b">x")] {
        let mut wire = wire();
        wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, b"ab").send(server(), ACK, 7, b"s");
        wire.send_any(client(), ACK, (102 + up, 8 + down), payload, 0);
        assert_eq!(wire.counters().port_reuse, 0, "{up} {down}");
        wire.finish();
    }
}

#[test]
fn what_follows_a_declined_connection_is_read() {
    for end in [FIN, RST] {
        let mut wire = wire();
        wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, b"!no").send(client(), ACK, 103, b">x");
        wire.send(client(), ACK | end, 105, b"").send(client(), ACK, 106, b"more");
        assert_eq!(wire.said(), "!no", "it was declined for ever");
        wire.send(client(), ACK, 50_000, b">xy").send(client(), ACK, 50_003, b"z");
        assert_eq!(wire.said(), "!no>xyz", "{end}");
        assert_eq!(wire.counters().port_reuse, 1);
        wire.finish();
    }
}

#[test]
fn one_forged_segment_does_not_kill_a_stream() {
    // Behind the beginning, far ahead, within the window: data, SYN with data, FIN and RST.
    for (flags, sequence) in
        [(ACK, 50), (ACK, 0x6000_0000), (ACK, 0x9000_0000), (ACK, 60_000), (ACK, 1_000_000)]
            .into_iter()
            .chain([
                (FIN, 100_000),
                (RST, 90_000),
                (RST, 0x7000_0000),
                (FIN | ACK, 0x4000_0000),
                (SYN, 77_777),
            ])
    {
        for pause in [0, 2000] {
            let mut wire = wire();
            wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, b"ab");
            wire.send(client(), flags, sequence, b"FORGED").pass(pause);
            let mut at = 102;
            for _ in 0..100 {
                wire.send(client(), ACK, at, &[b'c'; 1000]).pass(10);
                at += 1000;
            }
            wire.pass(2000).send(client(), ACK, at, b"z").pass(2000);
            let got = wire.said().bytes().filter(|&byte| byte == b'c').count();
            assert!(got >= 100_000 - 65_536, "{flags} {sequence} {pause}: {got}");
            assert!(wire.said().trim_end_matches('.').ends_with('z'), "{flags} {sequence} {pause}");
            wire.finish();
        }
    }
}

#[test]
fn a_stream_that_stands_still_is_picked_up_where_its_sender_is() {
    let mut wire = wire();
    wire.send(client(), ACK, 100, b"ab").send(client(), ACK, 0x8000_0000, b"xy").pass(1000);
    assert_eq!(wire.said(), "ab[0]xy");
    wire.send(client(), ACK, 0x8000_0002, b"z");
    wire.send(client(), ACK, 0x1000_0000, b"one").send(client(), ACK, 0x1000_0003, b"two");
    assert_eq!(wire.said(), "ab[0]xyzonetwo");
    assert_eq!((wire.counters().repickups, wire.counters().streams), (1, 2));
    wire.finish();
}

#[test]
fn keep_alives_and_window_probes_change_nothing() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send(client(), ACK, 99, b"\0").send(client(), ACK, 100, b"ab");
    wire.send(client(), ACK, 101, b"").send(client(), ACK, 101, b"\0").send(client(), ACK, 102, b"c");
    wire.send(client(), ACK, 102, b"cd").send(client(), ACK, 104, b"e");
    assert_eq!(wire.said(), "abcde");
    assert_eq!((wire.counters().keepalive_probes, wire.counters().retransmitted_segments), (2, 0));
    wire.finish();
}

#[test]
fn what_the_snap_length_cut_off_is_a_gap_when_more_comes() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send_cut(client(), ACK, 100, b"ab", 8);
    assert_eq!(wire.said(), "ab");
    wire.send_cut(client(), ACK, 120, b"uv", 8).send_cut(client(), ACK, 110, b"kl", 8);
    assert_eq!(wire.said(), "ab[8]kl[8]uv");
    wire.send_cut(client(), ACK | FIN, 130, b"xy", 8);
    assert_eq!(wire.said(), "ab[8]kl[8]uv[8]xy[8].");
    assert_eq!(wire.counters().snapped_bytes, 32);
    wire.finish();
    let mut wire = self::wire();
    wire.send(client(), SYN, 99, b"").send_cut(client(), ACK, 100, b"", 10).send(client(), ACK, 110, b"kl");
    assert_eq!(wire.said(), "[10]kl");
    wire.finish();
}

#[test]
fn a_reset_ends_both_streams_but_lets_the_late_arrive() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, b"ab").send(server(), RST, 7, b"");
    assert_eq!(wire.said(), "ab");
    wire.send(client(), ACK, 102, b"cd").pass(1000);
    assert_eq!(wire.said(), "abcd.");
    wire.pass(100_000);
    assert_eq!((wire.reassembler.connections(), wire.counters().resets), (0, 1));
    wire.finish();
}

/// RFC 5961 3.2: in the window, but not exactly the next number, a RST ends nothing.
#[test]
fn a_reset_that_no_receiver_obeys_ends_nothing() {
    let begin = || {
        let mut wire = wire();
        wire.send(client(), SYN, 99, b"").send_any(client(), ACK, (100, 300), b"ab", 0);
        wire.send_any(server(), SYN | ACK, (299, 100), b"", 0).send_any(server(), ACK, (300, 102), b"S", 0);
        wire
    };
    for (sender, number) in [
        (client(), 100),
        (client(), 101),
        (client(), 103),
        (client(), 1_000),
        (client(), 0x3000_0000),
        (server(), 300),
        (server(), 302),
    ] {
        let mut wire = begin();
        wire.send(sender, RST, number, b"").pass(2_000).send(client(), ACK, 102, b"cd").pass(100_000);
        assert_eq!(wire.said(), "abcd", "{number}");
        assert_eq!((wire.counters().resets, wire.counters().resets_ignored), (0, 1));
        wire.finish();
    }
    // The next number, that behind a FIN, and what the receiver waits for where the capture lost what came before it.
    for (flags, acknowledged, number) in [(ACK, 102, 102), (FIN | ACK, 102, 103), (ACK, 106, 106)] {
        let mut wire = begin();
        wire.send(client(), flags, 102, b"").send_any(server(), ACK, (301, acknowledged), b"T", 0);
        wire.send(client(), RST, number, b"").pass(1_000);
        assert_eq!(wire.said(), "ab.", "{number}");
        assert_eq!(wire.log.iter().filter(|(_, _, event)| *event == Event::End).count(), 2);
        assert_eq!((wire.counters().resets, wire.counters().resets_ignored), (1, 0));
        wire.finish();
    }
}

#[test]
fn a_rejected_connection_costs_its_entry_only() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send(client(), ACK, 110, b"later").send(client(), ACK, 100, b"!");
    wire.send(client(), ACK, 101, b"more").send(server(), ACK, 7, b"answer").send(server(), ACK, 90, b"hole");
    assert_eq!(wire.said(), "!");
    let counters = wire.counters();
    assert_eq!((counters.rejected_streams, counters.rejected_bytes), (1, 19));
    assert_eq!((wire.budget.memory(), wire.budget.holding(), wire.budget.connections()), (0, 0, 1));
    wire.send(client(), SYN, 9000, b"").send(client(), ACK, 9001, b"new");
    assert_eq!(wire.said(), "!new");
    wire.finish();
}

#[test]
fn silence_ends_a_stream() {
    let mut wire = wire();
    wire.send(client(), SYN, 99, b"").send(client(), ACK, 100, b"ab").pass(600_000);
    assert_eq!(wire.said(), "ab");
    wire.pass(1000);
    assert_eq!(wire.said(), "ab.");
    assert_eq!(wire.counters().streams_timed_out, 1);
}

fn port(number: u16) -> Endpoint {
    Endpoint::new(Address::v4([192, 0, 2, 1]), number)
}

#[test]
fn the_least_recently_used_connection_makes_room() {
    let mut wire = Wire::new(Limits { max_connections: 2, ..Limits::default() });
    for (second, number) in [1, 2, 1, 3].into_iter().enumerate() {
        wire.send(port(number), ACK, second as u32 * 2, b"ab").pass(2000);
    }
    let ended: Vec<u64> =
        wire.log.iter().filter(|entry| entry.2 == Event::End).map(|entry| entry.0).collect();
    assert_eq!(ended, [2, 2]);
    assert_eq!((wire.counters().streams_evicted, wire.budget.connections()), (1, 2));
    wire.finish();
}

#[test]
fn holding_bytes_needs_leave() {
    let limits = Limits { max_holding: Some(1), queue: 1, backpressure: false, ..Limits::default() };
    let mut wire = Wire::new(limits);
    wire.send(port(1), ACK, 0, b"a?").send(port(2), ACK, 0, b"b?").send(port(3), ACK, 0, b"c?");
    assert_eq!((wire.budget.holding(), wire.budget.queued(), wire.counters().streams_shed), (1, 1, 1));
    wire.send(port(1), ACK, 2, b"!");
    assert_eq!((wire.budget.holding(), wire.budget.queued()), (1, 0));
    wire.send(port(4), ACK, 0, b"d?").pass(119_999);
    assert_eq!(wire.budget.queued(), 1);
    wire.pass(1);
    assert_eq!((wire.budget.holding(), wire.budget.queued(), wire.counters().streams_shed), (1, 0, 2));
    wire.finish();
}

#[test]
fn under_backpressure_the_least_recently_active_holder_yields() {
    let mut wire = Wire::new(Limits { max_holding: Some(2), queue: 0, ..Limits::default() });
    wire.send(port(1), ACK, 0, b"a?").send(port(2), ACK, 0, b"b?").pass(2000).send(port(1), ACK, 2, b"a?");
    wire.send(port(3), ACK, 0, b"c?");
    assert_eq!((wire.budget.holding(), wire.counters().streams_shed), (2, 1));
    // Shedding was port 2's part: the others still hold.
    wire.send(port(1), ACK, 4, b"a").send(port(3), ACK, 2, b"c");
    assert_eq!(wire.budget.holding(), 0);
    wire.finish();
}

#[test]
fn memory_and_segments_are_capped() {
    let limits = Limits { memory_limit: 10_000, max_buffers: Some(20), ..Limits::default() };
    let mut wire = Wire::new(limits);
    for number in 1..=50 {
        wire.send(port(number), ACK, 0, b"a");
        for at in 1..=30 {
            wire.send(port(number), ACK, at * 100, &[b'x'; 90]);
            assert!(wire.budget.memory() <= 10_000 && wire.budget.buffers() <= 20);
        }
    }
    assert!(wire.counters().segment_memcap_drop > 0);
    assert_eq!(wire.counters().dropped_bytes, 0);
    wire.finish();
}

#[test]
fn one_direction_holds_no_more_than_its_share() {
    let limits = Limits { max_direction_segments: 3, ..Limits::default() };
    let mut wire = Wire::new(limits);
    wire.send(client(), SYN, 99, b"").send(client(), ACK, 110, b"k").send(client(), ACK, 112, b"m");
    wire.send(client(), ACK, 114, b"o");
    assert_eq!(wire.said(), "");
    wire.send(client(), ACK, 100, b"a").send(client(), ACK, 102, b"c");
    assert_eq!(wire.said(), "a[1]c");
    wire.send(client(), ACK, 116, b"q");
    assert_eq!(wire.said(), "a[1]c[7]k");
    wire.finish();
}

#[test]
fn bytes_that_nobody_completes_are_given_up() {
    let mut wire = wire();
    wire.send(client(), ACK, 0, b"a?").pass(290_000);
    assert_eq!(wire.budget.holding(), 1);
    wire.pass(60_000);
    assert_eq!((wire.budget.holding(), wire.counters().streams_shed), (0, 1));
    wire.finish();
}

/// Cuts of a stream of `length` bytes: pieces that cover it, and others that repeat parts of it.
fn pieces(length: usize) -> impl Strategy<Value = Vec<(usize, usize)>> {
    let cuts = prop::collection::btree_set(1..length, 0..20);
    let extra = prop::collection::vec((0..length, 1usize..60), 0..15);
    (cuts, extra).prop_map(move |(cuts, extra)| {
        let bounds: Vec<usize> = [0].into_iter().chain(cuts).chain([length]).collect();
        let cover = bounds.windows(2).map(|pair| (pair[0], pair[1]));
        let repeat = extra.into_iter().map(|(from, count)| (from, (from + count).min(length)));
        cover.chain(repeat).collect()
    })
}

fn stream(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + (at * 7 % 26) as u8).collect()
}

proptest! {
    /// Any order of any cuts, anywhere in sequence space, is the stream.
    #[test]
    fn any_order_of_any_pieces_is_the_stream(
        isn in prop_oneof![any::<u32>(), (u32::MAX - 600)..=u32::MAX],
        pieces in pieces(500).prop_shuffle(),
        fin_at in 0usize..20,
    ) {
        let bytes = stream(500);
        let mut wire = wire();
        wire.send(client(), SYN, isn, b"");
        for (index, &(from, to)) in pieces.iter().enumerate() {
            if index == fin_at {
                wire.send(client(), FIN | ACK, isn.wrapping_add(501), b"");
            }
            wire.send(client(), ACK, isn.wrapping_add(1 + from as u32), &bytes[from..to]).pass(10);
            wire.balance();
        }
        let said = wire.said();
        prop_assert_eq!(said.trim_end_matches('.'), String::from_utf8(bytes).unwrap());
        prop_assert_eq!(said.ends_with('.'), fin_at < pieces.len());
        prop_assert_eq!(wire.counters().reassembly_gaps, 0);
        prop_assert_eq!(wire.budget.memory(), 0);
        wire.finish();
    }

    /// What is lost is told exactly: the stream is what was delivered with the gaps filled in.
    #[test]
    fn losses_are_gaps_of_the_right_size(
        isn in any::<u32>(),
        sizes in prop::collection::vec((1usize..200, prop::bool::weighted(0.2), 0u64..400), 1..60),
        timely in any::<bool>(),
    ) {
        let bytes = stream(sizes.iter().map(|size| size.0).sum());
        let mut wire = wire();
        wire.send(client(), SYN, isn, b"");
        let (mut at, mut lost) = (0, 0);
        for (size, is_lost, pause) in sizes {
            if is_lost {
                lost += size;
            } else {
                wire.send(client(), ACK, isn.wrapping_add(1 + at as u32), &bytes[at..at + size]);
            }
            at += size;
            wire.pass(if timely { pause } else { 0 });
        }
        wire.send(client(), FIN | ACK, isn.wrapping_add(1 + at as u32), b"").pass(1000);
        let mut position = 0;
        for (_, _, event) in &wire.log {
            match event {
                Event::Data(data, _) => {
                    prop_assert_eq!(&bytes[position..position + data.len()], &data[..]);
                    position += data.len();
                }
                Event::Gap(lost) => position += *lost as usize,
                Event::End => prop_assert_eq!(position, bytes.len()),
            }
        }
        prop_assert_eq!(wire.counters().gap_bytes, lost as u64);
        prop_assert_eq!(position, bytes.len());
        wire.finish();
    }

    /// Nonsense from many senders, under tight caps: nothing vanishes, nothing leaks, nothing panics.
    #[test]
    fn nothing_vanishes(
        steps in prop::collection::vec(
            (0u16..6, any::<bool>(), 0u8..32, prop_oneof![0u32..300, any::<u32>()], 0usize..50, 0u64..900),
            1..300,
        ),
        caps in (1usize..6, 300usize..4000, 0usize..4, 0usize..4, any::<bool>()),
    ) {
        let (max_connections, memory_limit, holding, queue, backpressure) = caps;
        let mut wire = Wire::new(Limits {
            max_connections, memory_limit, max_holding: Some(holding), queue, backpressure,
            max_buffers: Some(4), max_direction_segments: 3, max_direction_bytes: 600,
            stream_timeout: Duration::from_secs(5), closing_timeout: Duration::from_secs(2),
            max_queue_time: Duration::from_secs(2), buffer_max_age: Duration::from_secs(3),
            cleanup_interval: Duration::from_secs(1), ..Limits::default()
        });
        for (number, upward, flags, sequence, length, pause) in steps {
            let mut payload = vec![b'x'; length];
            payload.iter_mut().last().into_iter().for_each(|byte| *byte = if sequence % 3 == 0 { b'?' } else { b'.' });
            payload.iter_mut().take(usize::from(sequence % 17 == 0)).for_each(|byte| *byte = b'!');
            // Half of the flag sets are plain ACKs.
            let flags = if flags < 16 { ACK } else { flags - 16 };
            if upward {
                wire.send(port(number), flags, sequence, &payload);
            } else {
                wire.send(server(), flags, sequence, &payload);
            }
            wire.balance();
            prop_assert!(wire.budget.holding() <= holding);
            prop_assert!(wire.budget.connections() <= max_connections);
            wire.pass(pause);
            wire.balance();
        }
        wire.finish();
    }
}

#[test]
fn an_idle_connection_costs_what_the_limits_say() {
    use crate::flow::Table;
    use crate::reassembly::connection::Connection;
    assert!(
        Table::<Connection<Recorder>>::entry_size() <= 220,
        "{}",
        Table::<Connection<Recorder>>::entry_size()
    );
    assert!(size_of::<crate::sip::SipStream>() <= 500, "{}", size_of::<crate::sip::SipStream>());
}
