//! Every key there is, what it was set to, and by whom.
//!
//! One list of names ([`Settings::visit`]) serves the file, the environment, `config show` and the tests.
//! Layers are laid over each other in the order file, environment, flags; [`super::resolve`] then settles what is
//! still open by mode or default.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;

use super::alerts::Alerts;
use super::modes::PerformanceMode;
use super::networks::{self, Carriers, Targets};
use super::template::name_template;
use super::units::{self, Names, Parse, PortRanges, Value, name_of};
use crate::sink::NameTemplate;

/// Who set a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody: it has its default.
    #[default]
    Default,
    /// The performance mode.
    Mode,
    /// The configuration file, where the value stands.
    File {
        /// Line number, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
    },
    /// The environment variable of the key.
    Env,
    /// An environment variable of another name.
    Variable(&'static str),
    /// A flag on the command line.
    Flag,
}

/// One key: its value, if it has one, and who set it.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting<T> {
    value: Option<T>,
    origin: Origin,
}

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Self { value: None, origin: Origin::Default }
    }
}

impl<T: Clone> Setting<T> {
    /// Sets the value, over whatever was there.
    pub fn set(&mut self, value: T, origin: Origin) {
        *self = Self { value: Some(value), origin };
    }

    /// Sets the value when the flag was given.
    pub fn flag(&mut self, value: Option<T>) {
        if let Some(value) = value {
            self.set(value, Origin::Flag);
        }
    }

    /// The value; `otherwise` becomes it when nobody set one.
    pub fn settle(&mut self, otherwise: T, origin: Origin) -> T {
        if self.value.is_none() {
            self.set(otherwise.clone(), origin);
        }
        self.value.clone().unwrap_or(otherwise)
    }

    /// The value, for keys that may have none.
    #[must_use]
    pub fn get(&self) -> Option<T> {
        self.value.clone()
    }

    /// Who set it.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }
}

/// Looks at each key in turn.
pub trait Visitor {
    /// `key` is the dotted name, `parse` makes its value from text.
    fn setting<T: Value>(&mut self, key: &'static str, parse: Parse<T>, slot: &mut Setting<T>);
}

/// All keys, by section.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// `interfaces`: what is captured on, and how.
    pub interfaces: Interfaces,
    /// `voip`: streams and calls.
    pub voip: Voip,
    /// `pcap`: one capture file per call.
    pub pcap: Pcap,
    /// `records.file`: one JSON line per call.
    pub records_file: Setting<PathBuf>,
    /// `events`: the event log.
    pub events: Events,
    /// `carriers`: names for networks and domains.
    pub carriers: Setting<Carriers>,
    /// `targets`: names for our own networks.
    pub targets: Setting<Targets>,
    /// `privacy`: what of a call may be told.
    pub privacy: Privacy,
    /// `alerts`: when the sniffer speaks up about itself.
    pub alerts: Alerts,
    /// `metrics`: the endpoint for monitoring systems.
    pub metrics: Metrics,
    /// `control`: the socket that `debug` asks.
    pub control: Control,
    /// `log.level`.
    pub log_level: Setting<LogLevel>,
    /// `log.format`.
    pub log_format: Setting<LogFormat>,
    /// `log.file`: a file that has the lines too.
    pub log_file: Setting<PathBuf>,
}

/// The `interfaces` section.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the keys are described once, in lippycat.yaml.example")]
pub struct Interfaces {
    pub names: Setting<Names>,
    pub promiscuous: Setting<bool>,
    pub snaplen: Setting<usize>,
    pub buffer_size: Setting<ByteSize>,
    pub ports_only: Setting<bool>,
    pub sip_ports: Setting<PortRanges>,
    pub rtp_ports: Setting<PortRanges>,
}

/// The `voip` section.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the keys are described once, in lippycat.yaml.example")]
pub struct Voip {
    pub tcp_performance_mode: Setting<PerformanceMode>,
    pub max_goroutines: Setting<usize>,
    pub max_tcp_buffers: Setting<usize>,
    pub tcp_memory_limit: Setting<ByteSize>,
    pub stream_queue_buffer: Setting<usize>,
    pub tcp_stream_max_queue_time: Setting<Duration>,
    pub enable_backpressure: Setting<bool>,
    pub tcp_stream_timeout: Setting<Duration>,
    pub tcp_buffer_max_age: Setting<Duration>,
    pub tcp_batch_size: Setting<usize>,
    pub workers: Setting<usize>,
    pub call_expiration_time: Setting<Duration>,
    pub leg_headers: Setting<Names>,
    pub max_filename_length: Setting<usize>,
    pub tcp_io_threads: Setting<usize>,
}

