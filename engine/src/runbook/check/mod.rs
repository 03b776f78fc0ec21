//! Everything that can be known to be wrong with a runbook without running it: one rule a file, each a
//! function from [`Subject`] to diagnostics, in one visible list.
//!
//! - `facts`: what the rules look at, collected in one walk of each script
//! - `variables`, `calls`, `arguments`, `asked`, `needs`, `captures`, `steps`, `modules`: the rules

mod arguments;
mod asked;
mod calls;
mod captures;
mod facts;
mod modules;
mod needs;
mod steps;
mod variables;

use std::collections::BTreeMap;
use std::path::Path;

use super::reading::Reading;
use super::{Builtin, Header, Runbook, Sources};
use crate::diagnostic::{Diagnostic, Problems};
use crate::function::Registry;
use facts::Facts;

/// What the rules look at.
struct Subject<'a> {
    /// `None` when the header itself is wrong: rules about `needs` then have nothing to say.
    header: Option<&'a Header>,
    sources: &'a Sources,
    facts: &'a Facts,
    registry: &'a Registry,
    builtins: &'a [Builtin],
}

/// The rules, in the order a reader should meet them.
const RULES: [fn(&Subject<'_>) -> Vec<Diagnostic>; 7] =
    [variables::rule, calls::rule, asked::rule, needs::rule, captures::rule, steps::rule, modules::rule];

/// Checks a runbook that parses.
#[must_use]
pub fn check(runbook: &Runbook, registry: &Registry, builtins: &[Builtin]) -> Vec<Diagnostic> {
    let facts = Facts::of(&runbook.scripts, &runbook.sources);
    let header = Some(&runbook.header);
    rules(&Subject { header, sources: &runbook.sources, facts: &facts, registry, builtins })
}

/// Checks a file whether it parses or not, as far as that goes: what keeps one text from being read does not
/// hide what is wrong with the others.
#[must_use]
pub fn examine(
    path: &Path,
    embedded: &BTreeMap<String, String>,
    registry: &Registry,
    builtins: &[Builtin],
) -> Problems {
    let Reading { sources, scripts, header, problems } = Reading::of_file(path, embedded);
    let facts = Facts::of(&scripts, &sources);
    let subject = Subject { header: header.as_ref(), sources: &sources, facts: &facts, registry, builtins };
    let diagnostics = sorted(problems.into_iter().chain(rules(&subject)).collect(), &sources);
    Problems { diagnostics, sources }
}

fn rules(subject: &Subject<'_>) -> Vec<Diagnostic> {
    sorted(RULES.iter().flat_map(|rule| rule(subject)).collect(), subject.sources)
}

/// Main script first, then by name, line and column; said once.
fn sorted(mut diagnostics: Vec<Diagnostic>, sources: &Sources) -> Vec<Diagnostic> {
    diagnostics.sort_by_cached_key(|diagnostic| {
        let imported = diagnostic.place.as_ref().is_some_and(|place| place.source != sources.main());
        (imported, diagnostic.place.clone(), diagnostic.message.clone())
    });
    diagnostics.dedup();
    diagnostics
}
