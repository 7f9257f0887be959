//! From the resolved configuration to what each stage is told.

use regex::bytes::RegexBuilder;

use crate::call::{self, Filter, Pattern};
use crate::capture::{FilterError, PacketFilter};
use crate::config::limits;
use crate::config::{Config, Selection};
use crate::pipeline::Threads;
use crate::{defrag, media, pipeline, reassembly, sip};

/// What packets are read for.
pub(super) struct Reading {
    /// Which calls are followed, and what is kept of them.
    pub(super) calls: call::Settings,
    /// Somebody takes frames.
    pub(super) frames: bool,
    /// The process ends after it: see [`pipeline::Settings::is_last`].
    pub(super) is_last: bool,
    /// Who listens masks what is told: it is to hear of what was captured.
    pub(super) is_private: bool,
}

impl Reading {
    /// That of a run which shows calls, and ends.
    pub(super) const fn of(calls: call::Settings) -> Self {
        Self { calls, frames: false, is_last: true, is_private: false }
    }

    /// That of `sniff voip`.
    pub(super) fn sniffing(config: &Config) -> Self {
        Self { frames: config.pcap.write, ..Self::of(calls(config)) }
    }
}

/// The settings of a run.
///
/// # Errors
/// When the capture filter is not valid.
pub(super) fn settings(config: &Config, reading: Reading) -> Result<pipeline::Settings, FilterError> {
    let Reading { calls, frames, is_last, is_private: _ } = reading;
    Ok(pipeline::Settings {
        defrag: defrag::Limits {
            max_datagrams: limits::DEFRAG_DATAGRAMS,
            max_bytes: limits::DEFRAG_BYTES,
            timeout: limits::DEFRAG_TIMEOUT,
            keep_frames: frames,
        },
        reassembly: reassembly(config),
        streams: sip::StreamSettings {
            max_message: limits::MESSAGE_BYTES,
            search_limit: limits::DETECTION_BYTES as u64,
            keep_shares: frames,
        },
        call_limits: call::Limits {
            max_dialogs: limits::CALLS,
            idle_timeout: config.call_expiration,
            max_waiting: limits::WAITING_LEGS,
            media: media::Limits {
                max_flows: limits::MEDIA_FLOWS,
                max_unclaimed: limits::UNCLAIMED_FLOWS,
                unclaimed_timeout: limits::UNCLAIMED_TIMEOUT,
                backlog_bytes: limits::UNCLAIMED_BYTES,
            },
        },
        calls: call::Settings { legs: legs(config), ..calls },
        filter: config.run.filter.as_deref().map(PacketFilter::new).transpose()?,
        batch: config.batch,
        workers: config.workers,
        count: config.run.count,
        duration: config.run.duration,
        board: None,
        log_streams: config.run.inputs.is_empty(),
        is_last,
    })
}

/// The threads of a run over captures.
pub(super) const fn threads(config: &Config) -> Threads {
    match config.workers {
        0 => Threads::Inline,
        workers => Threads::Workers(workers),
    }
}

/// Which calls `sniff voip` keeps.
fn calls(config: &Config) -> call::Settings {
    call::Settings {
        filter: filter(&config.run.selection),
        registrations: config.pcap.registrations,
        others: config.pcap.options,
        media_frames: config.pcap.write && config.pcap.rtp,
        digits: config.privacy.digits,
        legs: call::LegSettings::default(),
        is_asked: false,
    }
}

fn legs(config: &Config) -> call::LegSettings {
    call::LegSettings { fields: config.leg_headers.clone() }
}

fn reassembly(config: &Config) -> reassembly::Limits {
    let streams = &config.streams;
    reassembly::Limits {
        max_connections: limits::CONNECTIONS,
        stream_timeout: streams.timeout,
        gap_timeout: limits::GAP_TIMEOUT,
        max_direction_bytes: limits::DIRECTION_BYTES,
        memory_limit: usize::try_from(streams.memory_limit.as_u64()).unwrap_or(usize::MAX),
        max_holding: streams.max_holding,
        queue: streams.queue,
        max_queue_time: streams.max_queue_time,
        backpressure: streams.backpressure,
        max_buffers: streams.max_buffers,
        buffer_max_age: streams.buffer_max_age,
        ..reassembly::Limits::default()
    }
}

fn filter(selection: &Selection) -> Filter {
    let patterns = |names: &[String]| names.iter().flat_map(|name| Pattern::of(name)).collect();
    Filter {
        users: patterns(&selection.users),
        from: patterns(&selection.from),
        to: patterns(&selection.to),
        methods: selection.methods.clone(),
        // It was compiled for text before, and what is valid there is valid for bytes.
        // `^` and `$` are those of a line: nobody asks for the first line of a message otherwise.
        text: selection
            .pattern
            .as_ref()
            .and_then(|pattern| RegexBuilder::new(pattern.as_str()).multi_line(true).build().ok()),
        invert: selection.invert,
    }
}
