//! Signalling as the RFCs draw it, each fault with what is like it and none.

use super::*;
use crate::call::findings::Finding;
use crate::call::record::{CallRecord, CallResult};
use crate::call::tests::{INVITE, SECOND, Scene, Text, answer, bye, sdp};
use crate::call::{Census, Settings};
use crate::time::Timestamp;

/// A request or an answer of one end. The caller is host 1, the callee host 2.
pub(super) struct Said<'a> {
    by: Side,
    cseq: &'a str,
    extra: &'a str,
    body: String,
}

pub(super) fn said<'a>(by: Side, cseq: &'a str) -> Said<'a> {
    Said { by, cseq, extra: "", body: String::new() }
}

impl<'a> Said<'a> {
    fn extra(self, extra: &'a str) -> Self {
        Self { extra, ..self }
    }

    pub(super) fn audio(self, direction: &str) -> Self {
        let host = if self.by == Side::Caller { 1 } else { 2 };
        Self { body: format!("{}a={direction}\n", sdp(host, 4000)), ..self }
    }

    /// Inside the dialog.
    pub(super) fn request(&self, scene: &mut Scene) {
        self.say(scene, self.by, "bob", &format!("{} sip:peer@192.0.2.9 SIP/2.0", self.method()));
    }

    /// The answer to what `by` said: it comes from the other end.
    pub(super) fn answered(&self, scene: &mut Scene, status: &str) {
        self.say(scene, self.by.other(), "bob", &format!("SIP/2.0 {status}"));
    }

    fn method(&self) -> &'a str {
        self.cseq.split(' ').nth(1).unwrap()
    }

    fn say(&self, scene: &mut Scene, sender: Side, callee: &str, start: &str) {
        let (from_tag, to_tag) = if self.by == Side::Caller { ("alice", callee) } else { (callee, "alice") };
        let (from, to) = if sender == Side::Caller { (1, 2) } else { (2, 1) };
        let branch = format!("{}-{}", self.cseq.replace(' ', "-"), self.by.name());
        let text = Text {
            from_tag,
            to_tag,
            branch: &branch,
            cseq: self.cseq,
            extra: self.extra,
            body: self.body.clone(),
            ..Text::default()
        };
        scene.send(from, to, &text.with(start));
    }
}

pub(super) fn established() -> Scene {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    scene
}

pub(super) fn one(scene: Scene) -> CallRecord {
    let (mut records, ..) = scene.end();
    assert_eq!(records.len(), 1, "{records:#?}");
    records.remove(0)
}

/// Codes of what is found, media aside: there is none in these scenes.
pub(super) fn codes(record: &CallRecord) -> Vec<&'static str> {
    record.findings.iter().map(|finding| finding.code).filter(|code| *code != "no_rtp").collect()
}

/// A re-INVITE with its answer and ACK.
pub(super) fn reinvite(scene: &mut Scene, by: Side, number: u32, offer: &str, status: &str, reply: &str) {
    let cseq = format!("{number} INVITE");
    let invite = said(by, &cseq).audio(offer);
    invite.request(scene);
    let body = if reply.is_empty() { String::new() } else { format!("{}a={reply}\n", sdp(9, 5000)) };
    Said { body, ..said(by, &cseq) }.answered(scene, status);
    said(by, &format!("{number} ACK")).request(scene);
}

#[test]
fn a_hold_lasts_until_it_is_taken_back() {
    let mut scene = established();
    reinvite(&mut scene, Side::Callee, 1, "sendonly", "200 OK", "recvonly");
    scene.wait(5 * SECOND);
    reinvite(&mut scene, Side::Callee, 2, "sendrecv", "200 OK", "sendrecv");
    reinvite(&mut scene, Side::Caller, 2, "inactive", "200 OK", "inactive");
    scene.wait(SECOND);
    bye(&mut scene, true);
    let record = one(scene);
    // From 200 to 200: the ACK, 5 s, the next re-INVITE. From the 200 to the BYE: the ACK and 1 s.
    let expected = [
        HoldRecord { by: Side::Caller, count: 1, seconds: 1.2 },
        HoldRecord { by: Side::Callee, count: 1, seconds: 5.3 },
    ];
    assert_eq!(record.signalling.holds, expected);
    assert_eq!(codes(&record), [""; 0], "who held hung up");
}

#[test]
fn what_is_no_hold() {
    let mut scene = established();
    // Refused; and who is held says so by himself.
    reinvite(&mut scene, Side::Caller, 2, "sendonly", "488 Not Acceptable Here", "");
    reinvite(&mut scene, Side::Callee, 1, "recvonly", "200 OK", "sendonly");
    reinvite(&mut scene, Side::Caller, 3, "sendrecv", "200 OK", "sendrecv");
    bye(&mut scene, true);
    let record = one(scene);
    assert_eq!((record.signalling.holds.len(), record.reinvites), (0, 3), "{:?}", record.signalling);
}

/// RFC 2543 B.5 held with the address 0.0.0.0; RFC 3261 14.1 lets the answer offer when the request does not.
#[test]
fn a_hold_by_address_and_one_that_the_answer_offers() {
    let mut scene = established();
    let invite = said(Side::Caller, "2 INVITE").audio("sendrecv");
    let body = invite.body.replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0");
    Said { body, ..said(Side::Caller, "2 INVITE") }.request(&mut scene);
    said(Side::Caller, "2 INVITE").answered(&mut scene, "200 OK");
    said(Side::Caller, "3 INVITE").request(&mut scene);
    said(Side::Caller, "3 INVITE").audio("sendonly").answered(&mut scene, "200 OK");
    scene.wait(2 * SECOND);
    bye(&mut scene, true);
    let record = one(scene);
    let held: Vec<_> = record.signalling.holds.iter().map(|hold| (hold.by, hold.count)).collect();
    assert_eq!(held, [(Side::Caller, 1), (Side::Callee, 1)]);
    let [finding] =
        record.findings.iter().filter(|it| it.code == "abandoned_on_hold").collect::<Vec<_>>()[..]
    else {
        panic!("{:?}", record.findings)
    };
    assert_eq!(finding.text, "the caller hung up after 2.1 s on hold");
    assert_eq!((finding.time, finding.message.as_deref()), (record.end, Some("BYE")));
}

/// A re-INVITE that leaves the offer to the 200, and the answer in its ACK (RFC 3261 13.2.1, 14.1).
pub(super) fn late_offer(scene: &mut Scene, by: Side, number: u32, offer: &str, answer: &str) {
    let (invite, ack) = (format!("{number} INVITE"), format!("{number} ACK"));
    said(by, &invite).request(scene);
    said(by, &invite).audio(offer).answered(scene, "200 OK");
    said(by, &ack).audio(answer).request(scene);
}

