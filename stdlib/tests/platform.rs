//! The platform's components as data, and their checks against clusters that answer nothing, or that nothing is
//! there: no cluster, no run, only the scripts. What they do to a cluster is tested with the sandbox.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aegis_engine::runbook::{Runbook, Sources, compiler};
use rhai::{Dynamic, EvalAltResult, Map, Position, Scope};
use serde_json::Value;

/// Every component in a lane, with every component selected.
const SETTINGS: &str = r##"
fn settings(lane) {
    #{
        lane: lane, sandbox: true, domain: "platform.test", pod_cidr: "10.0.0.0/8", acme_email: "", alerts: "both",
        slack_channel: "#alerts", alert_email: "a@platform.test", smtp_server: "smtp:587", smtp_user: "b@platform.test",
        s3_endpoint: "", s3_region: "a", s3_dr_region: "b", backup_bucket: "c", manifests: "", secrets: #{}, selected: ["istio"],
    }
}
"##;

fn texts() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = BTreeMap::new();
    for (folder, prefix) in [("lib", "std/"), ("platform", "std/platform/")] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_stem().unwrap().to_string_lossy());
            texts.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    texts
}

/// Evaluates a script over the libraries. Every read of the cluster fails with this code.
fn evaluate(script: &str, code: &'static str) -> Value {
    let main = format!("runbook(#{{ title: \"test\" }});\n{SETTINGS}\n{script}");
    let sources = texts()
        .into_iter()
        .fold(Sources::new("main.rhai", main), |sources, (name, text)| sources.with(name, text));
    let runbook =
        Runbook::from_sources(sources).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let mut engine = compiler();
    engine.set_module_resolver(runbook.resolver());
    engine.register_fn("runbook", |_: Map| {});
    let mut k8s = rhai::Module::new();
    for name in ["get", "list"] {
        k8s.set_native_fn(name, move |_: &str, _: Map| refused(code));
    }
    let exists = move |_: &str, _: Map| if code == NOT_FOUND { Ok(false.into()) } else { refused(code) };
    k8s.set_native_fn("exists", exists);
    engine.register_static_module("k8s", k8s.into());
    let answer = engine.eval_ast_with_scope::<Dynamic>(&mut Scope::new(), runbook.script());
    let answer = answer.unwrap_or_else(|error| panic!("{error}"));
    rhai::serde::from_dynamic(&answer).unwrap()
}

fn refused(code: &str) -> Result<Dynamic, Box<EvalAltResult>> {
    let entries = [("code", code), ("message", "the cluster says no")];
    let error: Map = entries.into_iter().map(|(key, text)| (key.into(), text.into())).collect();
    Err(Box::new(EvalAltResult::ErrorRuntime(error.into(), Position::NONE)))
}

const NOT_FOUND: &str = "A0306";
const UNREACHABLE: &str = "A0302";

fn components(lane: &str) -> Vec<Value> {
    let script =
        format!("import \"std/platform/catalog\" as catalog;\ncatalog::components(settings(\"{lane}\"))");
    evaluate(&script, UNREACHABLE).as_array().unwrap().clone()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

fn checks(id: &str, code: &'static str) -> Vec<Value> {
    let script = format!(
        "import \"std/platform/catalog\" as catalog;\ncatalog::verify(\"{id}\", settings(\"current\"))"
    );
    evaluate(&script, code).as_array().unwrap().clone()
}

#[test]
fn the_catalog_lists_every_file_once() {
    let files: BTreeSet<String> = texts()
        .keys()
        .filter_map(|name| name.strip_prefix("std/platform/"))
        .filter(|name| *name != "catalog")
        .map(|name| name.replace('_', "-"))
        .collect();
    let listed: Vec<String> =
        components("current").iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed.len(), files.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), files);
}

#[test]
fn every_component_says_what_it_is_in_both_lanes() {
    for lane in ["floor", "current"] {
        let components = components(lane);
        let ids: BTreeSet<&str> = components.iter().map(|it| it["id"].as_str().unwrap()).collect();
        for it in &components {
            let id = &it["id"];
            for field in ["title", "licence", "version", "profile"] {
                assert!(it[field].as_str().is_some_and(|text| !text.is_empty()), "{id} has no {field}");
            }
            assert!(
                strings(&it["needs"]).iter().all(|need| ids.contains(need)),
                "{id} needs what is not there"
            );
            assert!(
                strings(&it["satisfies"]).iter().all(|name| name.starts_with('R')),
                "{id}: {}",
                it["satisfies"]
            );
            for chart in it["charts"].as_array().unwrap() {
                for field in ["release", "chart", "version", "repository", "namespace"] {
                    assert!(
                        chart[field].as_str().is_some_and(|text| !text.is_empty()),
                        "a chart of {id} has no {field}"
                    );
                }
                assert!(chart["provides"].is_object(), "{} of {id} has no stand-in", chart["release"]);
            }
        }
    }
}

