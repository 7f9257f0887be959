//! Who holds whom, and until when (RFC 3264 8.4, RFC 6337 5.3).

use super::tests::{Said, codes, established, late_offer, one, reinvite, said};
use super::*;
use crate::call::tests::{INVITE, SECOND, Text, bye, sdp};

/// RFC 3264 6.1, RFC 6337 5.3: who still holds answers no offer with `sendrecv` or `recvonly`.
#[test]
fn who_answers_that_they_want_to_hear_holds_no_more() {
    for is_late in [false, true] {
        for (reply, goes_on) in
            [("sendrecv", false), ("recvonly", false), ("sendonly", true), ("inactive", true)]
        {
            let mut scene = established();
            reinvite(&mut scene, Side::Caller, 2, "inactive", "200 OK", "inactive");
            scene.wait(5 * SECOND);
            // The other end holds too, with an offer of its own or in its 2xx.
            if is_late {
                late_offer(&mut scene, Side::Caller, 3, "inactive", "inactive");
            } else {
                reinvite(&mut scene, Side::Callee, 1, "inactive", "200 OK", "inactive");
            }
            scene.wait(5 * SECOND);
            reinvite(&mut scene, Side::Caller, 4, "sendrecv", "200 OK", reply);
            scene.wait(45 * SECOND);
            bye(&mut scene, true);
            let record = one(scene);
            // From 200 to 200, or to the BYE.
            let seconds = if goes_on { 50.5 } else { 5.3 };
            let expected = [
                HoldRecord { by: Side::Caller, count: 1, seconds: 10.6 },
                HoldRecord { by: Side::Callee, count: 1, seconds },
            ];
            assert_eq!(record.signalling.holds, expected, "{is_late} {reply}");
            let found = if goes_on { vec!["abandoned_on_hold"] } else { vec![] };
            assert_eq!(codes(&record), found, "{is_late} {reply}");
        }
    }
}

/// RFC 3311 5.1: while an offer waits for its answer, an UPDATE without one may be sent.
#[test]
fn an_update_beside_a_re_invite_that_holds() {
    let mut scene = established();
    let (invite, update) = (said(Side::Caller, "2 INVITE"), said(Side::Caller, "3 UPDATE"));
    invite.audio("sendonly").request(&mut scene);
    update.request(&mut scene);
    update.answered(&mut scene, "200 OK");
    let invite: Said<'_> = said(Side::Caller, "2 INVITE");
    invite.audio("recvonly").answered(&mut scene, "200 OK");
    said(Side::Caller, "2 ACK").request(&mut scene);
    scene.wait(30 * SECOND);
    bye(&mut scene, true);
    let record = one(scene);
    assert_eq!(record.signalling.holds, [HoldRecord { by: Side::Caller, count: 1, seconds: 30.2 }]);
    assert_eq!((record.reinvites, record.updates), (1, 1));
}

/// A call from the first INVITE on with these directions; refreshed by its caller, and by who was called.
fn refreshed(offer: &str, answer: &str) -> crate::call::tests::Scene {
    let mut scene = crate::call::tests::Scene::plain();
    let text = |host, direction: &str, to_tag| Text {
        body: format!("{}a={direction}\n", sdp(host, 4000)),
        to_tag,
        ..Text::default()
    };
    scene.send(1, 2, &text(1, offer, "").with(INVITE));
    scene.send(2, 1, &text(2, answer, "bob").with("SIP/2.0 200 OK"));
    said(Side::Caller, "1 ACK").request(&mut scene);
    scene.wait(5 * SECOND);
    reinvite(&mut scene, Side::Caller, 2, offer, "200 OK", answer);
    scene.wait(5 * SECOND);
    let update = said(Side::Callee, "1 UPDATE").audio(answer);
    update.request(&mut scene);
    said(Side::Callee, "1 UPDATE").audio(offer).answered(&mut scene, "200 OK");
    late_offer(&mut scene, Side::Caller, 3, answer, offer);
    scene.wait(5 * SECOND);
    scene
}

/// RFC 3264 8.4: hold is a change of what was agreed on. A recorder (RFC 7866) is never sent to, nor is who announces.
#[test]
fn who_never_wanted_to_hear_holds_nobody() {
    for (offer, answer) in [
        ("sendonly", "recvonly"),
        ("recvonly", "sendonly"),
        ("inactive", "inactive"),
        ("sendonly", "inactive"),
    ] {
        for by_caller in [true, false] {
            let mut scene = refreshed(offer, answer);
            bye(&mut scene, by_caller);
            let record = one(scene);
            assert_eq!((&record.signalling.holds[..], codes(&record)), (&[][..], vec![]), "{offer} {answer}");
        }
    }
}

/// A call that begins on hold, is taken up, and is held.
#[test]
fn a_call_that_begins_on_hold_may_be_held_later() {
    let mut scene = refreshed("inactive", "inactive");
    reinvite(&mut scene, Side::Caller, 4, "sendrecv", "200 OK", "sendrecv");
    scene.wait(5 * SECOND);
    reinvite(&mut scene, Side::Caller, 5, "sendonly", "200 OK", "recvonly");
    scene.wait(5 * SECOND);
    bye(&mut scene, false);
    let record = one(scene);
    assert_eq!(record.signalling.holds, [HoldRecord { by: Side::Caller, count: 1, seconds: 5.2 }]);
    assert_eq!(codes(&record), ["abandoned_on_hold"]);
}
