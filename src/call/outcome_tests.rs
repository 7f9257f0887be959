//! What an attempt comes to when messages are late, missing, or of several branches and dialogs.

use std::time::Duration;

use super::tests::{INVITE, SECOND, Scene, Text, sdp, sip_port};
use super::*;

/// An answer to the INVITE, from one host to another.
fn answer(scene: &mut Scene, (from, to): (u8, u8), (branch, to_tag): (&str, &str), status: &str) {
    scene.send(from, to, &Text { branch, to_tag, ..Text::default() }.with(&format!("SIP/2.0 {status}")));
}

/// A request of the caller's in the dialog with that tag, and its 200.
fn within(scene: &mut Scene, to_tag: &str, cseq: &str) {
    let (_, method) = cseq.split_once(' ').unwrap();
    let text = Text { branch: cseq, to_tag, cseq, ..Text::default() };
    scene.send(1, 2, &text.with(&format!("{method} sip:bob@192.0.2.2 SIP/2.0")));
    if method != "ACK" {
        scene.send(2, 1, &text.with("SIP/2.0 200 OK"));
    }
}

fn invite(scene: &mut Scene, to: u8, branch: &str) {
    scene.send(1, to, &Text { branch, body: sdp(1, 4000), ..Text::default() }.with(INVITE));
}

/// The INVITE, and that it rings.
fn ring(scene: &mut Scene) {
    invite(scene, 2, "b1");
    answer(scene, (2, 1), ("b1", "bob"), "180 Ringing");
}

/// The answer on a branch, so many seconds of call, and the caller's BYE.
fn talk(scene: &mut Scene, (host, branch): (u8, &str), seconds: u64) {
    answer(scene, (host, 1), (branch, "bob"), "200 OK");
    scene.wait(seconds * SECOND);
    within(scene, "bob", "2 BYE");
}

/// The only record; result, status code, and whole seconds of the call.
fn outcome(scene: Scene) -> (CallResult, Option<u16>, Option<u64>) {
    let (records, ..) = scene.end();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    (record.result, record.status_code, record.duration_seconds.map(|seconds| seconds as u64))
}

/// Timer B ends with the first provisional answer (RFC 3261 17.1.1.2).
#[test]
fn an_answer_may_take_its_time() {
    let mut scene = Scene::plain();
    invite(&mut scene, 2, "b1");
    answer(&mut scene, (2, 1), ("b1", ""), "100 Trying");
    scene.wait(60 * SECOND);
    answer(&mut scene, (2, 1), ("b1", "bob"), "200 OK");
    within(&mut scene, "bob", "1 ACK");
    scene.wait(10 * SECOND);
    within(&mut scene, "bob", "2 BYE");
    assert_eq!(outcome(scene), (CallResult::Success, Some(200), Some(10)));
}

/// A queue that plays music for longer than Timer C before somebody answers.
#[test]
fn media_before_the_answer_is_a_sign_of_life() {
    let mut scene = Scene::plain();
    invite(&mut scene, 2, "b1");
    let text = Text { to_tag: "bob", body: sdp(2, 5000), ..Text::default() };
    scene.send(2, 1, &text.with("SIP/2.0 183 Session Progress"));
    for number in 0..400 {
        assert!(scene.rtp((2, 5000), (1, 4000), number));
        scene.wait(SECOND);
    }
    talk(&mut scene, (2, "b1"), 20);
    assert_eq!(outcome(scene), (CallResult::Success, Some(200), Some(20)));
}

/// After ten minutes of silence the attempt has failed, and an answer that comes all the same is one (RFC 3261 17.1.1.2: who
/// called has no timer once it rings).
#[test]
fn an_answer_after_the_time_out_counts() {
    let mut scene = Scene::plain();
    ring(&mut scene);
    scene.wait(610 * SECOND);
    assert_eq!(scene.heard.events.last().unwrap().0, "end");
    talk(&mut scene, (2, "b1"), 20);
    let events: Vec<_> = scene.heard.events.iter().map(|(event, _)| *event).collect();
    assert_eq!(events, ["start", "ringing", "end", "answered", "end"]);
    let performance = scene.end().2.performance;
    assert_eq!((performance.attempts, performance.answered, performance.over), (1, 1, 1));
}

