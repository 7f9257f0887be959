//! Faults in signalling and media against the generator's ledger: every fault is found, and nothing where there is none.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ledger::differences;
use crate::support::Run;
use crate::traffic::capture;
use crate::traffic::generator::{Call, Profile, Stream};

/// What is told of a call, in the words of the ledger.
fn signs(record: &Value) -> BTreeSet<String> {
    let list = |key: &str| record[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let codes = list("findings").into_iter().map(|finding| text(&finding["code"]));
    let holds = list("holds").into_iter().map(|hold| format!("hold {} {}", text(&hold["by"]), hold["count"]));
    let transfers = list("transfers").into_iter();
    let transfers = transfers.map(|it| format!("transfer {} {}", text(&it["by"]), it["status_code"]));
    let forks = record["forks"].as_u64().filter(|forks| *forks > 1 && record["answered"].is_string());
    // The refusal of a first try has a tag of its own.
    let forks = forks.filter(|_| record["early_dialogs"].as_u64() > Some(1));
    let forks = forks.map(|forks| format!("fork {forks}"));
    let media = list("media");
    let sum = |key: &str| media.iter().filter_map(|stream| stream[key].as_u64()).sum();
    let counts = counts([sum("missing"), sum("reordered"), sum("duplicates")]);
    codes.chain(holds).chain(transfers).chain(forks).chain(counts).collect()
}

/// Packets lost, reordered and duplicated, in words.
fn counts(counts: [u64; 3]) -> impl Iterator<Item = String> {
    let words = ["lost", "reordered", "duplicated"];
    words
        .into_iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{word} {count}"))
}

/// What has to be found.
fn truth(call: &Call) -> BTreeSet<String> {
    let sum = |of: fn(&Stream) -> u64| call.streams.iter().map(of).sum();
    let counts = counts([sum(|it| it.lost), sum(|it| it.reordered), sum(|it| it.duplicated)]);
    call.signs.iter().map(|&sign| sign.to_owned()).chain(counts).collect()
}

/// Found and there, found and not there, there and not found.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    right: u64,
    invented: u64,
    missed: u64,
}

impl Score {
    /// Shares of what was found that is there, and of what is there that was found.
    fn precision_and_recall(self) -> (f64, f64) {
        let right = self.right as f64;
        (right / (self.right + self.invented) as f64, right / (self.right + self.missed) as f64)
    }
}

/// Of ten thousand calls.
fn scale() -> f64 {
    std::env::var("FAULTS_SCALE").map_or(1.0, |scale| scale.parse().unwrap())
}

#[test]
fn every_fault_in_signalling_and_media_is_found_and_none_is_made_up() {
    let mut profile = Profile::preset("all-faults").unwrap();
    profile.scale(scale());
    let (file, ledger) = capture(&profile);
    let run = Run::of(file.path(), &[]);
    let wrong = differences("faults", &run, &ledger);
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    let told: BTreeMap<&str, &Value> =
        run.records_of("call").map(|record| (record["call_id"].as_str().unwrap(), record)).collect();
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    let mut wrong = Vec::new();
    let (mut faulty, mut near_misses) = (0, 0);
    for call in &ledger.list {
        let (truth, ours) = (truth(call), signs(told[call.call_id.as_str()]));
        // Codes of findings have no blanks; the rest is told and nothing wrong.
        let is_faulty = truth.iter().any(|sign| !sign.contains(' ') && sign != "no_rtp");
        faulty += u64::from(is_faulty);
        near_misses += u64::from(!is_faulty);
        for sign in truth.union(&ours) {
            let score = scores.entry(sign.clone()).or_default();
            match (truth.contains(sign), ours.contains(sign)) {
                (true, true) => score.right += 1,
                (true, false) => score.missed += 1,
                _ => score.invented += 1,
            }
        }
        if truth != ours {
            wrong.push(format!("{}: {ours:?}, ledger {truth:?}", call.call_id));
        }
    }
    for (sign, score) in &scores {
        let (precision, recall) = score.precision_and_recall();
        eprintln!("{sign:28} {:5} found, precision {precision:.3}, recall {recall:.3}", score.right);
    }
    eprintln!("{} calls: {faulty} with faults, {near_misses} near misses", ledger.list.len());
    wrong.truncate(10);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(scores.len(), 36, "{scores:#?}");
    assert!(faulty > 200 && near_misses > 200, "{faulty} faults, {near_misses} near misses");
}
