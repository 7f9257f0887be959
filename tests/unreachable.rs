//! What ICMP says did not arrive. What was sent, and what was answered with an error, is the witness; tshark reads the errors alike.

use serde_json::Value;

use crate::classic::Classic;
use crate::scene::{End, Scene, message};
use crate::support::{Run, tshark};
use crate::wire::{at, datagram, icmp, udp};

const PHONE: End = (1, 4000);
const PEER: End = (2, 5000);
const PORT: (u8, u8) = (3, 3);
/// What Linux quotes: an error has at most 576 bytes (RFC 1812 4.3.2.3), and the least (RFC 792).
const MOST: usize = 548;
const LEAST: usize = 28;

impl Scene {
    /// The datagrams of the scene that `is_lost` says, by their frames and times in ms, are answered with an error 1 ms later.
    fn refuse(&mut self, error: (u8, u8), quoted: usize, is_lost: impl Fn(&[u8], u32) -> bool) -> usize {
        let time = |seconds: u32, fraction: u32| (seconds - 1_700_000_000) * 1000 + fraction / 1000;
        let errors: Vec<_> = self
            .packets
            .iter()
            .map(|packet| (time(packet.seconds, packet.fraction), &packet.frame))
            .filter(|(time, frame)| is_lost(frame, *time))
            .map(|(time, frame)| at(time + 1, icmp(frame, error, quoted)))
            .collect();
        let count = errors.len();
        self.packets.extend(errors);
        count
    }
}

fn is_between(frame: &[u8], source: End, destination: End) -> bool {
    frame[29] == source.0
        && frame[33] == destination.0
        && frame[34..36] == source.1.to_be_bytes()
        && frame[36..38] == destination.1.to_be_bytes()
}

fn unreachable(record: &Value) -> Vec<String> {
    let found = record["findings"].as_array().unwrap().iter();
    let found = found.filter(|finding| finding["code"] == "unreachable");
    found.map(|finding| finding["text"].as_str().unwrap().to_owned()).collect()
}

/// What is found, and nothing else is told in another way; tshark sees so many errors, and none in the call's file.
fn told(scene: Scene, expected: &[&str], errors: usize) -> Vec<Value> {
    let mut plain = Scene::default();
    plain.packets = scene.packets.iter().filter(|packet| packet.frame[23] != 1).cloned().collect();
    let (plain, _) = plain.run();
    let (run, file) = scene.run();
    if let Some(rows) = tshark(file.path(), "icmp.type == 3", &["frame.number"]) {
        assert_eq!(rows.len(), errors);
    }
    let [record] = &run.records[..] else { panic!("{:?}", run.records) };
    assert_eq!(unreachable(record), expected);
    let strip = |records: Vec<Value>| {
        let strip = |mut record: Value| {
            record["findings"].as_array_mut().unwrap().retain(|finding| finding["code"] != "unreachable");
            record
        };
        records.into_iter().map(strip).collect::<Vec<_>>()
    };
    assert_eq!(strip(run.records_without_paths()), strip(plain.records_without_paths()));
    assert_eq!(run.files, plain.files, "an error is in no call's file");
    for workers in ["1", "2", "8"] {
        let other = Run::of(file.path(), &["--workers", workers]);
        assert_eq!(other.records_without_paths(), run.records_without_paths(), "{workers} workers");
    }
    record["findings"].as_array().unwrap().clone()
}

/// RFC 3261 17.1.1.2: an INVITE over UDP is sent seven times.
fn dead() -> Scene {
    let mut scene = Scene::default();
    for time in [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500] {
        scene.invite("dead@x", time, (1, 2), PHONE);
    }
    scene
}

#[test]
fn an_invite_to_a_dead_port_is_told() {
    let mut scene = dead();
    let errors = scene.refuse(PORT, MOST, |_, _| true);
    let text = "messages from 192.0.2.1:5060 to 192.0.2.2:5060 did not arrive, first the INVITE: port unreachable (ICMP), 7 times";
    let found = told(scene, &[text], errors);
    let finding = found.iter().find(|it| it["code"] == "unreachable").unwrap();
    assert_eq!(
        (&finding["time"], &finding["message"]),
        (&"2023-11-14T22:13:20.001000Z".into(), &"INVITE".into())
    );

    let mut once = dead();
    once.packets.truncate(1);
    let errors = once.refuse((3, 13), MOST, |_, _| true);
    let text =
        "the INVITE from 192.0.2.1:5060 to 192.0.2.2:5060 did not arrive: administratively prohibited (ICMP)";
    told(once, &[text], errors);
}

#[test]
fn the_ports_are_enough_where_nothing_answered() {
    let mut scene = dead();
    let errors = scene.refuse((3, 1), LEAST, |_, time| time < 4_000);
    let text = "datagrams from 192.0.2.1:5060 to 192.0.2.2:5060, as the INVITE went, did not arrive: host unreachable (ICMP)";
    told(scene, &[text], errors);

    // An answer came all the same, and errors about other ways are about something else.
    let mut answered = dead();
    answered.respond("dead@x", 32_000, (1, 2), 200, Some(PEER));
    let errors = answered.refuse(PORT, LEAST, |frame, time| time < 4_000 && frame[33] == 2);
    told(answered, &[], errors);
    let mut elsewhere = dead();
    elsewhere.packets.push(at(100, icmp(&datagram(1, 3, b""), PORT, LEAST)));
    told(elsewhere, &[], 1);
}

