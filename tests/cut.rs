//! Calls of whose packets a snap length left less than was on the wire.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::NamedTempFile;

use crate::classic::Packet;
use crate::joined::segment;
use crate::support::{Run, assert_nothing_vanished, has_tshark};
use crate::wire::{at, checksum, ethernet, udp};

const CLIENT: (u8, u16) = (1, 40_000);
const SERVER: (u8, u16) = (2, 5_060);

fn description(host: u8) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.{host}\r\ns=-\r\nc=IN IP4 192.0.2.{host}\r\nt=0 0\r\n\
         m=audio {host}0000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n{}",
        "a=x-more:something\r\n".repeat(60)
    )
}

/// A call of seven messages: when, from whom, what.
fn call(transport: &str, call_id: &str) -> Vec<(u32, u8, Vec<u8>)> {
    let message = |start: &str, cseq: &str, tag: &str, body: &str| {
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{start}\r\nVia: SIP/2.0/{transport} 192.0.2.1;branch=z9hG4bK{}\r\nFrom: <sip:a@192.0.2.1>;tag=1\r\n\
             To: <sip:b@192.0.2.2>{tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n{content}Content-Length: {}\r\n\r\n{body}",
            &cseq[..1],
            body.len()
        )
        .into_bytes()
    };
    let request = |method: &str| format!("{method} sip:b@192.0.2.2 SIP/2.0");
    let (offer, answer) = (description(1), description(2));
    vec![
        (0, 1, message(&request("INVITE"), "1 INVITE", "", &offer)),
        (100, 2, message("SIP/2.0 100 Trying", "1 INVITE", "", "")),
        (500, 2, message("SIP/2.0 180 Ringing", "1 INVITE", ";tag=2", "")),
        (1000, 2, message("SIP/2.0 200 OK", "1 INVITE", ";tag=2", &answer)),
        (1100, 1, message(&request("ACK"), "1 ACK", ";tag=2", "")),
        (5000, 1, message(&request("BYE"), "2 BYE", ";tag=2", "")),
        (5100, 2, message("SIP/2.0 200 OK", "2 BYE", ";tag=2", "")),
    ]
}

/// The call, of each packet at most so many bytes.
fn capture(snap_length: usize) -> NamedTempFile {
    let mut sequences = [1_000_u32, 9_000];
    let packets = call("TCP", "cut@192.0.2.1").into_iter().map(|(time, sender, message)| {
        let (source, destination) = if sender == 1 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        let sequence = &mut sequences[usize::from(sender - 1)];
        let frame = segment(source, destination, *sequence, &message);
        *sequence += u32::try_from(message.len()).unwrap();
        cut(time, frame, snap_length)
    });
    written(packets.collect())
}

/// The first bytes of a packet.
fn cut(time: u32, mut frame: Vec<u8>, snap_length: usize) -> Packet {
    let original = u32::try_from(frame.len()).unwrap();
    frame.truncate(snap_length);
    Packet { original, ..at(time, frame) }
}

fn written(packets: Vec<Packet>) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".pcap").unwrap();
    file.write_all(&ethernet(packets).bytes()).unwrap();
    file
}

