//! Runbook texts in, transcripts out: what a person sees for each kind of mistake, to the letter.
//! `INSTA_UPDATE=always cargo test -p aegis-engine` rewrites the transcripts; the diff is the review.

mod binding;
mod fixture;
mod running;

use fixture::{examined, transcript};

/// Name of the transcript, and the main script it is about.
const MISTAKES: &[(&str, &str)] = &[
    (
        "unknown function",
        r#"
runbook(#{ title: "Deploy", needs: ["k8s:change"] });
k8s::scal("deployment/web", 3);
scale("deployment/web", 3);
stepp("x", || 1);
let name = "web".sub_strin(1);
let closure = || 1;
closure();
tiem::now();
"#,
    ),
    (
        "wrong type",
        r#"
runbook(#{ title: "Deploy", needs: ["k8s:change"] });
k8s::scale("deployment/web", "three");
k8s::scale(["web"], 3, #{ namespace: 7 });
k8s::scale("deployment/web", 3, #{ timeout: "5x" });
"#,
    ),
    (
        "unknown option key",
        r#"
runbook(#{ title: "Deploy", needs: ["k8s:change"] });
k8s::scale("deployment/web", 3, #{ namspace: "shop" });
step("two", #{ retires: 2 }, || 1);
"#,
    ),
    (
        "wrong option values",
        r#"
runbook(#{ title: "Deploy", needs: ["k8s:change"] });
let minutes = 5;
step("one", #{ retry: #{ maxx: 3, backoff: "5 minuts" }, timeout: `${minutes}m`, on_failure: "undoo" }, || 1);
step("two", #{ timeout: "5 minuts", when: "yes", retry: 3, approval: #{ quorum: 0, approver: [1] } }, || 2);
step("three", #{ retry: #{ max: -1, only_if: "always" }, undo: #{ function: 7 }, timeout: -5 }, || 3);
parallel([1, 2], #{ max: "2", collect: "all" }, |item| item);
k8s::scale("deployment/web", minutes, #{ strategy: "roling", timeout: "5 minuts", namespace: || "shop" });
"#,
    ),
    (
        "needs that are none",
        r#"
runbook(#{ title: 7, needs: [5, "k8s:read", "kates:read"] });
"#,
    ),
    (
        "wrong number of arguments",
        r#"
runbook(#{ title: "Deploy", needs: ["k8s:change"] });
fn restart(name, zone) { name + zone }
k8s::scale("deployment/web");
restart("web");
parallel([1]);
"web".sub_string(1, 2, 3, 4);
"#,
    ),
    (
        "missing capability",
        r#"
runbook(#{ title: "Deploy", needs: ["k8s:read", "k8s:change:shop/*"] });
k8s::scale("deployment/web", 3, #{ namespace: "shop" });
step("scale", || {
    k8s::scale("deployment/web", 3);
    k8s::scale("deployment/api", 3);
});
"#,
    ),
    (
        "syntax error",
        r#"
runbook(#{ title: "Deploy" });
let nodes = [1, 2;
"#,
    ),
    (
        "import from outside of the project",
        r#"
runbook(#{ title: "Deploy" });
import "../../etc/passwd" as users;
import "/etc/passwd" as more;
users::list();
"#,
    ),
    (
        "bad header",
        r#"
runbook(#{
    titel: "Deploy",
    risk: "hihg",
    needs: ["k8s:raed", "k8s"],
    timeout: "soon",
    params: #{
        pool: #{ type: "strin", defualt: 1 },
        count: #{ type: "int", default: "many", min: 1 },
        size: #{ type: "int", default: 0, min: 1 },
        name: #{ pattern: "(" },
        token: #{ secret: true, default: "x" },
    },
});
"#,
    ),
    ("no header", "\nlet a = 1;\n"),
    (
        "computed header",
        r#"
let owner = "platform";
runbook(#{ title: "Deploy", owner: owner });
"#,
    ),
    (
        "assignment to a captured variable",
        r#"
runbook(#{ title: "Deploy", needs: ["k8s:read"] });
let total = 0;
let seen = [];
step("count", || {
    total += 1;
    seen.push("web");
    let inner = 0;
    inner += 1;
    [1, 2].for_each(|x| { total += x; inner += x; });
});
let sum = 0;
[1, 2].for_each(|x| sum += x);
parallel([1, 2], #{ max: 2 }, |item| { total = item; });
"#,
    ),
    (
        "undefined variable",
        r#"
runbook(#{ title: "Deploy", params: #{ pool: #{ type: "string", default: "blue" } } });
let replicas = 3;
fn of_pool(a) { a + replicas + params.pool }
step("one", || print(replcas));
print(of_pool(1) + params.pool);
"#,
    ),
    (
        "steps of one name",
        r#"
runbook(#{ title: "Deploy" });
step("drain", || 1);
if true { step("wait", || 1); } else { step("wait", || 2); }
step("drain", || 2);
"#,
    ),
    (
        "embedded library",
        r#"
runbook(#{ title: "Deploy" });
import "std/nodes" as nodes;
nodes::drian("x");
nodes::secret_helper();
nodes::drain("x");
"#,
    ),
    (
        "import named like a module",
        r#"
runbook(#{ title: "Deploy" });
import "std/nodes" as k8s;
k8s::drain("x");
"#,
    ),
];

#[test]
fn each_mistake_is_told_with_its_place_and_a_way_out() {
    for (name, text) in MISTAKES {
        insta::assert_snapshot!(name.replace(' ', "_"), transcript(text));
    }
}

#[test]
fn all_files_are_examined_at_once() {
    let problems = examined(&[
        (
            "runbooks/main.rhai",
            "runbook(#{ title: \"x\" });\nimport \"beside\" as b;\nimport \"shared\" as c;\nimport \"nope\" as d;\nlet e = \"b\";\nimport e as g;\nc::f();\n",
        ),
        ("runbooks/beside.rhai", "import \"main\" as a;\nstep(\"x\", || 1);\nfn f() { nothing }\n"),
        ("lib/shared.rhai", "fn f( {}\n"),
    ]);
    assert!(problems.has_errors());
    insta::assert_snapshot!("all_files_at_once", problems.render(false));
}

#[test]
fn a_symbolic_link_out_of_the_project_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside.rhai");
    std::fs::write(&outside, "fn f() { 1 }").unwrap();
    let project = folder.path().join("project");
    std::fs::create_dir_all(project.join("lib")).unwrap();
    std::fs::write(project.join("aegis.toml"), "").unwrap();
    std::os::unix::fs::symlink(&outside, project.join("lib/link.rhai")).unwrap();
    let main = project.join("main.rhai");
    std::fs::write(&main, "runbook(#{ title: \"x\" });\nimport \"link\" as l;\n").unwrap();
    let problems =
        crate::runbook::examine(&main, &fixture::embedded(), &fixture::registry(), &crate::runbook::BUILTINS);
    assert_eq!(problems.to_string(), "`link` is outside of the project");
}

#[test]
fn a_correct_runbook_has_no_problems_and_its_header_is_read() {
    let text = r#"
//! Scales the shop.

runbook(#{
    title: "Scale the shop",
    owner: "platform",
    risk: "high",
    needs: ["k8s:change:shop/*", "k8s:read"],
    timeout: "4h",
    objectives: #{ rto: "15m" },
    params: #{
        default: #{ type: "duration", default: "5m", min: "1m" },
        count: #{ type: "int", default: 1, min: 0, max: 10, help: "replicas" },
    },
});

import "std/nodes" as nodes;

fn name_of(kind, name) { `${kind}/${name}` }

let web = step("look", || k8s::get(name_of("deployment", "web"), #{ namespace: "shop" }));
let tools = #{ install: |x| x + 1, match: #{ new: 1 } };
print(tools.install(params.count) + tools.match.new);
for zone in ["a", "b"] {
    step(`scale ${zone}`, #{ timeout: "20m", retry: #{ max: params.count, only_if: |e| e.retryable }, when: () }, || {
        let wanted = params.count;
        wanted += 1;
        k8s::scale(web.name, wanted, #{ namespace: "shop", timeout: params.default });
    });
}
let results = parallel([1, 2, 3], #{ max: 2 }, |item| item * 2);
log(`${results.map(|r| r + 1).reduce(|sum, r| sum + r)} ${nodes::pods("a", "b")}`);
"#;
    let problems = examined(&[("runbooks/shop.rhai", text)]);
    assert_eq!(problems.render(false), "");
    let runbook = crate::runbook::Runbook::from_sources(problems.sources)
        .unwrap_or_else(|e| panic!("{}", e.render(false)));
    insta::assert_snapshot!("header", serde_json::to_string_pretty(&runbook.header).unwrap());
}

#[test]
fn colour_only_adds_colour() {
    let problems = examined(&[("a.rhai", "runbook(#{ title: \"x\" });\nfoo();\n")]);
    let coloured = problems.render(true);
    assert!(coloured.contains("\u{1b}["));
    let plain = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap().replace_all(&coloured, "").into_owned();
    assert_eq!(plain, problems.render(false));
}
