//! What formats and packets without media say of a stream, and what they do not. tshark's counts and RFCs are the witness.

use serde_json::{Value, json};

use crate::scene::{End, Scene, audio};
use crate::support::{has_tshark, tshark};
use crate::wire::{at, rtp, udp};

const ONE: End = (1, 4000);
const TWO: End = (2, 6000);

/// A call from 0 to 10 s in these formats.
fn call(formats: &str, lines: &str) -> Scene {
    let mut scene = Scene::default();
    scene.agree_on("c", (0, 1), (1, 2), &[ONE, TWO].map(|end| audio(end, formats, lines)));
    scene.hang_up("c", 10_000, (1, 2));
    scene
}

impl Scene {
    /// A packet each 20 ms between these times: its payload type, its number, 8,000 Hz of media time, its payload.
    fn voice(&mut self, (from, until): (u32, u32), ends: [End; 2], packet: (u8, u16, u32), payload: &[u8]) {
        let (payload_type, first, ticks) = packet;
        for (number, time) in (first..).zip((from..until).step_by(ticks as usize / 8)) {
            let timestamp = ticks * u32::from(number);
            let packet = rtp(payload_type, number, timestamp, u32::from(ends[0].0), payload);
            self.packets.push(at(time, udp(ends[0], ends[1], &packet)));
        }
    }

    /// The stream of that host, and the findings; tshark counts as many packets of it, and none lost.
    fn stream_of(self, host: u8) -> (Value, Vec<Value>) {
        let (run, file) = self.run();
        let [record] = &run.records[..] else { panic!("{:?}", run.records) };
        let is_it = |it: &&Value| it["ssrc"] == u32::from(host);
        let stream = record["media"].as_array().unwrap().iter().find(is_it).unwrap().clone();
        if has_tshark() {
            let frames = tshark(file.path(), &format!("rtp.ssrc == {host}"), &["rtp.seq"]).unwrap();
            assert_eq!((json!(frames.len()), &stream["missing"]), (stream["packets"].clone(), &json!(0)));
        }
        (stream, record["findings"].as_array().unwrap().clone())
    }
}

/// RFC 3551 4.5.2: the RTP clock of G722 is 8,000 Hz; who writes its sampling rate into SDP sends by 8,000 all the same.
#[test]
fn g722_has_a_clock_of_8000_whatever_is_said() {
    for (formats, lines) in [("9", "a=rtpmap:9 G722/16000\r\n"), ("98", "a=rtpmap:98 G722/16000\r\n")] {
        let mut scene = call(formats, lines);
        let payload_type = formats.parse().unwrap();
        scene.voice((100, 9_900), [ONE, TWO], (payload_type, 0, 160), &[0x55; 160]);
        scene.voice((100, 9_900), [TWO, ONE], (payload_type, 0, 160), &[0x55; 160]);
        let (stream, findings) = scene.stream_of(1);
        assert!(findings.is_empty(), "{findings:?}");
        let told = ["discarded", "packet_ms", "jitter_ms", "codec"].map(|key| stream[key].clone());
        assert_eq!(told, [json!(0), json!(20.0), json!(0.0), json!("G722")]);
    }
}

/// RFC 6263 4.6: an empty packet with a payload type that means nothing keeps a port open, in silence and behind the last word.
#[test]
fn an_empty_packet_is_no_other_codec() {
    let mut scene = call("0", "");
    scene.voice((100, 2_100), [ONE, TWO], (0, 0, 160), &[0x55; 160]);
    let empty = |number: u16| rtp(20, number, 160 * u32::from(number), 1, &[]);
    scene.packets.push(at(3_000, udp(ONE, TWO, &empty(100))));
    // The sender's clock went on while it was silent.
    for (number, time) in (101u16..201).zip((4_000..).step_by(20)) {
        let packet = rtp(0, number, 160 * 100 + 8 * (time - 2_100), 1, &[0x55; 160]);
        scene.packets.push(at(time, udp(ONE, TWO, &packet)));
    }
    (201..204).zip([6_500, 8_000, 9_500]).for_each(|(number, time)| {
        scene.packets.push(at(time, udp(ONE, TWO, &empty(number))));
    });
    scene.voice((100, 9_900), [TWO, ONE], (0, 0, 160), &[0x55; 160]);
    let (stream, findings) = scene.stream_of(1);
    assert!(findings.is_empty(), "{findings:?}");
    let keys = ["payload_type", "codec", "packets", "jitter_ms", "timestamp_leaps", "discarded"];
    assert_eq!(
        keys.map(|key| stream[key].clone()),
        [json!(0), json!("PCMU"), json!(204), json!(0.0), json!(0), json!(0)]
    );
    assert!(stream["mos"].is_f64(), "{stream}");
}

