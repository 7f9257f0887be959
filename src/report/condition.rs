//! Which records are told of: conditions on fields, and a span of time.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime};

use regex::Regex;
use serde_json::Value;

use super::field::{Field, text};
use crate::config::units;
use crate::time::Timestamp;

/// `FIELD=VALUE` and the like. Below a list one value that fits is enough; `!=` and `!~` want none that fits.
#[derive(Clone, Debug)]
pub struct Condition {
    field: Field,
    test: Test,
    negated: bool,
}

#[derive(Clone, Debug)]
enum Test {
    /// The same number, time or text.
    Is(Operand),
    /// Less or more than this number, time or text.
    Compare { than: Operand, wanted: Ordering, or_equal: bool },
    /// The text matches.
    Matches(Regex),
}

/// What values are compared with.
#[derive(Clone, Debug)]
enum Operand {
    /// Nothing.
    Null,
    /// A number where the value is one, else text.
    Text(String),
    /// A time.
    Time(Timestamp),
}

/// Longest first: `<=` is no `<`.
const OPERATORS: [&str; 8] = ["!=", "!~", "<=", ">=", "=", "<", ">", "~"];

impl Condition {
    /// Reads `media.mos<3.5`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(condition: &str) -> Result<Self, String> {
        let wanted =
            || "want a field, one of = != < <= > >= ~ !~, and a value, as in media.mos<3.5".to_owned();
        let at = condition.find(['!', '<', '>', '=', '~']).ok_or_else(wanted)?;
        let (name, rest) = condition.split_at_checked(at).ok_or_else(wanted)?;
        let operator = OPERATORS.into_iter().find(|it| rest.starts_with(it)).ok_or_else(wanted)?;
        let value = rest.get(operator.len()..).unwrap_or_default().trim();
        let field = Field::parse_any(name)?;
        let is_regex = operator.ends_with('~');
        let is_null = value == "null" && matches!(operator, "=" | "!=");
        if let Some(below) = field.below().filter(|_| !is_null) {
            let name = field.name();
            return Err(format!(
                "{name} has fields of its own: want one, such as {name}.{below}, or {name}=null"
            ));
        }
        let is_number = value.parse().is_ok_and(f64::is_finite);
        if field.is_number() && !is_regex && !is_null && !is_number {
            return Err(format!("want a number for {}, as in {0}{operator}3", field.name()));
        }
        let operand = || if is_null { Ok(Operand::Null) } else { operand(&field, operator, value) };
        let compare =
            |wanted| operand().map(|than| Test::Compare { than, wanted, or_equal: operator.len() == 2 });
        let test = match operator {
            "=" | "!=" => Test::Is(operand()?),
            "<" | "<=" => compare(Ordering::Less)?,
            ">" | ">=" => compare(Ordering::Greater)?,
            _ => Test::Matches(Regex::new(value).map_err(|error| broken(&error))?),
        };
        Ok(Self { field, test, negated: operator.starts_with('!') })
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, record: &Value) -> bool {
        let values = self.field.values(record);
        // What is not there can be asked for as null.
        let is_absent = values.is_empty() && matches!(&self.test, Test::Is(Operand::Null));
        (is_absent || values.into_iter().any(|value| self.test.fits(value))) != self.negated
    }
}

/// What values of a field are compared with: times as [`time`] reads them; what no record has is told.
fn operand(field: &Field, operator: &str, value: &str) -> Result<Operand, String> {
    let name = field.name();
    if field.is_time() {
        let wrong = |_| format!("want a time for {name}, as in {name}{operator}2026-01-31T12:00:00Z");
        return time(value).map(Operand::Time).map_err(wrong);
    }
    let known = field.known();
    if known.is_empty() || !matches!(operator, "=" | "!=") {
        return Ok(Operand::Text(value.to_owned()));
    }
    let found = known.iter().find(|known| known.eq_ignore_ascii_case(value));
    let wrong = || format!("{name} is never '{value}': want one of {}, or null", known.join(", "));
    found.map(|known| Operand::Text(known.clone())).ok_or_else(wrong)
}

fn broken(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    format!("want a regular expression: {}", last.trim_start_matches("error: "))
}

impl Test {
    fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Is(wanted) => compare(value, wanted).is_some_and(Ordering::is_eq),
            Self::Compare { than, wanted, or_equal } => {
                compare(value, than).is_some_and(|found| found == *wanted || (*or_equal && found.is_eq()))
            }
            Self::Matches(regex) => regex.is_match(&text(value)),
        }
    }
}

