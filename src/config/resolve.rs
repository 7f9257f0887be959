//! Settings and the options of a run become one [`Config`] of plain values.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;
use regex::bytes::Regex;

use super::modes::{ModeSettings, PerformanceMode, Threads};
use super::networks::Party;
use super::settings::{Dtmf, LogFormat, LogLevel, Numbers, Origin, PcapFormat, Setting, Settings};
use super::units::{Names, PortRange, PortRanges};
use crate::capture::live::Ports;
use crate::monitor::alerts::AlertSettings;
use crate::privacy::Privacy;
use crate::sink::NameTemplate;

/// All that a run needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// What only a command line says: input, selection, output.
    pub run: Run,
    /// Interfaces.
    pub live: Live,
    /// TCP streams.
    pub streams: Streams,
    /// Per-call capture files.
    pub pcap: Pcap,
    /// Where call records go, one JSON line each; `-` is stdout.
    pub records: Option<PathBuf>,
    /// Of a run over captures: they go behind what is there, for others may write there, too.
    pub records_go_on: bool,
    /// The event log, if there is to be one.
    pub events: Option<Events>,
    /// Names for networks and domains; the first that fits.
    pub carriers: Vec<Party>,
    /// Names for our own networks; the first that fits.
    pub targets: Vec<Party>,
    /// What of a call may be told.
    pub privacy: Privacy,
    /// Threads that write call files in live runs; 0: whoever follows the calls.
    pub writers: usize,
    /// A call ends after this long without signalling or media.
    pub call_expiration: Duration,
    /// Header fields besides X-Call-ID and X-CID that name the other legs of a session.
    pub leg_headers: Vec<String>,
    /// Stream workers; 0 is inline.
    pub workers: usize,
    /// Packets taken from the capture at once.
    pub batch: usize,
    /// The performance mode that all this came from.
    pub mode: PerformanceMode,
    /// When the sniffer speaks up about itself.
    pub alerts: AlertSettings,
    /// The endpoint for monitoring systems.
    pub metrics: Metrics,
    /// The socket that `debug` asks.
    pub control: Control,
    /// What is logged, and how.
    pub log: Log,
}

/// What is captured on, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The interfaces.
    pub interfaces: Vec<String>,
    /// Frames for other stations too.
    pub promiscuous: bool,
    /// Bytes kept of a packet.
    pub snaplen: usize,
    /// Bytes of the kernel's ring, for each interface.
    pub buffer: ByteSize,
    /// What the kernel lets through, when it is narrowed to ports.
    pub ports: Option<Ports>,
    /// How long the kernel may gather packets.
    pub delay: Duration,
    /// The kernel hands over each packet at once.
    pub immediate: bool,
    /// The threads.
    pub threads: Threads,
}

/// The endpoint for monitoring systems.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Where it listens.
    pub listen: Option<SocketAddr>,
    /// The flag says so, not only the configuration.
    pub is_flag: bool,
    /// Where the token is that requests must carry.
    pub token_file: Option<PathBuf>,
}

/// The socket that `debug` asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Where it is, if not at its usual place.
    pub socket: Option<PathBuf>,
    /// A flag asks for one, not only the configuration.
    pub is_flag: bool,
    /// Who may use it besides the owner.
    pub group: Option<String>,
    /// Name of this instance, when there are several.
    pub instance: Option<String>,
}

impl Config {
    /// Where this run listens: what goes there is no traffic to look at.
    #[must_use]
    pub fn own_ports(&self) -> Vec<SocketAddr> {
        self.metrics.listen.into_iter().collect()
    }
}

/// Options of one run, which no file sets.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Capture files, directories, globs, `-` for stdin.
    pub inputs: Vec<PathBuf>,
    /// Packets come from interfaces, not from `inputs`.
    pub live: bool,
    /// A directory of rotating captures.
    pub follow: Option<PathBuf>,
    /// The configuration file that was read.
    pub file: Option<PathBuf>,
    /// Become this user, `USER[:GROUP]`, before outputs and captures are opened.
    pub user: Option<String>,
    /// What is given up then.
    pub isolation: Isolation,
    /// BPF filter, not yet compiled: that takes a link type.
    pub filter: Option<String>,
    /// Which calls are kept.
    pub selection: Selection,
    /// Put before the name of each per-call file; may hold directories.
    pub pcap_prefix: String,
    /// How call events are printed.
    pub format: EventFormat,
    /// How the summary is printed.
    pub summary: SummaryFormat,
    /// When output is coloured.
    pub color: Color,
    /// Name of this instance, when there are several.
    pub instance: Option<String>,
    /// No progress, no text summary, only errors logged.
    pub quiet: bool,
    /// Stop after this many packets.
    pub count: Option<u64>,
    /// Stop after this much packet time.
    pub duration: Option<Duration>,
}

