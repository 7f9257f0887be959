//! What the names in a message are known by: hashes, taken where the message has just been read and its text is near.

use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use foldhash::fast::RandomState;

use super::Head;

/// The secret of this process: nobody outside can make two names share a hash.
static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// The hashes of a message's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Call-ID.
    pub call_id: u64,
    /// The branch of the topmost Via.
    pub branch: u64,
    /// The tag of From.
    pub from_tag: u64,
    /// The tag of To.
    pub to_tag: u64,
    /// User-Agent or Server; 0 without one.
    pub agent: u32,
}

impl Keys {
    /// Those of the message that was read as `head`.
    #[inline]
    pub(super) fn of(message: &[u8], head: &Head) -> Self {
        let secret = &*SECRET;
        let agent = head.agent.of(message);
        Self {
            call_id: key(secret, head.call_id.of(message)),
            branch: key(secret, head.branch.of(message)),
            from_tag: key(secret, head.from_tag.of(message)),
            to_tag: key(secret, head.to_tag.of(message)),
            agent: if agent.is_empty() { 0 } else { key(secret, agent) as u32 | 1 },
        }
    }
}

/// The hash of a name. Its length is no part of what is hashed: it turns the secret that the hash begins with.
#[inline(always)]
fn key(secret: &RandomState, name: &[u8]) -> u64 {
    let mut hasher = secret.build_hasher();
    hasher.write(name);
    hasher.finish()
}

/// The hash of a section's identification tag (RFC 5888 4); never 0.
pub(super) fn mid_key(mid: &[u8]) -> u64 {
    key(&SECRET, mid) | 1
}

/// The hash of a Call-ID that something else than its own message names.
#[must_use]
pub fn call_id_key(call_id: &[u8]) -> u64 {
    key(&SECRET, call_id)
}
