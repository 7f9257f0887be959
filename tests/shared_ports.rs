//! One port in several calls: a phone that has only one, and a port that goes from one call to the next. What each call's
//! peers sent to each other is the witness: its record counts that, and its file holds those frames.

use serde_json::json;

use crate::scene::{End, Scene};
use crate::support::Run;
use crate::wire::{at, ethernet, rtp, udp};

/// The second call begins and ends while the first is up.
#[test]
fn a_phone_with_one_port_has_two_calls() {
    let (phone, bob, carol) = ((1, 7078), (2, 5000), (3, 6000));
    let mut scene = Scene::default();
    scene.agree("bob", 0, 1, [phone, bob]);
    scene.speak("bob", (100, 8_000), [phone, bob]);
    scene.agree("carol", 3_000, 1, [phone, carol]);
    // The last packets are behind the BYE.
    scene.speak("carol", (3_100, 6_200), [phone, carol]);
    scene.hang_up("carol", 6_100, (1, 3));
    scene.hang_up("bob", 8_100, (1, 2));
    scene.assert_told_apart();
}

/// A re-INVITE has the phones send to each other, and the port of the one between them is the next call's.
#[test]
fn a_port_that_was_given_up_is_the_next_call_s() {
    let (phone, between, peer, other) = ((1, 4000), (9, 10_000), (4, 8000), (5, 4400));
    let mut scene = Scene::default();
    scene.agree("first", 0, 1, [phone, between]);
    scene.speak("first", (100, 2_000), [phone, between]);
    scene.agree("first", 2_000, 2, [phone, peer]);
    scene.speak("first", (2_100, 8_000), [phone, peer]);
    scene.agree("second", 4_000, 1, [other, between]);
    scene.speak("second", (4_100, 7_000), [other, between]);
    scene.hang_up("second", 7_100, (5, 9));
    scene.hang_up("first", 8_100, (1, 9));
    scene.assert_told_apart();
}

/// More calls than are kept for one endpoint.
#[test]
fn a_server_has_one_port_for_all_its_calls() {
    let server = (9, 10_000);
    let mut scene = Scene::default();
    for number in 0..30u8 {
        let call: &'static str = Box::leak(format!("c{number}").into_boxed_str());
        let (phone, begin) = ((100 + number, 4_000), 100 * u32::from(number));
        scene.agree(call, begin, 1, [phone, server]);
        scene.speak(call, (begin + 100, begin + 5_000), [phone, server]);
        scene.hang_up(call, begin + 5_100, (phone.0, 9));
    }
    scene.assert_told_apart();
}

/// All of them at once, and more than there are places for flows at one port.
#[test]
fn hundreds_of_calls_at_once_share_one_port() {
    let server = (9, 10_000);
    let mut scene = Scene::default();
    for number in 0..300u16 {
        let call: &'static str = Box::leak(format!("c{number}").into_boxed_str());
        let phone = (100 + (number % 100) as u8, 4_000 + number / 100 * 10);
        let begin = 10 * u32::from(number);
        scene.agree(call, begin, 1, [phone, server]);
        scene.speak(call, (begin + 100, 4_500), [phone, server]);
        scene.report(call, begin + 200, [phone, server]);
        scene.report(call, 4_400, [phone, server]);
        scene.hang_up(call, 4_510 + 2 * u32::from(number), (phone.0, 9));
    }
    scene.assert_told_apart();
}

/// One packet each from more senders than flows are kept of: the call's own stream stays, and one finding tells of them.
#[test]
fn strangers_do_not_push_out_who_speaks() {
    let (phone, bob) = ((1, 7078), (2, 5000));
    let mut scene = Scene::default();
    scene.agree("bob", 0, 1, [phone, bob]);
    scene.speak("bob", (100, 4_000), [phone, bob]);
    let stranger = |port| udp((66, port), phone, &rtp(0, 1, 160, u32::from(port), &[0x55; 160]));
    scene.packets.extend((0..300).map(|number| at(2_000 + number, stranger(10_000 + number as u16))));
    scene.hang_up("bob", 4_100, (1, 2));
    scene.packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ethernet(scene.packets).bytes()).unwrap();
    let run = Run::of(file.path(), &[]);
    let streams = run.records[0]["media"].as_array().unwrap();
    let of = |end: &str| {
        streams.iter().filter(|it| it["source"] == end).map(|it| &it["packets"]).collect::<Vec<_>>()
    };
    assert_eq!(of("192.0.2.1:7078"), [&json!(195)]);
    assert_eq!(of("192.0.2.2:5000"), [&json!(195)]);
    let findings = run.records[0]["findings"].as_array().unwrap();
    let texts: Vec<_> = findings.iter().map(|it| [&it["code"], &it["text"]]).collect();
    let [[code, text]] = texts[..] else { panic!("{texts:?}") };
    assert_eq!(code, "unannounced_source");
    let strangers = streams.iter().filter(|it| it["source"].as_str().unwrap().starts_with("192.0.2.66:"));
    let count = strangers.count();
    assert!(count > 3, "{count}");
    let begin = format!("RTP to 192.0.2.1:7078 from {count} sources that no SDP announces: 192.0.2.66:");
    assert!(text.as_str().unwrap().starts_with(&begin), "{text}");
}

