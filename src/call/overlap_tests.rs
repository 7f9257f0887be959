//! Overlap dialling (RFC 3578 3.2, 3.3): each INVITE has more digits, under one Call-ID and with the next CSeq number; those
//! that have too few are answered with 484 (RFC 3261 21.4.22).

use serde_json::Value;

use super::tests::{SECOND, Scene, Text};
use super::*;

/// The INVITE with that CSeq number, or an answer to it.
fn say(scene: &mut Scene, cseq: u32, dialled: &str, status: Option<&str>) {
    let (branch, number) = (format!("b{cseq}"), format!("{cseq} INVITE"));
    let tag = format!("t{cseq}");
    let to_tag = if status.is_some() { tag.as_str() } else { "" };
    let text = Text { branch: &branch, cseq: &number, to_tag, ..Text::default() };
    let (hosts, start) = match status {
        None => ((1, 2), format!("INVITE sip:{dialled}@b.example SIP/2.0")),
        Some(status) => ((2, 1), format!("SIP/2.0 {status}")),
    };
    let to = format!("To: <sip:{dialled}@b.example>");
    scene.send(hosts.0, hosts.1, &text.with(&start).replace("To: <sip:bob@b.example>", &to));
}

const TOO_SHORT: &str = "484 Address Incomplete";

fn digits(record: &CallRecord) -> Value {
    serde_json::to_value(record).unwrap()["overlap_invites"].clone()
}

#[test]
fn digits_that_come_one_after_the_other_are_one_attempt() {
    let mut scene = Scene::plain();
    for (cseq, dialled) in [(1, "49"), (2, "4930"), (3, "493012")] {
        say(&mut scene, cseq, dialled, None);
        let status = if cseq < 3 { TOO_SHORT } else { "180 Ringing" };
        say(&mut scene, cseq, dialled, Some(status));
        scene.wait(SECOND);
    }
    say(&mut scene, 3, "493012", Some("200 OK"));
    scene.wait(10 * SECOND);
    let bye = Text { branch: "bye", to_tag: "t3", cseq: "4 BYE", ..Text::default() };
    scene.send(1, 2, &bye.with("BYE sip:bob@192.0.2.2 SIP/2.0"));
    let (records, _, census) = scene.end();
    let [record] = records.as_slice() else { panic!("{records:#?}") };
    assert_eq!((record.result, record.status_code), (CallResult::Success, Some(200)));
    assert_eq!((record.to.as_str(), digits(record)), ("493012", Value::from(2)));
    assert_eq!(record.request_uri.as_deref(), Some("sip:493012@b.example"));
    // Each INVITE has its answer after 0.1 s, and the next one 1.1 s later.
    let delays = (record.post_dial_delay_seconds, record.setup_seconds);
    assert_eq!(delays, (Some(0.1), Some(1.2)), "after the last digit");
    assert_eq!(record.answered.unwrap().since(record.start).as_millis(), 3600);
    assert_eq!((record.forks, record.findings.iter().filter(|it| it.code != "no_rtp").count()), (1, 0));
    assert_eq!((census.calls, census.performance.attempts, census.performance.answered), (1, 1, 1));
}

/// Whether an INVITE has more digits of the same number is known where nobody is told of calls and no text is kept, too. One with
/// another number after a 484 is another attempt.
#[test]
fn more_digits_are_known_where_nobody_is_told() {
    for (then, attempts) in [("4930", 1), ("5530", 2), ("49", 2)] {
        for wants in [Wants { frames: true, events: true, audit: false, records: true }, Wants::default()] {
            let mut scene = Scene::telling(Settings::default(), wants);
            for (cseq, dialled, status) in [(1, "49", TOO_SHORT), (2, then, "200 OK")] {
                say(&mut scene, cseq, dialled, None);
                say(&mut scene, cseq, dialled, Some(status));
            }
            let (_, _, census) = scene.end();
            let counted = (census.calls, census.performance.attempts, census.performance.answered);
            assert_eq!(counted, (attempts, attempts, 1), "{then}, {wants:?}");
        }
    }
}

/// RFC 3578 3.3: the 484 to an INVITE that was followed by another says nothing of that one.
#[test]
fn the_next_digits_need_not_wait_for_the_answer() {
    for status in ["486 Busy Here", "404 Not Found"] {
        let mut scene = Scene::plain();
        say(&mut scene, 1, "49", None);
        say(&mut scene, 2, "4930", None);
        say(&mut scene, 1, "49", Some(TOO_SHORT));
        assert_ne!(scene.heard.events.last().unwrap().0, "end");
        say(&mut scene, 2, "4930", Some(status));
        let (records, _, census) = scene.end();
        let [record] = records.as_slice() else { panic!("{records:#?}") };
        assert_eq!(record.status_code.unwrap().to_string(), status[..3]);
        assert_eq!((record.to.as_str(), digits(record)), ("4930", Value::from(1)));
        assert_eq!((record.forks, census.performance.attempts), (1, 1));
    }
}

