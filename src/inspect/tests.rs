//! Calls as a tap sees them, against drawings made by hand.

use std::time::Duration;

use super::*;
use crate::call::{Delivery, DialogHint, Limits, Tracker};
use crate::capture::{LinkType, Packet, PacketBatch};
use crate::escape::assert_harmless;
use crate::flow::{Address, Endpoint};
use crate::media::Datagram;
use crate::pipeline::{Bytes, FragmentFrames, Place, View as Batch};
use crate::privacy::Privacy;
use crate::sip::{Carriage, Head, Message, Messages, SipTransport, sdp};
use crate::time::{PacketTime, Timestamp, grid};

/// 2014-05-05 11:49:02.133 UTC.
const START: u64 = 1_399_290_542_133;

#[derive(Clone)]
enum Step {
    Sip(Endpoint, Endpoint, SipTransport, String),
    /// The last byte of the host whose stream it is, which is its SSRC.
    Rtp(u8, Endpoint, Endpoint, u16),
}

/// What is captured, each step at its millisecond from the start.
#[derive(Clone, Default)]
struct Scene {
    steps: Vec<(u64, Step)>,
}

fn host(last: u8) -> Endpoint {
    port(last, 5060)
}

fn port(last: u8, port: u16) -> Endpoint {
    Endpoint::new(Address::v4([10, 0, 0, last]), port)
}

