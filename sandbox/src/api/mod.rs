//! The HTTP face of the cluster: a Kubernetes API for any kind through one path.
//!
//! ```text
//!   request -> route -> who (auth) -> verb -> read | watch | write -> answer
//!                                               |         |       |
//!                                               +---- Store ------+
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `route` | reads a path |
//! | `query`, `accept`, `decode` | read the rest of a request |
//! | `auth` | who asks, and whether they may |
//! | `pages`, `discovery` | what the server says about itself |
//! | `read`, `list`, `watch` | get, list and follow objects |
//! | `write`, `delete` | create, update, patch, delete |
//! | `strategy` | what single kinds add to a write |
//! | `subresource` | the paths below an object |
//! | `reviews` | kinds that are asked and never stored |
//! | `custom` | serving what CustomResourceDefinitions define |
//! | `aggregated` | what other servers would answer for their groups |
//! | `faults` | requests that fail on purpose |
//! | `answer`, `status` | successes and refusals |
//!
//! Controllers are not here: they write to the same store.

mod accept;
mod admit;
mod aggregated;
mod answer;
mod auth;
mod custom;
mod decode;
mod delete;
mod discovery;
mod faults;
mod fields;
mod inside;
mod list;
mod metadata;
mod openapi;
mod pages;
mod query;
mod read;
mod reviews;
mod route;
mod status;
mod strategy;
mod subresource;
mod watch;
mod write;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Method, Request};
use hyper::upgrade::OnUpgrade;

pub use self::auth::{Identity, User};
pub(crate) use self::faults::Reset;
pub(crate) use self::read::served;
pub use self::status::{Cause, Status};

use self::auth::Attempt;
use self::query::Query;
use self::route::{ObjectPath, Route};
use crate::admission::{Tally, Webhooks};
use crate::faults::requests::Dice;
use crate::kinds::Kind;
use crate::processes::Processes;
use crate::store::Store;

/// An object in the version its kind is stored in.
pub(crate) fn stored(object: serde_json::Value, kind: &Kind) -> serde_json::Value {
    strategy::to_storage(object, kind)
}

/// An object of one version of a kind as one of another.
pub(crate) fn converted(object: serde_json::Value, from: &Kind, to: &Kind) -> serde_json::Value {
    let stored = Arc::new(strategy::to_storage(object, from));
    serde_json::Value::clone(&served(&stored, to))
}

/// The largest body of a request, as a real server limits it.
pub const BODY_LIMIT: usize = 3 << 20;

/// Built-in kinds that the played release warns about: group, kind, and since when with what instead.
const DEPRECATED: &[(&str, &str, &str)] =
    &[("", "ComponentStatus", "v1.19+"), ("", "Endpoints", "v1.33+; use discovery.k8s.io/v1 EndpointSlice")];

/// What a client is told when the sandbox itself broke off; nothing of the request was stored.
pub const DEFECT: &str = "the sandbox broke off while it answered; its log says where";

/// Answers requests from a store; cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    store: Store,
    identity: Identity,
    processes: Processes,
    dice: Dice,
    /// Which webhooks were taken to say yes.
    assumed: Tally,
}

/// A request about objects, taken apart.
struct Call {
    method: Method,
    path: ObjectPath,
    query: Query,
    headers: HeaderMap,
    body: Bytes,
    user: User,
    /// The connection behind the request, for those who want to speak something else over it.
    upgrade: Option<OnUpgrade>,
    /// What admission webhooks say about it.
    webhooks: Webhooks,
    /// When it came, in seconds since 1970.
    now: i64,
}

impl Api {
    /// An API over a store. Custom resource definitions that the store holds are served at once.
    pub fn new(store: Store, identity: Identity) -> Self {
        custom::serve_all(&store);
        aggregated::serve_all(&store);
        Self(Arc::new(Inner {
            store,
            identity,
            processes: Processes::default(),
            dice: Dice::default(),
            assumed: Tally::default(),
        }))
    }

    /// The same API with containers that really run.
    #[must_use]
    pub fn with_processes(self, processes: Processes) -> Self {
        let (store, identity) = (self.0.store.clone(), self.0.identity.clone());
        let assumed = self.0.assumed.clone();
        Self(Arc::new(Inner { store, identity, processes, dice: Dice::default(), assumed }))
    }

    /// Which webhooks were called, and which taken to say yes.
    pub(crate) fn assumed(&self) -> &Tally {
        &self.0.assumed
    }

    fn dice(&self) -> &Dice {
        &self.0.dice
    }

    fn processes(&self) -> &Processes {
        &self.0.processes
    }

