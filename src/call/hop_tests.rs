//! Whose answer an answer is: the caller's own hop, that of a proxy on the caller's host, or one of which only one direction was
//! captured (RFC 3261 17.1.1.3, 17.1.3, 17.2.3).

use super::tests::{INVITE, SECOND, Scene, Text, host, sdp, sip_port};
use super::*;
use crate::flow::Endpoint;
use crate::time::Timestamp;

/// A caller on port 5080, a proxy on 5060 of the host beside or of the same, and two carriers.
struct Hops {
    scene: Scene,
    caller: Endpoint,
    proxy: Endpoint,
}

const CARRIERS: [u8; 2] = [8, 9];

impl Hops {
    fn new(caller: u8) -> Self {
        Self { scene: Scene::plain(), caller: Endpoint::new(host(caller), 5080), proxy: sip_port(1) }
    }

    /// A message of the caller's hop, in either direction.
    fn own(&mut self, is_back: bool, text: &str) -> Timestamp {
        let ends = if is_back { (self.proxy, self.caller) } else { (self.caller, self.proxy) };
        self.say(ends, text)
    }

    /// One between the proxy and a carrier.
    fn next(&mut self, carrier: u8, is_back: bool, text: &str) -> Timestamp {
        let carrier = sip_port(carrier);
        let ends = if is_back { (carrier, self.proxy) } else { (self.proxy, carrier) };
        self.say(ends, text)
    }

    fn say(&mut self, (from, to): (Endpoint, Endpoint), text: &str) -> Timestamp {
        let at = self.scene.now;
        self.scene.say_between(from, to, text);
        self.scene.wait(100);
        at
    }
}

fn text<'a>(branch: &'a str, to_tag: &'a str) -> Text<'a> {
    Text { branch, to_tag, ..Text::default() }
}

fn ack(branch: &str) -> String {
    Text { cseq: "1 ACK", ..text(branch, "bob") }.with("ACK sip:bob@b.example SIP/2.0")
}

fn one(scene: Scene) -> (CallRecord, Census) {
    let (mut records, _, census) = scene.end();
    assert_eq!(records.len(), 1, "{records:?}");
    (records.remove(0), census)
}

/// One carrier is silent and the next refuses: the call is over for the caller with what the proxy says, whether both are on one
/// host or not.
#[test]
fn a_proxy_on_the_callers_host_is_another_hop() {
    for (caller, seconds) in [(1, 0), (1, 300), (7, 0), (7, 300)] {
        for is_heard in [true, false] {
            let mut hops = Hops::new(caller);
            let invite = |branch| Text { body: sdp(1, 4000), ..text(branch, "") }.with(INVITE);
            let start = hops.own(false, &invite("a1"));
            hops.own(true, &text("a1", "").with("SIP/2.0 100 Trying"));
            hops.next(CARRIERS[0], false, &invite("b1"));
            hops.scene.wait(5 * SECOND);
            hops.next(CARRIERS[1], false, &invite("b2"));
            if is_heard {
                hops.next(CARRIERS[1], true, &text("b2", "bob").with("SIP/2.0 404 Not Found"));
                hops.next(CARRIERS[1], false, &ack("b2"));
            }
            let end = hops.own(true, &text("a1", "bob").with("SIP/2.0 404 Not Found"));
            assert_eq!(hops.scene.heard.events.last().unwrap().0, "end");
            hops.own(false, &ack("a1"));
            hops.scene.wait(seconds * SECOND);
            let (record, census) = one(hops.scene);
            let told = (record.result, record.status_code, record.ended_by, record.end);
            assert_eq!(told, (CallResult::Failed, Some(404), Some(EndedBy::Callee), Some(end)), "{caller}");
            assert_eq!(census.performance.attempts, 1);
            let delay = census.performance.failed_request_delay.mean_seconds();
            assert_eq!(delay, Some(end.since(start).as_secs_f64()));
        }
    }
}

const CREDENTIALS: &str = "Proxy-Authorization: Digest username=\"alice\", realm=\"b\"\n";

/// A proxy answers the carrier's challenge itself, with the next CSeq number: what the next carriers say is not the last word either.
#[test]
fn a_proxy_with_credentials_of_its_own() {
    for (caller, extra) in [(1, ""), (1, CREDENTIALS), (7, ""), (7, CREDENTIALS)] {
        let mut hops = Hops::new(caller);
        hops.own(false, &text("a1", "").with(INVITE));
        hops.next(CARRIERS[0], false, &text("b1", "").with(INVITE));
        hops.next(CARRIERS[0], true, &text("b1", "x").with("SIP/2.0 407 Proxy Authentication Required"));
        for (carrier, branch) in CARRIERS.into_iter().zip(["b2", "b3"]) {
            let again = Text { cseq: "2 INVITE", extra, ..text(branch, "") };
            hops.next(carrier, false, &again.with(INVITE));
            hops.next(carrier, true, &Text { to_tag: "x", ..again }.with("SIP/2.0 503 Service Unavailable"));
        }
        let end = hops.own(true, &text("a1", "bob").with("SIP/2.0 480 Temporarily Unavailable"));
        let (record, _) = one(hops.scene);
        assert_eq!((record.status_code, record.end), (Some(480), Some(end)));
    }
}

