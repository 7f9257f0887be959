//! What a running sniffer has given up: user, capabilities, system calls, files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::lifecycle::Scene;
use crate::service::{Namespace, Service, can, wait_for};
use crate::support::lippycat;

/// Of every thread: the values of these fields in /proc/PID/task/TID/status.
fn threads(process: u32, fields: &[&str]) -> Vec<BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let status = |task: std::io::Result<fs::DirEntry>| {
        let text = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let rows = text.lines().filter_map(|line| line.split_once(":\t"));
        rows.filter(|(name, _)| fields.contains(name))
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect()
    };
    tasks.map(status).collect()
}

#[test]
fn every_thread_has_given_up_what_it_should() {
    if !can(&[]) {
        return;
    }
    let raw = "0000000000002000";
    let none = "0000000000000000";
    let own = threads(std::process::id(), &["CapEff"])[0]["CapEff"].clone();
    for (flags, capabilities, uid, filters) in [
        (vec![], own.as_str(), 0, 4),
        (vec!["--user", "nobody"], raw, 65_534, 4),
        (vec!["--user", "nobody", "--isolation", "off"], raw, 65_534, 0),
        (vec!["--user", "nobody:0", "--isolation", "strict"], none, 65_534, 4),
        (vec!["--isolation", "strict"], none, 0, 4),
        (vec!["--isolation", "off"], own.as_str(), 0, 0),
    ] {
        let scene = Scene::new("");
        fs::set_permissions(scene.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let service = scene.start(|command| {
            command.args(&flags).args(["--workers", "2"]);
        });
        service.says("Ctrl-C ends");
        // Source, two workers and the tracker at least.
        wait_for("threads", || threads(service.child.id(), &[]).len() >= 4);
        for thread in
            threads(service.child.id(), &["CapEff", "CapPrm", "Uid", "Seccomp_filters", "NoNewPrivs"])
        {
            let wanted = [
                ("CapEff", capabilities.to_owned()),
                ("CapPrm", capabilities.to_owned()),
                ("Uid", [uid.to_string(), uid.to_string(), uid.to_string(), uid.to_string()].join("\t")),
                ("Seccomp_filters", filters.to_string()),
                ("NoNewPrivs", u32::from(filters > 0).to_string()),
            ];
            for (name, value) in wanted {
                assert_eq!(thread[name], value, "{flags:?} {name}");
            }
        }
        assert_eq!(service.end("TERM").0, Some(0));
    }
}

#[test]
fn an_interface_is_captured_with_what_is_left() {
    if !can(&["ip", "bash"]) {
        return;
    }
    let namespace = Namespace::new("live");
    for mode in ["memory", "throughput"] {
        let outputs = tempfile::tempdir().unwrap();
        let pcaps = outputs.path().join("pcap");
        fs::create_dir(&pcaps).unwrap();
        fs::set_permissions(outputs.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let start = || {
            let mut command = namespace.command(env!("CARGO_BIN_EXE_lippycat"));
            command.env("HOME", "/nonexistent");
            Service::start_as(command, outputs.path(), |command| {
                command.args(["-i", "lo", "--user", "nobody", "-M", mode, "-w", "--pcap-dir"]).arg(&pcaps);
            })
        };
        let mut service = start();
        assert_eq!(service.outcome(), Some(4), "{}", service.stderr());
        assert!(service.stderr().contains("makes files there and may not; chown it"), "{}", service.stderr());
        std::os::unix::fs::chown(&pcaps, Some(65_534), Some(65_534)).unwrap();
        let service = start();
        service.says("Ctrl-C ends");
        service.says("user nobody (65534:65534), capabilities: CAP_NET_RAW; files: ");
        for thread in threads(service.child.id(), &["CapEff", "Seccomp_filters", "NoNewPrivs"]) {
            let values: Vec<&str> = thread.values().map(String::as_str).collect();
            assert_eq!(values, ["0000000000002000", "1", "4"], "{thread:?}");
        }
        namespace.send(0, 25, 10, "0.01");
        service.counts("/calls/sip/messages", 25);
        let (code, summary, told) = service.end("TERM");
        assert_eq!(code, Some(0), "{told}");
        assert_eq!(summary["sip"]["requests"]["INVITE"], 25, "{summary} {told}");
        assert_eq!(summary["files_written"], 25, "{told}");
        assert_eq!(fs::read_dir(&pcaps).unwrap().count(), 25, "{told}");
    }
}

#[test]
fn files_outside_are_out_of_reach() {
    let scene = Scene::new("log: {file: LOG}");
    let service = scene.start(|_| {});
    service.says("Ctrl-C ends");
    scene.logs(1, "Landlock");
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("other.yaml"), "log: {level: off}").unwrap();
    let config = scene.path("etc/lippycat.yaml");
    fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("other.yaml"), &config).unwrap();
    service.signal("HUP");
    scene.logs(1, "the configuration stays as it was: error: cannot read configuration");
    assert!(scene.log().contains("Permission denied"), "{}", scene.log());
    // Its own directories are within reach: the file is replaced there.
    fs::remove_file(&config).unwrap();
    scene.configure("log: {file: LOG}\npcap: {name: x}");
    service.signal("HUP");
    scene.logs(1, "in force only after a restart: pcap.name");
}

