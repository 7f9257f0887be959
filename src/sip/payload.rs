//! RTP payload types with a fixed meaning (RFC 3551 6, tables 4 and 5).

/// Encoding name and RTP clock rate in Hz of a static payload type.
#[must_use]
pub(super) const fn static_payload(payload_type: u8) -> Option<(&'static str, u32)> {
    Some(match payload_type {
        0 => ("PCMU", 8000),
        3 => ("GSM", 8000),
        4 => ("G723", 8000),
        5 => ("DVI4", 8000),
        6 => ("DVI4", 16000),
        7 => ("LPC", 8000),
        8 => ("PCMA", 8000),
        // G.722 samples at 16 kHz; its RTP clock is 8 kHz by an old mistake (RFC 3551 4.5.2).
        9 => ("G722", 8000),
        10 | 11 => ("L16", 44100),
        12 => ("QCELP", 8000),
        13 => ("CN", 8000),
        14 => ("MPA", 90000),
        15 => ("G728", 8000),
        16 => ("DVI4", 11025),
        17 => ("DVI4", 22050),
        18 => ("G729", 8000),
        25 => ("CelB", 90000),
        26 => ("JPEG", 90000),
        28 => ("nv", 90000),
        31 => ("H261", 90000),
        32 => ("MPV", 90000),
        33 => ("MP2T", 90000),
        34 => ("H263", 90000),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_rfc_3551_says() {
        assert_eq!(static_payload(9), Some(("G722", 8000)));
        assert_eq!(static_payload(6), Some(("DVI4", 16000)));
        // Reserved, unassigned, the range that collides with RTCP, and dynamic.
        for none in [1, 2, 19, 20, 24, 27, 35, 72, 76, 95, 96, 127, 128, 255] {
            assert_eq!(static_payload(none), None);
        }
    }
}
