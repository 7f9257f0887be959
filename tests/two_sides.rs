//! One connection captured on both sides of a firewall that chooses sequence numbers of its own (RFC 9293 3.4.1: they must not be
//! guessed), and calls captured at two taps whose clocks are apart.

use std::io::Write;
use std::path::Path;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::classic::Packet;
use crate::joined::segment;
use crate::support::{Run, assert_nothing_vanished, tshark};
use crate::tunnels::cut;
use crate::wire::{at, checksum, datagram, ethernet, rtp, udp};

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

/// Numbers datagrams, and cuts what is longer than a frame of Ethernet: that has to have a number (RFC 6864 4.2).
fn sent(second: Second, mut datagrams: Vec<(u32, Vec<u8>)>) -> Vec<(u32, Vec<u8>)> {
    datagrams.sort_by_key(|datagram| datagram.0);
    let is_numbered = matches!(second, Second::SameWire);
    let frames = datagrams.into_iter().zip(1..).flat_map(|((time, frame), number)| {
        let frame = numbered(frame, if is_numbered { number } else { 0 });
        let (link, packet) = frame.split_at(14);
        let packets = if packet.len() > 1_500 { cut(packet, 1_480, number) } else { vec![packet.to_vec()] };
        packets.into_iter().map(|packet| (time, [link, &packet].concat())).collect::<Vec<_>>()
    });
    frames.collect()
}

/// What a second tap has, so many milliseconds later.
fn at_second(second: Second, frames: &[(u32, Vec<u8>)], later: u32) -> Vec<(u32, Packet)> {
    let other = frames.iter().map(|(time, frame)| {
        let frame = match second {
            Second::SameWire => frame.clone(),
            Second::BehindRouter => routed(frame.clone()),
        };
        (time + later, at(time + later, frame))
    });
    other.collect()
}

/// What the first tap has.
fn at_first(frames: &[(u32, Vec<u8>)]) -> Vec<(u32, Packet)> {
    frames.iter().map(|(time, frame)| (*time, at(*time, frame.clone()))).collect()
}

/// A call over UDP with RTP both ways, whose INVITE is sent again after T1 (RFC 3261 17.1.1.2), at the first tap.
fn datagrams(second: Second, padding: usize) -> Vec<(u32, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut messages = call(0, padding);
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
    sent(second, frames)
}

#[test]
fn what_a_second_tap_has_is_told_once_whatever_its_clock_says() {
    for (second, padding) in [(Second::SameWire, 0), (Second::BehindRouter, 0), (Second::SameWire, 3_000)] {
        let first = datagrams(second, padding);
        let alone = Run::of(file(at_first(&first)).path(), &[]);
        assert_eq!(alone.records[0]["retransmissions"], 1, "{second:?} {padding}");
        assert_eq!(alone.records[0]["duplicates"], 0, "{second:?} {padding}");
        for skew in [1, 15, 50, 300] {
            let both = file([at_first(&first), at_second(second, &first, skew)].concat());
            let run = Run::of(both.path(), &[]);
            let told = |run: &Run| {
                let record = &run.records[0];
                let keys = ["messages", "retransmissions", "result", "setup_seconds", "findings"];
                let stream = &record["media"][0];
                let figures = ["jitter_ms", "max_jitter_ms", "max_delta_ms", "discarded", "mos"];
                (keys.map(|key| record[key].clone()), figures.map(|key| stream[key].clone()))
            };
            let (ours, figures) = told(&run);
            assert_eq!(ours, told(&alone).0, "{second:?} {padding} {skew}");
            if skew > 1 {
                assert_eq!(figures, told(&alone).1, "{second:?} {padding} {skew}");
            }
            assert_eq!(run.records[0]["duplicates"], 8, "{second:?} {padding} {skew}");
            assert_eq!(run.records[0]["media"][0]["duplicates"], 150, "{second:?} {padding} {skew}");
            assert_nothing_vanished(&run, "two taps");
        }
    }
}

