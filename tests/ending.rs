//! How a run ends: by count and time, by a signal, a reader that went away, a disk that is full.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use crate::classic::Classic;
use crate::service::{can, wait_for};
use crate::support::{Run, is_root, lippycat, testdata, tshark};
use crate::traffic::{capture, profile};
use crate::wire::{at, checksum, datagram, ethernet};

fn written(file: &Classic) -> NamedTempFile {
    let mut out = NamedTempFile::new().unwrap();
    out.write_all(&file.bytes()).unwrap();
    out
}

/// A run that stopped early left what a run over the beginning of the capture leaves.
fn same(stopped: &Run, short: &Run, what: &str) {
    assert_eq!(stopped.summary, short.summary, "{what}");
    assert_eq!(stopped.records_without_paths(), short.records_without_paths(), "{what}");
    assert!(stopped.files == short.files, "{what}");
}

#[test]
fn count_and_duration_cut_the_capture() {
    let (file, ledger) = capture(&profile(&[("tcp", "0.5"), ("rtp", "0.3"), ("hold", "2")]));
    let all = Classic::read(file.path()).unwrap();
    for count in [1, 7, 300, ledger.packets + 5] {
        let first = all.packets.iter().take(count as usize).cloned().collect();
        let short = Run::of(written(&all.with(first)).path(), &[]);
        for more in [&["--batch-size", "64"][..], &["--workers", "2"]] {
            let stopped = Run::of(file.path(), &[&["--count", &count.to_string()], more].concat());
            same(&stopped, &short, &format!("{count} {more:?}"));
        }
    }
    let micros =
        |packet: &crate::classic::Packet| u64::from(packet.seconds) * 1_000_000 + u64::from(packet.fraction);
    for (text, length) in [("1ms", 1_000), ("1500ms", 1_500_000), ("1h", 3_600_000_000)] {
        let end = micros(&all.packets[0]) + length;
        let first = all.packets.iter().take_while(|it| micros(it) <= end).cloned().collect();
        let short = Run::of(written(&all.with(first)).path(), &[]);
        same(&Run::of(file.path(), &["--duration", text]), &short, text);
    }
}

/// Ethernet, IPv4 and a TCP segment (RFC 9293 3.1) from 192.0.2.1 to 192.0.2.2.
fn segment(sequence: u32, payload: &str) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    ip[2..4].copy_from_slice(&(40 + payload.len() as u16).to_be_bytes());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend(ip);
    frame.extend([0x9c, 0x40, 0x13, 0xc4]);
    frame.extend(sequence.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(payload.as_bytes());
    frame
}