#[test]
fn a_user_that_only_root_may_take_on() {
    if !can(&["setpriv"]) {
        return;
    }
    let scene = Scene::new("");
    fs::set_permissions(scene.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(scene.path("out"), Some(65_534), Some(65_534)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--clear-groups"]).arg(scene.path("lippycat"));
    fs::copy(env!("CARGO_BIN_EXE_lippycat"), scene.path("lippycat")).unwrap();
    let mut service = scene.start_as(command, |command| {
        command.args(["--user", "daemon"]);
    });
    assert_eq!(service.outcome(), Some(4), "{}", service.stderr());
    assert!(service.stderr().contains("needs root (or CAP_SETUID and CAP_SETGID)"), "{}", service.stderr());
}

/// What is missing of a way is made by the user who writes there.
#[test]
fn directories_are_made_as_the_user() {
    use std::os::unix::fs::MetadataExt;
    if !can(&[]) {
        return;
    }
    for level in ["default", "off"] {
        let scene = Scene::new("");
        fs::set_permissions(scene.root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(scene.path("out"), Some(65_534), Some(65_534)).unwrap();
        let service = scene.start(|command| {
            command
                .args(["--user", "nobody", "--isolation", level, "-w", "--pcap-dir"])
                .arg(scene.path("out/a/b"));
            command.arg("--records").arg(scene.path("out/c/records.jsonl"));
        });
        service.says("Ctrl-C ends");
        for made in ["out/a", "out/a/b", "out/c", "out/c/records.jsonl"] {
            assert_eq!(fs::metadata(scene.path(made)).unwrap().uid(), 65_534, "{level} {made}");
        }
        assert_eq!(service.end("TERM").0, Some(0));
        let mut service = scene.start(|command| {
            command
                .args(["--user", "nobody", "--isolation", level, "-w", "--pcap-dir"])
                .arg(scene.path("log/a"));
        });
        assert!(service.outcome().is_some_and(|code| code != 0));
        assert!(!scene.path("log/a").exists() && service.stderr().contains("log/a"), "{}", service.stderr());
    }
}

#[test]
fn a_socket_in_the_working_directory_is_removed_at_the_end() {
    let home = tempfile::tempdir().unwrap();
    let mut command = lippycat();
    command.current_dir(home.path()).args(["sniff", "voip", "-r", "-", "--isolation", "default"]);
    command.args(["--control-socket", "control.sock"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let socket = home.path().join("control.sock");
    wait_for("a socket", || socket.exists());
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert!(!socket.exists(), "{}", String::from_utf8_lossy(&output.stderr));
}
