//! Media streams against tshark's figures, on real captures and on calls with known faults (`testdata/quality`).

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::corpus;
use crate::support::{Run, testdata};

/// To a hundredth of a millisecond.
const CLOSE: f64 = 0.01;

/// One stream as tshark has it.
struct Witness {
    ssrc: u64,
    source: String,
    destination: String,
    packets: u64,
    lost: i64,
    max_delta_ms: f64,
    jitter_ms: f64,
    max_jitter_ms: f64,
}

fn json(path: &Path) -> Option<Value> {
    Some(serde_json::from_str(&std::fs::read_to_string(path).ok()?).expect("JSON"))
}

/// The streams in the form of the corpus: `rtp_streams_sdp`.
fn of_corpus(expected: &Value) -> Vec<Witness> {
    let endpoint = |stream: &Value, address: &str, port: &str| {
        let address = stream[address].as_str().unwrap();
        let is_v6 = address.contains(':');
        let (open, close) = if is_v6 { ("[", "]") } else { ("", "") };
        format!("{open}{address}{close}:{}", stream[port])
    };
    let streams = expected["rtp_streams_sdp"].as_array().cloned().unwrap_or_default();
    let witness = |stream: &Value| Witness {
        ssrc: u64::from_str_radix(&stream["ssrc"].as_str().unwrap()[2..], 16).unwrap(),
        source: endpoint(stream, "src", "sport"),
        destination: endpoint(stream, "dst", "dport"),
        packets: stream["pkts"].as_u64().unwrap(),
        lost: stream["lost"].as_i64().unwrap(),
        max_delta_ms: stream["max_delta"].as_f64().unwrap(),
        jitter_ms: stream["mean_jitter"].as_f64().unwrap(),
        max_jitter_ms: stream["max_jitter"].as_f64().unwrap(),
    };
    streams.iter().map(witness).collect()
}

/// The streams in the form of `make.py`, and what is right where tshark is not.
fn of_case(directory: &Path) -> Vec<Witness> {
    let expected = json(&directory.join("expected.json")).unwrap();
    let differs = json(&directory.join("differs.json")).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let witness = |stream: &Value| Witness {
        ssrc: stream["ssrc"].as_u64().unwrap(),
        source: text(&stream["source"]),
        destination: text(&stream["destination"]),
        packets: stream["packets"].as_u64().unwrap(),
        lost: differs[stream["ssrc"].to_string()]["lost"]
            .as_i64()
            .unwrap_or(stream["lost"].as_i64().unwrap()),
        max_delta_ms: stream["max_delta_ms"].as_f64().unwrap(),
        jitter_ms: stream["jitter_ms"].as_f64().unwrap(),
        max_jitter_ms: stream["max_jitter_ms"].as_f64().unwrap(),
    };
    expected["rtp_streams"].as_array().unwrap().iter().map(witness).collect()
}

/// The cases of `testdata/quality`.
fn cases() -> Vec<String> {
    let entries = std::fs::read_dir(testdata("quality")).unwrap().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(names.len() >= 9, "{names:?}");
    names
}

fn run(case: &str) -> Run {
    Run::of(&testdata(&format!("quality/{case}/input.pcap")), &[])
}

fn streams(run: &Run) -> Vec<&Value> {
    run.records.iter().flat_map(|record| record["media"].as_array().unwrap()).collect()
}

/// What is not as the witness says.
fn compare(name: &str, run: &Run, witnesses: &[Witness]) -> Vec<String> {
    let streams = streams(run);
    let mut wrong = Vec::new();
    for witness in witnesses {
        let is_it = |stream: &&&Value| {
            stream["ssrc"].as_u64() == Some(witness.ssrc)
                && stream["source"] == *witness.source
                && stream["destination"] == *witness.destination
        };
        let Some(stream) = streams.iter().find(is_it) else {
            wrong.push(format!("{name}: no stream {:#x}", witness.ssrc));
            continue;
        };
        let mut check = |what: &str, ours: f64, theirs: f64, within: f64| {
            if (ours - theirs).abs() > within {
                wrong.push(format!("{name}: {:#x}: {what} {ours}, tshark {theirs}", witness.ssrc));
            }
        };
        let number = |key: &str| stream[key].as_f64().unwrap_or(f64::NAN);
        check("packets", number("packets"), witness.packets as f64, 0.0);
        check("lost", number("lost"), witness.lost as f64, 0.0);
        check("max delta", number("max_delta_ms"), witness.max_delta_ms, CLOSE);
        // Of one packet tshark says 0, and here it is null.
        if witness.packets > 1 {
            check("jitter", number("jitter_ms"), witness.jitter_ms, CLOSE);
            check("max jitter", number("max_jitter_ms"), witness.max_jitter_ms, CLOSE);
            if stream["jitter_ms"].is_null() {
                wrong.push(format!("{name}: {:#x}: no jitter", witness.ssrc));
            }
        }
    }
    let ours: BTreeSet<u64> = streams.iter().filter_map(|stream| stream["ssrc"].as_u64()).collect();
    let theirs: BTreeSet<u64> = witnesses.iter().map(|witness| witness.ssrc).collect();
    if ours != theirs {
        wrong.push(format!("{name}: streams {ours:x?}, tshark {theirs:x?}"));
    }
    wrong
}

