//! The journal: native messages with their priority, and prefixes for what is printed to it.

use std::io;
use std::os::fd::AsFd;

use tracing_journald::{Layer, Priority, PriorityMappings};

/// Whether stderr leads to the journal, as `$JOURNAL_STREAM` has it (systemd.exec(5)).
#[must_use]
pub fn is_journal() -> bool {
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| is_stderr(&stream))
}

fn is_stderr(stream: &str) -> bool {
    let Ok(about) = rustix::fs::fstat(io::stderr().as_fd()) else { return false };
    stream.split_once(':').is_some_and(|(device, inode)| {
        device.parse() == Ok(about.st_dev) && inode.parse() == Ok(about.st_ino)
    })
}

/// Errors are `err`, and so on: `journalctl -p err` finds them.
pub(super) fn layer() -> io::Result<Layer> {
    let priorities = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    Ok(tracing_journald::layer()?
        .with_syslog_identifier(env!("CARGO_PKG_NAME").to_owned())
        .with_priority_mappings(priorities))
}

/// A line for stderr with its priority in front where the journal reads it (sd-daemon(3)).
#[must_use]
pub fn with_priority(line: &str) -> String {
    let priority = match line.split(':').next() {
        Some("error") => "<3>",
        Some("warning") => "<4>",
        _ => "",
    };
    if is_journal() { format!("{priority}{line}") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_known_by_device_and_inode() {
        let about = rustix::fs::fstat(io::stderr().as_fd()).unwrap();
        assert!(is_stderr(&format!("{}:{}", about.st_dev, about.st_ino)));
        assert!(!is_stderr(&format!("{}:{}", about.st_dev, about.st_ino + 1)));
        assert!(!is_stderr("") && !is_stderr("1") && !is_stderr(":") && !is_stderr("1:x"));
    }
}
