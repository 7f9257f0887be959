//! `inspect` over real captures, and over those that were made to show something.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Run, lippycat};

/// What a command prints of a call.
fn told(arguments: &[&str], call_id: &str, input: &Path) -> String {
    let mut command = lippycat();
    // A Call-ID may begin with a hyphen (RFC 3261 25.1).
    command.args(arguments).arg("-r").arg(input).arg("--").arg(call_id);
    let output = command.env("LC_ALL", "C").output().unwrap();
    assert!(
        output.status.success(),
        "{arguments:?} {}: {}",
        input.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Nothing of it can be read, as its README says.
const DAMAGED: &str = "mixed-byte-order";

/// Every capture of the test data that is one.
fn captures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut directories = vec![root];
    let mut found = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let is_capture = path.extension().is_some_and(|it| it == "pcap" || it == "pcapng");
            if path.is_dir() {
                directories.push(path);
            } else if is_capture && !path.to_string_lossy().contains(DAMAGED) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// How often each line is there.
fn counted<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    lines.for_each(|line| *counts.entry(line).or_default() += 1);
    counts
}

/// A call tells one story, whoever tells it: the witness is the record that `sniff voip` writes.
#[test]
fn every_finding_of_a_record_is_shown_by_inspect_and_by_report() {
    let captures = captures();
    assert!(captures.len() > 40, "{captures:?}");
    let mut codes = BTreeMap::new();
    for capture in &captures {
        let mut calls: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for record in Run::of(capture, &[]).records {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let findings = record["findings"].as_array().unwrap().iter();
            let findings = findings.map(|finding| (text(&finding["code"]), text(&finding["text"])));
            calls.entry(text(&record["call_id"])).or_default().extend(findings);
        }
        // One without any is looked at too.
        let silent = calls.iter().find(|(_, findings)| findings.is_empty()).map(|(id, _)| id.clone());
        calls.retain(|id, findings| !findings.is_empty() || silent.as_ref() == Some(id));
        for (call_id, findings) in calls {
            let lines: Vec<String> =
                findings.iter().map(|(code, text)| format!("* {text} ({code})")).collect();
            let expected = counted(lines.iter().map(String::as_str));
            findings.iter().for_each(|(code, _)| *codes.entry(code.clone()).or_insert(0) += 1);
            for view in ["--ladder", "--text"] {
                let shown = told(&["inspect", "call", view], &call_id, capture);
                let shown = counted(shown.lines().filter(|line| line.starts_with("* ")));
                let missing = expected.iter().find(|(line, count)| shown.get(**line) != Some(*count));
                assert!(missing.is_none(), "{}: {view}: {missing:?}\n{shown:?}", capture.display());
                let more = shown.keys().filter(|line| !expected.contains_key(**line));
                let named = |line: &&&str| line.ends_with("(challenged)") || line.ends_with("(rejected)");
                let strange: Vec<_> = more.filter(|line| !named(line)).collect();
                assert!(strange.is_empty(), "{}: {view}: {strange:?}", capture.display());
            }
            let json = told(&["report", "call", "--format", "json"], &call_id, capture);
            let stories = json.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let reported: Vec<String> = stories
                .flat_map(|story| story["findings"].as_array().unwrap().clone())
                .map(|it| format!("* {} ({})", it["text"].as_str().unwrap(), it["code"].as_str().unwrap()))
                .collect();
            let reported = counted(reported.iter().map(String::as_str));
            let missing = expected.iter().find(|(line, count)| reported.get(**line) != Some(*count));
            assert!(missing.is_none(), "{}: report: {missing:?}\n{reported:?}", capture.display());
        }
    }
    assert!(codes.len() >= 6, "{codes:?}");
}
