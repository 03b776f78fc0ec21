//! Pages about the server itself: version, health, discovery, schemas.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Value, json};

use super::accept::{Format, format_of, not_acceptable, wishes};
use super::answer::{json_response, text_response};
use super::discovery::with_tag;
use super::query::Query;
use super::status::Status;
use super::{Api, openapi};

/// The Kubernetes version whose behaviour is played.
pub(super) const VERSION: (&str, &str, &str) = ("1", "36", "v1.36.2");

const TEXT: &str = "text/plain; charset=utf-8";
/// The checks that the health pages know by name.
const CHECKS: &[&str] = &["ping", "log", "etcd"];

impl Api {
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
            ["version"] => Ok(json_response(200, &version())),
            ["healthz" | "livez" | "readyz"] => Ok(health(words[0], query)),
            ["healthz" | "livez" | "readyz", check] if CHECKS.contains(&check) => {
                Ok(text_response(200, TEXT, "ok"))
            }
            ["api"] => self.discovery_root(true, headers),
            ["apis"] => self.discovery_root(false, headers),
            ["api", version] => self.group_version("", version, headers),
            ["apis", group] => self.group(group, headers),
            ["apis", group, version] => self.group_version(group, version, headers),
            ["openapi", "v2"] => {
                check_reads_json(headers)?;
                Ok(with_tag(headers, "application/json", &openapi::version_2(self.store().kinds())))
            }
            ["openapi", "v3"] => Ok(with_tag(headers, TEXT, &self.openapi_index())),
            ["openapi", "v3", ref path @ ..] => self.openapi_group(path, query, headers),
            [".well-known", "openid-configuration"] => Ok(json_response(200, &openid())),
            _ => Err(Status::page_not_found()),
        }?;
        match *method == Method::GET {
            true => Ok(page),
            false => Err(Status::method_not_allowed()),
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
            paths.extend(CHECKS.iter().map(|check| format!("/{page}/{check}")));
        }
        paths.extend(["/openapi/v2", "/openapi/v3", "/openapi/v3/", "/version"].map(str::to_owned));
        paths.sort();
        json!({"paths": paths})
    }

    /// The groups that have schemas, each with the hash that makes its page cacheable.
    fn openapi_index(&self) -> Value {
        let kinds = self.store().kinds().all();
        let mut paths = serde_json::Map::new();
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

    fn openapi_group(&self, path: &[&str], query: &Query, headers: &HeaderMap) -> Result<Response, Status> {
        check_reads_json(headers)?;
        let (group, version) = match path {
            ["api", version] => ("", *version),
            ["apis", group, version] => (*group, *version),
            _ => return Err(Status::page_not_found()),
        };
        let kinds = self.store().kinds();
        let document = openapi::version_3(kinds, group, version).ok_or_else(Status::page_not_found)?;
        let hash = openapi::hash(kinds, group, version);
        if query.get("hash").is_some_and(|wanted| wanted != hash) {
            let place = format!("/openapi/v3/{}?hash={hash}", path.join("/"));
            let mut response = text_response(301, "text/plain", String::new());
            if let Ok(place) = HeaderValue::from_str(&place) {
                response.headers_mut().insert(header::LOCATION, place);
            }
            return Ok(response);
        }
        Ok(with_tag(headers, "application/json", &document))
    }
}

/// Schemas are written as JSON only; clients that read nothing else go on without them.
fn check_reads_json(headers: &HeaderMap) -> Result<(), Status> {
    match wishes(headers).iter().any(|wish| format_of(wish.media) == Some(Format::Json)) {
        true => Ok(()),
        false => Err(not_acceptable()),
    }
}

/// The version page.
pub(super) fn version() -> Value {
    let (major, minor, version) = VERSION;
    json!({
        "major": major, "minor": minor, "emulationMajor": major, "emulationMinor": minor,
        "minCompatibilityMajor": major, "minCompatibilityMinor": "35",
        "gitVersion": version, "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": format!("{}/{}", std::env::consts::OS, go_arch()),
    })
}

fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn health(page: &str, query: &Query) -> Response {
    if !query.has("verbose") {
        return text_response(200, TEXT, "ok");
    }
    let mut lines: Vec<String> = CHECKS.iter().map(|check| format!("[+]{check} ok")).collect();
    lines.push(format!("{page} check passed\n"));
    text_response(200, TEXT, lines.join("\n"))
}

/// Tokens are signed with a secret key, so there is no public one to point at.
fn openid() -> Value {
    let issuer = Api::default_audience();
    json!({
        "issuer": issuer, "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["HS256"],
    })
}
