//! The template of per-call file names as a setting: checked when it is given and not when the first call ends.

use super::units::{Value, did_you_mean};
use crate::sink::{NAME_FIELDS, NameTemplate, TemplateError};

/// Reads a template such as `{start:%Y%m%d_%H%M%S}_{call_id}`.
///
/// # Errors
/// Says which field or character is wrong.
pub fn name_template(text: &str) -> Result<NameTemplate, String> {
    NameTemplate::parse(text).map_err(|error| {
        let hint = match &error {
            TemplateError::UnknownField(name) => did_you_mean(name, NAME_FIELDS.into_iter()),
            _ => String::new(),
        };
        format!("{error}{hint}")
    })
}

impl Value for NameTemplate {
    fn text(&self) -> String {
        self.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_templates_are_refused_with_what_is_wrong() {
        let rows = [
            ("", "want a template such as {call_id}"),
            ("call_id}", "want each { closed by its }"),
            (
                "a/../{call_id}",
                "want a name below pcap.directory: no / at its ends, no empty, hidden or . and .. directories",
            ),
            ("{carrier}", "unknown field {carrier}: want {call_id}, {from}, {to}, {start} or {hash}"),
            (
                "{callid}",
                "unknown field {callid}: want {call_id}, {from}, {to}, {start} or {hash} (did you mean call_id?)",
            ),
            ("{hash:8}", "{hash} takes no format"),
            ("{start:%D}", "want a time without / in {start:%D}"),
            ("{start:%Ö}", "want a strftime format such as %Y%m%d_%H%M%S in {start:%Ö}"),
        ];
        for (text, wrong) in rows {
            assert_eq!(name_template(text).unwrap_err(), wrong, "{text}");
        }
        assert_eq!(name_template("{start:%Y/%m}/{hash}").unwrap().text(), "{start:%Y/%m}/{hash}");
    }
}
