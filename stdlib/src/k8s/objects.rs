//! The cluster for other host modules (`helm`): whole objects in, whole objects out, by the kind they say they
//! are. Everything goes through [`World`], so a plan's overlay, repeats and error sentences are those of `k8s`.

use serde_json::{Value, json};

use aegis_engine::codes;
use aegis_engine::error::CallError;
use aegis_engine::function::Context;

use super::kinds::Kind;
use super::object;
use super::ready::{Readiness, readiness};
use super::request::{PatchKind, Request};
use super::target::KindWord;
use super::world::{Place, Selection, World};

/// The cluster as one call of another module sees it.
pub(crate) struct Objects<'a> {
    world: World<'a>,
}

/// Which wave an object belongs to: each is applied when the one before it is in place.
pub(crate) fn wave(object: &Value) -> u8 {
    super::manifest::wave(object)
}

/// What keeps an object from being ready: `None` when nothing does.
pub(crate) fn hindrance(object: &Value) -> Option<String> {
    match readiness(object) {
        Readiness::Ready => None,
        Readiness::Waiting(what) | Readiness::Failed(what) => {
            Some(format!("{}: {what}", object::title(object)))
        }
    }
}

impl<'a> Objects<'a> {
    /// Takes the cluster out of the context.
    pub(crate) fn of(context: &'a Context) -> Result<Self, CallError> {
        Ok(Self { world: World::of(context)? })
    }

    /// The namespace of calls that name none.
    pub(crate) async fn namespace(&self) -> Result<String, CallError> {
        self.world.cluster.namespace().await
    }

    /// The server's version: `v1.34.1`.
    pub(crate) async fn version(&self) -> Result<String, CallError> {
        let answer = self.world.send(&Request::read("/version")).await?;
        Ok(object::text(&answer, "/gitVersion").to_owned())
    }

    /// What a path answers.
    pub(crate) async fn read(&self, path: &str) -> Result<Value, CallError> {
        Ok(self.world.send(&Request::read(path)).await?)
    }

    /// Every served kind as `group/version/Kind`, the words that charts ask for.
    pub(crate) async fn served(&self) -> Result<Vec<String>, CallError> {
        let kinds = self.world.cluster.kinds(self.world.context).await?;
        Ok(kinds.all().iter().map(|kind| format!("{}/{}", kind.api_version(), kind.kind)).collect())
    }

    /// Asks the cluster again what it serves, after definitions were installed.
    pub(crate) async fn discover(&self) -> Result<(), CallError> {
        self.world.cluster.discover(self.world.context).await.map(|_| ())
    }

    /// The key of an object in a plan's overlay. A kind that nobody serves yet is guessed.
    pub(crate) async fn key(&self, object: &Value, namespace: &str) -> Result<String, CallError> {
        let place = match self.place(object, namespace).await {
            Ok(place) => place,
            Err(error) if error.code == codes::NOT_FOUND.0 => assumed(object, namespace),
            Err(error) => return Err(error),
        };
        Ok(place.key())
    }

    /// The object that this one names, planned or live; `None` when there is none, or not even its kind.
    pub(crate) async fn find(&self, object: &Value, namespace: &str) -> Result<Option<Value>, CallError> {
        match self.place(object, namespace).await {
            Ok(place) => self.world.find(&place).await,
            Err(error) if error.code == codes::NOT_FOUND.0 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The objects of a built-in kind (`secrets`); without a namespace, of all.
    pub(crate) async fn list(
        &self,
        kind: &str,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<Value>, CallError> {
        let kind = self.world.built_in(kind).await?;
        let place = Place { kind, namespace: namespace.map(str::to_owned), name: String::new() };
        let labels = Some(labels.to_owned()).filter(|labels| !labels.is_empty());
        self.world.list(&place, &Selection { labels, ..Selection::default() }).await
    }

    /// Creates an object that must not exist.
    pub(crate) async fn create(&self, object: &Value, namespace: &str) -> Result<Value, CallError> {
        let place = self.place(object, namespace).await?;
        let request = Request::create(&place.kind, place.namespace.as_deref(), object);
        Ok(self.world.send(&request).await?)
    }

    /// Makes an object be as given, by server-side apply, whoever owned its fields before.
    pub(crate) async fn apply(&self, object: &Value, namespace: &str) -> Result<Value, CallError> {
        let place = self.place(object, namespace).await?;
        let request = Request::apply(&place.kind, place.namespace.as_deref(), &place.name, object, true);
        Ok(self.world.send(&request).await?)
    }

    /// Changes some fields of an object by merge patch.
    pub(crate) async fn merge(
        &self,
        object: &Value,
        namespace: &str,
        patch: &Value,
    ) -> Result<Value, CallError> {
        let place = self.place(object, namespace).await?;
        Ok(self.world.send(&place.patch(PatchKind::Merge, patch)).await?)
    }

    /// Deletes an object with what it owns; one that is gone already is fine.
    pub(crate) async fn delete(&self, object: &Value, namespace: &str) -> Result<(), CallError> {
        let place = match self.place(object, namespace).await {
            Err(error) if error.code == codes::NOT_FOUND.0 => return Ok(()),
            place => place?,
        };
        let options =
            json!({ "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background" });
        let request = Request::delete(&place.kind, place.namespace.as_deref(), &place.name, &options);
        match self.world.send(&request).await {
            Err(failure) if !failure.is_not_found() => Err(failure.into()),
            _ => Ok(()),
        }
    }

    async fn place(&self, object: &Value, namespace: &str) -> Result<Place, CallError> {
        let word = |pointer| object::text(object, pointer).to_owned();
        let kind = KindWord::Exact { api_version: word("/apiVersion"), kind: word("/kind") };
        let kind = self.world.kind(&kind).await?;
        Ok(placed(kind, object, namespace))
    }
}

fn assumed(object: &Value, namespace: &str) -> Place {
    let kind = Kind::assumed(object::text(object, "/apiVersion"), object::text(object, "/kind"), true);
    placed(kind, object, namespace)
}

fn placed(kind: Kind, object: &Value, namespace: &str) -> Place {
    let namespace = object::namespace(object).unwrap_or(namespace).to_owned();
    Place {
        namespace: Some(namespace).filter(|_| kind.namespaced),
        name: object::name(object).to_owned(),
        kind,
    }
}
