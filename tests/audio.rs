//! `report call --wav`: a tone goes in by the formulas of ITU-T G.711, and the same samples must come out. What ffmpeg
//! coded in G.722 and Opus (`testdata/audio`) has to sound as ffmpeg hears it.

use std::f64::consts::TAU;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::classic::Packet;
use crate::scene::{End, Scene, audio, message};
use crate::support::{lippycat, testdata};
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
        ("18", "", 18, "error: G729 is not decoded: 20 packets"),
        ("96", "a=rtpmap:96 iLBC/8000\r\n", 96, "error: iLBC is not decoded: 20 packets"),
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

/// Two codecs in one stream, the first of which is not decoded, and keys (RFC 4733).
#[test]
fn a_codec_that_was_left_is_told_too() {
    let formats = "a=rtpmap:96 AMR/8000\r\na=rtpmap:101 telephone-event/8000\r\n";
    let mut packets = signalling("96 0 101", formats);
    for number in 0u16..40 {
        let (payload_type, payload) = match number {
            0..10 => (96, &[0x55; 32][..]),
            10..15 => (101, &[1, 10, 0, 160][..]),
            _ => (0, &[0x55; 160][..]),
        };
        let packet = rtp(payload_type, number, 160 * u32::from(number), 7, payload);
        packets.push(at(100 + 20 * u32::from(number), udp((1, 4000), (2, 5000), &packet)));
    }
    let directory = tempfile::tempdir().unwrap();
    let output = report(directory.path(), packets);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("error: AMR is not decoded: 10 packets"), "{told}");
    assert!(!told.contains("payload type"), "{told}");
}

/// The caller's and the called party's words for the whole of a call.
const VOICES: [u8; 2] = [0x80, 0x00];

