//! Calls made by hand, and what their peers sent to each other: the witness of whose media is whose.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::classic::{Classic, Packet};
use crate::support::Run;
use crate::wire::{at, datagram, ethernet, rtp, udp};

/// A host and its RTP port.
pub(crate) type End = (u8, u16);

/// A capture, and the media frames that each call has in it.
#[derive(Default)]
pub(crate) struct Scene {
    pub(crate) packets: Vec<Packet>,
    pub(crate) sent: BTreeMap<&'static str, Vec<Vec<u8>>>,
    /// How many of them are RTCP.
    control: BTreeMap<&'static str, usize>,
}

/// What a stream is known by (RFC 3550 5.1).
#[derive(Clone, Copy)]
pub(crate) struct Voice {
    pub(crate) payload_type: u8,
    pub(crate) ssrc: u32,
    /// The number of its first packet.
    pub(crate) sequence: u16,
}

/// A description of audio at `end` with these payload types, and with lines behind (RFC 4566 5).
pub(crate) fn audio((host, port): End, formats: &str, lines: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.{host}\r\ns=-\r\nc=IN IP4 192.0.2.{host}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {formats}\r\n{lines}"
    )
}

fn plain(end: Option<End>) -> String {
    end.map_or_else(String::new, |end| audio(end, "0", ""))
}

