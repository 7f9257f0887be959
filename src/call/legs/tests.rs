//! Legs as B2BUAs and proxies make them, and what is none.

use proptest::prelude::*;

use super::LegRecord;
use crate::call::record::CallRecord;
use crate::call::tests::{Scene, host, sdp};
use crate::call::{Census, LegSettings, Settings};
use crate::time::PacketTime;

/// A call between two hosts, and the numbers in it.
#[derive(Clone, Copy)]
struct Call {
    id: &'static str,
    hosts: (u8, u8),
    from: &'static str,
    to: &'static str,
}

/// The B2BUA is host 2, a caller is host 1, a callee is host 3.
const INCOMING: Call = Call { id: "incoming@1", hosts: (1, 2), from: "+4930111111", to: "+4940222222" };
const OUTGOING: Call = Call { id: "outgoing@2", hosts: (2, 3), ..INCOMING };

impl Call {
    fn text(self, start: &str, tag: &str, cseq: &str, extra: &str, body: &str) -> String {
        let Self { id, from, to, hosts: (caller, callee) } = self;
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        format!(
            "{start}\nVia: SIP/2.0/UDP 192.0.2.{caller};branch=z9hG4bK{id}{cseq}{callee}\nFrom: <sip:{from}@a>;tag=a\n\
             To: <sip:{to}@b>{tag}\nCall-ID: {id}\nCSeq: {cseq}\n{extra}{kind}Content-Length: {}\n\n{body}",
            body.replace('\n', "\r\n").len()
        )
    }

    fn invite(self, scene: &mut Scene, extra: &str) {
        self.offer(scene, extra, "");
    }

    fn offer(self, scene: &mut Scene, extra: &str, body: &str) {
        let start = format!("INVITE sip:{}@192.0.2.{} SIP/2.0", self.to, self.hosts.1);
        scene.send(self.hosts.0, self.hosts.1, &self.text(&start, "", "1 INVITE", extra, body));
    }

    fn says(self, scene: &mut Scene, status: &str, extra: &str) {
        let text = self.text(&format!("SIP/2.0 {status}"), ";tag=b", "1 INVITE", extra, "");
        scene.send(self.hosts.1, self.hosts.0, &text);
    }

    fn bye(self, scene: &mut Scene) {
        scene.send(self.hosts.0, self.hosts.1, &self.text("BYE sip:x@y SIP/2.0", ";tag=b", "2 BYE", "", ""));
    }

    /// With other numbers, so that nothing but what a test is about speaks for it.
    fn unlike(self) -> Self {
        Self { from: "trunk-4711", to: "00331234567", ..self }
    }
}

fn end(scene: Scene) -> (Vec<CallRecord>, Census) {
    let (mut records, _, census) = scene.end();
    records.sort_by_key(|record| record.start);
    (records, census)
}

/// What joins each leg of a record, its Call-ID and its score.
fn told(record: &CallRecord) -> Vec<(&str, Option<&str>, Option<u8>)> {
    record.legs.iter().map(|leg| (leg.call_id.as_str(), leg.joined_by.as_deref(), leg.score)).collect()
}

/// Which calls are legs of which, by their records' sessions.
fn sessions(records: &[CallRecord]) -> Vec<(&str, Option<&str>)> {
    records.iter().map(|record| (record.call_id.as_str(), record.session.as_deref())).collect()
}

fn joined_by(records: &[CallRecord]) -> Vec<&str> {
    let all: Vec<&str> =
        records.iter().flat_map(|record| &record.legs).filter_map(|leg| leg.joined_by.as_deref()).collect();
    let mut all: Vec<&str> = all.into_iter().collect();
    all.dedup();
    all
}

