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