/// A message of one call from host to host.
fn message(start: &str, cseq: &str, branch: &str, tag: &str) -> Vec<u8> {
    let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{branch}\r\nFrom: <sip:a@192.0.2.1>;tag=a\r\n\
         To: <sip:b@192.0.2.2>{tag}\r\nCall-ID: many\r\nCSeq: {cseq}\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// A proxy that rings so many phones, one of which answers (RFC 3261 16.7).
fn ring_group(phones: u8) -> Vec<(u32, Vec<u8>)> {
    const INVITE: &str = "INVITE sip:b@192.0.2.2 SIP/2.0";
    let mut frames = vec![
        (0, datagram(1, 2, &message(INVITE, "1 INVITE", "a", ""))),
        (1, datagram(2, 1, &message("SIP/2.0 100 Trying", "1 INVITE", "a", ""))),
        (61, datagram(2, 1, &message("SIP/2.0 180 Ringing", "1 INVITE", "a", "t0"))),
        (4_001, datagram(2, 1, &message("SIP/2.0 200 OK", "1 INVITE", "a", "t0"))),
        (4_020, datagram(1, 2, &message("ACK sip:b@192.0.2.2 SIP/2.0", "1 ACK", "k", "t0"))),
        (4_021, datagram(2, 100, &message("ACK sip:b@192.0.2.2 SIP/2.0", "1 ACK", "l", "t0"))),
        (9_000, datagram(1, 2, &message("BYE sip:b@192.0.2.2 SIP/2.0", "2 BYE", "c", "t0"))),
        (9_001, datagram(2, 100, &message("BYE sip:b@192.0.2.2 SIP/2.0", "2 BYE", "d", "t0"))),
        (9_010, datagram(100, 2, &message("SIP/2.0 200 OK", "2 BYE", "d", "t0"))),
        (9_011, datagram(2, 1, &message("SIP/2.0 200 OK", "2 BYE", "c", "t0"))),
    ];
    for number in 0..phones {
        let (phone, branch, tag, turn) =
            (100 + number, format!("b{number}"), format!("t{number}"), u32::from(number));
        let mut send = |time, is_to, start, cseq, tag| {
            let (from, to) = if is_to { (2, phone) } else { (phone, 2) };
            frames.push((time, datagram(from, to, &message(start, cseq, &branch, tag))));
        };
        send(5 + turn / 2, true, INVITE, "1 INVITE", "");
        send(60 + turn, false, "SIP/2.0 180 Ringing", "1 INVITE", &tag);
        if number == 0 {
            send(4_000, false, "SIP/2.0 200 OK", "1 INVITE", &tag);
        } else {
            send(4_002 + turn / 8, true, "CANCEL sip:b@192.0.2.2 SIP/2.0", "1 CANCEL", "");
            send(4_010, false, "SIP/2.0 200 OK", "1 CANCEL", &tag);
            send(4_011, false, "SIP/2.0 487 Request Terminated", "1 INVITE", &tag);
            send(4_012, true, "ACK sip:b@192.0.2.2 SIP/2.0", "1 ACK", &tag);
        }
    }
    frames
}

/// A call over so many hops, with a reliable provisional answer (RFC 3262).
fn chain(hops: u8) -> Vec<(u32, Vec<u8>)> {
    let mut frames = Vec::new();
    let exchange = [
        (0, true, "INVITE sip:b@192.0.2.2 SIP/2.0", "1 INVITE", "i", ""),
        (1, false, "SIP/2.0 100 Trying", "1 INVITE", "i", ""),
        (100, false, "SIP/2.0 183 Session Progress", "1 INVITE", "i", "b"),
        (150, true, "PRACK sip:b@192.0.2.2 SIP/2.0", "2 PRACK", "p", "b"),
        (170, false, "SIP/2.0 200 OK", "2 PRACK", "p", "b"),
        (250, false, "SIP/2.0 180 Ringing", "1 INVITE", "i", "b"),
        (3_000, false, "SIP/2.0 200 OK", "1 INVITE", "i", "b"),
        (3_050, true, "ACK sip:b@192.0.2.2 SIP/2.0", "1 ACK", "k", "b"),
        (9_000, true, "BYE sip:b@192.0.2.2 SIP/2.0", "3 BYE", "e", "b"),
        (9_030, false, "SIP/2.0 200 OK", "3 BYE", "e", "b"),
    ];
    for hop in 0..hops {
        for (time, is_there, start, cseq, branch, tag) in exchange {
            let turn = if is_there { hop } else { hops - 1 - hop };
            let (from, to) = if is_there { (1 + hop, 2 + hop) } else { (2 + hop, 1 + hop) };
            let message = message(start, cseq, &format!("{branch}{hop}"), tag);
            frames.push((time + 3 * u32::from(turn), datagram(from, to, &message)));
        }
    }
    frames
}

#[test]
fn what_a_second_tap_has_of_many_phones_and_hops_is_told_once() {
    let second = Second::SameWire;
    for (name, frames) in [("12 phones", ring_group(12)), ("40 phones", ring_group(40)), ("hops", chain(4))] {
        let first = sent(second, frames);
        let messages = first.len() as u64;
        let alone = sip_messages(file(at_first(&first)).path());
        assert_eq!(alone.unwrap_or(first.len()), first.len(), "{name}");
        for skew in [3, 15, 50, 300] {
            let both = file([at_first(&first), at_second(second, &first, skew)].concat());
            let run = Run::of(both.path(), &[]);
            let told = ["messages", "retransmissions", "duplicates"]
                .map(|key| run.records[0][key].as_u64().unwrap());
            assert_eq!(told, [messages, 0, messages], "{name} {skew}");
        }
    }
}
