//! The book of alerts: which are pending, active and over.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

/// Alerts that are over and still listed. The oldest go first.
const HISTORY: usize = 1_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What a rule says of one second.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Names the alert and its subject.
    pub id: Cow<'static, str>,
    /// Name of the alert.
    pub name: &'static str,
    /// Its level.
    pub level: Level,
    /// What it is about.
    pub component: &'static str,
    /// Its condition holds.
    pub fires: bool,
    /// Once active, it stays so.
    pub stays: bool,
    /// How long the condition has to hold before it fires.
    pub hold: Duration,
    /// For people: the value, and the limit.
    pub message: String,
    /// For programs.
    pub metrics: Map<String, Value>,
}

/// An alert that fired.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// Names the alert and its subject: `queue-critical`.
    pub id: String,
    /// Name of the alert: `QueueSaturated`.
    pub name: &'static str,
    /// Its level.
    pub level: Level,
    /// What it is about.
    pub component: &'static str,
    /// For people. Of an active alert: as it is now.
    pub message: String,
    /// When it fired, RFC 3339.
    pub timestamp: String,
    /// The values behind it.
    pub metrics: Map<String, Value>,
    /// It is over.
    pub resolved: bool,
    /// Since when, RFC 3339.
    pub resolved_at: Option<String>,
}

/// What changed in the book.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// An alert fired.
    Fired(Alert),
    /// It is over.
    Cleared(Alert),
}

#[derive(Clone, Debug)]
enum State {
    /// The condition holds since then; it has to hold on.
    Pending(Duration),
    Active(Alert),
}

/// All alerts of a run.
#[derive(Clone, Debug, Default)]
pub struct Book {
    states: BTreeMap<Cow<'static, str>, State>,
    past: VecDeque<Alert>,
}

impl Book {
    /// Enters the readings of a second; `now` is the time since the start, `date` the same for people. An alert of
    /// which nothing is read any more is over.
    pub fn enter(&mut self, now: Duration, date: &str, readings: Vec<Reading>) -> Vec<Change> {
        let mut before = std::mem::take(&mut self.states);
        let mut changes = Vec::new();
        for reading in readings {
            let state = before.remove(&reading.id);
            let id = reading.id.clone();
            if let Some(state) = self.step(state, now, date, reading, &mut changes) {
                self.states.insert(id, state);
            }
        }
        for state in before.into_values() {
            self.clear(state, date, &mut changes);
        }
        changes
    }

    fn step(
        &mut self,
        state: Option<State>,
        now: Duration,
        date: &str,
        reading: Reading,
        changes: &mut Vec<Change>,
    ) -> Option<State> {
        match state {
            Some(State::Active(alert)) if reading.stays => {
                // A value between the clearing and the firing limit says nothing new.
                Some(State::Active(if reading.fires { updated(alert, reading) } else { alert }))
            }
            Some(state @ State::Active(_)) => {
                self.clear(state, date, changes);
                None
            }
            pending if reading.fires => {
                let since = if let Some(State::Pending(since)) = pending { since } else { now };
                if now.saturating_sub(since) < reading.hold {
                    return Some(State::Pending(since));
                }
                let alert = fired(reading, date);
                changes.push(Change::Fired(alert.clone()));
                Some(State::Active(alert))
            }
            _ => None,
        }
    }

    fn clear(&mut self, state: State, date: &str, changes: &mut Vec<Change>) {
        let State::Active(alert) = state else { return };
        let alert = Alert { resolved: true, resolved_at: Some(date.to_owned()), ..alert };
        if self.past.len() >= HISTORY {
            self.past.pop_front();
        }
        self.past.push_back(alert.clone());
        changes.push(Change::Cleared(alert));
    }

    /// Alerts that are active.
    pub fn active(&self) -> impl Iterator<Item = &Alert> {
        self.states.values().filter_map(|state| match state {
            State::Active(alert) => Some(alert),
            State::Pending(_) => None,
        })
    }