/// The phone that has one port, and the proxy that all of its calls go through.
const PHONE: End = (1, 7078);
const BY_PROXY: (u8, u8) = (1, 9);

/// Two calls of one port, neither of which is answered. Who sends early media is named nowhere, or behind a NAT: it begins
/// when its call gets somewhere.
#[test]
fn early_media_is_of_the_call_that_got_somewhere() {
    for (to_alice, to_bob) in [(None, None), (Some((201, 4000)), Some((202, 4000)))] {
        let mut scene = Scene::default();
        scene.invite("alice", 0, BY_PROXY, PHONE);
        scene.invite("bob", 1_000, BY_PROXY, PHONE);
        scene.respond("alice", 1_500, BY_PROXY, 183, to_alice);
        scene.speak("alice", (1_520, 6_000), [(50, 1000), PHONE]);
        scene.report("alice", 2_000, [(50, 1000), PHONE]);
        scene.respond("bob", 3_000, BY_PROXY, 183, to_bob);
        scene.say("bob", (3_020, 6_000), [(51, 1000), PHONE]);
        scene.respond("alice", 6_100, BY_PROXY, 486, None);
        scene.respond("bob", 6_200, BY_PROXY, 486, None);
        scene.assert_strangers_told_apart();
    }
}

/// The one that is answered hears who it knows, or who is behind a NAT. Then the other gets early media.
#[test]
fn who_hears_somebody_does_not_hear_another() {
    for seen in [(2, 5000), (50, 5000)] {
        let mut scene = Scene::default();
        scene.invite("alice", 0, BY_PROXY, PHONE);
        scene.respond("alice", 500, BY_PROXY, 200, Some((2, 5000)));
        scene.speak("alice", (520, 9_000), [PHONE, seen]);
        scene.invite("bob", 3_000, BY_PROXY, PHONE);
        scene.respond("bob", 3_500, BY_PROXY, 183, None);
        scene.say("bob", (3_520, 6_000), [(51, 1000), PHONE]);
        scene.respond("bob", 6_100, BY_PROXY, 486, None);
        scene.hang_up("alice", 9_100, BY_PROXY);
        scene.assert_strangers_told_apart();
    }
}

/// It is answered while another rings, from behind a NAT, or from another port than it says.
#[test]
fn media_after_an_answer_is_of_the_call_that_is_answered() {
    for seen in [(50, 5000), (2, 6000)] {
        let mut scene = Scene::default();
        scene.invite("alice", 0, BY_PROXY, PHONE);
        scene.invite("bob", 1_000, BY_PROXY, PHONE);
        scene.respond("alice", 1_100, BY_PROXY, 180, None);
        scene.respond("bob", 1_500, BY_PROXY, 180, None);
        scene.respond("alice", 3_000, BY_PROXY, 200, Some((2, 5000)));
        scene.speak("alice", (3_030, 9_000), [seen, PHONE]);
        scene.report("alice", 4_000, [seen, PHONE]);
        scene.respond("bob", 6_100, BY_PROXY, 486, None);
        scene.hang_up("alice", 9_100, BY_PROXY);
        scene.sent.entry("bob").or_default();
        scene.assert_strangers_told_apart();
    }
}

/// Signalling goes to the hosts that send the early media, and both ring before either sends.
#[test]
fn a_host_that_signalling_names_is_of_its_call() {
    let mut scene = Scene::default();
    let calls = [("alice", 50, 0), ("bob", 51, 1_000)];
    for (call, host, time) in calls {
        scene.invite(call, time, (1, host), PHONE);
        scene.respond(call, time + 100, (1, host), 180, None);
        scene.say(call, (2_000 + u32::from(host), 6_000), [(host, 1000), PHONE]);
        scene.respond(call, 6_100, (1, host), 486, None);
    }
    scene.assert_strangers_told_apart();
}

