//! Flags of `sniff voip`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::ArgPredicate;
use clap::{ArgAction, ArgGroup, Args};
use regex::bytes::{Regex, RegexBuilder};

use super::{Global, PrivacyFlags};
use crate::capture::PacketFilter;
use crate::config::{
    EventFormat, Isolation, Origin, PcapFormat, PerformanceMode, Run, Selection, Settings, SummaryFormat,
    name_template,
    units::{self, Names, PortRange, PortRanges},
};
use crate::sink::NameTemplate;

const EXAMPLES: &str = "\
Examples:
  lippycat sniff voip -r monday.pcap tuesday.pcap.gz      several files, merged by packet time
  lippycat sniff voip -i eth0 -w --pcap-dir calls         what is on the wire, one file per call
  lippycat sniff voip --follow /var/captures              what tcpdump -G writes there, as it comes
  ssh sbc tcpdump -i eth0 -U -w - | lippycat sniff voip -r -
  lippycat sniff voip -r big.pcap -w=acme- --from 'acme*' files named acme-CALL-ID.pcap
  lippycat sniff voip -r big.pcap --records calls.jsonl --format none --summary json | jq .calls
  lippycat sniff voip -c lippycat.yaml --validate-config";

/// Flags of `sniff voip`. What a flag does not set, environment, file, mode or default do.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("selection").multiple(true))]
pub struct SniffVoip {
    /// Capture files, directories or globs, merged by packet time; - is stdin. pcap, pcapng, .gz, .zst
    #[arg(short, long, value_name = "FILE", num_args = 1.., help_heading = "Input")]
    pub read_file: Vec<PathBuf>,

