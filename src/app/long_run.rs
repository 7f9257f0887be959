//! What a run that goes on has around its pipeline, in the order in which it can be had.

use std::sync::Arc;

use anyhow::Result;

use super::isolate::isolate;
use super::operations::{Beside, Operations};
use super::outputs::{Outputs, Pace};
use super::service::{Reload, Service};
use super::{sniff, tell};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::pipeline::{Board, Outcome};
use crate::sink;

/// Outputs, whoever asks, and the service around a run whose source is open.
pub(super) struct LongRun {
    pub(super) outputs: Outputs,
    pub(super) service: Service,
    operations: Operations,
}

impl LongRun {
    /// Gives up what the run does not need, opens the rest, and says with `status` that it begins.
    ///
    /// # Errors
    /// When something that was asked for cannot be had.
    pub(super) fn start(
        config: &Config,
        beside: Beside,
        board: Arc<Board>,
        reload: Reload,
        pace: Pace,
        status: &str,
    ) -> Result<Self> {
        sink::prepare_stdout();
        isolate(config, Some(&reload), beside.control())?;
        let outputs = Outputs::open(config, pace)?;
        board.tell_end(outputs.status());
        let operations = Operations::start(beside, board, config, outputs.status())?;
        let reload = reload.with(operations.takes_alerts());
        let service = Service::start(Some(reload), vec![outputs.reopen()])?;
        if !config.run.quiet {
            tell(&format!("{status}; Ctrl-C ends"))?;
        }
        service.ready(status);
        Ok(Self { outputs, service, operations })
    }

    /// The run is over: what it wrote is brought to its place, and summed up.
    ///
    /// # Errors
    /// When an output could not be written to.
    pub(super) fn finish(mut self, config: &Config, outcome: &Outcome) -> Result<ExitCode> {
        self.service.over();
        drop(self.operations);
        for error in &outcome.errors {
            tell(&format!("error: {error}"))?;
        }
        sniff::finish(config, outcome, self.outputs)
    }
}
