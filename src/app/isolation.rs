//! What the process may still do once it has begun: a sniffer reads what strangers send.
//!
//! In: a level, perhaps a user, and what the configuration [`Needs`]. Out: a process that can do that and little else,
//! and a sentence that says what is in force. Capabilities and Landlock hold for threads, not for processes, so all
//! this happens before the first thread starts; [`enter`] looks whether that is so.
//!
//! | | `off` | `default` | `strict` |
//! |---|---|---|---|
//! | capabilities | as started; `--user`: only CAP_NET_RAW | the same | none |
//! | system calls, files (where the kernel can) | all | what is needed | what is needed, or no start |

mod calls;
mod paths;
mod privileges;

use std::fs::create_dir_all;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub(super) use privileges::Account;

use crate::config::Isolation;

/// What a run needs once it runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs {
    /// Files, and directories with all that is below them, that are read.
    pub(super) read: Vec<PathBuf>,
    /// Directories in and below which files are made, written, renamed and removed.
    pub(super) write: Vec<PathBuf>,
    /// Directories in which a socket is made and removed.
    pub(super) sockets: Vec<PathBuf>,
    /// Interfaces may have to be opened again.
    pub(super) interfaces: bool,
}

impl Needs {
    /// The directory that a file lies in: programs replace files by renaming others over them.
    pub(super) fn directory_of(file: &Path) -> PathBuf {
        match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        }
    }

    /// A file that is read again when it was replaced.
    pub(super) fn reads_file(&mut self, file: &Path) {
        self.read.push(Self::directory_of(file));
    }

    /// A file that is opened anew after a rotation.
    pub(super) fn writes_file(&mut self, file: &Path) {
        if file != Path::new("-") {
            self.write.push(Self::directory_of(file));
        }
    }
}

/// Gives up what is not needed, for good, and says what is in force then.
///
/// # Errors
/// When the user cannot be taken on, when something that was asked for (`strict`) is not to be had, or when there are
/// threads already, for which part of it would not hold.
pub(super) fn enter(level: Isolation, account: Option<&Account>, needs: &Needs) -> Result<String> {
    if level == Isolation::Off && account.is_none() {
        return Ok("isolation off".to_owned());
    }
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        bail!(
            "isolation comes too late: there are {threads} threads already (this is a bug); --isolation off starts"
        );
    }
    let keeps_raw = level != Isolation::Strict;
    let mut force = vec![format!("isolation {level}")];
    if account.is_some() || !keeps_raw {
        force.push(privileges::give_up(account, keeps_raw)?);
    }
    // As the user who writes there, and before only what is there can be named.
    for directory in &needs.write {
        create_dir_all(directory).with_context(|| match account {
            Some(account) => format!("{}: {account} cannot make it", directory.display()),
            None => format!("{}: cannot be made", directory.display()),
        })?;
    }
    if level != Isolation::Off {
        privileges::gain_no_more()?;
        let needs = Needs { interfaces: needs.interfaces && keeps_raw, ..needs.clone() };
        force.push(in_force(level, "files", "Landlock", paths::restrict(&needs))?);
        force.push(in_force(level, "system calls", "seccomp", calls::restrict(&needs))?);
    }
    if needs.interfaces && !keeps_raw {
        force.push("an interface that disappears cannot come back".to_owned());
    }
    Ok(force.join("; "))
}

/// What a kernel cannot do is said, and with `strict` it is the end.
fn in_force(level: Isolation, what: &str, by: &str, done: Result<String>) -> Result<String> {
    match done {
        Ok(text) => Ok(text),
        Err(error) if level == Isolation::Strict => {
            bail!(
                "--isolation strict: {by} is not to be had here ({error:#}); --isolation default starts without it"
            )
        }
        Err(error) => Ok(format!("{what} not restricted: no {by} here ({error:#})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_written_through_their_directories() {
        let mut needs = Needs::default();
        needs.reads_file(Path::new("/etc/lippycat/lippycat.yaml"));
        needs.reads_file(Path::new("lippycat.yaml"));
        needs.writes_file(Path::new("/var/log/a.log"));
        needs.writes_file(Path::new("-"));
        assert_eq!(needs.read, [Path::new("/etc/lippycat"), Path::new(".")]);
        assert_eq!(needs.write, [Path::new("/var/log")]);
    }

    #[test]
    fn what_is_missing_is_said_or_is_the_end() {
        let missing = || Err(anyhow::anyhow!("not implemented"));
        assert_eq!(
            in_force(Isolation::Default, "files", "Landlock", missing()).unwrap(),
            "files not restricted: no Landlock here (not implemented)"
        );
        let error = in_force(Isolation::Strict, "files", "Landlock", missing()).unwrap_err().to_string();
        assert!(error.starts_with("--isolation strict: Landlock is not to be had here (not implemented)"));
    }

    #[test]
    fn threads_that_are_there_already_are_noticed() {
        // Tests run on threads.
        let error = enter(Isolation::Default, None, &Needs::default()).unwrap_err().to_string();
        assert!(error.contains("comes too late"), "{error}");
        assert_eq!(enter(Isolation::Off, None, &Needs::default()).unwrap(), "isolation off");
    }
}
