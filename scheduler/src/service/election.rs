//! The seam to whatever says which engine decides on instants, where several keep the same schedules.

use std::fmt::Debug;

/// Says who leads. Without a leader everybody decides, which is as right and more work: a record is made once, whoever
/// made it.
pub trait Election: Debug + Send + Sync + 'static {
    /// The engine that leads, when it is another one.
    fn leader(&self) -> Option<String>;

    /// Whether it elects anybody: where it does not, there is nothing to tell of it.
    fn elects(&self) -> bool {
        true
    }

    /// This engine has just done what is its part: it may lead.
    fn works(&self);

    /// This engine ends.
    fn resign(&self);
}

/// Every engine decides.
#[derive(Debug)]
pub struct Everybody;

impl Election for Everybody {
    fn leader(&self) -> Option<String> {
        None
    }

    fn elects(&self) -> bool {
        false
    }

    fn works(&self) {}

    fn resign(&self) {}
}
