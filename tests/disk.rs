//! Live runs and their disks: what is on disk when, what a crash leaves, disks that say no, files that are to go.
//!
//! Packets come through a pipe, as from an interface. Small file systems are mounted in a mount namespace of their own,
//! which takes root.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};

use crate::classic::{Classic, Packet};
use crate::support::{Run, has_tshark, is_root, lippycat, tshark};
use crate::traffic::{capture, profile};

/// A run whose packets come one after the other through a pipe.
struct Fed {
    child: Child,
    input: Option<ChildStdin>,
    told: NamedTempFile,
}

impl Fed {
    fn start(directory: &Path, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let told = NamedTempFile::new().unwrap();
        let mut command = lippycat();
        command.args([
            "sniff",
            "voip",
            "-r",
            "-",
            "-w",
            "--format",
            "none",
            "--summary",
            "json",
            "--pcap-dir",
        ]);
        command.arg(directory).args(more).envs(environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(told.reopen().unwrap());
        let mut child = command.spawn().unwrap();
        Self { input: child.stdin.take(), child, told }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(status.unwrap().success());
    }

    fn told(&self) -> String {
        fs::read_to_string(self.told.path()).unwrap()
    }

    /// Waits until `is_there` tells of something, which is due within a second; slow machines get more.
    fn wait(&self, what: &str, is_there: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_there() {
            assert!(begin.elapsed() < Duration::from_secs(120), "{what}: {}", self.told());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The input ends; exit code, summary and what was told.
    fn end(mut self) -> (Option<i32>, Value, String) {
        drop(self.input.take());
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        let code = self.child.wait().unwrap().code();
        (code, serde_json::from_str(&text).unwrap_or_default(), self.told())
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file system in a mount namespace of its own, which ends with the process that holds it.
struct Disk {
    holder: Child,
    path: PathBuf,
    mounted: TempDir,
}

impl Disk {
    /// None where that is not permitted, and said; in CI it has to be.
    fn mount(size: &str) -> Option<Self> {
        let mounted = tempfile::tempdir().unwrap();
        let script = format!("mount -t tmpfs -o size={size} tmpfs \"$1\" && echo mounted && exec sleep 300");
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", &script, "sh"]).arg(mounted.path());
        let holder = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let there = holder.ok().filter(|_| is_root()).and_then(|mut holder| {
            let mut word = [0; 8];
            holder.stdout.as_mut()?.read_exact(&mut word).ok()?;
            Some(holder)
        });
        if there.is_none() {
            assert!(std::env::var_os("CI").is_none() || !is_root(), "CI mounts file systems");
            eprintln!("skipped: a small file system cannot be mounted here");
        }
        let holder = there?;
        // Through the holder's root, what is mounted for it alone can be reached.
        let inside = mounted.path().strip_prefix("/").unwrap();
        let path = PathBuf::from(format!("/proc/{}/root", holder.id())).join(inside);
        Some(Self { holder, path, mounted })
    }

    fn remount(&self, option: &str) {
        let mut command = Command::new("nsenter");
        command.args([
            "-m",
            "-t",
            &self.holder.id().to_string(),
            "mount",
            "-o",
            &format!("remount,{option}"),
        ]);
        assert!(command.arg(self.mounted.path()).status().unwrap().success(), "{option}");
    }

    /// Fills it up to the last byte.
    fn fill(&self) -> PathBuf {
        let path = self.path.join("ballast");
        let mut ballast = fs::File::create(&path).unwrap();
        for size in [65_536, 4_096, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A capture in pieces, each as bytes behind the file header of the first.
fn pieces(all: &Classic, ends: &[usize]) -> Vec<Vec<u8>> {
    let mut from = 0;
    let mut pieces = Vec::new();
    for &end in ends.iter().chain([&all.packets.len()]) {
        let bytes = all.with(all.packets[from..end].to_vec()).bytes();
        pieces.push(if from == 0 { bytes } else { bytes[24..].to_vec() });
        from = end;
    }
    pieces
}

fn calls(knobs: &[(&str, &str)]) -> (Classic, NamedTempFile) {
    let (file, _) = capture(&profile(knobs));
    (Classic::read(file.path()).unwrap(), file)
}

/// Files below a directory by their names from there, without hidden ones.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            let below = files(&entry.path());
            found.extend(below.into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else if !name.starts_with('.')
            && let Ok(bytes) = fs::read(entry.path())
        {
            found.insert(name, bytes);
        }
    }
    found
}

/// What the files of a run over the first packets of a capture hold.
fn truth(all: &Classic, count: usize) -> BTreeMap<String, Vec<u8>> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&all.with(all.packets[..count].to_vec()).bytes()).unwrap();
    Run::over(&[file.path()], &[]).files
}

/// A packet so late that every call before it is over for good.
fn late(all: &Classic) -> Vec<u8> {
    let last = all.packets.last().unwrap().seconds;
    let nothing = |seconds| Packet { seconds, fraction: 0, original: 60, frame: vec![0; 60] };
    all.with(vec![nothing(last + 600), nothing(last + 601)]).bytes()[24..].to_vec()
}

#[test]
fn a_crash_costs_a_second_and_the_next_start_finishes() {
    let (all, _file) = calls(&[("calls", "40"), ("tcp", "0.4"), ("rtp", "0.3"), ("hold", "2")]);
    let half = all.packets.len() / 2;
    let wanted = truth(&all, half);
    for mode in ["memory", "balanced", "throughput"] {
        let directory = tempfile::tempdir().unwrap();
        let mut run = Fed::start(directory.path(), &["-M", mode], &[]);
        run.feed(&pieces(&all, &[half])[0]);
        let whole = |ending: &str| {
            let found = files(directory.path());
            wanted.iter().all(|(name, bytes)| {
                found.get(name).or_else(|| found.get(&format!("{name}{ending}"))) == Some(bytes)
            })
        };
        if mode == "memory" {
            // Nothing but packets tells the time there.
            run.feed(&late(&all));
            run.wait(mode, || files(directory.path()).len() >= wanted.len());
            continue;
        }
        run.wait(mode, || whole(".part"));
        run.signal("KILL");
        drop(run);
        let left = files(directory.path());
        let parts: Vec<&String> = left.keys().filter(|name| name.ends_with(".part")).collect();
        assert!(!parts.is_empty(), "{mode}: calls were up: {left:?}");
        if has_tshark() {
            for name in parts.iter().take(5) {
                let frames = tshark(&directory.path().join(name), "frame", &["frame.number"]).unwrap();
                let packets = Classic::parse(&left[*name]).unwrap().packets.len();
                assert_eq!(frames.len(), packets, "{mode}: {name}");
            }
        }
        let (code, _, told) = Fed::start(directory.path(), &["-M", mode], &[]).end_with(&all);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains(&format!("{} unfinished files", parts.len())), "{mode}: {told}");
        assert!(whole(""), "{mode}: under their final names");
        assert!(files(directory.path()).keys().all(|name| name.ends_with(".pcap")), "{mode}");
    }
}

impl Fed {
    /// Ends a run that gets nothing but a file header.
    fn end_with(mut self, all: &Classic) -> (Option<i32>, Value, String) {
        self.feed(&all.with(Vec::new()).bytes());
        self.end()
    }
}

/// What is in a file that the disk did not always take: whole records of the call, in order, nothing else.
fn assert_part_of(found: &BTreeMap<String, Vec<u8>>, truth: &BTreeMap<String, Vec<u8>>) -> usize {
    let mut whole = 0;
    for (name, bytes) in found.iter().filter(|(name, _)| name.as_str() != "ballast") {
        let all = Classic::parse(truth.get(name).unwrap_or_else(|| panic!("{name}: whose is it?"))).unwrap();
        let kept = Classic::parse(bytes).unwrap();
        assert_eq!(kept.bytes()[24..], bytes[24..], "{name} ends with a whole record");
        let mut rest = all.packets.iter();
        let key = |it: &Packet| (it.seconds, it.fraction);
        let in_order = kept.packets.iter().all(|packet| rest.any(|other| key(other) == key(packet)));
        assert!(in_order && !kept.packets.is_empty(), "{name}");
        whole += usize::from(*bytes == truth[name]);
    }
    whole
}

#[test]
fn a_full_disk_heals_when_space_returns() {
    let Some(disk) = Disk::mount("4m") else { return };
    let (all, _file) = calls(&[("calls", "60"), ("rtp", "0.2"), ("hold", "3"), ("rate", "5")]);
    let thirds = [all.packets.len() / 3, all.packets.len() / 3 * 2];
    let parts = pieces(&all, &thirds);
    let truth = truth(&all, all.packets.len());
    let mut run = Fed::start(&disk.path, &[], &[]);
    run.feed(&parts[0]);
    run.wait("the first third", || !files(&disk.path).is_empty());
    std::thread::sleep(Duration::from_secs(1));
    let before = files(&disk.path);
    let ballast = disk.fill();
    run.feed(&parts[1]);
    run.wait("it is told", || run.told().contains("No space left"));
    std::thread::sleep(Duration::from_secs(1));
    fs::remove_file(ballast).unwrap();
    run.feed(&parts[2]);
    let (code, summary, told) = run.end();
    assert_eq!(code, Some(1), "{told}");
    let lines = told.lines().filter(|line| line.contains("cannot write capture file")).count();
    assert!((1..=3).contains(&lines), "told once, and at the end: {told}");
    assert!(summary["dropped"]["files"]["not_written"].as_u64() > Some(0), "{summary}");
    let found = files(&disk.path);
    let whole = assert_part_of(&found, &truth);
    assert!(whole * 5 > truth.len(), "{whole} of {} are whole", truth.len());
    let grown = before.iter().filter(|(name, bytes)| {
        let name = name.trim_end_matches(".part");
        found.get(name).is_some_and(|now| now.len() > bytes.len())
    });
    assert!(grown.count() > 0, "files of before go on");
}

#[test]
fn a_disk_that_was_read_only_is_written_to_again() {
    let Some(disk) = Disk::mount("16m") else { return };
    let (all, _file) = calls(&[("calls", "100"), ("rate", "3"), ("hold", "2")]);
    let parts = pieces(&all, &[all.packets.len() / 2]);
    let truth = truth(&all, all.packets.len());
    let mut run = Fed::start(&disk.path, &["--records", "/dev/null"], &[]);
    run.feed(&all.with(Vec::new()).bytes());
    std::thread::sleep(Duration::from_millis(500));
    disk.remount("ro");
    run.feed(&parts[0][24..]);
    run.wait("it is told", || run.told().contains("Read-only file system"));
    disk.remount("rw");
    run.feed(&parts[1]);
    let (code, _, told) = run.end();
    assert_eq!(code, Some(1), "{told}");
    let found = files(&disk.path);
    assert!(assert_part_of(&found, &truth) > 0 && found.len() * 3 > truth.len(), "{}", found.len());
}

#[test]
fn a_directory_that_was_removed_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("pcap");
    let (all, _file) = calls(&[("calls", "100"), ("rate", "3"), ("hold", "2")]);
    let parts = pieces(&all, &[all.packets.len() / 2]);
    let truth = truth(&all, all.packets.len());
    let mut run = Fed::start(&directory, &[], &[]);
    run.feed(&parts[0]);
    run.wait("the first half", || !files(&directory).is_empty());
    std::thread::sleep(Duration::from_secs(1));
    fs::remove_dir_all(&directory).unwrap();
    run.feed(&parts[1]);
    let (_, _, told) = run.end();
    let found = files(&directory);
    assert!(assert_part_of(&found, &truth) > 0, "{told}");
    assert!(found.keys().all(|name| name.ends_with(".pcap")), "{found:?}");
}

/// landlock(7): a rule is about the directory that was there, not about its name.
#[test]
fn a_directory_that_isolation_does_not_reach_is_told_by_its_own_words() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("pcap");
    let (all, _file) = calls(&[("calls", "100"), ("rate", "3"), ("hold", "2")]);
    let parts = pieces(&all, &[all.packets.len() / 2]);
    let mut run = Fed::start(&directory, &["--isolation", "default"], &[]);
    run.feed(&parts[0]);
    run.wait("the first half", || !files(&directory).is_empty());
    if !run.told().contains("(Landlock") {
        eprintln!("skipped: this kernel has no Landlock");
        return;
    }
    std::thread::sleep(Duration::from_secs(1));
    fs::remove_dir_all(&directory).unwrap();
    fs::create_dir(&directory).unwrap();
    run.feed(&parts[1]);
    run.wait("what to do", || run.told().contains("out of reach under isolation: restart"));
    let (code, _, told) = run.end();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("Permission denied") && told.contains("--isolation off"), "{told}");
}

#[test]
fn old_files_go_and_those_of_others_stay() {
    let (all, _file) = calls(&[("calls", "30"), ("rtp", "1"), ("hold", "5"), ("rate", "5")]);
    let rows = [
        ("age", "{start:%Y/%j}/{call_id}", "LIPPYCAT_PCAP_MAX_AGE", "1s"),
        ("size", "{call_id}", "LIPPYCAT_PCAP_MAX_TOTAL_SIZE", "1MiB"),
        ("free", "{start:%Y}-{hash}", "LIPPYCAT_PCAP_MIN_FREE", "1000TiB"),
    ];
    for (what, template, key, value) in rows {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("pcap");
        fs::create_dir_all(directory.join("1999")).unwrap();
        let foreign = ["foreign.pcap", "1999/old.pcap", "notes.txt"];
        foreign.iter().for_each(|name| fs::write(directory.join(name), vec![1; 2 << 20]).unwrap());
        let mut run = Fed::start(&directory, &["--pcap-name", template], &[(key, value)]);
        run.feed(&all.bytes());
        run.feed(&late(&all));
        let ours = || {
            let mut found = files(&directory);
            foreign
                .iter()
                .for_each(|name| assert!(found.remove(*name).is_some(), "{what}: {name} is not ours"));
            found
        };
        if what == "size" {
            // Before the first deletion the files may just be small still.
            run.wait(what, || run.told().contains("old call files deleted"));
            let size = || ours().values().map(Vec::len).sum::<usize>();
            run.wait(what, || size() <= 1 << 20);
            assert!(size() > 600_000, "no more than must go");
        } else {
            run.wait(what, || run.told().contains("old call files deleted"));
            run.wait(what, || ours().is_empty());
            let left =
                || fs::read_dir(&directory).unwrap().map(|it| it.unwrap().file_name()).collect::<Vec<_>>();
            // Directories go a moment after their last file.
            run.wait(what, || left().len() == 4);
            let left = left();
            assert_eq!(left.len(), 4, "{what}: directories that were made are gone: {left:?}");
        }
        let (code, summary, told) = run.end();
        assert_eq!(code, Some(0), "{told}");
        // "DIRECTORY: N old call files deleted, …": at the end the rest, too, of which the minute is not over.
        let deleted = told.lines().filter_map(|line| {
            let (before, _) = line.split_once(" old call files deleted")?;
            before.rsplit(' ').next()?.parse::<u64>().ok()
        });
        let gone = summary["files_written"].as_u64().unwrap() - ours().len() as u64;
        assert_eq!(deleted.sum::<u64>(), gone, "{what}: {told}");
    }
}

#[test]
fn one_process_keeps_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let key = [("LIPPYCAT_PCAP_MAX_AGE", "30d")];
    let (all, _file) = calls(&[("calls", "1")]);
    let mut first = Fed::start(directory.path(), &[], &key);
    first.feed(&all.with(Vec::new()).bytes());
    first.wait("its list", || directory.path().join(".lippycat-files").exists());
    std::thread::sleep(Duration::from_millis(300));
    let (code, _, told) = Fed::start(directory.path(), &[], &key).end();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("another process keeps its files there") && told.lines().count() == 1, "{told}");
    assert_eq!(first.end().0, Some(0));
}

