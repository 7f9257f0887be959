//! What is said on the socket: version 1.
//!
//! A client sends questions, the server an answer to each, in order; each is one line of JSON. See docs/control.md.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version that this program speaks. A server answers no other, and says which it speaks.
pub const VERSION: u32 = 1;

/// Longest question in bytes, its newline included.
pub const MAX_QUESTION: usize = 4096;

/// Longest answer in bytes that a client takes.
pub const MAX_ANSWER: usize = 64 << 20;

/// A question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Version of the protocol.
    pub version: u32,
    /// What is asked for.
    pub ask: String,
    /// Where to go on: what the last page gave as `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Value>,
    /// Greatest number of rows of a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only bindings of this address-of-record, or of this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Not a question of this protocol.
    Malformed,
    /// Longer than [`MAX_QUESTION`].
    TooLong,
    /// Another version.
    Version,
    /// Nothing is known of what is asked for.
    Unknown,
    /// The pipeline did not answer in time.
    Busy,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub code: Trouble,
    /// For people.
    pub message: String,
}

/// An answer: `data` or `error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Version of the protocol.
    pub version: u32,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
}

impl Answer {
    /// An answer.
    #[must_use]
    pub const fn of(data: Value) -> Self {
        Self { version: VERSION, data: Some(data), error: None }
    }

    /// A refusal.
    #[must_use]
    pub fn refusal(code: Trouble, message: impl Into<String>) -> Self {
        Self { version: VERSION, data: None, error: Some(Refusal { code, message: message.into() }) }
    }

    /// As a line.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        // Values of ours have text keys only, so this cannot fail; should it, the client is told nothing.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

impl Question {
    /// A question about `ask`.
    #[must_use]
    pub fn about(ask: &str) -> Self {
        Self { version: VERSION, ask: ask.to_owned(), ..Self::default() }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// What to answer instead.
    pub fn parse(line: &[u8]) -> Result<Self, Answer> {
        /// Versions to come may have other fields, but they will have this one.
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let malformed = |error: serde_json::Error| {
            Answer::refusal(Trouble::Malformed, format!("not a question of this protocol: {error}"))
        };
        let Version { version } = serde_json::from_slice(line).map_err(malformed)?;
        if version != VERSION {
            let message = format!("version {version} is not spoken here, only version {VERSION}");
            return Err(Answer::refusal(Trouble::Version, message));
        }
        serde_json::from_slice(line).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_documented() {
        let question = serde_json::to_string(&Question::about("health")).unwrap();
        assert_eq!(question, r#"{"version":1,"ask":"health"}"#);
        let answer = Answer::of(serde_json::json!([])).line();
        assert_eq!(answer, b"{\"version\":1,\"data\":[]}\n");
        let refusal = Answer::refusal(Trouble::TooLong, "no").line();
        assert_eq!(refusal, b"{\"version\":1,\"error\":{\"code\":\"too_long\",\"message\":\"no\"}}\n");
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let code = |line: &str| Question::parse(line.as_bytes()).unwrap_err().error.unwrap().code;
        for line in ["", "null", "[]", "{}", "health", "{\"version\":1}", "\u{0}", "{\"version\":-1}"] {
            assert_eq!(code(line), Trouble::Malformed, "{line:?}");
        }
        assert_eq!(code(r#"{"version":2,"question":"health"}"#), Trouble::Version);
        assert_eq!(code(r#"{"version":1,"ask":"health","x":1}"#), Trouble::Malformed);
        assert_eq!(code(&"[".repeat(4000)), Trouble::Malformed, "no deep recursion");
        assert!(Question::parse(br#"{"version":1,"ask":"calls","cursor":5,"limit":10}"#).is_ok());
        assert!(Question::parse(br#"{"version":1,"ask":"registrations","address":"bob"}"#).is_ok());
    }
}
