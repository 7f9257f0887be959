//! Calls as RFC 3261 and RFC 3665 draw them, told message by message.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::capture::{LinkType, Packet, PacketBatch};
use crate::flow::{Address, Endpoint};
use crate::media::{Datagram, FlowHint};
use crate::pipeline::{Bytes, FragmentFrames, Place, View};
use crate::sip::{Carriage, Head, Message, Messages, SipTransport, sdp};
use crate::time::{PacketTime, Timestamp, grid};

#[derive(Default)]
pub(super) struct Heard {
    pub(super) records: Vec<CallRecord>,
    pub(super) events: Vec<(&'static str, String)>,
    pub(super) steps: Vec<CallEvent>,
    pub(super) media: Vec<(u32, Vec<u8>)>,
    pub(super) messages: Vec<u32>,
}

impl Listener for Heard {
    fn wants(&self) -> Wants {
        Wants { frames: true, events: true, audit: false, records: true }
    }

    fn message(&mut self, call: u32, _: &Delivery<'_>) {
        self.messages.push(call);
    }

    fn media(&mut self, call: u32, frame: &MediaFrame<'_>) {
        self.media.push((call, frame.frame.to_vec()));
    }

    fn event(&mut self, _: u32, event: &CallEvent) {
        self.events.push((event.event, event.call_id.clone()));
        self.steps.push(event.clone());
    }

    fn closed(&mut self, _: u32, kept: bool, record: Option<CallRecord>) {
        assert_eq!(kept, record.is_some());
        self.records.extend(record);
    }
}

/// A scene between hosts named by the last byte of their addresses.
pub(super) struct Scene {
    pub(super) tracker: Tracker,
    pub(super) heard: Heard,
    pub(super) now: Timestamp,
    /// How far that is ahead of stamps.
    ahead: Duration,
}

pub(super) const SECOND: u64 = 1_000;

impl Scene {
    pub(super) fn new(settings: Settings) -> Self {
        Self::telling(settings, Heard::default().wants())
    }

    /// One that is told no more than `wants` says.
    pub(super) fn telling(settings: Settings, wants: Wants) -> Self {
        let media = crate::media::Limits {
            max_flows: 1000,
            max_unclaimed: 100,
            unclaimed_timeout: Duration::from_secs(10),
            backlog_bytes: 1 << 20,
        };
        let limits = Limits {
            max_dialogs: 1000,
            idle_timeout: Duration::from_secs(4 * 3600),
            max_waiting: 1000,
            media,
        };
        let tracker = Tracker::new(limits, settings, wants);
        let mut scene = Self {
            tracker,
            heard: Heard::default(),
            now: Timestamp::new(1_000_000, 0),
            ahead: Duration::ZERO,
        };
        scene.tick();
        scene
    }

    fn tick(&mut self) {
        let now = grid(self.now);
        self.tracker.tick(PacketTime { now, stamp: now.before(self.ahead) }, &mut self.heard);
    }

    fn stamp(&self) -> Timestamp {
        self.now.before(self.ahead)
    }

    /// Stamps go back.
    fn step_back(&mut self, by: Duration) {
        self.ahead += by;
        self.tick();
    }

    pub(super) fn plain() -> Self {
        Self::new(Settings { media_frames: true, ..Settings::default() })
    }

    /// Lets packet time go by, tick by tick.
    pub(super) fn wait(&mut self, milliseconds: u64) {
        let end = self.now.after(Duration::from_millis(milliseconds));
        while self.now < end {
            self.now = self.now.after(Duration::from_millis(100)).min(end);
            self.tick();
        }
    }

    /// Sends a message from one host's SIP port to another's.
    pub(super) fn send(&mut self, from: u8, to: u8, text: &str) {
        self.say(from, to, text);
        self.wait(100);
    }

    fn say(&mut self, from: u8, to: u8, text: &str) {
        self.say_between(sip_port(from), sip_port(to), text);
    }

    /// Sends a message between ports of their own, in no time.
    pub(super) fn say_between(&mut self, source: Endpoint, destination: Endpoint, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        let bytes = text.as_bytes();
        let head = Head::parse(bytes, true).unwrap();
        let mut messages = Messages::default();
        sdp::parse(bytes, &head, &mut messages.sections, &mut messages.media);
        let packet = Packet { timestamp: self.stamp(), captured: bytes.len() as u32, ..Packet::default() };
        let message = Message {
            sequence: 1,
            timestamp: packet.timestamp,
            source,
            destination,
            transport: SipTransport::Udp,
            bytes: Bytes { place: Place::Packets, start: 0, length: bytes.len() as u32 },
            head,
            media: (0, messages.media.len() as u32),
            sdp: !messages.media.is_empty(),
            completes: false,
            carriage: Carriage::Frame(0),
        };
        let fragments = FragmentFrames::default();
        let batch = PacketBatch::new(bytes, std::slice::from_ref(&packet));
        let view = View { batch, datagrams: &[], fragments: &fragments };
        let delivery = Delivery { message: &message, bytes, messages: &messages, view: &view };
        self.tracker.message(DialogHint::NONE, &delivery, &mut self.heard);
    }

    /// Sends an RTP packet of PCMU.
    pub(super) fn rtp(&mut self, from: (u8, u16), to: (u8, u16), sequence: u16) -> bool {
        let owned = self.rtp_at_once(from, to, sequence);
        self.wait(20);
        owned
    }

    /// The same, in no time.
    fn rtp_at_once(&mut self, from: (u8, u16), to: (u8, u16), sequence: u16) -> bool {
        self.rtp_stamped(self.stamp(), from, to, sequence)
    }

    fn rtp_stamped(&mut self, stamp: Timestamp, from: (u8, u16), to: (u8, u16), sequence: u16) -> bool {
        let mut payload = vec![0x80, 0];
        payload.extend(sequence.to_be_bytes());
        payload.extend((u32::from(sequence) * 160).to_be_bytes());
        payload.extend([0, 0, 0, from.0]);
        payload.extend([0xff; 160]);
        let packet = Packet {
            timestamp: stamp,
            captured: payload.len() as u32,
            link: LinkType::RAW,
            ..Packet::default()
        };
        let fragments = FragmentFrames::default();
        let batch = PacketBatch::new(&payload, std::slice::from_ref(&packet));
        let view = View { batch, datagrams: &[], fragments: &fragments };
        let ends = (Endpoint::new(host(from.0), from.1), Endpoint::new(host(to.0), to.1));
        let datagram = Datagram::whole(stamp, ends, &payload);
        let media = MediaPacket { datagram, packet: 0, reassembled: None };
        self.tracker.media(FlowHint::NONE, &media, &view, &mut self.heard).1
    }

    pub(super) fn end(mut self) -> (Vec<CallRecord>, Heard, Census) {
        let now = self.now;
        self.tracker.finish(PacketTime { now, stamp: self.stamp() }, &mut self.heard);
        let census = self.tracker.census().clone();
        (std::mem::take(&mut self.heard.records), self.heard, census)
    }
}

pub(super) fn host(last: u8) -> Address {
    Address::v4([192, 0, 2, last])
}

pub(super) fn sip_port(last: u8) -> Endpoint {
    Endpoint::new(host(last), 5060)
}

pub(super) struct Text<'a> {
    pub(super) call_id: &'a str,
    pub(super) branch: &'a str,
    pub(super) from_tag: &'a str,
    pub(super) to_tag: &'a str,
    pub(super) cseq: &'a str,
    pub(super) extra: &'a str,
    pub(super) body: String,
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self {
            call_id: "c1",
            branch: "b1",
            from_tag: "alice",
            to_tag: "",
            cseq: "1 INVITE",
            extra: "",
            body: String::new(),
        }
    }
}

