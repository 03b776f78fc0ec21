//! Run-time errors of scripts: the sentence, the caret and the chain, across imports; and imports that are
//! answered from stored texts alone.

use rhai::{EvalAltResult, Scope};

use crate::diagnostic::from_error;
use crate::runbook::{Runbook, Sources, compiler};

fn failure(sources: Sources) -> String {
    let stored: Sources = serde_json::from_str(&serde_json::to_string(&sources).unwrap()).unwrap();
    let runbook = Runbook::from_sources(stored).unwrap_or_else(|e| panic!("{}", e.render(false)));
    let mut engine = compiler();
    engine.set_module_resolver(runbook.resolver());
    engine.register_fn("runbook", |_: rhai::Map| {});
    engine.register_fn("refuse", || -> Result<(), Box<EvalAltResult>> {
        let error = rhai::Dynamic::from_map(
            [("code", "A0301"), ("message", "the target has no cluster"), ("hint", "add one")]
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        );
        Err(EvalAltResult::ErrorRuntime(error, rhai::Position::NONE).into())
    });
    let error = engine.run_ast_with_scope(&mut Scope::new(), runbook.script()).unwrap_err();
    from_error(&error, &runbook.sources).render(&runbook.sources, false)
}

const HEADER: &str = "runbook(#{ title: \"x\" });\n";

#[test]
fn an_error_in_an_imported_script_names_its_file_and_the_way_there() {
    let main = format!("{HEADER}import \"nodes\" as nodes;\nfn all(x) {{ nodes::drain(x) }}\nall(\"a\");\n");
    let sources = Sources::new("runbooks/main.rhai", main)
        .with("lib/nodes.rhai", "import \"std/api\" as api;\nfn drain(node) {\n    api::request(node)\n}\n")
        .with("std/api", "fn request(x) {\n    let f = |y| refuse();\n    f.call(x)\n}\n");
    insta::assert_snapshot!("error_in_an_import", failure(sources));
}

#[test]
fn errors_of_the_language_are_sentences() {
    let scripts = [
        "let a = [1, 2];\na[7];",
        "let a = #{};\na.b.c(1);",
        "throw \"the pool is empty\";",
        "throw #{ message: \"no\", code: \"A0701\" };",
        "1 + \"a\" * 2;",
        "fn f(x) { f(x + 1) }\nf(1);",
        "sleep(1);",
        "let s = \"aaaaaaaaaaaaaaaa\";\nfor i in 0..40 { s += s; }",
    ];
    let told: Vec<String> =
        scripts.iter().map(|script| failure(Sources::new("a.rhai", format!("{HEADER}{script}\n")))).collect();
    // The chain of an endless recursion is long; its first lines tell the story.
    let told: Vec<String> =
        told.iter().map(|text| text.lines().take(9).collect::<Vec<_>>().join("\n")).collect();
    insta::assert_snapshot!("errors_of_the_language", told.join("\n\n"));
}

/// What the main script evaluates to.
fn answer(sources: Sources) -> String {
    let runbook = Runbook::from_sources(sources).unwrap_or_else(|e| panic!("{}", e.render(false)));
    let mut engine = compiler();
    engine.set_module_resolver(runbook.resolver());
    engine.register_fn("runbook", |_: rhai::Map| {});
    let scope = &mut Scope::new();
    engine.eval_ast_with_scope::<rhai::Dynamic>(scope, runbook.script()).unwrap().to_string()
}

#[test]
fn functions_of_the_same_name_in_two_modules_are_two_functions() {
    let module = |own: &str| format!("fn twice(x) {{ own(x) + own(x) }}\nfn own(x) {{ `{own}${{x}}` }}\n");
    let main = format!(
        "{HEADER}import \"a\" as a;\nimport \"b\" as b;\nfn own(x) {{ `m${{x}}` }}\n\
         [own(1), own(1), a::twice(1), a::twice(2), b::twice(1), b::twice(2), own(3)]\n"
    );
    let sources = Sources::new("main.rhai", main).with("a.rhai", module("a")).with("b.rhai", module("b"));
    assert_eq!(answer(sources), r#"["m1", "m1", "a1a1", "a2a2", "b1b1", "b2b2", "m3"]"#);
}

#[test]
fn a_function_of_a_module_leaves_the_variables_of_its_caller_alone() {
    let main = format!(
        "{HEADER}import \"a\" as a;\nlet map = #{{ n: 1 }};\n[a::take(map), map, a::each([1, 2], |x| x + 1)]\n"
    );
    let module = "import \"std/b\" as b;\nconst STEP = 2 - 1;\nfn take(map) { map.n += global::STEP; b::same(map.n) }\nfn each(items, f) { items.map(f) }\n";
    let sources = Sources::new("main.rhai", main).with("a.rhai", module).with("std/b", "fn same(x) { x }\n");
    assert_eq!(answer(sources), r#"[2, #{"n": 1}, [2, 3]]"#);
}

#[test]
fn words_that_rhai_only_reserves_are_names() {
    let main = format!(
        "{HEADER}let spec = #{{ default: 1, match: 2, until: 3, package: 4, new: 5 }};\n\
         [spec.default, spec.match, spec.until, spec?.package, spec.new]\n"
    );
    assert_eq!(answer(Sources::new("main.rhai", main)), "[1, 2, 3, 4, 5]");
}
