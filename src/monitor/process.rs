//! What the process itself uses: memory, processor time, descriptors.

use std::time::Duration;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// What the process uses at present, and what it used at most and on average since the monitor began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessFigures {
    /// Process number.
    pub pid: u32,
    /// Resident memory, bytes; the kernel's capture ring is in it.
    pub resident_bytes: u64,
    /// Resident memory that is the process's own (anonymous), bytes.
    pub own_bytes: u64,
    /// Virtual memory, bytes.
    pub virtual_bytes: u64,
    /// Processor time used, user and system.
    pub cpu: Duration,
    /// Share of one processor used in the last second; 1 is all of it.
    pub cpu_ratio: f64,
    /// Open descriptors.
    pub open_fds: u64,
    /// How many may be open.
    pub max_fds: u64,
    /// Threads.
    pub threads: u64,
    /// When it started, Unix seconds.
    pub start_time: u64,
    /// The most resident memory that was seen.
    pub peak_resident_bytes: u64,
    /// Mean of the resident memory.
    pub avg_resident_bytes: u64,
    /// The most processor use of a second.
    pub peak_cpu_ratio: f64,
    /// Mean of the processor use.
    pub avg_cpu_ratio: f64,
}

/// Reads them.
#[derive(Debug)]
pub(super) struct ProcessWatch {
    system: System,
    pid: Pid,
    last: Option<(Duration, Duration)>,
    figures: ProcessFigures,
    /// Sums over the readings so far.
    readings: u64,
    resident_sum: u128,
    cpu_sum: f64,
}

impl ProcessWatch {
    pub(super) fn new() -> Self {
        let pid = std::process::id();
        Self {
            system: System::new(),
            pid: Pid::from_u32(pid),
            last: None,
            figures: ProcessFigures { pid, ..ProcessFigures::default() },
            readings: 0,
            resident_sum: 0,
            cpu_sum: 0.0,
        }
    }

    /// Reads them at `now`, the time since the monitor began. What cannot be read keeps its last value.
    pub(super) fn read(&mut self, now: Duration) -> ProcessFigures {
        let what = ProcessRefreshKind::nothing().with_memory().with_cpu();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&[self.pid]), false, what);
        let figures = &mut self.figures;
        if let Some(process) = self.system.process(self.pid) {
            figures.resident_bytes = process.memory();
            figures.virtual_bytes = process.virtual_memory();
            figures.cpu = Duration::from_millis(process.accumulated_cpu_time());
            figures.start_time = process.start_time();
            figures.open_fds = process.open_files().map_or(figures.open_fds, |count| count as u64);
            figures.max_fds = process.open_files_limit().map_or(figures.max_fds, |count| count as u64);
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        figures.own_bytes = kibibytes(&status, "RssAnon:").map_or(figures.resident_bytes, |kib| kib << 10);
        figures.threads = number(&status, "Threads:").unwrap_or(figures.threads);
        self.sum_up(now);
        self.figures.clone()
    }

    fn sum_up(&mut self, now: Duration) {
        let figures = &mut self.figures;
        if let Some((then, used)) = self.last.replace((now, figures.cpu)) {
            let gone = now.saturating_sub(then).as_secs_f64();
            if gone > 0.0 {
                figures.cpu_ratio = figures.cpu.saturating_sub(used).as_secs_f64() / gone;
                self.cpu_sum += figures.cpu_ratio;
                self.readings += 1;
                figures.peak_cpu_ratio = figures.peak_cpu_ratio.max(figures.cpu_ratio);
                figures.avg_cpu_ratio = self.cpu_sum / self.readings as f64;
            }
        }
        self.resident_sum += u128::from(figures.resident_bytes);
        figures.peak_resident_bytes = figures.peak_resident_bytes.max(figures.resident_bytes);
        let count = u128::from(self.readings) + 1;
        figures.avg_resident_bytes = u64::try_from(self.resident_sum / count).unwrap_or(u64::MAX);
    }
}

/// The value of a line of `/proc/self/status`.
fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    number(status, name).map(|kib| kib.min(u64::MAX >> 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_this_process() {
        let mut watch = ProcessWatch::new();
        watch.read(Duration::ZERO);
        let held = vec![1u8; 64 << 20];
        let figures = watch.read(Duration::from_secs(1));
        assert!(held.iter().all(|byte| *byte == 1));
        assert_eq!(figures.pid, std::process::id());
        assert!(figures.resident_bytes >= 64 << 20, "{figures:?}");
        assert!(figures.own_bytes >= 64 << 20 && figures.own_bytes <= figures.resident_bytes, "{figures:?}");
        assert!(figures.peak_resident_bytes >= figures.avg_resident_bytes, "{figures:?}");
        assert!(figures.open_fds >= 3 && figures.max_fds > figures.open_fds, "{figures:?}");
        assert!(figures.threads >= 1 && figures.start_time > 1_600_000_000, "{figures:?}");
    }

    #[test]
    fn lines_of_the_status_file_are_read() {
        let status = "Name:\tlippycat\nVmRSS:\t  123 kB\nRssAnon:\t   45 kB\nThreads:\t7\n";
        assert_eq!(kibibytes(status, "RssAnon:"), Some(45));
        assert_eq!(number(status, "Threads:"), Some(7));
        assert_eq!(number(status, "Absent:"), None);
    }
}
