//! What a forking proxy does with its branches, and what of it is the call's: alice (1) calls over a proxy (9) that tries
//! bob's phones (2 and 3), one after the other or both (RFC 3261 16.6, 16.7).

use super::tests::{INVITE, SECOND, Scene, Text};
use super::*;

/// The hop of the caller, and those of the proxy: from, to, branch, and the phone's tag.
const OWN: (u8, u8, &str) = (1, 9, "a1");
const FIRST: (u8, u8, &str) = (9, 2, "x1");
const OTHER: (u8, u8, &str) = (9, 3, "y1");

const CANCEL: &str = "CANCEL sip:bob@b.example SIP/2.0";
const RINGING: &str = "SIP/2.0 180 Ringing";
const OK: &str = "SIP/2.0 200 OK";
const TERMINATED: &str = "SIP/2.0 487 Request Terminated";

struct Forking {
    scene: Scene,
    /// The hop over which alice calls is captured.
    sees_caller: bool,
}

impl Forking {
    fn new(sees_caller: bool) -> Self {
        let mut fork = Self { scene: Scene::plain(), sees_caller };
        fork.request(OWN, "", "1 INVITE", INVITE);
        fork.answer(OWN, "", "1 INVITE", "SIP/2.0 100 Trying");
        fork.request(FIRST, "", "1 INVITE", INVITE);
        fork.rings(FIRST, "x");
        fork
    }

    fn request(&mut self, (from, to, branch): (u8, u8, &str), to_tag: &str, cseq: &str, start: &str) {
        if (from != 1 && to != 1) || self.sees_caller {
            self.scene.send(from, to, &Text { branch, to_tag, cseq, ..Text::default() }.with(start));
        }
    }

    fn answer(&mut self, (from, to, branch): (u8, u8, &str), to_tag: &str, cseq: &str, start: &str) {
        self.request((to, from, branch), to_tag, cseq, start);
    }

    /// It passes the proxy.
    fn passes(&mut self, hop: (u8, u8, &str), to_tag: &str, cseq: &str, start: &str) {
        self.answer(hop, to_tag, cseq, start);
        if self.sees_caller {
            self.answer(OWN, to_tag, cseq, start);
        }
    }

    fn rings(&mut self, hop: (u8, u8, &str), to_tag: &str) {
        self.passes(hop, to_tag, "1 INVITE", RINGING);
    }

    /// That hop is cancelled, and its INVITE answered with 487.
    fn cancelled(&mut self, hop: (u8, u8, &str), to_tag: &str) {
        self.request(hop, "", "1 CANCEL", CANCEL);
        self.answer(hop, to_tag, "1 CANCEL", OK);
        self.answer(hop, to_tag, "1 INVITE", TERMINATED);
        self.request(hop, to_tag, "1 ACK", "ACK sip:bob@b.example SIP/2.0");
    }

    /// The proxy gives up on the first phone after 20 s, and tries the second.
    fn tries_the_second(&mut self) {
        self.scene.wait(20 * SECOND);
        self.cancelled(FIRST, "x");
        self.request(OTHER, "", "1 INVITE", INVITE);
        self.rings(OTHER, "y");
    }

    /// The second phone is answered, and hung up after so many seconds.
    fn talks(&mut self, seconds: u64) {
        self.passes(OTHER, "y", "1 INVITE", OK);
        self.request((1, 9, "ack"), "y", "1 ACK", "ACK sip:bob@192.0.2.3 SIP/2.0");
        self.scene.wait(seconds * SECOND);
        self.request((9, 3, "bye"), "y", "2 BYE", "BYE sip:bob@192.0.2.3 SIP/2.0");
        self.answer((9, 3, "bye"), "y", "2 BYE", OK);
    }

    fn one(self) -> CallRecord {
        let (mut records, _, census) = self.scene.end();
        assert_eq!((records.len(), census.calls), (1, 1), "{records:?}");
        records.remove(0)
    }
}

fn told(record: &CallRecord) -> (CallResult, Option<u16>, Option<EndedBy>) {
    (record.result, record.status_code, record.ended_by)
}

fn seconds_to_end(record: &CallRecord) -> u64 {
    record.end.unwrap().since(record.start).as_secs()
}

fn codes(record: &CallRecord) -> Vec<&'static str> {
    record.findings.iter().map(|finding| finding.code).filter(|&code| code != "no_rtp").collect()
}