#[test]
fn a_bye_and_an_answer_that_do_not_arrive_are_told() {
    let mut scene = Scene::default();
    scene.agree("c", 0, 1, [PHONE, PEER]);
    scene.speak("c", (100, 5_000), [PHONE, PEER]);
    let bye = message("c", "BYE sip:bob@x SIP/2.0", "9 BYE", "");
    scene.packets.push(at(5_100, datagram(1, 2, &bye)));
    let (from, to) = ((2, 5060), (1, 5060));
    let errors = scene.refuse(PORT, MOST, |frame, time| {
        is_between(frame, to, from) && time == 5_100 || is_between(frame, from, to) && time == 20
    });
    let expected = [
        "the 200 to INVITE from 192.0.2.2:5060 to 192.0.2.1:5060 did not arrive: port unreachable (ICMP)",
        "the BYE from 192.0.2.1:5060 to 192.0.2.2:5060 did not arrive: port unreachable (ICMP)",
    ];
    told(scene, &expected, errors);
}

fn talk() -> Scene {
    let mut scene = Scene::default();
    scene.agree("c", 0, 1, [PHONE, PEER]);
    scene.speak("c", (100, 12_000), [PHONE, PEER]);
    scene.report("c", 2_000, [PHONE, PEER]);
    scene.report("c", 7_000, [PHONE, PEER]);
    scene.hang_up("c", 12_050, (1, 2));
    // They go on speaking when it is over.
    scene.speak("c", (12_080, 12_800), [PHONE, PEER]);
    scene
}

#[test]
fn rtp_to_a_closed_port_is_told() {
    for quoted in [MOST, LEAST] {
        let mut scene = talk();
        let errors = scene.refuse(PORT, quoted, |frame, time| {
            is_between(frame, PHONE, PEER) && (2_100..=6_100).contains(&time)
        });
        // A packet each 20 ms, the first and the last included.
        assert_eq!(errors, 201);
        let text = "RTP from 192.0.2.1:4000 to 192.0.2.2:5000 does not arrive: port unreachable (ICMP), 201 times in 4.0 s";
        told(scene, &[text], errors);
    }
}

#[test]
fn what_is_on_its_way_to_a_port_that_is_closed_is_not_told() {
    // In the last second of the call, and after its end.
    for quoted in [MOST, LEAST] {
        let mut scene = talk();
        let errors =
            scene.refuse(PORT, quoted, |frame, time| is_between(frame, PHONE, PEER) && time > 11_500);
        told(scene, &[], errors);
        // Many phones have no port for RTCP.
        let mut rtcp = talk();
        let is_rtcp = |frame: &[u8]| is_between(frame, (PHONE.0, PHONE.1 + 1), (PEER.0, PEER.1 + 1));
        let errors = rtcp.refuse(PORT, quoted, |frame, _| is_rtcp(frame));
        assert_eq!(errors, 2);
        told(rtcp, &[], errors);
    }
}

/// Whoever likes can send such errors.
#[test]
fn errors_that_are_made_up_change_nothing_else() {
    let mut scene = talk();
    let mut made_up = 0;
    let mut add = |scene: &mut Scene, time: u32, frame: &[u8]| {
        scene.packets.push(at(time, icmp(frame, PORT, MOST)));
        made_up += 1;
    };
    for number in 0..3_000u16 {
        let time = 100 + u32::from(number);
        let other = message(&format!("other{number}@x"), "INVITE sip:bob@x SIP/2.0", "1 INVITE", "");
        add(&mut scene, time, &udp((7, number), (8, 5060), &other));
        add(&mut scene, time, &udp((7, number), (8, 6000), b""));
        add(&mut scene, time, &udp((7, number), (8, 6000), &[0x80; 172]));
        // With the call's own Call-ID, from ever other ports.
        let own = message("c", "BYE sip:bob@x SIP/2.0", "9 BYE", "");
        add(&mut scene, time, &udp((7, number), (8, 5060), &own));
    }
    let expected: Vec<String> = (0..8)
        .map(|number| {
            format!(
                "the BYE from 192.0.2.7:{number} to 192.0.2.8:5060 did not arrive: port unreachable (ICMP)"
            )
        })
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    told(scene, &expected, made_up);
}

/// Its file has what tshark takes for the call's messages and RTP, and what ICMP quotes is neither.
#[test]
fn the_file_of_a_call_has_no_errors() {
    let mut scene = talk();
    scene.refuse(PORT, MOST, |_, _| true);
    let (run, _) = scene.run();
    let record = &run.records[0];
    let name = std::path::Path::new(record["pcap"].as_str().unwrap()).file_name().unwrap();
    let file = Classic::read(&run.directory.path().join("pcap").join(name)).unwrap();
    let counted = ["messages", "rtp_packets", "rtcp_packets"].map(|key| record[key].as_u64().unwrap());
    assert_eq!(file.packets.len() as u64, counted.iter().sum::<u64>());
}
