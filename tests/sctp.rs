//! SIP over SCTP: user messages that are split over several chunks, sent again, cut. tshark, which puts them together too, is
//! the witness.

use std::path::Path;

use serde_json::{Value, json};

use crate::classic::Packet;
use crate::support::{Run, has_tshark, tshark};
use crate::wire::{at, checksum, datagram, ethernet};

/// A DATA chunk (RFC 9260 3.3.1): number, flags (2 first piece, 1 last), user data.
fn data(number: u32, flags: u8, stream: u16, bytes: &[u8]) -> Vec<u8> {
    let mut chunk = vec![0, flags];
    chunk.extend((16 + bytes.len() as u16).to_be_bytes());
    chunk.extend(number.to_be_bytes());
    [stream, 0, 0, 0].into_iter().for_each(|half: u16| chunk.extend(half.to_be_bytes()));
    chunk.extend(bytes);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

/// From one host to the other on a path, the one in 192.0.`net`.0/24, with the tag that the receiver is known by.
#[derive(Clone, Copy)]
struct Way {
    net: u8,
    ends: (u8, u8),
    tag: u32,
}

/// From 192.0.2.`source` to 192.0.2.`destination`.
fn way(source: u8, destination: u8) -> Way {
    Way { net: 2, ends: (source, destination), tag: destination.into() }
}

/// Ethernet, IPv4, SCTP (RFC 9260 3.1) with these chunks.
fn packet(Way { net, ends: (source, destination), tag }: Way, chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let mut ip =
        vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 132, 0, 0, 192, 0, net, source, 192, 0, net, destination];
    ip[2..4].copy_from_slice(&(32 + body.len() as u16).to_be_bytes());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![2, 0, 0, 0, 0, destination, 2, 0, 0, 0, 0, source, 8, 0];
    frame.extend(ip);
    frame.extend([0x13, 0xc4, 0x13, 0xc4]);
    frame.extend(tag.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(body);
    frame
}

/// INIT and INIT ACK (RFC 9260 3.3.2, 3.3.3) between 192.0.2.1 and 192.0.2.2, which want these tags, and number from these on.
fn handshake(tags: (u32, u32), first: (u32, u32)) -> [Vec<u8>; 2] {
    let init = |kind: u8, tag: u32, first: u32| {
        let mut chunk = vec![kind, 0, 0, 20];
        chunk.extend(tag.to_be_bytes());
        chunk.extend([0, 1, 0, 0, 0, 10, 0, 10]);
        chunk.extend(first.to_be_bytes());
        chunk
    };
    [
        packet(Way { tag: 0, ..way(1, 2) }, &[init(1, tags.0, first.0)]),
        packet(Way { tag: tags.0, ..way(2, 1) }, &[init(2, tags.1, first.1)]),
    ]
}

/// A file of these frames, one each 10 ms.
fn capture(frames: Vec<Vec<u8>>) -> tempfile::NamedTempFile {
    let packets: Vec<Packet> = (0..).zip(frames).map(|(time, frame)| at(time * 10, frame)).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ethernet(packets).bytes()).unwrap();
    file
}

