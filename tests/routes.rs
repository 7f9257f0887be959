//! Media that goes another way in the middle of a call, and media to a group. What was sent, as tshark sees it, is the witness.

use serde_json::Value;

use crate::scene::{End, Scene, audio};
use crate::support::{has_tshark, tshark};
use crate::wire::{at, checksum, rtp, udp};

const PHONE: End = (1, 4000);
const PEER: End = (2, 5000);
const PBX: End = (9, 10_000);

impl Scene {
    /// Both ends send a packet each 20 ms of the call, with the number of that: each keeps its SSRC and its numbers wherever
    /// it sends to. Those with the numbers `lost` says are not captured.
    fn go_on(&mut self, (from, until): (u32, u32), ends: [End; 2], lost: impl Fn(u32) -> bool) {
        for (ssrc, source, destination) in [(1, ends[0], ends[1]), (2, ends[1], ends[0])] {
            for number in (from / 20..until / 20).filter(|number| !lost(*number)) {
                let sequence = u16::try_from(number).unwrap();
                let packet = rtp(0, sequence, 160 * number, ssrc, &[0x55; 160]);
                self.packets.push(at(20 * number, udp(source, destination, &packet)));
            }
        }
    }

    /// What is found of its only call; tshark finds so many different numbers of each sender, and how many are missing.
    fn found(self, missing: u32) -> Vec<(String, String)> {
        let (run, file) = self.run();
        let [record] = &run.records[..] else { panic!("{:?}", run.records) };
        for ssrc in [1, 2] {
            let numbers =
                has_tshark().then(|| tshark(file.path(), &format!("rtp.ssrc == {ssrc}"), &["rtp.seq"]));
            let Some(mut numbers) = numbers
                .flatten()
                .map(|rows| rows.into_iter().map(|row| row[0].parse::<u32>().unwrap()).collect::<Vec<_>>())
            else {
                continue;
            };
            numbers.sort_unstable();
            let span = numbers[numbers.len() - 1] - numbers[0] + 1;
            assert_eq!(span - u32::try_from(numbers.len()).unwrap(), missing, "SSRC {ssrc}");
        }
        findings(record)
    }
}

fn findings(record: &Value) -> Vec<(String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let found = record["findings"].as_array().unwrap();
    found.iter().map(|finding| (text(finding, "code"), text(finding, "text"))).collect()
}

fn codes(found: &[(String, String)]) -> Vec<&str> {
    found.iter().map(|(code, _)| code.as_str()).collect()
}

/// Through the PBX, past it by a re-INVITE, and back: each end is heard without a gap, in one stream or the other.
fn direct(back: u32, end: u32, lost: fn(u32) -> bool) -> Scene {
    let none = |_| false;
    let mut scene = Scene::default();
    scene.agree("c", 0, 1, [PHONE, PBX]);
    scene.go_on((100, 2_100), [PHONE, PBX], none);
    scene.agree("c", 2_000, 2, [PHONE, PEER]);
    scene.go_on((2_100, back), [PHONE, PEER], none);
    scene.agree("c", back - 50, 3, [PHONE, PBX]);
    scene.go_on((back, end), [PHONE, PBX], lost);
    scene.hang_up("c", end.max(16_000) + 100, (1, 9));
    scene
}

/// RFC 3550 A.3: loss is a matter of numbers, and these have all come.
#[test]
fn what_was_sent_past_the_pbx_is_not_lost() {
    let none = |_| false;
    assert_eq!(direct(8_100, 12_000, none).found(0), []);
    // For more than a minute, 3,000 packets: as if the sender had begun anew (RFC 3550 A.1).
    assert_eq!(direct(70_100, 80_000, none).found(0), []);
    // And past it once more.
    let mut again = direct(8_100, 12_100, none);
    again.agree("c", 12_050, 4, [PHONE, PEER]);
    again.go_on((12_100, 16_000), [PHONE, PEER], none);
    assert_eq!(again.found(0), []);
}

/// 19 of the 195 packets that went through the PBX at the end are lost, of its 295 in all.
#[test]
fn what_is_lost_beside_that_is_told() {
    let found = direct(8_100, 12_000, |number| number % 10 == 5 && number != 595).found(19);
    assert_eq!(codes(&found), ["packet_loss", "packet_loss"]);
    for (_, text) in found {
        assert!(text.starts_with("6.4 % ") && text.contains("(19 missing, 0 too late"), "{text}");
    }
}

/// A sender that has one SSRC sends the same numbers to two: what is lost on one way did not go the other.
#[test]
fn who_sends_the_same_to_two_may_lose_it_to_one() {
    let mut scene = Scene::default();
    scene.agree("c", 0, 1, [PHONE, PBX]);
    scene.go_on((100, 8_000), [PHONE, PBX], |number| number % 10 == 5 && number > 20);
    scene.go_on((200, 7_800), [PHONE, PEER], |_| false);
    scene.hang_up("c", 8_100, (1, 9));
    let (run, _) = scene.run();
    let found = findings(&run.records[0]);
    assert_eq!(codes(&found), ["unannounced_source", "packet_loss", "packet_loss"]);
}

/// An agent behind a NAT takes a call over, by a re-INVITE with its private address. `quiet` is when the peer is heard last,
/// and `heard` when the agent hears something.
fn agent(quiet: u32, heard: u32) -> Vec<(String, String)> {
    let (private, seen) = ((201, 4000), (50, 7777));
    let mut scene = Scene::default();
    scene.agree("c", 0, 1, [PHONE, PEER]);
    scene.speak("c", (100, quiet), [PHONE, PEER]);
    scene.agree("c", 6_000, 2, [PHONE, private]);
    scene.say("c", (6_100, 15_000), [seen, PHONE]);
    scene.say("c", (heard, 15_000), [PHONE, seen]);
    scene.hang_up("c", 15_100, (1, 2));
    findings(&scene.run().0.records[0])
}