    /// Capture on these interfaces; any is all of them (any, when no file is given)
    #[arg(
        short,
        long = "interface",
        value_name = "IF[,IF]",
        value_delimiter = ',',
        conflicts_with = "read_file"
    )]
    #[arg(value_parser = interface, help_heading = "Input")]
    pub interfaces: Vec<String>,

    /// Capture what is for other stations too
    #[arg(short, long, conflicts_with = "read_file", help_heading = "Input")]
    pub promiscuous: bool,

    /// Keep N bytes of each packet (262144; latency mode 65535)
    #[arg(long, value_name = "N", value_parser = units::snaplen, conflicts_with = "read_file", help_heading = "Input")]
    pub snaplen: Option<usize>,

    /// The kernel's buffer for each interface (32MiB; memory mode 4MiB, throughput 256MiB)
    #[arg(long, value_name = "SIZE", value_parser = units::ring, conflicts_with = "read_file", help_heading = "Input")]
    pub buffer_size: Option<ByteSize>,

    /// Let the kernel pass only the ports of -S and -R, and tell what that blinds
    #[arg(long, conflicts_with = "read_file", help_heading = "Input")]
    pub ports_only: bool,

    /// Ports of SIP for --ports-only: 5060 or 5060-5090 (5060,5061)
    #[arg(short = 'S', long = "sip-port", value_name = "PORT[,PORT|A-B]", value_delimiter = ',')]
    #[arg(value_parser = units::port_range, help_heading = "Input")]
    pub sip_ports: Vec<PortRange>,

    /// UDP ports of media for --ports-only (10000-32768)
    #[arg(short = 'R', long = "rtp-port-range", value_name = "A-B[,A-B]", value_delimiter = ',')]
    #[arg(value_parser = units::port_range, help_heading = "Input")]
    pub media_ports: Vec<PortRange>,

    /// A directory of rotating captures: read what is there, then wait for more
    #[arg(long, value_name = "DIR", help_heading = "Input")]
    #[arg(conflicts_with_all = ["read_file", "interfaces", "promiscuous", "snaplen", "buffer_size"])]
    pub follow: Option<PathBuf>,

    /// Only packets that match this BPF expression, such as 'net 192.0.2.0/24'
    #[arg(short, long, value_name = "BPF", value_parser = filter, help_heading = "Input")]
    pub filter: Option<String>,

    /// Stop after N packets
    #[arg(long, value_name = "N", value_parser = units::packets, allow_negative_numbers = true, help_heading = "Input")]
    pub count: Option<u64>,

    /// Stop after this much packet time, such as 5m
    #[arg(long, value_name = "DURATION", value_parser = units::duration, help_heading = "Input")]
    pub duration: Option<Duration>,

    /// User in From, To, P-Asserted-Identity or request URI; * is any text
    #[arg(short = 'u', long = "sipuser", visible_alias = "sip-user", value_name = "USER[,USER]")]
    #[arg(value_delimiter = ',', value_parser = pattern, group = "selection", help_heading = "Which calls to keep")]
    pub users: Vec<String>,

    /// User in From; * is any text
    #[arg(long, value_name = "USER[,USER]", value_delimiter = ',', value_parser = pattern)]
    #[arg(group = "selection", help_heading = "Which calls to keep")]
    pub from: Vec<String>,

    /// User in To; * is any text
    #[arg(long, value_name = "USER[,USER]", value_delimiter = ',', value_parser = pattern)]
    #[arg(group = "selection", help_heading = "Which calls to keep")]
    pub to: Vec<String>,

    /// A request of the call has this method, such as INVITE
    #[arg(long = "method", value_name = "METHOD[,METHOD]", value_delimiter = ',', value_parser = method)]
    #[arg(group = "selection", help_heading = "Which calls to keep")]
    pub methods: Vec<String>,

    /// Some message of the call matches this regular expression
    #[arg(long = "match", value_name = "REGEX", value_parser = regex)]
    #[arg(group = "selection", help_heading = "Which calls to keep")]
    pub pattern: Option<Regex>,

    /// Keep the other calls
    #[arg(long, requires = "selection", help_heading = "Which calls to keep")]
    pub invert: bool,

    /// Write one capture file per call; =PREFIX goes before each name
    #[arg(short, long, value_name = "PREFIX", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    #[arg(help_heading = "Capture files")]
    pub write_file: Option<String>,

    /// Put them there (.)
    #[arg(long, value_name = "DIR", help_heading = "Capture files")]
    pub pcap_dir: Option<PathBuf>,

    /// Write pcap or pcapng (pcap)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, help_heading = "Capture files")]
    pub pcap_format: Option<PcapFormat>,

    /// Name them by {call_id} {from} {to} {start:%Y%m%d_%H%M%S} {hash} ({call_id})
    #[arg(long, value_name = "TEMPLATE", value_parser = name_template, help_heading = "Capture files")]
    pub pcap_name: Option<NameTemplate>,

    /// Without RTP and RTCP
    #[arg(long, help_heading = "Capture files")]
    pub no_rtp: bool,

    /// Registrations get a file too
    #[arg(long, help_heading = "Capture files")]
    pub registrations: bool,

    /// OPTIONS dialogs get a file too
    #[arg(long, help_heading = "Capture files")]
    pub options: bool,

    /// Write one JSON line per call; - is stdout
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub records: Option<PathBuf>,

    /// Print call events as text, json or none (text; none with --summary json or --records -)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, help_heading = "Output")]
    #[arg(default_value_ifs([
        ("summary", ArgPredicate::Equals("json".into()), Some("none")),
        ("records", ArgPredicate::Equals("-".into()), Some("none")),
    ]))]
    pub format: Option<EventFormat>,

    /// Print the summary as text or json (text)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, help_heading = "Output")]
    pub summary: Option<SummaryFormat>,

    /// What may be told.
    #[command(flatten)]
    pub privacy: PrivacyFlags,

    /// Serve GET /metrics and GET /health there, such as 127.0.0.1:9123
    #[arg(long, value_name = "ADDR", value_parser = units::address, help_heading = "Operation")]
    pub metrics_listen: Option<SocketAddr>,

    /// Name of this instance, when there are several: its control socket is lippycat-NAME.sock
    #[arg(long, value_name = "NAME", value_parser = units::instance, help_heading = "Operation")]
    pub name: Option<String>,

    /// Become this user when interfaces and sockets are open, before outputs and captures; only CAP_NET_RAW is kept
    #[arg(long, value_name = "USER[:GROUP]", help_heading = "Privileges")]
    pub user: Option<String>,

    /// Give up what is not needed: strict, default or off (default; off with -r)
    #[arg(long, value_name = "LEVEL", hide_possible_values = true, help_heading = "Privileges")]
    pub isolation: Option<Isolation>,

    /// Check configuration and flags, name every problem, and exit
    #[arg(long, help_heading = "Operation")]
    pub validate_config: bool,

    /// Flags of streams.
    #[command(flatten)]
    pub streams: StreamFlags,
}

/// Flags of `sniff voip` about TCP streams and threads.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Streams")]
pub struct StreamFlags {
    /// Be good at memory, balanced, throughput or latency (balanced)
    #[arg(short = 'M', long, value_name = "MODE", hide_possible_values = true)]
    pub tcp_performance_mode: Option<PerformanceMode>,

    /// TCP streams that may hold bytes at once (on interfaces 1000, or the mode's; over captures no cap)
    #[arg(long, visible_aliases = ["tcp-max-goroutines", "max-streams"], value_name = "N")]
    #[arg(value_parser = units::quantity, allow_negative_numbers = true)]
    pub max_goroutines: Option<usize>,