    /// The cluster's memory.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// Answers one request. A defect met on the way is an answer too, as the real server recovers from its own.
    pub async fn handle(&self, request: Request<Body>) -> Response {
        let answer = AssertUnwindSafe(self.answer(request)).catch_unwind().await;
        match answer.unwrap_or_else(|_| Err(Status::internal(DEFECT))) {
            Ok(response) => response,
            Err(status) => status.into_response(),
        }
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response, Status> {
        let (mut parts, body) = request.into_parts();
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let user = self.authenticate(&parts.headers)?;
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        self.define_faults(parts.uri.path()).await;
        let route = route::route(parts.uri.path(), self.store().kinds());
        let attempt = Attempt::of(&parts.method, parts.uri.path(), &query, route.as_ref().ok());
        self.authorize(&user, &attempt)?;
        if let Some(harmed) = self.suffer(&attempt).await? {
            return Ok(harmed);
        }
        let path = parts.uri.path();
        let told = |status: Status| match status.code {
            404 => self.unserved(path).unwrap_or(status),
            _ => status,
        };
        match route.map_err(told)? {
            Route::Page(segments) => {
                self.page(&parts.method, &segments, &query, &parts.headers).map_err(told)
            }
            Route::Objects(path) => {
                let body = read_body(body).await?;
                let (method, headers) = (parts.method, parts.headers);
                let now = self.store().ambient().now().as_second();
                let webhooks = Webhooks::counting(&self.0.assumed);
                self.objects(Call { method, path, query, headers, body, user, upgrade, webhooks, now }).await
            }
        }
    }

    /// A write that a webhook has to be asked about is made again with its answer.
    async fn objects(&self, call: Call) -> Result<Response, Status> {
        loop {
            let outcome = self.once(&call).await;
            if !call.webhooks.ask_next().await {
                return outcome;
            }
        }
    }

    async fn once(&self, call: &Call) -> Result<Response, Status> {
        let verb = Verb::of(call)?;
        if let Some(subresource) = &call.path.subresource {
            let subresource = subresource.clone();
            return self.subresource(call, verb, &subresource).await;
        }
        let warnings: Vec<String> = self.deprecation(&call.path.kind).into_iter().collect();
        if !call.path.kind.is_stored() {
            return Ok(answer::with_warnings(self.review(call)?, &warnings));
        }
        let response = match verb {
            Verb::Get => self.get(call),
            Verb::List => self.list(call).await,
            Verb::Watch => self.watch(call),
            Verb::Create => self.create(call),
            Verb::Update => self.update(call),
            Verb::Patch => self.patch(call),
            Verb::Delete => self.delete(call),
            Verb::DeleteCollection => self.delete_collection(call),
        }?;
        Ok(answer::with_warnings(response, &warnings))
    }

    /// What to use instead of a version that is going away.
    fn deprecation(&self, kind: &Kind) -> Option<String> {
        if !kind.custom {
            let known = DEPRECATED.iter().find(|(group, name, _)| *group == kind.group && *name == kind.kind);
            return known.map(|(.., advice)| {
                format!("{} {} is deprecated in {advice}", kind.api_version(), kind.kind)
            });
        }
        if kind.definition["deprecated"] != true {
            return None;
        }
        if let Some(own) = kind.definition["deprecationWarning"].as_str() {
            return Some(own.to_owned());
        }
        let newer =
            self.store().kinds().of(&kind.storage).filter(|newer| newer.definition["deprecated"] != true);
        let advice = newer.map(|newer| format!("; use {} {}", newer.api_version(), newer.kind));
        Some(format!("{} {} is deprecated{}", kind.api_version(), kind.kind, advice.unwrap_or_default()))
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("store", self.store()).finish_non_exhaustive()
    }
}

async fn read_body(body: Body) -> Result<Bytes, Status> {
    axum::body::to_bytes(body, BODY_LIMIT).await.map_err(|_| Status::too_large(BODY_LIMIT))
}

/// What is to be done with objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// The verb of a call, if its kind (or subresource) has it.
    fn of(call: &Call) -> Result<Self, Status> {
        let path = &call.path;
        let verb = Self::meant(&call.method, path, &call.query).ok_or_else(Status::method_not_allowed)?;
        let verbs = match &path.subresource {
            None => &path.kind.verbs,
            Some(name) => &path.kind.subresource(name).ok_or_else(Status::no_such_path)?.verbs,
        };
        // Only lists and watches look at all namespaces; a new object has to have one.
        let lacks_namespace = path.kind.namespaced && path.namespace.is_empty() && verb == Self::Create;
        match verbs.contains(&verb.name()) && !lacks_namespace {
            true => Ok(verb),
            false if lacks_namespace && path.kind.custom => Err(Status::page_not_found()),
            false => Err(Status::method_not_allowed()),
        }
    }

    fn meant(method: &Method, path: &ObjectPath, query: &Query) -> Option<Self> {
        let has_subresource = path.subresource.is_some();
        match (method.as_str(), path.name.is_some()) {
            ("GET", _) if path.watch => Some(Self::Watch),
            ("GET", true) => Some(Self::Get),
            ("GET", false) if query.flag("watch") => Some(Self::Watch),
            ("GET", false) => Some(Self::List),
            ("POST", named) if named == has_subresource => Some(Self::Create),
            ("PUT", true) => Some(Self::Update),
            ("PATCH", true) => Some(Self::Patch),
            ("DELETE", true) => Some(Self::Delete),
            ("DELETE", false) => Some(Self::DeleteCollection),
            _ => None,
        }
    }

    /// The verb as discovery and authorisation name it.
    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}
