//! The command line: what can be asked for, and how a refusal is worded.
//!
//! In: arguments. Out: [`Cli`], or an exit code after help, version or an error was shown. What exists in `--help`
//! works; what is planned is refused by name (`refuse`) and shown nowhere.

pub mod answers;
mod config;
mod debug;
mod documents;
mod inspect;
mod interfaces;
pub mod logging;
mod outside;
mod privacy;
mod refuse;
mod report;
mod sniff;

pub use config::{ConfigCommand, effective, generate, settled, show, validate};
pub use debug::{AlertFlags, Debug, DebugCommand, Look, MetricsFlags, MetricsFormat, RegistrationFlags};
pub use documents::{completions, man};
pub use inspect::{InspectCall, InspectCalls, InspectCommand, View};
pub use interfaces::{interfaces_json, interfaces_text};
pub(crate) use outside::are_one;
pub use privacy::PrivacyFlags;
pub use refuse::explain;
pub use report::{
    ReportCall, ReportCalls, ReportCarriers, ReportCommand, ReportTargets, Source, StoryFormat, Which,
};
pub use sniff::SniffVoip;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{Color, LogFormat, LogLevel, Settings, units};
use crate::escape::brief;

const EXAMPLES: &str = "\
Examples:
  lippycat sniff voip -i eth0                           who calls whom, as it happens
  lippycat sniff voip -r trunk.pcap                     who called whom, and how it ended
  lippycat sniff voip -r trunk.pcap -w --pcap-dir out   one capture file per call
  lippycat sniff voip -r trunk.pcap -u '+4930*'         only calls of these numbers
  lippycat inspect call 'a84b4c76e66710@pc33' -r trunk.pcap
  lippycat report calls --records calls.jsonl --where 'media.mos<3.5'
  lippycat config generate > lippycat.yaml

Exit codes: 0 good, 1 the answer is no, 2 usage, 3 nothing is running, 4 not permitted.";

/// Passive VoIP sniffer: every call in a capture, one PCAP and one record per call.
#[derive(Debug, Parser)]
#[command(name = "lippycat", version, propagate_version = true, after_help = EXAMPLES, max_term_width = 110)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Options that every command has.
    #[command(flatten)]
    pub global: Global,
}

/// Options that every command has.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Configuration file (else $LIPPYCAT_CONFIG, ~/.config/lippycat/config.yaml, ~/.lippycat.yaml,
    /// /etc/lippycat/lippycat.yaml)
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Socket of the running sniffer (see lippycat debug --help)
    #[arg(long, global = true, value_name = "PATH", value_parser = units::path)]
    pub control_socket: Option<PathBuf>,

    /// Log to stderr down to off, error, warn, info, debug or trace (info)
    #[arg(long, global = true, value_name = "LEVEL", hide_possible_values = true, ignore_case = true)]
    pub log_level: Option<LogLevel>,

    /// Write log lines as text, json or journald (text; under systemd journald)
    #[arg(long, global = true, value_name = "FORMAT", hide_possible_values = true)]
    pub log_format: Option<LogFormat>,

    /// Colour output: auto, always or never (auto)
    #[arg(long, global = true, value_name = "WHEN", hide_possible_values = true)]
    pub color: Option<Color>,

    /// No progress, no text summary, only errors in the log
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

impl Global {
    /// Lays the flags over `settings`.
    pub fn apply(&self, settings: &mut Settings) {
        settings.control.socket.flag(self.control_socket.clone());
        settings.log_level.flag(self.log_level);
        settings.log_format.flag(self.log_format);
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow what is on the wire
    #[command(subcommand)]
    Sniff(SniffCommand),

    /// Ask the running sniffer
    Debug(Debug),

    /// Show the signalling of calls
    #[command(subcommand)]
    Inspect(InspectCommand),

    /// What happened: lists, figures and single calls, from records, captures or the running sniffer
    #[command(subcommand)]
    Report(Box<ReportCommand>),

    /// Write, check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),

    /// Show what can be captured on, and whether this user may
    Interfaces {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },

    /// Print shell completions
    Completions {
        /// bash, elvish, fish, powershell or zsh
        #[arg(hide_possible_values = true)]
        shell: clap_complete::Shell,
    },

    /// Print the manual pages
    Man {
        /// Write one file for each command into this directory
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// What can be sniffed.
#[derive(Debug, Subcommand)]
pub enum SniffCommand {
    /// Follow VoIP calls: print them, count them, write one capture file and one record per call
    Voip(Box<SniffVoip>),
}

/// Parses a command line, program name first.
///
/// # Errors
/// What to show instead and with which exit code: help, version, or one clear error.
pub fn parse(arguments: &[OsString]) -> Result<Cli, Refusal> {
    Cli::try_parse_from(arguments).map_err(|error| match explain(&error, arguments) {
        Some(text) => Refusal::Explained(text),
        None => Refusal::Clap(Box::new(error)),
    })
}

/// Why a command line is not run.
#[derive(Debug)]
pub enum Refusal {
    /// Help, version, or an error in the parser's words.
    Clap(Box<clap::Error>),
    /// An error in ours.
    Explained(String),
}

impl Refusal {
    /// Whether help or version was asked for, and goes to stdout.
    #[must_use]
    pub fn was_asked_for(&self) -> bool {
        matches!(self, Self::Clap(error) if !error.use_stderr())
    }

    /// Shows it where it belongs.
    ///
    /// # Errors
    /// When stdout or stderr cannot be written to.
    pub fn show(&self) -> io::Result<()> {
        match self {
            Self::Clap(error) if is_one_error(error) => {
                logging::tell(&format!("{}\n", in_one_line(&in_brief(error))))
            }
            Self::Clap(error) => error.print(),
            Self::Explained(text) => logging::tell(&format!("error: {text}\n")),
        }
    }
}

/// Whether it says what is wrong; where a command is missing, the parser shows which there are.
fn is_one_error(error: &clap::Error) -> bool {
    let lists = [ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, ErrorKind::MissingSubcommand];
    error.use_stderr() && !lists.contains(&error.kind())
}

/// The parser's words, what was given in brief: it may be as long as a command line.
fn in_brief(error: &clap::Error) -> String {
    let given = [ContextKind::InvalidValue, ContextKind::InvalidArg].into_iter();
    let given = given.filter_map(|kind| match error.get(kind)? {
        ContextValue::String(given) => Some(given),
        _ => None,
    });
    given.fold(error.to_string(), |text, given| match brief(given) {
        Cow::Owned(short) => text.replace(given.as_str(), &short),
        Cow::Borrowed(_) => text,
    })
}

/// The parser's words in one line: what is wrong, what may have been meant, where to read on.
fn in_one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let said =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let said: Vec<String> = said
        .map(|line| line.strip_prefix("tip: ").map_or_else(|| line.to_owned(), |tip| format!("({tip})")))
        .collect();
    format!("{}; try --help", said.join(" "))
}

/// The definition of the command line, for completions and manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}
