//! Figures of call set-up and registration in the summary (RFC 6076, ITU-T E.411 and E.425).

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::call::{Delay, Performance};

/// How long something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DelaySummary {
    /// How often.
    pub count: u64,
    /// Mean, in seconds.
    pub mean_seconds: f64,
    /// Maximum, in seconds.
    pub max_seconds: f64,
}

impl DelaySummary {
    /// None when there was nothing.
    fn new(delay: &Delay) -> Option<Self> {
        let (mean, max) = delay.mean_seconds().zip(delay.max_seconds())?;
        Some(Self { count: delay.count, mean_seconds: micro(mean), max_seconds: micro(max) })
    }
}

/// The figures of a run. Shares are in per cent, and null where there is nothing to have a share of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PerformanceSummary {
    /// INVITEs that began a call and were decided.
    pub attempts: u64,
    /// Answer-seizure ratio (E.411, E.425).
    pub asr_percent: Option<f64>,
    /// Network effectiveness ratio (E.425).
    pub ner_percent: Option<f64>,
    /// Session establishment ratio (RFC 6076 4.6).
    pub ser_percent: Option<f64>,
    /// Session establishment effectiveness ratio (4.7).
    pub seer_percent: Option<f64>,
    /// Ineffective session attempts (4.8).
    pub isa_percent: Option<f64>,
    /// Session completion ratio (4.9).
    pub scr_percent: Option<f64>,
    /// Session request delay of answered attempts (4.3.1).
    pub session_request_delay: Option<DelaySummary>,
    /// Session request delay of attempts that failed (4.3.2).
    pub failed_session_request_delay: Option<DelaySummary>,
    /// Session disconnect delay (4.4).
    pub session_disconnect_delay: Option<DelaySummary>,
    /// Session duration time (4.5).
    pub session_duration: Option<DelaySummary>,
    /// REGISTERs that were decided.
    pub registration_attempts: u64,
    /// Ineffective registration attempts (4.2).
    pub ira_percent: Option<f64>,
    /// Registration request delay (4.1).
    pub registration_delay: Option<DelaySummary>,
    /// REGISTERs that failed, by status code; 0 when nothing answered.
    pub registration_failures: BTreeMap<u16, u64>,
    /// From a request to its first answer, by method.
    pub response_delay: BTreeMap<&'static str, DelaySummary>,
}

/// To a hundredth.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// To a microsecond.
fn micro(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

impl PerformanceSummary {
    /// What the counts make.
    #[must_use]
    pub fn new(counts: &Performance) -> Self {
        let responses = counts.responses();
        Self {
            attempts: counts.attempts,
            asr_percent: counts.asr().map(hundredths),
            ner_percent: counts.ner().map(hundredths),
            ser_percent: counts.ser().map(hundredths),
            seer_percent: counts.seer().map(hundredths),
            isa_percent: counts.isa().map(hundredths),
            scr_percent: counts.scr().map(hundredths),
            session_request_delay: DelaySummary::new(&counts.request_delay),
            failed_session_request_delay: DelaySummary::new(&counts.failed_request_delay),
            session_disconnect_delay: DelaySummary::new(&counts.disconnect_delay),
            session_duration: DelaySummary::new(&counts.duration),
            registration_attempts: counts.registrations,
            ira_percent: counts.ira().map(hundredths),
            registration_delay: DelaySummary::new(&counts.registration_delay),
            registration_failures: counts.registration_failures.clone(),
            response_delay: responses
                .filter_map(|(method, delay)| Some((method.name(), DelaySummary::new(delay)?)))
                .collect(),
        }
    }

    /// The same for people; nothing when there was nothing.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let shares = [
            ("ASR", self.asr_percent),
            ("NER", self.ner_percent),
            ("SER", self.ser_percent),
            ("SEER", self.seer_percent),
            ("ISA", self.isa_percent),
            ("SCR", self.scr_percent),
            ("IRA", self.ira_percent),
        ];
        let delays = [
            ("SRD", self.session_request_delay),
            ("SRD, failed", self.failed_session_request_delay),
            ("SDD", self.session_disconnect_delay),
            ("SDT", self.session_duration),
            ("RRD", self.registration_delay),
        ];
        let responses =
            self.response_delay.iter().map(|(method, &delay)| (format!("{method} response"), Some(delay)));
        let delays = delays.into_iter().map(|(name, delay)| (name.to_owned(), delay));
        let mut title = "Performance (RFC 6076, E.425)\n";
        for (name, share) in shares {
            if let Some(share) = share {
                writeln!(out, "{title}  {name:<18} {share:>14.2} %")?;
                title = "";
            }
        }
        for (name, delay) in delays.chain(responses) {
            if let Some(delay) = delay {
                let ((mean, unit), (max, of_max)) =
                    (readable(delay.mean_seconds), readable(delay.max_seconds));
                writeln!(out, "{title}  {name:<18} {mean:>14} {unit}, at most {max} {of_max}")?;
                title = "";
            }
        }
        Ok(())
    }
}

/// Seconds for people, and their unit: below one, milliseconds.
fn readable(seconds: f64) -> (String, &'static str) {
    if seconds < 1.0 { (format!("{:.2}", seconds * 1000.0), "ms") } else { (format!("{seconds:.3}"), "s") }
}
