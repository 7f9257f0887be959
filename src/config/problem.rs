//! What is wrong with a configuration, and where exactly.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::escape::{acts, spelled};

/// One thing that is wrong, or (a warning) no longer of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file; none for an environment variable.
    pub file: Option<PathBuf>,
    /// Line and column, from 1; none when the place is not known.
    pub place: Option<(u64, u64)>,
    /// Dotted name of the key, or of the variable; empty when the YAML itself is broken.
    pub key: String,
    /// What is wrong, and what was probably meant.
    pub message: String,
    /// The configuration can be used all the same.
    pub warning: bool,
}

/// `file:line:column: key: message`. What comes from the file is shown without its control characters.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", Visible(&file.to_string_lossy()))?;
            if let Some((line, column)) = self.place {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", Visible(&self.key))?;
        }
        write!(f, "{}", Visible(&self.message))
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was named cannot be read.
    #[error("cannot read configuration {path}: {reason}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says. Part of the message, and so not its source.
        reason: io::Error,
    },
    /// It has problems, each of which is listed.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

impl ConfigError {
    /// Whether the system did not permit to read it.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Read { reason, .. } if reason.kind() == io::ErrorKind::PermissionDenied)
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// Text in which what [`acts`] is spelled out: a YAML escape must not reach a terminal.
pub struct Visible<'a>(pub &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        spelled(self.0, acts).try_for_each(|c| f.write_char(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_points_at_its_place() {
        let problem = Problem {
            file: Some(PathBuf::from("a.yaml")),
            place: Some((3, 7)),
            key: "voip.\u{1b}[31m".to_owned(),
            message: "unknown key".to_owned(),
            warning: false,
        };
        assert_eq!(problem.to_string(), "a.yaml:3:7: voip.\\u{1b}[31m: unknown key");
    }
}
