//! What a path means: a page about the server, or objects of a kind.

use std::sync::Arc;

use super::status::Status;
use crate::kinds::{Kind, Kinds};

/// What a request is about.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// A page about the server itself, by its path segments.
    Page(Vec<String>),
    /// Objects.
    Objects(ObjectPath),
}

/// A path to the objects of a kind, to one of them, or to a subresource of one.
#[derive(Clone, Debug)]
pub(super) struct ObjectPath {
    pub(super) kind: Arc<Kind>,
    /// Empty for cluster-scoped kinds, and for all namespaces.
    pub(super) namespace: String,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
    /// The deprecated `/watch/` form.
    pub(super) watch: bool,
}

/// Reads a path. The kinds decide what is served.
pub(super) fn route(path: &str, kinds: &Kinds) -> Result<Route, Status> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let raw: Vec<&str> = path.split('/').skip(1).collect();
    let segments: Vec<String> = raw.iter().map(|segment| percent_decode(segment)).collect();
    if segments.iter().any(|segment| segment.contains('/')) {
        return Err(Status::no_such_path());
    }
    let words: Vec<&str> = segments.iter().map(String::as_str).collect();
    match words[..] {
        ["api", version, ref rest @ ..] if !rest.is_empty() => objects(kinds, "", version, rest),
        ["apis", group, version, ref rest @ ..] if !rest.is_empty() => objects(kinds, group, version, rest),
        _ => Ok(Route::Page(segments)),
    }
}

fn objects(kinds: &Kinds, group: &str, version: &str, rest: &[&str]) -> Result<Route, Status> {
    let (watch, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        _ => (false, rest),
    };
    let (namespace, plural, rest) = split_namespace(group, rest);
    let unknown = || unknown_path(kinds, group);
    let kind = kinds.served(group, version, plural).ok_or_else(unknown)?;
    let (name, subresource) = match rest {
        [] => (None, None),
        [name] => (Some((*name).to_owned()), None),
        [name, subresource] => (Some((*name).to_owned()), Some((*subresource).to_owned())),
        // A proxied path goes on below the subresource.
        [name, "proxy", ..] => (Some((*name).to_owned()), Some("proxy".to_owned())),
        _ => return Err(unknown()),
    };
    let has_namespace = !namespace.unwrap_or_default().is_empty();
    let fits_scope = match (kind.namespaced, namespace) {
        (false, Some(_)) => false,
        (true, _) => has_namespace || name.is_none(),
        (false, None) => true,
    };
    let lacks_subresource = subresource.as_ref().is_some_and(|name| kind.subresource(name).is_none());
    if fits_scope && lacks_subresource && kind.custom {
        // Custom kinds tell a missing subresource as a missing object.
        return Err(Status::not_found(&kind, name.as_deref().unwrap_or_default()));
    }
    if !fits_scope || lacks_subresource {
        return Err(unknown());
    }
    if let Some(name @ ("." | "..")) = name.as_deref() {
        return Err(Status::bad_request(format!("Name parameter invalid: {name:?}: may not be '{name}'")));
    }
    let namespace = namespace.unwrap_or_default().to_owned();
    Ok(Route::Objects(ObjectPath { kind, namespace, name, subresource, watch }))
}

/// `namespaces/NAME/PLURAL/..` is a namespaced path, unless it is a subresource of the namespace.
fn split_namespace<'a>(group: &str, rest: &'a [&'a str]) -> (Option<&'a str>, &'a str, &'a [&'a str]) {
    match rest {
        ["namespaces", _, "status" | "finalize"] if group.is_empty() => (None, "namespaces", &rest[1..]),
        ["namespaces", namespace, plural, more @ ..] => (Some(namespace), plural, more),
        [plural, more @ ..] => (None, plural, more),
        [] => (None, "", rest),
    }
}

/// A served built-in group answers a Status; a custom or unknown group answers text.
pub(super) fn unknown_path(kinds: &Kinds, group: &str) -> Status {
    let is_builtin = kinds.all().iter().any(|kind| kind.group == group && !kind.custom);
    if is_builtin { Status::no_such_path() } else { Status::page_not_found() }
}

/// Decodes `%XX`; what does not decode stays as it is.
pub(super) fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let hex = bytes.get(position + 1..position + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let decoded = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[position], decoded) {
            (b'%', Some(byte)) => {
                out.push(byte);
                position += 3;
            }
            (byte, _) => {
                out.push(byte);
                position += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(path: &str) -> String {
        match route(path, &Kinds::builtin()) {
            Ok(Route::Page(segments)) => format!("page {}", segments.join("/")),
            Ok(Route::Objects(path)) => format!(
                "{} ns={} name={} sub={}{}",
                path.kind.plural,
                path.namespace,
                path.name.unwrap_or_default(),
                path.subresource.unwrap_or_default(),
                if path.watch { " watch" } else { "" },
            ),
            Err(status) => format!("{} {}", status.code, if status.plain { "text" } else { "status" }),
        }
    }

    #[test]
    fn paths_lead_to_objects_pages_or_two_kinds_of_404() {
        let table = [
            ("/api/v1/pods", "pods ns= name= sub="),
            ("/api/v1/namespaces/a/pods/", "pods ns=a name= sub="),
            ("/api/v1/namespaces//pods", "pods ns= name= sub="),
            ("/api/v1/namespaces/a/pods/b/log", "pods ns=a name=b sub=log"),
            ("/api/v1/namespaces/a/status", "namespaces ns= name=a sub=status"),
            ("/api/v1/watch/namespaces/a/pods/b", "pods ns=a name=b sub= watch"),
            ("/apis/apps/v1/namespaces/a/deployments/web", "deployments ns=a name=web sub="),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Aadmin",
                "clusterroles ns= name=system:admin sub=",
            ),
            ("/apis/apps/v1", "page apis/apps/v1"),
            ("/version", "page version"),
            ("/api/v1//namespaces", "404 status"),
            ("/api/v1/pods/b", "404 status"),
            ("/api/v1/namespaces/a/nodes", "404 status"),
            ("/api/v1/namespaces/a/pods/b/log/x", "404 status"),
            ("/api/v1/namespaces/a/configmaps/b/status", "404 status"),
            ("/apis/apps/v9/deployments", "404 status"),
            ("/apis/none.example.com/v1/things", "404 text"),
            ("/api/v1/namespaces/a/configmaps/%2e%2e", "400 status"),
            ("/api/v1/namespaces/a/configmaps/a%2Fb", "404 status"),
        ];
        for (path, expected) in table {
            assert_eq!(show(path), expected, "{path}");
        }
    }
}
