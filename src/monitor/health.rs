//! Whether the sniffer is well: a few checks, each with its value and its limit.

use std::time::Duration;

use serde::Serialize;

use super::alerts::{AlertSettings, Book, Level};
use super::sample::{Caps, LOSSES, Sample};

/// A live source speaks every 100 ms; a stage that has left so many questions of a second each is stuck.
const MAX_BEHIND: u64 = 5;

/// A queue that does not move for so long does not drain.
const STUCK: Duration = Duration::from_secs(5);

/// The alert that tells of failing health; it must not keep itself alive.
const SELF: &str = "SnifferUnhealthy";

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is checked.
    pub name: &'static str,
    /// It is as it should be.
    pub ok: bool,
    /// As it is.
    pub value: String,
    /// As it may be.
    pub limit: String,
}

/// The verdict, and what it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Every check.
    pub checks: Vec<Check>,
}

impl Health {
    /// Every check is good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    /// The names of the checks that fail.
    #[must_use]
    pub fn failing(&self) -> Vec<&'static str> {
        self.checks.iter().filter(|check| !check.ok).map(|check| check.name).collect()
    }

    /// The word for it.
    #[must_use]
    pub fn status(&self) -> &'static str {
        if self.is_good() { "healthy" } else { "unhealthy" }
    }
}

/// Watches whether batches go through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    applied: u64,
    /// Since when the last stage has not moved although there was something to do.
    standing: Option<Duration>,
}

impl Flow {
    /// Looks at the numbers of a second; tells how long nothing has moved.
    pub fn look(&mut self, now: Duration, (sent, applied): (u64, u64)) -> Duration {
        if applied != self.applied || sent == applied {
            self.standing = None;
        } else if self.standing.is_none() {
            self.standing = Some(now);
        }
        self.applied = applied;
        self.standing.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}

/// Checks everything. `book` is that of the second before.
#[must_use]
pub fn check(
    sample: &Sample,
    caps: &Caps,
    settings: &AlertSettings,
    book: &Book,
    standing: Duration,
) -> Health {
    let gauges = &sample.snapshot.gauges;
    let behind = if caps.live { sample.snapshot.behind } else { 0 };
    let interfaces = sample.snapshot.outcome.interfaces.iter();
    let down: Vec<&str> =
        interfaces.filter(|(_, interface)| interface.is_down).map(|(name, _)| name.as_str()).collect();
    let capture = Check {
        name: "capture",
        ok: behind <= MAX_BEHIND && down.is_empty(),
        value: match down.as_slice() {
            _ if behind > MAX_BEHIND => format!("silent for {behind} s"),
            [] => "running".to_owned(),
            [name] => format!("{name} is down"),
            names => format!("{} are down", names.join(", ")),
        },
        limit: format!("speaks within {MAX_BEHIND} s, no interface is down"),
    };
    let active = |name: &str| book.active().any(|alert| alert.name == name);
    let lost: u64 = LOSSES.iter().map(|(stage, reason)| sample.dropped(stage, reason)).sum();
    let drops = Check {
        name: "drops",
        ok: !active("CaptureDrops"),
        value: format!("{lost} packets lost so far"),
        limit: format!("{} % in {} s", settings.drops.threshold, settings.drops_window.as_secs()),
    };
    let (sent, applied) = gauges.batches;
    let queues = Check {
        name: "queues",
        ok: standing < STUCK,
        value: format!("{} batches wait", sent.saturating_sub(applied)),
        limit: format!("move within {} s", STUCK.as_secs()),
    };
    let memory = Check {
        name: "memory",
        ok: (sample.process.own_bytes as f64) <= settings.memory_critical.threshold,
        value: format!("{:.1} MB of its own", sample.process.own_bytes as f64 / 1e6),
        limit: format!("{:.0} MB", settings.memory_critical.threshold / 1e6),
    };
    let critical: Vec<&str> = book
        .active()
        .filter(|alert| alert.level == Level::Critical && alert.name != SELF)
        .map(|alert| alert.name)
        .collect();
    let alerts = Check {
        name: "alerts",
        ok: critical.is_empty(),
        value: if critical.is_empty() { "none".to_owned() } else { critical.join(", ") },
        limit: "no critical alert of the sniffer".to_owned(),
    };
    Health { checks: vec![capture, drops, queues, memory, alerts] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_moves_or_is_empty_is_well() {
        let mut flow = Flow::default();
        let at = Duration::from_secs;
        assert_eq!(flow.look(at(0), (5, 5)), Duration::ZERO);
        assert_eq!(flow.look(at(9), (5, 5)), Duration::ZERO, "idle");
        assert_eq!(flow.look(at(10), (9, 6)), Duration::ZERO, "moves");
        assert_eq!(flow.look(at(11), (12, 6)), Duration::ZERO);
        assert_eq!(flow.look(at(20), (14, 6)), at(9), "stands");
        assert_eq!(flow.look(at(21), (14, 7)), Duration::ZERO);
    }

    #[test]
    fn each_check_can_fail_and_names_itself() {
        let settings = AlertSettings::default();
        let caps = Caps { live: true, ..Caps::default() };
        let well = Sample::default();
        assert!(check(&well, &caps, &settings, &Book::default(), Duration::ZERO).is_good());
        let mut silent = Sample::default();
        silent.snapshot.behind = 6;
        let health = check(&silent, &caps, &settings, &Book::default(), Duration::ZERO);
        assert_eq!((health.failing(), health.status()), (vec!["capture"], "unhealthy"));
        let idle = Caps::default();
        assert!(check(&silent, &idle, &settings, &Book::default(), Duration::ZERO).is_good(), "a pipe waits");
        let mut fat = Sample::default();
        fat.process.own_bytes = 1_000_000_001;
        let health = check(&fat, &caps, &settings, &Book::default(), Duration::from_secs(5));
        assert_eq!(health.failing(), ["queues", "memory"]);
    }
}
