//! What the program tells the shell.

/// Exit codes: one meaning each, the same for every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All went well.
    Good = 0,
    /// The answer is no: invalid configuration, unreadable input, unknown Call-ID.
    No = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// Nothing is running that could be asked.
    NotRunning = 3,
    /// The operating system does not permit it.
    NotPermitted = 4,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
