//! The cluster as one call sees it: the live objects, and in a plan the planned ones before them. Finds the
//! place a target names, reads there, and says what is near when nothing is.

use std::sync::Arc;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::Context;
use aegis_engine::text;
use serde_json::Value;

use super::client::Cluster;
use super::errors::Failure;
use super::kinds::{Kind, Kinds};
use super::object;
use super::request::{PatchKind, Request};
use super::selector::selects;
use super::target::{KindWord, Reference, Target};

/// Items of one page of a list: what kubectl asks for.
const PAGE: usize = 500;

/// Reads, for one call.
pub(super) struct World<'a> {
    pub(super) context: &'a Context,
    pub(super) cluster: Arc<Cluster>,
}

/// Where an object is, or would be. Without a name: a collection.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// Which objects of a collection.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
    pub(super) limit: Option<usize>,
}

impl Place {
    /// `deployments.apps/web`: a target text that is read back to this place.
    pub(super) fn target(&self) -> String {
        format!("{}/{}", self.kind.qualified(), self.name)
    }

    /// ``deployment/web in `shop` ``, for people.
    pub(super) fn title(&self) -> String {
        let name = format!("{}/{}", self.kind.singular, self.name);
        match &self.namespace {
            Some(namespace) => format!("{name} in {namespace}"),
            None => name,
        }
    }

    /// Key in the overlay.
    pub(super) fn key(&self) -> String {
        self.kind.key(self.namespace.as_deref(), &self.name)
    }

    fn get(&self) -> Request {
        Request::get(&self.kind, self.namespace.as_deref(), &self.name)
    }

    /// A patch of the object here.
    pub(super) fn patch(&self, how: PatchKind, patch: &Value) -> Request {
        Request::patch(&self.kind, self.namespace.as_deref(), &self.name, how, patch)
    }

    /// A merge patch of a subresource of the object here.
    pub(super) fn patch_subresource(&self, subresource: &str, patch: &Value) -> Request {
        let mut request = self.patch(PatchKind::Merge, patch);
        request.path = format!("{}/{subresource}", request.path);
        request
    }

    /// The error of an object that is not there.
    pub(super) fn missing(&self) -> CallError {
        CallError::new(codes::NOT_FOUND, format!("{} does not exist", self.title()))
    }

    /// Another place in the same namespace.
    pub(super) fn sibling(&self, kind: Kind, name: impl Into<String>) -> Self {
        let namespace = self.namespace.clone().filter(|_| kind.namespaced);
        Self { kind, namespace, name: name.into() }
    }
}

impl<'a> World<'a> {
    /// Takes the cluster out of the context.
    pub(super) fn of(context: &'a Context) -> Result<Self, CallError> {
        Ok(Self { context, cluster: context.service::<Cluster>()? })
    }

    /// Sends a request.
    pub(super) async fn send(&self, request: &Request) -> Result<Value, Failure> {
        self.cluster.send(self.context, request).await
    }

    /// The place of one object.
    pub(super) async fn place(&self, target: &Target, namespace: Option<&str>) -> Result<Place, CallError> {
        self.at(&target.reference()?, namespace).await
    }

    /// The place of one node; a bare name is enough.
    pub(super) async fn node(&self, target: &Target) -> Result<Place, CallError> {
        self.at(&target.reference_to("nodes")?, None).await
    }

    /// The place a reference with a name stands for.
    pub(super) async fn at(
        &self,
        reference: &Reference,
        namespace: Option<&str>,
    ) -> Result<Place, CallError> {
        let Some(name) = &reference.name else {
            let message = format!("`{}` names no object", reference.kind.as_written());
            return Err(CallError::argument(message).hint("write `kind/name`, as in `deployment/web`"));
        };
        let kind = self.kind(&reference.kind).await?;
        let namespace = self.namespace_of(&kind, reference.namespace.as_deref().or(namespace)).await?;
        Ok(Place { kind, namespace, name: name.clone() })
    }

    /// The collection a kind stands for; `everywhere` is all namespaces.
    pub(super) async fn collection(
        &self,
        reference: &Reference,
        namespace: Option<&str>,
        everywhere: bool,
    ) -> Result<Place, CallError> {
        let kind = self.kind(&reference.kind).await?;
        let namespace = match everywhere {
            true => None,
            false => self.namespace_of(&kind, reference.namespace.as_deref().or(namespace)).await?,
        };
        Ok(Place { kind, namespace, name: String::new() })
    }

