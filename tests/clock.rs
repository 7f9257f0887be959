//! Stamps that are wrong: of one packet, or of all until a clock was set right.

use std::collections::BTreeMap;
use std::io::Write;

use tempfile::NamedTempFile;

use crate::classic::Packet;
use crate::determinism::differences;
use crate::support::{Run, assert_nothing_vanished};
use crate::wire::{at, datagram, ethernet, rtp, udp};

const DAY: u32 = 86_400;
const TEN_YEARS: u32 = 3_653 * DAY;

fn capture(packets: &[Packet]) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".pcap").unwrap();
    file.write_all(&ethernet(packets.to_vec()).bytes()).unwrap();
    file
}

/// The packet by a clock that is so much fast.
fn fast(seconds: u32, packet: Packet) -> Packet {
    Packet { seconds: packet.seconds + seconds, ..packet }
}

fn message(call: &str, start: &str, method: &str, tag: &str) -> Vec<u8> {
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{call}{method}\r\n\
         From: <sip:alice@192.0.2.1>;tag={call}\r\nTo: <sip:bob@192.0.2.2>{tag}\r\nCSeq: 1 {method}\r\n\
         Call-ID: {call}\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

fn request(call: &str, method: &str) -> Vec<u8> {
    let tag = if matches!(method, "INVITE" | "OPTIONS") { "" } else { ";tag=b" };
    datagram(1, 2, &message(call, &format!("{method} sip:bob@192.0.2.2 SIP/2.0"), method, tag))
}

fn ok(call: &str, method: &str) -> Vec<u8> {
    datagram(2, 1, &message(call, "SIP/2.0 200 OK", method, ";tag=b"))
}

/// A datagram that is nothing: time goes by.
fn nothing() -> Vec<u8> {
    udp((9, 9000), (10, 9000), b"\r\n\r\n")
}

/// An INVITE that nobody answers, sent again as RFC 3261 17.1.1.2 has it, and one whose answer is still awaited at the end.
fn unanswered() -> Vec<Packet> {
    let again = [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500];
    let calls = again.map(|after| at(10_000 + after, request("lonely", "INVITE")));
    let time = (1..=150).map(|half| at(half * 500 + 10_100, nothing()));
    let mut packets: Vec<_> = time.chain(calls).collect();
    packets.extend([at(9_000, nothing()), at(80_000, request("young", "INVITE"))]);
    packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
    packets
}

/// What became of each call, and when it ended.
fn fates(run: &Run) -> BTreeMap<&str, (&str, &str)> {
    let told = run.records.iter().map(|record| {
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        (text("call_id"), (text("result"), text("end")))
    });
    told.collect()
}

#[test]
fn one_packet_of_the_future_changes_nothing() {
    let usual = unanswered();
    let wanted = Run::over(&[capture(&usual).path()], &[]);
    // 2023-11-14 22:13:20 and 10 s, and 64 T1 (RFC 3261 17.1.1.2).
    let fate = ("timeout", "2023-11-14T22:14:02.000000Z");
    assert_eq!(fates(&wanted), BTreeMap::from([("lonely", fate), ("young", ("open", ""))]));
    let strange =
        [nothing(), request("early", "OPTIONS"), udp((7, 7000), (8, 8000), &rtp(0, 1, 160, 7, &[0xff; 160]))];
    for (kind, frame) in strange.into_iter().enumerate() {
        for place in [0, 1, 2, 30] {
            let mut packets = usual.clone();
            packets.insert(place, fast(TEN_YEARS, at(0, frame.clone())));
            let file = capture(&packets);
            let run = Run::over(&[file.path()], &[]);
            let what = format!("kind {kind} at {place}");
            assert_nothing_vanished(&run, &what);
            assert_eq!(run.records_without_paths(), wanted.records_without_paths(), "{what}");
            assert_eq!(run.files, wanted.files, "{what}");
            let counted = ["stamp_wild", "stamp_backward"];
            let counted = counted.map(|name| run.number(&format!("/dropped/source/{name}")));
            assert_eq!(counted, [1, 0], "{what}");
            if place < 2 {
                assert_eq!(differences(&what, file.path()), [""; 0]);
            }
        }
    }
}

#[test]
fn calls_are_told_before_and_after_a_clock_was_set_back() {
    // By a clock that is a day fast until 40 s have gone by.
    let calls = [
        (1_000, request("before", "INVITE")),
        (2_000, ok("before", "INVITE")),
        (5_000, request("before", "BYE")),
        (5_100, ok("before", "BYE")),
        (6_000, request("across", "INVITE")),
        (7_000, ok("across", "INVITE")),
        (30_000, request("waiting", "INVITE")),
        (40_000, request("first", "INVITE")),
        (45_000, request("late", "INVITE")),
        (50_000, request("lonely", "INVITE")),
        (71_000, ok("first", "INVITE")),
        (76_500, ok("late", "INVITE")),
        (90_000, request("across", "BYE")),
        (90_100, ok("across", "BYE")),
    ];
    let time = (0..300).map(|half| (half * 500 + 50, nothing()));
    let mut packets: Vec<_> = calls.into_iter().chain(time).collect();
    packets.sort_by_key(|(after, _)| *after);
    let set_back = |(after, frame)| fast(if after < 40_000 { DAY } else { 0 }, at(after, frame));
    let file = capture(&packets.into_iter().map(set_back).collect::<Vec<_>>());
    let run = Run::over(&[file.path()], &[]);
    assert_nothing_vanished(&run, "set back");
    let wanted = [
        ("before", ("success", "2023-11-15T22:13:25.000000Z")),
        ("across", ("success", "2023-11-14T22:14:50.000000Z")),
        ("waiting", ("timeout", "2023-11-15T22:14:22.000000Z")),
        ("lonely", ("timeout", "2023-11-14T22:14:42.000000Z")),
        ("first", ("open", "")),
        ("late", ("open", "")),
    ];
    assert_eq!(fates(&run), BTreeMap::from(wanted));
    let order: Vec<_> = run.records.iter().map(|record| record["call_id"].as_str().unwrap()).collect();
    assert_eq!(order[..4], ["before", "waiting", "lonely", "across"], "each 32 s after its end");
    assert_eq!(run.number("/dropped/source/stamp_backward"), 1);
    assert_eq!(run.number("/dropped/source/stamp_wild"), 0);
    assert_eq!(differences("set back", file.path()), [""; 0]);
}
