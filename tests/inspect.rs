//! `inspect` over real captures, and over those that were made to show something.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::classic::Packet;
use crate::support::{Run, has_tshark, lippycat, testdata, tshark};
use crate::wire::{at, checksum, datagram, ethernet, refused_call, rtp, udp};

/// What a command prints of a call.
fn told(arguments: &[&str], call_id: &str, input: &Path) -> String {
    let mut command = lippycat();
    // A Call-ID may begin with a hyphen (RFC 3261 25.1).
    command.args(arguments).arg("-r").arg(input).arg("--").arg(call_id);
    let output = command.env("LC_ALL", "C").output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?} {}: {}",
        input.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Nothing of it can be read, as its README says.
const DAMAGED: &str = "mixed-byte-order";

/// Every capture of the test data that is one.
fn captures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut directories = vec![root];
    let mut found = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let is_capture = path.extension().is_some_and(|it| it == "pcap" || it == "pcapng");
            if path.is_dir() {
                directories.push(path);
            } else if is_capture && !path.to_string_lossy().contains(DAMAGED) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// How often each line is there.
fn counted<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    lines.for_each(|line| *counts.entry(line).or_default() += 1);
    counts
}

/// A call tells one story, whoever tells it: the witness is the record that `sniff voip` writes.
#[test]
fn every_finding_of_a_record_is_shown_by_inspect_and_by_report() {
    let captures = captures();
    assert!(captures.len() > 40, "{captures:?}");
    let mut codes = BTreeMap::new();
    for capture in &captures {
        let mut calls: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for record in Run::of(capture, &[]).records {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let findings = record["findings"].as_array().unwrap().iter();
            let findings = findings.map(|finding| (text(&finding["code"]), text(&finding["text"])));
            calls.entry(text(&record["call_id"])).or_default().extend(findings);
        }
        // One without any is looked at too.
        let silent = calls.iter().find(|(_, findings)| findings.is_empty()).map(|(id, _)| id.clone());
        calls.retain(|id, findings| !findings.is_empty() || silent.as_ref() == Some(id));
        for (call_id, findings) in calls {
            let lines: Vec<String> =
                findings.iter().map(|(code, text)| format!("* {text} ({code})")).collect();
            let expected = counted(lines.iter().map(String::as_str));
            findings.iter().for_each(|(code, _)| *codes.entry(code.clone()).or_insert(0) += 1);
            for view in ["--ladder", "--text"] {
                let shown = told(&["inspect", "call", view], &call_id, capture);
                let shown = counted(shown.lines().filter(|line| line.starts_with("* ")));
                let missing = expected.iter().find(|(line, count)| shown.get(**line) != Some(*count));
                assert!(missing.is_none(), "{}: {view}: {missing:?}\n{shown:?}", capture.display());
                let more = shown.keys().filter(|line| !expected.contains_key(**line));
                let named = |line: &&&str| line.ends_with("(challenged)") || line.ends_with("(rejected)");
                let strange: Vec<_> = more.filter(|line| !named(line)).collect();
                assert!(strange.is_empty(), "{}: {view}: {strange:?}", capture.display());
            }
            let json = told(&["report", "call", "--format", "json"], &call_id, capture);
            let stories = json.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let reported: Vec<String> = stories
                .flat_map(|story| story["findings"].as_array().unwrap().clone())
                .map(|it| format!("* {} ({})", it["text"].as_str().unwrap(), it["code"].as_str().unwrap()))
                .collect();
            let reported = counted(reported.iter().map(String::as_str));
            let missing = expected.iter().find(|(line, count)| reported.get(**line) != Some(*count));
            assert!(missing.is_none(), "{}: report: {missing:?}\n{reported:?}", capture.display());
        }
    }
    assert!(codes.len() >= 6, "{codes:?}");
}

