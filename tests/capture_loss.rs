//! What the capture lost is told from what the network lost: the captures are generated, and what is taken out of them is
//! what is to be found.

use std::collections::BTreeMap;
use std::io::Write;

use tempfile::NamedTempFile;

use crate::classic::{Classic, Packet};
use crate::support::Run;
use crate::traffic::{capture, profile};

fn file(capture: &Classic) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".pcap").unwrap();
    file.write_all(&capture.bytes()).unwrap();
    file
}

/// A capture without the packets that `is_lost` names.
fn without(capture: &Classic, mut is_lost: impl FnMut(&Packet) -> bool) -> Run {
    let packets = capture.packets.iter().filter(|packet| !is_lost(packet)).cloned().collect();
    Run::of(file(&capture.with(packets)).path(), &[])
}

fn nanoseconds(capture: &Classic, packet: &Packet) -> u64 {
    let unit = if capture.nanoseconds { 1 } else { 1000 };
    u64::from(packet.seconds) * 1_000_000_000 + u64::from(packet.fraction) * unit
}

/// SSRC of an RTP packet in Ethernet, IPv4 and UDP.
fn ssrc(packet: &Packet) -> Option<u32> {
    let frame = &packet.frame;
    let is_rtp = frame.len() > 54 && frame[12..14] == [8, 0] && frame[23] == 17 && frame[42] == 0x80;
    is_rtp.then(|| u32::from_be_bytes(*frame[50..].first_chunk().unwrap()))
}

/// By SSRC: what records say of missing packets, and which of them the capture lost.
fn told(run: &Run) -> BTreeMap<u32, (u64, u64)> {
    let streams = run.records.iter().flat_map(|record| record["media"].as_array().unwrap());
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    streams
        .map(|stream| {
            let missing = (number(&stream["missing"]), number(&stream["lost_by_capture"]));
            (number(&stream["ssrc"]).try_into().unwrap(), missing)
        })
        .collect()
}

fn findings(run: &Run, code: &str) -> usize {
    let findings = run.records.iter().flat_map(|record| record["findings"].as_array().unwrap());
    findings.filter(|finding| finding["code"] == code).count()
}

/// Eight calls that are up together, and a moment at which all of them are.
fn calls() -> (Classic, u64) {
    let knobs = [("calls", "8"), ("rate", "20"), ("rtp", "1"), ("hold", "8")];
    let (file, _) = capture(&profile(&knobs));
    let all = Classic::read(file.path()).unwrap();
    let mut ends: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for packet in &all.packets {
        let at = nanoseconds(&all, packet);
        if let Some(ssrc) = ssrc(packet) {
            ends.entry(ssrc).or_insert((at, at)).1 = at;
        }
    }
    assert_eq!(ends.len(), 16);
    let begin = ends.values().map(|(first, _)| *first).max().unwrap();
    let end = ends.values().map(|(_, last)| *last).min().unwrap();
    assert!(end > begin + 1_000_000_000, "all are up for a second");
    (all, begin + 500_000_000)
}

#[test]
fn what_all_streams_miss_the_capture_lost() {
    let (all, moment) = calls();
    for milliseconds in [40, 90, 300] {
        let mut lost = BTreeMap::new();
        let run = without(&all, |packet| {
            let is_lost = (moment..moment + milliseconds * 1_000_000).contains(&nanoseconds(&all, packet));
            if let Some(ssrc) = ssrc(packet).filter(|_| is_lost) {
                *lost.entry(ssrc).or_insert(0) += 1;
            }
            is_lost
        });
        let expected: BTreeMap<u32, (u64, u64)> =
            lost.into_iter().map(|(ssrc, lost)| (ssrc, (lost, lost))).collect();
        assert_eq!(told(&run), expected, "{milliseconds} ms");
        let sum: u64 = expected.values().map(|(lost, _)| lost).sum();
        assert_eq!(run.number("/capture_loss/rtp_packets"), sum);
        assert_eq!(run.number("/capture_loss/rtp_moments"), 1);
        assert_eq!((findings(&run, "capture_loss"), findings(&run, "packet_loss")), (16, 0));
    }
}