/// Who sees only what a proxy sends: one carrier after the other, or two at once (RFC 3261 16.7).
#[test]
fn one_branch_that_fails_is_not_the_call() {
    for parallel in [false, true] {
        let mut scene = Scene::plain();
        invite(&mut scene, 2, "b1");
        if parallel {
            invite(&mut scene, 3, "b2");
        }
        answer(&mut scene, (2, 1), ("b1", "x"), "503 Service Unavailable");
        assert_eq!(scene.heard.events.last().unwrap().0 == "end", !parallel);
        if !parallel {
            invite(&mut scene, 3, "b2");
        }
        answer(&mut scene, (3, 1), ("b2", "bob"), "180 Ringing");
        scene.wait(40 * SECOND);
        talk(&mut scene, (3, "b2"), 57);
        assert_eq!(outcome(scene), (CallResult::Success, Some(200), Some(57)), "{parallel}");
    }
    let mut scene = Scene::plain();
    invite(&mut scene, 2, "b1");
    invite(&mut scene, 3, "b2");
    answer(&mut scene, (2, 1), ("b1", "x"), "503 Service Unavailable");
    scene.wait(SECOND);
    answer(&mut scene, (3, 1), ("b2", "y"), "486 Busy Here");
    assert_eq!(outcome(scene), (CallResult::Busy, Some(486), None), "all have failed");
}

/// RFC 3263 4.3, RFC 3261 17.1.1.2: a server does not answer at all, and the same INVITE goes to the next, with another branch. What
/// that one says decides.
#[test]
fn a_server_that_does_not_answer_is_followed_by_the_next() {
    for waits in [&[500, 1000, 2000, 500][..], &[500, 1000, 2000, 4000, 8000, 16_000, 500]] {
        for servers in [2, 3] {
            for is_cancelled in [false, true] {
                let mut scene = Scene::plain();
                for server in 2..=servers {
                    for wait in waits {
                        invite(&mut scene, server, &format!("b{server}"));
                        scene.wait(*wait);
                    }
                }
                invite(&mut scene, 1 + servers, &format!("b{}", 1 + servers));
                let (last, branch) = (1 + servers, format!("b{}", 1 + servers));
                answer(&mut scene, (last, 1), (&branch, "bob"), "180 Ringing");
                scene.wait(5 * SECOND);
                let cancel = Text { branch: &branch, cseq: "1 CANCEL", ..Text::default() };
                if is_cancelled {
                    scene.send(1, last, &cancel.with("CANCEL sip:bob@b.example SIP/2.0"));
                    scene.send(last, 1, &cancel.with("SIP/2.0 200 OK"));
                }
                let end = scene.now;
                let status = if is_cancelled { "487 Request Terminated" } else { "486 Busy Here" };
                answer(&mut scene, (last, 1), (&branch, "bob"), status);
                let what = format!("{waits:?} {servers} {is_cancelled}");
                assert_eq!(scene.heard.events.last().unwrap().0, "end", "{what}");
                let (records, ..) = scene.end();
                let [record] = records.as_slice() else { panic!("{what} {records:?}") };
                let told = (record.result, record.status_code, record.ended_by);
                let expected = if is_cancelled {
                    (CallResult::Cancelled, Some(487), Some(EndedBy::Caller))
                } else {
                    (CallResult::Busy, Some(486), Some(EndedBy::Callee))
                };
                assert_eq!((told, record.end), (expected, Some(end)), "{what}");
            }
        }
    }
    // Timer B is that of each (RFC 3261 17.1.1.2).
    let mut scene = Scene::plain();
    invite(&mut scene, 2, "b1");
    scene.wait(20 * SECOND);
    invite(&mut scene, 3, "b2");
    scene.wait(60 * SECOND);
    let (records, ..) = scene.end();
    assert_eq!((records.len(), records[0].result), (1, CallResult::Timeout));
    assert_eq!(records[0].end.unwrap().since(records[0].start), Duration::from_millis(20_100 + 32_000));
}

