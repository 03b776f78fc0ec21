//! What a host function does to the world, in five words. The class decides what happens in a plan,
//! in a replay, and when a run is resumed and the outcome of a call is missing.

use serde::{Deserialize, Serialize};

/// The effect class of a host function. There is no default: a function without one cannot be described.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Looks at the world. Performed in a plan; performed again on resume when its outcome is missing.
    Reads,
    /// Clock, randomness, environment, pure computation: nothing outside changes, the answer is recorded.
    Ambient,
    /// Changes the world and may be repeated safely (server-side apply, put with a key).
    Changes,
    /// Changes the world and must not be repeated (a notification, a command).
    Once,
    /// As `Changes`, and takes something away: risk rules apply.
    Destroys,
}

impl Effect {
    /// Every class, in the order of growing consequence.
    pub const ALL: [Self; 5] = [Self::Reads, Self::Ambient, Self::Changes, Self::Once, Self::Destroys];

    /// True for the classes that change something outside: they are asked before they happen.
    #[must_use]
    pub const fn is_effect(self) -> bool {
        matches!(self, Self::Changes | Self::Once | Self::Destroys)
    }

    /// The word as it stands in journals and reference pages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Ambient => "ambient",
            Self::Changes => "changes",
            Self::Once => "once",
            Self::Destroys => "destroys",
        }
    }
}

impl std::fmt::Display for Effect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