impl Text<'_> {
    pub(super) fn with(&self, start: &str) -> String {
        let to_tag = if self.to_tag.is_empty() { String::new() } else { format!(";tag={}", self.to_tag) };
        let kind = if self.body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
        format!(
            "{start}\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{}\nFrom: <sip:alice@a.example>;tag={}\n\
             To: <sip:bob@b.example>{to_tag}\nCall-ID: {}\nCSeq: {}\n{}{kind}Content-Length: {}\n\n{}",
            self.branch,
            self.from_tag,
            self.call_id,
            self.cseq,
            self.extra,
            self.body.replace('\n', "\r\n").len(),
            self.body
        )
    }
}

pub(super) fn sdp(host: u8, port: u16) -> String {
    format!(
        "v=0\no=- 1 1 IN IP4 192.0.2.{host}\ns=-\nc=IN IP4 192.0.2.{host}\nt=0 0\nm=audio {port} RTP/AVP 0\n"
    )
}

pub(super) const INVITE: &str = "INVITE sip:bob@b.example SIP/2.0";

/// The messages of RFC 3665 3.1 up to the ACK.
pub(super) fn answer(scene: &mut Scene, text: &Text<'_>) {
    let caller = Text {
        body: sdp(1, 4000),
        call_id: text.call_id,
        branch: text.branch,
        from_tag: text.from_tag,
        ..Text::default()
    };
    let callee = Text {
        to_tag: "bob",
        body: sdp(2, 5000),
        call_id: text.call_id,
        branch: text.branch,
        from_tag: text.from_tag,
        ..Text::default()
    };
    scene.send(1, 2, &caller.with(INVITE));
    scene.send(2, 1, &Text { body: String::new(), ..callee }.with("SIP/2.0 180 Ringing"));
    let callee = Text {
        to_tag: "bob",
        body: sdp(2, 5000),
        call_id: text.call_id,
        branch: text.branch,
        from_tag: text.from_tag,
        ..Text::default()
    };
    scene.wait(SECOND);
    scene.send(2, 1, &callee.with("SIP/2.0 200 OK"));
    let ack = Text {
        to_tag: "bob",
        cseq: "1 ACK",
        call_id: text.call_id,
        branch: "ack",
        from_tag: text.from_tag,
        ..Text::default()
    };
    scene.send(1, 2, &ack.with("ACK sip:bob@192.0.2.2 SIP/2.0"));
}

pub(super) fn bye(scene: &mut Scene, by_caller: bool) {
    let (from, to, from_tag, to_tag) =
        if by_caller { (1, 2, "alice", "bob") } else { (2, 1, "bob", "alice") };
    let text = Text {
        branch: "bye",
        cseq: "2 BYE",
        from_tag,
        to_tag,
        extra: "Reason: Q.850;cause=16\n",
        ..Text::default()
    };
    scene.send(from, to, &text.with("BYE sip:peer@192.0.2.9 SIP/2.0"));
    scene.send(to, from, &text.with("SIP/2.0 200 OK"));
}

#[test]
fn a_call_is_told_from_invite_to_bye() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    scene.wait(10 * SECOND);
    bye(&mut scene, true);
    let (records, heard, census) = scene.end();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(record.result, CallResult::Success);
    assert_eq!(
        (record.from.as_str(), record.to.as_str(), record.method.as_str()),
        ("alice", "bob", "INVITE")
    );
    assert_eq!((record.status_code, record.reason.as_deref()), (Some(200), Some("OK")));
    assert_eq!(record.post_dial_delay_seconds, Some(0.1));
    assert_eq!(record.setup_seconds, Some(1.2));
    assert_eq!(record.duration_seconds, Some(10.2));
    assert_eq!(
        (record.ended_by, record.end_reason.as_deref()),
        (Some(EndedBy::Caller), Some("Q.850;cause=16"))
    );
    assert_eq!((record.messages, record.retransmissions, record.forks), (6, 0, 1));
    assert_eq!(record.media_endpoints, ["192.0.2.1:4000", "192.0.2.2:5000"]);
    assert_eq!(record.codecs, ["PCMU"]);
    let told: Vec<_> = heard.events.iter().map(|(event, _)| *event).collect();
    assert_eq!(told, ["start", "ringing", "answered", "end"]);
    assert_eq!((census.calls, census.answered), (1, 1));
}

/// RFC 3261 7.3.1: where a field is folded there is one space.
#[test]
fn folded_fields_are_told_in_one_line() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    let said = [
        ("2 OPTIONS", "User-Agent: SIPphone 1.2 (x86)\n"),
        (
            "3 BYE",
            "User-Agent: SIPphone\n\t 1.2 \n (x86)\nReason: Q.850 ;cause=16\n  ;text=\"normal\n clearing\"\n",
        ),
    ];
    for (cseq, extra) in said {
        let text = Text { branch: cseq, to_tag: "bob", cseq, extra, ..Text::default() };
        scene.send(1, 2, &text.with(&format!("{} sip:peer@192.0.2.9 SIP/2.0", &cseq[2..])));
    }
    let record = &scene.end().0[0];
    assert_eq!(record.user_agents, ["SIPphone 1.2 (x86)"], "once, however it is folded");
    assert_eq!(record.end_reason.as_deref(), Some("Q.850 ;cause=16 ;text=\"normal clearing\""));
    assert_eq!(record.signalling.end_causes[0].text.as_deref(), Some("normal clearing"));
}

#[test]
fn the_callee_may_hang_up() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    bye(&mut scene, false);
    assert_eq!(scene.end().0[0].ended_by, Some(EndedBy::Callee));
}

#[test]
fn final_answers_say_how_an_attempt_ended() {
    let rows = [
        ("404 Not Found", CallResult::Failed),
        ("486 Busy Here", CallResult::Busy),
        ("600 Busy Everywhere", CallResult::Busy),
        ("603 Decline", CallResult::Busy),
        ("408 Request Timeout", CallResult::Timeout),
        ("503 Service Unavailable", CallResult::Failed),
        ("302 Moved Temporarily", CallResult::Redirected),
        ("480 Temporarily Unavailable", CallResult::Failed),
    ];
    for (answer, expected) in rows {
        let mut scene = Scene::plain();
        scene.send(1, 2, &Text::default().with(INVITE));
        scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with(&format!("SIP/2.0 {answer}")));
        let (records, ..) = scene.end();
        assert_eq!((records.len(), records[0].result), (1, expected), "{answer}");
        assert_eq!(
            records[0].ended_by,
            Some(if expected == CallResult::Timeout { EndedBy::Network } else { EndedBy::Callee })
        );
    }
}

#[test]
fn a_cancelled_attempt_is_not_a_failure() {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    scene.send(1, 2, &Text { cseq: "1 CANCEL", ..Text::default() }.with("CANCEL sip:bob@b.example SIP/2.0"));
    scene.send(2, 1, &Text { cseq: "1 CANCEL", to_tag: "x", ..Text::default() }.with("SIP/2.0 200 OK"));
    scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 487 Request Terminated"));
    let (records, ..) = scene.end();
    assert_eq!((records[0].result, records[0].status_code), (CallResult::Cancelled, Some(487)));
    assert_eq!(records[0].answered, None);
}