/// RFC 3261 16.7: a proxy cancels a branch and tries the next; the caller goes on hearing it ring.
#[test]
fn a_proxy_that_tries_the_next_phone_is_no_caller_who_gives_up() {
    for sees_caller in [true, false] {
        for seconds in [5, 45, 170] {
            let mut fork = Forking::new(sees_caller);
            fork.tries_the_second();
            fork.scene.wait(seconds * SECOND);
            fork.passes(OTHER, "y", "1 INVITE", "SIP/2.0 486 Busy Here");
            let record = fork.one();
            let what = format!("{sees_caller} {seconds}");
            assert_eq!(told(&record), (CallResult::Busy, Some(486), Some(EndedBy::Callee)), "{what}");
            assert_eq!(seconds_to_end(&record) / 10, (seconds + 21) / 10, "{what}");

            let mut fork = Forking::new(sees_caller);
            fork.tries_the_second();
            fork.scene.wait(seconds * SECOND);
            fork.talks(30);
            let record = fork.one();
            assert_eq!((record.result, record.method.as_str()), (CallResult::Success, "INVITE"), "{what}");
            assert_eq!(record.duration_seconds.map(|seconds| seconds as u64), Some(30), "{what}");
        }
    }
}

/// RFC 3261 9.1, 16.10: the CANCEL of the caller goes over their own hop, and the proxy sends others.
#[test]
fn a_caller_gives_up_on_their_own_hop() {
    let by_caller = (CallResult::Cancelled, Some(487), Some(EndedBy::Caller));
    for sees_caller in [true, false] {
        for is_second in [true, false] {
            let mut fork = Forking::new(sees_caller);
            let phone = if is_second {
                fork.tries_the_second();
                OTHER
            } else {
                FIRST
            };
            fork.scene.wait(5 * SECOND);
            fork.request(OWN, "", "1 CANCEL", CANCEL);
            fork.cancelled(phone, "z");
            fork.answer(OWN, "z", "1 INVITE", TERMINATED);
            assert_eq!(told(&fork.one()), by_caller, "{sees_caller} {is_second}");
        }
    }
    // Two at once: who sees only these has seen the call given up with the second.
    let mut fork = Forking::new(false);
    fork.request(OTHER, "", "1 INVITE", INVITE);
    fork.rings(OTHER, "y");
    fork.cancelled(FIRST, "x");
    fork.scene.wait(40 * SECOND);
    assert_ne!(fork.scene.heard.events.last().unwrap().0, "end");
    fork.cancelled(OTHER, "y");
    assert_eq!(told(&fork.one()), by_caller);
}

/// RFC 3261 16.8: Timer C of the proxy has fired, and the caller gets the 487 of the branch that this cancels.
#[test]
fn a_proxy_that_gives_up_is_the_network() {
    for is_overtaken in [false, true] {
        let mut fork = Forking::new(true);
        fork.scene.wait(30 * SECOND);
        if is_overtaken {
            fork.answer(OWN, "x", "1 INVITE", TERMINATED);
            fork.cancelled(FIRST, "x");
        } else {
            fork.cancelled(FIRST, "x");
            fork.answer(OWN, "x", "1 INVITE", TERMINATED);
        }
        let record = fork.one();
        assert_eq!((record.result, record.status_code), (CallResult::Failed, Some(487)), "{is_overtaken}");
        assert_ne!(record.ended_by, Some(EndedBy::Caller));
        assert!(is_overtaken || record.ended_by == Some(EndedBy::Network));
    }
}

/// RFC 3261 9.1: the CANCEL of a proxy may cross the 200 of its branch, and nobody has given up.
#[test]
fn a_proxys_cancel_that_crosses_the_answer() {
    for is_captured_first in [true, false] {
        let mut fork = Forking::new(true);
        let cancel = |fork: &mut Forking| fork.request(FIRST, "", "1 CANCEL", CANCEL);
        if is_captured_first {
            cancel(&mut fork);
        }
        fork.answer(FIRST, "x", "1 INVITE", OK);
        if !is_captured_first {
            cancel(&mut fork);
        }
        fork.answer(OWN, "x", "1 INVITE", OK);
        fork.request((1, 9, "ack"), "x", "1 ACK", "ACK sip:bob@192.0.2.2 SIP/2.0");
        fork.scene.wait(40 * SECOND);
        fork.request((1, 9, "bye"), "x", "2 BYE", "BYE sip:bob@192.0.2.2 SIP/2.0");
        let record = fork.one();
        assert_eq!((record.result, codes(&record)), (CallResult::Success, vec![]), "{is_captured_first}");
    }
}