    /// Out-of-order TCP segments held at once (on interfaces 10000, or the mode's; over captures no cap)
    #[arg(long, value_name = "N", value_parser = units::quantity, allow_negative_numbers = true)]
    pub max_tcp_buffers: Option<usize>,

    /// Forget a TCP connection after this long without a segment (10m)
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub tcp_stream_timeout: Option<Duration>,

    /// Drop a partial message after this long without its rest (5m)
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub tcp_buffer_max_age: Option<Duration>,

    /// Let a stream beyond --max-goroutines wait at most this long (2m)
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub tcp_stream_max_queue_time: Option<Duration>,

    /// Beyond --max-goroutines the least recently active stream yields (true); =false: the newcomer waits
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = units::switch, action = ArgAction::Set)]
    pub enable_backpressure: Option<bool>,

    /// Threads for TCP and SIP; 0: all on one thread (0; one for each core in throughput mode)
    #[arg(long, value_name = "N", value_parser = units::workers, allow_negative_numbers = true)]
    pub workers: Option<usize>,

    /// Packets taken from the capture at once
    #[arg(long, value_name = "N", value_parser = units::batch, hide = true)]
    pub batch_size: Option<usize>,
}

impl SniffVoip {
    /// Lays the flags over `settings`.
    pub fn apply(&self, settings: &mut Settings) {
        self.streams.apply(settings);
        self.privacy.apply(settings);
        let names = (!self.interfaces.is_empty()).then(|| Names(self.interfaces.clone()));
        settings.interfaces.names.flag(names);
        settings.interfaces.promiscuous.flag(self.promiscuous.then_some(true));
        settings.interfaces.snaplen.flag(self.snaplen);
        settings.interfaces.buffer_size.flag(self.buffer_size);
        settings.interfaces.ports_only.flag(self.ports_only.then_some(true));
        let ranges = |given: &[PortRange]| (!given.is_empty()).then(|| PortRanges(given.to_vec()));
        settings.interfaces.sip_ports.flag(ranges(&self.sip_ports));
        settings.interfaces.rtp_ports.flag(ranges(&self.media_ports));
        let pcap = &mut settings.pcap;
        pcap.write.flag(self.write_file.as_ref().map(|_| true));
        pcap.directory.flag(self.pcap_dir.clone());
        pcap.format.flag(self.pcap_format);
        pcap.name.flag(self.pcap_name.clone());
        pcap.rtp.flag(self.no_rtp.then_some(false));
        pcap.registrations.flag(self.registrations.then_some(true));
        pcap.options.flag(self.options.then_some(true));
        settings.records_file.flag(self.records.clone());
        settings.metrics.listen.flag(self.metrics_listen);
    }

    /// The options that only a command line has.
    #[must_use]
    pub fn run(&self, global: &Global) -> Run {
        let flags = self.clone();
        Run {
            live: flags.read_file.is_empty() && flags.follow.is_none(),
            isolation: flags.isolation.unwrap_or(match flags.read_file.is_empty() {
                true => Isolation::Default,
                false => Isolation::Off,
            }),
            inputs: flags.read_file,
            follow: flags.follow,
            file: None,
            user: flags.user,
            filter: flags.filter,
            selection: Selection {
                users: flags.users,
                from: flags.from,
                to: flags.to,
                methods: flags.methods,
                pattern: flags.pattern,
                invert: flags.invert,
            },
            pcap_prefix: flags.write_file.unwrap_or_default(),
            format: flags.format.unwrap_or_default(),
            summary: flags.summary.unwrap_or_default(),
            color: global.color.unwrap_or_default(),
            instance: flags.name,
            quiet: global.quiet,
            count: flags.count,
            duration: flags.duration,
        }
    }

    /// What was asked for and will have no effect.
    #[must_use]
    pub fn idle_flags(&self, settings: &Settings) -> Option<&'static str> {
        let given = |origin| origin == Origin::Flag;
        let interfaces = &settings.interfaces;
        let about_ports = given(interfaces.sip_ports.origin()) || given(interfaces.rtp_ports.origin());
        if about_ports && interfaces.ports_only.get() != Some(true) {
            return Some(
                "SIP and media are found on any port; -S and -R have a meaning only with --ports-only",
            );
        }
        let pcap = &settings.pcap;
        let about_files =
            [pcap.directory.origin(), pcap.name.origin(), pcap.format.origin(), pcap.rtp.origin()];
        let idle = about_files.into_iter().any(given) && pcap.write.get() != Some(true);
        idle.then_some("no capture files are written without -w (or pcap.write: true)")
    }
}