/// The `pcap` section.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the keys are described once, in lippycat.yaml.example")]
pub struct Pcap {
    pub write: Setting<bool>,
    pub directory: Setting<PathBuf>,
    pub format: Setting<PcapFormat>,
    pub name: Setting<NameTemplate>,
    pub rtp: Setting<bool>,
    pub registrations: Setting<bool>,
    pub options: Setting<bool>,
    pub max_age: Setting<Duration>,
    pub max_total_size: Setting<ByteSize>,
    pub min_free: Setting<ByteSize>,
}

/// The `events` section.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the keys are described once, in lippycat.yaml.example")]
pub struct Events {
    pub file: Setting<PathBuf>,
    pub trace_header: Setting<String>,
    pub headers: Setting<Names>,
}

/// The `privacy` section.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the keys are described once, in lippycat.yaml.example")]
pub struct Privacy {
    pub numbers: Setting<Numbers>,
    pub dtmf: Setting<Dtmf>,
}

/// The `metrics` section.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the keys are described once, in lippycat.yaml.example")]
pub struct Metrics {
    pub listen: Setting<SocketAddr>,
    pub token_file: Setting<PathBuf>,
}

/// The `control` section.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the keys are described once, in lippycat.yaml.example")]
pub struct Control {
    pub socket: Setting<PathBuf>,
    pub group: Setting<String>,
}

impl Settings {
    /// Shows every key to `visitor`, in the order of the example file.
    pub fn visit(&mut self, visitor: &mut impl Visitor) {
        self.interfaces.visit(visitor);
        self.voip.visit(visitor);
        self.pcap.visit(visitor);
        visitor.setting("records.file", units::path, &mut self.records_file);
        visitor.setting("events.file", units::path, &mut self.events.file);
        visitor.setting("events.trace_header", units::header_name, &mut self.events.trace_header);
        visitor.setting("events.headers", units::header_names, &mut self.events.headers);
        visitor.setting("carriers", networks::carriers, &mut self.carriers);
        visitor.setting("targets", networks::targets, &mut self.targets);
        visitor.setting("privacy.numbers", units::choice, &mut self.privacy.numbers);
        visitor.setting("privacy.dtmf", units::choice, &mut self.privacy.dtmf);
        self.alerts.visit(visitor);
        visitor.setting("metrics.listen", units::address, &mut self.metrics.listen);
        visitor.setting("metrics.token_file", units::path, &mut self.metrics.token_file);
        visitor.setting("control.socket", units::path, &mut self.control.socket);
        visitor.setting("control.group", units::group, &mut self.control.group);
        visitor.setting("log.level", units::choice, &mut self.log_level);
        visitor.setting("log.format", units::choice, &mut self.log_format);
        visitor.setting("log.file", units::path, &mut self.log_file);
    }

    /// The dotted names of all keys.
    #[must_use]
    pub fn keys() -> Vec<&'static str> {
        struct Names(Vec<&'static str>);
        impl Visitor for Names {
            fn setting<T: Value>(&mut self, key: &'static str, _: Parse<T>, _: &mut Setting<T>) {
                self.0.push(key);
            }
        }
        let mut names = Names(Vec::new());
        Self::default().visit(&mut names);
        names.0
    }
}

impl Interfaces {
    fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.setting("interfaces.names", units::interfaces, &mut self.names);
        visitor.setting("interfaces.promiscuous", units::switch, &mut self.promiscuous);
        visitor.setting("interfaces.snaplen", units::snaplen, &mut self.snaplen);
        visitor.setting("interfaces.buffer_size", units::ring, &mut self.buffer_size);
        visitor.setting("interfaces.ports_only", units::switch, &mut self.ports_only);
        visitor.setting("interfaces.sip_ports", units::port_ranges, &mut self.sip_ports);
        visitor.setting("interfaces.rtp_ports", units::port_ranges, &mut self.rtp_ports);
    }
}

