//! Draws a diagnostic with codespan-reporting. A place whose source is not at hand loses its excerpt, never
//! its sentence.

use std::ops::Range;

use codespan_reporting::diagnostic as drawing;
use codespan_reporting::files::{self, Files};
use codespan_reporting::term::{self, termcolor};

use super::{Diagnostic, Place, Severity};
use crate::runbook::Sources;
use crate::text::printable;

/// Characters of a line that an excerpt shows at most: two rows of a usual terminal.
const LONGEST: usize = 160;

pub(super) fn render(diagnostic: &Diagnostic, sources: &Sources, colour: bool) -> String {
    let mut texts = Texts::default();
    let mut labels = Vec::new();
    let mut notes = diagnostic.notes.clone();
    if let Some(place) = &diagnostic.place {
        match stretch(place, sources) {
            Some((text, range)) => labels.push(drawing::Label::primary(texts.add(text), range)),
            None => notes.insert(0, format!("at {}", place.address())),
        }
    }
    for label in &diagnostic.labels {
        if let Some((text, range)) = stretch(&label.place, sources) {
            labels.push(drawing::Label::secondary(texts.add(text), range).with_message(&label.text));
        }
    }
    notes.extend(diagnostic.hint.iter().map(|hint| format!("hint: {hint}")));
    let notes = notes.iter().map(|note| printable(note).into_owned()).collect();
    let severity = match diagnostic.severity {
        Severity::Error => drawing::Severity::Error,
        Severity::Warning => drawing::Severity::Warning,
    };
    let drawn = drawing::Diagnostic::new(severity)
        .with_code(&diagnostic.code)
        .with_message(printable(&diagnostic.message))
        .with_labels(labels)
        .with_notes(notes);
    draw(&texts, &drawn, colour).unwrap_or_else(|| diagnostic.message.clone())
}

fn draw(files: &Texts, drawn: &drawing::Diagnostic<usize>, colour: bool) -> Option<String> {
    let config = term::Config::default();
    let mut buffer = if colour { termcolor::Buffer::ansi() } else { termcolor::Buffer::no_color() };
    let styles = term::Styles::default();
    term::emit_to_write_style(&mut term::StylesWriter::new(&mut buffer, &styles), &config, files, drawn)
        .ok()?;
    let text = String::from_utf8(buffer.into_inner()).ok()?;
    // Trailing blanks of empty gutter lines only make transcripts hard to compare.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    Some(format!("{}\n", lines.join("\n").trim_end()))
}

/// What excerpts are taken from.
#[derive(Default)]
struct Texts(Vec<Text>);

/// A source, or of a line that no terminal has room for what is around a place in it.
#[derive(PartialEq)]
struct Text {
    name: String,
    text: String,
    lines: Vec<usize>,
    /// Characters of the line that are left out before what is shown.
    left_out: usize,
}

impl Text {
    fn new(name: &str, text: String, left_out: usize) -> Self {
        let lines = files::line_starts(&text).collect();
        Self { name: name.to_owned(), text, lines, left_out }
    }
}

impl Texts {
    /// The same text is drawn once, with all its labels.
    fn add(&mut self, text: Text) -> usize {
        self.0.iter().position(|known| *known == text).unwrap_or_else(|| {
            self.0.push(text);
            self.0.len() - 1
        })
    }

    fn text(&self, id: usize) -> Result<&Text, files::Error> {
        self.0.get(id).ok_or(files::Error::FileMissing)
    }
}

impl<'a> Files<'a> for Texts {
    type FileId = usize;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: usize) -> Result<&'a str, files::Error> {
        Ok(&self.text(id)?.name)
    }

    fn source(&'a self, id: usize) -> Result<&'a str, files::Error> {
        Ok(&self.text(id)?.text)
    }

    fn line_index(&self, id: usize, byte: usize) -> Result<usize, files::Error> {
        Ok(self.text(id)?.lines.partition_point(|start| *start <= byte).saturating_sub(1))
    }

    fn line_range(&self, id: usize, line: usize) -> Result<Range<usize>, files::Error> {
        let text = self.text(id)?;
        let start = text.lines.get(line).copied().unwrap_or(text.text.len());
        Ok(start..text.lines.get(line + 1).copied().unwrap_or(text.text.len()))
    }

    fn column_number(&self, id: usize, line: usize, byte: usize) -> Result<usize, files::Error> {
        let text = self.text(id)?;
        let shown = files::column_index(&text.text, self.line_range(id, line)?, byte) + 1;
        // The ellipsis stands for what is left out.
        Ok(shown + text.left_out - usize::from(text.left_out > 0))
    }
}

/// The text and the byte range of a place in it.
fn stretch(place: &Place, sources: &Sources) -> Option<(Text, Range<usize>)> {
    let text = sources.text(&place.source)?;
    let before: usize = text.split_inclusive('\n').take(place.line - 1).map(str::len).sum();
    let line = text.get(before..)?.lines().next().unwrap_or_default();
    if line.chars().count() > LONGEST {
        return Some(around(place, line));
    }
    let byte = |column: usize| line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte);
    let start = byte(place.column - 1);
    let end = byte(place.column - 1 + place.length).max(start);
    Some((Text::new(&place.source, text.to_owned(), 0), before + start..before + end))
}

fn around(place: &Place, line: &str) -> (Text, Range<usize>) {
    let (at, half) = (place.column - 1, LONGEST / 2);
    let left_out = at.saturating_sub(half);
    let length = place.length.min(half);
    let mut text = "\n".repeat(place.line - 1);
    text.push_str(if left_out > 0 { "…" } else { "" });
    text.extend(line.chars().skip(left_out).take(at - left_out));
    let start = text.len();
    text.extend(line.chars().skip(at).take(length));
    let end = text.len();
    text.extend(line.chars().skip(at + length).take(half));
    text.push_str(if line.chars().count() > at + length + half { "…" } else { "" });
    (Text::new(&place.source, text, left_out), start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_line_what_is_around_the_place_is_shown_and_the_column_is_true() {
        let text = format!("one\nlet a = \"{}\"; nope();{}", "x".repeat(3000), " ".repeat(500));
        let sources = Sources::new("a.rhai", text);
        let place = Place { source: "a.rhai".to_owned(), line: 2, column: 3013, length: 4 };
        let told = render(&Diagnostic::new(crate::codes::FUNCTION, "no").at(Some(place)), &sources, false);
        assert!(told.contains("a.rhai:2:3013"), "{told}");
        assert!(
            told.contains("x\"; nope();") && told.lines().all(|line| line.chars().count() < 200),
            "{told}"
        );
    }
}
