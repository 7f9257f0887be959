//! Calls with more ports, candidates, branches and streams than most have. What was sent is the witness.

use serde_json::json;

use crate::scene::{End, Scene, Voice, audio, message};
use crate::support::lippycat;
use crate::wire::{at, datagram, rtp, udp};

const ALICE: u8 = 1;
const BOB: u8 = 2;

/// Changes of a call, 3 s each.
fn times(changes: u32) -> impl Iterator<Item = (u32, u32)> {
    (1..=changes).map(|number| (number, 3_000 * (number - 1)))
}

/// RFC 3264 8.3.1: a new offer may have a new port, and so may its answer.
#[test]
fn both_ports_are_new_at_each_of_many_reinvites() {
    let mut scene = Scene::default();
    for (number, time) in times(60) {
        let ends = [(ALICE, 20_000 + 2 * number as u16), (BOB, 30_000 + 2 * number as u16)];
        scene.agree("moves", time, number, ends);
        scene.speak("moves", (time + 100, time + 2_900), ends);
    }
    scene.hang_up("moves", 180_000, (ALICE, BOB));
    scene.assert_told_apart();
}

/// A PBX has a port of its own for each piece of music, and for the phone behind it after each hold.
#[test]
fn many_holds_with_music_from_ever_other_ports() {
    const MUSIC: u8 = 9;
    let mut scene = Scene::default();
    let bob = (BOB, 5_000);
    for (number, time) in times(81) {
        let port = 20_000 + 2 * number as u16;
        let is_hold = number % 2 == 0;
        let (host, offer, answer) =
            if is_hold { (MUSIC, "a=sendonly\r\n", "a=recvonly\r\n") } else { (ALICE, "", "") };
        let end = (host, port);
        let descriptions = [audio(end, "0", offer), audio(bob, "0", answer)];
        scene.agree_on("music", (time, number), (ALICE, BOB), &descriptions);
        scene.say("music", (time + 100, time + 2_900), [end, bob]);
        if !is_hold {
            scene.say("music", (time + 100, time + 2_900), [bob, end]);
        }
    }
    scene.hang_up("music", 243_000, (ALICE, BOB));
    scene.assert_told_apart();
}

/// RFC 3261 13.2.2.4: each branch of a fork is an early dialog, and may describe its media (RFC 3960 3.1).
#[test]
fn the_last_of_many_branches_answers() {
    let mut scene = Scene::default();
    let alice = (ALICE, 20_000);
    scene.invite("fork", 0, (ALICE, BOB), alice);
    let phone = |number: u16| -> End { (100 + number as u8, 30_000) };
    let told = |number: u16, status: &str| {
        let text = message("fork", status, "1 INVITE", &audio(phone(number), "0", ""));
        let text = String::from_utf8(text).unwrap().replace(";tag=b", &format!(";tag=p{number}"));
        datagram(BOB, ALICE, text.as_bytes())
    };
    for number in 0..60 {
        scene.packets.push(at(200 + 10 * u32::from(number), told(number, "SIP/2.0 183 Session Progress")));
    }
    scene.packets.push(at(3_000, told(59, "SIP/2.0 200 OK")));
    scene.speak("fork", (3_100, 9_000), [alice, phone(59)]);
    scene.assert_told_apart();
}

/// A restart of ICE has candidates of its own (RFC 8839 4.4.1.1.1); media flows on between those before until others are nominated
/// (RFC 8445 9).
#[test]
fn media_follows_restarts_of_ice_with_many_candidates() {
    let mut scene = Scene::default();
    let description = |host: u8, number: u32, first: u16| {
        let candidate =
            |port: u16| format!("a=candidate:1 1 UDP 2130706431 192.0.2.{host} {port} typ host\r\n");
        let candidates: String = (first..first + 14).map(candidate).collect();
        audio((200, 3_478), "0", &format!("a=ice-ufrag:u{number}\r\n{candidates}"))
    };
    let mut before = None;
    for (number, time) in times(8) {
        let first = [20_000, 40_000].map(|port| port + 100 * number as u16);
        let descriptions = [description(ALICE, number, first[0]), description(BOB, number, first[1])];
        scene.agree_on("restarts", (time, number), (ALICE, BOB), &descriptions);
        // The last of 14 is nominated, after half a second.
        let ends = [(ALICE, first[0] + 13), (BOB, first[1] + 13)];
        if let Some(before) = before.replace(ends) {
            scene.speak("restarts", (time, time + 500), before);
        }
        scene.speak("restarts", (time + 500, time + 3_000), ends);
    }
    scene.hang_up("restarts", 24_000, (ALICE, BOB));
    // Each time somebody speaks numbers begin anew.
    scene.assert_found(&["sequence_restart"]);
}

