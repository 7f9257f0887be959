//! Flows that end badly, or seem to, as RFC 3261 and its extensions have them.

use super::tests::{codes, established, one, register, reinvite, said};
use super::*;
use crate::call::record::CallResult;
use crate::call::tests::{INVITE, SECOND, Scene, Text, bye, sdp};
use crate::call::{CallRecord, Settings};

fn texts(record: &CallRecord) -> Vec<&str> {
    let told = record.findings.iter().filter(|finding| finding.code != "no_rtp");
    told.map(|finding| finding.text.as_str()).collect()
}

/// The same request over two hops, so many times.
fn over_two_hops(scene: &mut Scene, start: &str, text: &Text<'_>, times: u32) {
    for _ in 0..times {
        scene.send(1, 9, &text.with(start));
        scene.send(9, 2, &Text { branch: "hop-2", body: String::new(), ..*text }.with(start));
        scene.wait(SECOND);
    }
}

/// RFC 3261 13.3.1.4: the 2xx comes again until its ACK arrives, and after 64*T1 a BYE ends the call. Seen where the caller
/// is, each has its ACK.
#[test]
fn an_ack_that_was_sent_and_does_not_arrive() {
    for (again, expected) in [(10, vec!["no_ack"]), (1, vec![])] {
        let mut scene = established();
        for _ in 0..again {
            scene.wait(3 * SECOND);
            scene.send(
                2,
                1,
                &Text { to_tag: "bob", body: sdp(2, 5000), ..Text::default() }.with("SIP/2.0 200 OK"),
            );
            let ack = Text { to_tag: "bob", cseq: "1 ACK", branch: "ack", ..Text::default() };
            scene.send(1, 2, &ack.with("ACK sip:bob@192.0.2.2 SIP/2.0"));
        }
        bye(&mut scene, false);
        let record = one(scene);
        assert_eq!(codes(&record), expected);
        if again > 1 {
            let text = "the answer was sent 10 times again after its ACK: the ACK does not reach the callee";
            assert_eq!(texts(&record), [text]);
        }
    }
}

/// What one end sent again counts as often as it sent it, over how many hops it may have gone.
#[test]
fn what_was_sent_again_over_two_hops_was_sent_once() {
    let mut scene = Scene::new(Settings { others: true, ..Settings::default() });
    let options = Text { cseq: "1 OPTIONS", ..Text::default() };
    over_two_hops(&mut scene, "OPTIONS sip:bob@b.example SIP/2.0", &options, 3);
    scene.wait(40 * SECOND);
    let record = one(scene);
    assert_eq!(
        (texts(&record), record.retransmissions),
        (vec!["nothing answered the OPTIONS, sent 3 times"], 4)
    );

    let mut scene = established();
    let hang_up = Text { to_tag: "bob", branch: "bye", cseq: "2 BYE", ..Text::default() };
    over_two_hops(&mut scene, "BYE sip:bob@192.0.2.2 SIP/2.0", &hang_up, 4);
    scene.wait(40 * SECOND);
    assert_eq!(texts(&one(scene)), ["nothing answered the BYE, sent 4 times"]);

    let mut scene = Scene::plain();
    over_two_hops(&mut scene, INVITE, &Text::default(), 1);
    for _ in 0..4 {
        for (from, to, branch) in [(2, 9, "hop-2"), (9, 1, "b1")] {
            scene.send(from, to, &Text { to_tag: "bob", branch, ..Text::default() }.with("SIP/2.0 200 OK"));
        }
        scene.wait(SECOND);
    }
    assert_eq!(texts(&one(scene)), ["no ACK for the answer, which was sent 3 times again"]);
}

/// RFC 3261 9.1: a CANCEL, and 15.1.1: a BYE before the answer, is followed by the INVITE's 487.
#[test]
fn who_gives_up_waits_for_a_final_answer() {
    for (method, cseq, branch) in [("CANCEL", "1 CANCEL", "b1"), ("BYE", "2 BYE", "bye")] {
        let mut scene = Scene::plain();
        scene.send(1, 2, &Text::default().with(INVITE));
        scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 180 Ringing"));
        let to_tag = if method == "BYE" { "bob" } else { "" };
        let text = Text { branch, cseq, to_tag, ..Text::default() };
        scene.send(1, 2, &text.with(&format!("{method} sip:bob@b.example SIP/2.0")));
        scene.send(2, 1, &text.with("SIP/2.0 200 OK"));
        scene.wait(40 * SECOND);
        let record = one(scene);
        assert_eq!((record.result, codes(&record)), (CallResult::Cancelled, vec!["no_final_answer"]));
        assert_eq!(texts(&record), ["given up, and no final answer (487) came in 32 s"]);
        let finding = &record.findings[0];
        assert_eq!(
            (finding.message.as_deref(), finding.time.unwrap().since(record.start).as_millis()),
            (Some(method), 200)
        );
    }
}