#[test]
fn the_hops_of_a_call_are_its_legs_and_one_hop_is_none() {
    let mut scene = Scene::plain();
    let hop = Call { hosts: (2, 3), ..INCOMING };
    INCOMING.invite(&mut scene, "");
    INCOMING.says(&mut scene, "100 Trying", "");
    hop.invite(&mut scene, "");
    for status in ["180 Ringing", "200 OK"] {
        hop.says(&mut scene, status, "");
        INCOMING.says(&mut scene, status, "");
    }
    let other = Call { id: "other@9", hosts: (8, 9), from: "alice", to: "bob" };
    other.invite(&mut scene, "");
    let (records, _) = end(scene);
    assert_eq!(
        told(&records[0]),
        [(INCOMING.id, None, None), (INCOMING.id, Some("same call-id"), Some(100))]
    );
    assert_eq!(records[0].session.as_deref(), Some(INCOMING.id));
    let [first, second]: [LegRecord; 2] = records[0].legs.clone().try_into().unwrap();
    assert_eq!((first.source.address, first.destination.address), (host(1), host(2)));
    assert_eq!((second.source.address, second.destination.address), (host(2), host(3)));
    let after = |leg: &LegRecord| {
        let after = |time: Option<crate::time::Timestamp>| time.unwrap().since(records[0].start).as_millis();
        (after(Some(leg.start)), after(leg.first_response), after(leg.final_response), leg.status_code)
    };
    // A message every 100 ms.
    assert_eq!(after(&first), (0, 100, 600, Some(200)));
    assert_eq!(after(&second), (200, 300, 500, Some(200)));
    assert_eq!((records[1].session.as_deref(), records[1].legs.len()), (None, 0));
}

/// RFC 7989: the caller's UUID alone at first, then both, in the order of who speaks; B2BUAs pass them on (section 7).
#[test]
fn a_session_id_joins_what_has_nothing_else_in_common() {
    const ALICE: &str = "ab30317f1a784dc48ff824d0d3715d86";
    const BOB: &str = "47755a9de7794ba387653f2099600ef2";
    const NIL: &str = "00000000000000000000000000000000";
    let id = |local: &str, remote: &str| format!("Session-ID: {local};remote={remote}\n");
    let outgoing = Call { hosts: (7, 8), ..OUTGOING.unlike() };
    let run = |first: &str, second: &str, answer: &str| {
        let mut scene = Scene::plain();
        INCOMING.invite(&mut scene, first);
        outgoing.invite(&mut scene, second);
        outgoing.says(&mut scene, "200 OK", answer);
        INCOMING.says(&mut scene, "200 OK", answer);
        end(scene).0
    };
    let joined = [(INCOMING.id, Some(INCOMING.id)), (OUTGOING.id, Some(INCOMING.id))];
    let records = run(&id(ALICE, NIL), &id(ALICE, NIL), &id(BOB, ALICE));
    assert_eq!(sessions(&records), joined);
    let expected = [(INCOMING.id, None, None), (OUTGOING.id, Some("session-id"), Some(100))];
    assert_eq!(told(&records[0]), expected);
    assert_eq!(told(&records[1]), expected);
    // An end that sends none: the B2BUA gives it one, and tells it in the answer.
    assert_eq!(sessions(&run("", &id(ALICE, NIL), &id(BOB, ALICE))), joined);
    // RFC 7329, and a B2BUA that turns it into RFC 7989.
    let legacy = format!("Session-ID: {ALICE}\n");
    assert_eq!(sessions(&run(&legacy, &legacy, "")), joined);
    assert_eq!(sessions(&run(&legacy, &id(ALICE, NIL), "")), joined);
    // Nobody is the same as nobody.
    let apart = [(INCOMING.id, None), (OUTGOING.id, None)];
    assert_eq!(sessions(&run(&id(NIL, NIL), &id(NIL, NIL), &id(NIL, NIL))), apart);
    assert_eq!(sessions(&run(&id(ALICE, NIL), &id(BOB, NIL), "")), apart);
}

#[test]
fn a_field_that_names_the_other_call_id_joins_in_either_order() {
    let far = Call { hosts: (7, 8), ..OUTGOING.unlike() };
    for field in ["X-Call-ID", "x-cid", "X-Trace"] {
        for is_early in [false, true] {
            let fields = vec!["X-TRACE".to_owned()];
            let legs = LegSettings { fields };
            let mut scene = Scene::new(Settings { legs, ..Settings::default() });
            let named = format!("{field}: {}\n", INCOMING.id);
            if is_early {
                far.invite(&mut scene, &named);
            }
            INCOMING.invite(&mut scene, "");
            if !is_early {
                far.invite(&mut scene, &named);
            }
            let (records, _) = end(scene);
            assert_eq!(joined_by(&records), [field.to_lowercase()], "{field} {is_early}");
            let first = records[0].call_id.as_str();
            assert!(records.iter().all(|record| record.session.as_deref() == Some(first)));
        }
    }
    // The same value in both, which is no Call-ID of either; and two that differ.
    for (one, other, is_joined) in [("trace-4711", "trace-4711", true), ("trace-4711", "trace-4712", false)] {
        let mut scene = Scene::plain();
        INCOMING.invite(&mut scene, &format!("X-CID: {one}\n"));
        far.invite(&mut scene, &format!("X-CID: {other}\n"));
        assert_eq!(joined_by(&end(scene).0), if is_joined { vec!["x-cid"] } else { vec![] });
    }
    let mut scene = Scene::plain();
    let icid = "P-Charging-Vector: icid-value=\"1234bc9876e\";icid-generated-at=192.0.6.8\n";
    INCOMING.invite(&mut scene, icid);
    far.invite(&mut scene, icid);
    assert_eq!(joined_by(&end(scene).0), ["icid"]);
}

