//! Flags of what may be told, for every command that tells of calls.

use clap::Args;

use crate::config::{Dtmf, Numbers, Settings};

/// What of a call may be told.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Privacy")]
pub struct PrivacyFlags {
    /// Tell numbers and names of users full or masked (full)
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    pub numbers: Option<Numbers>,

    /// Tell of keys pressed their count or the digits (count)
    #[arg(long, value_name = "HOW", hide_possible_values = true)]
    pub dtmf: Option<Dtmf>,
}

impl PrivacyFlags {
    /// Lays the flags over `settings`.
    pub fn apply(&self, settings: &mut Settings) {
        settings.privacy.numbers.flag(self.numbers);
        settings.privacy.dtmf.flag(self.dtmf);
    }
}
