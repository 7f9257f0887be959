//! A throw-away machine for tests that need a service manager, a journal or a network of their own (`tests/machine/boot`).

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::is_root;

/// A machine that is up; gone when dropped.
pub(crate) struct Machine {
    boot: Child,
    pid: String,
    shared: tempfile::TempDir,
}

/// What a command in a machine did.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Machine {
    /// Starts one, with the program under test as `/srv/lippycat`; none, and it says so, without root. In CI there is root.
    pub(crate) fn boot() -> Option<Self> {
        let missing: Vec<&str> =
            ["unshare", "nsenter", "ip", "systemctl"].into_iter().filter(|it| !is_installed(it)).collect();
        if !is_root() || !missing.is_empty() {
            assert!(std::env::var_os("CI").is_none(), "CI is root, and installs {missing:?}");
            eprintln!("skipped: a machine of its own needs root, and {missing:?}");
            return None;
        }
        let shared = tempfile::tempdir().unwrap();
        fs::copy(env!("CARGO_BIN_EXE_lippycat"), shared.path().join("lippycat")).unwrap();
        copy(&here().join("shims"), &shared.path().join("shims"));
        let mut boot = Command::new(here().join("boot"))
            .arg(shared.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(boot.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.strip_prefix("ready ").unwrap_or_else(|| panic!("the machine did not start: {line}"));
        Some(Self { pid: pid.trim().to_owned(), boot, shared })
    }

    /// A file or directory that the machine sees as `/srv/NAME`.
    pub(crate) fn shared(&self, name: &str) -> PathBuf {
        self.shared.path().join(name)
    }

    /// A file of the machine, seen from here.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(&self.pid).join("root").join(path.trim_start_matches('/'))
    }

    /// A command line for the shell of the machine, in its `/root`.
    pub(crate) fn command(&self, script: &str) -> Command {
        let mut command = Command::new(here().join("in"));
        command.arg(&self.pid).args(["bash", "-c", script]).stdin(Stdio::null());
        command
    }

    /// Runs a script as a user would paste it.
    pub(crate) fn run(&self, script: &str) -> Done {
        let Output { status, stdout, stderr } = self.command(script).output().unwrap();
        Done {
            code: status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Runs a script that has to succeed, and gives what it printed.
    pub(crate) fn good(&self, script: &str) -> String {
        let done = self.run(script);
        assert_eq!(done.code, 0, "{script}\n{}{}\n{}", done.out, done.err, self.log());
        done.out
    }

    /// Waits until a script succeeds.
    pub(crate) fn until(&self, script: &str) {
        #[allow(clippy::disallowed_methods, reason = "waits for another process")]
        let start = Instant::now();
        while self.run(script).code != 0 {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "not within a minute: {script}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The end of the service's journal, for messages of failed tests.
    pub(crate) fn log(&self) -> String {
        self.run("journalctl --no-pager -n 30 -o short-precise").out
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.boot.stdin.take());
        let _ = self.boot.wait();
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machine")
}

fn is_installed(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|it| it.join(program).is_file())
}

/// Copies the files of a directory, with their modes.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
