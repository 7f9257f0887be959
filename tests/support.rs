//! Running the program and its witness.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// How full this machine's disk is decides no test.
pub(crate) const ANY_DISK: [(&str, &str); 2] =
    [("LIPPYCAT_ALERTS_DISKSPACELOW_PERCENT", "0%"), ("LIPPYCAT_ALERTS_DISKSPACELOW_BYTES", "0")];

/// The program under test, with nothing of the user's configuration.
pub(crate) fn lippycat() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lippycat"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LIPPYCAT_") || name == "LOG_LEVEL")
    {
        command.env_remove(name);
    }
    // A service manager's, should the tests run in a service.
    for name in ["XDG_CONFIG_HOME", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"] {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent");
    command.envs(ANY_DISK);
    command
}

/// What a run over captures left behind.
pub(crate) struct Run {
    pub(crate) summary: Value,
    pub(crate) records: Vec<Value>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) directory: tempfile::TempDir,
}

impl Run {
    /// Follows every dialog of `input` and writes everything that can be written.
    pub(crate) fn of(input: &Path, more: &[&str]) -> Self {
        Self::over(&[input], &[&["--registrations", "--options"], more].concat())
    }

    /// Follows the calls of several inputs.
    pub(crate) fn over(inputs: &[&Path], more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let pcaps = directory.path().join("pcap");
        let records = directory.path().join("records.jsonl");
        let output = lippycat()
            .args(["sniff", "voip", "--format", "none", "--summary", "json", "-w", "--read-file"])
            .args(inputs)
            .arg("--pcap-dir")
            .arg(&pcaps)
            .arg("--records")
            .arg(&records)
            .args(more)
            .output()
            .expect("the program starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{inputs:?}: {}: {text}", output.status);
        let summary = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)));
        let records = std::fs::read_to_string(&records).expect("records were written");
        let records = records.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
        Self { summary, records, files: files(&pcaps), directory }
    }

    /// A number in the summary, by JSON pointer; absent counts as 0.
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        self.summary.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// The records without the place of their file, which is another one in every run.
    pub(crate) fn records_without_paths(&self) -> Vec<Value> {
        let mut records = self.records.clone();
        for record in &mut records {
            if let Some(path) = record.get_mut("pcap") {
                let name = path.as_str().and_then(|path| Path::new(path).file_name());
                *path = name.map(|name| name.to_string_lossy().into_owned()).into();
            }
        }
        records
    }

    /// The records of this kind of dialog.
    pub(crate) fn records_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.records.iter().filter(move |record| record["kind"] == kind)
    }

    /// Paths of the PCAPs that were written.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.files.keys().map(|name| self.directory.path().join("pcap").join(name)).collect()
    }
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("a readable file"))
        })
        .collect()
}

/// Every packet of the run is in one class, and a stage gives out what it took in.
pub(crate) fn assert_nothing_vanished(run: &Run, what: &str) {
    let classes = run.summary["packets_by"].as_object().expect("packets_by");
    let sum: u64 = classes.values().filter_map(Value::as_u64).sum();
    assert_eq!(run.number("/packets"), sum, "{what}: {classes:?}");
    let results = run.summary["calls"]["by_result"].as_object().expect("by_result");
    let sum: u64 = results.values().filter_map(Value::as_u64).sum();
    assert_eq!(run.number("/calls/total"), sum, "{what}: {results:?}");
    let requests = run.summary["sip"]["requests"].as_object().expect("requests");
    let responses = run.summary["sip"]["responses"].as_object().expect("responses");
    let sum: u64 = requests.values().chain(responses.values()).filter_map(Value::as_u64).sum();
    assert_eq!(run.number("/sip/messages"), sum, "{what}: by method and code");
    let transports = run.summary["sip"]["transports"].as_object().expect("transports");
    let sum: u64 = transports.values().filter_map(Value::as_u64).sum();
    assert_eq!(run.number("/sip/messages"), sum, "{what}: by transport");
}

/// tshark's output for these fields, a row per packet; none when tshark is not installed.
pub(crate) fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.args(["-2", "-n", "-o", "tcp.reassemble_out_of_order:TRUE", "-o", "ip.defragment:TRUE"]);
    command.args([
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
        "-o",
        "udp.check_checksum:TRUE",
    ]);
    command.args(["-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=;"]);
    command.arg("-r").arg(file).args(["-Y", filter]);
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    let Output { status, stdout, stderr } = command.output().ok()?;
    assert!(status.success(), "tshark on {}: {}", file.display(), String::from_utf8_lossy(&stderr));
    let text = String::from_utf8_lossy(&stdout).into_owned();
    Some(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// Whether tshark can be asked; says so when it cannot. In CI it has to be there.
pub(crate) fn has_tshark() -> bool {
    let there = Command::new("tshark").arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "CI installs tshark");
    if !there {
        eprintln!("skipped: tshark is not installed");
    }
    there
}

/// A directory of test data of this repository.
pub(crate) fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)
}

/// Does `work` with every item, on a few threads, and collects what it says is wrong.
pub(crate) fn on_threads<T: Sync>(items: &[T], work: impl Fn(&T) -> Vec<String> + Sync) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut found = work(item);
                    wrong.lock().unwrap().append(&mut found);
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

/// Whether this process may do what only root may.
pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout == b"0\n")
}
