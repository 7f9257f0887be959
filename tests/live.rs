//! Capture from interfaces: a cable between two namespaces, real captures sent over it, and what the program makes
//! of them. It takes root; without, these tests say so and pass. In CI they have to run.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::Value;

use crate::support::{ANY_DISK, Run, is_root, lippycat, testdata};

/// Tells the sender, which is this test program again, what to send on which interface.
const SEND: &str = "LIVE_TEST_SEND";

/// How long anything may take, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Wall time, which is what these tests are about.
struct Watch(std::time::Instant);

impl Watch {
    #[allow(clippy::disallowed_methods, reason = "a live run has to end within a second of the wall clock")]
    fn start() -> Self {
        Self(std::time::Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// One or several cables between a namespace that sends and one that captures.
struct Wire {
    sender: String,
    sniffer: String,
}

impl Wire {
    /// Cables `s0`-`c0`, `s1`-`c1` and so on; none when namespaces cannot be made here.
    fn new(cables: usize) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if !is_root() {
            assert!(std::env::var_os("CI").is_none(), "CI runs these tests as root");
            eprintln!("skipped: capturing takes root");
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |end: &str| format!("live-{}-{number}-{end}", std::process::id());
        let wire = Self { sender: name("s"), sniffer: name("c") };
        for namespace in [&wire.sender, &wire.sniffer] {
            ip(&["netns", "add", namespace]);
            // Neighbour discovery would be packets that nobody sent.
            let quiet = "for it in all default; do echo 1 > /proc/sys/net/ipv6/conf/$it/disable_ipv6; done";
            inside(namespace, &["sh", "-c", quiet]);
        }
        (0..cables).for_each(|cable| wire.plug(cable));
        Some(wire)
    }

    fn plug(&self, cable: usize) {
        let (out, into) = (format!("s{cable}"), format!("c{cable}"));
        ip(&[
            "link",
            "add",
            &out,
            "netns",
            &self.sender,
            "type",
            "veth",
            "peer",
            "name",
            &into,
            "netns",
            &self.sniffer,
        ]);
        for (namespace, end) in [(&self.sender, &out), (&self.sniffer, &into)] {
            ip(&["-n", namespace, "link", "set", end, "mtu", "9000", "arp", "off", "up"]);
        }
    }

    /// Sends the packets of a capture so many times, in their order, at most `rate` of them a second; 0 is without a
    /// limit. Of two interfaces, each has one direction. Returns how many were sent.
    fn send(&self, interfaces: &str, file: &Path, times: usize, rate: usize) -> usize {
        let what = format!("{interfaces};{times};{rate};{}", file.display());
        let output = Command::new("ip")
            .args(["netns", "exec", &self.sender])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "live::sends", "--nocapture", "--test-threads=1"])
            .env(SEND, what)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let count = text.split("sent ").nth(1).and_then(|rest| rest.split_whitespace().next());
        count.unwrap_or_else(|| panic!("{text} {}", String::from_utf8_lossy(&output.stderr))).parse().unwrap()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.sender, &self.sniffer] {
            let _ = Command::new("ip").args(["netns", "delete", namespace]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn inside(namespace: &str, command: &[&str]) {
    let status = Command::new("ip").args(["netns", "exec", namespace]).args(command).status().unwrap();
    assert!(status.success(), "{command:?}");
}

/// Not a test: what [`Wire::send`] runs in the other namespace.
#[test]
fn sends() {
    let Ok(what) = std::env::var(SEND) else { return };
    let parts: Vec<&str> = what.splitn(4, ';').collect();
    let [interfaces, times, rate, file] = parts[..] else { panic!("{what}") };
    let (times, rate): (usize, usize) = (times.parse().unwrap(), rate.parse().unwrap());
    let mut capture = pcap::Capture::from_file(file).unwrap();
    let mut frames = Vec::new();
    while let Ok(packet) = capture.next_packet() {
        frames.push(packet.data.to_vec());
    }
    let open = |interface| pcap::Capture::from_device(interface).unwrap().open().unwrap();
    let mut out: Vec<_> = interfaces.split(',').map(open).collect();
    let (begin, mut sent) = (Watch::start(), 0usize);
    for frame in (0..times).flat_map(|_| &frames) {
        if rate > 0 {
            let due = Duration::from_secs_f64(sent as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
        }
        let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let direction = usize::from(out.len() > 1 && port(34) > port(36));
        // A full queue of the device says so: that frame goes again.
        while let Err(error) = out[direction].sendpacket(frame.as_slice()) {
            assert!(begin.elapsed() < PATIENCE, "frame {sent}: {error}");
            std::thread::yield_now();
        }
        sent += 1;
    }
    println!("sent {sent} ");
}

/// A process that does not outlive the test that started it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, capturing.
struct Sniffer {
    process: Process,
    log: Receiver<String>,
    /// All that it writes to its output, once that is closed.
    output: Receiver<String>,
    directory: tempfile::TempDir,
}

impl Sniffer {
    /// Starts it on the wire's other end and waits until it captures.
    fn start(wire: &Wire, interfaces: &str, more: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let program = lippycat();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &wire.sniffer]).arg(program.get_program());
        command.args(["sniff", "voip", "-i", interfaces, "--format", "none", "--summary", "json"]);
        command.arg("--control-socket").arg(directory.path().join("control.sock"));
        command.arg("-w").arg("--pcap-dir").arg(directory.path().join("pcap"));
        command.arg("--records").arg(directory.path().join("records.jsonl")).args(more);
        command.env("HOME", "/nonexistent").envs(ANY_DISK);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process(command.spawn().unwrap());
        let lines = BufReader::new(process.0.stderr.take().unwrap()).lines();
        let (put, log) = sync_channel(1_000);
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| put.send(line)));
        let mut stdout = process.0.stdout.take().unwrap();
        let (put, output) = sync_channel(1);
        std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            let _ = put.send(text);
        });
        let sniffer = Self { process, log, output, directory };
        sniffer.wait_for("capturing on ");
        sniffer
    }

    /// Waits until it says that.
    fn wait_for(&self, text: &str) {
        let mut seen = Vec::new();
        while let Ok(line) = self.log.recv_timeout(Duration::from_secs(60)) {
            if line.contains(text) {
                return;
            }
            seen.push(line);
        }
        panic!("no {text:?} in {seen:?}");
    }

    /// Waits until `debug health` says of its capture what is wanted, and is as content as it should be.
    fn wait_for_health(&self, value: &str, is_good: bool) {
        let begin = Watch::start();
        loop {
            let mut command = lippycat();
            command.args(["debug", "health", "--json", "--control-socket"]);
            let output = command.arg(self.directory.path().join("control.sock")).output().unwrap();
            let health: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let checks = health["checks"].as_array().cloned().unwrap_or_default();
            let capture = checks.into_iter().find(|check| check["name"] == "capture").unwrap_or_default();
            if capture["value"] == value && output.status.success() == is_good {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{:?} {health}", output.status);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until it has ended, and gives what it wrote.
    fn ended(&mut self, after: &str) -> (ExitStatus, String) {
        let Ok(text) = self.output.recv_timeout(PATIENCE) else {
            panic!("not ended {PATIENCE:?} after {after}: {:?}", self.log.try_iter().collect::<Vec<_>>());
        };
        (self.process.0.wait().unwrap(), text)
    }

    /// Ends it as a user or a service manager does, and gives its summary and the time that took.
    fn stop(mut self, signal: &str) -> (Finished, Duration) {
        let begin = Watch::start();
        let id = self.process.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let (status, text) = self.ended(signal);
        let took = begin.elapsed();
        let log: Vec<String> = self.log.try_iter().collect();
        assert!(status.success(), "{status}: {log:?}");
        let summary = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        (Finished { summary, log, directory: self.directory }, took)
    }
}

/// What a run left.
struct Finished {
    summary: Value,
    log: Vec<String>,
    directory: tempfile::TempDir,
}

impl Finished {
    fn number(&self, pointer: &str) -> u64 {
        self.summary.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.directory.path().join("records.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.directory.path().join("pcap"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn drops(&self) -> u64 {
        let stages = self.summary["dropped"]["capture"].as_object();
        stages.into_iter().flat_map(|reasons| reasons.values()).filter_map(Value::as_u64).sum()
    }
}

fn corpus(case: &str) -> PathBuf {
    testdata("corpus").join(case).join("input.pcap")
}

#[test]
fn a_capture_on_the_wire_is_what_it_is_as_a_file() {
    let Some(wire) = Wire::new(1) else { return };
    for case in ["register-invite-reinvite-bye", "sip-over-tcp", "udp-ip-fragmented"] {
        let file = Run::over(&[&corpus(case)], &[]);
        for mode in ["memory", "balanced", "throughput", "latency"] {
            let sniffer = Sniffer::start(&wire, "c0", &["-M", mode]);
            let sent = wire.send("s0", &corpus(case), 1, 2_000);
            let (run, _) = sniffer.stop("-TERM");
            let what = format!("{case}, {mode}: {}", run.summary);
            assert_eq!(run.number("/packets") + run.drops(), sent as u64, "{what}");
            // Sent faster than it was captured: what depends on time, such as the name of a repetition, may differ.
            for key in ["/packets_by", "/rtp", "/rtcp", "/registrations", "/fragments", "/calls/total"]
                .into_iter()
                .chain(["/sip/messages", "/sip/requests", "/sip/responses", "/sip/call_ids", "/sip/with_sdp"])
            {
                assert_eq!(run.summary.pointer(key), file.summary.pointer(key), "{key}: {what}");
            }
            assert_eq!(run.files(), file.files.keys().cloned().collect::<Vec<_>>(), "{what}");
            assert_eq!(run.records().len(), file.records.len(), "{what}");
        }
    }
}

/// Within a second where there is nothing else to do; a machine that is busy may take longer, and one that waited for a
/// packet would wait for ever.
#[test]
fn a_silent_wire_ends_when_it_is_told_to() {
    let Some(wire) = Wire::new(1) else { return };
    for (signal, mode) in [("-TERM", "balanced"), ("-INT", "memory")] {
        let sniffer = Sniffer::start(&wire, "c0", &["-M", mode]);
        std::thread::sleep(Duration::from_millis(300));
        let (run, took) = sniffer.stop(signal);
        assert_eq!(run.number("/packets"), 0);
        assert!(took < Duration::from_secs(20), "{mode}: {took:?}");
    }
}

#[test]
fn time_goes_on_while_the_wire_is_silent() {
    let Some(wire) = Wire::new(1) else { return };
    let mut sniffer = Sniffer::start(&wire, "c0", &["--duration", "1s"]);
    let begin = Watch::start();
    wire.send("s0", &corpus("sip-over-tcp"), 1, 0);
    let (status, _) = sniffer.ended("the last packet");
    assert!(status.success() && begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[test]
fn an_interface_goes_and_comes_back() {
    let Some(wire) = Wire::new(1) else { return };
    let case = corpus("register-invite-reinvite-bye");
    let sniffer = Sniffer::start(&wire, "c0", &[]);
    let mut sent = wire.send("s0", &case, 1, 5_000);
    ip(&["-n", &wire.sniffer, "link", "set", "c0", "down"]);
    sniffer.wait_for("c0: the interface is down");
    sniffer.wait_for_health("c0 is down", false);
    ip(&["-n", &wire.sniffer, "link", "set", "c0", "up"]);
    sniffer.wait_for("c0: the interface is up again");
    sniffer.wait_for_health("running", true);
    sent += wire.send("s0", &case, 1, 5_000);
    ip(&["-n", &wire.sniffer, "link", "delete", "c0"]);
    sniffer.wait_for("c0: the interface is gone");
    wire.plug(0);
    sniffer.wait_for("c0: the interface is back");
    sent += wire.send("s0", &case, 1, 5_000);
    let (run, _) = sniffer.stop("-TERM");
    assert_eq!(run.number("/packets"), sent as u64, "{}", run.summary);
    let said: Vec<&String> = run.log.iter().filter(|line| line.contains("the interface is")).collect();
    assert!(said.is_empty(), "said again: {said:?}");
}

#[test]
fn where_every_interface_is_down_there_is_one_clear_error() {
    let Some(wire) = Wire::new(2) else { return };
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    for interfaces in ["c0", "c0,c1"] {
        for name in interfaces.split(',') {
            ip(&["-n", &wire.sniffer, "link", "set", name, "down"]);
        }
        let program = lippycat();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &wire.sniffer]).arg(program.get_program());
        command.args(["sniff", "voip", "-i", interfaces, "--control-socket"]).arg(&socket);
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        let names = interfaces.replace(',', ", ");
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.starts_with(&format!("error: {names}: down")) && told.contains("ip link set c0 up"),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn an_interface_that_is_down_at_the_start_is_waited_for() {
    let Some(wire) = Wire::new(2) else { return };
    let case = corpus("register-invite-reinvite-bye");
    ip(&["-n", &wire.sniffer, "link", "set", "c1", "down"]);
    let sniffer = Sniffer::start(&wire, "c0,c1", &[]);
    sniffer.wait_for_health("c1 is down", false);
    let mut sent = wire.send("s0", &case, 1, 5_000);
    ip(&["-n", &wire.sniffer, "link", "set", "c1", "up"]);
    sniffer.wait_for("c1: the interface is back");
    sent += wire.send("s1", &case, 1, 5_000);
    let (run, _) = sniffer.stop("-TERM");
    assert_eq!(run.number("/packets"), sent as u64, "{}", run.summary);
}

/// A tap has a card for each direction.
#[test]
fn two_cards_of_a_tap_are_one_source_of_calls() {
    let Some(wire) = Wire::new(2) else { return };
    let input = corpus("register-invite-reinvite-bye");
    let file = Run::over(&[&input], &[]);
    let sniffer = Sniffer::start(&wire, "c0,c1", &[]);
    let sent = wire.send("s0,s1", &input, 1, 0);
    let (run, _) = sniffer.stop("-TERM");
    assert_eq!(run.number("/packets"), sent as u64, "{}", run.summary);
    for key in ["packets_by", "sip", "calls", "rtp", "registrations"] {
        assert_eq!(run.summary[key], file.summary[key], "{key}");
    }
}

/// Packets that the kernel lost before any socket saw them: the second column of /proc/net/softnet_stat.
fn softnet_drops() -> u64 {
    let text = std::fs::read_to_string("/proc/net/softnet_stat").unwrap();
    let column = |line: &str| line.split_whitespace().nth(1).map(|it| u64::from_str_radix(it, 16).unwrap());
    text.lines().filter_map(column).sum()
}

#[test]
fn what_the_kernel_drops_is_counted_exactly() {
    let Some(wire) = Wire::new(1) else { return };
    for mode in ["memory", "balanced", "throughput"] {
        let sniffer = Sniffer::start(&wire, "c0", &["-M", mode, "--buffer-size", "1MiB"]);
        let lost_before = softnet_drops();
        let sent = wire.send("s0", &corpus("register-invite-reinvite-bye"), 500, 0) as u64;
        // What the kernel lost between the two ends of the cable never came to any socket.
        let lost = softnet_drops() - lost_before;
        // Ended at once: what is in the ring still counts.
        let (run, took) = sniffer.stop("-TERM");
        let (packets, drops) = (run.number("/packets"), run.drops());
        let range = sent - lost..=sent;
        assert!(range.contains(&(packets + drops)), "{mode}: {range:?} {packets} + {drops}: {}", run.summary);
        let kinds = run.summary["packets_by"].as_object().unwrap().values().filter_map(Value::as_u64);
        assert_eq!(kinds.sum::<u64>(), packets, "{mode}: {}", run.summary);
        assert!(took < Duration::from_secs(20), "{mode}: {took:?}");
    }
}

#[test]
fn a_port_filter_keeps_fragments_and_says_that_it_is_widened() {
    let Some(wire) = Wire::new(1) else { return };
    let case = corpus("udp-ip-fragmented");
    let file = Run::over(&[&case], &["-f", "port 5060"]);
    let sniffer = Sniffer::start(&wire, "c0", &["-f", "port 5060"]);
    wire.send("s0", &case, 1, 1_000);
    let (run, _) = sniffer.stop("-TERM");
    assert!(file.number("/fragments/reassembled") > 0);
    assert_eq!(run.summary["sip"], file.summary["sip"]);
    assert_eq!(run.summary["fragments"], file.summary["fragments"]);
}

#[test]
fn without_the_right_the_command_that_gives_it_is_told() {
    if !is_root() {
        return;
    }
    let program = lippycat();
    let run = |arguments: &[&str]| {
        let output = Command::new("setpriv")
            .args(["--bounding-set", "-net_raw,-net_admin"])
            .arg(program.get_program())
            .args(arguments)
            .env("HOME", "/nonexistent")
            .output()
            .expect("util-linux is installed");
        (output.status.code(), String::from_utf8(output.stderr).unwrap(), output.stdout)
    };
    let command = format!("setcap cap_net_raw,cap_net_admin=eip {}", program.get_program().to_string_lossy());
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock").to_string_lossy().into_owned();
    let sniff = ["sniff", "voip", "-i", "lo", "--control-socket", &socket];
    for arguments in [&sniff[..], &["interfaces"], &["interfaces", "--json"]] {
        let (code, text, _) = run(arguments);
        assert_eq!(code, Some(4), "{arguments:?}: {text}");
        assert!(text.starts_with("error: ") && text.contains(&command), "{arguments:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    let (_, _, out) = run(&["interfaces", "--json"]);
    let answer: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(answer["may_capture"], false);
    assert_eq!(answer["missing"], serde_json::json!(["cap_net_raw", "cap_net_admin"]));
    assert!(answer["interfaces"].as_array().unwrap().iter().any(|it| it["name"] == "lo"));
}