    /// Every alert, the one that fired last first.
    #[must_use]
    pub fn all(&self) -> Vec<Alert> {
        let mut all: Vec<Alert> = self.active().cloned().chain(self.past.iter().rev().cloned()).collect();
        all.sort_by(|a, b| b.timestamp.cmp(&a.timestamp));
        all
    }
}

fn fired(reading: Reading, date: &str) -> Alert {
    Alert {
        id: reading.id.into_owned(),
        name: reading.name,
        level: reading.level,
        component: reading.component,
        message: reading.message,
        timestamp: date.to_owned(),
        metrics: reading.metrics,
        resolved: false,
        resolved_at: None,
    }
}

fn updated(alert: Alert, reading: Reading) -> Alert {
    Alert { message: reading.message, metrics: reading.metrics, ..alert }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(value: u64, hold: u64) -> Reading {
        Reading {
            id: "queue-warning".into(),
            name: "QueueSaturated",
            level: Level::Warning,
            component: "Stream Queue",
            fires: value > 70,
            stays: value > 63,
            hold: Duration::from_secs(hold),
            message: format!("{value} %"),
            metrics: Map::new(),
        }
    }

    /// Each second a value; what the book says of it.
    fn play(hold: u64, values: &[u64]) -> Vec<(u64, String)> {
        let mut book = Book::default();
        let mut said = Vec::new();
        for (second, value) in (0u64..).zip(values) {
            let date = format!("second {second:04}");
            for change in book.enter(Duration::from_secs(second), &date, vec![reading(*value, hold)]) {
                said.push(match change {
                    Change::Fired(alert) => (second, format!("fired {}", alert.message)),
                    Change::Cleared(alert) => {
                        assert_eq!(alert.resolved_at.as_deref(), Some(date.as_str()));
                        (second, format!("cleared {}", alert.message))
                    }
                });
            }
        }
        said
    }

    #[test]
    fn it_fires_after_its_hold_down_and_once() {
        let said = play(3, &[80, 80, 20, 80, 80, 80, 90, 95, 99]);
        assert_eq!(said, [(6, "fired 90 %".to_owned())]);
    }

    #[test]
    fn it_clears_below_its_threshold_by_a_margin() {
        let said = play(0, &[71, 70, 64, 72, 63, 70, 71]);
        let wanted =
            [(0, "fired 71 %".to_owned()), (4, "cleared 72 %".to_owned()), (6, "fired 71 %".to_owned())];
        assert_eq!(said, wanted);
    }

    #[test]
    fn a_rule_that_reads_nothing_more_clears() {
        let mut book = Book::default();
        book.enter(Duration::ZERO, "0", vec![reading(99, 0)]);
        assert_eq!(book.active().count(), 1);
        assert!(matches!(
            book.enter(Duration::from_secs(1), "1", Vec::new()).as_slice(),
            [Change::Cleared(_)]
        ));
        assert_eq!(book.active().count(), 0);
        assert!(book.all().iter().all(|alert| alert.resolved));
    }

    #[test]
    fn the_book_is_bounded_and_the_newest_comes_first() {
        let mut book = Book::default();
        for second in 0..2 * HISTORY as u64 + 100 {
            let value = if second.is_multiple_of(2) { 99 } else { 0 };
            book.enter(Duration::from_secs(second), &format!("{second:06}"), vec![reading(value, 0)]);
        }
        let all = book.all();
        assert_eq!(all.len(), HISTORY);
        assert!(all.windows(2).all(|pair| pair[0].timestamp >= pair[1].timestamp));
    }

    #[test]
    fn it_is_told_with_the_promised_keys() {
        let mut book = Book::default();
        book.enter(Duration::ZERO, "2026-01-01T00:00:00.000000Z", vec![reading(99, 0)]);
        let told = serde_json::to_value(book.all()).unwrap();
        let keys: Vec<&str> = told[0].as_object().unwrap().keys().map(String::as_str).collect();
        let wanted = [
            "component",
            "id",
            "level",
            "message",
            "metrics",
            "name",
            "resolved",
            "resolved_at",
            "timestamp",
        ];
        assert_eq!(keys, wanted);
        assert_eq!(told[0]["level"], "warning");
    }
}