/// RFC 3261 17.1.1.2: who has answered with 100 has no Timer B, and is waited for beside the next.
#[test]
fn a_server_that_is_at_work_is_waited_for() {
    let mut scene = Scene::plain();
    invite(&mut scene, 2, "b1");
    answer(&mut scene, (2, 1), ("b1", ""), "100 Trying");
    scene.wait(4 * SECOND);
    invite(&mut scene, 3, "b2");
    answer(&mut scene, (3, 1), ("b2", "x"), "503 Service Unavailable");
    assert_ne!(scene.heard.events.last().unwrap().0, "end");
    scene.wait(40 * SECOND);
    talk(&mut scene, (2, "b1"), 20);
    assert_eq!(outcome(scene), (CallResult::Success, Some(200), Some(20)));
}

/// RFC 3261 13.2.2.4: the caller hangs up on all but one who answered.
#[test]
fn a_bye_to_one_of_two_who_answered_leaves_the_other() {
    for others in ["b", "a"] {
        let kept = if others == "b" { "a" } else { "b" };
        let mut scene = Scene::plain();
        invite(&mut scene, 2, "b1");
        answer(&mut scene, (2, 1), ("b1", "a"), "200 OK");
        answer(&mut scene, (2, 1), ("b1", "b"), "200 OK");
        within(&mut scene, others, "1 ACK");
        within(&mut scene, others, "2 BYE");
        // The next hop of it.
        within(&mut scene, others, "2 BYE");
        for number in 0..57 {
            scene.rtp((2, 5000), (1, 4000), number);
            scene.wait(SECOND);
        }
        within(&mut scene, kept, "3 BYE");
        let (records, ..) = scene.end();
        assert_eq!((records.len(), records[0].ended_by), (1, Some(EndedBy::Caller)));
        assert!(records[0].duration_seconds.unwrap() > 57.0, "{others}");
    }
}

/// Who answered second is not heard of again, and nobody hangs up on them: the BYE was that of the call.
#[test]
fn the_last_bye_ends_the_call_when_nothing_follows() {
    for wait in [0, 60 * SECOND] {
        let mut scene = Scene::plain();
        invite(&mut scene, 2, "b1");
        answer(&mut scene, (2, 1), ("b1", "a"), "200 OK");
        answer(&mut scene, (2, 1), ("b1", "b"), "200 OK");
        scene.wait(20 * SECOND);
        within(&mut scene, "a", "2 BYE");
        scene.wait(wait);
        assert_eq!(outcome(scene), (CallResult::Success, Some(200), Some(20)), "{wait}");
    }
}

/// RFC 3261 15: a BYE may end an early dialog, and the INVITE is answered with 487 then.
#[test]
fn a_bye_before_the_answer_is_no_success() {
    let mut scene = Scene::plain();
    ring(&mut scene);
    within(&mut scene, "bob", "2 BYE");
    answer(&mut scene, (2, 1), ("b1", "bob"), "487 Request Terminated");
    assert_eq!(outcome(scene), (CallResult::Cancelled, Some(487), None));
}

/// RFC 6228 4: a 199 ends the early dialog with its tag, whatever rings beside it.
#[test]
fn a_bye_to_the_early_dialog_that_a_199_left_gives_up() {
    for (first, other) in [("x", "y"), ("y", "x")] {
        let mut scene = Scene::plain();
        invite(&mut scene, 2, "b1");
        ["x", "y"].iter().for_each(|tag| answer(&mut scene, (2, 1), ("b1", tag), "180 Ringing"));
        answer(&mut scene, (2, 1), ("b1", first), "199 Early Dialog Terminated");
        within(&mut scene, other, "2 BYE");
        answer(&mut scene, (2, 1), ("b1", other), "487 Request Terminated");
        let record = scene.end().0.remove(0);
        let told = (record.result, record.status_code, record.ended_by);
        assert_eq!(told, (CallResult::Cancelled, Some(487), Some(EndedBy::Caller)), "{first}");
        assert_eq!(record.signalling.early_dialogs, 2);
    }
}

