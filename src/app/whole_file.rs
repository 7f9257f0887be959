//! Where a command's `--output FILE` goes, as a whole.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Links that are followed, as many as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Puts `bytes` in place of the file at `path`, or of the one that a link there leads to: whoever reads it sees the old or
/// the new. What is no file (a device, a FIFO, a socket) stays what it is and takes the bytes; so does standard output, as `-`
/// or by another name.
///
/// # Errors
/// The operating system's; the old file is there then.
pub(super) fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let about = match fs::metadata(path) {
        _ if path == Path::new("-") => return print(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => return replace(&end_of_links(path), bytes),
        about => about?,
    };
    let stdout = rustix::fs::fstat(io::stdout().as_fd());
    if stdout.is_ok_and(|stdout| (stdout.st_dev, stdout.st_ino) == (about.dev(), about.ino())) {
        return print(bytes);
    }
    let kind = about.file_type();
    if kind.is_file() || kind.is_dir() {
        replace(&end_of_links(path), bytes)
    } else if kind.is_socket() {
        UnixStream::connect(path)?.write_all(bytes)
    } else {
        File::options().write(true).open(path)?.write_all(bytes)
    }
}

/// Writes to standard output.
///
/// # Errors
/// Those of standard output.
pub(super) fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Where links lead, also when nothing is there yet.
fn end_of_links(path: &Path) -> PathBuf {
    let mut end = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Ok(next) = fs::read_link(&end) else { break };
        end = end.parent().unwrap_or(Path::new("")).join(next);
    }
    end
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let done = written.and_then(|()| fs::rename(&temporary, path));
    if done.is_err() {
        // What is left of it would be in the way of nobody but the reader of the directory.
        let _ = fs::remove_file(&temporary);
        return done;
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// A new file that others may read; what a killed run left under that name goes.
fn create(path: &Path) -> io::Result<File> {
    let make = || File::options().write(true).create_new(true).mode(0o644).open(path);
    match make() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            make()
        }
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lippycat.prom");
        put(&path, b"one").unwrap();
        put(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left over");
        assert!(put(&directory.path().join("missing/x"), b"").is_err());
        assert!(put(directory.path(), b"").is_err(), "a directory");
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("below")).unwrap();
        // Relative, and to another link; the file is made by the first write.
        symlink("below/second", path("first")).unwrap();
        symlink("file", path("below/second")).unwrap();
        for text in ["one", "two"] {
            put(&path("first"), text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(path("below/file")).unwrap(), text);
            assert!(["first", "below/second"].iter().all(|name| path(name).is_symlink()));
        }
        symlink("round", path("round")).unwrap();
        assert!(put(&path("round"), b"").is_err());
        assert!(path("round").is_symlink());
    }

    #[test]
    fn what_is_no_file_takes_the_bytes_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (pipe, socket) = (directory.path().join("pipe"), directory.path().join("socket"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        put(&pipe, b"text").unwrap();
        assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(reader.join().unwrap(), b"text");
        let listener = UnixListener::bind(&socket).unwrap();
        put(&socket, b"text").unwrap();
        assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
        let mut text = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut text).unwrap();
        assert_eq!(text, b"text");
    }
}
