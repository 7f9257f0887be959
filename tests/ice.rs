//! Media that does not flow where `c=` and `m=` say: candidates of ICE (RFC 8839), those that come later (RFC 8840), and
//! sections that share a transport (RFC 9143). What was sent is the witness, and tshark counts the frames of each call's file.

use serde_json::{Value, json};

use crate::classic::Packet;
use crate::support::{Run, has_tshark, tshark};
use crate::wire::{at, datagram, ethernet, rtp, udp};

/// Where the two send media from and receive it: nothing of it stands in a `c=` or `m=` line.
const CALLER: (u8, u16) = (11, 8998);
const CALLED: (u8, u16) = (12, 9998);

/// A description whose `c=` line has this address.
fn description(address: &str, sections: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n{sections}")
}

/// One audio section with these lines; its port is that of a relay.
fn audio(lines: &str) -> String {
    format!("m=audio 3478 RTP/AVP 0 96\r\na=rtpmap:96 opus/48000/2\r\n{lines}")
}

fn candidate((host, port): (u8, u16), component: u8) -> String {
    format!("a=candidate:1 {component} UDP 2130706431 192.0.2.{host} {port} typ host\r\n")
}

fn message(start: &str, cseq: &str, kind: &str, body: &str) -> Vec<u8> {
    let tag = if start.starts_with("INVITE") && cseq.starts_with("1 ") { "" } else { ";tag=b" };
    let kind = if body.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
    let (length, branch) = (body.len(), cseq.replace(' ', ""));
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\r\nFrom: <sip:alice@x>;tag=a\r\n\
         To: <sip:bob@x>{tag}\r\nCall-ID: ice@192.0.2.1\r\nCSeq: {cseq}\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request of the called end.
fn from_called(start: &str, cseq: &str, kind: &str, body: &str) -> Vec<u8> {
    let text = String::from_utf8(message(start, cseq, kind, body)).unwrap();
    let ends = (
        "From: <sip:alice@x>;tag=a\r\nTo: <sip:bob@x>;tag=b",
        "From: <sip:bob@x>;tag=b\r\nTo: <sip:alice@x>;tag=a",
    );
    text.replace(ends.0, ends.1).into_bytes()
}

/// An INVITE and its answer 20 ms later.
fn agree(time: u32, number: u32, offer: &str, answer: &str) -> Vec<Packet> {
    let (invite, ack) = (format!("{number} INVITE"), format!("{number} ACK"));
    let sdp = "application/sdp";
    vec![
        at(time, datagram(1, 2, &message("INVITE sip:bob@x SIP/2.0", &invite, sdp, offer))),
        at(time + 20, datagram(2, 1, &message("SIP/2.0 200 OK", &invite, sdp, answer))),
        at(time + 30, datagram(1, 2, &message("ACK sip:bob@x SIP/2.0", &ack, sdp, ""))),
    ]
}

fn hang_up(time: u32) -> Vec<Packet> {
    vec![
        at(time, datagram(1, 2, &message("BYE sip:bob@x SIP/2.0", "9 BYE", "", ""))),
        at(time + 20, datagram(2, 1, &message("SIP/2.0 200 OK", "9 BYE", "", ""))),
    ]
}

/// A binding request or its answer, without attributes (RFC 8489 5).
fn stun(kind: u16) -> Vec<u8> {
    let mut packet = kind.to_be_bytes().to_vec();
    packet.extend([0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    packet
}

/// The clock rates of PCMU, and of what has these payload types here: Opus (RFC 7587 4.1), VP8 (RFC 7741 4.1).
fn clock(payload_type: u8) -> u32 {
    match payload_type {
        96 => 48_000,
        97 => 90_000,
        _ => 8_000,
    }
}

/// Both speak from `from` until `until`, after a check of the path (RFC 8445 7.2) and with another each second.
fn speak((from, until): (u32, u32), [one, two]: [(u8, u16); 2], payload_type: u8) -> Vec<Packet> {
    let mut packets = Vec::new();
    for (source, destination) in [(one, two), (two, one)] {
        for (number, time) in (0u16..).zip((from..until).step_by(20)) {
            if number % 50 == 0 {
                packets.push(at(time, udp(source, destination, &stun(0x0001))));
                packets.push(at(time + 1, udp(destination, source, &stun(0x0101))));
            }
            let ssrc = u32::from(source.0) << 8 | u32::from(payload_type);
            let timestamp = clock(payload_type) / 50 * u32::from(number);
            let payload = rtp(payload_type, number, timestamp, ssrc, &[0x55; 160]);
            packets.push(at(time + 2, udp(source, destination, &payload)));
        }
    }
    packets
}

/// The record of the only call in these packets. Its file has, as tshark counts, so many frames for which `filter` holds.
fn record(mut packets: Vec<Packet>, filter: &str, frames: usize) -> Value {
    packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ethernet(packets).bytes()).unwrap();
    let run = Run::of(file.path(), &[]);
    assert_eq!(run.records.len(), 1);
    if has_tshark() {
        assert_eq!(tshark(&run.paths().remove(0), filter, &["frame.number"]).unwrap().len(), frames);
    }
    run.records[0].clone()
}

/// What streams of a record carry: source, destination, codec, packets.
fn streams(record: &Value) -> Vec<Value> {
    let stream =
        |stream: &Value| json!([stream["source"], stream["destination"], stream["codec"], stream["packets"]]);
    record["media"].as_array().unwrap().iter().map(stream).collect()
}

/// 100 packets each way: 20 ms apart, from 0.1 s to 2.1 s, and 8 more frames of STUN, one a second each way and answered.
const TALK: (u32, u32) = (100, 2_100);
const OF_TALK: &str = "udp.port == 8998 && udp.port == 9998";

fn both_ways(codec: &str) -> Vec<Value> {
    vec![
        json!(["192.0.2.11:8998", "192.0.2.12:9998", codec, 100]),
        json!(["192.0.2.12:9998", "192.0.2.11:8998", codec, 100]),
    ]
}

#[test]
fn media_between_candidates_is_the_call_s() {
    let offer = description("203.0.113.9", &audio(&candidate(CALLER, 1)));
    let answer = description("0.0.0.0", &audio(&candidate(CALLED, 1)).replace("3478", "9"));
    let mut packets = agree(0, 1, &offer, &answer);
    packets.extend(speak(TALK, [CALLER, CALLED], 96));
    packets.extend(hang_up(2_200));
    let record = record(packets, OF_TALK, 208);
    assert_eq!(record["findings"], json!([]));
    assert_eq!(streams(&record), both_ways("opus"));
    assert_eq!(record["rtp_packets"], json!(200));
}

/// An empty receiver report (RFC 3550 6.4.2) goes to the candidate of component 2.
#[test]
fn rtcp_goes_to_the_candidate_of_its_component() {
    let (from, to) = ((11, 8998), (12, 7000));
    let lines = [(CALLER, from), (CALLED, to)]
        .map(|(end, rtcp)| audio(&[candidate(end, 1), candidate(rtcp, 2)].concat()));
    let mut packets =
        agree(0, 1, &description("203.0.113.9", &lines[0]), &description("203.0.113.10", &lines[1]));
    packets.extend(speak(TALK, [CALLER, CALLED], 0));
    packets.push(at(1_000, udp(from, to, &[0x80, 201, 0, 1, 0, 0, 0, 7])));
    packets.extend(hang_up(2_200));
    let record = record(packets, "udp.port == 7000", 1);
    assert_eq!((&record["findings"], &record["rtcp_packets"]), (&json!([]), &json!(1)));
}

/// RFC 8840 4.3: the answer has no place yet, and an INFO brings it.
#[test]
fn candidates_may_come_later() {
    let offer = description("203.0.113.9", &audio(&candidate(CALLER, 1)));
    let answer = description("0.0.0.0", &audio("").replace("3478", "9"));
    let fragment = format!(
        "a=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-ufrag:8hhY\r\nm=audio 9 RTP/AVP 0\r\na=mid:1\r\n{}a=end-of-candidates\r\n",
        candidate(CALLED, 1)
    );
    let kind = "application/trickle-ice-sdpfrag";
    let mut packets = agree(0, 1, &offer, &answer);
    packets.extend([
        at(50, datagram(2, 1, &message("INFO sip:alice@x SIP/2.0", "2 INFO", kind, &fragment))),
        at(60, datagram(1, 2, &message("SIP/2.0 200 OK", "2 INFO", kind, ""))),
    ]);
    packets.extend(speak(TALK, [CALLER, CALLED], 96));
    packets.extend(hang_up(2_200));
    let record = record(packets, OF_TALK, 208);
    assert_eq!(record["findings"], json!([]));
    assert_eq!(streams(&record), both_ways("opus"));
    assert_eq!(record["codecs"], json!(["PCMU", "opus"]), "those of the offer, in its order");
}

/// RFC 8840 4.3: `c=IN IP4 0.0.0.0` and port 9 in both descriptions, and their places come in INFOs. The sections are found by
/// `mid` (9.2), as all `m=` lines of an INFO say `audio 9 RTP/AVP 0`.
#[test]
fn what_trickles_has_the_formats_of_its_section() {
    let sections = "m=audio 9 RTP/AVP 96\r\na=mid:1\r\na=rtpmap:96 opus/48000/2\r\nm=video 9 RTP/AVP 97\r\na=mid:2\r\n\
                    a=rtpmap:97 VP8/90000\r\n";
    let group = |group: &str| description("0.0.0.0", &format!("{group}{sections}"));
    let kind = "application/trickle-ice-sdpfrag";
    let places = [((11, 8998), (11, 8996)), ((12, 9998), (12, 9996))];
    let fragment = |of_audio, of_video: &str| {
        format!("m=audio 9 RTP/AVP 0\r\na=mid:1\r\n{}{of_video}", candidate(of_audio, 1))
    };
    for is_bundled in [false, true] {
        let text = group(if is_bundled { "a=group:BUNDLE 1 2\r\n" } else { "" });
        let mut packets = agree(0, 1, &text, &text);
        let bodies = places.map(|(audio, video)| {
            let of_video = format!("m=audio 9 RTP/AVP 0\r\na=mid:2\r\n{}", candidate(video, 1));
            fragment(audio, if is_bundled { "" } else { &of_video })
        });
        packets.extend([
            at(40, datagram(1, 2, &message("INFO sip:bob@x SIP/2.0", "2 INFO", kind, &bodies[0]))),
            at(50, datagram(2, 1, &from_called("INFO sip:alice@x SIP/2.0", "7 INFO", kind, &bodies[1]))),
        ]);
        let [caller, called] = places;
        packets.extend(speak(TALK, [caller.0, called.0], 96));
        let video = if is_bundled { [caller.0, called.0] } else { [caller.1, called.1] };
        packets.extend(speak(TALK, video, 97));
        packets.extend(hang_up(2_200));
        let record = record(packets, "udp.port == 9998 || udp.port == 9996", 416);
        assert_eq!(record["findings"], json!([]));
        assert_eq!(record["codecs"], json!(["opus", "VP8"]));
        let told = |stream: &Value| json!([stream["codec"], stream["jitter_ms"].is_number(), stream["kind"]]);
        let mut found: Vec<Value> = record["media"].as_array().unwrap().iter().map(told).collect();
        found.sort_by_key(ToString::to_string);
        let kind = |kind: &str| if is_bundled { Value::Null } else { json!(kind) };
        let (audio, video) = (json!(["opus", true, kind("audio")]), json!(["VP8", true, kind("video")]));
        assert_eq!(found, [video.clone(), video, audio.clone(), audio], "{is_bundled}");
    }
}

/// RFC 8839 4.4.1.2.2: the second offer names the pair. Neither side had told of it before: a NAT had made the ports.
#[test]
fn the_second_offer_names_the_pair() {
    let mut packets =
        agree(0, 1, &description("203.0.113.9", &audio("")), &description("203.0.113.10", &audio("")));
    packets.extend(speak(TALK, [CALLER, CALLED], 0));
    let lines = format!("{}a=remote-candidates:1 192.0.2.12 9998\r\n", candidate(CALLER, 1));
    let offer = description("192.0.2.11", &audio(&lines).replace("3478", "8998"));
    let answer = description("192.0.2.12", &audio(&candidate(CALLED, 1)).replace("3478", "9998"));
    packets.extend(agree(150, 2, &offer, &answer));
    packets.extend(hang_up(2_200));
    // Speech of the first 50 ms was kept for this offer; the first checks were nobody's.
    let record = record(packets, OF_TALK, 204);
    assert_eq!(record["findings"], json!([]));
    assert_eq!(streams(&record), both_ways("PCMU"));
}

/// RFC 3264 6: what is refused does not flow, whatever else is said of it.
#[test]
fn a_refused_section_has_no_candidates() {
    let refused = |end| audio(&candidate(end, 1)).replace("3478", "0");
    let mut packets = agree(
        0,
        1,
        &description("203.0.113.9", &refused(CALLER)),
        &description("203.0.113.10", &refused(CALLED)),
    );
    packets.extend(speak(TALK, [CALLER, CALLED], 0));
    packets.extend(hang_up(2_200));
    let record = record(packets, OF_TALK, 0);
    assert_eq!((&record["findings"], streams(&record)), (&json!([]), vec![]));
}

/// RFC 8839 4.4.1.1.1: 0.0.0.0 with port 9 is ICE that begins anew; with another port it is a hold (RFC 2543 B.5).
#[test]
fn ice_that_begins_anew_is_no_hold() {
    for (port, is_hold) in [("9", false), ("3478", true)] {
        let offer = description("203.0.113.9", &audio(""));
        let again = description("0.0.0.0", &audio("").replace("3478", port));
        let mut packets = agree(0, 1, &offer, &offer.replace("113.9", "113.10"));
        packets.extend(agree(1_000, 2, &again, &offer.replace("113.9", "113.10")));
        packets.extend(hang_up(2_000));
        let holds = record(packets, "sdp", 4)["holds"].as_array().map_or(0, Vec::len);
        assert_eq!(holds, usize::from(is_hold), "{port}");
    }
}

/// The offer and the answer of RFC 9143 18.1, where each section of the offer has its own port; and an offer whose second
/// section is `bundle-only`. The video goes where the audio does.
#[test]
fn bundled_media_has_one_transport() {
    let video = |port: u16, more: &str| {
        format!("m=video {port} RTP/AVP 97\r\na=mid:bar\r\na=rtpmap:97 VP8/90000\r\na=rtcp-mux\r\n{more}")
    };
    let group = |audio: u16, video: String| {
        format!("a=group:BUNDLE foo bar\r\nm=audio {audio} RTP/AVP 0\r\na=mid:foo\r\na=rtcp-mux\r\n{video}")
    };
    for second in [video(10_002, ""), video(0, "a=bundle-only\r\n")] {
        let mut packets = agree(
            0,
            1,
            &description("192.0.2.11", &group(8998, second)),
            &description("192.0.2.12", &group(9998, video(9998, ""))),
        );
        packets.extend(speak(TALK, [CALLER, CALLED], 0));
        packets.extend(speak(TALK, [CALLER, CALLED], 97));
        packets.extend(hang_up(2_200));
        let record = record(packets, OF_TALK, 416);
        assert_eq!(record["findings"], json!([]));
        let mut found = streams(&record);
        found.sort_by_key(ToString::to_string);
        let mut sent = [both_ways("PCMU"), both_ways("VP8")].concat();
        sent.sort_by_key(ToString::to_string);
        assert_eq!(found, sent);
        assert!(record["media"].as_array().unwrap().iter().all(|stream| stream["kind"].is_null()));
    }
}

/// RFC 9143 7.2: the first section of the group is the tagged one, also where it is a data channel (RFC 8841). A place that
/// trickles is that of its `mid`, and audio and video go there.
#[test]
fn a_data_channel_lends_its_transport() {
    let sections = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\na=sctp-port:5000\r\n\
                    m=audio 9 RTP/AVP 96\r\na=mid:1\r\na=rtpmap:96 opus/48000/2\r\n\
                    m=video 0 RTP/AVP 97\r\na=mid:2\r\na=bundle-only\r\na=rtpmap:97 VP8/90000\r\n";
    let text = description("0.0.0.0", &format!("a=group:BUNDLE 0 1 2\r\n{sections}"));
    let kind = "application/trickle-ice-sdpfrag";
    let fragment = |of: (u8, u16)| format!("m=audio 9 RTP/AVP 0\r\na=mid:0\r\n{}", candidate(of, 1));
    let mut packets = agree(0, 1, &text, &text);
    packets.extend([
        at(40, datagram(1, 2, &message("INFO sip:bob@x SIP/2.0", "2 INFO", kind, &fragment(CALLER)))),
        at(50, datagram(2, 1, &from_called("INFO sip:alice@x SIP/2.0", "7 INFO", kind, &fragment(CALLED)))),
    ]);
    packets.extend(speak(TALK, [CALLER, CALLED], 96));
    packets.extend(speak(TALK, [CALLER, CALLED], 97));
    packets.extend(hang_up(2_200));
    let record = record(packets, OF_TALK, 416);
    assert_eq!(record["findings"], json!([]));
    assert_eq!(record["codecs"], json!(["opus", "VP8"]));
    let mut found = streams(&record);
    found.sort_by_key(ToString::to_string);
    let mut sent = [both_ways("opus"), both_ways("VP8")].concat();
    sent.sort_by_key(ToString::to_string);
    assert_eq!(found, sent);
}

/// Not trickled: the place of a data channel stands in its own `m=` line, and `bundle-only` audio goes there.
#[test]
fn bundled_media_goes_where_the_data_channel_is() {
    let text = |(host, port): (u8, u16)| {
        let address = format!("192.0.2.{host}");
        let sections = format!(
            "a=group:BUNDLE 0 1\r\nm=application {port} UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n\
             m=audio 0 RTP/AVP 0\r\na=mid:1\r\na=bundle-only\r\na=rtcp-mux\r\n"
        );
        description(&address, &sections)
    };
    let mut packets = agree(0, 1, &text(CALLER), &text(CALLED));
    packets.extend(speak(TALK, [CALLER, CALLED], 0));
    packets.extend(hang_up(2_200));
    let record = record(packets, OF_TALK, 208);
    assert_eq!(record["findings"], json!([]));
    assert_eq!(streams(&record), both_ways("PCMU"));
}
