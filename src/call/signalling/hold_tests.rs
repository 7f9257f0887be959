//! Who holds whom, and until when (RFC 3264 8.4, RFC 6337 5.3).

use super::tests::{Said, codes, established, late_offer, one, reinvite, said};
use super::*;
use crate::call::tests::{SECOND, bye};

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