/// A message of Call-ID `id`: `INVITE auth sdp 10.0.0.1, 1 INVITE` or `200 OK, 1 INVITE`; `BYE back` when the called
/// party sends it.
fn message(id: &str, what: &str) -> String {
    let (what, cseq) = what.split_once(", ").unwrap();
    let (line, media) = what.split_once(" sdp").map_or((what, None), |(line, media)| (line, Some(media)));
    let is_request = !line.as_bytes()[0].is_ascii_digit();
    let (line, credentials) = line.strip_suffix(" auth").map_or((line, false), |line| (line, true));
    let (line, is_back) = line.strip_suffix(" back").map_or((line, false), |line| (line, true));
    let start =
        if is_request { format!("{line} sip:bob@example.net SIP/2.0") } else { format!("SIP/2.0 {line}") };
    let (from_tag, to_tag) = if is_back { ("b", ";tag=a") } else { ("a", ";tag=b") };
    let to_tag = if line == "INVITE" { "" } else { to_tag };
    let branch = cseq.replace(' ', "");
    let mut text = format!(
        "{start}\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{branch}\r\nFrom: <sip:alice@example.org>;tag={from_tag}\r\n\
         To: <sip:bob@example.net>{to_tag}\r\nCall-ID: {id}\r\nCSeq: {cseq}\r\n"
    );
    if credentials {
        text.push_str("Proxy-Authorization: Digest username=\"alice\"\r\n");
    }
    let body = media.map_or_else(String::new, |media| {
        let address = media.trim();
        format!("v=0\r\nc=IN IP4 {address}\r\nm=audio 6000 RTP/AVP 8\r\n")
    });
    if media.is_some() {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    text + &format!("Content-Length: {}\r\n\r\n{body}", body.len())
}

impl Scene {
    fn sip(&mut self, at: u64, from: Endpoint, to: Endpoint, what: &str) -> &mut Self {
        self.raw(at, from, to, &message("one@example.org", what))
    }

    fn raw(&mut self, at: u64, from: Endpoint, to: Endpoint, text: &str) -> &mut Self {
        self.steps.push((at, Step::Sip(from, to, SipTransport::Udp, text.to_owned())));
        self
    }

    fn over(&mut self, transport: SipTransport) -> &mut Self {
        for (_, step) in &mut self.steps {
            if let Step::Sip(_, _, carried, _) = step {
                *carried = transport;
            }
        }
        self
    }

    fn rtp(&mut self, at: u64, from: Endpoint, to: Endpoint, packets: u16) -> &mut Self {
        let [.., host] = from.address.v4_bytes().unwrap();
        self.rtp_of(host, at, (from, to), packets)
    }

    fn rtp_of(&mut self, host: u8, at: u64, (from, to): (Endpoint, Endpoint), packets: u16) -> &mut Self {
        self.steps.extend((0..packets).map(|n| (at + u64::from(n) * 20, Step::Rtp(host, from, to, n))));
        self
    }

    fn play(&self, listener: &mut (dyn Listener + Send)) {
        let media = crate::media::Limits {
            max_flows: 100,
            max_unclaimed: 100,
            unclaimed_timeout: Duration::from_secs(10),
            backlog_bytes: 0,
        };
        let limits =
            Limits { max_dialogs: 100, idle_timeout: Duration::from_secs(3600), max_waiting: 100, media };
        let mut tracker = Tracker::new(limits, settings(false), listener.wants());
        let mut steps = self.steps.clone();
        steps.sort_by_key(|(at, _)| *at);
        let mut now = Timestamp(START * 1_000_000);
        for (at, step) in &steps {
            let time = Timestamp((START + at) * 1_000_000);
            while now < time {
                now = now.after(Duration::from_millis(100)).min(time);
                tracker.tick(PacketTime::plain(grid(now)), listener);
            }
            match step {
                Step::Sip(from, to, transport, text) => {
                    tell(&mut tracker, time, (*from, *to), *transport, text, listener);
                }
                Step::Rtp(host, from, to, number) => {
                    stream(&mut tracker, time, (*from, *to), (*host, *number), listener);
                }
            }
        }
        tracker.finish(PacketTime::plain(now), listener);
    }

    fn ladder(&self, screen: Screen) -> String {
        self.view("one@example.org", View::Ladder, screen).unwrap()
    }

    fn view(&self, wanted: &str, view: View, screen: Screen) -> Result<String> {
        let mut out = Vec::new();
        let files = ["a.pcap".into()];
        let asked = Asked { wanted: Wanted::new(wanted), view, privacy: Privacy::default(), files: &files };
        call(asked, &screen, &mut out, |listener| {
            self.play(listener);
            Ok(Extent::Whole)
        })?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn table(&self, form: Form, all: bool, screen: Screen) -> String {
        let mut out = Vec::new();
        calls(form, all, &screen, &mut out, |listener| {
            self.play(listener);
            Ok((Vec::new(), Extent::Whole))
        })
        .unwrap();
        String::from_utf8(out).unwrap()
    }
}

fn tell(
    tracker: &mut Tracker,
    timestamp: Timestamp,
    (source, destination): (Endpoint, Endpoint),
    transport: SipTransport,
    text: &str,
    listener: &mut dyn Listener,
) {
    let bytes = text.as_bytes();
    let head = Head::parse(bytes, true).unwrap();
    let mut messages = Messages::default();
    sdp::parse(bytes, &head, &mut messages.sections, &mut messages.media);
    let message = Message {
        sequence: 1,
        timestamp,
        source,
        destination,
        transport,
        bytes: Bytes { place: Place::Packets, start: 0, length: bytes.len() as u32 },
        head,
        media: (0, messages.media.len() as u32),
        sdp: !messages.media.is_empty(),
        completes: false,
        carriage: Carriage::Frame(0),
    };
    let fragments = FragmentFrames::default();
    let view = Batch { batch: PacketBatch::new(bytes, &[]), datagrams: &[], fragments: &fragments };
    let delivery = Delivery { message: &message, bytes, messages: &messages, view: &view };
    tracker.message(DialogHint::NONE, &delivery, listener);
}

fn stream(
    tracker: &mut Tracker,
    timestamp: Timestamp,
    (source, destination): (Endpoint, Endpoint),
    (host, number): (u8, u16),
    listener: &mut dyn Listener,
) {
    let mut payload = vec![0x80, 8];
    payload.extend(number.to_be_bytes());
    payload.extend((u32::from(number) * 160).to_be_bytes());
    payload.extend([10, 0, 0, host]);
    payload.extend([0xd5; 160]);
    let packet =
        Packet { timestamp, captured: payload.len() as u32, link: LinkType::RAW, ..Packet::default() };
    let fragments = FragmentFrames::default();
    let batch = PacketBatch::new(&payload, std::slice::from_ref(&packet));
    let view = Batch { batch, datagrams: &[], fragments: &fragments };
    let datagram = Datagram::whole(timestamp, (source, destination), &payload);
    let media = crate::call::MediaPacket { datagram, packet: 0, reassembled: None };
    tracker.media(crate::media::FlowHint::NONE, &media, &view, listener);
}

const fn screen(width: usize) -> Screen {
    Screen { width, terminal: false, unicode: true, color: false }
}

const fn ascii(width: usize) -> Screen {
    Screen { width, terminal: false, unicode: false, color: false }
}

/// Draws without the lines above the ladder; begins with a line end, so that drawings below may begin with spaces.
fn drawn(scene: &Scene, screen: Screen) -> String {
    let whole = scene.ladder(screen);
    format!("\n{}", whole.split_once("\n\n").unwrap().1)
}

/// The lines above the ladder.
fn told(scene: &Scene) -> Vec<String> {
    let whole = scene.ladder(screen(100));
    whole.split_once("\n\n").unwrap().0.lines().map(str::to_owned).collect()
}

fn plain() -> Scene {
    let (alice, bob) = (host(1), host(2));
    let mut scene = Scene::default();
    scene
        .sip(0, alice, bob, "INVITE sdp 10.0.0.1, 1 INVITE")
        .sip(2, bob, alice, "100 Trying, 1 INVITE")
        .sip(104, bob, alice, "180 Ringing, 1 INVITE")
        .sip(3104, bob, alice, "200 OK sdp 10.0.0.2, 1 INVITE")
        .sip(3110, alice, bob, "ACK, 1 ACK")
        .rtp(3120, port(1, 6000), port(2, 6000), 100)
        .rtp(3125, port(2, 6000), port(1, 6000), 99)
        .sip(5200, bob, alice, "BYE back, 1 BYE")
        .sip(5201, alice, bob, "200 OK back, 1 BYE");
    scene
}

#[test]
fn a_plain_call() {
    let expected = "\
alice called bob: answered after 3.1 s (ringing after 104 ms), 2.1 s long, bob (the called party) hung up
Call-ID one@example.org
2014-05-05 11:49:02.133000 UTC; 7 messages over udp

        10.0.0.1:5060                                     10.0.0.2:5060
11:49:02.133  │─────────────── INVITE (SDP PCMA) ──────────────►│  1 INVITE
      +0.002  │◄────────────────── 100 Trying ──────────────────│  1 INVITE
      +0.102  │◄───────────────── 180 Ringing ──────────────────│  1 INVITE
      +3.000  │◄────────────── 200 OK (SDP PCMA) ───────────────│  1 INVITE
      +0.006  │────────────────────── ACK ─────────────────────►│  1 ACK
      +0.010  │══ RTP PCMA 100 packets, lost 0, jitter 0.0 ms ═►│
      +0.015  │◄══ RTP PCMA 99 packets, lost 0, jitter 0.0 ms ══│
      +2.090  │◄───────────────────── BYE ──────────────────────│  1 BYE
      +0.001  │──────────────────── 200 OK ────────────────────►│  1 BYE

RTP streams
  10.0.0.1:6000 → 10.0.0.2:6000  PCMA  100 packets in 2.0 s, lost 0, jitter 0.0 ms (at most 0.0), SSRC 0x0a000001
  10.0.0.2:6000 → 10.0.0.1:6000  PCMA  99 packets in 2.0 s, lost 0, jitter 0.0 ms (at most 0.0), SSRC 0x0a000002
";
    assert_eq!(plain().ladder(screen(120)), expected);
}

fn proxied() -> Scene {
    let (alice, proxy, bob) = (host(1), host(9), host(2));
    let mut scene = Scene::default();
    scene
        .sip(0, alice, proxy, "INVITE sdp 10.0.0.1, 1 INVITE")
        .sip(1, proxy, alice, "100 Giving a try, 1 INVITE")
        .sip(2, proxy, bob, "INVITE sdp 10.0.0.1, 1 INVITE")
        .sip(502, proxy, bob, "INVITE sdp 10.0.0.1, 1 INVITE")
        .sip(600, bob, proxy, "200 OK sdp 10.0.0.2, 1 INVITE")
        .sip(601, proxy, alice, "200 OK sdp 10.0.0.2, 1 INVITE")
        .sip(610, alice, bob, "ACK, 1 ACK")
        .sip(611, alice, bob, "ACK, 1 ACK")
        .rtp(620, port(1, 6000), port(2, 6000), 50)
        .sip(5200, alice, bob, "BYE, 2 BYE")
        .sip(5201, bob, alice, "200 OK, 2 BYE");
    scene
}

#[test]
fn a_proxy_between_them() {
    let expected = "
        10.0.0.1:5060            10.0.0.9:5060            10.0.0.2:5060
11:49:02.133  │── INVITE (SDP PCMA) ──►│                        │  1 INVITE
      +0.001  │◄── 100 Giving a try ───│                        │  1 INVITE
      +0.001  │                        │── INVITE (SDP PCMA) ──►│  1 INVITE
      +0.500  │                        │── INVITE (SDP PCMA) ──►│  1 INVITE ↻
      +0.098  │                        │◄── 200 OK (SDP PCMA) ──│  1 INVITE
      +0.001  │◄── 200 OK (SDP PCMA) ──│                        │  1 INVITE
      +0.009  │────────────────────── ACK ─────────────────────►│  1 ACK
      +0.001  │────────────────────── ACK ─────────────────────►│  1 ACK ≡
      +0.009  │══ RTP PCMA 50 packets, lost 0, jitter 0.0 ms ══►│
      +4.589  │────────────────────── BYE ─────────────────────►│  2 BYE
      +0.001  │◄──────────────────── 200 OK ────────────────────│  2 BYE

↻ sent again   ≡ captured again
";
    let drawing = drawn(&proxied(), screen(100));
    assert_eq!(drawing.split_once("\nRTP streams").unwrap().0, expected);
    let lines = told(&proxied());
    // Half a second of it is no reason to miss the other direction.
    assert!(!lines.iter().any(|line| line.starts_with('▸')), "{lines:?}");
    assert!(lines[2].ends_with("9 messages over udp; 1 sent again; 1 captured again"), "{lines:?}");
}

#[test]
fn a_narrow_terminal_without_utf8() {
    let expected = "
              A   B   C
11:49:02.133  |-->|   |  INVITE (SDP PCMA)   1 INVITE
      +0.001  |<--|   |  100 Giving a try    1 INVITE
      +0.001  |   |-->|  INVITE (SDP PCMA)   1 INVITE
      +0.500  |   |-->|  INVITE (SDP PCMA)   1 INVITE (again)
      +0.098  |   |<--|  200 OK (SDP PCMA)   1 INVITE
      +0.001  |<--|   |  200 OK (SDP PCMA)   1 INVITE
      +0.009  |------>|  ACK                 1 ACK
      +0.001  |------>|  ACK                 1 ACK (twice)
      +0.009  |======>|  RTP PCMA
      +4.589  |------>|  BYE                 2 BYE
      +0.001  |<------|  200 OK              2 BYE

  A  10.0.0.1:5060
  B  10.0.0.9:5060
  C  10.0.0.2:5060
";
    let drawing = drawn(&proxied(), ascii(61));
    assert_eq!(drawing.split_once("\nRTP streams").unwrap().0, expected);
    assert!(proxied().ladder(ascii(61)).is_ascii());
}

/// A call that needs credentials and then fails, over TCP.
fn refused() -> Scene {
    let (alice, proxy) = (port(1, 40001), host(9));
    let mut scene = Scene::default();
    scene
        .sip(0, alice, proxy, "INVITE sdp 10.0.0.1, 1 INVITE")
        .sip(1, proxy, alice, "407 Proxy Authentication Required, 1 INVITE")
        .sip(2, alice, proxy, "ACK, 1 ACK")
        .sip(3, alice, proxy, "INVITE auth sdp 10.0.0.1, 2 INVITE")
        .sip(2003, proxy, alice, "503 Service Unavailable, 2 INVITE")
        .sip(2005, alice, proxy, "ACK, 2 ACK")
        .over(SipTransport::Tcp);
    scene
}

#[test]
fn a_refused_call() {
    let expected = "\
alice called bob: failed with 503 Service Unavailable after 2.0 s
Call-ID one@example.org
2014-05-05 11:49:02.133000 UTC; 6 messages over tcp
▸ 407 answered with credentials (challenged)
▸ rejected with 503 by 10.0.0.9 (rejected)

       10.0.0.1:40001                     10.0.0.9:5060
11:49:02.133  │─────── INVITE (SDP PCMA) ──────►│  1 INVITE tcp
      +0.001  │◄─ 407 Proxy Authentication R… ──│  1 INVITE tcp
      +0.001  │────────────── ACK ─────────────►│  1 ACK tcp
      +0.001  │─────── INVITE (SDP PCMA) ──────►│  2 INVITE tcp
      +2.000  │◄─── 503 Service Unavailable ────│  2 INVITE tcp
      +0.002  │────────────── ACK ─────────────►│  2 ACK tcp
";
    assert_eq!(refused().ladder(screen(63)), expected);
}

#[test]
fn ten_parties() {
    let mut scene = Scene::default();
    for n in 1..10 {
        scene.sip(u64::from(n) * 10, host(n), host(n + 1), "INVITE sdp 10.0.0.1, 1 INVITE");
    }
    scene.sip(200, host(10), host(1), "486 Busy Here, 1 INVITE");
    let narrow = "
              A   B   C   D   E   F   G   H   I   J
11:49:02.143  │──►│   │   │   │   │   │   │   │   │  INVITE (SDP PCMA)  1 INVITE
      +0.010  │   │──►│   │   │   │   │   │   │   │  INVITE (SDP PCMA)  1 INVITE
      +0.010  │   │   │──►│   │   │   │   │   │   │  INVITE (SDP PCMA)  1 INVITE
      +0.010  │   │   │   │──►│   │   │   │   │   │  INVITE (SDP PCMA)  1 INVITE
      +0.010  │   │   │   │   │──►│   │   │   │   │  INVITE (SDP PCMA)  1 INVITE
      +0.010  │   │   │   │   │   │──►│   │   │   │  INVITE (SDP PCMA)  1 INVITE
      +0.010  │   │   │   │   │   │   │──►│   │   │  INVITE (SDP PCMA)  1 INVITE
      +0.010  │   │   │   │   │   │   │   │──►│   │  INVITE (SDP PCMA)  1 INVITE
      +0.010  │   │   │   │   │   │   │   │   │──►│  INVITE (SDP PCMA)  1 INVITE
      +0.110  │◄──────────────────────────────────│  486 Busy Here      1 INVITE

  A  10.0.0.1:5060
";
    assert!(drawn(&scene, screen(82)).starts_with(narrow), "{}", drawn(&scene, screen(82)));
    let wide = drawn(&scene, screen(260));
    assert_eq!(wide.matches("10.0.0.").count(), 10, "one name over each column, and no legend:\n{wide}");
    assert!(wide.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 260));
}

#[test]
fn a_flood_of_parties_shares_the_last_column() {
    let mut scene = Scene::default();
    for n in 1..=200 {
        scene.sip(u64::from(n), host(n), host(250), "INVITE, 1 INVITE");
    }
    let drawing = drawn(&scene, screen(120));
    assert!(drawing.contains("  Z  others\n") && !drawing.contains("  ?  "));
    assert_eq!(drawing.lines().filter(|line| line.contains("INVITE")).count(), 200);
}

#[test]
fn ports_of_one_host_are_told_apart() {
    let at = |port| Endpoint::new(Address::v4([127, 0, 0, 1]), port);
    let mut scene = Scene::default();
    scene
        .sip(0, at(5060), at(5080), "INVITE, 1 INVITE")
        .sip(10, at(5080), at(5060), "180 Ringing, 1 INVITE")
        .sip(20, at(5060), at(5060), "CANCEL, 1 CANCEL");
    let expected = "
       127.0.0.1:5060    127.0.0.1:5080
11:49:02.133  │──── INVITE ────►│  1 INVITE
      +0.010  │◄─ 180 Ringing ──│  1 INVITE
      +0.010  ●                 │  CANCEL  1 CANCEL
";
    assert_eq!(drawn(&scene, screen(80)), expected);
}

#[test]
fn media_of_a_host_that_calls_itself_belongs_to_who_announced_it() {
    let at = |port| Endpoint::new(Address::v4([127, 0, 0, 1]), port);
    let mut scene = Scene::default();
    let answer =
        message("one@example.org", "200 OK sdp 127.0.0.1, 1 INVITE").replace("audio 6000", "audio 7000");
    scene
        .sip(0, at(5060), at(5080), "INVITE sdp 127.0.0.1, 1 INVITE")
        .raw(10, at(5080), at(5060), &answer)
        .sip(20, at(5060), at(5080), "ACK, 1 ACK")
        .rtp(30, at(6000), at(7000), 3)
        .rtp(31, at(7000), at(6000), 3);
    let drawing = drawn(&scene, screen(120));
    assert!(
        drawing.starts_with("\n       127.0.0.1:5060") && !drawing.lines().nth(1).unwrap().contains("6000")
    );
    assert_eq!(drawing.matches("═►│\n").count(), 1, "{drawing}");
    assert_eq!(drawing.matches("│◄═").count(), 1, "{drawing}");
    assert!(!told(&scene).iter().any(|line| line.contains("one way")));
}

#[test]
fn how_it_ended_is_one_sentence() {
    let (alice, bob) = (host(1), host(2));
    let begun = || {
        let mut scene = Scene::default();
        scene.sip(0, alice, bob, "INVITE, 1 INVITE").sip(500, bob, alice, "180 Ringing, 1 INVITE");
        scene
    };
    let mut cancelled = begun();
    cancelled.sip(4000, alice, bob, "CANCEL, 1 CANCEL").sip(4001, bob, alice, "200 OK, 1 CANCEL").sip(
        4002,
        bob,
        alice,
        "487 Request Terminated, 1 INVITE",
    );
    assert_eq!(told(&cancelled)[0], "alice called bob: cancelled after 4.0 s, while it rang");
    let mut busy = begun();
    busy.sip(4000, bob, alice, "486 Busy Here, 1 INVITE");
    assert_eq!(told(&busy)[0], "alice called bob: busy, 486 Busy Here after 4.0 s");
    let mut declined = begun();
    declined.sip(4000, bob, alice, "603 Decline, 1 INVITE");
    assert_eq!(told(&declined)[0], "alice called bob: declined with 603 Decline after 4.0 s");
    assert_eq!(told(&begun())[0], "alice called bob: not answered when the capture ends");
    let mut open = begun();
    open.sip(1000, bob, alice, "200 OK, 1 INVITE").sip(3500, alice, bob, "INFO, 2 INFO");
    assert_eq!(
        told(&open)[0],
        "alice called bob: answered after 1.0 s (ringing after 500 ms), still open when the capture ends 2.5 s later"
    );
    // The 2xx that no ACK answers is sent again (RFC 3261 13.3.1.4): the one that is not had its ACK elsewhere.
    assert!(!told(&open).iter().any(|line| line.contains("no_ack")));
    open.sip(1500, bob, alice, "200 OK, 1 INVITE").sip(2500, bob, alice, "200 OK, 1 INVITE");
    let expected = "▸ no ACK for the answer, which was sent 2 times again (no_ack)".to_owned();
    assert!(told(&open).contains(&expected), "{:?}", told(&open));
}

/// RFC 3261 12.2: what has a To-tag is inside a dialog, and who called whom was before the capture.
#[test]
fn a_call_that_was_up_before_the_capture_was_answered() {
    let (alice, bob) = (host(1), host(2));
    for method in ["INFO", "ACK", "INVITE", "UPDATE"] {
        let first = message("one@example.org", "INFO, 2 INFO").replace("INFO", method);
        let mut scene = Scene::default();
        scene.raw(0, alice, bob, &first);
        assert_eq!(told(&scene)[0], "alice and bob: up before the capture, and still up", "{method}");
        scene.sip(3000, alice, bob, "BYE, 3 BYE").sip(3001, bob, alice, "200 OK, 3 BYE");
        assert_eq!(
            told(&scene)[0],
            "alice and bob: up before the capture, alice hung up 3.0 s into it",
            "{method}"
        );
    }
}

/// RFC 3891 3: `carol` takes the call of `bob`, whose phone rings; RFC 3326 2: a branch that was answered elsewhere.
#[test]
fn who_took_a_call_that_was_cancelled() {
    let (alice, bob, carol) = (host(1), host(2), host(3));
    let cancelled = |extra: &str, picked_up: bool| {
        let mut scene = Scene::default();
        scene.sip(0, alice, bob, "INVITE, 1 INVITE").sip(100, bob, alice, "180 Ringing, 1 INVITE");
        let replaces = "Replaces: one@example.org;to-tag=b;from-tag=a\r\nContent-Length";
        let mut take = |at, from, to, what| {
            let text = message("two@example.org", what).replace("Content-Length", replaces);
            scene.raw(at, from, to, &text);
        };
        if picked_up {
            take(2000, carol, alice, "INVITE, 1 INVITE");
            take(2100, alice, carol, "200 OK, 1 INVITE");
        }
        let cancel = message("one@example.org", "CANCEL, 1 CANCEL").replace(";tag=b", "");
        let cancel = cancel.replace("1CANCEL", "1INVITE");
        scene.raw(3000, alice, bob, &cancel.replace("Content-Length", &format!("{extra}Content-Length")));
        scene.sip(3100, bob, alice, "487 Request Terminated, 1 INVITE");
        told(&scene).remove(0)
    };
    let elsewhere = "Reason: SIP ;cause=200 ;text=\"Call completed elsewhere\"\r\n";
    assert_eq!(cancelled("", false), "alice called bob: cancelled after 3.1 s, while it rang");
    assert_eq!(
        cancelled(elsewhere, false),
        "alice called bob: answered elsewhere after 3.1 s, while it rang"
    );
    assert_eq!(cancelled("", true), "alice called bob: picked up elsewhere after 3.1 s, while it rang");
}

/// RFC 3261 13.3.1.1: that it still rings is said every minute, and not again.
#[test]
fn what_rings_on_is_not_sent_again() {
    let (alice, bob) = (host(1), host(2));
    let mut scene = Scene::default();
    scene.sip(0, alice, bob, "INVITE, 1 INVITE");
    for at in [100, 60_100, 120_100, 120_600] {
        scene.sip(at, bob, alice, "180 Ringing, 1 INVITE");
    }
    let drawing = scene.ladder(screen(100));
    let marked: Vec<bool> =
        drawing.lines().filter(|line| line.contains("180 Ringing")).map(|line| line.contains('↻')).collect();
    assert_eq!(marked, [false, false, false, true], "{drawing}");
}

/// What stands between the lines: who said no first, and why.
#[test]
fn who_said_no_and_why() {
    let (alice, proxy, bob) = (host(1), host(9), host(2));
    let mut scene = Scene::default();
    scene
        .sip(0, alice, proxy, "INVITE, 1 INVITE")
        .raw(1, proxy, bob, &message("one@example.org", "INVITE, 1 INVITE").replace("z9hG4bK", "z9hG4bKp"))
        .raw(
            2,
            bob,
            proxy,
            &message("one@example.org", "486 Busy Here, 1 INVITE").replace("z9hG4bK", "z9hG4bKp"),
        )
        .sip(3, proxy, alice, "480 Temporarily Unavailable, 1 INVITE");
    let text = "▸ rejected with 480 by 10.0.0.9, after 486 by 10.0.0.2 (rejected)".to_owned();
    assert!(told(&scene).contains(&text), "{:?}", told(&scene));
    let mut scene = Scene::default();
    let late = message("one@example.org", "408 Request Timeout, 1 INVITE");
    let reason = "Reason: Q.850;cause=102\r\nContent-Length";
    scene.sip(0, alice, proxy, "INVITE, 1 INVITE").raw(
        32_000,
        proxy,
        alice,
        &late.replace("Content-Length", reason),
    );
    let told = told(&scene);
    assert!(told.contains(&"▸ 10.0.0.9 gave up waiting and sent 408 (rejected)".to_owned()), "{told:?}");
    assert!(told[2].ends_with("; Reason: Q.850;cause=102"), "{told:?}");
}

/// What the call's record says, and nothing that contradicts it.
#[test]
fn findings_are_those_of_the_record() {
    let (alice, bob) = (host(1), host(2));
    let mut early = Scene::default();
    early
        .sip(0, alice, bob, "INVITE sdp 10.0.0.1, 1 INVITE")
        .sip(100, bob, alice, "183 Session Progress sdp 10.0.0.2, 1 INVITE")
        .rtp(200, port(2, 6000), port(1, 6000), 20)
        .rtp(2300, port(1, 6000), port(2, 6000), 20)
        .sip(2200, bob, alice, "200 OK sdp 10.0.0.2, 1 INVITE")
        .sip(2210, alice, bob, "ACK, 1 ACK");
    // Early media (RFC 3960 3) has a description in a provisional answer; a held end is not to be heard (RFC 3264 5.1).
    assert!(!told(&early).iter().any(|line| line.starts_with('▸')), "{:?}", told(&early));
    let mut held = early.clone();
    held.steps.truncate(22);
    held.raw(2200, bob, alice, &message("one@example.org", "200 OK sdp 10.0.0.2\r\na=sendonly, 1 INVITE"));
    assert!(!told(&held).iter().any(|line| line.starts_with('▸')), "{:?}", told(&held));
    let mut one_way = early.clone();
    one_way.rtp(2700, port(1, 6000), port(2, 6000), 130);
    let expected = "▸ audio one way only: from 10.0.0.1:6000 to 10.0.0.2:6000 (one_way_audio)".to_owned();
    assert!(told(&one_way).contains(&expected), "{:?}", told(&one_way));
    let mut silent = Scene::default();
    for at in [0, 500, 1500, 3500, 7500, 15500, 31500] {
        silent.sip(at, alice, bob, "INVITE, 1 INVITE");
    }
    silent.raw(80_000, alice, bob, &message("other", "OPTIONS, 1 OPTIONS"));
    let lines = told(&silent);
    assert_eq!(lines[0], "alice called bob: no final answer after 32.0 s", "64*T1, RFC 3261 17.1.1.2");
    let expected = "▸ nothing answered the INVITE, sent 7 times (no_response)".to_owned();
    assert!(lines.contains(&expected), "{lines:?}");
    // The same in the view of its messages, and in the record.
    let text = silent.view("one@example.org", View::Text, screen(100)).unwrap();
    assert!(text.contains(&expected), "{text}");
    let json = silent.table(Form::Json, false, screen(100));
    assert!(json.contains("\"text\":\"nothing answered the INVITE, sent 7 times\""), "{json}");
}

/// The caller's stream is captured in front of its NAT and behind it, and so is what comes back.
#[test]
fn a_stream_captured_twice_is_told_from_two() {
    let (alice, nat, bob) = (port(1, 6000), port(9, 7000), port(2, 6000));
    let mut scene = plain();
    scene.steps.retain(|(_, step)| matches!(step, Step::Sip(..)));
    scene
        .rtp_of(1, 3120, (alice, bob), 100)
        .rtp_of(1, 3121, (nat, bob), 100)
        .rtp_of(2, 3125, (bob, nat), 99)
        .rtp_of(2, 3126, (bob, alice), 99);
    let drawing = drawn(&scene, screen(150));
    let bars = || drawing.lines().filter(|line| line.contains('═'));
    assert_eq!(bars().count(), 4, "{drawing}");
    let again: Vec<&str> = bars().filter(|line| line.ends_with('≡')).collect();
    assert_eq!(again.len(), 2, "{drawing}");
    assert!(again[0].contains("100 packets") && again[1].contains("99 packets"), "{drawing}");
    assert!(drawing.contains("≡ captured again"), "{drawing}");
    assert_eq!(drawing.matches(", captured again\n").count(), 2, "{drawing}");
    // A relay has an address on either side: what it passes on is another hop.
    let (relay_in, relay_out) = (port(8, 7000), port(8, 7002));
    let mut relayed = plain();
    relayed.steps.retain(|(_, step)| matches!(step, Step::Sip(..)));
    relayed.rtp_of(1, 3120, (alice, relay_in), 100).rtp_of(1, 3121, (relay_out, bob), 100);
    assert!(!drawn(&relayed, screen(150)).contains('≡'), "{}", drawn(&relayed, screen(150)));
}

/// An interface like `any` has every packet twice.
#[test]
fn packets_captured_twice_are_counted_once() {
    let mut scene = plain();
    let again: Vec<_> =
        scene.steps.iter().filter(|(_, step)| matches!(step, Step::Rtp(..))).cloned().collect();
    scene.steps.extend(again);
    let drawing = drawn(&scene, screen(150));
    assert!(drawing.contains("RTP PCMA 100 packets captured 2 times, lost 0"), "{drawing}");
    assert!(drawing.contains("RTP PCMA 99 packets captured 2 times, lost 0"), "{drawing}");
}

/// Bodies as gateways send them; which key it is, is told only where `privacy.dtmf` allows it.
#[test]
fn keys_that_go_by_info() {
    let body = "Signal=5\r\nDuration=160\r\n";
    let info = message("one@example.org", "INFO, 3 INFO").replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Type: application/dtmf-relay\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    );
    let mut scene = plain();
    scene.raw(4000, host(1), host(2), &info);
    assert!(drawn(&scene, screen(120)).contains("─ INFO (key) ─"), "{}", drawn(&scene, screen(120)));
    let mut out = Vec::new();
    let privacy = Privacy { digits: true, ..Privacy::default() };
    let asked = Asked { wanted: Wanted::new("one"), view: View::Ladder, privacy, files: &[] };
    call(asked, &screen(120), &mut out, |listener| {
        scene.play(listener);
        Ok(Extent::Whole)
    })
    .unwrap();
    let shown = String::from_utf8(out).unwrap();
    assert!(shown.contains("─ INFO (key 5) ─"), "{shown}");
}

