//! The same capture gives the same bytes, whatever threads, batches and segments do.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::classic::{Classic, Packet};
use crate::corpus::cases;
use crate::recut::{one_byte_segments, payload};
use crate::support::{Run, assert_nothing_vanished, on_threads};
use crate::traffic::{capture, varied};

type Knobs = &'static [(&'static str, &'static str)];

/// Traffic of which order could be lost between threads.
const TRAFFIC: [Knobs; 7] = [
    &[
        ("sip_retransmitted", "0.2"),
        ("fragmented", "0.5"),
        ("fragments_shuffled", "0.5"),
        ("b2bua", "0.5"),
        ("lookalikes", "0.5"),
    ],
    &[("tcp", "1"), ("pipelined", "1"), ("cut", "0.5"), ("connections", "3")],
    &[("tcp", "1"), ("out_of_order", "0.2"), ("retransmitted", "0.2"), ("overlapped", "0.5"), ("cut", "0.5")],
    &[("tcp", "1"), ("midstream", "true"), ("connections", "20"), ("fin", "false")],
    &[("tcp", "1"), ("websocket", "0.5"), ("keepalive", "2"), ("ipv6", "0.5")],
    &[("tcp", "0.5"), ("rtp", "0.3"), ("rtp_reordered", "0.1"), ("calls", "40"), ("rate", "100")],
    &[("tcp", "0.3"), ("noise", "0.7"), ("vlans", "1"), ("nanoseconds", "true"), ("calls", "60")],
];

/// Ways to run; each has to give what one thread gives.
const WAYS: [&[&str]; 9] = [
    &["--workers", "1"],
    &["--workers", "2", "--batch-size", "3"],
    &["--workers", "3", "--batch-size", "1"],
    &["--workers", "8", "--batch-size", "17"],
    &["--batch-size", "1"],
    &["--batch-size", "4099"],
    &["-M", "memory", "--batch-size", "7"],
    &["-M", "throughput"],
    &["-M", "latency"],
];

/// In what the ways to run differ over an input.
pub(crate) fn differences(case: &str, input: &Path) -> Vec<String> {
    let inline = Run::of(input, &[]);
    assert_nothing_vanished(&inline, case);
    let mut wrong = Vec::new();
    for way in WAYS {
        let run = Run::of(input, way);
        if run.summary != inline.summary {
            wrong.push(format!("{case} {way:?}: summary\n{}\n{}", run.summary, inline.summary));
        }
        if run.records_without_paths() != inline.records_without_paths() {
            wrong.push(format!("{case} {way:?}: records"));
        }
        if run.files != inline.files {
            wrong.push(format!("{case} {way:?}: bytes of the PCAPs"));
        }
    }
    wrong
}

