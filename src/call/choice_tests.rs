//! Which steps are told of calls that the filter comes to keep.

use regex::bytes::Regex;

use super::tests::{INVITE, SECOND, Scene, Text, answer, bye};
use super::{CallEvent, Filter, Settings};

/// All that is told of an answered call that the callee ends and one that is refused, with OPTIONS before that in its Call-ID.
fn told(filter: Filter) -> Vec<CallEvent> {
    let mut scene = Scene::new(Settings { filter, ..Settings::default() });
    answer(&mut scene, &Text::default());
    scene.wait(10 * SECOND);
    bye(&mut scene, false);
    let call_id = "c2";
    let options = Text { call_id, branch: "o", cseq: "1 OPTIONS", ..Text::default() };
    scene.send(1, 2, &options.with("OPTIONS sip:bob@b.example SIP/2.0"));
    let invite = Text { call_id, cseq: "2 INVITE", ..Text::default() };
    scene.send(1, 2, &invite.with(INVITE));
    let busy = Text { call_id, cseq: "2 INVITE", to_tag: "bob", ..Text::default() };
    scene.send(2, 1, &busy.with("SIP/2.0 180 Ringing"));
    scene.send(2, 1, &busy.with("SIP/2.0 486 Busy Here"));
    let ack = Text { cseq: "2 ACK", extra: "X-Last: yes\n", ..busy };
    scene.send(1, 2, &ack.with("ACK sip:bob@b.example SIP/2.0"));
    let (records, heard, _) = scene.end();
    let told: Vec<&str> = heard.steps.iter().map(|event| event.call_id.as_str()).collect();
    assert!(
        records.iter().all(|record| told.contains(&record.call_id.as_str())),
        "files, records and events"
    );
    heard.steps
}

fn method(name: &str) -> Filter {
    Filter { methods: vec![name.to_owned()], ..Filter::default() }
}

fn of(call_id: &str, events: &[CallEvent]) -> Vec<CallEvent> {
    events.iter().filter(|event| event.call_id == call_id).cloned().collect()
}

#[test]
fn a_call_has_all_its_steps_whichever_message_matched() {
    let all = told(Filter::default());
    let told_of = |call_id| of(call_id, &all).iter().map(|event| event.event).collect::<Vec<_>>();
    assert_eq!(told_of("c1"), ["start", "ringing", "answered", "end"]);
    assert_eq!(told_of("c2"), ["start", "ringing", "end"], "it is a call from its INVITE on");
    let text = |text| Filter { text: Some(Regex::new(text).unwrap()), ..Filter::default() };
    let rows = [
        (method("BYE"), vec!["c1"]),
        (method("ACK"), vec!["c1", "c2"]),
        (text("180 Ringing"), vec!["c1", "c2"]),
        (text("200 OK\r\n(.+\r\n)+CSeq: 1 INVITE"), vec!["c1"]),
        (text("486 Busy"), vec!["c2"]),
        (text("X-Last"), vec!["c2"]),
        (method("OPTIONS"), vec!["c2"]),
    ];
    for (filter, kept) in rows {
        let what = format!("{filter:?}");
        let chosen = told(filter);
        let expected: Vec<_> = all.iter().filter(|event| kept.contains(&event.call_id.as_str())).collect();
        assert_eq!(chosen.len(), expected.len(), "{what}");
        for call_id in kept {
            assert_eq!(of(call_id, &chosen), of(call_id, &all), "{what}");
        }
    }
}

#[test]
fn a_call_that_the_others_leave_has_all_its_steps() {
    let all = told(Filter::default());
    for (filter, kept) in [(method("BYE"), "c2"), (method("PRACK"), "c1"), (method("OPTIONS"), "c1")] {
        let what = format!("{filter:?}");
        let chosen = told(Filter { invert: true, ..filter });
        assert_eq!(of(kept, &chosen), of(kept, &all), "{what}");
    }
    // The ACK of a refusal comes when the call has ended.
    let invert = true;
    assert_eq!(told(Filter { invert, ..method("ACK") }), []);
}
