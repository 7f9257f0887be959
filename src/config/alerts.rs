//! The keys of `alerts`: thresholds, hold-downs and windows of the alerts about the sniffer itself.

use std::time::Duration;

use bytesize::ByteSize;

use super::settings::{Origin, Setting, Visitor};
use super::units::{self, Percent};
use crate::monitor::alerts::{AlertSettings, DiskLimits, Levels, Limit};

/// The `alerts` section.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the keys are described once, in lippycat.yaml.example")]
pub struct Alerts {
    pub memory_high: One<ByteSize>,
    pub memory_critical: One<ByteSize>,
    pub stream_failure_rate: Two,
    pub stream_failure_window: Setting<Duration>,
    pub workers_saturated: Two,
    pub queue_saturated: Two,
    pub buffers_high: Two,
    pub unhealthy_warning: Setting<Duration>,
    pub unhealthy_critical: Setting<Duration>,
    pub capture_drops: One<Percent>,
    pub capture_drops_window: Setting<Duration>,
    pub write_failed_window: Setting<Duration>,
    pub disk_percent: Setting<Percent>,
    pub disk_bytes: Setting<ByteSize>,
    pub disk_clear: Setting<Percent>,
}

/// One limit.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the keys are described once, in lippycat.yaml.example")]
pub struct One<T> {
    pub threshold: Setting<T>,
    pub hold: Setting<Duration>,
    pub clear: Setting<Percent>,
}

/// A warning and a critical limit.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the keys are described once, in lippycat.yaml.example")]
pub struct Two {
    pub warning: Setting<Percent>,
    pub critical: Setting<Percent>,
    pub hold: Setting<Duration>,
    pub clear: Setting<Percent>,
}

/// Shows a group of keys to a visitor: `visit!(visitor, slot: "key" parse, …)`.
macro_rules! visit {
    ($visitor:ident, $($slot:expr => $key:literal $parse:expr),* $(,)?) => {
        $($visitor.setting($key, $parse, &mut $slot);)*
    };
}

impl Alerts {
    pub(super) fn visit(&mut self, visitor: &mut impl Visitor) {
        visit!(visitor,
            self.memory_high.threshold => "alerts.MemoryHigh.threshold" units::memory,
            self.memory_high.hold => "alerts.MemoryHigh.for" units::hold,
            self.memory_high.clear => "alerts.MemoryHigh.clear" units::percent,
            self.memory_critical.threshold => "alerts.MemoryCritical.threshold" units::memory,
            self.memory_critical.hold => "alerts.MemoryCritical.for" units::hold,
            self.memory_critical.clear => "alerts.MemoryCritical.clear" units::percent,
            self.stream_failure_rate.warning => "alerts.StreamFailureRate.warning" units::percent,
            self.stream_failure_rate.critical => "alerts.StreamFailureRate.critical" units::percent,
            self.stream_failure_rate.hold => "alerts.StreamFailureRate.for" units::hold,
            self.stream_failure_rate.clear => "alerts.StreamFailureRate.clear" units::percent,
            self.stream_failure_window => "alerts.StreamFailureRate.window" units::window,
            self.workers_saturated.warning => "alerts.WorkersSaturated.warning" units::percent,
            self.workers_saturated.critical => "alerts.WorkersSaturated.critical" units::percent,
            self.workers_saturated.hold => "alerts.WorkersSaturated.for" units::hold,
            self.workers_saturated.clear => "alerts.WorkersSaturated.clear" units::percent,
            self.queue_saturated.warning => "alerts.QueueSaturated.warning" units::percent,
            self.queue_saturated.critical => "alerts.QueueSaturated.critical" units::percent,
            self.queue_saturated.hold => "alerts.QueueSaturated.for" units::hold,
            self.queue_saturated.clear => "alerts.QueueSaturated.clear" units::percent,
            self.buffers_high.warning => "alerts.BuffersHigh.warning" units::percent,
            self.buffers_high.critical => "alerts.BuffersHigh.critical" units::percent,
            self.buffers_high.hold => "alerts.BuffersHigh.for" units::hold,
            self.buffers_high.clear => "alerts.BuffersHigh.clear" units::percent,
            self.unhealthy_warning => "alerts.SnifferUnhealthy.warning" units::duration,
            self.unhealthy_critical => "alerts.SnifferUnhealthy.critical" units::duration,
            self.capture_drops.threshold => "alerts.CaptureDrops.threshold" units::percent,
            self.capture_drops.hold => "alerts.CaptureDrops.for" units::hold,
            self.capture_drops.clear => "alerts.CaptureDrops.clear" units::percent,
            self.capture_drops_window => "alerts.CaptureDrops.window" units::window,
            self.write_failed_window => "alerts.PcapWriteFailed.window" units::window,
            self.disk_percent => "alerts.DiskSpaceLow.percent" units::percent,
            self.disk_bytes => "alerts.DiskSpaceLow.bytes" units::space,
            self.disk_clear => "alerts.DiskSpaceLow.clear" units::percent,
        );
    }