#[test]
fn charts_and_secrets_go_to_namespaces_that_are_made_before() {
    let components = components("current");
    for it in &components {
        let mut made: BTreeSet<&str> = BTreeSet::from(["kube-system"]);
        made.extend(
            it["namespaces"].as_array().unwrap().iter().map(|namespace| namespace["name"].as_str().unwrap()),
        );
        for part in ["charts", "secrets"] {
            for item in it[part].as_array().unwrap() {
                let namespace = item["namespace"].as_str().unwrap();
                assert!(made.contains(namespace), "{} puts something into {namespace}", it["id"]);
            }
        }
    }
}

#[test]
fn no_release_and_no_check_has_the_name_of_another() {
    let components = components("current");
    let charts = components.iter().flat_map(|it| it["charts"].as_array().unwrap());
    let mut releases = BTreeSet::new();
    for chart in charts {
        let release = (chart["namespace"].to_string(), chart["release"].to_string());
        assert!(releases.insert(release), "{} twice", chart["release"]);
    }
    let mut names = BTreeSet::new();
    for it in &components {
        for check in checks(it["id"].as_str().unwrap(), NOT_FOUND) {
            assert!(names.insert(check["id"].to_string()), "check {} twice", check["id"]);
        }
    }
}

#[test]
fn a_check_that_cannot_read_is_unevaluable_and_one_that_finds_nothing_never_passes() {
    for it in components("current") {
        let id = it["id"].as_str().unwrap();
        for check in checks(id, UNREACHABLE) {
            assert_eq!(check["status"], "unevaluable", "{check}");
        }
        let missing = checks(id, NOT_FOUND);
        assert!(!missing.is_empty(), "{id} verifies nothing");
        for check in missing {
            assert_ne!(check["status"], "pass", "{check}");
            assert!(!strings(&check["requirements"]).is_empty(), "{check} is evidence for nothing");
        }
    }
}

#[test]
fn waves_put_every_component_after_its_needs() {
    let script = r#"
        import "std/order" as order;
        import "std/platform/catalog" as catalog;
        let all = catalog::components(settings("current"));
        ["minimal", "standard", "full"].map(|profile| order::waves(all, order::select(all, profile, "").selected))
    "#;
    let components = components("current");
    let needs: BTreeMap<&str, Vec<&str>> =
        components.iter().map(|it| (it["id"].as_str().unwrap(), strings(&it["needs"]))).collect();
    let mut sizes = Vec::new();
    for waves in evaluate(script, UNREACHABLE).as_array().unwrap() {
        let mut done = BTreeSet::new();
        for wave in waves.as_array().unwrap() {
            let wave = strings(wave);
            for id in &wave {
                assert!(needs[id].iter().all(|need| done.contains(need)), "{id} comes too early");
            }
            done.extend(wave);
        }
        sizes.push(done.len());
    }
    assert!(sizes.is_sorted() && sizes[2] == components.len(), "{sizes:?}");
}

#[test]
fn a_list_of_components_brings_its_needs_and_says_so() {
    let script = r#"
        import "std/order" as order;
        import "std/platform/catalog" as catalog;
        let all = catalog::components(settings("current"));
        order::select(all, "full", " velero ,metrics-server")
    "#;
    let chosen = evaluate(script, UNREACHABLE);
    assert_eq!(
        strings(&chosen["selected"]),
        ["calico", "prometheus-crds", "storage", "metrics-server", "velero"]
    );
    let added: Vec<&str> =
        chosen["added"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(added, ["storage", "prometheus-crds", "calico"]);
}

#[test]
fn the_server_version_decides_the_lane() {
    let script = r#"
        import "std/lane" as lane;
        [28, 31, 32, 36].map(|minor| lane::choose(#{ minor: minor, version: `v1.${minor}.0` }).lane)
    "#;
    assert_eq!(strings(&evaluate(script, UNREACHABLE)), ["floor", "floor", "current", "current"]);
}
