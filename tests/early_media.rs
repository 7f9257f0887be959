//! Two calls that announce the same port: what tells their early media apart, and whose a stream is that comes after a
//! silence. What each call's peers sent to each other is the witness.

use crate::scene::{End, Scene, Voice, audio};

/// The phone that has one port, and the proxy that all of its calls go through.
const PHONE: End = (1, 7078);
const BY_PROXY: (u8, u8) = (1, 9);

/// Who sends, as seen from behind a NAT.
const SEEN: [End; 2] = [(50, 1000), (51, 1000)];

const fn voice(payload_type: u8, ssrc: u32) -> Voice {
    Voice { payload_type, ssrc, sequence: 100 }
}

/// Both calls ring, from hosts that nobody names. The earlier one's early media begins last.
#[test]
fn early_media_is_of_the_call_that_offered_its_payload_type() {
    let mut scene = Scene::default();
    scene.offer("alice", 0, BY_PROXY, &audio(PHONE, "96", "a=rtpmap:96 G726-32/8000\r\n"));
    scene.offer("bob", 1_000, BY_PROXY, &audio(PHONE, "8 0", ""));
    scene.answer("alice", 1_500, BY_PROXY, 183, "");
    scene.answer("bob", 2_000, BY_PROXY, 183, "");
    scene.send("alice", (3_000, 6_000), [SEEN[0], PHONE], voice(96, 1));
    scene.send("bob", (3_500, 6_000), [SEEN[1], PHONE], voice(8, 2));
    scene.answer("alice", 6_100, BY_PROXY, 486, "");
    scene.answer("bob", 6_200, BY_PROXY, 486, "");
    scene.assert_strangers_told_apart();
}

/// RFC 3264 6.1: who answers sends in a format that the answer names too.
#[test]
fn early_media_is_of_the_call_whose_answer_names_its_payload_type() {
    let mut scene = Scene::default();
    for (call, time, answer) in [("alice", 0, "8"), ("bob", 1_000, "0")] {
        scene.offer(call, time, BY_PROXY, &audio(PHONE, "8 0", ""));
        scene.answer(call, time + 500, BY_PROXY, 183, &audio((200, 4_000), answer, ""));
    }
    scene.send("alice", (3_000, 6_000), [SEEN[0], PHONE], voice(8, 1));
    scene.send("bob", (3_500, 6_000), [SEEN[1], PHONE], voice(0, 2));
    scene.answer("alice", 6_100, BY_PROXY, 486, "");
    scene.answer("bob", 6_200, BY_PROXY, 486, "");
    scene.assert_strangers_told_apart();
}

/// RFC 5576: each answer names the source that its sender sends as.
#[test]
fn early_media_is_of_the_call_that_names_its_ssrc() {
    let mut scene = Scene::default();
    for (call, time, ssrc) in [("alice", 0, 11), ("bob", 1_000, 4_294_967_295_u32)] {
        scene.offer(call, time, BY_PROXY, &audio(PHONE, "0", ""));
        let lines = format!("a=ssrc:{ssrc} cname:x@y\r\na=ssrc:{ssrc} msid:a b\r\n");
        scene.answer(call, time + 500, BY_PROXY, 183, &audio((200, 4_000), "0", &lines));
    }
    scene.send("alice", (3_000, 6_000), [SEEN[0], PHONE], voice(0, 11));
    scene.send("bob", (3_500, 6_000), [SEEN[1], PHONE], voice(0, u32::MAX));
    scene.answer("alice", 6_100, BY_PROXY, 486, "");
    scene.answer("bob", 6_200, BY_PROXY, 486, "");
    scene.assert_strangers_told_apart();
}

