//! The control socket in the file system: where it is, how it is made, who may use it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Where the socket of a service is.
const SYSTEM: &str = "/run/lippycat";

/// Longest path that a socket address holds (unix(7)), its final NUL aside.
pub(crate) const MAX_PATH: usize = 107;

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Another sniffer is there.
    #[error(
        "{}: another lippycat is running there; stop it, or start this one with --name NAME or --control-socket PATH",
        .0.display()
    )]
    Taken(PathBuf),
    /// Something else is there.
    #[error("{}: there is something that is no socket; move it away, or use --control-socket PATH", .0.display())]
    NotASocket(PathBuf),
    /// Too long for the kernel.
    #[error("{}: too long for a socket: want at most {MAX_PATH} bytes", .0.display())]
    TooLong(PathBuf),
    /// No such group.
    #[error("there is no group '{0}'; create it with groupadd --system, or unset the key")]
    NoGroup(String),
    /// The system said no.
    #[error("{}: the control socket cannot be made: {reason}", path.display())]
    System {
        /// Where.
        path: PathBuf,
        /// What it said.
        #[source]
        reason: io::Error,
    },
}

/// The file name of the socket of an instance.
#[must_use]
pub fn file_name(instance: Option<&str>) -> String {
    instance.map_or_else(|| "lippycat.sock".to_owned(), |name| format!("lippycat-{name}.sock"))
}

/// Where a socket may be by default, in the order in which clients look.
#[must_use]
pub fn places(runtime: Option<&Path>, instance: Option<&str>) -> Vec<PathBuf> {
    let name = file_name(instance);
    let of_user = runtime.map(|directory| directory.join("lippycat"));
    [PathBuf::from(SYSTEM)].into_iter().chain(of_user).map(|directory| directory.join(&name)).collect()
}

/// The one of [`places`] where this process can make a socket.
#[must_use]
pub fn own_place(runtime: Option<&Path>, instance: Option<&str>) -> Option<PathBuf> {
    let mut places = places(runtime, instance);
    let system = Path::new(SYSTEM);
    let may = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    // A service without root has the directory made for it; root makes it.
    let is_ours = may(system) || (!system.exists() && system.parent().is_some_and(may));
    if is_ours { Some(places.swap_remove(0)) } else { places.get(1).cloned() }
}

/// A listening socket; its file goes with it.
#[derive(Debug)]
pub struct ControlSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode: the file that is removed at the end is the one that was made.
    identity: (u64, u64),
}

impl ControlSocket {
    /// Makes the socket at `path`, in place of one that nobody listens to any more.
    ///
    /// # Errors
    /// When somebody listens there, or the system does not let us.
    pub fn bind(path: &Path, group: Option<&str>) -> Result<Self, SocketError> {
        let system = |reason| SocketError::System { path: path.to_owned(), reason };
        if path.as_os_str().len() > MAX_PATH {
            return Err(SocketError::TooLong(path.to_owned()));
        }
        let group = group.map(group_id).transpose()?;
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(system)?;
        }
        Self::clear(path)?;
        // Nobody gets in before the mode is set: the file is made with the least.
        let listener = with_umask(|| UnixListener::bind(path)).map_err(system)?;
        listener.set_nonblocking(true).map_err(system)?;
        if let Some(group) = group {
            std::os::unix::fs::chown(path, None, Some(group)).map_err(system)?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(system)?;
        let about = fs::symlink_metadata(path).map_err(system)?;
        Ok(Self { listener, path: path.to_owned(), identity: (about.dev(), about.ino()) })
    }

    /// Removes a socket that nobody listens to.
    fn clear(path: &Path) -> Result<(), SocketError> {
        let system = |reason| SocketError::System { path: path.to_owned(), reason };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(system(error)),
            Ok(about) if !about.file_type().is_socket() => {
                return Err(SocketError::NotASocket(path.to_owned()));
            }
            Ok(_) => {}
        }
        match UnixStream::connect(path) {
            // A full queue of clients is a sign of life too.
            Ok(_) => Err(SocketError::Taken(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tracing::info!("{}: nobody listens there any more; the socket is replaced", path.display());
                fs::remove_file(path).map_err(system)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(SocketError::Taken(path.to_owned()))
            }
            Err(error) => Err(system(error)),
        }
    }

    /// Gives it to a user, and to a group: whoever the sniffer becomes may ask it.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn give(&self, user: u32, group: Option<u32>) -> io::Result<()> {
        std::os::unix::fs::lchown(&self.path, Some(user), group)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|about| (about.dev(), about.ino()) == self.identity);
        if is_ours {
            // Without the right to remove it, it stays behind, and the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The file mode is right from the first moment on: a socket made under the usual mask could be connected to by all.
fn with_umask<T>(make: impl FnOnce() -> T) -> T {
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o117));
    let made = make();
    rustix::process::umask(before);
    made
}

/// The number of a group, by name or number.
///
/// # Errors
/// There is none of that name.
pub fn group_id(name: &str) -> Result<u32, SocketError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => Err(SocketError::NoGroup(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_socket_is_left_alone_and_a_dead_one_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/it/lippycat.sock");
        let first = ControlSocket::bind(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let error = ControlSocket::bind(&path, None).unwrap_err();
        assert!(matches!(error, SocketError::Taken(_)) && error.to_string().contains("--name"), "{error}");
        drop(first);
        assert!(!path.exists(), "the file goes with the socket");
        // As after a kill -9: the file is there and nobody listens.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let again = ControlSocket::bind(&path, None);
        assert!(again.is_ok());
    }

    #[test]
    fn what_is_no_socket_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(ControlSocket::bind(&path, None), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let long = directory.path().join("x".repeat(120));
        assert!(matches!(ControlSocket::bind(&long, None), Err(SocketError::TooLong(_))));
        let group = ControlSocket::bind(&directory.path().join("s"), Some("no such group"));
        assert!(group.unwrap_err().to_string().contains("no group 'no such group'"));
    }

    #[test]
    fn a_socket_that_took_our_place_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let first = ControlSocket::bind(&path, None).unwrap();
        fs::remove_file(&path).unwrap();
        let second = ControlSocket::bind(&path, None).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn places_are_those_of_the_handbook() {
        let runtime = Path::new("/run/user/1000");
        assert_eq!(
            places(Some(runtime), None),
            [
                PathBuf::from("/run/lippycat/lippycat.sock"),
                PathBuf::from("/run/user/1000/lippycat/lippycat.sock")
            ]
        );
        assert_eq!(places(None, Some("b")), [PathBuf::from("/run/lippycat/lippycat-b.sock")]);
    }
}