/// An incoming and an outgoing call, of which each step goes through.
fn put_through(scene: &mut Scene, incoming: Call, outgoing: Call) {
    incoming.invite(scene, "");
    outgoing.invite(scene, "");
    for status in ["180 Ringing", "200 OK"] {
        outgoing.says(scene, status, "");
        incoming.says(scene, status, "");
    }
    incoming.bye(scene);
    outgoing.bye(scene);
}

#[test]
fn numbers_address_and_steps_join_and_the_score_says_so() {
    let mut scene = Scene::plain();
    put_through(&mut scene, INCOMING, OUTGOING);
    let (records, _) = end(scene);
    let score = 15 + 20 + 20 + 15 + 10 + 15 + 15;
    assert_eq!(score, 110, "more than enough is 100");
    for record in &records {
        assert_eq!(told(record)[1], (OUTGOING.id, Some("evidence"), Some(100)));
        let parts = ["address", "called number", "calling number", "time", "ringing", "answer", "end"];
        assert_eq!(record.legs[1].evidence, parts);
    }
    // One number is rewritten: the steps make up for it.
    for outgoing in [
        Call { from: "trunk-1", ..OUTGOING },
        Call { to: "bobs-desk", ..OUTGOING },
        Call { to: "0040222222", ..OUTGOING },
    ] {
        let mut scene = Scene::plain();
        put_through(&mut scene, INCOMING, outgoing);
        assert_eq!(joined_by(&end(scene).0), ["evidence"]);
    }
    // Both are, or it leaves from elsewhere.
    for outgoing in [OUTGOING.unlike(), Call { hosts: (7, 3), ..OUTGOING }] {
        let mut scene = Scene::plain();
        put_through(&mut scene, INCOMING, outgoing);
        assert!(joined_by(&end(scene).0).is_empty());
    }
}

#[test]
fn diversion_and_media_that_goes_past_speak_for_it() {
    let mut scene = Scene::plain();
    INCOMING.invite(&mut scene, "");
    Call { to: "+4989333333", ..OUTGOING }
        .invite(&mut scene, "Diversion: <sip:040222222@b>;reason=user-busy\n");
    let (records, _) = end(scene);
    assert_eq!(records[0].legs[1].evidence, ["address", "calling number", "diversion", "time"]);
    assert_eq!(records[0].legs[1].score, Some(75));

    // Host 7 is the other side of the same B2BUA.
    let outgoing = Call { hosts: (7, 3), from: "trunk-1", ..OUTGOING };
    let mut scene = Scene::plain();
    INCOMING.offer(&mut scene, "", &sdp(1, 4000));
    outgoing.offer(&mut scene, "", &sdp(1, 4000));
    let (records, _) = end(scene);
    assert_eq!(records[0].legs[1].evidence, ["called number", "media", "time"]);
}