/// A capture of the caller's direction only tells nothing of answers.
#[test]
fn who_gives_up_may_have_been_answered_elsewhere() {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    let cancel = Text { cseq: "1 CANCEL", ..Text::default() };
    scene.send(1, 2, &cancel.with("CANCEL sip:bob@b.example SIP/2.0"));
    scene.wait(40 * SECOND);
    let record = one(scene);
    assert_eq!((record.result, codes(&record)), (CallResult::Cancelled, vec![]));
}

/// RFC 4028 7.3: 422 asks for another try, as 401 does, and is no branch of a fork (RFC 3261 19.3).
#[test]
fn a_422_is_no_fork() {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    scene.send(
        2,
        1,
        &Text { to_tag: "proxy", ..Text::default() }.with("SIP/2.0 422 Session Interval Too Small"),
    );
    let again = || Text { cseq: "2 INVITE", branch: "b2", ..Text::default() };
    scene.send(1, 2, &again().with(INVITE));
    scene.send(2, 1, &Text { to_tag: "bob", ..again() }.with("SIP/2.0 200 OK"));
    assert_eq!(one(scene).forks, 1);
}

/// RFC 3311 5.2: an UPDATE is refused with 491 in an early dialog, too.
#[test]
fn updates_cross_before_the_answer() {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 183 Session Progress"));
    for by in [Side::Caller, Side::Callee] {
        said(by, "2 UPDATE").request(&mut scene);
    }
    for by in [Side::Caller, Side::Callee] {
        said(by, "2 UPDATE").answered(&mut scene, "491 Request Pending");
    }
    let record = one(scene);
    assert_eq!((record.signalling.glares, codes(&record)), (2, vec!["glare"]));
}

/// RFC 3261 14.1, RFC 3311 5.2: a change that is refused. 12.2.1.2: after 481 and 408 the dialog is over.
#[test]
fn a_change_that_is_refused() {
    for (status, text) in [
        ("488 Not Acceptable Here", "the callee's re-INVITE was refused: 488"),
        (
            "481 Call/Transaction Does Not Exist",
            "the callee's re-INVITE was refused: 481, the caller did not know the call any more",
        ),
        ("408 Request Timeout", "the callee's re-INVITE was refused: 408, the caller was not reached"),
    ] {
        let mut scene = established();
        reinvite(&mut scene, Side::Callee, 1, "sendrecv", status, "");
        bye(&mut scene, false);
        let record = one(scene);
        assert_eq!((codes(&record), texts(&record)), (vec!["change_refused"], vec![text]));
        assert_eq!(
            record.findings[0].message.as_deref(),
            Some(format!("{} to INVITE", &status[..3]).as_str())
        );
    }
    // Those have their own findings, or none.
    for status in ["407 Proxy Authentication Required", "487 Request Terminated"] {
        let mut scene = established();
        reinvite(&mut scene, Side::Callee, 1, "sendrecv", status, "");
        bye(&mut scene, false);
        assert_eq!(codes(&one(scene)), [""; 0], "{status}");
    }
    let mut scene = established();
    let update = said(Side::Caller, "2 UPDATE");
    update.request(&mut scene);
    update.answered(&mut scene, "488 Not Acceptable Here");
    bye(&mut scene, false);
    assert_eq!(texts(&one(scene)), ["the caller's UPDATE was refused: 488"]);
    // RFC 4028 6: an UPDATE, too, may ask for too little.
    let mut scene = established();
    update.request(&mut scene);
    update.answered(&mut scene, "422 Session Interval Too Small");
    bye(&mut scene, false);
    assert_eq!(codes(&one(scene)), ["session_interval_too_small"]);
}

/// RFC 3261 14.1: a re-INVITE that times out ends the call.
#[test]
fn a_change_that_nothing_answers() {
    for is_answered in [false, true] {
        let mut scene = established();
        let invite = said(Side::Caller, "2 INVITE");
        for wait in [500, 1000, 2000, 4000] {
            invite.request(&mut scene);
            scene.wait(wait);
        }
        if is_answered {
            invite.answered(&mut scene, "200 OK");
        }
        bye(&mut scene, true);
        let record = one(scene);
        let expected = ["nothing answered the caller's re-INVITE, sent 4 times"];
        assert_eq!(texts(&record), if is_answered { &expected[..0] } else { &expected[..] });
        assert_eq!(codes(&record), if is_answered { &[][..] } else { &["no_change_answer"][..] });
    }
}