#[test]
fn a_command_is_one_that_a_shell_takes() {
    let files = ["a b.pcap".into(), "c.pcap".into()];
    assert_eq!(command("a@b", &files).unwrap(), "lippycat inspect call a@b -r 'a b.pcap' c.pcap");
    assert_eq!(command("-a;b", &files).unwrap(), "lippycat inspect call -r 'a b.pcap' c.pcap -- '-a;b'");
    assert_eq!(command("it's", &files).unwrap(), "lippycat inspect call 'it'\\''s' -r 'a b.pcap' c.pcap");
    assert_eq!(
        command("\u{a0}a b", &files).unwrap(),
        "lippycat inspect call '\\u{a0}a b' -r 'a b.pcap' c.pcap"
    );
    assert_eq!(command("a@b", &["-".into()]), None);
}

#[test]
fn the_messages_in_full() {
    let (alice, bob) = (host(1), host(2));
    let mut scene = Scene::default();
    let odd = message("one@example.org", "INVITE, 1 INVITE").replace("Length: 0", "Length: 3") + "a\x1b\r";
    scene.raw(0, alice, bob, &odd).sip(1, bob, alice, "486 Busy Here, 1 INVITE");
    scene.sip(2, bob, alice, "486 Busy Here, 1 INVITE");
    let expected = "\
alice called bob: busy, 486 Busy Here after 1 ms
Call-ID one@example.org
2014-05-05 11:49:02.133000 UTC; 2 messages over udp; 1 captured again
▸ rejected with 486 by 10.0.0.2 (rejected)

2014-05-05 11:49:02.133000  10.0.0.1:5060 -> 10.0.0.2:5060  udp  INVITE
INVITE sip:bob@example.net SIP/2.0
Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1INVITE
From: <sip:alice@example.org>;tag=a
To: <sip:bob@example.net>
Call-ID: one@example.org
CSeq: 1 INVITE
Content-Length: 3

a\\u{1b}

2014-05-05 11:49:02.134000  10.0.0.2:5060 -> 10.0.0.1:5060  udp  486 Busy Here
SIP/2.0 486 Busy Here
";
    let text = scene.view("one@example.org", View::Text, screen(20)).unwrap();
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.contains(
            "11:49:02.135000  10.0.0.2:5060 -> 10.0.0.1:5060  udp  486 Busy Here  captured again\n"
        )
    );
}