/// RFC 7616 3.6: who knows the nonce need not wait for a challenge. Refused, it was refused with credentials.
#[test]
fn credentials_may_come_at_once() {
    for extra in ["", "Authorization: Digest username=\"alice\"\n"] {
        let mut scene = Scene::new(Settings { registrations: true, ..Settings::default() });
        let cseq = "1 REGISTER";
        scene.send(1, 2, &Text { cseq, extra, ..Text::default() }.with("REGISTER sip:b.example SIP/2.0"));
        scene.send(2, 1, &Text { cseq, to_tag: "r", ..Text::default() }.with("SIP/2.0 403 Forbidden"));
        let (records, ..) = scene.end();
        assert_eq!((records[0].status_code, records[0].authenticated), (Some(403), !extra.is_empty()));
    }
}

#[test]
fn a_challenge_and_the_next_try_are_one_attempt() {
    for (code, header) in
        [("401 Unauthorized", "Authorization"), ("407 Proxy Authentication Required", "Proxy-Authorization")]
    {
        let mut scene = Scene::plain();
        scene.send(1, 2, &Text::default().with(INVITE));
        scene.send(2, 1, &Text { to_tag: "p", ..Text::default() }.with(&format!("SIP/2.0 {code}")));
        scene.send(
            1,
            2,
            &Text { to_tag: "p", cseq: "1 ACK", ..Text::default() }.with("ACK sip:bob@b.example SIP/2.0"),
        );
        let credentials = format!("{header}: Digest username=\"alice\"\n");
        let again = Text { branch: "b2", cseq: "2 INVITE", extra: &credentials, ..Text::default() };
        scene.send(1, 2, &again.with(INVITE));
        scene.send(
            2,
            1,
            &Text { branch: "b2", cseq: "2 INVITE", to_tag: "bob", ..Text::default() }.with("SIP/2.0 200 OK"),
        );
        let (records, _, census) = scene.end();
        assert_eq!((records.len(), census.calls, census.answered), (1, 1, 1));
        assert!(records[0].authenticated && records[0].answered.is_some());
        assert_eq!(records[0].status_code, Some(200));
    }
}

/// RFC 3261 22.2 has the same From for the next try; some phones give it another tag.
#[test]
fn the_next_try_may_have_a_tag_of_its_own() {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    let asked = "SIP/2.0 407 Proxy Authentication Required";
    scene.send(2, 1, &Text { to_tag: "p", ..Text::default() }.with(asked));
    scene.send(1, 2, &Text { cseq: "1 ACK", to_tag: "p", ..Text::default() }.with(ACK));
    let next = || Text { from_tag: "alice2", branch: "b2", cseq: "2 INVITE", ..Text::default() };
    scene.send(1, 2, &next().with(INVITE));
    scene.send(2, 1, &Text { to_tag: "bob", ..next() }.with("SIP/2.0 200 OK"));
    scene.send(1, 2, &Text { to_tag: "bob", branch: "b3", cseq: "2 ACK", ..next() }.with(ACK));
    scene.send(1, 2, &Text { to_tag: "bob", branch: "b4", cseq: "3 BYE", ..next() }.with(BYE));
    let record = &scene.end().0[0];
    assert_eq!((record.status_code, record.ended_by, record.forks), (Some(200), Some(EndedBy::Caller), 1));
}

/// A message of a flow: whether the caller sends it, its start line, branch, To-tag and CSeq.
type Line = (bool, &'static str, &'static str, &'static str, &'static str);

const BYE: &str = "BYE sip:bob@192.0.2.2 SIP/2.0";
const ACK: &str = "ACK sip:bob@192.0.2.2 SIP/2.0";
const REGISTER: &str = "REGISTER sip:b.example SIP/2.0";

/// A challenge that is met (RFC 3665 3.3), and what comes of the second try: an answer, a refusal; a registration (2.1) that
/// is refreshed.
const FLOWS: [&[Line]; 3] = [
    &[
        (true, INVITE, "b1", "", "1 INVITE"),
        (false, "SIP/2.0 401 Unauthorized", "b1", "p", "1 INVITE"),
        (true, ACK, "b1", "p", "1 ACK"),
        (true, INVITE, "b2", "", "2 INVITE"),
        (false, "SIP/2.0 180 Ringing", "b2", "bob", "2 INVITE"),
        (false, "SIP/2.0 200 OK", "b2", "bob", "2 INVITE"),
        (true, ACK, "b3", "bob", "2 ACK"),
        (true, BYE, "b4", "bob", "3 BYE"),
        (false, "SIP/2.0 200 OK", "b4", "bob", "3 BYE"),
    ],
    &[
        (true, INVITE, "b1", "", "1 INVITE"),
        (false, "SIP/2.0 407 Proxy Authentication Required", "b1", "p", "1 INVITE"),
        (true, ACK, "b1", "p", "1 ACK"),
        (true, INVITE, "b2", "", "2 INVITE"),
        (false, "SIP/2.0 486 Busy Here", "b2", "bob", "2 INVITE"),
        (true, ACK, "b2", "bob", "2 ACK"),
    ],
    &[
        (true, REGISTER, "b1", "", "1 REGISTER"),
        (false, "SIP/2.0 401 Unauthorized", "b1", "p", "1 REGISTER"),
        (true, REGISTER, "b2", "", "2 REGISTER"),
        (false, "SIP/2.0 200 OK", "b2", "r", "2 REGISTER"),
        (true, REGISTER, "b3", "", "3 REGISTER"),
        (false, "SIP/2.0 403 Forbidden", "b3", "r", "3 REGISTER"),
    ],
];

/// What became of a flow whose messages come a millisecond apart.
fn outcome_of(flow: &[Line]) -> String {
    let mut scene = Scene::new(Settings { registrations: true, ..Settings::default() });
    for &(by_caller, start, branch, to_tag, cseq) in flow {
        let (from, to) = if by_caller { (1, 2) } else { (2, 1) };
        scene.say(from, to, &Text { branch, to_tag, cseq, ..Text::default() }.with(start));
        scene.wait(1);
    }
    let (records, _, census) = scene.end();
    let [it] = records.as_slice() else { panic!("{records:?}") };
    let ends = (it.source, it.destination, it.ended_by, &it.request_uri, it.forks, it.messages);
    let found: Vec<_> = it.findings.iter().map(|finding| finding.code).collect();
    let counts = (census.calls, census.answered, census.retransmissions);
    format!(
        "{:?} {:?} {:?} {:?} {ends:?} {counts:?} {found:?}",
        it.kind, it.result, it.status_code, it.reason
    )
}

/// Where a capture has a queue or a card for each direction, the order across them is not certain to a millisecond.
#[test]
fn an_answer_may_overtake_its_request() {
    for flow in FLOWS {
        let in_order = outcome_of(flow);
        for at in 0..flow.len() - 1 {
            let mut swapped = flow.to_vec();
            swapped.swap(at, at + 1);
            let [one, next] = [&flow[at], &flow[at + 1]];
            if one.0 != next.0 && one.4[..1] == next.4[..1] {
                assert_eq!(outcome_of(&swapped), in_order, "{} and {}", one.1, next.1);
            }
        }
    }
}

#[test]
fn silence_is_a_timeout_after_64_t1() {
    let mut scene = Scene::plain();
    scene.send(1, 2, &Text::default().with(INVITE));
    for wait in [500, 1000, 2000, 4000, 8000] {
        scene.wait(wait);
        scene.send(1, 2, &Text::default().with(INVITE));
    }
    assert!(!scene.heard.events.iter().any(|(event, _)| *event == "end"));
    scene.wait(20 * SECOND);
    assert_eq!(scene.heard.events.last().unwrap().0, "end");
    let (records, _, census) = scene.end();
    assert_eq!((records[0].result, records[0].retransmissions), (CallResult::Timeout, 5));
    assert_eq!(records[0].end.unwrap().since(records[0].start), Duration::from_secs(32));
    assert_eq!(census.retransmissions, 5);
}

