//! A proxy that rings many phones at once (RFC 3261 16.6).

use super::tests::{INVITE, SECOND, Scene, Text, sdp};
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
