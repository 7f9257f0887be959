//! The program against the traffic generator's ledger: messages, calls, media and fragments, number by number.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Run, assert_nothing_vanished, on_threads};
use crate::traffic::generator::Ledger;
use crate::traffic::{CASES, capture, profile, varied};

type Knobs = &'static [(&'static str, &'static str)];

/// One knob each, on top of a few plain dialogs.
const SINGLE: [Knobs; 39] = [
    &[],
    &[("auth", "1")],
    &[("not_found", "1")],
    &[("busy", "1")],
    &[("unavailable", "1")],
    &[("redirected", "1")],
    &[("cancelled", "1")],
    &[("unanswered", "1")],
    &[("unanswered", "1"), ("tcp", "1")],
    &[("open", "1")],
    &[("registration_refused", "1")],
    &[("reinvites", "1")],
    &[("updates", "1")],
    &[("pracks", "1")],
    &[("forks", "1")],
    &[("reused", "1")],
    &[("compact", "1")],
    &[("lf_only", "1")],
    &[("no_content_length", "1")],
    &[("large", "1")],
    &[("sip_retransmitted", "0.5")],
    &[("fragmented", "1")],
    &[("fragmented", "1"), ("fragments_shuffled", "1")],
    &[("fragmented", "1"), ("fragments_duplicated", "1"), ("ipv6", "1")],
    &[("tcp", "1"), ("syn", "false")],
    &[("tcp", "1"), ("midstream", "true"), ("connections", "10"), ("fin", "false")],
    &[("tcp", "1"), ("cut", "1"), ("pipelined", "1")],
    &[("tcp", "1"), ("out_of_order", "0.3")],
    &[("tcp", "1"), ("retransmitted", "0.3"), ("overlapped", "1")],
    &[("tcp", "1"), ("keepalive", "1")],
    &[("tcp", "1"), ("websocket", "1"), ("keepalive", "1")],
    &[("rtp", "1")],
    &[("rtp", "1"), ("rtp_lost", "0.05"), ("rtp_reordered", "0.05"), ("rtp_duplicated", "0.05")],
    &[("rtp", "1"), ("rtcp", "1"), ("ipv6", "1"), ("vlans", "2")],
    &[("noise", "0.9"), ("rtp", "1")],
    &[("noise", "0.9"), ("noise_joined", "0.9"), ("tcp", "0.5")],
    &[("link", "sll2"), ("nanoseconds", "true")],
    &[("link", "raw"), ("format", "pcapng"), ("tcp", "0.5")],
    &[("link", "sll"), ("big_endian", "true"), ("tcp", "0.5")],
];

const FEW: Knobs =
    &[("calls", "25"), ("registrations", "5"), ("options", "5"), ("rate", "20"), ("hold", "2")];

fn positive<K: ToString>(counts: &BTreeMap<K, u64>) -> Value {
    counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| (name.to_string(), *count)).collect()
}

fn counts(value: &Value) -> Value {
    value.as_object().unwrap().iter().filter(|(_, count)| **count != 0).map(|(k, v)| (k, v.clone())).collect()
}

/// Every number of the summary that the ledger knows.
fn compare_summary(ledger: &Ledger, run: &Run, wrong: &mut impl FnMut(&str, Value, Value)) {
    let summary = &run.summary;
    let sip = &summary["sip"];
    let mut number = |pointer: &str, truth: u64| {
        let ours = summary.pointer(pointer).cloned().unwrap_or_default();
        wrong(pointer, ours, json!(truth));
    };
    number("/packets", ledger.packets);
    number("/sip/messages", ledger.sip.messages);
    number("/sip/retransmissions", ledger.sip.retransmissions);
    number("/sip/duplicates", 0);
    number("/sip/malformed", 0);
    number("/sip/with_sdp", ledger.sip.with_sdp);
    number("/sip/call_ids", ledger.sip.call_ids);
    number("/calls/total", ledger.calls.total);
    number("/calls/answered", ledger.calls.answered);
    number("/registrations", ledger.registrations);
    number("/rtp/packets", ledger.rtp.packets);
    number("/rtp/streams", ledger.rtp.streams);
    number("/rtcp/packets", ledger.rtcp.packets);
    number("/fragments/seen", ledger.fragments.seen);
    number("/fragments/reassembled", ledger.fragments.datagrams);
    number("/fragments/failed", 0);
    number("/tcp/gaps", 0);
    number("/files_written", ledger.sip.call_ids + ledger.calls.reused_call_ids);
    wrong("methods", counts(&sip["requests"]), positive(&ledger.sip.requests));
    wrong("codes", counts(&sip["responses"]), positive(&ledger.sip.responses));
    wrong("transports", counts(&sip["transports"]), positive(&ledger.sip.transports));
    wrong("results", counts(&summary["calls"]["by_result"]), positive(&ledger.calls.by_result));
    let sip_packets = run.number("/packets_by/sip");
    let is_noise = sip_packets > ledger.packets - ledger.noise.packets;
    wrong(&format!("noise among {sip_packets} packets of SIP"), json!(is_noise), json!(false));
}

/// Microseconds of an RFC 3339 time; none for null.
fn time(value: &Value) -> Option<i64> {
    value.as_str().map(|text| text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
}

fn microseconds(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds / 1000).unwrap()
}

