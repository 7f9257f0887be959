//! Legs against the generator's ledger, and against tshark's Call-IDs: those that belong together are joined, and no others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::corpus::cases;
use crate::support::{Run, lippycat, testdata, tshark};
use crate::traffic::generator::{Ledger, MARK, Profile};
use crate::traffic::{capture, profile};

/// A pair of Call-IDs, in their order.
type Pair = (String, String);

/// All pairs of calls in one session, and what joined the second to the first.
fn pairs<'a>(
    sessions: impl Iterator<Item = (&'a str, &'a str, Option<&'a str>)>,
) -> BTreeMap<Pair, Option<String>> {
    let mut members: BTreeMap<&str, Vec<(&str, Option<&str>)>> = BTreeMap::new();
    sessions.for_each(|(session, call_id, by)| members.entry(session).or_default().push((call_id, by)));
    let mut found = BTreeMap::new();
    for calls in members.values() {
        for (place, (one, by)) in calls.iter().enumerate() {
            for (other, other_by) in calls.iter().skip(place + 1) {
                let (first, second) = if one < other { (one, other) } else { (other, one) };
                let by = by.or(*other_by).map(str::to_owned);
                found.insert(((*first).to_owned(), (*second).to_owned()), by);
            }
        }
    }
    found
}

/// The pairs of a run; every record of a session has to tell the same legs of it.
fn ours(run: &Run) -> BTreeMap<Pair, Option<String>> {
    let mut legs: BTreeMap<&str, &Value> = BTreeMap::new();
    for record in run.records_of("call").filter(|record| record["session"].is_string()) {
        let known = legs.entry(record["session"].as_str().unwrap()).or_insert(&record["legs"]);
        let ids = |legs: &Value| -> Vec<Value> {
            legs.as_array().unwrap().iter().map(|leg| leg["call_id"].clone()).collect()
        };
        assert_eq!(ids(known), ids(&record["legs"]), "{record}");
    }
    let calls = run.records_of("call").filter_map(|record| {
        let call_id = record["call_id"].as_str()?;
        let leg = record["legs"].as_array()?.iter().find(|leg| leg["call_id"] == call_id)?;
        Some((record["session"].as_str()?, call_id, leg["joined_by"].as_str()))
    });
    pairs(calls)
}

fn truth(ledger: &Ledger) -> BTreeMap<Pair, Option<String>> {
    let calls = ledger.list.iter();
    pairs(calls.filter_map(|call| Some((call.session.as_deref()?, call.call_id.as_str(), call.joined_by))))
}

#[test]
fn every_leg_that_shows_is_joined_and_none_is_made_up() {
    let (file, ledger) = capture(&Profile::preset("legs").unwrap());
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.yaml");
    std::fs::write(&config, format!("voip: {{leg_headers: [{MARK}]}}\n")).unwrap();
    let run = Run::of(file.path(), &["-c", config.to_str().unwrap()]);
    let (ours, truth) = (ours(&run), truth(&ledger));
    let invented: Vec<&Pair> = ours.keys().filter(|pair| !truth.contains_key(pair)).collect();
    assert!(invented.is_empty(), "{} of {} invented: {invented:?}", invented.len(), ours.len());
    let shown: BTreeMap<&Pair, &Option<String>> = truth.iter().filter(|(_, by)| by.is_some()).collect();
    let missed: Vec<_> = shown.iter().filter(|(pair, by)| ours.get(pair) != Some(by)).collect();
    let found: Vec<_> = missed.iter().map(|(pair, _)| ours.get(pair)).collect();
    assert!(missed.is_empty(), "{} of {} missed: {missed:?}, found {found:?}", missed.len(), shown.len());
    let ways: BTreeSet<&str> = shown.values().filter_map(|by| by.as_deref()).collect();
    assert_eq!(ways.len(), 6, "{ways:?}");
    assert!(shown.len() > 700 && ledger.list.len() > 3_500, "{} of {}", shown.len(), ledger.list.len());
    assert_eq!(run.number("/dropped/calls/legs"), 0);
    eprintln!(
        "{} legs joined of {} that show, of {} calls in all",
        ours.len(),
        shown.len(),
        ledger.list.len()
    );
}

/// A load test: one number calls another through one B2BUA, again and again.
#[test]
fn identical_calls_are_joined_rightly_or_not_at_all() {
    for (seed, rate) in [("1", "0.2"), ("2", "2"), ("3", "20"), ("4", "200")] {
        let knobs =
            [("calls", "300"), ("b2bua", "1"), ("identical", "true"), ("servers", "1"), ("user_agents", "2")];
        let (file, ledger) =
            capture(&profile(&[&knobs[..], &[("seed", seed), ("rate", rate), ("hold", "10")]].concat()));
        let (ours, truth) = (ours(&Run::of(file.path(), &[])), truth(&ledger));
        let invented: Vec<&Pair> = ours.keys().filter(|pair| !truth.contains_key(pair)).collect();
        assert!(
            invented.is_empty(),
            "{rate} a second: {} of {} invented: {invented:?}",
            invented.len(),
            ours.len()
        );
        eprintln!("{rate} identical calls a second: {} of {} joined, none wrongly", ours.len(), truth.len());
    }
}

