//! Requests nobody would write: paths, queries, patches, selectors and bodies, half plausible and half noise,
//! against one cluster that keeps what got through. Every one is answered, none by a panic or without bound.
//!
//! `AEGIS_FUZZ_INPUTS` says how many (default 20,000; `just fuzz` makes a million).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::print_stderr, reason = "the counts are for people to read")]

use std::cell::RefCell;
use std::collections::BTreeMap;

use aegis_sandbox::ambient::Ambient;
use aegis_sandbox::api::{Api, DEFECT, Identity};
use aegis_sandbox::kinds::Kinds;
use aegis_sandbox::store::Store;
use axum::body::Body;
use http::Request;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

const TOKEN: &str = "administrator";
const INPUTS: u32 = 20_000;
/// By how much the process may grow over all inputs. Names are few, so what is stored is bounded.
const GROWTH: usize = 512 << 20;

/// One request before it is built.
#[derive(Clone)]
struct Input {
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    content_type: String,
    accept: String,
    body: Vec<u8>,
}

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
/// Collections as they are served: `*` stands for a namespace.
const COLLECTIONS: [&str; 24] = [
    "/api/v1/namespaces/*/pods",
    "/api/v1/namespaces/*/pods",
    "/api/v1/namespaces/*/configmaps",
    "/api/v1/namespaces/*/configmaps",
    "/api/v1/namespaces/*/secrets",
    "/api/v1/namespaces/*/services",
    "/api/v1/namespaces/*/resourcequotas",
    "/api/v1/namespaces/*/persistentvolumeclaims",
    "/api/v1/namespaces/*/serviceaccounts",
    "/api/v1/namespaces",
    "/api/v1/nodes",
    "/api/v1/pods",
    "/apis/apps/v1/namespaces/*/deployments",
    "/apis/apps/v1/namespaces/*/deployments",
    "/apis/apps/v1/namespaces/*/statefulsets",
    "/apis/apps/v1/replicasets",
    "/apis/batch/v1/namespaces/*/cronjobs",
    "/apis/policy/v1/namespaces/*/poddisruptionbudgets",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/*/roles",
    "/apis/autoscaling/v2/namespaces/*/horizontalpodautoscalers",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/example.com/v1/namespaces/*/widgets",
    "/openapi/v3",
];
const SUBRESOURCES: [&str; 12] = [
    "status",
    "scale",
    "eviction",
    "binding",
    "log",
    "exec",
    "attach",
    "portforward",
    "token",
    "ephemeralcontainers",
    "resize",
    "finalize",
];
const NAMES: [&str; 6] = ["a", "b", "web", "web-0", "default", "widgets.example.com"];
const QUERIES: [&str; 20] = [
    "labelSelector",
    "fieldSelector",
    "limit",
    "continue",
    "resourceVersion",
    "resourceVersionMatch",
    "watch",
    "timeoutSeconds",
    "fieldManager",
    "force",
    "dryRun",
    "fieldValidation",
    "propagationPolicy",
    "gracePeriodSeconds",
    "allowWatchBookmarks",
    "sendInitialEvents",
    "pretty",
    "tailLines",
    "container",
    "orphanDependents",
];
const VALUES: [&str; 26] = [
    "true",
    "false",
    "1",
    "0",
    "-1",
    "99999999999999999999",
    "All",
    "Strict",
    "Warn",
    "Foreground",
    "Exact",
    "NotOlderThan",
    "app=web",
    "app in (a,b),!c",
    "a notin (",
    "metadata.name=a",
    "status.phase!=Running",
    "spec.nodeName=",
    "=,=",
    "kubectl",
    "eyJ2IjoxfQ",
    "5",
    "%",
    "\u{0}",
    "é/é",
    "",
];
const CONTENT_TYPES: [&str; 9] = [
    "application/json",
    "application/yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "application/vnd.kubernetes.protobuf",
    "text/plain",
    "",
];
const ACCEPTS: [&str; 5] = [
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    "application/vnd.kubernetes.protobuf",
    "*/*",
];
/// Words of objects, so that noise meets the code that reads them.
const KEYS: [&str; 34] = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "resourceVersion",
    "uid",
    "generateName",
    "managedFields",
    "deletionTimestamp",
    "spec",
    "status",
    "template",
    "containers",
    "image",
    "ports",
    "selector",
    "matchLabels",
    "replicas",
    "data",
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "$deleteFromPrimitiveList/finalizers",
    "versions",
    "schema",
    "openAPIV3Schema",
    "op",
    "path",
    "value",
];

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3_i64..100).prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        select(VALUES.as_slice()).prop_map(Value::from),
        select(NAMES.as_slice()).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "/[a-z~01/-]{0,20}".prop_map(Value::from),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 40, 6, |inner| {
        let key = prop_oneof![4 => select(KEYS.as_slice()).prop_map(str::to_owned), 1 => "[a-z$./]{0,8}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Objects that would be accepted.
fn whole() -> Vec<Value> {
    let pod =
        json!({ "containers": [{ "name": "main", "image": "app:1", "ports": [{ "containerPort": 80 }] }] });
    let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": pod });
    let object = |api: &str, kind: &str, rest: Value| {
        let mut object = json!({ "apiVersion": api, "kind": kind, "metadata": { "name": "a" } });
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object
    };
    let selector = json!({ "matchLabels": { "app": "web" } });
    vec![
        object("v1", "ConfigMap", json!({ "data": { "a": "1" } })),
        object("v1", "Secret", json!({ "stringData": { "a": "1" } })),
        object("v1", "Pod", json!({ "spec": pod })),
        object(
            "v1",
            "Service",
            json!({ "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] } }),
        ),
        object("apps/v1", "Deployment", json!({ "spec": { "selector": selector, "template": template } })),
        object(
            "batch/v1",
            "CronJob",
            json!({ "spec": { "schedule": "* * * * *", "jobTemplate": { "spec": { "template": template } } } }),
        ),
        object(
            "policy/v1",
            "PodDisruptionBudget",
            json!({ "spec": { "minAvailable": 1, "selector": selector } }),
        ),
        object("example.com/v1", "Widget", json!({ "spec": { "size": 3 } })),
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": "widgets.example.com" },
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": { "plural": "widgets", "kind": "Widget" },
                "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": {
                    "type": "object", "properties": { "spec": { "type": "object",
                        "x-kubernetes-validations": [{ "rule": "self.size < 10" }],
                        "properties": { "size": { "type": "integer", "maximum": 9, "default": 1 } } } } } } }],
            },
        }),
    ]
}

