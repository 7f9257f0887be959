//! Capture files as sources of packets.
