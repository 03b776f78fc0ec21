//! The cluster a scenario is played on: in memory, with a clock that moves when it is told to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use http::{Request, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::file::{Action, Object, Patch};
use super::outcome::{self, Moment, Outcome};
use super::{Error, Scenario, Step};
use crate::ambient::Ambient;
use crate::api::{Api, Identity};
use crate::controllers::fields::Fields;
use crate::controllers::{self, Manager, Settings};
use crate::kinds::{Kind, Kinds};
use crate::serve::genesis;
use crate::store::{Event, EventKind, Store};

/// What proves the scenario's author to its cluster, which nobody else can reach.
const TOKEN: &str = "scenario";

pub(super) struct Stage {
    api: Api,
    manager: Manager,
    ambient: Ambient,
    start: Timestamp,
    told: Arc<Mutex<Vec<Moment>>>,
}

impl Stage {
    pub(super) fn build(scenario: &Scenario) -> Result<Self, Error> {
        let ambient = Ambient::pinned(scenario.start, scenario.seed);
        let store = Store::in_memory(Kinds::builtin(), ambient.clone());
        let secret = scenario.seed.to_be_bytes();
        let api = Api::new(store.clone(), Identity::new(TOKEN.to_owned(), &secret, String::new()));
        let told = listen(&store, &ambient, scenario.start);
        genesis::begin(&api, &scenario.topology).map_err(|error| Error::Begin(error.to_string()))?;
        let manager = Manager::new(controllers::ALL, store, Arc::new(api.clone()), Settings::default());
        Ok(Self { api, manager, ambient, start: scenario.start, told })
    }

    /// Lets time pass, with all that falls due on the way.
    pub(super) async fn wait_until(&mut self, at: Duration) {
        let passed = Duration::try_from(self.ambient.now().duration_since(self.start)).unwrap_or_default();
        self.manager.advance(at.saturating_sub(passed)).await;
    }

    pub(super) async fn act(&self, step: &Step) {
        match &step.action {
            Action::Apply(objects) => {
                for object in &objects.objects {
                    self.apply(object).await;
                }
            }
            Action::Patch(Patch { object, namespace, with }) => {
                let merge = Some(("application/merge-patch+json", with.clone()));
                self.send("patch", "PATCH", object, namespace, merge).await;
            }
            Action::Delete(Object { object, namespace }) => {
                self.send("delete", "DELETE", object, namespace, None).await;
            }
            Action::Fault(words) => {
                let mut spec = Value::Object(words.clone());
                let name = spec.as_object_mut().and_then(|spec| spec.remove("name")).unwrap_or_default();
                let fault = json!({"apiVersion": "sandbox.aegis.dev/v1", "kind": "Fault",
                    "metadata": {"name": name}, "spec": spec});
                let path = "/apis/sandbox.aegis.dev/v1/faults?fieldValidation=Strict";
                let what = format!("fault {}", name.as_str().unwrap_or_default());
                self.request(&what, "POST", path, Some(("application/json", fault))).await;
            }
            Action::Clear(name) => {
                let path = format!("/apis/sandbox.aegis.dev/v1/faults/{name}");
                self.request(&format!("clear {name}"), "DELETE", &path, None).await;
            }
        }
    }

    async fn apply(&self, object: &Value) {
        let name = format!("{}/{}", object.text("/kind"), object.name());
        let what = format!("apply {name}");
        let Some(kind) = self.api.store().kinds().of_object(object) else {
            return self.tell(&what, "Refused", &format!("no kind {:?} is served", object.text("/kind")));
        };
        let namespace = if object.namespace().is_empty() { "default" } else { object.namespace() };
        let path = format!("{}?fieldManager=scenario&force=true", path_of(&kind, namespace, object.name()));
        self.request(&what, "PATCH", &path, Some(("application/apply-patch+yaml", object.clone()))).await;
    }

    /// Does something to an object that is named as people name it.
    async fn send(
        &self,
        verb: &str,
        method: &str,
        object: &str,
        namespace: &str,
        body: Option<(&str, Value)>,
    ) {
        let what = format!("{verb} {object}");
        let (kind, name) = object.split_once('/').unwrap_or((object, ""));
        match self.api.store().kinds().all().iter().find(|known| is_called(known, kind)) {
            Some(kind) => self.request(&what, method, &path_of(kind, namespace, name), body).await,
            None => self.tell(&what, "Refused", &format!("no kind is called {kind:?}")),
        }
    }

    async fn request(&self, what: &str, method: &str, path: &str, body: Option<(&str, Value)>) {
        let (media_type, body) = body
            .map_or(("application/json", String::new()), |(media_type, body)| (media_type, body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::CONTENT_TYPE, media_type)
            .body(Body::from(body));
        let Ok(request) = request else {
            return self.tell(what, "Refused", &format!("{path:?} is no path"));
        };
        let response = self.api.handle(request).await;
        let succeeded = response.status().is_success();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        match succeeded {
            true => self.tell(what, "Done", ""),
            false => self.tell(what, "Refused", answer.text("/message")),
        }
    }

    fn tell(&self, what: &str, reason: &str, message: &str) {
        let at = SignedDuration::from_secs(self.ambient.now().duration_since(self.start).as_secs());
        let moment = Moment { at, object: what.into(), reason: reason.into(), message: message.into() };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(moment);
    }

    pub(super) fn outcome(self, scenario: &Scenario) -> Outcome {
        let timeline = self.told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        outcome::of(scenario, self.api.store(), timeline, self.api.assumed().counts())
    }
}

/// Keeps what the cluster tells in events.
fn listen(store: &Store, ambient: &Ambient, start: Timestamp) -> Arc<Mutex<Vec<Moment>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (kept, ambient) = (told.clone(), ambient.clone());
    store.observe(move |event: &Event| {
        if event.kind == EventKind::Added && event.key.resource.plural() == "events" {
            let at = SignedDuration::from_secs(ambient.now().duration_since(start).as_secs());
            let moment = Moment::of(at, &event.object());
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(moment);
        }
    });
    told
}

fn is_called(kind: &Kind, name: &str) -> bool {
    let names = [&kind.singular, &kind.plural].into_iter().chain(&kind.short_names);
    names.into_iter().any(|known| known.eq_ignore_ascii_case(name)) || kind.kind.eq_ignore_ascii_case(name)
}

fn path_of(kind: &Kind, namespace: &str, name: &str) -> String {
    let root = if kind.group.is_empty() { "api" } else { "apis" };
    let space = if kind.namespaced { format!("/namespaces/{namespace}") } else { String::new() };
    format!("/{root}/{}{space}/{}/{name}", kind.api_version(), kind.plural)
}
