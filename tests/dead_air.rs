//! Audio that stops in the middle of a call. What its ends sent is the witness, and when.

use crate::scene::{End, Scene, Voice, audio, message};
use crate::wire::{at, datagram};

const PHONE: End = (1, 4000);
const PEER: End = (2, 5000);
const HOSTS: (u8, u8) = (1, 2);

/// What is found of a call until 12.1 s; what is sent in it, and said, is added to its first agreement.
fn found(descriptions: &[String; 2], add: impl Fn(&mut Scene)) -> Vec<(String, String)> {
    let mut scene = Scene::default();
    scene.agree_on("c", (0, 1), HOSTS, descriptions);
    add(&mut scene);
    found_in(scene)
}

fn found_in(scene: Scene) -> Vec<(String, String)> {
    let (run, _) = scene.run();
    let [record] = &run.records[..] else { panic!("{:?}", run.records) };
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let found = record["findings"].as_array().unwrap().iter();
    found.map(|finding| (text(&finding["code"]), text(&finding["text"]))).collect()
}

fn both(formats: &str, lines: [&str; 2]) -> [String; 2] {
    [audio(PHONE, formats, lines[0]), audio(PEER, formats, lines[1])]
}

fn usual() -> [String; 2] {
    both("0", ["", ""])
}

fn held() -> [String; 2] {
    both("0", ["a=sendonly\r\n", "a=recvonly\r\n"])
}

fn stops(text: &str) -> Vec<(String, String)> {
    vec![("media_stops".to_owned(), text.to_owned())]
}

/// The answer is at 0.02 s, the last packet of the peer at 2.98 s, and the BYE at 12.1 s.
#[test]
fn who_is_heard_no_more_is_told() {
    let one = found(&usual(), |scene| {
        scene.say("c", (100, 3_000), [PEER, PHONE]);
        scene.say("c", (100, 12_000), [PHONE, PEER]);
        scene.hang_up("c", 12_100, HOSTS);
    });
    let text = "audio stops 3.0 s after the answer, from 192.0.2.2:5000 to 192.0.2.1:4000: silence for the last 9.1 s";
    assert_eq!(one, stops(text));

    let dead_air = found(&usual(), |scene| {
        scene.say("c", (100, 3_000), [PEER, PHONE]);
        scene.say("c", (100, 4_000), [PHONE, PEER]);
        scene.hang_up("c", 12_100, HOSTS);
    });
    let text = "audio stops 3.0 s after the answer, from 192.0.2.2:5000 to 192.0.2.1:4000, and 4.0 s after it, \
        from 192.0.2.1:4000 to 192.0.2.2:5000: dead air for the last 8.1 s";
    assert_eq!(dead_air, stops(text));

    // The capture ends with the phone still speaking: 9.0 s after the peer's last packet.
    let open = found(&usual(), |scene| {
        scene.say("c", (100, 3_000), [PEER, PHONE]);
        scene.say("c", (100, 12_000), [PHONE, PEER]);
    });
    let text = "audio stops 3.0 s after the answer, from 192.0.2.2:5000 to 192.0.2.1:4000: silence for the last 9.0 s";
    assert_eq!(open, stops(text));
}

/// The 2xx that ends the hold is at 4.02 s.
#[test]
fn what_does_not_come_back_after_a_hold_is_told() {
    let resumed = found(&usual(), |scene| {
        scene.speak("c", (100, 2_000), [PHONE, PEER]);
        scene.agree_on("c", (2_000, 2), HOSTS, &held());
        scene.agree_on("c", (4_000, 3), HOSTS, &usual());
        scene.send(
            "c",
            (4_100, 12_000),
            [PHONE, PEER],
            Voice { payload_type: 0, ssrc: u32::from(PHONE.0) << 8 | 2, sequence: 95 },
        );
        scene.hang_up("c", 12_100, HOSTS);
    });
    let text = "audio stops 2.0 s after the answer, from 192.0.2.2:5000 to 192.0.2.1:4000: silence for the last 8.1 s, \
        since it was allowed again";
    assert_eq!(resumed, stops(text));
}

/// Nothing is told of silence in a call with a BYE at 12.1 s.
fn assert_not_told(what: &str, descriptions: &[String; 2], add: impl Fn(&mut Scene)) {
    let found = found(descriptions, |scene| {
        add(scene);
        scene.hang_up("c", 12_100, HOSTS);
    });
    assert!(found.iter().all(|(code, _)| code != "media_stops"), "{what}: {found:?}");
}

