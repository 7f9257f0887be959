//! A wire on which nothing is said for a long time: what waited is let go of before time goes on.

use std::collections::BTreeMap;
use std::io::Write;

use tempfile::NamedTempFile;

use crate::classic::Packet;
use crate::joined::segment;
use crate::support::{Run, assert_nothing_vanished, has_tshark, tshark};
use crate::wire::{at, ethernet, udp};

const CLIENT: (u8, u16) = (1, 40_000);
const SERVER: (u8, u16) = (2, 5_060);

/// Four calls a minute apart over one connection, each refused: INVITE, 503 and ACK. Of the second the INVITE was not captured.
fn trunk() -> Vec<Packet> {
    let mut sequences = [1_000_u32, 9_000];
    let mut packets = Vec::new();
    for call in 0..4 {
        let message = |start: &str, method: &str, tag: &str| {
            format!(
                "{start}\r\nVia: SIP/2.0/TCP 192.0.2.1:40000;branch=z9hG4bK{call}\r\n\
                 From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:b@192.0.2.2>{tag}\r\nCall-ID: {call}@trunk\r\n\
                 CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
            )
        };
        let said = [
            (0, 1, message("INVITE sip:b@192.0.2.2 SIP/2.0", "INVITE", "")),
            (100, 2, message("SIP/2.0 503 Service Unavailable", "INVITE", ";tag=2")),
            (110, 1, message("ACK sip:b@192.0.2.2 SIP/2.0", "ACK", ";tag=2")),
        ];
        for (time, sender, text) in said {
            let (source, destination) = if sender == 1 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
            let sequence = &mut sequences[usize::from(sender - 1_u8)];
            let frame = segment(source, destination, *sequence, text.as_bytes());
            *sequence += u32::try_from(text.len()).unwrap();
            if (call, time) != (1, 0) {
                packets.push(at(call * 60_000 + time, frame));
            }
        }
    }
    packets
}

fn written(packets: Vec<Packet>) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".pcap").unwrap();
    file.write_all(&ethernet(packets).bytes()).unwrap();
    file
}

#[test]
fn what_waits_behind_a_hole_is_told_before_its_call_expires() {
    let quiet = trunk();
    // Somebody else says something three seconds after each call.
    let mut noisy = quiet.clone();
    noisy.extend((0..4).map(|call| at(call * 60_000 + 3_000, udp((7, 1_111), (8, 2_222), b"x"))));
    noisy.sort_by_key(|packet| (packet.seconds, packet.fraction));
    let (quiet, noisy) = (written(quiet), written(noisy));
    let (run, other) = (Run::of(quiet.path(), &[]), Run::of(noisy.path(), &[]));
    assert_nothing_vanished(&run, "quiet");
    assert_eq!(run.records_without_paths(), other.records_without_paths());
    let told: BTreeMap<&str, (u64, &str)> = run
        .records
        .iter()
        .map(|record| {
            let (messages, result) =
                (record["messages"].as_u64().unwrap(), record["result"].as_str().unwrap());
            (record["call_id"].as_str().unwrap(), (messages, result))
        })
        .collect();
    assert_eq!(told.len(), run.records.len(), "a call is told once");
    if has_tshark() {
        let mut messages: BTreeMap<String, u64> = BTreeMap::new();
        for row in tshark(quiet.path(), "sip", &["sip.Call-ID"]).unwrap() {
            row[0].split(';').for_each(|call_id| *messages.entry(call_id.to_owned()).or_default() += 1);
        }
        let expected = messages.iter().map(|(call_id, &messages)| (&call_id[..], (messages, "failed")));
        assert_eq!(told, expected.collect());
    }
}
