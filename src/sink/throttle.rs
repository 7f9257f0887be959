//! A disk that says no says so often: its first word is told, then a sum every minute, and when it is over.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::time::Timestamp;

/// How often a failure that lasts is told.
const AGAIN: Duration = Duration::from_secs(60);

/// How long nothing must fail before it is over.
const CALM: Duration = Duration::from_secs(5);

/// The process reaches the directories that it began with, and none that took their places.
static IS_CONFINED: AtomicBool = AtomicBool::new(false);

/// From now on the process is held to the directories that are there (Landlock, which knows them by what they are and not by
/// their names): what the system says of others needs words.
pub fn confined() {
    IS_CONFINED.store(true, Ordering::Relaxed);
}

/// What that may mean, where the system's own word does not say it.
fn meaning(error: &io::Error, is_confined: bool) -> Option<&'static str> {
    (is_confined && error.kind() == ErrorKind::PermissionDenied).then_some(
        "; a directory that was removed, or replaced, since the start is out of reach under isolation: restart, or run with \
         --isolation off",
    )
}

/// Failures of one kind, as far as they are told.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// Since the last line.
    untold: u64,
    /// In this trouble.
    total: u64,
    /// What it means was told.
    is_explained: bool,
    told: Timestamp,
    last: Timestamp,
}

impl Throttle {
    /// A failure at `now`: `what` was tried (`write capture file a.pcap`).
    pub(super) fn failed(&mut self, now: Timestamp, what: &str, error: &io::Error) {
        let meaning = meaning(error, IS_CONFINED.load(Ordering::Relaxed));
        // Often something else fails first: a file that is gone with its directory is not renamed.
        let is_news = self.total == 0 || meaning.is_some() && !self.is_explained;
        let words = meaning.unwrap_or_default();
        self.total += 1;
        self.last = now;
        if is_news {
            tracing::error!(
                "cannot {what}: {error}{words}; further errors are counted and told once a minute"
            );
        } else if now.since(self.told) >= AGAIN {
            let untold = self.untold + 1;
            tracing::error!("cannot {what}: {error}{words}; {untold} errors since this was last told");
        } else {
            self.untold += 1;
            return;
        }
        self.is_explained |= meaning.is_some();
        self.untold = 0;
        self.told = now;
    }

    /// Something worked at `now`; `what` goes on (`capture files are written`).
    #[inline]
    pub(super) fn worked(&mut self, now: Timestamp, what: &str) {
        if self.total > 0 && now.since(self.last) >= CALM {
            tracing::info!("{what} again, after {} errors", self.total);
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_out_of_reach_has_its_own_words() {
        let [denied, full] = [13, 28].map(io::Error::from_raw_os_error);
        assert!(
            meaning(&denied, true)
                .is_some_and(|words| words.contains("out of reach under isolation: restart"))
        );
        assert_eq!((meaning(&denied, false), meaning(&full, true)), (None, None));
    }

    #[test]
    fn the_first_word_then_once_a_minute_then_the_end() {
        let full = io::Error::from_raw_os_error(28);
        let mut throttle = Throttle::default();
        let mut told = Vec::new();
        for second in 0..150 {
            let now = Timestamp::new(second, 0);
            throttle.failed(now, "write a.pcap", &full);
            if throttle.untold == 0 {
                told.push(second);
            }
        }
        assert_eq!(told, [0, 60, 120]);
        throttle.worked(Timestamp::new(153, 0), "files are written");
        assert_eq!(throttle.total, 150, "others may still fail");
        throttle.worked(Timestamp::new(155, 0), "files are written");
        assert_eq!(throttle.total, 0);
    }
}
