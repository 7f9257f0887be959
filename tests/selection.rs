//! Which packets are looked at, which calls are kept, and what their files are called.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::corpus::{Case, cases};
use crate::support::{Run, has_tshark, on_threads, testdata, tshark};
use crate::traffic::{capture, profile};
use crate::wire::{ethernet, refused_call};

#[test]
fn a_filter_on_ports_keeps_whole_fragmented_messages() {
    for name in ["udp-ip-fragmented", "sip-i"] {
        let input = testdata(&format!("corpus/{name}/input.pcap"));
        let (all, filtered) = (Run::of(&input, &[]), Run::of(&input, &["-f", "udp port 5060"]));
        assert_eq!(filtered.summary["sip"], all.summary["sip"], "{name}");
        assert!(filtered.number("/fragments/reassembled") > 0, "{name}");
        assert!(filtered.files == all.files, "{name}");
    }
    for family in ["0", "1"] {
        let knobs = [("fragmented", "1"), ("fragments_shuffled", "0.5"), ("rtp", "0.5"), ("ipv6", family)];
        let (file, ledger) = capture(&profile(&knobs));
        let filtered = Run::of(file.path(), &["-f", "udp port 5060"]);
        assert_eq!(filtered.number("/sip/messages"), ledger.sip.messages);
        assert_eq!(filtered.number("/rtp/packets"), 0, "RTP has other ports");
        assert_eq!(filtered.number("/packets"), ledger.packets, "what is filtered is counted");
        assert!(filtered.files == Run::of(file.path(), &["--no-rtp"]).files);
        let nothing = Run::of(file.path(), &["-f", "udp port 9"]);
        assert_eq!(nothing.number("/sip/messages"), 0);
        assert!(nothing.files.is_empty() && nothing.records.is_empty());
    }
}

#[test]
fn a_filter_on_a_host_keeps_what_it_sent_and_got() {
    let (file, ledger) = capture(&profile(&[("tcp", "0.5"), ("rtp", "0.3"), ("calls", "30"), ("hold", "2")]));
    let host = ledger.list[3].source.split(':').next().unwrap();
    let run = Run::of(file.path(), &["-f", &format!("host {host}")]);
    let of_host = |address: &str| address.split(':').next() == Some(host);
    let truth: BTreeSet<&str> = ledger
        .list
        .iter()
        .filter(|call| of_host(&call.source) || of_host(&call.destination))
        .map(|call| call.call_id.as_str())
        .collect();
    assert!(!truth.is_empty() && truth.len() < ledger.list.len());
    assert_eq!(call_ids(&run), truth);
}

#[test]
fn a_filter_that_is_none_is_a_clear_error() {
    let input = testdata("corpus/cancel/input.pcap");
    let mut command = crate::support::lippycat();
    let output = command.args(["sniff", "voip", "-f", "prot 5060", "-r"]).arg(input).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!([1, 2].contains(&output.status.code().unwrap()), "{told}");
    assert!(told.starts_with("error: ") && told.contains("prot 5060"), "{told}");
    assert!(output.stdout.is_empty());
}

fn call_ids(run: &Run) -> BTreeSet<&str> {
    run.records.iter().map(|record| record["call_id"].as_str().unwrap()).collect()
}