/// RFC 3264 8.4: who answers an offer with `sendonly` or `inactive` holds who made it, if there was a choice: to an offer without
/// `send` no other answer is allowed (6.1).
#[test]
fn who_answers_in_the_ack_may_hold_by_it() {
    for by in [Side::Caller, Side::Callee] {
        let mut scene = established();
        late_offer(&mut scene, by, 2, "sendrecv", "sendonly");
        scene.wait(10 * SECOND);
        late_offer(&mut scene, by, 3, "recvonly", "sendonly");
        scene.wait(5 * SECOND);
        late_offer(&mut scene, by, 4, "sendrecv", "sendrecv");
        scene.wait(5 * SECOND);
        late_offer(&mut scene, by, 5, "recvonly", "sendonly");
        scene.wait(5 * SECOND);
        bye(&mut scene, true);
        let record = one(scene);
        // From ACK to ACK: three transactions of 0.3 s less the first two messages, and 15 s.
        assert_eq!(record.signalling.holds, [HoldRecord { by, count: 1, seconds: 15.6 }]);
        assert_eq!((codes(&record), record.reinvites), (vec![], 4));
    }
}

/// As a call manager does it, which stops the media first.
#[test]
fn a_hold_that_a_call_manager_makes_in_two_steps_ends_the_same_way() {
    for resumes in [true, false] {
        let mut scene = established();
        reinvite(&mut scene, Side::Caller, 2, "inactive", "200 OK", "inactive");
        late_offer(&mut scene, Side::Caller, 3, "sendrecv", "sendonly");
        scene.wait(10 * SECOND);
        if resumes {
            reinvite(&mut scene, Side::Caller, 4, "inactive", "200 OK", "inactive");
            late_offer(&mut scene, Side::Caller, 5, "sendrecv", "sendrecv");
            scene.wait(45 * SECOND);
        }
        bye(&mut scene, false);
        let record = one(scene);
        let held: Vec<_> = record.signalling.holds.iter().map(|hold| (hold.by, hold.count)).collect();
        assert_eq!(held, [(Side::Caller, 1)]);
        let seconds = record.signalling.holds[0].seconds;
        assert!((10.0..11.5).contains(&seconds), "{seconds}");
        assert_eq!(codes(&record), if resumes { vec![] } else { vec!["abandoned_on_hold"] });
    }
}

/// The consultation of an attended transfer (RFC 5589 7.3): who asked for advice holds it and then lets it be replaced.
fn consulted() -> Scene {
    let mut scene = established();
    reinvite(&mut scene, Side::Caller, 2, "sendonly", "200 OK", "recvonly");
    scene.wait(SECOND);
    scene
}

/// The transferee's INVITE to the target (RFC 3891 4), and the answer.
fn replaces(scene: &mut Scene, status: &str) {
    let text = |to_tag| Text {
        call_id: "c2",
        branch: "carol",
        from_tag: "carol",
        to_tag,
        extra: "Replaces: c1;to-tag=bob;from-tag=alice\n",
        ..Text::default()
    };
    scene.send(3, 2, &text("").with("INVITE sip:bob@192.0.2.2 SIP/2.0"));
    scene.send(2, 3, &text("bob2").with(&format!("SIP/2.0 {status}")));
}

/// An INVITE by somebody who knows the Call-ID alone, and an answer to it.
fn strangers(call_id: &'static str, to_tag: &'static str) -> Text<'static> {
    Text {
        call_id,
        branch: "mallory",
        from_tag: "mallory",
        to_tag,
        extra: "Replaces: c1;to-tag=nope;from-tag=alice\n",
        ..Text::default()
    }
}

/// The codes of the call c1 that `bob`, who was on hold, ended.
fn codes_of_consultation(mut scene: Scene) -> Vec<&'static str> {
    bye(&mut scene, false);
    let (records, ..) = scene.end();
    codes(records.iter().find(|record| record.call_id == "c1").unwrap())
}

#[test]
fn who_was_replaced_did_not_give_up() {
    assert_eq!(codes_of_consultation(consulted()), ["abandoned_on_hold"]);
    let mut replaced = consulted();
    replaces(&mut replaced, "200 OK");
    assert_eq!(codes_of_consultation(replaced), [""; 0], "RFC 3891 3: it sends a BYE on the replaced dialog");
    let mut refused = consulted();
    replaces(&mut refused, "603 Decline");
    assert_eq!(codes_of_consultation(refused), ["abandoned_on_hold"], "it went on");
    // Who knows the Call-ID alone names another dialog (RFC 3891 3).
    let mut named = consulted();
    named.send(3, 2, &strangers("c2", "").with("INVITE sip:bob@192.0.2.2 SIP/2.0"));
    assert_eq!(codes_of_consultation(named), ["abandoned_on_hold"]);
    // Where only the REFER is captured, which is in the other call (RFC 5589 7.3).
    let mut referred = consulted();
    let refer = Text {
        call_id: "c3",
        branch: "refer",
        from_tag: "alice3",
        to_tag: "carol",
        cseq: "7 REFER",
        extra: "Refer-To: <sip:bob@b.example?Replaces=c%31%3Bto-tag%3Dbob%3Bfrom-tag%3Dalice>\n",
        ..Text::default()
    };
    referred.send(1, 3, &refer.with("REFER sip:carol@192.0.2.3 SIP/2.0"));
    assert_eq!(codes_of_consultation(referred), [""; 0]);
}

/// RFC 3515 2.4.2: "any final response" may answer a REFER; 2.4.5 and RFC 3420: the NOTIFY's body is the status of what was
/// referred to. Only what was not refused has the held one leave by a transfer.
#[test]
fn who_was_not_transferred_gave_up() {
    let rows: [(&str, &[&str], bool); 9] = [
        ("202 Accepted", &[], false),
        ("202 Accepted", &["100 Trying"], false),
        ("202 Accepted", &["100 Trying", "200 OK"], false),
        ("202 Accepted", &["180 Ringing", "486 Busy Here"], true),
        ("202 Accepted", &["503 Service Unavailable"], true),
        ("202 Accepted", &["603 Decline"], true),
        ("202 Accepted", &["200 OK", "603 Decline"], false),
        ("403 Forbidden", &[], true),
        ("603 Decline", &[], true),
    ];
    for (status, progress, is_refused) in rows {
        let expected = if is_refused { &["abandoned_on_hold"][..] } else { &[] };
        // In the call with carol; and in that with bob himself, whom the caller refers while he is on hold.
        let text = |from_tag, to_tag, cseq| Text {
            call_id: "c3",
            branch: cseq,
            from_tag,
            to_tag,
            cseq,
            ..Text::default()
        };
        let mut scene = consulted();
        let extra = "Refer-To: <sip:bob@b.example?Replaces=c1%3Bto-tag%3Dbob%3Bfrom-tag%3Dalice>\n";
        let refer = Text { extra, ..text("alice3", "carol", "7 REFER") };
        scene.send(1, 3, &refer.with("REFER sip:carol@192.0.2.3 SIP/2.0"));
        scene.send(3, 1, &text("alice3", "carol", "7 REFER").with(&format!("SIP/2.0 {status}")));
        for (cseq, status) in ["1 NOTIFY", "2 NOTIFY"].into_iter().zip(progress) {
            let body = format!("SIP/2.0 {status}\n");
            scene.send(
                3,
                1,
                &Text { body, ..text("carol", "alice3", cseq) }.with("NOTIFY sip:alice@192.0.2.1 SIP/2.0"),
            );
        }
        assert_eq!(codes_of_consultation(scene), expected, "{status} {progress:?}");
        let mut scene = consulted();
        let refer = said(Side::Caller, "7 REFER").extra("Refer-To: <sip:carol@c.example>\n");
        refer.request(&mut scene);
        said(Side::Caller, "7 REFER").answered(&mut scene, status);
        for (cseq, status) in ["1 NOTIFY", "2 NOTIFY"].into_iter().zip(progress) {
            Said { body: format!("SIP/2.0 {status}\n"), ..said(Side::Callee, cseq) }.request(&mut scene);
        }
        let mut codes = codes_of_consultation(scene);
        codes.retain(|code| *code != "transfer_failed");
        assert_eq!(codes, expected, "{status} {progress:?}");
    }
}