/// Timer C (RFC 3261 16.6) is that of proxies; who called has none once it rings (17.1.1.2).
#[test]
fn a_call_times_out_after_timer_c_and_later_when_it_rings() {
    for (to_tag, answer, seconds) in [("", "SIP/2.0 100 Trying", 180), ("bob", "SIP/2.0 180 Ringing", 600)] {
        let mut scene = Scene::plain();
        scene.send(1, 2, &Text::default().with(INVITE));
        scene.send(2, 1, &Text { to_tag, ..Text::default() }.with(answer));
        scene.wait((seconds - 1) * SECOND);
        assert!(!scene.heard.events.iter().any(|(event, _)| *event == "end"), "{answer}");
        scene.wait(3 * SECOND);
        assert_eq!(scene.end().0[0].result, CallResult::Timeout, "{answer}");
    }
}

#[test]
fn a_call_id_used_again_is_a_new_call_and_a_late_copy_is_not() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    bye(&mut scene, true);
    scene.wait(SECOND);
    scene.send(1, 2, &Text { body: sdp(1, 4000), ..Text::default() }.with(INVITE));
    assert_eq!(scene.tracker.census().calls, 1, "an INVITE of the call that ended");
    answer(&mut scene, &Text { from_tag: "alice-2", branch: "b7", ..Text::default() });
    assert_eq!(scene.tracker.census().calls, 2);
    let (records, ..) = scene.end();
    assert_eq!(
        records.iter().map(|record| record.result).collect::<Vec<_>>(),
        [CallResult::Success, CallResult::Open]
    );
    assert_eq!(records[0].retransmissions, 1);
}

#[test]
fn after_64_t1_the_call_is_forgotten() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    bye(&mut scene, true);
    scene.wait(30 * SECOND);
    assert!(scene.heard.records.is_empty());
    scene.wait(4 * SECOND);
    assert_eq!(scene.heard.records.len(), 1);
    assert!(scene.tracker.is_empty());
}

#[test]
fn a_proxy_hop_is_the_same_call_and_the_caller_s_hop_decides() {
    let mut scene = Scene::plain();
    scene.send(1, 3, &Text::default().with(INVITE));
    scene.send(3, 2, &Text { branch: "p1", ..Text::default() }.with(INVITE));
    scene.send(
        2,
        3,
        &Text { branch: "p1", to_tag: "t", ..Text::default() }.with("SIP/2.0 503 Service Unavailable"),
    );
    assert!(
        !scene.heard.events.iter().any(|(event, _)| *event == "end"),
        "the proxy may try another carrier"
    );
    scene.send(3, 4, &Text { branch: "p2", ..Text::default() }.with(INVITE));
    scene.send(4, 3, &Text { branch: "p2", to_tag: "u", ..Text::default() }.with("SIP/2.0 200 OK"));
    scene.send(3, 1, &Text { to_tag: "u", ..Text::default() }.with("SIP/2.0 200 OK"));
    let (records, _, census) = scene.end();
    assert_eq!((records.len(), census.answered), (1, 1));
    assert_eq!(records[0].status_code, Some(200));
    assert_eq!(records[0].forks, 2);
}

/// An INVITE through a proxy; what the caller's hop answers, and what the next one does.
fn over_two_hops() -> (Scene, Text<'static>, Text<'static>) {
    let mut scene = Scene::plain();
    let [first, next] = ["b1", "p1"].map(|branch| Text { branch, ..Text::default() });
    scene.send(1, 3, &first.with(INVITE));
    scene.send(3, 2, &next.with(INVITE));
    let [first, next] = [first, next].map(|hop| Text { to_tag: "t", ..hop });
    (scene, first, next)
}

/// The caller hears a second later what the next hop says: setup and post-dial delay are what the caller waits.
#[test]
fn times_are_those_of_the_caller_s_hop() {
    let (mut scene, first, next) = over_two_hops();
    let mut told = Vec::new();
    for status in ["SIP/2.0 180 Ringing", "SIP/2.0 200 OK"] {
        scene.wait(SECOND);
        scene.send(2, 3, &next.with(status));
        scene.wait(SECOND);
        told.push(Some(scene.stamp()));
        scene.send(3, 1, &first.with(status));
    }
    // What comes later over the same hop changes nothing.
    scene.send(
        3,
        1,
        &Text { extra: "X: 1\n", ..Text { to_tag: "t", ..Text::default() } }.with("SIP/2.0 180 Ringing"),
    );
    let (records, ..) = scene.end();
    assert_eq!(vec![records[0].ringing, records[0].answered], told);
    // Two INVITEs of 0.1 s, then 1 s, 0.1 s and 1 s; and the same again with the 180 before it.
    assert_eq!((records[0].post_dial_delay_seconds, records[0].setup_seconds), (Some(2.3), Some(4.5)));
}

/// The 200 overtakes the 180 on the caller's hop: it rang when the next hop said so, and not after the answer.
#[test]
fn nobody_rings_after_the_answer() {
    let (mut scene, first, next) = over_two_hops();
    scene.send(2, 3, &next.with("SIP/2.0 180 Ringing"));
    scene.send(2, 3, &next.with("SIP/2.0 200 OK"));
    scene.send(3, 1, &first.with("SIP/2.0 200 OK"));
    scene.send(3, 1, &first.with("SIP/2.0 180 Ringing"));
    let (records, ..) = scene.end();
    assert!(records[0].ringing < records[0].answered && records[0].ringing.is_some());
}

/// Where the caller's hop is not answered in the capture, the next one tells.
#[test]
fn a_hop_without_answers_leaves_the_times_to_the_next() {
    let mut scene = Scene::plain();
    scene.send(1, 3, &Text::default().with(INVITE));
    let next = |to_tag| Text { branch: "p1", to_tag, ..Text::default() };
    scene.send(3, 2, &next("").with(INVITE));
    scene.send(2, 3, &next("t").with("SIP/2.0 180 Ringing"));
    scene.send(2, 3, &next("t").with("SIP/2.0 200 OK"));
    let (records, ..) = scene.end();
    assert_eq!((records[0].post_dial_delay_seconds, records[0].setup_seconds), (Some(0.2), Some(0.3)));
}

/// A proxy whose only captured side is that of its branches: the first that rings is the first of the caller's.
#[test]
fn every_branch_of_the_caller_is_its_own_hop() {
    let mut scene = Scene::plain();
    let branch = |branch, to_tag| Text { branch, to_tag, ..Text::default() };
    scene.send(1, 2, &branch("b1", "").with(INVITE));
    scene.send(1, 3, &branch("b2", "").with(INVITE));
    scene.send(3, 1, &branch("b2", "u").with("SIP/2.0 180 Ringing"));
    scene.send(2, 1, &branch("b1", "t").with("SIP/2.0 180 Ringing"));
    scene.send(3, 1, &branch("b2", "u").with("SIP/2.0 200 OK"));
    scene.send(2, 1, &branch("b1", "t").with("SIP/2.0 200 OK"));
    let (records, ..) = scene.end();
    assert_eq!((records[0].post_dial_delay_seconds, records[0].setup_seconds), (Some(0.2), Some(0.4)));
}

#[test]
fn changes_inside_a_call_are_counted_once_over_all_hops() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    for (from, to, branch) in [(1, 3, "r1"), (3, 2, "r2")] {
        let text = Text { branch, cseq: "2 INVITE", to_tag: "bob", ..Text::default() };
        scene.send(from, to, &text.with(INVITE));
    }
    let text = Text { branch: "u1", cseq: "3 UPDATE", to_tag: "bob", ..Text::default() };
    scene.send(1, 2, &text.with("UPDATE sip:bob@b.example SIP/2.0"));
    let (records, _, census) = scene.end();
    assert_eq!((records[0].reinvites, records[0].updates, census.calls), (1, 1, 1));
}

