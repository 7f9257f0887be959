//! One connection captured on both sides of a firewall that chooses sequence numbers of its own (RFC 9293 3.4.1: they must not be
//! guessed), and calls captured at two taps whose clocks are apart.

use std::io::Write;
use std::path::Path;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::classic::Packet;
use crate::joined::segment;
use crate::support::{Run, assert_nothing_vanished, tshark};
use crate::wire::{at, checksum, ethernet, rtp, udp};

const CLIENT: (u8, u16) = (1, 40_000);
const SERVER: (u8, u16) = (2, 5060);

/// How the two sides of the firewall are captured.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// What the firewall adds to the numbers of the client, and of the server.
    offsets: [u32; 2],
    opened: bool,
    /// Bytes of padding in each session description.
    padding: usize,
    /// How much later the other side has it, in milliseconds.
    skew: u32,
    calls: u32,
}

/// Messages of a call: when, from the client or the server, and the message.
fn call(number: u32, padding: usize) -> Vec<(u32, bool, Vec<u8>)> {
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n\
         {}",
        "a=x-padding:yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(padding / 50)
    );
    let message = |start: &str, cseq: &str, tag: &str, body: &str| {
        format!(
            "{start}\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK{number}{}\r\nFrom: <sip:a@192.0.2.1>;tag=a{number}\r\n\
             To: <sip:b@192.0.2.2>{tag}\r\nCall-ID: {number}@sides\r\nCSeq: {cseq}\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            cseq.replace(' ', ""),
            body.len()
        )
        .into_bytes()
    };
    let begin = 100 + number * 370;
    vec![
        (begin, true, message("INVITE sip:b@192.0.2.2 SIP/2.0", "1 INVITE", "", &sdp)),
        (begin + 100, false, message("SIP/2.0 100 Trying", "1 INVITE", "", "")),
        (begin + 500, false, message("SIP/2.0 180 Ringing", "1 INVITE", ";tag=b", "")),
        (begin + 1_000, false, message("SIP/2.0 200 OK", "1 INVITE", ";tag=b", &sdp)),
        (begin + 1_100, true, message("ACK sip:b@192.0.2.2 SIP/2.0", "1 ACK", ";tag=b", "")),
        (begin + 5_000, true, message("BYE sip:b@192.0.2.2 SIP/2.0", "2 BYE", ";tag=b", "")),
        (begin + 5_100, false, message("SIP/2.0 200 OK", "2 BYE", ";tag=b", "")),
    ]
}

/// A frame of the connection, with flags and the checksum that tshark looks at.
fn frame(by_client: bool, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = if by_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
    let mut frame = segment(source, destination, sequence, payload);
    let tcp = 14 + 20;
    frame[tcp + 13] = flags;
    let mut summed =
        [&frame[26..34], &[0, 6], &u16::try_from(frame.len() - tcp).unwrap().to_be_bytes()].concat();
    summed.extend(&frame[tcp..]);
    summed.extend(vec![0; summed.len() % 2]);
    let sum = checksum(&summed);
    frame[tcp + 16..tcp + 18].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// What one side has, with the firewall's offsets or without.
fn side(case: &Case, offsets: [u32; 2], later: u32) -> Vec<(u32, Packet)> {
    let mut messages: Vec<_> = (0..case.calls).flat_map(|number| call(number, case.padding)).collect();
    messages.sort_by_key(|message| message.0);
    let mut next = [1_000_u32.wrapping_add(offsets[0]), 5_000_u32.wrapping_add(offsets[1])];
    let mut frames = Vec::new();
    if case.opened {
        frames.push((10, frame(true, next[0].wrapping_sub(1), 0x02, b"")));
        frames.push((20, frame(false, next[1].wrapping_sub(1), 0x12, b"")));
    }
    for (time, by_client, message) in messages {
        for piece in message.chunks(1_400) {
            let next = &mut next[usize::from(!by_client)];
            frames.push((time, frame(by_client, *next, 0x18, piece)));
            *next = next.wrapping_add(u32::try_from(piece.len()).unwrap());
        }
    }
    frames.into_iter().map(|(time, frame)| (time + later, at(time + later, frame))).collect()
}

fn file(mut frames: Vec<(u32, Packet)>) -> NamedTempFile {
    frames.sort_by_key(|frame| frame.0);
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&ethernet(frames.into_iter().map(|frame| frame.1).collect()).bytes()).unwrap();
    file
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for offsets in [[0x7000_0000, 0], [0x0560_0000, 0], [0xf000_0000, 0], [0x9000_0000, 0x2000_0000]] {
        for (opened, padding) in [(true, 3_000), (false, 0)] {
            for (skew, calls) in [(1, 6), (50, 1), (300, 6)] {
                cases.push(Case { offsets, opened, padding, skew, calls });
            }
        }
    }
    cases
}

/// SIP messages in a file, as tshark has them.
fn sip_messages(file: &Path) -> Option<usize> {
    let rows = tshark(file, "sip", &["sip.CSeq"])?;
    Some(rows.iter().map(|row| row[0].split(';').count()).sum())
}

