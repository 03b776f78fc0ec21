//! Draws a diagnostic with codespan-reporting. A place whose source is not at hand loses its excerpt, never
//! its sentence.

use codespan_reporting::diagnostic as drawing;
use codespan_reporting::files::SimpleFiles;
use codespan_reporting::term::{self, termcolor};

use super::{Diagnostic, Place, Severity};
use crate::runbook::Sources;

pub(super) fn render(diagnostic: &Diagnostic, sources: &Sources, colour: bool) -> String {
    let mut files = SimpleFiles::new();
    let mut labels = Vec::new();
    let mut notes = diagnostic.notes.clone();
    if let Some(place) = &diagnostic.place {
        match stretch(place, sources) {
            Some((text, range)) => {
                let file = files.add(place.source.clone(), text.to_owned());
                labels.push(drawing::Label::primary(file, range));
            }
            None => notes.insert(0, format!("at {}", place.address())),
        }
    }
    for label in &diagnostic.labels {
        if let Some((text, range)) = stretch(&label.place, sources) {
            let same = diagnostic.place.as_ref().is_some_and(|place| place.source == label.place.source);
            let file = if same { 0 } else { files.add(label.place.source.clone(), text.to_owned()) };
            labels.push(drawing::Label::secondary(file, range).with_message(&label.text));
        }
    }
    notes.extend(diagnostic.hint.iter().map(|hint| format!("hint: {hint}")));
    let severity = match diagnostic.severity {
        Severity::Error => drawing::Severity::Error,
        Severity::Warning => drawing::Severity::Warning,
    };
    let drawn = drawing::Diagnostic::new(severity)
        .with_code(&diagnostic.code)
        .with_message(&diagnostic.message)
        .with_labels(labels)
        .with_notes(notes);
    draw(&files, &drawn, colour).unwrap_or_else(|| diagnostic.message.clone())
}

fn draw(
    files: &SimpleFiles<String, String>,
    drawn: &drawing::Diagnostic<usize>,
    colour: bool,
) -> Option<String> {
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

/// The text and the byte range of a place in it.
fn stretch<'a>(place: &Place, sources: &'a Sources) -> Option<(&'a str, std::ops::Range<usize>)> {
    let text = sources.text(&place.source)?;
    let before: usize = text.split_inclusive('\n').take(place.line - 1).map(str::len).sum();
    let line = text.get(before..)?.lines().next().unwrap_or_default();
    let byte = |column: usize| line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte);
    let start = byte(place.column - 1);
    let end = byte(place.column - 1 + place.length).max(start);
    Some((text, before + start..before + end))
}
