//! A request to the Kubernetes API as a value: built and tested without a server, sent by `client.rs`.
//! Paths and media types are those of the Kubernetes API conventions; `fieldManager` is always `aegis`.

use std::fmt;

use http::Method;
use serde_json::Value;

use super::kinds::Kind;

/// The field manager of everything aegis writes.
pub(super) const MANAGER: &str = "aegis";

/// What may be done with a request whose answer got lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Sending it twice is as good as once.
    Safely,
    /// Sending it twice may do it twice: a lost answer is an unknown outcome.
    Never,
}

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<Value>,
    pub(super) content_type: &'static str,
    pub(super) accept: &'static str,
    pub(super) repeat: Repeat,
    /// A 429 answers the question itself (an eviction refused by a budget) instead of asking to come back.
    pub(super) busy_is_an_answer: bool,
    pub(super) subject: Subject,
}

/// What a request is about, for the sentence of its error.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Subject {
    pub(super) verb: &'static str,
    /// Qualified plural: `deployments.apps`.
    pub(super) resource: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}", self.resource)?;
        if let Some(name) = &self.name {
            write!(f, "/{name}")?;
        }
        f.write_str("`")?;
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace `{namespace}`"),
            None => Ok(()),
        }
    }
}

/// The three patch types besides apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatchKind {
    Json,
    Merge,
    Strategic,
}

impl PatchKind {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
        }
    }
}

impl Request {
    fn new(method: Method, verb: &'static str, path: String) -> Self {
        let subject = Subject { verb, ..Subject::default() };
        Self {
            method,
            path,
            query: Vec::new(),
            body: None,
            content_type: "application/json",
            accept: "application/json",
            repeat: Repeat::Safely,
            busy_is_an_answer: false,
            subject,
        }
    }

    fn on(
        method: Method,
        verb: &'static str,
        kind: &Kind,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Self {
        let mut request = Self::new(method, verb, kind.path(namespace, name));
        request.subject.resource = kind.qualified();
        request.subject.namespace = namespace.map(str::to_owned);
        request.subject.name = name.map(str::to_owned);
        request
    }

    /// A read of any path: `/version`, `/apis`.
    pub(super) fn read(path: &str) -> Self {
        let mut request = Self::new(Method::GET, "get", path.to_owned());
        request.subject.resource = path.to_owned();
        request
    }

    pub(super) fn get(kind: &Kind, namespace: Option<&str>, name: &str) -> Self {
        Self::on(Method::GET, "get", kind, namespace, Some(name))
    }

    pub(super) fn list(kind: &Kind, namespace: Option<&str>) -> Self {
        Self::on(Method::GET, "list", kind, namespace, None)
    }

    pub(super) fn create(kind: &Kind, namespace: Option<&str>, object: &Value) -> Self {
        let request = Self::on(Method::POST, "create", kind, namespace, None).query("fieldManager", MANAGER);
        Self { repeat: Repeat::Never, ..request }.carrying(object)
    }

    pub(super) fn apply(
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
        force: bool,
    ) -> Self {
        let request = Self::on(Method::PATCH, "patch", kind, namespace, Some(name))
            .query("fieldManager", MANAGER)
            .query("fieldValidation", "Strict")
            .query("force", if force { "true" } else { "false" });
        Self { content_type: "application/apply-patch+yaml", ..request }.carrying(object)
    }

    pub(super) fn patch(
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        how: PatchKind,
        patch: &Value,
    ) -> Self {
        let request =
            Self::on(Method::PATCH, "patch", kind, namespace, Some(name)).query("fieldManager", MANAGER);
        // A JSON patch may append; the other two say what the object shall be.
        let repeat = if how == PatchKind::Json { Repeat::Never } else { Repeat::Safely };
        Self { content_type: how.content_type(), repeat, ..request }.carrying(patch)
    }

    pub(super) fn delete(kind: &Kind, namespace: Option<&str>, name: &str, options: &Value) -> Self {
        Self::on(Method::DELETE, "delete", kind, namespace, Some(name)).carrying(options)
    }

    /// A POST to a subresource (`eviction`).
    pub(super) fn subresource(
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        subresource: &str,
        body: &Value,
    ) -> Self {
        let mut request = Self::on(Method::POST, "create", kind, namespace, Some(name)).carrying(body);
        request.path = format!("{}/{subresource}", request.path);
        request.subject.resource = format!("{}/{subresource}", request.subject.resource);
        request
    }

    /// A question that is asked by POST and changes nothing (`selfsubjectaccessreviews`).
    pub(super) fn question(path: &str, body: &Value) -> Self {
        let mut request = Self::new(Method::POST, "create", path.to_owned());
        request.subject.resource = path.rsplit('/').next().unwrap_or(path).to_owned();
        request.dry().carrying(body)
    }

    #[must_use]
    pub(super) fn query(mut self, key: &str, value: impl Into<String>) -> Self {
        self.query.push((key.to_owned(), value.into()));
        self
    }

    /// The server does everything but store it.
    #[must_use]
    pub(super) fn dry(mut self) -> Self {
        self.repeat = Repeat::Safely;
        self.query("dryRun", "All")
    }

    #[must_use]
    fn carrying(mut self, body: &Value) -> Self {
        self.body = Some(body.clone());
        self
    }

    /// True for everything that could change the cluster.
    pub(super) fn is_mutating(&self) -> bool {
        self.method != Method::GET && !self.query.iter().any(|(key, value)| key == "dryRun" && value == "All")
    }

    /// Path and query as they stand in the request line.
    pub(super) fn uri(&self) -> String {
        if self.query.is_empty() {
            return self.path.clone();
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.query);
        format!("{}?{}", self.path, query.finish())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::k8s::kinds::tests::deployments;

    #[test]
    fn an_apply_names_the_manager_and_is_strict() {
        let request = Request::apply(&deployments(), Some("shop"), "web", &json!({}), false);
        assert_eq!(
            request.uri(),
            "/apis/apps/v1/namespaces/shop/deployments/web?fieldManager=aegis&fieldValidation=Strict&force=false"
        );
        assert!(request.is_mutating());
    }

    #[test]
    fn a_dry_run_is_not_mutating_and_safe_to_repeat() {
        let request = Request::create(&deployments(), Some("shop"), &json!({}));
        assert_eq!((request.is_mutating(), request.repeat), (true, Repeat::Never));
        let request = request.dry();
        assert_eq!((request.is_mutating(), request.repeat), (false, Repeat::Safely));
    }

    #[test]
    fn selectors_are_escaped() {
        let request = Request::list(&deployments(), None).query("labelSelector", "app in (a,b),tier=x y");
        assert_eq!(request.uri(), "/apis/apps/v1/deployments?labelSelector=app+in+%28a%2Cb%29%2Ctier%3Dx+y");
    }
}