/// Each file has the caller's words on the left alone, and those of the called party on the right.
fn has_sides(mut scene: Scene, files: usize) {
    scene.packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("in.pcap"), ethernet(scene.packets).bytes()).unwrap();
    let mut command = lippycat();
    command.current_dir(directory.path()).args(["report", "call", "c", "-r", "in.pcap", "--wav", "out"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Vec<_> = fs::read_dir(directory.path().join("out")).unwrap().collect();
    assert_eq!(found.len(), files);
    for file in found {
        let path = file.unwrap().path();
        let (_, sides) = channels(&fs::read(&path).unwrap());
        for (side, code) in sides.iter().zip(VOICES) {
            let value = f64::from(mu_law(code ^ 0xff));
            let heard = side.iter().filter(|it| **it == value).count();
            let others = side.iter().filter(|it| **it != value && **it != 0.0).count();
            assert_eq!((heard, others), (50 * PACKET, 0), "{}", path.display());
        }
    }
}

/// A second of one voice, in PCMU.
fn say(scene: &mut Scene, from: u32, [source, destination]: [End; 2], side: usize) {
    for number in 0u16..50 {
        let ssrc = u32::from(source.1);
        let packet = rtp(0, number, 160 * u32::from(number), ssrc, &[VOICES[side]; PACKET]);
        scene.packets.push(at(from + 20 * u32::from(number), udp(source, destination, &packet)));
    }
}

/// Behind an RTP proxy each hop has its own two ports: the proxy speaks for the other side on each.
#[test]
fn the_caller_is_on_the_left_of_each_hop() {
    let (one, two, proxy, to_two) = ((1, 4000), (2, 6000), (9, 30_000), (9, 30_002));
    let mut scene = Scene::default();
    scene.offer("c", 0, (1, 9), &audio(one, "0", ""));
    scene.offer("c", 2, (9, 2), &audio(to_two, "0", ""));
    scene.answer("c", 1_000, (9, 2), 200, &audio(two, "0", ""));
    scene.answer("c", 1_002, (1, 9), 200, &audio(proxy, "0", ""));
    for (ends, side) in [([one, proxy], 0), ([to_two, two], 0), ([two, to_two], 1), ([proxy, one], 1)] {
        say(&mut scene, 1_100 + 1_500 * side as u32, ends, side);
    }
    scene.hang_up("c", 5_000, (1, 9));
    scene.hang_up("c", 5_002, (9, 2));
    has_sides(scene, 2);
}

/// Both parties on one host, told apart by ports alone.
#[test]
fn a_host_that_calls_itself_has_two_sides() {
    let (one, two) = ((1, 4000), (1, 6000));
    let mut scene = Scene::default();
    let ends = [(1, 5060), (1, 5070)];
    for (time, from, start, cseq, body) in [
        (0, 0, "INVITE sip:bob@x SIP/2.0", "1 INVITE", audio(one, "0", "")),
        (1_000, 1, "SIP/2.0 200 OK", "1 INVITE", audio(two, "0", "")),
        (1_010, 0, "ACK sip:bob@x SIP/2.0", "1 ACK", String::new()),
        (5_000, 0, "BYE sip:bob@x SIP/2.0", "2 BYE", String::new()),
        (5_010, 1, "SIP/2.0 200 OK", "2 BYE", String::new()),
    ] {
        let text = message("c", start, cseq, &body);
        scene.packets.push(at(time, udp(ends[from], ends[1 - from], &text)));
    }
    // Who was called speaks first.
    say(&mut scene, 1_100, [two, one], 1);
    say(&mut scene, 2_600, [one, two], 0);
    has_sides(scene, 1);
}

/// The packets of an Ogg file (RFC 3533) without the two heads of RFC 7845, and the samples to leave out at first.
fn ogg(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let (mut packets, mut packet, mut page) = (Vec::new(), Vec::new(), bytes);
    while !page.is_empty() {
        assert_eq!(&page[..4], b"OggS");
        let segments = usize::from(page[26]);
        let mut at = 27 + segments;
        for &length in &page[27..27 + segments] {
            packet.extend(&page[at..at + usize::from(length)]);
            at += usize::from(length);
            if length < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
        page = &page[at..];
    }
    let skip = u16::from_le_bytes([packets[0][10], packets[0][11]]);
    packets.drain(..2);
    (packets, skip.into())
}

fn file(name: &str) -> Vec<u8> {
    fs::read(testdata("audio").join(name)).unwrap()
}

/// What ffmpeg hears.
fn heard_by_ffmpeg(name: &str) -> Vec<f64> {
    let mut bytes = Vec::new();
    let packed = file(&format!("{name}.pcm.gz"));
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut bytes).unwrap();
    bytes.chunks_exact(2).map(|it| f64::from(i16::from_le_bytes([it[0], it[1]]))).collect()
}

/// The rate of a WAV file of two channels, and their samples.
fn channels(bytes: &[u8]) -> (u32, [Vec<f64>; 2]) {
    let rate = u32::from_le_bytes(*bytes[24..].first_chunk().unwrap());
    let sample = |at: usize| f64::from(i16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let side = |side: usize| (44..bytes.len()).step_by(4).map(|at| sample(at + 2 * side)).collect();
    (rate, [side(0), side(1)])
}

/// How alike two sounds are, 1 at most, and how loud the first is beside the second.
fn likeness(one: &[f64], other: &[f64]) -> (f64, f64) {
    let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let other = &other[..one.len()];
    let (one_power, other_power) = (sum(one, one), sum(other, other));
    (sum(one, other) / (one_power * other_power).sqrt(), (one_power / other_power).sqrt())
}

/// Packets of 20 ms from 100 ms on, of the caller or of the called party; those of `left_out` are not sent.
fn send(end: u8, payload_type: u8, clock: u32, payloads: &[Vec<u8>], left_out: &[usize]) -> Vec<Packet> {
    let ends = [((1, 4000), (2, 5000)), ((2, 5000), (1, 4000))][usize::from(end)];
    let sent = payloads.iter().enumerate().filter(|(number, _)| !left_out.contains(number));
    sent.map(|(number, payload)| {
        let number = u32::try_from(number).unwrap();
        let packet = rtp(payload_type, number as u16, number * clock / 50, 7 + u32::from(end), payload);
        at(100 + 20 * number, udp(ends.0, ends.1, &packet))
    })
    .collect()
}

const OPUS: &str = "a=rtpmap:111 opus/48000/2\r\n";

/// The other side talks in A-law: the file has the higher rate, and the tone there stays a tone.
#[test]
fn opus_is_heard_as_ffmpeg_hears_it() {
    for name in ["silk", "hybrid", "stereo"] {
        let (packets, skip) = ogg(&file(&format!("{name}.opus")));
        let (line, _) = tone(1000.0, a_law, 0x55);
        let line: Vec<Vec<u8>> = line.chunks(PACKET).map(<[u8]>::to_vec).collect();
        let mut all = [signalling("111 8", OPUS), send(0, 111, 48_000, &packets, &[])].concat();
        all.extend(send(1, 8, 8_000, &line, &[]));
        // Two of them overtaken, one twice.
        let overtaken = all.iter().position(|it| it.fraction == 200_000).unwrap();
        all[overtaken].fraction += 25_000;
        all.push(all[overtaken + 3].clone());
        let directory = tempfile::tempdir().unwrap();
        let output = report(directory.path(), all);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let (rate, [left, right]) = channels(&wav(directory.path()).1);
        assert_eq!((rate, left.len()), (48_000, packets.len() * 960), "{name}");
        let truth = heard_by_ffmpeg(name);
        let length = truth.len().min(left.len() - skip);
        let (alike, loud) = likeness(&left[skip..skip + length], &truth);
        assert!(alike > 0.999 && (0.99..1.01).contains(&loud), "{name}: {alike}, level {loud}");
        let sine: Vec<f64> =
            (0..48_000).map(|it| 12_000.0 * (TAU * 1000.0 * f64::from(it) / 48_000.0).sin()).collect();
        let (alike, loud) = likeness(&right[..48_000], &sine);
        assert!(alike > 0.999 && (0.99..1.01).contains(&loud), "{name}, the tone: {alike}, level {loud}");
    }
}

#[test]
fn g722_is_heard_as_ffmpeg_hears_it() {
    let packets: Vec<Vec<u8>> = file("voice.g722").chunks(160).map(<[u8]>::to_vec).collect();
    let directory = tempfile::tempdir().unwrap();
    let output = report(directory.path(), [signalling("9", ""), send(0, 9, 8_000, &packets, &[])].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let (rate, [left, right]) = channels(&wav(directory.path()).1);
    let truth = heard_by_ffmpeg("voice");
    assert_eq!((rate, left.len(), right.iter().all(|it| *it == 0.0)), (16_000, truth.len(), true));
    let (alike, loud) = likeness(&left, &truth);
    assert!(alike > 0.999 && (0.99..1.01).contains(&loud), "{alike}, level {loud}");
}

/// Nobody makes up what is missing: neither for lost packets nor while nothing is sent (DTX).
#[test]
fn gaps_of_opus_and_g722_are_silence() {
    let (mut opus, _) = ogg(&file("silk.opus"));
    // DTX: the configuration alone.
    (30..35).for_each(|number| opus[number].truncate(1));
    let g722: Vec<Vec<u8>> = file("voice.g722").chunks(160).map(<[u8]>::to_vec).collect();
    for (formats, extra, payload_type, clock, packets, rate) in
        [("111", OPUS, 111, 48_000, opus, 48_000), ("9", "", 9, 8_000, g722, 16_000)]
    {
        let directory = tempfile::tempdir().unwrap();
        let missing = [20, 21, 30, 31, 32, 33, 34];
        let left_out = if payload_type == 9 { &missing[..] } else { &missing[..2] };
        let sent = send(0, payload_type, clock, &packets, left_out);
        let output = report(directory.path(), [signalling(formats, extra), sent].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let (found, [left, _]) = channels(&wav(directory.path()).1);
        assert_eq!((found, left.len()), (rate, packets.len() * rate as usize / 50));
        for (number, packet) in left.chunks(rate as usize / 50).enumerate() {
            let is_silent = packet.iter().all(|it| *it == 0.0);
            assert_eq!(is_silent, missing.contains(&number), "{formats}: packet {number}");
        }
    }
}

/// Packets that RFC 6716 3.4 calls malformed (R3: two frames of one length in an odd number of bytes; R5: no frame) are told,
/// and those that were damaged by chance are noise.
#[test]
fn damaged_payloads_harm_nobody() {
    let mut damaged = Vec::new();
    let mut rest = &file("damaged.opus-packets")[..];
    while let [low, high, tail @ ..] = rest {
        let (packet, tail) = tail.split_at(usize::from(u16::from_le_bytes([*low, *high])));
        damaged.push(packet.to_vec());
        rest = tail;
    }
    assert!(damaged.len() >= 2);
    let malformed = [vec![0x49, 1, 2, 3], vec![0x4b, 0, 1]];
    damaged.extend(malformed.clone());
    let (speech, _) = ogg(&file("silk.opus"));
    let payloads = [&speech[..20], &damaged, &speech[20..]].concat();
    let directory = tempfile::tempdir().unwrap();
    let output =
        report(directory.path(), [signalling("111", OPUS), send(0, 111, 48_000, &payloads, &[])].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains(&format!("error: damaged opus is not decoded: {} packets", malformed.len())),
        "{told}"
    );
    assert!(!told.contains("panicked"), "{told}");
    let (_, [left, _]) = channels(&wav(directory.path()).1);
    assert_eq!(left.len(), payloads.len() * 960);
    assert!(left[left.len() - 9_600..].iter().any(|it| *it != 0.0), "it goes on");
}

#[test]
fn records_alone_have_no_audio() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("calls.jsonl"), "").unwrap();
    let mut command = lippycat();
    command.args(["report", "call", "x", "--records", "calls.jsonl", "--wav", "out"]);
    let output = command.current_dir(home.path()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), told.as_str()),
        (Some(2), "error: --wav reads the capture: name it with -r FILE\n")
    );
    assert!(!home.path().join("out").exists());
}

/// The capture is read twice, here from a named pipe whose second reader gets a half of it.
#[test]
fn a_signal_while_audio_is_written_ends_that_cleanly() {
    let (line, _) = tone(1000.0, a_law, 0x55);
    let line: Vec<Vec<u8>> = line.chunks(PACKET).map(<[u8]>::to_vec).collect();
    let mut packets = [signalling("8", ""), send(0, 8, 8_000, &line, &[])].concat();
    packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
    let half = packets[..packets.len() / 2].to_vec();
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("in.pcap");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut child = lippycat()
        .current_dir(directory.path())
        .args(["report", "call", "../a/b@192.0.2.1", "-r", "in.pcap", "--wav", "out"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    fs::write(&pipe, ethernet(packets).bytes()).unwrap();
    // The story is told between the two.
    let mut story = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut story).unwrap();
    let mut second = fs::File::options().write(true).open(&pipe).unwrap();
    second.write_all(&ethernet(half).bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{told}");
    assert!(told.contains("stopped"), "{told}");
    let (rate, [left, _]) = channels(&wav(directory.path()).1);
    assert!(rate == 8_000 && left.iter().any(|it| *it != 0.0), "{} samples", left.len());
    drop(second);
}