#[test]
fn who_takes_a_call_over_behind_a_nat_hears_it_in_time() {
    for quiet in [3_000, 6_000] {
        assert_eq!(codes(&agent(quiet, 6_200)), ["unannounced_source"], "{quiet}");
    }
    // The description that allowed it was the answer, at 6.02 s.
    let late = agent(6_000, 9_020);
    assert_eq!(codes(&late), ["late_media", "unannounced_source"]);
    assert_eq!(late[0].1, "audio begins 3.0 s late, from 192.0.2.1:4000 to 192.0.2.50:7777");
}

/// A NAT that gives another port, and ICE that takes another pair of candidates (RFC 8445 12.1), without a word of SIP.
#[test]
fn a_path_that_changes_is_not_late() {
    let none = |_| false;
    let mut nat = Scene::default();
    nat.agree("c", 0, 1, [PHONE, (201, 4000)]);
    nat.go_on((100, 6_000), [PHONE, (50, 4444)], none);
    nat.go_on((6_000, 12_000), [PHONE, (50, 5555)], none);
    nat.hang_up("c", 12_100, (1, 2));
    assert_eq!(codes(&nat.found(0)), ["unannounced_source"]);

    let relay = (70, 4500);
    let candidates = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
        a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host\r\n\
        a=candidate:2 1 UDP 16777215 192.0.2.70 4500 typ relay raddr 192.0.2.1 rport 4000\r\n";
    let mut ice = Scene::default();
    ice.agree_on("c", (0, 1), (1, 2), &[audio(relay, "0", candidates), audio(PEER, "0", "")]);
    ice.go_on((100, 6_000), [relay, PEER], none);
    ice.go_on((6_000, 12_000), [PHONE, PEER], none);
    ice.hang_up("c", 12_100, (1, 2));
    assert_eq!(ice.found(0), []);
}

/// RFC 3264 5.2: both sides name the group, and send to it from wherever they are.
#[test]
fn who_speaks_to_a_group_is_answered_there() {
    let group = |payload: &[u8], source: u8| {
        let mut frame = udp((source, 10_000), (0, 10_000), payload);
        frame[30..34].copy_from_slice(&[239, 1, 1, 1]);
        frame[24..26].fill(0);
        let sum = checksum(&frame[14..34]);
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame
    };
    let description = audio((1, 10_000), "0", "").replace("c=IN IP4 192.0.2.1", "c=IN IP4 239.1.1.1/127");
    for (sources, expected) in [(&[1, 2][..], &[][..]), (&[1], &["one_way_audio"])] {
        let mut scene = Scene::default();
        scene.agree_on("c", (0, 1), (1, 2), &[description.clone(), description.clone()]);
        for (&source, number) in sources.iter().flat_map(|source| (5..400u16).map(move |it| (source, it))) {
            let packet = rtp(0, number, 160 * u32::from(number), source.into(), &[0x55; 160]);
            scene.packets.push(at(20 * u32::from(number), group(&packet, source)));
        }
        scene.hang_up("c", 8_100, (1, 2));
        let (run, _) = scene.run();
        assert_eq!(run.records[0]["rtp_packets"], 395 * sources.len());
        assert_eq!(codes(&findings(&run.records[0])), expected);
    }
}

/// What is found of a call of phone and peer from 0 to 12.1 s.
fn to_a_port(add: impl Fn(&mut Scene)) -> Vec<(String, String)> {
    let mut scene = Scene::default();
    scene.agree("c", 0, 1, [PHONE, PEER]);
    add(&mut scene);
    scene.hang_up("c", 12_100, (1, 2));
    findings(&scene.run().0.records[0])
}

#[test]
fn audio_to_a_port_that_nobody_announced_is_told() {
    let wrong = (PHONE.0, PHONE.1 + 4);
    let found = to_a_port(|scene| {
        scene.say("c", (100, 12_000), [PHONE, PEER]);
        scene.say("c", (100, 12_000), [PEER, wrong]);
    });
    let text =
        "audio from 192.0.2.2:5000 to 192.0.2.1:4004, which no SDP announces, and none to 192.0.2.1:4000";
    assert_eq!(found, [("unannounced_destination".to_owned(), text.to_owned())]);

    // The phone sends from that port, so it listens there (RFC 4961), though it is behind a NAT that it knows.
    let symmetric = to_a_port(|scene| {
        scene.say("c", (100, 12_000), [wrong, PEER]);
        scene.say("c", (100, 12_000), [PEER, wrong]);
    });
    assert_eq!(symmetric, []);
    // It is heard at the port that it announced all the same.
    let both = to_a_port(|scene| {
        scene.speak("c", (100, 12_000), [PHONE, PEER]);
        scene.say("c", (100, 12_000), [PEER, wrong]);
    });
    assert_eq!(both, []);
    // For a second.
    let short = to_a_port(|scene| {
        scene.say("c", (100, 12_000), [PHONE, PEER]);
        scene.say("c", (100, 1_100), [PEER, wrong]);
        scene.say("c", (1_100, 12_000), [PEER, PHONE]);
    });
    assert!(short.iter().all(|(code, _)| code != "unannounced_destination"), "{short:?}");
    // At a port that it announces later.
    let moved = to_a_port(|scene| {
        scene.speak("c", (100, 3_000), [PHONE, PEER]);
        scene.agree("c", 3_000, 2, [wrong, PEER]);
        scene.speak("c", (3_100, 12_000), [wrong, PEER]);
    });
    assert_eq!(moved, []);
}
