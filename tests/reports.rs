//! `lippycat report`: its lists and figures against the generator's ledger, tshark's counts and plain arithmetic.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::classic::Packet;
use crate::support::{Run, lippycat, testdata};
use crate::traffic::generator::Profile;
use crate::traffic::{capture, varied};
use crate::wire::{at, datagram, ethernet};

fn report(directory: &Path, arguments: &[&str]) -> Output {
    lippycat().current_dir(directory).arg("report").args(arguments).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Traffic of every outcome, its records on disk, and the truth about it.
struct Traffic {
    directory: tempfile::TempDir,
    records: Vec<Value>,
    calls: BTreeMap<&'static str, u64>,
    answered: u64,
    /// What the summary of the same run says.
    performance: Value,
}

fn traffic() -> Traffic {
    let knobs = [("calls", "200"), ("rtp", "0.2")];
    let (file, ledger) = capture(&varied(&knobs));
    let run = Run::over(&[file.path()], &[]);
    let directory = tempfile::tempdir().unwrap();
    fs::copy(run.directory.path().join("records.jsonl"), directory.path().join("records.jsonl")).unwrap();
    fs::copy(file.path(), directory.path().join("traffic.pcap")).unwrap();
    Traffic {
        directory,
        records: run.records,
        calls: ledger.calls.by_result,
        answered: ledger.calls.answered,
        performance: run.summary["performance"].clone(),
    }
}

#[test]
fn calls_are_chosen_sorted_and_told_in_every_form() {
    let traffic = traffic();
    let directory = traffic.directory.path();
    let from = ["--records", "records.jsonl", "--format", "json"];
    let all = report(directory, &[&["calls"], &from[..]].concat());
    assert_eq!(
        String::from_utf8_lossy(&all.stdout),
        fs::read_to_string(directory.join("records.jsonl")).unwrap()
    );
    // A capture has the same calls; where the files of its calls would be is not known then.
    let captured = lines(&report(directory, &["calls", "-r", "traffic.pcap", "--format", "json"]));
    assert_eq!(captured.len(), traffic.records.len());

    for (result, count) in &traffic.calls {
        let chosen =
            report(directory, &[&["calls", "--where", &format!("result={result}")], &from[..]].concat());
        assert_eq!(lines(&chosen).len() as u64, *count, "{result}");
    }
    let sorted = lines(&report(
        directory,
        &[
            &[
                "calls",
                "--sort",
                "duration_seconds",
                "--desc",
                "--limit",
                "7",
                "--where",
                "duration_seconds>0",
            ],
            &from[..],
        ]
        .concat(),
    ));
    let mut expected: Vec<f64> =
        traffic.records.iter().filter_map(|record| record["duration_seconds"].as_f64()).collect();
    expected.sort_by(|one, other| other.total_cmp(one));
    let told: Vec<f64> = sorted.iter().map(|record| record["duration_seconds"].as_f64().unwrap()).collect();
    assert_eq!(told, expected[..7]);

    let since = traffic.records[100]["start"].as_str().unwrap();
    let later = lines(&report(directory, &[&["calls", "--since", since], &from[..]].concat()));
    let expected = traffic.records.iter().filter(|record| record["start"].as_str().unwrap() >= since).count();
    assert_eq!(later.len(), expected);

    let csv = report(directory, &["calls", "--records", "records.jsonl", "--format", "csv"]);
    let csv = String::from_utf8(csv.stdout).unwrap();
    assert_eq!(csv.lines().count(), 1 + traffic.records.len());
    assert!(csv.starts_with("\"call_id\",\"kind\",\"from\",\"to\","), "{csv}");
    let table = report(directory, &["calls", "--records", "records.jsonl"]);
    assert_eq!(String::from_utf8(table.stdout).unwrap().lines().count(), 1 + traffic.records.len());
}

#[test]
fn joined_cells_have_a_place_for_each_stream() {
    let input = testdata("corpus/b2bua-asterisk/input.pcapng");
    let input = input.to_str().unwrap();
    let names = ["source", "packets", "jitter_ms", "mos", "mos_missing", "dtmf"];
    let fields = names.map(|name| format!("media.{name}")).join(",");
    let flags = ["calls", "-r", input, "--format", "csv", "--fields", &fields];
    let output = report(Path::new("."), &flags);
    let records = lines(&report(Path::new("."), &["calls", "-r", input, "--format", "json"]));
    let mut reader = csv::Reader::from_reader(output.stdout.as_slice());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), records.len());
    let mut nulls = 0;
    for (row, record) in rows.iter().zip(&records) {
        for (cell, name) in row.iter().zip(names) {
            let streams = record["media"].as_array().unwrap().iter();
            let values = streams.map(|stream| match &stream[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                number => number.to_string(),
            });
            let values: Vec<String> = values.collect();
            nulls += values.iter().filter(|value| value.is_empty()).count();
            assert_eq!(cell.trim_start_matches('\''), values.join(";"), "{name}");
        }
    }
    assert!(nulls > 0, "some have no score, or a reason for none");
}

