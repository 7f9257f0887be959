//! Candidates that come after the description they belong to (RFC 8840): the sections they may be of.
//!
//! Such a candidate names its section by `mid` and has nothing else of it. What it carries, in which formats and directions,
//! stands in the description that its sender gave before, often without a place (`c=IN IP4 0.0.0.0`, port 9).

use crate::call::dialog::{Dialog, Look};
use crate::sip::StartLine;
use crate::sip::sdp::Media;

/// Sections kept of one dialog: those of either end, and of some forks. Attack: an answer with another tag, and other
/// sections, again and again.
const MAX_SECTIONS: usize = 32;

/// A section with a `mid` of the latest description of its sender.
#[derive(Debug)]
pub(super) struct Section {
    /// Hash of the sender's tag.
    sender: u64,
    media: Media,
}

impl Dialog {
    /// Keeps the sections of a description instead of those that its sender gave before.
    pub(in crate::call) fn keep_sections(&mut self, look: &Look<'_>, description: &[Media]) {
        let named = || description.iter().filter(|media| media.mid != 0 && media.endpoint.port != 0);
        if self.sections().is_empty() && named().next().is_none() {
            return;
        }
        let sender = sender(look);
        let sections = &mut self.signalling.rare().sections;
        sections.retain(|known| known.sender != sender);
        let room = MAX_SECTIONS.saturating_sub(sections.len());
        sections.extend(named().take(room).map(|media| Section { sender, media: media.clone() }));
    }

    /// The media that later candidates are of: of the sections they name and those that share its transport, each with these
    /// candidates. What names none that is known stays as it is.
    pub(in crate::call) fn trickled(&self, look: &Look<'_>, fragment: &[Media]) -> Vec<Media> {
        let sender = sender(look);
        let mut all = Vec::new();
        for named in fragment {
            let is_it = |known: &&Section| {
                let mids = [known.media.mid, known.media.tagged];
                named.mid != 0 && known.sender == sender && mids.contains(&named.mid)
            };
            let before = all.len();
            all.extend(self.sections().iter().filter(is_it).map(|known| Media {
                endpoint: named.endpoint,
                candidates: named.candidates.clone(),
                ..known.media.clone()
            }));
            if all.len() == before {
                all.push(named.clone());
            }
        }
        all
    }

    fn sections(&self) -> &[Section] {
        self.signalling.rare.as_ref().map(|rare| rare.sections.as_slice()).unwrap_or_default()
    }
}

/// Hash of the tag of who sent a message.
fn sender(look: &Look<'_>) -> u64 {
    let keys = &look.head.keys;
    if matches!(look.head.start, StartLine::Request { .. }) { keys.from_tag } else { keys.to_tag }
}
