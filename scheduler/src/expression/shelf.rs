//! What the cron crates make of a text takes kilobytes (five of them for the years of five fields alone), and a project
//! may write thousands of texts. So an expression keeps its text; what was made of those used last stands here, and
//! the rest is read again when it is asked for, in microseconds.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;

/// Two texts of one place push each other out: no use has to be written down, and none in turn pushes out all others.
const PLACES: usize = 256;

/// What was read last, of one thread.
pub(super) struct Shelf<T> {
    places: Vec<Option<(Arc<str>, Rc<T>)>>,
}

impl<T> Shelf<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new() }
    }

    /// What stands for a text, read when it is not there.
    pub(super) fn get(&mut self, text: &Arc<str>, read: impl FnOnce(&str) -> Option<T>) -> Option<Rc<T>> {
        self.places.resize_with(PLACES, || None);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let place = self.places.get_mut(hasher.finish() as usize % PLACES)?;
        if let Some((known, made)) = place
            && known == text
        {
            return Some(Rc::clone(made));
        }
        let made = Rc::new(read(text)?);
        *place = Some((Arc::clone(text), Rc::clone(&made)));
        Some(made)
    }
}
