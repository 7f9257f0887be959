//! Fields of a record by their names: `result`, `media.mos`. The schema says which there are.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::config::units::did_you_mean;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    // It is part of the program, and a test reads it.
    serde_json::from_str(include_str!("../../schema/record.schema.json")).unwrap_or_default()
});

/// What active calls have besides (`--live`).
const LIVE: &str = "state";

/// Fields of streams and findings that have a column of their own.
const BELOW: [&str; 7] = [
    "media.codec",
    "media.packets",
    "media.lost",
    "media.jitter_ms",
    "media.mos",
    "media.mos_missing",
    "findings.code",
];

/// A field that has values: below lists and objects, where there are such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: String,
    /// It has numbers.
    is_number: bool,
    /// It has times.
    is_time: bool,
    /// All that it may have, where the schema lists that.
    known: Vec<String>,
    /// It has fields of its own, such as this.
    below: Option<String>,
}

impl Field {
    /// Reads a dotted name of what has a value.
    ///
    /// # Errors
    /// Says what is known instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let field = Self::parse_any(text)?;
        match field.below {
            Some(below) => {
                Err(format!("{0} has fields of its own: want one, such as {0}.{below}", field.name))
            }
            None => Ok(field),
        }
    }

    /// Reads a dotted name, of what has fields of its own too.
    ///
    /// # Errors
    /// Says what is known instead.
    pub(super) fn parse_any(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == LIVE {
            let (is_number, is_time) = (false, false);
            return Ok(Self { name: text.to_owned(), is_number, is_time, known: Vec::new(), below: None });
        }
        let mut node = &*SCHEMA;
        let mut above = "a record".to_owned();
        for part in text.split('.') {
            node = match (children(node), of_any_name(node)) {
                (None, None) => return Err(format!("{above} has no fields of its own")),
                (None, Some(any)) => any,
                (Some(below), _) => below.get(part).ok_or_else(|| {
                    let hint = did_you_mean(part, below.keys().map(String::as_str));
                    format!("{above} has no field '{part}'{hint}; see docs/records.md")
                })?,
            };
            above = part.to_owned();
        }
        let first = children(node).and_then(|below| below.keys().next().cloned());
        // Those of any name are methods and codes.
        let below = first.or_else(|| of_any_name(node).map(|_| "INVITE".to_owned()));
        let is_time = node.get("format").is_some_and(|format| format == "date-time");
        Ok(Self { name: text.to_owned(), is_number: is_number(node), is_time, known: known(node), below })
    }

    /// Of what has fields of its own: one of them.
    pub(super) fn below(&self) -> Option<&str> {
        self.below.as_deref()
    }

    /// Its dotted name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its values are numbers, or null.
    #[must_use]
    pub const fn is_number(&self) -> bool {
        self.is_number
    }

    /// Whether its values are times, or null.
    pub(super) const fn is_time(&self) -> bool {
        self.is_time
    }

    /// All values that it may have besides null; none where they are not known.
    pub(super) fn known(&self) -> &[String] {
        &self.known
    }

    /// All its values in a record: several below a list, none where there is nothing. Null is nothing.
    #[must_use]
    pub fn values<'a>(&self, record: &'a Value) -> Vec<&'a Value> {
        self.places(record).into_iter().flatten().collect()
    }

    /// As [`Self::values`], with none for each null: below a list, fields of one of its objects have the same place.
    #[must_use]
    pub fn places<'a>(&self, record: &'a Value) -> Vec<Option<&'a Value>> {
        let mut found = Vec::new();
        collect(record, &self.name, &mut found);
        found
    }

    /// Its values as text, with semicolons between them. Null is empty.
    #[must_use]
    pub fn text(&self, record: &Value) -> String {
        let places = self.places(record).into_iter();
        places.map(|value| value.map(text).unwrap_or_default()).collect::<Vec<_>>().join(";")
    }

    /// The columns of a table that has everything which fits into one: what is no object, and of those a few fields.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let names = SCHEMA.get("required").and_then(Value::as_array).into_iter().flatten();
        let mut fields: Vec<Self> = Vec::new();
        for name in names.filter_map(Value::as_str) {
            let below = BELOW.iter().filter(|field| field.split('.').next() == Some(name));
            fields.extend(std::iter::once(&name).chain(below).filter_map(|name| Self::parse(name).ok()));
        }
        fields
    }
}

/// The text of a single value.
#[must_use]
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether the schema allows numbers, and nothing else but null.
fn is_number(node: &Value) -> bool {
    let of = node.get("type");
    let one = of.and_then(Value::as_str).into_iter();
    let several = of.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut types = one.chain(several).filter(|name| *name != "null").peekable();
    types.peek().is_some() && types.all(|name| matches!(name, "number" | "integer"))
}

/// The values that the schema lists, of a field or of the items of its list; a truth is one of two.
fn known(node: &Value) -> Vec<String> {
    let listed = node.get("enum").or_else(|| node.get("items")?.get("enum")).and_then(Value::as_array);
    let is_truth = node.get("type").is_some_and(|of| of == "boolean");
    let truths = is_truth.then(|| ["false", "true"].map(str::to_owned)).into_iter().flatten();
    listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).chain(truths).collect()
}

/// What the schema says of the fields of an object whose names it does not know.
fn of_any_name(node: &Value) -> Option<&Value> {
    node.get("additionalProperties").filter(|of| of.is_object())
}

/// The fields of an object, or of the objects of a list.
fn children(node: &Value) -> Option<&Map<String, Value>> {
    node.get("properties").or_else(|| node.get("items")?.get("properties"))?.as_object()
}

fn collect<'a>(value: &'a Value, path: &str, found: &mut Vec<Option<&'a Value>>) {
    match value {
        Value::Null => found.push(None),
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, found)),
        value if path.is_empty() => found.push(Some(value)),
        value => {
            let (name, rest) = path.split_once('.').unwrap_or((path, ""));
            match value.get(name) {
                Some(below) => collect(below, rest, found),
                // As records of other versions have it.
                None => found.push(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_found_below_lists() {
        let record = json!({"from": "a", "end": null, "transports": ["udp", "tcp"],
            "media": [{"mos": 4.1, "far_end": {"mos": 3}}, {"mos": null, "far_end": null}, {"mos": 2}]});
        let text = |name: &str| Field::parse(name).unwrap().text(&record);
        assert_eq!((text("from").as_str(), text("end").as_str()), ("a", ""));
        assert_eq!((text("transports").as_str(), text("media.mos").as_str()), ("udp;tcp", "4.1;;2"));
        assert_eq!((text("media.far_end.mos").as_str(), text("media.codec").as_str()), ("3;;", ";;"));
        assert_eq!(Field::parse("media.mos").unwrap().values(&record), [&json!(4.1), &json!(2)]);
        assert_eq!((text("findings.code").as_str(), text("ringing").as_str()), ("", ""));
    }

    #[test]
    fn only_what_the_schema_has_is_a_field() {
        let wrong = |name: &str| Field::parse(name).unwrap_err();
        assert_eq!(
            wrong("rezult"),
            "a record has no field 'rezult' (did you mean result?); see docs/records.md"
        );
        assert_eq!(wrong("media.moss"), "media has no field 'moss' (did you mean mos?); see docs/records.md");
        assert_eq!(wrong("from.x"), "from has no fields of its own");
        assert_eq!(wrong("media"), "media has fields of its own: want one, such as media.bursts");
        assert!(wrong("").starts_with("a record has no field ''"));
        assert!(Field::all().len() > 30 && Field::all().iter().any(|field| field.name() == "media.mos"));
    }
}