impl StreamFlags {
    fn apply(&self, settings: &mut Settings) {
        let voip = &mut settings.voip;
        voip.tcp_performance_mode.flag(self.tcp_performance_mode);
        voip.max_goroutines.flag(self.max_goroutines);
        voip.max_tcp_buffers.flag(self.max_tcp_buffers);
        voip.tcp_stream_timeout.flag(self.tcp_stream_timeout);
        voip.tcp_buffer_max_age.flag(self.tcp_buffer_max_age);
        voip.tcp_stream_max_queue_time.flag(self.tcp_stream_max_queue_time);
        voip.enable_backpressure.flag(self.enable_backpressure);
        voip.workers.flag(self.workers);
        voip.tcp_batch_size.flag(self.batch_size);
    }
}

/// One interface.
fn interface(text: &str) -> Result<String, String> {
    units::interfaces(text).map(|names| names.0.concat())
}

/// A user, with `*` for any text.
fn pattern(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("want a user such as alice or +4930*".to_owned()),
        user => Ok(user.to_owned()),
    }
}

/// A capture filter: it is compiled anew when it is known for which links.
fn filter(text: &str) -> Result<String, String> {
    let compiled = PacketFilter::new(text);
    compiled
        .map(|_| text.to_owned())
        .map_err(|error| format!("want a filter as in pcap-filter(7): {}", error.reason()))
}

/// A method: a token of RFC 3261 25.1, in capital letters whatever was typed.
fn method(text: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err("want a method such as INVITE".to_owned());
    }
    Ok(text.to_ascii_uppercase())
}