/// RFC 3261 22.2, 18.1.1: after a challenge the caller tries again with the next CSeq number, over a connection that may have
/// another port, or behind a NAT another address. It is the caller's hop that this goes over, on a host with the proxy too.
#[test]
fn a_caller_that_tries_again_from_elsewhere() {
    let elsewhere = [(1, Endpoint::new(host(1), 5081)), (7, Endpoint::new(host(77), 5080))];
    for ((first, caller), is_cancelled) in elsewhere.into_iter().flat_map(|it| [(it, false), (it, true)]) {
        let mut hops = Hops::new(first);
        hops.own(false, &text("a1", "").with(INVITE));
        hops.own(true, &text("a1", "p").with("SIP/2.0 407 Proxy Authentication Required"));
        hops.own(false, &ack("a1"));
        hops.caller = caller;
        let again = |branch, to_tag| Text { cseq: "2 INVITE", ..text(branch, to_tag) };
        hops.own(false, &Text { extra: CREDENTIALS, ..again("a2", "") }.with(INVITE));
        hops.next(CARRIERS[0], false, &again("b2", "").with(INVITE));
        hops.next(CARRIERS[0], true, &again("b2", "bob").with("SIP/2.0 180 Ringing"));
        let ringing = hops.own(true, &again("a2", "bob").with("SIP/2.0 180 Ringing"));
        hops.scene.wait(3 * SECOND);
        let cancel = |branch| Text { cseq: "2 CANCEL", ..text(branch, "") };
        if is_cancelled {
            hops.own(false, &cancel("a2").with("CANCEL sip:bob@b.example SIP/2.0"));
            hops.own(true, &cancel("a2").with("SIP/2.0 200 OK"));
            hops.next(CARRIERS[0], false, &cancel("b2").with("CANCEL sip:bob@b.example SIP/2.0"));
            hops.next(CARRIERS[0], true, &cancel("b2").with("SIP/2.0 200 OK"));
        }
        let status = if is_cancelled { "SIP/2.0 487 Request Terminated" } else { "SIP/2.0 486 Busy Here" };
        hops.next(CARRIERS[0], true, &again("b2", "bob").with(status));
        let end = hops.own(true, &again("a2", "bob").with(status));
        assert_eq!(hops.scene.heard.events.last().unwrap().0, "end", "{caller} {is_cancelled}");
        let (record, _) = one(hops.scene);
        let told = (record.result, record.status_code, record.ended_by);
        let expected = if is_cancelled {
            (CallResult::Cancelled, Some(487), Some(EndedBy::Caller))
        } else {
            (CallResult::Busy, Some(486), Some(EndedBy::Callee))
        };
        assert_eq!(told, expected, "{caller}");
        assert_eq!((record.ringing, record.end), (Some(ringing), Some(end)), "{caller} {is_cancelled}");
        assert_eq!(record.source, Endpoint::new(host(first), 5080), "of the first INVITE");
    }
}

/// The same, answered: the caller's next INVITE has the number that the proxy had for the first, and is another one.
#[test]
fn a_number_that_the_proxy_had_before_the_caller() {
    let mut hops = Hops::new(7);
    hops.own(false, &text("a1", "").with(INVITE));
    hops.next(CARRIERS[0], false, &text("b1", "").with(INVITE));
    hops.next(CARRIERS[0], true, &text("b1", "x").with("SIP/2.0 407 Proxy Authentication Required"));
    let again = Text { cseq: "2 INVITE", ..text("b2", "") };
    hops.next(CARRIERS[0], false, &again.with(INVITE));
    hops.next(CARRIERS[0], true, &Text { to_tag: "bob", ..again }.with("SIP/2.0 200 OK"));
    let answered = hops.own(true, &text("a1", "bob").with("SIP/2.0 200 OK"));
    hops.own(false, &Text { cseq: "1 ACK", ..text("a2", "bob") }.with("ACK sip:bob@b.example SIP/2.0"));
    hops.scene.wait(10 * SECOND);
    let change = Text { cseq: "2 INVITE", ..text("a3", "bob") };
    hops.own(false, &change.with(INVITE));
    hops.own(true, &change.with("SIP/2.0 200 OK"));
    assert_eq!(one(hops.scene).0.answered, Some(answered));
}

