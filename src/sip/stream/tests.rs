//! Streams written by hand, cut in every way.

use std::sync::Arc;

use proptest::prelude::*;

use crate::capture::LinkType;
use crate::decode::{TcpFlags, TcpHeader};
use crate::flow::{Address, Direction, Endpoint, PairHasher};
use crate::pipeline::{Bytes, Place};
use crate::reassembly::{Application, Budget, Chunk, Context, Limits, Reassembler, Segment, Space, Verdict};
use crate::sip::{Carriage, Faults, FrameHeader, Messages, Share, SipStream, SipTransport, StreamCounters};
use crate::time::Timestamp;

const BODY: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

fn headers(number: usize, method: &str) -> String {
    format!(
        "Via: SIP/2.0/TCP a.example;branch=z9hG4bK{number}\r\nFrom: <sip:a@a.example>;tag=1\r\n\
         To: <sip:b@b.example>\r\nCall-ID: {number}@a.example\r\nCSeq: {number} {method}\r\n"
    )
}

fn invite(number: usize) -> String {
    let headers = headers(number, "INVITE");
    format!(
        "INVITE sip:b@b.example SIP/2.0\r\n{headers}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    )
}

fn options(number: usize) -> String {
    format!("OPTIONS sip:b@b.example SIP/2.0\r\n{}Content-Length: 0\r\n\r\n", headers(number, "OPTIONS"))
}

fn answer(number: usize) -> String {
    format!("SIP/2.0 200 OK\r\n{}l: 0\r\n\r\n", headers(number, "OPTIONS"))
}

/// Gives one connection's streams to a [`SipStream`] and collects what it finds.
struct Play {
    stream: SipStream,
    output: Messages,
    found: Vec<String>,
    /// Which of these were cut, by their number, and what is missing of them.
    cut: Vec<(usize, Faults, u32)>,
    copied: usize,
    verdict: Verdict,
    fresh: [bool; 2],
    time: u64,
}

impl Play {
    /// A connection whose SYN was seen, or not.
    fn new(opening: bool) -> Self {
        let (stream, output) = (SipStream::default(), Messages::default());
        let (found, verdict) = (Vec::new(), Verdict::Continue);
        let cut = Vec::new();
        Self { stream, output, found, cut, copied: 0, verdict, fresh: [opening; 2], time: 0 }
    }

    fn context(&self, direction: Direction) -> Context {
        let low = Endpoint::new(Address::v4([192, 0, 2, 1]), 40000);
        let high = Endpoint::new(Address::v4([192, 0, 2, 2]), 5060);
        let (source, destination) = if direction == Direction::Up { (low, high) } else { (high, low) };
        let timestamp = Timestamp(self.time);
        Context {
            sequence: self.time,
            timestamp,
            direction,
            source,
            destination,
            connection: 7,
            packet: Some(0),
            space: Space::Only,
        }
    }

    fn say(&mut self, direction: Direction, bytes: &[u8]) -> &mut Self {
        self.say_part(direction, bytes, 0)
    }

    /// A segment of whose end `missing` bytes were not captured.
    fn say_part(&mut self, direction: Direction, bytes: &[u8], missing: u32) -> &mut Self {
        self.time += 1;
        if self.stream.may_resume() && SipStream::resumes(bytes) {
            // As reassembly does it.
            (self.stream, self.verdict) = (SipStream::default(), Verdict::Continue);
        }
        if self.verdict == Verdict::Reject || bytes.is_empty() {
            return self;
        }
        let opening = std::mem::take(&mut self.fresh[direction as usize]);
        let place = Some(Bytes { place: Place::Packets, start: 1000, length: bytes.len() as u32 });
        let captured = Timestamp(self.time);
        let chunk = Chunk { bytes, place, captured, opening, segment_start: true, missing };
        let context = self.context(direction);
        self.verdict = self.stream.data(&context, &chunk, &mut self.output);
        self.take_messages(bytes);
        self
    }

    /// Takes what was found, some of it in the bytes of the segment at hand.
    fn take_messages(&mut self, bytes: &[u8]) {
        for message in self.output.list.drain(..) {
            let Bytes { place, start, length } = message.bytes;
            let (start, length) = (start as usize, length as usize);
            let text = match place {
                Place::Packets => &bytes[start - 1000..start - 1000 + length],
                _ => &self.output.arena[start..start + length],
            };
            self.copied += usize::from(place == Place::Streams);
            let (first, last) = message.media;
            assert!(first <= last && last as usize <= self.output.media.len());
            if let Carriage::Stream { missing: missing @ 1.., .. } = message.carriage {
                self.cut.push((self.found.len(), message.head.faults, missing));
            }
            let prefix = if message.transport == SipTransport::Ws { "ws " } else { "" };
            self.found.push(format!("{prefix}{}", String::from_utf8_lossy(text)));
        }
    }

    fn up(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.say(Direction::Up, bytes.as_ref())
    }

    fn down(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.say(Direction::Down, bytes.as_ref())
    }

    fn gap(&mut self, lost: u64) -> &mut Self {
        let context = self.context(Direction::Up);
        self.stream.gap(&context, lost, &mut self.output);
        self.take_messages(&[]);
        self
    }

    fn end(&mut self) -> StreamCounters {
        for direction in Direction::BOTH {
            let context = self.context(direction);
            self.stream.end(&context, &mut self.output);
        }
        self.take_messages(&[]);
        assert_eq!(self.stream.held(), 0);
        self.output.counters
    }
}

/// Plays a stream upwards, cut at those places.
fn cut(opening: bool, bytes: &[u8], mut cuts: Vec<usize>) -> (Vec<String>, Verdict, StreamCounters) {
    let mut play = Play::new(opening);
    play.output.settings.max_message = 2000;
    cuts.sort_unstable();
    let mut last = 0;
    for at in cuts.into_iter().chain([bytes.len()]) {
        play.up(&bytes[last..at]);
        last = at;
    }
    let counters = play.end();
    (play.found, play.verdict, counters)
}

fn websocket(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![opcode];
    match payload.len() {
        length @ 0..126 => frame.push(masked | length as u8),
        length => {
            frame.push(masked | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    frame.extend(mask.into_iter().flatten());
    let key = mask.unwrap_or_default();
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: b.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n";
const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n";
const MASK: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

fn http() -> String {
    let body = options(1);
    format!("POST /sip HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Streams, and how many messages are in them.
fn streams() -> Vec<(Vec<u8>, usize)> {
    let messages = [invite(1), options(2), answer(3), invite(4)].concat();
    let keepalives = ["\r\n\r\n", &invite(1), "\r\n\r\n", &options(2), "\r\n", &invite(3), "\n"].concat();
    let bodyless =
        format!("MESSAGE sip:b@b.example SIP/2.0\r\n{}\r\nno length is told", headers(9, "MESSAGE"));
    let large = format!(
        "MESSAGE sip:b@b.example SIP/2.0\r\n{}Content-Length: 5000\r\n\r\n{}",
        headers(9, "MESSAGE"),
        "x".repeat(5000)
    );
    let head = UPGRADE.as_bytes();
    let (first, second) = (invite(1).into_bytes()[..100].to_vec(), invite(1).into_bytes()[100..].to_vec());
    vec![
        (messages.clone().into_bytes(), 4),
        (keepalives.into_bytes(), 3),
        (messages.replace("\r\n", "\n").replace("Content-Length: ", "Content-Length: 00").into_bytes(), 0),
        ([options(1).replace("\r\n", "\n"), options(2)].concat().into_bytes(), 2),
        ([&bodyless, &options(2)[..], &invite(3)].concat().into_bytes(), 3),
        ([&large, &options(2)[..]].concat().into_bytes(), 2),
        (http().into_bytes(), 0),
        ([&[0x16, 3, 1, 0, 90][..], invite(1).as_bytes()].concat(), 0),
        (
            [
                head,
                &websocket(0x81, options(1).as_bytes(), MASK),
                &websocket(0x89, b"ping", MASK),
                &websocket(0x02, &first, MASK),
                &websocket(0x8a, b"pong", MASK),
                &websocket(0x80, &second, MASK),
                &websocket(0x81, b"\r\n\r\n", MASK),
                &websocket(0x82, answer(3).as_bytes(), MASK),
            ]
            .concat(),
            3,
        ),
    ]
}

#[test]
fn whole_messages_stay_where_they_are() {
    let mut play = Play::new(true);
    play.up([invite(1), options(2)].concat())
        .down(answer(2))
        .up([options(3), invite(4)[..99].into()].concat());
    assert_eq!(play.found, [invite(1), options(2), answer(2), options(3)]);
    assert_eq!((play.copied, play.output.media.len()), (0, 1));
    assert!(play.stream.held() > 0);
    play.up([&invite(4)[99..], &options(5)].concat());
    assert_eq!(play.found[4..], [invite(4), options(5)]);
    assert_eq!((play.copied, play.stream.held()), (1, 0));
    let counters = play.end();
    assert_eq!((counters.messages, counters.incomplete, counters.skipped_bytes), (6, 0, 0));
    assert_eq!((counters.streams_created, counters.streams_completed), (1, 1));
    assert_eq!((play.output.ended[0].messages, play.output.ended[0].connection), (6, 7));
}

#[test]
fn cut_at_every_byte() {
    for (bytes, messages) in streams() {
        let whole = cut(true, &bytes, Vec::new());
        if messages > 0 {
            assert_eq!(whole.0.len(), messages, "{}", String::from_utf8_lossy(&bytes));
        }
        for at in 1..bytes.len() {
            assert_eq!(
                cut(true, &bytes, vec![at]),
                whole,
                "cut at {at}: {}",
                String::from_utf8_lossy(&bytes)
            );
        }
        assert_eq!(cut(true, &bytes, (1..bytes.len()).collect()), whole);
    }
}

#[test]
fn foreign_streams_are_rejected_for_good() {
    // The hello is whole and does not name SIP; of one that may still do so more is waited for.
    let hello = vec![0x16, 3, 1, 0, 1, 1];
    for (first, tls) in [(http().into_bytes(), 0), (hello, 1), (b"\0\0\0\x05hello".to_vec(), 0)] {
        for opening in [true, false] {
            let mut play = Play::new(opening);
            play.up(&first);
            if opening || first[0] != 0 {
                assert_eq!(play.verdict, Verdict::Reject);
                assert_eq!(play.output.counters.rejected_streams, 1);
                assert_eq!(play.output.counters.tls_streams, tls);
            }
            assert!(play.found.is_empty());
            play.end();
            assert!(play.output.ended.is_empty());
        }
    }
}

/// RFC 4475 3.1.2.16 begins so, and a server answers it with 505.
#[test]
fn sip_may_follow_what_begins_like_nothing_known() {
    for begin in ["OPTIONS sip:b@b.example SIP/7.0\r\nl: 0\r\n\r\n", "\0\0\0\0", "220 hello\r\n"] {
        let mut play = Play::new(true);
        play.up(begin);
        assert_eq!((play.verdict, play.output.counters.rejected_streams), (Verdict::Reject, 1), "{begin}");
        play.up("x").down(answer(1)).up(options(2)).down(answer(2));
        assert_eq!(play.found, [answer(1), options(2), answer(2)], "{begin}");
    }
}

#[test]
fn a_load_balancer_may_say_who_speaks() {
    let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 40000 5060\r\n";
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x9c\x40\x13\xc4";
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for header in [&line[..], binary, local] {
        let bytes = [header, options(1).as_bytes(), invite(2).as_bytes()].concat();
        for cuts in [vec![], vec![header.len()], (1..bytes.len()).collect()] {
            assert_eq!(cut(true, &bytes, cuts).0, [options(1), invite(2)]);
        }
        let upgrade = [header, UPGRADE.as_bytes(), &websocket(0x81, options(3).as_bytes(), MASK)].concat();
        assert_eq!(cut(true, &upgrade, vec![]).0, [format!("ws {}", options(3))]);
    }
}

#[test]
fn a_confirmed_direction_is_not_lost_with_the_other() {
    let mut play = Play::new(true);
    play.up(options(1)).down("garbage that no start line begins with\r\n").up(options(2));
    assert_eq!(play.verdict, Verdict::Continue);
    play.down("more of it").down(answer(2)).down(answer(3));
    assert_eq!(play.found, [options(1), options(2), answer(2), answer(3)]);
}

#[test]
fn after_a_gap_nothing_more_is_lost() {
    let mut play = Play::new(true);
    play.up([&options(1), &invite(2)[..200]].concat()).gap(50);
    play.up([&invite(2)[250..], &options(3), &invite(4)].concat());
    assert_eq!(play.found, [&options(1), &invite(2)[..200], &options(3), &invite(4)]);
    let counters = play.end();
    assert_eq!((counters.resynchronisations, counters.streams_failed, counters.incomplete), (1, 1, 0));
}

#[test]
fn joined_in_the_middle_of_a_body() {
    for from in [1, 10, 60, 200, invite(1).len() - 5] {
        let mut play = Play::new(false);
        play.up([&invite(1)[from..], &options(2), &invite(3)].concat()).down(answer(2));
        assert_eq!(play.found, [options(2), invite(3), answer(2)], "from {from}");
        assert_eq!(play.verdict, Verdict::Continue);
    }
}

#[test]
fn a_search_has_an_end_but_a_message_at_a_segment_start_is_taken_up() {
    let mut play = Play::new(false);
    for _ in 0..200 {
        play.up([b'#'; 1000]);
    }
    assert_eq!((play.verdict, play.stream.may_resume(), play.stream.held()), (Verdict::Reject, true, 0));
    assert_eq!(play.output.counters.rejected_streams, 0, "who knows what it is");
    play.up(["####", &options(1)].concat()).up("abc").up(&options(1)[..30]);
    assert!(play.found.is_empty() && play.stream.may_resume());
    play.up(options(2)).up([&options(3), &options(4)[..40]].concat()).up(&options(4)[40..]);
    assert_eq!(play.found, [options(2), options(3), options(4)]);
}

#[test]
fn a_search_ends_with_one_direction_unless_the_other_is_known() {
    let mut play = Play::new(false);
    play.down(&options(1)[..50]);
    for _ in 0..200 {
        play.up([b'#'; 1000]);
    }
    assert_eq!((play.verdict, play.stream.may_resume(), play.stream.held()), (Verdict::Reject, true, 0));
    play.down(options(2)).up(answer(2)).up(websocket(0x81, options(3).as_bytes(), MASK));
    assert_eq!(play.found, [options(2), answer(2)]);
    // A WebSocket is taken up as well, and so is the upgrade to one.
    for begin in [websocket(0x81, options(4).as_bytes(), MASK), UPGRADE.into()] {
        let mut play = Play::new(false);
        for _ in 0..200 {
            play.up([b'#'; 1000]);
        }
        play.up(&begin).up(websocket(0x81, options(5).as_bytes(), MASK));
        assert_eq!(play.found.last(), Some(&format!("ws {}", options(5))));
    }
    let mut play = Play::new(false);
    play.down(options(1));
    for _ in 0..200 {
        play.up([b'#'; 1000]);
    }
    assert_eq!(play.verdict, Verdict::Continue);
    play.down(options(2)).up(answer(2));
    assert_eq!(play.found, [options(1), options(2), answer(2)]);
}

#[test]
fn large_bodies_are_passed_over_and_may_have_holes() {
    let mut play = Play::new(true);
    play.output.settings.max_message = 1000;
    let head = format!("MESSAGE sip:b@b SIP/2.0\r\n{}Content-Length: 100000\r\n\r\n", headers(1, "MESSAGE"));
    play.up([&head, "xxxx"].concat());
    for _ in 0..95 {
        play.up([b'y'; 1000]);
        assert_eq!(play.stream.held(), 0);
    }
    play.gap(4000).up([&[b'z'; 996][..], options(2).as_bytes()].concat());
    assert_eq!(play.found, [head, options(2)]);
    let counters = play.end();
    assert_eq!((counters.oversize, counters.oversize_bytes, counters.skipped_bytes), (1, 96_000, 0));
}

#[test]
fn websocket_in_both_directions() {
    let mut play = Play::new(true);
    play.up(UPGRADE).down(UPGRADED).up(websocket(0x81, invite(1).as_bytes(), MASK));
    play.down(websocket(0x82, answer(1).as_bytes(), None)).down(websocket(0x88, b"", None));
    assert_eq!(play.found, [format!("ws {}", invite(1)), format!("ws {}", answer(1))]);
    let counters = play.end();
    assert_eq!((counters.websocket_frames, counters.messages, counters.streams_completed), (3, 2, 1));
}

#[test]
fn websocket_joined_in_the_middle_and_after_a_gap() {
    let mut play = Play::new(false);
    let frames = |number| websocket(0x81, invite(number).as_bytes(), MASK);
    play.up(&frames(1)[50..]).up(frames(2)).gap(100).up(&frames(3)[100..]).up(frames(4)).up(frames(5));
    let numbers = [2, 4, 5].map(|number| format!("ws {}", invite(number)));
    assert_eq!(play.found, numbers);
}

#[test]
fn an_http_stream_without_sip_is_rejected() {
    let mut play = Play::new(true);
    play.up(UPGRADE.replace("Sec-WebSocket-Protocol: sip", "Sec-WebSocket-Protocol: chat"));
    assert_eq!(play.verdict, Verdict::Reject);
}

#[test]
fn a_head_that_says_too_little_is_counted_not_told() {
    // Up to within the line of CSeq, which is the last of those that every message has (RFC 3261 8.1.1).
    let cseq = invite(1).find("CSeq").unwrap();
    for length in [40, 100, cseq, cseq + 10] {
        let mut play = Play::new(true);
        play.up(&invite(1)[..length]);
        let counters = play.end();
        assert_eq!((play.found.len(), counters.incomplete, counters.streams_created), (0, 1, 0));
    }
}

/// Bytes of the head of `invite(1)`, and of all of it.
fn lengths() -> (usize, usize) {
    (invite(1).find("\r\n\r\n").unwrap() + 4, invite(1).len())
}

fn faults(list: &[Faults]) -> Faults {
    let mut faults = Faults::default();
    list.iter().for_each(|&fault| faults.add(fault));
    faults
}

#[test]
fn a_message_that_is_cut_in_its_body_is_told_as_far_as_it_goes() {
    let (head, all) = lengths();
    let truncated = faults(&[Faults::TRUNCATED]);
    for kept in head..all {
        let (part, missing) = (&invite(1)[..kept], (all - kept) as u32);
        // By the snap length: at once, and what follows is in step.
        let mut play = Play::new(true);
        play.say_part(Direction::Up, part.as_bytes(), missing);
        assert_eq!(
            (&play.found[..], &play.cut[..]),
            (&[part.to_owned()][..], &[(0, truncated, missing)][..])
        );
        play.gap(u64::from(missing)).up(options(2)).up([&invite(3), &options(4)[..]].concat());
        assert_eq!(play.found[1..], [options(2), invite(3), options(4)]);
        let counters = play.end();
        assert_eq!((counters.resynchronisations, counters.skipped_bytes, counters.incomplete), (0, 0, 0));
        assert_eq!((counters.streams_created, counters.streams_failed, counters.messages), (1, 1, 4));

        // By the snap length, before another segment of it: the rest is passed over.
        let mut play = Play::new(true);
        play.say_part(Direction::Up, &part.as_bytes()[..head], missing - 1);
        play.gap((all - head - 1) as u64).up(["\n", &options(2)].concat());
        assert_eq!(play.found, [&invite(1)[..head], &options(2)]);

        // By a hole, and by the end.
        let mut play = Play::new(true);
        play.up([&options(9), part].concat());
        assert_eq!(play.found, [options(9)]);
        play.gap(u64::from(missing)).up(options(2));
        assert_eq!(
            (&play.found[1..], &play.cut[..]),
            (&[part.into(), options(2)][..], &[(1, truncated, missing)][..])
        );
        let mut play = Play::new(true);
        play.up(part);
        let counters = play.end();
        assert_eq!((&play.found[..], counters.incomplete), (&[part.to_owned()][..], 0));
        assert_eq!(play.output.ended[0].messages, 1);
    }
}

#[test]
fn a_message_that_is_cut_in_its_head_is_told_when_that_says_enough() {
    let (head, all) = lengths();
    // The last field that it must have does not go on in the line behind it.
    let enough = invite(1).find("Content-Type").unwrap() + 1;
    for kept in enough..head {
        let (part, missing) = (&invite(1)[..kept], (all - kept) as u32);
        for by_hole in [false, true] {
            let mut play = Play::new(true);
            play.say_part(Direction::Up, part.as_bytes(), if by_hole { 0 } else { missing });
            play.gap(u64::from(missing)).up([options(2), options(3)].concat());
            assert_eq!(play.found, [part, &options(2), &options(3)]);
            assert!(
                matches!(play.cut[..], [(0, found, lost)] if found.has(Faults::UNTERMINATED) && lost == missing)
            );
        }
    }
}

#[test]
fn what_is_missing_and_comes_after_all_is_passed_over() {
    let (head, all) = lengths();
    let mut play = Play::new(true);
    play.say_part(Direction::Up, &invite(1).as_bytes()[..head + 9], (all - head - 9) as u32);
    play.up([&invite(1)[head + 9..], &options(2)].concat());
    assert_eq!(play.found, [&invite(1)[..head + 9], &options(2)]);
    assert_eq!(play.end().skipped_bytes, (all - head - 9) as u64);
}

#[test]
fn a_websocket_message_that_is_cut_is_told_and_its_frames_are_kept_track_of() {
    let (head, all) = lengths();
    let frame = websocket(0x81, invite(1).as_bytes(), MASK);
    for kept in [head, head + 1, all - 1] {
        for by_hole in [false, true] {
            let mut play = Play::new(true);
            play.up(UPGRADE);
            let part = &frame[..frame.len() - (all - kept)];
            let missing = (all - kept) as u32;
            play.say_part(Direction::Up, part, if by_hole { 0 } else { missing }).gap(u64::from(missing));
            play.up(websocket(0x81, options(2).as_bytes(), MASK));
            assert_eq!(play.found, [format!("ws {}", &invite(1)[..kept]), format!("ws {}", options(2))]);
            assert_eq!(play.cut, [(0, faults(&[Faults::TRUNCATED]), missing)]);
        }
    }
}

/// Plays segments of at most `size` bytes.
fn in_segments(play: &mut Play, direction: Direction, bytes: &[u8], size: usize) {
    bytes.chunks(size).for_each(|segment| {
        play.say(direction, segment);
    });
}

#[test]
fn a_websocket_is_taken_up_at_a_frame_of_several_segments() {
    let more = "a=x:y\r\n".repeat(400);
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    let (short, all) = (length(BODY.len()), length(BODY.len() + more.len()));
    let long = |number| format!("{}{more}", invite(number).replace(&short, &all));
    let told = |number| format!("ws {}", long(number));
    for mask in [None, MASK] {
        // Joined in the middle, and behind a hole of one frame.
        let mut play = Play::new(false);
        let frame = |number| websocket(0x81, long(number).as_bytes(), mask);
        in_segments(&mut play, Direction::Up, &frame(1), 1000);
        in_segments(&mut play, Direction::Up, &frame(2), 1000);
        play.gap(200);
        in_segments(&mut play, Direction::Up, &frame(3), 1000);
        assert_eq!(play.found, [told(1), told(2), told(3)]);
        assert_eq!(play.end().skipped_bytes, 0);
    }
}

/// What a server sends has no masks (RFC 6455 5.1), so the text of the next message shows where its frame begins.
#[test]
fn behind_a_hole_a_frame_is_found_within_a_segment() {
    let frame = |number| websocket(0x81, invite(number).as_bytes(), None);
    let told = |number| format!("ws {}", invite(number));
    // Behind the upgrade, and behind a message.
    for before in [vec![], frame(1)] {
        let mut play = Play::new(true);
        play.down(UPGRADE).up([UPGRADED.as_bytes(), &before].concat()).gap(1000);
        play.up([&frame(2)[100..], &frame(3), &frame(4)[..50]].concat()).up(&frame(4)[50..]);
        let known = if before.is_empty() { vec![] } else { vec![told(1)] };
        assert_eq!(play.found, [known, vec![told(3), told(4)]].concat());
        // The header of a frame is lost, and not taken for the beginning of a message of a stream.
        play.gap(2).up([&frame(5)[2..], &frame(6)].concat());
        assert_eq!(play.found.last(), Some(&told(6)));
        assert_eq!(play.found.len(), 3 + usize::from(!before.is_empty()));
    }
}

#[test]
fn text_in_a_frame_is_no_message_of_a_stream() {
    let frame = |number| websocket(0x81, invite(number).as_bytes(), None);
    let mut play = Play::new(false);
    play.up([&frame(1)[50..], &frame(2)].concat()).up(frame(3));
    assert_eq!(play.found, [2, 3].map(|number| format!("ws {}", invite(number))));
    // The header of the frame was in another segment; the other direction tells what this one is.
    let mut play = Play::new(false);
    play.up(&frame(1)[..3]).up(&frame(1)[3..]).down(websocket(0x81, answer(1).as_bytes(), MASK));
    play.up(frame(2));
    assert_eq!(play.found[1..], [format!("ws {}", answer(1)), format!("ws {}", invite(2))]);
}

#[test]
fn memory_can_be_taken_away() {
    let mut play = Play::new(true);
    play.up(options(1)).up(&invite(2)[..300]);
    play.stream.shed();
    assert_eq!(play.stream.held(), 0);
    play.up(&invite(2)[300..]).up(options(3));
    assert_eq!(play.found, [options(1), options(3)]);
    assert_eq!(play.end().streams_failed, 1);
}

#[test]
fn shares_tell_which_segment_brought_what() {
    let mut play = Play::new(true);
    play.output.settings.keep_shares = true;
    let header = FrameHeader { link: LinkType::ETHERNET, header: [9; 14][..].into(), nanosecond: true };
    play.output.frame = Some(header);
    let (first, second) = (options(1), invite(2));
    play.stream_messages(&[first.as_bytes(), &second.as_bytes()[..10], &second.as_bytes()[10..]]);
    let share = |time, length| Share { timestamp: Timestamp(time), length };
    let length = second.len() as u32;
    let expected = [share(1, first.len() as u32), share(2, 10), share(3, length - 10)];
    assert_eq!(play.output.shares, expected);
    let Carriage::Stream { connection, shares, link, link_header, nanosecond, .. } =
        play.output.list[1].carriage
    else {
        panic!("not a stream")
    };
    assert_eq!((connection, shares, link, nanosecond), (7, (1, 3), LinkType::ETHERNET, true));
    assert_eq!(play.output.arena[link_header.0 as usize..link_header.1 as usize], [9; 14]);
}

impl Play {
    /// Says segments upwards and leaves what is found in the output.
    fn stream_messages(&mut self, segments: &[&[u8]]) {
        for bytes in segments {
            self.time += 1;
            let opening = std::mem::take(&mut self.fresh[0]);
            let captured = Timestamp(self.time);
            let chunk = Chunk { bytes, place: None, captured, opening, segment_start: true, missing: 0 };
            let context = self.context(Direction::Up);
            self.stream.data(&context, &chunk, &mut self.output);
        }
    }
}

#[test]
fn through_the_reassembler() {
    let budget = Arc::new(Budget::default());
    let mut reassembler = Reassembler::<SipStream>::new(Limits::default(), Arc::clone(&budget));
    let mut output = Messages::default();
    let bytes = [invite(1), options(2), invite(3), options(4)].concat();
    let source = Endpoint::new(Address::v4([192, 0, 2, 1]), 40000);
    let destination = Endpoint::new(Address::v4([192, 0, 2, 2]), 5060);
    let now = Timestamp::new(10, 0);
    let mut send = |number: u64, flags, from: usize, to: usize| {
        let header = TcpHeader {
            sequence: (u32::MAX - 200).wrapping_add(from as u32),
            acknowledgement: 0,
            flags: TcpFlags(flags),
        };
        let payload = &bytes.as_bytes()[from..to];
        let place = Some(Bytes { place: Place::Packets, start: from as u32, length: payload.len() as u32 });
        let hash = PairHasher::default().hash_either_way(source, destination);
        let segment =
            Segment { source, destination, hash, header, payload, place, missing: 0, captured: now };
        reassembler.segment(None, (number, Some(0)), now, &segment, &mut output);
    };
    // Joined in the middle; the second segment of four comes last.
    for (number, (from, to)) in [(0, 300), (900, bytes.len()), (600, 900), (300, 600)].into_iter().enumerate()
    {
        send(number as u64 + 1, 0x10, from, to);
    }
    let found: Vec<u64> = output.list.iter().map(|message| message.sequence).collect();
    assert_eq!(found, [4, 4, 4, 4]);
    assert_eq!((budget.memory(), budget.holding()), (0, 0));
    reassembler.finish(5, &mut output);
    assert_eq!((output.ended.len(), output.ended[0].messages), (1, 4));
}

fn chunk(bytes: &[u8], opening: bool) -> Chunk<'_> {
    Chunk { bytes, place: None, captured: Timestamp(1), opening, segment_start: true, missing: 0 }
}

/// Whether a connection to that port which begins so is declined, what is counted of it, and where it was asked.
fn declines(bytes: &[u8], opening: bool, port: u16) -> (bool, StreamCounters, Context) {
    let mut context = Play::new(opening).context(Direction::Up);
    context.destination.port = port;
    let mut output = Messages::default();
    let declined = SipStream::declines(&context, &chunk(bytes, opening), &mut output);
    (declined, output.counters, context)
}

#[test]
fn what_begins_as_something_else_is_declined() {
    let hello = b"\x16\x03\x01\x00\x04\x01\x00\x00\x00";
    for foreign in [&b"SSH-2.0-a\r\n"[..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", hello] {
        assert!(declines(foreign, true, 443).0 && !declines(foreign, false, 443).0);
    }
    assert!(!declines(hello, true, 5061).0, "what is in it may be SIP");
    for ours in ["OPTIONS sip:a SIP/2.0\r\n", "OPT", "\r\n", UPGRADE, "GET / HT"] {
        assert!(!declines(ours.as_bytes(), true, 443).0, "{ours}");
    }
}

proptest! {
    /// What is declined unread would be rejected if it was read, and counted alike.
    #[test]
    fn what_is_declined_would_be_rejected(
        begin in prop::sample::select(vec![
            "", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", UPGRADE, "HTTP/1.1 200 OK\r\n", "\x16\x03\x01\x00\x04", "\x17\x03",
            "\x16\x03\x01\x02", "\x16", "OPTIONS sip:a SIP/2.0\r\n", "SIP/2.0 200 OK\r\n", "\r\n\r\n", "SSH-2.0-a\r\n",
        ]),
        rest in prop::collection::vec(any::<u8>(), 1..40),
        opening in any::<bool>(),
        port in prop::sample::select(vec![443, 5061]),
    ) {
        let bytes = [begin.as_bytes(), &rest].concat();
        let (declined, unread, context) = declines(&bytes, opening, port);
        let chunk = chunk(&bytes, opening);
        let mut read = Messages::default();
        let rejected = SipStream::default().data(&context, &chunk, &mut read) == Verdict::Reject;
        prop_assert!(!declined || opening && rejected);
        let counters = if declined { read.counters } else { StreamCounters::default() };
        prop_assert_eq!(unread, counters);
    }

    #[test]
    fn any_cutting_gives_the_same_messages(
        which in 0usize..9,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let (bytes, _) = streams().swap_remove(which);
        let cuts = cuts.into_iter().map(|index| index.index(bytes.len())).collect();
        prop_assert_eq!(cut(true, &bytes, cuts), cut(true, &bytes, Vec::new()));
    }

    #[test]
    fn hostile_bytes_do_no_harm(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 1..300),
                (1usize..9).prop_map(|number| invite(number).into_bytes()),
                (1usize..300).prop_map(|length| invite(1).into_bytes()[..length].to_vec()),
                (any::<u8>(), 0usize..200).prop_map(|(opcode, length)| websocket(opcode, &vec![7; length], MASK)),
                Just(UPGRADE.as_bytes().to_vec()),
            ],
            1..20,
        ),
        opening in any::<bool>(),
        gaps in any::<u32>(),
    ) {
        let mut play = Play::new(opening);
        for (index, piece) in pieces.iter().enumerate() {
            if gaps >> index & 3 == 3 {
                play.gap(u64::from(gaps >> 20));
            }
            if index % 3 == 2 { play.down(piece) } else { play.up(piece) };
        }
        play.end();
    }
}
