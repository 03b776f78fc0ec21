//! The configuration of a project whose files have mistakes, for the few verbs that must work all the same: each wrong
//! line is left out (of a wrong `[section]` all of it) and told. Where the lines that are left out may be those that say
//! where the journals are, there is no configuration: a halt in the wrong place would stop nothing.

use std::collections::BTreeMap;
use std::path::Path;

use aegis_engine::diagnostic::{Problems, Severity};
use aegis_engine::text::nearest;
use toml::Table;

use super::Layered;
use super::layers::{layered, parsed};
use crate::context::Global;
use crate::view::failure::Failure;

/// Keys that say where the journals are, and what says so instead of the files.
const PLACES: [(&str, &str); 2] = [("state-dir", "AEGIS_STATE_DIR"), ("database", "AEGIS_DATABASE_URL")];

/// Reads every layer, and answers what was wrong with those that are files.
pub(crate) fn load_spared(
    root: &Path,
    environment: &BTreeMap<String, String>,
    flags: &Global,
) -> Result<(Layered, Vec<Problems>), Failure> {
    let said = [flags.state_dir.is_some(), flags.database.is_some()];
    let open = PLACES
        .iter()
        .zip(said)
        .filter(|((_, variable), said)| !said && environment.get(*variable).is_none_or(String::is_empty));
    let open: Vec<&str> = open.map(|((key, _), _)| *key).collect();
    let mut mistakes = Vec::new();
    let layers = layered(root, environment, flags, |path, text| spared(path, text, &open, &mut mistakes))?;
    Ok((layers, mistakes))
}

/// A file without the lines that are wrong.
fn spared(path: &Path, text: &str, open: &[&str], mistakes: &mut Vec<Problems>) -> Result<Table, Failure> {
    let mut lines: Vec<&str> = text.lines().collect();
    loop {
        let failure = match parsed(path, &lines.join("\n")) {
            Ok(table) => return Ok(table),
            Err(failure) => failure,
        };
        let Failure::Problems(mut problems) = failure else { return Err(failure) };
        let at =
            problems.diagnostics.first().and_then(|problem| problem.place.as_ref()).map(|place| place.line);
        let wrong = at.and_then(|line| part(&lines, line.min(lines.len())));
        let Some(wrong) = wrong.filter(|wrong| !says_where(&lines, wrong.clone(), open)) else {
            return Err(Failure::Problems(problems));
        };
        for problem in &mut problems.diagnostics {
            problem.severity = Severity::Warning;
            problem.notes.push("left out here; runs do not start with it".to_owned());
        }
        mistakes.push(problems);
        lines[wrong].fill("");
    }
}

/// The lines that go with a wrong one (counted from 1): itself or the nearest above it that has something, and of a
/// heading everything below it.
fn part(lines: &[&str], line: usize) -> Option<std::ops::Range<usize>> {
    let first = (0..line).rev().find(|&index| !lines[index].trim().is_empty())?;
    let end = match heading(lines[first]) {
        Some(_) => (first + 1..lines.len()).find(|&index| heading(lines[index]).is_some()),
        None => Some(first + 1),
    };
    Some(first..end.unwrap_or(lines.len()))
}

/// Whether lines may say where the journals are: with a slip of the fingers as well.
fn says_where(lines: &[&str], part: std::ops::Range<usize>, open: &[&str]) -> bool {
    let section = lines[..=part.start].iter().rev().find_map(|line| heading(line));
    let Some(name) = section.or_else(|| key(lines[part.start])) else { return false };
    let begins_alike = |place: &&str| name.get(..3) == place.get(..3);
    nearest(name, open.iter().copied()).is_some() || open.iter().any(begins_alike)
}

/// `[targets.prod]` is of `targets`.
fn heading(line: &str) -> Option<&str> {
    let name = line.trim_start().strip_prefix('[')?;
    name.trim_start_matches('[').split(['.', ']']).next().map(bare)
}

/// `database.url = ...` is of `database`.
fn key(line: &str) -> Option<&str> {
    line.split(['=', '.']).next().map(bare)
}

fn bare(name: &str) -> &str {
    name.trim().trim_matches(['"', '\''])
}
