//! Questions are answered from the monitor's view; those about single calls by the tracker.

use std::time::Duration;

use serde_json::json;

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
        "calls" => paged(monitor, question, |cursor, limit| Ask::Calls { cursor, limit }),
        "registrations" => paged(monitor, question, |cursor, limit| Ask::Bindings { cursor, limit }),
        other => {
            let known = "health, summary, metrics, prometheus, alerts, streams, buffers, config, version, calls, registrations";
            Answer::refusal(Trouble::Unknown, format!("{other:?} cannot be asked for; want {known}"))
        }
    }
}

/// A page of what begins at the question's cursor.
fn paged(monitor: &Monitor, question: &Question, ask: impl FnOnce(u32, usize) -> Ask) -> Answer {
    let limit = question.limit.unwrap_or(MAX_ROWS).clamp(1, MAX_ROWS);
    match question.cursor.as_ref().map(|cursor| cursor.as_u64().map(u32::try_from)) {
        None => page(monitor, ask(0, limit)),
        Some(Some(Ok(cursor))) => page(monitor, ask(cursor, limit)),
        Some(_) => Answer::refusal(Trouble::Malformed, "cursor: want a number"),
    }
}

fn page(monitor: &Monitor, ask: Ask) -> Answer {
    let told = match monitor.board().page(ask, PATIENCE) {
        Some(Page::Calls(page)) => serde_json::to_value(page),
        Some(Page::Bindings(page)) => serde_json::to_value(page),
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
