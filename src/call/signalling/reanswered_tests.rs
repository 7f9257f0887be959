//! A 2xx to a re-INVITE is sent again until its ACK comes (RFC 3261 13.3.1.4, 14.2).

use super::tests::{codes, established, one, reinvite, said};
use super::*;
use crate::call::tests::{SECOND, Scene, bye};

/// The 2xx to the second re-INVITE of one side, sent that often; its ACK comes behind so many.
fn answered(by: Side, copies: usize, acknowledged: Option<usize>) -> Scene {
    let mut scene = established();
    reinvite(&mut scene, by, 2, "sendrecv", "200 OK", "sendrecv");
    // Both sides may have the same numbers (RFC 3261 12.2.1.1).
    reinvite(&mut scene, by.other(), 3, "sendrecv", "200 OK", "sendrecv");
    let invite = said(by, "3 INVITE");
    invite.request(&mut scene);
    for number in 1..=copies {
        invite.answered(&mut scene, "200 OK");
        scene.wait(500);
        if acknowledged == Some(number) {
            said(by, "3 ACK").request(&mut scene);
        }
    }
    scene
}

#[test]
fn the_ack_of_a_re_invite_that_does_not_arrive() {
    for by in [Side::Caller, Side::Callee] {
        for (copies, acknowledged, expected) in [
            (2, None, vec![]),
            (3, None, vec!["no_ack"]),
            (3, Some(3), vec![]),
            (3, Some(1), vec![]),
            (4, Some(1), vec!["no_ack"]),
        ] {
            let mut scene = answered(by, copies, acknowledged);
            // The first that is missed is told, whatever comes behind.
            reinvite(&mut scene, by, 4, "sendrecv", "200 OK", "sendrecv");
            bye(&mut scene, false);
            let record = one(scene);
            assert_eq!(codes(&record), expected, "{by:?} {copies} {acknowledged:?}");
        }
    }
    let mut scene = answered(Side::Callee, 4, Some(1));
    bye(&mut scene, false);
    let found = one(scene).findings;
    let text = "the answer to the callee's re-INVITE was sent 3 times again after its ACK: the ACK does not reach the caller";
    assert!(found.iter().any(|finding| finding.text == text), "{found:?}");
}

/// The ACK comes from where the re-INVITE does.
#[test]
fn where_the_re_invite_is_not_captured_neither_is_its_ack() {
    let mut scene = established();
    for _ in 0..5 {
        said(Side::Caller, "2 INVITE").answered(&mut scene, "200 OK");
        scene.wait(SECOND);
    }
    bye(&mut scene, false);
    assert_eq!(codes(&one(scene)), [""; 0]);
}