#[test]
fn what_could_be_either_of_two_is_neither_until_later_steps_tell() {
    let other = Call { id: "other@4", hosts: (4, 2), ..INCOMING };
    let mut scene = Scene::plain();
    INCOMING.invite(&mut scene, "");
    other.invite(&mut scene, "");
    OUTGOING.invite(&mut scene, "");
    assert!(joined_by(&end(scene).0).is_empty());

    let mut scene = Scene::plain();
    INCOMING.invite(&mut scene, "");
    other.invite(&mut scene, "");
    OUTGOING.invite(&mut scene, "");
    scene.wait(1_000);
    other.says(&mut scene, "180 Ringing", "");
    scene.wait(1_000);
    OUTGOING.says(&mut scene, "180 Ringing", "");
    INCOMING.says(&mut scene, "180 Ringing", "");
    scene.wait(1_000);
    OUTGOING.says(&mut scene, "200 OK", "");
    INCOMING.says(&mut scene, "200 OK", "");
    let page = scene.tracker.active_calls(0, 10, &mut || true);
    let legs: Vec<usize> = page.calls.iter().map(|call| call.record.legs.len()).collect();
    assert_eq!(legs, [2, 0, 2], "as soon as it is known");
    scene.wait(2_000);
    other.says(&mut scene, "200 OK", "");
    let (records, _) = end(scene);
    let expected = [(INCOMING.id, Some(INCOMING.id)), ("other@4", None), (OUTGOING.id, Some(INCOMING.id))];
    assert_eq!(sessions(&records), expected);
}

#[test]
fn steps_that_do_not_go_through_speak_against_it() {
    let mut scene = Scene::plain();
    INCOMING.invite(&mut scene, "");
    OUTGOING.invite(&mut scene, "");
    let page = scene.tracker.active_calls(0, 10, &mut || true);
    assert_eq!(page.calls[0].record.legs.len(), 2, "so far it looks like one");
    INCOMING.says(&mut scene, "200 OK", "");
    scene.wait(3_000);
    OUTGOING.says(&mut scene, "200 OK", "");
    assert!(joined_by(&end(scene).0).is_empty());

    // The outgoing one is refused, and the incoming one is answered by somebody else.
    let mut scene = Scene::plain();
    INCOMING.invite(&mut scene, "");
    OUTGOING.invite(&mut scene, "");
    OUTGOING.says(&mut scene, "503 Service Unavailable", "");
    scene.wait(3_000);
    INCOMING.says(&mut scene, "200 OK", "");
    assert!(joined_by(&end(scene).0).is_empty());

    // The same, but it was tried elsewhere.
    let next = Call { id: "next@2", hosts: (2, 4), ..INCOMING };
    let mut scene = Scene::plain();
    INCOMING.invite(&mut scene, "");
    OUTGOING.invite(&mut scene, "");
    OUTGOING.says(&mut scene, "503 Service Unavailable", "");
    next.invite(&mut scene, "");
    next.says(&mut scene, "200 OK", "");
    INCOMING.says(&mut scene, "200 OK", "");
    scene.wait(40_000);
    let (records, _) = end(scene);
    assert!(
        sessions(&records).iter().all(|(_, session)| *session == Some(INCOMING.id)),
        "{:?}",
        sessions(&records)
    );
    assert!(records.iter().all(|record| record.legs.len() == 3));
}

#[test]
fn a_leg_that_is_over_is_still_told_of() {
    let mut scene = Scene::plain();
    INCOMING.invite(&mut scene, &format!("X-CID: {}\n", OUTGOING.id));
    OUTGOING.invite(&mut scene, "");
    OUTGOING.says(&mut scene, "486 Busy Here", "");
    INCOMING.says(&mut scene, "486 Busy Here", "");
    scene.wait(60_000);
    assert_eq!(scene.heard.records.len(), 2, "both are over");
    let (records, _) = end(scene);
    assert_eq!(told(&records[0]), told(&records[1]));
}

/// Attack: the same value in every call.
#[test]
fn a_value_that_all_calls_share_joins_a_few() {
    let mut scene = Scene::plain();
    for number in 0..100 {
        let text =
            INCOMING.text("INVITE sip:x@y SIP/2.0", "", "1 INVITE", "X-Call-ID: the-same-for-all\n", "");
        scene.send(1, 2, &text.replace("incoming@1", &format!("call-{number}")));
    }
    let (records, census) = end(scene);
    assert_eq!(records.iter().filter(|record| !record.legs.is_empty()).count(), 16);
    assert_eq!(records.iter().map(|record| record.legs.len()).max(), Some(16));
    assert_eq!(census.legs_dropped, 84);
}

