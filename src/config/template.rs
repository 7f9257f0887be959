//! The template of per-call file names, checked when it is given and not when the first call ends.

use std::fmt;

use super::units::{Value, did_you_mean};

/// The fields that a template may name.
const FIELDS: [&str; 5] = ["call_id", "from", "to", "start", "hash"];

/// A checked template such as `{start:%Y%m%d_%H%M%S}_{call_id}`: balanced braces, known fields, a valid
/// strftime format after `start:`, and no directory in it.
#[derive(Clone, PartialEq, Eq)]
pub struct NameTemplate(String);

impl NameTemplate {
    /// Checks `text`.
    ///
    /// # Errors
    /// Says which field or character is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("want a template such as {call_id}".to_owned());
        }
        if text.contains(|c: char| c == '/' || c.is_control()) {
            return Err("want a file name: directories belong in pcap.directory".to_owned());
        }
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let inside = rest.get(at..).and_then(|tail| tail.strip_prefix('{'));
            let Some((field, after)) = inside.and_then(|tail| tail.split_once('}')) else {
                return Err("want each { closed by its }".to_owned());
            };
            check(field)?;
            rest = after;
        }
        // Whoever makes the names has the last word.
        crate::sink::NameTemplate::parse(text).map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }

    /// The template as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for NameTemplate {
    fn default() -> Self {
        Self("{call_id}".to_owned())
    }
}

impl fmt::Debug for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Value for NameTemplate {
    fn text(&self) -> String {
        self.0.clone()
    }
}

fn check(field: &str) -> Result<(), String> {
    let (name, format) = match field.split_once(':') {
        Some((name, format)) => (name, Some(format)),
        None => (field, None),
    };
    match (name, format) {
        ("start", Some(format)) => check_time(format),
        ("carrier", _) => Err("{carrier} is not in this version: carriers are not built yet".to_owned()),
        (name, None) if FIELDS.contains(&name) => Ok(()),
        (name, Some(_)) if FIELDS.contains(&name) => Err(format!("{{{name}}} takes no format")),
        _ => {
            let hint = did_you_mean(name, FIELDS.into_iter());
            Err(format!(
                "unknown field {{{name}}}: want {{call_id}}, {{from}}, {{to}}, {{start}} or {{hash}}{hint}"
            ))
        }
    }
}

/// Formats a moment, to find out whether the format is one.
fn check_time(format: &str) -> Result<(), String> {
    let moment = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
    match jiff::fmt::strtime::format(format, &moment) {
        Ok(text) if text.is_empty() || text.contains('/') => {
            Err(format!("want a time without / in {{start:{format}}}"))
        }
        Ok(_) => Ok(()),
        Err(_) => Err(format!("want a strftime format such as %Y%m%d_%H%M%S in {{start:{format}}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_templates_are_kept_as_given() {
        for text in ["{call_id}", "{start:%Y%m%d_%H%M%S}_{from}-{to}_{hash}", "call", "{start}.{call_id}"] {
            assert_eq!(NameTemplate::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn bad_templates_are_refused_with_what_is_wrong() {
        let rows = [
            ("", "want a template such as {call_id}"),
            ("{call_id", "want each { closed by its }"),
            ("call_id}", "want each { closed by its }"),
            ("a/{call_id}", "want a file name: directories belong in pcap.directory"),
            ("{carrier}", "{carrier} is not in this version: carriers are not built yet"),
            (
                "{callid}",
                "unknown field {callid}: want {call_id}, {from}, {to}, {start} or {hash} (did you mean call_id?)",
            ),
            ("{hash:8}", "{hash} takes no format"),
            ("{start:%D}", "want a time without / in {start:%D}"),
            ("{start:%Ö}", "want a strftime format such as %Y%m%d_%H%M%S in {start:%Ö}"),
        ];
        for (text, wrong) in rows {
            assert_eq!(NameTemplate::parse(text).unwrap_err(), wrong, "{text}");
        }
    }
}
