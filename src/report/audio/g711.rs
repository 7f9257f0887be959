//! G.711: eight bits of a logarithmic code become sixteen of a linear one (ITU-T G.711 tables 1a, 1b, 2a and 2b).

/// Which of its two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Law {
    /// A-law: PCMA.
    A,
    /// µ-law: PCMU.
    Mu,
}

impl Law {
    /// The sample that a code word stands for, at the scale of 16 bits.
    pub(super) const fn decode(self, code: u8) -> i16 {
        match self {
            Self::A => a_law(code),
            Self::Mu => mu_law(code),
        }
    }
}

/// Thirteen bits of magnitude and sign, even bits inverted on the line; here eight times as large.
const fn a_law(code: u8) -> i16 {
    let code = code ^ 0x55;
    let segment = (code & 0x70) >> 4;
    let interval = ((code & 0x0f) as i16) << 4;
    let magnitude = match segment {
        0 => interval + 8,
        segment => (interval + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

/// Fourteen bits, all inverted on the line; here four times as large.
const fn mu_law(code: u8) -> i16 {
    let code = !code;
    let interval = (((code & 0x0f) as i16) << 3) + 0x84;
    let magnitude = (interval << ((code & 0x70) >> 4)) - 0x84;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decision values and quantised values of the recommendation: of each segment its first and its last output.
    #[test]
    fn values_are_those_of_the_tables() {
        // Table 1a: character signal before inversion of even bits, and y_n of 4096.
        let rows = [
            (0x80, 1),
            (0x8f, 31),
            (0x90, 33),
            (0x9f, 63),
            (0xa0, 66),
            (0xaf, 126),
            (0xc0, 264),
            (0xf0, 2112),
            (0xff, 4032),
        ];
        for (code, value) in rows {
            assert_eq!(Law::A.decode(code ^ 0x55), value * 8, "{code:#x}");
            assert_eq!(Law::A.decode(code ^ 0x55 ^ 0x80), value * -8, "{code:#x}");
        }
        // Table 2a: character signal, and y_n of 8192.
        let rows = [
            (0xff, 0),
            (0xfe, 2),
            (0xf0, 30),
            (0xef, 33),
            (0xe0, 93),
            (0xdf, 99),
            (0xcf, 231),
            (0x8f, 4191),
            (0x80, 8031),
        ];
        for (code, value) in rows {
            assert_eq!(Law::Mu.decode(code), value * 4, "{code:#x}");
            assert_eq!(Law::Mu.decode(code ^ 0x80), value * -4, "{code:#x}");
        }
    }
}
