//! The client's side of the socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use super::protocol::{Answer, MAX_ANSWER, Question};

/// How long an answer may take. The server gives up earlier and says so.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens at any of these places.
    #[error(
        "no sniffer is running: nobody answers at {}; start one with: lippycat sniff voip -i any{}",
        listed(places), instance.as_ref().map_or_else(String::new, |name| format!(" --name {name}"))
    )]
    Nobody {
        /// The sockets that were tried.
        places: Vec<PathBuf>,
        /// The instance that was asked for.
        instance: Option<String>,
    },
    /// Somebody does, and not to us.
    #[error(
        "{}: not permitted to ask the sniffer; run this as root or as a member of the socket's group (control.group)",
        .0.display()
    )]
    NotPermitted(PathBuf),
    /// The connection broke or took too long.
    #[error("{}: no answer from the sniffer: {reason}", path.display())]
    Broken {
        /// Where.
        path: PathBuf,
        /// Why. Part of the message, and so not its source.
        reason: io::Error,
    },
    /// It answers something else.
    #[error("{}: what answers there is no lippycat of this version: {reason}", path.display())]
    Strange {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It says no.
    #[error("the sniffer says: {0}")]
    Refused(String),
}

/// The rows of all pages.
#[derive(Debug, Default)]
pub struct Rows {
    /// Those that were asked for.
    pub rows: Vec<Value>,
    /// How many others there are.
    pub others: u64,
}

/// A connection to a sniffer.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl Client {
    /// Connects to the first of `places` where somebody listens.
    ///
    /// # Errors
    /// When there is none, or it does not let us.
    pub fn connect(places: &[PathBuf], instance: Option<&str>) -> Result<Self, ClientError> {
        let mut refused = None;
        for path in places {
            match UnixStream::connect(path) {
                Ok(stream) => return Self::over(stream, path),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    refused = refused.or(Some(path.clone()));
                }
                Err(_) => {}
            }
        }
        match refused {
            Some(path) => Err(ClientError::NotPermitted(path)),
            None => {
                Err(ClientError::Nobody { places: places.to_vec(), instance: instance.map(str::to_owned) })
            }
        }
    }

    fn over(stream: UnixStream, path: &Path) -> Result<Self, ClientError> {
        let timed = stream.set_read_timeout(Some(PATIENCE)).and(stream.set_write_timeout(Some(PATIENCE)));
        timed.map_err(|reason| ClientError::Broken { path: path.to_owned(), reason })?;
        Ok(Self { stream: BufReader::new(stream), path: path.to_owned() })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When there is none, or it is a refusal.
    pub fn ask(&mut self, question: &Question) -> Result<Value, ClientError> {
        let broken = |reason| ClientError::Broken { path: self.path.clone(), reason: in_words(reason) };
        let mut line = serde_json::to_vec(question).map_err(|error| broken(error.into()))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(broken)?;
        let mut text = Vec::new();
        let mut bounded = self.stream.by_ref().take(MAX_ANSWER as u64);
        bounded.read_until(b'\n', &mut text).map_err(broken)?;
        if text.last() != Some(&b'\n') {
            let reason = if text.is_empty() { "it hung up" } else { "its answer is cut off" };
            return Err(broken(io::Error::new(io::ErrorKind::UnexpectedEof, reason)));
        }
        let strange = |reason: String| ClientError::Strange { path: self.path.clone(), reason };
        let answer: Answer = serde_json::from_slice(&text).map_err(|error| strange(error.to_string()))?;
        match answer {
            Answer { data: Some(data), error: None, .. } => Ok(data),
            Answer { error: Some(error), .. } => Err(ClientError::Refused(error.message)),
            Answer { .. } => Err(strange("an answer without data".to_owned())),
        }
    }

    /// Asks for every page and puts the rows of `key` together.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_all(&mut self, mut question: Question, key: &str) -> Result<Rows, ClientError> {
        let mut all = Rows::default();
        loop {
            let mut page = self.ask(&question)?;
            if let Some(Value::Array(more)) = page.get_mut(key).map(Value::take) {
                all.rows.extend(more);
            }
            all.others += page.get("others").and_then(Value::as_u64).unwrap_or_default();
            match page.get("next") {
                None | Some(Value::Null) => return Ok(all),
                Some(next) if question.cursor.as_ref() == Some(next) => return Ok(all),
                Some(next) => question.cursor = Some(next.clone()),
            }
        }
    }
}

/// What the system says of a time that is over, SO_RCVTIMEO of socket(7), helps nobody.
fn in_words(reason: io::Error) -> io::Error {
    match reason.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            let text = format!("nothing came for {} s; it may be stopped", PATIENCE.as_secs());
            io::Error::new(io::ErrorKind::TimedOut, text)
        }
        _ => reason,
    }
}

fn listed(places: &[PathBuf]) -> String {
    let names: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sniffer_that_does_not_answer_is_told_in_words_and_once() {
        let reason = in_words(io::Error::from_raw_os_error(11));
        let error = anyhow::Error::from(ClientError::Broken { path: PathBuf::from("s.sock"), reason });
        assert_eq!(
            format!("{error:#}"),
            "s.sock: no answer from the sniffer: nothing came for 15 s; it may be stopped"
        );
    }
}
