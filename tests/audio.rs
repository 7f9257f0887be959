//! `report call --wav`: a tone goes in by the formulas of ITU-T G.711, and the same samples must come out.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;
use std::process::Output;

use crate::classic::Packet;
use crate::support::lippycat;
use crate::wire::{at, datagram, ethernet, rtp, udp};

/// Samples of a packet: 20 ms.
const PACKET: usize = 160;

/// What an A-law code word stands for (G.711 table 1, in 16 bits): segment and interval, even bits inverted.
fn a_law(code: u8) -> i32 {
    let (segment, interval) = (u32::from(code >> 4 & 7), i32::from(code & 15));
    let magnitude = if segment == 0 { 2 * interval + 1 } else { (2 * interval + 33) << (segment - 1) };
    if code & 0x80 == 0 { -8 * magnitude } else { 8 * magnitude }
}

/// What a µ-law code word stands for (table 2, in 16 bits), all bits inverted.
fn mu_law(code: u8) -> i32 {
    let (segment, interval) = (u32::from(code >> 4 & 7), i32::from(code & 15));
    let magnitude = ((2 * interval + 33) << segment) - 33;
    if code & 0x80 == 0 { 4 * magnitude } else { -4 * magnitude }
}

/// The code word on the line whose value is nearest, and that value.
fn nearest(value: f64, law: fn(u8) -> i32, inverted: u8) -> (u8, i32) {
    let code = (0..=255u8).min_by(|one, other| {
        (f64::from(law(*one)) - value).abs().total_cmp(&(f64::from(law(*other)) - value).abs())
    });
    let code = code.unwrap();
    (code ^ inverted, law(code))
}

/// A second of a tone, as it goes over the line and as it is heard.
fn tone(hertz: f64, law: fn(u8) -> i32, inverted: u8) -> (Vec<u8>, Vec<i32>) {
    let value = |sample: u32| 12_000.0 * (TAU * hertz * f64::from(sample) / 8000.0).sin();
    (0..8000).map(|sample| nearest(value(sample), law, inverted)).unzip()
}

fn signalling(formats: &str, extra: &str) -> Vec<Packet> {
    let sdp = |host: u8, port: u16| {
        format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.{host}\r\ns=-\r\nc=IN IP4 192.0.2.{host}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n{extra}"
        )
    };
    let message = |start: &str, cseq: &str, body: &str| {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{}\r\nFrom: <sip:alice@x>;tag=a\r\nTo: <sip:bob@x>;tag=b\r\n\
             Call-ID: ../a/b@192.0.2.1\r\nCSeq: {cseq}\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            cseq.as_bytes()[0],
            body.len()
        )
        .into_bytes()
    };
    let steps = [
        (0, 1, message("INVITE sip:bob@x SIP/2.0", "1 INVITE", &sdp(1, 4000))),
        (10, 2, message("SIP/2.0 200 OK", "1 INVITE", &sdp(2, 5000))),
        (20, 1, message("ACK sip:bob@x SIP/2.0", "1 ACK", "")),
        (2000, 1, message("BYE sip:bob@x SIP/2.0", "2 BYE", "")),
        (2010, 2, message("SIP/2.0 200 OK", "2 BYE", "")),
    ];
    steps.into_iter().map(|(time, from, text)| at(time, datagram(from, 3 - from, &text))).collect()
}

fn report(directory: &Path, mut packets: Vec<Packet>) -> Output {
    packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
    fs::write(directory.join("in.pcap"), ethernet(packets).bytes()).unwrap();
    lippycat()
        .current_dir(directory)
        .args(["report", "call", "../a/b@192.0.2.1", "-r", "in.pcap", "--wav", "out"])
        .output()
        .unwrap()
}

fn wav(directory: &Path) -> (String, Vec<u8>) {
    let files: Vec<_> = fs::read_dir(directory.join("out")).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 1);
    (files[0].file_name().into_string().unwrap(), fs::read(files[0].path()).unwrap())
}

