//! Where a run may write: not over what it reads, not into another output, and not where a service does.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::service::Service;
use crate::support::{lippycat, testdata};

/// Two calls, as tshark counts them.
const CALLS: usize = 2;

struct Scene(TempDir);

impl Scene {
    /// A directory with a capture in it.
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("in")).unwrap();
        fs::write(home.path().join("in/a.pcapng"), Self::capture()).unwrap();
        Self(home)
    }

    fn capture() -> Vec<u8> {
        fs::read(testdata("corpus/b2bua-asterisk/input.pcapng")).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = lippycat();
        command.current_dir(self.0.path()).args(["sniff", "voip", "--format", "none", "-q"]);
        command
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command().args(arguments).envs(environment.iter().copied()).output().unwrap()
    }

    fn lines(&self, name: &str) -> usize {
        fs::read_to_string(self.path(name)).map_or(0, |text| text.lines().count())
    }
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Arguments and variables.
type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);

#[test]
fn an_output_that_is_read_is_refused_and_nothing_is_lost() {
    let scene = Scene::new();
    fs::hard_link(scene.path("in/a.pcapng"), scene.path("hard")).unwrap();
    symlink("in/a.pcapng", scene.path("soft")).unwrap();
    fs::write(scene.path("c.yaml"), "records: {file: in/a.pcapng}\n").unwrap();
    fs::write(scene.path("e.yaml"), "events: {file: in/a.pcapng}\n").unwrap();
    let whole = scene.path("in/a.pcapng");
    let whole = whole.to_str().unwrap();
    let rows: [Row<'_>; 12] = [
        (&["-r", "in/a.pcapng", "--records", "in/a.pcapng"], &[]),
        (&["-r", "in/a.pcapng", "--records", whole], &[]),
        (&["-r", "in/a.pcapng", "--records", "hard"], &[]),
        (&["-r", "in/a.pcapng", "--records", "soft"], &[]),
        (&["-r", "hard", "--records", "soft"], &[]),
        (&["-r", "in", "--records", "in/a.pcapng"], &[]),
        (&["-r", "in/*.pcapng", "--records", "hard"], &[]),
        (&["-r", "in/a.pcapng"], &[("LIPPYCAT_RECORDS_FILE", "hard")]),
        (&["-r", "in/a.pcapng"], &[("LIPPYCAT_EVENTS_FILE", "in/a.pcapng")]),
        (&["-r", "in/a.pcapng", "-c", "c.yaml"], &[]),
        (&["-r", "in/a.pcapng", "-c", "e.yaml"], &[]),
        (&["--follow", "in", "--isolation", "off", "--control-socket", "s", "--records", "in/a.pcapng"], &[]),
    ];
    for (arguments, environment) in rows {
        let output = scene.run(arguments, environment);
        let text = told(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {environment:?}: {text}");
        assert!(text.starts_with("error: ") && text.lines().count() == 1, "{text}");
        assert!(text.contains("this run reads it") && text.contains("name another file"), "{text}");
        assert!(fs::read(whole).unwrap() == Scene::capture(), "{arguments:?} {environment:?}");
    }
    let mut command = scene.command();
    command.args(["-r", "-", "--records", "hard"]).stdin(File::open(whole).unwrap());
    assert_eq!(command.output().unwrap().status.code(), Some(2));
    assert!(fs::read(whole).unwrap() == Scene::capture());
}

#[test]
fn the_configuration_is_read_and_not_written_over() {
    let scene = Scene::new();
    let text = "records: {file: c.yaml}\n";
    let plain = "log: {level: warn}\n";
    fs::write(scene.path("c.yaml"), text).unwrap();
    fs::write(scene.path("plain.yaml"), plain).unwrap();
    fs::write(scene.path("log.yaml"), "log: {file: log.yaml}\n").unwrap();
    symlink("plain.yaml", scene.path("soft")).unwrap();
    let follow = ["--follow", "in", "--isolation", "off", "--control-socket", "s", "-c", "log.yaml"];
    let rows: [Row<'_>; 5] = [
        (&["-r", "in", "-c", "c.yaml"], &[]),
        (&["-r", "in", "-c", "plain.yaml", "--records", "plain.yaml"], &[]),
        (&["-r", "in", "-c", "soft", "--records", "plain.yaml"], &[]),
        (&["-r", "in"], &[("LIPPYCAT_CONFIG", "plain.yaml"), ("LIPPYCAT_EVENTS_FILE", "soft")]),
        (&follow, &[]),
    ];
    for (arguments, environment) in rows {
        let output = scene.run(arguments, environment);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains("this run reads it") && told.lines().count() == 1, "{told}");
        assert_eq!(fs::read_to_string(scene.path("plain.yaml")).unwrap(), plain);
        assert_eq!(fs::read_to_string(scene.path("c.yaml")).unwrap(), text);
        assert_eq!(fs::read_to_string(scene.path("log.yaml")).unwrap(), "log: {file: log.yaml}\n");
    }
}