/// RFC 3261 15: a BYE to an early dialog ends that one; the INVITE goes on in the others.
#[test]
fn a_bye_to_one_early_dialog_leaves_the_others() {
    for (rings_late, is_left) in [(false, false), (true, false), (false, true)] {
        let mut fork = Forking::new(true);
        if !rings_late {
            fork.answer(OWN, "y", "1 INVITE", RINGING);
        }
        let hang_up = |fork: &mut Forking, tag, branch, cseq| {
            fork.request((1, 9, branch), tag, cseq, "BYE sip:bob@192.0.2.2 SIP/2.0");
            fork.answer((1, 9, branch), tag, cseq, OK);
        };
        hang_up(&mut fork, "x", "bye1", "2 BYE");
        if rings_late {
            fork.scene.wait(10 * SECOND);
            fork.answer(OWN, "y", "1 INVITE", RINGING);
        }
        if is_left {
            hang_up(&mut fork, "y", "bye2", "3 BYE");
            fork.scene.wait(40 * SECOND);
            assert_eq!(told(&fork.one()), (CallResult::Cancelled, None, Some(EndedBy::Caller)));
            continue;
        }
        fork.scene.wait(70 * SECOND);
        fork.answer(OWN, "y", "1 INVITE", OK);
        fork.request((1, 9, "ack"), "y", "1 ACK", "ACK sip:bob@192.0.2.3 SIP/2.0");
        fork.scene.wait(30 * SECOND);
        fork.request((1, 9, "bye3"), "y", "3 BYE", "BYE sip:bob@192.0.2.3 SIP/2.0");
        let record = fork.one();
        assert_eq!(told(&record), (CallResult::Success, Some(200), Some(EndedBy::Caller)));
        assert_eq!(record.duration_seconds.map(|seconds| seconds as u64), Some(30));
    }
}

/// A proxy follows a 302 itself (RFC 3261 16.7 step 4): what the next end says is the call's.
#[test]
fn a_refusal_is_not_the_last_word_while_another_branch_rings() {
    for is_refused in [true, false] {
        let mut fork = Forking { scene: Scene::plain(), sees_caller: true };
        fork.request(OWN, "", "1 INVITE", INVITE);
        fork.request(FIRST, "", "1 INVITE", INVITE);
        fork.answer(FIRST, "x", "1 INVITE", "SIP/2.0 302 Moved Temporarily");
        fork.answer(OWN, "p", "1 INVITE", "SIP/2.0 181 Call Is Being Forwarded");
        fork.request(OTHER, "", "1 INVITE", INVITE);
        fork.rings(OTHER, "y");
        fork.scene.wait(200 * SECOND);
        if is_refused {
            fork.passes(OTHER, "y", "1 INVITE", "SIP/2.0 480 Temporarily Unavailable");
            assert_eq!(told(&fork.one()), (CallResult::Failed, Some(480), Some(EndedBy::Callee)));
        } else {
            fork.scene.wait(500 * SECOND);
            assert_eq!(told(&fork.one()), (CallResult::Timeout, None, Some(EndedBy::Network)));
        }
    }
}

/// RFC 3261 16.7, 17.1.1.2: one phone refuses, and for as long as another rings the caller hears nothing of it.
#[test]
fn who_refuses_does_not_end_the_ringing_of_others() {
    for sees_caller in [true, false] {
        for seconds in [150, 230, 590] {
            let mut fork = Forking::new(sees_caller);
            fork.request(OTHER, "", "1 INVITE", INVITE);
            fork.rings(OTHER, "y");
            fork.scene.wait(3 * SECOND);
            fork.answer(FIRST, "x", "1 INVITE", "SIP/2.0 486 Busy Here");
            fork.request(FIRST, "x", "1 ACK", "ACK sip:bob@b.example SIP/2.0");
            fork.scene.wait(seconds * SECOND);
            fork.talks(30);
            let record = fork.one();
            let what = format!("{sees_caller} {seconds}");
            let is_answered = (CallResult::Success, Some(200), Some(EndedBy::Caller));
            assert_eq!(told(&record), is_answered, "{what}");
            assert!(record.setup_seconds.is_some_and(|it| it > (seconds + 3) as f64), "{what}");
            assert_eq!(record.duration_seconds.map(|it| it as u64), Some(30), "{what}");
        }
    }
}