/// Which calls are kept. A call is kept when each kind of condition that is given holds for any of its messages;
/// without conditions, always.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// User part of From, To, P-Asserted-Identity or request URI is one of these; `*` stands for any text.
    pub users: Vec<String>,
    /// User part of From is one of these, as above.
    pub from: Vec<String>,
    /// User part of To is one of these, as above.
    pub to: Vec<String>,
    /// Method of some request is one of these, in capital letters.
    pub methods: Vec<String>,
    /// Some message matches.
    pub pattern: Option<Regex>,
    /// Keep the calls that would not be kept.
    pub invert: bool,
}

impl Selection {
    /// Whether every call is kept.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        let lists = [&self.users, &self.from, &self.to, &self.methods];
        lists.iter().all(|list| list.is_empty()) && self.pattern.is_none() && !self.invert
    }
}

/// Caps and time-outs of TCP streams; those in [`super::limits`] come on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Streams holding bytes at once; none: no cap.
    pub max_holding: Option<usize>,
    /// Out-of-order segments held at once; none: no cap.
    pub max_buffers: Option<usize>,
    /// Memory for partial messages and out-of-order segments.
    pub memory_limit: ByteSize,
    /// Streams that may wait to become holders.
    pub queue: usize,
    /// How long they may wait.
    pub max_queue_time: Duration,
    /// Beyond the cap the least recently active holder yields, instead of the newcomer.
    pub backpressure: bool,
    /// A connection is forgotten after this long without a segment.
    pub timeout: Duration,
    /// A partial message is dropped after this long without its rest.
    pub buffer_max_age: Duration,
}

/// Per-call capture files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcap {
    /// Whether they are written.
    pub write: bool,
    /// Where.
    pub directory: PathBuf,
    /// In which format.
    pub format: PcapFormat,
    /// Under which names, without extension.
    pub name: NameTemplate,
    /// Longest name in bytes, extension included.
    pub max_name_length: usize,
    /// With RTP and RTCP.
    pub rtp: bool,
    /// Registrations get a file too.
    pub registrations: bool,
    /// OPTIONS dialogs get a file too.
    pub options: bool,
    /// A file is deleted that long after its call ended.
    pub max_age: Option<Duration>,
    /// Bytes of all files together; beyond, the oldest go.
    pub max_total_size: Option<ByteSize>,
    /// Bytes that are to stay free in the file system; below, the oldest files go.
    pub min_free: Option<ByteSize>,
}

/// The event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// Where; `-` is stdout.
    pub file: PathBuf,
    /// As of records.
    pub goes_on: bool,
    /// The header field whose value is the trace id.
    pub trace_header: String,
    /// Header fields whose values are copied.
    pub headers: Vec<String>,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Down to this level.
    pub level: LogLevel,
    /// In this format.
    pub format: LogFormat,
    /// Into this file, too.
    pub file: Option<PathBuf>,
}

/// What a run gives up before outputs and captures are opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Isolation {
    /// Everything, or no start.
    Strict,
    /// What is not needed, as far as the kernel can.
    Default,
    /// Nothing: what commands do that read captures and end.
    #[default]
    Off,
}

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&super::units::name_of(self))
    }
}

/// How call events are printed on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EventFormat {
    /// One aligned line each.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// Not at all.
    None,
}

/// How the summary is printed at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object on stdout.
    Json,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Settles what nobody set, by mode and default, and takes it all together. `settings` then says of every key what
