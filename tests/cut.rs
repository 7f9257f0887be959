//! Calls of whose packets a snap length left less than was on the wire.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::NamedTempFile;

use crate::classic::Packet;
use crate::joined::segment;
use crate::support::{Run, assert_nothing_vanished, has_tshark};
use crate::wire::{at, ethernet, udp};

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