/// What a registrar says to a proxy is not yet what the phone hears.
#[test]
fn a_registration_through_a_proxy_on_the_same_host() {
    let mut hops =
        Hops { scene: Scene::new(Settings { registrations: true, ..Settings::default() }), ..Hops::new(1) };
    let register = |branch| Text { cseq: "1 REGISTER", ..text(branch, "r") };
    let request = |branch| Text { to_tag: "", ..register(branch) }.with("REGISTER sip:b.example SIP/2.0");
    hops.own(false, &request("a1"));
    hops.next(CARRIERS[0], false, &request("b1"));
    hops.next(CARRIERS[0], true, &register("b1").with("SIP/2.0 500 Server Internal Error"));
    let end = hops.own(true, &register("a1").with("SIP/2.0 503 Service Unavailable"));
    let (record, _) = one(hops.scene);
    assert_eq!((record.status_code, record.end), (Some(503), Some(end)));
}

/// Answers that go to another address than the request came from, as Via has it: that of a pair of hosts.
#[test]
fn an_answer_to_the_address_of_the_via() {
    let mut hops = Hops::new(1);
    hops.own(false, &text("a1", "").with(INVITE));
    let virtual_address = sip_port(5);
    hops.say((hops.proxy, virtual_address), &text("a1", "bob").with("SIP/2.0 180 Ringing"));
    hops.scene.wait(8 * SECOND);
    let end = hops.say((hops.proxy, virtual_address), &text("a1", "bob").with("SIP/2.0 486 Busy Here"));
    let (record, _) = one(hops.scene);
    assert_eq!((record.result, record.end), (CallResult::Busy, Some(end)));
}

/// What goes back to the caller is not captured: its ACK on the INVITE's branch says that it was refused, and the next hop how.
#[test]
fn the_ack_of_a_refusal_that_was_not_captured_ends_the_call() {
    for is_acknowledged in [true, false] {
        let mut hops = Hops::new(7);
        hops.own(false, &text("a1", "").with(INVITE));
        hops.next(CARRIERS[0], false, &text("b1", "").with(INVITE));
        hops.next(CARRIERS[0], true, &text("b1", "bob").with("SIP/2.0 180 Ringing"));
        hops.scene.wait(8 * SECOND);
        let mut end = hops.next(CARRIERS[0], true, &text("b1", "bob").with("SIP/2.0 486 Busy Here"));
        hops.next(CARRIERS[0], false, &ack("b1"));
        if is_acknowledged {
            end = hops.own(false, &ack("a1"));
            assert_eq!(hops.scene.heard.events.last().unwrap().0, "end");
        }
        hops.scene.wait(300 * SECOND);
        let (record, _) = one(hops.scene);
        let told = (record.result, record.status_code, record.ended_by, record.end);
        assert_eq!(told, (CallResult::Busy, Some(486), Some(EndedBy::Callee), Some(end)));
    }
}

/// Nothing but what the caller sends is captured: that it was refused, its ACK says; how, nothing.
#[test]
fn a_caller_alone_is_refused() {
    for is_cancelled in [false, true] {
        let mut hops = Hops::new(7);
        hops.own(false, &text("a1", "").with(INVITE));
        hops.scene.wait(6 * SECOND);
        if is_cancelled {
            let cancel = Text { cseq: "1 CANCEL", ..text("a1", "") };
            hops.own(false, &cancel.with("CANCEL sip:bob@b.example SIP/2.0"));
        }
        let end = hops.own(false, &ack("a1"));
        hops.scene.wait(100 * SECOND);
        let (record, census) = one(hops.scene);
        let (result, by) = if is_cancelled {
            (CallResult::Cancelled, EndedBy::Caller)
        } else {
            (CallResult::Failed, EndedBy::Callee)
        };
        assert_eq!((record.result, record.ended_by, record.end), (result, Some(by), Some(end)));
        assert_eq!((record.status_code, record.findings.as_slice()), (None, [].as_slice()));
        assert_eq!(census.performance.isa(), Some(0.0));
    }
    // It was a challenge: the next try is the same call.
    let mut hops = Hops::new(7);
    hops.own(false, &text("a1", "").with(INVITE));
    hops.own(false, &ack("a1"));
    hops.own(false, &Text { cseq: "2 INVITE", ..text("a2", "") }.with(INVITE));
    hops.scene.wait(5 * SECOND);
    hops.own(false, &Text { cseq: "2 ACK", ..text("a3", "bob") }.with("ACK sip:bob@b.example SIP/2.0"));
    hops.scene.wait(60 * SECOND);
    hops.own(false, &Text { cseq: "3 BYE", ..text("a4", "bob") }.with("BYE sip:bob@b.example SIP/2.0"));
    assert_eq!(one(hops.scene).0.result, CallResult::Success);
    // The ACK has overtaken its refusal: captures of several cards have such an order.
    let mut hops = Hops::new(7);
    hops.own(false, &text("a1", "").with(INVITE));
    hops.own(false, &ack("a1"));
    let end = hops.own(true, &text("a1", "bob").with("SIP/2.0 486 Busy Here"));
    let (record, _) = one(hops.scene);
    assert_eq!((record.result, record.status_code, record.end), (CallResult::Busy, Some(486), Some(end)));
}
