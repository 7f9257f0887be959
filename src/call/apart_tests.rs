//! Hops of one call whose clocks are apart: alice (1) calls over a proxy (9) that tries bob's phones (2 and 3), and the phones'
//! hops, or what one side sends, were captured elsewhere (RFC 3261 16.6, 17.1.1.3: a branch and its Vias say what is whose).

use std::time::Duration;

use super::tests::{INVITE, Scene, Text, sdp, sip_port};
use super::*;
use crate::time::Timestamp;

const OWN: (u8, u8, &str) = (1, 9, "a1");
const PHONES: [(u8, u8, &str); 2] = [(9, 2, "p0"), (9, 3, "p1")];
const ACK: &str = "ACK sip:bob@b.example SIP/2.0";
const CANCEL: &str = "CANCEL sip:bob@b.example SIP/2.0";
const CREDENTIALS: &str = "Proxy-Authorization: Digest username=\"alice\", realm=\"b\"\n";

/// Milliseconds by which clocks are apart.
const APART: [i64; 9] = [0, 2, 5, 9, 50, -2, -5, -9, -50];

/// Whether another try, before the credentials, was challenged.
const CHALLENGED: [bool; 2] = [false, true];

/// A message on its way: when it was sent, in milliseconds, from where to where, and what it says.
struct Sent {
    at: i64,
    hop: (u8, u8),
    text: String,
}

/// What is sent, in any order.
#[derive(Default)]
struct Script {
    sent: Vec<Sent>,
    cseq: u8,
}

impl Script {
    fn new() -> Self {
        Self { cseq: 1, ..Self::default() }
    }

    fn say(&mut self, at: i64, (from, to): (u8, u8), text: &Text<'_>, start: &str) {
        let mut text = text.with(start);
        // A proxy's Via stands on top of the caller's.
        if (from == 9 || to == 9)
            && from != 1
            && to != 1
            && !start.starts_with("ACK")
            && !start.starts_with("CANCEL")
        {
            let beneath = format!("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{}\nFrom: ", OWN.2);
            text = text.replacen("From: ", &beneath, 1);
        }
        self.sent.push(Sent { at, hop: (from, to), text });
    }

    fn request(&mut self, at: i64, (from, to, branch): (u8, u8, &str), to_tag: &str, start: &str) {
        let (method, _) = start.split_once(' ').unwrap();
        let cseq = format!("{} {method}", self.cseq);
        let (body, extra) = if method == "INVITE" {
            (sdp(1, 4000), if self.cseq > 1 { CREDENTIALS } else { "" })
        } else {
            (String::new(), "")
        };
        self.say(
            at,
            (from, to),
            &Text { branch, to_tag, cseq: &cseq, body, extra, ..Text::default() },
            start,
        );
    }

    fn answer(&mut self, at: i64, (from, to, branch): (u8, u8, &str), to_tag: &str, status: &str) {
        self.answer_to("INVITE", at, (from, to, branch), to_tag, status);
    }

    fn answer_to(
        &mut self,
        method: &str,
        at: i64,
        (from, to, branch): (u8, u8, &str),
        to_tag: &str,
        status: &str,
    ) {
        let cseq = format!("{} {method}", self.cseq);
        let text = Text { branch, to_tag, cseq: &cseq, ..Text::default() };
        self.say(at, (to, from), &text, &format!("SIP/2.0 {status}"));
    }

    /// The INVITE passes the proxy, and both phones ring.
    fn rings(&mut self, challenged: bool) {
        if challenged {
            self.request(-30, (1, 9, "a0"), "", INVITE);
            self.answer(-27, (1, 9, "a0"), "p", "407 Proxy Authentication Required");
            self.request(-24, (1, 9, "a0"), "p", ACK);
            self.cseq = 2;
        }
        self.request(0, OWN, "", INVITE);
        self.answer(1, OWN, "", "100 Trying");
        for (phone, tag) in PHONES.into_iter().zip(["x", "y"]) {
            self.request(2, phone, "", INVITE);
            self.answer(4, phone, "", "100 Trying");
            self.answer(200, phone, tag, "180 Ringing");
            self.answer(202, OWN, tag, "180 Ringing");
        }
    }

    /// A phone refuses.
    fn refuses(&mut self, at: i64, phone: (u8, u8, &str), tag: &str, status: &str) {
        self.answer(at, phone, tag, status);
        self.request(at + 1, phone, tag, ACK);
    }

    /// The caller is told, and acknowledges it.
    fn is_told(&mut self, at: i64, tag: &str, status: &str) {
        self.answer(at, OWN, tag, status);
        self.request(at + 2, OWN, tag, ACK);
    }

    fn cancels(&mut self, at: i64, hop: (u8, u8, &str), tag: &str) {
        self.request(at, hop, "", CANCEL);
        self.answer_to("CANCEL", at + 1, hop, tag, "200 OK");
    }

