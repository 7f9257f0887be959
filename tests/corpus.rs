//! Real captures against what tshark found in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Run, assert_nothing_vanished, testdata};

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) input: PathBuf,
    pub(crate) expected: Value,
}

/// Every case, with the values that its README argues tshark gets wrong laid over tshark's.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = std::fs::read_dir(testdata("corpus"))
        .expect("the corpus")
        .flatten()
        .map(|entry| case(&entry.path()))
        .filter(|case| case.name != "mixed-byte-order")
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() >= 31, "{}", cases.len());
    cases
}

fn case(directory: &Path) -> Case {
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).ok();
    let parse = |text: String| -> Value { serde_json::from_str(&text).expect("JSON") };
    let mut expected = parse(read("expected.json").expect("expected.json"));
    if let Some(differs) = read("differs.json").map(parse) {
        for (key, value) in differs.as_object().expect("an object") {
            expected[key] = value.clone();
        }
    }
    let input = ["input.pcap", "input.pcapng"].map(|name| directory.join(name));
    let input = input.into_iter().find(|path| path.exists()).expect("an input");
    Case { name: directory.file_name().expect("a name").to_string_lossy().into_owned(), input, expected }
}

pub(crate) fn counts(value: &Value) -> BTreeMap<String, u64> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_u64().filter(|n| *n > 0)?))).collect()
}

#[test]
fn every_number_is_tshark_s() {
    let mut wrong = Vec::new();
    for Case { name, input, expected } in cases() {
        let run = Run::of(&input, &[]);
        assert_nothing_vanished(&run, &name);
        let mut check = |what: &str, ours: Value, theirs: Value| {
            if ours != theirs {
                wrong.push(format!("{name}: {what}: {ours}, tshark {theirs}"));
            }
        };
        let sip = &run.summary["sip"];
        check("packets", run.summary["packets"].clone(), expected["packets"].clone());
        check("messages", sip["messages"].clone(), expected["sip_messages"].clone());
        check("methods", json!(counts(&sip["requests"])), json!(counts(&expected["sip_requests_by_method"])));
        check("codes", json!(counts(&sip["responses"])), json!(counts(&expected["sip_responses_by_code"])));
        check("transports", json!(counts(&sip["transports"])), json!(counts(&expected["sip_transport"])));
        let call_ids = expected["call_ids"].as_array().map_or(0, Vec::len);
        check("Call-IDs", sip["call_ids"].clone(), json!(call_ids));
        check("SDP", sip["with_sdp"].clone(), expected["sip_with_sdp"].clone());
        check("RTP", run.summary["rtp"]["packets"].clone(), expected["rtp_packets_sdp"].clone());
        check("RTCP", run.summary["rtcp"]["packets"].clone(), expected["rtcp_packets_sdp"].clone());
        check("ICMP", sip["quoted_in_icmp"].clone(), expected["sip_in_icmp"].clone());
        let fragments = expected["ip_fragments_v4"].as_u64().unwrap_or(0)
            + expected["ip_fragments_v6"].as_u64().unwrap_or(0);
        check("fragments", run.summary["fragments"]["seen"].clone(), json!(fragments));
        let messages: BTreeMap<_, u64> = run.records.iter().fold(BTreeMap::new(), |mut messages, record| {
            let count = record["messages"].as_u64().unwrap_or(0) + record["duplicates"].as_u64().unwrap_or(0);
            *messages.entry(record["call_id"].as_str().unwrap_or("").to_owned()).or_default() += count;
            messages
        });
        check("messages per Call-ID", json!(messages), json!(counts(&expected["messages_per_call_id"])));
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_capture_that_mixes_byte_orders_is_one_clear_error() {
    let input = testdata("corpus/mixed-byte-order/input.pcap");
    let output = crate::support::lippycat().args(["sniff", "voip", "-r"]).arg(&input).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with("error: ") && told.contains("input.pcap") && told.lines().count() == 1,
        "{told}"
    );
}
