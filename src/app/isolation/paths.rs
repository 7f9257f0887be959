//! Which files the process may reach: Landlock (landlock(7)).

use std::path::Path;

use anyhow::{Result, bail};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};

use super::Needs;
use crate::sink;

/// What is asked of the kernel; an older one does what it can.
const WANTED: ABI = ABI::V6;

/// What libraries read: figures of this process and the machine, time zones.
const SYSTEM: [&str; 8] = [
    "/proc/self",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/uptime",
    "/proc/loadavg",
    "/sys/fs/cgroup",
    "/etc/localtime",
    "/usr/share/zoneinfo",
];

/// And about interfaces.
const INTERFACES: [&str; 2] = ["/sys/class/net", "/sys/devices"];

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const WRITE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg
    | MakeDir | RemoveFile | RemoveDir | Refer});
const SOCKET: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadDir | MakeSock | RemoveFile});

/// Forbids every file but those of `needs`, TCP and signals to others.
pub(super) fn restrict(needs: &Needs) -> Result<String> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?;
    // A service manager may listen on an abstract socket (sd_notify(3)).
    let is_abstract = std::env::var("NOTIFY_SOCKET").is_ok_and(|path| path.starts_with('@'));
    let scope = if is_abstract { Scope::Signal.into() } else { Scope::from_all(WANTED) };
    let mut created = ruleset.scope(scope)?.create()?;
    let interfaces = INTERFACES.iter().filter(|_| needs.interfaces);
    for path in SYSTEM.iter().chain(interfaces).map(Path::new) {
        created = allow(created, path, READ)?;
    }
    for (paths, access) in [(&needs.read, READ), (&needs.write, WRITE), (&needs.sockets, SOCKET)] {
        for path in paths {
            created = allow(created, path, access)?;
        }
    }
    let status = created.restrict_self()?;
    if status.ruleset != RulesetStatus::NotEnforced {
        sink::confined();
    }
    let reads = list(&needs.read);
    let writes = list(needs.write.iter().chain(&needs.sockets));
    match status.ruleset {
        RulesetStatus::NotEnforced => bail!("the kernel has none, or it is off"),
        RulesetStatus::FullyEnforced => Ok(format!("files: reads {reads}, writes {writes} (Landlock)")),
        RulesetStatus::PartiallyEnforced => {
            Ok(format!("files: reads {reads}, writes {writes} (Landlock, as far as this kernel has it)"))
        }
    }
}

/// What is not there cannot be allowed, and is not needed.
fn allow(created: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated> {
    let Ok(fd) = PathFd::new(path) else { return Ok(created) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(WANTED) };
    Ok(created.add_rule(PathBeneath::new(fd, access))?)
}

fn list<'a>(paths: impl IntoIterator<Item = &'a std::path::PathBuf>) -> String {
    let mut names: Vec<String> = paths.into_iter().map(|path| path.display().to_string()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { "nothing".to_owned() } else { names.join(" ") }
}
