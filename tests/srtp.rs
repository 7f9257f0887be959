//! Which streams are SRTP: what both sides agreed on when they began (RFC 3264 6, RFC 8643 3).

use std::collections::BTreeMap;

use crate::scene::{End, Scene, Voice, audio};

const ONE: End = (1, 4000);
const TWO: End = (2, 6000);
const KEYS: &str = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";

fn plain(end: End) -> String {
    audio(end, "0", "")
}

/// With keys, and the profile AVP.
fn opportunistic(end: End) -> String {
    audio(end, "0", KEYS)
}

fn secure(end: End) -> String {
    opportunistic(end).replace("RTP/AVP", "RTP/SAVP")
}

/// Both on one port, or in an answer with port 0 for the one that is refused.
fn both(secure_at: End, plain_at: End) -> String {
    format!("{}m=audio {} RTP/AVP 0\r\n", secure(secure_at), plain_at.1)
}

/// From 100 ms on both speak, as voices with these sources; whether each is said to be SRTP.
fn told(changes: &[(u32, [String; 2])], voices: &[(u32, u32)]) -> BTreeMap<u64, bool> {
    let mut scene = Scene::default();
    for (number, (time, descriptions)) in (1..).zip(changes) {
        scene.agree_on("c", (*time, number), (1, 2), descriptions);
    }
    for &(time, ssrc) in voices {
        let voice = |ssrc| Voice { payload_type: 0, ssrc, sequence: 0 };
        scene.send("c", (time, time + 1_500), [ONE, TWO], voice(ssrc));
        scene.send("c", (time, time + 1_500), [TWO, ONE], voice(ssrc + 100));
    }
    scene.hang_up("c", 8_000, (1, 2));
    let (run, _) = scene.run();
    let streams = run.records[0]["media"].as_array().unwrap();
    let told = streams.iter().map(|it| (it["ssrc"].as_u64().unwrap(), it["encrypted"].as_bool().unwrap()));
    told.collect()
}

#[test]
fn what_was_agreed_is_what_counts() {
    let agreed = |offer: String, answer: String, is_srtp: bool| {
        let told = told(&[(0, [offer.clone(), answer.clone()])], &[(100, 7)]);
        assert_eq!(told, [(7, is_srtp), (107, is_srtp)].into(), "{offer}\n{answer}");
    };
    agreed(plain(ONE), plain(TWO), false);
    agreed(secure(ONE), secure(TWO), true);
    agreed(both(ONE, ONE), both((2, 0), TWO), false);
    agreed(both(ONE, ONE), both(TWO, (2, 0)), true);
    agreed(opportunistic(ONE), opportunistic(TWO), true);
    agreed(opportunistic(ONE), plain(TWO), false);
}

/// A re-INVITE, as a transfer to a phone without SRTP brings, and the other way round.
#[test]
fn what_is_agreed_later_is_for_streams_that_begin_then() {
    for (first, then, is_srtp) in
        [(secure as fn(End) -> String, plain as fn(End) -> String, true), (plain, secure, false)]
    {
        let changes = [(0, [ONE, TWO].map(first)), (4_000, [ONE, TWO].map(then))];
        let told = told(&changes, &[(100, 7), (4_100, 8)]);
        assert_eq!(told, [(7, is_srtp), (107, is_srtp), (8, !is_srtp), (108, !is_srtp)].into());
    }
}

/// Early media comes before the answer that tells what it is.
#[test]
fn an_answer_may_tell_later() {
    for (answer, is_srtp) in [(both((2, 0), TWO), false), (both(TWO, (2, 0)), true)] {
        let mut scene = Scene::default();
        scene.offer("c", 0, (1, 2), &both(ONE, ONE));
        scene.say("c", (500, 1_500), [TWO, ONE]);
        scene.answer("c", 1_000, (1, 2), 200, &answer);
        scene.hang_up("c", 8_000, (1, 2));
        let (run, _) = scene.run();
        assert_eq!(run.records[0]["media"][0]["encrypted"], is_srtp, "{answer}");
    }
}
