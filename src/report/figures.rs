//! What many calls were like together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::attempt::Attempt;
use super::records::Record;
use crate::call::{self, is_delivered};

/// Width of a step of [`Spread`]: quantiles are right to one per cent.
const STEP: f64 = 1.02;

/// Figures of a group of calls.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    calls: u64,
    /// Attempts that are answered or over: calls whose INVITE was captured.
    seizures: u64,
    answered: u64,
    /// Calls that the network carried to the called party (ITU-T E.425).
    effective: u64,
    /// Calls that were not answered, by final code; those without one under 0.
    failed: BTreeMap<u16, u64>,
    duration: Mean,
    delay: Spread,
    setup: Spread,
    mos: Mean,
    expected: f64,
    lost: f64,
    /// First requests by method, and those that failed.
    requests: BTreeMap<String, (u64, u64)>,
    messages: u64,
    retransmissions: u64,
}

/// Methods told apart; what comes beyond is one.
const MAX_METHODS: usize = 64;

impl Figures {
    /// Adds a record. Of dialogs that are no calls only the request counts.
    pub fn add(&mut self, record: &Record) {
        let whole = |key| record.number(key).unwrap_or_default() as u64;
        self.messages = self.messages.saturating_add(whole("messages"));
        self.retransmissions = self.retransmissions.saturating_add(whole("retransmissions"));
        let code = record.number("status_code").unwrap_or_default();
        self.request(record.text("method"), code >= 400.0 || record.text("result") == "timeout");
        if record.text("kind") != "call" {
            return;
        }
        self.calls += 1;
        self.outcome(record);
        record.number("post_dial_delay_seconds").inspect(|it| self.delay.add(*it));
        record.number("setup_seconds").inspect(|it| self.setup.add(*it));
        if is_answered(record) {
            self.duration(record);
        }
        self.media(record.value.get("media").and_then(Value::as_array).into_iter().flatten());
    }

    /// Adds an attempt of a call, with its streams. When it ended is known of the call alone: that is of the leg that was answered.
    pub(super) fn add_attempt(&mut self, record: &Record, attempt: &Attempt<'_>, media: &[&Value]) {
        let (code, is_over) = (attempt.code(), !attempt.is_open());
        self.retransmissions = self.retransmissions.saturating_add(attempt.retransmissions());
        self.request("INVITE", is_over && code.is_none_or(|code| code >= 400));
        self.calls += 1;
        attempt.post_dial_delay().inspect(|it| self.delay.add(*it));
        if attempt.is_answered() {
            self.answered();
            attempt.setup().inspect(|it| self.setup.add(*it));
            self.duration(record);
        } else if is_over {
            self.not_answered(code.unwrap_or_default(), attempt.has_rung());
        }
        self.media(media.iter().copied());
    }

    /// That of a call which is over.
    fn duration(&mut self, record: &Record) {
        record
            .number("duration_seconds")
            .filter(|_| record.text("result") != "open")
            .inspect(|it| self.duration.add(*it));
    }

    fn media<'a>(&mut self, streams: impl Iterator<Item = &'a Value>) {
        for stream in streams {
            let number = |key| stream.get(key).and_then(Value::as_f64);
            number("mos").inspect(|mos| self.mos.add(*mos));
            self.expected += number("expected").unwrap_or_default();
            // What the capture lost, nobody missed.
            let by_capture = number("lost_by_capture").unwrap_or_default();
            self.lost += (number("missing").unwrap_or_default() - by_capture).max(0.0);
        }
    }

    fn outcome(&mut self, record: &Record) {
        if !is_attempt(record) {
            return;
        }
        let result = record.text("result");
        if is_answered(record) {
            self.answered();
        } else if result != "open" {
            let code = record.number("status_code").map_or(0, |code| code as u16);
            self.not_answered(code, !record.text("ringing").is_empty());
        }
    }

    const fn answered(&mut self) {
        self.seizures += 1;
        self.answered += 1;
        self.effective += 1;
    }

    fn not_answered(&mut self, code: u16, has_rung: bool) {
        self.seizures += 1;
        *self.failed.entry(code).or_default() += 1;
        self.effective += u64::from(is_delivered(code, has_rung));
    }

    fn request(&mut self, method: &str, has_failed: bool) {
        let is_known = self.requests.contains_key(method) || self.requests.len() < MAX_METHODS;
        let entry = self.requests.entry(if is_known { method } else { "OTHER" }.to_owned()).or_default();
        entry.0 += 1;
        entry.1 += u64::from(has_failed);
    }

    /// Calls.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.calls
    }

    /// Everything, for programs; what there is nothing of is null.
    #[must_use]
    pub fn json(&self) -> Value {
        let failed: BTreeMap<String, u64> =
            self.failed.iter().map(|(code, count)| (code_name(*code), *count)).collect();
        let requests: BTreeMap<&str, Value> = self
            .requests
            .iter()
            .map(|(method, (count, failed))| (method.as_str(), json!({"count": count, "failed": failed})))
            .collect();
        json!({
            "calls": self.calls, "seizures": self.seizures, "answered": self.answered, "failed": failed,
            "asr_percent": percent(self.answered, self.seizures), "ner_percent": percent(self.effective, self.seizures),
            "acd_seconds": rounded(self.duration.mean()),
            "pdd_seconds": {"mean": rounded(self.delay.mean.mean()), "p95": rounded(self.delay.quantile(0.95))},
            "setup_seconds": {"mean": rounded(self.setup.mean.mean()), "p95": rounded(self.setup.quantile(0.95))},
            "mos": {"mean": rounded(self.mos.mean()), "min": rounded(self.mos.least)},
            "loss_percent": (self.expected > 0.0).then(|| 100.0 * self.lost / self.expected).and_then(|it| rounded(Some(it))),
            "requests": requests, "messages": self.messages, "retransmissions": self.retransmissions,
        })
    }
}