/// Every call of the list, field by field.
fn compare_calls(ledger: &Ledger, run: &Run, wrong: &mut impl FnMut(&str, Value, Value)) {
    let mut records: BTreeMap<(&str, Option<i64>), &Value> = run
        .records_of("call")
        .map(|record| ((record["call_id"].as_str().unwrap(), time(&record["start"])), record))
        .collect();
    wrong("number of records", json!(run.records_of("call").count()), json!(ledger.list.len()));
    for call in &ledger.list {
        let key = (call.call_id.as_str(), Some(microseconds(call.start)));
        let Some(record) = records.remove(&key) else {
            wrong(&format!("{key:?}"), Value::Null, json!("a record"));
            continue;
        };
        let mut field =
            |name: &str, ours: Value, truth: Value| wrong(&format!("{}: {name}", call.call_id), ours, truth);
        let same = [
            ("result", json!(call.result)),
            ("status_code", json!(call.status_code)),
            ("from", json!(call.from)),
            ("to", json!(call.to)),
            ("source", json!(call.source)),
            ("destination", json!(call.destination)),
            ("transports", json!([call.transport])),
            ("messages", json!(call.messages)),
            ("retransmissions", json!(call.retransmissions)),
            ("rtp_packets", json!(call.rtp_packets)),
            ("rtcp_packets", json!(call.rtcp_packets)),
        ];
        same.into_iter().for_each(|(name, truth)| field(name, record[name].clone(), truth));
        let timed_out = call.result == "timeout";
        // Timer B of RFC 3261 17.1.1.2: 64 * T1 after the INVITE, which may be a second one with credentials.
        let timer_b = microseconds(call.start) + 32_000_000;
        let end = match time(&record["end"]) {
            Some(end) if timed_out && record["authenticated"] == true && end - timer_b < 1_000_000 => {
                Some(end)
            }
            _ if timed_out => Some(timer_b),
            _ => call.end.map(microseconds),
        };
        field("end", json!(time(&record["end"])), json!(end));
        for (name, truth) in [("ringing", call.ringing), ("answered", call.answered)] {
            field(name, json!(time(&record[name])), json!(truth.map(microseconds)));
        }
        if timed_out || call.answered.is_some() {
            let truth = if timed_out { Some("network") } else { call.ended_by };
            field("ended_by", record["ended_by"].clone(), json!(truth));
        }
        compare_streams(call, record, &mut field);
    }
    wrong("other records", json!(records.keys().collect::<Vec<_>>()), json!([]));
}

fn compare_streams(
    call: &crate::traffic::generator::Call,
    record: &Value,
    field: &mut impl FnMut(&str, Value, Value),
) {
    let stream = |ssrc: &Value, source: &Value, destination: &Value, kind: &Value| {
        format!("{ssrc} {source} {destination} {kind}")
    };
    let ours: BTreeMap<String, Value> = record["media"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let key = stream(&it["ssrc"], &it["source"], &it["destination"], &it["payload_type"]);
            (key, json!([it["packets"], it["lost"]]))
        })
        .collect();
    let truth: BTreeMap<String, Value> = call
        .streams
        .iter()
        .map(|it| {
            let key =
                stream(&json!(it.ssrc), &json!(it.source), &json!(it.destination), &json!(it.payload_type));
            // Second copies make up for losses, as tshark counts.
            (
                key,
                json!([it.packets, i64::try_from(it.lost).unwrap() - i64::try_from(it.duplicated).unwrap()]),
            )
        })
        .collect();
    field("media", json!(ours), json!(truth));
}

fn compare(case: &str, input: &Path, ledger: &Ledger) -> Vec<String> {
    differences(case, &Run::of(input, &[]), ledger)
}

/// Where a run says something else than the ledger.
pub(crate) fn differences(case: &str, run: &Run, ledger: &Ledger) -> Vec<String> {
    let mut list = Vec::new();
    assert_nothing_vanished(run, case);
    let mut wrong = |what: &str, ours: Value, truth: Value| {
        if ours != truth {
            list.push(format!("{case}: {what}: {ours}, ledger {truth}"));
        }
    };
    compare_summary(ledger, run, &mut wrong);
    compare_calls(ledger, run, &mut wrong);
    for (kind, count) in [("registration", ledger.registrations), ("options", ledger.options)] {
        wrong(kind, json!(run.records_of(kind).count()), json!(count));
    }
    list.truncate(8);
    list
}

#[test]
fn every_knob_alone_is_told_rightly() {
    let wrong = on_threads(&SINGLE, |knobs| {
        let (file, ledger) = capture(&profile(&[FEW, knobs].concat()));
        compare(&format!("{knobs:?}"), file.path(), &ledger)
    });
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn all_together_is_told_rightly() {
    let wrong = on_threads(&CASES, |(case, knobs)| {
        let (file, ledger) = capture(&varied(knobs));
        compare(case, file.path(), &ledger)
    });
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_snap_length_costs_no_packet() {
    let (file, ledger) = capture(&varied(&[("snaplen", "200"), ("tcp", "0.5")]));
    let run = Run::of(file.path(), &[]);
    assert_nothing_vanished(&run, "snaplen");
    assert_eq!(run.number("/packets"), ledger.packets);
    assert_eq!(run.number("/bytes"), ledger.bytes, "captured, not on the wire ({})", ledger.wire_bytes);
}
