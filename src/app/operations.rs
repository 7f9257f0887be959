//! What runs beside the pipeline so that a running sniffer can be asked: board, monitor, control socket, metrics.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::Value;

use super::service::Hook;
use super::tell;
use crate::config::{Config, Environment};
use crate::control::http::{self, Endpoint};
use crate::control::server::Server;
use crate::control::socket::{self, ControlSocket, SocketError};
use crate::monitor::{Caps, Monitor, Running};
use crate::pipeline::Board;
use crate::sink::DiskStatus;

/// Sockets that are bound and not served yet: they are made before privileges go, threads start and packets come.
#[derive(Debug, Default)]
pub(super) struct Beside {
    control: Option<ControlSocket>,
    metrics: Option<(TcpListener, Option<String>)>,
    /// The settings in effect, as debug config tells them.
    effective: Value,
}

/// Binds what is asked for; live runs are asked for a control socket without being told.
///
/// # Errors
/// When another sniffer is there, or what was asked for cannot be had.
pub(super) fn prepare(config: &Config, environment: &Environment, effective: Value) -> Result<Beside> {
    let live = config.run.live || config.run.follow.is_some();
    let control = control(config, environment, live)?;
    let listen = config.metrics.listen.filter(|_| live || config.metrics.is_flag);
    let listener = listen
        .map(|address| {
            TcpListener::bind(address).with_context(|| format!("metrics: {address} cannot be listened on"))
        })
        .transpose()?;
    let metrics = listener.map(|listener| Ok::<_, anyhow::Error>((listener, token(config)?))).transpose()?;
    Ok(Beside { control, metrics, effective })
}

/// Everything that runs beside the pipeline. It ends when this is dropped, the last started first.
#[derive(Debug)]
pub(super) struct Operations {
    _server: Option<Server>,
    _endpoint: Option<Endpoint>,
    running: Running,
}

impl Beside {
    /// The control socket, if there is one.
    pub(super) const fn control(&self) -> Option<&ControlSocket> {
        self.control.as_ref()
    }

    /// Whether anybody could ask.
    pub(super) const fn is_empty(&self) -> bool {
        self.control.is_none() && self.metrics.is_none()
    }
}

impl Operations {
    /// Starts the monitor and serves the sockets.
    ///
    /// # Errors
    /// When there are no threads or descriptors for it.
    pub(super) fn start(
        beside: Beside,
        board: Arc<Board>,
        config: &Config,
        files: Arc<DiskStatus>,
    ) -> Result<Self> {
        let running =
            Monitor::start(board, caps(config), config.alerts, beside.effective, Some(files), config.privacy)
                .context("the monitor cannot be started")?;
        let server = beside.control.map(|socket| Server::start(socket, running.monitor())).transpose();
        let endpoint = beside
            .metrics
            .map(|(listener, token)| Endpoint::start(listener, token, running.monitor()))
            .transpose();
        let server = server.context("the control socket cannot be served")?;
        let endpoint = endpoint.context("the metrics endpoint cannot be served")?;
        if let Some(server) = &server {
            tracing::info!("lippycat debug is answered at {}", server.path().display());
        }
        if let Some(endpoint) = &endpoint {
            tracing::info!("metrics are at http://{}/metrics", endpoint.address());
        }
        Ok(Self { _server: server, _endpoint: endpoint, running })
    }

    /// Takes new thresholds when the configuration is read again.
    pub(super) fn takes_alerts(&self) -> Hook {
        let monitor = self.running.monitor();
        let take = move |config: &Config, told: &Value| {
            let mut effective = (*monitor.config()).clone();
            if let (Some(old), Some(new)) = (effective.get_mut("alerts"), told.get("alerts")) {
                old.clone_from(new);
            }
            for about in ["text", "origins"] {
                let new = told.get(about).and_then(Value::as_object).into_iter().flatten();
                let new = new.filter(|(key, _)| key.starts_with("alerts."));
                if let Some(Value::Object(old)) = effective.get_mut(about) {
                    old.extend(new.map(|(key, value)| (key.clone(), value.clone())));
                }
            }
            monitor.reload(config.alerts, effective);
            Ok(())
        };
        Hook { keys: "alerts.", take: Box::new(take) }
    }
}

/// What the run may use, as the monitor sees it.
fn caps(config: &Config) -> Caps {
    let count = |cap: Option<usize>| cap.map(|cap| cap as u64);
    let streams = &config.streams;
    Caps {
        mode: crate::config::units::name_of(&config.mode),
        streams: count(streams.max_holding),
        queue: streams.queue as u64,
        buffers: count(streams.max_buffers),
        memory: streams.memory_limit.as_u64(),
        live: config.run.live,
    }
}

fn control(config: &Config, environment: &Environment, live: bool) -> Result<Option<ControlSocket>> {
    let control = &config.control;
    if !live && !control.is_flag {
        return Ok(None);
    }
    let instance = control.instance.as_deref();
    let group = control.group.as_deref();
    if let Some(path) = &control.socket {
        return Ok(Some(ControlSocket::bind(path, group).map_err(about)?));
    }
    let runtime = environment.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    let Some(path) = socket::own_place(runtime.as_deref(), instance) else {
        tell(
            "warning: no control socket: neither /run/lippycat nor $XDG_RUNTIME_DIR can be written to; use --control-socket PATH",
        )?;
        return Ok(None);
    };
    match ControlSocket::bind(&path, group) {
        Ok(socket) => Ok(Some(socket)),
        // A sniffer without debug is better than none.
        Err(error @ SocketError::System { .. }) if instance.is_none() => {
            tell(&format!("warning: {error}; lippycat debug will not find this run"))?;
            Ok(None)
        }
        Err(error) => Err(about(error)),
    }
}

/// With the key that is to blame, where that is not plain.
fn about(error: SocketError) -> anyhow::Error {
    let is_group = matches!(error, SocketError::NoGroup(_));
    let error = anyhow::Error::from(error);
    if is_group { error.context("control.group") } else { error }
}

/// The token of the metrics endpoint.
fn token(config: &Config) -> Result<Option<String>> {
    let token = config.metrics.token_file.as_deref().map(http::token).transpose();
    token.context("metrics.token_file")
}
