//! Controllers over a bare store and a pinned clock: steps are counted, nothing sleeps.

mod bench;
mod deployments;
