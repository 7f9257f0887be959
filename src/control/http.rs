//! HTTP for monitoring systems: `GET /metrics` and `GET /health`, nothing else (RFC 9112).
//!
//! A connection carries one request, which must come within seconds and fit into a few KiB; its body, if any, is not
//! read. With a token, requests must carry it (RFC 6750).

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::serve::{Deadline, Listen, Serving, serve};
use crate::monitor::{Monitor, View, metrics};

/// Longest head of a request.
const MAX_HEAD: usize = 8192;

/// Header fields of a request.
const MAX_FIELDS: usize = 64;

/// How long a request may take to come in, and how long its answer to go out.
const TIME: Duration = Duration::from_secs(5);

/// Longest token; it is sent with each request.
const MAX_TOKEN: usize = 1024;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("{} cannot be read: {reason}; write the token into it, or unset the key", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says. Part of the message, and so not its source.
        reason: io::Error,
    },
    /// It holds something else.
    #[error("{}: want one line of at most {MAX_TOKEN} visible ASCII characters", .0.display())]
    Wrong(PathBuf),
}

impl TokenError {
    /// Whether the system did not permit to read it.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Read { reason, .. } if reason.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// The token that requests must carry: the first line of a file.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn token(path: &Path) -> Result<String, TokenError> {
    let read = |reason| TokenError::Read { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(read)?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.is_empty() || token.len() > MAX_TOKEN || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(TokenError::Wrong(path.to_owned()));
    }
    Ok(token.to_owned())
}

/// The running endpoint.
#[derive(Debug)]
pub struct Endpoint {
    _serving: Serving,
    address: SocketAddr,
}

impl Listen for TcpListener {
    type Client = TcpStream;

    fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = Self::accept(self)?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

impl Endpoint {
    /// Serves `listener`. With `token`, only to those who know it.
    ///
    /// # Errors
    /// When there is no thread or descriptor for it.
    pub fn start(listener: TcpListener, token: Option<String>, monitor: Arc<Monitor>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let handle = move |mut client: TcpStream| {
            let deadline = Deadline::after(TIME);
            let answer = match read_head(&mut client, deadline) {
                Ok(Head::Whole(head)) => respond(&head, token.as_deref(), &monitor.view()),
                Ok(Head::TooLong) => Response::text(431, "the head of a request has at most 8192 bytes\n"),
                Ok(Head::Broken) => Response::text(400, "not a request\n"),
                Err(_) => return,
            };
            // A client that goes away in the middle of it has its reasons.
            let _ = Deadline::after(TIME).write_all(&mut client, &answer.bytes());
            linger(&mut client);
        };
        Ok(Self { _serving: serve("metrics", listener, handle)?, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What is still coming is read for a moment, lest the answer be lost to a reset (RFC 9112 9.6).
fn linger(client: &mut TcpStream) {
    let _ = client.shutdown(std::net::Shutdown::Write);
    let deadline = Deadline::after(Duration::from_millis(200));
    let mut buffer = [0; 1024];
    while deadline.read(client, &mut buffer).is_ok_and(|count| count > 0) {}
}

enum Head {
    Whole(Vec<u8>),
    TooLong,
    Broken,
}

fn read_head(client: &mut TcpStream, deadline: Deadline) -> io::Result<Head> {
    let mut held = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = deadline.read(client, &mut buffer)?;
        if count == 0 {
            return if held.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Head::Broken) };
        }
        held.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        match httparse::Request::new(&mut fields).parse(&held) {
            Ok(httparse::Status::Complete(_)) => return Ok(Head::Whole(held)),
            Ok(httparse::Status::Partial) if held.len() > MAX_HEAD => return Ok(Head::TooLong),
            Ok(httparse::Status::Partial) => {}
            Err(httparse::Error::TooManyHeaders) => return Ok(Head::TooLong),
            Err(_) => return Ok(Head::Broken),
        }
    }
}

fn respond(head: &[u8], token: Option<&str>, view: &View) -> Response {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(head);
    let (Ok(_), Some(method), Some(target)) = (parsed, request.method, request.path) else {
        return Response::text(400, "not a request\n");
    };
    let path = target.split('?').next().unwrap_or_default();
    if !matches!(path, "/metrics" | "/health") {
        return Response::text(404, "there are /metrics and /health\n");
    }
    if !matches!(method, "GET" | "HEAD") {
        let mut refused = Response::text(405, "only GET is answered\n");
        refused.field = "Allow: GET, HEAD\r\n";
        return refused;
    }
    if token.is_some_and(|token| !is_known(request.headers, token)) {
        let mut refused = Response::text(401, "this needs the token of metrics.token_file\n");
        refused.field = "WWW-Authenticate: Bearer\r\n";
        return refused;
    }
    let mut response = if path == "/metrics" { exposition(view) } else { health(view) };
    response.bodiless = method == "HEAD";
    response
}

fn is_known(fields: &[httparse::Header<'_>], token: &str) -> bool {
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case("authorization"));
    let Some((scheme, given)) = field.and_then(|field| field.value.split_at_checked("Bearer ".len())) else {
        return false;
    };
    let token = token.as_bytes();
    // Every byte is looked at, wherever the first difference is: time tells nothing of the token.
    let differs = given.iter().zip(token).fold(0, |sum, (a, b)| sum | (a ^ b));
    scheme.eq_ignore_ascii_case(b"Bearer ") && given.len() == token.len() && differs == 0
}

fn exposition(view: &View) -> Response {
    let body = metrics::text(view);
    Response { kind: metrics::CONTENT_TYPE, ..Response::text(200, &body) }
}

fn health(view: &View) -> Response {
    let tracker = &view.sample.snapshot.gauges.tracker;
    let body = json!({
        "status": view.health.status(),
        "uptime_seconds": view.sample.uptime.as_secs(),
        "active_calls": view.sample.active_calls(),
        "registered_contacts": tracker.bindings,
        "failing": view.health.failing(),
    });
    let status = if view.health.is_good() { 200 } else { 503 };
    Response { kind: "application/json", ..Response::text(status, &format!("{body}\n")) }
}

struct Response {
    status: u16,
    kind: &'static str,
    field: &'static str,
    body: String,
    /// The answer to HEAD has the fields alone.
    bodiless: bool,
}

impl Response {
    fn text(status: u16, body: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", field: "", body: body.to_owned(), bodiless: false }
    }

    fn bytes(&self) -> Vec<u8> {
        let reason = match self.status {
            200 => "OK",
            401 => "Unauthorized",
            404 => "Not Found",
            405 => "Method Not Allowed",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "Bad Request",
        };
        let head = format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{}Connection: close\r\n\r\n",
            self.status,
            self.kind,
            self.body.len(),
            self.field
        );
        let body = if self.bodiless { "" } else { self.body.as_str() };
        [head.as_bytes(), body.as_bytes()].concat()
    }
}