/// How many frames tshark finds. It is not asked to put segments in order: behind a packet that was cut it finds some of the
/// messages in none then, in the capture neither.
fn frames(file: &Path, filter: &str) -> usize {
    let output = Command::new("tshark").arg("-n").arg("-r").arg(file).args(["-Y", filter]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().count()
}

/// 226 bytes leave of every message what it must have, 300 all of the head, 400 where media goes, too.
#[test]
fn what_the_snap_length_cut_is_used_as_far_as_it_goes() {
    for (snap_length, cut, places) in [(226, 7, 0), (300, 2, 0), (400, 2, 2), (262_144, 0, 2)] {
        let file = capture(snap_length);
        let run = Run::of(file.path(), &[]);
        assert_nothing_vanished(&run, "cut");
        assert_eq!(run.number("/sip/messages"), 7, "{snap_length}: {}", run.summary);
        assert_eq!(run.summary["dropped"]["source"]["cut"].as_u64().unwrap_or(0), cut);
        let record = &run.records[0];
        let told = ["start", "ringing", "answered", "end"].map(|time| record[time].as_str().unwrap());
        let expected =
            ["20.000", "20.500", "21.000", "25.000"].map(|time| format!("2023-11-14T22:13:{time}000Z"));
        assert_eq!(told[..], expected[..], "{snap_length}");
        assert_eq!(record["media_endpoints"].as_array().unwrap().len(), places, "{snap_length}");
        for more in [&["--workers", "1"][..], &["--workers", "2"], &["--workers", "8", "-M", "throughput"]] {
            let other = Run::of(file.path(), more);
            assert!(other.files == run.files && other.records_without_paths() == run.records_without_paths());
        }
        if has_tshark() {
            assert_eq!(frames(file.path(), "sip"), 7, "{snap_length}");
            let paths = run.paths();
            assert_eq!(paths.len(), 1);
            assert_eq!(frames(&paths[0], "sip"), 7, "{snap_length}");
            assert_eq!(frames(&paths[0], "frame.len > frame.cap_len"), cut as usize);
            assert_eq!(frames(&paths[0], "tcp.analysis.flags || _ws.malformed"), 0);
        }
    }
}

/// Two calls over UDP one after the other, one's Call-ID the beginning of the other's, of each packet at most so many bytes. What
/// the cut has left of a message is told by its lines: one counts when the next has begun.
#[test]
fn a_field_that_the_snap_length_cut_is_none() {
    const HEADERS: usize = 14 + 20 + 8;
    let calls = ["19", "1998", "1"].map(|call_id| call("UDP", call_id));
    for snap_length in (HEADERS..HEADERS + 330).step_by(3) {
        let (mut packets, mut messages) = (Vec::new(), 0);
        let (mut told, mut begun) = (BTreeSet::new(), BTreeSet::new());
        for (number, call) in (0..).zip(&calls) {
            for (time, sender, message) in call {
                let text = std::str::from_utf8(&message[..message.len().min(snap_length - HEADERS)]).unwrap();
                messages += u64::from(text.contains("\r\n"));
                let call_id = text.split_once("\r\nCall-ID: ").and_then(|(_, rest)| rest.split_once("\r\nC"));
                if let Some((call_id, _)) = call_id {
                    told.insert(call_id.to_owned());
                    begun.extend(text.starts_with("INVITE").then(|| call_id.to_owned()));
                }
                let frame = udp((*sender, 5060), (3 - sender, 5060), message);
                packets.push(cut(number * 60_000 + time, frame, snap_length));
            }
        }
        let run = Run::of(written(packets).path(), &[]);
        assert_nothing_vanished(&run, "cut");
        assert_eq!(run.number("/sip/messages"), messages, "{snap_length}: {}", run.summary);
        let methods = run.summary["sip"]["requests"].as_object().unwrap();
        assert!(methods.keys().all(|method| ["INVITE", "ACK", "BYE"].contains(&&method[..])), "{methods:?}");
        let call_ids = run.records.iter().map(|record| record["call_id"].as_str().unwrap().to_owned());
        let found: BTreeSet<String> = call_ids.collect();
        assert_eq!(found.len(), run.records.len(), "{snap_length}: a call is told once");
        assert!(found.is_superset(&begun) && found.is_subset(&told), "{snap_length}: {found:?}");
        for record in &run.records {
            for (party, whole) in [("from", "a"), ("to", "b")] {
                let user = record[party].as_str().unwrap_or_default();
                assert!(user.is_empty() || user == whole, "{snap_length}: {record}");
            }
        }
    }
}

/// The IPv4 fragments of a packet on a link with an MTU of 1500 (RFC 791 3.2).
fn fragments(frame: &[u8], identification: u16) -> Vec<Vec<u8>> {
    let (headers, payload) = frame.split_at(14 + 20);
    let count = payload.chunks(1480).count();
    let pieces = payload.chunks(1480).zip(0_u16..);
    pieces
        .map(|(piece, number)| {
            let mut frame = headers.to_vec();
            let more = if usize::from(number) + 1 < count { 0x2000 } else { 0 };
            frame[16..18].copy_from_slice(&u16::try_from(20 + piece.len()).unwrap().to_be_bytes());
            frame[18..20].copy_from_slice(&identification.to_be_bytes());
            frame[20..22].copy_from_slice(&(more | (number * 185)).to_be_bytes());
            frame[24..26].fill(0);
            let sum = checksum(&frame[14..34]);
            frame[24..26].copy_from_slice(&sum.to_be_bytes());
            frame.extend(piece);
            frame
        })
        .collect()
}

/// Which fragments of a datagram are captured: when, which, how many bytes of the frame.
type Kept = fn(u32, u32) -> (u32, usize);

/// Three calls over UDP, a minute apart, whose INVITEs have 1,700 bytes. Of their fragments there are in the capture the first alone,
/// as a filter for ports leaves it, also cut by the snap length; the first, and the second late; both, the second first.
#[test]
fn an_invite_of_which_only_the_first_fragment_was_captured_is_told() {
    let ways: [(&str, Kept); 4] = [
        ("alone", |number, _| (number * 3_600_000, usize::MAX)),
        ("cut", |number, _| (number * 3_600_000, 400)),
        ("late", |number, _| (number * 2_000, usize::MAX)),
        ("all", |number, count| (count - 1 - number, usize::MAX)),
    ];
    for (way, kept) in ways {
        let mut packets = Vec::new();
        for (number, call_id) in (0_u16..).zip(["unanswered", "refused", "answered"]) {
            for (time, sender, message) in call("UDP", call_id) {
                let time = u32::from(number) * 60_000 + time;
                let mut frame = udp((sender, 5060), (3 - sender, 5060), &message);
                match (call_id, time % 60_000) {
                    (_, 0) => {
                        let all = fragments(&frame, 1 + number);
                        assert_eq!(all.len(), 2);
                        for (piece, frame) in (0..).zip(all) {
                            let (late, length) = kept(piece, 2);
                            if late < 60_000 {
                                packets.push(cut(time + late, frame, length));
                            }
                        }
                    }
                    ("unanswered", _) | ("refused", 501..) => {}
                    (name, moment) => {
                        if (name, moment) == ("refused", 500) {
                            frame[42 + 8..][..11].copy_from_slice(b"486 Busy   ");
                        }
                        packets.push(at(time, frame));
                    }
                }
            }
        }
        packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
        let file = written(packets);
        let run = Run::of(file.path(), &[]);
        assert_nothing_vanished(&run, way);
        let text =
            |record: &serde_json::Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
        let told = ["unanswered", "refused", "answered"].map(|call_id| {
            let mut records = run.records.iter().filter(|record| record["call_id"] == call_id);
            let record = records.next().unwrap();
            assert!(records.next().is_none(), "{way}: {call_id} is told twice");
            let messages = record["messages"].as_u64().unwrap();
            (text(record, "start"), text(record, "result"), text(record, "method"), messages)
        });
        let expected = [("13:20", "timeout", 1), ("14:20", "busy", 3), ("15:20", "success", 7)];
        assert_eq!(run.records.len(), expected.len());
        // A datagram is of the time of the fragment that made it whole.
        let milliseconds = if way == "all" { "001" } else { "000" };
        let expected = expected.map(|(start, result, messages)| {
            let start = format!("2023-11-14T22:{start}.{milliseconds}000Z");
            (start, result.to_owned(), "INVITE".to_owned(), messages)
        });
        assert_eq!(told, expected, "{way}");
        // Where media goes, the whole INVITE says, however late it is.
        let media = run.records.iter().map(|record| record["media_endpoints"].as_array().unwrap().len());
        if matches!(way, "late" | "all") {
            assert_eq!(media.sum::<usize>(), 4, "{way}: of three callers and one callee");
        }
        let other = Run::of(file.path(), &["--workers", "3", "--batch-size", "1"]);
        assert!(other.summary == run.summary && other.files == run.files, "{way}");
        assert_eq!(other.records_without_paths(), run.records_without_paths(), "{way}");
        if matches!(way, "alone" | "late") && has_tshark() {
            // The frames of the calls' files are those of the capture, each in one of them.
            for filter in ["ip.flags.mf == 1", "frame", "_ws.malformed"] {
                let found: usize = run.paths().iter().map(|path| frames(path, filter)).sum();
                assert_eq!(found, frames(file.path(), filter), "{way}: {filter}");
            }
        }
    }
}

/// A request or an answer between two hosts, of more than 1,700 bytes if it is `long`.
fn said(call_id: &str, start: &str, cseq: &str, branch: u8, long: bool) -> Vec<u8> {
    let tag = if start.starts_with("INVITE") || start.contains(" 100 ") { "" } else { ";tag=b" };
    let padding = if long { format!("X-Padding: {}\r\n", "x".repeat(1_600)) } else { String::new() };
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}\r\nFrom: <sip:a@192.0.2.1>;tag=a\r\n\
         To: <sip:b@192.0.2.2>{tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n{padding}Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

const INVITE: &str = "INVITE sip:b@192.0.2.2 SIP/2.0";

const ACK: &str = "ACK sip:b@192.0.2.2 SIP/2.0";

/// Messages in frames of at most so many bytes; `kept` tells which fragments are captured: of which of the long messages, counted from
/// 1, and which, counted from 0.
fn in_fragments(
    messages: &[(u32, u8, Vec<u8>)],
    snap_length: usize,
    kept: impl Fn(u16, usize) -> bool,
) -> NamedTempFile {
    let (mut packets, mut number) = (Vec::new(), 0);
    for (time, sender, message) in messages {
        let frame = udp((*sender, 5060), (3 - sender, 5060), message);
        if frame.len() <= 1_514 {
            packets.push(cut(*time, frame, snap_length));
            continue;
        }
        number += 1;
        let pieces = fragments(&frame, number).into_iter().enumerate();
        packets.extend(
            pieces.filter(|(piece, _)| kept(number, *piece)).map(|(_, frame)| cut(*time, frame, snap_length)),
        );
    }
    written(packets)
}

/// An INVITE is challenged, comes again, and is refused after 1.5 s, both of 1,700 bytes. Of each there is in the capture: the first
/// fragment alone, as a filter for ports leaves it; of both fragments 400 bytes; everything. What is told is the same, times too: 20 ms
/// to each answer.
#[test]
fn a_first_fragment_alone_is_told_before_its_answer() {
    let call_id = "challenged";
    let say = |time: u32, sender: u8, start: &str, cseq: &str| {
        let branch = cseq.as_bytes()[0] - b'0';
        (time, sender, said(call_id, start, cseq, branch, start == INVITE))
    };
    let messages = [
        say(0, 1, INVITE, "1 INVITE"),
        say(20, 2, "SIP/2.0 407 Proxy Authentication Required", "1 INVITE"),
        say(25, 1, ACK, "1 ACK"),
        say(30, 1, INVITE, "2 INVITE"),
        say(50, 2, "SIP/2.0 100 Trying", "2 INVITE"),
        say(1_500, 2, "SIP/2.0 486 Busy Here", "2 INVITE"),
        say(1_510, 1, ACK, "2 ACK"),
        // Time goes on.
        (70_000, 1, said("other", "OPTIONS sip:b@192.0.2.2 SIP/2.0", "1 OPTIONS", 9, false)),
    ];
    for (way, snap_length, fragments) in [("port", usize::MAX, 1), ("snap", 400, 2), ("whole", usize::MAX, 2)]
    {
        let file = in_fragments(&messages, snap_length, |_, piece| piece < fragments);
        let run = Run::of(file.path(), &[]);
        assert_nothing_vanished(&run, way);
        assert_eq!(run.number("/calls/by_result/busy"), 1, "{way}: {}", run.summary["calls"]);
        let record = run.records.iter().find(|record| record["call_id"] == call_id).unwrap();
        let told = ["start", "method", "end"].map(|key| record[key].as_str().unwrap());
        assert_eq!(told, ["2023-11-14T22:13:20.000000Z", "INVITE", "2023-11-14T22:13:21.500000Z"], "{way}");
        let counted = ["status_code", "messages", "retransmissions", "duplicates"];
        assert_eq!(counted.map(|key| record[key].as_u64().unwrap()), [486, 7, 0, 0], "{way}");
        let delay = &run.summary["performance"]["response_delay"]["INVITE"];
        assert_eq!(delay["count"], 2, "{way}: {delay}");
        assert!((delay["mean_seconds"].as_f64().unwrap() - 0.020).abs() < 1e-6, "{way}: {delay}");
        let other = Run::of(file.path(), &["--workers", "3", "--batch-size", "1"]);
        assert!(other.summary == run.summary && other.files == run.files, "{way}");
        if has_tshark() {
            for path in run.paths() {
                assert_eq!(frames(&path, "frame.time_delta < 0"), 0, "{way}: in the order of time");
            }
        }
    }
}

/// RFC 3261 17.1.1.2: what nothing answers is sent again after 500 ms. Of the first INVITE a fragment was lost.
#[test]
fn an_invite_that_lost_a_fragment_is_retransmitted_and_not_captured_again() {
    let call_id = "again";
    let say = |time: u32, sender: u8, start: &str, cseq: &str, branch: u8| {
        (time, sender, said(call_id, start, cseq, branch, start == INVITE))
    };
    let messages = [
        say(0, 1, INVITE, "1 INVITE", 1),
        say(500, 1, INVITE, "1 INVITE", 1),
        say(530, 2, "SIP/2.0 100 Trying", "1 INVITE", 1),
        say(1_200, 2, "SIP/2.0 486 Busy Here", "1 INVITE", 1),
        say(1_210, 1, ACK, "1 ACK", 1),
    ];
    for lost in [0, 1] {
        let file = in_fragments(&messages, usize::MAX, |number, piece| number != lost || piece == 0);
        let run = Run::of(file.path(), &[]);
        let record = &run.records[0];
        assert_eq!(record["start"], "2023-11-14T22:13:20.000000Z", "{lost}");
        let counted = ["messages", "retransmissions", "duplicates"].map(|key| record[key].as_u64().unwrap());
        assert_eq!(counted, [5, 1, 0], "{lost}");
    }
}

/// The links of a bond are captured by two machines whose clocks are 150 ms apart, and a hash of ports tells which takes a packet: a later
/// fragment has none. The rest of the INVITE begins in its start line, in front of its Call-ID, or behind all that a message must have.
#[test]
fn the_rest_of_a_message_says_as_much_when_it_comes_late() {
    let padding = format!("X-Padding: {}\r\n", "x".repeat(1_450));
    let places = [
        (" SIP/2.0", format!(";{} SIP/2.0", "x".repeat(1_450))),
        ("From:", format!("{padding}From:")),
        ("Content-Type:", format!("{padding}Content-Type:")),
    ];
    for (place, padded) in places {
        for late in [1, 150] {
            let way = format!("{place}, {late} ms");
            let mut packets = Vec::new();
            for (time, sender, message) in call("UDP", "late") {
                let frame = |message: &[u8]| udp((sender, 5060), (3 - sender, 5060), message);
                if time > 0 {
                    packets.push(at(400 + time, frame(&message)));
                    continue;
                }
                let text = String::from_utf8(message).unwrap();
                let text = text.replacen(place, &padded, 1);
                let text = text.replacen("Content-Length:", "User-Agent: Alice\r\nContent-Length:", 1);
                let pieces = fragments(&frame(text.as_bytes()), 1);
                assert!(pieces.len() == 3 && !pieces[0].windows(5).any(|bytes| bytes == b"Alice"), "{way}");
                packets.extend((0..).zip(pieces).map(|(piece, frame)| at(late * piece, frame)));
            }
            let file = written(packets);
            let run = Run::of(file.path(), &["--match", "Alice"]);
            assert_nothing_vanished(&run, &way);
            let counted = ["/sip/messages", "/sip/requests/INVITE", "/calls/kept", "/fragments/reassembled"];
            assert_eq!(counted.map(|key| run.number(key)), [7, 1, 1, 1], "{way}: {}", run.summary);
            let record = &run.records[0];
            assert_eq!((&record["method"], &record["messages"]), (&"INVITE".into(), &7.into()), "{way}");
            assert_eq!(record["user_agents"], serde_json::json!(["Alice"]), "{way}");
            assert_eq!(record["media_endpoints"].as_array().unwrap().len(), 2, "{way}");
            // A datagram is of the time of the fragment that made it whole, if it was not told before.
            let is_told_before = late == 150 && place == "Content-Type:";
            let setup = 1.4 - if is_told_before { 0.0 } else { f64::from(2 * late) / 1000.0 };
            assert!((record["setup_seconds"].as_f64().unwrap() - setup).abs() < 1e-6, "{way}: {record}");
            if has_tshark() {
                assert_eq!(frames(file.path(), "sip"), 7, "{way}");
                assert_eq!(frames(&run.paths()[0], "sip"), 7, "{way}");
                assert_eq!(frames(&run.paths()[0], "frame"), 9, "{way}");
            }
        }
    }
}

/// RFC 4963: two INVITEs whose fragments have one identification, of the first of which the rest was not captured.
#[test]
fn an_identification_that_comes_round_hides_no_message() {
    for apart in [500, 2_000, 29_000] {
        let frames = ["one", "two"].map(|call_id| {
            fragments(&udp((1, 5060), (2, 5060), &said(call_id, INVITE, "1 INVITE", 1, true)), 77)
        });
        let [one, two] = frames;
        let mut packets = vec![at(0, one[0].clone())];
        packets.extend(two.into_iter().map(|frame| at(apart, frame)));
        let run = Run::of(written(packets).path(), &[]);
        assert_nothing_vanished(&run, "one identification");
        let told: BTreeSet<&str> =
            run.records.iter().map(|record| record["call_id"].as_str().unwrap()).collect();
        assert_eq!(told, BTreeSet::from(["one", "two"]), "{apart}");
    }
}