/// An announcement has an SSRC for each prompt. All but the first lose three of ten packets.
#[test]
fn each_of_many_prompts_is_a_stream() {
    let mut scene = Scene::default();
    let ends = [(ALICE, 20_000), (BOB, 30_000)];
    scene.agree("ivr", 0, 1, ends);
    let [alice, ivr] = ends;
    for (number, time) in times(60) {
        let frame = |sequence: u16| {
            let payload = rtp(0, sequence, 160 * u32::from(sequence), 1_000 + number, &[0x55; 160]);
            udp(ivr, alice, &payload)
        };
        let sequences = (0..100u16).filter(|sequence| number == 1 || !(3..6).contains(&(sequence % 10)));
        for (sequence, frame) in sequences.map(|sequence| (sequence, frame(sequence))) {
            scene.sent.entry("ivr").or_default().push(frame.clone());
            scene.packets.push(at(time + 100 + 20 * u32::from(sequence), frame));
        }
    }
    scene.say("ivr", (100, 180_000), ends);
    scene.hang_up("ivr", 180_000, (ALICE, BOB));
    let mut copy = Scene::default();
    copy.packets.extend(scene.packets.iter().cloned());
    let (run, file) = copy.run();
    let streams = run.records[0]["media"].as_array().unwrap();
    let missing: Vec<u64> = streams.iter().filter_map(|stream| stream["missing"].as_u64()).collect();
    assert_eq!((missing.len(), missing.iter().sum()), (61, 59 * 30));
    let directory = tempfile::tempdir().unwrap();
    let mut report = lippycat();
    report.args(["report", "call", "ivr", "--wav"]).arg(directory.path()).arg("-r").arg(file.path());
    let output = report.output().unwrap();
    let warnings = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !warnings.contains("left out"), "{warnings}");
    scene.assert_found(&["ssrc_change", "packet_loss", "poor_quality"]);
}

/// More than are told of are counted, in the call's record and in the summary.
#[test]
fn streams_that_are_too_many_are_counted() {
    let mut scene = Scene::default();
    let [alice, bob] = [(ALICE, 20_000), (BOB, 30_000)];
    scene.agree("many", 0, 1, [alice, bob]);
    for ssrc in 0..300u32 {
        let (from, voice) = (1_000 + 100 * ssrc, Voice { payload_type: 0, ssrc: 5_000 + ssrc, sequence: 0 });
        scene.send("many", (from, from + 100), [bob, alice], voice);
    }
    scene.say("many", (1_000, 31_000), [alice, bob]);
    let (run, _) = scene.run();
    let record = &run.records[0];
    assert_eq!(record["rtp_packets"], json!(300 * 5 + 1_500));
    let streams = record["media"].as_array().unwrap();
    assert_eq!((streams.len(), &record["media_left_out"]), (256, &json!(301 - 256)));
    assert!(streams.iter().any(|stream| stream["packets"] == 1_500), "who speaks is told of");
    assert_eq!(run.number("/dropped/media/streams_left_out"), 301 - 256);
}

/// RFC 3264 6.1: an answer names what is sent, of whatever the offer named.
#[test]
fn what_an_answer_names_is_told_of_an_offer_with_many_formats() {
    let mut scene = Scene::default();
    let names: String = (96..120).map(|number| format!("a=rtpmap:{number} X{number}/8000\r\n")).collect();
    let numbers: Vec<String> = (96..120).map(|number| number.to_string()).collect();
    let offer = audio((ALICE, 20_000), &numbers.join(" "), &names);
    let answer = "a=rtpmap:125 opus/48000/2\r\nm=image 5002 udptl t38\r\n";
    let descriptions = [offer, audio((BOB, 30_000), "125", answer)];
    scene.agree_on("codecs", (0, 1), (ALICE, BOB), &descriptions);
    let (run, _) = scene.run();
    let codecs = run.records[0]["codecs"].as_array().unwrap();
    assert_eq!((codecs.len(), &codecs[24..]), (26, &[json!("opus"), json!("t38")][..]));
}

/// Content-Encoding (RFC 3261 20.12) is not undone: of such a description there is at least the number.
#[test]
fn descriptions_that_say_nothing_readable_are_counted() {
    let mut scene = Scene::default();
    let invite = |call: &str, body: &str| {
        let text = message(call, "INVITE sip:bob@x SIP/2.0", "1 INVITE", body);
        at(0, datagram(ALICE, BOB, &text))
    };
    scene.packets.push(invite("plain", &audio((ALICE, 20_000), "0", "")));
    scene.packets.push(invite("packed", "\u{1f}\u{8b}\u{8}not plain text"));
    let (run, _) = scene.run();
    assert_eq!(run.number("/dropped/sip/sdp_without_media"), 1);
}