/// it is and where it came from. `cores` is the number of processors.
pub fn resolve(settings: &mut Settings, run: Run, cores: usize) -> Config {
    let mode = settings.voip.tcp_performance_mode.settle(PerformanceMode::default(), Origin::Default);
    let of_mode = mode.settings(cores);
    let live = live(settings, mode, cores, run.live);
    let workers = match live.threads {
        Threads::Workers(workers) if run.live => workers,
        _ if run.live => 0,
        _ => of_mode.workers,
    };
    let (metrics, control) = (metrics(settings), control(settings, &run));
    let level = settings.log_level.settle(LogLevel::default(), Origin::Default);
    Config {
        streams: streams(settings, of_mode, run.live),
        live,
        pcap: pcap(settings),
        records: settings.records_file.get(),
        records_go_on: goes_on(&settings.records_file, &run),
        events: events(settings, &run),
        carriers: settings.carriers.get().unwrap_or_default().0,
        targets: settings.targets.get().unwrap_or_default().0,
        privacy: privacy(settings),
        writers: settings.voip.tcp_io_threads.settle(of_mode.writers, Origin::Mode),
        leg_headers: settings.voip.leg_headers.get().map(|names| names.0).unwrap_or_default(),
        call_expiration: settings.voip.call_expiration_time.settle(hours(4), Origin::Default),
        workers: settings.voip.workers.settle(workers, Origin::Mode),
        batch: settings.voip.tcp_batch_size.settle(of_mode.batch, Origin::Mode),
        mode,
        alerts: settings.alerts.resolve(),
        metrics,
        control,
        log: Log {
            level: if run.quiet { level.min(LogLevel::Error) } else { level },
            format: settings.log_format.settle(LogFormat::default(), Origin::Default),
            // What reads captures and ends has its lines on stderr; the file is the service's.
            file: settings.log_file.get().filter(|_| run.inputs.is_empty()),
        },
        run,
    }
}

fn live(settings: &mut Settings, mode: PerformanceMode, cores: usize, is_live: bool) -> Live {
    let of_mode = mode.settings(cores);
    let interfaces = &mut settings.interfaces;
    let any = || Names(vec!["any".to_owned()]);
    let range = |first, last| PortRange { first, last };
    let sip = interfaces.sip_ports.settle(PortRanges(vec![range(5060, 5061)]), Origin::Default);
    let media = interfaces.rtp_ports.settle(PortRanges(vec![range(10_000, 32_768)]), Origin::Default);
    Live {
        interfaces: interfaces.names.settle(any(), Origin::Default).0,
        promiscuous: interfaces.promiscuous.settle(false, Origin::Default),
        snaplen: interfaces.snaplen.settle(of_mode.snaplen, Origin::Mode),
        buffer: interfaces.buffer_size.settle(of_mode.kernel_buffer, Origin::Mode),
        ports: interfaces.ports_only.settle(false, Origin::Default).then(|| Ports {
            sip: sip.0.iter().map(ToString::to_string).collect(),
            media: media.0.iter().map(ToString::to_string).collect(),
        }),
        delay: of_mode.delay,
        immediate: of_mode.immediate,
        // Who asks for workers gets them, and who asks for none gets everything on one thread.
        threads: match settings.voip.workers.get() {
            None if is_live => mode.threads(cores),
            None => match of_mode.workers {
                0 => Threads::Inline,
                workers => Threads::Workers(workers),
            },
            Some(0) => Threads::Inline,
            Some(workers) => Threads::Workers(workers),
        },
    }
}

/// The mode's `max_goroutines` and `max_tcp_buffers` are for live capture; a file waits.
fn streams(settings: &mut Settings, of_mode: ModeSettings, live: bool) -> Streams {
    let voip = &mut settings.voip;
    let cap = |setting: &mut Setting<usize>, of_mode| match live {
        true => Some(setting.settle(of_mode, Origin::Mode)),
        false => setting.get(),
    };
    Streams {
        max_holding: cap(&mut voip.max_goroutines, of_mode.max_goroutines),
        max_buffers: cap(&mut voip.max_tcp_buffers, of_mode.max_tcp_buffers),
        memory_limit: voip.tcp_memory_limit.settle(of_mode.memory_limit, Origin::Mode),
        queue: voip.stream_queue_buffer.settle(500, Origin::Default),
        max_queue_time: voip.tcp_stream_max_queue_time.settle(seconds(120), Origin::Default),
        backpressure: voip.enable_backpressure.settle(true, Origin::Default),
        timeout: voip.tcp_stream_timeout.settle(seconds(600), Origin::Default),
        buffer_max_age: voip.tcp_buffer_max_age.settle(seconds(300), Origin::Default),
    }
}

