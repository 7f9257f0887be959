//! Outputs that would write over what the run reads, or into each other.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::capture::file;
use crate::cli::are_one;
use crate::config::Config;

/// What is told of an input.
const READ: &str = "this run reads it";

/// An output that has no file of its own.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {what} cannot be written there: {taken}; name another file with {key}")]
pub(super) struct Conflict {
    path: String,
    what: &'static str,
    taken: &'static str,
    key: &'static str,
}

/// An output of lines.
pub(super) struct Output<'a> {
    /// Which it is, and where it is named.
    pub(super) what: &'static str,
    pub(super) key: &'static str,
    pub(super) path: &'a Path,
    /// The file that was opened, of which nothing was changed yet; none where it is no file.
    pub(super) file: Option<Metadata>,
    /// What another output is told.
    pub(super) taken: &'static str,
}

/// What the system says of an input; `-` is standard input.
pub(super) fn about(input: &Path) -> io::Result<Metadata> {
    fs::metadata(if input == Path::new("-") { Path::new("/dev/stdin") } else { input })
}

/// Refuses a log that is the configuration file, before a line goes there.
///
/// # Errors
/// It is.
pub(super) fn check_log(config: &Config) -> Result<(), Conflict> {
    match (config.log.file.as_deref(), config.run.file.as_deref()) {
        (Some(path), Some(read)) if are_one(path, read) => {
            Err(Conflict { path: path.display().to_string(), what: "the log", taken: READ, key: "log.file" })
        }
        _ => Ok(()),
    }
}

/// Device and inode.
fn identity(it: &Metadata) -> (u64, u64) {
    (it.dev(), it.ino())
}

/// Refuses outputs that are one file by device and inode: with another, with the log, or with what is read.
///
/// # Errors
/// The first that is.
pub(super) fn check(config: &Config, outputs: &[Output<'_>]) -> Result<(), Conflict> {
    let mut known = Vec::new();
    // Directories are looked through only for a file that could be found there.
    if outputs.iter().filter_map(|it| it.file.as_ref()).any(|file| file.len() > 0) {
        let inputs: Vec<_> = config.run.inputs.iter().chain(&config.run.follow).cloned().collect();
        let read = file::named(&inputs).into_iter().filter_map(|path| about(&path).ok());
        known.extend(read.map(|it| (identity(&it), READ)));
        let configuration = config.run.file.as_deref().and_then(|path| fs::metadata(path).ok());
        known.extend(configuration.map(|it| (identity(&it), READ)));
    }
    let log = config.log.file.as_deref().and_then(|path| fs::metadata(path).ok());
    known.extend(log.filter(Metadata::is_file).map(|it| (identity(&it), "the log is")));
    for Output { what, key, path, file, taken } in outputs {
        let Some(own) = file.as_ref().map(identity) else { continue };
        if let Some((_, taken)) = known.iter().find(|(other, _)| *other == own) {
            return Err(Conflict { path: path.display().to_string(), what, taken, key });
        }
        known.push((own, taken));
    }
    Ok(())
}
