//! One port in several calls: a phone that has only one, and a port that goes from one call to the next. What each call's
//! peers sent to each other is the witness: its record counts that, and its file holds those frames.

use serde_json::json;

use crate::scene::{End, Scene, audio};
use crate::support::{Run, has_tshark, tshark};
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

/// A call is told as its own descriptions have it, when the next has its port for something else before half a minute is over:
/// as it is told where there is no next.
#[test]
fn what_was_announced_stays_with_its_call() {
    let (phone, peer) = ((1, 4000), (2, 6000));
    let told = |next: Option<[String; 2]>| {
        let mut scene = Scene::default();
        scene.agree("first", 0, 1, [phone, peer]);
        scene.speak("first", (100, 4_900), [phone, peer]);
        // Empty lines keep the port open.
        scene.packets.extend((5..45).map(|step| at(100 * step, udp(peer, phone, b"\r\n\r\n"))));
        scene.hang_up("first", 5_000, (1, 2));
        if let Some(next) = next {
            scene.agree_on("next", (12_000, 1), (1, 3), &next);
            scene.hang_up("next", 16_000, (1, 3));
        }
        scene.packets.push(at(60_000, udp((7, 1_234), (8, 53), b"a tick")));
        let (run, _) = scene.run();
        let record = run.records.iter().find(|it| it["call_id"] == "first").unwrap().clone();
        for stream in record["media"].as_array().unwrap() {
            assert_eq!(
                ["kind", "codec", "encrypted"].map(|key| stream[key].clone()),
                [json!("audio"), json!("PCMU"), json!(false)]
            );
        }
        ["media", "findings", "fax", "udptl_packets", "rtp_packets"].map(|key| record[key].clone())
    };
    let alone = told(None);
    assert_eq!(alone[1..], [json!([]), json!(null), json!(null), json!(480)]);
    let keys = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n";
    for end in [peer, (3, 6000)] {
        let both = |description: &dyn Fn(End) -> String| [phone, end].map(description);
        let secure = |end| audio(end, "0", keys).replace("RTP/AVP", "RTP/SAVP");
        let video = |end| audio(end, "96", "a=rtpmap:96 H264/90000\r\n").replace("m=audio", "m=video");
        let g729 = |end| audio(end, "18", "a=rtpmap:18 G729/8000\r\n");
        for next in [both(&g729), both(&video), both(&fax), both(&secure)] {
            assert_eq!(told(Some(next.clone())), alone, "{next:?}");
        }
    }
}

/// A description of T.38 at `end`.
fn fax(end: End) -> String {
    audio(end, "0", "").replace("m=audio", "m=image").replace("RTP/AVP 0", "udptl t38")
}

/// UDPTL packets (T.38 annex D) each way, 20 ms a packet.
fn send_fax(scene: &mut Scene, begin: u32, ends: [End; 2], packets: u16) {
    for [source, destination] in [ends, [ends[1], ends[0]]] {
        scene.packets.extend((0..packets).map(|number| {
            let [high, low] = number.to_be_bytes();
            at(begin + 20 * u32::from(number), udp(source, destination, &[high, low, 1, 0, 0, 0]))
        }));
    }
}

/// A fax at the ports of one that ended 5 s before. Each has its own: tshark counts as many T.38 packets as both.
#[test]
fn each_fax_at_the_same_ports_has_its_packets() {
    let ends = [(1, 4000), (2, 6000)];
    let mut scene = Scene::default();
    for (call, begin, packets) in [("first", 0, 100), ("second", 8_000, 70)] {
        scene.agree_on(call, (begin, 1), (1, 2), &ends.map(fax));
        send_fax(&mut scene, begin + 100, ends, packets);
        scene.hang_up(call, begin + 3_000, (1, 2));
    }
    let (run, file) = scene.run();
    for (call, packets) in [("first", 100), ("second", 70)] {
        let record = run.records.iter().find(|it| it["call_id"] == call).unwrap();
        assert_eq!(
            (&record["udptl_packets"], &record["findings"]),
            (&json!(2 * packets), &json!([])),
            "{call}"
        );
        let told: Vec<_> = record["fax"].as_array().unwrap().iter().map(|it| &it["packets"]).collect();
        assert_eq!(told, [&json!(packets), &json!(packets)], "{call}");
    }
    if has_tshark() {
        assert_eq!(tshark(file.path(), "t38", &["frame.number"]).unwrap().len(), 2 * (100 + 70));
    }
}