#[test]
fn the_second_capture_of_a_message_is_not_a_retransmission() {
    let mut scene = Scene::plain();
    let text = Text::default().with(INVITE);
    scene.send(1, 2, &text);
    scene.now = Timestamp(scene.now.0 - 99_000_000);
    scene.send(1, 2, &text);
    let (records, heard, census) = scene.end();
    assert_eq!((records[0].messages, records[0].duplicates, records[0].retransmissions), (1, 1, 0));
    assert_eq!((census.messages, census.duplicates), (2, 1));
    assert_eq!(heard.messages.len(), 2, "both frames belong into the file");
}

#[test]
fn media_finds_its_call_both_ways_and_is_measured() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    for sequence in 0..10 {
        assert!(scene.rtp((1, 4000), (2, 5000), sequence));
        if sequence != 5 {
            assert!(scene.rtp((2, 5000), (1, 4000), sequence));
        }
    }
    assert!(!scene.rtp((7, 4000), (8, 5000), 1), "somebody else's");
    bye(&mut scene, true);
    let (records, heard, _) = scene.end();
    assert_eq!((records[0].rtp_packets, records[0].media.len()), (19, 2));
    assert_eq!((records[0].media[0].packets, records[0].media[0].lost), (10, 0));
    assert_eq!((records[0].media[1].packets, records[0].media[1].lost), (9, 1));
    assert_eq!(records[0].media[0].codec.as_deref(), Some("PCMU"));
    assert_eq!(heard.media.len(), 19);
}

#[test]
fn symmetric_rtp_behind_nat_is_found_by_the_other_end() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    assert!(scene.rtp((99, 31_000), (2, 5000), 1), "from an address that no SDP names");
    assert!(scene.rtp((2, 5000), (99, 31_000), 1));
}

#[test]
fn flows_that_nobody_claims_are_counted_when_the_input_ends_too() {
    let mut scene = Scene::plain();
    for from in 10..17 {
        assert!(!scene.rtp((from, 31_000), (9, 5000), 1));
    }
    scene.wait(11 * SECOND);
    assert_eq!(scene.tracker.media_counters().unclaimed_expired, 7);
    answer(&mut scene, &Text::default());
    assert!(scene.rtp((2, 5000), (1, 4000), 1));
    for from in 10..15 {
        assert!(!scene.rtp((from, 31_000), (9, 5000), 1));
    }
    scene.tracker.finish(PacketTime::plain(scene.now), &mut scene.heard);
    assert_eq!(scene.tracker.media_counters().unclaimed_expired, 7 + 5);
    assert_eq!(scene.tracker.gauges().unclaimed_flows, 0);
}

#[test]
fn media_before_its_sdp_is_claimed_with_its_last_half_second() {
    let mut scene = Scene::plain();
    for sequence in 0..50 {
        assert!(!scene.rtp((2, 5000), (1, 4000), sequence));
    }
    scene.send(1, 2, &Text { body: sdp(1, 4000), ..Text::default() }.with(INVITE));
    assert!(scene.rtp((2, 5000), (1, 4000), 50));
    let kept = scene.heard.media.len();
    assert!((25..=27).contains(&kept), "half a second of 20 ms packets and one more: {kept}");
    let (records, ..) = scene.end();
    assert_eq!((records[0].rtp_packets, records[0].media[0].packets), (51, 51));
}

#[test]
fn a_port_used_again_belongs_to_the_call_that_is_up() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    assert!(scene.rtp((2, 5000), (1, 4000), 1));
    bye(&mut scene, true);
    assert!(scene.rtp((2, 5000), (1, 4000), 2), "late media of the call that ended");
    answer(&mut scene, &Text { call_id: "c2", ..Text::default() });
    assert!(scene.rtp((2, 5000), (1, 4000), 3));
    let (records, ..) = scene.end();
    let packets: Vec<_> =
        records.iter().map(|record| (record.call_id.as_str(), record.rtp_packets)).collect();
    assert_eq!(packets, [("c1", 2), ("c2", 1)]);
}

/// RFC 3261 15.1.1: who sends a BYE is done with the call, whatever answers it. Who did not hear of it streams on, and hangs up later.
#[test]
fn media_that_flows_on_behind_the_end_is_the_call_s() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    let text = |cseq, from_tag, to_tag| Text { branch: cseq, cseq, from_tag, to_tag, ..Text::default() };
    let unheard = text("2 BYE", "alice", "bob").with("BYE sip:bob@192.0.2.2 SIP/2.0");
    scene.send(1, 2, &unheard);
    let end = scene.now;
    for second in 0..300 {
        assert!(scene.rtp((2, 5000), (1, 4000), second), "{second}");
        scene.wait(SECOND - 20);
        if [1, 2, 4, 8, 12, 16, 20, 24, 28, 32].contains(&second) {
            scene.send(1, 2, &unheard);
        }
    }
    let last = scene.now;
    scene.wait(15 * SECOND);
    let late = text("1 BYE", "bob", "alice");
    scene.send(2, 1, &late.with("BYE sip:alice@192.0.2.1 SIP/2.0"));
    scene.send(1, 2, &late.with("SIP/2.0 481 Call/Transaction Does Not Exist"));
    let (records, _, census) = scene.end();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    let told = (census.calls, record.rtp_packets, record.ended_by);
    assert_eq!(told, (1, 300, Some(EndedBy::Caller)));
    let found = record.findings.iter().find(|finding| finding.code == "media_after_end").unwrap();
    let words = found.text.split(' ').find_map(|word| word.parse::<f64>().ok()).unwrap();
    assert!((words - last.since(end).as_secs_f64()).abs() < 1.5, "{}", found.text);
}

/// The phone's next call, with somebody else, has its media at the same port; what of the first flows on is the first call's.
#[test]
fn a_call_that_streams_on_has_nothing_of_the_next() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    bye(&mut scene, true);
    agree(&mut scene, "c2", [(1, 4000), (3, 6000)]);
    for second in 0..200 {
        assert!(scene.rtp((3, 6000), (1, 4000), second));
        if second < 100 {
            assert!(scene.rtp((2, 5000), (1, 4000), second));
        }
        scene.wait(SECOND);
    }
    assert_eq!(scene.heard.records.len(), 1, "the next call's media keeps nothing of the first");
    let (records, ..) = scene.end();
    let packets: Vec<_> =
        records.iter().map(|record| (record.call_id.as_str(), record.rtp_packets)).collect();
    assert_eq!(packets, [("c1", 100), ("c2", 200)]);
}

/// Attack: somebody streams to its port for ever. And phones that stream on for a moment cost nothing.
#[test]
fn a_call_is_not_kept_for_its_media_for_ever() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    bye(&mut scene, true);
    for number in 0..50 {
        scene.rtp((2, 5000), (1, 4000), number);
    }
    scene.wait(32 * SECOND);
    assert!(scene.tracker.is_empty());
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    bye(&mut scene, true);
    let end = scene.now;
    let mut number = 0;
    while !scene.tracker.is_empty() {
        scene.rtp((2, 5000), (1, 4000), number);
        scene.wait(10 * SECOND);
        number += 1;
    }
    let kept = scene.now.since(end).as_secs();
    assert!((4 * 3600..4 * 3600 + 43).contains(&kept), "{kept}");
}

