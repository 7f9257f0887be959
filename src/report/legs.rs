//! The legs of a call's session, in plain words: rows of `report call`.

use serde_json::Value;

use super::condition::instant;
use super::field;
use crate::inspect::{Screen, seconds};

/// A title and a text for each leg, in the order of their INVITEs.
pub(super) fn rows(record: &Value, screen: &Screen) -> Vec<(&'static str, String)> {
    let legs = record.get("legs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let told = legs.iter().map(|leg| ("Leg", told(record, leg, screen)));
    let session = record.get("session").filter(|it| Some(*it) != record.get("call_id")).map(field::text);
    session.map(|first| ("Session", format!("begins with {first}"))).into_iter().chain(told).collect()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).filter(|value| !value.is_null()).map(field::text).unwrap_or_default()
}

fn told(record: &Value, leg: &Value, screen: &Screen) -> String {
    let way = format!("{} {} {}", text(leg, "source"), screen.pick("→", "->"), text(leg, "destination"));
    let call = if leg.get("call_id") == record.get("call_id") {
        "this call".to_owned()
    } else {
        format!("call {}", text(leg, "call_id"))
    };
    let joined = match text(leg, "joined_by").as_str() {
        "" => "the first leg".to_owned(),
        "same call-id" => "by its Call-ID".to_owned(),
        "evidence" => format!("by evidence, {} of 100: {}", text(leg, "score"), evidence(leg)),
        name => format!("by {name}"),
    };
    let after = |key: &str| {
        let (start, time) = (instant(&text(leg, "start"))?, instant(&text(leg, key))?);
        Some(seconds(time.since(start).as_secs_f64()))
    };
    let first = after("first_response").map(|after| format!("first answer after {after}"));
    let last = after("final_response").map(|after| format!("{} after {after}", text(leg, "status_code")));
    let parts = [Some(call), Some(joined), first, last];
    format!("{way}  {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn evidence(leg: &Value) -> String {
    let parts = leg.get("evidence").and_then(Value::as_array).into_iter().flatten();
    parts.map(field::text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Color;
    use serde_json::json;

    #[test]
    fn legs_are_told_in_the_order_of_the_way() {
        let screen = Screen::new(Color::Never, false, None, |_| None);
        let at = |seconds: u32| format!("2026-01-31T12:00:{seconds:02}.000000Z");
        let record = json!({"call_id": "b@y", "session": "a@x", "legs": [
            {"call_id": "a@x", "source": "a:1", "destination": "p:2", "start": at(0), "first_response": at(1), "final_response": at(5),
             "status_code": 200, "joined_by": null, "score": null, "evidence": []},
            {"call_id": "a@x", "source": "p:2", "destination": "b:3", "start": at(1), "first_response": null, "final_response": null,
             "status_code": null, "joined_by": "same call-id", "score": 100, "evidence": []},
            {"call_id": "b@y", "source": "b:3", "destination": "c:4", "start": at(2), "first_response": at(3), "final_response": null,
             "status_code": null, "joined_by": "evidence", "score": 85, "evidence": ["address", "time"]},
            {"call_id": "c@z", "source": "b:3", "destination": "d:5", "start": at(2), "first_response": null, "final_response": null,
             "status_code": null, "joined_by": "x-call-id", "score": 100, "evidence": []}]});
        let told: Vec<String> =
            rows(&record, &screen).into_iter().map(|(title, text)| format!("{title}: {text}")).collect();
        let expected = [
            "Session: begins with a@x",
            "Leg: a:1 -> p:2  call a@x, the first leg, first answer after 1.0 s, 200 after 5.0 s",
            "Leg: p:2 -> b:3  call a@x, by its Call-ID",
            "Leg: b:3 -> c:4  this call, by evidence, 85 of 100: address, time, first answer after 1.0 s",
            "Leg: b:3 -> d:5  call c@z, by x-call-id",
        ];
        assert_eq!(told, expected);
        assert!(rows(&json!({"call_id": "b@y"}), &screen).is_empty());
    }
}
