//! Differences that stay, with their reasons. They count as differences all the same.

/// One kind of difference that stays.
pub(crate) struct Known {
    /// What the difference's place and texts contain.
    pub(crate) pattern: &'static str,
    /// Why it stays.
    pub(crate) reason: &'static str,
}

/// All of them; the first that fits explains a difference.
pub(crate) const KNOWN: &[Known] = &[];
