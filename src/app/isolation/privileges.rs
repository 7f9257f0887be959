//! Who the process is, and its capabilities (capabilities(7)).

use std::fmt;
use std::io;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist, setgroups, setresgid, setresuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
};

/// A user and the groups that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app) struct Account {
    name: String,
    pub(in crate::app) uid: u32,
    pub(in crate::app) gid: u32,
    groups: Vec<u32>,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {} ({}:{})", self.name, self.uid, self.gid)
    }
}

impl Account {
    /// The account of `USER[:GROUP]`, by name or number.
    ///
    /// # Errors
    /// When there is no such user or group, or a number has no group.
    pub(in crate::app) fn find(text: &str) -> Result<Self> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let known = match user.parse().ok().map(Uid::from_raw) {
            Some(uid) => User::from_uid(uid).ok().flatten(),
            None => User::from_name(user).with_context(|| format!("--user {user}"))?,
        };
        let group = group.map(find_group).transpose()?;
        let (name, uid, gid) = match (known, user.parse(), group) {
            (Some(known), _, group) => (known.name, known.uid.as_raw(), group.unwrap_or(known.gid)),
            (None, Ok(uid), Some(gid)) => (user.to_owned(), uid, gid),
            (None, Ok(uid), None) => {
                bail!("--user {uid}: no such user; a number without a user needs :GROUP")
            }
            (None, Err(_), _) => bail!("--user {user}: no such user"),
        };
        if uid == 0 {
            bail!("--user {user}: that is root; leave --user out to stay it");
        }
        let groups = std::ffi::CString::new(name.as_str())
            .ok()
            .and_then(|name| getgrouplist(&name, gid).ok())
            .unwrap_or_else(|| vec![gid]);
        Ok(Self { name, uid, gid: gid.as_raw(), groups: groups.into_iter().map(Gid::as_raw).collect() })
    }
}

fn find_group(group: &str) -> Result<Gid> {
    if let Ok(gid) = group.parse() {
        return Ok(Gid::from_raw(gid));
    }
    let found = Group::from_name(group).with_context(|| format!("--user :{group}"))?;
    Ok(found.ok_or_else(|| anyhow!("--user :{group}: no such group"))?.gid)
}

/// Becomes the account, and gives up every capability but, with `keeps_raw`, CAP_NET_RAW.
pub(super) fn give_up(account: Option<&Account>, keeps_raw: bool) -> Result<String> {
    let kept = if keeps_raw { CapabilitySet::NET_RAW } else { CapabilitySet::empty() };
    let had = capabilities(None).context("capabilities")?.permitted;
    // Only who may change the set can narrow it. It counts in execve(2) alone, and that is forbidden anyway.
    for capability in CapabilitySet::all().difference(kept).iter() {
        let _ = remove_capability_from_bounding_set(capability);
    }
    if let Some(account) = account {
        set_keep_capabilities(true).context("capabilities")?;
        become_account(account)
            .with_context(|| format!("{account}: needs root (or CAP_SETUID and CAP_SETGID)"))?;
        set_keep_capabilities(false).context("capabilities")?;
    }
    let left = had.intersection(kept);
    let _ = clear_ambient_capability_set();
    let sets = CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).context("capabilities")?;
    if capabilities(None).context("capabilities")?.permitted != left {
        bail!("capabilities were not given up");
    }
    let left = if left.is_empty() { "no capabilities" } else { "capabilities: CAP_NET_RAW" };
    Ok(account.map_or_else(|| left.to_owned(), |account| format!("{account}, {left}")))
}

/// Groups first: who has given up the user may not change them any more. These calls are for all threads.
fn become_account(account: &Account) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    if Uid::effective() == uid && Gid::effective() == gid {
        return Ok(());
    }
    let groups: Vec<Gid> = account.groups.iter().copied().map(Gid::from_raw).collect();
    // As errors of the system, which say that it is a matter of permission.
    setgroups(&groups).map_err(io::Error::from)?;
    setresgid(gid, gid, gid).map_err(io::Error::from)?;
    setresuid(uid, uid, uid).map_err(io::Error::from)?;
    if Uid::effective() != uid || Uid::current() != uid || Gid::effective() != gid {
        bail!("the user was not given up");
    }
    Ok(())
}

/// No program that is executed later can give back what was given up.
pub(super) fn gain_no_more() -> Result<()> {
    set_no_new_privs(true).context("no_new_privs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name_and_number() {
        let daemon = Account::find("daemon").unwrap();
        assert_eq!((daemon.uid, daemon.name.as_str()), (1, "daemon"));
        assert!(daemon.groups.contains(&daemon.gid));
        assert_eq!(Account::find("1").unwrap(), daemon);
        assert_eq!(Account::find("daemon:0").unwrap().gid, 0);
        let unknown = Account::find("4242424:7").unwrap();
        assert_eq!((unknown.uid, unknown.gid, unknown.groups), (4_242_424, 7, vec![7]));
    }

    #[test]
    fn who_is_not_there_is_refused_in_one_line() {
        let error = |text: &str| Account::find(text).unwrap_err().to_string();
        assert_eq!(error("nobody-of-that-name"), "--user nobody-of-that-name: no such user");
        assert_eq!(error("daemon:none-such"), "--user :none-such: no such group");
        assert_eq!(error("4242424"), "--user 4242424: no such user; a number without a user needs :GROUP");
        assert_eq!(error("root"), "--user root: that is root; leave --user out to stay it");
    }
}