#[test]
fn figures_of_groups_are_those_of_the_ledger() {
    let traffic = traffic();
    let directory = traffic.directory.path();
    let json = ["--records", "records.jsonl", "--format", "json"];
    let all = lines(&report(directory, &[&["carriers"], &json[..]].concat()));
    let total: u64 = traffic.calls.values().sum();
    assert_eq!(all.len(), 1);
    assert_eq!((&all[0]["carrier"], all[0]["calls"].as_u64()), (&"other".into(), Some(total)));
    assert_eq!(all[0]["answered"].as_u64(), Some(traffic.answered));
    let open = traffic.calls.get("open").copied().unwrap_or_default();
    let open_answered =
        traffic.records.iter().filter(|it| it["result"] == "open" && !it["answered"].is_null()).count()
            as u64;
    let seizures = total - open + open_answered;
    let ratio = 100.0 * traffic.answered as f64 / seizures as f64;
    assert!((all[0]["asr_percent"].as_f64().unwrap() - ratio).abs() < 0.01, "{}", all[0]);
    let failed: u64 = all[0]["failed"].as_object().unwrap().values().map(|it| it.as_u64().unwrap()).sum();
    assert_eq!(failed, seizures - traffic.answered);

    assert_eq!(
        ["asr_percent", "ner_percent"].map(|key| &all[0][key]),
        ["asr_percent", "ner_percent"].map(|key| &traffic.performance[key]),
        "those of the summary"
    );
    assert_eq!(all[0]["seizures"], traffic.performance["attempts"]);

    let scores: Vec<f64> = traffic
        .records
        .iter()
        .flat_map(|record| record["media"].as_array().unwrap())
        .filter_map(|stream| stream["mos"].as_f64())
        .collect();
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    assert!(scores.len() > 10 && (all[0]["mos"]["mean"].as_f64().unwrap() - mean).abs() < 0.001);

    // A carrier by the first hop's address, and each group's calls add up.
    let source = traffic.records[0]["source"].as_str().unwrap();
    let address = source.rsplit_once(':').unwrap().0.trim_matches(['[', ']']);
    let config = format!(
        "carriers:\n  - name: one\n    cidrs: [{address}]\ntargets:\n  - {{name: t, cidrs: [{address}], members: auto}}\n"
    );
    fs::write(directory.join("c.yaml"), config).unwrap();
    let of = |address: &str, record: &Value| {
        ["source", "destination"]
            .iter()
            .any(|key| record[*key].as_str().unwrap().starts_with(&format!("{address}:")))
    };
    let expected = traffic.records.iter().filter(|record| of(address, record)).count() as u64;
    let told = lines(&report(directory, &[&["carriers", "-c", "c.yaml"], &json[..]].concat()));
    let one = told.iter().find(|group| group["carrier"] == "one").unwrap();
    assert_eq!(one["calls"].as_u64(), Some(expected));
    assert_eq!(told.iter().map(|group| group["calls"].as_u64().unwrap()).sum::<u64>(), total);
    let targets = lines(&report(directory, &[&["targets", "-c", "c.yaml"], &json[..]].concat()));
    let member = targets.iter().find(|group| group["target"] == format!("t {address}")).unwrap();
    assert_eq!(member["calls"].as_u64(), Some(expected));
    for by in ["prefix", "address"] {
        let told = lines(&report(directory, &[&["carriers", "--by", by], &json[..]].concat()));
        assert_eq!(told.iter().map(|group| group["calls"].as_u64().unwrap()).sum::<u64>(), total, "{by}");
    }
}

