//! Who talks to whom: addresses, flow keys and the capped table that connections live in.
//!
//! Keys ignore VLAN tags and tunnels: both copies of a tunnelled packet and both halves of an asymmetric VLAN
//! belong to one flow.

mod endpoint;
mod index;
mod key;
mod table;

pub use endpoint::{Address, Endpoint};
pub(crate) use index::Index;
pub use key::{Direction, FlowKey, PairHasher};
pub use table::{Age, EntryId, Table};