#[test]
fn rotated_files_are_let_go() {
    for signal in ["USR1", "HUP"] {
        rotated(signal);
    }
}

fn rotated(signal: &str) {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let (all, file) = calls(&[("calls", "30"), ("registrations", "5"), ("rate", "5"), ("hold", "2")]);
    let (records, events) = (path("calls.jsonl"), path("events.jsonl"));
    let events_key = [("LIPPYCAT_EVENTS_FILE", events.to_str().unwrap())];
    let mut run = Fed::start(&path("pcap"), &["--records", records.to_str().unwrap()], &events_key);
    let parts = pieces(&all, &[all.packets.len() / 2]);
    let lines = |path: &Path| fs::read_to_string(path).map_or(0, |text| text.lines().count());
    run.feed(&parts[0]);
    run.wait("events within a second", || lines(&events) > 0);
    for path in [&records, &events] {
        fs::rename(path, path.with_extension("1")).unwrap();
    }
    run.signal(signal);
    run.wait("new files, also when nothing comes", || records.exists() && events.exists());
    run.feed(&parts[1]);
    let (code, summary, told) = run.end();
    assert_eq!(code, Some(0), "{told}");
    let whole = Run::over(&[file.path()], &[]);
    assert_eq!(summary["calls"], whole.summary["calls"]);
    assert_eq!(lines(&records) + lines(&records.with_extension("1")), whole.records.len());
    let both =
        fs::read_to_string(events.with_extension("1")).unwrap() + &fs::read_to_string(&events).unwrap();
    let all: Vec<Value> = both.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let count = |event: &str| all.iter().filter(|it| it["event_type"] == event).count() as u64;
    assert_eq!(count("CALL_START"), whole.number("/calls/total"));
    assert_eq!(count("CALL_ANSWERED"), whole.number("/calls/answered"));
    let open = whole.number("/calls/by_result/open");
    assert_eq!(count("CALL_END") + count("CALL_FAILED") + open, whole.number("/calls/total"));
    assert!(count("REGISTERED") > 0, "registrations are in it without --registrations");
    assert!(lines(&events) > 0 && lines(&events.with_extension("1")) > 0);
}

