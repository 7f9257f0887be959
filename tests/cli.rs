//! The program from outside: exit codes, and what is said where.
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, diff, is_empty, starts_with};
use tempfile::TempDir;

/// `lippycat` in an environment without configuration; `home` is where it may look for one.
fn lippycat(home: &Path) -> Command {
    let mut command = Command::cargo_bin("lippycat").unwrap();
    command.env_clear().env("HOME", home).current_dir(home);
    command
}

/// A directory with files in it.
fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

#[test]
fn help_and_version_are_good_and_go_to_stdout() {
    let home = directory(&[]);
    for flag in ["--help", "-h", "-V", "--version"] {
        lippycat(home.path()).arg(flag).assert().code(0).stderr(is_empty()).stdout(contains("lippycat"));
    }
    lippycat(home.path()).args(["sniff", "voip", "--help"]).assert().code(0).stdout(contains("Examples:"));
}

#[test]
fn what_cannot_be_understood_is_a_usage_error() {
    let home = directory(&[]);
    let rows: [(&[&str], &str); 8] = [
        (
            &["sniff", "voip", "-r", "a", "-f", "foo bar"],
            "error: invalid value 'foo bar' for '--filter <BPF>'",
        ),
        (&["sniff", "voip", "-i", "lo", "-f", "prot 5060"], "pcap-filter(7)"),
        (&["report", "carriers", "--by", "prefix", "--digits", "0"], "want a whole number from 1 to 15"),
        (&[], "Usage:"),
        (&["sniff"], "Usage:"),
        (&["sniff", "voip", "--wirte-file"], "a similar argument exists: '--write-file'"),
        (&["sniff", "voip", "-r", "a", "-M", "memmory"], "a similar value exists: 'memory'"),
        (
            &["sniff", "voip", "--hep-listen", "udp://0.0.0.0:9060"],
            "error: --hep-listen is not in this version",
        ),
    ];
    for (arguments, text) in rows {
        lippycat(home.path()).args(arguments).assert().code(2).stdout(is_empty()).stderr(contains(text));
    }
}

/// ECMA-48: ESC and C1 controls begin sequences; UAX #9: U+202E turns text round.
#[test]
fn names_in_errors_do_not_act() {
    let home = directory(&[("a.pcap", "")]);
    let name = "\u{1b}[31m\u{202e}\u{9b}2Jx";
    let (flag, below) = (format!("--{name}"), format!("/proc/{name}"));
    let rows: [&[&str]; 10] = [
        &["sniff", "voip", "-r", "a.pcap", "-c", name],
        &["sniff", "voip", "-r", "a.pcap", "-w", "--pcap-dir", &below],
        &["sniff", "voip", "-r", "a.pcap", "--records", &below],
        &["sniff", "voip", "-r", "a.pcap", "--user", name],
        &["sniff", "voip", "-r", "a.pcap", "--format", name],
        &["sniff", "voip", "-r", "a.pcap", "-f", name],
        &["sniff", "voip", "-r", "a.pcap", &flag],
        &["sniff", "voip", name],
        &["debug", "health", "--control-socket", name],
        &["report", "calls", "-r", "a.pcap", "--fields", name],
    ];
    for arguments in rows {
        let output = lippycat(home.path()).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("\\u{202e}"), "{arguments:?}: {said}");
        assert!(!said.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{arguments:?}: {said:?}");
    }
    let mut command = lippycat(home.path());
    command.env("LIPPYCAT_CONFIG", name).args(["config", "show"]);
    command.assert().code(1).stderr(contains("\\u{1b}").and(contains("\u{1b}").not()));
}

