//! What reassembly counts.

use crate::counters::counters;

counters! {
    /// Events since the start. Bytes are payload bytes.
    pub struct Counters {
    /// TCP segments taken.
    segments,
    /// Their payload bytes, as far as captured.
    payload_bytes,
    /// Bytes handed to the application.
    delivered_bytes,
    /// Connections that carried bytes.
    streams,
    /// Of these, those whose beginning was not captured.
    midstream_pickups,
    /// Segments that brought only bytes seen before.
    retransmitted_segments,
    /// Their bytes.
    retransmitted_bytes,
    /// Keep-alive probes: at most one byte, just before the next (RFC 9293 3.8.4).
    keepalive_probes,
    /// Segments that had to wait for bytes before them.
    out_of_order_segments,
    /// Segments of which a part had been seen before; the first bytes win.
    overlaps,
    /// The bytes that had been seen before.
    overlap_bytes,
    /// Holes that were given up.
    reassembly_gaps,
    /// Of these, holes whose bytes the receiver acknowledged: it had them, so the capture lost them and not the network.
    acknowledged_gaps,
    /// Bytes in holes that are known to be missing.
    gap_bytes,
    /// Payload bytes that the capture cut off.
    snapped_bytes,
    /// Holes given up before their time because a cap on held segments or bytes was reached.
    segment_memcap_drop,
    /// Segments with sequence numbers that do not fit the stream.
    strange_segments,
    /// Streams that went on at such a number.
    repickups,
    /// Bytes of such segments, of segments with RST, and of connections beyond the cap, dropped.
    dropped_bytes,
    /// Connections that the application did not want.
    rejected_streams,
    /// Bytes of such connections.
    rejected_bytes,
    /// RST segments that ended a connection.
    resets,
    /// RST segments that no receiver obeys (RFC 5961 3.2).
    resets_ignored,
    /// Connections followed by another one between the same endpoints.
    port_reuse,
    /// Connections that ended: FIN on both sides, RST, time-out or end of input.
    streams_ended,
    /// Connections ended because nothing was heard of them.
    streams_timed_out,
    /// Connections that went because the table was full.
    streams_evicted,
    /// Connections that queued to hold bytes.
    streams_queued,
    /// Times that a connection gave up the bytes it held because a cap was reached or it held them too long.
    streams_shed,
    /// Bytes, as allocated, given up by the application then.
    shed_bytes,
}
}