/// What names the dialog by other tags neither replaces it nor gives it back.
#[test]
fn a_stranger_s_refusal_changes_nothing() {
    let mut scene = consulted();
    replaces(&mut scene, "200 OK");
    scene.send(3, 2, &strangers("c4", "").with("INVITE sip:bob@192.0.2.2 SIP/2.0"));
    scene.send(2, 3, &strangers("c4", "bob4").with("SIP/2.0 481 Call/Transaction Does Not Exist"));
    assert_eq!(codes_of_consultation(scene), [""; 0]);
}

/// RFC 3515 and RFC 3420: the NOTIFY's body says what became of the transfer.
#[test]
fn transfers_and_their_outcomes() {
    let refer = |scene: &mut Scene, number: u32, to: &str, status: &str| {
        let cseq = format!("{number} REFER");
        let extra = format!("Refer-To: <{to}>\n");
        said(Side::Callee, &cseq).extra(&extra).request(scene);
        said(Side::Callee, &cseq).answered(scene, status);
    };
    let notify = |scene: &mut Scene, number: u32, fragment: &str| {
        let cseq = format!("{number} NOTIFY");
        let notify = Said { body: format!("{fragment}\n"), ..said(Side::Caller, &cseq) };
        notify.request(scene);
        said(Side::Caller, &cseq).answered(scene, "200 OK");
    };
    let mut scene = established();
    refer(&mut scene, 1, "sip:carol@c.example?Replaces=x%40y%3Bto-tag%3D1", "202 Accepted");
    notify(&mut scene, 5, "SIP/2.0 100 Trying");
    notify(&mut scene, 6, "SIP/2.0 200 OK");
    refer(&mut scene, 2, "sip:+49301234@c.example", "202 Accepted");
    notify(&mut scene, 7, "SIP/2.0 486 Busy Here");
    refer(&mut scene, 3, "sip:dave@c.example", "403 Forbidden");
    refer(&mut scene, 4, "tel:112", "407 Proxy Authentication Required");
    refer(&mut scene, 5, "tel:112", "202 Accepted");
    notify(&mut scene, 8, "GET / HTTP/1.1");
    bye(&mut scene, false);
    let record = one(scene);
    let told: Vec<_> = record
        .signalling
        .transfers
        .iter()
        .map(|it| (it.by, it.to.as_str(), it.attended, it.status_code))
        .collect();
    let expected = [
        (Side::Callee, "carol", true, Some(200)),
        (Side::Callee, "+49301234", false, Some(486)),
        (Side::Callee, "dave", false, Some(403)),
        (Side::Callee, "112", false, None),
    ];
    assert_eq!(told, expected);
    assert_eq!(codes(&record), ["transfer_failed", "transfer_failed"]);
    assert_eq!(record.findings[0].text, "the callee's transfer failed: 486");
}

/// RFC 3515 2.4.4 and RFC 5057 4.2: the subscription that a REFER makes outlives the BYE, for as long as its NOTIFYs say.
#[test]
fn a_transfer_may_fail_long_after_the_bye() {
    let mut expected = Vec::new();
    let mut told = Vec::new();
    for (state, wait, is_known) in [
        ("active;expires=60", 55, true),
        ("active", 170, true),
        ("active;expires=60", 110, false),
        ("active;expires=4000000000", 590, true),
        ("active;expires=4000000000", 700, false),
        ("terminated;reason=noresource", 55, false),
    ] {
        let mut scene = established();
        said(Side::Callee, "2 REFER").extra("Refer-To: <sip:carol@c.example>\n").request(&mut scene);
        said(Side::Callee, "2 REFER").answered(&mut scene, "202 Accepted");
        let notify = |scene: &mut Scene, cseq: &str, state: &str, status: &str| {
            let extra = format!("Event: refer\nSubscription-State: {state}\n");
            let body = format!("SIP/2.0 {status}\n");
            Said { body, ..said(Side::Caller, cseq).extra(&extra) }.request(scene);
            said(Side::Caller, cseq).answered(scene, "200 OK");
        };
        notify(&mut scene, "5 NOTIFY", state, "100 Trying");
        bye(&mut scene, false);
        scene.wait(wait * SECOND);
        notify(&mut scene, "6 NOTIFY", "terminated;reason=noresource", "480 Temporarily Unavailable");
        scene.wait(33 * SECOND);
        assert_eq!(scene.tracker.len(), usize::from(!is_known), "{state} {wait}");
        let record = scene.end().0.remove(0);
        told.push((record.signalling.transfers[0].status_code, codes(&record)));
        let (status, codes) = if is_known { (480, vec!["transfer_failed"]) } else { (100, vec![]) };
        expected.push((Some(status), codes));
    }
    assert_eq!(told, expected);
}

/// RFC 3515 2.4.6: of several REFERs `id` of Event tells which one a NOTIFY is about, by its CSeq number.
#[test]
fn each_of_two_transfers_has_its_own_outcome() {
    for (first, second) in
        [("Event: refer;id=2\n", "Event: refer;id=3\n"), ("o: refer\n", "o: refer ; ID=3\n")]
    {
        let mut scene = established();
        for (cseq, to) in [("2 REFER", "Refer-To: <sip:carol@x>\n"), ("3 REFER", "Refer-To: <sip:dave@x>\n")]
        {
            said(Side::Caller, cseq).extra(to).request(&mut scene);
            said(Side::Caller, cseq).answered(&mut scene, "202 Accepted");
        }
        for (number, event, status) in [
            (1, first, "180 Ringing"),
            (2, second, "200 OK"),
            (3, second, "603 Decline"),
            (4, first, "487 Gone"),
        ] {
            let cseq = format!("{number} NOTIFY");
            let body = format!("SIP/2.0 {status}\n");
            Said { body, ..said(Side::Callee, &cseq).extra(event) }.request(&mut scene);
        }
        let told = one(scene).signalling.transfers;
        let told: Vec<_> = told.iter().map(|it| (it.to.as_str(), it.status_code)).collect();
        assert_eq!(told, [("carol", Some(487)), ("dave", Some(200))], "{first}");
    }
}