    /// The record and the census, with the stamps of some hops off by so many milliseconds.
    fn told(&self, by: i64, is_off: impl Fn((u8, u8)) -> bool) -> (CallRecord, Census) {
        let at = |sent: &Sent| sent.at + if is_off(sent.hop) { by } else { 0 };
        let mut order: Vec<&Sent> = self.sent.iter().collect();
        order.sort_by_key(|sent| at(sent));
        let mut scene = Scene::plain();
        let begin = scene.now.after(Duration::from_secs(1));
        for sent in order {
            let stamp = begin.apart_by(at(sent));
            scene.wait(stamp.since(scene.now).as_millis() as u64);
            scene.say_between(sip_port(sent.hop.0), sip_port(sent.hop.1), &sent.text);
        }
        let (mut records, _, census) = scene.end();
        assert_eq!(records.len(), 1, "{records:?}");
        (records.remove(0), census)
    }
}

trait Apart {
    fn apart_by(self, milliseconds: i64) -> Self;
}

impl Apart for Timestamp {
    fn apart_by(self, milliseconds: i64) -> Self {
        let by = Duration::from_millis(milliseconds.unsigned_abs());
        if milliseconds < 0 { self.before(by) } else { self.after(by) }
    }
}

type Told = (CallResult, Option<u16>, Option<EndedBy>);

const BUSY: Told = (CallResult::Busy, Some(603), Some(EndedBy::Callee));
const MOVED: Told = (CallResult::Redirected, Some(302), Some(EndedBy::Callee));
const GIVEN_UP: Told = (CallResult::Cancelled, Some(487), Some(EndedBy::Caller));
const FAILED: Told = (CallResult::Failed, Some(480), Some(EndedBy::Callee));
const TERMINATED: Told = (CallResult::Failed, Some(487), Some(EndedBy::Network));

/// What became of a call, as who called sees it, and as a script of all its hops.
fn calls(challenged: bool) -> Vec<(Told, Script)> {
    let ringing = || {
        let mut script = Script::new();
        script.rings(challenged);
        script
    };
    let [first, second] = PHONES;
    let mut calls = Vec::new();
    for (told, one, other) in [
        (BUSY, "408 Request Timeout", "603 Decline"),
        (MOVED, "503 Service Unavailable", "302 Moved Temporarily"),
    ] {
        let mut script = ringing();
        script.refuses(3_000, first, "x", one);
        script.refuses(6_000, second, "y", other);
        script.is_told(6_002, "y", other);
        calls.push((told, script));
    }
    let mut script = ringing();
    script.refuses(3_000, first, "x", "480 Temporarily Unavailable");
    script.cancels(5_000, OWN, "p");
    script.cancels(5_002, second, "y");
    script.refuses(5_004, second, "y", "487 Request Terminated");
    script.is_told(5_006, "y", "487 Request Terminated");
    calls.push((GIVEN_UP, script));
    for (told, status) in [(FAILED, "480 Temporarily Unavailable"), (TERMINATED, "487 Request Terminated")] {
        let mut script = ringing();
        for (phone, tag) in [(first, "x"), (second, "y")] {
            script.cancels(20_000, phone, tag);
            script.refuses(20_002, phone, tag, "487 Request Terminated");
        }
        script.is_told(20_004, "y", status);
        calls.push((told, script));
    }
    // They refuse before the clock of the caller's hop has got to the INVITE.
    let mut script = Script::new();
    script.rings(challenged);
    script.sent.retain(|sent| sent.at < 200);
    script.answer(5, first, "x", "180 Ringing");
    script.answer(6, OWN, "x", "180 Ringing");
    script.refuses(7, first, "x", "486 Busy Here");
    script.refuses(8, second, "y", "480 Temporarily Unavailable");
    script.is_told(10, "y", "480 Temporarily Unavailable");
    calls.push((FAILED, script));
    calls
}

fn told(record: &CallRecord) -> Told {
    (record.result, record.status_code, record.ended_by)
}

/// What differs with the clocks by its nature: the legs, each with the times of its hop.
fn but_for_legs(record: &CallRecord) -> serde_json::Value {
    let mut value = serde_json::to_value(record).unwrap();
    for key in ["legs", "messages"] {
        value.as_object_mut().unwrap().remove(key);
    }
    value
}

#[test]
fn hops_whose_clocks_are_apart_are_one_call() {
    for challenged in CHALLENGED {
        for (place, (expected, script)) in calls(challenged).iter().enumerate() {
            let (first, _) = script.told(0, |_| false);
            for by in APART {
                let what = format!("{challenged} {place} {by}");
                let (record, census) = script.told(by, |(from, to)| from != 1 && to != 1);
                assert_eq!(told(&record), *expected, "{what}");
                assert_eq!((record.source, record.destination), (sip_port(1), sip_port(9)), "{what}");
                assert_eq!(but_for_legs(&record), but_for_legs(&first), "{what}");
                assert_eq!((census.answered, census.performance.asr()), (0, Some(0.0)), "{what}");
            }
        }
    }
}