/// tshark's events, one for each RTP timestamp and in their order, are the keys; which they are stays hidden unless
/// `--dtmf digits` asks for them.
#[test]
fn keys_are_drawn_where_they_were_pressed_and_named_when_that_is_allowed() {
    let capture = testdata("corpus/sip-dtmf2/input.pcap");
    let mut keys: Vec<(String, String)> = vec![
        ("3931130841", "6"),
        ("3931143081", "7"),
        ("3931146921", "8"),
        ("3931150521", "9"),
        ("3931155321", "1"),
        ("3931159401", "2"),
        ("3931163961", "3"),
    ]
    .into_iter()
    .map(|(timestamp, key)| (timestamp.to_owned(), key.to_owned()))
    .collect();
    if has_tshark() {
        let mut seen: Vec<(String, String)> = Vec::new();
        for row in tshark(&capture, "rtpevent", &["rtp.timestamp", "rtpevent.event_id"]).unwrap() {
            let [timestamp, key] = row.as_slice() else { panic!("{row:?}") };
            if !seen.iter().any(|(known, _)| known == timestamp) {
                seen.push((timestamp.clone(), key.clone()));
            }
        }
        assert_eq!(seen, keys);
    }
    let digits: String = keys.drain(..).map(|(_, key)| key).collect();
    let call = "25672@192.168.105.110";
    for view in ["--ladder", "--text"] {
        let shown = told(&["inspect", "call", view], call, &capture);
        assert!(!shown.contains(&digits) && shown.contains(", 7 keys"), "{shown}");
        let shown = told(&["inspect", "call", view, "--dtmf", "digits"], call, &capture);
        assert!(shown.contains(&format!(", pressed {digits}")), "{shown}");
    }
    // Nobody says anything between them: they stand in one line, at the time of the first.
    assert!(told(&["inspect", "call"], call, &capture).contains("= DTMF 7 keys ="));
    let shown = told(&["inspect", "call", "--dtmf", "digits"], call, &capture);
    assert!(shown.contains(&format!("= DTMF {digits} =")), "{shown}");
}

/// 100 keys, one each 20 ms in a packet that ends it (RFC 4733 2.3.3), 10 of them before an INFO.
#[test]
fn keys_beyond_those_that_are_kept_are_counted() {
    let sdp = |host| {
        format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.{host}\r\ns=-\r\nc=IN IP4 192.0.2.{host}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\n\
             a=rtpmap:101 telephone-event/8000\r\n"
        )
    };
    let message = |start: &str, cseq: &str, tag: &str, body: &str| {
        format!(
            "{start}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{}\r\nFrom: <sip:alice@x>;tag=a\r\nTo: <sip:bob@x>{tag}\r\n\
             Call-ID: keys\r\nCSeq: {cseq}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            cseq.replace(' ', ""),
            body.len()
        )
        .into_bytes()
    };
    let tag = ";tag=b";
    let mut packets = vec![
        at(0, datagram(1, 2, &message("INVITE sip:bob@x SIP/2.0", "1 INVITE", "", &sdp(1)))),
        at(10, datagram(2, 1, &message("SIP/2.0 200 OK", "1 INVITE", tag, &sdp(2)))),
        at(20, datagram(1, 2, &message("ACK sip:bob@x SIP/2.0", "1 ACK", tag, ""))),
        at(295, datagram(1, 2, &message("INFO sip:bob@x SIP/2.0", "2 INFO", tag, ""))),
    ];
    for number in 0..100_u16 {
        let (time, timestamp) = (100 + 20 * u32::from(number), 160 * u32::from(number));
        let event = [(number % 10) as u8, 0x80 | 10, 0, 160];
        packets.push(at(time, udp((1, 4000), (2, 4000), &rtp(101, number, timestamp, 7, &event))));
    }
    packets.push(at(3000, datagram(1, 2, &message("BYE sip:bob@x SIP/2.0", "3 BYE", tag, ""))));
    packets.sort_by_key(|packet| (packet.seconds, packet.fraction));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), ethernet(packets).bytes()).unwrap();
    assert_eq!(Run::of(file.path(), &[]).records[0]["media"][0]["digits"], 100);
    let shown = told(&["inspect", "call"], "keys", file.path());
    assert!(shown.contains("= DTMF 10 keys =") && shown.contains("= DTMF 90 keys ="), "{shown}");
    assert!(shown.contains(", 100 keys"), "{shown}");
    let shown = told(&["inspect", "call", "--dtmf", "digits"], "keys", file.path());
    let kept = "0123456789".repeat(7);
    assert!(shown.contains(&format!("DTMF {} and 36 more ", &kept[10..64])), "{shown}");
    assert!(shown.contains(&format!(", pressed {} and 36 more", &kept[..64])), "{shown}");
}

/// Of what could not be read it is not said that it has no calls; of what could, it is.
#[test]
fn no_calls_are_told_only_of_what_was_read() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    fs::write(empty.path(), ethernet(Vec::new()).bytes()).unwrap();
    let empty = empty.path().to_str().unwrap();
    for command in [["inspect", "calls"], ["report", "calls"]] {
        for (files, expected, code) in
            [(&["none.pcap"][..], "", 1), (&[empty, "none.pcap"], "", 1), (&[empty], "no calls\n", 0)]
        {
            let output = lippycat().args(command).arg("-r").args(files).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{command:?} {files:?}");
            assert_eq!(output.status.code(), Some(code), "{command:?} {files:?}");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(told.contains("error: none.pcap: no such file"), code == 1, "{told}");
        }
    }
}

