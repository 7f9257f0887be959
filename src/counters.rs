//! Counts that stages keep: plain sums, so that those of several batches or workers add up.

/// Declares a struct of `u64` counters with documented fields, and `add`.
macro_rules! counters {
    ($(#[$about:meta])* $visibility:vis struct $type:ident { $($(#[$meta:meta])* $name:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $visibility struct $type {
            $($(#[$meta])* $visibility $name: u64,)*
        }

        impl $type {
            /// Adds those of another batch or worker.
            $visibility fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
            }
        }
    };
}

pub(crate) use counters;
