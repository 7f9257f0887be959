//! IPv4 and IPv6 fragments become datagrams (RFC 791 3.2, RFC 8200 4.5).
//!
//! In: fragments in any order. Out: each datagram's payload once, when its last missing piece arrives.