/// What a carrier does when it is called.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    /// It is not called.
    Nothing,
    Answer,
    /// 503.
    Refuse,
    /// It does not answer.
    Ignore,
    /// It is cancelled when the other one has answered (487).
    Wait,
}

/// A customer (host 1) calls through a proxy (2) that tries one carrier (3) and then another (4), under one Call-ID as RFC 3261
/// 16.6 and RFC 3263 4.3 have it. What each carrier was sent, and answered, stands here as it is put on the wire; the customer's hop
/// is there if it is seen.
fn proxied(call: u32, start: u32, carriers: [Does; 2], is_customer_seen: bool) -> Vec<Packet> {
    let mut packets = Vec::new();
    let mut put = |time: u32, (from, to): (u8, u8), line: &str, cseq: &str| {
        if !is_customer_seen && from.min(to) == 1 {
            return;
        }
        let branches: &[u8] =
            if (from, to) == (1, 2) || (from, to) == (2, 1) { &[1] } else { &[from.max(to), 1] };
        let via: String = branches
            .iter()
            .map(|branch| {
                let host = if *branch == 1 { 1 } else { 2 };
                format!("Via: SIP/2.0/UDP 192.0.2.{host};branch=z9hG4bK{call}-{branch}{}\r\n", &cseq[..1])
            })
            .collect();
        let is_first = line.starts_with("INVITE") || line.starts_with("CANCEL") || line.contains(" 100 ");
        let tag = if is_first { "" } else { ";tag=b" };
        let text = format!(
            "{line}\r\n{via}From: <sip:a@x>;tag=a\r\nTo: <sip:+49@x>{tag}\r\nCall-ID: {call}@x\r\nCSeq: {cseq}\r\nContent-Length: 0\r\n\r\n"
        );
        packets.push(at(start + time, datagram(from, to, text.as_bytes())));
    };
    let (invite, refusal, ok) = ("INVITE sip:+49@x SIP/2.0", "SIP/2.0 503 X", "SIP/2.0 200 OK");
    put(0, (1, 2), invite, "1 INVITE");
    put(1, (2, 1), "SIP/2.0 100 X", "1 INVITE");
    for (carrier, does) in (3..).zip(carriers) {
        let time = 100 * u32::from(carrier - 3);
        if does != Does::Nothing {
            put(time + 2, (2, carrier), invite, "1 INVITE");
        }
        if does == Does::Refuse {
            put(time + 50, (carrier, 2), refusal, "1 INVITE");
            put(time + 51, (2, carrier), "ACK sip:+49@x SIP/2.0", "1 ACK");
        } else if does == Does::Wait {
            put(time + 3_104, (2, carrier), "CANCEL sip:+49@x SIP/2.0", "1 CANCEL");
            put(time + 3_105, (carrier, 2), ok, "1 CANCEL");
            put(time + 3_106, (carrier, 2), "SIP/2.0 487 X", "1 INVITE");
            put(time + 3_107, (2, carrier), "ACK sip:+49@x SIP/2.0", "1 ACK");
        } else if does == Does::Answer {
            for (after, line) in [(1_002, "SIP/2.0 180 X"), (3_002, ok)] {
                put(time + after, (carrier, 2), line, "1 INVITE");
                put(time + after + 1, (2, 1), line, "1 INVITE");
            }
            for (after, line, cseq) in [(3_010, "ACK", "1 ACK"), (13_003, "BYE", "2 BYE")] {
                let line = format!("{line} sip:+49@x SIP/2.0");
                put(time + after, (1, 2), &line, cseq);
                put(time + after + 1, (2, carrier), &line, cseq);
            }
            put(time + 13_010, (carrier, 2), ok, "2 BYE");
            put(time + 13_011, (2, 1), ok, "2 BYE");
        }
    }
    if carriers == [Does::Refuse, Does::Refuse] {
        put(160, (2, 1), refusal, "1 INVITE");
        put(161, (1, 2), "ACK sip:+49@x SIP/2.0", "1 ACK");
    }
    packets
}