    /// The namespace a call works in; none for kinds without.
    pub(super) async fn namespace_of(
        &self,
        kind: &Kind,
        given: Option<&str>,
    ) -> Result<Option<String>, CallError> {
        match (kind.namespaced, given) {
            (false, _) => Ok(None),
            (true, Some(namespace)) => Ok(Some(namespace.to_owned())),
            (true, None) => Ok(Some(self.cluster.namespace().await?)),
        }
    }

    /// A kind by what a target says; asks the cluster again before giving up, and in a plan looks at planned
    /// definitions too.
    pub(super) async fn kind(&self, word: &KindWord) -> Result<Kind, CallError> {
        let known = self.cluster.kinds(self.context).await?;
        if let Some(kind) = lookup(&known, word) {
            return Ok(kind);
        }
        if let Some(kind) = self.planned_kinds().into_iter().find(|kind| is(kind, word)) {
            return Ok(kind);
        }
        let fresh = self.cluster.discover(self.context).await?;
        lookup(&fresh, word).ok_or_else(|| unknown_kind(&fresh, word))
    }

    /// A built-in kind.
    pub(super) async fn built_in(&self, qualified: &str) -> Result<Kind, CallError> {
        self.kind(&KindWord::Word(qualified.to_owned())).await
    }

    fn planned_kinds(&self) -> Vec<Kind> {
        if !self.context.planning() {
            return Vec::new();
        }
        let crds = self.context.overlay.under("k8s:apiextensions.k8s.io/customresourcedefinitions/");
        crds.into_iter().filter_map(|(_, crd)| Kind::defined_by(&crd?)).collect()
    }

