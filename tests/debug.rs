//! `lippycat debug` and the metrics endpoint against a running sniffer, and what hostile clients can do to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::service::can;
use crate::support::{lippycat, testdata};

/// A sniffer that reads a capture from a pipe which stays open: it runs until the pipe is closed.
struct Sniffer {
    child: Child,
    input: Option<ChildStdin>,
    directory: tempfile::TempDir,
    metrics: String,
}

impl Sniffer {
    fn start(capture: &Path, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = lippycat()
            .args(["sniff", "voip", "-r", "-", "--format", "none", "--summary", "json", "--control-socket"])
            .arg(directory.path().join("run/s.sock"))
            .args(["--metrics-listen", &port.to_string()])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&std::fs::read(capture).unwrap()).unwrap();
        input.flush().unwrap();
        let sniffer = Self { child, input: Some(input), directory, metrics: port.to_string() };
        sniffer.wait_for(|sniffer| sniffer.json(&["metrics"])["capture"]["packets"].as_u64() > Some(0));
        sniffer
    }

    fn wait_for(&self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..600 {
            if is_so(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("it does not come to pass");
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("run/s.sock")
    }

    fn debug(&self, arguments: &[&str]) -> Output {
        debug(&self.socket(), arguments)
    }

    fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.debug(arguments).stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.debug(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn get(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.metrics).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Ends it; its summary.
    fn end(mut self) -> Value {
        drop(self.input.take());
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        assert!(!self.socket().exists(), "the socket goes with the sniffer");
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn debug(socket: &Path, arguments: &[&str]) -> Output {
    lippycat().arg("debug").args(arguments).arg("--control-socket").arg(socket).output().unwrap()
}

fn capture(case: &str) -> PathBuf {
    let directory = testdata("corpus").join(case);
    ["input.pcap", "input.pcapng"]
        .map(|name| directory.join(name))
        .into_iter()
        .find(|it| it.exists())
        .unwrap()
}

/// A capture of TCP streams, and one of registrations, must be there: the figures come from them.
fn case() -> PathBuf {
    capture("b2bua-asterisk")
}

const COMMANDS: [&str; 9] =
    ["health", "summary", "metrics", "alerts", "buffers", "streams", "config", "calls", "registrations"];

#[test]
fn every_command_is_answered_by_the_running_sniffer() {
    let sniffer = Sniffer::start(&case(), &["--workers", "1", "--max-goroutines", "77"]);
    // The tracker looks at its mailbox between batches; this input has none any more.
    for command in COMMANDS.iter().filter(|command| !matches!(**command, "calls" | "registrations")) {
        let output = sniffer.debug(&[command]);
        assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.is_empty() && text.is_ascii() && !text.contains('\u{1b}'), "{command}: {text}");
        assert!(!sniffer.json(&[command]).is_null(), "{command}");
    }
    let metrics = sniffer.json(&["metrics"]);
    for section in ["streams", "buffers"] {
        let values = metrics[section].as_object().unwrap();
        assert!(values.values().all(Value::is_number), "{section}: {values:?}");
    }
    let health = &metrics["health"];
    assert_eq!(
        (health["max_goroutines"].as_u64(), health["goroutine_utilization"].as_f64()),
        (Some(77), Some(0.0))
    );
    assert_eq!(sniffer.json(&["config"])["max_goroutines"], 77);
    assert_eq!(sniffer.json(&["config"])["origins"]["voip.max_goroutines"], "flag");
    assert_eq!(sniffer.json(&["config"])["tcp_performance_mode"], "balanced");
    assert_eq!(sniffer.json(&["alerts"]), Value::Array(Vec::new()));
    assert_eq!(sniffer.text(&["alerts", "--active-only"]), "No active alerts\n");
    assert_eq!(sniffer.debug(&["alerts", "--exit-code"]).status.code(), Some(0));
    prometheus_agrees(&sniffer, &metrics);
    let summary = sniffer.end();
    assert_eq!(metrics["capture"]["packets"], summary["packets"]);
    assert_eq!(metrics["calls"]["sip"], summary["sip"]);
}

fn prometheus_agrees(sniffer: &Sniffer, metrics: &Value) {
    let file = sniffer.directory.path().join("lippycat.prom");
    let written = sniffer.debug(&["metrics", "--format", "prometheus", "--output", file.to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(0), "{written:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let requests = |text: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with("sip_requests_total{"));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    };
    let sip = &metrics["calls"]["sip"];
    let all: u64 = sip["requests"].as_object().unwrap().values().map(|it| it.as_u64().unwrap()).sum();
    assert!(requests(&text) > 0.0 && requests(&text) <= all as f64, "{text}");
    let served = sniffer.get("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(served.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{served}");
    assert_eq!(requests(served.split_once("\r\n\r\n").unwrap().1), requests(&text));
    let health = sniffer.get("GET /health?x HTTP/1.0\r\n\r\n");
    let health: Value = serde_json::from_str(health.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(health["status"], "healthy");
    assert!(health["uptime_seconds"].is_number() && health["registered_contacts"].is_number());
    promtool(&text);
}

/// Prometheus' own linter, where it is installed.
fn promtool(text: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else { return };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Who may ask is the kernel's decision, by the socket's group and mode.
#[test]
fn members_of_the_group_may_ask_and_others_are_told_that_they_may_not() {
    if !can(&["setpriv"]) {
        return;
    }
    let open = std::fs::Permissions::from_mode(0o755);
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), open.clone()).unwrap();
    let (program, config) = (home.path().join("lippycat"), home.path().join("lippycat.yaml"));
    std::fs::copy(env!("CARGO_BIN_EXE_lippycat"), &program).unwrap();
    std::fs::write(&config, "control: {group: daemon}").unwrap();
    let sniffer = Sniffer::start(&case(), &["--config", config.to_str().unwrap()]);
    std::fs::set_permissions(sniffer.directory.path(), open).unwrap();
    let ask = |group: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--clear-groups", &format!("--regid={group}")]).arg(&program);
        command.args(["debug", "health", "--control-socket"]).arg(sniffer.socket());
        let output = command.env("HOME", "/nonexistent").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(ask("daemon"), (Some(0), String::new()));
    let (code, told) = ask("nogroup");
    assert_eq!(code, Some(4), "{told}");
    assert!(told.starts_with("error: ") && told.contains(sniffer.socket().to_str().unwrap()), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

/// Whom the sniffer becomes may ask it, and nobody else who is not root.
#[test]
fn the_user_that_it_became_may_ask() {
    if !can(&["setpriv"]) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = home.path().join("lippycat");
    std::fs::copy(env!("CARGO_BIN_EXE_lippycat"), &program).unwrap();
    let sniffer = Sniffer::start(&case(), &["--user", "daemon"]);
    std::fs::set_permissions(sniffer.directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for (user, group, wanted) in [("daemon", "nogroup", 0), ("nobody", "daemon", 0), ("nobody", "nogroup", 4)]
    {
        let mut command = Command::new("setpriv");
        command
            .args([&format!("--reuid={user}"), "--clear-groups", &format!("--regid={group}")])
            .arg(&program);
        command.args(["debug", "health", "--control-socket"]).arg(sniffer.socket());
        let output = command.env("HOME", "/nonexistent").output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(wanted), "{user} {group}: {told}");
    }
}

#[test]
fn whoever_watches_sees_the_next_sniffer_too() {
    let home = tempfile::tempdir().unwrap();
    let now = home.path().join("now");
    let point_to = |sniffer: &Sniffer| {
        let _ = std::fs::remove_file(&now);
        std::os::unix::fs::symlink(sniffer.directory.path().join("run"), &now).unwrap();
    };
    let first = Sniffer::start(&case(), &[]);
    point_to(&first);
    let mut command = lippycat();
    command.args(["debug", "metrics", "--json", "--watch", "1", "--control-socket"]).arg(now.join("s.sock"));
    let mut watch = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut answers =
        serde_json::Deserializer::from_reader(watch.stdout.take().unwrap()).into_iter::<Value>();
    let process = |value: Value| value["process"]["start_time"].clone();
    let before = process(answers.next().unwrap().unwrap());
    drop(first);
    let mut told = BufReader::new(watch.stderr.take().unwrap()).lines();
    let warning = told.next().unwrap().unwrap();
    assert!(warning.starts_with("warning: ") && warning.ends_with("; still asking"), "{warning}");
    let second = Sniffer::start(&case(), &[]);
    point_to(&second);
    let after = answers.map(|it| process(it.unwrap())).find(|start| *start != before);
    assert!(after.is_some() && !before.is_null(), "{before}");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn calls_and_registrations_are_told_while_packets_come() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("calls.pcap");
    std::fs::write(&input, signalling()).unwrap();
    let mut sniffer = Sniffer::start(&input, &[]);
    let pulse = pulse(&mut sniffer);
    let calls = sniffer.json(&["calls"]);
    assert_eq!(calls.as_array().map(Vec::len), Some(1), "{calls}");
    let call = &calls[0];
    assert_eq!(
        (&call["state"], &call["from"], &call["to"]),
        (&"confirmed".into(), &"alice".into(), &"bob".into())
    );
    assert_eq!(call["call_id"], "up@192.0.2.1");
    let bindings = sniffer.json(&["registrations"]);
    assert_eq!(bindings.as_array().map(Vec::len), Some(1), "{bindings}");
    assert_eq!(bindings[0]["aor"], "sip:carol@example.org");
    assert_eq!(bindings[0]["contact"], "sip:carol@192.0.2.9:5060");
    assert_eq!(bindings[0]["expires"], "2023-11-14T23:13:20.000000Z", "an hour after the answer");
    assert_eq!(bindings[0]["user_agent"], "phone 1.0");
    assert_eq!(sniffer.json(&["registrations", "carol"]).as_array().map(Vec::len), Some(1));
    assert_eq!(sniffer.json(&["registrations", "dave"]).as_array().map(Vec::len), Some(0));
    assert_eq!(
        sniffer.text(&["registrations", "dave"]),
        "No registrations of dave are known; of others: 1\n"
    );
    assert!(sniffer.text(&["calls"]).contains("alice"));
    let text = sniffer.get("GET /metrics HTTP/1.1\r\n\r\n");
    assert!(text.contains("sip_active_calls{state=\"confirmed\"} 1\n"), "{text}");
    assert!(
        text.contains("sip_requests_total{method=\"INVITE\"} 1\n"),
        "a retransmission is no second: {text}"
    );
    assert!(text.contains("sip_retransmissions_total{method=\"INVITE\"} 1\n"));
    assert!(text.contains("sip_responses_total{method=\"INVITE\",status_code=\"200\"} 1\n"));
    assert!(
        text.contains("sip_registrations_active 1\n")
            && text.contains("sip_calls_total{result=\"failed\"} 0\n")
    );
    drop(sniffer);
    pulse.join().unwrap();
}

/// Each packet is a batch, and the tracker looks; until the sniffer is gone.
fn pulse(sniffer: &mut Sniffer) -> std::thread::JoinHandle<()> {
    let mut writer = sniffer.input.take().unwrap();
    std::thread::spawn(move || {
        for second in 0..600u32 {
            if writer.write_all(&record(1_700_000_010 + second / 10, &datagram(9, 9, b"x"))).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    })
}

#[test]
fn a_sniffer_that_masks_tells_nobody_and_reports_live() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("calls.pcap");
    std::fs::write(&input, signalling()).unwrap();
    let mut sniffer = Sniffer::start(&input, &["--numbers", "masked"]);
    let pulse = pulse(&mut sniffer);
    let report = |arguments: &[&str]| {
        let mut command = lippycat();
        command.arg("report").args(arguments).arg("--live").arg("--control-socket").arg(sniffer.socket());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let told = [
        sniffer.text(&["calls"]),
        sniffer.text(&["calls", "--json"]),
        sniffer.text(&["registrations"]),
        sniffer.text(&["registrations", "--json"]),
        report(&["calls", "--format", "json", "--where", "state=confirmed"]),
        report(&["call", "up@192.0.2.1"]),
    ];
    for text in &told {
        assert!(text.contains("a***") || text.contains("c***"), "{text}");
        assert!(["alice", "bob", "carol"].iter().all(|name| !text.contains(name)), "{text}");
    }
    // Who is asked for is looked for in full.
    for address in ["carol", "sip:carol@example.org"] {
        let found = sniffer.json(&["registrations", address]);
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{address}: {found}");
        assert_eq!(found[0]["aor"], "sip:c***@example.org");
    }
    assert_eq!(
        sniffer.text(&["registrations", "dave"]),
        "No registrations of dave are known; of others: 1\n"
    );
    let call: Value = serde_json::from_str(&told[4]).unwrap();
    assert_eq!((&call["call_id"], &call["from"]), (&"up@192.0.2.1".into(), &"a***".into()));
    assert!(told[5].starts_with("a*** called b***: answered after"), "{}", told[5]);
    drop(sniffer);
    pulse.join().unwrap();
}

/// A call that is up, its INVITE sent twice, and a registration; written by hand after RFC 3261 24.
fn signalling() -> Vec<u8> {
    let invite = "INVITE sip:bob@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=1\r\nTo: <sip:bob@example.org>\r\nCall-ID: up@192.0.2.1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    let ok = invite
        .replacen("INVITE sip:bob@192.0.2.2 SIP/2.0", "SIP/2.0 200 OK", 1)
        .replace("To: <sip:bob@example.org>", "To: <sip:bob@example.org>;tag=2");
    let register = "REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK2\r\nFrom: <sip:carol@example.org>;tag=3\r\nTo: <sip:carol@example.org>\r\nCall-ID: reg@192.0.2.9\r\nCSeq: 1 REGISTER\r\nContact: <sip:carol@192.0.2.9:5060>\r\nUser-Agent: phone 1.0\r\nContent-Length: 0\r\n\r\n";
    let bound = register
        .replacen("REGISTER sip:example.org SIP/2.0", "SIP/2.0 200 OK", 1)
        .replace("<sip:carol@192.0.2.9:5060>", "<sip:carol@192.0.2.9:5060>;expires=3600")
        .replace("User-Agent: phone 1.0\r\n", "");
    // 2023-11-14 22:13:20 UTC.
    let base = 1_700_000_000;
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65535, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    for (after, from, to, text) in [
        (0, 1, 2, invite),
        (1, 1, 2, invite),
        (1, 2, 1, ok.as_str()),
        (0, 9, 2, register),
        (0, 2, 9, bound.as_str()),
    ] {
        file.extend(record(base + after, &datagram(from, to, text.as_bytes())));
    }
    file
}

/// A pcap record (pcap-savefile(5)).
fn record(seconds: u32, frame: &[u8]) -> Vec<u8> {
    let length = frame.len() as u32;
    let words = [seconds, 0, length, length].map(u32::to_le_bytes).concat();
    [words, frame.to_vec()].concat()
}

/// Ethernet, IPv4 (RFC 791) and UDP (RFC 768, without a checksum) around a payload from 192.0.2.`from` to 192.0.2.`to`.
fn datagram(from: u8, to: u8, payload: &[u8]) -> Vec<u8> {
    let udp = (8 + payload.len()) as u16;
    let [high, low] = (20 + udp).to_be_bytes();
    let mut frame = vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0];
    frame.extend([0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, from, 192, 0, 2, to]);
    for word in [5060, 5060, udp, 0] {
        frame.extend(word.to_be_bytes());
    }
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn without_a_sniffer_there_is_one_clear_line_and_exit_code_3() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s.sock");
    for stale in [false, true] {
        if stale {
            drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        }
        for command in COMMANDS.iter().filter(|command| **command != "config") {
            let output = debug(&socket, &[command]);
            assert_eq!(output.status.code(), Some(3), "{command}");
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(
                text.contains(socket.to_str().unwrap()) && text.contains("lippycat sniff voip"),
                "{text}"
            );
            assert!(output.stdout.is_empty());
        }
        let output = debug(&socket, &["config", "--json"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stderr).unwrap().contains("no sniffer is running"));
        let config: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(config["tcp_performance_mode"], "balanced");
    }
    let output = lippycat()
        .args(["debug", "health"])
        .env("XDG_RUNTIME_DIR", "/nonexistent")
        .args(["--name", "nobody"])
        .output();
    let text = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(
        text.contains("/run/lippycat/lippycat-nobody.sock or /nonexistent/lippycat/lippycat-nobody.sock"),
        "{text}"
    );
}

#[test]
fn metrics_go_to_what_is_there() {
    let sniffer = Sniffer::start(&case(), &[]);
    let path = |name: &str| sniffer.directory.path().join(name);
    let write = |to: &Path| {
        let output = sniffer.debug(&["metrics", "--format", "prometheus", "--output", to.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}: {output:?}", to.display());
        String::from_utf8(output.stdout).unwrap()
    };
    let is_whole = |text: &str| text.contains("lippycat_") && text.ends_with('\n');
    std::fs::write(path("file"), "").unwrap();
    std::os::unix::fs::symlink("file", path("link")).unwrap();
    write(&path("link"));
    assert!(path("link").is_symlink() && is_whole(&std::fs::read_to_string(path("file")).unwrap()));
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = path("pipe");
        move || std::fs::read_to_string(pipe).unwrap()
    });
    write(&path("pipe"));
    assert!(is_whole(&reader.join().unwrap()));
    for stdout in ["-", "/dev/stdout"] {
        assert!(is_whole(&write(Path::new(stdout))), "{stdout}");
    }
    assert!(!Path::new("-").exists());
    if !can(&["mknod"]) {
        return;
    }
    // Made here: those of the machine are everybody's.
    for (minor, code) in [("3", 0), ("7", 1)] {
        let node = path(minor);
        let made = Command::new("mknod").arg(&node).args(["c", "1", minor]).status();
        assert!(made.unwrap().success());
        let output = sniffer.debug(&["metrics", "--output", node.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(code), "null and full: {output:?}");
        let kind = std::fs::symlink_metadata(&node).unwrap().file_type();
        assert!(std::os::unix::fs::FileTypeExt::is_char_device(&kind));
    }
}

#[test]
fn a_configuration_that_was_named_must_be_right_also_to_ask() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("broken.yaml"), "nosuch: 1\n").unwrap();
    let ask = |arguments: &[&str]| {
        let mut command = lippycat();
        command.args(arguments).env("HOME", home.path()).env("XDG_RUNTIME_DIR", home.path());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for command in [&["debug", "health"][..], &["report", "calls", "--live"]] {
        for (name, text) in [("broken.yaml", "unknown key"), ("missing.yaml", "No such file")] {
            let (code, told) = ask(&[command, &["-c", &path(name)]].concat());
            assert!(code == Some(1) && told.contains(text) && told.lines().count() == 1, "{code:?} {told}");
        }
    }
    // One that was only found is told, and the usual places are asked.
    std::fs::rename(path("broken.yaml"), path(".lippycat.yaml")).unwrap();
    let (code, told) = ask(&["debug", "health"]);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains(".lippycat.yaml is skipped") && told.contains("no sniffer is running"), "{told}");
}

#[test]
fn a_second_sniffer_does_not_take_the_socket_of_the_first() {
    let sniffer = Sniffer::start(&case(), &[]);
    let again = |socket: &Path| {
        let input = case();
        let mut command = lippycat();
        command
            .args(["sniff", "voip", "--format", "none", "-r"])
            .arg(input)
            .arg("--control-socket")
            .arg(socket);
        command.output().unwrap()
    };
    let output = again(&sniffer.socket());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("another lippycat is running there"));
    assert_eq!(sniffer.debug(&["health"]).status.code(), Some(0), "the first goes on");
    let stale = sniffer.directory.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert_eq!(again(&stale).status.code(), Some(0));
    sniffer.end();
}

#[test]
fn hostile_clients_harm_nobody() {
    let sniffer = Sniffer::start(&case(), &[]);
    let threads = || std::fs::read_dir(format!("/proc/{}/task", sniffer.child.id())).unwrap().count();
    let before = threads();
    // Nobody speaks, somebody slowly, somebody without end, somebody nonsense; some do not read.
    let silent: Vec<UnixStream> = (0..200).filter_map(|_| connect(&sniffer.socket())).collect();
    assert!(silent.len() >= 32);
    assert!(threads() <= before + 32, "clients have a cap");
    drop(silent);
    let mut endless = connect(&sniffer.socket()).unwrap();
    let _ = endless.write_all(&vec![b'x'; 1 << 20]);
    let mut answer = String::new();
    let _ = endless.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.contains("\"too_long\""), "{answer}");
    let mut nonsense = connect(&sniffer.socket()).unwrap();
    nonsense
        .write_all(b"GET / HTTP/1.1\n\0\xff\n{}\n{\"version\":1,\"ask\":\"tea\"}\n{\"version\":9}\n")
        .unwrap();
    nonsense.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    nonsense.read_to_string(&mut answer).unwrap();
    let codes =
        answer.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["error"]["code"].clone());
    assert_eq!(codes.collect::<Vec<_>>(), ["malformed", "malformed", "malformed", "unknown", "version"]);
    let mut deaf = connect(&sniffer.socket()).unwrap();
    deaf.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    while deaf.write_all(b"{\"version\":1,\"ask\":\"summary\"}\n").is_ok() {}
    for request in
        ["\r\n", "GET", "POST /metrics HTTP/1.1\r\n\r\n", "GET /secret HTTP/1.1\r\n\r\n", "\0\0\0\n\n"]
    {
        let mut stream = TcpStream::connect(&sniffer.metrics).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(!answer.contains(" 200 "), "{request:?}: {answer}");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    let mut stream = TcpStream::connect(&sniffer.metrics).unwrap();
    let _ = stream.write_all(long.as_bytes());
    sniffer.wait_for(|sniffer| sniffer.debug(&["health"]).status.code() == Some(0));
    sniffer.end();
}

/// A client that comes while others hold all places may have to wait.
fn connect(socket: &Path) -> Option<UnixStream> {
    let stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    Some(stream)
}

#[test]
fn a_token_keeps_the_endpoint_to_those_who_know_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("c.yaml");
    let token = directory.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    std::fs::write(&config, format!("metrics: {{token_file: {}}}\n", token.display())).unwrap();
    let sniffer = Sniffer::start(&case(), &["-c", config.to_str().unwrap()]);
    let status = |field: &str| {
        let answer = sniffer.get(&format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{field}\r\n"));
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(status("authorization: bearer s3cret\r\n"), "200");
    for wrong in [
        "",
        "Authorization: Bearer s3cre\r\n",
        "Authorization: Bearer s3crets\r\n",
        "Authorization: s3cret\r\n",
    ] {
        assert_eq!(status(wrong), "401", "{wrong}");
    }
    sniffer.end();
}

#[test]
fn alerts_fire_are_listed_and_decide_health() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("c.yaml");
    // No process has less memory than that.
    std::fs::write(&config, "alerts: {MemoryHigh: {threshold: 1MiB, for: 0s}}\n").unwrap();
    let sniffer = Sniffer::start(&case(), &["-c", config.to_str().unwrap()]);
    let active = sniffer.json(&["alerts", "--active-only"]);
    let alert = &active[0];
    assert_eq!(
        (&alert["id"], &alert["name"], &alert["level"]),
        (&"memory-high".into(), &"MemoryHigh".into(), &"critical".into())
    );
    assert_eq!((&alert["resolved"], &alert["resolved_at"]), (&Value::Bool(false), &Value::Null));
    assert!(alert["metrics"]["memory_bytes"].as_u64() > Some(1 << 20));
    assert_eq!(sniffer.debug(&["alerts", "--exit-code"]).status.code(), Some(1));
    sniffer.wait_for(|sniffer| sniffer.debug(&["health"]).status.code() == Some(1));
    for command in [&["health"][..], &["health", "--json"], &["alerts", "--exit-code"]] {
        // As `| true`.
        let (reader, unread) = std::io::pipe().unwrap();
        drop(reader);
        let mut ask = lippycat();
        ask.arg("debug").args(command).arg("--control-socket").arg(sniffer.socket()).stdout(unread);
        assert_eq!(ask.status().unwrap().code(), Some(1), "{command:?}");
    }
    let health = sniffer.json(&["health"]);
    assert_eq!((&health["status"], &health["failing"][0]), (&"unhealthy".into(), &"alerts".into()));
    assert!(sniffer.get("GET /health HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 503 "));
    assert!(sniffer.text(&["summary"]).starts_with("Overall status: UNHEALTHY\n"));
    let mut sniffer = sniffer;
    drop(sniffer.input.take());
    let mut log = String::new();
    sniffer.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let line = log.lines().find(|line| line.contains("alert fired")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("ERROR") && line.contains("MB of memory in use"), "{line}");
}