#[test]
fn a_thousand_calls_at_once_that_have_nothing_to_do_with_each_other_stay_apart() {
    let knobs = [("calls", "2000"), ("rate", "200"), ("hold", "20"), ("servers", "2"), ("user_agents", "20")];
    let (file, ledger) = capture(&profile(&knobs));
    assert!(ledger.dialogs_at_once > 1_000, "{}", ledger.dialogs_at_once);
    let run = Run::of(file.path(), &[]);
    let joined: Vec<&Value> = run.records.iter().filter(|record| !record["session"].is_null()).collect();
    assert!(joined.is_empty(), "{joined:?}");
}

/// The only calls of the corpus that are legs of each other under several Call-IDs. That they are shows tshark's view of
/// them: which INVITE leaves the B2BUA for whom, and when.
const OF_THE_CORPUS: [(&str, [&str; 2]); 1] = [(
    "b2bua-asterisk",
    ["37686afc57ce24ac655742b3644a7bb8@172.16.98.101:5060", "M2Q0ZDc1ZGM1NzIyMTlhZTA3NDU3NTgzMzA5YmJmZWQ."],
)];

#[test]
fn legs_of_the_corpus_are_those_that_tshark_shows() {
    for case in cases() {
        let run = Run::of(&case.input, &[]);
        let known = OF_THE_CORPUS.into_iter().filter(|(name, _)| *name == case.name);
        let expected: Vec<Pair> = known.map(|(_, [one, other])| (one.to_owned(), other.to_owned())).collect();
        let found: Vec<Pair> = ours(&run).into_keys().collect();
        assert_eq!(found, expected, "{}", case.name);
        check_hops(&case.name, &case.input, &run);
    }
    let run = Run::of(&testdata("corpus/b2bua-asterisk/input.pcapng"), &[]);
    let record = run.records_of("call").next().unwrap();
    assert_eq!(record["legs"][1]["joined_by"], "evidence", "{record}");
    assert!(record["legs"][1]["score"].as_u64() >= Some(70), "{record}");
}

/// Either leg describes the other phone in a re-INVITE (frames 35 and 37); tshark sees the RTP between the phones in 40 and
/// in 355 frames from 49 on.
#[test]
fn media_that_goes_past_the_b2bua_is_of_both_legs() {
    let run = Run::of(&testdata("corpus/b2bua-asterisk/input.pcapng"), &[]);
    let streams = |record: &Value| -> Vec<(String, u64)> {
        let streams = record["media"].as_array().unwrap().iter();
        streams.map(|it| (it["source"].as_str().unwrap().into(), it["packets"].as_u64().unwrap())).collect()
    };
    let told: Vec<_> = run.records_of("call").map(streams).collect();
    let of_both = [("172.16.98.1:8000".to_owned(), 1), ("172.16.98.145:8000".to_owned(), 355)];
    assert_eq!(told, [of_both.clone(), of_both]);
}

#[test]
fn a_report_tells_of_legs_and_how_certain_they_are() {
    let input = testdata("corpus/b2bua-asterisk/input.pcapng");
    let told = |arguments: &[&str]| {
        let output = lippycat().args(arguments).arg("-r").arg(&input).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let story = told(&["report", "call", "37686afc57ce24ac"]);
    let row = |title: &str| -> Vec<&str> { story.lines().filter(|line| line.contains(title)).collect() };
    assert!(row("Session")[0].contains("M2Q0ZDc1ZGM1NzIyMTlhZTA3NDU3NTgzMzA5YmJmZWQ."), "{story}");
    assert!(
        row("172.16.98.101:5060 → 172.16.98.145:40216")
            .iter()
            .any(|it| it.contains("by evidence, 90 of 100: ")),
        "{story}"
    );
    let list = ["report", "calls", "--format", "csv", "--fields", "call_id,legs.joined_by,legs.score"];
    assert_eq!(told(&[&list[..], &["--where", "legs.score>=70"]].concat()).lines().count(), 3);
    assert_eq!(told(&[&list[..], &["--where", "legs.score>90"]].concat()).lines().count(), 1);
}

/// The legs of a call are the ways that tshark sees its INVITEs without To-tag go, in their order.
fn check_hops(name: &str, input: &std::path::Path, run: &Run) {
    let fields = ["sip.Call-ID", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst"];
    let invites = "sip.Method == \"INVITE\" && !sip.to.tag && udp && !icmp && !gre && !gtp && !tzsp";
    let Some(rows) = tshark(input, invites, &fields) else { return };
    let mut ways: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.iter().all(|field| !field.contains(';'))) {
        let way = format!("{}{} {}{}", row[1], row[2], row[3], row[4]);
        let known = ways.entry(row[0].clone()).or_default();
        if !known.contains(&way) {
            known.push(way);
        }
    }
    for record in run.records_of("call").filter(|record| record["legs"].is_array()) {
        let call_id = record["call_id"].as_str().unwrap();
        let host = |value: &Value| {
            value.as_str().unwrap().rsplit_once(':').unwrap().0.trim_matches(['[', ']']).to_owned()
        };
        let own = record["legs"].as_array().unwrap().iter().filter(|leg| leg["call_id"] == call_id);
        let mut hops: Vec<String> =
            own.map(|leg| format!("{} {}", host(&leg["source"]), host(&leg["destination"]))).collect();
        hops.dedup();
        if let Some(ways) = ways.get(call_id) {
            assert_eq!(&hops, ways, "{name}: {call_id}");
        }
    }
}