/// A call of a host's port with that of another, answered at once.
fn agree(scene: &mut Scene, call_id: &str, [caller, callee]: [(u8, u16); 2]) {
    let text = |to_tag, (host, port)| Text { call_id, to_tag, body: sdp(host, port), ..Text::default() };
    scene.send(caller.0, callee.0, &text("", caller).with(INVITE));
    scene.send(callee.0, caller.0, &text("bob", callee).with("SIP/2.0 200 OK"));
}

#[test]
fn a_phone_with_one_port_is_heard_in_the_call_of_the_other_end() {
    let mut scene = Scene::plain();
    let (phone, bob, carol) = ((1, 7078), (2, 5000), (3, 6000));
    let speak = |scene: &mut Scene, other, numbers: std::ops::Range<u16>| {
        numbers.for_each(|number| {
            assert!(scene.rtp(phone, other, number) && scene.rtp(other, phone, number));
        });
    };
    agree(&mut scene, "bob", [phone, bob]);
    speak(&mut scene, bob, 0..10);
    agree(&mut scene, "carol", [phone, carol]);
    speak(&mut scene, bob, 10..15);
    speak(&mut scene, carol, 0..7);
    let text = Text { call_id: "carol", to_tag: "bob", cseq: "2 BYE", ..Text::default() };
    scene.send(1, 3, &text.with("BYE sip:carol@192.0.2.3 SIP/2.0"));
    speak(&mut scene, carol, 7..8);
    speak(&mut scene, bob, 15..20);
    let (mut records, heard, _) = scene.end();
    records.sort_by(|one, other| one.call_id.cmp(&other.call_id));
    let told: Vec<_> = records
        .iter()
        .map(|record| (record.call_id.as_str(), record.rtp_packets, record.media.len()))
        .collect();
    assert_eq!((told, heard.media.len()), (vec![("bob", 40, 2), ("carol", 16, 2)], 56));
}

/// The callee refuses.
fn refuse(scene: &mut Scene, call_id: &str) {
    scene.send(2, 1, &Text { call_id, to_tag: "bob", ..Text::default() }.with("SIP/2.0 486 Busy Here"));
}

/// Packets that each call has, in the order of their Call-IDs.
fn rtp_of(records: &[CallRecord]) -> Vec<(&str, u64)> {
    let mut told: Vec<_> =
        records.iter().map(|record| (record.call_id.as_str(), record.rtp_packets)).collect();
    told.sort_unstable();
    told
}

/// Both ends of a call, named by one side.
fn both_ends() -> String {
    sdp(1, 4000) + "m=audio 5000 RTP/AVP 0\nc=IN IP4 192.0.2.2\n"
}

/// Ten packets each way.
fn talk(scene: &mut Scene, (one, other): ((u8, u16), (u8, u16)), from: u16) {
    (from..from + 10).for_each(|number| {
        scene.rtp(one, other, number);
        scene.rtp(other, one, number);
    });
}

/// Before its first packet, while it is spoken, and while nobody speaks.
#[test]
fn who_names_both_ends_of_a_call_does_not_get_its_media() {
    for legs in [1, 2] {
        let mut scene = Scene::plain();
        answer(&mut scene, &Text::default());
        if legs == 2 {
            answer(&mut scene, &Text { call_id: "c2", branch: "x", from_tag: "b2bua", ..Text::default() });
        }
        let ends = ((1, 4000), (2, 5000));
        let mut strangers = 0;
        let mut come = |scene: &mut Scene| {
            (0..20).for_each(|_| {
                let call_id = &format!("x{strangers:02}");
                strangers += 1;
                scene.send(7, 8, &Text { call_id, body: both_ends(), ..Text::default() }.with(INVITE));
            });
        };
        come(&mut scene);
        talk(&mut scene, ends, 0);
        talk(&mut scene, ends, 10);
        come(&mut scene);
        talk(&mut scene, ends, 20);
        scene.wait(5 * SECOND);
        come(&mut scene);
        talk(&mut scene, ends, 30);
        let (records, ..) = scene.end();
        let has = |call: &str| u64::from(call == "c1" || (call == "c2" && legs == 2)) * 80;
        assert_eq!(records.len(), legs + 60);
        assert!(rtp_of(&records).into_iter().all(|(call, rtp)| rtp == has(call)), "{:?}", rtp_of(&records));
    }
}

/// Strangers with answers that name what they like. The first call has its media all the same.
#[test]
fn who_agrees_on_both_ends_of_a_call_does_not_take_its_media() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    let ends = ((1, 4000), (2, 5000));
    for number in 0..20u16 {
        talk(&mut scene, ends, 10 * number);
        if number % 5 == 0 {
            scene.wait(5 * SECOND);
        }
        answer(&mut scene, &Text { call_id: &format!("x{number}"), branch: "x", ..Text::default() });
    }
    talk(&mut scene, ends, 200);
    let (records, ..) = scene.end();
    assert_eq!(rtp_of(&records)[0], ("c1", 21 * 20));
    // It is over, and who is still up has it.
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    (0..9).for_each(|number| {
        answer(&mut scene, &Text { call_id: &format!("x{number}"), branch: "x", ..Text::default() });
    });
    bye(&mut scene, true);
    talk(&mut scene, ends, 0);
    assert!(rtp_of(&scene.end().0).contains(&("x0", 20)));
}

/// Two phones with one port each, and the ends of all their calls were missed. They send as the same sources, from other
/// numbers each time (RFC 3550 5.1).
#[test]
fn the_latest_call_of_two_ports_has_what_follows_a_pause() {
    let mut scene = Scene::plain();
    for number in 0..4u16 {
        answer(&mut scene, &Text { call_id: &format!("c{number}"), ..Text::default() });
        (0..5).for_each(|part| talk(&mut scene, ((1, 4000), (2, 5000)), 10_000 * number + 10 * part));
        scene.wait(10 * SECOND);
    }
    let frames = |call: u32| scene.heard.media.iter().filter(|(slot, _)| *slot == call).count();
    assert_eq!([0, 1, 2, 3].map(frames), [100; 4], "in the files of each");
}

/// A phone behind a NAT speaks with one end of its call, which others name too.
#[test]
fn who_names_one_end_of_a_call_does_not_get_what_is_spoken_there() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    let ends = ((99, 31_000), (2, 5000));
    (0..5).for_each(|part| talk(&mut scene, ends, 10 * part));
    for number in 0..20u16 {
        let call_id = &format!("x{number}");
        scene.send(7, 8, &Text { call_id, body: sdp(2, 5000), ..Text::default() }.with(INVITE));
        talk(&mut scene, ends, 50 + 10 * number);
    }
    let (records, ..) = scene.end();
    assert_eq!(rtp_of(&records)[0], ("c1", 25 * 20));
    assert!(rtp_of(&records)[1..].iter().all(|(_, rtp)| *rtp == 0));
}

