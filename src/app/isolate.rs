//! What a run needs, and what it gives up.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::isolation::{self, Account, Needs};
use super::service::Reload;
use super::tell;
use crate::cli::logging;
use crate::config::{Config, Isolation};
use crate::control::socket::ControlSocket;

/// Takes on the user and gives up what the run of `config` does not need. Interfaces, sockets and the log are open,
/// outputs and captures are not, and there is one thread. `control` is given to the user, who is to use it.
///
/// # Errors
/// When something that was asked for cannot be had.
pub(super) fn isolate(
    config: &Config,
    reload: Option<&Reload>,
    control: Option<&ControlSocket>,
) -> Result<()> {
    let run = &config.run;
    if run.isolation == Isolation::Off && run.user.is_none() {
        return Ok(());
    }
    let account = run.user.as_deref().map(Account::find).transpose()?;
    if let Some(account) = &account {
        logging::give(account.uid, account.gid)?;
        if let Some(socket) = control {
            let group = config.control.group.is_none().then_some(account.gid);
            // Who may not give it away may not take on the user either, and that is said next.
            let given = socket.give(account.uid, group);
            given.or_else(|error| match error.kind() {
                ErrorKind::PermissionDenied => Ok(()),
                _ => Err(error),
            })?;
        }
    }
    // The socket is removed at the end.
    let sockets = control.map(|socket| Needs::directory_of(socket.path()));
    let needs = Needs { sockets: sockets.into_iter().collect(), ..needs(config, reload) };
    let force = isolation::enter(run.isolation, account.as_ref(), &needs)?;
    if let Some(account) = &account {
        writable(account, &needs)?;
    }
    if run.inputs.is_empty() {
        tracing::info!("{force}");
    } else if !run.quiet {
        tell(&force)?;
    }
    Ok(())
}

/// Better no start than files that fail one by one.
fn writable(account: &Account, needs: &Needs) -> Result<()> {
    for directory in &needs.write {
        let access = Access::WRITE_OK | Access::EXEC_OK;
        accessat(CWD, directory, access, AtFlags::EACCESS).map_err(io::Error::from).with_context(|| {
            format!("{}: {account} makes files there and may not; chown it", directory.display())
        })?;
    }
    Ok(())
}

/// What a pattern's matches are below.
fn existing(input: &Path) -> PathBuf {
    let found = input.ancestors().find(|path| path.exists());
    match found {
        Some(path) => path.to_path_buf(),
        None => PathBuf::from("."),
    }
}

fn needs(config: &Config, reload: Option<&Reload>) -> Needs {
    let mut needs = Needs { interfaces: config.run.live, ..Needs::default() };
    if let Some(file) = reload.and_then(Reload::file) {
        needs.reads_file(file);
    }
    // Merged captures are opened when their time comes.
    let inputs = config.run.inputs.iter().filter(|input| *input != Path::new("-"));
    needs.read.extend(inputs.map(|input| existing(input)));
    if let Some(directory) = &config.run.follow {
        // It may be deleted and made again.
        needs.read.extend([directory.clone(), Needs::directory_of(directory)]);
    }
    if config.pcap.write {
        needs.write.push(config.pcap.directory.clone());
    }
    let events = config.events.as_ref().map(|events| &events.file);
    for file in config.records.iter().chain(&config.log.file).chain(events) {
        needs.writes_file(file);
    }
    needs
}
