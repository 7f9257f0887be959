//! SIP over SCTP in user messages that are split over several chunks. tshark, which puts them together too, is the
//! witness.

use serde_json::json;

use crate::classic::Packet;
use crate::support::{Run, has_tshark, tshark};
use crate::wire::{at, checksum, ethernet};

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

/// Ethernet, IPv4, SCTP (RFC 9260 3.1) from 192.0.2.`source` to 192.0.2.`destination` with these chunks.
fn packet(source: u8, destination: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let mut ip = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 132, 0, 0, 192, 0, 2, source, 192, 0, 2, destination];
    ip[2..4].copy_from_slice(&(32 + body.len() as u16).to_be_bytes());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![2, 0, 0, 0, 0, destination, 2, 0, 0, 0, 0, source, 8, 0];
    frame.extend(ip);
    frame.extend([0x13, 0xc4, 0x13, 0xc4, 0, 0, 0, 7, 0, 0, 0, 0]);
    frame.extend(body);
    frame
}

fn message(start: &str, method: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{start}\r\nVia: SIP/2.0/SCTP 192.0.2.1;branch=z9hG4bK1{method}\r\nFrom: <sip:alice@x>;tag=a\r\nTo: <sip:bob@x>;tag=b\r\n\
         Call-ID: pieces@192.0.2.1\r\nCSeq: 1 {method}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The pieces of a message on a stream, from that number on, in packets from one host to the other.
fn pieces(ends: (u8, u8), first: u32, stream: u16, message: &[u8], size: usize) -> Vec<Vec<u8>> {
    let count = message.len().div_ceil(size);
    let flags = |index| u8::from(index == 0) << 1 | u8::from(index + 1 == count);
    let chunks = message.chunks(size).enumerate();
    let chunks =
        chunks.map(|(index, bytes)| data(first.wrapping_add(index as u32), flags(index), stream, bytes));
    chunks.map(|chunk| packet(ends.0, ends.1, &[chunk])).collect()
}

#[test]
fn messages_in_pieces_are_whole() {
    let invite = message("INVITE sip:bob@x SIP/2.0", "INVITE", &"x".repeat(3_000));
    let ok = message("SIP/2.0 200 OK", "INVITE", &"y".repeat(900));
    let ack = message("ACK sip:bob@x SIP/2.0", "ACK", "");
    let mut frames = pieces((1, 2), u32::MAX - 1, 0, &invite, 1_000);
    // The second comes late, and twice; the last of the answer comes before the one before it.
    frames.swap(1, 2);
    frames.insert(3, frames[2].clone());
    let mut answer = pieces((2, 1), 7, 3, &ok, 400);
    let last = answer.len() - 1;
    answer.swap(last - 1, last);
    frames.extend(answer);
    // A whole message, and the first piece of one that never goes on, in one packet.
    let bye = message("BYE sip:bob@x SIP/2.0", "BYE", "");
    frames.push(packet(1, 2, &[data(3, 3, 0, &ack), data(4, 2, 0, &bye[..100])]));
    // The whole one is sent again, and so is a piece of one that was whole.
    frames.push(packet(1, 2, &[data(3, 3, 0, &ack)]));
    frames.push(frames[1].clone());
    let packets: Vec<Packet> = (0..).zip(frames).map(|(time, frame)| at(time * 10, frame)).collect();
    let count = packets.len();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ethernet(packets).bytes()).unwrap();

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
        let mut frames = pieces((1, 2), 1, 0, &invite, size);
        frames.extend(pieces((2, 1), 7_000, 3, &ok, size));
        let packets: Vec<Packet> = (0..).zip(frames).map(|(time, frame)| at(time * 10, frame)).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ethernet(packets).bytes()).unwrap();
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
