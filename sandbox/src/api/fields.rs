//! Which field selectors a kind knows.

use super::Call;
use super::status::Status;
use crate::kinds::Kind;
use crate::store::Object;
use crate::store::selector::{FieldSelector, LabelSelector};

const ANY: &[&str] = &["metadata.name", "metadata.namespace"];

/// The fields of built-in kinds beyond name and namespace, from the conversion functions that a
/// 1.36 server registers. A kind without a row knows only the two.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "Pod",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
    ),
    (
        "Event",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
    ("Namespace", &["status.phase"]),
    ("Node", &["spec.unschedulable"]),
    ("Secret", &["type"]),
    ("Service", &["spec.clusterIP", "spec.type"]),
    ("ReplicaSet", &["status.replicas"]),
    ("ReplicationController", &["status.replicas"]),
    ("Job", &["status.successful"]),
    ("CertificateSigningRequest", &["spec.signerName"]),
];

/// Which objects of a kind a call selects.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) labels: LabelSelector,
    pub(super) fields: FieldSelector,
}

impl Selection {
    /// Reads the namespace, the name and the two selectors of a call.
    pub(super) fn of(call: &Call) -> Result<Self, Status> {
        let labels = call.query.get("labelSelector").unwrap_or_default();
        let labels = LabelSelector::parse(labels).map_err(Status::bad_request)?;
        let fields = call.query.get("fieldSelector").unwrap_or_default();
        let fields = FieldSelector::parse(fields).map_err(Status::bad_request)?;
        check_fields(&fields, &call.path.kind)?;
        let namespace = Some(call.path.namespace.clone()).filter(|namespace| !namespace.is_empty());
        Ok(Self { namespace, name: call.path.name.clone(), labels, fields })
    }

    /// Whether everything in the namespace is selected.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The same, of an object that is only read when it is looked at.
    pub(super) fn picks(&self, object: impl FnOnce() -> Object) -> bool {
        let is_bounded = self.namespace.is_some() || self.name.is_some();
        self.is_everything() && !is_bounded || self.matches(&object())
    }

    /// Whether an object is selected.
    pub(super) fn matches(&self, object: &serde_json::Value) -> bool {
        let is = |field: &str, wanted: &Option<String>| match wanted {
            None => true,
            Some(wanted) => object["metadata"][field] == wanted.as_str(),
        };
        is("namespace", &self.namespace)
            && is("name", &self.name)
            && self.labels.matches(object)
            && self.fields.matches(object)
    }
}

fn check_fields(selector: &FieldSelector, kind: &Kind) -> Result<(), Status> {
    let row = KNOWN.iter().find(|(name, _)| *name == kind.kind && !kind.custom);
    let known = row.map_or(&[][..], |(_, fields)| fields);
    let is_selectable = |path: &str| kind.selectable_fields.iter().any(|field| field == path);
    let unknown =
        selector.paths().find(|path| !ANY.contains(path) && !known.contains(path) && !is_selectable(path));
    let Some(path) = unknown else { return Ok(()) };
    Err(Status::bad_request(match row.is_some() || kind.custom {
        true => format!("field label not supported: {path}"),
        false => {
            format!("{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        }
    }))
}
