//! Questions are answered from the monitor's view; those about single calls by the tracker.

use std::time::Duration;

use serde_json::{Value, json};

use super::protocol::{Answer, Question, Trouble};
use crate::monitor::{Monitor, metrics, report};
use crate::pipeline::{Ask, Page};

/// Rows of a page, unless less is asked for.
const MAX_ROWS: usize = 2_000;

/// How long the tracker may take to a page. A live one looks every 100 ms, however busy it is.
const PATIENCE: Duration = Duration::from_secs(3);

/// Answers a question.
#[must_use]
pub fn answer(monitor: &Monitor, question: &Question) -> Answer {
    let view = || monitor.view();
    match question.ask.as_str() {
        "health" => Answer::of(report::checked_health(&view())),
        "summary" => Answer::of(report::summary(&view())),
        "metrics" => Answer::of(report::metrics(&view())),
        "prometheus" => Answer::of(metrics::textfile(&view()).into()),
        "alerts" => Answer::of(json!(view().alerts)),
        "streams" => Answer::of(report::streams(&view().sample)),
        "buffers" => {
            let view = view();
            Answer::of(report::buffers(&view.sample, &view.caps))
        }
        "config" => Answer::of((*monitor.config()).clone()),
        "version" => Answer::of(json!({
            "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(),
        })),
        "calls" => calls(monitor, question),
        "registrations" => registrations(monitor, question),
        other => {
            let known = "health, summary, metrics, prometheus, alerts, streams, buffers, config, version, calls, registrations";
            Answer::refusal(Trouble::Unknown, format!("{other:?} cannot be asked for; want {known}"))
        }
    }
}

fn limit(question: &Question) -> usize {
    question.limit.unwrap_or(MAX_ROWS).clamp(1, MAX_ROWS)
}

fn calls(monitor: &Monitor, question: &Question) -> Answer {
    let cursor = match question.cursor.as_ref().map(|cursor| cursor.as_u64().map(u32::try_from)) {
        None => 0,
        Some(Some(Ok(slot))) => slot,
        Some(_) => return Answer::refusal(Trouble::Malformed, "cursor: want a number"),
    };
    page(monitor, Ask::Calls { cursor, limit: limit(question) })
}

fn registrations(monitor: &Monitor, question: &Question) -> Answer {
    let after = match &question.cursor {
        None => None,
        Some(cursor) => match serde_json::from_value::<(String, String)>(cursor.clone()) {
            Ok(after) => Some(after),
            Err(_) => return Answer::refusal(Trouble::Malformed, "cursor: want [address, contact]"),
        },
    };
    page(monitor, Ask::Bindings { after, limit: limit(question) })
}

fn page(monitor: &Monitor, ask: Ask) -> Answer {
    let told = match monitor.board().page(ask, PATIENCE) {
        Some(Page::Calls(page)) => serde_json::to_value(page),
        Some(Page::Bindings(bindings)) => {
            let next = bindings.next.map_or(Value::Null, |(aor, contact)| json!([aor, contact]));
            Ok(json!({"registrations": bindings.rows, "next": next}))
        }
        None => {
            let message = "the call tracker did not answer in time: its input is idle, or it is overloaded";
            return Answer::refusal(Trouble::Busy, message);
        }
    };
    let told = told.map(|mut told| {
        monitor.privacy().value(&mut told);
        told
    });
    told.map_or_else(|error| Answer::refusal(Trouble::Unknown, error.to_string()), Answer::of)
}
