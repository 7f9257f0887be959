//! A B2BUA, or a proxy with credentials of its own, between the two ends of one Call-ID: its leg has other tags or other CSeq
//! numbers than the caller's.

use super::tests::{INVITE, SECOND, Scene, Text, sdp};
use super::*;
use crate::time::Timestamp;

const ALICE: u8 = 1;
const BETWEEN: u8 = 9;
const BOB: u8 = 2;

/// One leg of the call: its ends, the tags that they have in it, and the CSeq number of its first INVITE.
#[derive(Clone, Copy, Debug)]
struct Way {
    ends: [u8; 2],
    tags: [&'static str; 2],
    first: u32,
}

const OUTER: Way = Way { ends: [ALICE, BETWEEN], tags: ["alice", "bob"], first: 1 };

impl Way {
    fn text<'a>(self, by: Side, cseq: &'a str, branch: &'a str) -> Text<'a> {
        let [caller, callee] = self.tags;
        let (from_tag, to_tag) = if by == Side::Caller { (caller, callee) } else { (callee, caller) };
        Text { from_tag, to_tag, cseq, branch, ..Text::default() }
    }

    fn say(
        self,
        scene: &mut Scene,
        by: Side,
        (number, method): (u32, &str),
        start: &str,
        more: (&str, String),
    ) {
        let (extra, body) = more;
        let number = if by == Side::Caller { number - 1 + self.first } else { number };
        let is_first = by == Side::Caller && number == self.first && method != "ACK";
        let is_request = !start.starts_with("SIP/2.0");
        let (cseq, branch) = (format!("{number} {method}"), format!("{number}{method}{:?}{by:?}", self.ends));
        let mut text = Text { extra, body, ..self.text(by, &cseq, &branch) };
        if is_first && (is_request || start.contains("100 ")) {
            text.to_tag = "";
        }
        let [caller, callee] = self.ends;
        let is_onward = is_request == (by == Side::Caller);
        let (from, to) = if is_onward { (caller, callee) } else { (callee, caller) };
        scene.send(from, to, &text.with(start));
    }

    fn request(self, scene: &mut Scene, by: Side, cseq: (u32, &str), more: (&str, String)) {
        self.say(scene, by, cseq, &format!("{} sip:peer@192.0.2.9 SIP/2.0", cseq.1), more);
    }

    fn answer(self, scene: &mut Scene, by: Side, cseq: (u32, &str), status: &str, body: String) {
        self.say(scene, by, cseq, &format!("SIP/2.0 {status}"), ("", body));
    }

