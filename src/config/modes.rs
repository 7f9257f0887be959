//! Performance modes: what one word sets. Any key overrides it.

use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;

use super::units::{Value, name_of};

/// What the run is to be good at. The words are those of the operations handbook; the second names are those
/// that configuration files of other versions use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PerformanceMode {
    /// Least memory.
    #[value(alias = "minimal")]
    Memory,
    /// Least CPU time.
    #[default]
    Balanced,
    /// Least wall time on many cores.
    #[value(alias = "high_performance")]
    Throughput,
    /// Each packet at once.
    #[value(alias = "low_latency")]
    Latency,
}

impl Value for PerformanceMode {
    fn text(&self) -> String {
        name_of(self)
    }
}

/// On which threads a live run works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// All on one.
    Inline,
    /// One captures, one does the rest.
    Pair,
    /// One captures, one is for calls, and so many are for TCP and SIP.
    Workers(usize),
}

/// The settings that a mode stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeSettings {
    /// Stream workers when reading files; 0 is inline, which costs least CPU time.
    pub workers: usize,
    /// Packets taken from the capture at once.
    pub batch: usize,
    /// Streams holding bytes at once. Live capture only: a file waits, so a file run has no such cap of its own.
    pub max_goroutines: usize,
    /// Out-of-order segments held at once. Live capture only, as above.
    pub max_tcp_buffers: usize,
    /// Bytes kept of a packet. In immediate mode the ring has a place of that size for each packet, however small.
    pub snaplen: usize,
    /// Bytes of the kernel's ring, for each interface.
    pub kernel_buffer: ByteSize,
    /// How long the kernel may gather packets before it hands them over.
    pub delay: Duration,
    /// The kernel hands over each packet at once.
    pub immediate: bool,
    /// Memory for partial messages and out-of-order segments of all streams.
    pub memory_limit: ByteSize,
    /// Threads that write call files in live runs; 0: whoever follows the calls.
    pub writers: usize,
}

impl PerformanceMode {
    /// What this mode sets on a machine with `cores` processors.
    #[must_use]
    pub fn settings(self, cores: usize) -> ModeSettings {
        let (workers, batch, max_goroutines, max_tcp_buffers, mebibytes) = match self {
            Self::Memory => (0, 64, 100, 1_000, 25),
            Self::Balanced => (0, 256, 1_000, 10_000, 100),
            Self::Throughput => (cores.clamp(1, 256), 1_024, 10_000, 50_000, 500),
            Self::Latency => (0, 1, 1_000, 5_000, 100),
        };
        let (ring, milliseconds, immediate) = match self {
            Self::Memory => (4, 1, false),
            Self::Balanced => (32, 1, false),
            Self::Throughput => (256, 5, false),
            Self::Latency => (32, 1, true),
        };
        ModeSettings {
            workers,
            batch,
            max_goroutines,
            max_tcp_buffers,
            snaplen: if immediate { 65_535 } else { 262_144 },
            kernel_buffer: ByteSize::mib(ring),
            delay: Duration::from_millis(milliseconds),
            immediate,
            memory_limit: ByteSize::mib(mebibytes),
            writers: match self {
                Self::Memory => 0,
                Self::Balanced | Self::Latency => 1,
                Self::Throughput => 2,
            },
        }
    }

    /// On which threads a live run works: capturing has one of its own except where memory matters most, and
    /// beyond two cores half of the others are for TCP and SIP.
    #[must_use]
    pub fn threads(self, cores: usize) -> Threads {
        match self {
            Self::Memory => Threads::Inline,
            Self::Throughput => Threads::Workers(cores.clamp(1, 256)),
            Self::Balanced | Self::Latency => match cores.saturating_sub(2) / 2 {
                0 => Threads::Pair,
                workers => Threads::Workers(workers.min(256)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::units::choice;

    #[test]
    fn modes_have_the_names_of_both_worlds() {
        let rows = [
            ("memory", PerformanceMode::Memory),
            ("minimal", PerformanceMode::Memory),
            ("balanced", PerformanceMode::Balanced),
            ("throughput", PerformanceMode::Throughput),
            ("high_performance", PerformanceMode::Throughput),
            ("latency", PerformanceMode::Latency),
            ("low_latency", PerformanceMode::Latency),
        ];
        for (name, mode) in rows {
            assert_eq!(choice(name), Ok(mode), "{name}");
        }
        let refused = choice::<PerformanceMode>("thruput").unwrap_err();
        assert_eq!(refused, "want memory, balanced, throughput or latency (did you mean throughput?)");
    }
}
