//! Who asks, and whether they may.
//!
//! The sandbox knows its administrator by a bearer token, service accounts by tokens it issued
//! itself, and everyone else as `system:anonymous`. The administrator may do everything and act as
//! anyone; what the others may do is in `roles`.

mod roles;
mod tokens;

use http::{HeaderMap, Method, header};
use serde_json::Value;

pub(super) use self::tokens::ALGORITHM;
pub use self::tokens::Identity;

use super::query::Query;
use super::route::{ObjectPath, Route};
use super::status::Status;
use super::{Api, Verb};

/// The group that may do everything.
pub(super) const MASTERS: &str = "system:masters";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user name.
    pub name: String,
    /// The uid; empty when there is none.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// Which credential they showed, such as the id of a token; empty when it has none.
    pub credential: String,
}

impl User {
    /// A user with groups, authenticated.
    pub fn new(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().chain(&["system:authenticated"]).map(|&group| group.into()).collect();
        Self { name: name.into(), uid: String::new(), groups, credential: String::new() }
    }

    /// Somebody without a token.
    pub fn anonymous() -> Self {
        let groups = vec!["system:unauthenticated".into()];
        Self { name: "system:anonymous".into(), uid: String::new(), groups, credential: String::new() }
    }

    /// A service account.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let own = format!("system:serviceaccounts:{namespace}");
        let mut user = Self::new(
            &format!("system:serviceaccount:{namespace}:{name}"),
            &["system:serviceaccounts", &own],
        );
        user.uid = uid.into();
        user
    }

    /// Whether nothing is refused to this user.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

/// What somebody wants to do, in the words of authorisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) verb: String,
    pub(super) group: String,
    /// With its subresource: `pods/log`.
    pub(super) resource: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// A path, when it is not about a resource.
    pub(super) path: String,
}

impl Attempt {
    /// What a request to a path wants; the path need not lead anywhere.
    pub(super) fn of(method: &Method, path: &str, query: &Query, route: Option<&Route>) -> Self {
        if let Some(Route::Objects(objects)) = route {
            return Self::of_objects(method, objects, query);
        }
        let verb = method.as_str().to_ascii_lowercase();
        let segments: Vec<&str> = path.split('/').skip(1).filter(|segment| !segment.is_empty()).collect();
        let guess = |group: &str, rest: &[&str]| {
            let (namespace, rest) = match rest {
                ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
                rest => ("", rest),
            };
            let text = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
            let verb = match (method.as_str(), rest.len() > 1) {
                ("GET", false) => "list",
                ("GET", true) => "get",
                ("POST", _) => "create",
                ("PUT", _) => "update",
                ("PATCH", _) => "patch",
                (_, false) => "deletecollection",
                (_, true) => "delete",
            };
            Self {
                verb: verb.into(),
                group: group.into(),
                resource: text(0),
                namespace: namespace.into(),
                name: text(1),
                path: String::new(),
            }
        };
        match segments[..] {
            ["api", _, ref rest @ ..] if !rest.is_empty() => guess("", rest),
            ["apis", group, _, ref rest @ ..] if !rest.is_empty() => guess(group, rest),
            _ => Self { verb, path: path.into(), ..Self::default() },
        }
    }

    fn of_objects(method: &Method, path: &ObjectPath, query: &Query) -> Self {
        let verb = Verb::meant(method, path, query).map_or("get", Verb::name);
        let resource = match &path.subresource {
            None => path.kind.plural.clone(),
            Some(subresource) => format!("{}/{subresource}", path.kind.plural),
        };
        Self {
            verb: verb.into(),
            group: path.kind.group.clone(),
            resource,
            namespace: path.namespace.clone(),
            name: path.name.clone().unwrap_or_default(),
            path: String::new(),
        }
    }

    /// Reads the attributes of an access review.
    pub(super) fn of_review(spec: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if let Some(path) = spec["nonResourceAttributes"]["path"].as_str() {
            let verb = text(&spec["nonResourceAttributes"]["verb"]);
            return Self { verb, path: path.into(), ..Self::default() };
        }
        let attributes = &spec["resourceAttributes"];
        let mut resource = text(&attributes["resource"]);
        if let Some(subresource) = attributes["subresource"].as_str().filter(|name| !name.is_empty()) {
            resource = format!("{resource}/{subresource}");
        }
        Self {
            verb: text(&attributes["verb"]),
            group: text(&attributes["group"]),
            resource,
            namespace: text(&attributes["namespace"]),
            name: text(&attributes["name"]),
            path: String::new(),
        }
    }

    fn refusal(&self, user: &User) -> Status {
        let name = &user.name;
        if !self.path.is_empty() {
            let message = format!("forbidden: User {name:?} cannot {} path {:?}", self.verb, self.path);
            return Status::new(403, "Forbidden", message).with_empty_details();
        }
        let plural = self.resource.split('/').next().unwrap_or_default();
        let scope = match &*self.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let problem = format!(
            "User {name:?} cannot {} resource {:?} in API group {:?} {scope}",
            self.verb, self.resource, self.group
        );
        Status::forbidden_attempt(&self.group, plural, &self.name, &problem)
    }
}

impl Api {
    /// Finds out who asks: by token, and as whom they want to act.
    pub(super) fn authenticate(&self, headers: &HeaderMap) -> Result<User, Status> {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
        let user = match token {
            None => User::anonymous(),
            Some(token) => {
                self.user_of_token(token).ok_or_else(|| Status::new(401, "Unauthorized", "Unauthorized"))?
            }
        };
        self.impersonated(user, headers)
    }

    fn impersonated(&self, user: User, headers: &HeaderMap) -> Result<User, Status> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let groups = headers.get_all("impersonate-group");
        let groups: Vec<String> =
            groups.into_iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
        let Some(name) = text("impersonate-user") else {
            return match groups.is_empty() {
                true => Ok(user),
                false => {
                    let groups: Vec<String> = groups.iter().map(|group| format!("{group:?}")).collect();
                    Err(Status::bad_request(format!(
                        "requested &user.DefaultInfo{{Name:\"\", UID:\"\", Groups:[]string{{{}}}, Extra:map[string][]string(nil)}} without impersonating a user name",
                        groups.join(", ")
                    )))
                }
            };
        };
        let attempt = Attempt {
            verb: "impersonate".into(),
            resource: "users".into(),
            name: name.clone(),
            ..Attempt::default()
        };
        if !self.allows(&user, &attempt).is_allowed {
            return Err(attempt.refusal(&user));
        }
        let mut parts = name.splitn(4, ':');
        if let (Some("system"), Some("serviceaccount"), Some(namespace), Some(account)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
            && groups.is_empty()
        {
            return Ok(User::service_account(namespace, account, ""));
        }
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        Ok(User { uid: text("impersonate-uid").unwrap_or_default(), ..User::new(&name, &groups) })
    }

    /// Refuses what the user may not do. This comes before the path is found to lead anywhere.
    pub(super) fn authorize(&self, user: &User, attempt: &Attempt) -> Result<(), Status> {
        match user.is_master() || self.allows(user, attempt).is_allowed {
            true => Ok(()),
            false => Err(attempt.refusal(user)),
        }
    }
}
