//! A disk that says no says so often: its first word is told, then a sum every minute, and when it is over.

use std::io;
use std::time::Duration;

use crate::time::Timestamp;

/// How often a failure that lasts is told.
const AGAIN: Duration = Duration::from_secs(60);

/// How long nothing must fail before it is over.
const CALM: Duration = Duration::from_secs(5);

/// Failures of one kind, as far as they are told.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// Since the last line.
    untold: u64,
    /// In this trouble.
    total: u64,
    told: Timestamp,
    last: Timestamp,
}

impl Throttle {
    /// A failure at `now`: `what` was tried (`write capture file a.pcap`).
    pub(super) fn failed(&mut self, now: Timestamp, what: &str, error: &io::Error) {
        let is_first = self.total == 0;
        self.total += 1;
        self.last = now;
        if is_first {
            tracing::error!("cannot {what}: {error}; further errors are counted and told once a minute");
        } else if now.since(self.told) >= AGAIN {
            let untold = self.untold + 1;
            tracing::error!("cannot {what}: {error}; {untold} errors since this was last told");
        } else {
            self.untold += 1;
            return;
        }
        self.untold = 0;
        self.told = now;
    }

    /// Something worked at `now`; `what` goes on (`capture files are written`).
    #[inline]
    pub(super) fn worked(&mut self, now: Timestamp, what: &str) {
        if self.total > 0 && now.since(self.last) >= CALM {
            tracing::info!("{what} again, after {} errors", self.total);
            (self.total, self.untold) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