#[test]
fn what_was_given_is_repeated_in_brief() {
    let home = directory(&[]);
    let long = format!("port 1{}", " or port 2".repeat(3)) + &" foo".repeat(20_000);
    let output = lippycat(home.path()).args(["sniff", "voip", "-r", "a", "-f", &long]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: invalid value 'port 1 or port 2") && said.len() < 400, "{said}");
}

#[test]
fn a_usage_error_is_one_line() {
    let home = directory(&[]);
    let rows: [(&[&str], &str); 4] = [
        (
            &["sniff", "voip", "--wirte-file"],
            "error: unexpected argument '--wirte-file' found (a similar argument exists: '--write-file'); try --help\n",
        ),
        (
            &["sniff", "voip", "-r", "a", "--summary", "xml"],
            "error: invalid value 'xml' for '--summary <FORMAT>' [possible values: text, json]; try --help\n",
        ),
        (&["debug", "metrics", "--output"], "; try --help\n"),
        (&["config", "validate", "a", "b", "c"], "; try --help\n"),
    ];
    for (arguments, end) in rows {
        let output = lippycat(home.path()).args(arguments).assert().code(2).stdout(is_empty());
        let told = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        assert!(told.starts_with("error: ") && told.ends_with(end) && told.lines().count() == 1, "{told}");
    }
}

#[test]
fn a_run_on_an_interface_that_is_not_there_names_those_that_are() {
    let home = directory(&[]);
    lippycat(home.path())
        .args([
            "sniff",
            "voip",
            "-i",
            "nosuch0",
            "--tcp-performance-mode",
            "memory",
            "--max-goroutines",
            "100",
            // Another may run on this machine.
            "--control-socket",
            "control.sock",
        ])
        .assert()
        .code(1)
        .stdout(is_empty())
        .stderr(starts_with("error: nosuch0: no such interface; there are "))
        .stderr(contains("lo"));
}

#[test]
fn a_good_file_is_valid() {
    let text = "voip:\n  tcp_performance_mode: \"memory\"\n  max_goroutines: 100\n  max_tcp_buffers: 1000\n";
    let home = directory(&[("lippycat.yaml.minimal", text)]);
    let verdict = "lippycat.yaml.minimal: valid\n";
    for arguments in [
        ["sniff", "voip", "--config", "lippycat.yaml.minimal", "--validate-config"].as_slice(),
        &["config", "validate", "lippycat.yaml.minimal"],
        &["config", "validate", "-c", "lippycat.yaml.minimal"],
    ] {
        lippycat(home.path()).args(arguments).assert().code(0).stdout(verdict).stderr(is_empty());
    }
}

#[test]
fn every_problem_of_a_file_is_named_with_its_place() {
    let text = "voip:\n  max_gorutines: 5\n  tcp_stream_timeout: soon\n  tcp_compression_level: 1\nhep: {listen: []}\n";
    let home = directory(&[("bad.yaml", text)]);
    let told = "\
bad.yaml:2:3: voip.max_gorutines: unknown key (did you mean voip.max_goroutines?)
bad.yaml:3:23: voip.tcp_stream_timeout: 'soon': want a duration such as 30s, 5m or 1h30m
warning: bad.yaml:4:3: voip.tcp_compression_level: ignored: files are written as they are; compress them when rotating
bad.yaml:5:1: hep: not in this version: there is no HEP
";
    for arguments in [
        ["config", "validate", "bad.yaml"].as_slice(),
        &["sniff", "voip", "-c", "bad.yaml", "--validate-config"],
        &["sniff", "voip", "-c", "bad.yaml", "-r", "x.pcap"],
        &["config", "show", "-c", "bad.yaml"],
    ] {
        lippycat(home.path()).args(arguments).assert().code(1).stdout(is_empty()).stderr(diff(told));
    }
}

/// What a start would fail at is told by the check, too, and in the same words.
#[test]
fn what_a_file_names_outside_is_looked_at() {
    let text = "pcap: {directory: a-file}\nrecords: {file: a-directory}\nevents: {file: a-directory}\n\
                metrics: {token_file: none}\ncontrol: {group: no-such-group, socket: a-file}\nlog: {file: a-directory}\n";
    let home = directory(&[("c.yaml", text), ("a-file", "no token\n"), ("token", "abc\n")]);
    fs::create_dir(home.path().join("a-directory")).unwrap();
    let read =
        "cannot be read: No such file or directory (os error 2); write the token into it, or unset the key";
    let group = "there is no group 'no-such-group'; create it with groupadd --system, or unset the key";
    let told = format!(
        "c.yaml:1:19: pcap.directory: a-file is no directory; move it away, or name another\n\
         c.yaml:2:17: records.file: a-directory is a directory; name a file\n\
         c.yaml:3:16: events.file: a-directory is a directory; name a file\n\
         c.yaml:4:23: metrics.token_file: none {read}\n\
         c.yaml:5:18: control.group: {group}\n\
         c.yaml:5:41: control.socket: a-file is no socket; move it away, or name another\n\
         c.yaml:6:13: log.file: a-directory is a directory; name a file\n"
    );
    for arguments in
        [&["config", "validate", "c.yaml"][..], &["sniff", "voip", "-c", "c.yaml", "--validate-config"]]
    {
        lippycat(home.path()).args(arguments).assert().code(1).stdout(is_empty()).stderr(diff(told.clone()));
    }
    let check = |file: &str, group: &str| {
        let mut command = lippycat(home.path());
        command.env("LIPPYCAT_METRICS_TOKEN_FILE", file).env("LIPPYCAT_CONTROL_GROUP", group);
        command.args(["config", "validate"]).assert()
    };
    // Every Unix has a group of number 0; a name is looked up, a number is taken.
    check("token", "0").code(0);
    check("a-file", "0")
        .code(1)
        .stderr(contains("LIPPYCAT_METRICS_TOKEN_FILE: a-file: want one line of at most"));
    check("token", "no-such-group").code(1).stderr(contains(format!("LIPPYCAT_CONTROL_GROUP: {group}")));
    // The running sniffer says the same.
    fs::write(
        home.path().join("empty.pcap"),
        [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0],
    )
    .unwrap();
    for (key, value, flags, message) in [
        (
            "METRICS_TOKEN_FILE",
            "none",
            ["--metrics-listen", "127.0.0.1:0"],
            format!("metrics.token_file: none {read}"),
        ),
        ("CONTROL_GROUP", "no-such-group", ["--control-socket", "socket"], format!("control.group: {group}")),
    ] {
        let mut command = lippycat(home.path());
        command.env(format!("LIPPYCAT_{key}"), value).args(["sniff", "voip", "-r", "empty.pcap"]).args(flags);
        command.assert().code(1).stderr(contains(format!("error: {message}")));
    }
}

/// unix(7): a path has 108 bytes with its final NUL.
#[test]
fn outputs_that_a_start_refuses_are_named() {
    let long = "s".repeat(108);
    let bad = format!(
        "log: {{file: ./one}}\nrecords: {{file: one}}\nevents: {{file: two/../one}}\ncontrol: {{socket: {long}}}\n"
    );
    let good = format!(
        "log: {{file: one}}\nrecords: {{file: two}}\nevents: {{file: three}}\ncontrol: {{socket: {}}}\n",
        &long[1..]
    );
    let files =
        [("bad.yaml", bad.as_str()), ("good.yaml", &good), ("self.yaml", "events: {file: self.yaml}\n")];
    let home = directory(&files);
    fs::create_dir(home.path().join("two")).unwrap();
    fs::hard_link(home.path().join("good.yaml"), home.path().join("link")).unwrap();
    let told = format!(
        "bad.yaml:2:17: records.file: one: the log is written there; name another file\n\
         bad.yaml:3:16: events.file: two/../one: the log is written there; name another file\n\
         bad.yaml:4:19: control.socket: {long}: too long for a socket: want at most 107 bytes\n"
    );
    let validate = |file: &str| lippycat(home.path()).args(["config", "validate", file]).assert();
    validate("bad.yaml").code(1).stdout(is_empty()).stderr(diff(told));
    fs::remove_dir(home.path().join("two")).unwrap();
    validate("good.yaml").code(0);
    validate("self.yaml")
        .code(1)
        .stderr("self.yaml:1:16: events.file: self.yaml: this is the configuration; name another file\n");
    let flag = ["sniff", "voip", "-c", "good.yaml", "--validate-config", "--records", "link"];
    let refused = "--records: link: this is the configuration; name another file\n";
    lippycat(home.path()).args(flag).assert().code(1).stderr(refused);
    // Standard output and devices may be named twice.
    for place in ["-", "/dev/null"] {
        let mut command = lippycat(home.path());
        command.env("LIPPYCAT_RECORDS_FILE", place).env("LIPPYCAT_EVENTS_FILE", place);
        command.args(["config", "validate", "good.yaml"]).assert().code(0);
    }
}

#[test]
fn flags_are_checked_with_the_configuration() {
    let home = directory(&[("c.yaml", "log: {level: warn}\n"), ("a-file", "")]);
    fs::create_dir(home.path().join("a-directory")).unwrap();
    let check = |flags: &[&str]| {
        let mut command = lippycat(home.path());
        command.args(["sniff", "voip", "-c", "c.yaml", "--validate-config"]).args(flags).assert()
    };
    check(&["-w", "--pcap-dir", "new", "--user", "nobody"]).code(0).stdout("c.yaml: valid\n");
    check(&["-w", "--pcap-dir", "a-file"]).code(1).stderr(starts_with("--pcap-dir: a-file is no directory"));
    check(&["--records", "a-directory"]).code(1).stderr(starts_with("--records: a-directory is a directory"));
    check(&["--user", "no-such-user"]).code(1).stderr("error: --user no-such-user: no such user\n");
}

#[test]
fn old_keys_are_warnings() {
    let home = directory(&[("old.yaml", "voip:\n  tcp_buffer_pool_size: 1000\n")]);
    lippycat(home.path())
        .args(["config", "validate", "old.yaml"])
        .assert()
        .code(0)
        .stdout("old.yaml: valid\n")
        .stderr(starts_with("warning: old.yaml:2:3: voip.tcp_buffer_pool_size: ignored: "));
}

#[test]
fn broken_yaml_has_line_and_column() {
    let home = directory(&[("broken.yaml", "voip:\n\tworkers: 1\n")]);
    lippycat(home.path())
        .args(["config", "validate", "broken.yaml"])
        .assert()
        .code(1)
        .stderr(starts_with("broken.yaml:2:2: broken YAML: "));
}

#[test]
fn a_named_file_that_is_missing_is_one_clear_error() {
    let home = directory(&[]);
    let told = "error: cannot read configuration none.yaml: No such file or directory (os error 2)\n";
    for arguments in [
        ["config", "validate", "none.yaml"].as_slice(),
        &["sniff", "voip", "-c", "none.yaml", "--validate-config"],
        &["sniff", "voip", "-c", "none.yaml", "-r", "x.pcap"],
    ] {
        lippycat(home.path()).args(arguments).assert().code(1).stderr(diff(told));
    }
    lippycat(home.path())
        .env("LIPPYCAT_CONFIG", "none.yaml")
        .args(["config", "show"])
        .assert()
        .code(1)
        .stderr(diff(told));
}

#[test]
fn a_broken_file_that_was_found_is_skipped_but_not_valid() {
    let home = directory(&[(".lippycat.yaml", "nonsense: 1\n")]);
    let path = home.path().join(".lippycat.yaml");
    let problem = format!("{}:1:1: nonsense: unknown key\n", path.display());
    let shown = lippycat(home.path()).args(["config", "show"]).assert().code(0);
    shown.stderr(starts_with(format!("warning: {problem}warning: {} is skipped\n", path.display())));
    lippycat(home.path()).args(["sniff", "voip", "--validate-config"]).assert().code(1).stderr(diff(problem));
}

#[test]
fn without_a_file_defaults_are_valid() {
    let home = directory(&[]);
    if Path::new("/etc/lippycat/lippycat.yaml").exists() {
        return;
    }
    lippycat(home.path())
        .args(["config", "validate"])
        .assert()
        .code(0)
        .stdout("no configuration file found: defaults are used\n");
}

#[test]
fn generate_prints_the_shipped_example_and_that_is_valid() {
    let home = directory(&[]);
    let example = include_str!("../lippycat.yaml.example");
    lippycat(home.path()).args(["config", "generate"]).assert().code(0).stdout(example).stderr(is_empty());
    fs::write(home.path().join("default-config.yaml"), example).unwrap();
    lippycat(home.path()).args(["config", "validate", "default-config.yaml"]).assert().code(0);
}

#[test]
fn show_tells_values_and_where_they_come_from() {
    let home =
        directory(&[("c.yaml", "# c\nvoip:\n  tcp_performance_mode: throughput\nlog: {level: warn}\n")]);
    let show = |arguments: &[&str]| {
        let mut command = lippycat(home.path());
        command
            .env("LIPPYCAT_VOIP_TCP_BATCH_SIZE", "9")
            .args(["config", "show", "-c", "c.yaml"])
            .args(arguments);
        String::from_utf8(command.assert().code(0).stderr(is_empty()).get_output().stdout.clone()).unwrap()
    };
    let text = show(&[]);
    // How wide the columns are depends on the longest value of all.
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "voip.tcp_performance_mode throughput file, line 3",
        "voip.tcp_batch_size 9 LIPPYCAT_VOIP_TCP_BATCH_SIZE",
        "voip.tcp_memory_limit 500MiB performance mode",
        "voip.tcp_stream_timeout 10m default",
        "log.level warn file, line 4",
    ] {
        assert!(text.lines().any(|it| words(it) == line), "{line}\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&show(&["--json", "--log-level", "debug"])).unwrap();
    assert_eq!(json["tcp_performance_mode"], "throughput");
    assert_eq!(json["tcp_memory_limit"], 524_288_000);
    assert_eq!(json["log"]["level"], "debug");
    assert_eq!(json["origins"]["log.level"], "flag");
    assert_eq!(json["config_file"], "c.yaml");
}

#[test]
fn variables_are_checked_too() {
    let home = directory(&[]);
    lippycat(home.path())
        .env("LIPPYCAT_VOIP_MAX_GOROUTINES", "-5")
        .args(["config", "show"])
        .assert()
        .code(1)
        .stderr(diff("LIPPYCAT_VOIP_MAX_GOROUTINES: '-5': want a whole number from 1 to 10000000\n"));
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_not_permitted() {
    use std::os::unix::fs::PermissionsExt;
    let home = directory(&[("secret.yaml", "")]);
    let path = home.path().join("secret.yaml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        return; // root may read everything
    }
    lippycat(home.path()).args(["config", "validate", "secret.yaml"]).assert().code(4);
}

#[test]
fn a_file_cannot_talk_to_the_terminal() {
    let home = directory(&[("evil.yaml", "\"\\e[31mx\": 1\nvoip: {workers: \"\\e]0;x\\a\\r\\n\"}\n")]);
    let assert = lippycat(home.path()).args(["config", "validate", "evil.yaml"]).assert().code(1);
    let told = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert_eq!(told.lines().count(), 2);
    assert!(!told.contains(|c: char| c.is_control() && c != '\n'), "{told:?}");
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let home = directory(&[]);
    for shell in ["bash", "zsh", "fish"] {
        lippycat(home.path())
            .args(["completions", shell])
            .assert()
            .code(0)
            .stdout(contains("tcp-performance-mode"));
    }
    let pages = contains(".TH lippycat 1").and(contains(".TH lippycat-sniff-voip 1"));
    lippycat(home.path()).arg("man").assert().code(0).stdout(pages);
    lippycat(home.path()).args(["man", "--dir", "a/b"]).assert().code(0).stdout(is_empty());
    assert!(home.path().join("a/b/lippycat-inspect-call.1").exists());
    fs::write(home.path().join("file"), "").unwrap();
    let told = "error: file/pages: cannot be made: ";
    lippycat(home.path()).args(["man", "--dir", "file/pages"]).assert().code(1).stderr(starts_with(told));
}

#[test]
fn an_output_that_takes_nothing_is_named() {
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/corpus/sip-over-tcp/input.pcap");
    let capture = capture.to_str().unwrap();
    for arguments in [
        &["inspect", "calls", "--json", "-r", capture][..],
        &["report", "calls", "-r", capture],
        &["config", "show"],
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lippycat"));
        let ended = command.env_clear().args(arguments).stdout(full).output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{told}");
        assert!(told.starts_with("error: standard output cannot be written: No space left"), "{told}");
    }
}

#[test]
fn files_of_one_name_are_numbered_without_gaps() {
    let home = directory(&[]);
    let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/corpus/b2bua-asterisk/input.pcapng");
    let flags = "-w --pcap-dir out --pcap-name fixed --records calls.jsonl --format none -q";
    lippycat(home.path()).args(["sniff", "voip", "-r"]).arg(capture).args(flags.split(' ')).assert().code(0);
    let mut names: Vec<_> =
        fs::read_dir(home.path().join("out")).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["fixed.pcap", "fixed~2.pcap"], "registrations and subscriptions have none");
    let records = fs::read_to_string(home.path().join("calls.jsonl")).unwrap();
    assert!(["out/fixed.pcap\"", "out/fixed~2.pcap\""].iter().all(|it| records.contains(it)), "{records}");
}