/// Puts noise somewhere into an object.
fn spoilt(mut object: Value, places: &[(usize, Value)]) -> Value {
    for (place, noise) in places {
        let pointers = pointers(&object, "");
        if let Some(pointer) = pointers.get(place % pointers.len().max(1))
            && let Some(found) = object.pointer_mut(pointer)
        {
            *found = noise.clone();
        }
    }
    object
}

fn pointers(value: &Value, here: &str) -> Vec<String> {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    let below = inner.into_iter().flat_map(|(key, value)| pointers(value, &format!("{here}/{key}")));
    std::iter::once(here.to_owned()).chain(below).collect()
}

/// A JSON patch.
fn steps() -> impl Strategy<Value = Value> {
    let verbs = select(vec!["add", "remove", "replace", "move", "copy", "test", "?"]);
    let known =
        ["/metadata/labels/app", "/data/a", "/spec", "/spec/replicas", "/metadata/labels", "/spec/ports/-"];
    let place = || prop_oneof![select(known.to_vec()).prop_map(str::to_owned), "(/[a-z0-9~-]{0,9}){0,4}"];
    let step = (verbs, place(), place(), leaf())
        .prop_map(|(op, path, from, value)| json!({ "op": op, "path": path, "from": from, "value": value }));
    prop::collection::vec(step, 0..4).prop_map(Value::from)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let noise = || prop::collection::vec((any::<usize>(), tree()), 0..3);
    prop_oneof![
        6 => (select(whole()), noise()).prop_map(|(object, noise)| spoilt(object, &noise).to_string().into_bytes()),
        2 => tree().prop_map(|value| value.to_string().into_bytes()),
        2 => steps().prop_map(|value| value.to_string().into_bytes()),
        1 => ".{0,80}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..120),
        1 => prop::collection::vec(any::<u8>(), 0..120).prop_map(|bytes| [b"k8s\0".as_slice(), &bytes].concat()),
        1 => "[-a-z:{}\\[\\]&*!|> \n\"']{0,60}".prop_map(String::into_bytes),
        1 => Just(Vec::new()),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let name =
        || prop_oneof![6 => select(NAMES.as_slice()).prop_map(str::to_owned), 1 => "[a-zA-Z0-9.%~_-]{0,12}"];
    let namespace = prop_oneof![8 => Just("default".to_owned()), 1 => name()];
    let below = prop_oneof![
        3 => Just(String::new()),
        4 => name().prop_map(|name| format!("/{name}")),
        2 => (name(), select(SUBRESOURCES.as_slice())).prop_map(|(name, sub)| format!("/{name}/{sub}")),
    ];
    prop_oneof![
        12 => (select(COLLECTIONS.as_slice()), namespace, below)
            .prop_map(|(collection, namespace, below)| format!("{}{below}", collection.replace('*', &namespace))),
        1 => "(/[a-z0-9.%-]{0,8}){0,6}".prop_map(|path| format!("/{path}")),
    ]
}

fn query() -> impl Strategy<Value = Vec<(String, String)>> {
    let key = prop_oneof![8 => select(QUERIES.as_slice()).prop_map(str::to_owned), 1 => "[a-zA-Z]{0,8}"];
    let value = prop_oneof![6 => select(VALUES.as_slice()).prop_map(str::to_owned), 1 => ".{0,30}"];
    prop::collection::vec((key, value), 0..3)
}

/// Nothing needs to fit together.
fn anything() -> impl Strategy<Value = Input> {
    let content_type = select(CONTENT_TYPES.as_slice()).prop_map(str::to_owned);
    let accept = select(ACCEPTS.as_slice()).prop_map(str::to_owned);
    (select(METHODS.as_slice()), path(), query(), content_type, accept, body()).prop_map(
        |(method, path, query, content_type, accept, body)| Input {
            method,
            path,
            query,
            content_type,
            accept,
            body,
        },
    )
}

/// An object where it belongs, spoilt here and there.
fn plausible() -> impl Strategy<Value = Input> {
    let places: Vec<(String, Value)> =
        whole().into_iter().map(|object| (collection(&object), object)).collect();
    let noise = prop::collection::vec((any::<usize>(), tree()), 0..3);
    let verb = select(vec!["GET", "LIST", "POST", "POST", "PUT", "PATCH", "PATCH", "PATCH", "DELETE"]);
    let (patch, accept) = (select(&CONTENT_TYPES[2..6]), select(ACCEPTS.as_slice()));
    let names = select(NAMES.as_slice());
    let query = prop_oneof![1 => Just(Vec::new()), 1 => query()];
    (select(places), noise, verb, names, patch, accept, query, steps()).prop_map(
        |((collection, mut object), noise, verb, name, patch, accept, mut query, steps)| {
            if object["kind"] != "CustomResourceDefinition" {
                object["metadata"]["name"] = name.into();
            }
            let one = format!("{collection}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
            let (method, path, content_type) = match verb {
                "LIST" => ("GET", collection, ""),
                "POST" => ("POST", collection, "application/json"),
                "PATCH" => ("PATCH", one, patch),
                other => (other, one, "application/json"),
            };
            if content_type == "application/apply-patch+yaml" {
                query.push(("fieldManager".to_owned(), name.to_owned()));
            }
            let sent =
                if content_type == "application/json-patch+json" { steps } else { spoilt(object, &noise) };
            let empty = method == "DELETE" || method == "GET";
            let body = if empty { Vec::new() } else { sent.to_string().into_bytes() };
            let (content_type, accept) = (content_type.to_owned(), accept.to_owned());
            Input { method, path, query, content_type, accept, body }
        },
    )
}

/// Where objects of a kind live.
fn collection(object: &Value) -> String {
    let api = object["apiVersion"].as_str().unwrap_or_default();
    let root = if api == "v1" { "/api/v1".to_owned() } else { format!("/apis/{api}") };
    let plural = format!("{}s", object["kind"].as_str().unwrap_or_default().to_lowercase());
    let scope = if plural == "customresourcedefinitions" { "" } else { "/namespaces/default" };
    format!("{root}{scope}/{plural}")
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![1 => anything(), 2 => plausible()]
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { method, path, query, content_type, accept, body } = self;
        write!(f, "{method} {path} {query:?} {content_type:?} {accept:?} {}", body.escape_ascii())
    }
}

impl Input {
    /// The request; `None` where HTTP itself would refuse it.
    fn request(&self) -> Option<Request<Body>> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.query);
        let request = Request::builder()
            .method(self.method)
            .uri(format!("{}?{}", self.path, query.finish()))
            .header("Authorization", format!("Bearer {TOKEN}"))
            .header("Accept", &self.accept);
        let request = if self.content_type.is_empty() {
            request
        } else {
            request.header("Content-Type", &self.content_type)
        };
        request.body(Body::from(self.body.clone())).ok()
    }
}