fn one_stops(scene: &mut Scene) {
    scene.say("c", (100, 12_000), [PHONE, PEER]);
    scene.say("c", (100, 3_000), [PEER, PHONE]);
}

#[test]
fn silence_that_is_meant_is_not_told() {
    assert_not_told("4.9 s", &usual(), |scene| {
        scene.say("c", (100, 12_000), [PHONE, PEER]);
        scene.say("c", (100, 7_200), [PEER, PHONE]);
    });
    assert_not_told("a hold that lasts", &usual(), |scene| {
        one_stops(scene);
        scene.agree_on("c", (3_000, 2), HOSTS, &held());
    });
    assert_not_told("the phone sends only", &usual(), |scene| {
        one_stops(scene);
        scene.agree_on("c", (3_000, 2), HOSTS, &both("0", ["a=sendonly\r\n", ""]));
    });
    assert_not_told("comfort noise", &both("0 13", ["", ""]), one_stops);
    let voice = |payload_type, ssrc, sequence| Voice { payload_type, ssrc, sequence };
    assert_not_told("G.729 annex B", &both("18", ["", ""]), |scene| {
        scene.send("c", (100, 12_000), [PHONE, PEER], voice(18, 1, 0));
        scene.send("c", (100, 3_000), [PEER, PHONE], voice(18, 2, 0));
    });
    assert_not_told("pauses before", &usual(), |scene| {
        scene.say("c", (100, 12_000), [PHONE, PEER]);
        scene.send("c", (100, 1_000), [PEER, PHONE], voice(0, 2, 0));
        scene.send("c", (2_000, 3_000), [PEER, PHONE], voice(0, 2, 45));
    });
}

#[test]
fn audio_that_goes_on_elsewhere_is_not_told() {
    let elsewhere = (3, 6000);
    let moved = [audio(PHONE, "0", ""), audio(elsewhere, "0", "")];
    assert_not_told("another source", &usual(), |scene| {
        one_stops(scene);
        scene.send("c", (3_000, 12_000), [PEER, PHONE], Voice { payload_type: 0, ssrc: 77, sequence: 9 });
    });
    assert_not_told("another address", &usual(), |scene| {
        one_stops(scene);
        scene.agree_on("c", (2_900, 2), HOSTS, &moved);
        scene.say("c", (3_000, 12_000), [elsewhere, PHONE]);
    });
    assert_not_told("one way past the capture", &usual(), |scene| {
        one_stops(scene);
        scene.agree_on("c", (2_900, 2), HOSTS, &moved);
    });
    // To a place that was announced before, too.
    for later in [&moved, &usual()] {
        assert_not_told("past the capture", &usual(), |scene| {
            scene.speak("c", (100, 3_000), [PHONE, PEER]);
            scene.agree_on("c", (2_900, 2), HOSTS, later);
        });
    }
    // The capture ends, or its BYE was lost.
    let cut = found(&usual(), |scene| scene.speak("c", (100, 3_000), [PHONE, PEER]));
    assert_eq!(cut, []);
}

/// The phone asks for something within the call, and the peer refuses (RFC 3261 14.1, RFC 3515 2.4.2).
fn refused(scene: &mut Scene, cseq: &str, extra: &str, body: &str, status: &str) {
    let method = cseq.trim_start_matches("2 ");
    let request = message("c", &format!("{method} sip:bob@x SIP/2.0"), cseq, body);
    let request = String::from_utf8(request).unwrap();
    let request = request.replace("Content-Length", &format!("{extra}Content-Length"));
    scene.packets.push(at(1_000, datagram(1, 2, request.as_bytes())));
    let answer = message("c", &format!("SIP/2.0 {status}"), cseq, "");
    scene.packets.push(at(1_020, datagram(2, 1, &answer)));
}

#[test]
fn what_was_refused_explains_no_silence() {
    let text = "audio stops 3.0 s after the answer, from 192.0.2.2:5000 to 192.0.2.1:4000: silence for the last 9.1 s";
    let told = |add: &dyn Fn(&mut Scene)| {
        let mut found = found(&usual(), |scene| {
            one_stops(scene);
            add(scene);
            scene.hang_up("c", 12_100, HOSTS);
        });
        found.retain(|(code, _)| code == "media_stops");
        assert_eq!(found, stops(text));
    };
    told(&|scene| {
        let target = "Refer-To: <sip:carol@x>\r\n";
        refused(scene, "2 REFER", target, "", "603 Decline");
    });
    told(&|scene| {
        refused(scene, "2 INVITE", "", &held()[0], "488 Not Acceptable Here");
    });
}

