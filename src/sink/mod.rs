//! What leaves the program: per-call PCAPs, records, events.
//!
//! In: frames and messages with the number of the file they belong to, records, events. Out: bytes on disk and
//! on stdout. Nothing that comes from the wire reaches a path or a terminal unescaped.
