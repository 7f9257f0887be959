//! Flags of `inspect`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PrivacyFlags;

/// What can be inspected.
#[derive(Debug, Subcommand)]
pub enum InspectCommand {
    /// Show the messages of one call, in order
    Call(InspectCall),

    /// List the calls
    Calls(InspectCalls),
}

/// Flags of `inspect call`.
#[derive(Clone, Debug, Args)]
#[command(override_usage = "lippycat inspect call <CALL-ID> -r <FILE>... [OPTIONS]")]
pub struct InspectCall {
    /// Call-ID; its beginning is enough where no other begins so, and so is the form that a narrow table prints
    #[arg(value_name = "CALL-ID")]
    pub call_id: String,

    /// Capture files, directories or globs, merged by packet time; - is stdin
    #[arg(short, long, value_name = "FILE", num_args = 1.., required = true)]
    pub read_file: Vec<PathBuf>,

    /// Messages in full
    #[arg(long, conflicts_with = "ladder")]
    pub text: bool,

    /// Arrows between the parties (this is the default)
    #[arg(long)]
    pub ladder: bool,

    /// What may be told.
    #[command(flatten)]
    pub privacy: PrivacyFlags,
}

/// How a call is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Arrows between the parties.
    Ladder,
    /// Messages in full.
    Text,
}

impl InspectCall {
    /// How it is to be shown.
    #[must_use]
    pub const fn view(&self) -> View {
        if self.text { View::Text } else { View::Ladder }
    }
}

/// Flags of `inspect calls`.
#[derive(Clone, Debug, Args)]
pub struct InspectCalls {
    /// Capture files, directories or globs, merged by packet time; - is stdin
    #[arg(short, long, value_name = "FILE", num_args = 1.., required = true)]
    pub read_file: Vec<PathBuf>,

    /// Registrations, subscriptions, OPTIONS and messages too
    #[arg(long)]
    pub all: bool,

    /// One JSON record a line, as each dialog ends
    #[arg(long)]
    pub json: bool,

    /// What may be told.
    #[command(flatten)]
    pub privacy: PrivacyFlags,
}
