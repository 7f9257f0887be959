//! What codecs do to speech, as far as it is published (ITU-T G.113).

use super::emodel::Band;

/// Impairment by a codec.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Band of the speech it carries, and so the scale of `factor`.
    pub band: Band,
    /// `Ie` or `Ie,WB`.
    pub factor: f64,
    /// `Bpl`; none where none is published.
    pub robustness: Option<f64>,
}

/// Why a stream has no rating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrated {
    /// What its payload type means is not known.
    UnknownCodec,
    /// Nobody has published an impairment factor for its codec.
    NoImpairment,
    /// There is one for each of the codec's modes, and the mode is not known.
    UnknownMode,
    /// Packets were lost, and no robustness factor is published for its codec.
    NoRobustness,
    /// It is no speech.
    NoSpeech,
    /// There is too little of it to be judged.
    TooShort,
}

impl Unrated {
    /// In words.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::UnknownCodec => "codec not known",
            Self::NoImpairment => "no published Ie for this codec",
            Self::UnknownMode => "Ie depends on the codec's mode, which is not known",
            Self::NoRobustness => "packets were lost, and there is no published Bpl for this codec",
            Self::NoSpeech => "not speech",
            Self::TooShort => "less than a second",
        }
    }
}

/// What is published for the codec of this encoding name, in any case.
///
/// Narrow band: G.113 appendix I, tables of `Ie` and of `Bpl`. G.711 is taken to conceal losses, as telephones do;
/// G.729 to be G.729A with silence suppression, which is what its `Bpl` was found for. Wide band: appendix IV, for
/// a handset; there is no `Bpl` for that. The name of RTP does not tell the rate of G.723.1, which is taken to be
/// 6.3 kbit/s, nor that of G.722, which is 64 kbit/s over RTP (RFC 3551 4.5.2).
///
/// # Errors
///
/// Why there is nothing.
pub fn impairment(name: &str) -> Result<Impairment, Unrated> {
    let narrow = |factor, robustness| Ok(Impairment { band: Band::Narrow, factor, robustness });
    match name.to_ascii_uppercase().as_str() {
        "" => Err(Unrated::UnknownCodec),
        "PCMU" | "PCMA" => narrow(0.0, Some(25.1)),
        "G729" | "G729A" => narrow(11.0, Some(19.0)),
        "G723" => narrow(15.0, Some(16.1)),
        "GSM-EFR" => narrow(5.0, Some(10.0)),
        "GSM" => narrow(20.0, None),
        "G726-40" => narrow(2.0, None),
        "G726-32" => narrow(7.0, None),
        "G726-24" => narrow(25.0, None),
        "G726-16" => narrow(50.0, None),
        "G728" => narrow(7.0, None),
        "EVRC" | "EVRC0" => narrow(6.0, None),
        "QCELP" => narrow(21.0, None),
        "G722" => Ok(Impairment { band: Band::Wide, factor: 13.0, robustness: None }),
        "AMR-WB" | "G7221" => Err(Unrated::UnknownMode),
        "TELEPHONE-EVENT" | "CN" | "RED" | "T140" | "T38" | "H261" | "H263" | "H263-1998" | "H263-2000"
        | "H264" | "H265" | "VP8" | "VP9" | "AV1" | "JPEG" | "CELB" | "NV" | "MPV" | "MP2T" | "MP4V-ES"
        | "RTX" | "ULPFEC" | "FLEXFEC-03" => Err(Unrated::NoSpeech),
        _ => Err(Unrated::NoImpairment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G.113 appendix I as reprinted in the literature: `Ie` of the codecs, and `Bpl` of the four that have one.
    #[test]
    fn factors_are_those_of_g_113() {
        for (name, factor, robustness) in [
            ("PCMU", 0.0, Some(25.1)),
            ("pcma", 0.0, Some(25.1)),
            ("G729", 11.0, Some(19.0)),
            ("G729A", 11.0, Some(19.0)),
            ("G723", 15.0, Some(16.1)),
            ("GSM-EFR", 5.0, Some(10.0)),
            ("GSM", 20.0, None),
            ("G726-32", 7.0, None),
            ("G728", 7.0, None),
        ] {
            let impairment = impairment(name).unwrap();
            assert_eq!((impairment.factor, impairment.robustness), (factor, robustness), "{name}");
            assert_eq!(impairment.band, Band::Narrow, "{name}");
        }
        assert_eq!(impairment("G722").unwrap().band, Band::Wide);
    }

    #[test]
    fn what_is_not_published_is_not_made_up() {
        for (name, why) in [
            ("", Unrated::UnknownCodec),
            ("opus", Unrated::NoImpairment),
            ("iLBC", Unrated::NoImpairment),
            ("AMR", Unrated::NoImpairment),
            ("AMR-WB", Unrated::UnknownMode),
            ("H264", Unrated::NoSpeech),
        ] {
            assert_eq!(impairment(name), Err(why), "{name}");
        }
    }
}