#[test]
fn every_stream_is_tshark_s() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for case in corpus::cases() {
        let witnesses = of_corpus(&case.expected);
        seen += witnesses.len();
        wrong.extend(compare(&case.name, &Run::of(&case.input, &[]), &witnesses));
    }
    for case in cases() {
        let witnesses = of_case(&testdata(&format!("quality/{case}")));
        seen += witnesses.len();
        wrong.extend(compare(&case, &run(&case), &witnesses));
    }
    assert!(seen >= 29, "{seen}");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// What receivers say, and round trips, as tshark's RTCP dissector has them.
#[test]
fn every_report_is_tshark_s() {
    let expected = json(&testdata("quality/rtcp/expected.json")).unwrap();
    let reports = expected["rtcp_reports"].as_array().unwrap();
    let run = run("rtcp");
    for stream in streams(&run) {
        let of_stream: Vec<&Value> =
            reports.iter().filter(|report| report["ssrc"] == stream["ssrc"]).collect();
        let latest = of_stream.last().unwrap();
        let far = &stream["far_end"];
        assert_eq!(far["reports"], of_stream.len(), "{stream}");
        assert_eq!(far["lost"], latest["lost"], "{stream}");
        // 8 kHz: an eighth of a millisecond each.
        assert_eq!(far["jitter_ms"].as_f64(), latest["jitter"].as_f64().map(|it| it / 8.0), "{stream}");
        let worst =
            of_stream.iter().map(|report| report["fraction_lost"].as_f64().unwrap()).fold(0.0, f64::max);
        assert!((far["worst_loss_percent"].as_f64().unwrap() - worst / 2.56).abs() < 0.006, "{stream}");
        // tshark has the round trip to each end by itself, in whole milliseconds and rounded up.
        let trip = |of: &dyn Fn(&Value) -> bool| {
            let trips = reports
                .iter()
                .filter(|report| of(report))
                .filter_map(|report| report["round_trip_ms"].as_f64());
            trips.fold(f64::INFINITY, f64::min)
        };
        let both = trip(&|report| report["ssrc"] == stream["ssrc"])
            + trip(&|report| report["ssrc"] != stream["ssrc"]);
        let ours = far["round_trip_ms"].as_f64().unwrap();
        assert!((both - 2.5..=both).contains(&ours), "{ours}, tshark {both}");
        assert_eq!(stream["delay_source"], "rtcp");
    }
    let told: Vec<&Value> =
        streams(&run).into_iter().filter(|stream| !stream["far_end"]["mos"].is_null()).collect();
    assert_eq!(told.len(), 1, "one of them sends VoIP metrics");
    assert_eq!((&told[0]["far_end"]["mos"], &told[0]["far_end"]["r_factor"]), (&3.9.into(), &81.into()));
}

/// Which faults `make.py` puts into each case, and nothing else is found.
#[test]
fn every_fault_is_found_and_none_is_made_up() {
    for (case, expected) in [
        ("clocks", &["codec_mismatch"][..]),
        ("jitter", &["packet_loss"]),
        ("keys", &[]),
        ("loss", &["packet_loss", "packet_loss"]),
        ("one-way", &["one_way_audio", "media_after_end"]),
        ("order", &[]),
        ("rtcp", &["packet_loss", "packet_loss"]),
        ("silence", &[]),
        ("sources", &["sequence_restart", "ssrc_change"]),
    ] {
        let run = run(case);
        let findings = run.records[0]["findings"].as_array().unwrap();
        let codes: Vec<&str> = findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect();
        assert_eq!(codes, expected, "{case}: {findings:#?}");
    }
}

/// What is drawn in `make.py`, counted by hand from its text.
#[test]
fn losses_cluster_where_they_were_made_to() {
    let run = run("loss");
    let streams = streams(&run);
    let back = streams.iter().find(|stream| stream["ssrc"] == 0x2222_2222).unwrap();
    // Packets 100 to 103 and 106 to 108, and 300 by itself.
    assert_eq!(back["bursts"], serde_json::json!({"count": 1, "packets": 9, "lost": 7}));
    assert_eq!((&back["missing"], &back["expected"]), (&8.into(), &500.into()));
    let run = self::run("order");
    let streams = self::streams(&run);
    let [out, back] =
        [0x1111_1111, 0x2222_2222].map(|ssrc| streams.iter().find(|it| it["ssrc"] == ssrc).unwrap());
    assert_eq!((&out["reordered"], &out["duplicates"]), (&22.into(), &0.into()));
    assert_eq!((&back["reordered"], &back["duplicates"]), (&0.into(), &30.into()));
    let run = self::run("keys");
    let streams = self::streams(&run);
    let digits: Vec<&Value> = streams.iter().map(|stream| &stream["digits"]).collect();
    assert_eq!(digits.iter().filter_map(|it| it.as_u64()).sum::<u64>(), 5);
}

#[test]
fn what_has_no_published_impairment_has_no_score() {
    let run = run("clocks");
    for stream in streams(&run) {
        assert!(stream["mos"].is_null() && stream["r_factor"].is_null(), "{stream}");
        let codec = stream["codec"].as_str().unwrap();
        let why = if codec == "opus" { "no published Ie" } else { "mode" };
        assert!(stream["mos_missing"].as_str().unwrap().contains(why), "{stream}");
    }
}
