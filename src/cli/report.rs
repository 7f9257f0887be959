//! Flags of `report`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PrivacyFlags;
use crate::config::units;
use crate::report::{self, By, Condition, Field, Format, Selection};
use crate::time::Timestamp;

const EXAMPLES: &str = "\
Examples:
  lippycat report calls --where result=failed --sort start --desc --limit 20
  lippycat report calls -r trunk.pcap --where 'media.mos<3.5' --format csv
  lippycat report carriers --records calls.jsonl calls.jsonl.1.gz --since 24h
  lippycat report carriers --by prefix --digits 5
  lippycat report call 'a84b4c76e66710@pc33' -r trunk.pcap --wav audio

Records come from --records FILE, else from captures (-r FILE) or the running sniffer (--live), else from \
records.file of the configuration.";

/// What can be reported of.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum ReportCommand {
    /// List calls: chosen, sorted, as table, CSV or JSON
    #[command(after_help = EXAMPLES)]
    Calls(ReportCalls),

    /// Figures by carrier, by the prefix that was dialled, or by own address
    #[command(after_help = EXAMPLES)]
    Carriers(ReportCarriers),

    /// Figures by the targets of the configuration
    #[command(after_help = EXAMPLES)]
    Targets(ReportTargets),

    /// Everything about one call, in plain words
    #[command(after_help = EXAMPLES)]
    Call(ReportCall),
}

/// Where records come from.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Input")]
pub struct Source {
    /// Records as --records of sniff voip writes them, plain, .gz or .zst; - is stdin
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["read_file", "live"])]
    pub records: Vec<PathBuf>,

    /// Capture files, directories or globs, merged by packet time; - is stdin
    #[arg(short, long, value_name = "FILE", num_args = 1.., conflicts_with = "live")]
    pub read_file: Vec<PathBuf>,

    /// Calls that are up, from the running sniffer
    #[arg(long)]
    pub live: bool,

    /// Ask the instance that was started with this name
    #[arg(long, value_name = "NAME", value_parser = units::instance, requires = "live")]
    pub name: Option<String>,

    /// What may be told.
    #[command(flatten)]
    pub privacy: PrivacyFlags,
}

/// Which records.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which")]
pub struct Which {
    /// Only where this holds: FIELD and = != < <= > >= ~ or !~ (regex); several must all hold
    #[arg(long = "where", value_name = "FIELD=VALUE", value_parser = Condition::parse)]
    pub conditions: Vec<Condition>,

    /// Only what began then or later: 2026-01-31, 2026-01-31T12:00:00Z, or 2h ago
    #[arg(long, visible_alias = "from", value_name = "TIME", value_parser = report::time)]
    pub since: Option<Timestamp>,

    /// Only what began before that
    #[arg(long, visible_alias = "to", value_name = "TIME", value_parser = report::time)]
    pub until: Option<Timestamp>,
}

impl Which {
    /// Whether its span ends before it begins.
    #[must_use]
    pub fn is_never(&self) -> bool {
        self.since.zip(self.until).is_some_and(|(since, until)| since > until)
    }

    /// As the report takes it.
    #[must_use]
    pub fn selection(&self) -> Selection {
        Selection { conditions: self.conditions.clone(), since: self.since, until: self.until }
    }
}

/// Flags of `report calls`.
#[derive(Clone, Debug, Args)]
pub struct ReportCalls {
    /// Where from.
    #[command(flatten)]
    pub source: Source,

    /// Which.
    #[command(flatten)]
    pub which: Which,

    /// Registrations, subscriptions, OPTIONS and messages too
    #[arg(long, help_heading = "Which")]
    pub all: bool,

    /// Print table, csv or json, one object a line (table)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, help_heading = "Output")]
    pub format: Option<Format>,

    /// These fields instead of those that fit, such as call_id,media.mos
    #[arg(long, value_name = "FIELD[,FIELD]", value_delimiter = ',', value_parser = Field::parse)]
    #[arg(help_heading = "Output")]
    pub fields: Vec<Field>,

    /// In the order of this field (as they ended)
    #[arg(long, value_name = "FIELD", value_parser = Field::parse, help_heading = "Output")]
    pub sort: Option<Field>,

    /// The largest first
    #[arg(long, requires = "sort", help_heading = "Output")]
    pub desc: bool,

    /// At most N
    #[arg(long, value_name = "N", value_parser = units::quantity, help_heading = "Output")]
    pub limit: Option<usize>,
}

/// Flags of `report carriers`.
#[derive(Clone, Debug, Args)]
pub struct ReportCarriers {
    /// Where from.
    #[command(flatten)]
    pub source: Source,

    /// Which.
    #[command(flatten)]
    pub which: Which,

    /// By carrier, prefix or address (carrier)
    #[arg(long, value_name = "WHAT", hide_possible_values = true, help_heading = "Groups")]
    pub by: Option<By>,

    /// Digits of a prefix (4)
    #[arg(long, value_name = "N", value_parser = units::digits, help_heading = "Groups")]
    pub digits: Option<u8>,

    /// Print table, csv or json, one object a line (table)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, help_heading = "Output")]
    pub format: Option<Format>,

    /// At most N groups, those with most calls
    #[arg(long, value_name = "N", value_parser = units::quantity, help_heading = "Output")]
    pub limit: Option<usize>,
}

/// Flags of `report targets`.
#[derive(Clone, Debug, Args)]
pub struct ReportTargets {
    /// Where from.
    #[command(flatten)]
    pub source: Source,

    /// Which.
    #[command(flatten)]
    pub which: Which,

    /// Print table, csv or json, one object a line (table)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, help_heading = "Output")]
    pub format: Option<Format>,

    /// At most N targets, those with most calls
    #[arg(long, value_name = "N", value_parser = units::quantity, help_heading = "Output")]
    pub limit: Option<usize>,
}

/// Flags of `report call`.
#[derive(Clone, Debug, Args)]
#[command(
    override_usage = "lippycat report call <CALL-ID> [-r <FILE>... | --records <FILE>... | --live] [OPTIONS]"
)]
pub struct ReportCall {
    /// Call-ID; its beginning is enough where no other begins so
    #[arg(value_name = "CALL-ID")]
    pub call_id: String,

    /// Where from.
    #[command(flatten)]
    pub source: Source,

    /// Write what was said into DIR: WAV files, the caller left and the called party right (G.711, G.722, Opus; needs -r)
    #[arg(long, value_name = "DIR", value_parser = units::path, requires = "read_file")]
    #[arg(help_heading = "Output")]
    pub wav: Option<PathBuf>,

    /// Print text or json, one object a line (text)
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, help_heading = "Output")]
    pub format: Option<StoryFormat>,
}

/// How one call is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StoryFormat {
    /// For people.
    #[default]
    Text,
    /// One object.
    Json,
}

impl ReportCommand {
    /// Where its records come from.
    #[must_use]
    pub const fn source(&self) -> &Source {
        match self {
            Self::Calls(flags) => &flags.source,
            Self::Carriers(flags) => &flags.source,
            Self::Targets(flags) => &flags.source,
            Self::Call(flags) => &flags.source,
        }
    }

    /// Which records it is about, where they are chosen.
    #[must_use]
    pub const fn which(&self) -> Option<&Which> {
        match self {
            Self::Calls(flags) => Some(&flags.which),
            Self::Carriers(flags) => Some(&flags.which),
            Self::Targets(flags) => Some(&flags.which),
            Self::Call(_) => None,
        }
    }
}
