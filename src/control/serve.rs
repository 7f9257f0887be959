//! A listener that serves few clients at a time, each with a thread of its own and not for ever.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// Clients served at once; others wait in the kernel's queue.
const MAX_CLIENTS: usize = 32;

/// Stack of a client's thread: it parses short lines and holds no large values.
const STACK: usize = 256 << 10;

/// A socket that clients come to.
pub(super) trait Listen: AsFd + Send + 'static {
    type Client: Send + 'static;

    fn accept(&self) -> io::Result<Self::Client>;
}

/// The running listener; nobody new is served once it is dropped.
#[derive(Debug)]
pub(super) struct Serving {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Places for clients.
#[derive(Debug, Default)]
struct Places {
    taken: Mutex<usize>,
    freed: Condvar,
}

/// A place that is given back when this is dropped.
struct Place(Arc<Places>);

impl Places {
    fn taken(&self) -> MutexGuard<'_, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits a while for a place.
    fn take(self: &Arc<Self>) -> Option<Place> {
        let full = |taken: &mut usize| *taken >= MAX_CLIENTS;
        let waited = self.freed.wait_timeout_while(self.taken(), Duration::from_millis(100), full);
        let (mut taken, result) = waited.unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() && *taken >= MAX_CLIENTS {
            return None;
        }
        *taken += 1;
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.0.taken();
        *taken = taken.saturating_sub(1);
        self.0.freed.notify_one();
    }
}

/// Serves `listener` by `handle` on a thread of its own.
pub(super) fn serve<L: Listen>(
    name: &'static str,
    listener: L,
    handle: impl Fn(L::Client) + Send + Sync + 'static,
) -> io::Result<Serving> {
    let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
    let stopped = Arc::clone(&stop);
    let handle = Arc::new(handle);
    let run = move || {
        let places = Arc::new(Places::default());
        while waits(&listener, &stopped) {
            let Some(place) = places.take() else { continue };
            let client = match listener.accept() {
                Ok(client) => client,
                Err(error) => {
                    rest(&error);
                    continue;
                }
            };
            let handle = Arc::clone(&handle);
            let work = move || {
                let _place = place;
                handle(client);
            };
            // Without a thread the client is dropped, and the next may have more luck.
            if let Err(error) =
                std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(work)
            {
                rest(&error);
            }
        }
    };
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(run)?;
    Ok(Serving { stop, thread: Some(thread) })
}

/// Waits for a client; false when it is to stop.
fn waits(listener: &impl AsFd, stop: &OwnedFd) -> bool {
    loop {
        let mut fds = [PollFd::new(listener, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => return !fds.iter().skip(1).any(|fd| fd.revents().contains(PollFlags::IN)),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Nothing is gained by trying again at once: most likely there are no descriptors left.
fn rest(error: &io::Error) {
    if error.kind() != io::ErrorKind::WouldBlock {
        tracing::debug!("a client could not be served: {error}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A stream with time-outs.
pub(super) trait Timed: Read + Write {
    fn read_within(&self, time: Duration) -> io::Result<()>;
    fn write_within(&self, time: Duration) -> io::Result<()>;
}

impl Timed for std::os::unix::net::UnixStream {
    fn read_within(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }

    fn write_within(&self, time: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(time))
    }
}

impl Timed for std::net::TcpStream {
    fn read_within(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))
    }

    fn write_within(&self, time: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(time))
    }
}

/// A time by which something has to be done as a whole: a client that sends a byte every second gains nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    #[allow(clippy::disallowed_methods, reason = "clients live in wall time")]
    pub(super) fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    #[allow(clippy::disallowed_methods, reason = "clients live in wall time")]
    pub(super) fn left(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    /// Reads what there is.
    pub(super) fn read(self, stream: &mut impl Timed, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            stream.read_within(self.left()?)?;
            match stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Writes all of it.
    pub(super) fn write_all(self, stream: &mut impl Timed, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            stream.write_within(self.left()?)?;
            #[allow(clippy::disallowed_methods, reason = "short writes are gone on with")]
            match stream.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
