//! Stamps that are wrong: of one packet, or of all until a clock was set right.

use std::collections::BTreeMap;
use std::io::Write;

use tempfile::NamedTempFile;

use crate::classic::{Classic, Packet};
use crate::determinism::differences;
use crate::support::{Run, assert_nothing_vanished, testdata};
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

/// Whether the payload of a frame is a SIP message or the first part of one: Ethernet and IPv4, TCP or UDP, also of
/// a first fragment.
fn begins_message(frame: &[u8]) -> bool {
    let ip = 14;
    let transport = ip + usize::from(frame[ip] & 15) * 4;
    let is_first = frame[ip + 6] & 0x1f == 0 && frame[ip + 7] == 0;
    let header = match frame[ip + 9] {
        6 => usize::from(frame[transport + 12] >> 4) * 4,
        17 => 8,
        _ => return false,
    };
    let payload = frame.get(transport + header..).unwrap_or_default();
    let line = payload.split(|&byte| byte == b'\r').next().unwrap_or_default();
    is_first && (line.starts_with(b"SIP/2.0 ") || line.ends_with(b" SIP/2.0"))
}

/// A night without a call: the first packet behind it is doubted until the second agrees, and may be half of a message.
#[test]
fn a_message_that_begins_behind_a_long_silence_is_whole() {
    let mut halves = 0;
    for case in ["fragmented-tcp-sip", "fragmented-udp-sip", "udp-ip-fragmented", "sip-over-tcp"] {
        let path = testdata("corpus").join(case).join("input.pcap");
        let all = Classic::read(&path).unwrap();
        let whole = Run::over(&[path.as_path()], &[]);
        let count = |run: &Run| ["/sip/messages", "/sip/call_ids"].map(|key| run.number(key));
        for place in (1..all.packets.len()).filter(|&at| begins_message(&all.packets[at].frame)) {
            halves +=
                usize::from(all.packets.get(place + 1).is_some_and(|next| !begins_message(&next.frame)));
            let later =
                |(at, packet): (usize, &Packet)| fast(if at < place { 0 } else { 7_200 }, packet.clone());
            let packets = all.packets.iter().enumerate().map(later).collect();
            let mut file = NamedTempFile::with_suffix(".pcap").unwrap();
            file.write_all(&all.with(packets).bytes()).unwrap();
            let run = Run::over(&[file.path()], &[]);
            assert_nothing_vanished(&run, case);
            assert_eq!(
                count(&run),
                count(&whole),
                "{case}, two hours before packet {place}: {}",
                run.summary
            );
            assert_eq!(run.number("/dropped/source/stamp_wild"), u64::from(place + 1 == all.packets.len()));
        }
    }
    assert!(halves > 5, "{halves}");
    let path = testdata("corpus").join("fragmented-tcp-sip/input.pcap");
    let all = Classic::read(&path).unwrap();
    let packets =
        all.packets.iter().enumerate().map(|(at, packet)| fast(at as u32 / 3 * 7_200, packet.clone()));
    let mut file = NamedTempFile::with_suffix(".pcap").unwrap();
    file.write_all(&all.with(packets.collect()).bytes()).unwrap();
    assert_eq!(differences("nights", file.path()), [""; 0]);
}
