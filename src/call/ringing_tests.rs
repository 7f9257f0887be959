//! Provisional answers that come more than once.

use super::tests::{INVITE, SECOND, Scene, Text};

const RINGING: &str = "SIP/2.0 180 Ringing";

fn told(scene: Scene) -> (u64, u64, usize) {
    let (records, _, census) = scene.end();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    (
        record.messages,
        record.retransmissions + census.retransmissions,
        record.signalling.retransmissions_by_hop.len(),
    )
}

/// RFC 3261 13.3.1.1: a UAS sends a provisional answer every minute, so that no proxy gives up.
#[test]
fn who_still_rings_says_so_every_minute() {
    for is_over_two_hops in [false, true] {
        let mut scene = Scene::plain();
        scene.send(1, 9, &Text::default().with(INVITE));
        let hops = if is_over_two_hops { &[(2, 9, "hop-2"), (9, 1, "b1")][..] } else { &[(9, 1, "b1")] };
        for _ in 0..5 {
            for &(from, to, branch) in hops {
                scene.send(from, to, &Text { branch, to_tag: "bob", ..Text::default() }.with(RINGING));
            }
            scene.wait(60 * SECOND);
        }
        assert_eq!(told(scene), (1 + 5 * hops.len() as u64, 0, 0));
    }
}

/// RFC 3261 17.2.1: an INVITE that comes again is answered by the latest provisional answer, again.
#[test]
fn an_answer_to_an_invite_that_came_again_is_sent_again() {
    let mut scene = Scene::plain();
    for wait in [500, 1000, 2000, 4000, 8000, 16_000, 0] {
        scene.send(1, 2, &Text::default().with(INVITE));
        scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with(RINGING));
        scene.wait(wait);
    }
    assert_eq!(told(scene), (14, 24, 2));
}

/// RFC 3262 3: what is sent reliably comes again until its PRACK; what is to be said anew has the next RSeq.
#[test]
fn a_reliable_answer_that_waits_for_its_prack_is_sent_again() {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    for wait in [500, 1000, 2000, 30_000, 0] {
        let extra = "Require: 100rel\nRSeq: 7\n";
        scene.send(2, 1, &Text { to_tag: "bob", extra, ..Text::default() }.with(RINGING));
        scene.wait(wait);
    }
    assert_eq!(told(scene), (6, 8, 1));
}
