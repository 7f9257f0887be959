//! Flags of `debug`: what can be asked of the running sniffer.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::units;

const EXAMPLES: &str = "\
Examples:
  lippycat debug health                             is it well? code 1: no, 3: nothing is running
  lippycat debug alerts --active-only --exit-code   for cron
  lippycat debug metrics --json | jq .streams
  lippycat debug metrics --format prometheus --output sip.prom   for the node exporter
  lippycat debug calls --json | jq '.[] | select(.duration_seconds > 3600)'
  lippycat debug summary --watch

The sniffer answers on its control socket: --control-socket, else control.socket of the \
configuration, else /run/lippycat/lippycat.sock, else $XDG_RUNTIME_DIR/lippycat/lippycat.sock.

Exit codes: 0 good, 1 the answer is no, 2 usage, 3 nothing is running, 4 not permitted.";

/// `debug`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Debug {
    /// What to ask for.
    #[command(subcommand)]
    pub command: DebugCommand,

    /// Ask the instance that was started with this name
    #[arg(long, global = true, value_name = "NAME", value_parser = units::instance)]
    pub name: Option<String>,
}

/// What can be asked for.
#[derive(Clone, Debug, Subcommand)]
pub enum DebugCommand {
    /// Whether the sniffer is well, and each check behind the verdict
    Health(Look),
    /// Everything that matters on one screen
    Summary(Look),
    /// Every figure; --format prometheus for a textfile collector
    Metrics(MetricsFlags),
    /// Alerts, the newest first
    Alerts(AlertFlags),
    /// Memory and segments held for TCP streams
    Buffers(Look),
    /// TCP streams that carry SIP
    Streams(Look),
    /// Settings in effect and where each comes from; without a running sniffer, what a start would use
    Config(Look),
    /// Calls that are up
    Calls(Look),
    /// Who is registered where
    Registrations(RegistrationFlags),
}

/// How an answer is looked at.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Look {
    /// As JSON
    #[arg(long)]
    pub json: bool,

    /// Ask again every SECS seconds, until interrupted (2)
    #[arg(long, value_name = "SECS", num_args = 0..=1, default_missing_value = "2", value_parser = units::seconds)]
    pub watch: Option<u64>,
}

/// Flags of `debug metrics`.
#[derive(Clone, Debug, Default, Args)]
pub struct MetricsFlags {
    /// How it is looked at.
    #[command(flatten)]
    pub look: Look,

    /// Print text, json or prometheus (text)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, conflicts_with = "json")]
    pub format: Option<MetricsFormat>,

    /// Write to FILE, as a whole or not at all; - is stdout
    #[arg(long, value_name = "FILE", conflicts_with = "watch")]
    pub output: Option<PathBuf>,
}

/// How `debug metrics` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MetricsFormat {
    /// For people.
    #[default]
    Text,
    /// One object.
    Json,
    /// Text 0.0.4.
    Prometheus,
}

/// Flags of `debug alerts`.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct AlertFlags {
    /// How it is looked at.
    #[command(flatten)]
    pub look: Look,

    /// Only those that are active
    #[arg(long)]
    pub active_only: bool,

    /// Exit with 1 when one is active
    #[arg(long)]
    pub exit_code: bool,
}

/// Flags of `debug registrations`.
#[derive(Clone, Debug, Default, Args)]
pub struct RegistrationFlags {
    /// Only of this address, or of this user
    #[arg(value_name = "AOR")]
    pub address: Option<String>,

    /// How it is looked at.
    #[command(flatten)]
    pub look: Look,
}

impl MetricsFlags {
    /// How they are printed.
    #[must_use]
    pub fn format(&self) -> MetricsFormat {
        let otherwise = if self.look.json { MetricsFormat::Json } else { MetricsFormat::Text };
        self.format.unwrap_or(otherwise)
    }
}

impl DebugCommand {
    /// How its answer is looked at.
    #[must_use]
    pub const fn look(&self) -> Look {
        match self {
            Self::Metrics(flags) => flags.look,
            Self::Alerts(flags) => flags.look,
            Self::Registrations(flags) => flags.look,
            Self::Health(look)
            | Self::Summary(look)
            | Self::Buffers(look)
            | Self::Streams(look)
            | Self::Config(look)
            | Self::Calls(look) => *look,
        }
    }
}
