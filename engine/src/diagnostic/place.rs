//! A place in a source text: line, column and the length of the token that stands there. Rhai tells only
//! where a token starts; a caret under the whole name is what a person wants to see.

use rhai::Position;
use serde::{Deserialize, Serialize};

/// A stretch of one line of a source text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Name of the source, relative to the project root: `runbooks/upgrade.rhai`; `std/nodes` is embedded.
    pub source: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters the caret covers, 1 at least.
    pub length: usize,
}

impl Place {
    /// The token at a position of a text; a name is taken with its namespace (`k8s::scale`).
    #[must_use]
    pub fn of(source: &str, text: &str, position: Position) -> Option<Self> {
        let line = position.line()?;
        let column = position.position().unwrap_or(1).max(1);
        let characters: Vec<char> = text.lines().nth(line - 1).unwrap_or_default().chars().collect();
        let start = namespace_start(&characters, column - 1);
        let end = token_end(&characters, column - 1);
        Some(Self {
            source: source.to_owned(),
            line,
            column: start + 1,
            length: end.saturating_sub(start).max(1),
        })
    }

    /// `runbooks/upgrade.rhai:9:3`
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}:{}", self.source, self.line, self.column)
    }
}

const fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Goes back over `module::` in front of a name.
fn namespace_start(line: &[char], mut start: usize) -> usize {
    while line.get(start).copied().is_some_and(is_name)
        && start > 2
        && line[..start].ends_with(&[':', ':'])
        && is_name(line[start - 3])
    {
        start -= 2;
        while start > 0 && is_name(line[start - 1]) {
            start -= 1;
        }
    }
    start
}

fn token_end(line: &[char], start: usize) -> usize {
    match line.get(start) {
        Some(&quote @ ('"' | '`' | '\'')) => string_end(line, start, quote),
        Some(&first) if is_name(first) => name_end(line, start),
        _ => start + 1,
    }
}

fn name_end(line: &[char], start: usize) -> usize {
    let mut end = start;
    while line.get(end).copied().is_some_and(is_name) {
        end += 1;
    }
    let continues = line.get(end..end + 3).is_some_and(|next| next[..2] == [':', ':'] && is_name(next[2]));
    if continues { name_end(line, end + 2) } else { end }
}

fn string_end(line: &[char], start: usize, quote: char) -> usize {
    let mut end = start + 1;
    while let Some(&character) = line.get(end) {
        end += if character == '\\' { 2 } else { 1 };
        if character == quote {
            return end;
        }
    }
    end.min(line.len())
}