/// Times are compared as times, numbers as numbers, and all else as text.
fn compare(value: &Value, with: &Operand) -> Option<Ordering> {
    match (with, value.as_f64()) {
        (Operand::Null, _) => None,
        (Operand::Time(time), _) => Some(instant(value.as_str()?)?.cmp(time)),
        (Operand::Text(with), Some(number)) => number.partial_cmp(&with.parse().ok()?),
        (Operand::Text(with), None) => Some(text(value).as_str().cmp(with)),
    }
}

/// Everything that chooses.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// All of these hold.
    pub conditions: Vec<Condition>,
    /// It began then or later.
    pub since: Option<Timestamp>,
    /// It began before that.
    pub until: Option<Timestamp>,
}

impl Selection {
    /// Whether a record is told of.
    #[must_use]
    pub fn takes(&self, record: &Value) -> bool {
        let is_within = || {
            let start = record.get("start").and_then(Value::as_str).and_then(instant);
            start.is_some_and(|start| {
                self.since.is_none_or(|since| start >= since) && self.until.is_none_or(|until| start < until)
            })
        };
        let is_timeless = self.since.is_none() && self.until.is_none();
        (is_timeless || is_within()) && self.conditions.iter().all(|condition| condition.holds(record))
    }
}

/// A time in RFC 3339.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let nanoseconds = text.parse::<jiff::Timestamp>().ok()?.as_nanosecond();
    u64::try_from(nanoseconds).ok().map(Timestamp)
}

/// Reads a time: RFC 3339, a day or a time of a day in UTC, or how long ago.
///
/// # Errors
/// Says what is wanted.
pub fn time(given: &str) -> Result<Timestamp, String> {
    let wanted = "want a time such as 2026-01-31, 2026-01-31T12:00:00Z, or 2h for two hours ago";
    let given = given.trim();
    if let Some(time) = instant(given) {
        return Ok(time);
    }
    if let Ok(time) = given.parse::<jiff::civil::DateTime>() {
        let zoned = time.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wanted.to_owned())?;
        let nanoseconds = u64::try_from(zoned.timestamp().as_nanosecond()).map_err(|_| wanted.to_owned())?;
        return Ok(Timestamp(nanoseconds));
    }
    let ago = units::duration(given).map_err(|_| wanted.to_owned())?;
    Ok(Timestamp(u64::try_from(now().saturating_sub(ago).as_nanos()).unwrap_or_default()))
}