fn message(start: &str, method: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{start}\r\nVia: SIP/2.0/SCTP 192.0.2.1;branch=z9hG4bK1{method}\r\nFrom: <sip:alice@x>;tag=a\r\nTo: <sip:bob@x>;tag=b\r\n\
         Call-ID: pieces@192.0.2.1\r\nCSeq: 1 {method}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The pieces of a message on a stream, from that number on, in packets.
fn pieces(way: Way, first: u32, stream: u16, message: &[u8], size: usize) -> Vec<Vec<u8>> {
    let count = message.len().div_ceil(size);
    let flags = |index| u8::from(index == 0) << 1 | u8::from(index + 1 == count);
    let chunks = message.chunks(size).enumerate();
    let chunks =
        chunks.map(|(index, bytes)| data(first.wrapping_add(index as u32), flags(index), stream, bytes));
    chunks.map(|chunk| packet(way, &[chunk])).collect()
}

#[test]
fn messages_in_pieces_are_whole() {
    let invite = message("INVITE sip:bob@x SIP/2.0", "INVITE", &"x".repeat(3_000));
    let ok = message("SIP/2.0 200 OK", "INVITE", &"y".repeat(900));
    let ack = message("ACK sip:bob@x SIP/2.0", "ACK", "");
    let mut frames = pieces(way(1, 2), u32::MAX - 1, 0, &invite, 1_000);
    // The second comes late, and twice; the last of the answer comes before the one before it.
    frames.swap(1, 2);
    frames.insert(3, frames[2].clone());
    let mut answer = pieces(way(2, 1), 7, 3, &ok, 400);
    let last = answer.len() - 1;
    answer.swap(last - 1, last);
    frames.extend(answer);
    // A whole message, and the first piece of one that never goes on, in one packet.
    let bye = message("BYE sip:bob@x SIP/2.0", "BYE", "");
    frames.push(packet(way(1, 2), &[data(3, 3, 0, &ack), data(4, 2, 0, &bye[..100])]));
    // The whole one is sent again, and so is a piece of one that was whole.
    frames.push(packet(way(1, 2), &[data(3, 3, 0, &ack)]));
    frames.push(frames[1].clone());
    let count = frames.len();
    let file = capture(frames);

    let run = Run::of(file.path(), &[]);
    let sip = &run.summary["sip"];
    assert_eq!((&sip["messages"], &sip["transports"]["sctp"]), (&json!(3), &json!(3)));
    assert_eq!((&sip["requests"], &sip["responses"]), (&json!({"INVITE": 1, "ACK": 1}), &json!({"200": 1})));
    assert_eq!(run.summary["packets_by"]["sip"], json!(count));
    assert_eq!(sip["retransmissions"], json!(0));
    assert_eq!(run.summary["dropped"]["sctp"], json!({"pieces": 1, "repeated": 2}));
    let record = &run.records[0];
    assert_eq!((&record["result"], &record["transports"]), (&json!("open"), &json!(["sctp"])));
    if has_tshark() {
        let told = ["sip.Method", "sip.Status-Code", "sip.msg_body"];
        let seen = |path: &std::path::Path| tshark(path, "sip", &told).unwrap();
        let path = run.paths().remove(0);
        assert_eq!(seen(&path), seen(file.path()));
        assert_eq!(seen(&path).len(), 3);
    }
}

/// Pieces of a few bytes: the first of a message ends within its start line (RFC 9260 6.9 lets a sender cut anywhere).
#[test]
fn the_first_piece_may_end_within_the_start_line() {
    let invite = message("INVITE sip:bob@x SIP/2.0", "INVITE", "");
    let ok = message("SIP/2.0 200 OK", "INVITE", "");
    for size in [1, 3, 7, 8, 16, 23] {
        let mut frames = pieces(way(1, 2), 1, 0, &invite, size);
        frames.extend(pieces(way(2, 1), 7_000, 3, &ok, size));
        let file = capture(frames);
        let sip = &Run::of(file.path(), &[]).summary["sip"];
        assert_eq!(
            (&sip["requests"], &sip["responses"]),
            (&json!({"INVITE": 1}), &json!({"200": 1})),
            "pieces of {size}"
        );
        if has_tshark() {
            let told = tshark(file.path(), "sip", &["sip.Method", "sip.Status-Code"]).unwrap();
            assert_eq!(told, [["INVITE", ""], ["", "200"]]);
        }
    }
}

/// Messages, requests and responses of the summary; of the messages, as many as tshark has in that file.
fn told(path: &Path, run: &Run) -> (usize, Value, Value) {
    let sip = &run.summary["sip"];
    let messages = sip["messages"].as_u64().unwrap() as usize;
    if has_tshark() {
        let rows = tshark(path, "sip", &["sip.CSeq"]).unwrap();
        let seen: usize = rows.iter().map(|row| row[0].split(';').count()).sum();
        assert_eq!(messages, seen, "tshark's count");
    }
    (messages, sip["requests"].clone(), sip["responses"].clone())
}

/// RFC 9260 5.2.4: who begins anew takes another tag; its numbers may be the same.
#[test]
fn an_association_that_begins_anew_is_another() {
    let mut frames = Vec::new();
    for (call, tags) in [("first", (11, 12)), ("second", (21, 22))] {
        let named = |text: Vec<u8>| String::from_utf8(text).unwrap().replace("pieces@", call).into_bytes();
        let invite = named(message("INVITE sip:bob@x SIP/2.0", "INVITE", &"x".repeat(900)));
        let ok = named(message("SIP/2.0 200 OK", "INVITE", ""));
        let ack = named(message("ACK sip:bob@x SIP/2.0", "ACK", ""));
        frames.extend(handshake(tags, (1, 1)));
        let to_callee = Way { tag: tags.1, ..way(1, 2) };
        frames.extend(pieces(to_callee, 1, 0, &invite, 1_000));
        frames.push(packet(Way { tag: tags.0, ..way(2, 1) }, &[data(1, 3, 0, &ok)]));
        frames.push(packet(to_callee, &[data(3, 3, 0, &ack)]));
    }
    let file = capture(frames);
    let run = Run::of(file.path(), &[]);
    assert_eq!(told(file.path(), &run), (6, json!({"INVITE": 2, "ACK": 2}), json!({"200": 2})));
    let calls: Vec<_> = run.records.iter().map(|record| (&record["call_id"], &record["messages"])).collect();
    assert_eq!(calls, [(&json!("first192.0.2.1"), &json!(3)), (&json!("second192.0.2.1"), &json!(3))]);
    assert_eq!(run.summary["dropped"]["sctp"], Value::Null);
}

/// RFC 9260 6.4: "the endpoint SHOULD send the retransmission to another destination address".
#[test]
fn what_goes_again_on_another_path_is_the_same() {
    let invite = message("INVITE sip:bob@x SIP/2.0", "INVITE", "");
    let ok = message("SIP/2.0 200 OK", "INVITE", &"y".repeat(900));
    let bye = message("BYE sip:bob@x SIP/2.0", "BYE", &"z".repeat(900));
    let other = |way| Way { net: 3, ..way };
    let mut frames = handshake((1, 2), (1, 7)).to_vec();
    // A whole message, and the pieces of one, go again.
    frames.push(packet(way(1, 2), &[data(1, 3, 0, &invite)]));
    frames.push(packet(other(way(1, 2)), &[data(1, 3, 0, &invite)]));
    frames.extend(pieces(way(2, 1), 7, 0, &ok, 500));
    frames.extend(pieces(other(way(2, 1)), 7, 0, &ok, 500));
    // The second of three pieces is lost, and comes on the other path.
    let mut split = pieces(way(1, 2), 2, 0, &bye, 500);
    split.remove(1);
    split.push(pieces(other(way(1, 2)), 2, 0, &bye, 500).remove(1));
    assert_eq!(split.len(), 3);
    frames.extend(split);
    let file = capture(frames);
    for workers in ["1", "4"] {
        let run = Run::of(file.path(), &["--workers", workers]);
        assert_eq!(told(file.path(), &run), (3, json!({"INVITE": 1, "BYE": 1}), json!({"200": 1})));
        assert_eq!(run.summary["dropped"]["sctp"], json!({"repeated": 4}));
        assert_eq!((&run.records[0]["messages"], &run.records[0]["retransmissions"]), (&json!(3), &json!(0)));
    }
}

/// A message that the snap length cut is read as far as it goes, as in UDP.
#[test]
fn a_message_that_was_cut_is_told_as_far_as_it_goes() {
    let sdp =
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    let sdp = format!("{sdp}{}", "a=x:1\r\n".repeat(200));
    let invite = message("INVITE sip:bob@x SIP/2.0", "INVITE", &sdp);
    let ok = message("SIP/2.0 200 OK", "INVITE", &sdp);
    let ack = message("ACK sip:bob@x SIP/2.0", "ACK", "");
    let mut frames = handshake((1, 2), (1, 7)).to_vec();
    frames.push(packet(way(1, 2), &[data(1, 3, 0, &invite)]));
    // The pieces of one, both cut.
    frames.extend(pieces(way(2, 1), 7, 0, &ok, 1_000));
    // A message that is whole, and one that is not, in one packet.
    let again = message("INVITE sip:bob@x SIP/2.0", "INVITE", &"x".repeat(900));
    let again = String::from_utf8(again).unwrap().replace("CSeq: 1", "CSeq: 2").into_bytes();
    frames.push(packet(way(1, 2), &[data(2, 3, 0, &ack), data(3, 3, 0, &again)]));
    let cut = |frames: Vec<Vec<u8>>, snap_length: usize| {
        let packets = (0..).zip(frames).map(|(time, mut frame)| {
            let original = frame.len() as u32;
            frame.truncate(snap_length);
            Packet { original, ..at(time * 10, frame) }
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ethernet(packets.collect()).bytes()).unwrap();
        file
    };
    let file = cut(frames, 600);
    // tshark reads no chunk that was cut, so it gets the same in UDP, whose header is 20 bytes shorter.
    let in_udp = [(1, 2, &invite), (2, 1, &ok), (1, 2, &ack), (1, 2, &again)];
    let in_udp = in_udp.map(|(source, destination, message)| datagram(source, destination, message));
    let in_udp = cut(in_udp.to_vec(), 580);
    let run = Run::of(file.path(), &[]);
    assert_eq!(told(in_udp.path(), &run), (4, json!({"INVITE": 2, "ACK": 1}), json!({"200": 1})));
    assert_eq!(run.summary["dropped"]["sip"]["truncated"], json!(3));
    assert_eq!(run.summary["dropped"]["sctp"], Value::Null);
    let record = &run.records[0];
    assert_eq!((&record["result"], &record["messages"]), (&json!("open"), &json!(4)));
}