/// RFC 6228 4: nothing rings by a 199. E.425 4.3: a network that lets no phone ring has delivered nothing.
#[test]
fn a_call_does_not_ring_by_a_199() {
    for (status, has_rung) in [("199 Early Dialog Terminated", false), ("183 Session Progress", true)] {
        let mut scene = Scene::plain();
        invite(&mut scene, 2, "b1");
        answer(&mut scene, (2, 1), ("b1", ""), "100 Trying");
        answer(&mut scene, (2, 1), ("b1", "x"), status);
        scene.wait(40 * SECOND);
        answer(&mut scene, (2, 1), ("b1", "y"), "408 Request Timeout");
        let (records, heard, census) = scene.end();
        let record = &records[0];
        assert_eq!(record.ringing.is_some(), has_rung);
        assert_eq!(record.post_dial_delay_seconds.is_some(), has_rung);
        assert_eq!(record.signalling.early_dialogs, u32::from(has_rung));
        assert_eq!(heard.events.iter().any(|(event, _)| *event == "ringing"), has_rung);
        assert_eq!(census.performance.ner(), Some(if has_rung { 100.0 } else { 0.0 }));
    }
}

/// An ACK with a branch of its own is for a 2xx (RFC 3261 13.2.2.4); one for a refusal has the INVITE's (17.1.1.3).
#[test]
fn an_ack_tells_of_an_answer_that_was_not_captured() {
    let mut scene = Scene::plain();
    invite(&mut scene, 2, "b1");
    answer(&mut scene, (2, 1), ("b1", ""), "100 Trying");
    within(&mut scene, "bob", "1 ACK");
    scene.wait(300 * SECOND);
    within(&mut scene, "bob", "2 BYE");
    assert_eq!(outcome(scene), (CallResult::Success, None, Some(300)));
    let mut scene = Scene::plain();
    invite(&mut scene, 2, "b1");
    let ack = Text { to_tag: "x", cseq: "1 ACK", ..Text::default() };
    scene.send(1, 2, &ack.with("ACK sip:bob@b.example SIP/2.0"));
    scene.wait(40 * SECOND);
    assert_eq!(outcome(scene).0, CallResult::Failed);
}

#[test]
fn a_call_that_was_up_before_the_capture_stays_up() {
    for request in ["5 INFO", "5 UPDATE", "5 INVITE"] {
        let mut scene = Scene::plain();
        within(&mut scene, "bob", request);
        scene.wait(300 * SECOND);
        within(&mut scene, "bob", "6 BYE");
        let (records, _, census) = scene.end();
        assert_eq!((records.len(), census.calls, census.answered), (1, 1, 0), "{request}");
        let record = &records[0];
        assert_eq!((record.result, record.answered, record.findings.len()), (CallResult::Success, None, 0));
        assert_eq!((record.setup_seconds, record.post_dial_delay_seconds), (None, None));
    }
    // A change that is refused leaves the session as it is (RFC 3261 14.1).
    let mut scene = Scene::plain();
    let again = Text { branch: "x", to_tag: "bob", cseq: "5 INVITE", ..Text::default() };
    scene.send(1, 2, &again.with("INVITE sip:bob@192.0.2.2 SIP/2.0"));
    scene.send(2, 1, &again.with("SIP/2.0 488 Not Acceptable Here"));
    scene.wait(60 * SECOND);
    within(&mut scene, "bob", "6 BYE");
    assert_eq!(outcome(scene), (CallResult::Success, None, None));
}

#[test]
fn a_refer_without_a_dialog_is_no_call() {
    let mut scene = Scene::plain();
    let refer = Text { cseq: "1 REFER", extra: "Refer-To: <sip:carol@x>\n", ..Text::default() };
    scene.send(1, 2, &refer.with("REFER sip:bob@b.example SIP/2.0"));
    scene.send(2, 1, &Text { to_tag: "bob", ..refer }.with("SIP/2.0 202 Accepted"));
    let (records, _, census) = scene.end();
    assert_eq!((records.len(), census.calls), (0, 0));
}

/// RFC 6086 4.2.1: an INFO is sent inside a dialog, and one that is not is refused.
#[test]
fn an_info_without_a_dialog_is_no_call() {
    let mut scene = Scene::new(Settings { others: true, ..Settings::default() });
    let info = Text { cseq: "1 INFO", ..Text::default() };
    scene.send(1, 2, &info.with("INFO sip:bob@b.example SIP/2.0"));
    scene.send(2, 1, &Text { to_tag: "bob", ..info }.with("SIP/2.0 481 Call/Transaction Does Not Exist"));
    let (records, _, census) = scene.end();
    assert_eq!((records[0].kind, census.calls), (CallKind::Other, 0));
    assert_eq!((records[0].result, records[0].status_code), (CallResult::Failed, Some(481)));
    assert_eq!(records[0].findings, []);
}