/// The caller's tone from 100 ms on in A-law, one packet lost, two out of order, one twice, one of comfort noise; the
/// other's from 300 ms on in µ-law.
#[test]
fn a_tone_is_heard_as_it_was_sent() {
    let (one, mut left) = tone(1000.0, a_law, 0x55);
    let (other, right) = tone(440.0, mu_law, 0xff);
    let mut packets = signalling("8 0 13", "");
    for (number, payload) in (0u16..).zip(one.chunks(PACKET)) {
        // The beginning is near the wrap of both counters.
        let (sequence, timestamp) =
            ((u16::MAX - 5).wrapping_add(number), (u32::MAX - 999).wrapping_add(160 * u32::from(number)));
        let time = 100 + 20 * u32::from(number);
        let mut send = |time: u32, payload_type: u8, payload: &[u8]| {
            let packet = rtp(payload_type, sequence, timestamp, 7, payload);
            packets.push(at(time, udp((1, 4000), (2, 5000), &packet)));
        };
        let start = usize::from(number) * PACKET;
        match number {
            10 => left[start..start + PACKET].fill(0),
            15 => {
                left[start..start + PACKET].fill(0);
                send(time, 13, &[40]);
            }
            20 => send(time + 25, 8, payload),
            30 => {
                send(time, 8, payload);
                send(time + 1, 8, payload);
            }
            _ => send(time, 8, payload),
        }
    }
    for (number, payload) in (0u16..).zip(other.chunks(PACKET)) {
        let packet = rtp(0, number, 160 * u32::from(number), 9, payload);
        packets.push(at(300 + 20 * u32::from(number), udp((2, 5000), (1, 4000), &packet)));
    }
    let directory = tempfile::tempdir().unwrap();
    let output = report(directory.path(), packets.clone());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains(": 1.200 s"), "{told}");
    let (name, bytes) = wav(directory.path());
    assert!(!name.contains('/') && !name.starts_with('.') && name.ends_with(".wav"), "{name}");

    // 1.2 s at 8,000 Hz: the left channel's second, and the right one's 200 ms later.
    let word = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    assert_eq!((&bytes[..4], &bytes[8..16], &bytes[36..40]), (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..]));
    assert_eq!((word(20), word(24), word(28), word(32)), (0x0002_0001, 8000, 32_000, 0x0010_0004));
    assert_eq!((word(40), bytes.len()), (9600 * 4, 44 + 9600 * 4));
    let sample = |at: usize| i32::from(i16::from_le_bytes([bytes[44 + 2 * at], bytes[45 + 2 * at]]));
    for place in 0..9600 {
        let heard = (sample(2 * place), sample(2 * place + 1));
        let sent =
            (left.get(place).copied().unwrap_or(0), place.checked_sub(1600).map_or(0, |place| right[place]));
        assert_eq!(heard, sent, "sample {place}");
    }

    // Nothing is overwritten.
    assert_eq!(report(directory.path(), packets).status.code(), Some(0));
    assert_eq!(fs::read_dir(directory.path().join("out")).unwrap().count(), 2);
    assert_eq!(fs::read(directory.path().join("out").join(name)).unwrap(), bytes);
}

#[test]
fn what_is_not_decoded_is_told() {
    let speech = |payload_type: u8| {
        let packets = (0u16..20).map(move |number| {
            let packet = rtp(payload_type, number, 960 * u32::from(number), 7, &[0x78; 40]);
            at(100 + 20 * u32::from(number), udp((1, 4000), (2, 5000), &packet))
        });
        packets.collect::<Vec<_>>()
    };
    for (formats, extra, payload_type, text) in [
        ("111", "a=rtpmap:111 opus/48000/2\r\n", 111, "error: opus is not decoded: 20 packets"),
        ("9", "", 9, "error: G722 is not decoded: 20 packets"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let output = report(directory.path(), [signalling(formats, extra), speech(payload_type)].concat());
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(text), "{told}");
        assert_eq!(fs::read_dir(directory.path().join("out")).unwrap().count(), 0);
    }
    let directory = tempfile::tempdir().unwrap();
    let output = report(directory.path(), signalling("8", ""));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: the capture has no audio of this call"));
}
