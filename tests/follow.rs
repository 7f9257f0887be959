//! `--follow`: captures as tcpdump writes them, while it writes them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::classic::Classic;
use crate::service::{Namespace, Service, can, signal_process};
use crate::support::{Run, lippycat};
use crate::traffic::{capture, profile};

fn number(summary: &Value, pointer: &str) -> u64 {
    summary.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

fn follow(directory: &Path, outputs: &TempDir, more: &[&str]) -> Service {
    let service = Service::start(outputs.path(), |command| {
        command.arg("--follow").arg(directory).args(more);
    });
    service.says("Ctrl-C ends");
    service
}

#[test]
fn a_capture_that_rotates_by_time_is_followed() {
    if !can(&["tcpdump", "ip", "bash"]) {
        return;
    }
    let (namespace, directory, outputs) =
        (Namespace::new("time"), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let template = directory.path().join("%Y%m%d_%H%M%S.pcap");
    let mut tcpdump =
        namespace.tcpdump(directory.path(), &["-G", "1", "-w", template.to_str().unwrap(), "-z", "gzip"]);
    namespace.send(0, 5, 10, "0.02");
    let records = outputs.path().join("records");
    let service = follow(directory.path(), &outputs, &["--records", records.to_str().unwrap()]);
    namespace.send(5, 60, 10, "0.05");
    service.counts("/capture/packets", 65);
    signal_process(tcpdump.id(), "TERM");
    tcpdump.wait().unwrap();
    let files = fs::read_dir(directory.path()).unwrap().count();
    assert!(files >= 3, "{files} files");
    let (code, summary, told) = service.end("INT");
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(number(&summary, "/sip/requests/INVITE"), 65, "{summary}");
    assert_eq!(number(&summary, "/sip/call_ids"), 65);
    assert_eq!(number(&summary, "/packets"), 65);
    assert_eq!(summary["dropped"], serde_json::json!({}), "{told}");
    let records = fs::read_to_string(records).unwrap();
    assert_eq!(records.lines().count(), 65);
    assert!(records.lines().all(|line| line.contains(r#""result":"open""#)));
}

#[test]
fn a_ring_of_captures_is_followed() {
    if !can(&["tcpdump", "ip", "bash"]) {
        return;
    }
    let (namespace, directory, outputs) =
        (Namespace::new("ring"), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = directory.path().join("ring.pcap");
    let mut tcpdump =
        namespace.tcpdump(directory.path(), &["-C", "1", "-W", "3", "-w", file.to_str().unwrap()]);
    let service = follow(directory.path(), &outputs, &["--workers", "2"]);
    // Five megabytes through three files of one.
    for round in 0..6 {
        namespace.send(round * 100, 100, 8000, "0");
        service.counts("/capture/packets", u64::from(round + 1) * 100);
    }
    signal_process(tcpdump.id(), "TERM");
    tcpdump.wait().unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    let (code, summary, told) = service.end("TERM");
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(number(&summary, "/sip/requests/INVITE"), 600, "{summary} {told}");
    assert_eq!(number(&summary, "/sip/call_ids"), 600);
}

/// Cuts a capture into files and gives them out in pieces that end anywhere: what is found is what is found in the whole.
#[test]
fn what_was_written_bit_by_bit_is_found_as_in_one_file() {
    let (file, ledger) = capture(&profile(&[("calls", "60"), ("tcp", "0.5"), ("rtp", "0.2"), ("hold", "2")]));
    let whole = Run::over(&[file.path()], &[]);
    let all = Classic::read(file.path()).unwrap();
    let (directory, outputs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (pcaps, records) = (outputs.path().join("pcap"), outputs.path().join("records"));
    let service = follow(
        directory.path(),
        &outputs,
        &["-w", "--pcap-dir", pcaps.to_str().unwrap(), "--records", records.to_str().unwrap()],
    );
    for (number, packets) in all.packets.chunks(all.packets.len() / 7 + 1).enumerate() {
        let path = directory.path().join(format!("trunk.pcap{number}"));
        let bytes = all.with(packets.to_vec()).bytes();
        let mut written = 0;
        for size in [7, 1000, 40_001, usize::MAX] {
            let end = bytes.len().min(written + size.min(bytes.len()));
            let mut out = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
            std::io::Write::write_all(&mut out, &bytes[written..end]).unwrap();
            written = end;
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    service.counts("/capture/packets", all.packets.len() as u64);
    let (code, mut summary, told) = service.end("TERM");
    assert_eq!(code, Some(0), "{told}");
    summary["files"] = 1.into();
    let mut expected = whole.summary.clone();
    // Progress in bytes of files is not that of packets.
    for value in [&mut summary, &mut expected] {
        value.as_object_mut().unwrap().remove("bytes");
    }
    assert_eq!(summary, expected);
    assert_eq!(number(&summary, "/sip/messages"), ledger.sip.messages);
    let lines = fs::read_to_string(&records).unwrap();
    let ids = |values: Vec<Value>| {
        let mut ids: Vec<String> = values.iter().map(|it| it["call_id"].to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!(
        ids(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()),
        ids(whole.records.clone())
    );
    for (name, bytes) in &whole.files {
        assert!(fs::read(pcaps.join(name)).unwrap() == *bytes, "{name}");
    }
    // Every stream is told of, and none is left out.
    let ended = told.lines().filter(|line| line.contains("Stream completed: tcp ")).count() as u64;
    assert_eq!(ended, ledger.tcp.connections, "{told}");
}

#[test]
fn count_and_duration_end_it() {
    let (file, ledger) = capture(&profile(&[("calls", "20"), ("rtp", "0.2"), ("hold", "2")]));
    let directory = tempfile::tempdir().unwrap();
    fs::copy(file.path(), directory.path().join("a.pcap")).unwrap();
    for (flags, wanted) in [(["--count", "17"], 17), (["--duration", "300ms"], 0)] {
        let outputs = tempfile::tempdir().unwrap();
        let mut service = Service::start(outputs.path(), |command| {
            command.arg("--follow").arg(directory.path()).args(flags);
        });
        assert_eq!(service.outcome(), Some(0), "{flags:?}: {}", service.stderr());
        let summary: Value =
            serde_json::from_str(&fs::read_to_string(outputs.path().join("stdout")).unwrap()).unwrap();
        let packets = number(&summary, "/packets");
        assert!(
            if wanted > 0 { packets == wanted } else { packets < ledger.packets },
            "{flags:?}: {packets}"
        );
    }
}

#[test]
fn what_cannot_be_followed_is_refused_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let file = directory.path().join("x");
    fs::write(&file, "x").unwrap();
    for (arguments, code, text) in [
        (vec!["--follow", "/nonexistent"], 1, "no such file"),
        (
            vec!["--follow", file.to_str().unwrap()],
            1,
            "not a directory; name the one that captures are written to",
        ),
        (
            vec!["--follow", path, "-w", "--pcap-dir", path],
            2,
            "is followed: capture files of calls cannot be written there",
        ),
        (vec!["--follow", path, "-r", path], 2, "cannot be used with"),
    ] {
        let socket = directory.path().join("control.sock");
        let mut command = lippycat();
        command.args(["sniff", "voip", "--control-socket"]).arg(socket).args(&arguments);
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(text), "{arguments:?}: {told}");
    }
}
