//! All texts of one runbook by name: the main script and every import. A journal stores exactly this, so a
//! resumed run needs no file and can import nothing else.
//!
//! Names of files are relative to the project root and end in `.rhai`; embedded libraries are `std/NAME`.

use std::collections::BTreeMap;

use rhai::Position;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Place;

/// The texts of a runbook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    main: String,
    texts: BTreeMap<String, String>,
}

impl Sources {
    /// A main script without imports.
    #[must_use]
    pub fn new(main: impl Into<String>, text: impl Into<String>) -> Self {
        let main = main.into();
        Self { texts: BTreeMap::from([(main.clone(), text.into())]), main }
    }

    /// Adds an imported text.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.add(name.into(), text.into());
        self
    }

    pub(super) fn add(&mut self, name: String, text: String) {
        self.texts.insert(name, text);
    }

    /// Name of the main script.
    #[must_use]
    pub fn main(&self) -> &str {
        &self.main
    }

    /// A text by its name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// Every name and text, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The name that `import "literal"` means in the script `importer`, if it is among the texts.
    #[must_use]
    pub fn resolve(&self, importer: &str, literal: &str) -> Option<String> {
        candidates(importer, literal).into_iter().find(|name| self.texts.contains_key(name))
    }

    /// The token at a position of a script.
    #[must_use]
    pub fn place(&self, source: &str, position: Position) -> Option<Place> {
        Place::of(source, self.text(source).unwrap_or_default(), position)
    }

    /// Where the main script first has these words: for what is known by its text alone.
    pub(super) fn find(&self, words: &str) -> Option<Place> {
        let text = self.text(&self.main)?;
        let before = &text[..text.find(words)?];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some(Place { source: self.main.clone(), line, column, length: words.chars().count() })
    }
}

/// The names an import may mean, in the order in which they are tried: the importer's folder, the project's
/// `lib/`, the embedded libraries. Nothing for a text that is no import at all (`..`, absolute).
pub(super) fn candidates(importer: &str, literal: &str) -> Vec<String> {
    let name = literal.strip_suffix(".rhai").unwrap_or(literal);
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':']);
    if !name.split('/').all(plain) {
        return Vec::new();
    }
    let folder = importer.rsplit_once('/').map_or("", |(folder, _)| folder);
    let beside = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    if name.starts_with("std/") {
        vec![name.to_owned()]
    } else if is_embedded(importer) {
        vec![beside]
    } else {
        vec![format!("{beside}.rhai"), format!("lib/{name}.rhai")]
    }
}

/// Embedded libraries are known by their name without an ending.
pub(super) fn is_embedded(name: &str) -> bool {
    name.starts_with("std/") && !name.ends_with(".rhai")
}