/// RFC 3261 17.1.1.2: who called and hears it ring has no timer.
#[test]
fn it_may_ring_for_long() {
    for seconds in [240, 590] {
        let mut fork = Forking::new(false);
        fork.scene.wait(seconds * SECOND);
        fork.answer(FIRST, "x", "1 INVITE", OK);
        fork.scene.wait(60 * SECOND);
        fork.request((9, 2, "bye"), "x", "2 BYE", "BYE sip:bob@192.0.2.2 SIP/2.0");
        let (records, heard, _) = fork.scene.end();
        assert_eq!(records.len(), 1, "{seconds}");
        assert_eq!(records[0].duration_seconds.map(|seconds| seconds as u64), Some(60), "{seconds}");
        let events: Vec<_> = heard.events.iter().map(|(event, _)| *event).collect();
        assert_eq!(events, ["start", "ringing", "answered", "end"]);
    }
}

/// What is refused after the time was over is refused: the record is not written yet.
#[test]
fn a_refusal_after_the_time_out_counts() {
    for (is_cancelled, expected) in [
        (false, (CallResult::Busy, Some(486), Some(EndedBy::Callee))),
        (true, (CallResult::Cancelled, Some(487), Some(EndedBy::Caller))),
    ] {
        let mut fork = Forking::new(true);
        if is_cancelled {
            fork.request(OWN, "", "1 CANCEL", CANCEL);
        }
        fork.scene.wait(if is_cancelled { 40 } else { 610 } * SECOND);
        assert_eq!(fork.scene.heard.events.last().unwrap().0, "end");
        let status = if is_cancelled { TERMINATED } else { "SIP/2.0 486 Busy Here" };
        fork.passes(FIRST, "x", "1 INVITE", status);
        let record = fork.one();
        assert_eq!(told(&record), expected);
        assert_eq!(codes(&record), [""; 0]);
    }
}

/// RFC 3261 13.2.2.4: the caller hangs up at once on all but one of those who answered; of the one that is kept a capture without
/// media says nothing for as long as they talk.
#[test]
fn who_answered_second_is_hung_up_on_at_once() {
    for (first, second, phones) in [("t0", "t1", 2), ("t1", "t10", 12), ("t40", "t50", 60), ("t1", "t0", 2)] {
        let mut fork = Forking { scene: Scene::plain(), sees_caller: true };
        fork.request(OWN, "", "1 INVITE", INVITE);
        for phone in 0..phones {
            fork.answer(OWN, &format!("t{phone}"), "1 INVITE", RINGING);
        }
        for (tag, ack) in [(first, "ack1"), (second, "ack2")] {
            fork.answer(OWN, tag, "1 INVITE", OK);
            fork.request((1, 9, ack), tag, "1 ACK", "ACK sip:bob@192.0.2.2 SIP/2.0");
        }
        fork.request((1, 9, "bye1"), second, "2 BYE", "BYE sip:bob@192.0.2.2 SIP/2.0");
        fork.answer((1, 9, "bye1"), second, "2 BYE", OK);
        fork.scene.wait(600 * SECOND);
        // The call goes on with the first.
        fork.request((1, 9, "info"), first, "3 INFO", "INFO sip:bob@192.0.2.2 SIP/2.0");
        if phones == 60 {
            let record = fork.one();
            assert_eq!((record.result, record.signalling.disconnect_seconds), (CallResult::Open, None));
            continue;
        }
        fork.request((1, 9, "bye2"), first, "4 BYE", "BYE sip:bob@192.0.2.2 SIP/2.0");
        fork.answer((1, 9, "bye2"), first, "4 BYE", OK);
        let record = fork.one();
        assert_eq!(
            told(&record),
            (CallResult::Success, Some(200), Some(EndedBy::Caller)),
            "{first} {second}"
        );
        assert_eq!(record.duration_seconds.map(|seconds| seconds as u64), Some(600), "{first} {second}");
        assert_eq!(record.signalling.disconnect_seconds, Some(0.1));
        assert_eq!(codes(&record), ["answered_twice"]);
    }
}