/// Nor that it has not the call that was asked for.
#[test]
fn a_call_is_missing_from_what_was_read() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    fs::write(empty.path(), ethernet(Vec::new()).bytes()).unwrap();
    let empty = empty.path().to_str().unwrap();
    for command in ["inspect", "report"] {
        for (files, expected) in [
            (&["none.pcap"][..], ""),
            (
                &[empty, "none.pcap"],
                "error: no call zz in what could be read; inspect calls -r FILE lists them\n",
            ),
            (&[empty], "error: no call zz; inspect calls -r FILE lists them\n"),
        ] {
            let output = lippycat().args([command, "call", "zz", "-r"]).args(files).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{command} {files:?}");
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            let rest: Vec<_> = told.split_inclusive('\n').filter(|it| !it.contains("none.pcap")).collect();
            assert_eq!(rest.concat(), expected, "{command} {files:?}");
            assert_eq!(
                told.contains("error: none.pcap: no such file"),
                files.contains(&"none.pcap"),
                "{told}"
            );
        }
    }
}

/// A shell takes the command as it is printed, and it shows that call: also one whose Call-ID begins with a space of Unicode, has
/// characters that nobody sees, or what this terminal cannot show, beside calls whose Call-ID is what is left without them.
#[test]
fn a_command_that_is_printed_can_be_copied() {
    let odd = [
        "\u{a0}abc@h",
        "abc@h\u{3000}",
        "\u{2003}abc@h\u{a0}",
        "a\u{200b}bc@h",
        "\u{feff}abc@h",
        "a\u{3164}bc@h",
        "abc@h\u{fe0f}",
        "\u{e9}abc'$(x)`\\\"@h",
        "\\u{a0}abc@h",
    ];
    let all = odd.iter().chain(&["abc@h"]).zip(1_700_000_000..);
    let packets = all.flat_map(|(id, seconds)| refused_call(id.as_bytes(), "alice", seconds)).collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("it's a.pcap");
    fs::write(&file, ethernet(packets).bytes()).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_lippycat")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    for (call_id, seconds) in odd.iter().zip(1_700_000_000_u64..) {
        for locale in ["C", "C.UTF-8"] {
            let mut command = lippycat();
            command.args(["report", "call", "--format", "text", "-r"]).arg(&file).arg("--").arg(call_id);
            let output = command.env("LC_ALL", locale).output().unwrap();
            let told = String::from_utf8(output.stdout).unwrap();
            let line = told.lines().find_map(|line| line.trim().strip_prefix("Ladder")).expect(&told).trim();
            let mut shell = Command::new("sh");
            shell.args(["-c", line]).env("PATH", &path).env("LC_ALL", locale).env("HOME", directory.path());
            let output = shell.output().unwrap();
            assert!(
                output.status.success(),
                "{call_id:?}: {line}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let shown = String::from_utf8(output.stdout).unwrap();
            // The second that it began at is the call's own.
            let time = format!("22:13:{:02}", 20 + seconds - 1_700_000_000);
            assert!(shown.contains(&time), "{call_id:?}: {line}: {shown}");
        }
    }
}

/// The B2BUA's other call is named, and the command that stands there shows it.
#[test]
fn other_legs_are_named_with_the_command_that_shows_them() {
    let capture = testdata("corpus/b2bua-asterisk/input.pcapng");
    let record = Run::of(&capture, &[]).records.into_iter().find(|it| it["call_id"] == CALLER).unwrap();
    let legs = record["legs"].as_array().unwrap();
    let others: Vec<&str> =
        legs.iter().filter_map(|leg| leg["call_id"].as_str()).filter(|id| *id != CALLER).collect();
    assert_eq!(others, [CALLED], "it calls as it is called");
    for view in ["--ladder", "--text"] {
        let shown = told(&["inspect", "call", view], CALLER, &capture);
        let (_, legs) = shown.split_once("\nOther legs\n").unwrap();
        let lines: Vec<&str> = legs.lines().map(str::trim).collect();
        assert!(lines[0].contains("172.16.98.101:5060 -> 172.16.98.145:40216  200  "), "{legs}");
        let expected = format!("lippycat inspect call {CALLED} -r {}", capture.display());
        assert_eq!(lines[1], expected);
    }
    let words = ["inspect", "call", CALLED, "-r", capture.to_str().unwrap()];
    let other = lippycat().args(words).output().unwrap();
    let other = String::from_utf8(other.stdout).unwrap();
    assert!(other.contains(&format!("Call-ID {CALLED}\n")) && other.contains(CALLER), "{other}");
}