#[test]
fn nobody_cancelled() {
    let mut scene = Scene::plain();
    ring(&mut scene);
    scene.wait(30 * SECOND);
    answer(&mut scene, (2, 1), ("b1", "bob"), "487 Request Terminated");
    let (records, ..) = scene.end();
    assert_eq!((records[0].result, records[0].ended_by), (CallResult::Failed, Some(EndedBy::Callee)));
}

/// RFC 3261 9.2, 15.1.2, 21.4.25: a CANCEL, or a BYE before the answer, ends the INVITE with 487. Captures of several cards may
/// have the 487 first, or the answer to the CANCEL alone.
#[test]
fn a_487_may_overtake_what_made_it() {
    let [cancel, bye] = ["1 CANCEL", "2 BYE"].map(|cseq| Text { to_tag: "bob", cseq, ..Text::default() });
    let cancel = Text { to_tag: "", ..cancel };
    let [cancel, cancelled] =
        [cancel.with("CANCEL sip:bob@b.example SIP/2.0"), cancel.with("SIP/2.0 200 OK")];
    let [bye, released] = [bye.with("BYE sip:bob@192.0.2.2 SIP/2.0"), bye.with("SIP/2.0 200 OK")];
    let ways: [&[(u8, u8, &str)]; 4] = [
        &[(1, 2, &cancel), (2, 1, &cancelled)],
        &[(2, 1, &cancelled), (1, 2, &cancel)],
        &[(2, 1, &cancelled)],
        &[(1, 2, &bye), (2, 1, &released)],
    ];
    for messages in ways {
        for is_overtaken in [false, true] {
            let mut scene = Scene::plain();
            ring(&mut scene);
            let refusal = Text { branch: "b1", to_tag: "bob", ..Text::default() };
            let refusal = refusal.with("SIP/2.0 487 Request Terminated");
            let mut all = messages.to_vec();
            all.insert(if is_overtaken { 0 } else { all.len() }, (2, 1, &refusal));
            all.iter().for_each(|(from, to, message)| scene.send(*from, *to, message));
            let (records, _, census) = scene.end();
            let told = (records[0].result, records[0].status_code, records[0].ended_by);
            assert_eq!(told, (CallResult::Cancelled, Some(487), Some(EndedBy::Caller)), "{is_overtaken}");
            assert_eq!((records.len(), census.results[CallResult::Cancelled as usize]), (1, 1));
        }
    }
    // The CANCEL of an earlier try is none of this one.
    let mut scene = Scene::plain();
    ring(&mut scene);
    let again = Text { branch: "b2", cseq: "2 INVITE", ..Text::default() };
    scene.send(1, 2, &again.with(INVITE));
    scene.send(2, 1, &Text { to_tag: "bob", ..again }.with("SIP/2.0 487 Request Terminated"));
    scene.send(1, 2, &cancel);
    assert_eq!(outcome(scene), (CallResult::Failed, Some(487), None));
}

/// RFC 3261 9.1: 64*T1 after its CANCEL an INVITE is cancelled, with or without a 487.
#[test]
fn a_cancel_that_no_487_follows() {
    let mut scene = Scene::plain();
    ring(&mut scene);
    scene.wait(5 * SECOND);
    let cancel = Text { cseq: "1 CANCEL", ..Text::default() };
    scene.send(1, 2, &cancel.with("CANCEL sip:bob@b.example SIP/2.0"));
    scene.send(2, 1, &cancel.with("SIP/2.0 200 OK"));
    scene.wait(40 * SECOND);
    let (records, ..) = scene.end();
    assert_eq!((records[0].result, records[0].ended_by), (CallResult::Cancelled, Some(EndedBy::Caller)));
    let took = records[0].end.unwrap().since(records[0].start);
    assert_eq!(took, Duration::from_millis(32_000 + 5_200));
}

