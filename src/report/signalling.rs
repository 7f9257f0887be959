//! What went on in a call's signalling, in plain words: rows of `report call`.

use serde_json::Value;

use super::field;
use crate::inspect::{Screen, seconds};

/// Titles and texts. A title that stands above is not shown again.
type Rows = Vec<(&'static str, String)>;

/// A field's text; empty where there is none.
fn text(value: &Value, key: &str) -> String {
    value.get(key).filter(|value| !value.is_null()).map(field::text).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> Option<f64> {
    value.get(key).and_then(Value::as_f64)
}

fn is_set(value: &Value, key: &str) -> bool {
    value.get(key) == Some(&Value::Bool(true))
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// `1 key`, `2 keys`.
fn counted(count: f64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1.0 { one } else { several })
}

fn joined(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The rows of a record.
pub(super) fn rows(record: &Value, screen: &Screen) -> Rows {
    let mut rows = vec![("Delays", delays(record)), ("First answers", responses(record))];
    rows.push(("Early", early(record)));
    rows.extend(items(record, "holds").map(|hold| ("Hold", held(record, hold))));
    rows.extend(items(record, "transfers").map(|transfer| ("Transfer", transferred(record, transfer))));
    rows.extend(number(record, "overlap_invites").map(|count| ("Dialled", overlapped(count))));
    rows.push(("Replaces", text(record, "replaces")));
    rows.push(("Replaced by", text(record, "replaced_by")));
    rows.extend(record.get("session_timer").map(|timer| ("Session timer", session(record, timer))));
    rows.extend(number(record, "glares").map(|count| ("Glare", glares(count))));
    rows.extend(items(record, "info_dtmf").map(|keys| ("Keys by INFO", pressed(record, keys))));
    rows.extend(items(record, "end_causes").map(|cause| ("Cause", caused(cause))));
    rows.extend(items(record, "retransmissions_by_hop").map(|hop| ("Sent again", again(hop, screen))));
    rows.extend(record.get("registration").map(|it| ("Binding", registration(it))));
    rows
}

/// An end by its name, and which it is: `alice (the caller)`.
fn end(record: &Value, side: &str) -> String {
    let name = text(record, if side == "caller" { "from" } else { "to" });
    format!("{name} (the {side})")
}

fn other_end(record: &Value, side: &str) -> String {
    text(record, if side == "caller" { "to" } else { "from" })
}

fn delays(record: &Value) -> String {
    let named = [
        ("post_dial_delay_seconds", "post-dial delay"),
        ("setup_seconds", "setup"),
        ("disconnect_seconds", "BYE to its answer"),
    ];
    joined(named.map(|(key, name)| Some(format!("{name} {}", seconds(number(record, key)?)))))
}

fn responses(record: &Value) -> String {
    let waits = record.get("response_seconds").and_then(Value::as_object).into_iter().flatten();
    let told = joined(waits.map(|(method, wait)| Some(format!("{method} {}", seconds(wait.as_f64()?)))));
    if told.is_empty() { told } else { format!("{told} (the longest of each)") }
}

fn early(record: &Value) -> String {
    let counts = [
        ("early_dialogs", "early dialog", "early dialogs"),
        ("reliable_provisionals", "reliable provisional answer", "reliable provisional answers"),
        ("unacknowledged_provisionals", "of them without PRACK", "of them without PRACK"),
    ];
    joined(counts.map(|(key, one, several)| Some(counted(number(record, key)?, one, several))))
}

fn held(record: &Value, hold: &Value) -> String {
    let by = text(hold, "by");
    let times = match number(hold, "count") {
        Some(count) if count > 1.0 => format!(" {count} times"),
        _ => String::new(),
    };
    let long = seconds(number(hold, "seconds").unwrap_or_default());
    format!("{} held {}{times}, {long} in all", end(record, &by), other_end(record, &by))
}

fn transferred(record: &Value, transfer: &Value) -> String {
    let by = text(transfer, "by");
    let outcome = match number(transfer, "status_code") {
        None => "what became of it was not seen".to_owned(),
        Some(status) if status < 200.0 => format!("still under way when last heard of ({status})"),
        Some(status) if status < 300.0 => format!("answered ({status})"),
        Some(status) => format!("failed with {status}"),
    };
    let kind = if is_set(transfer, "attended") { "after a talk" } else { "blind" };
    format!(
        "{} transferred {} to {} at {}, {kind}: {outcome}",
        end(record, &by),
        other_end(record, &by),
        text(transfer, "to"),
        text(transfer, "time")
    )
}

fn session(record: &Value, timer: &Value) -> String {
    let refresher = text(timer, "refresher");
    let refreshes = number(timer, "refreshes").unwrap_or_default();
    joined([
        number(timer, "interval_seconds").map(|interval| {
            let times = counted(refreshes, "refresh", "refreshes");
            format!("{interval} s, {} is to refresh it, {times} seen", end(record, &refresher))
        }),
        number(timer, "min_seconds").map(|least| format!("a 422 wanted at least {least} s")),
    ])
}

fn overlapped(count: f64) -> String {
    format!("piece by piece: {} had more digits", counted(count, "further INVITE", "further INVITEs"))
}

fn glares(count: f64) -> String {
    format!("{} refused because both ends asked at once", counted(count, "change", "changes"))
}

fn pressed(record: &Value, keys: &Value) -> String {
    let count = counted(number(keys, "digits").unwrap_or_default(), "key", "keys");
    let which = text(keys, "dtmf");
    let which = if which.is_empty() { which } else { format!(": {which}") };
    format!("{} pressed {count}{which}", end(record, &text(keys, "by")))
}

fn caused(cause: &Value) -> String {
    let number = format!("{} {}", text(cause, "protocol"), text(cause, "cause"));
    joined([Some(number.trim().to_owned()), Some(text(cause, "text")).filter(|text| !text.is_empty())])
}

fn again(hop: &Value, screen: &Screen) -> String {
    let count = counted(number(hop, "retransmissions").unwrap_or_default(), "message", "messages");
    format!("{} {} {}  {count}", text(hop, "source"), screen.pick("→", "->"), text(hop, "destination"))
}

fn registration(binding: &Value) -> String {
    let contact = text(binding, "contact");
    let refreshes = number(binding, "refreshes").filter(|count| *count > 0.0);
    joined([
        Some(contact).filter(|contact| !contact.is_empty()),
        number(binding, "expires_seconds").filter(|it| *it > 0.0).map(|seconds| format!("for {seconds} s")),
        refreshes.map(|count| counted(count, "refresh", "refreshes")),
        is_set(binding, "behind_nat").then(|| "not where the REGISTER came from".to_owned()),
        number(binding, "late_seconds").map(|late| format!("{} too late", seconds(late))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Color;
    use serde_json::json;

    #[test]
    fn what_happened_is_told_and_nothing_else() {
        let screen = Screen::new(Color::Never, false, None, |_| None);
        let none = rows(&json!({"from": "alice", "to": "bob"}), &screen);
        assert!(none.iter().all(|(_, text)| text.is_empty()), "{none:?}");
        let record = json!({
            "from": "alice", "to": "bob", "post_dial_delay_seconds": 0.5, "setup_seconds": 2.0, "disconnect_seconds": 0.03,
            "response_seconds": {"INVITE": 0.02}, "early_dialogs": 2, "reliable_provisionals": 1, "unacknowledged_provisionals": 1,
            "holds": [{"by": "callee", "count": 2, "seconds": 5.25}],
            "transfers": [{"time": "T", "by": "caller", "to": "carol", "attended": true, "status_code": 486},
                {"time": "T", "by": "callee", "to": "dave", "attended": false, "status_code": null}],
            "replaces": "x@y", "replaced_by": "z@y", "overlap_invites": 2, "session_timer": {"interval_seconds": 90, "refresher": "caller", "refreshes": 1, "min_seconds": 60},
            "glares": 1, "info_dtmf": [{"by": "caller", "digits": 2, "dtmf": "42"}, {"by": "callee", "digits": 1, "dtmf": null}],
            "end_causes": [{"protocol": "Q.850", "cause": 34, "text": "no circuit"}, {"protocol": "X", "cause": null, "text": null}],
            "retransmissions_by_hop": [{"source": "a:1", "destination": "b:2", "retransmissions": 3}],
            "registration": {"contact": "sip:alice@a", "expires_seconds": 60, "refreshes": 0, "behind_nat": true, "late_seconds": 12.0},
        });
        let told: Vec<String> =
            rows(&record, &screen).into_iter().map(|(title, text)| format!("{title}: {text}")).collect();
        let expected = [
            "Delays: post-dial delay 500 ms, setup 2.0 s, BYE to its answer 30 ms",
            "First answers: INVITE 20 ms (the longest of each)",
            "Early: 2 early dialogs, 1 reliable provisional answer, 1 of them without PRACK",
            "Hold: bob (the callee) held alice 2 times, 5.2 s in all",
            "Transfer: alice (the caller) transferred bob to carol at T, after a talk: failed with 486",
            "Transfer: bob (the callee) transferred alice to dave at T, blind: what became of it was not seen",
            "Dialled: piece by piece: 2 further INVITEs had more digits",
            "Replaces: x@y",
            "Replaced by: z@y",
            "Session timer: 90 s, alice (the caller) is to refresh it, 1 refresh seen, a 422 wanted at least 60 s",
            "Glare: 1 change refused because both ends asked at once",
            "Keys by INFO: alice (the caller) pressed 2 keys: 42",
            "Keys by INFO: bob (the callee) pressed 1 key",
            "Cause: Q.850 34, no circuit",
            "Cause: X",
            "Sent again: a:1 -> b:2  3 messages",
            "Binding: sip:alice@a, for 60 s, not where the REGISTER came from, 12.0 s too late",
        ];
        assert_eq!(told, expected);
    }
}
