//! Captures of one direction: half of a mirrored port, or one of two ways. What the other side said and sent is not known.

use super::tests::{one, reinvite, said};
use super::*;
use crate::call::record::CallRecord;
use crate::call::tests::{INVITE, SECOND, Scene, Text, bye, sdp};

use Side::{Callee, Caller};

/// What is captured of a call: messages and audio of these sides.
struct Captured<'a> {
    sip: &'a [Side],
    rtp: &'a [Side],
}

impl Captured<'_> {
    fn message(&self, scene: &mut Scene, by: Side, text: &str) {
        let (from, to) = if by == Caller { (1, 2) } else { (2, 1) };
        if self.sip.contains(&by) {
            scene.send(from, to, text);
        } else {
            scene.wait(100);
        }
    }

    fn speak(&self, scene: &mut Scene, numbers: std::ops::Range<u16>) {
        for number in numbers {
            for side in self.rtp {
                let ends = [(1, 4000), (2, 5000)];
                let [from, to] = if *side == Caller { ends } else { [ends[1], ends[0]] };
                scene.rtp(from, to, number);
            }
        }
    }

    /// The session of RFC 3665 3.1 with early media of the callee (RFC 3960 3.2), and 4 s of conversation.
    fn call(&self) -> CallRecord {
        let mut scene = Scene::plain();
        let described = |host, port, to_tag| Text { body: sdp(host, port), to_tag, ..Text::default() };
        self.message(&mut scene, Caller, &described(1, 4000, "").with(INVITE));
        let callee = described(2, 5000, "bob");
        self.message(&mut scene, Callee, &callee.with("SIP/2.0 183 Session Progress"));
        Captured { rtp: if self.rtp.contains(&Callee) { &[Callee] } else { &[] }, ..*self }
            .speak(&mut scene, 0..20);
        self.message(&mut scene, Callee, &callee.with("SIP/2.0 200 OK"));
        let ack = Text { to_tag: "bob", cseq: "1 ACK", branch: "ack", ..Text::default() };
        self.message(&mut scene, Caller, &ack.with("ACK sip:bob@192.0.2.2 SIP/2.0"));
        self.speak(&mut scene, 20..220);
        let hang_up = Text { to_tag: "bob", cseq: "2 BYE", branch: "bye", ..Text::default() };
        self.message(&mut scene, Caller, &hang_up.with("BYE sip:bob@192.0.2.2 SIP/2.0"));
        self.message(&mut scene, Callee, &hang_up.with("SIP/2.0 200 OK"));
        one(scene)
    }
}

/// What is found but for quality: two who take turns are slow.
fn found(record: &CallRecord) -> Vec<&'static str> {
    let codes = record.findings.iter().map(|finding| finding.code);
    codes.filter(|code| !["packet_loss", "poor_quality"].contains(code)).collect()
}

/// RFC 3264 5.1: who sends what, the descriptions of both sides tell together.
#[test]
fn the_audio_of_a_side_that_is_not_captured_is_not_missed() {
    let both = &[Caller, Callee][..];
    for (sip, rtp, expected) in [
        (both, both, vec![]),
        (both, &[Caller][..], vec!["one_way_audio"]),
        (both, &[Callee], vec!["one_way_audio"]),
        (&[Caller], &[Caller], vec![]),
        (&[Callee], &[Callee], vec![]),
        (&[Caller], both, vec![]),
        (&[Callee], both, vec![]),
    ] {
        let record = Captured { sip, rtp }.call();
        assert_eq!(found(&record), expected, "{sip:?} {rtp:?}");
    }
}

/// RFC 4028 7.2, 10: a session is refreshed by the 2xx; half of a capture may have no more than the request.
#[test]
fn a_refresh_whose_answer_is_not_captured_counts() {
    for (sip, expected, refreshes) in
        [(&[Callee][..], vec![], 3), (&[Caller, Callee], vec!["session_not_refreshed"], 0)]
    {
        let captured = Captured { sip, rtp: &[] };
        let mut scene = Scene::plain();
        captured.message(&mut scene, Caller, &Text::default().with(INVITE));
        let extra = "Session-Expires: 90;refresher=uas\n";
        let answer = Text { to_tag: "bob", extra, ..Text::default() };
        captured.message(&mut scene, Callee, &answer.with("SIP/2.0 200 OK"));
        for number in 1..=3 {
            scene.wait(45 * SECOND);
            said(Callee, &format!("{number} UPDATE")).request(&mut scene);
        }
        scene.wait(45 * SECOND);
        bye(&mut scene, false);
        let record = one(scene);
        let found: Vec<_> = found(&record).into_iter().filter(|code| *code != "no_rtp").collect();
        assert_eq!(found, expected, "{sip:?}");
        assert_eq!(record.signalling.session_timer.unwrap().refreshes, refreshes, "{sip:?}");
    }
}

/// RFC 3264 8.4: who is on hold sends nothing. Music begins at once, or the conversation does.
#[test]
fn music_on_hold_is_not_audio_one_way() {
    for (is_held, expected) in [(true, vec![]), (false, vec!["one_way_audio"])] {
        let mut scene = super::tests::established();
        if is_held {
            reinvite(&mut scene, Callee, 1, "sendonly", "200 OK", "recvonly");
        }
        Captured { sip: &[], rtp: &[Callee] }.speak(&mut scene, 0..200);
        bye(&mut scene, false);
        assert_eq!(found(&one(scene)), expected, "{is_held}");
    }
}