#[test]
fn what_comes_from_the_wire_does_not_act() {
    let (alice, bob) = (host(1), host(2));
    let mut scene = Scene::default();
    let evil = "x\u{1b}]0;owned\u{7}\u{202e}y@h";
    let text = |what: &str| {
        message(evil, what)
            .replace("alice", "al\u{9b}31mice")
            .replace("Busy", "\u{1b}[2J")
            .replace("OPTIONS", "O\u{7}")
            .replace("bob", "bo\u{200b}\u{ad}\u{e007f}b")
    };
    scene.raw(0, alice, bob, &text("INVITE, 1 INVITE")).raw(9, bob, alice, &text("486 Busy Here, 1 INVITE"));
    let colored = Screen { color: true, ..screen(100) };
    for view in [View::Ladder, View::Text] {
        let shown = scene.view("x\\u{1b}]0", view, screen(100)).unwrap();
        assert_harmless(&shown);
        assert!(shown.contains("\\u{1b}[2J"));
    }
    assert_harmless(&scene.table(Form::Table, true, screen(100)));
    let json = scene.table(Form::Json, true, colored);
    assert_harmless(&json);
    assert!(json.contains("\\u200b") && json.contains("\\udb40\\udc7f"), "{json}");
    assert_harmless(&format!("{:#}", scene.view("\u{1b}]0;owned", View::Text, colored).unwrap_err()));
}