fn is_answered(record: &Record) -> bool {
    !record.text("answered").is_empty()
}

/// Whether the INVITE that began it was captured: of a call that was up before nobody knows whether it was answered.
fn is_attempt(record: &Record) -> bool {
    record.text("method") == "INVITE" && !record.text("request_uri").is_empty()
}

/// A final code as a word: calls without one have none.
fn code_name(code: u16) -> String {
    if code == 0 { "none".to_owned() } else { code.to_string() }
}

/// A share in per cent, to a hundredth.
fn percent(part: u64, whole: u64) -> Option<f64> {
    call::percent(part, whole).map(|share| (share * 100.0).round() / 100.0)
}

/// To a thousandth.
fn rounded(value: Option<f64>) -> Option<f64> {
    value.map(|value| (value * 1e3).round() / 1e3)
}

/// A mean, and the least value.
#[derive(Clone, Debug, Default)]
struct Mean {
    count: u64,
    sum: f64,
    least: Option<f64>,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.least = Some(self.least.map_or(value, |least| least.min(value)));
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// How times are spread, in steps of two per cent: as many calls as there are cost no more than a few hundred.
#[derive(Clone, Debug, Default)]
struct Spread {
    mean: Mean,
    steps: BTreeMap<i32, u64>,
}

impl Spread {
    fn add(&mut self, seconds: f64) {
        self.mean.add(seconds);
        // A microsecond is the least that captures tell apart.
        let step = (seconds.max(1e-6).ln() / STEP.ln()).round();
        *self.steps.entry(step as i32).or_default() += 1;
    }

    /// The value that this share of all does not exceed, by nearest rank.
    fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.mean.count as f64).ceil() as u64;
        let mut sum = 0;
        let step = self.steps.iter().find(|(_, count)| {
            sum += **count;
            sum >= rank
        });
        step.filter(|_| rank > 0).map(|(step, _)| STEP.powi(*step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::Privacy;

    fn record(value: Value) -> Record {
        Record::new(value, Privacy::default())
    }

    fn call(result: &str, code: u16, ringing: Option<&str>) -> Record {
        let answered = (result == "success").then_some("2026-01-31T12:00:01.000000Z");
        record(
            json!({"kind": "call", "method": "INVITE", "result": result, "answered": answered, "ringing": ringing, "request_uri": "sip:bob@example.com",
            "status_code": (code > 0).then_some(code), "duration_seconds": answered.map(|_| 60.0)}),
        )
    }

    #[test]
    fn ratios_are_those_of_e_411_and_e_425() {
        let mut figures = Figures::default();
        let rang = Some("2026-01-31T12:00:00.500000Z");
        let calls = [
            call("success", 200, rang),
            call("success", 200, None),
            call("busy", 486, None),
            call("busy", 603, rang),
            call("cancelled", 487, rang),
            call("cancelled", 487, None),
            call("failed", 503, None),
            call("failed", 404, None),
            call("timeout", 0, None),
            call("failed", 480, None),
            call("open", 0, rang),
        ];
        calls.iter().for_each(|call| figures.add(call));
        // Up before the capture began, and hung up in it.
        figures.add(&record(
            json!({"kind": "call", "method": "BYE", "result": "success", "request_uri": "sip:b@c"}),
        ));
        // A call that is up has not had its duration yet (RFC 6076 4.5).
        let up = json!({"kind": "call", "result": "open", "answered": rang, "duration_seconds": 5.0});
        figures.add(&record(up));
        let told = figures.json();
        assert_eq!(
            (&told["calls"], &told["seizures"], &told["answered"]),
            (&json!(13), &json!(10), &json!(2))
        );
        assert_eq!((&told["asr_percent"], &told["ner_percent"]), (&json!(20.0), &json!(60.0)));
        assert_eq!(
            told["failed"],
            json!({"486": 1, "603": 1, "487": 2, "503": 1, "404": 1, "480": 1, "none": 1})
        );
        assert_eq!(told["acd_seconds"], 60.0);
        assert_eq!(told["mos"], json!({"mean": null, "min": null}));
        assert_eq!(told["requests"]["INVITE"], json!({"count": 11, "failed": 8}));
    }

    #[test]
    fn quantiles_are_right_to_one_per_cent() {
        for values in [vec![1.0], (1..=1000).map(f64::from).collect(), vec![0.02, 0.03, 5.0, 31.9]] {
            let mut spread = Spread::default();
            values.iter().for_each(|value| spread.add(*value));
            let rank = (0.95 * values.len() as f64).ceil() as usize;
            let exact = values[rank - 1];
            let found = spread.quantile(0.95).unwrap();
            assert!((found / exact - 1.0).abs() <= 0.01, "{found} is not {exact}");
        }
        assert_eq!(Spread::default().quantile(0.95), None);
    }

    #[test]
    fn media_count_by_stream() {
        let mut figures = Figures::default();
        figures.add(&record(json!({"kind": "call", "media": [
            {"mos": 4.4, "expected": 100, "missing": 1}, {"mos": 2.0, "expected": 100, "missing": 13, "lost_by_capture": 4}, {"mos": null, "expected": 0}]})));
        figures.add(&record(
            json!({"kind": "options", "method": "OPTIONS", "status_code": 503, "media": [{"mos": 1.0}]}),
        ));
        let told = figures.json();
        assert_eq!((&told["mos"], &told["loss_percent"]), (&json!({"mean": 3.2, "min": 2.0}), &json!(5.0)));
        assert_eq!((&told["calls"], &told["requests"]["OPTIONS"]["failed"]), (&json!(1), &json!(1)));
    }
}