fn pcap(settings: &mut Settings) -> Pcap {
    let pcap = &mut settings.pcap;
    Pcap {
        write: pcap.write.settle(false, Origin::Default),
        directory: pcap.directory.settle(PathBuf::from("."), Origin::Default),
        format: pcap.format.settle(PcapFormat::default(), Origin::Default),
        name: pcap.name.settle(NameTemplate::default(), Origin::Default),
        max_name_length: settings.voip.max_filename_length.settle(100, Origin::Default),
        rtp: pcap.rtp.settle(true, Origin::Default),
        registrations: pcap.registrations.settle(false, Origin::Default),
        options: pcap.options.settle(false, Origin::Default),
        max_age: pcap.max_age.get(),
        max_total_size: pcap.max_total_size.get(),
        min_free: pcap.min_free.get(),
    }
}

fn privacy(settings: &mut Settings) -> Privacy {
    let privacy = &mut settings.privacy;
    Privacy {
        masked: privacy.numbers.settle(Numbers::default(), Origin::Default) == Numbers::Masked,
        digits: privacy.dtmf.settle(Dtmf::default(), Origin::Default) == Dtmf::Digits,
    }
}

fn metrics(settings: &Settings) -> Metrics {
    let metrics = &settings.metrics;
    Metrics {
        listen: metrics.listen.get(),
        is_flag: metrics.listen.origin() == Origin::Flag,
        token_file: metrics.token_file.get(),
    }
}

fn control(settings: &Settings, run: &Run) -> Control {
    let control = &settings.control;
    let is_flag = control.socket.origin() == Origin::Flag;
    // A name of one's own goes before a path that the file gives to all.
    let socket = control.socket.get().filter(|_| is_flag || run.instance.is_none());
    Control {
        socket,
        is_flag: is_flag || run.instance.is_some(),
        group: control.group.get(),
        instance: run.instance.clone(),
    }
}

/// What a flag or a variable names is this run's alone; what a file names may be the service's, too.
fn goes_on(output: &Setting<PathBuf>, run: &Run) -> bool {
    !run.inputs.is_empty() && matches!(output.origin(), Origin::File { .. })
}

fn events(settings: &mut Settings, run: &Run) -> Option<Events> {
    let events = &mut settings.events;
    let trace_header = events.trace_header.settle("X-IF-Trace-ID".to_owned(), Origin::Default);
    let headers = events.headers.get().map(|names| names.0).unwrap_or_default();
    let goes_on = goes_on(&events.file, run);
    events.file.get().map(|file| Events { file, goes_on, trace_header, headers })
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_sets_what_nobody_else_did() {
        let mut settings = Settings::default();
        settings
            .voip
            .tcp_performance_mode
            .set(PerformanceMode::Throughput, Origin::File { line: 2, column: 1 });
        settings.voip.tcp_batch_size.set(7, Origin::Env);
        let config = resolve(&mut settings, Run::default(), 8);
        assert_eq!((config.workers, config.batch), (8, 7));
        assert_eq!(config.streams.memory_limit, ByteSize::mib(500));
        assert_eq!(settings.voip.workers.origin(), Origin::Mode);
        assert_eq!(settings.voip.tcp_batch_size.origin(), Origin::Env);
        assert_eq!(settings.voip.tcp_stream_timeout.origin(), Origin::Default);
    }

    #[test]
    fn a_file_run_has_stream_caps_only_when_they_are_given() {
        let mut settings = Settings::default();
        settings.voip.tcp_performance_mode.set(PerformanceMode::Memory, Origin::Flag);
        let config = resolve(&mut settings.clone(), Run::default(), 2);
        assert_eq!((config.streams.max_holding, config.streams.max_buffers), (None, None));
        settings.voip.max_goroutines.set(100, Origin::Flag);
        assert_eq!(resolve(&mut settings, Run::default(), 2).streams.max_holding, Some(100));
    }

    #[test]
    fn quiet_logs_errors_and_no_more() {
        let run = Run { quiet: true, ..Run::default() };
        assert_eq!(resolve(&mut Settings::default(), run.clone(), 1).log.level, LogLevel::Error);
        let mut settings = Settings::default();
        settings.log_level.set(LogLevel::Off, Origin::Flag);
        assert_eq!(resolve(&mut settings, run, 1).log.level, LogLevel::Off);
    }
}
