//! Why an input could not be read.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

use crate::escape::acts;

/// One input that could not be read, or not to its end. The other inputs are not touched by it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such file.
    #[error("{}: no such file or directory; check the name", Shown(path))]
    Missing {
        /// What the user named.
        path: PathBuf,
    },
    /// The user may not read it.
    #[error("{}: permission denied; run as a user who may read it, or change its mode", Shown(path))]
    PermissionDenied {
        /// What the user named.
        path: PathBuf,
    },
    /// The file has no bytes, not even a file header.
    #[error("{}: the file is empty; nothing was captured into it", Shown(path))]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{}: not a capture; pcap and pcapng are read, plain or packed with gzip or zstd", Shown(path))]
    NotACapture {
        /// The file.
        path: PathBuf,
    },
    /// The file is packed in a way that is not read here.
    #[error("{}: packed with {with}; unpack it first, or pipe it in: {with} -dc FILE | … -r -", Shown(path))]
    Packed {
        /// The file.
        path: PathBuf,
        /// The program that unpacks it.
        with: &'static str,
    },
    /// The file begins like a capture and is broken before its first packet.
    #[error("{}: not a usable capture: {reason}", Shown(path))]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No file matches the pattern.
    #[error("{}: no file matches; quote the pattern or check the directory", Shown(path))]
    NoMatch {
        /// The pattern as given.
        path: PathBuf,
    },
    /// The pattern cannot be understood.
    #[error("{}: not a valid pattern: {reason}", Shown(path))]
    Pattern {
        /// The pattern as given.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What is to be followed is no directory.
    #[error(
        "{}: not a directory; name the one that captures are written to, and read a file with -r",
        Shown(path)
    )]
    NotADirectory {
        /// What the user named.
        path: PathBuf,
    },
    /// A directory has no capture directly in it.
    #[error("{}: no capture in this directory; directories below it are not searched", Shown(path))]
    NoCaptures {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system failed to read it.
    #[error("{}: cannot be read: {source}", Shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl SourceError {
    /// The error for what the operating system said about `path`.
    #[must_use]
    pub fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { path },
            _ => Self::Read { path, source },
        }
    }

    /// The user lacks a permission (another exit code than any other failure).
    #[must_use]
    pub const fn is_permission_denied(&self) -> bool {
        matches!(self, Self::PermissionDenied { .. })
    }

    /// The input that failed; `-` is standard input.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Missing { path }
            | Self::PermissionDenied { path }
            | Self::Empty { path }
            | Self::NotACapture { path }
            | Self::Packed { path, .. }
            | Self::Unusable { path, .. }
            | Self::NoMatch { path }
            | Self::Pattern { path, .. }
            | Self::NoCaptures { path }
            | Self::NotADirectory { path }
            | Self::Read { path, .. } => path,
        }
    }
}

/// A path for a terminal: a file name may hold escape sequences, so what [`acts`] is spelled out.
pub(in crate::capture) struct Shown<'a>(pub(in crate::capture) &'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Path::new("-") {
            return f.write_str("standard input");
        }
        for letter in self.0.to_string_lossy().chars() {
            if acts(letter) { write!(f, "{}", letter.escape_default())? } else { f.write_char(letter)? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_input_and_what_to_do() {
        let denied = SourceError::from_io(Path::new("a.pcap"), io::ErrorKind::PermissionDenied.into());
        assert!(denied.is_permission_denied());
        assert_eq!(denied.path(), Path::new("a.pcap"));
        assert!(denied.to_string().starts_with("a.pcap: permission denied; run as"));
        let empty = SourceError::Empty { path: "-".into() };
        assert_eq!(empty.to_string(), "standard input: the file is empty; nothing was captured into it");
    }

    #[test]
    fn a_hostile_file_name_does_not_reach_the_terminal() {
        let missing = SourceError::Missing { path: "\u{1b}[2J.pcap".into() };
        assert_eq!(missing.to_string(), "\\u{1b}[2J.pcap: no such file or directory; check the name");
    }
}
