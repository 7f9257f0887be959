//! T.38 fax and video: recognised, counted and kept, and not taken for speech. tshark is the witness.

use serde_json::{Value, json};

use crate::classic::Packet;
use crate::support::{Run, has_tshark, tshark};
use crate::wire::{at, datagram, ethernet, rtp, udp};

const CALLER: (u8, u16) = (1, 4000);
const CALLED: (u8, u16) = (2, 5000);

/// A description of 192.0.2.`host` with these sections; `PORT` in them is its port.
fn description(host: u8, port: u16, sections: &str) -> String {
    let sections = sections.replace("PORT", &port.to_string());
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.{host}\r\ns=-\r\nc=IN IP4 192.0.2.{host}\r\nt=0 0\r\n{sections}")
}

fn message(start: &str, cseq: &str, to_tag: &str, body: &str) -> Vec<u8> {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let length = body.len();
    let branch = cseq.replace(' ', "");
    format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{branch}\r\nFrom: <sip:alice@x>;tag=a\r\n\
         To: <sip:bob@x>{to_tag}\r\nCall-ID: fax@192.0.2.1\r\nCSeq: {cseq}\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// An INVITE with these sections from both sides, at `time` and answered 20 ms later.
fn agree(time: u32, number: u32, sections: &str) -> Vec<Packet> {
    let [offer, answer] = [CALLER, CALLED].map(|(host, port)| description(host, port, sections));
    let (cseq, ack) = (format!("{number} INVITE"), format!("{number} ACK"));
    let tag = if number == 1 { "" } else { ";tag=b" };
    vec![
        at(time, datagram(1, 2, &message("INVITE sip:bob@x SIP/2.0", &cseq, tag, &offer))),
        at(time + 20, datagram(2, 1, &message("SIP/2.0 200 OK", &cseq, ";tag=b", &answer))),
        at(time + 30, datagram(1, 2, &message("ACK sip:bob@x SIP/2.0", &ack, ";tag=b", ""))),
    ]
}

fn hang_up(time: u32) -> Vec<Packet> {
    vec![
        at(time, datagram(1, 2, &message("BYE sip:bob@x SIP/2.0", "9 BYE", ";tag=b", ""))),
        at(time + 20, datagram(2, 1, &message("SIP/2.0 200 OK", "9 BYE", ";tag=b", ""))),
    ]
}

/// Something each 20 ms between these times, from one end to the other.
fn each(from: u32, until: u32, ends: [(u8, u16); 2], payload: impl Fn(u16) -> Vec<u8>) -> Vec<Packet> {
    let times = (from..until).step_by(20);
    (0u16..).zip(times).map(|(number, time)| at(time, udp(ends[0], ends[1], &payload(number)))).collect()
}

/// A UDPTL packet (T.38 annex D): its number, one IFP packet with the indicator "no signal", no redundancy.
fn udptl(number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    vec![high, low, 1, 0, 0, 0]
}

fn speech(number: u16) -> Vec<u8> {
    rtp(0, number, 160 * u32::from(number), 7, &[0x55; 160])
}

/// The run over a capture, and the record of its only call.
fn followed(mut packets: Vec<Packet>) -> (Run, Value, tempfile::NamedTempFile) {
    packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), ethernet(packets).bytes()).unwrap();
    let run = Run::of(file.path(), &[]);
    assert_eq!(run.records.len(), 1);
    let record = run.records[0].clone();
    (run, record, file)
}

/// tshark counts the same in the capture as the record has, and all of it is in the call's file.
fn is_counted(run: &Run, file: &tempfile::NamedTempFile, filter: &str, count: &Value) {
    if !has_tshark() {
        return;
    }
    for path in [file.path().to_owned(), run.paths().remove(0)] {
        let frames = tshark(&path, filter, &["frame.number"]).unwrap();
        assert_eq!(json!(frames.len()), *count, "{filter}");
    }
}

const FAX: &str = "m=image PORT udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n";
const AUDIO: &str = "m=audio PORT RTP/AVP 0\r\n";

#[test]
fn a_fax_is_no_call_without_audio() {
    let mut packets = agree(0, 1, FAX);
    packets.extend(each(100, 4_000, [CALLER, CALLED], udptl));
    packets.extend(each(110, 3_000, [CALLED, CALLER], udptl));
    packets.extend(hang_up(4_100));
    let (run, record, file) = followed(packets);
    assert_eq!(record["codecs"], json!(["t38"]));
    assert_eq!((&record["findings"], &record["media"]), (&json!([]), &json!([])));
    assert_eq!((&record["rtp_packets"], &record["udptl_packets"]), (&json!(0), &json!(195 + 145)));
    is_counted(&run, &file, "t38", &record["udptl_packets"]);
}

/// Each direction of a fax is told and drawn with as many packets as tshark finds in it, and as long as it was.
fn is_drawn(record: &Value, file: &tempfile::NamedTempFile) {
    let [there, back] = [(CALLER, CALLED), (CALLED, CALLER)]
        .map(|((one, from), (other, to))| [format!("192.0.2.{one}:{from}"), format!("192.0.2.{other}:{to}")]);
    let told = record["fax"].as_array().unwrap();
    for (packets, [source, destination]) in [(165, there), (15, back)] {
        let fax = told.iter().find(|fax| fax["source"] == json!(source)).unwrap();
        assert_eq!((&fax["destination"], &fax["packets"]), (&json!(destination), &json!(packets)));
        if has_tshark() {
            let host = source.split(':').next().unwrap();
            let frames =
                tshark(file.path(), &format!("t38 && ip.src == {host}"), &["frame.time_epoch"]).unwrap();
            assert_eq!(frames.len(), packets);
        }
    }
    let mut command = crate::support::lippycat();
    command.args(["inspect", "call", "fax", "-r"]).arg(file.path()).env("LC_ALL", "C.UTF-8");
    let drawing = String::from_utf8(command.output().unwrap().stdout).unwrap();
    // The re-INVITE comes at 2.6 s, is answered at 2.62 and acknowledged at 2.63; the fax begins at 2.7.
    let lines: Vec<&str> = drawing.lines().collect();
    let bar = lines.iter().position(|line| line.contains("═ T.38 fax 165 packets ═")).unwrap();
    assert!(lines[bar].trim_start().starts_with("+0.070"), "{drawing}");
    assert!(drawing.contains("═ T.38 fax 15 packets ═"), "{drawing}");
    assert!(drawing.contains("192.0.2.1:4000 → 192.0.2.2:5000  165 packets in 3.3 s"), "{drawing}");
}