#[test]
fn a_call_that_takes_the_place_of_another_says_so() {
    let mut scene = Scene::plain();
    let extra = "Replaces: other@192.0.2.7;to-tag=a;from-tag=b\n";
    scene.send(1, 2, &Text { extra, ..Text::default() }.with(INVITE));
    assert_eq!(one(scene).signalling.replaces.as_deref(), Some("other@192.0.2.7"));
}

#[test]
fn both_ends_at_once_is_glare_and_one_after_the_other_is_not() {
    let mut scene = established();
    let (caller, callee) = (said(Side::Caller, "2 INVITE"), said(Side::Callee, "1 INVITE"));
    caller.request(&mut scene);
    callee.request(&mut scene);
    caller.answered(&mut scene, "491 Request Pending");
    callee.answered(&mut scene, "491 Request Pending");
    callee.answered(&mut scene, "491 Request Pending");
    bye(&mut scene, true);
    let record = one(scene);
    assert_eq!((record.signalling.glares, codes(&record)), (2, vec!["glare"]));
    let mut scene = established();
    reinvite(&mut scene, Side::Caller, 2, "sendrecv", "200 OK", "sendrecv");
    reinvite(&mut scene, Side::Callee, 1, "sendrecv", "500 Server Internal Error", "");
    bye(&mut scene, true);
    assert_eq!(codes(&one(scene)), ["change_refused"]);
}

#[test]
fn a_cancel_that_crosses_the_answer() {
    let cancel = |branch| {
        Text { branch, cseq: "1 CANCEL", ..Text::default() }.with("CANCEL sip:bob@b.example SIP/2.0")
    };
    let ok = |to_tag| Text { to_tag, ..Text::default() }.with("SIP/2.0 200 OK");
    for answer_first in [true, false] {
        let mut scene = Scene::plain();
        scene.send(1, 2, &Text::default().with(INVITE));
        let mut messages = [(2, 1, ok("bob")), (1, 2, cancel("b1"))];
        if !answer_first {
            messages.reverse();
        }
        messages.iter().for_each(|(from, to, text)| scene.send(*from, *to, text));
        let record = one(scene);
        assert_eq!((codes(&record), record.answered.is_some()), (vec!["cancel_race"], true));
    }
    // A proxy that has its answer cancels the other branch.
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    scene.send(1, 3, &Text { branch: "b2", ..Text::default() }.with(INVITE));
    scene.send(2, 1, &ok("bob"));
    scene.send(1, 3, &cancel("b2"));
    assert_eq!(codes(&one(scene)), [""; 0]);
}

/// Sent again until something answers (RFC 3261 17.1.2.2); each hop does so by itself (16.10), and 408 says that nothing did.
#[test]
fn a_cancel_that_nothing_answers() {
    let cancel = |branch| Text { branch, cseq: "1 CANCEL", ..Text::default() };
    let request = "CANCEL sip:bob@b.example SIP/2.0";
    for (copies, answer, expected) in [
        (3, None, vec!["no_cancel_answer"]),
        (3, Some("408 Request Timeout"), vec!["no_cancel_answer"]),
        (3, Some("200 OK"), vec![]),
        (3, Some("481 Call/Transaction Does Not Exist"), vec![]),
        (1, None, vec![]),
    ] {
        let mut scene = Scene::plain();
        scene.send(1, 2, &Text::default().with(INVITE));
        scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 180 Ringing"));
        scene.send(1, 2, &cancel("b1").with(request));
        for wait in [500, 1000].into_iter().take(copies - 1) {
            scene.wait(wait);
            scene.send(1, 2, &cancel("b1").with(request));
        }
        // Of the next hop, which answers.
        scene.send(2, 3, &cancel("b2").with(request));
        scene.send(3, 2, &cancel("b2").with("SIP/2.0 200 OK"));
        answer.iter().for_each(|status| scene.send(2, 1, &cancel("b1").with(&format!("SIP/2.0 {status}"))));
        scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 487 Request Terminated"));
        let record = one(scene);
        assert_eq!((codes(&record), record.result), (expected, CallResult::Cancelled), "{copies} {answer:?}");
    }
}

#[test]
fn two_branches_that_answer_and_one_answer_over_two_hops() {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    for tag in ["bob", "carol"] {
        scene.send(2, 1, &Text { to_tag: tag, ..Text::default() }.with("SIP/2.0 180 Ringing"));
    }
    scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 200 OK"));
    scene.send(1, 9, &Text { to_tag: "bob", branch: "b0", ..Text::default() }.with("SIP/2.0 200 OK"));
    let alone = Text { to_tag: "carol", ..Text::default() }.with("SIP/2.0 200 OK");
    scene.send(2, 1, &alone);
    let record = one(scene);
    assert_eq!((record.forks, record.signalling.early_dialogs), (2, 2));
    assert_eq!(codes(&record), ["answered_twice"]);
}

#[test]
fn an_ack_that_never_comes_and_one_that_is_late() {
    for (acknowledged, expected) in [(false, vec!["no_ack"]), (true, vec![])] {
        let mut scene = Scene::plain();
        scene.send(1, 2, &Text::default().with(INVITE));
        for wait in [500, 1000, 2000] {
            scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 200 OK"));
            scene.wait(wait);
        }
        if acknowledged {
            said(Side::Caller, "1 ACK").request(&mut scene);
        }
        bye(&mut scene, false);
        let record = one(scene);
        assert_eq!(codes(&record), expected);
        let [hop] = record.signalling.retransmissions_by_hop[..] else { panic!("{:?}", record.signalling) };
        assert_eq!((hop.source.to_string().as_str(), hop.retransmissions), ("192.0.2.2:5060", 2));
    }
}

#[test]
fn nothing_at_all_is_told_from_ringing_for_ever() {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    scene.wait(500);
    scene.send(1, 2, &Text::default().with(INVITE));
    scene.wait(40 * SECOND);
    let record = one(scene);
    assert_eq!((codes(&record), record.result), (vec!["no_response"], CallResult::Timeout));
    assert_eq!(record.findings[0].text, "nothing answered the INVITE, sent 2 times");
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 180 Ringing"));
    scene.wait(610 * SECOND);
    assert_eq!(codes(&one(scene)), ["no_final_answer"]);
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    scene.wait(20 * SECOND);
    assert_eq!(codes(&one(scene)), [""; 0], "it may still be answered");
}