/// Attack: calls that all look like each other's legs, in both directions.
#[test]
fn calls_that_all_look_alike_are_bounded_and_not_joined() {
    let mut scene = Scene::plain();
    for number in 0..200u8 {
        let hosts = if number % 2 == 0 { (1, 2) } else { (2, 1) };
        let call = Call { hosts, ..INCOMING };
        let text = call.text("INVITE sip:+4940222222@x SIP/2.0", "", "1 INVITE", "", "");
        scene.send(hosts.0, hosts.1, &text.replace("incoming@1", &format!("call-{number}")));
    }
    let legs = scene.tracker.legs.as_ref().unwrap();
    let links = legs.legs.iter().filter_map(|(leg, _)| leg.links.as_ref());
    let most = links.map(|links| links.incoming.len() + links.outgoing.len()).max();
    assert!(most <= Some(super::links::MAX_INCOMING + super::links::MAX_OUTGOING));
    // Of the very first there are not yet several that each may belong to.
    let joined = end(scene).0.iter().filter(|record| !record.legs.is_empty()).count();
    assert!(joined <= 4, "{joined}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever calls do, all legs of a record know of each other, and nothing is left when all are over.
    #[test]
    fn any_calls_leave_nothing_behind(steps in proptest::collection::vec(any::<[u8; 6]>(), 1..80)) {
        const IDS: [&str; 6] = ["one-call@1", "two-call@2", "three-call@3", "four-call@4", "five-call@5", "six-call@6"];
        const USERS: [&str; 3] = ["+4930111111", "030111111", "alice"];
        let mut scene = Scene::plain();
        for [id, from, to, user, what, named] in steps {
            let call = Call {
                id: IDS[id as usize % IDS.len()],
                hosts: (from % 4, to % 4),
                from: USERS[user as usize % 3],
                to: USERS[(user >> 4) as usize % 3],
            };
            let extra = match named % 8 {
                0 => format!("X-Call-ID: {}\n", IDS[named as usize / 8 % IDS.len()]),
                1 => format!("Session-ID: {:032x};remote={:032x}\n", named / 64, named / 16),
                2 => format!("Diversion: <sip:{}@a>\nHistory-Info: ,,<\n", USERS[named as usize / 8 % 3]),
                _ => String::new(),
            };
            match what % 8 {
                0..=3 => call.offer(&mut scene, &extra, if what > 128 { "v=0\no=- 1234567 1 IN IP4 192.0.2.1\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\n" } else { "" }),
                4 => call.says(&mut scene, "200 OK", &extra),
                5 => call.says(&mut scene, "486 Busy Here", &extra),
                6 => call.bye(&mut scene),
                _ => scene.wait(u64::from(what) * 150),
            }
        }
        let page = scene.tracker.active_calls(0, 10, &mut || true);
        for call in &page.calls {
            let record = &call.record;
            prop_assert!(record.legs.is_empty() || record.legs.iter().any(|leg| leg.call_id == record.call_id));
        }
        let now = scene.now;
        scene.tracker.finish(PacketTime::plain(now), &mut scene.heard);
        for record in &scene.heard.records {
            prop_assert_eq!(record.legs.is_empty(), record.session.is_none());
            prop_assert!(record.legs.is_empty() || record.legs.iter().any(|leg| leg.call_id == record.call_id));
            prop_assert!(record.legs.iter().filter(|leg| leg.joined_by.is_none()).count() <= 1);
            prop_assert!(record.legs.windows(2).all(|legs| legs[0].start <= legs[1].start));
        }
        let legs = scene.tracker.legs.as_ref().unwrap();
        prop_assert!(!legs.sessions.has_keys(), "identifiers of nobody");
        prop_assert!(legs.legs.iter().all(|(leg, _)| !leg.in_use && leg.links.is_none()));
    }
}

/// A ring group of ten phones whose B2BUA names the call (X-Call-ID): none is left out, and none is told to be.
#[test]
fn phones_that_a_field_joins_take_nobody_s_place() {
    const PHONES: [&str; 10] =
        ["p0@2", "p1@2", "p2@2", "p3@2", "p4@2", "p5@2", "p6@2", "p7@2", "p8@2", "p9@2"];
    let mut scene = Scene::plain();
    INCOMING.invite(&mut scene, "");
    let phone = |(number, id)| Call { id, hosts: (2, 10 + number), ..INCOMING };
    let phones = || (0u8..).zip(PHONES).map(phone);
    phones().for_each(|phone| phone.invite(&mut scene, "X-Call-ID: incoming@1\n"));
    phones().for_each(|phone| phone.says(&mut scene, "180 Ringing", ""));
    let (records, census) = end(scene);
    assert_eq!((records[0].legs.len(), census.legs_dropped), (11, 0));
}