#[test]
fn records_have_standard_output_for_themselves() {
    let scene = Scene::new();
    let output = |more: &[&str]| {
        let mut command = lippycat();
        command.current_dir(scene.path("")).args(["sniff", "voip", "-r", "in", "--records", "-"]);
        command.args(more).output().unwrap()
    };
    let whole = output(&[]);
    let records: Vec<serde_json::Value> = whole
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert!(records.len() == CALLS && records.iter().all(|record| record["call_id"].is_string()));
    assert!(told(&whole).starts_with("Packets\n"), "the summary: {}", told(&whole));
    // Who wants both gets both.
    let both = String::from_utf8(output(&["--format", "text", "-q"]).stdout).unwrap();
    assert!(both.lines().filter(|line| !line.starts_with('{')).count() >= CALLS, "{both}");
}

#[test]
fn what_lies_among_captures_and_is_none_is_written_again() {
    let scene = Scene::new();
    for _ in 0..2 {
        let output = scene.run(&["-r", "in", "--records", "in/calls.jsonl"], &[]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert_eq!(scene.lines("in/calls.jsonl"), CALLS);
    }
    // Devices and standard output are no files that could be lost.
    for place in ["/dev/null", "-"] {
        let output = scene.run(&["-r", "in", "--records", place], &[("LIPPYCAT_EVENTS_FILE", place)]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    }
}

#[test]
fn two_outputs_are_two_files() {
    let scene = Scene::new();
    symlink("both", scene.path("other-name")).unwrap();
    let both = scene.path("both");
    for (there, records, events) in
        [(false, "new", "./new"), (true, "both", both.to_str().unwrap()), (true, "both", "other-name")]
    {
        if there {
            fs::write(&both, "what was there\n").unwrap();
        }
        let flags = ["-r", "in", "--records", records];
        let output = scene.run(&flags, &[("LIPPYCAT_EVENTS_FILE", events)]);
        let text = told(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("the event log cannot be written there: the records are"), "{text}");
        assert!(text.starts_with("error: ") && text.lines().count() == 1, "{text}");
        if there {
            assert_eq!(fs::read_to_string(&both).unwrap(), "what was there\n");
        }
    }
    fs::write(scene.path("c.yaml"), "log: {file: both}\nrecords: {file: other-name}\n").unwrap();
    let output =
        scene.run(&["--follow", "in", "--isolation", "off", "--control-socket", "s", "-c", "c.yaml"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("the records cannot be written there: the log is"), "{}", told(&output));
}

/// As of the packaged service, with records and an event log.
fn service(scene: &Scene) -> String {
    let path = |name: &str| scene.path(name).display().to_string();
    format!(
        "pcap: {{write: true, directory: {}}}\nrecords: {{file: {}}}\nevents: {{file: {}}}\n",
        path("service/pcap"),
        path("service/calls.jsonl"),
        path("service/events.jsonl")
    )
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .map(|all| all.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn reading_by_hand_leaves_the_outputs_of_the_service_alone() {
    let scene = Scene::new();
    fs::create_dir(scene.path("service")).unwrap();
    for name in ["service/calls.jsonl", "service/events.jsonl"] {
        fs::write(scene.path(name), "{\"of\":\"the service\"}\n").unwrap();
    }
    fs::write(scene.path(".lippycat.yaml"), service(&scene)).unwrap();
    let home = [("HOME", scene.0.path().to_str().unwrap())];
    let run = |arguments: &[&str]| {
        let mut command = lippycat();
        command.current_dir(scene.0.path()).args(["sniff", "voip", "--format", "none", "-r", "in/a.pcapng"]);
        let output = command.args(arguments).envs(home).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", told(&output));
        let own = names(&scene.path("service"));
        assert_eq!(own, ["calls.jsonl", "events.jsonl"], "{arguments:?}");
        assert_eq!((scene.lines("service/calls.jsonl"), scene.lines("service/events.jsonl")), (1, 1));
        told(&output)
    };
    let file = scene.path(".lippycat.yaml").display().to_string();
    let note = format!(
        "note: {file}: not used with -r: pcap.write, pcap.directory, records.file, events.file; use flags, or -c {file}\n"
    );
    assert_eq!(run(&[]), note);
    assert_eq!(run(&["-q"]), "");
    // Where flags say where, they are right: the directory is the current one, unless it is named.
    run(&["-w", "--records", "mine.jsonl"]);
    assert_eq!(scene.lines("mine.jsonl"), CALLS);
    assert_eq!(names(scene.0.path()).iter().filter(|name| name.ends_with(".pcap")).count(), CALLS);
    run(&["-w", "--pcap-dir", "mine"]);
    assert_eq!(names(&scene.path("mine")).len(), CALLS);
}

#[test]
fn outputs_of_a_configuration_that_was_named_are_gone_on_with() {
    let scene = Scene::new();
    fs::write(scene.path("c.yaml"), service(&scene)).unwrap();
    let path = scene.path("c.yaml").display().to_string();
    for (round, (arguments, environment)) in
        [(&["-c", "c.yaml"][..], vec![]), (&[], vec![("LIPPYCAT_CONFIG", path.as_str())])]
            .into_iter()
            .enumerate()
    {
        let output = scene.run(&[arguments, &["-r", "in/a.pcapng"]].concat(), &environment);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert_eq!(scene.lines("service/calls.jsonl"), CALLS * (round + 1));
        assert_eq!(names(&scene.path("service/pcap")).len(), CALLS * (round + 1), "nothing is overwritten");
    }
    let before = scene.lines("service/events.jsonl");
    // What a flag or a variable names is begun anew: a run over the same input gives the same file.
    let environment = [("LIPPYCAT_EVENTS_FILE", "service/events.jsonl")];
    let records = ["-c", "c.yaml", "-r", "in/a.pcapng", "--records", "service/calls.jsonl"];
    assert_eq!(scene.run(&records, &environment).status.code(), Some(0));
    assert_eq!(scene.lines("service/calls.jsonl"), CALLS);
    assert_eq!(scene.lines("service/events.jsonl") * 2, before);
}

/// A sniffer that runs, with the same configuration: its records and events are whole afterwards.
#[test]
fn a_running_sniffer_and_a_run_by_hand_do_not_harm_each_other() {
    let scene = Scene::new();
    let outputs = tempfile::tempdir().unwrap();
    fs::write(scene.path("c.yaml"), service(&scene)).unwrap();
    let config = scene.path("c.yaml");
    let sniffer = Service::start(outputs.path(), |command| {
        command.arg("-c").arg(&config).arg("--follow").arg(scene.path("in"));
    });
    sniffer.says("Ctrl-C ends");
    crate::service::wait_for("its events", || scene.lines("service/events.jsonl") > 0);
    let output = scene.run(&["-c", config.to_str().unwrap(), "-r", "in/a.pcapng"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let (code, _, text) = sniffer.end("TERM");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(scene.lines("service/calls.jsonl"), 2 * CALLS);
    let text = fs::read_to_string(scene.path("service/events.jsonl")).unwrap();
    assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
}
