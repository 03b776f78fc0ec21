//! The example of every host function is a runbook that `aegis check` accepts: known functions, right
//! arguments, and no capability beyond the one that its description names.

use std::collections::BTreeMap;

use aegis_engine::function::Registry;
use aegis_engine::runbook::{BUILTINS, examine};

#[test]
fn every_example_passes_the_checks() {
    let modules = [aegis_engine::builtin::modules(), aegis_stdlib::modules()].concat();
    let registry = Registry::new(modules).unwrap_or_else(|error| panic!("{error}"));
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for name in registry.names() {
        let description = registry.function(name).unwrap().description;
        // What a run does to itself needs no declaration.
        let undeclared = description.capability.is_empty() || description.capability.starts_with("run:");
        let needs = if undeclared { String::new() } else { format!("\"{}\"", description.capability) };
        let text =
            format!("runbook(#{{ title: \"example\", needs: [{needs}] }});\n{};\n", description.example);
        let path = folder.path().join("example.rhai");
        std::fs::write(&path, text).unwrap();
        let problems = examine(&path, &BTreeMap::new(), &registry, BUILTINS);
        let problems = problems.diagnostics.iter().map(|problem| format!("{name}: {problem:?}"));
        wrong.extend(problems);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