impl Voip {
    fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.setting("voip.tcp_performance_mode", units::choice, &mut self.tcp_performance_mode);
        visitor.setting("voip.max_goroutines", units::quantity, &mut self.max_goroutines);
        visitor.setting("voip.max_tcp_buffers", units::quantity, &mut self.max_tcp_buffers);
        visitor.setting("voip.tcp_memory_limit", units::memory, &mut self.tcp_memory_limit);
        visitor.setting("voip.stream_queue_buffer", units::queue, &mut self.stream_queue_buffer);
        visitor.setting(
            "voip.tcp_stream_max_queue_time",
            units::duration,
            &mut self.tcp_stream_max_queue_time,
        );
        visitor.setting("voip.enable_backpressure", units::switch, &mut self.enable_backpressure);
        visitor.setting("voip.tcp_stream_timeout", units::duration, &mut self.tcp_stream_timeout);
        visitor.setting("voip.tcp_buffer_max_age", units::duration, &mut self.tcp_buffer_max_age);
        visitor.setting("voip.tcp_batch_size", units::batch, &mut self.tcp_batch_size);
        visitor.setting("voip.workers", units::workers, &mut self.workers);
        visitor.setting("voip.call_expiration_time", units::duration, &mut self.call_expiration_time);
        visitor.setting("voip.leg_headers", units::header_names, &mut self.leg_headers);
        visitor.setting("voip.max_filename_length", units::file_name_length, &mut self.max_filename_length);
        visitor.setting("voip.tcp_io_threads", units::writers, &mut self.tcp_io_threads);
    }
}

impl Pcap {
    fn visit(&mut self, visitor: &mut impl Visitor) {
        visitor.setting("pcap.write", units::switch, &mut self.write);
        visitor.setting("pcap.directory", units::path, &mut self.directory);
        visitor.setting("pcap.format", units::choice, &mut self.format);
        visitor.setting("pcap.name", name_template, &mut self.name);
        visitor.setting("pcap.rtp", units::switch, &mut self.rtp);
        visitor.setting("pcap.registrations", units::switch, &mut self.registrations);
        visitor.setting("pcap.options", units::switch, &mut self.options);
        visitor.setting("pcap.max_age", units::age, &mut self.max_age);
        visitor.setting("pcap.max_total_size", units::disk, &mut self.max_total_size);
        visitor.setting("pcap.min_free", units::disk, &mut self.min_free);
    }
}

/// The format of per-call capture files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PcapFormat {
    /// Classic pcap: one link type a file.
    #[default]
    Pcap,
    /// pcapng: link types and resolutions may be mixed.
    Pcapng,
}

impl Value for PcapFormat {
    fn text(&self) -> String {
        name_of(self)
    }
}

/// How numbers and names of users are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Numbers {
    /// As they are.
    #[default]
    Full,
    /// Their beginning, the rest as asterisks.
    Masked,
}

impl Value for Numbers {
    fn text(&self) -> String {
        name_of(self)
    }
}

/// How the keys that were pressed are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Dtmf {
    /// How many.
    #[default]
    Count,
    /// Which.
    Digits,
}

impl Value for Dtmf {
    fn text(&self) -> String {
        name_of(self)
    }
}

/// The least severe messages that are still logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[allow(missing_docs, reason = "the names are those of every logger")]
pub enum LogLevel {
    Off,
    Error,
    #[value(alias = "warning")]
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl Value for LogLevel {
    fn text(&self) -> String {
        name_of(self)
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// To the journal where stderr leads there, else as text.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// To systemd's journal, with priorities.
    Journald,
}

impl Value for LogFormat {
    fn text(&self) -> String {
        name_of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_layer_wins_and_is_remembered() {
        let mut setting = Setting::default();
        setting.set(1, Origin::File { line: 3, column: 1 });
        setting.set(2, Origin::Env);
        setting.flag(None);
        assert_eq!((setting.settle(9, Origin::Mode), setting.origin()), (2, Origin::Env));
        setting.flag(Some(3));
        assert_eq!((setting.get(), setting.origin()), (Some(3), Origin::Flag));
    }

    #[test]
    fn what_nobody_set_is_settled() {
        let mut setting = Setting::default();
        assert_eq!((setting.settle(9, Origin::Mode), setting.origin()), (9, Origin::Mode));
        assert_eq!(setting.get(), Some(9));
    }

    #[test]
    fn keys_are_unique_and_at_most_three_words() {
        let keys = Settings::keys();
        let unique: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(unique.len(), keys.len());
        assert!(keys.iter().all(|key| (1..=3).contains(&key.split('.').count())));
    }
}