#[test]
fn what_both_sides_of_a_firewall_say_is_told_once() {
    for case in cases() {
        let (one, other) = (side(&case, [0, 0], 0), side(&case, case.offsets, case.skew));
        // What there is to be told is what tshark has of one side, which is the same for all firewalls.
        let is_first = case.offsets == [0x7000_0000, 0] && case.skew != 300;
        let messages = 7 * case.calls as usize;
        let witness = if is_first { sip_messages(file(one.clone()).path()) } else { None };
        assert_eq!(witness.unwrap_or(messages), messages, "{case:?}");
        let run = Run::of(file([one, other].concat()).path(), &[]);
        assert_eq!(run.records.len(), case.calls as usize, "{case:?}");
        for record in &run.records {
            let counts = ["messages", "retransmissions"].map(|key| record[key].as_u64().unwrap());
            assert_eq!(counts, [7, 0], "{case:?}");
            assert_eq!(record["result"], "success", "{case:?}");
        }
        assert_eq!(run.summary["dropped"]["sip"], Value::Null, "{case:?}");
        assert_nothing_vanished(&run, "both sides");
        if is_first {
            let written: Option<usize> = run.paths().iter().map(|path| sip_messages(path)).sum();
            assert_eq!(written.unwrap_or(messages), messages, "{case:?}");
        }
    }
}

/// How datagrams look at the second tap.
#[derive(Clone, Copy, Debug)]
enum Second {
    /// As at the first, on the same wire: their IPv4 headers are numbered (RFC 791 3.2).
    SameWire,
    /// Not numbered (RFC 6864 4.1), and behind a router: another VLAN, one hop less.
    BehindRouter,
}

/// A frame with that number in its IPv4 header.
fn numbered(mut frame: Vec<u8>, identification: u16) -> Vec<u8> {
    frame[18..20].copy_from_slice(&identification.to_be_bytes());
    with_checksum(frame, 14)
}

/// A frame as it is behind a router, in VLAN 7.
fn routed(mut frame: Vec<u8>) -> Vec<u8> {
    frame.splice(12..12, [0x81, 0, 0, 7]);
    frame[18 + 8] -= 1;
    with_checksum(frame, 18)
}

fn with_checksum(mut frame: Vec<u8>, ip: usize) -> Vec<u8> {
    frame[ip + 10..ip + 12].fill(0);
    let sum = checksum(&frame[ip..ip + 20]);
    frame[ip + 10..ip + 12].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// A call over UDP with RTP both ways, whose INVITE is sent again after T1 (RFC 3261 17.1.1.2), at the first tap.
fn datagrams(second: Second) -> Vec<(u32, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut messages = call(0, 0);
    messages[1].0 += 510;
    messages[2].0 += 510;
    let invite = messages[0].clone();
    messages.insert(1, (invite.0 + 500, true, invite.2));
    for (time, by_client, message) in messages {
        let (source, destination) = if by_client { ((1, 5060), (2, 5060)) } else { ((2, 5060), (1, 5060)) };
        frames.push((time, udp(source, destination, &message)));
    }
    for number in 0..150_u16 {
        let time = 1_200 + u32::from(number) * 20;
        let packet = rtp(0, number, u32::from(number) * 160, 1, &[0xd5; 160]);
        frames.push((time, udp((1, 4_000), (2, 6_000), &packet)));
    }
    frames.sort_by_key(|frame| frame.0);
    let numbers = (1..).map(|number| if matches!(second, Second::SameWire) { number } else { 0 });
    frames.into_iter().zip(numbers).map(|((time, frame), number)| (time, numbered(frame, number))).collect()
}

#[test]
fn what_a_second_tap_has_is_told_once_whatever_its_clock_says() {
    for second in [Second::SameWire, Second::BehindRouter] {
        let first = datagrams(second);
        let packets = |frames: &[(u32, Vec<u8>)], later: u32| -> Vec<(u32, Packet)> {
            frames.iter().map(|(time, frame)| (time + later, at(time + later, frame.clone()))).collect()
        };
        let alone = Run::of(file(packets(&first, 0)).path(), &[]);
        assert_eq!(alone.records[0]["retransmissions"], 1, "{second:?}");
        assert_eq!(alone.records[0]["duplicates"], 0, "{second:?}");
        let other: Vec<(u32, Vec<u8>)> = match second {
            Second::SameWire => first.clone(),
            Second::BehindRouter => {
                first.iter().map(|(time, frame)| (*time, routed(frame.clone()))).collect()
            }
        };
        for skew in [1, 15, 50, 300] {
            let both = file([packets(&first, 0), packets(&other, skew)].concat());
            let run = Run::of(both.path(), &[]);
            let told = |run: &Run| {
                let record = &run.records[0];
                let keys = ["messages", "retransmissions", "result", "setup_seconds", "findings"];
                let stream = &record["media"][0];
                let figures = ["jitter_ms", "max_jitter_ms", "max_delta_ms", "discarded", "mos"];
                (keys.map(|key| record[key].clone()), figures.map(|key| stream[key].clone()))
            };
            let (ours, figures) = told(&run);
            assert_eq!(ours, told(&alone).0, "{second:?} {skew}");
            if skew > 1 {
                assert_eq!(figures, told(&alone).1, "{second:?} {skew}");
            }
            assert_eq!(run.records[0]["duplicates"], 8, "{second:?} {skew}");
            assert_eq!(run.records[0]["media"][0]["duplicates"], 150, "{second:?} {skew}");
            assert_nothing_vanished(&run, "two taps");
        }
    }
}
