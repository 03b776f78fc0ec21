//! `parallel(items, [options], body)` as authors see it; [`crate::run`] does what is said here.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Builtin, options};

pub(super) fn described() -> Builtin {
    Builtin {
        name: "parallel",
        arity: (2, 3),
        signature: "parallel(items, [options], body)",
        options: options::<ParallelOptions>(),
        summary: "Runs a body for each item side by side and answers the results in the items' order.",
        page: "Each item is a branch with its own place in the journal: a resumed run goes on with the branches that \
               are not done. The body sees copies of the variables around it, and hands its result back. \
               A branch that waits for people keeps its place among `max`; \
               the others go on.",
        example: "parallel([\"a\", \"b\", \"c\"], #{ max: 2, collect: true }, |zone| log(zone))",
    }
}

/// Branches at once when the script does not say.
const USUAL: i64 = 8;

/// More threads than this help nobody.
const MOST: i64 = 64;

/// Options of a parallel block.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParallelOptions {
    /// How many branches run at once, 1 to 64; less is taken as 1, more as 64. Example: `max: 3`.
    #[serde(default = "usual")]
    max: i64,
    /// What a failed branch does to the others. `false`: no further branch begins, those under way end, and the
    /// first item's error is the block's. `true`: all of them run, and the answer has a map for each item:
    /// `#{ ok: true, value: ... }` or `#{ ok: false, error: ... }`. Example: `collect: true`.
    #[serde(default)]
    pub(crate) collect: bool,
}

impl ParallelOptions {
    /// How many branches run at once.
    pub(crate) fn at_once(&self) -> usize {
        usize::try_from(self.max.clamp(1, MOST)).unwrap_or(1)
    }
}

const fn usual() -> i64 {
    USUAL
}
