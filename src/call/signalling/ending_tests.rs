//! Calls whose end the other side does not take, refusals that nothing acknowledges, and how long a BYE takes.

use super::taken_tests::{acknowledge, refuse, ringing};
use super::tests::{codes, established, one, said};
use super::*;
use crate::call::tests::{INVITE, SECOND, Scene, Text, bye};

/// RFC 3261 15.1.1: for who sends the BYE the session is over with it. 22.1: who challenged it has not taken it.
#[test]
fn a_challenged_bye_was_not_accepted() {
    let challenge = "407 Proxy Authentication Required";
    let text = "the caller's BYE was challenged with 407, and none that was accepted followed: the callee may not know that it is over";
    let hang_up = |scene: &mut Scene, cseq: &str, status: &str| {
        let bye = said(Side::Caller, cseq);
        bye.request(scene);
        bye.answered(scene, status);
    };
    for tries in 1..3 {
        let mut scene = established();
        scene.wait(10 * SECOND);
        for cseq in ["2 BYE", "3 BYE"].into_iter().take(tries) {
            hang_up(&mut scene, cseq, challenge);
        }
        scene.wait(40 * SECOND);
        let (records, _, census) = scene.end();
        let record = &records[0];
        assert_eq!((codes(record), record.ended_by), (vec!["bye_refused"], Some(EndedBy::Caller)));
        let found = record.findings.iter().find(|it| it.code == "bye_refused").unwrap();
        assert_eq!((found.text.as_str(), found.message.as_deref()), (text, Some("407 to BYE")));
        // The ACK, 10 s, the BYE.
        assert_eq!(record.duration_seconds, Some(10.2), "who hung up hears nothing from then on");
        assert_eq!(record.signalling.disconnect_seconds, None, "a challenge is no answer");
        assert_eq!((census.performance.over, census.performance.completed), (1, 0));
    }
    // The other end hangs up itself; the next try is accepted; it may still come.
    for (is_accepted, seconds) in [(true, 40), (false, 40), (false, 5)] {
        let mut scene = established();
        hang_up(&mut scene, "2 BYE", challenge);
        if is_accepted {
            hang_up(&mut scene, "3 BYE", "200 OK");
        } else if seconds > 5 {
            bye(&mut scene, false);
        }
        scene.wait(seconds * SECOND);
        let record = one(scene);
        assert_eq!(codes(&record), [""; 0]);
        assert_eq!(record.signalling.disconnect_seconds, is_accepted.then_some(0.3));
    }
}

/// RFC 3261 17.2.1: over UDP a refusal comes again, on timer G, until its ACK arrives or timer H fires.
#[test]
fn a_refusal_that_nothing_acknowledges() {
    let again = |status: &str, times: usize, is_acknowledged: bool| {
        let mut scene = ringing();
        for wait in [500, 1000, 2000, 4000, 4000, 4000, 4000].into_iter().take(times + 1) {
            refuse(&mut scene, status);
            if is_acknowledged {
                acknowledge(&mut scene);
            }
            scene.wait(wait);
        }
        let record = one(scene);
        let found = record.findings.iter().find(|it| it.code == "no_ack");
        found.map(|it| {
            let first = it.time.unwrap().since(record.end.unwrap());
            (it.text.clone(), it.message.clone().unwrap(), first.as_millis())
        })
    };
    // Timer G (17.2.1): T1, and what it takes here to say the two messages.
    let finding = |text: &str, message: &str, is_acknowledged: bool| {
        Some((text.to_owned(), message.to_owned(), if is_acknowledged { 700 } else { 600 }))
    };
    for (status, message) in [
        ("486 Busy Here", "486 to INVITE"),
        ("487 Request Terminated", "487 to INVITE"),
        ("302 Moved Temporarily", "302 to INVITE"),
    ] {
        let code = &status[..3];
        let refusal = format!("the {code} from 192.0.2.2:5060 to 192.0.2.1:5060");
        let text = format!("no ACK for {refusal}, which was sent 6 times again");
        assert_eq!(again(status, 6, false), finding(&text, message, false));
        let text = format!("{refusal} was sent 6 times again after its ACK: the ACK does not arrive");
        assert_eq!(again(status, 6, true), finding(&text, message, true));
        // A slow ACK, and some on their way.
        assert_eq!((again(status, 1, false), again(status, 2, true)), (None, None));
    }
}

/// RFC 3261 17.1.1.3: each hop acknowledges a refusal itself.
#[test]
fn every_hop_acknowledges_a_refusal() {
    /// From the caller (1) over two proxies (8, 9) to the callee (2): who sends the INVITE to whom, and on which branch.
    const HOPS: [(u8, u8, &str); 3] = [(1, 8, "b1"), (8, 9, "hop-2"), (9, 2, "hop-3")];
    // `silent` is the hop without an ACK; of the hop `one_way` no requests are captured.
    let found = |silent: usize, one_way: Option<usize>| {
        let mut scene = Scene::plain();
        let seen = |hop: usize| one_way != Some(hop);
        for (_, &(from, to, branch)) in HOPS.iter().enumerate().filter(|(hop, _)| seen(*hop)) {
            scene.send(from, to, &Text { branch, ..Text::default() }.with(INVITE));
        }
        for (hop, &(from, to, branch)) in HOPS.iter().enumerate().rev() {
            let refusal = Text { branch, to_tag: "bob", ..Text::default() };
            for _ in 0..if hop == silent { 5 } else { 1 } {
                scene.send(to, from, &refusal.with("SIP/2.0 486 Busy Here"));
            }
            if hop != silent && seen(hop) {
                let ack = Text { cseq: "1 ACK", ..refusal };
                scene.send(from, to, &ack.with("ACK sip:bob@b.example SIP/2.0"));
            }
        }
        let record = one(scene);
        assert_eq!(record.status_code, Some(486));
        record.findings.into_iter().map(|it| it.text).collect::<Vec<_>>()
    };
    for (hop, (from, to, _)) in HOPS.into_iter().enumerate() {
        let text = format!(
            "no ACK for the 486 from 192.0.2.{to}:5060 to 192.0.2.{from}:5060, which was sent 4 times again"
        );
        assert_eq!(found(hop, None), [text]);
        assert_eq!(found(hop, Some(hop)), [""; 0], "nothing that goes that way is captured");
    }
}