/// RFC 3261 12.2.2, 15: who has hung up knows no dialog any more, and says so to a change that was on its way.
#[test]
fn a_change_that_crosses_the_bye() {
    for (by, is_crossed) in [(Side::Callee, true), (Side::Caller, false)] {
        let mut scene = established();
        let (change, hang_up) = (said(Side::Caller, "2 INVITE"), said(by, "3 BYE"));
        change.request(&mut scene);
        hang_up.request(&mut scene);
        change.answered(&mut scene, "481 Call/Transaction Does Not Exist");
        said(Side::Caller, "2 ACK").request(&mut scene);
        hang_up.answered(&mut scene, "200 OK");
        let expected = if is_crossed { vec![] } else { vec!["change_refused"] };
        assert_eq!(codes(&one(scene)), expected, "{by:?}");
    }
}

/// RFC 3261 15.1.1: 481 or 408 to a BYE, and the session is over all the same. 15.1.2: when both ends hang up at once, either
/// may say so.
#[test]
fn a_bye_that_is_refused() {
    for (status, text) in [
        (
            "481 Call/Transaction Does Not Exist",
            "the caller's BYE was refused: 481, the callee did not know the call any more",
        ),
        ("408 Request Timeout", "the caller's BYE was refused: 408, the callee was not reached"),
    ] {
        let mut scene = established();
        let hang_up = said(Side::Caller, "2 BYE");
        hang_up.request(&mut scene);
        hang_up.answered(&mut scene, status);
        let record = one(scene);
        assert_eq!((codes(&record), texts(&record)), (vec!["bye_refused"], vec![text]));
    }
    let mut scene = established();
    let byes = [said(Side::Caller, "2 BYE"), said(Side::Callee, "1 BYE")];
    byes.iter().for_each(|bye| bye.request(&mut scene));
    byes.iter().for_each(|bye| bye.answered(&mut scene, "481 Call/Transaction Does Not Exist"));
    assert_eq!(codes(&one(scene)), [""; 0]);
    let mut scene = established();
    said(Side::Caller, "2 BYE").request(&mut scene);
    said(Side::Caller, "2 BYE").answered(&mut scene, "407 Proxy Authentication Required");
    said(Side::Caller, "3 BYE").request(&mut scene);
    said(Side::Caller, "3 BYE").answered(&mut scene, "200 OK");
    assert_eq!(codes(&one(scene)), [""; 0]);
}

/// RFC 3261 22.2, 22.3; RFC 7616 3.3: with stale=true the password was right.
#[test]
fn credentials_are_refused_or_not_asked_for_before() {
    const OLD: &str = "Authorization: Digest username=\"alice\", realm=\"a\"\n";
    let challenge =
        |realm: &str, more: &str| format!("WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"n\"{more}\n");
    let (first, second, stale) = (challenge("a", ""), challenge("b", ""), challenge("a", ", stale=TRUE"));
    let refused = "the credentials were refused";
    let rows: [(&[(&str, &str)], &str); 5] = [
        (&[("", &first)], "no credentials followed the challenge"),
        (&[("", &first), (OLD, &first)], refused),
        (&[(OLD, &first)], refused),
        (&[("", &first), (OLD, &second)], "no credentials followed another challenge, of another realm"),
        (&[(OLD, &stale)], "no credentials followed another challenge, for a new nonce (stale)"),
    ];
    for (tries, expected) in rows {
        for seconds in [1, 200] {
            let mut scene = Scene::new(Settings { registrations: true, ..Settings::default() });
            for (number, (credentials, challenge)) in (1..).zip(tries) {
                let (branch, cseq) = (format!("r{number}"), format!("{number} REGISTER"));
                // Some phones give each try another tag.
                let from_tag = if seconds > 1 { &branch } else { "alice" };
                let text =
                    Text { branch: &branch, from_tag, cseq: &cseq, extra: credentials, ..Text::default() };
                scene.send(1, 2, &text.with("REGISTER sip:b.example SIP/2.0"));
                scene.send(
                    2,
                    1,
                    &Text { to_tag: "r", extra: challenge, ..text }.with("SIP/2.0 401 Unauthorized"),
                );
            }
            scene.wait(seconds * SECOND);
            let record = one(scene);
            // Who has to type a password may still do so when the capture ends.
            let is_told = seconds > 1 || expected == refused;
            assert_eq!(texts(&record), if is_told { vec![expected] } else { vec![] }, "{tries:?}");
        }
    }
    let mut scene = Scene::new(Settings { registrations: true, ..Settings::default() });
    register(&mut scene, 1, 1, 60, "401 Unauthorized", &first);
    register(&mut scene, 2, 1, 60, "401 Unauthorized", &first);
    register(&mut scene, 3, 1, 60, "200 OK", "");
    assert_eq!(codes(&one(scene)), [""; 0]);
}