/// RFC 3261 17.1.1.2: the client sends its INVITE again until the first answer, and a provisional one is enough.
#[test]
fn who_gives_up_before_anything_answered() {
    let trying = || Text::default().with("SIP/2.0 100 Trying");
    for (copies, is_tried, expected) in
        [(3, false, vec!["no_response"]), (2, false, vec![]), (3, true, vec!["no_final_answer"])]
    {
        let mut scene = Scene::plain();
        for wait in [400, 900, 1900].into_iter().take(copies) {
            scene.send(1, 2, &Text::default().with(INVITE));
            scene.wait(wait);
        }
        if is_tried {
            scene.send(2, 1, &trying());
        }
        let cancel = Text { cseq: "1 CANCEL", ..Text::default() };
        scene.send(1, 2, &cancel.with("CANCEL sip:bob@b.example SIP/2.0"));
        scene.wait(40 * SECOND);
        let record = one(scene);
        assert_eq!((codes(&record), record.result), (expected, CallResult::Cancelled), "{copies} {is_tried}");
        let told = record.findings.first().filter(|it| it.code == "no_response");
        assert!(told.is_none_or(|it| it.time == Some(record.start)), "{told:?}");
    }
}

/// RFC 3261 17.1.1.2: sent for the seventh time 31.5 s after the first, and given up at 32 s. A call's file ends with that.
#[test]
fn what_was_sent_for_the_last_time_is_over_when_the_input_is() {
    for (copies, expected) in [(7, CallResult::Timeout), (6, CallResult::Open)] {
        let mut scene = Scene::plain();
        for wait in [0, 400, 900, 1900, 3900, 7900, 15_900].into_iter().take(copies) {
            scene.wait(wait);
            scene.send(1, 2, &Text::default().with(INVITE));
        }
        let record = one(scene);
        assert_eq!(record.result, expected, "{copies}");
        let found = if expected == CallResult::Timeout { vec!["no_response"] } else { vec![] };
        assert_eq!(codes(&record), found);
        let lasted = record.end.map(|end| end.since(record.start).as_secs());
        assert_eq!(lasted, (expected == CallResult::Timeout).then_some(32));
    }
}

/// What answered an earlier try is no answer to the latest, and a finding has the time of the message that it names.
#[test]
fn a_try_that_nothing_answers_is_told_by_itself() {
    let mut scene = Scene::new(Settings { registrations: true, ..Settings::default() });
    register(&mut scene, 1, 1, 60, "200 OK", "Contact: <sip:alice@192.0.2.1>;expires=60\n");
    scene.wait(10 * SECOND);
    let again = Text { branch: "r2", cseq: "2 REGISTER", ..Text::default() };
    scene.send(1, 2, &again.with("REGISTER sip:b.example SIP/2.0"));
    scene.wait(40 * SECOND);
    let record = one(scene);
    assert_eq!(codes(&record), ["no_response"]);
    let since = |finding: &Finding| finding.time.unwrap().since(record.start).as_secs();
    assert_eq!(since(&record.findings[0]), 10);
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    scene.wait(3 * SECOND);
    scene.send(
        2,
        1,
        &Text { to_tag: "proxy", ..Text::default() }.with("SIP/2.0 407 Proxy Authentication Required"),
    );
    scene.wait(190 * SECOND);
    let record = one(scene);
    assert_eq!(codes(&record), ["authentication_failed"]);
    assert_eq!(record.end.unwrap().since(record.start).as_secs(), 3);
    assert_eq!(record.findings[0].time.unwrap().since(record.start).as_secs(), 3);
}

#[test]
fn a_bye_that_nothing_answers() {
    // At 31.5 s it is sent for the last time (RFC 3261 17.1.2.2).
    for (after, expected) in [
        (40 * SECOND, vec!["no_bye_answer"]),
        (30_800, vec!["no_bye_answer"]),
        (29 * SECOND, vec![]),
        (5 * SECOND, vec![]),
    ] {
        let mut scene = established();
        let bye = said(Side::Caller, "2 BYE");
        bye.request(&mut scene);
        scene.wait(500);
        bye.request(&mut scene);
        scene.wait(after);
        assert_eq!(codes(&one(scene)), expected);
    }
    let mut scene = established();
    bye(&mut scene, true);
    scene.wait(20 * SECOND);
    let record = one(scene);
    assert_eq!((codes(&record), record.signalling.disconnect_seconds), (vec![], Some(0.1)));
}

/// RFC 3262: a reliable provisional answer has RSeq, its PRACK names it in RAck.
#[test]
fn reliable_answers_wait_for_their_prack() {
    for (rack, waiting) in [("7 1 INVITE", 0), ("8 1 INVITE", 1)] {
        let mut scene = Scene::plain();
        scene.send(1, 2, &Text::default().with(INVITE));
        let extra = "Require: 100rel\nRSeq: 7\n";
        scene.send(
            2,
            1,
            &Text { to_tag: "bob", extra, ..Text::default() }.with("SIP/2.0 183 Session Progress"),
        );
        let rack = format!("RAck: {rack}\n");
        let prack = said(Side::Caller, "2 PRACK").extra(&rack);
        prack.request(&mut scene);
        prack.answered(&mut scene, "200 OK");
        scene.wait(SECOND);
        scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 200 OK"));
        let record = one(scene);
        let told = &record.signalling;
        assert_eq!((told.reliable_provisionals, told.unacknowledged_provisionals), (1, waiting));
        assert_eq!(codes(&record), vec!["prack_missing"; waiting as usize]);
    }
}

/// A capture of several queues may have the PRACK first; one of the answers alone has none.
#[test]
fn a_prack_that_comes_first_or_goes_another_way_is_not_missed() {
    for (is_captured, is_overtaken) in [(true, true), (false, false)] {
        let mut scene = Scene::plain();
        let rack = said(Side::Caller, "2 PRACK").extra("RAck: 7 1 INVITE\n");
        if is_captured {
            scene.send(1, 2, &Text::default().with(INVITE));
        }
        if is_overtaken {
            rack.request(&mut scene);
        }
        let reliable = Text { to_tag: "bob", extra: "Require: 100rel\nRSeq: 7\n", ..Text::default() };
        scene.send(2, 1, &reliable.with("SIP/2.0 183 Session Progress"));
        rack.answered(&mut scene, "200 OK");
        scene.wait(SECOND);
        scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 200 OK"));
        let record = one(scene);
        let told = (record.signalling.reliable_provisionals, record.signalling.unacknowledged_provisionals);
        assert_eq!((told, codes(&record)), ((1, 0), vec![]), "{is_captured}");
    }
}

