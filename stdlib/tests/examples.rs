//! The example of every host function is a runbook that `aegis check` accepts: known functions, right
//! arguments, and no capability beyond the one that its description names.

use std::collections::BTreeMap;

use aegis_engine::function::Registry;
use aegis_engine::runbook::{BUILTINS, examine};

/// The function that the example of `undo::with` names.
const INVERSE: &str = "fn restore_weight(name, weight) { log(name); }\n";

#[test]
fn every_example_passes_the_checks() {
    let modules = [aegis_engine::builtin::modules(), aegis_stdlib::modules()].concat();
    let registry = Registry::new(modules).unwrap_or_else(|error| panic!("{error}"));
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for name in registry.names() {
        let description = registry.function(name).unwrap().description;
        let needs = description.needs().map(|needs| format!("\"{needs}\"")).unwrap_or_default();
        let header = format!("runbook(#{{ title: \"example\", needs: [{needs}] }});\n");
        let text = format!("{header}{INVERSE}{};\n", description.example);
        let path = folder.path().join("example.rhai");
        std::fs::write(&path, text).unwrap();
        let problems = examine(&path, &BTreeMap::new(), &registry, &BUILTINS);
        let problems = problems.diagnostics.iter().map(|problem| format!("{name}: {problem:?}"));
        wrong.extend(problems);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_libraries_and_the_engines_own_examples_pass_the_checks() {
    let modules = [aegis_engine::builtin::modules(), aegis_stdlib::modules()].concat();
    let registry = Registry::new(modules).unwrap_or_else(|error| panic!("{error}"));
    let libraries = aegis_stdlib::libraries();
    assert!(libraries.len() > 10, "they are embedded");
    let imports =
        libraries.keys().enumerate().map(|(n, name)| format!("import \"{name}\" as library_{n};\n"));
    let header = BUILTINS.iter().find(|builtin| builtin.name == "runbook").unwrap().example;
    let own = BUILTINS.iter().filter(|builtin| builtin.name != "runbook");
    let own: Vec<String> = own.map(|builtin| format!("{};\n", builtin.example)).collect();
    let text = format!("{header};\n{}{}", imports.collect::<String>(), own.concat());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.rhai");
    std::fs::write(&path, text).unwrap();
    let problems = examine(&path, &libraries, &registry, &BUILTINS);
    assert!(problems.diagnostics.is_empty(), "{}", problems.render(false));
}