/// A message of `call`; its branch is of its CSeq.
pub(crate) fn message(call: &str, start: &str, cseq: &str, body: &str) -> Vec<u8> {
    let tag = if start.starts_with("INVITE") && cseq.starts_with("1 ") { "" } else { ";tag=b" };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let (length, branch) = (body.len(), cseq.replace(' ', ""));
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{call}{branch}\r\n\
         From: <sip:alice@x>;tag=a\r\nTo: <sip:bob@x>{tag}\r\nCall-ID: {call}\r\nCSeq: {cseq}\r\n{kind}\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

impl Scene {
    /// An INVITE and its answer 20 ms later: the first of `call` or one within it.
    pub(crate) fn agree(&mut self, call: &'static str, time: u32, number: u32, ends: [End; 2]) {
        let [from, to] = ends.map(|(host, _)| host);
        self.agree_on(call, (time, number), (from, to), &ends.map(|end| plain(Some(end))));
    }

    /// The same between two hosts, with these descriptions.
    pub(crate) fn agree_on(
        &mut self,
        call: &'static str,
        (time, number): (u32, u32),
        (from, to): (u8, u8),
        [offer, answer]: &[String; 2],
    ) {
        let (cseq, ack) = (format!("{number} INVITE"), format!("{number} ACK"));
        self.packets.extend([
            at(time, datagram(from, to, &message(call, "INVITE sip:bob@x SIP/2.0", &cseq, offer))),
            at(time + 20, datagram(to, from, &message(call, "SIP/2.0 200 OK", &cseq, answer))),
            at(time + 30, datagram(from, to, &message(call, "ACK sip:bob@x SIP/2.0", &ack, ""))),
        ]);
    }

    /// An INVITE from one host to another, with what its sender says of its port.
    pub(crate) fn invite(&mut self, call: &str, time: u32, (from, to): (u8, u8), end: End) {
        self.offer(call, time, (from, to), &plain(Some(end)));
    }

    /// An INVITE with that description.
    pub(crate) fn offer(&mut self, call: &str, time: u32, (from, to): (u8, u8), description: &str) {
        let invite = message(call, "INVITE sip:bob@x SIP/2.0", "1 INVITE", description);
        self.packets.push(at(time, datagram(from, to, &invite)));
    }

    /// An answer to it, and the ACK of a final one.
    pub(crate) fn respond(
        &mut self,
        call: &str,
        time: u32,
        (from, to): (u8, u8),
        status: u16,
        end: Option<End>,
    ) {
        self.answer(call, time, (from, to), status, &plain(end));
    }

    /// An answer with that description.
    pub(crate) fn answer(
        &mut self,
        call: &str,
        time: u32,
        (from, to): (u8, u8),
        status: u16,
        description: &str,
    ) {
        let answer = message(call, &format!("SIP/2.0 {status} X"), "1 INVITE", description);
        self.packets.push(at(time, datagram(to, from, &answer)));
        if status >= 200 {
            let ack = message(call, "ACK sip:bob@x SIP/2.0", "1 ACK", "");
            self.packets.push(at(time + 10, datagram(from, to, &ack)));
        }
    }

    pub(crate) fn hang_up(&mut self, call: &str, time: u32, (from, to): (u8, u8)) {
        self.packets.extend([
            at(time, datagram(from, to, &message(call, "BYE sip:bob@x SIP/2.0", "9 BYE", ""))),
            at(time + 20, datagram(to, from, &message(call, "SIP/2.0 200 OK", "9 BYE", ""))),
        ]);
    }

    /// Both ends of `call` speak, 20 ms a packet.
    pub(crate) fn speak(&mut self, call: &'static str, times: (u32, u32), [one, two]: [End; 2]) {
        self.say(call, times, [one, two]);
        self.say(call, times, [two, one]);
    }

    /// The first speaks to the second.
    pub(crate) fn say(&mut self, call: &'static str, times: (u32, u32), [source, destination]: [End; 2]) {
        let ssrc = u32::from(source.0) << 8 | u32::from(destination.0);
        self.send(call, times, [source, destination], Voice { payload_type: 0, ssrc, sequence: 0 });
    }

    /// As that voice.
    pub(crate) fn send(
        &mut self,
        call: &'static str,
        (from, until): (u32, u32),
        [source, destination]: [End; 2],
        Voice { payload_type, ssrc, sequence }: Voice,
    ) {
        for (number, time) in (0u16..).zip((from..until).step_by(20)) {
            let (sequence, timestamp) = (sequence.wrapping_add(number), 160 * u32::from(number));
            let payload = rtp(payload_type, sequence, timestamp, ssrc, &[0x55; 160]);
            let frame = udp(source, destination, &payload);
            self.sent.entry(call).or_default().push(frame.clone());
            self.packets.push(at(time, frame));
        }
    }

    /// Both ends of `call` report from the next port to the next port (RFC 3550 6.4.1, 11).
    pub(crate) fn report(&mut self, call: &'static str, time: u32, [one, two]: [End; 2]) {
        for ((source, from), (destination, to)) in [(one, two), (two, one)] {
            let mut packet = vec![0x80, 200, 0, 6, 0, 0, source, destination];
            packet.extend([0; 20]);
            let frame = udp((source, from + 1), (destination, to + 1), &packet);
            self.sent.entry(call).or_default().push(frame.clone());
            *self.control.entry(call).or_default() += 1;
            self.packets.push(at(time, frame));
        }
    }

    /// What is made of it.
    pub(crate) fn run(mut self) -> (Run, tempfile::NamedTempFile) {
        self.packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ethernet(self.packets).bytes()).unwrap();
        (Run::of(file.path(), &[]), file)
    }

    /// Every call has what its peers sent, in its record and in its file, and nothing is found, on any number of threads.
    pub(crate) fn assert_told_apart(self) {
        self.assert_found(&[]);
    }

    /// The same, but that sources may be found that nobody announced.
    pub(crate) fn assert_strangers_told_apart(self) {
        self.assert_found(&["unannounced_source", "media_before_answer"]);
    }

    pub(crate) fn assert_found(mut self, allowed: &[&str]) {
        self.packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ethernet(self.packets).bytes()).unwrap();
        let run = Run::of(file.path(), &[]);
        assert_eq!(run.records.len(), self.sent.len());
        for record in &run.records {
            let call = record["call_id"].as_str().unwrap();
            let sent = self.sent.get_mut(call).unwrap();
            let control = self.control.get(call).copied().unwrap_or_default();
            assert_eq!(record["rtcp_packets"], json!(control), "{call}");
            assert_eq!(record["rtp_packets"], json!(sent.len() - control), "{call}");
            let streams = record["media"].as_array().unwrap();
            let packets: u64 = streams.iter().filter_map(|stream| stream["packets"].as_u64()).sum();
            assert_eq!(json!(packets), json!(sent.len() - control), "{call}");
            let mut found =
                record["findings"].as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap());
            assert!(found.all(|code| allowed.contains(&code)), "{call}: {}", record["findings"]);
            let mut written = media_of(&run, record);
            written.sort();
            sent.sort();
            assert!(written == *sent, "{call}: {} of {} frames", written.len(), sent.len());
        }
        for workers in ["1", "2", "8"] {
            let other = Run::of(file.path(), &["--workers", workers]);
            assert_eq!(other.records_without_paths(), run.records_without_paths(), "{workers} workers");
        }
    }
}

/// The frames of a call's file that are not SIP.
fn media_of(run: &Run, record: &Value) -> Vec<Vec<u8>> {
    let name = std::path::Path::new(record["pcap"].as_str().unwrap()).file_name().unwrap();
    let file = Classic::read(&run.directory.path().join("pcap").join(name)).unwrap();
    let frames = file.packets.into_iter().map(|packet| packet.frame);
    frames.filter(|frame| frame[34..36] != 5060u16.to_be_bytes()).collect()
}