/// A regular expression over a message's bytes; `^` and `$` are those of its lines. Its size is bounded.
fn regex(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).multi_line(true).crlf(true).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "want a smaller regular expression".to_owned(),
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            format!("want a regular expression: {}", reason.trim_start_matches("error: "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command, SniffCommand};
    use crate::config::{Config, EventFormat, resolve};
    use std::ffi::OsString;

    /// The configuration that `sniff voip -r f` with more arguments stands for, without file and environment.
    fn config(more: &[&str]) -> Config {
        let arguments: Vec<OsString> =
            ["lippycat", "sniff", "voip", "-r", "f"].iter().chain(more).map(OsString::from).collect();
        let Cli { command, global } = crate::cli::parse(&arguments).unwrap();
        let Command::Sniff(SniffCommand::Voip(flags)) = command else { panic!("{more:?}") };
        let mut settings = Settings::default();
        global.apply(&mut settings);
        flags.apply(&mut settings);
        resolve(&mut settings, flags.run(&global), 6)
    }

    /// A command line, what of its configuration is looked at, and what that should be.
    type Row = (&'static [&'static str], fn(&Config) -> String, &'static str);

    const ROWS: &[Row] = &[
        (&[], |c| format!("{:?} {:?}", c.run.inputs, c.mode), r#"["f"] Balanced"#),
        (&["g", "h", "-r", "i"], |c| format!("{:?}", c.run.inputs), r#"["f", "g", "h", "i"]"#),
        (&["-r", "-"], |c| format!("{:?}", c.run.inputs), r#"["f", "-"]"#),
        (&["-f", "port 5060"], |c| format!("{:?}", c.run.filter), r#"Some("port 5060")"#),
        (&["--count", "7"], |c| format!("{:?}", c.run.count), "Some(7)"),
        (&["--duration", "5m"], |c| format!("{:?}", c.run.duration), "Some(300s)"),
        (
            &["-u", "a,b*", "--sip-user", "c"],
            |c| format!("{:?}", c.run.selection.users),
            r#"["a", "b*", "c"]"#,
        ),
        (&["--sipuser=a"], |c| c.run.selection.is_everything().to_string(), "false"),
        (
            &["--from", "a", "--to", "b"],
            |c| format!("{:?}{:?}", c.run.selection.from, c.run.selection.to),
            r#"["a"]["b"]"#,
        ),
        (&["--method", "invite,X-a"], |c| format!("{:?}", c.run.selection.methods), r#"["INVITE", "X-A"]"#),
        (
            &["--match", "^x$", "--invert"],
            |c| {
                let matches = c.run.selection.pattern.as_ref().is_some_and(|it| it.is_match(b"y\r\nx\r\nz"));
                format!("{matches} {}", c.run.selection.invert)
            },
            "true true",
        ),
        (&["-w"], |c| format!("{} {:?}", c.pcap.write, c.run.pcap_prefix), r#"true """#),
        (&["-w=a/b-"], |c| format!("{} {:?}", c.pcap.write, c.run.pcap_prefix), r#"true "a/b-""#),
        (&["--write-file=x"], |c| c.run.pcap_prefix.clone(), "x"),
        (&["-w", "--pcap-dir", "d"], |c| format!("{:?}", c.pcap.directory), r#""d""#),
        (&["-w", "--pcap-format", "pcapng"], |c| format!("{:?}", c.pcap.format), "Pcapng"),
        (&["-w", "--pcap-name", "{hash}"], |c| c.pcap.name.as_str().to_owned(), "{hash}"),
        (
            &["--no-rtp"],
            |c| format!("{}{}{}", c.pcap.rtp, c.pcap.registrations, c.pcap.options),
            "falsefalsefalse",
        ),
        (
            &["--registrations", "--options"],
            |c| format!("{}{}", c.pcap.registrations, c.pcap.options),
            "truetrue",
        ),
        (&["--records", "-"], |c| format!("{:?}", c.records), r#"Some("-")"#),
        (&["--format", "json"], |c| format!("{:?} {:?}", c.run.format, c.run.summary), "Json Text"),
        (&["--summary", "json"], |c| format!("{:?} {:?}", c.run.format, c.run.summary), "None Json"),
        (&["--summary", "json", "--format", "text"], |c| format!("{:?}", c.run.format), "Text"),
        (&["-M", "minimal"], |c| format!("{:?} {}", c.mode, c.batch), "Memory 64"),
        (&["--tcp-performance-mode=throughput"], |c| format!("{:?} {}", c.mode, c.workers), "Throughput 6"),
        (&["-M", "throughput", "--workers", "0"], |c| c.workers.to_string(), "0"),
        (&["--max-goroutines", "5"], |c| format!("{:?}", c.streams.max_holding), "Some(5)"),
        (&["--tcp-max-goroutines", "5"], |c| format!("{:?}", c.streams.max_holding), "Some(5)"),
        (&["--max-streams", "5"], |c| format!("{:?}", c.streams.max_holding), "Some(5)"),
        (&["--max-tcp-buffers", "5"], |c| format!("{:?}", c.streams.max_buffers), "Some(5)"),
        (&["--tcp-stream-timeout", "5s"], |c| format!("{:?}", c.streams.timeout), "5s"),
        (&["--tcp-buffer-max-age", "5s"], |c| format!("{:?}", c.streams.buffer_max_age), "5s"),
        (&["--tcp-stream-max-queue-time", "5s"], |c| format!("{:?}", c.streams.max_queue_time), "5s"),
        (&["--enable-backpressure"], |c| c.streams.backpressure.to_string(), "true"),
        (&["--enable-backpressure=false"], |c| c.streams.backpressure.to_string(), "false"),
        (&["--batch-size", "3"], |c| c.batch.to_string(), "3"),
        (&["-q", "--log-level", "DEBUG"], |c| format!("{:?} {}", c.log.level, c.run.quiet), "Error true"),
        (
            &["--log-level", "warning", "--log-format", "json"],
            |c| format!("{:?} {:?}", c.log.level, c.log.format),
            "Warn Json",
        ),
        (&["--log-format", "journald"], |c| format!("{:?}", c.log.format), "Journald"),
        (&["--isolation", "strict"], |c| c.run.isolation.to_string(), "strict"),
        (&["--user", "daemon:adm"], |c| format!("{:?}", c.run.user), r#"Some("daemon:adm")"#),
        (&["--color", "never"], |c| format!("{:?}", c.run.color), "Never"),
    ];

    #[test]
    fn flags_reach_their_fields() {
        for (more, look, wanted) in ROWS {
            assert_eq!(look(&config(more)), *wanted, "{more:?}");
        }
    }

    #[test]
    fn a_summary_for_machines_has_stdout_for_itself() {
        assert_eq!(config(&["--summary", "json"]).run.format, EventFormat::None);
        assert_eq!(config(&["--summary", "text"]).run.format, EventFormat::Text);
    }

    #[test]
    fn an_idle_flag_is_noticed() {
        let idle = |write: bool, flags: SniffVoip| {
            let mut settings = Settings::default();
            settings.pcap.write.set(write, Origin::File { line: 1, column: 1 });
            flags.apply(&mut settings);
            flags.idle_flags(&settings).is_some()
        };
        let directory = || SniffVoip { pcap_dir: Some("d".into()), ..SniffVoip::default() };
        assert_eq!((idle(true, directory()), idle(false, directory())), (false, true));
        let no_rtp = || SniffVoip { no_rtp: true, ..SniffVoip::default() };
        assert_eq!((idle(true, no_rtp()), idle(false, no_rtp())), (false, true));
    }
}