/// A datagram of SIP on raw IP.
fn sip(call: usize, text: &str, from: u8, to: u8) -> Packet {
    let text = format!(
        "{text}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call}\r\nFrom: <sip:a@192.0.2.1>;tag={call}\r\n\
         To: <sip:b@192.0.2.2>{}\r\nCall-ID: {call}@192.0.2.1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
        if text.starts_with("SIP") { ";tag=x" } else { "" }
    );
    let udp = u16::try_from(8 + text.len()).unwrap();
    let mut frame = vec![0x45, 0];
    frame.extend((20 + udp).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, from, 192, 0, 2, to]);
    frame.extend(5060u16.to_be_bytes());
    frame.extend(5060u16.to_be_bytes());
    frame.extend(udp.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(text.as_bytes());
    let original = u32::try_from(frame.len()).unwrap();
    Packet { seconds: 1_700_000_000, fraction: u32::try_from(call).unwrap(), original, frame }
}

#[test]
fn three_thousand_calls_at_once_need_few_descriptors() {
    all_at_once(3_000, 256);
}

#[test]
#[ignore = "half a minute: make test-machine"]
fn thirty_thousand_calls_at_once_need_no_more_descriptors_than_there_are() {
    all_at_once(30_000, 20_000);
}

/// So many calls, all of them up at the same time, with so many descriptors.
fn all_at_once(calls: usize, limit: usize) {
    let directory = tempfile::tempdir().unwrap();
    let empty = Classic { big_endian: false, nanoseconds: false, link: 101, packets: Vec::new() };
    let invites = (0..calls).map(|call| sip(call, "INVITE sip:b@192.0.2.2 SIP/2.0", 1, 2)).collect();
    let answers = (0..calls).map(|call| sip(call, "SIP/2.0 180 Ringing", 2, 1)).collect();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_lippycat")]);
    command.args(["sniff", "voip", "-r", "-", "-w", "--format", "none", "--summary", "json", "--pcap-dir"]);
    command.arg(directory.path()).env("HOME", "/nonexistent");
    let told = NamedTempFile::new().unwrap();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(told.reopen().unwrap());
    let mut child = command.spawn().unwrap();
    let mut run = Fed { input: child.stdin.take(), child, told };
    run.feed(&empty.with(invites).bytes());
    let count = || fs::read_dir(directory.path()).unwrap().count();
    run.wait("each has its file while it is up", || count() == calls);
    let descriptors = fs::read_dir(format!("/proc/{}/fd", run.child.id())).unwrap().count();
    assert!(descriptors <= limit, "{descriptors}");
    run.feed(&empty.with(answers).bytes()[24..]);
    let (code, summary, told) = run.end();
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(summary["files_written"], calls, "{summary}");
    for call in (0..calls).step_by(997) {
        let file = Classic::read(&directory.path().join(format!("{call}@192.0.2.1.pcap"))).unwrap();
        assert_eq!(file.packets.len(), 2, "{call}");
    }
}
