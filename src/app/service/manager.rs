//! The service manager: readiness, status and watchdog (sd_notify(3)).

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// How often a status is told.
const STATUS: Duration = Duration::from_secs(5);

/// What is told to whoever started this as a service; without such, nothing.
pub(super) struct Manager {
    is_there: bool,
    watchdog: Option<Duration>,
    beat: Option<Instant>,
    told: Option<Instant>,
}

impl Manager {
    pub(super) fn of_environment() -> Self {
        Self::new(std::env::var_os("NOTIFY_SOCKET").is_some(), sd_notify::watchdog_enabled())
    }

    const fn new(is_there: bool, watchdog: Option<Duration>) -> Self {
        Self { is_there, watchdog, beat: None, told: None }
    }

    pub(super) fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub(super) fn reloading(&self) {
        // The time tells this reload from one that was asked for before (Type=notify-reload).
        if let Ok(time) = NotifyState::monotonic_usec_now() {
            self.tell(&[NotifyState::Reloading, time]);
        }
    }

    pub(super) fn stopping(&self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("finishing open calls and files")]);
    }

    /// Says that the run lives.
    pub(super) fn beat(&mut self, now: Instant) {
        if self.is_due(now) {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    /// Twice in the time that the manager grants.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self
            .watchdog
            .is_some_and(|watchdog| self.beat.is_none_or(|beat| now.duration_since(beat) >= watchdog / 2));
        if due {
            self.beat = Some(now);
        }
        due
    }

    pub(super) fn status(&mut self, now: Instant, status: impl FnOnce() -> String) {
        if self.is_there && self.told.is_none_or(|told| now.duration_since(told) >= STATUS) {
            self.told = Some(now);
            self.tell(&[NotifyState::Status(&status())]);
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if self.is_there
            && let Err(error) = sd_notify::notify(states)
        {
            tracing::warn!("the service manager was not reached: error: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::service::now;

    #[test]
    fn the_watchdog_is_told_twice_in_its_time() {
        let start = now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut manager = Manager::new(true, Some(Duration::from_secs(2)));
        let due: Vec<u64> =
            (0..40).map(|it| it * 100).filter(|millis| manager.is_due(after(*millis))).collect();
        assert_eq!(due, [0, 1000, 2000, 3000]);
        assert!(!Manager::new(true, None).is_due(start));
    }
}