/// As faxes begin: tones as audio, and T.38 at the same ports by a re-INVITE.
#[test]
fn a_call_may_become_a_fax() {
    let mut packets = agree(0, 1, AUDIO);
    packets.extend(each(100, 2_500, [CALLER, CALLED], speech));
    packets.extend(each(110, 2_500, [CALLED, CALLER], speech));
    packets.extend(agree(2_600, 2, FAX));
    packets.extend(each(2_700, 6_000, [CALLER, CALLED], udptl));
    packets.extend(each(2_700, 3_000, [CALLED, CALLER], udptl));
    packets.extend(hang_up(6_100));
    let (run, record, file) = followed(packets);
    assert_eq!(record["codecs"], json!(["PCMU", "t38"]));
    assert_eq!(record["findings"], json!([]));
    assert_eq!((&record["rtp_packets"], &record["udptl_packets"]), (&json!(240), &json!(165 + 15)));
    is_drawn(&record, &file);
    assert!(record["media"].as_array().unwrap().iter().all(|stream| stream["kind"] == "audio"));
    is_counted(&run, &file, "rtp", &record["rtp_packets"]);
    is_counted(&run, &file, "t38", &record["udptl_packets"]);
}

/// STUN (RFC 8489 5) and empty lines keep the port of a fax open, before it and after it: they are none of its packets.
#[test]
fn what_keeps_a_path_open_is_no_fax() {
    let stun = |_| [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let mut packets = agree(0, 1, FAX);
    packets.extend(each(50, 250, [CALLER, CALLED], stun));
    packets.extend(each(300, 1_300, [CALLER, CALLED], udptl));
    packets.extend(each(5_000, 5_200, [CALLER, CALLED], stun));
    packets.extend(each(5_300, 5_500, [CALLER, CALLED], |_| b"\r\n".to_vec()));
    packets.extend(hang_up(6_100));
    let (_, record, _) = followed(packets);
    assert_eq!(record["udptl_packets"], 50);
    let [fax] = &record["fax"].as_array().unwrap()[..] else { panic!("{record}") };
    let told = ["packets", "start", "end"].map(|key| fax[key].clone());
    assert_eq!(told, [json!(50), json!("2023-11-14T22:13:20.300000Z"), json!("2023-11-14T22:13:21.280000Z")]);
}

/// A UDPTL packet with six redundant IFP packets behind its first.
fn redundant(number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    vec![high, low, 1, 0, 0, 6, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]
}

/// From its 32,768th packet on a fax begins with the version of RTP, and with the types of RTCP soon after.
#[test]
fn a_fax_that_lasts_is_no_rtp() {
    let mut packets = agree(0, 1, AUDIO);
    packets.extend(each(100, 2_500, [CALLER, CALLED], speech));
    packets.extend(agree(2_600, 2, FAX));
    packets.extend(each(2_700, 8_900, [CALLER, CALLED], |number| redundant(0x7fe0 + number)));
    packets.extend(each(2_710, 8_900, [CALLED, CALLER], |number| redundant(0x7f00 + number)));
    packets.extend(hang_up(9_000));
    let (run, record, file) = followed(packets);
    assert_eq!((&record["rtp_packets"], &record["udptl_packets"]), (&json!(120), &json!(310 + 310)));
    assert_eq!(record["media"].as_array().unwrap().len(), 1);
    is_counted(&run, &file, "rtp", &record["rtp_packets"]);
    is_counted(&run, &file, "t38", &record["udptl_packets"]);
}

/// Video goes one way only, in a codec that is known and in one that is not: nobody misses anything.
#[test]
fn video_is_not_speech() {
    for name in ["H264", "VP8", "NEWCODEC"] {
        let sections = format!("{AUDIO}m=video 6000 RTP/AVP 97\r\na=rtpmap:97 {name}/90000\r\n");
        let mut packets = agree(0, 1, &sections);
        packets.extend(each(100, 4_000, [CALLER, CALLED], speech));
        packets.extend(each(110, 4_000, [CALLED, CALLER], speech));
        packets.extend(each(120, 4_000, [(1, 6000), (2, 6000)], |number| {
            rtp(97, number, 1_800 * u32::from(number), 9, &[0x61; 300])
        }));
        packets.extend(hang_up(4_100));
        let (run, record, file) = followed(packets);
        assert_eq!(record["codecs"], json!(["PCMU", name]));
        assert_eq!(record["findings"], json!([]), "{name}");
        let streams = record["media"].as_array().unwrap();
        let video = streams.iter().find(|stream| stream["ssrc"] == 9).unwrap();
        assert_eq!((&video["kind"], &video["codec"]), (&json!("video"), &json!(name)));
        assert!(video["mos"].is_null() && video["mos_missing"].is_string(), "{video}");
        is_counted(&run, &file, "rtp.p_type == 97", &video["packets"]);
    }
}