/// RFC 3389 4: it is announced with its name, whatever its type; RFC 3108 5.6.4.2 has another way to say it.
#[test]
fn silence_that_is_agreed_on_or_begins_with_noise_is_not_told() {
    let noise = "a=rtpmap:19 CN/8000\r\n";
    assert_not_told("comfort noise of type 19", &both("0 19", [noise; 2]), one_stops);
    assert_not_told("silence suppression", &both("0", ["a=silenceSupp:on - - - -\r\n"; 2]), one_stops);
    assert_not_told("comfort noise that was sent", &usual(), |scene| {
        one_stops(scene);
        scene.send("c", (3_000, 3_010), [PEER, PHONE], Voice { payload_type: 13, ssrc: 513, sequence: 145 });
    });
    for descriptions in [
        [audio(PHONE, "0 13", ""), audio(PEER, "0", "")],
        both("0", ["a=silenceSupp:on - - - -\r\n", "a=silenceSupp:off - - - -\r\n"]),
    ] {
        let found = found(&descriptions, |scene| {
            one_stops(scene);
            scene.hang_up("c", 12_100, HOSTS);
        });
        assert!(found.iter().any(|(code, _)| code == "media_stops"), "{found:?}");
    }
}

/// A phone that speaks for 0.4 s of each second, and sends nothing else; the number behind its last.
fn pausing(scene: &mut Scene, (from, until): (u32, u32), ssrc: u32, mut sequence: u16) -> u16 {
    for begin in (from..until).step_by(1_000) {
        scene.send("c", (begin, begin + 400), [PHONE, PEER], Voice { payload_type: 0, ssrc, sequence });
        sequence += 20;
    }
    sequence
}

fn hold(scene: &mut Scene, from: u32, until: u32) {
    scene.agree_on("c", (from, 2), HOSTS, &held());
    scene.agree_on("c", (until, 3), HOSTS, &usual());
}

/// Each of these phones has nothing to say from 7 s on, and the peer goes on.
#[test]
fn a_phone_is_known_to_pause_whatever_it_sent_on_hold() {
    assert_not_told("music for who is held", &usual(), |scene| {
        let sequence = pausing(scene, (100, 2_000), 9, 0);
        hold(scene, 2_000, 5_000);
        scene.send("c", (2_100, 5_000), [PHONE, PEER], Voice { payload_type: 0, ssrc: 9, sequence });
        pausing(scene, (5_100, 6_200), 9, sequence + 145);
        scene.say("c", (100, 12_000), [PEER, PHONE]);
    });
    assert_not_told("a hold before its source", &usual(), |scene| {
        scene.say("c", (100, 1_000), [PHONE, PEER]);
        hold(scene, 1_000, 4_000);
        pausing(scene, (4_100, 6_200), 9, 0);
        scene.say("c", (100, 12_000), [PEER, PHONE]);
    });
    assert_not_told("another source", &usual(), |scene| {
        pausing(scene, (100, 4_000), 9, 0);
        hold(scene, 4_000, 5_000);
        scene.send("c", (5_100, 6_500), [PHONE, PEER], Voice { payload_type: 0, ssrc: 10, sequence: 7 });
        scene.say("c", (100, 12_000), [PEER, PHONE]);
    });
}

/// Ringback ends 3.1 s before the answer; then the peer speaks for 2 s without a pause.
#[test]
fn a_gap_before_the_answer_is_no_habit() {
    let mut scene = Scene::default();
    let [offer, answer] = usual();
    scene.offer("c", 0, HOSTS, &offer);
    scene.answer("c", 50, HOSTS, 183, &answer);
    scene.send("c", (100, 1_000), [PEER, PHONE], Voice { payload_type: 0, ssrc: 9, sequence: 0 });
    scene.answer("c", 4_000, HOSTS, 200, &answer);
    scene.send("c", (4_100, 6_000), [PEER, PHONE], Voice { payload_type: 0, ssrc: 9, sequence: 45 });
    scene.say("c", (4_100, 12_000), [PHONE, PEER]);
    scene.hang_up("c", 12_100, HOSTS);
    let text = "audio stops 2.0 s after the answer, from 192.0.2.2:5000 to 192.0.2.1:4000: silence for the last 6.1 s";
    assert_eq!(found_in(scene), stops(text));
}