/// File names of dialogs that have their Call-ID for themselves; where several have one, each is chosen by itself.
fn singles(run: &Run) -> BTreeMap<&str, &str> {
    let mut dialogs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for record in &run.records {
        let name = record["pcap"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or("");
        dialogs.entry(record["call_id"].as_str().unwrap()).or_default().push(name);
    }
    dialogs
        .into_iter()
        .filter(|(_, names)| names.len() == 1)
        .map(|(call_id, names)| (call_id, names[0]))
        .collect()
}

/// What tshark says of a message.
struct Message {
    method: String,
    from: String,
    to: String,
    target: String,
}

fn messages(case: &Case) -> BTreeMap<String, Vec<Message>> {
    let fields = ["sip.Call-ID", "sip.Method", "sip.from.user", "sip.to.user", "sip.r-uri.user"];
    let mut dialogs: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    for row in tshark(&case.input, "sip && !icmp", &fields).expect("tshark") {
        let [call_id, method, from, to, target] = <[String; 5]>::try_from(row).unwrap();
        dialogs.entry(call_id).or_default().push(Message { method, from, to, target });
    }
    dialogs
}

type Test = Box<dyn Fn(&Message) -> bool>;

/// Some selections that a capture gives reason for, and what a message has to be like for each.
fn selections(dialogs: &BTreeMap<String, Vec<Message>>) -> Vec<([String; 2], Test)> {
    let all = || dialogs.values().flatten();
    let mut selections: Vec<([String; 2], Test)> = Vec::new();
    let mut add = |flag: &str, value: &str, test: Test| selections.push(([flag.into(), value.into()], test));
    let two = |names: BTreeSet<&String>| -> Vec<String> {
        names
            .into_iter()
            .filter(|name| !name.is_empty() && !name.contains([',', ';']))
            .take(2)
            .cloned()
            .collect()
    };
    for user in two(all().map(|it| &it.from).collect()) {
        let name = user.clone();
        add("--from", &user, Box::new(move |it| it.from == name));
        let name = user.clone();
        add("-u", &user, Box::new(move |it| [&it.from, &it.to, &it.target].contains(&&name)));
        let start: String = user.chars().take(1).collect();
        add("--from", &format!("{start}*"), Box::new(move |it| it.from.starts_with(&start)));
    }
    for user in two(all().map(|it| &it.to).collect()) {
        add("--to", &user.clone(), Box::new(move |it| it.to == user));
    }
    for name in two(all().map(|it| &it.method).collect()) {
        add("--method", &name.to_lowercase(), Box::new(move |it| it.method == name));
    }
    selections
}

#[test]
fn selections_keep_the_calls_that_tshark_would() {
    if !has_tshark() {
        return;
    }
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.name != "gtp-iphone").collect();
    let wrong = on_threads(&cases, |case| {
        let dialogs = messages(case);
        if dialogs.len() < 2 {
            return Vec::new();
        }
        let whole = Run::of(&case.input, &[]);
        let mut wrong = Vec::new();
        for ([flag, value], test) in selections(&dialogs) {
            let chosen = |call_id: &&str| dialogs[*call_id].iter().any(&test);
            let (chosen, others): (BTreeSet<&str>, BTreeSet<&str>) =
                singles(&whole).into_keys().partition(chosen);
            for (more, truth) in [(&[][..], &chosen), (&["--invert"], &others)] {
                let run = Run::of(&case.input, &[&[flag.as_str(), &value], more].concat());
                let what = format!("{}: {flag} {value} {more:?}", case.name);
                let mut kept = singles(&run);
                kept.retain(|call_id, _| singles(&whole).contains_key(call_id));
                if !kept.keys().eq(truth.iter()) {
                    wrong.push(format!("{what}: {:?}, tshark {truth:?}", kept.keys()));
                }
                for (call_id, name) in kept {
                    if run.files.get(name) != whole.files.get(singles(&whole)[call_id]) {
                        wrong.push(format!("{what}: the file of {call_id} is another one"));
                    }
                }
                if run.number("/calls/kept") != run.records_of("call").count() as u64 {
                    wrong.push(format!("{what}: {} kept", run.number("/calls/kept")));
                }
                let files = run.records.iter().filter(|record| !record["pcap"].is_null()).count();
                if run.files.len() != files || run.summary["sip"] != whole.summary["sip"] {
                    wrong.push(format!("{what}: {files} files, {}", run.summary));
                }
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn any_message_may_match_and_the_whole_call_is_kept() {
    let (file, ledger) = capture(&profile(&[("tcp", "0.5"), ("rtp", "0.3"), ("hold", "2"), ("busy", "0.5")]));
    let whole = Run::of(file.path(), &[]);
    for call in ledger.list.iter().take(3) {
        let run = Run::of(file.path(), &["--match", &format!("^(Call-ID|i): *{}", call.call_id)]);
        assert_eq!(call_ids(&run), BTreeSet::from([call.call_id.as_str()]));
        assert_eq!(run.records[0]["messages"], call.messages);
        assert_eq!(run.records[0]["rtp_packets"], call.rtp_packets);
        assert!(run.files.iter().all(|(name, bytes)| whole.files.get(name) == Some(bytes)));
    }
    let busy: BTreeSet<&str> =
        ledger.list.iter().filter(|it| it.result == "busy").map(|it| it.call_id.as_str()).collect();
    assert_eq!(call_ids(&Run::of(file.path(), &["--match", "^SIP/2.0 486 "])), busy, "a later message");
}

#[test]
fn a_call_that_is_kept_has_all_its_events() {
    let (file, ledger) = capture(&profile(&[("tcp", "0.5"), ("rtp", "0"), ("hold", "2"), ("busy", "0.5")]));
    let events = |flags: &[&str]| {
        let mut command = crate::support::lippycat();
        command.args(["sniff", "voip", "--format", "json", "-q", "-r"]).arg(file.path()).args(flags);
        let output = command.output().unwrap();
        let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            calls.entry(event["call_id"].as_str().unwrap().to_owned()).or_default().push(line.to_owned());
        }
        calls
    };
    let all = events(&[]);
    let of = |is_wanted: &dyn Fn(&str) -> bool| {
        let calls = ledger.list.iter().filter(|call| is_wanted(call.result)).map(|call| call.call_id.clone());
        calls.map(|call_id| (call_id.clone(), all[&call_id].clone())).collect::<BTreeMap<_, _>>()
    };
    let (busy, answered) = (of(&|result| result == "busy"), of(&|result| result == "success"));
    assert!(!busy.is_empty() && !answered.is_empty());
    assert!(answered.values().all(|told| told.len() >= 3), "start, answered, end");
    assert!(events(&["--match", "^SIP/2.0 486 "]) == busy, "when it has ended");
    assert!(events(&["--method", "BYE"]) == answered);
    let without = of(&|result| result != "success");
    assert!(events(&["--method", "BYE", "--invert"]) == without);
}

#[test]
fn what_gets_a_file_is_chosen() {
    let knobs = [("registrations", "6"), ("options", "4"), ("rtp", "1"), ("hold", "1")];
    let (file, ledger) = capture(&profile(&knobs));
    let rows: [(&[&str], u64); 4] = [
        (&[], 20),
        (&["--registrations"], 26),
        (&["--options"], 24),
        (&["--registrations", "--options"], 30),
    ];
    for (flags, files) in rows {
        let run = Run::over(&[file.path()], flags);
        assert_eq!(run.files.len() as u64, files, "{flags:?}");
        assert_eq!(run.number("/files_written"), files, "{flags:?}");
        assert_eq!(run.records.len() as u64, files, "{flags:?}");
    }
    let (with, without) = (Run::over(&[file.path()], &[]), Run::over(&[file.path()], &["--no-rtp"]));
    let packets = |run: &Run| -> u64 {
        run.files.values().map(|it| crate::classic::Classic::parse(it).unwrap().packets.len() as u64).sum()
    };
    let of_calls: u64 = ledger.list.iter().map(|call| call.messages).sum();
    assert_eq!(packets(&without), of_calls);
    assert_eq!(packets(&with), of_calls + ledger.rtp.packets + ledger.rtcp.packets);
    assert_eq!(without.number("/rtp/packets"), ledger.rtp.packets, "counted all the same");
}

#[test]
fn files_are_named_as_the_template_says() {
    let file = write(&[(b"first@192.0.2.1", "alice"), (b"second", "carol")]);
    let rows = [
        ("{call_id}", ["first@192.0.2.1.pcap", "second.pcap"]),
        ("{from}-{to}", ["alice-bob.pcap", "carol-bob.pcap"]),
        ("{start:%Y%m%d_%H%M%S}_{from}", ["20010909_014640_alice.pcap", "20010909_014641_carol.pcap"]),
        ("x{to}", ["xbob.pcap", "xbob"]),
    ];
    for (template, names) in rows {
        let run = Run::of(file.path(), &["--pcap-name", template]);
        assert_eq!(run.files.len(), 2, "{template}: names that meet are kept apart: {:?}", run.files.keys());
        for name in names {
            let found =
                run.files.keys().any(|it| it == name || (!name.contains('.') && it.starts_with(name)));
            assert!(found, "{template}: {name} in {:?}", run.files.keys());
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = crate::support::lippycat();
    command
        .args(["sniff", "voip", "-w=night-", "-r"])
        .arg(file.path())
        .arg("--pcap-dir")
        .arg(directory.path());
    assert!(command.output().unwrap().status.success());
    assert!(directory.path().join("night-first@192.0.2.1.pcap").exists());
    assert!(directory.path().join("night-second.pcap").exists());
    for template in ["{nonsense}", "../b", "{call_id"] {
        let mut command = crate::support::lippycat();
        let output =
            command.args(["sniff", "voip", "-w", "--pcap-name", template, "-r", "x"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{template}");
    }
}

/// A capture of refused calls, a second apart.
fn write(calls: &[(&[u8], &str)]) -> NamedTempFile {
    let packets = calls
        .iter()
        .zip(1_000_000_000..)
        .flat_map(|((call_id, user), second)| refused_call(call_id, user, second));
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&ethernet(packets.collect()).bytes()).unwrap();
    file
}

#[test]
fn no_call_id_leads_out_of_the_directory() {
    let long = [b'a'; 300];
    let hostile: [&[u8]; 16] = [
        b"../../etc/passwd",
        b"/etc/passwd",
        b"..",
        b".",
        b"...",
        b"-rf",
        b"a/b/c",
        b"a\\b",
        b"nul\0byte",
        b"\x1b]0;owned\x07",
        "☎️".as_bytes(),
        b"\xff\xfe\xc0\x80",
        b"con",
        b"a%2e%2e%2fb",
        b"a:b*c?d|e<f>g\"h",
        &long,
    ];
    let calls: Vec<(&[u8], &str)> = hostile.iter().map(|call_id| (*call_id, "../u/\u{202e}")).collect();
    let file = write(&calls);
    for template in ["{call_id}", "{from}", "{from}{to}{call_id}", "{hash}"] {
        let run = Run::of(file.path(), &["--pcap-name", template]);
        assert_eq!(run.number("/calls/total"), 16, "{template}");
        assert_eq!(run.files.len(), 16, "{template}: {:?}", run.files.keys());
        for name in run.files.keys() {
            let safe = name.len() <= 100
                && name.ends_with(".pcap")
                && !name.starts_with(['.', '-'])
                && !name.chars().any(|it| it.is_control() || "/\\:*?|<>\"\u{202e}\u{fffd}".contains(it));
            assert!(safe, "{template}: {name:?}");
        }
        let beside: BTreeSet<_> =
            fs::read_dir(run.directory.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(beside, BTreeSet::from(["pcap".into(), "records.jsonl".into()]), "{template}");
        let inside = fs::read_dir(run.directory.path().join("pcap")).unwrap();
        assert!(inside.flatten().all(|it| it.file_type().unwrap().is_file()), "{template}");
    }
}

#[test]
fn a_file_that_is_there_is_not_overwritten() {
    let input = write(&[(b"mine", "alice"), (b"linked", "alice")]);
    let directory = tempfile::tempdir().unwrap();
    let outside = directory.path().join("outside");
    let pcaps = directory.path().join("pcaps");
    fs::create_dir(&pcaps).unwrap();
    fs::write(pcaps.join("mine.pcap"), "precious").unwrap();
    std::os::unix::fs::symlink(&outside, pcaps.join("linked.pcap")).unwrap();
    let mut known = BTreeSet::new();
    for run in 1..=3 {
        let mut command = crate::support::lippycat();
        command.args(["sniff", "voip", "-w", "--summary", "json", "-r"]).arg(input.path());
        let output = command.arg("--pcap-dir").arg(&pcaps).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["files_written"], 2);
        let now: BTreeSet<_> = fs::read_dir(&pcaps).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert!(now.is_superset(&known));
        assert_eq!(now.len(), 2 + 2 * run);
        known = now;
    }
    assert_eq!(fs::read_to_string(pcaps.join("mine.pcap")).unwrap(), "precious");
    assert!(!outside.exists(), "a link is not followed");
}