/// RFC 4028 10: who does not refresh sends its BYE 32 s before a session of 1800 s expires.
#[test]
fn a_session_that_nobody_refreshes() {
    let accept = |scene: &mut Scene, timer: &str| {
        scene.send(1, 2, &Text::default().with(INVITE));
        let extra = format!("Session-Expires: {timer}\n");
        scene.send(2, 1, &Text { to_tag: "bob", extra: &extra, ..Text::default() }.with("SIP/2.0 200 OK"));
        said(Side::Caller, "1 ACK").request(scene);
    };
    for (seconds, expected) in [
        (1760, vec![]),
        (1768, vec!["session_expired"]),
        (1800, vec!["session_expired"]),
        (1900, vec!["session_not_refreshed"]),
    ] {
        let mut scene = Scene::plain();
        accept(&mut scene, "1800;refresher=uac");
        scene.wait((seconds * 1000) - 200);
        bye(&mut scene, false);
        assert_eq!(codes(&one(scene)), expected, "{seconds}");
    }
    let mut scene = Scene::plain();
    accept(&mut scene, "90;refresher=uas");
    scene.wait(45 * SECOND);
    let refresh = said(Side::Callee, "1 UPDATE").extra("Session-Expires: 90;refresher=uac\n");
    refresh.request(&mut scene);
    refresh.answered(&mut scene, "200 OK");
    scene.wait(50 * SECOND);
    bye(&mut scene, true);
    let record = one(scene);
    assert_eq!(codes(&record), [""; 0], "45 s after its refresh");
    let timer = record.signalling.session_timer.unwrap();
    assert_eq!((timer.interval_seconds, timer.refresher, timer.refreshes), (Some(90), Some(Side::Callee), 1));
}

#[test]
fn an_interval_that_is_too_small_is_asked_again_and_is_one_attempt() {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text { extra: "x: 60\n", ..Text::default() }.with(INVITE));
    let refusal = Text { to_tag: "p", extra: "Min-SE: 90\n", ..Text::default() };
    scene.send(2, 1, &refusal.with("SIP/2.0 422 Session Interval Too Small"));
    let again = Text { cseq: "2 INVITE", branch: "b2", ..Text::default() };
    scene.send(1, 2, &again.with(INVITE));
    scene.send(2, 1, &Text { to_tag: "bob", ..again }.with("SIP/2.0 200 OK"));
    let record = one(scene);
    assert_eq!((codes(&record), record.status_code), (vec!["session_interval_too_small"], Some(200)));
    assert_eq!(record.signalling.session_timer.unwrap().min_seconds, Some(90));
}

#[test]
fn all_reasons_are_told() {
    let mut scene = established();
    let extra = "Reason: SIP;cause=503\nReason: Q.850;cause=38\n";
    let hang_up = said(Side::Callee, "1 BYE").extra(extra);
    hang_up.request(&mut scene);
    hang_up.answered(&mut scene, "200 OK");
    let record = one(scene);
    let told: Vec<_> =
        record.signalling.end_causes.iter().map(|it| (it.protocol.as_str(), it.cause)).collect();
    assert_eq!(told, [("SIP", Some(503)), ("Q.850", Some(38))]);
    assert_eq!(codes(&record), ["network_fault"]);
    assert!(record.findings[0].text.ends_with("38, network out of order"));
}

#[test]
fn answers_are_timed_by_transaction() {
    let mut scene = established();
    scene.wait(SECOND);
    let options = said(Side::Callee, "1 INFO");
    options.request(&mut scene);
    scene.wait(300);
    options.answered(&mut scene, "200 OK");
    bye(&mut scene, true);
    let (records, _, census) = scene.end();
    let told: Vec<_> =
        records[0].signalling.response_seconds.iter().map(|(method, took)| (*method, *took)).collect();
    assert_eq!(told, [("BYE", 0.1), ("INFO", 0.4), ("INVITE", 0.1)]);
    let run: Vec<_> = census.performance.responses().map(|(method, delay)| (method, delay.count)).collect();
    assert_eq!(run, [(Method::Invite, 1), (Method::Bye, 1), (Method::Info, 1)]);
}

/// RFC 3261 9.1, 17.1.3: a CANCEL has the branch of what it cancels, and is a transaction of its own.
#[test]
fn a_cancel_is_timed_apart_from_its_invite() {
    let mut scene = Scene::plain();
    let invite = Text::default();
    scene.send(1, 2, &invite.with(INVITE));
    let cancel = Text { cseq: "1 CANCEL", ..Text::default() };
    scene.send(1, 2, &cancel.with("CANCEL sip:bob@b.example SIP/2.0"));
    scene.wait(200);
    scene.send(2, 1, &Text { to_tag: "bob", ..cancel }.with("SIP/2.0 200 OK"));
    scene.wait(SECOND);
    scene.send(2, 1, &Text { to_tag: "bob", ..invite }.with("SIP/2.0 487 Request Terminated"));
    let record = one(scene);
    let told: Vec<_> = record.signalling.response_seconds.into_iter().collect();
    assert_eq!(told, [("CANCEL", 0.3), ("INVITE", 1.5)]);
}

pub(super) fn register(scene: &mut Scene, number: u32, from: u8, expires: u32, status: &str, listed: &str) {
    let (branch, cseq) = (format!("r{number}"), format!("{number} REGISTER"));
    let extra = format!("Contact: <sip:alice@192.0.2.1>;expires={expires}\n");
    let text = Text { branch: &branch, cseq: &cseq, extra: &extra, ..Text::default() };
    scene.send(from, 2, &text.with("REGISTER sip:b.example SIP/2.0"));
    let text = Text { to_tag: "r", extra: listed, ..text };
    scene.send(2, from, &text.with(&format!("SIP/2.0 {status}")));
}

/// A phone that stops refreshing, and comes back; one that goes; one behind a NAT.
#[test]
fn registrations_are_followed_to_their_end() {
    let settings = || Settings { registrations: true, ..Settings::default() };
    let listed = "Contact: <sip:alice@192.0.2.1>;expires=60\n";
    let mut scene = Scene::new(settings());
    register(&mut scene, 1, 1, 60, "200 OK", listed);
    scene.wait(30 * SECOND);
    register(&mut scene, 2, 1, 60, "200 OK", listed);
    scene.wait(72 * SECOND);
    register(&mut scene, 3, 1, 60, "200 OK", listed);
    scene.wait(SECOND);
    register(&mut scene, 4, 1, 0, "200 OK", "");
    let (records, _, census) = scene.end();
    let told: Vec<_> = records.iter().map(|record| record.signalling.registration.clone().unwrap()).collect();
    assert_eq!((told[0].refreshes, told[0].expires_seconds, told[0].late_seconds), (1, Some(60), None));
    // From the second 200: 60 s that it holds, 72.1 s and the way of the REGISTER until the third.
    assert_eq!((told[1].refreshes, told[1].expires_seconds, told[1].late_seconds), (0, Some(0), Some(12.2)));
    assert_eq!(codes(&records[1]), ["registered_late"]);
    let counts = census.bindings;
    assert_eq!((counts.added, counts.refreshed, counts.removed), (2, 1, 1));
    assert_eq!((counts.expired, counts.returned, counts.active), (1, 1, 0));

    let mut scene = Scene::new(settings());
    register(&mut scene, 1, 7, 60, "200 OK", listed);
    let record = one(scene);
    assert_eq!(codes(&record), ["contact_behind_nat"]);
    let mut scene = Scene::new(settings());
    register(&mut scene, 1, 1, 60, "403 Forbidden", "");
    assert_eq!(codes(&one(scene)), ["registration_refused"]);
}