#[test]
fn what_some_streams_miss_the_network_lost() {
    let (all, moment) = calls();
    let window = moment..moment + 90_000_000;
    // All that one side sends, whatever passes on the way to it still passes.
    let first = all.packets.iter().find(|packet| ssrc(packet).is_some()).unwrap().frame[26..29].to_vec();
    let mut lost = 0;
    let run = without(&all, |packet| {
        let is_lost = ssrc(packet).is_some()
            && window.contains(&nanoseconds(&all, packet))
            && packet.frame[26..29] == first[..];
        lost += u64::from(is_lost);
        is_lost
    });
    let told = told(&run);
    assert_eq!(told.values().map(|(missing, _)| missing).sum::<u64>(), lost);
    assert!(lost > 8 && told.values().all(|(_, by_capture)| *by_capture == 0), "{lost}: {told:?}");
    assert_eq!(findings(&run, "capture_loss"), 0);
}

#[test]
fn losses_by_chance_are_the_network_s() {
    let knobs = [("calls", "60"), ("rate", "20"), ("rtp", "1"), ("hold", "8"), ("rtp_lost", "0.05")];
    let (file, ledger) = capture(&profile(&knobs));
    let run = Run::of(file.path(), &[]);
    let missing: u64 = told(&run).values().map(|(missing, _)| missing).sum();
    assert!(missing > 1000 && ledger.packets > 0, "{missing}");
    assert_eq!(run.number("/capture_loss/rtp_packets"), 0);
}

#[test]
fn what_was_acknowledged_the_network_delivered() {
    let knobs =
        [("calls", "200"), ("rate", "20"), ("tcp", "1"), ("connections", "10"), ("out_of_order", "0.05")];
    let (file, _) = capture(&profile(&knobs));
    let all = Classic::read(file.path()).unwrap();
    assert_eq!(Run::of(file.path(), &[]).number("/capture_loss/tcp_holes"), 0, "nothing is missing");
    // A segment with data in the midst of each direction, neither sent twice nor behind its successors.
    let data = |packet: &Packet| {
        let frame = &packet.frame;
        let is_tcp = frame.len() > 54 && frame[12..14] == [8, 0] && frame[23] == 6;
        let header = is_tcp.then(|| 34 + usize::from(frame[46] >> 4) * 4)?;
        let length = 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]])) - header;
        let sequence = u32::from_be_bytes(*frame[38..].first_chunk().unwrap());
        (length > 0).then(|| (frame[26..38].to_vec(), sequence, length))
    };
    let mut directions: BTreeMap<Vec<u8>, Vec<(usize, u32, usize)>> = BTreeMap::new();
    for (index, packet) in all.packets.iter().enumerate() {
        if let Some((ends, sequence, length)) = data(packet) {
            directions.entry(ends).or_default().push((index, sequence, length));
        }
    }
    let follows =
        |one: &(usize, u32, usize), two: &(usize, u32, usize)| one.1.wrapping_add(one.2 as u32) == two.1;
    let lost: Vec<usize> = directions
        .values()
        .filter_map(|segments| {
            let calm = segments
                .windows(5)
                .skip(15)
                .find(|five| five.windows(2).all(|two| follows(&two[0], &two[1])))?;
            Some(calm[2].0)
        })
        .collect();
    assert!(lost.len() > 10, "{lost:?}");
    let mut index = 0;
    let run = without(&all, |_| {
        index += 1;
        lost.contains(&(index - 1))
    });
    assert_eq!(run.number("/tcp/gaps"), lost.len() as u64);
    assert_eq!(run.number("/capture_loss/tcp_holes"), lost.len() as u64);
}