/// A packet each from every port of somewhere, while a hundred calls speak at one port. What is held is bounded, nobody who
/// speaks goes, phones behind a NAT neither, and one of these that comes later is heard.
#[test]
fn strangers_at_a_port_of_many_calls_do_no_harm() {
    let mut scene = Scene::plain();
    let server = (9, 10_000);
    let phone = |call: u8| (100 + call, 4000);
    // Of every fourth another port is seen than it announced.
    let seen = |call: u8| (100 + call, if call.is_multiple_of(4) { 31_000 } else { 4000 });
    (0..100).for_each(|call| agree(&mut scene, &format!("c{call:02}"), [phone(call), server]));
    let mut told = 0u64;
    let mut speak = |scene: &mut Scene, numbers: std::ops::Range<u16>| {
        for number in numbers {
            told += 1;
            for call in 0..100 {
                assert!(scene.rtp_at_once(seen(call), server, number));
                assert!(scene.rtp_at_once(server, seen(call), number));
            }
            scene.wait(20);
        }
    };
    speak(&mut scene, 0..100);
    let before = scene.tracker.gauges().flows;
    for port in 1024..=u16::MAX {
        scene.rtp_at_once((66, port), server, 1);
        if port % 100 == 0 {
            speak(&mut scene, port / 100 + 90..port / 100 + 91);
        }
    }
    let flows = scene.tracker.gauges().flows;
    assert!(flows <= before + 256, "{before} and {flows}");
    let heard = (0..20u16).filter(|&number| scene.rtp((67, 31_000), server, number)).count();
    assert!(heard >= 16, "{heard}");
    scene.tracker.finish(PacketTime::plain(scene.now), &mut scene.heard);
    assert_eq!(scene.tracker.gauges().flows, 0, "all are forgotten with their calls");
    let records = std::mem::take(&mut scene.heard.records);
    let expected = 2 * told;
    for record in &records {
        let call: u8 = record.call_id[1..].parse().unwrap();
        let own = |stream: &&MediaRecord| [stream.source, stream.destination].contains(&seen_at(seen(call)));
        let packets: u64 = record.media.iter().filter(own).map(|stream| stream.packets).sum();
        assert!(call.is_multiple_of(4) || packets == expected, "{call}: {packets}");
    }
    let of_all = records.iter().flat_map(|record| &record.media);
    let mut behind: BTreeMap<_, u64> = BTreeMap::new();
    for stream in of_all.filter(|stream| stream.source.port == 31_000 || stream.destination.port == 31_000) {
        let ends = (stream.source, stream.destination);
        let packets = behind.entry(ends).or_default();
        *packets = stream.packets.max(*packets);
    }
    behind.retain(|(from, to), _| ![*from, *to].contains(&seen_at((67, 31_000))));
    assert!(behind.len() == 50 && behind.values().all(|packets| *packets == told), "{behind:?}");
}

fn seen_at((last, port): (u8, u16)) -> Endpoint {
    Endpoint::new(host(last), port)
}

/// Who sends before the answer tells of it is of the call whose signalling names his host.
#[test]
fn a_sender_finds_its_call_when_the_answer_names_it() {
    let mut scene = Scene::plain();
    let (phone, bob, carol) = ((1, 7078), (2, 5000), (3, 6000));
    agree(&mut scene, "bob", [phone, bob]);
    let text = |to_tag, body| Text { call_id: "carol", to_tag, body, ..Text::default() };
    scene.send(1, 3, &text("", sdp(1, 7078)).with(INVITE));
    (0..5).for_each(|number| assert!(scene.rtp(carol, phone, number)));
    scene.send(3, 1, &text("bob", sdp(3, 6000)).with("SIP/2.0 200 OK"));
    (5..12).for_each(|number| assert!(scene.rtp(carol, phone, number)));
    let (records, ..) = scene.end();
    let told: Vec<_> = records.iter().map(|record| (record.call_id.as_str(), record.rtp_packets)).collect();
    assert_eq!(told, [("bob", 0), ("carol", 12)]);
}

/// A call that begins at an endpoint with many streams has those that send to it from then on.
#[test]
fn streams_that_were_over_are_no_later_call_s() {
    let mut scene = Scene::plain();
    let offer = |call_id: &str| Text { call_id, body: sdp(1, 4000), ..Text::default() }.with(INVITE);
    scene.send(1, 2, &offer("c0"));
    (0..20u8).for_each(|from| assert!(scene.rtp((100 + from, 5000), (1, 4000), 1)));
    for number in 1..50 {
        refuse(&mut scene, &format!("c{}", number - 1));
        scene.send(1, 2, &offer(&format!("c{number}")));
        // Of the first stream and of no other there is one more packet for each.
        assert!(scene.rtp((100, 5000), (1, 4000), 1 + number));
    }
    let (records, _, census) = scene.end();
    let streams: Vec<_> = records.iter().map(|record| record.media.len()).collect();
    assert_eq!((streams[0], &streams[1..]), (20, &[1; 49][..]));
    for record in &records {
        assert_eq!(record.rtp_packets, record.media.iter().map(|stream| stream.packets).sum::<u64>());
    }
    assert_eq!(census.streams_left_out, 0);
}

#[test]
fn streams_that_change_hands_are_bounded_for_a_call() {
    let mut scene = Scene::plain();
    let ports: Vec<u16> = (0..10).map(|number| 4000 + 2 * number).collect();
    let offer = |call_id, ports: &[u16]| {
        let more = ports[1..].iter().map(|port| format!("m=audio {port} RTP/AVP 0\n")).collect::<String>();
        Text { call_id, body: sdp(1, ports[0]) + &more, ..Text::default() }.with(INVITE)
    };
    scene.send(1, 2, &offer("first", &ports));
    for from in 0..32 {
        ports.iter().for_each(|&port| assert!(scene.rtp((99, 10_000 + from), (1, port), 1)));
    }
    refuse(&mut scene, "first");
    // As many as change hands with one message.
    for (ports, call) in ports.chunks(2).zip(["second", "third", "fourth", "fifth", "sixth"]) {
        scene.send(1, 2, &offer(call, ports));
    }
    let (records, _, census) = scene.end();
    assert_eq!((records[0].rtp_packets, records[0].media.len()), (320, 256));
    assert_eq!(census.streams_left_out, 320 - 256);
}

#[test]
fn two_legs_may_share_their_media() {
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    answer(&mut scene, &Text { call_id: "c2", branch: "x", from_tag: "b2bua", ..Text::default() });
    assert!(scene.rtp((2, 5000), (1, 4000), 1));
    let counted = scene.tracker.media_counters().rtp;
    let (records, heard, _) = scene.end();
    assert_eq!(records.iter().map(|record| record.rtp_packets).collect::<Vec<_>>(), [1, 1]);
    assert_eq!((heard.media.len(), counted), (2, 1));
}

#[test]
fn other_dialogs_are_kept_when_asked_for() {
    let register = Text { cseq: "1 REGISTER", ..Text::default() };
    for (settings, kept) in
        [(Settings::default(), 0), (Settings { registrations: true, ..Settings::default() }, 1)]
    {
        let mut scene = Scene::new(settings);
        scene.send(1, 2, &register.with("REGISTER sip:b.example SIP/2.0"));
        scene.send(2, 1, &Text { to_tag: "r", cseq: "1 REGISTER", ..Text::default() }.with("SIP/2.0 200 OK"));
        let (records, _, census) = scene.end();
        assert_eq!((records.len(), census.registrations, census.calls), (kept, 1, 0));
        if let Some(record) = records.first() {
            assert_eq!((record.kind, record.result), (CallKind::Registration, CallResult::Success));
        }
    }
}

#[test]
fn a_filter_keeps_the_whole_call_or_nothing_of_it() {
    let filter = |invert| Filter { users: vec![Pattern::new("bob")], invert, ..Filter::default() };
    for (invert, kept) in [(false, "c1"), (true, "c2")] {
        let mut scene = Scene::new(Settings { filter: filter(invert), ..Settings::default() });
        scene.send(1, 2, &Text::default().with(INVITE));
        let other = Text { call_id: "c2", ..Text::default() }.with(INVITE).replace("bob", "carol");
        scene.send(1, 2, &other);
        let (records, ..) = scene.end();
        assert_eq!(records.iter().map(|record| record.call_id.as_str()).collect::<Vec<_>>(), [kept]);
    }
}