/// Who sends nothing else is not heard, and has no codec that nobody announced.
#[test]
fn empty_packets_alone_are_no_audio() {
    let mut scene = call("0", "");
    (0..5).zip((100..).step_by(2_000)).for_each(|(number, time)| {
        scene.packets.push(at(time, udp(ONE, TWO, &rtp(126, number, 0, 1, &[]))));
    });
    scene.voice((100, 9_900), [TWO, ONE], (0, 0, 160), &[0x55; 160]);
    let (stream, findings) = scene.stream_of(1);
    assert_eq!((&stream["packets"], &stream["codec"]), (&json!(5), &Value::Null));
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!(finding["code"], "one_way_audio");
    assert!(
        finding["text"].as_str().unwrap().ends_with("from 192.0.2.2:6000 to 192.0.2.1:4000"),
        "{finding}"
    );
}

/// Speech behind them begins with its own times.
#[test]
fn speech_may_begin_with_empty_packets() {
    let mut scene = call("0", "");
    (0..3).zip([100, 600, 1_100]).for_each(|(number, time)| {
        scene.packets.push(at(time, udp(ONE, TWO, &rtp(126, number, 0, 1, &[]))));
    });
    for (number, time) in (3u16..400).zip((1_500..).step_by(20)) {
        let packet = rtp(0, number, 0x4000_0000 + 160 * u32::from(number), 1, &[0x55; 160]);
        scene.packets.push(at(time, udp(ONE, TWO, &packet)));
    }
    scene.voice((100, 9_900), [TWO, ONE], (0, 0, 160), &[0x55; 160]);
    let (stream, findings) = scene.stream_of(1);
    assert!(findings.is_empty(), "{findings:?}");
    let keys = ["payload_type", "codec", "packets", "max_jitter_ms", "timestamp_leaps", "discarded"];
    assert_eq!(
        keys.map(|key| stream[key].clone()),
        [json!(0), json!("PCMU"), json!(400), json!(0.0), json!(0), json!(0)]
    );
}

/// Both ends take up another codec at once (RFC 3264 8.3.2), one with another SSRC and one without; or one does so alone.
#[test]
fn a_codec_that_both_take_up_differs_from_none() {
    let change = |number: u16, time, ends, (payload_type, ssrc)| {
        at(
            time,
            udp(
                ends,
                if ends == ONE { TWO } else { ONE },
                &rtp(payload_type, number, 160 * u32::from(number), ssrc, &[0x55; 160]),
            ),
        )
    };
    for (theirs, expected) in [(9, "ssrc_change"), (0, "codec_mismatch")] {
        let mut scene = call("0 9", "");
        for (number, time) in (5u16..490).map(|number| (number, 20 * u32::from(number))) {
            let is_after = time >= 4_000;
            let ours = if is_after { (9, if theirs == 9 { 11 } else { 1 }) } else { (0, 1) };
            scene.packets.push(change(number, time, ONE, ours));
            // The answer takes its time.
            scene.packets.push(change(number, time, TWO, (if time >= 4_200 { theirs } else { 0 }, 2)));
        }
        let (run, _) = scene.run();
        let found = run.records[0]["findings"].as_array().unwrap();
        assert_eq!(found.iter().map(|it| &it["code"]).collect::<Vec<_>>(), [expected]);
    }
}

/// Speech that is sent twice (RFC 2198), and comfort noise alone (RFC 3389): audio goes both ways.
#[test]
fn redundant_speech_and_noise_are_heard() {
    let red = [&[0x80, 0x02, 0x80, 160, 0][..], &[0x55; 320]].concat();
    for (name, packet, payload) in [("red", (97, 0, 160), &red[..]), ("CN", (13, 0, 1_600), &[0x40])] {
        let mut scene = call("97 0 13", "a=rtpmap:97 red/8000\r\na=fmtp:97 0/0\r\n");
        scene.voice((100, 9_900), [ONE, TWO], packet, payload);
        scene.voice((100, 9_900), [TWO, ONE], (0, 0, 160), &[0x55; 160]);
        let (stream, findings) = scene.stream_of(1);
        assert_eq!((&stream["codec"], findings), (&json!(name), vec![]));
    }
}

/// RFC 3550 5.1: timestamps of pictures are not in order where one depends on a later one.
#[test]
fn pictures_that_wait_for_others_are_not_late() {
    let mut scene = Scene::default();
    let video = |end: End| audio(end, "96", "a=rtpmap:96 H264/90000\r\n").replace("m=audio", "m=video");
    scene.agree_on("c", (0, 1), (1, 2), &[ONE, TWO].map(video));
    scene.hang_up("c", 10_000, (1, 2));
    // I B B P B B P as they are shown, and so P before the two that refer to it.
    let shown = (0..90u32).flat_map(|group| [3 * group + 3, 3 * group + 1, 3 * group + 2]);
    let mut number = 0;
    for (picture, time) in shown.zip((100..).step_by(33)) {
        for piece in 0..4 {
            let packet =
                rtp(if piece == 3 { 0x80 | 96 } else { 96 }, number, 2_970 * picture, 1, &[0x61; 300]);
            scene.packets.push(at(time + piece, udp(ONE, TWO, &packet)));
            number += 1;
        }
    }
    let (stream, findings) = scene.stream_of(1);
    assert_eq!((&stream["kind"], findings), (&json!("video"), vec![]));
}