/// A server with one port and phones behind NATs, whose calls are answered 37 ms apart.
#[test]
fn phones_behind_nats_have_a_server_s_port() {
    let server = (9, 10_000);
    let mut scene = Scene::default();
    for number in 0..20u8 {
        let call: &'static str = Box::leak(format!("c{number}").into_boxed_str());
        let (host, begin) = (100 + number, 37 * u32::from(number));
        scene.invite(call, begin, (host, 9), (200, 4000));
        scene.respond(call, begin + 10, (host, 9), 180, None);
        scene.respond(call, begin + 500, (host, 9), 200, Some(server));
        scene.speak(call, (begin + 520, 5_000), [(150 + number, 3_000), server]);
        scene.report(call, begin + 2_000, [(150 + number, 3_000), server]);
        scene.hang_up(call, 5_100 + begin, (host, 9));
    }
    scene.assert_strangers_told_apart();
}

/// Who is behind a NAT is heard for 100 ms after the BYE, while the other call of that port rings, or is up.
#[test]
fn late_packets_are_of_the_call_that_ended() {
    for answered in [2_500, 7_000] {
        let mut scene = Scene::default();
        scene.invite("alice", 0, BY_PROXY, PHONE);
        scene.respond("alice", 500, BY_PROXY, 200, Some((201, 5000)));
        scene.speak("alice", (520, 5_100), [PHONE, (50, 5000)]);
        [1_000, 5_050].into_iter().for_each(|time| scene.report("alice", time, [PHONE, (50, 5000)]));
        scene.invite("bob", 2_000, BY_PROXY, PHONE);
        scene.respond("bob", 2_010, BY_PROXY, 180, None);
        scene.respond("bob", answered, BY_PROXY, 200, Some((3, 6000)));
        scene.speak("bob", (answered + 20, 9_000), [PHONE, (3, 6000)]);
        scene.hang_up("alice", 5_000, BY_PROXY);
        scene.hang_up("bob", 9_100, BY_PROXY);
        scene.assert_strangers_told_apart();
    }
}

/// A server's port is given to the next call at once, that of another phone, whose packets come before the last of the one
/// before; both are behind NATs. Or the same phone has it again, a second later.
#[test]
fn a_port_that_is_used_again_at_once_has_two_calls() {
    let server = (9, 10_000);
    for (next, begin, last) in [((51, 4000), 3_010, 3_200), ((50, 4000), 4_000, 3_040)] {
        let mut scene = Scene::default();
        scene.invite("alice", 0, (2, 9), (201, 4000));
        scene.respond("alice", 500, (2, 9), 200, Some(server));
        scene.speak("alice", (520, last), [(50, 4000), server]);
        scene.hang_up("alice", 3_000, (2, 9));
        scene.invite("bob", begin, (3, 9), (202, 4000));
        scene.respond("bob", begin + 40, (3, 9), 200, Some(server));
        scene.speak("bob", (begin + 50, 7_000), [next, server]);
        scene.hang_up("bob", 7_100, (3, 9));
        scene.assert_strangers_told_apart();
    }
}

/// A stranger agrees with another on the two ports of a call that is up.
#[test]
fn who_agrees_on_the_ports_of_a_call_that_is_up_does_not_hear_it() {
    let mut scene = Scene::default();
    scene.agree("alice", 0, 1, [PHONE, (2, 5000)]);
    scene.speak("alice", (100, 9_000), [PHONE, (2, 5000)]);
    scene.invite("stranger", 3_000, (7, 8), PHONE);
    scene.respond("stranger", 3_020, (7, 8), 200, Some((2, 5000)));
    scene.sent.entry("stranger").or_default();
    scene.hang_up("stranger", 8_000, (7, 8));
    scene.hang_up("alice", 9_100, (1, 2));
    scene.assert_found(&["no_rtp"]);
}

/// The legs of one call go through a B2BUA and its media past it: both have what comes from behind a NAT.
#[test]
fn legs_have_the_same_media_from_behind_a_nat() {
    let (phone, seen) = ((1, 4000), (50, 5000));
    let mut scene = Scene::default();
    scene.invite("in", 0, (1, 9), phone);
    scene.invite("out", 20, (9, 2), phone);
    scene.respond("out", 100, (9, 2), 180, None);
    scene.respond("in", 110, (1, 9), 180, None);
    scene.respond("out", 3_000, (9, 2), 200, Some((201, 5000)));
    scene.respond("in", 3_002, (1, 9), 200, Some((201, 5000)));
    scene.speak("in", (3_020, 8_000), [seen, phone]);
    let both = scene.sent["in"].clone();
    scene.sent.insert("out", both);
    scene.hang_up("in", 8_100, (1, 9));
    scene.hang_up("out", 8_110, (9, 2));
    scene.assert_strangers_told_apart();
}
