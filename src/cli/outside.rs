//! What the configuration names outside itself, as a start would find it.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use crate::config::{Origin, Problem, Setting, Settings, variable};
use crate::control::http::token;
use crate::control::socket::group_id;

/// What a start would fail at: a token that cannot be read, a group that is not there, something else in the place of a file, a
/// directory or a socket. What is not there yet is made.
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
    found
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
        let kind = std::fs::metadata(path).ok()?.file_type();
        let (is_it, hint) = match self {
            Self::File => (!kind.is_dir(), "is a directory; name a file"),
            Self::Directory => (kind.is_dir(), "is no directory; move it away, or name another"),
            Self::Socket => (kind.is_socket(), "is no socket; move it away, or name another"),
        };
        (!is_it).then(|| format!("{} {hint}", path.display()))
    }
}