/// Of two calls between the same two ports too, and of what the phone itself sends.
#[test]
fn a_stream_between_the_ports_of_two_calls_is_of_the_one_that_names_its_ssrc() {
    let server = (2, 5_000);
    let mut scene = Scene::default();
    for (call, time, ssrc) in [("alice", 0, 11), ("bob", 1_000, 12)] {
        scene.offer(call, time, BY_PROXY, &audio(PHONE, "0", &format!("a=ssrc:{ssrc} cname:x@y\r\n")));
        scene.answer(call, time + 500, BY_PROXY, 183, &audio(server, "0", ""));
    }
    scene.send("alice", (3_000, 6_000), [PHONE, server], voice(0, 11));
    scene.send("alice", (3_010, 6_000), [server, PHONE], voice(0, 77));
    scene.answer("alice", 6_100, BY_PROXY, 486, "");
    scene.answer("bob", 6_200, BY_PROXY, 486, "");
    scene.sent.entry("bob").or_default();
    scene.assert_strangers_told_apart();
}

/// The description that names the source comes when it has been heard for long: until then it was of the call that got
/// somewhere last.
#[test]
fn a_stream_that_is_heard_is_of_the_call_that_names_its_ssrc_from_then_on() {
    let mut scene = Scene::default();
    scene.offer("alice", 0, BY_PROXY, &audio(PHONE, "0", ""));
    scene.offer("bob", 1_000, BY_PROXY, &audio(PHONE, "0", ""));
    scene.send("bob", (3_000, 6_000), [SEEN[0], PHONE], voice(0, 11));
    scene.answer("alice", 5_990, BY_PROXY, 183, &audio((200, 4_000), "0", "a=ssrc:11 cname:x@y\r\n"));
    scene.send("alice", (6_000, 7_000), [SEEN[0], PHONE], Voice { sequence: 250, ..voice(0, 11) });
    scene.answer("alice", 7_100, BY_PROXY, 486, "");
    scene.answer("bob", 7_200, BY_PROXY, 486, "");
    scene.assert_strangers_told_apart();
}

/// Both calls have the server's port and the phone behind the same NAT: it is silent for 3 s, and a second call is agreed on
/// in the meantime. The BYE of the first was not captured, or comes at the end.
#[test]
fn after_a_silence_a_stream_that_goes_on_is_of_its_call_and_a_new_one_of_the_new() {
    let server = (9, 10_000);
    let new = [("alice", voice(0, 21), 250), ("bob", voice(0, 22), 100), ("bob", voice(0, 21), 40_000)];
    for (call, voice, sequence) in new {
        for back in [true, false] {
            let mut scene = Scene::default();
            scene.invite("alice", 0, (2, 9), (201, 4000));
            scene.respond("alice", 500, (2, 9), 200, Some(server));
            scene.send("alice", (520, 3_520), [SEEN[0], server], Voice { ssrc: 21, ..voice });
            scene.report("alice", 2_000, [SEEN[0], server]);
            scene.invite("bob", 6_000, (3, 9), (202, 4000));
            scene.respond("bob", 6_040, (3, 9), 200, Some(server));
            scene.send(call, (6_500, 9_000), [SEEN[0], server], Voice { sequence, ..voice });
            if back {
                scene.send("alice", (530, 3_530), [server, SEEN[0]], Voice { ssrc: 31, ..voice });
                let ssrc = voice.ssrc + 10;
                scene.send(call, (6_510, 9_000), [server, SEEN[0]], Voice { sequence, ssrc, ..voice });
                scene.report(call, 7_000, [SEEN[0], server]);
            }
            scene.hang_up("bob", 9_100, (3, 9));
            scene.hang_up("alice", 9_200, (2, 9));
            scene.sent.entry("bob").or_default();
            scene.assert_found(&["unannounced_source", "no_rtp", "one_way_audio"]);
        }
    }
}