/// RFC 3261 18.2.1, 20.42: a proxy adds its Via above those before it, and `received` where the one that it finds has not the address
/// that the message came from.
#[test]
fn behind_a_proxy_the_first_via_tells_where_a_register_came_from() {
    for (vias, from) in [
        ("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKu\n", None),
        ("v: SIP / 2.0 / UDP 192.0.2.1: 5060 ;branch=z9hG4bKu\n", None),
        ("Via: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bKe, SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKu\n", None),
        ("Via: SIP/2.0/UDP phone.example.com;branch=z9hG4bKu\n", None),
        ("Via: SIP/2.0/UDP 192.0.2.1;received=198.51.100.7;rport=9;branch=z9hG4bKu\n", Some("198.51.100.7")),
        ("Via: SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bKu\n", Some("2001:db8::1")),
        ("Via: SIP/2.0/UDP x;branch=z9hG4bKu;received=2001:db8::1\n", Some("2001:db8::1")),
        ("", Some("192.0.2.7:5060")),
    ] {
        let mut scene = Scene::new(Settings { registrations: true, ..Settings::default() });
        let extra = format!("{vias}Contact: <sip:alice@192.0.2.1>;expires=60\n");
        let text = Text { cseq: "1 REGISTER", extra: &extra, ..Text::default() };
        scene.send(7, 2, &text.with("REGISTER sip:b.example SIP/2.0"));
        scene.send(2, 7, &Text { to_tag: "r", ..text }.with("SIP/2.0 200 OK"));
        let record = one(scene);
        let text =
            |from| format!("the contact sip:alice@192.0.2.1 is not where the REGISTER came from, {from}");
        let found: Vec<_> = record.findings.iter().map(|it| it.text.clone()).collect();
        assert_eq!(found, from.map(text).into_iter().collect::<Vec<_>>(), "{vias}");
        assert_eq!(record.signalling.registration.unwrap().behind_nat, from.is_some(), "{vias}");
    }
}

/// RFC 3261 10.2.4: a refresh is a REGISTER for a binding "before it expires"; 10.2.2: one with 0 takes it away, and the next makes
/// another. Each row: what was asked for, and the refreshes among it.
#[test]
fn what_takes_a_binding_away_is_no_refresh() {
    let rows: [(&[u32], u32); 6] = [
        (&[60], 0),
        (&[60, 60], 1),
        (&[60, 0], 0),
        (&[0, 0], 0),
        (&[60, 60, 60, 0], 2),
        (&[60, 0, 60, 60], 1),
    ];
    for (asked, refreshes) in rows {
        let mut scene = Scene::new(Settings { registrations: true, ..Settings::default() });
        for (number, &expires) in (1..).zip(asked) {
            let listed = format!("Contact: <sip:alice@192.0.2.1>;expires={expires}\n");
            register(&mut scene, number, 1, expires, "200 OK", if expires == 0 { "" } else { &listed });
            scene.wait(SECOND);
        }
        assert_eq!(one(scene).signalling.registration.unwrap().refreshes, refreshes, "{asked:?}");
    }
}

/// Ten attempts, decided one after the other, and what the definitions make of them, calculated by hand.
#[test]
fn figures_are_those_of_the_definitions() {
    let mut scene = Scene::plain();
    // Two are answered after 180; the BYE of the first is answered.
    answer(&mut scene, &Text::default());
    scene.wait(10 * SECOND);
    bye(&mut scene, true);
    answer(&mut scene, &Text { call_id: "c2", ..Text::default() });
    for (call_id, status) in [
        ("c3", "302 Moved Temporarily"),
        ("c4", "486 Busy Here"),
        ("c5", "480 Temporarily Unavailable"),
        ("c6", "503 Service Unavailable"),
        ("c7", "404 Not Found"),
        ("c8", "603 Decline"),
    ] {
        let text = Text { call_id, ..Text::default() };
        scene.send(1, 2, &text.with(INVITE));
        scene.send(2, 1, &Text { to_tag: "bob", ..text }.with(&format!("SIP/2.0 {status}")));
    }
    // One is cancelled while it rings, one is not answered at all.
    let text = || Text { call_id: "c9", ..Text::default() };
    scene.send(1, 2, &text().with(INVITE));
    scene.send(2, 1, &Text { to_tag: "bob", ..text() }.with("SIP/2.0 180 Ringing"));
    scene.send(1, 2, &Text { cseq: "1 CANCEL", ..text() }.with("CANCEL sip:bob@b.example SIP/2.0"));
    scene.send(2, 1, &Text { to_tag: "bob", ..text() }.with("SIP/2.0 487 Request Terminated"));
    scene.send(1, 2, &Text { call_id: "c10", ..Text::default() }.with(INVITE));
    scene.wait(70 * SECOND);
    // What began before the capture is no attempt.
    scene.send(2, 1, &Text { call_id: "c11", to_tag: "bob", ..Text::default() }.with("SIP/2.0 200 OK"));
    let (.., census): (_, _, Census) = scene.end();
    let figures = &census.performance;
    let rounded = |figure: Option<f64>| figure.map(|it| (it * 100.0).round() / 100.0);
    assert_eq!(figures.attempts, 10);
    assert_eq!(rounded(figures.asr()), Some(20.0), "2 of 10");
    assert_eq!(rounded(figures.ser()), Some(22.22), "2 of 10 less a 302");
    assert_eq!(rounded(figures.seer()), Some(55.56), "2 answers, 486, 480 and 603 of 9");
    assert_eq!(rounded(figures.isa()), Some(20.0), "503 and the one without answer of 10");
    assert_eq!(rounded(figures.ner()), Some(60.0), "2 answers, 486, 480, 603 and the cancelled one of 10");
    assert_eq!(rounded(figures.scr()), Some(11.11), "the first of the 9 that are over");
    let delay = |it: &crate::call::Delay| (it.count, rounded(it.mean_seconds()));
    assert_eq!(delay(&figures.request_delay), (2, Some(0.1)), "INVITE to 180");
    assert_eq!(delay(&figures.failed_request_delay), (6, Some(0.1)), "to 180, or to 4xx to 6xx");
    assert_eq!(delay(&figures.disconnect_delay), (1, Some(0.1)), "BYE to its 200");
    assert_eq!(delay(&figures.duration), (1, Some(10.2)), "200 to BYE: two messages and 10 s");
}