#[allow(clippy::disallowed_methods, reason = "the user says how long ago by the clock on the wall")]
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_hold_as_they_read() {
        let record = json!({"from": "+4930123", "result": "failed", "status_code": 503, "end": null, "authenticated": true,
            "start": "2026-01-31T12:00:00.000000Z", "transports": ["udp", "tcp"],
            "media": [{"mos": 4.1}, {"mos": null}, {"mos": 2.5}], "response_seconds": {"INVITE": 0.2, "BYE": 0.1}});
        let rows = [
            ("response_seconds.INVITE>0.1", true),
            ("response_seconds.BYE>0.1", false),
            ("response_seconds.PRACK=null", true),
            ("response_seconds!=null", true),
            ("media=null", false),
            ("media!=null", true),
            ("holds=null", true),
            ("holds!=null", false),
            ("result=failed", true),
            ("result = failed", true),
            ("result!=failed", false),
            ("status_code=503", true),
            ("status_code=503.0", true),
            ("status_code>=500", true),
            ("status_code>503", false),
            ("status_code<5.03e2", false),
            ("media.mos<3.5", true),
            ("media.mos<2.5", false),
            ("media.mos<=2.5", true),
            ("media.mos>4", true),
            ("transports=tcp", true),
            ("transports!=tcp", false),
            ("transports!=ws", true),
            ("end=null", true),
            ("end!=null", false),
            ("ringing=null", true),
            ("start!=null", true),
            ("authenticated=true", true),
            ("from~^\\+49", true),
            ("from!~^\\+49", false),
            ("from=", false),
            ("start>2026-01-31", true),
            ("start<2026-01-31T12:00:01", true),
        ];
        for (text, holds) in rows {
            assert_eq!(Condition::parse(text).unwrap().holds(&record), holds, "{text}");
        }
    }

    /// RFC 3339: one time may be written in several ways.
    #[test]
    fn times_are_compared_as_times() {
        let record = json!({"start": "2026-05-28T12:02:00.337000Z", "end": null});
        for (text, holds) in [
            ("start>=2026-05-28T12:02:00Z", true),
            ("start>2026-05-28T12:02:00.337Z", false),
            ("start>=2026-05-28T14:02:00+02:00", true),
            ("start<2026-05-28T12:02", false),
            ("start<2026-05-28 12:02:01", true),
            ("start=2026-05-28T12:02:00.337Z", true),
            ("start!=2026-05-28T14:02:00.337+02:00", false),
            ("start<1s", true),
            ("end>2026-05-28", false),
            ("end=null", true),
            ("start~^2026-05-28T12:02", true),
        ] {
            assert_eq!(Condition::parse(text).unwrap().holds(&record), holds, "{text}");
        }
        for value in ["12:00", "yesterday", "", "NULL"] {
            let told = Condition::parse(&format!("start>={value}")).unwrap_err();
            assert_eq!(told, "want a time for start, as in start>=2026-01-31T12:00:00Z", "{value}");
        }
    }

    /// The values are those of the schema.
    #[test]
    fn what_no_record_can_have_is_told() {
        let record = json!({"kind": "call", "result": "failed", "transports": ["udp"], "authenticated": true, "ended_by": null});
        for (text, holds) in [
            ("transports=UDP", true),
            ("transports!=Udp", false),
            ("result=Failed", true),
            ("authenticated=TRUE", true),
            ("ended_by=null", true),
            ("result~^fail", true),
            ("result>e", true),
        ] {
            assert_eq!(Condition::parse(text).unwrap().holds(&record), holds, "{text}");
        }
        let wrong = |text: &str| Condition::parse(text).unwrap_err();
        assert_eq!(
            wrong("transports=dccp"),
            "transports is never 'dccp': want one of udp, tcp, tls, ws, wss, sctp, or null"
        );
        assert!(wrong("result!=fail").starts_with("result is never 'fail': want one of success, "));
        assert!(wrong("kind=register").contains(" registration, "));
        assert!(wrong("authenticated=yes").ends_with("want one of false, true, or null"));
    }

    #[test]
    fn what_is_no_condition_is_told() {
        let wrong = |text: &str| Condition::parse(text).unwrap_err();
        assert!(wrong("result").starts_with("want a field, one of"));
        assert!(wrong("result!x").starts_with("want a field, one of"));
        assert!(wrong("rezult=x").contains("did you mean result?"));
        assert_eq!(wrong("media.mos<x"), "want a number for media.mos, as in media.mos<3");
        assert_eq!(wrong("status_code=5O3"), "want a number for status_code, as in status_code=3");
        assert_eq!(
            wrong("response_seconds>1"),
            "response_seconds has fields of its own: want one, such as response_seconds.INVITE, or response_seconds=null"
        );
        assert!(wrong("holds=2").starts_with("holds has fields of its own: want one, such as holds."));
        assert!(wrong("media.mos<=null").starts_with("want a number"));
        assert!(wrong("media.mos>NaN").starts_with("want a number"));
        assert!(wrong("media.mos>").starts_with("want a number"));
        assert!(Condition::parse("media.mos!=null").is_ok() && Condition::parse("status_code~^5").is_ok());
        assert_eq!(wrong("from~("), "want a regular expression: unclosed group");
    }

    #[test]
    fn times_are_read_in_every_usual_way() {
        let noon = Timestamp::new(1_769_860_800, 0);
        for text in
            ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", "2026-01-31T12:00", "2026-01-31 12:00:00"]
        {
            assert_eq!(time(text), Ok(noon), "{text}");
        }
        assert_eq!(time("2026-01-31"), Ok(Timestamp::new(1_769_817_600, 0)));
        assert!(time("1h").unwrap() > noon);
        for text in ["", "alice", "2026-13-01", "31.1.2026", "-1h"] {
            assert!(time(text).unwrap_err().starts_with("want a time"), "{text}");
        }
    }

    #[test]
    fn a_span_has_its_beginning_and_not_its_end() {
        let record = json!({"start": "2026-01-31T12:00:00.000000Z"});
        let at = |text: &str| Some(time(text).unwrap());
        let takes = |since, until| Selection { conditions: Vec::new(), since, until }.takes(&record);
        assert!(takes(at("2026-01-31T12:00:00Z"), None) && takes(None, at("2026-01-31T12:00:00.000001Z")));
        assert!(!takes(at("2026-01-31T12:00:00.000001Z"), None) && !takes(None, at("2026-01-31T12:00:00Z")));
    }
}