const CALLER: &str = "M2Q0ZDc1ZGM1NzIyMTlhZTA3NDU3NTgzMzA5YmJmZWQ.";
const CALLED: &str = "37686afc57ce24ac655742b3644a7bb8@172.16.98.101:5060";

/// An ICMP error (RFC 792) that host 2 sends about a frame: nobody listens on that port.
fn port_unreachable(frame: &[u8]) -> Vec<u8> {
    let quoted = &frame[14..];
    let mut message = vec![3, 3, 0, 0, 0, 0, 0, 0];
    message.extend(quoted);
    message.resize(message.len().next_multiple_of(2), 0);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let length = u16::try_from(20 + message.len()).unwrap().to_be_bytes();
    let mut ip = vec![0x45, 0, length[0], length[1], 0, 2, 0, 0, 64, 1, 0, 0, 192, 0, 2, 2, 192, 0, 2, 1];
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    out.extend(ip);
    out.extend(message);
    out
}

/// What could not be seen is said below the table, and beside lines of JSON.
#[test]
fn what_limits_the_list_of_calls_is_said() {
    let listed = |input: &Path, more: &[&str]| {
        let mut command = lippycat();
        let output = command.args(["inspect", "calls"]).args(more).arg("-r").arg(input).output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    // 8 connections, 5 of them failed: see the tests of TLS, which have tshark's word for it.
    let tls = testdata("tls/handshakes.pcap");
    let note = "note: SIP over TLS (cannot be read): connections 8, failed 5\n";
    assert_eq!(listed(&tls, &[]), [format!("no calls\n{note}"), String::new()]);
    assert_eq!(listed(&tls, &["--json"]), [String::new(), note.to_owned()]);
    assert_eq!(listed(&tls, &["--json", "--quiet"]), [String::new(), String::new()]);
    // A whole capture has nothing to say.
    let whole = listed(&testdata("corpus/cancel/input.pcap"), &[]);
    assert!(!whole.concat().contains("note:"), "{whole:?}");

    // One INVITE nobody listens to, one cut by the snap length, and a file that ends within a packet.
    let [invite, busy, _] = refused_call(b"whole@192.0.2.1", "alice", 1_700_000_000);
    let error = at(5, port_unreachable(&invite.frame));
    let [cut, ..] = refused_call(b"cut@192.0.2.1", "alice", 1_700_000_001);
    let cut = Packet { frame: cut.frame[..cut.frame.len() - 10].to_vec(), ..cut };
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = ethernet(vec![invite, error, busy, cut.clone(), cut]).bytes();
    fs::write(file.path(), &bytes).unwrap();
    if has_tshark() {
        let quotes = tshark(file.path(), "icmp.type == 3 && icmp.code == 3 && sip", &["frame.number"]);
        assert_eq!(quotes.map_or(0, |frames| frames.len()), 1);
    }
    fs::write(file.path(), &bytes[..bytes.len() - 10]).unwrap();
    let [table, _] = listed(file.path(), &[]);
    let notes: Vec<&str> = table.lines().filter(|line| line.starts_with("note: ")).collect();
    assert_eq!(notes.len(), 2, "{table}");
    assert_eq!(notes[0], "note: SIP: quoted in ICMP 1");
    assert_eq!(notes[1], "note: Dropped: source: cut 1, source: truncated 1");
}

/// <https://no-color.org>: what is asked for on the command line beats the variable.
#[test]
fn a_flag_for_colours_beats_the_variable() {
    let input = testdata("corpus/b2bua-asterisk/input.pcapng");
    let list = |color: &str, variables: &[(&str, &str)]| {
        let mut command = lippycat();
        command.args(["inspect", "calls", "--color", color, "-r"]).arg(&input).env("LC_ALL", "C");
        command.env_remove("NO_COLOR").envs(variables.iter().copied());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let (plain, painted) = (list("never", &[]), list("always", &[("NO_COLOR", "1")]));
    assert_eq!(painted, list("always", &[]));
    // Green (ECMA-48 8.3.117) is an answered call.
    assert_eq!(painted.matches("\x1b[32msuccess 200\x1b[0m").count(), plain.matches("success 200").count());
    assert!(plain.contains("success 200"), "{plain}");
    assert_eq!(painted.replace("\x1b[32m", "").replace("\x1b[0m", ""), plain, "colours take no room");
}