#[test]
fn carriers_behind_a_proxy_have_the_attempts_that_they_were_sent() {
    use Does::{Answer, Ignore, Nothing, Refuse, Wait};
    let calls = [
        [Answer, Nothing],
        [Refuse, Answer],
        [Refuse, Answer],
        [Refuse, Refuse],
        [Wait, Answer],
        [Ignore, Answer],
    ];
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for (name, is_customer_seen) in [("proxy.pcap", true), ("trunk.pcap", false)] {
        let mut packets: Vec<Packet> =
            (0..).zip(calls).flat_map(|(n, it)| proxied(n, n * 60_000, it, is_customer_seen)).collect();
        packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
        fs::write(directory.join(name), ethernet(packets).bytes()).unwrap();
    }
    let party = |name: &str, host: u8| format!("  - {{name: {name}, cidrs: [192.0.2.{host}]}}\n");
    let carriers = format!("carriers:\n{}{}", party("one", 3), party("two", 4));
    let targets = format!("targets:\n{}{}{}", party("proxy", 2), party("far", 3), party("near", 1));
    fs::write(directory.join("c.yaml"), format!("{carriers}{targets}")).unwrap();
    fs::write(directory.join("customer.yaml"), format!("{carriers}{}", party("customer", 1))).unwrap();
    let told = |file: &str, words: &[&str]| {
        let json = ["-r", file, "--format", "json"];
        let groups = lines(&report(directory, &[words, &json[..]].concat()));
        let of = |group: &Value| {
            let name = ["carrier", "target", "address", "prefix"].iter().find_map(|key| group[*key].as_str());
            let figures = ["seizures", "answered", "failed", "acd_seconds"].map(|key| group[key].to_string());
            let delays = ["pdd_seconds", "setup_seconds"].map(|key| group[key]["mean"].to_string());
            let requests = [&group["requests"]["INVITE"]["count"], &group["requests"]["INVITE"]["failed"]];
            let requests = requests.map(Value::to_string);
            (name.unwrap().to_owned(), [&figures[..], &delays[..], &requests[..]].concat().join(" "))
        };
        groups.iter().map(of).collect::<BTreeMap<_, _>>()
    };
    let table = |rows: &[(&str, &str)]| -> BTreeMap<String, String> {
        rows.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    // 200 and BYE are a millisecond after each other on the two hops of the proxy.
    for (file, duration) in [("proxy.pcap", "10.0"), ("trunk.pcap", "10.002")] {
        let one = format!(r#"6 1 {{"487":1,"503":3,"none":1}} {duration} 1.0 3.0 6 5"#);
        let two = format!(r#"5 4 {{"503":1}} {duration} 1.0 3.0 5 1"#);
        let carriers = table(&[("one", &one), ("two", &two)]);
        assert_eq!(told(file, &["carriers", "-c", "c.yaml"]), carriers, "{file}");
        // The customer's INVITE comes 2 ms before the first carrier's and 102 ms before the second's; 180 and 200 a millisecond after.
        let delays = if file == "proxy.pcap" { "1.083 3.083" } else { "1.08 3.08" };
        let whole = format!(r#"6 5 {{"503":1}} {duration} {delays} 6 1"#);
        let of_customer = if file == "proxy.pcap" { table(&[("customer", &whole)]) } else { table(&[]) };
        let with_customer = carriers.into_iter().chain(of_customer).collect();
        assert_eq!(told(file, &["carriers", "-c", "customer.yaml"]), with_customer, "{file}");
        assert_eq!(told(file, &["carriers", "--by", "prefix", "-c", "c.yaml"]), table(&[("+49", &whole)]));
        let by_address = told(file, &["carriers", "--by", "address", "-c", "c.yaml"]);
        // The target that was called.
        let own = if file == "proxy.pcap" { "192.0.2.2" } else { "192.0.2.3" };
        assert_eq!(by_address, table(&[(own, &whole)]));
        let mut targets = table(&[("far", &one), ("proxy", &whole)]);
        if file == "proxy.pcap" {
            targets.insert("near".to_owned(), whole);
        }
        assert_eq!(told(file, &["targets", "-c", "c.yaml"]), targets, "{file}");
    }
}

#[test]
fn one_call_is_told_with_what_proves_it() {
    let directory = testdata("corpus/sip-auth-failure");
    let run = Run::of(&directory.join("input.pcapng"), &[]);
    let record = run.records.iter().find(|record| record["kind"] == "call").or(run.records.first()).unwrap();
    let call_id = record["call_id"].as_str().unwrap();
    let text = report(&directory, &["call", call_id, "-r", "input.pcapng"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("Findings") && text.contains("      #"), "{text}");
    assert!(text.contains("lippycat inspect call "), "{text}");
    let told = lines(&report(&directory, &["call", call_id, "-r", "input.pcapng", "--format", "json"]));
    let messages = told[0]["messages"].as_array().unwrap();
    assert_eq!(Some(messages.len() as u64), record["messages"].as_u64());
    let proof = &told[0]["findings"][0]["messages"][0];
    let proven = &messages[proof.as_u64().unwrap() as usize - 1];
    assert_eq!(&proven["number"], proof);
    let line = proven["first_line"].as_str().unwrap();
    assert!(line.starts_with("SIP/2.0 4"), "a challenge or a refusal proves it: {line}");
    let from_records = lines(&report(
        run.directory.path(),
        &["call", call_id, "--records", "records.jsonl", "--format", "json"],
    ));
    assert_eq!(from_records[0]["call"]["start"], told[0]["call"]["start"]);
}

/// Of calls with faults in their signalling, one of each: the finding's message is shown, by the time and the words that
/// the record has for it, and the rows say what the record says.
#[test]
fn faults_in_signalling_are_told_in_words_with_the_message_that_proves_them() {
    let mut profile = Profile::preset("faults").unwrap();
    profile.scale(0.02);
    let (file, _) = capture(&profile);
    let run = Run::over(&[file.path()], &[]);
    let figures =
        lines(&report(run.directory.path(), &["carriers", "--records", "records.jsonl", "--format", "json"]));
    let performance = &run.summary["performance"];
    for key in ["asr_percent", "ner_percent"] {
        assert_eq!(figures[0][key], performance[key], "{key}");
    }
    assert_eq!(figures[0]["seizures"], performance["attempts"]);
    let capture = file.path().to_str().unwrap();
    for (code, line, row) in [
        ("transfer_failed", "REFER ", "  Transfer      "),
        ("abandoned_on_hold", "BYE ", "  Hold          "),
        ("session_expired", "BYE ", "  Session timer "),
        ("prack_missing", "SIP/2.0 1", "  Early         1 early dialog, 1 reliable"),
        ("glare", "SIP/2.0 491", "  Glare         2 changes refused"),
        ("no_bye_answer", "BYE ", "  Sent again    "),
        ("network_fault", "BYE ", "  Cause         Q.850 "),
    ] {
        let finding = |record: &Value| {
            let findings = record["findings"].as_array().cloned().unwrap_or_default();
            findings.into_iter().find(|finding| finding["code"] == code)
        };
        let (record, found) = run.records.iter().find_map(|record| Some((record, finding(record)?))).unwrap();
        let call_id = record["call_id"].as_str().unwrap();
        let told = lines(&report(Path::new("/"), &["call", call_id, "-r", capture, "--format", "json"]));
        let told_finding = finding(&told[0]).unwrap();
        let number = told_finding["messages"][0].as_u64().unwrap() as usize;
        let proven = &told[0]["messages"][number - 1];
        assert_eq!(
            (&proven["time"], &told_finding["message"]),
            (&found["time"], &found["message"]),
            "{code}"
        );
        let first_line = proven["first_line"].as_str().unwrap();
        assert!(first_line.starts_with(line), "{code}: {first_line}");
        let text = report(Path::new("/"), &["call", call_id, "-r", capture]);
        let text = String::from_utf8(text.stdout).unwrap();
        assert!(text.contains(row), "{code}\n{text}");
        let proof = format!("({code})\n      #{number}  {}", found["time"].as_str().unwrap());
        assert!(text.contains(&proof), "{proof}\n{text}");
        // Records alone name the message.
        let text = report(run.directory.path(), &["call", call_id, "--records", "records.jsonl"]);
        let text = String::from_utf8(text.stdout).unwrap();
        let (time, message) = (found["time"].as_str().unwrap(), found["message"].as_str().unwrap());
        assert!(text.contains(&format!("({code})\n      {time}  {message}\n")), "{text}");
    }
}

#[test]
fn what_cannot_be_reported_is_told_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("empty.jsonl"), "").unwrap();
    fs::write(path.join("bad.jsonl"), "x\n{\"call_id\":1}\n").unwrap();
    let other = "{\"call_id\":\"a\",\"kind\":\"registration\"}\n";
    fs::write(path.join("others.jsonl"), other.repeat(2)).unwrap();
    fs::write(path.join("half.jsonl"), "{\"call_id\":\"a\",\"kind\":\"call\"}\n{\"call_id\":\"b\",\"ki")
        .unwrap();
    let rows: [(&[&str], i32, &str); 14] = [
        (&["calls"], 2, "error: no records: name files of them with --records FILE or captures with -r FILE"),
        (&["calls", "--records", "none.jsonl"], 1, "error: none.jsonl: no such file"),
        (&["calls", "--records", "bad.jsonl"], 1, "error: bad.jsonl: no line of it is a record"),
        (&["calls", "--records", "half.jsonl"], 0, "warning: half.jsonl: damaged lines left out: 1"),
        (&["call", "zz", "--records", "half.jsonl"], 1, "no call zz; report calls lists them"),
        (&["calls", "--records", "half.jsonl", "--where", "rezult=x"], 2, "did you mean result?"),
        (&["calls", "--records", "half.jsonl", "--since", "alice"], 2, "want a time such as 2026-01-31"),
        (&["calls", "--records", "half.jsonl", "-r", "x"], 2, "cannot be used with"),
        (
            &["calls", "--records", "half.jsonl", "--since", "2026-02-01", "--until", "2026-01-31"],
            2,
            "error: --since is later than --until",
        ),
        (&["carriers", "--records", "half.jsonl", "--since", "1h", "--until", "2h"], 2, "--since is later"),
        (&["calls", "--records", "half.jsonl", "--where", "start>=12:00"], 2, "want a time for start"),
        (
            &["calls", "--records", "others.jsonl", "--where", "kind=registration"],
            0,
            "note: not shown without --all: 2 other dialogs",
        ),
        (&["calls", "--live", "--control-socket", "none.sock"], 3, "none.sock"),
        (
            &["carriers", "--digits", "3", "--records", "half.jsonl"],
            2,
            "error: --digits is about --by prefix",
        ),
    ];
    for (arguments, code, text) in rows {
        let output = report(path, arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(text), "{arguments:?}: {told}");
    }
    // As a service is configured: its log is not for whoever asks.
    fs::write(
        path.join("service.yaml"),
        "records: {file: half.jsonl}\nlog: {file: /proc/none/lippycat.log}\n",
    )
    .unwrap();
    let service = report(path, &["calls", "-c", "service.yaml", "--fields", "call_id"]);
    assert_eq!(
        (service.status.code(), String::from_utf8_lossy(&service.stdout).as_ref()),
        (Some(0), "call_id\na\n")
    );
    let none = report(path, &["calls", "--records", "empty.jsonl"]);
    assert_eq!((none.status.code(), String::from_utf8_lossy(&none.stdout).as_ref()), (Some(0), "no calls\n"));
}
