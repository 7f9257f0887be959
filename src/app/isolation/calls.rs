//! Which system calls the process may make: seccomp (seccomp(2)).
//!
//! A list of what is allowed. What is not on it fails with EPERM: a C library of next year may try a new call first
//! and fall back to an old one, and a sniffer that is to run for months must not die of an update. Calls that nobody
//! makes by chance, and that an intruder makes next, end the process: it is restarted, and somebody asks why.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition as Condition,
    SeccompFilter, SeccompRule as Rule, TargetArch, apply_filter_all_threads,
};

use super::Needs;

type Rules = BTreeMap<i64, Vec<Rule>>;

/// Calls that are allowed whatever their arguments.
#[rustfmt::skip]
const ALLOWED: &[i64] = &[
    // Files.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64,
    libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_lseek, libc::SYS_close, libc::SYS_close_range, libc::SYS_fstat,
    libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_openat, libc::SYS_openat2, libc::SYS_fcntl, libc::SYS_flock,
    libc::SYS_ftruncate, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_sync_file_range, libc::SYS_fallocate,
    libc::SYS_fadvise64, libc::SYS_renameat2, libc::SYS_unlinkat, libc::SYS_mkdirat, libc::SYS_linkat,
    libc::SYS_readlinkat, libc::SYS_faccessat, libc::SYS_faccessat2, libc::SYS_fchmod, libc::SYS_fchmodat,
    libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_utimensat, libc::SYS_getdents64, libc::SYS_statfs,
    libc::SYS_fstatfs, libc::SYS_umask, libc::SYS_getcwd, libc::SYS_dup, libc::SYS_dup3, libc::SYS_pipe2,
    libc::SYS_copy_file_range, libc::SYS_sendfile, libc::SYS_memfd_create,
    // Memory.
    libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_brk, libc::SYS_mincore, libc::SYS_mlock,
    libc::SYS_munlock, libc::SYS_membarrier,
    // Threads, time, signals to ourselves. clone3(2) is answered below.
    libc::SYS_clone3, libc::SYS_futex, libc::SYS_futex_waitv, libc::SYS_set_robust_list,
    libc::SYS_get_robust_list, libc::SYS_rseq, libc::SYS_set_tid_address, libc::SYS_exit, libc::SYS_exit_group,
    libc::SYS_sched_yield, libc::SYS_sched_getaffinity, libc::SYS_sched_setaffinity, libc::SYS_gettid,
    libc::SYS_getpid, libc::SYS_getppid, libc::SYS_tgkill, libc::SYS_restart_syscall, libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep, libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_gettimeofday,
    libc::SYS_times, libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait, libc::SYS_rt_sigpending, libc::SYS_sigaltstack, libc::SYS_signalfd4,
    // Figures and identity.
    libc::SYS_getrusage, libc::SYS_sysinfo, libc::SYS_prlimit64, libc::SYS_uname, libc::SYS_getrandom,
    libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid, libc::SYS_getresuid,
    libc::SYS_getresgid, libc::SYS_getgroups, libc::SYS_capget,
    // Waiting.
    libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2, libc::SYS_eventfd2, libc::SYS_timerfd_create, libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime, libc::SYS_inotify_init1, libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch,
    // Sockets, once there are any: which kinds may be made is below.
    libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4, libc::SYS_shutdown,
    libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_sendmsg, libc::SYS_recvmsg, libc::SYS_sendmmsg,
    libc::SYS_recvmmsg, libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_getsockname, libc::SYS_getpeername,
];

/// Their predecessors, which only the oldest architecture has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_HERE: &[i64] = &[
    libc::SYS_open, libc::SYS_stat, libc::SYS_lstat, libc::SYS_poll, libc::SYS_select, libc::SYS_access,
    libc::SYS_pipe, libc::SYS_dup2, libc::SYS_rename, libc::SYS_renameat, libc::SYS_mkdir, libc::SYS_rmdir,
    libc::SYS_unlink, libc::SYS_readlink, libc::SYS_chmod, libc::SYS_getdents, libc::SYS_epoll_wait,
    libc::SYS_epoll_create, libc::SYS_time, libc::SYS_getrlimit, libc::SYS_inotify_init, libc::SYS_eventfd,
];
#[cfg(target_arch = "aarch64")]
const ALLOWED_HERE: &[i64] = &[libc::SYS_renameat, libc::SYS_getrlimit];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ALLOWED_HERE: &[i64] = &[];

