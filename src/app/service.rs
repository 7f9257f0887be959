//! What a run that goes on does besides its work: it hears signals, takes a new configuration, and tells the service
//! manager how it is.
//!
//! In: one [`Service::turn`] from the capturing thread's loop, ten times a second or more often. Out: whether to go on.
//! No thread of its own: signals set flags. That the loop turns is the life that the watchdog hears of: batches are
//! bounded in number and go round, so a stage that is stuck stops the loop.

mod manager;
mod reload;
mod signals;

use std::time::{Duration, Instant};

use anyhow::Result;

pub(super) use reload::{Hook, Reload};
pub(super) use signals::{end_on_signals, hear_hangup, terminal_was_closed};

use crate::cli::logging;
use manager::Manager;
use signals::Signals;

/// How often anything is looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// How often what was not logged is told of, and the status with it.
const SETTLE: Duration = Duration::from_secs(1);

/// What opens its files anew when it is asked to, on its own thread and in its own time.
pub(super) type Reopen = Box<dyn Fn()>;

/// The service around a run.
pub(super) struct Service {
    signals: Signals,
    manager: Manager,
    reload: Option<Reload>,
    reopen: Vec<Reopen>,
    turned: Option<Instant>,
    settled: Option<Instant>,
    is_stopping: bool,
}

impl Service {
    /// Hears signals from now on.
    ///
    /// # Errors
    /// When a signal cannot be heard.
    pub(super) fn start(reload: Option<Reload>, reopen: Vec<Reopen>) -> Result<Self> {
        Ok(Self {
            signals: Signals::hear()?,
            manager: Manager::of_environment(),
            reload,
            reopen,
            turned: None,
            settled: None,
            is_stopping: false,
        })
    }

    /// Everything is open and the run begins.
    pub(super) fn ready(&self, status: &str) {
        self.manager.ready(status);
    }

    /// Does what is due; false when the run is to end. `status` is for people.
    pub(super) fn turn(&mut self, status: impl FnOnce() -> String) -> bool {
        if self.signals.are_to_end() {
            return self.stop();
        }
        let now = now();
        if self.turned.is_some_and(|turned| now.duration_since(turned) < PERIOD) {
            return true;
        }
        self.turned = Some(now);
        if self.signals.wants_reload() {
            if signals::terminal_is_gone() {
                tracing::warn!("the terminal is gone: the run ends");
                self.signals.end();
                return self.stop();
            }
            self.reload();
        }
        if self.signals.wants_reopen() {
            self.reopen();
        }
        self.manager.beat(now);
        if self.settled.is_none_or(|settled| now.duration_since(settled) >= SETTLE) {
            self.settled = Some(now);
            logging::settle(false);
            if let Err(error) = logging::reopen_if_moved() {
                tracing::error!("lines go on into the old log: error: {error}");
            }
            self.manager.status(now, status);
        }
        true
    }

    /// The run is over, and its end is written.
    pub(super) fn over(&mut self) {
        self.stop();
        logging::settle(true);
    }

    fn stop(&mut self) -> bool {
        if !std::mem::replace(&mut self.is_stopping, true) {
            self.manager.stopping();
        }
        false
    }

    fn reload(&mut self) {
        self.manager.reloading();
        if let Some(reload) = &mut self.reload {
            reload.take();
        }
        self.reopen();
        self.manager.ready("reloaded");
    }

    fn reopen(&self) {
        match logging::reopen() {
            Ok(()) => tracing::info!("logs and output files are opened anew"),
            Err(error) => tracing::error!("lines go on into the old log: error: {error}"),
        }
        self.reopen.iter().for_each(|reopen| reopen());
    }
}

#[allow(clippy::disallowed_methods, reason = "signals and the service manager live in people's time")]
fn now() -> Instant {
    Instant::now()
}
