//! The sniffer looks at itself, once a second: figures, alerts, health, metrics.
//!
//! In: the [`Board`] of a running pipeline, the counters of its files, the process, the disk. Out: a [`View`] of the
//! whole that anybody may take, and a line in the log for each alert that fires or clears. Nothing here is on the way
//! of a packet, and the pipeline never waits for it.
//!
//! Absent on purpose: how figures are carried to who asks; see [`crate::control`].

pub mod alerts;
pub mod health;
mod history;
pub mod metrics;
mod process;
pub mod report;
mod sample;

pub use history::{History, Totals};
pub use process::ProcessFigures;
pub use sample::{Caps, Disk, LOSSES, Peaks, Sample};

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::pipeline::Board;
use crate::privacy::Privacy;
use crate::sink::DiskStatus;
use crate::time::Timestamp;
use alerts::{Alert, AlertSettings, Book, Change, Facts, Level};
use health::{Flow, Health};
use process::ProcessWatch;

/// How often everything is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// How long before a look the stages are asked for their figures: a live source answers within 100 ms.
const LEAD: Duration = Duration::from_millis(200);

/// Everything about one second.
#[derive(Debug)]
pub struct View {
    /// The figures.
    pub sample: Sample,
    /// What the run may use.
    pub caps: Caps,
    /// Whether all is well.
    pub health: Health,
    /// Alerts, active and past; the one that fired last first.
    pub alerts: Vec<Alert>,
}

/// What monitor thread and askers share.
#[derive(Debug)]
pub struct Monitor {
    board: Arc<Board>,
    privacy: Privacy,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug)]
struct State {
    view: Arc<View>,
    settings: AlertSettings,
    config: Arc<Value>,
    stopped: bool,
}

/// The running monitor; it ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    monitor: Arc<Monitor>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// What it shows.
    #[must_use]
    pub fn monitor(&self) -> Arc<Monitor> {
        Arc::clone(&self.monitor)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.monitor.state().stopped = true;
        self.monitor.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // Should it have panicked, it has said so.
            let _ = thread.join();
        }
    }
}

impl Monitor {
    /// Starts to look. `config` is the effective configuration, as `debug config` tells it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        board: Arc<Board>,
        caps: Caps,
        settings: AlertSettings,
        config: Value,
        files: Option<Arc<DiskStatus>>,
        privacy: Privacy,
    ) -> std::io::Result<Running> {
        let mut watch = Watch::new(caps, files);
        board.ask();
        let view = Arc::new(watch.look(&board, &settings));
        let state = State { view, settings, config: Arc::new(config), stopped: false };
        let monitor = Arc::new(Self { board, privacy, state: Mutex::new(state), wake: Condvar::new() });
        let shared = Arc::clone(&monitor);
        let run = move || shared.run(&mut watch);
        let thread = std::thread::Builder::new().name("monitor".to_owned()).spawn(run)?;
        Ok(Running { monitor, thread: Some(thread) })
    }

    /// The latest view.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.state().view)
    }

    /// The effective configuration.
    #[must_use]
    pub fn config(&self) -> Arc<Value> {
        Arc::clone(&self.state().config)
    }

    /// The pipeline's board, for questions to the tracker.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What of calls and bindings may be told.
    #[must_use]
    pub const fn privacy(&self) -> Privacy {
        self.privacy
    }

    /// The configuration was read anew: from the next second on these thresholds count.
    pub fn reload(&self, settings: AlertSettings, config: Value) {
        let mut state = self.state();
        state.settings = settings;
        state.config = Arc::new(config);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, watch: &mut Watch) {
        while self.sleep(PERIOD.saturating_sub(LEAD)) {
            self.board.ask();
            if !self.sleep(LEAD) {
                break;
            }
            let settings = self.state().settings;
            let view = Arc::new(watch.look(&self.board, &settings));
            self.state().view = view;
        }
    }

    /// Sleeps; false when it is to stop.
    fn sleep(&self, time: Duration) -> bool {
        let state = self.state();
        let waited = self.wake.wait_timeout_while(state, time, |state| !state.stopped);
        !waited.map_or_else(|poisoned| poisoned.into_inner().0.stopped, |(state, _)| state.stopped)
    }
}

/// What the monitor thread keeps from one second to the next.
struct Watch {
    began: Instant,
    caps: Caps,
    files: Option<Arc<DiskStatus>>,
    process: ProcessWatch,
    history: History,
    book: Book,
    flow: Flow,
    peaks: Peaks,
    unhealthy_since: Option<Duration>,
}

impl Watch {
    #[allow(clippy::disallowed_methods, reason = "the monitor looks at itself, not at packets: wall time")]
    fn new(caps: Caps, files: Option<Arc<DiskStatus>>) -> Self {
        Self {
            began: Instant::now(),
            caps,
            files,
            process: ProcessWatch::new(),
            history: History::default(),
            book: Book::default(),
            flow: Flow::default(),
            peaks: Peaks::default(),
            unhealthy_since: None,
        }
    }

    fn look(&mut self, board: &Board, settings: &AlertSettings) -> View {
        let now = self.began.elapsed();
        let files = self.files.as_ref().map(|files| files.figures());
        let mut sample = Sample::new(now, wall(), board.snapshot(), files);
        sample.process = self.process.read(now);
        self.peaks.note(&sample);
        sample.peaks = self.peaks;
        self.history.push(now, sample.totals());
        sample.recent = self.history.within(Duration::from_secs(60));
        let standing = self.flow.look(now, sample.snapshot.gauges.batches);
        let health = health::check(&sample, &self.caps, settings, &self.book, standing);
        self.unhealthy_since = if health.is_good() { None } else { self.unhealthy_since.or(Some(now)) };
        let facts = Facts {
            now,
            sample: &sample,
            history: &self.history,
            caps: &self.caps,
            unhealthy_for: self.unhealthy_since.map(|since| now.saturating_sub(since)),
        };
        let readings = alerts::sniffer::read(&facts, settings);
        let changes = self.book.enter(now, &sample.taken.rfc3339(), readings);
        changes.iter().for_each(tell);
        View { sample, caps: self.caps.clone(), health, alerts: self.book.all() }
    }
}

/// A line in the log for each alert that fires or clears. The journal has no word for the level in its lines: who counts
/// errors there looks for `error: `.
fn tell(change: &Change) {
    match change {
        Change::Fired(alert) if alert.level == Level::Critical => {
            tracing::error!(
                alert = alert.name,
                id = alert.id,
                component = alert.component,
                level = "critical",
                "alert fired: error: {}",
                alert.message
            );
        }
        Change::Fired(alert) => {
            tracing::warn!(
                alert = alert.name,
                id = alert.id,
                component = alert.component,
                level = "warning",
                "alert fired: {}",
                alert.message
            );
        }
        Change::Cleared(alert) => {
            tracing::info!(alert = alert.name, id = alert.id, since = alert.timestamp, "alert cleared");
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "when something was looked at is told to people in wall time")]
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since)
}