/// Both ports are announced by both calls. The end of the first was not captured, and the stream that comes after the second
/// was agreed on is another; or the first goes on.
#[test]
fn after_a_silence_the_ports_of_two_calls_have_the_stream_of_one() {
    let server = (9, 10_000);
    for (call, first, ssrc) in [("alice", 250, [21, 31]), ("bob", 100, [22, 32]), ("bob", 40_000, [21, 31])] {
        let mut scene = Scene::default();
        scene.agree("alice", 0, 1, [PHONE, server]);
        scene.send("alice", (520, 3_520), [PHONE, server], voice(0, 21));
        scene.send("alice", (530, 3_530), [server, PHONE], voice(0, 31));
        scene.report("alice", 2_000, [PHONE, server]);
        scene.agree("bob", 6_000, 1, [PHONE, server]);
        let voice = |ssrc| Voice { sequence: first, ..voice(0, ssrc) };
        scene.send(call, (6_500, 9_000), [PHONE, server], voice(ssrc[0]));
        scene.send(call, (6_510, 9_000), [server, PHONE], voice(ssrc[1]));
        scene.report(call, 7_000, [PHONE, server]);
        scene.hang_up("bob", 9_100, (1, 9));
        scene.hang_up("alice", 9_200, (1, 9));
        scene.sent.entry("bob").or_default();
        scene.assert_found(&["no_rtp"]);
    }
}

/// A re-INVITE takes the first to other ports; late packets still come at the old ones, which are soon the second's.
#[test]
fn ports_that_a_call_has_left_are_those_of_the_next() {
    let (old, new) = ([PHONE, (2, 5_000)], [(1, 7_080), (2, 5_010)]);
    let mut scene = Scene::default();
    scene.agree("alice", 0, 1, old);
    scene.send("alice", (100, 3_000), old, voice(0, 21));
    scene.send("alice", (110, 3_300), [old[1], old[0]], voice(0, 31));
    scene.agree("alice", 3_000, 2, new);
    scene.send("alice", (3_040, 9_000), new, Voice { sequence: 245, ..voice(0, 21) });
    scene.send("alice", (3_310, 9_000), [new[1], new[0]], Voice { sequence: 260, ..voice(0, 31) });
    scene.agree("bob", 5_000, 1, old);
    scene.send("bob", (5_050, 8_000), old, voice(0, 22));
    scene.send("bob", (5_050, 8_000), [old[1], old[0]], voice(0, 32));
    scene.hang_up("bob", 8_100, (1, 2));
    scene.hang_up("alice", 9_100, (1, 2));
    scene.assert_told_apart();
}

/// A phone behind a NAT and the server's port are in the next call 60 ms after the BYE of the one before.
#[test]
fn a_stream_that_begins_after_an_end_is_of_the_next_call() {
    let (server, seen) = ((9, 10_000), SEEN[0]);
    let mut scene = Scene::default();
    for (call, from, begin, ssrc) in [("alice", 3, 0, 21), ("bob", 4, 3_010, 22)] {
        scene.invite(call, begin, (from, 9), (200 + from, 4_000));
        scene.respond(call, begin + 20, (from, 9), 200, Some(server));
        scene.send(call, (begin + 60, begin + 3_000), [seen, server], voice(0, ssrc));
        scene.send(call, (begin + 60, begin + 3_000), [server, seen], voice(0, ssrc + 10));
        scene.hang_up(call, begin + 3_000, (from, 9));
    }
    scene.assert_strangers_told_apart();
}

/// The media of two legs goes past the B2BUA between them, which tells neither phone all that the other said: an SSRC, a
/// payload type.
#[test]
fn media_that_goes_past_a_b2bua_is_of_both_legs() {
    let ends @ [one, two] = [PHONE, (2, 5_000)];
    for (formats, lines) in [("0", "a=ssrc:31 cname:x@y\r\n"), ("8", "")] {
        let mut scene = Scene::default();
        scene.offer("alice", 0, BY_PROXY, &audio(one, "0", ""));
        scene.offer("bob", 10, (9, 2), &audio(one, formats, ""));
        scene.answer("bob", 500, (9, 2), 200, &audio(two, formats, lines));
        scene.answer("alice", 520, BY_PROXY, 200, &audio(two, "0", ""));
        scene.send("alice", (600, 3_000), ends, voice(0, 21));
        scene.send("alice", (610, 3_000), [two, one], voice(0, 31));
        scene.hang_up("alice", 3_100, BY_PROXY);
        scene.hang_up("bob", 3_110, (9, 2));
        let sent = scene.sent["alice"].clone();
        scene.sent.insert("bob", sent);
        scene.assert_found(&[]);
    }
}
