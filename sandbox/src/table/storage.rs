//! Volumes, claims and classes.

use super::text::{items, str_of};
use super::{AGE, KindTable, NAME, Row, column};
use serde_json::{Value, json};

pub(super) const TABLES: &[KindTable] = &[
    KindTable {
        group: "",
        kind: "PersistentVolume",
        columns: &[
            NAME,
            column("Capacity", "string", 0, ".spec.capacity"),
            column("Access Modes", "string", 0, ".spec.accessModes"),
            column("Reclaim Policy", "string", 0, ".spec.persistentVolumeReclaimPolicy"),
            column("Status", "string", 0, ".status.phase"),
            column("Claim", "string", 0, ".spec.claimRef"),
            column("StorageClass", "string", 0, "StorageClass of the pv"),
            column("VolumeAttributesClass", "string", 0, "VolumeAttributesClass of the pv"),
            column("Reason", "string", 0, ".status.reason"),
            AGE,
            column("VolumeMode", "string", 1, ".spec.volumeMode"),
        ],
        cells: volume,
    },
    KindTable {
        group: "",
        kind: "PersistentVolumeClaim",
        columns: &[
            NAME,
            column("Status", "string", 0, ".status.phase"),
            column("Volume", "string", 0, ".spec.volumeName"),
            column("Capacity", "string", 0, ".status.capacity"),
            column("Access Modes", "string", 0, ".status.accessModes"),
            column("StorageClass", "string", 0, "StorageClass of the pvc"),
            column("VolumeAttributesClass", "string", 0, "VolumeAttributesClass of the pvc"),
            AGE,
            column("VolumeMode", "string", 1, ".spec.volumeMode"),
        ],
        cells: claim,
    },
    KindTable {
        group: "storage.k8s.io",
        kind: "StorageClass",
        columns: &[
            NAME,
            column("Provisioner", "string", 0, ".provisioner"),
            column("ReclaimPolicy", "string", 0, ".reclaimPolicy"),
            column("VolumeBindingMode", "string", 0, ".volumeBindingMode"),
            column("AllowVolumeExpansion", "string", 0, ".allowVolumeExpansion"),
            AGE,
        ],
        cells: class,
    },
];

/// The short names of access modes.
const MODES: &[(&str, &str)] = &[
    ("ReadWriteOnce", "RWO"),
    ("ReadOnlyMany", "ROX"),
    ("ReadWriteMany", "RWX"),
    ("ReadWriteOncePod", "RWOP"),
];

fn modes(object: &Value, pointer: &str) -> String {
    let given = items(object, pointer);
    let short =
        MODES.iter().filter(|(long, _)| given.iter().any(|mode| mode == long)).map(|(_, short)| *short);
    short.collect::<Vec<_>>().join(",")
}

/// The phase, unless the object is on its way out.
fn phase(row: &Row<'_>) -> Value {
    match row.at("/metadata/deletionTimestamp").is_string() {
        true => json!("Terminating"),
        false => row.at("/status/phase").clone(),
    }
}

/// A class given by annotation in old objects, else by field.
fn class_of(row: &Row<'_>) -> String {
    let old = row.object["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].as_str();
    old.unwrap_or_else(|| row.text("/spec/storageClassName")).to_owned()
}

fn or_unset(text: &str) -> &str {
    if text.is_empty() { "<unset>" } else { text }
}

fn volume(row: &Row<'_>) -> Vec<Value> {
    let claim = row.at("/spec/claimRef");
    let claim = if claim.is_object() {
        format!("{}/{}", str_of(claim, "namespace"), str_of(claim, "name"))
    } else {
        String::new()
    };
    vec![
        row.name(),
        json!(row.text("/spec/capacity/storage")),
        json!(modes(row.object, "/spec/accessModes")),
        row.at("/spec/persistentVolumeReclaimPolicy").clone(),
        phase(row),
        json!(claim),
        json!(class_of(row)),
        json!(or_unset(row.text("/spec/volumeAttributesClassName"))),
        json!(row.text("/status/reason")),
        row.age(),
        json!(or_unset(row.text("/spec/volumeMode"))),
    ]
}

fn claim(row: &Row<'_>) -> Vec<Value> {
    let bound = !row.text("/spec/volumeName").is_empty();
    vec![
        row.name(),
        phase(row),
        json!(row.text("/spec/volumeName")),
        json!(if bound { row.text("/status/capacity/storage") } else { "" }),
        json!(if bound { modes(row.object, "/status/accessModes") } else { String::new() }),
        json!(class_of(row)),
        json!(or_unset(row.text("/spec/volumeAttributesClassName"))),
        row.age(),
        json!(or_unset(row.text("/spec/volumeMode"))),
    ]
}

fn class(row: &Row<'_>) -> Vec<Value> {
    let default =
        row.object["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
    let name = row.text("/metadata/name");
    vec![
        json!(if default { format!("{name} (default)") } else { name.to_owned() }),
        row.at("/provisioner").clone(),
        row.at("/reclaimPolicy").clone(),
        row.at("/volumeBindingMode").clone(),
        json!(*row.at("/allowVolumeExpansion") == json!(true)),
        row.age(),
    ]
}
