//! The life of a service: signals, reload, logs, the service manager.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, pipe};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::service::{Service, can, wait_for};
use crate::support::lippycat;

/// Directories of a service: what it follows, its configuration and log, what it prints.
pub(crate) struct Scene {
    pub(crate) root: TempDir,
}

impl Scene {
    pub(crate) fn new(config: &str) -> Self {
        let scene = Self { root: tempfile::tempdir().unwrap() };
        for directory in ["captures", "etc", "log", "out"] {
            fs::create_dir(scene.root.path().join(directory)).unwrap();
        }
        scene.configure(config);
        scene
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn configure(&self, config: &str) {
        let config = config.replace("LOG", self.path("log/lippycat.log").to_str().unwrap());
        fs::write(self.path("etc/lippycat.yaml"), config).unwrap();
    }

    pub(crate) fn start(&self, change: impl FnOnce(&mut Command)) -> Service {
        self.start_as(lippycat(), change)
    }

    pub(crate) fn start_as(&self, command: Command, change: impl FnOnce(&mut Command)) -> Service {
        Service::start_as(command, &self.path("out"), |command| {
            command
                .arg("--config")
                .arg(self.path("etc/lippycat.yaml"))
                .arg("--follow")
                .arg(self.path("captures"));
            change(command);
        })
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log/lippycat.log")).unwrap_or_default()
    }

    /// Waits until the log has so many lines with this text.
    pub(crate) fn logs(&self, count: usize, text: &str) {
        wait_for(text, || self.log().lines().filter(|line| line.contains(text)).count() == count);
    }
}

#[test]
fn a_reload_takes_what_it_can_and_keeps_the_old_when_it_cannot() {
    let scene = Scene::new("log: {file: LOG}");
    let service = scene.start(|_| {});
    service.says("Ctrl-C ends");
    let mode = fs::metadata(scene.path("log/lippycat.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
    let hang_up = || service.signal("HUP");
    scene.configure("log: {file: LOG}\nvoip: {max_goroutines: 7}\npcap: {name: x}");
    hang_up();
    scene.logs(1, "changed, but in force only after a restart: voip.max_goroutines, pcap.name");
    scene.configure("log: {file: LOG}\nvoip: {max_gorotines: 7}");
    hang_up();
    scene.logs(1, "the configuration stays as it was: error: ");
    let place = format!("{}:2:8: voip.max_gorotines: unknown key", scene.path("etc/lippycat.yaml").display());
    scene.logs(1, &place);
    fs::remove_file(scene.path("etc/lippycat.yaml")).unwrap();
    hang_up();
    scene.logs(2, "the configuration stays as it was: error: ");
    // What is told of the change in a log line is in the new format already.
    scene.configure("log: {file: LOG, level: warn, format: json}\npcap: {name: y}");
    hang_up();
    scene.logs(1, r#""level":"WARN""#);
    scene.configure("log: [");
    hang_up();
    scene.logs(3, "the configuration stays as it was: error: ");
    let last: serde_json::Value = serde_json::from_str(scene.log().lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "ERROR");
    let (code, _, told) = service.end("TERM");
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("the configuration stays as it was"), "stderr has the lines too");
}

#[test]
fn logs_are_rotated() {
    let scene = Scene::new("log: {file: LOG}");
    let service = scene.start(|_| {});
    service.says("Ctrl-C ends");
    for (number, signal) in [(1, "HUP"), (2, "USR1")] {
        let old = scene.path(&format!("log/lippycat.log.{number}"));
        fs::rename(scene.path("log/lippycat.log"), &old).unwrap();
        service.signal(signal);
        scene.logs(1, "are opened anew");
        assert!(!fs::read_to_string(old).unwrap().is_empty());
    }
    // A log that cannot be opened anew: the old one is used on, and the error stands there.
    let (log, old) = (scene.path("log/lippycat.log"), scene.path("log/old"));
    wait_for("the directory", || {
        // It may be there again at once.
        let _ = fs::rename(&log, &old);
        fs::create_dir(&log).is_ok()
    });
    service.signal("USR1");
    wait_for("the error", || {
        fs::read_to_string(&old).unwrap().contains("lines go on into the old log: error: ")
    });
    assert_eq!(service.end("INT").0, Some(0));
}

/// A rotation without a signal, as the logrotate of somebody who does not know of it.
#[test]
fn a_log_that_was_moved_away_is_begun_anew() {
    let scene = Scene::new("log: {file: LOG}");
    let service = scene.start(|_| {});
    service.says("Ctrl-C ends");
    let log = scene.path("log/lippycat.log");
    fs::rename(&log, scene.path("log/lippycat.log.1")).unwrap();
    wait_for("a new log", || log.exists());
    // Something to tell.
    fs::write(scene.path("captures/x.pcap"), [b'B', b'Z', b'h', 0].repeat(10)).unwrap();
    scene.logs(1, "left out");
    assert_eq!(service.end("INT").0, Some(0));
}

#[test]
fn a_log_that_cannot_be_written_is_no_start() {
    let scene = Scene::new("log: {file: /dev/null/log}");
    let (code, told) = {
        let mut service = scene.start(|_| {});
        (service.outcome(), service.stderr())
    };
    assert_eq!(code, Some(1));
    assert!(told.starts_with("error: /dev/null/log: the log cannot be written there: "), "{told}");
}

#[test]
fn levels_are_read_in_any_case() {
    for (name, value, lines) in [
        ("LOG_LEVEL", "ErRoR", false),
        ("LIPPYCAT_LOG_LEVEL", "INFO", true),
        ("LIPPYCAT_LOG_LEVEL", "Warn", false),
    ] {
        let scene = Scene::new("");
        let service = scene.start(|command| {
            command.env(name, value);
        });
        service.says("Ctrl-C ends");
        assert_eq!(service.stderr().contains(" INFO lippycat debug is answered"), lines, "{name}={value}");
    }
}

#[test]
fn the_service_manager_is_told() {
    let scene = Scene::new("");
    let socket = UnixDatagram::bind(scene.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let next = || {
        let mut buffer = [0; 4096];
        // With a time-out the system does not go on with a call that a signal interrupts (signal(7)).
        let length = loop {
            match socket.recv(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                received => break received.unwrap(),
            }
        };
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let service = scene.start(|command| {
        command.env("NOTIFY_SOCKET", scene.path("notify")).env("WATCHDOG_USEC", "400000");
    });
    let ready = next();
    assert!(ready.starts_with("READY=1\nSTATUS=following "), "{ready}");
    let (mut watchdogs, mut status) = (0, false);
    while watchdogs < 5 || !status {
        match next().trim() {
            "WATCHDOG=1" => watchdogs += 1,
            text => {
                assert!(text.starts_with("STATUS=following ") && text.ends_with(": 0 packets"), "{text}");
                status = true;
            }
        }
    }
    service.signal("HUP");
    let skip = |wanted: &str| loop {
        let text = next();
        if text.contains(wanted) {
            return text;
        }
        assert!(text.contains("WATCHDOG") || text.contains("STATUS"), "{wanted}: {text}");
    };
    let reloading = skip("RELOADING=1");
    let since = reloading.split("MONOTONIC_USEC=").nth(1).unwrap().trim().parse::<u64>().unwrap();
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let uptime = uptime.split('.').next().unwrap().parse::<u64>().unwrap();
    assert!((uptime - 5..=uptime + 1).contains(&(since / 1_000_000)), "{since} {uptime}");
    skip("READY=1");
    let (code, ..) = service.end("TERM");
    assert_eq!(code, Some(0));
    skip("STOPPING=1");
}

/// The first journal entry with this message.
fn entry_with(socket: &UnixDatagram, message: &str) -> BTreeMap<String, String> {
    loop {
        let entry = entry(socket);
        if entry["MESSAGE"].contains(message) {
            return entry;
        }
    }
}

/// Fields of a native journal entry: `NAME=value`, or the name, the value's length in 64 bits, and the value.
fn entry(socket: &UnixDatagram) -> BTreeMap<String, String> {
    let mut buffer = vec![0; 65_536];
    // An empty one asks whether the journal is there.
    let length = (0..9).map(|_| socket.recv(&mut buffer).unwrap()).find(|length| *length > 0).unwrap();
    let mut rest = &buffer[..length];
    let mut fields = BTreeMap::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = text(&rest[..end]);
        rest = &rest[end + 1..];
        if let Some((name, value)) = line.split_once('=') {
            fields.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        fields.insert(line, text(&rest[8..8 + length]));
        rest = &rest[8 + length + 1..];
    }
    fields
}

#[test]
fn under_systemd_the_journal_gets_priorities() {
    if !can(&["unshare", "mount"]) {
        return;
    }
    let scene = Scene::new("");
    let journal = scene.path("journal");
    fs::create_dir(&journal).unwrap();
    let socket = UnixDatagram::bind(journal.join("socket")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind \"$0\" /run/systemd/journal \
                  && JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) && export JOURNAL_STREAM && exec \"$@\"";
    command.args(["-m", "sh", "-c", script]).arg(&journal).arg(env!("CARGO_BIN_EXE_lippycat"));
    command.env("HOME", "/nonexistent");
    let service = scene.start_as(command, |_| {});
    let first = entry_with(&socket, "lippycat debug is answered at ");
    assert_eq!(first["PRIORITY"], "6", "{first:?}");
    assert_eq!(first["SYSLOG_IDENTIFIER"], "lippycat");
    service.says("Ctrl-C ends");
    assert!(!service.stderr().contains("is answered"), "not twice");
    scene.configure("x: 1");
    service.signal("HUP");
    let error = entry_with(&socket, "the configuration stays as it was: error: ");
    assert_eq!(error["PRIORITY"], "3", "{error:?}");
    assert_eq!(service.end("TERM").0, Some(0));
    // What keeps it from starting has its priority too.
    let mut command = Command::new("sh");
    let script = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) && export JOURNAL_STREAM && exec \"$@\"";
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_lippycat"), "sniff", "voip", "-r", "/nonexistent"]);
    let output = command.output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("<3>error: /nonexistent"), "{output:?}");
}

#[test]
fn file_names_do_not_act() {
    let scene = Scene::new("log: {file: LOG}");
    let name = "\u{1b}[2J\nerror: forged.pcap";
    fs::write(scene.path("captures").join(name), [0x1f, 0x8b, 8, 0].repeat(10)).unwrap();
    let unreadable = scene.path("captures").join(format!("x{name}"));
    fs::write(&unreadable, [b'B', b'Z', b'h', 0].repeat(10)).unwrap();
    let service = scene.start(|_| {});
    scene.logs(1, "left out");
    for text in [scene.log(), service.stderr()] {
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{text}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let scene = Scene::new("");
    let manager = UnixDatagram::bind(scene.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // Nobody reads its summary, for which the pipe has no room: it heard the first signal and cannot finish.
    let (_reader, mut full) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&full, true).unwrap();
    while full.write(&[b' '; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&full, false).unwrap();
    let mut service = scene.start(|command| {
        command.env("NOTIFY_SOCKET", scene.path("notify")).stdout(full);
    });
    service.says("Ctrl-C ends");
    service.signal("INT");
    wait_for("its stopping", || {
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).unwrap();
        buffer[..length].starts_with(b"STOPPING=1")
    });
    service.signal("TERM");
    assert_eq!(service.outcome(), Some(130));
}

#[test]
fn a_followed_file_is_only_read() {
    let scene = Scene::new("");
    let capture = scene.path("captures/a.pcap");
    fs::write(&capture, [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0])
        .unwrap();
    let before = fs::metadata(&capture).unwrap();
    let service = scene.start(|_| {});
    service.says("Ctrl-C ends");
    assert_eq!(service.end("TERM").0, Some(0));
    let after = fs::metadata(Path::new(&capture)).unwrap();
    assert_eq!((before.mtime_nsec(), before.len()), (after.mtime_nsec(), after.len()));
}