/// A segment was lost just before the end: what waits behind it belongs to calls as if its second had passed, to one that
/// was there and to one that it begins.
#[test]
fn what_waits_behind_a_hole_at_the_end_is_in_records_and_files() {
    let message = |call: &str, method: &str| {
        format!(
            "{method} sip:bob@x SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK{call}{method}\r\nFrom: <sip:alice@x>;tag=a\r\n\
             To: <sip:bob@x>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let (first, cancel) = (message("first", "INVITE"), message("first", "CANCEL"));
    let second = message("second", "INVITE");
    let mut number = 1_000;
    let mut next = |payload: &str, lost: u32| {
        number += lost;
        let frame = segment(number, payload);
        number += payload.len() as u32;
        frame
    };
    let frames = [next(&first, 0), next(&cancel, 700), next(&second, 0)];
    let packets: Vec<_> = (0..).zip(frames).map(|(time, frame)| at(time * 10, frame)).collect();
    let file = written(&ethernet(packets));
    for workers in ["0", "2"] {
        let run = Run::of(file.path(), &["--workers", workers]);
        let calls: Vec<_> =
            run.records.iter().map(|record| (&record["call_id"], &record["messages"])).collect();
        assert_eq!(calls, [(&json!("first"), &json!(2)), (&json!("second"), &json!(1))], "{workers}");
        assert_eq!(run.files.len(), 2, "{workers}");
    }
    if let Some(found) = tshark(file.path(), "sip.Call-ID == \"second\"", &["sip.Method"]) {
        assert_eq!(found, [["INVITE"]]);
    }
}

/// 22 packets, 100 ms apart, one of which has another year. `--duration 1s` takes that one, and 11 of a second and its end: as
/// many whether the wild one comes first or later.
#[test]
fn a_wild_stamp_does_not_count_for_the_duration() {
    let options = |number: u32| {
        let text = format!(
            "OPTIONS sip:bob@x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number}\r\nFrom: <sip:alice@x>;tag=a\r\n\
             To: <sip:bob@x>\r\nCall-ID: {number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        at(100 * number, datagram(1, 2, text.as_bytes()))
    };
    for seconds in [1, 4_000_000_000] {
        for place in [0, 1, 5] {
            let mut packets: Vec<_> = (0..21).map(options).collect();
            let mut wild = options(99);
            wild.seconds = seconds;
            packets.insert(place, wild);
            let file = written(&ethernet(packets));
            for more in [&["--batch-size", "3"][..], &["--workers", "2"], &[]] {
                let run = Run::of(file.path(), &[&["--duration", "1s"], more].concat());
                assert_eq!(run.summary["packets"], 12, "{seconds} {place} {more:?}");
            }
        }
    }
}

#[test]
fn every_line_of_json_is_an_object() {
    let (file, ledger) = capture(&profile(&[("busy", "0.3"), ("tcp", "0.5"), ("calls", "30")]));
    let mut command = lippycat();
    let output = command.args(["sniff", "voip", "--format", "json", "-r"]).arg(file.path()).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for (event, count) in
        [("start", ledger.calls.total), ("end", ledger.calls.total), ("answered", ledger.calls.answered)]
    {
        let found = events.iter().filter(|it| it["event"] == event && it["kind"] == "call").count();
        assert_eq!(found as u64, count, "{event}");
    }
    let times: Vec<&str> = events.iter().map(|event| event["timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "events come in packet time");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.to_lowercase().contains("calls"), "the summary is beside them: {told}");
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let (file, _) =
        capture(&profile(&[("calls", "3000"), ("rate", "200"), ("hold", "1"), ("list", "false")]));
    for flags in [&["--format", "json"][..], &["--format", "text"], &["--records", "-", "--format", "none"]] {
        let mut command = lippycat();
        command.args(["sniff", "voip", "-r"]).arg(file.path()).args(flags);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        // As `| head -1`: the pipe is closed when this statement is over.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{flags:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("error"), "{flags:?}");
    }
}

/// A capture of short calls whose events are more than a pipe holds, in two halves.
fn halves() -> (Vec<u8>, Vec<u8>, Run) {
    let (file, _) =
        capture(&profile(&[("calls", "1500"), ("rate", "200"), ("hold", "1"), ("list", "false")]));
    let mut bytes = fs::read(file.path()).unwrap();
    let rest = bytes.split_off(bytes.len() / 2);
    (bytes, rest, Run::of(file.path(), &[]))
}

fn piped(flags: &[&str]) -> Child {
    let mut command = lippycat();
    command.args(["sniff", "voip", "-r", "-"]).args(flags);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A run that got these bytes, and writes records beside what it shows.
fn recording(mode: &str, bytes: &[u8]) -> (Child, std::process::ChildStdin, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let records = directory.path().join("records");
    let mut child = piped(&["--format", "json", "-M", mode, "--records", records.to_str().unwrap()]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(bytes).unwrap();
    (child, input, directory)
}

fn recorded(directory: &TempDir) -> usize {
    fs::read_to_string(directory.path().join("records")).unwrap().lines().count()
}

/// As `| head -1` does while packets still come.
fn read_one_line(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with('{'), "{line}");
}

#[test]
fn a_run_ends_with_its_only_reader() {
    let (first, rest, _) = halves();
    for mode in ["memory", "balanced"] {
        let mut child = piped(&["--format", "json", "-M", mode]);
        let mut input = child.stdin.take().unwrap();
        input.write_all(&first).unwrap();
        read_one_line(&mut child);
        // Its input stays open. It may have ended before it took all.
        let _ = input.write_all(&rest);
        let (code, _, told) = outcome(child);
        assert_eq!(code, Some(0), "{mode}: none means that it did not end: {told}");
        drop(input);
    }
}

#[test]
fn a_run_with_files_to_write_goes_on_without_a_reader() {
    let (first, rest, whole) = halves();
    for mode in ["memory", "balanced"] {
        let (mut child, mut input, directory) = recording(mode, &first);
        read_one_line(&mut child);
        input.write_all(&rest).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{mode}: {told}");
        assert_eq!(told.matches("nobody reads standard output any more").count(), 1, "{mode}: {told}");
        assert_eq!(recorded(&directory), whole.records.len(), "{mode}");
    }
}

/// A terminal that was stopped with Ctrl-S, or whose network is gone.
#[test]
fn a_reader_that_takes_nothing_holds_up_neither_files_nor_the_end() {
    let (first, rest, whole) = halves();
    for mode in ["memory", "balanced"] {
        let (mut child, mut input, directory) = recording(mode, &first);
        input.write_all(&rest).unwrap();
        let stdout = child.stdout.take();
        interrupt(&child, "TERM");
        let (code, _, told) = outcome(child);
        assert_eq!(code, Some(0), "{mode}: none means that it did not end: {told}");
        assert!(told.contains("warning: standard output is not read"), "{mode}: {told}");
        assert_eq!(recorded(&directory), whole.records.len(), "{mode}");
        drop((stdout, input));
    }
}

/// README: "A code that says failure does not depend on who reads the output".
#[test]
fn a_reader_that_takes_nothing_hides_no_failure() {
    let (first, rest, _) = halves();
    for mode in ["memory", "balanced"] {
        let mut child = piped(&["--format", "json", "-M", mode, "--records", "/dev/full"]);
        let mut input = child.stdin.take().unwrap();
        input.write_all(&first).unwrap();
        input.write_all(&rest).unwrap();
        let stdout = child.stdout.take();
        interrupt(&child, "TERM");
        let (code, _, told) = outcome(child);
        assert_eq!(code, Some(1), "{mode}: none means that it did not end: {told}");
        assert!(told.contains("error: the results could not be written: No space left"), "{mode}: {told}");
        assert_eq!(told.matches("warning: standard output is not read").count(), 1, "{mode}: {told}");
        drop((stdout, input));
    }
}

/// Its input waits with it then, and no packet comes that would let it look around.
#[test]
fn a_run_that_waits_for_a_reader_ends_when_it_is_told_to() {
    let (file, _) =
        capture(&profile(&[("calls", "8000"), ("rate", "2000"), ("hold", "1"), ("list", "false")]));
    let bytes = fs::read(file.path()).unwrap();
    for mode in ["memory", "balanced"] {
        let mut child = piped(&["--format", "json", "-M", mode]);
        let mut input = child.stdin.take().unwrap();
        let all = bytes.clone();
        let feeder = std::thread::spawn(move || input.write_all(&all).is_err());
        let stdout = child.stdout.take();
        interrupt(&child, "TERM");
        let (code, _, told) = outcome(child);
        assert_eq!(code, Some(0), "{mode}: none means that it did not end: {told}");
        assert!(told.contains("warning: standard output is not read"), "{mode}: {told}");
        assert!(feeder.join().unwrap(), "{mode}: it took all, and did not wait");
        drop(stdout);
    }
}

/// Nothing reads the FIFO, which holds no more than 64 KiB (pipe(7)): its lines are lost, those of the file beside it are not,
/// and the run ends as soon as with a terminal that was stopped.
#[test]
fn a_fifo_that_nobody_reads_holds_up_neither_files_nor_the_end() {
    if !can(&["mkfifo"]) {
        return;
    }
    let (first, rest, whole) = halves();
    // The lines that the FIFO gets, and whether records go to a file beside it.
    for (mode, key, has_file) in [
        ("memory", "LIPPYCAT_EVENTS_FILE", true),
        ("balanced", "LIPPYCAT_EVENTS_FILE", true),
        ("memory", "LIPPYCAT_RECORDS_FILE", false),
        ("balanced", "LIPPYCAT_RECORDS_FILE", false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = fifo(&directory);
        let held = fs::File::options().read(true).write(true).open(&path).unwrap();
        let mut command = lippycat();
        command.args(["sniff", "voip", "-r", "-", "--format", "none", "--summary", "json", "-M", mode]);
        command.env("LIPPYCAT_RECORDS_FILE", directory.path().join("records")).env(key, &path);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&first).unwrap();
        input.write_all(&rest).unwrap();
        interrupt(&child, "TERM");
        let asked = Instant::now();
        let (code, summary, told) = outcome(child);
        assert_eq!(code, Some(1), "{mode} {key}: none means that it did not end: {told}");
        assert!(asked.elapsed() < Duration::from_secs(20), "{mode} {key}: {:?}", asked.elapsed());
        assert!(told.contains("the reader takes nothing"), "{mode} {key}: {told}");
        assert!(!told.contains("written again"), "{mode} {key}: {told}");
        assert!(summary["dropped"]["lines"]["not_written"].as_u64() > Some(0), "{mode} {key}: {summary}");
        if has_file {
            assert_eq!(recorded(&directory), whole.records.len(), "{mode} {key}");
        }
        drop((held, input));
    }
}

/// Every call that is up when the run is told to end has its record, however many come at once.
#[test]
fn a_signal_brings_the_records_of_all_calls_that_are_up() {
    const CALLS: u32 = 25_000;
    let invite = |number: u32| {
        let text = format!(
            "INVITE sip:bob@x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number}\r\nFrom: <sip:alice@x>;tag=a\r\n\
             To: <sip:bob@x>\r\nCall-ID: {number}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        at(number / 100, datagram(1, 2, text.as_bytes()))
    };
    let bytes = ethernet((0..CALLS).map(invite).collect()).bytes();
    for mode in ["memory", "balanced"] {
        let directory = tempfile::tempdir().unwrap();
        let records = directory.path().join("records");
        let mut child = piped(&["--format", "none", "-M", mode, "--records", records.to_str().unwrap()]);
        let mut input = child.stdin.take().unwrap();
        input.write_all(&bytes).unwrap();
        interrupt(&child, "TERM");
        let (code, _, told) = outcome(child);
        assert_eq!(code, Some(0), "{mode}: {told}");
        assert_eq!(recorded(&directory), CALLS as usize, "{mode}: {told}");
        drop(input);
    }
}

/// Over a file a run writes what it shows itself: it ends as soon all the same, and what was read is in its files.
#[test]
fn a_run_over_a_file_ends_when_nothing_it_shows_is_taken() {
    let (file, _) =
        capture(&profile(&[("calls", "8000"), ("rate", "2000"), ("hold", "1"), ("list", "false")]));
    for (signal, more) in [("TERM", &[][..]), ("INT", &["--workers", "2"]), ("TERM", &["--records", "-"])] {
        let mut command = lippycat();
        command.args(["sniff", "voip", "--format", "json", "-r"]).arg(file.path()).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take();
        interrupt(&child, signal);
        let asked = Instant::now();
        let (code, _, told) = outcome(child);
        assert_eq!(code, Some(0), "{more:?}: none means that it did not end: {told}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{more:?}: {:?}", asked.elapsed());
        assert!(told.contains("warning: standard output is not read"), "{more:?}: {told}");
        assert!(told.contains("records or events are not written"), "{more:?}: {told}");
        drop(stdout);
    }
}

/// What is shown of a capture, once and by no thread of its own.
#[test]
fn a_command_over_a_file_ends_when_nothing_it_shows_is_taken() {
    let (file, _) =
        capture(&profile(&[("calls", "3000"), ("rate", "2000"), ("hold", "1"), ("list", "false")]));
    for arguments in
        [&["inspect", "calls"][..], &["inspect", "calls", "--json"], &["report", "calls", "--sort", "start"]]
    {
        let mut command = lippycat();
        command.args(arguments).arg("-r").arg(file.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take();
        interrupt(&child, "TERM");
        let asked = Instant::now();
        let (code, _, told) = outcome(child);
        assert_eq!(code, Some(0), "{arguments:?}: none means that it did not end: {told}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{arguments:?}: {:?}", asked.elapsed());
        assert!(told.contains("warning: standard output is not read"), "{arguments:?}: {told}");
        drop(stdout);
    }
}

/// The pipe is full before the run begins, and the summary is all that it writes there.
#[test]
fn a_summary_that_nobody_takes_holds_up_no_end() {
    let (file, _) = capture(&profile(&[("calls", "5")]));
    let (reader, mut writer) = std::io::pipe().unwrap();
    // Its capacity on Linux (pipe(7)).
    writer.write_all(&vec![b'x'; 1 << 16]).unwrap();
    let mut command = lippycat();
    command.args(["sniff", "voip", "--format", "none", "-r"]).arg(file.path());
    let child = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    interrupt(&child, "TERM");
    let (code, _, told) = outcome(child);
    assert_eq!(code, Some(0), "none means that it did not end: {told}");
    assert!(told.contains("warning: standard output is not read"), "{told}");
    drop(reader);
}

/// A slow reader gets every line, to the last.
#[test]
fn a_slow_reader_of_a_run_over_a_file_gets_all_of_it() {
    let (file, _) = capture(&profile(&[("calls", "500"), ("rate", "500"), ("hold", "1")]));
    let run = || {
        let mut command = lippycat();
        command.args(["sniff", "voip", "--format", "json", "--summary", "json", "-r"]).arg(file.path());
        command
    };
    let expected = run().output().unwrap().stdout;
    assert!(expected.len() > 1 << 17, "more than a pipe holds");
    let mut child = run().stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let mut read = Vec::new();
    stdout.read_to_end(&mut read).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(read == expected, "{} of {} bytes", read.len(), expected.len());
}

/// Who reads events and records from one stream is through with a call when its record comes.
#[test]
fn a_record_comes_behind_the_events_of_its_call() {
    let (file, ledger) = capture(&profile(&[("calls", "300"), ("rate", "500"), ("hold", "1")]));
    for workers in ["0", "2"] {
        let mut command = lippycat();
        command.args(["sniff", "voip", "--format", "json", "--records", "-", "--summary", "json", "-q"]);
        let output = command.args(["--workers", workers, "-r"]).arg(file.path()).output().unwrap();
        assert!(output.status.success());
        let (mut told, mut events) = (BTreeSet::new(), 0);
        for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line).unwrap();
            let Some(call) = line["call_id"].as_str() else { continue };
            if line.get("event").is_none() {
                told.insert(call.to_owned());
            } else {
                events += 1;
                assert!(!told.contains(call), "{workers} workers: {line}");
            }
        }
        assert!(told.len() as u64 == ledger.calls.total && events >= told.len(), "{} {events}", told.len());
    }
}

/// A run that reads standard input, of which it got the first half of a capture.
fn half_fed(directory: &TempDir) -> (Child, std::process::ChildStdin, Classic) {
    let (file, _) = capture(&profile(&[("calls", "40"), ("rtp", "0.3"), ("hold", "2")]));
    let all = Classic::read(file.path()).unwrap();
    let half = all.packets.iter().take(all.packets.len() / 2).cloned().collect();
    let mut child = lippycat()
        .args(["sniff", "voip", "-r", "-", "-w", "--format", "none", "--summary", "json", "--pcap-dir"])
        .arg(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&all.with(half).bytes()).unwrap();
    (child, input, all)
}

fn interrupt(child: &Child, signal: &str) {
    // It has to have read its input and its handlers have to stand; both take milliseconds.
    std::thread::sleep(Duration::from_millis(1500));
    let status = Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status();
    assert!(status.unwrap().success());
}

/// What a run says in the end; it is ended after 20 s if it does not end itself.
fn outcome(mut child: Child) -> (Option<i32>, Value, String) {
    let (out, mut err) = (child.stdout.take(), child.stderr.take().unwrap());
    let code = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        child.try_wait().unwrap()
    });
    if code.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (mut text, mut told) = (String::new(), String::new());
    if let Some(mut out) = out {
        out.read_to_string(&mut text).unwrap();
    }
    err.read_to_string(&mut told).unwrap();
    (code.and_then(|code| code.code()), serde_json::from_str(&text).unwrap_or_default(), told)
}

fn assert_finished(directory: &TempDir, (code, summary, told): (Option<i32>, Value, String), what: &str) {
    assert_eq!(code, Some(0), "{what}: none means that it did not end: {told}");
    assert!(summary["calls"]["total"].as_u64() > Some(0), "{what}: {summary}");
    assert!(told.contains("stopped"), "{what}: {told}");
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len() as u64, summary["files_written"].as_u64().unwrap(), "{what}");
    assert!(names.iter().all(|name| name.to_string_lossy().ends_with(".pcap")), "{what}: {names:?}");
}

#[test]
fn a_signal_finishes_a_run_that_gets_input() {
    for signal in ["INT", "TERM"] {
        let directory = tempfile::tempdir().unwrap();
        let (child, mut input, all) = half_fed(&directory);
        let feeder = std::thread::spawn(move || {
            let record = all.with(vec![all.packets[0].clone()]).bytes()[24..].to_vec();
            // Slowly; that the program goes away ends it.
            while input.write_all(&record).is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        interrupt(&child, signal);
        assert_finished(&directory, outcome(child), signal);
        feeder.join().unwrap();
    }
}

#[test]
fn a_signal_finishes_a_run_that_waits_for_input() {
    for signal in ["INT", "TERM"] {
        let directory = tempfile::tempdir().unwrap();
        let (child, input, _) = half_fed(&directory);
        interrupt(&child, signal);
        assert_finished(&directory, outcome(child), signal);
        drop(input);
    }
}

/// `ssh host tcpdump -w - | lippycat sniff voip -r -`, ended while it still asks for the password.
#[test]
fn a_signal_before_the_first_byte_is_no_failure() {
    let mut child = piped(&["--format", "none", "--summary", "json"]);
    let input = child.stdin.take();
    interrupt(&child, "INT");
    let (code, summary, told) = outcome(child);
    assert_eq!((code, summary["packets"].as_u64()), (Some(0), Some(0)), "{told}");
    assert!(told.starts_with("stopped") && told.lines().count() == 1, "{told}");
    drop(input);
}

/// A FIFO to read from, in a directory.
fn fifo(directory: &TempDir) -> PathBuf {
    let path = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// The same of a FIFO that nobody writes to yet: another FIFO that is read beside it changes nothing.
#[test]
fn a_signal_ends_a_run_that_waits_for_a_writer() {
    for signal in ["INT", "TERM"] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = lippycat();
        command.args(["sniff", "voip", "--format", "none", "--summary", "json", "-r"]).arg(fifo(&directory));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        interrupt(&child, signal);
        let begin = Instant::now();
        let (code, summary, told) = outcome(child);
        assert_eq!((code, summary["packets"].as_u64()), (Some(0), Some(0)), "{signal}: {told}");
        assert!(told.starts_with("stopped") && told.lines().count() == 1, "{signal}: {told}");
        assert!(begin.elapsed() < Duration::from_secs(10), "{signal}");
    }
}

#[test]
fn a_writer_that_comes_late_and_writes_slowly_is_read_to_its_end() {
    let (file, ledger) = capture(&profile(&[("calls", "5")]));
    let bytes = fs::read(file.path()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = fifo(&directory);
    let mut command = lippycat();
    command.args(["sniff", "voip", "--format", "none", "--summary", "json", "-r"]).arg(&path);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let mut writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for piece in [&bytes[..3], &bytes[3..bytes.len() / 2], &bytes[bytes.len() / 2..]] {
        std::thread::sleep(Duration::from_millis(300));
        writer.write_all(piece).unwrap();
    }
    drop(writer);
    let (code, summary, told) = outcome(child);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(summary["calls"]["total"].as_u64(), Some(ledger.calls.total), "{told}");
}

/// SIGHUP and SIGUSR1 open records anew, in a run over a file, too.
#[test]
fn a_run_over_a_file_goes_on_with_files_opened_anew() {
    let (file, ledger) =
        capture(&profile(&[("calls", "1500"), ("rate", "200"), ("hold", "1"), ("list", "false")]));
    for signal in ["HUP", "USR1"] {
        let directory = tempfile::tempdir().unwrap();
        let (records, moved) = (directory.path().join("records"), directory.path().join("moved"));
        let mut command = lippycat();
        command.args(["sniff", "voip", "--format", "json", "-r"]).arg(file.path());
        command.arg("--records").arg(&records).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It waits for whoever takes its events.
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut String::new()).unwrap();
        fs::rename(&records, &moved).unwrap();
        interrupt(&child, signal);
        out.read_to_string(&mut String::new()).unwrap();
        let (code, _, told) = outcome(child);
        assert_eq!(code, Some(0), "{signal}: {told}");
        let lines = [&records, &moved].map(|path| fs::read_to_string(path).unwrap().lines().count());
        assert_eq!(lines.iter().sum::<usize>() as u64, ledger.calls.total, "{signal}: {lines:?}");
        assert!(lines[0] > 0, "{signal}: {lines:?}");
    }
}

/// `ssh host tcpdump -w - | lippycat sniff voip -r -` in a terminal that is closed.
#[test]
fn a_run_whose_terminal_was_closed_ends_in_order() {
    if !can(&["script", "mkfifo"]) {
        return;
    }
    let (file, _) = capture(&profile(&[("calls", "40"), ("rtp", "0.3"), ("hold", "2")]));
    let all = Classic::read(file.path()).unwrap();
    let half = all.with(all.packets.iter().take(all.packets.len() / 2).cloned().collect()).bytes();
    let directory = tempfile::tempdir().unwrap();
    let (path, records) = (fifo(&directory), directory.path().join("records"));
    let line = format!(
        "exec {} sniff voip -r {} -w --pcap-dir {} --format none --records {}",
        env!("CARGO_BIN_EXE_lippycat"),
        path.display(),
        directory.path().join("pcap").display(),
        records.display()
    );
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).env("HOME", "/nonexistent").env("SHELL", "/bin/sh");
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
    writer.write_all(&half).unwrap();
    wait_for("calls", || fs::read_dir(directory.path().join("pcap")).is_ok_and(|it| it.count() > 0));
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    // Whoever writes goes on, and is left with the next packet.
    let record = all.with(vec![all.packets[0].clone()]).bytes()[24..].to_vec();
    wait_for("its end", || writer.write_all(&record).is_err());
    wait_for("its files", || {
        let names = fs::read_dir(directory.path().join("pcap")).unwrap();
        names.flatten().all(|it| it.file_name().to_string_lossy().ends_with(".pcap"))
    });
    wait_for("its records", || fs::read_to_string(&records).is_ok_and(|text| text.lines().count() > 0));
}

/// A pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_reader_that_went_away_hides_no_failure() {
    let good = testdata("corpus/b2bua-asterisk/input.pcapng");
    let good = good.to_str().unwrap();
    let rows: [(&[&str], i32); 12] = [
        (&["sniff", "voip", "-r", "/nosuch"], 1),
        (&["sniff", "voip", "-r", "/nosuch", good], 1),
        (&["sniff", "voip", "-r", good, "--records", "/dev/full", "--format", "none"], 1),
        (&["sniff", "voip", "--wirte-file"], 2),
        (&["inspect", "calls", "-r", "/nosuch"], 1),
        (&["inspect", "calls", "-r", "/nosuch", good], 1),
        (&["inspect", "calls", "--json", "-r", "/nosuch", good], 1),
        (&["inspect", "call", "nobody", "-r", good], 1),
        (&["report", "calls", "-r", "/nosuch", good], 1),
        (&["report", "targets", "-r", "/nosuch", good], 1),
        (&["config", "validate", "/nosuch"], 1),
        (&["sniff", "voip", "-r", good], 0),
    ];
    for (arguments, wanted) in rows {
        let status = lippycat().args(arguments).stdout(unread()).stderr(unread()).status().unwrap();
        assert_eq!(status.code(), Some(wanted), "{arguments:?}");
    }
}

/// Nor is it said of a capture that was not read to its end that it has no calls.
#[test]
fn a_signal_before_the_first_call_does_not_say_that_there_are_none() {
    for arguments in [["inspect", "calls"], ["report", "calls"], ["report", "targets"]] {
        let mut command = lippycat();
        command.args(arguments).args(["-r", "-"]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        interrupt(&child, "TERM");
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("stopped"), "{arguments:?}: {told}");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]), "{arguments:?}");
        drop(input);
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_one_clear_error() {
    use std::os::unix::fs::PermissionsExt;
    let (file, _) = capture(&profile(&[("calls", "2")]));
    let directory = tempfile::tempdir().unwrap();
    let run = |place: &Path| {
        let mut command = lippycat();
        command.args(["sniff", "voip", "-w", "-r"]).arg(file.path()).arg("--pcap-dir").arg(place);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    fs::write(directory.path().join("file"), "").unwrap();
    let (code, told) = run(&directory.path().join("file/pcaps"));
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.starts_with("error: ") && told.contains("file/pcaps") && told.lines().count() == 1,
        "{told}"
    );
    if is_root() {
        eprintln!("skipped: root may write everywhere");
        return;
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let (code, told) = run(&directory.path().join("pcaps"));
    assert_eq!(code, Some(4), "{told}");
    assert!(told.starts_with("error: ") && told.contains("pcaps"), "{told}");
}

/// A file system of 64 KiB.
struct Small(TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(directory.path()).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(directory))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_costs_only_what_does_not_fit() {
    let Some(disk) = Small::mount() else {
        eprintln!("skipped: cannot mount a small file system");
        return;
    };
    let (file, ledger) =
        capture(&profile(&[("calls", "40"), ("rtp", "0.5"), ("hold", "2"), ("rtp_rate", "50")]));
    let whole = Run::over(&[file.path()], &[]);
    let records = tempfile::tempdir().unwrap();
    let output = lippycat()
        .args(["sniff", "voip", "-w", "--format", "none", "--summary", "json", "--records"])
        .arg(records.path().join("calls.jsonl"))
        .arg("--pcap-dir")
        .arg(disk.0.path())
        .arg("-r")
        .arg(file.path())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(told.matches("No space left").count(), 1, "{told}");
    assert!(
        !told.contains("ERROR error") && told.contains("\nerror: capture files are not whole: "),
        "{told}"
    );
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["sip"], whole.summary["sip"], "the analysis goes on");
    assert_eq!(summary["calls"], whole.summary["calls"]);
    assert!(summary["dropped"]["files"]["write_errors"].as_u64() > Some(0), "{}", summary["dropped"]);
    let lines = fs::read_to_string(records.path().join("calls.jsonl")).unwrap().lines().count();
    assert_eq!(lines as u64, ledger.calls.total, "records lie on another disk");
    let mut good = 0;
    for entry in fs::read_dir(disk.0.path()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = fs::read(entry.path()).unwrap();
        // What was written whole is whole; what was cut is a beginning.
        let truth = whole.files.get(name.trim_end_matches(".part")).unwrap_or_else(|| panic!("{name}"));
        assert!(truth.starts_with(&bytes), "{name}");
        good += usize::from(&bytes == truth);
    }
    assert!(good > 0, "what fits is there");
}

#[test]
fn records_that_cannot_be_written_are_told() {
    let (file, _) = capture(&profile(&[("calls", "5")]));
    let mut command = lippycat();
    command.args(["sniff", "voip", "--summary", "json", "--records", "/dev/full", "-r"]).arg(file.path());
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("No space left"), "{told}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["calls"]["total"], 5, "the summary comes all the same");
}
