//! A sniffer that goes on until it is told to stop, for tests of its life.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{is_root, lippycat};

/// A running sniffer, its outputs in files.
pub(crate) struct Service {
    pub(crate) child: Child,
    directory: PathBuf,
}

impl Service {
    /// Starts `sniff voip` with these arguments; what it prints, and its socket, go below `directory`.
    pub(crate) fn start(directory: &Path, change: impl FnOnce(&mut Command)) -> Self {
        Self::start_as(lippycat(), directory, change)
    }

    /// The same through another program, which has the sniffer as its last arguments.
    pub(crate) fn start_as(
        mut command: Command,
        directory: &Path,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        command.args(["sniff", "voip", "--format", "none", "--summary", "json", "--control-socket"]);
        command.arg(directory.join("control.sock"));
        command.stdin(Stdio::null());
        command.stdout(File::create(directory.join("stdout")).unwrap());
        command.stderr(File::create(directory.join("stderr")).unwrap());
        change(&mut command);
        Self { child: command.spawn().unwrap(), directory: directory.to_path_buf() }
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.directory.join("stderr")).unwrap()
    }

    /// Waits until stderr has this text.
    pub(crate) fn says(&self, text: &str) {
        wait_for(&format!("{text}: {}", self.directory.display()), || self.stderr().contains(text));
    }

    /// Waits until this number of its metrics is `wanted`.
    pub(crate) fn counts(&self, pointer: &str, wanted: u64) {
        let mut counted = 0;
        let told = format!("{pointer} of {wanted}: {}", self.directory.display());
        wait_for(&told, || {
            let mut command = lippycat();
            command.args(["debug", "metrics", "--json", "--control-socket"]);
            let output = command.arg(self.directory.join("control.sock")).output().unwrap();
            let metrics: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            counted = metrics.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
            counted >= wanted
        });
        assert_eq!(counted, wanted, "{pointer}");
    }

    pub(crate) fn signal(&self, signal: &str) {
        signal_process(self.child.id(), signal);
    }

    /// Ends it: exit code, summary, stderr.
    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, Value, String) {
        self.signal(signal);
        let code = self.outcome();
        let mut text = String::new();
        File::open(self.directory.join("stdout")).unwrap().read_to_string(&mut text).unwrap();
        let summary = serde_json::from_str(&text).unwrap_or(Value::Null);
        (code, summary, self.stderr())
    }

    /// Waits for its end.
    pub(crate) fn outcome(&mut self) -> Option<i32> {
        let mut status = None;
        wait_for("the end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal_process(process: u32, signal: &str) {
    let status = Command::new("kill").args([format!("-{signal}"), process.to_string()]).status();
    assert!(status.unwrap().success());
}

/// Waits until `done` says so, a minute at most: the machine may be busy.
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let began = now();
    while !done() {
        assert!(now() - began < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[allow(clippy::disallowed_methods, reason = "a test waits for another process")]
fn now() -> Instant {
    Instant::now()
}

/// Whether a test that needs root and these programs can run; says so when it cannot. In CI it has to.
pub(crate) fn can(programs: &[&str]) -> bool {
    let missing = |program: &&&str| {
        Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .output()
            .is_ok_and(|it| !it.status.success())
    };
    let missing: Vec<_> = programs.iter().filter(missing).collect();
    let can = is_root() && missing.is_empty();
    assert!(can || std::env::var_os("CI").is_none(), "CI runs as root and has {programs:?}");
    if !can {
        eprintln!("skipped: needs root and {programs:?}");
    }
    can
}

/// A network namespace with a loopback of its own, gone with this value.
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("life-{name}-{}", std::process::id());
        for arguments in [vec!["netns", "add", &name], vec!["-n", &name, "link", "set", "lo", "up"]] {
            assert!(Command::new("ip").args(arguments).status().unwrap().success());
        }
        Self(name)
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }

    /// Starts tcpdump on loopback and waits until it captures. What is in the kernel's ring when it is ended is lost: each
    /// packet is handed to it, and by it to its file, at once.
    pub(crate) fn tcpdump(&self, directory: &Path, arguments: &[&str]) -> Child {
        let log = directory.with_extension("tcpdump");
        let mut command = self.command("tcpdump");
        command
            .args(["-i", "lo", "-Z", "root", "-n", "-U", "--immediate-mode", "udp port 5060"])
            .args(arguments);
        let child =
            command.stdin(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        wait_for("tcpdump", || std::fs::read_to_string(&log).unwrap().contains("listening on"));
        child
    }

    /// Sends INVITEs, each of a call of its own, with so much in them and such a pause between them.
    pub(crate) fn send(&self, from: u32, count: u32, body: usize, pause: &str) {
        // Its own printf would cut a message at its line ends. Nobody listens, and the error of the message before is
        // told to the next: it is sent again.
        let script = format!(
            "exec 3<>/dev/udp/127.0.0.1/5060\nprintf -v pad '%0{body}d' 0\n\
             for ((i = {from}; i < {}; i++)); do\n\
             printf -v invite 'INVITE sip:b@c SIP/2.0\\r\\nVia: SIP/2.0/UDP a;branch=z9hG4bK%d\\r\\n\
             From: <sip:a@c>;tag=%d\\r\\nTo: <sip:b@c>\\r\\nCall-ID: %d@life\\r\\nCSeq: 1 INVITE\\r\\n\
             Content-Length: {}\\r\\n\\r\\n%s' $i $i $i $pad\n\
             until cat >&3 <<<$invite; do :; done\nsleep {pause}\ndone\ntrue",
            from + count,
            body + 1
        );
        let status = self.command("bash").args(["-c", &script]).stderr(Stdio::null()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}
