//! What a REGISTER asks, and what is its own of the answer.

use serde_json::{Value, json};

use super::tests::{codes, one, register};
use crate::call::Settings;
use crate::call::record::CallRecord;
use crate::call::tests::{SECOND, Scene, Text};

fn scene() -> Scene {
    Scene::new(Settings { registrations: true, ..Settings::default() })
}

fn told(record: &CallRecord) -> (Value, Value, Value) {
    let told = serde_json::to_value(record).unwrap()["registration"].clone();
    (told["contact"].clone(), told["expires_seconds"].clone(), told["refreshes"].clone())
}

/// RFC 3261 10.2.3: without a Contact a REGISTER binds nothing, and its answer lists all bindings.
fn query(scene: &mut Scene, number: u32, listed: &str) {
    let (branch, cseq) = (format!("q{number}"), format!("{number} REGISTER"));
    let text = Text { branch: &branch, cseq: &cseq, ..Text::default() };
    scene.send(1, 2, &text.with("REGISTER sip:b.example SIP/2.0"));
    scene.send(2, 1, &Text { to_tag: "r", extra: listed, ..text }.with("SIP/2.0 200 OK"));
}

const OTHERS: &str = "Contact: <sip:alice@192.0.2.7>;expires=7200, <sip:alice@192.0.2.1>;expires=60\n";

#[test]
fn who_asks_for_bindings_has_none_of_its_own() {
    let mut asked = scene();
    query(&mut asked, 1, OTHERS);
    assert_eq!(told(&one(asked)), (Value::Null, Value::Null, json!(0)));
    // Asked in between, it changes nothing of what was registered.
    let mut between = scene();
    register(&mut between, 1, 1, 60, "200 OK", "Contact: <sip:alice@192.0.2.1>;expires=60\n");
    scene_goes_on(&mut between);
    query(&mut between, 2, OTHERS);
    assert_eq!(told(&one(between)), (json!("sip:alice@192.0.2.1"), json!(60), json!(0)));
}

fn scene_goes_on(scene: &mut Scene) {
    scene.wait(10 * SECOND);
}

/// RFC 3261 10.3, step 8: the answer lists every binding, each with its own time.
#[test]
fn a_phone_s_own_binding_is_not_the_longest_of_all() {
    let mut two = scene();
    register(&mut two, 1, 1, 60, "200 OK", OTHERS);
    assert_eq!(told(&one(two)).1, json!(60));
    // A registrar may write the contact in another way: then the longest is all that is known.
    let mut rewritten = scene();
    register(&mut rewritten, 1, 1, 60, "200 OK", "Contact: <sip:alice@198.51.100.1>;expires=90\n");
    assert_eq!(told(&one(rewritten)).1, json!(90));
}

/// The time of a finding is that of the message that shows it.
#[test]
fn it_was_late_when_it_registered_and_not_when_it_was_last_heard_of() {
    let listed = "Contact: <sip:alice@192.0.2.1>;expires=60\n";
    let mut scene = scene();
    register(&mut scene, 1, 1, 60, "200 OK", listed);
    scene.wait(80 * SECOND);
    register(&mut scene, 2, 1, 60, "200 OK", listed);
    scene.wait(20 * SECOND);
    register(&mut scene, 3, 1, 60, "200 OK", listed);
    let (records, ..) = scene.end();
    let record = records.last().unwrap();
    assert_eq!(codes(record), ["registered_late"]);
    let late = record.findings[0].time.unwrap();
    assert_eq!(late.since(record.start).as_millis(), 100, "its first 200");
}

/// What the snap length left of a REGISTER has no Contact, and is no query; the answer tells for how long it holds.
#[test]
fn a_register_that_was_cut_before_its_contact_asks_for_nothing() {
    let text = Text { cseq: "1 REGISTER", ..Text::default() };
    let whole = text.with("REGISTER sip:b.example SIP/2.0");
    let cut = whole.split_once("Content-Length").unwrap().0;
    let mut scene = scene();
    scene.send(1, 2, cut);
    let listed = "Contact: <sip:alice@192.0.2.1>;expires=3600\n";
    scene.send(2, 1, &Text { to_tag: "r", extra: listed, ..text }.with("SIP/2.0 200 OK"));
    assert_eq!(told(&one(scene)), (Value::Null, json!(3600), json!(0)));
}

/// Nor does it say that the credentials which a challenge asked for did not follow.
#[test]
fn credentials_that_were_cut_off_may_have_been_there() {
    let mut scene = scene();
    for (cseq, branch, cut) in [("1 REGISTER", "1", false), ("2 REGISTER", "2", true)] {
        let text = Text { cseq, branch, ..Text::default() };
        let whole = text.with("REGISTER sip:b.example SIP/2.0");
        scene.send(1, 2, if cut { whole.split_once("Content-Length").unwrap().0 } else { &whole });
        let asked = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\n";
        scene.send(2, 1, &Text { to_tag: "r", extra: asked, ..text }.with("SIP/2.0 401 Unauthorized"));
        scene.wait(SECOND);
    }
    scene.wait(60 * SECOND);
    let record = one(scene);
    assert_eq!(codes(&record), ["authentication_failed"]);
    assert!(!record.findings[0].text.contains("no credentials"), "{}", record.findings[0].text);
}