#[test]
fn the_table_is_capped_and_the_oldest_goes() {
    let mut scene = Scene::plain();
    for number in 0..1100 {
        let call_id = format!("c{number}");
        scene.send(1, 2, &Text { call_id: &call_id, ..Text::default() }.with(INVITE));
        scene.now = Timestamp(scene.now.0 - 99_900_000);
    }
    assert_eq!(scene.tracker.len(), 1000);
    let (records, _, census) = scene.end();
    assert_eq!((records.len(), census.evicted, census.calls), (1100, 100, 1100));
    assert_eq!(records[0].call_id, "c0");
}

#[test]
fn a_call_joined_in_the_middle_is_a_call() {
    let mut scene = Scene::plain();
    scene.send(2, 1, &Text { to_tag: "bob", ..Text::default() }.with("SIP/2.0 200 OK"));
    bye(&mut scene, true);
    let (records, ..) = scene.end();
    assert_eq!((records[0].kind, records[0].result), (CallKind::Call, CallResult::Success));
    assert_eq!(records[0].source, sip_port(1), "the one whom the answer went to asked");
}

/// The capture begins between the 200 and its ACK (RFC 3261 13.2.2.4): the call is up, and ends with its BYE.
#[test]
fn an_ack_may_be_the_first_of_a_call() {
    let ack = |branch| Text { branch, to_tag: "bob", cseq: "1 ACK", ..Text::default() };
    let mut scene = Scene::plain();
    scene.send(1, 2, &ack("ack").with("ACK sip:bob@192.0.2.2 SIP/2.0"));
    scene.wait(100 * SECOND);
    bye(&mut scene, true);
    let (records, _, census) = scene.end();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((record.kind, record.result), (CallKind::Call, CallResult::Success));
    assert_eq!((record.ended_by, record.answered, record.messages), (Some(EndedBy::Caller), None, 3));
    assert_eq!((record.findings.len(), census.calls, census.answered), (0, 1, 0));
    // One of a 407 (17.1.1.3), after which the INVITE comes again: the attempt that it looks like.
    let mut scene = Scene::plain();
    scene.send(1, 2, &ack("b1").with("ACK sip:bob@b.example SIP/2.0"));
    let again = |to_tag| Text { branch: "b2", to_tag, cseq: "2 INVITE", ..Text::default() };
    scene.send(1, 2, &again("").with(INVITE));
    scene.send(2, 1, &again("bob").with("SIP/2.0 486 Busy Here"));
    let (records, ..) = scene.end();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((record.result, record.status_code), (CallResult::Busy, Some(486)));
    // Answered, the 200 is sent again, for that ACK was none of it (13.3.1.4).
    let mut scene = Scene::plain();
    scene.send(1, 2, &ack("b1").with("ACK sip:bob@b.example SIP/2.0"));
    scene.send(1, 2, &again("").with(INVITE));
    (0..4).for_each(|_| scene.send(2, 1, &again("bob").with("SIP/2.0 200 OK")));
    let (records, ..) = scene.end();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert!(record.findings.iter().any(|finding| finding.code == "no_ack"), "{:?}", record.findings);
}

/// A NOTIFY or an OPTIONS inside a call is heard first: the BYE says what it was in (RFC 3261 15).
#[test]
fn a_bye_makes_a_call_of_the_dialog_that_it_ends() {
    for method in ["NOTIFY", "OPTIONS", "MESSAGE"] {
        let mut scene = Scene::plain();
        let cseq = format!("7 {method}");
        let first = Text { branch: "n", from_tag: "bob", to_tag: "alice", cseq: &cseq, ..Text::default() };
        scene.send(2, 1, &first.with(&format!("{method} sip:alice@192.0.2.1 SIP/2.0")));
        scene.send(1, 2, &first.with("SIP/2.0 200 OK"));
        scene.wait(20 * SECOND);
        bye(&mut scene, false);
        let (records, _, census) = scene.end();
        let [record] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!((record.kind, record.result), (CallKind::Call, CallResult::Success), "{method}");
        assert_eq!((record.messages, record.status_code, census.calls), (4, None, 1), "{method}");
        assert_eq!(record.ended_by, Some(EndedBy::Caller), "who sent the first request");
    }
    // Without one it stays what it was.
    let mut scene = Scene::new(Settings { others: true, ..Settings::default() });
    let notify = Text { branch: "n", to_tag: "alice", cseq: "7 NOTIFY", ..Text::default() };
    scene.send(2, 1, &notify.with("NOTIFY sip:alice@192.0.2.1 SIP/2.0"));
    let (records, ..) = scene.end();
    assert_eq!(records[0].kind, CallKind::Subscription);
}

/// A stamp of the year 2100.
const WILD: Timestamp = Timestamp::new(4_102_444_800, 0);

#[test]
fn a_packet_of_the_future_holds_no_media_up() {
    let mut scene = Scene::plain();
    assert!(!scene.rtp((2, 5000), (1, 4000), 1));
    assert!(!scene.rtp_stamped(WILD, (7, 7000), (8, 8000), 1));
    scene.rtp((2, 5000), (1, 4000), 2);
    scene.send(1, 2, &Text { body: sdp(1, 4000), ..Text::default() }.with(INVITE));
    assert_eq!(scene.heard.media.len(), 2, "both that waited");
    scene.rtp((3, 5000), (4, 4000), 1);
    scene.wait(11 * SECOND);
    assert_eq!(scene.tracker.gauges().unclaimed_flows, 0, "their time is up");
    assert_eq!(scene.tracker.media_counters().unclaimed_expired, 2);
}

#[test]
fn who_sends_to_one_port_from_everywhere_leaves_little_behind() {
    let mut scene = Scene::plain();
    for port in 0..400 {
        scene.rtp((1, 10_000 + port), (2, 5000), 1);
    }
    let entries = scene.tracker.media.unclaimed_entries();
    assert!(entries <= 201, "{entries} entries for {} flows", scene.tracker.gauges().unclaimed_flows);
}

#[test]
fn calls_go_on_where_stamps_go_back() {
    let hour = 3600 * SECOND;
    let mut scene = Scene::plain();
    answer(&mut scene, &Text::default());
    scene.send(1, 2, &Text { call_id: "c2", ..Text::default() }.with(INVITE));
    scene.wait(10 * SECOND);
    scene.step_back(Duration::from_secs(86_400));
    scene.send(1, 2, &Text { call_id: "c3", ..Text::default() }.with(INVITE));
    let began = scene.stamp();
    scene.wait(23 * SECOND);
    let ended = scene.heard.events.iter().filter(|(event, _)| *event == "end").map(|(_, call)| call.as_str());
    assert_eq!(ended.collect::<Vec<_>>(), ["c2"], "32 s after its INVITE, and c3 not yet");
    let mut last = began;
    for sequence in 0..6 {
        scene.wait(hour);
        last = scene.stamp();
        assert!(scene.rtp((2, 5000), (1, 4000), sequence));
    }
    scene.wait(4 * hour + 40 * SECOND);
    assert!(scene.tracker.is_empty());
    let (records, ..) = scene.end();
    let told: Vec<_> = records.iter().map(|record| (record.call_id.as_str(), record.result)).collect();
    let wanted = [("c2", CallResult::Timeout), ("c3", CallResult::Timeout), ("c1", CallResult::Success)];
    assert_eq!(told, wanted);
    assert_eq!(records[2].end, Some(last), "as the last packet is stamped");
}

#[test]
fn a_message_of_the_future_times_out_as_others_do() {
    let mut scene = Scene::plain();
    let now = std::mem::replace(&mut scene.now, WILD);
    scene.say(1, 2, &Text::default().with(INVITE));
    scene.now = now;
    scene.wait(33 * SECOND);
    assert_eq!(scene.heard.events.last(), Some(&("end", "c1".to_owned())));
}