#[test]
fn every_request_is_answered() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let store = Store::in_memory(Kinds::builtin(), Ambient::pinned(Timestamp::UNIX_EPOCH, 1));
    let api = Api::new(store, Identity::new(TOKEN.to_owned(), &[7; 32], String::new()));
    let namespace = Input {
        method: "POST",
        path: "/api/v1/namespaces".to_owned(),
        query: Vec::new(),
        content_type: "application/json".to_owned(),
        accept: "*/*".to_owned(),
        body: json!({ "metadata": { "name": "default" } }).to_string().into_bytes(),
    };
    let made = runtime.block_on(api.handle(namespace.request().unwrap()));
    assert_eq!(made.status(), 201);
    let cases = std::env::var("AEGIS_FUZZ_INPUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(INPUTS);
    let before = memory_stats::memory_stats().map_or(0, |memory| memory.physical_mem);
    let answers: RefCell<BTreeMap<u16, usize>> = RefCell::default();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&input(), |input| {
            let Some(request) = input.request() else { return Ok(()) };
            let answer = runtime.block_on(api.handle(request));
            let status = answer.status().as_u16();
            if status == 500 {
                let told = runtime.block_on(axum::body::to_bytes(answer.into_body(), usize::MAX)).unwrap();
                let told = String::from_utf8_lossy(&told).into_owned();
                prop_assert!(!told.contains(DEFECT), "it broke off");
            }
            *answers.borrow_mut().entry(status).or_default() += 1;
            prop_assert!((101..600).contains(&status));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let grown = memory_stats::memory_stats().map_or(0, |memory| memory.physical_mem).saturating_sub(before);
    eprintln!("{cases} inputs, grown by {} MiB, answers: {:?}", grown >> 20, answers.borrow());
    assert!(grown < GROWTH, "grown by {grown} bytes");
}