/// RFC 6076 4.1: from the first REGISTER to the last answer, the challenge included.
#[test]
fn figures_of_registrations() {
    let mut scene = Scene::plain();
    register(&mut scene, 1, 1, 60, "401 Unauthorized", "");
    register(&mut scene, 2, 1, 60, "200 OK", "");
    scene.wait(5 * SECOND);
    register(&mut scene, 3, 1, 0, "200 OK", "");
    let refused = Text { call_id: "c2", cseq: "1 REGISTER", ..Text::default() };
    scene.send(1, 2, &refused.with("REGISTER sip:b.example SIP/2.0"));
    scene.send(2, 1, &Text { to_tag: "r", ..refused }.with("SIP/2.0 403 Forbidden"));
    let (.., census) = scene.end();
    let figures = &census.performance;
    assert_eq!((figures.registrations, figures.ineffective_registrations), (3, 1));
    assert_eq!(figures.registration_failures.iter().collect::<Vec<_>>(), [(&403, &1)]);
    // 0.3 s with the challenge, then 0.1 s.
    assert_eq!(
        (figures.registration_delay.mean_seconds(), figures.registration_delay.max_seconds()),
        (Some(0.2), Some(0.3))
    );
}

#[test]
fn keys_that_go_by_info_are_counted_once_over_all_hops() {
    let info = |scene: &mut Scene, by: Side, number: u32, signal: &str, branch: &str| {
        let (from_tag, to_tag) = if by == Side::Caller { ("alice", "bob") } else { ("bob", "alice") };
        let cseq = format!("{number} INFO");
        let extra = format!(
            "Content-Type: application/dtmf-relay\nContent-Length: 24\n\nSignal={signal}\nDuration=160\n"
        );
        let text = Text { from_tag, to_tag, cseq: &cseq, branch, ..Text::default() };
        let message = text.with("INFO sip:peer@192.0.2.9 SIP/2.0");
        let (head, _) = message.split_once("Content-Length").unwrap();
        let (from, to) = if by == Side::Caller { (1, 2) } else { (2, 1) };
        scene.send(from, to, &format!("{head}{extra}"));
    };
    let settings = Settings { digits: true, ..Settings::default() };
    let mut scene = Scene::new(settings);
    answer(&mut scene, &Text::default());
    info(&mut scene, Side::Caller, 2, "9", "i2");
    info(&mut scene, Side::Caller, 2, "9", "i2-next-hop");
    scene.wait(SECOND);
    info(&mut scene, Side::Caller, 2, "9", "i2");
    info(&mut scene, Side::Caller, 3, "1", "i3");
    said(Side::Caller, "3 INFO").answered(&mut scene, "407 Proxy Authentication Required");
    info(&mut scene, Side::Caller, 4, "1", "i4");
    info(&mut scene, Side::Callee, 1, "*", "j1");
    info(&mut scene, Side::Caller, 5, "16", "i5");
    bye(&mut scene, true);
    let expected = [
        InfoDtmfRecord { by: Side::Caller, digits: 2, dtmf: Some("91".to_owned()) },
        InfoDtmfRecord { by: Side::Callee, digits: 1, dtmf: Some("*".to_owned()) },
    ];
    assert_eq!(one(scene).signalling.info_dtmf, expected);

    let mut scene = established();
    (0..100).for_each(|number| info(&mut scene, Side::Caller, 10 + number, "5", &format!("k{number}")));
    let expected = InfoDtmfRecord { by: Side::Caller, digits: 100, dtmf: None };
    assert_eq!(one(scene).signalling.info_dtmf, [expected], "which is not told unless asked for");
}

#[test]
fn a_flood_inside_one_dialog_is_bounded() {
    let mut scene = established();
    for number in 2..200u32 {
        let refer = format!("{number} REFER");
        said(Side::Caller, &refer).extra("Refer-To: <sip:x@y>\n").request(&mut scene);
        let invite = format!("{number} INVITE");
        said(Side::Callee, &invite).answered(&mut scene, "491 Request Pending");
        let text = Text { to_tag: "bob", cseq: "900 INFO", branch: "same", ..Text::default() };
        let (from, text) = (number as u8, text.with("INFO sip:x@y SIP/2.0"));
        scene.send(from, 1, &text);
        scene.wait(100);
        scene.send(from, 1, &text);
    }
    let record = one(scene);
    assert_eq!(record.signalling.transfers.len(), 8);
    assert_eq!(record.signalling.retransmissions_by_hop.len(), MAX_HOPS);
    assert_eq!(record.signalling.glares as usize, MAX_NOTES);
}

#[test]
fn a_dialog_stays_small() {
    assert!(size_of::<Dialog>() <= 1216, "{}", size_of::<Dialog>());
    let _ = Timestamp::default();
}

/// RFC 6076 4.2, 4.3.2: 401, 402 and 407 are no failures. Who has credentials, and is refused all the same, has failed.
#[test]
fn a_challenge_that_nobody_meets_is_no_failure() {
    let credentials = "Authorization: Digest username=\"alice\", realm=\"a\", nonce=\"1\"\n";
    let challenge = "WWW-Authenticate: Digest realm=\"a\", nonce=\"2\"\n";
    for (is_tried, failures) in [(false, 0), (true, 1)] {
        let mut scene = Scene::plain();
        let extra = if is_tried { credentials } else { "" };
        let asked = Text { cseq: "1 REGISTER", extra, ..Text::default() };
        scene.send(1, 2, &asked.with("REGISTER sip:b.example SIP/2.0"));
        let refused = Text { to_tag: "r", extra: challenge, ..asked };
        scene.send(2, 1, &refused.with("SIP/2.0 401 Unauthorized"));
        for (call_id, status) in [("c2", "407 Proxy Authentication Required"), ("c3", "402 Payment Required")]
        {
            let text = Text { call_id, ..Text::default() };
            scene.send(1, 2, &text.with(INVITE));
            scene.send(2, 1, &Text { to_tag: "p", ..text }.with(&format!("SIP/2.0 {status}")));
        }
        scene.wait(300 * SECOND);
        let (.., census) = scene.end();
        let figures = &census.performance;
        assert_eq!((figures.registrations, figures.ineffective_registrations), (1, failures));
        let told: Vec<_> = figures.registration_failures.iter().collect();
        assert_eq!(told, vec![(&401, &1); failures as usize]);
        assert_eq!((figures.attempts, figures.failed_request_delay.count), (2, 0));
    }
}