#[test]
fn colours_say_how_it_went() {
    let colored = Screen { color: true, ..screen(100) };
    let shown = refused().ladder(colored);
    assert!(shown.starts_with("\x1b[31malice called bob: failed"));
    assert!(shown.contains("\x1b[33m◄─ 407 "));
    let uncolored: String = regex::Regex::new("\x1b\\[[0-9]*m").unwrap().replace_all(&shown, "").into_owned();
    assert_eq!(uncolored, refused().ladder(screen(100)));
    assert!(plain().ladder(colored).starts_with("\x1b[32malice"));
}

/// Three calls and an OPTIONS dialog.
fn several() -> Scene {
    let mut scene = refused();
    let (alice, bob) = (host(1), host(2));
    let long = "another-call-with-quite-a-long-name-0123456789@example.org";
    scene
        .raw(5000, alice, bob, &message(long, "INVITE, 1 INVITE"))
        .raw(5020, bob, alice, &message(long, "486 Busy Here, 1 INVITE"))
        .raw(6000, alice, bob, &message("two@example.org", "INVITE, 1 INVITE"))
        .raw(7000, alice, bob, &message("three", "OPTIONS, 1 OPTIONS"));
    scene
}

#[test]
fn the_table_of_calls() {
    let expected = "\
#  start (UTC)              from → to    result      PDD  setup  duration  messages  RTP  Call-ID
1  2014-05-05 11:49:02.133  alice → bob  failed 503                               6    0  one@example.org
2  2014-05-05 11:49:07.133  alice → bob  busy 486                                 2    0  another-call-with-quite-a-long-name-0123456789@example.org
3  2014-05-05 11:49:08.133  alice → bob  open                                     1    0  two@example.org
not shown without --all: 1 OPTIONS dialog
";
    assert_eq!(several().table(Form::Table, false, screen(100)), expected, "a pipe gets whole Call-IDs");
    let narrow = several().table(Form::Table, false, Screen { terminal: true, ..screen(110) });
    assert!(narrow.contains("another-ca…ample.org\n"), "{narrow}");
    assert!(narrow.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 110));
    let terminal = Screen { terminal: true, ..screen(80) };
    let expected = "\
#  start (UTC)              from → to    result      duration  Call-ID
1  2014-05-05 11:49:02.133  alice → bob  failed 503            one@example.org
2  2014-05-05 11:49:07.133  alice → bob  busy 486              another-…mple.org
3  2014-05-05 11:49:08.133  alice → bob  open                  two@example.org
no room for PDD, setup, messages, RTP: the terminal has 80 columns
not shown without --all: 1 OPTIONS dialog
";
    assert_eq!(several().table(Form::Table, false, terminal), expected);
    let cut = several().view("another-ca…ample.org", View::Ladder, screen(100)).unwrap();
    assert!(cut.contains("another-call-with-quite-a-long-name-0123456789@example.org"));
    let all = several().table(Form::Table, true, ascii(100));
    assert!(all.contains("OPTIONS open") && !all.contains("--all") && all.is_ascii(), "{all}");
    assert_eq!(Scene::default().table(Form::Table, false, screen(100)), "no calls\n");
    let answered = plain().table(Form::Table, false, screen(100));
    assert!(
        answered.contains("success 200  0.1 s  3.1 s     2.1 s         7  199  one@example.org"),
        "{answered}"
    );
}

