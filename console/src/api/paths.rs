//! What is said of a path or a method that there is not: which one was meant, as far as the routes tell.

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::text::{did_you_mean, list};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::ROUTES;
use super::answer::Refused;

/// Nothing is there.
pub(super) async fn unknown(uri: Uri) -> Refused {
    nothing_at(uri.path())
}

/// Why there is nothing at a path.
pub(super) fn nothing_at(path: &str) -> Refused {
    if let Some((pattern, name)) =
        ROUTES.iter().find_map(|route| Some((route.path, empty(route.path, path)?)))
    {
        let error = CallError::new(codes::NOT_FOUND, format!("`{path}` names no {name}"));
        return Refused::of(
            StatusCode::NOT_FOUND,
            error.hint(format!("write it where `{pattern}` has `{{{name}}}`")),
        );
    }
    let near: Vec<String> = ROUTES.iter().filter_map(|route| filled(route.path, path)).collect();
    let hint = did_you_mean(path, near.iter().map(String::as_str));
    let error = CallError::new(codes::NOT_FOUND, format!("there is nothing at `{path}`"));
    Refused::of(
        StatusCode::NOT_FOUND,
        error.hint(hint.unwrap_or_else(|| "docs/api.md lists the routes".to_owned())),
    )
}

/// Something is there, but not for that.
pub(super) async fn not_allowed(method: Method, uri: Uri) -> Response {
    let path = uri.path();
    let here = ROUTES.iter().filter(|route| filled(route.path, path).is_some_and(|filled| filled == path));
    let mut methods: Vec<String> = here.map(|route| route.method.to_uppercase()).collect();
    let names: Vec<&str> = methods.iter().map(String::as_str).collect();
    let error = CallError::new(codes::NOT_POSSIBLE, format!("`{method}` is not possible at `{path}`"));
    let refused =
        Refused::of(StatusCode::METHOD_NOT_ALLOWED, error.hint(format!("possible is {}", list(&names))));
    if names.contains(&"GET") {
        methods.push("HEAD".to_owned());
    }
    let mut response = refused.into_response();
    response
        .headers_mut()
        .extend(HeaderValue::from_str(&methods.join(", ")).ok().map(|value| (header::ALLOW, value)));
    response
}

fn parts(path: &str) -> Vec<&str> {
    path.split('/').collect()
}

fn parameter(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

/// The name that a path leaves out of a route.
fn empty<'r>(route: &'r str, path: &str) -> Option<&'r str> {
    let (route, path) = (parts(route), parts(path));
    let fits = |(part, given): (&&str, &&str)| parameter(part).is_some() || part == given;
    let alike = route.len() == path.len() && route.iter().zip(&path).all(fits);
    let mut left_out = route.iter().zip(&path).filter(|(_, given)| given.is_empty());
    alike.then(|| left_out.find_map(|(part, _)| parameter(part)))?
}

/// A route with the names of a path that is as long.
fn filled(route: &str, path: &str) -> Option<String> {
    let (route, path) = (parts(route), parts(path));
    let part = |(part, given): (&&str, &&str)| {
        if parameter(part).is_some() { (*given).to_owned() } else { (*part).to_owned() }
    };
    (route.len() == path.len()).then(|| route.iter().zip(&path).map(part).collect::<Vec<_>>().join("/"))
}