    /// The object as the server has it.
    pub(super) async fn live(&self, place: &Place) -> Result<Option<Value>, CallError> {
        match self.send(&place.get()).await {
            Ok(object) => Ok(Some(object)),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// What a plan so far would make of a place; `None` when it would leave it alone.
    pub(super) fn planned(&self, place: &Place) -> Option<Option<Value>> {
        if self.context.planning() { self.context.overlay.get(&place.key()) } else { None }
    }

    /// The object: the planned one in a plan, else the live one.
    pub(super) async fn find(&self, place: &Place) -> Result<Option<Value>, CallError> {
        match self.planned(place) {
            Some(planned) => Ok(planned),
            None => self.live(place).await,
        }
    }

    /// As [`World::find`], for objects that must exist.
    pub(super) async fn get(&self, place: &Place) -> Result<Value, CallError> {
        match self.find(place).await? {
            Some(object) => Ok(object),
            None => Err(self.suggest(place).await),
        }
    }

    /// The not-found error with the nearest existing name, when the names may be read.
    async fn suggest(&self, place: &Place) -> CallError {
        let error = place.missing();
        let collection = Place { name: String::new(), ..place.clone() };
        let Ok(others) =
            self.list(&collection, &Selection { limit: Some(PAGE), ..Selection::default() }).await
        else {
            return error;
        };
        let names: Vec<&str> = others.iter().map(object::name).collect();
        match text::did_you_mean(&place.name, names.iter().copied()) {
            Some(hint) => error.hint(hint),
            None if (1..=8).contains(&names.len()) => error.hint(format!("there: {}", text::list(&names))),
            None => error,
        }
    }

    /// The objects of a collection, all pages.
    pub(super) async fn list(&self, place: &Place, selection: &Selection) -> Result<Vec<Value>, CallError> {
        let mut objects = match self.pages(place, selection).await {
            Ok(objects) => objects,
            // A kind that is only planned has no collection yet.
            Err(failure) if failure.is_not_found() && self.context.planning() => Vec::new(),
            Err(failure) => return Err(failure.into()),
        };
        if self.context.planning() {
            self.overlay(place, selection, &mut objects);
        }
        objects.truncate(selection.limit.unwrap_or(usize::MAX));
        Ok(objects)
    }

    async fn pages(&self, place: &Place, selection: &Selection) -> Result<Vec<Value>, Failure> {
        let limit = selection.limit.unwrap_or(usize::MAX);
        let mut objects = Vec::new();
        let mut token = String::new();
        loop {
            let mut request = Request::list(&place.kind, place.namespace.as_deref())
                .query("limit", PAGE.min(limit - objects.len()).to_string());
            for (key, value) in [("labelSelector", &selection.labels), ("fieldSelector", &selection.fields)] {
                if let Some(value) = value {
                    request = request.query(key, value);
                }
            }
            if !token.is_empty() {
                request = request.query("continue", &token);
            }
            let mut page = match self.send(&request).await {
                // The token is too old: the list begins again, so that it is of one moment.
                Err(failure) if failure.status() == Some(410) && !token.is_empty() => {
                    objects.clear();
                    token.clear();
                    continue;
                }
                other => other?,
            };
            token = object::text(&page, "/metadata/continue").to_owned();
            objects.extend(take_items(&mut page, &place.kind));
            if token.is_empty() || objects.len() >= limit {
                return Ok(objects);
            }
        }
    }

    fn overlay(&self, place: &Place, selection: &Selection, objects: &mut Vec<Value>) {
        let prefix = match (&place.namespace, place.kind.namespaced) {
            (Some(namespace), _) => place.kind.keys(Some(namespace)),
            (None, true) => place.kind.keys(None),
            (None, false) => place.kind.keys(Some("")),
        };
        for (key, planned) in self.context.overlay.under(&prefix) {
            objects.retain(|object| place.kind.key(object::namespace(object), object::name(object)) != key);
            let selected =
                |object: &Value| selects(selection.labels.as_deref(), selection.fields.as_deref(), object);
            objects.extend(planned.filter(selected));
        }
    }

    /// Reads, changes and writes back until nobody was faster. `change` answers the merge patch.
    pub(super) async fn modify(
        &self,
        place: &Place,
        change: impl Fn(&Value) -> Result<Value, CallError>,
    ) -> Result<Value, CallError> {
        const TRIES: u32 = 5;
        for attempt in 1.. {
            let live = self.get(place).await?;
            let mut patch = change(&live)?;
            patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            match self.send(&place.patch(PatchKind::Merge, &patch)).await {
                Err(failure) if failure.is_stale() && attempt < TRIES => {}
                other => return Ok(other?),
            }
        }
        Err(place.missing())
    }
}

/// Items of a list do not say their kind; scripts want to know it.
fn take_items(page: &mut Value, kind: &Kind) -> Vec<Value> {
    let items = page["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let named = items.into_iter().map(|mut item| {
        item["apiVersion"] = Value::String(kind.api_version());
        item["kind"] = Value::String(kind.kind.clone());
        item
    });
    named.collect()
}

fn lookup(kinds: &Kinds, word: &KindWord) -> Option<Kind> {
    match word {
        KindWord::Word(word) => kinds.named(word).cloned(),
        KindWord::Exact { api_version, kind } => kinds.of(api_version, kind).cloned(),
    }
}

fn is(kind: &Kind, word: &KindWord) -> bool {
    match word {
        KindWord::Word(word) => {
            let bare = word.split('.').next().unwrap_or(word);
            (word == bare || word == &kind.qualified() || word.ends_with(&kind.group))
                && (bare.eq_ignore_ascii_case(&kind.plural)
                    || bare.eq_ignore_ascii_case(&kind.singular)
                    || kind.short_names.iter().any(|name| name == bare))
        }
        KindWord::Exact { api_version, kind: named } => {
            &kind.kind == named && &kind.api_version() == api_version
        }
    }
}

fn unknown_kind(kinds: &Kinds, word: &KindWord) -> CallError {
    let message = match word {
        KindWord::Word(word) => format!("the cluster serves no kind `{word}`"),
        KindWord::Exact { api_version, kind } => {
            format!("the cluster serves no kind `{kind}` in `{api_version}`")
        }
    };
    let error = CallError::new(codes::NOT_FOUND, message);
    match kinds.nearest(word.as_written()) {
        Some(hint) => error.hint(hint),
        None => error
            .hint("`k8s::api_resources()` lists them; a custom kind needs its definition installed first"),
    }
}
