//! Pages about the server itself: version, health, discovery, schemas.

use axum::response::Response;
use http::{HeaderMap, Method, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::accept::{Format, Wish, format_of, not_acceptable, wishes};
use super::answer::{json_response, set_header, text_response, without_type};
use super::auth::ALGORITHM;
use super::discovery::tagged;
use super::query::Query;
use super::status::Status;
use super::{Api, openapi};
use crate::controllers::nodes::static_pods;
use crate::store::{Object, Resource};

/// The Kubernetes version whose behaviour is played.
pub(super) const VERSION: (&str, &str, &str) = ("1", "36", "v1.36.2");

/// The build of that version whose answers the sandbox is held against.
const COMMIT: &str = "8e16b12fda5b1dccc41a6de48b3e356cc7d5048b";

/// The protobuf form of the second version's schemas, as it is asked for and as it is named in the answer.
const OPENAPI_2_ASKED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const OPENAPI_2_ANSWERED: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The dates that stand for contents: 2020, and three years from there.
const FIRST_DATE: i64 = 1_577_836_800;
const DATES: u32 = 3 * 365 * 86_400;

const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

const TEXT: &str = "text/plain; charset=utf-8";
/// The checks that a real server's health pages know by name, in the order it shows them. All of them are one
/// process here: when it answers, they are well.
const CHECKS: &[&str] = &[
    "ping",
    "log",
    "loopback-serving-certificate",
    "etcd",
    "informer-sync",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/priority-and-fairness-config-consumer",
    "poststarthook/priority-and-fairness-filter",
    "poststarthook/storage-object-count-tracker-hook",
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/peer-endpoint-reconciler-controller",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/start-kube-apiserver-identity-lease-controller",
    "poststarthook/start-kube-apiserver-identity-lease-garbage-collector",
    "poststarthook/storage-readiness",
    "poststarthook/start-legacy-token-tracking-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/priority-and-fairness-config-producer",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-wait-for-first-sync",
    "poststarthook/apiservice-discovery-controller",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
    "poststarthook/apiservice-openapi-controller",
    "poststarthook/apiservice-openapiv3-controller",
    "shutdown",
];

impl Api {
    /// The version page: the server is as old as the oldest control-plane node of ours, where it runs as a pod; of
    /// machines that others registered only their kubelets tell a version. What it does is what the version played
    /// does, whichever it tells.
    pub(super) fn version(&self) -> Value {
        let nodes = self.store().list(&Resource::core("nodes"), None);
        let is_plane = |node: &Object| {
            node["metadata"]["labels"].get(CONTROL_PLANE).is_some() && static_pods::runs_on(node)
        };
        let told = |plane: Object| plane["status"]["nodeInfo"]["kubeletVersion"].as_str().map(str::to_owned);
        let told = nodes.objects().filter(is_plane).filter_map(told);
        let oldest = told.min_by_key(|version| minor_of(version)).filter(|told| !told.is_empty());
        version_page(oldest.as_deref().unwrap_or(VERSION.2))
    }

    /// Answers a page.
    pub(super) fn page(
        &self,
        method: &Method,
        segments: &[String],
        query: &Query,
        headers: &HeaderMap,
    ) -> Result<Response, Status> {
        let words: Vec<&str> = segments.iter().map(String::as_str).collect();
        let page = match words[..] {
            [] | [""] => super::answer::negotiated(headers, 200, &self.paths()),
            ["version"] => Ok(json_response(200, &self.version())),
            ["healthz" | "livez" | "readyz"] => Ok(health(words[0], query)),
            [page @ ("healthz" | "livez" | "readyz"), ref check @ ..]
                if !check.is_empty() && is_checked(page, &check.join("/")) =>
            {
                Ok(text_response(200, TEXT, "ok"))
            }
            ["api"] => self.discovery_root(true, headers),
            ["apis"] => self.discovery_root(false, headers),
            ["api", version] => self.group_version("", version, headers),
            ["apis", group] => self.group(group, headers),
            ["apis", group, version] => self.group_version(group, version, headers),
            ["openapi", "v2"] => self.openapi_2(headers),
            ["openapi", "v3"] => Ok(with_date(headers, TEXT, &self.openapi_index())),
            ["openapi", "v3", ref path @ ..] => self.openapi_group(path, query, headers),
            ["openid", "v1", "jwks"] => self.public_keys(headers),
            // The one page a real server does not have: which webhooks were called, and which taken to say yes.
            ["sandbox.aegis.dev", "webhooks"] => Ok(json_response(200, &json!(self.assumed().counts()))),
            [".well-known", "openid-configuration"] => Ok(json_response(200, &openid(headers))),
            _ => Err(Status::page_not_found()),
        }?;
        match *method == Method::GET {
            true => Ok(page),
            false => Err(Status::method_not_allowed()),
        }
    }

    /// The keys by which anyone can check a token.
    fn public_keys(&self, headers: &HeaderMap) -> Result<Response, Status> {
        const KEYS: &str = "application/jwk-set+json";
        let reads_keys = |wish: &Wish<'_>| matches!(wish.media, KEYS | "application/*" | "*/*");
        match wishes(headers).iter().any(reads_keys) {
            true => Ok(text_response(200, KEYS, json!({"keys": [self.identity().public_key()]}).to_string())),
            false => Err(Status::not_acceptable(KEYS)),
        }
    }

    fn paths(&self) -> Value {
        let mut paths: Vec<String> =
            ["/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/"]
                .map(str::to_owned)
                .to_vec();
        for (group, versions) in self.groups() {
            paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
            paths.push(format!("/apis/{group}"));
        }
        for page in ["healthz", "livez", "readyz"] {
            paths.push(format!("/{page}"));
            let checks = CHECKS
                .iter()
                .filter(|check| is_checked(page, check) && (page != "readyz" || **check != "etcd"));
            paths.extend(checks.map(|check| format!("/{page}/{check}")));
        }
        paths.extend(
            [
                "/flagz",
                "/metrics",
                "/metrics/slis",
                "/openapi/v2",
                "/openapi/v3",
                "/openapi/v3/",
                "/openid/v1/jwks",
            ]
            .map(str::to_owned),
        );
        paths.extend(["/statusz", "/version"].map(str::to_owned));
        paths.sort();
        json!({"paths": paths})
    }

    /// The groups that have schemas, each with the hash that makes its page cacheable.
    fn openapi_index(&self) -> Value {
        let kinds = self.store().kinds().all();
        let mut paths = serde_json::Map::new();
        for path in openapi::server_pages(self.store().kinds()) {
            let url = format!("/openapi/v3/{path}?hash={}", openapi::page_hash(&path));
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
        for kind in &kinds {
            let path = match &*kind.group {
                "" => format!("api/{}", kind.version),
                group => format!("apis/{group}/{}", kind.version),
            };
            if !paths.contains_key(&path) {
                let hash = openapi::hash(self.store().kinds(), &kind.group, &kind.version);
                let url = format!("/openapi/v3/{path}?hash={hash}");
                paths.insert(path, json!({"serverRelativeURL": url}));
            }
        }
        json!({"paths": paths})
    }

    /// Everything in one document, as JSON or in the form that kubectl prefers.
    fn openapi_2(&self, headers: &HeaderMap) -> Result<Response, Status> {
        let document = openapi::version_2(self.store().kinds());
        let text = format!("{document}\n");
        let tag = hex::encode_upper(Sha256::digest(&text));
        let wants_protobuf = wishes(headers).first().is_some_and(|wish| wish.media == OPENAPI_2_ASKED);
        if wants_protobuf {
            return Ok(tagged(headers, OPENAPI_2_ANSWERED, openapi::protobuf::encode(&document), &tag));
        }
        check_reads_json(headers)?;
        Ok(tagged(headers, "application/json", text, &tag))
    }

    fn openapi_group(&self, path: &[&str], query: &Query, headers: &HeaderMap) -> Result<Response, Status> {
        check_reads_json(headers)?;
        let kinds = self.store().kinds();
        let name = path.join("/");
        let (document, hash) = match path {
            _ if openapi::server_pages(kinds).contains(&name) => {
                (Some(openapi::server_page(&name)), openapi::page_hash(&name))
            }
            ["api", version] => (openapi::version_3(kinds, "", version), openapi::hash(kinds, "", version)),
            ["apis", group, version] => {
                (openapi::version_3(kinds, group, version), openapi::hash(kinds, group, version))
            }
            _ => (None, String::new()),
        };
        let Some(document) = document else { return Ok(without_type(404)) };
        let mut response = tagged(headers, "application/json", format!("{document}\n"), &hash);
        if query.get("hash").is_some_and(|wanted| wanted != hash) {
            response = text_response(301, "application/json", String::new());
            set_header(&mut response, header::LOCATION, &format!("/openapi/v3/{name}?hash={hash}"));
            set_header(&mut response, header::ETAG, &format!("\"{hash}\""));
        }
        Ok(response)
    }
}

/// Answers with a date that clients ask with next time, or with nothing when it is still the same. The date
/// stands for the content: two contents have two dates, and the same content the same.
fn with_date(headers: &HeaderMap, content_type: &str, body: &Value) -> Response {
    let text = format!("{body}\n");
    let seconds = FIRST_DATE + i64::from(crc32fast::hash(text.as_bytes()) % DATES);
    let date = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let is_known =
        headers.get(header::IF_MODIFIED_SINCE).is_some_and(|known| known.as_bytes() == date.as_bytes());
    let mut response = if is_known { without_type(304) } else { text_response(200, content_type, text) };
    set_header(&mut response, header::LAST_MODIFIED, &date);
    response
}

/// Schemas are written as JSON only; clients that read nothing else go on without them.
fn check_reads_json(headers: &HeaderMap) -> Result<(), Status> {
    match wishes(headers).iter().any(|wish| format_of(wish.media) == Some(Format::Json)) {
        true => Ok(()),
        false => Err(not_acceptable()),
    }
}

/// The version page of a server of this version.
fn version_page(version: &str) -> Value {
    let minor = minor_of(version);
    let (major, _, played) = VERSION;
    let commit = if version == played { COMMIT } else { "" };
    json!({
        "major": major, "minor": minor.to_string(), "emulationMajor": major, "emulationMinor": minor.to_string(),
        "minCompatibilityMajor": major, "minCompatibilityMinor": minor.saturating_sub(1).to_string(),
        "gitVersion": version, "gitCommit": commit, "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "go1.27.3", "compiler": "gc", "platform": format!("{}/{}", std::env::consts::OS, go_arch()),
    })
}

fn minor_of(version: &str) -> u32 {
    version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or_default()
}

fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Whether a health page makes a check. Only readiness looks at informers and shutdown.
fn is_checked(page: &str, check: &str) -> bool {
    let for_readiness = matches!(check, "informer-sync" | "shutdown");
    CHECKS.contains(&check)
        && (page == "readyz" || !for_readiness)
        && !(page == "readyz" && check == "loopback-serving-certificate")
}

fn health(page: &str, query: &Query) -> Response {
    if !query.has("verbose") {
        return text_response(200, TEXT, "ok");
    }
    let checks =
        CHECKS.iter().filter(|check| is_checked(page, check) && (page != "readyz" || **check != "etcd"));
    let mut lines: Vec<String> = checks.map(|check| format!("[+]{check} ok")).collect();
    lines.push(format!("{page} check passed\n"));
    text_response(200, TEXT, lines.join("\n"))
}

/// Where the keys are by which anyone can check a token, and how tokens are signed.
fn openid(headers: &HeaderMap) -> Value {
    let issuer = Api::default_audience();
    json!({
        "issuer": issuer, "jwks_uri": format!("https://{}/openid/v1/jwks", super::answer::host(headers)), "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": [ALGORITHM],
    })
}