/// RFC 3261 17.1.1.3: who sends the INVITE on several branches acknowledges the refusals of all, whichever is answered.
#[test]
fn a_refused_branch_is_acknowledged_though_another_is_answered() {
    const ACK: &str = "ACK sip:bob@b.example SIP/2.0";
    let text = |branch, to_tag, cseq| Text { branch, to_tag, cseq, ..Text::default() };
    // A proxy (9) has the one who refuses (2) on branch x, and the one who answers (3) on branch y. The ACK comes behind so many
    // copies of the refusal; that hop's requests are seen, or are not.
    let found = |is_answered_first: bool, acknowledged: Option<usize>, is_seen: bool| {
        let mut scene = Scene::plain();
        scene.send(1, 9, &text("b1", "", "1 INVITE").with(INVITE));
        if is_seen {
            scene.send(9, 2, &text("x", "", "1 INVITE").with(INVITE));
        }
        scene.send(9, 3, &text("y", "", "1 INVITE").with(INVITE));
        let answer = |scene: &mut Scene| {
            for (from, to, branch) in [(3, 9, "y"), (9, 1, "b1")] {
                scene.send(from, to, &text(branch, "bob", "1 INVITE").with("SIP/2.0 200 OK"));
            }
            for (from, to, branch) in [(1, 9, "k1"), (9, 3, "k2")] {
                scene.send(from, to, &text(branch, "bob", "1 ACK").with(ACK));
            }
        };
        if is_answered_first {
            answer(&mut scene);
        }
        for number in 1..=5 {
            scene.send(2, 9, &text("x", "eve", "1 INVITE").with("SIP/2.0 503 Service Unavailable"));
            if acknowledged == Some(number) {
                scene.send(9, 2, &text("x", "eve", "1 ACK").with(ACK));
            }
            scene.wait(500);
        }
        if !is_answered_first {
            answer(&mut scene);
        }
        scene.send(1, 9, &text("bye", "bob", "2 BYE").with("BYE sip:bob@b.example SIP/2.0"));
        scene.send(9, 1, &text("bye", "bob", "2 BYE").with("SIP/2.0 200 OK"));
        let record = one(scene);
        assert_eq!(record.status_code, Some(200));
        let found = record.findings.into_iter().filter(|it| it.code != "no_rtp");
        found.map(|it| it.text).collect::<Vec<_>>()
    };
    let refusal = "the 503 from 192.0.2.2:5060 to 192.0.2.9:5060";
    for is_answered_first in [false, true] {
        let text = format!("no ACK for {refusal}, which was sent 4 times again");
        assert_eq!(found(is_answered_first, None, true), [text]);
        let text = format!("{refusal} was sent 4 times again after its ACK: the ACK does not arrive");
        assert_eq!(found(is_answered_first, Some(1), true), [text]);
        // A late ACK; nothing that goes that way is captured.
        for (acknowledged, is_seen) in [(Some(3), true), (Some(5), true), (None, false)] {
            assert_eq!(found(is_answered_first, acknowledged, is_seen), [""; 0], "{is_answered_first}");
        }
    }
}

/// RFC 3261 22.2: the challenge to the first try may come again too; it is no answer to the next one.
#[test]
fn a_late_copy_of_a_challenge_misses_no_ack() {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    let challenge = Text { to_tag: "p", ..Text::default() }.with("SIP/2.0 407 Proxy Authentication Required");
    scene.send(2, 1, &challenge);
    let again = Text { cseq: "2 INVITE", branch: "b2", ..Text::default() };
    scene.send(1, 2, &again.with(INVITE));
    for _ in 0..4 {
        scene.send(2, 1, &challenge);
    }
    scene.send(2, 1, &Text { to_tag: "bob", ..again }.with("SIP/2.0 486 Busy Here"));
    assert_eq!(codes(&one(scene)), [""; 0]);
}

/// RFC 6076 4.4: the session disconnect delay is measured where the BYE comes from, until its answer is there.
#[test]
fn a_bye_is_answered_when_its_sender_hears_it() {
    let mut scene = established();
    let text = |branch| Text { branch, to_tag: "bob", cseq: "2 BYE", ..Text::default() };
    let (request, ok) = ("BYE sip:bob@192.0.2.2 SIP/2.0", "SIP/2.0 200 OK");
    scene.send(1, 9, &text("bye").with(request));
    scene.send(9, 2, &text("hop-2").with(request));
    scene.send(2, 9, &text("hop-2").with(ok));
    scene.send(9, 1, &text("bye").with(ok));
    // Sent again, it is heard again.
    scene.wait(SECOND);
    scene.send(9, 1, &text("bye").with(ok));
    assert_eq!(one(scene).signalling.disconnect_seconds, Some(0.3));
}