#[test]
fn records_as_lines_of_json() {
    let lines = several().table(Form::Json, false, screen(100));
    let records: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut call_ids: Vec<_> = records.iter().map(|record| record["call_id"].as_str().unwrap()).collect();
    call_ids.sort_unstable();
    assert_eq!(call_ids.len(), 3);
    assert_eq!(call_ids[1..], ["one@example.org", "two@example.org"]);
    assert_eq!(several().table(Form::Json, true, screen(100)).lines().count(), 4);
}

#[test]
fn a_call_id_that_does_not_occur() {
    let scene = several();
    let refusal = |wanted: &str| format!("{:#}", scene.view(wanted, View::Ladder, screen(100)).unwrap_err());
    assert_eq!(refusal("nine"), "no call nine; inspect calls -r FILE lists them");
    assert_eq!(
        refusal("wo@example"),
        "no call wo@example; inspect calls -r FILE lists them; these come close:\n  two@example.org"
    );
    assert_eq!(refusal("t"), "several Call-IDs begin like t; which one?\n  two@example.org\n  three");
    let whole = scene.view("two", View::Ladder, screen(100)).unwrap();
    assert!(whole.contains("Call-ID two@example.org"));
}

#[test]
fn a_whole_call_id_beats_those_that_begin_with_it() {
    let mut scene = Scene::default();
    for (at, id) in [(0, "id-1"), (10, "id"), (20, "id-2")] {
        scene.raw(at, host(1), host(2), &message(id, "INVITE, 1 INVITE"));
    }
    let shown = scene.view("id", View::Ladder, screen(100)).unwrap();
    assert!(shown.contains("Call-ID id\n") && shown.matches("Call-ID").count() == 1, "{shown}");
}

