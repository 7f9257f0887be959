//! From what the user named to capture files: files, FIFOs, directories, patterns and `-`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::super::SourceError;
use super::open::{CaptureFile, Reading};

/// Every file that the inputs stand for, each once, in the order given; a directory's files by name.
///
/// A directory stands for the captures directly in it, told by their first bytes; a pattern for what it
/// matches. FIFOs and devices are read only where named as such.
pub(super) fn expand(inputs: &[PathBuf]) -> (Vec<PathBuf>, Vec<SourceError>) {
    let mut expansion = Expansion::default();
    for input in inputs {
        if let Err(error) = expansion.input(input) {
            expansion.errors.push(error);
        }
    }
    (expansion.files, expansion.errors)
}

#[derive(Default)]
struct Expansion {
    files: Vec<PathBuf>,
    /// Where these lie, without links.
    known: HashSet<PathBuf>,
    errors: Vec<SourceError>,
}

impl Expansion {
    fn input(&mut self, input: &Path) -> Result<(), SourceError> {
        if input == Path::new("-") {
            self.add(input.to_path_buf());
            return Ok(());
        }
        match fs::metadata(input) {
            Ok(metadata) if metadata.is_dir() => self.directory(input),
            Ok(_) => {
                self.add(input.to_path_buf());
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound && is_pattern(input) => self.pattern(input),
            Err(error) => Err(SourceError::from_io(input, error)),
        }
    }

    /// Given twice, also by another way or a link, a file would count every call twice.
    fn add(&mut self, path: PathBuf) {
        // What leads nowhere in the file system, as a pipe of the shell, has its name alone.
        if self.known.insert(fs::canonicalize(&path).unwrap_or_else(|_| path.clone())) {
            self.files.push(path);
        }
    }

    fn directory(&mut self, directory: &Path) -> Result<(), SourceError> {
        let (mut none, errors) = (true, self.errors.len());
        for path in regular_files(directory).map_err(|error| SourceError::from_io(directory, error))? {
            match CaptureFile::open(&path, Reading { block: 512, parked: false }) {
                Ok(_) => {
                    none = false;
                    self.add(path);
                }
                Err(error) if concerns(&error) => self.errors.push(error),
                Err(_) => {}
            }
        }
        if none && self.errors.len() == errors {
            return Err(SourceError::NoCaptures { path: directory.to_path_buf() });
        }
        Ok(())
    }

    fn pattern(&mut self, pattern: &Path) -> Result<(), SourceError> {
        let path = || pattern.to_path_buf();
        let text = pattern.to_str().ok_or_else(|| SourceError::Missing { path: path() })?;
        let matches =
            glob::glob(text).map_err(|error| SourceError::Pattern { path: path(), reason: error.msg })?;
        let mut none = true;
        for found in matches {
            none = false;
            match found {
                // As if a shell had named each: one without captures says so, and the others are read.
                Ok(found) if found.is_dir() => {
                    let outcome = self.directory(&found);
                    self.errors.extend(outcome.err());
                }
                Ok(found) if found.is_file() => self.add(found),
                Ok(_) => {}
                Err(error) => {
                    let place = error.path().to_path_buf();
                    self.errors.push(SourceError::from_io(&place, error.into()));
                }
            }
        }
        if none { Err(SourceError::NoMatch { path: path() }) } else { Ok(()) }
    }
}

fn is_pattern(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// The regular files directly in a directory, by name; links to such files too.
fn regular_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The user should hear of a file in a directory that was not named itself: it looks like a capture by its
/// name, and is there, but cannot be read. Everything else in the directory is not ours.
fn concerns(error: &SourceError) -> bool {
    let name = error.path().file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    let ours = name.contains(".pcap") || name.contains(".cap");
    ours && !matches!(
        error,
        SourceError::Empty { .. } | SourceError::NotACapture { .. } | SourceError::Missing { .. }
    )
}
