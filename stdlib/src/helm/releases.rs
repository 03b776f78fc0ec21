//! The releases of a cluster, read from where helm stores them. In a plan, planned releases come first, as for
//! every other object.

use std::collections::BTreeMap;

use aegis_engine::CallError;
use aegis_engine::function::Context;

use super::command::Place;
use super::errors;
use super::release::Release;
use crate::k8s::objects::Objects;

/// Reads, for one call.
pub(super) struct Releases<'a> {
    pub(super) objects: Objects<'a>,
}

impl<'a> Releases<'a> {
    /// Takes the cluster out of the context.
    pub(super) fn of(context: &'a Context) -> Result<Self, CallError> {
        Ok(Self { objects: Objects::of(context)? })
    }

    /// Checks a release's name and completes its place with the target's namespace.
    pub(super) async fn place(&self, name: &str, namespace: Option<&str>) -> Result<Place, CallError> {
        let namespace = match namespace {
            Some(namespace) => namespace.to_owned(),
            None => self.objects.namespace().await?,
        };
        // helm's own limit is 53: names of objects get suffixes.
        if !is_label(name, 53) {
            let wrong = CallError::argument(format!("`{name}` cannot be the name of a release"));
            return Err(wrong.hint("use at most 53 lower-case letters, digits and `-`"));
        }
        if !is_label(&namespace, 63) {
            return Err(CallError::argument(format!("`{namespace}` cannot be the name of a namespace")));
        }
        Ok(Place { name: name.to_owned(), namespace })
    }

    /// Every kept revision, the newest last.
    pub(super) async fn history(&self, place: &Place) -> Result<Vec<Release>, CallError> {
        let labels = format!("owner=helm,name={}", place.name);
        let secrets = self.objects.list("secrets", Some(&place.namespace), &labels).await?;
        let mut releases = secrets.iter().map(Release::from_secret).collect::<Result<Vec<_>, _>>()?;
        releases.sort_by_key(Release::revision);
        Ok(releases)
    }

    /// The newest revision.
    pub(super) async fn latest(&self, place: &Place) -> Result<Release, CallError> {
        self.history(place).await?.pop().ok_or_else(|| errors::no_release(place))
    }

    /// The newest revision, or the one that is asked for.
    pub(super) async fn revision(&self, place: &Place, revision: Option<u64>) -> Result<Release, CallError> {
        let Some(wanted) = revision else { return self.latest(place).await };
        let history = self.history(place).await?;
        let kept: Vec<String> = history.iter().map(|release| release.revision().to_string()).collect();
        history.into_iter().find(|release| release.revision() == wanted).ok_or_else(|| {
            let error = errors::no_release(place).hint(format!("revisions kept: {}", kept.join(", ")));
            CallError { message: format!("release {place} has no revision {wanted}"), ..error }
        })
    }

    /// The newest revision of each release of a namespace, or of all.
    pub(super) async fn all(&self, namespace: Option<&str>) -> Result<Vec<Release>, CallError> {
        let secrets = self.objects.list("secrets", namespace, "owner=helm").await?;
        let mut newest = BTreeMap::new();
        for secret in secrets {
            let label =
                |name: &str| secret["metadata"]["labels"][name].as_str().unwrap_or_default().to_owned();
            let namespace = secret["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
            let revision: u64 = label("version").parse().unwrap_or_default();
            let entry = newest.entry((namespace, label("name"))).or_insert((revision, secret.clone()));
            if entry.0 < revision {
                *entry = (revision, secret);
            }
        }
        newest.values().map(|(_, secret)| Release::from_secret(secret)).collect()
    }
}

/// The revision that serves now: the newest one that is deployed.
pub(super) fn deployed(history: &[Release]) -> Option<&Release> {
    history.iter().rev().find(|release| release.is_deployed())
}

/// A DNS label (RFC 1123) of limited length.
fn is_label(name: &str, longest: usize) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty()
        && name.len() <= longest
        && name.chars().all(inside)
        && !name.starts_with('-')
        && !name.ends_with('-')
}