/// Calls that end the process.
#[rustfmt::skip]
const FATAL: &[i64] = &[
    libc::SYS_execve, libc::SYS_execveat, libc::SYS_ptrace, libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev, libc::SYS_pidfd_getfd, libc::SYS_bpf, libc::SYS_perf_event_open,
    libc::SYS_userfaultfd, libc::SYS_io_uring_setup, libc::SYS_init_module, libc::SYS_finit_module,
    libc::SYS_delete_module, libc::SYS_kexec_load, libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root,
    libc::SYS_chroot, libc::SYS_setns, libc::SYS_unshare, libc::SYS_keyctl, libc::SYS_add_key,
    libc::SYS_request_key, libc::SYS_open_by_handle_at, libc::SYS_reboot, libc::SYS_swapon, libc::SYS_acct,
];

/// Forbids every system call that `needs` does not have.
pub(super) fn restrict(needs: &Needs) -> Result<String> {
    let allowed = allowed()?;
    let count = allowed.len();
    let fatal = FATAL.iter().map(|call| (*call, Vec::new())).collect();
    // What looks at memory cannot be judged: as if it were not there, and the C library takes clone(2).
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    // The list of what is allowed comes last: it forbids to add filters.
    let filters = [
        program(fatal, SeccompAction::Allow, SeccompAction::KillProcess)?,
        program(absent, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?,
        program(
            strange_sockets(needs)?,
            SeccompAction::Allow,
            SeccompAction::Errno(libc::EAFNOSUPPORT as u32),
        )?,
        program(allowed, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)?,
    ];
    for filter in &filters {
        apply_filter_all_threads(filter).context("the kernel refuses")?;
    }
    Ok(format!("system calls: {count} kinds, no programs (seccomp)"))
}

fn program(rules: Rules, otherwise: SeccompAction, then: SeccompAction) -> Result<BpfProgram> {
    let machine = TargetArch::try_from(std::env::consts::ARCH).context("this machine")?;
    Ok(SeccompFilter::new(rules, otherwise, then, machine)?.try_into()?)
}

fn allowed() -> Result<Rules> {
    let mut rules: Rules = ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, Vec::new())).collect();
    let one = |argument, length, op, value: i64| {
        Ok::<_, seccompiler::Error>(Rule::new(vec![Condition::new(argument, length, op, value as u64)?])?)
    };
    // Threads, not processes.
    let thread = i64::from(libc::CLONE_THREAD);
    rules.insert(libc::SYS_clone, vec![one(0, Length::Qword, Op::MaskedEq(thread as u64), thread)?]);
    // No memory that is written becomes code.
    let code = libc::PROT_EXEC as u64;
    rules.insert(libc::SYS_mmap, vec![one(2, Length::Dword, Op::MaskedEq(code), 0)?]);
    rules.insert(libc::SYS_mprotect, vec![one(2, Length::Dword, Op::MaskedEq(code), 0)?]);
    // Names of threads and of memory.
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA];
    let names = names.map(|name| one(0, Length::Dword, Op::Eq, name.into()));
    rules.insert(libc::SYS_prctl, names.into_iter().collect::<Result<_, _>>()?);
    // Nothing is typed into the terminal that this was started from.
    let typed = [libc::TIOCSTI, libc::TIOCLINUX];
    let typed = typed.map(|request| Condition::new(1, Length::Dword, Op::Ne, request));
    rules.insert(libc::SYS_ioctl, vec![Rule::new(typed.into_iter().collect::<Result<_, _>>()?)?]);
    rules.insert(libc::SYS_socketpair, vec![one(0, Length::Dword, Op::Eq, libc::AF_UNIX.into())?]);
    Ok(rules)
}

/// Sockets of every other kind, as if the kernel had none: libpcap asks for some, and gives up only if it may not.
fn strange_sockets(needs: &Needs) -> Result<Rules> {
    let others =
        domains(needs).into_iter().map(|domain| Condition::new(0, Length::Dword, Op::Ne, domain as u64));
    let rule = Rule::new(others.collect::<Result<_, _>>()?)?;
    Ok(BTreeMap::from([(libc::SYS_socket, vec![rule])]))
}

/// Kinds of sockets that may be made: the journal, the service manager and the control socket are local ones; an
/// interface that comes back takes a packet socket, and netlink to ask about it.
fn domains(needs: &Needs) -> Vec<i32> {
    let mut domains = vec![libc::AF_UNIX];
    if needs.interfaces {
        domains.extend([libc::AF_PACKET, libc::AF_NETLINK]);
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_is_both_allowed_and_fatal() {
        let rules = allowed().unwrap();
        assert!(FATAL.iter().all(|call| !rules.contains_key(call)));
        for call in [libc::SYS_setuid, libc::SYS_capset, libc::SYS_kill, libc::SYS_seccomp] {
            assert!(!rules.contains_key(&call), "{call}");
        }
    }

    #[test]
    fn sockets_are_those_that_are_needed() {
        assert_eq!(domains(&Needs::default()), [libc::AF_UNIX]);
        let live = Needs { interfaces: true, ..Needs::default() };
        assert_eq!(domains(&live), [libc::AF_UNIX, libc::AF_PACKET, libc::AF_NETLINK]);
    }
}
