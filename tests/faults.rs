//! Faults in signalling against the generator's ledger: every fault is found, and nothing where there is none.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::ledger::compare;
use crate::support::Run;
use crate::traffic::capture;
use crate::traffic::generator::Profile;

/// Codes of findings about media: these calls have none.
const MEDIA: [&str; 1] = ["no_rtp"];

/// What is told of a call's signalling, in the words of the ledger.
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
    codes.filter(|code| !MEDIA.contains(&code.as_str())).chain(holds).chain(transfers).chain(forks).collect()
}

/// Found and there, found and not there, there and not found.
#[derive(Clone, Copy, Debug, Default)]
struct Score {
    right: u64,
    invented: u64,
    missed: u64,
}

/// Of ten thousand calls.
fn scale() -> f64 {
    std::env::var("FAULTS_SCALE").map_or(0.05, |scale| scale.parse().unwrap())
}

#[test]
fn every_fault_in_signalling_is_found_and_none_is_made_up() {
    let mut profile = Profile::preset("faults").unwrap();
    profile.scale(scale());
    let (file, ledger) = capture(&profile);
    let wrong = compare("faults", file.path(), &ledger);
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    let run = Run::of(file.path(), &[]);
    let told: BTreeMap<&str, &Value> =
        run.records_of("call").map(|record| (record["call_id"].as_str().unwrap(), record)).collect();
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    let mut wrong = Vec::new();
    let (mut faulty, mut near_misses) = (0, 0);
    for call in &ledger.list {
        let truth: BTreeSet<String> = call.signs.iter().map(|&sign| sign.to_owned()).collect();
        let ours = signs(told[call.call_id.as_str()]);
        // Codes of findings have no blanks; the rest is told and nothing wrong.
        let is_faulty = truth.iter().any(|sign| !sign.contains(' '));
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
    wrong.truncate(10);
    assert!(wrong.is_empty(), "{scores:#?}\n{}", wrong.join("\n"));
    assert_eq!(scores.len(), 19, "{scores:#?}");
    assert!(faulty > 200 && near_misses > 200, "{faulty} faults, {near_misses} near misses");
    let right: u64 = scores.values().map(|score| score.right).sum();
    eprintln!("{faulty} calls with faults, {near_misses} near misses: {right} signs found, none invented");
}