/// A sender report with the middle of its NTP time, and a report block if there is one (RFC 3550 6.4.1).
fn sender_report(ssrc: u32, clock: u32, block: Option<[u32; 6]>) -> Vec<u8> {
    let words = [ssrc, clock >> 16, clock << 16, 0, 0, 0].into_iter().chain(block.into_iter().flatten());
    let words: Vec<u8> = words.flat_map(u32::to_be_bytes).collect();
    let length = (words.len() / 4) as u8;
    [&[0x80 | u8::from(block.is_some()), 200, 0, length][..], &words].concat()
}

/// Both report 30 packets lost of 256; a report is answered after 500 ms (DLSR), and the answer comes 600 ms behind it.
fn report_loss(scene: &mut Scene, time: u32, ends: [End; 2]) {
    let [(one, to_one), (two, to_two)] = ends.map(|(host, port)| (u32::from(host), (host, port + 1)));
    let [ssrc_of_one, ssrc_of_two] = [one << 8 | two, two << 8 | one];
    let block = |ssrc, clock| Some([ssrc, 30 << 24 | 30, 2_000, 160, clock, 0x8000]);
    let sent = [
        (0, to_one, to_two, sender_report(ssrc_of_one, 0x1111_0000, None)),
        (600, to_two, to_one, sender_report(ssrc_of_two, 0x2222_0000, block(ssrc_of_one, 0x1111_0000))),
        (1_200, to_one, to_two, sender_report(ssrc_of_one, 0x3333_0000, block(ssrc_of_two, 0x2222_0000))),
    ];
    for (after, source, destination, packet) in sent {
        scene.packets.push(at(time + after, udp(source, destination, &packet)));
    }
}

/// Of each stream what its receiver said: reports, packets lost, and the round trip, 100 ms each way from between them.
fn said(run: &Run, call: &str) -> Vec<[serde_json::Value; 3]> {
    let record = run.records.iter().find(|it| it["call_id"] == call).unwrap();
    let streams = record["media"].as_array().unwrap().iter();
    streams.map(|it| ["reports", "lost", "round_trip_ms"].map(|key| it["far_end"][key].clone())).collect()
}

/// The next call at both ports has no RTCP, or RTCP of its own.
#[test]
fn what_was_reported_stays_with_its_call() {
    let ends = [(1, 4000), (2, 6000)];
    let heard = [json!(1), json!(30), json!(200.0)];
    for reports in [false, true] {
        let mut scene = Scene::default();
        for (call, begin) in [("first", 0), ("second", 13_000)] {
            scene.agree(call, begin, 1, ends);
            scene.speak(call, (begin + 100, begin + 8_000), ends);
            if call == "first" || reports {
                report_loss(&mut scene, begin + 2_000, ends);
            }
            scene.hang_up(call, begin + 8_100, (1, 2));
        }
        let (run, _) = scene.run();
        assert_eq!(said(&run, "first"), [heard.clone(), heard.clone()], "{reports}");
        let silent = [json!(null), json!(null), json!(null)];
        let second = if reports { heard.clone() } else { silent };
        assert_eq!(said(&run, "second"), [second.clone(), second], "{reports}");
    }
}

/// Two legs whose media goes past the B2BUA: what flows is both's, whichever ends first.
#[test]
fn both_legs_have_what_was_reported_and_the_fax() {
    let ends = [(1, 4000), (2, 6000)];
    for is_fax in [false, true] {
        for first_to_end in ["x", "y"] {
            let mut scene = Scene::default();
            let [offer, answer] = ends.map(|end| if is_fax { fax(end) } else { audio(end, "0", "") });
            scene.offer("x", 0, (1, 9), &offer);
            scene.offer("y", 50, (9, 2), &offer);
            scene.answer("y", 1_000, (9, 2), 200, &answer);
            scene.answer("x", 1_020, (1, 9), 200, &answer);
            if is_fax {
                send_fax(&mut scene, 1_200, ends, 100);
            } else {
                scene.speak("x", (1_200, 7_900), ends);
                report_loss(&mut scene, 3_000, ends);
            }
            let later = |call| if call == first_to_end { 8_000 } else { 8_050 };
            scene.hang_up("x", later("x"), (1, 9));
            scene.hang_up("y", later("y"), (9, 2));
            let (run, _) = scene.run();
            for call in ["x", "y"] {
                let about = format!("{call}, {first_to_end} ends first");
                let record = run.records.iter().find(|it| it["call_id"] == call).unwrap();
                assert_eq!(record["findings"], json!([]), "{about}");
                if is_fax {
                    assert_eq!(record["udptl_packets"], json!(200), "{about}");
                } else {
                    let heard = [json!(1), json!(30), json!(200.0)];
                    assert_eq!(said(&run, call), [heard.clone(), heard], "{about}");
                }
            }
        }
    }
}
