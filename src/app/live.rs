//! `lippycat sniff voip` on interfaces: from the first socket to the summary.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;

use anyhow::Result;

use super::long_run::LongRun;
use super::operations::Beside;
use super::outputs::Pace;
use super::service::Reload;
use super::{stages, tell, unless_left};
use crate::capture::live::{self, Interfaces, KernelFilter};
use crate::cli;
use crate::config::{self, Config};
use crate::exit_code::ExitCode;
use crate::pipeline::{self, Board, Threads};
use crate::privacy::Private;

/// Follows the calls on the interfaces of `config` until a signal, a count or a duration ends the run.
///
/// # Errors
/// When an interface, a filter or an output cannot be had.
pub(super) fn sniff_live(config: &Config, beside: Beside, reload: Reload) -> Result<ExitCode> {
    cli::logging::never_wait();
    let threads = threads(config.live.threads);
    let board = Arc::new(Board::new(threads, false));
    let settings = pipeline::Settings {
        board: Some(Arc::clone(&board)),
        ..stages::settings(config, stages::Reading::sniffing(config))?
    };
    let mut sources = open_sources(config)?.woken_by(board.bell());
    let status = format!("capturing on {}", config.live.interfaces.join(", "));
    let mut run = LongRun::start(config, beside, board, reload, Pace::Wire, &status)?;
    let LongRun { outputs, service, .. } = &mut run;
    let service = RefCell::new(service);
    let asked = || !service.borrow_mut().turn(|| status.clone());
    let mut private = Private::new(&mut outputs.recorder, config.privacy);
    let outcome = pipeline::run_live(&mut sources, settings, threads, private.told(), &asked);
    run.finish(config, &outcome)
}

fn open_sources(config: &Config) -> Result<Interfaces> {
    let live = &config.live;
    let filter = KernelFilter::new(config.run.filter.as_deref(), live.ports.as_ref());
    let filter = filter.without(&config.own_ports());
    for note in filter.notes.iter().filter(|_| !config.run.quiet) {
        tell(&format!("note: {note}"))?;
    }
    let settings = live::Settings {
        interfaces: live.interfaces.clone(),
        promiscuous: live.promiscuous,
        snaplen: i32::try_from(live.snaplen).unwrap_or(i32::MAX),
        buffer: i32::try_from(live.buffer.as_u64()).unwrap_or(i32::MAX),
        delay: live.delay,
        immediate: live.immediate,
        filter: filter.expression,
    };
    Ok(Interfaces::open(settings)?)
}

const fn threads(threads: config::Threads) -> Threads {
    match threads {
        config::Threads::Inline => Threads::Inline,
        config::Threads::Pair => Threads::Pair,
        config::Threads::Workers(workers) => Threads::Workers(workers),
    }
}

/// Tells what can be captured on, and whether this user may.
///
/// # Errors
/// When the system does not tell, or stdout is gone.
pub(super) fn interfaces(json: bool, out: &mut impl Write) -> Result<ExitCode> {
    let (devices, permission) = (live::list()?, live::permission());
    unless_left(if json {
        cli::interfaces_json(&devices, &permission, out)
    } else {
        cli::interfaces_text(&devices, out)
    })?;
    if permission.may_capture {
        return Ok(ExitCode::Good);
    }
    let missing = permission.missing.join(" and ");
    let command = permission.command.as_deref().unwrap_or_default();
    tell(&format!(
        "error: this user may not capture: {missing} missing; run as root, or as root once: {command}"
    ))?;
    Ok(ExitCode::NotPermitted)
}
