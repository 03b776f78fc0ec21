//! Version of what is stored. Increase it when an older aegis could misread what this one writes: a new
//! entry kind that changes what a resume must do, a changed meaning of a field, another hash input.
//! Added optional fields do not count, nor does a kind that only tells something (`placed`): an older aegis
//! refuses a run that has one, it does not misread it. One sample per version is kept in `engine/tests/formats/`.

use serde::{Deserialize, Serialize};

/// Version of the stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Format(pub u32);

impl Format {
    /// What this version writes.
    pub const CURRENT: Self = Self(1);

    /// Whether a reader of version `reader` may read, and write to, something of this version.
    ///
    /// # Errors
    /// When it was written by something newer.
    pub fn check_readable_by(self, reader: Self) -> Result<(), NewerFormat> {
        if self <= reader { Ok(()) } else { Err(NewerFormat { found: self, reader }) }
    }
}

/// The stored form is newer than this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has format {}, this aegis reads up to {}", found.0, reader.0)]
pub struct NewerFormat {
    /// What was found.
    pub found: Format,
    /// What can be read.
    pub reader: Format,
}
