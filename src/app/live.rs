//! `lippycat sniff voip` on interfaces: from the first socket to the summary.

use std::sync::atomic::Ordering;

use anyhow::Result;

use super::outputs::{Outputs, Pace};
use super::{sniff, stages, tell};
use crate::capture::live::{self, Interfaces};
use crate::config::{self, Config};
use crate::exit_code::ExitCode;
use crate::pipeline::{self, Threads};

/// Follows the calls on the interfaces of `config` until a signal, a count or a duration ends the run.
///
/// # Errors
/// When an interface, a filter or an output cannot be had.
pub(super) fn sniff_live(config: &Config) -> Result<ExitCode> {
    let settings = stages::settings(config, stages::calls(config), config.pcap.write)?;
    let mut sources = Interfaces::open(&sources(config))?;
    let mut outputs = Outputs::open(config, Pace::Wire)?;
    let stop = sniff::stop_on_signals()?;
    ready(config)?;
    let threads = threads(config.live.threads);
    let asked = || stop.load(Ordering::Relaxed);
    let outcome = pipeline::run_live(&mut sources, settings, threads, &mut outputs.recorder, &asked);
    sniff::finish(config, &outcome, outputs)
}

/// What to open.
fn sources(config: &Config) -> live::Settings {
    let live = &config.live;
    live::Settings {
        interfaces: live.interfaces.clone(),
        promiscuous: live.promiscuous,
        snaplen: i32::try_from(live.snaplen).unwrap_or(i32::MAX),
        buffer: i32::try_from(live.buffer.as_u64()).unwrap_or(i32::MAX),
        delay: live.delay,
        immediate: live.immediate,
        filter: None,
    }
}

fn ready(config: &Config) -> Result<()> {
    if !config.run.quiet {
        tell(&format!("capturing on {}; Ctrl-C ends", config.live.interfaces.join(", ")))?;
    }
    Ok(())
}

const fn threads(threads: config::Threads) -> Threads {
    match threads {
        config::Threads::Inline => Threads::Inline,
        config::Threads::Pair => Threads::Pair,
        config::Threads::Workers(workers) => Threads::Workers(workers),
    }
}
