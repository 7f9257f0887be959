//! `lippycat sniff voip --follow`: a directory of rotating captures, until a signal.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::long_run::LongRun;
use super::operations::Beside;
use super::outputs::Pace;
use super::service::Reload;
use super::{stages, tell};
use crate::capture::follow::Follow;
use crate::config::{Config, Visible};
use crate::exit_code::ExitCode;
use crate::pipeline::{self, Board, Continue};
use crate::privacy::Private;

/// Follows the calls in the captures that are written to the directory of `config`.
///
/// # Errors
/// When the directory or an output cannot be had.
pub(super) fn sniff_followed(config: &Config, beside: Beside, reload: Reload) -> Result<ExitCode> {
    let Some(directory) = config.run.follow.as_deref() else { return Ok(ExitCode::Usage) };
    let board = Arc::new(Board::new(stages::threads(config), true));
    let settings = pipeline::Settings {
        board: Some(Arc::clone(&board)),
        ..stages::settings(config, stages::Reading::sniffing(config))?
    };
    let mut source = Follow::open(directory, config.run.duration)?;
    if config.pcap.write && is_same(directory, &config.pcap.directory) {
        let directory = directory.display();
        tell(&format!(
            "error: {directory} is followed: capture files of calls cannot be written there; use --pcap-dir"
        ))?;
        return Ok(ExitCode::Usage);
    }
    let status = format!("following {}", Visible(&directory.to_string_lossy()));
    let mut run = LongRun::start(config, beside, board, reload, Pace::Pipe, &status)?;
    let LongRun { outputs, service, .. } = &mut run;
    let mut private = Private::new(&mut outputs.recorder, config.privacy);
    let outcome = pipeline::run(&mut source, settings, private.told(), &mut |progress| {
        let go_on = service.turn(|| format!("{status}: {} packets", progress.packets));
        if go_on { Continue::Yes } else { Continue::No }
    });
    run.finish(config, &outcome)
}

/// What is written there would be read again, and written again.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
    identity(one).is_some_and(|it| identity(other) == Some(it))
}