    /// Settles what nobody set.
    pub(super) fn resolve(&mut self) -> AlertSettings {
        let otherwise = AlertSettings::default();
        AlertSettings {
            memory_high: self.memory_high.bytes(otherwise.memory_high),
            memory_critical: self.memory_critical.bytes(otherwise.memory_critical),
            stream_failures: self.stream_failure_rate.resolve(otherwise.stream_failures),
            stream_window: settle(&mut self.stream_failure_window, otherwise.stream_window),
            workers: self.workers_saturated.resolve(otherwise.workers),
            queue: self.queue_saturated.resolve(otherwise.queue),
            buffers: self.buffers_high.resolve(otherwise.buffers),
            unhealthy: (
                settle(&mut self.unhealthy_warning, otherwise.unhealthy.0),
                settle(&mut self.unhealthy_critical, otherwise.unhealthy.1),
            ),
            drops: self.capture_drops.percent(otherwise.drops),
            drops_window: settle(&mut self.capture_drops_window, otherwise.drops_window),
            write_window: settle(&mut self.write_failed_window, otherwise.write_window),
            disk: DiskLimits {
                percent: settle(&mut self.disk_percent, Percent(otherwise.disk.percent)).0,
                bytes: settle(&mut self.disk_bytes, ByteSize::b(otherwise.disk.bytes)).as_u64(),
                clear: share(&mut self.disk_clear, otherwise.disk.clear),
            },
        }
    }
}

impl One<ByteSize> {
    fn bytes(&mut self, otherwise: Limit) -> Limit {
        Limit {
            threshold: settle(&mut self.threshold, ByteSize::b(otherwise.threshold as u64)).as_u64() as f64,
            hold: settle(&mut self.hold, otherwise.hold),
            clear: share(&mut self.clear, otherwise.clear),
        }
    }
}

impl One<Percent> {
    fn percent(&mut self, otherwise: Limit) -> Limit {
        Limit {
            threshold: settle(&mut self.threshold, Percent(otherwise.threshold)).0,
            hold: settle(&mut self.hold, otherwise.hold),
            clear: share(&mut self.clear, otherwise.clear),
        }
    }
}

impl Two {
    fn resolve(&mut self, otherwise: Levels) -> Levels {
        Levels {
            warning: settle(&mut self.warning, Percent(otherwise.warning)).0,
            critical: settle(&mut self.critical, Percent(otherwise.critical)).0,
            hold: settle(&mut self.hold, otherwise.hold),
            clear: share(&mut self.clear, otherwise.clear),
        }
    }
}

fn settle<T: Clone>(slot: &mut Setting<T>, otherwise: T) -> T {
    slot.settle(otherwise, Origin::Default)
}

/// A percentage as a share of one.
fn share(slot: &mut Setting<Percent>, otherwise: f64) -> f64 {
    settle(slot, Percent(otherwise * 100.0)).0 / 100.0
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{self, Run, Settings};
    use crate::monitor::alerts::AlertSettings;

    fn resolved(text: &str) -> AlertSettings {
        let mut settings = Settings::default();
        assert_eq!(config::apply(text, Path::new("f"), &mut settings), []);
        config::resolve(&mut settings, Run::default(), 2).alerts
    }

    #[test]
    fn what_nobody_set_is_as_the_rules_have_it() {
        assert_eq!(resolved(""), AlertSettings::default());
    }

    #[test]
    fn thresholds_reach_their_rules() {
        let text = "alerts:\n  MemoryHigh: {threshold: 200MB, for: 0s, clear: 50%}\n  StreamFailureRate: {warning: 2.5, critical: 7%, window: 1m}\n  DiskSpaceLow: {percent: 3%, bytes: 0}\n  SnifferUnhealthy:\n";
        let alerts = resolved(text);
        assert_eq!(alerts.memory_high.threshold, 200e6);
        assert_eq!((alerts.memory_high.hold.as_secs(), alerts.memory_high.clear), (0, 0.5));
        assert_eq!((alerts.stream_failures.warning, alerts.stream_failures.critical), (2.5, 7.0));
        assert_eq!(alerts.stream_window.as_secs(), 60);
        assert_eq!((alerts.disk.percent, alerts.disk.bytes), (3.0, 0));
        assert_eq!(alerts.memory_critical, AlertSettings::default().memory_critical);
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_told_with_its_place() {
        let told = |text: &str| {
            let found = config::apply(text, Path::new("f"), &mut Settings::default());
            found.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let rows = [
            (
                "alerts: {MemoryHigh: 5}",
                "f:1:22: alerts.MemoryHigh: want keys below it, such as alerts.MemoryHigh.threshold",
            ),
            (
                "alerts: {MemoryHigh: {treshold: 1GB}}",
                "f:1:23: alerts.MemoryHigh.treshold: unknown key (did you mean alerts.MemoryHigh.threshold?)",
            ),
            (
                "alerts: {CaptureDrops: {threshold: 101%}}",
                "f:1:36: alerts.CaptureDrops.threshold: '101%': want a percentage from 0% to 100%",
            ),
            (
                "alerts: {CaptureDrops: {threshold: nan}}",
                "f:1:36: alerts.CaptureDrops.threshold: 'nan': want a percentage from 0% to 100%",
            ),
            (
                "alerts: {CaptureDrops: {window: 1h}}",
                "f:1:33: alerts.CaptureDrops.window: '1h': want 1s to 5m",
            ),
            (
                "alerts: {MemoryHigh: {for: 1s, for: 2s}}",
                "f:1:32: alerts.MemoryHigh.for: given twice, first on line 1",
            ),
        ];
        for (text, wrong) in rows {
            assert_eq!(told(text), [wrong], "{text}");
        }
    }
}
