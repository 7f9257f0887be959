//! Calls that somebody else takes while they ring, and why a call was cancelled.

use serde_json::Value;

use super::tests::one;
use crate::call::record::{CallRecord, CallResult};
use crate::call::tests::{INVITE, SECOND, Scene, Text, bye};

/// What a line of records says of this key; null where it is left out.
fn told(record: &CallRecord, key: &str) -> Value {
    serde_json::to_value(record).unwrap()[key].clone()
}

/// `alice` calls `bob`, whose phone rings.
pub(super) fn ringing() -> Scene {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 180 Ringing"));
    scene
}

/// The caller gives up, and the INVITE is answered with that.
fn cancel(scene: &mut Scene, extra: &str, status: &str) {
    let cancel = Text { cseq: "1 CANCEL", extra, ..Text::default() };
    scene.send(1, 2, &cancel.with("CANCEL sip:bob@b.example SIP/2.0"));
    scene.send(2, 1, &Text { extra: "", ..cancel }.with("SIP/2.0 200 OK"));
    refuse(scene, status);
    acknowledge(scene);
}

pub(super) fn refuse(scene: &mut Scene, status: &str) {
    scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with(&format!("SIP/2.0 {status}")));
}

/// The ACK of a refusal has the branch of the INVITE (RFC 3261 17.1.1.3).
pub(super) fn acknowledge(scene: &mut Scene) {
    let ack = Text { to_tag: "bob", cseq: "1 ACK", ..Text::default() };
    scene.send(1, 2, &ack.with("ACK sip:bob@b.example SIP/2.0"));
}

/// `carol` picks the call up: her INVITE goes to `alice`, who began the early dialog that it names (RFC 3891 3).
fn pick_up(scene: &mut Scene, replaces: &str, status: Option<&str>) {
    let text = |to_tag| Text {
        call_id: "c2",
        branch: "carol",
        from_tag: "carol",
        to_tag,
        extra: replaces,
        ..Text::default()
    };
    match status {
        None => scene.send(3, 1, &text("").with("INVITE sip:alice@192.0.2.1 SIP/2.0")),
        Some(status) => scene.send(1, 3, &text("alice2").with(&format!("SIP/2.0 {status}"))),
    }
}

fn of_call(scene: Scene, call_id: &str) -> CallRecord {
    let (records, ..) = scene.end();
    records.into_iter().find(|record| record.call_id == call_id).unwrap()
}

/// RFC 3891 3: who gets the INVITE accepts it with a 2xx, and gives the early dialog up.
#[test]
fn who_is_picked_up_elsewhere_was_not_given_up() {
    let replaces = "Replaces: c1;to-tag=bob;from-tag=alice\n";
    let rows = [
        (replaces, "200 OK", Value::from("c2")),
        // It goes on, and is given up all the same.
        (replaces, "481 Call/Transaction Does Not Exist", Value::Null),
        // Who knows the Call-ID alone names another dialog.
        ("Replaces: c1;to-tag=x;from-tag=alice\n", "200 OK", Value::Null),
        ("", "200 OK", Value::Null),
    ];
    for (replaces, status, expected) in rows {
        let mut scene = ringing();
        pick_up(&mut scene, replaces, None);
        pick_up(&mut scene, replaces, Some(status));
        cancel(&mut scene, "", "487 Request Terminated");
        let record = of_call(scene, "c1");
        assert_eq!((record.result, told(&record, "replaced_by")), (CallResult::Cancelled, expected));
    }
    // It may give the early dialog up before it answers.
    let mut scene = ringing();
    pick_up(&mut scene, replaces, None);
    cancel(&mut scene, "", "487 Request Terminated");
    pick_up(&mut scene, replaces, Some("200 OK"));
    assert_eq!(told(&of_call(scene, "c1"), "replaced_by"), "c2");
}

/// RFC 3326 2: a CANCEL has a Reason, as that of a proxy whose other branch was answered; the 487 repeats it seldom.
#[test]
fn why_a_call_was_cancelled_is_what_the_cancel_says() {
    let reason = "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\n";
    let said = "SIP;cause=200;text=\"Call completed elsewhere\"";
    let rows = [
        ("487 Request Terminated", Some(said)),
        ("", Some(said)),
        // It was busy before it heard of the CANCEL.
        ("486 Busy Here", None),
    ];
    for (status, expected) in rows {
        let mut scene = ringing();
        if status.is_empty() {
            let cancel = Text { cseq: "1 CANCEL", extra: reason, ..Text::default() };
            scene.send(1, 2, &cancel.with("CANCEL sip:bob@b.example SIP/2.0"));
            scene.wait(40 * SECOND);
        } else {
            cancel(&mut scene, reason, status);
        }
        let record = one(scene);
        assert_eq!(record.end_reason.as_deref(), expected, "{status}");
        let causes: Vec<_> = record.signalling.end_causes.iter().map(|it| it.cause).collect();
        assert_eq!(causes, if expected.is_some() { vec![Some(200)] } else { vec![] });
    }
    // The reason of a CANCEL that crossed the answer is not why the call ended.
    let mut scene = ringing();
    scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 200 OK"));
    let cancel = Text { cseq: "1 CANCEL", extra: reason, ..Text::default() };
    scene.send(1, 2, &cancel.with("CANCEL sip:bob@b.example SIP/2.0"));
    bye(&mut scene, true);
    assert_eq!(one(scene).end_reason.as_deref(), Some("Q.850;cause=16"), "that of the BYE");
}