#[test]
fn calls_that_share_a_call_id_are_shown_one_after_the_other() {
    let mut scene = refused();
    let second = message("one@example.org", "INVITE, 1 INVITE").replace("tag=a", "tag=z");
    let second = second.replace("z9hG4bK", "z9hG4bKnext");
    scene.raw(90_000, host(1), host(2), &second);
    let shown = scene.ladder(screen(100));
    assert!(shown.starts_with("1 of 2 with this Call-ID\n"), "{shown}");
    assert!(shown.contains("\n2 of 2 with this Call-ID\n"), "{shown}");
}

#[test]
fn a_flood_under_one_call_id_is_bounded_and_said() {
    let mut scene = Scene::default();
    for n in 1..=10_010u64 {
        scene.sip(n, host(1), host(2), &format!("INFO, {n} INFO"));
    }
    let shown = scene.ladder(screen(100));
    assert!(shown.contains("\n10 more messages are not shown\n"));
    assert_eq!(shown.matches("► ").count() + shown.matches("►│").count(), 10_000);
    let mut long = Scene::default();
    let body = "x".repeat(100_000);
    let text = message("one@example.org", "INVITE, 1 INVITE").replace("Length: 0", "Length: 100000") + &body;
    long.raw(0, host(1), host(2), &text);
    let cut = text.len() - (64 << 10);
    let shown = long.view("one@example.org", View::Text, screen(100)).unwrap();
    assert!(shown.ends_with(&format!("[{cut} bytes more were not kept]\n")), "{}", &shown[65_000..]);
}