/// What one side sends is captured by a card of its own: of each hop, answers come in front of requests, or ACKs in front of both.
#[test]
fn directions_whose_clocks_are_apart_are_one_call() {
    for challenged in CHALLENGED {
        for (place, (expected, script)) in calls(challenged).iter().enumerate() {
            for by in APART {
                for sender in [1, 2, 9] {
                    let what = format!("{challenged} {place} {sender} {by}");
                    let (record, census) = script.told(by, |(from, _)| from == sender);
                    assert_eq!(told(&record), *expected, "{what}");
                    assert_eq!((record.answered, census.answered), (None, 0), "{what}");
                }
            }
        }
    }
}

/// What the next hop's sender acknowledges is its own: of a 2xx, the caller's ACK would tell (RFC 3261 13.2.2.4).
#[test]
fn an_ack_of_the_next_hop_is_none_of_a_2xx() {
    let mut script = Script::new();
    script.rings(true);
    script.sent.retain(|sent| sent.hop.0 == 1 || sent.hop.1 == 1);
    script.request(3_000, PHONES[0], "x", ACK);
    let (record, census) = script.told(0, |_| false);
    assert_eq!((record.answered, census.answered), (None, 0));
}

/// Where the first INVITE of the caller's hop was not captured, the one that is sent again after T1 (RFC 3261 17.1.1.2) tells whose the call
/// is, and not when it began.
#[test]
fn the_callers_invite_may_only_be_captured_when_it_is_sent_again() {
    for (at, since) in [(300, 0.400), (600, 0.700)] {
        let mut script = Script::new();
        script.request(0, PHONES[0], "", INVITE);
        script.request(at, OWN, "", INVITE);
        script.answer(700, OWN, "x", "180 Ringing");
        script.is_told(3_000, "x", "480 Temporarily Unavailable");
        let (record, _) = script.told(0, |_| false);
        assert_eq!((told(&record), record.source), (FAILED, sip_port(1)), "{at}");
        assert_eq!(record.post_dial_delay_seconds, Some(since), "{at}");
    }
}

/// RFC 3261 13.2.2.4: who acknowledges a 2xx need not be whom the INVITE came from, but it goes the same way (another node of a cluster),
/// or has passed a proxy; the ACK of a refusal has no Via but its sender's (17.1.1.3).
#[test]
fn an_ack_of_a_2xx_may_come_from_somebody_else() {
    let beneath = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKk\nFrom: ";
    for (hop, has_passed) in [((8, 9), false), ((9, 2), true)] {
        let mut script = Script::new();
        script.rings(false);
        script.sent.retain(|sent| sent.hop.1 != 1);
        script.request(3_000, (hop.0, hop.1, "ack"), "x", ACK);
        if has_passed {
            let text = &mut script.sent.last_mut().unwrap().text;
            *text = text.replacen("From: ", beneath, 1);
        }
        let (record, census) = script.told(0, |_| false);
        assert_eq!((record.answered.is_some(), census.answered), (true, 1), "{hop:?}");
    }
}

/// The phone's hop is stamped ahead by more than the call takes: it is over before who called has made it.
#[test]
fn a_call_that_is_over_on_the_next_hop_before_it_begins_is_one() {
    for challenged in CHALLENGED {
        for by in [0, -3_000] {
            let mut script = Script::new();
            script.rings(challenged);
            script.sent.retain(|sent| sent.hop.0 != 3 && sent.hop.1 != 3);
            for (at, hop) in [(1_000, PHONES[0]), (1_002, OWN)] {
                script.answer(at, hop, "x", "200 OK");
            }
            for (at, (from, to, _), branch) in [(1_010, OWN, "k1"), (1_012, PHONES[0], "k2")] {
                script.request(at, (from, to, branch), "x", ACK);
            }
            script.cseq += 1;
            for (at, (from, to, _), branch) in [(2_000, OWN, "b1"), (2_002, PHONES[0], "b2")] {
                script.request(at, (from, to, branch), "x", "BYE sip:bob@b.example SIP/2.0");
                script.answer_to("BYE", at + 9, (from, to, branch), "x", "200 OK");
            }
            let (record, census) = script.told(by, |(from, to)| from != 1 && to != 1);
            assert_eq!(
                (record.result, record.source),
                (CallResult::Success, sip_port(1)),
                "{challenged} {by}"
            );
            assert_eq!(census.answered, 1, "{challenged} {by}");
        }
    }
}