/// RFC 3262 3: each reliable provisional answer has an RSeq of its own; and one may say more than the one before.
#[test]
fn a_provisional_answer_that_says_more_is_not_the_same_again() {
    let mut scene = Scene::plain();
    invite(&mut scene, 2, "b1");
    let progress = "SIP/2.0 183 Session Progress";
    let text = Text { to_tag: "bob", ..Text::default() };
    scene.send(2, 1, &text.with(progress));
    scene.send(2, 1, &Text { body: sdp(2, 5000), ..text }.with(progress));
    for sequence in ["RSeq: 1\n", "RSeq: 2\n"] {
        scene.send(2, 1, &Text { to_tag: "bob", extra: sequence, ..Text::default() }.with(progress));
    }
    scene.send(2, 1, &Text { to_tag: "bob", extra: "RSeq: 2\n", ..Text::default() }.with(progress));
    assert!(scene.rtp((2, 5000), (9, 9000), 1), "what the second announced");
    let (records, ..) = scene.end();
    assert_eq!((records[0].retransmissions, records[0].signalling.reliable_provisionals), (1, 2));
}

/// A capture of one direction only: whoever hung up, the other end's 200 says so (RFC 3261 15.1.2).
#[test]
fn an_answer_to_a_bye_tells_of_the_bye() {
    for by_caller in [true, false] {
        let mut scene = Scene::plain();
        ring(&mut scene);
        answer(&mut scene, (2, 1), ("b1", "bob"), "200 OK");
        scene.wait(20 * SECOND);
        let ((from_tag, to_tag), (from, to)) =
            if by_caller { (("alice", "bob"), (2, 1)) } else { (("bob", "alice"), (1, 2)) };
        let text = Text { branch: "bye", from_tag, to_tag, cseq: "2 BYE", ..Text::default() };
        scene.send(from, to, &text.with("SIP/2.0 200 OK"));
        let (records, ..) = scene.end();
        let by = if by_caller { EndedBy::Caller } else { EndedBy::Callee };
        let [record] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!((record.result, record.ended_by), (CallResult::Success, Some(by)));
        assert_eq!(record.duration_seconds.map(|seconds| seconds as u64), Some(20));
        assert_eq!(record.signalling.disconnect_seconds, None, "when it was asked for was not seen");
    }
    let mut scene = Scene::plain();
    ring(&mut scene);
    answer(&mut scene, (2, 1), ("b1", "bob"), "200 OK");
    let text = Text { branch: "bye", to_tag: "bob", cseq: "2 BYE", ..Text::default() };
    scene.send(2, 1, &text.with("SIP/2.0 407 Proxy Authentication Required"));
    assert_eq!(outcome(scene).0, CallResult::Open, "a challenge ends nothing");
}

/// The INVITE before the challenge is told last: captures of several queues have such an order. What follows is not its answer.
#[test]
fn an_earlier_try_that_is_told_late_is_waited_for_no_more() {
    let mut scene = Scene::plain();
    let again = Text { branch: "b2", cseq: "2 INVITE", body: sdp(1, 4000), ..Text::default() };
    answer(&mut scene, (2, 1), ("b1", "t0"), "407 Proxy Authentication Required");
    scene.send(
        1,
        2,
        &Text { to_tag: "t0", cseq: "1 ACK", ..Text::default() }.with("ACK sip:bob@b.example SIP/2.0"),
    );
    scene.send(1, 2, &again.with(INVITE));
    invite(&mut scene, 2, "b1");
    let busy = Text { to_tag: "t1", body: String::new(), ..again };
    scene.send(2, 1, &busy.with("SIP/2.0 486 Busy Here"));
    scene.wait(60 * SECOND);
    let record = scene.end().0.remove(0);
    assert_eq!((record.result, record.status_code), (CallResult::Busy, Some(486)));
}

/// RFC 3261 17.1.1.2: sent again after T1, and told before what was sent first.
#[test]
fn a_call_begins_with_the_invite_that_was_sent_first() {
    let mut scene = Scene::plain();
    let begun = scene.now;
    scene.wait(500);
    invite(&mut scene, 2, "b1");
    let now = std::mem::replace(&mut scene.now, begun);
    scene.say_between(sip_port(1), sip_port(2), &Text { body: sdp(1, 4000), ..Text::default() }.with(INVITE));
    scene.now = now;
    let record = scene.end().0.remove(0);
    assert_eq!((record.start, record.retransmissions, record.duplicates), (begun, 1, 0));
}
