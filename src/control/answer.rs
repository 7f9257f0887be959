//! Questions are answered from the monitor's view; those about single calls by the tracker.

use std::time::Duration;

use serde_json::{Value, json};

use super::protocol::{Answer, Question, Trouble};
use crate::monitor::{Monitor, metrics, report};
use crate::pipeline::{Ask, Page};
use crate::sip::uri;

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
        None => page(monitor, question, ask(0, limit)),
        Some(Some(Ok(cursor))) => page(monitor, question, ask(cursor, limit)),
        Some(_) => Answer::refusal(Trouble::Malformed, "cursor: want a number"),
    }
}

fn page(monitor: &Monitor, question: &Question, ask: Ask) -> Answer {
    let told = match monitor.board().page(ask, PATIENCE) {
        Some(Page::Calls(page)) => serde_json::to_value(page),
        Some(Page::Bindings(page)) => serde_json::to_value(page),
        None => {
            let message = "the call tracker did not answer in time: its input is idle, or it is overloaded";
            return Answer::refusal(Trouble::Busy, message);
        }
    };
    let told = told.map(|mut told| {
        // What is looked for is what was captured: numbers are masked after that.
        question.address.iter().for_each(|wanted| narrow(&mut told, wanted));
        monitor.privacy().value(&mut told);
        told
    });
    told.map_or_else(|error| Answer::refusal(Trouble::Unknown, error.to_string()), Answer::of)
}

/// Leaves the bindings of a page that are asked for, and says how many others it has.
fn narrow(page: &mut Value, wanted: &str) {
    let Some(Value::Array(bindings)) = page.get_mut("registrations") else { return };
    let all = bindings.len();
    bindings.retain(|binding| is_of(binding, wanted));
    let others = all - bindings.len();
    page["others"] = others.into();
}

/// Whether a binding is one of this address-of-record, or of this user.
fn is_of(binding: &Value, wanted: &str) -> bool {
    let aor = binding.get("aor").and_then(Value::as_str).unwrap_or_default();
    let user = uri::display(aor.as_bytes());
    let bare = aor.split_once(':').map_or(aor, |(_, bare)| bare);
    aor == wanted || bare == wanted || user == wanted.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_named_in_three_ways() {
        let binding = json!({"aor": "sip:bob@biloxi.com"});
        assert!(["sip:bob@biloxi.com", "bob@biloxi.com", "bob"].iter().all(|name| is_of(&binding, name)));
        assert!(["bo", "biloxi.com", "sip:bob", ""].iter().all(|name| !is_of(&binding, name)));
        let mut page = json!({"registrations": [binding, {"aor": "sip:carol@biloxi.com"}], "next": 7});
        narrow(&mut page, "bob");
        assert_eq!(page, json!({"registrations": [binding], "next": 7, "others": 1}));
    }
}