    /// Host of the leg whose media the caller, or the callee, has.
    fn audio(self, by: Side, direction: &str) -> String {
        let [caller, callee] = self.ends;
        format!("{}a={direction}\n", sdp(if by == Side::Caller { caller } else { callee }, 4000))
    }
}

/// The legs in the order in which a request of that end passes them.
fn in_order(inner: Way, by: Side) -> [Way; 2] {
    if by == Side::Caller { [OUTER, inner] } else { [inner, OUTER] }
}

/// A transaction inside the call, over both legs: the next leg answers before this one.
fn passes(scene: &mut Scene, inner: Way, by: Side, cseq: (u32, &str), more: &str, audio: [&str; 2]) {
    let order = in_order(inner, by);
    let body = |way: Way, by: Side, direction: &str| {
        if direction.is_empty() { String::new() } else { way.audio(by, direction) }
    };
    let [offer, answer] = audio;
    for way in order {
        let (extra, said) = match more.split_once('|') {
            Some((extra, said)) => (extra, said.to_owned()),
            None => (more, body(way, by, offer)),
        };
        way.request(scene, by, cseq, (extra, said));
    }
    for way in order.into_iter().rev() {
        way.answer(scene, by, cseq, "200 OK", body(way, by.other(), answer));
    }
    if cseq.1 == "INVITE" {
        order.into_iter().for_each(|way| way.request(scene, by, (cseq.0, "ACK"), ("", String::new())));
    }
}

/// Sets a call up; when the caller heard that it rings, and that it is answered.
fn set_up(scene: &mut Scene, inner: &mut Way, is_challenged: bool) -> [Timestamp; 2] {
    let caller = Side::Caller;
    let invite = |scene: &mut Scene, way: Way| {
        way.say(scene, caller, (1, "INVITE"), INVITE, ("", way.audio(caller, "sendrecv")));
    };
    invite(scene, OUTER);
    OUTER.answer(scene, caller, (1, "INVITE"), "100 Trying", String::new());
    invite(scene, *inner);
    if is_challenged {
        let asked = Way { tags: [inner.tags[0], "challenge"], ..*inner };
        asked.answer(scene, caller, (1, "INVITE"), "407 Proxy Authentication Required", String::new());
        asked.request(scene, caller, (1, "ACK"), ("", String::new()));
        inner.first += 1;
        invite(scene, *inner);
    }
    let [mut rang, mut answered] = [Timestamp::default(); 2];
    for (status, at) in [("180 Ringing", &mut rang), ("200 OK", &mut answered)] {
        scene.wait(SECOND);
        for way in [*inner, OUTER] {
            *at = scene.now;
            let body = if status == "200 OK" { way.audio(Side::Callee, "sendrecv") } else { String::new() };
            way.answer(scene, caller, (1, "INVITE"), status, body);
        }
    }
    for way in [OUTER, *inner] {
        way.request(scene, caller, (1, "ACK"), ("", String::new()));
    }
    [rang, answered]
}

const OWN: [&str; 2] = ["alice-2", "bob-2"];

/// Tags of the inner leg, CSeq number of its INVITE, and whether that is challenged there.
const KINDS: [([&str; 2], u32, bool); 6] = [
    (OWN, 1, false),
    (OWN, 102, false),
    (OWN, 1, true),
    (OWN, 102, true),
    (OUTER.tags, 1, false),
    (OUTER.tags, 1, true),
];

/// RFC 3261 14.1: an end has one INVITE under way in a dialog, so that another one is the same over another leg.
#[test]
fn what_passes_both_legs_counts_once_and_is_its_sender_s() {
    for (tags, first, is_challenged) in KINDS {
        for by in [Side::Caller, Side::Callee] {
            let mut inner = Way { ends: [BETWEEN, BOB], tags, first };
            let mut scene = Scene::plain();
            let [rang, answered] = set_up(&mut scene, &mut inner, is_challenged);
            scene.wait(5 * SECOND);
            passes(&mut scene, inner, by, (2, "INVITE"), "", ["sendonly", "recvonly"]);
            scene.wait(10 * SECOND);
            passes(&mut scene, inner, by, (3, "INVITE"), "", ["sendrecv", "sendrecv"]);
            let key = "Content-Type: application/dtmf\n|5";
            passes(&mut scene, inner, by, (4, "INFO"), key, ["", ""]);
            passes(&mut scene, inner, by, (5, "INFO"), key, ["", ""]);
            scene.wait(10 * SECOND);
            passes(&mut scene, inner, by, (6, "BYE"), "", ["", ""]);
            let (records, ..) = scene.end();
            let [record] = records.as_slice() else { panic!("{records:#?}") };
            let is = format!("{tags:?} {first} {is_challenged} {by:?}");
            let ended_by = if by == Side::Caller { EndedBy::Caller } else { EndedBy::Callee };
            assert_eq!((record.result, record.ended_by), (CallResult::Success, Some(ended_by)), "{is}");
            assert_eq!((record.ringing, record.answered), (Some(rang), Some(answered)), "{is}");
            assert_eq!((record.reinvites, record.forks), (2, 1), "{is}");
            let [hold] = record.signalling.holds.as_slice() else { panic!("{is} {record:#?}") };
            assert_eq!((hold.by, hold.count), (by, 1), "{is}");
            assert!((10.0..12.0).contains(&hold.seconds), "{is} {hold:?}");
            let keys = &record.signalling.info_dtmf[..];
            assert!(matches!(keys, [pressed] if (pressed.by, pressed.digits) == (by, 2)), "{is} {keys:?}");
            let found: Vec<_> =
                record.findings.iter().map(|it| it.code).filter(|it| *it != "no_rtp").collect();
            assert_eq!(found, [""; 0], "{is}");
        }
    }
}

/// RFC 3261 13.2.2.4: two have answered when the caller gets two answers. A B2BUA has a To-tag of its own for its one, and may keep the
/// caller's.
#[test]
fn who_answers_a_b2bua_is_no_second() {
    for by in [Side::Caller, Side::Callee] {
        let mut inner = Way { ends: [BETWEEN, BOB], tags: ["alice", "bob-2"], first: 1 };
        let mut scene = Scene::plain();
        set_up(&mut scene, &mut inner, false);
        scene.wait(10 * SECOND);
        passes(&mut scene, inner, by, (2, "BYE"), "", ["", ""]);
        let (records, ..) = scene.end();
        let [record] = records.as_slice() else { panic!("{records:#?}") };
        let ended_by = if by == Side::Caller { EndedBy::Caller } else { EndedBy::Callee };
        assert_eq!((record.result, record.ended_by), (CallResult::Success, Some(ended_by)));
        let mut found = record.findings.iter().map(|it| it.code);
        assert!(found.all(|it| it == "no_rtp"), "{:?}", record.findings);
    }
}

/// A re-INVITE over one leg only, with its answer and ACK.
fn changes(scene: &mut Scene, way: Way, by: Side, number: u32, [offer, answer]: [&str; 2]) {
    way.request(scene, by, (number, "INVITE"), ("", way.audio(by, offer)));
    way.answer(scene, by, (number, "INVITE"), "200 OK", way.audio(by.other(), answer));
    way.request(scene, by, (number, "ACK"), ("", String::new()));
}

/// A B2BUA plays music to the end that is held, or refreshes its session: these are dialogs of its own (RFC 7092), and who holds on
/// the other leg holds on.
#[test]
fn what_a_b2bua_changes_on_one_leg_says_nothing_of_the_other() {
    for by in [Side::Caller, Side::Callee] {
        for (requester, passes_both) in [(by, true), (by, false), (by.other(), true), (by.other(), false)] {
            let mut scene = Scene::plain();
            let mut inner = Way { ends: [BETWEEN, BOB], tags: OWN, first: 102 };
            set_up(&mut scene, &mut inner, false);
            let [leg, other] = in_order(inner, by);
            changes(&mut scene, leg, by, 2, ["sendonly", "recvonly"]);
            scene.wait(15 * SECOND);
            changes(&mut scene, other, requester, 3, ["sendrecv", "sendrecv"]);
            scene.wait(15 * SECOND);
            if passes_both {
                passes(&mut scene, inner, by, (4, "INVITE"), "", ["sendrecv", "sendrecv"]);
            } else {
                changes(&mut scene, leg, by, 4, ["sendrecv", "sendrecv"]);
            }
            scene.wait(10 * SECOND);
            passes(&mut scene, inner, by, (5, "BYE"), "", ["", ""]);
            let (records, ..) = scene.end();
            let is = format!("{by:?} {requester:?} {passes_both}");
            let [record] = records.as_slice() else { panic!("{is} {records:#?}") };
            let [hold] = record.signalling.holds.as_slice() else { panic!("{is} {record:#?}") };
            assert_eq!((hold.by, hold.count), (by, 1), "{is}");
            assert!((30.0..31.5).contains(&hold.seconds), "{is} {hold:?}");
        }
    }
}

/// RFC 3261 14.1 is about one end: when the other asks too, that is a change of its own.
#[test]
fn changes_of_both_ends_at_once_are_two() {
    let mut scene = Scene::plain();
    let mut inner = Way { ends: [BETWEEN, BOB], tags: OWN, first: 102 };
    set_up(&mut scene, &mut inner, false);
    let none = || ("", String::new());
    OUTER.request(&mut scene, Side::Caller, (2, "INVITE"), none());
    inner.request(&mut scene, Side::Callee, (1, "INVITE"), none());
    inner.request(&mut scene, Side::Caller, (2, "INVITE"), none());
    OUTER.request(&mut scene, Side::Callee, (1, "INVITE"), none());
    let (records, ..) = scene.end();
    assert_eq!(records[0].reinvites, 2);
}

/// The B2BUA's other leg is refused and nobody answers the caller: that is no refusal that he heard.
#[test]
fn a_challenge_that_was_met_on_the_way_is_no_outcome() {
    let mut scene = Scene::plain();
    let mut inner = Way { ends: [BETWEEN, BOB], tags: OWN, first: 1 };
    let caller = Side::Caller;
    for way in [OUTER, inner] {
        way.say(&mut scene, caller, (1, "INVITE"), INVITE, ("", String::new()));
    }
    let asked = Way { tags: [OWN[0], "challenge"], ..inner };
    asked.answer(&mut scene, caller, (1, "INVITE"), "407 Proxy Authentication Required", String::new());
    inner.first += 1;
    inner.say(&mut scene, caller, (1, "INVITE"), INVITE, ("", String::new()));
    scene.wait(400 * SECOND);
    let (records, ..) = scene.end();
    assert_eq!((records[0].result, records[0].status_code), (CallResult::Timeout, None));
}
