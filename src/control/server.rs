//! The server's side of the socket.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::answer::answer;
use super::protocol::{Answer, MAX_QUESTION, Question, Trouble};
use super::serve::{Deadline, Listen, Serving, serve};
use super::socket::ControlSocket;
use crate::monitor::Monitor;

/// How long a client may take to send its next question, as a whole.
const QUESTION_TIME: Duration = Duration::from_secs(10);

/// How long it may take to read the answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The running server; its socket goes when this is dropped.
#[derive(Debug)]
pub struct Server {
    // In this order: nobody is served any more when the file goes.
    _serving: Serving,
    socket: ControlFile,
}

#[derive(Debug)]
struct ControlFile(ControlSocket);

impl Listen for UnixListener {
    type Client = UnixStream;

    fn accept(&self) -> io::Result<UnixStream> {
        let (stream, _) = Self::accept(self)?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

impl Server {
    /// Serves `socket` from what `monitor` sees.
    ///
    /// # Errors
    /// When there is no thread or descriptor for it.
    pub fn start(socket: ControlSocket, monitor: Arc<Monitor>) -> io::Result<Self> {
        let listener = socket.listener.try_clone()?;
        let handle = move |mut client: UnixStream| talk(&mut client, &monitor);
        let serving = serve("control", listener, handle)?;
        Ok(Self { _serving: serving, socket: ControlFile(socket) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::to_owned(self.socket.0.path())
    }
}

/// Answers the questions of a client until it leaves, or is too slow.
fn talk(client: &mut UnixStream, monitor: &Monitor) {
    if let Ok(peer) = getsockopt(client, PeerCredentials) {
        tracing::debug!(pid = peer.pid(), uid = peer.uid(), gid = peer.gid(), "control client");
    }
    let mut lines = Lines::default();
    loop {
        let answer = match lines.next(client) {
            Ok(Line::Whole(line)) => match Question::parse(&line) {
                Ok(question) => answer(monitor, &question),
                Err(refusal) => refusal,
            },
            Ok(Line::TooLong) => {
                let message = format!("a question has at most {MAX_QUESTION} bytes");
                let line = Answer::refusal(Trouble::TooLong, message).line();
                // What else it has to say cannot be told apart from the rest of that line.
                let _ = Deadline::after(ANSWER_TIME).write_all(client, &line);
                return;
            }
            Ok(Line::End) => return,
            Err(error) => return tracing::debug!("control client: {error}"),
        };
        if let Err(error) = Deadline::after(ANSWER_TIME).write_all(client, &answer.line()) {
            return tracing::debug!("control client: {error}");
        }
    }
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

/// Cuts what a client sends into lines. Holds at most one question and what came with it.
#[derive(Debug, Default)]
struct Lines {
    held: Vec<u8>,
}

impl Lines {
    fn next(&mut self, client: &mut UnixStream) -> io::Result<Line> {
        let deadline = Deadline::after(QUESTION_TIME);
        let mut searched = 0;
        loop {
            let fresh = self.held.get(searched..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', fresh) {
                let mut line: Vec<u8> = self.held.drain(..=searched + end).collect();
                line.pop();
                return Ok(Line::Whole(line));
            }
            searched = self.held.len();
            let room = MAX_QUESTION.saturating_sub(self.held.len());
            if room == 0 {
                return Ok(Line::TooLong);
            }
            let mut buffer = [0; 1024];
            let part = buffer.get_mut(..room.min(1024)).unwrap_or_default();
            match deadline.read(client, part)? {
                0 => return Ok(Line::End),
                count => self.held.extend_from_slice(part.get(..count).unwrap_or_default()),
            }
        }
    }
}
