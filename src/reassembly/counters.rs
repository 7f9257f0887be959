//! What reassembly counts.

/// Events since the start. Bytes are payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// TCP segments taken.
    pub segments: u64,
    /// Their payload bytes, as far as captured.
    pub payload_bytes: u64,
    /// Bytes handed to the application.
    pub delivered_bytes: u64,
    /// Connections that carried bytes.
    pub streams: u64,
    /// Of these, those whose beginning was not captured.
    pub midstream_pickups: u64,
    /// Segments that brought only bytes seen before.
    pub retransmitted_segments: u64,
    /// Their bytes.
    pub retransmitted_bytes: u64,
    /// Keep-alive probes: at most one byte, just before the next (RFC 9293 3.8.4).
    pub keepalive_probes: u64,
    /// Segments that had to wait for bytes before them.
    pub out_of_order_segments: u64,
    /// Segments of which a part had been seen before; the first bytes win.
    pub overlaps: u64,
    /// The bytes that had been seen before.
    pub overlap_bytes: u64,
    /// Holes that were given up.
    pub reassembly_gaps: u64,
    /// Bytes in them that are known to be missing.
    pub gap_bytes: u64,
    /// Payload bytes that the capture cut off.
    pub snapped_bytes: u64,
    /// Holes given up before their time because a cap on held segments or bytes was reached.
    pub segment_memcap_drop: u64,
    /// Segments with sequence numbers that do not fit the stream.
    pub strange_segments: u64,
    /// Streams that went on at such a number.
    pub repickups: u64,
    /// Bytes of such segments, of segments with RST, and of connections beyond the cap, dropped.
    pub dropped_bytes: u64,
    /// Connections that the application did not want.
    pub rejected_streams: u64,
    /// Bytes of such connections.
    pub rejected_bytes: u64,
    /// RST segments that ended a connection.
    pub resets: u64,
    /// RST segments that did not fit theirs (RFC 5961 3).
    pub resets_ignored: u64,
    /// Connections followed by another one between the same endpoints.
    pub port_reuse: u64,
    /// Connections that ended: FIN on both sides, RST, time-out or end of input.
    pub streams_ended: u64,
    /// Connections ended because nothing was heard of them.
    pub streams_timed_out: u64,
    /// Connections that went because the table was full.
    pub streams_evicted: u64,
    /// Connections that queued to hold bytes.
    pub streams_queued: u64,
    /// Times that a connection gave up the bytes it held because a cap was reached or it held them too long.
    pub streams_shed: u64,
    /// Bytes, as allocated, given up by the application then.
    pub shed_bytes: u64,
}
