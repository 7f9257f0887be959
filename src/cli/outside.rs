//! What the configuration names outside itself, as a start would find it.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::config::{Origin, Problem, Setting, Settings, variable};
use crate::control::http::token;
use crate::control::socket::{MAX_PATH, group_id};

/// What a start would fail at: a token that cannot be read, a group that is not there, something else in the place of a file, a
/// directory or a socket, a path that is too long for a socket, one file for two outputs. What is not there yet is made.
pub(super) fn problems(settings: &Settings, file: Option<&Path>) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut note = |key: &str, origin: Origin, message: Option<String>| {
        let (file, place, key) = match origin {
            Origin::File { line, column } => {
                (file.map(Path::to_path_buf), Some((line, column)), key.to_owned())
            }
            Origin::Flag => (None, None, flag(key).to_owned()),
            _ => (None, None, variable(key)),
        };
        found.extend(message.map(|message| Problem { file, place, key, message, warning: false }));
    };
    let token_file = &settings.metrics.token_file;
    let wrong = token_file.get().and_then(|path| token(&path).err());
    note("metrics.token_file", token_file.origin(), wrong.map(|error| error.to_string()));
    let group = &settings.control.group;
    let wrong = group.get().and_then(|name| group_id(&name).err());
    note("control.group", group.origin(), wrong.map(|error| error.to_string()));
    let files: [(&str, &Setting<PathBuf>, Wanted); 5] = [
        ("pcap.directory", &settings.pcap.directory, Wanted::Directory),
        ("records.file", &settings.records_file, Wanted::File),
        ("events.file", &settings.events.file, Wanted::File),
        ("control.socket", &settings.control.socket, Wanted::Socket),
        ("log.file", &settings.log_file, Wanted::File),
    ];
    for (key, setting, wanted) in files {
        note(key, setting.origin(), setting.get().and_then(|path| wanted.misses(&path)));
    }
    let mut taken: Vec<(PathBuf, &str)> =
        file.map(|file| (file.to_path_buf(), "this is the configuration")).into_iter().collect();
    for (key, setting, what) in [
        ("log.file", &settings.log_file, "the log is written there"),
        ("records.file", &settings.records_file, "the records are written there"),
        ("events.file", &settings.events.file, "the event log is written there"),
    ] {
        let Some(path) = setting.get() else { continue };
        let other = taken.iter().find(|(other, _)| are_one(&path, other));
        let told = |(_, taken): &(PathBuf, &str)| format!("{}: {taken}; name another file", path.display());
        note(key, setting.origin(), other.map(told));
        taken.push((path, what));
    }
    found
}

/// Whether two paths name one file that could be lost, by device and inode; where it is not there yet, by its directory and name.
pub(crate) fn are_one(one: &Path, other: &Path) -> bool {
    let identity = |it: &Metadata| (it.dev(), it.ino());
    if one == Path::new("-") || other == Path::new("-") {
        return false;
    }
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => one.is_file() && identity(&one) == identity(&other),
        (Err(_), Err(_)) => place(one) == place(other),
        _ => false,
    }
}

/// The directory of a file, as far as it is there, and its name.
fn place(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let directory = absolute.parent()?;
    Some(
        std::fs::canonicalize(directory)
            .unwrap_or_else(|_| directory.to_path_buf())
            .join(absolute.file_name()?),
    )
}

/// The flag of a key that has one.
fn flag(key: &str) -> &str {
    match key {
        "pcap.directory" => "--pcap-dir",
        "records.file" => "--records",
        "control.socket" => "--control-socket",
        key => key,
    }
}

/// What is to be at a path, if anything is.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    File,
    Directory,
    Socket,
}

impl Wanted {
    fn misses(self, path: &Path) -> Option<String> {
        if matches!(self, Self::Socket) && path.as_os_str().len() > MAX_PATH {
            return Some(format!("{}: too long for a socket: want at most {MAX_PATH} bytes", path.display()));
        }
        let kind = std::fs::metadata(path).ok()?.file_type();
        let (is_it, hint) = match self {
            Self::File => (!kind.is_dir(), "is a directory; name a file"),
            Self::Directory => (kind.is_dir(), "is no directory; move it away, or name another"),
            Self::Socket => (kind.is_socket(), "is no socket; move it away, or name another"),
        };
        (!is_it).then(|| format!("{} {hint}", path.display()))
    }
}
