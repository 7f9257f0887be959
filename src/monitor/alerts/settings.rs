//! Thresholds, hold-downs and windows; the operator's to set, and replaced when the configuration is reloaded.

use std::time::Duration;

/// A limit on one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Above this it fires.
    pub threshold: f64,
    /// When it has been above for so long.
    pub hold: Duration,
    /// At or below this share of the threshold it clears.
    pub clear: f64,
}

impl Limit {
    /// Whether a value is above the limit, and whether one that was above has not cleared yet.
    #[must_use]
    pub fn judge(&self, value: f64) -> (bool, bool) {
        (value > self.threshold, value > self.threshold * self.clear)
    }
}

/// Two limits on one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// Where it is a warning.
    pub warning: f64,
    /// Where it is critical.
    pub critical: f64,
    /// When it has been above for so long.
    pub hold: Duration,
    /// At or below this share of its threshold each clears.
    pub clear: f64,
}

/// Free disk space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskLimits {
    /// Below this percentage of free space it fires.
    pub percent: f64,
    /// Below so many free bytes it fires too.
    pub bytes: u64,
    /// It clears when both are above their limits by this share.
    pub clear: f64,
}

/// What every alert about the sniffer itself goes by. Percentages are 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlertSettings {
    /// `MemoryHigh`, bytes.
    pub memory_high: Limit,
    /// `MemoryCritical`, bytes.
    pub memory_critical: Limit,
    /// `StreamFailureRate`, percent of the streams that ended within the window.
    pub stream_failures: Levels,
    /// The window of it.
    pub stream_window: Duration,
    /// `WorkersSaturated`, percent of the streams that may hold bytes.
    pub workers: Levels,
    /// `QueueSaturated`, percent of the stream queue.
    pub queue: Levels,
    /// `BuffersHigh`, percent of the out-of-order segments that may be held.
    pub buffers: Levels,
    /// `SnifferUnhealthy`: a warning after the first, critical after the second.
    pub unhealthy: (Duration, Duration),
    /// `CaptureDrops`, percent of packets within the window.
    pub drops: Limit,
    /// The window of it.
    pub drops_window: Duration,
    /// `PcapWriteFailed` clears after so long without a failure.
    pub write_window: Duration,
    /// `DiskSpaceLow`.
    pub disk: DiskLimits,
}

const SECOND: Duration = Duration::from_secs(1);
const TENTH: f64 = 0.9;

impl Default for AlertSettings {
    fn default() -> Self {
        let memory = |threshold| Limit { threshold, hold: 10 * SECOND, clear: TENTH };
        let levels =
            |warning, critical, seconds| Levels { warning, critical, hold: seconds * SECOND, clear: TENTH };
        Self {
            memory_high: memory(500e6),
            memory_critical: memory(1e9),
            stream_failures: levels(5.0, 15.0, 0),
            stream_window: 300 * SECOND,
            workers: levels(80.0, 95.0, 60),
            queue: levels(70.0, 90.0, 10),
            buffers: levels(80.0, 95.0, 10),
            unhealthy: (120 * SECOND, 300 * SECOND),
            drops: Limit { threshold: 0.1, hold: Duration::ZERO, clear: TENTH },
            drops_window: 60 * SECOND,
            write_window: 60 * SECOND,
            disk: DiskLimits { percent: 10.0, bytes: 1 << 30, clear: TENTH },
        }
    }
}