/// RFC 3578 3.4: INVITEs that wait are cancelled when one with more digits got somewhere.
#[test]
fn who_takes_back_fewer_digits_does_not_give_up() {
    let mut scene = Scene::plain();
    say(&mut scene, 1, "49", None);
    say(&mut scene, 2, "4930", None);
    say(&mut scene, 2, "4930", Some("180 Ringing"));
    let cancel = Text { branch: "b1", cseq: "1 CANCEL", ..Text::default() };
    scene.send(1, 2, &cancel.with("CANCEL sip:49@b.example SIP/2.0"));
    scene.send(2, 1, &cancel.with("SIP/2.0 200 OK"));
    say(&mut scene, 1, "49", Some("487 Request Terminated"));
    scene.wait(60 * SECOND);
    say(&mut scene, 2, "4930", Some("200 OK"));
    let events: Vec<_> = scene.heard.events.iter().map(|(event, _)| *event).collect();
    assert_eq!(events, ["start", "ringing", "answered"]);
    let (records, ..) = scene.end();
    assert_eq!(
        (records.len(), records[0].status_code, records[0].end_reason.as_deref()),
        (1, Some(200), None)
    );
}

fn ends(scene: &Scene) -> usize {
    scene.heard.events.iter().filter(|(event, _)| *event == "end").count()
}

/// RFC 3578 3.3: the attempt fails with its last INVITE, when no more digits come; T35 of Q.764 is 15 to 20 s.
#[test]
fn a_failure_is_told_once_and_when_no_more_digits_come() {
    let mut scene = Scene::plain();
    for (cseq, dialled) in [(1, "49"), (2, "4930"), (3, "493012")] {
        say(&mut scene, cseq, dialled, None);
        say(&mut scene, cseq, dialled, Some(TOO_SHORT));
        let ack = Text {
            branch: &format!("b{cseq}"),
            cseq: &format!("{cseq} ACK"),
            to_tag: "x",
            ..Text::default()
        };
        scene.send(1, 2, &ack.with(&format!("ACK sip:{dialled}@b.example SIP/2.0")));
        scene.wait(14 * SECOND);
        assert_eq!(ends(&scene), 0, "{dialled}");
    }
    let refused = scene.now.before(std::time::Duration::from_millis(14_200));
    scene.wait(8 * SECOND);
    assert_eq!(ends(&scene), 1);
    scene.wait(60 * SECOND);
    let [record] = scene.heard.records.as_slice() else { panic!("{:#?}", scene.heard.records) };
    assert_eq!(
        (record.result, record.status_code, digits(record)),
        (CallResult::Failed, Some(484), Value::from(2))
    );
    assert_eq!((record.end, record.ended_by), (Some(refused), Some(EndedBy::Callee)), "when it was refused");
    assert_eq!((ends(&scene), scene.tracker.gauges().early), (1, 0));
    let (_, _, census) = scene.end();
    assert_eq!((census.performance.attempts, census.performance.over), (1, 1));
}

#[test]
fn a_number_that_is_too_short_when_the_capture_ends_has_failed() {
    let mut scene = Scene::plain();
    say(&mut scene, 1, "49", None);
    say(&mut scene, 1, "49", Some(TOO_SHORT));
    assert_eq!(ends(&scene), 0);
    let (records, heard, census) = scene.end();
    let told = (records.len(), records[0].result, records[0].status_code, digits(&records[0]));
    assert_eq!(told, (1, CallResult::Failed, Some(484), Value::Null));
    assert_eq!((heard.events.last().unwrap().0, census.performance.attempts), ("end", 1));
}

/// A fork (RFC 3261 16.7): one branch has too few digits, another one rings for long.
#[test]
fn who_still_rings_elsewhere_has_not_failed() {
    let mut scene = Scene::plain();
    say(&mut scene, 1, "49", None);
    let fork = |branch: &'static str, tag: &'static str| Text { branch, to_tag: tag, ..Text::default() };
    for host in [3, 4] {
        let branch = if host == 3 { "f3" } else { "f4" };
        scene.send(2, host, &fork(branch, "").with("INVITE sip:49@b.example SIP/2.0"));
    }
    scene.send(3, 2, &fork("f3", "t3").with(&format!("SIP/2.0 {TOO_SHORT}")));
    scene.send(4, 2, &fork("f4", "t4").with("SIP/2.0 180 Ringing"));
    say(&mut scene, 1, "49", Some("180 Ringing"));
    scene.wait(60 * SECOND);
    say(&mut scene, 1, "49", Some("200 OK"));
    let events: Vec<_> = scene.heard.events.iter().map(|(event, _)| *event).collect();
    assert_eq!(events, ["start", "ringing", "answered"]);
}

/// What does not go on with the same digits is another attempt.
#[test]
fn another_number_is_another_call() {
    for (dialled, status) in [("50", TOO_SHORT), ("49", TOO_SHORT), ("4930", "486 Busy Here")] {
        let mut scene = Scene::plain();
        say(&mut scene, 1, "49", None);
        say(&mut scene, 1, "49", Some(status));
        say(&mut scene, 2, dialled, None);
        say(&mut scene, 2, dialled, Some("404 Not Found"));
        let (records, heard, census) = scene.end();
        assert_eq!((records.len(), census.calls), (2, 2), "{dialled} {status}");
        assert!(records.iter().all(|record| record.result != CallResult::Open), "{records:#?}");
        assert_eq!(heard.events.iter().filter(|(event, _)| *event == "end").count(), 2);
    }
}