#[test]
fn threads_and_batches_change_nothing_in_generated_traffic() {
    let wrong = on_threads(&TRAFFIC, |knobs| {
        let (file, _) = capture(&varied(knobs));
        differences(&format!("{knobs:?}"), file.path())
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn threads_and_batches_change_nothing_in_the_corpus() {
    let wrong = on_threads(&cases(), |case| differences(&case.name, &case.input));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every seventh packet of TCP was not captured: what comes behind it waits for a second, or until the end.
#[test]
fn threads_and_batches_change_nothing_behind_holes() {
    let (file, _) = capture(&varied(&[("tcp", "1"), ("cut", "0.2"), ("connections", "40"), ("rate", "100")]));
    let whole = Classic::read(file.path()).unwrap();
    // It ends while much is under way.
    let half = whole.packets.len() / 2;
    let packets = whole.packets.iter().take(half).enumerate().filter(|(index, _)| index % 7 != 6);
    let mut lossy = NamedTempFile::new().unwrap();
    let packets = packets.map(|(_, packet)| packet.clone()).collect();
    lossy.write_all(&whole.with(packets).bytes()).unwrap();
    assert!(Run::of(lossy.path(), &[]).number("/tcp/gaps") > 50);
    let wrong = differences("holes", lossy.path());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Of each call the 200 to the INVITE was not captured, and the 200 to the BYE comes behind it: it is of the time of its packet,
/// for which the capture is the witness.
#[test]
fn a_message_behind_a_hole_has_the_time_of_its_packet() {
    let mut file = Classic::read(&crate::support::testdata("corpus/sip-tcp/input.pcap")).unwrap();
    let has = |packet: &Packet, texts: [&str; 2]| {
        let text = String::from_utf8_lossy(&packet.frame);
        texts.iter().all(|it| text.contains(it))
    };
    file.packets.retain(|packet| !has(packet, ["SIP/2.0 200 OK", "CSeq: 1 INVITE"]));
    // Of the last call the capture's end comes first, of the others the end of patience.
    for (index, packet) in (0..).zip(&mut file.packets) {
        packet.seconds += index / 5 * 5;
    }
    let time = |packet: &Packet| f64::from(packet.seconds) + f64::from(packet.fraction) / 1e6;
    let times = |texts: [&str; 2]| -> Vec<f64> {
        file.packets.iter().filter(|packet| has(packet, texts)).map(time).collect()
    };
    let (asked, answered) = (times(["BYE sip:", "CSeq: 2 BYE"]), times(["SIP/2.0 200 OK", "CSeq: 2 BYE"]));
    let mut input = NamedTempFile::new().unwrap();
    input.write_all(&file.bytes()).unwrap();
    let run = Run::of(input.path(), &[]);
    assert_eq!((run.records.len(), asked.len(), answered.len(), run.number("/tcp/gaps")), (5, 5, 5, 5));
    for ((record, asked), answered) in run.records.iter().zip(asked).zip(answered) {
        let took = record["response_seconds"]["BYE"].as_f64().unwrap();
        assert!((took - (answered - asked)).abs() < 2e-5, "{took}, not {}: {record}", answered - asked);
    }
}

/// Every 17th segment that carries something was not captured, of either direction. Records are those of a capture that has line
/// ends in their place, which are nothing between messages (RFC 3261 7.5): there nothing waits.
#[test]
fn what_waits_behind_a_hole_is_told_before_its_answer() {
    let knobs = [("tcp", "1"), ("large", "0"), ("mtu", "9000"), ("connections", "30"), ("b2bua", "0.3")];
    let (file, _) = capture(&varied(&knobs));
    let whole = Classic::read(file.path()).unwrap();
    let (mut lossy, mut blank) = (Vec::new(), Vec::new());
    let mut segments = 0;
    for mut packet in whole.packets.iter().cloned() {
        let text = payload(whole.link, &mut packet.frame);
        segments += u32::from(text.is_some());
        match text.filter(|_| segments % 17 == 0) {
            Some(text) => {
                text.iter_mut().zip(b"\r\n".iter().cycle()).for_each(|(byte, end)| *byte = *end);
            }
            None => lossy.push(packet.clone()),
        }
        blank.push(packet);
    }
    let run = |packets| {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&whole.with(packets).bytes()).unwrap();
        Run::of(file.path(), &[])
    };
    let (lossy, blank) = (run(lossy), run(blank));
    assert!(lossy.number("/tcp/gaps") > 50 && blank.number("/tcp/gaps") == 0);
    // Which of two calls is told first is another matter.
    let records = |run: &Run| -> BTreeMap<String, Value> {
        let records = run.records_without_paths().into_iter();
        records.map(|record| (format!("{} {}", record["call_id"], record["start"]), record)).collect()
    };
    let (lossy, blank) = (records(&lossy), records(&blank));
    for (name, record) in &blank {
        assert_eq!(lossy.get(name), Some(record));
    }
    assert_eq!(lossy.len(), blank.len());
}

/// What may not depend on how TCP was cut: records, SIP and call counts.
fn of_streams(run: &Run) -> Value {
    json!({"records": run.records_without_paths(), "sip": run.summary["sip"], "calls": run.summary["calls"],
           "registrations": run.summary["registrations"], "rtp": run.summary["rtp"], "rtcp": run.summary["rtcp"]})
}

/// A capture against itself in segments of one byte.
fn recut_differences(case: &str, input: &Path, must_cut: bool) -> Vec<String> {
    let Some(whole) = Classic::read(input) else {
        return Vec::new();
    };
    let (recut, cut) = one_byte_segments(&whole);
    if cut == 0 {
        return if must_cut { vec![format!("{case}: no TCP to cut")] } else { Vec::new() };
    }
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&recut.bytes()).unwrap();
    let (once, bytewise) = (Run::of(input, &[]), Run::of(file.path(), &[]));
    assert_nothing_vanished(&bytewise, case);
    let mut wrong = Vec::new();
    if of_streams(&once) != of_streams(&bytewise) {
        let (once, bytewise) = (of_streams(&once), of_streams(&bytewise));
        wrong.extend(
            ["sip", "calls", "registrations", "rtp", "rtcp"]
                .iter()
                .filter(|key| once[**key] != bytewise[**key])
                .map(|key| format!("{case}: {key}: {} in 1-byte segments {}", once[key], bytewise[key])),
        );
        let records = once["records"].as_array().unwrap().iter().zip(bytewise["records"].as_array().unwrap());
        let first = records.into_iter().find(|(ours, theirs)| ours != theirs);
        wrong
            .extend(first.map(|(ours, theirs)| format!("{case}: record {ours} in 1-byte segments {theirs}")));
    }
    wrong
}

#[test]
fn segmentation_changes_nothing_in_the_corpus() {
    let wrong = on_threads(&cases(), |case| recut_differences(&case.name, &case.input, false));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn segmentation_changes_nothing_in_generated_traffic() {
    let traffic: [Knobs; 6] = [
        &[("tcp", "1"), ("pipelined", "1"), ("cut", "0.5")],
        &[
            ("tcp", "1"),
            ("ipv6", "1"),
            ("vlans", "1"),
            ("keepalive", "1"),
            ("lf_only", "0.2"),
            ("compact", "0.5"),
        ],
        &[("tcp", "1"), ("retransmitted", "0.2"), ("out_of_order", "0.1"), ("link", "sll")],
        &[("tcp", "1"), ("websocket", "1"), ("keepalive", "1"), ("cut", "0.5")],
        &[("tcp", "1"), ("syn", "false"), ("link", "raw")],
        &[("tcp", "0.5"), ("noise", "0.5"), ("link", "sll2")],
    ];
    const FEWER: Knobs = &[("calls", "40")];
    let wrong = on_threads(&traffic, |knobs| {
        let (file, _) = capture(&varied(&[knobs, FEWER].concat()));
        recut_differences(&format!("{knobs:?}"), file.path(), true)
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
