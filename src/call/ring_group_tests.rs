//! A proxy that rings many phones at once (RFC 3261 16.6).

use super::tests::{INVITE, SECOND, Scene, Text, sdp, sip_port};
use crate::sip::Method;

const ALICE: u8 = 1;
const PROXY: u8 = 9;
const RINGING: u8 = 10;
/// Phones that answer nothing: each gets its INVITE four times in 3.5 s (RFC 3261 17.1.1.2).
const SILENT: u8 = 2;

/// The tenth of twelve phones answers; two of them are off.
#[test]
fn all_phones_of_a_ring_group_are_told() {
    let mut scene = Scene::plain();
    let phone = |number: u8| 100 + number;
    let text = |branch, to_tag| Text { branch, to_tag, body: String::new(), ..Text::default() };
    scene.send(ALICE, PROXY, &Text { body: sdp(1, 4000), ..text("a", "") }.with(INVITE));
    scene.send(PROXY, ALICE, &text("a", "").with("SIP/2.0 100 Trying"));
    let names: Vec<_> = (0..RINGING + SILENT).map(|it| (format!("b{it}"), format!("p{it}"))).collect();
    let all = || (0..).zip(&names);
    let awake = || all().take(RINGING.into());
    let off = || all().skip(RINGING.into());
    for (number, (branch, _)) in all() {
        scene.send(PROXY, phone(number), &text(branch, "").with(INVITE));
    }
    for (number, (branch, tag)) in awake() {
        scene.send(phone(number), PROXY, &text(branch, "").with("SIP/2.0 100 Trying"));
        scene.send(phone(number), PROXY, &text(branch, tag).with("SIP/2.0 180 Ringing"));
        scene.send(PROXY, ALICE, &text("a", tag).with("SIP/2.0 180 Ringing"));
    }
    for _ in 0..3 {
        for (number, (branch, _)) in off() {
            scene.send(PROXY, phone(number), &text(branch, "").with(INVITE));
        }
        scene.wait(SECOND);
    }
    let winner = RINGING - 1;
    let (branch, tag) = &names[usize::from(winner)];
    scene.send(
        phone(winner),
        PROXY,
        &Text { body: sdp(2, 5000), ..text(branch, tag) }.with("SIP/2.0 200 OK"),
    );
    scene.send(PROXY, ALICE, &Text { body: sdp(2, 5000), ..text("a", tag) }.with("SIP/2.0 200 OK"));
    for (from, to, branch) in [(ALICE, PROXY, "k1"), (PROXY, phone(winner), "k2")] {
        let ack = Text { cseq: "1 ACK", ..text(branch, tag) };
        scene.send(from, to, &ack.with("ACK sip:bob@192.0.2.2 SIP/2.0"));
    }
    let (records, _, census) = scene.end();
    let [record] = records.as_slice() else { panic!("{records:#?}") };
    assert_eq!((record.retransmissions, u32::from(SILENT) * 3), (6, 6));
    assert_eq!((record.forks, record.signalling.early_dialogs), (10, 10));
    let delays: Vec<_> =
        census.performance.responses().map(|(method, delay)| (method, delay.count)).collect();
    assert_eq!(delays, [(Method::Invite, 11)], "the proxy's own and those of ten phones");
    let answered: Vec<_> = record.legs.iter().filter(|leg| leg.status_code == Some(200)).collect();
    assert_eq!(answered.len(), 2, "{:#?}", record.legs);
}

/// RFC 3261 16.7 step 10: with the answer of one phone the proxy cancels all others. One of these is off by then, so that its CANCEL
/// is sent five times (17.1.2.2), and nobody acknowledges the answer, which comes four times (13.3.1.4).
#[test]
fn what_follows_the_answer_of_a_ring_group_is_known() {
    for phones in [4, 8, 12, 30] {
        let mut scene = Scene::plain();
        let text = |branch, to_tag| Text { branch, to_tag, ..Text::default() };
        let names: Vec<_> = (0..phones).map(|it| (100 + it, format!("b{it}"), format!("p{it}"))).collect();
        let mut sent = 0;
        let mut say = |scene: &mut Scene, from, to, text: &str| {
            sent += 1;
            scene.say_between(sip_port(from), sip_port(to), text);
        };
        say(&mut scene, ALICE, PROXY, &Text { body: sdp(1, 4000), ..text("a", "") }.with(INVITE));
        for (phone, branch, tag) in &names {
            say(&mut scene, PROXY, *phone, &text(branch, "").with(INVITE));
            say(&mut scene, *phone, PROXY, &text(branch, tag).with("SIP/2.0 180 Ringing"));
        }
        scene.wait(4 * SECOND);
        let ((winner, branch, tag), others) = names.split_first().unwrap();
        let answer = |scene: &mut Scene, say: &mut dyn FnMut(&mut Scene, u8, u8, &str)| {
            say(scene, *winner, PROXY, &text(branch, tag).with("SIP/2.0 200 OK"));
            say(scene, PROXY, ALICE, &text("a", tag).with("SIP/2.0 200 OK"));
        };
        let cancel = |branch| Text { cseq: "1 CANCEL", ..text(branch, "") };
        answer(&mut scene, &mut say);
        let (silent, others) = others.split_last().unwrap();
        let cancel_silent = cancel(silent.1.as_str()).with("CANCEL sip:bob@b.example SIP/2.0");
        say(&mut scene, PROXY, silent.0, &cancel_silent);
        for (phone, branch, tag) in others {
            say(&mut scene, PROXY, *phone, &cancel(branch).with("CANCEL sip:bob@b.example SIP/2.0"));
            say(&mut scene, *phone, PROXY, &Text { to_tag: tag, ..cancel(branch) }.with("SIP/2.0 200 OK"));
            say(&mut scene, *phone, PROXY, &text(branch, tag).with("SIP/2.0 487 Request Terminated"));
            let ack = Text { cseq: "1 ACK", ..text(branch, tag) };
            say(&mut scene, PROXY, *phone, &ack.with("ACK sip:bob@b.example SIP/2.0"));
        }
        for again in 0..4 {
            scene.wait((SECOND / 2) << again);
            say(&mut scene, PROXY, silent.0, &cancel_silent);
            if again < 3 {
                answer(&mut scene, &mut say);
            }
        }
        scene.wait(60 * SECOND);
        let (records, ..) = scene.end();
        let [record] = records.as_slice() else { panic!("{records:#?}") };
        let counts = (record.messages, record.retransmissions, record.duplicates);
        assert_eq!(counts, (sent, 4 + 2 * 3, 0), "{phones}");
        for (code, words) in [("no_cancel_answer", "sent 5 times"), ("no_ack", "sent 3 times again")] {
            let found = record.findings.iter().find(|it| it.code == code);
            assert!(found.is_some_and(|it| it.text.contains(words)), "{phones}: {:#?}", record.findings);
        }
    }
}
