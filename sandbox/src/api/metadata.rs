//! Rules that every object's metadata obeys: names, labels, annotations, finalizers, owners.

use serde_json::{Value, json};

use super::status::Cause;
use crate::kinds::Kind;
use crate::store::selector::is_label_text;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/// All annotations of an object together.
const ANNOTATIONS_LIMIT: usize = 256 << 10;

/// How the name of a kind may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameRule {
    /// A DNS subdomain of at most 253 characters.
    Subdomain,
    /// A DNS label of at most 63 characters.
    Label,
    /// Anything that can stand in a path.
    PathSegment,
}

fn name_rule(kind: &Kind) -> NameRule {
    match (&*kind.group, &*kind.kind) {
        ("", "Namespace" | "Service") => NameRule::Label,
        ("rbac.authorization.k8s.io" | "certificates.k8s.io" | "apiregistration.k8s.io", _) => {
            NameRule::PathSegment
        }
        _ => NameRule::Subdomain,
    }
}

/// What is wrong with the metadata of an object.
pub(super) fn problems(object: &Value, kind: &Kind) -> Vec<Cause> {
    let metadata = &object["metadata"];
    let mut causes = Vec::new();
    name_problems(metadata, kind, &mut causes);
    label_problems(&metadata["labels"], &mut causes);
    annotation_problems(&metadata["annotations"], &mut causes);
    owner_problems(&metadata["ownerReferences"], &mut causes);
    finalizer_problems(&metadata["finalizers"], &mut causes);
    causes
}

fn name_problems(metadata: &Value, kind: &Kind, causes: &mut Vec<Cause>) {
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
        return;
    }
    let value = json!(name);
    let mut invalid = |detail: &str| causes.push(Cause::invalid("metadata.name", &value, detail));
    match name_rule(kind) {
        NameRule::PathSegment => {
            for part in ["/", "%"].iter().filter(|part| name.contains(**part)) {
                invalid(&format!("may not contain '{part}'"));
            }
        }
        NameRule::Label => {
            if name.len() > 63 {
                invalid("must be no more than 63 bytes");
            }
            if !is_dns_label(name) {
                invalid(LABEL);
            }
        }
        NameRule::Subdomain => {
            if name.len() > 253 {
                invalid("must be no more than 253 characters");
            }
            if !is_subdomain(name) {
                invalid(SUBDOMAIN);
            }
        }
    }
}

/// Whether a text is a DNS label but for its length.
pub(super) fn is_dns_label(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether a text is a DNS subdomain but for its length.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_dns_label)
}

/// Whether a key is a name of at most 63 characters with an optional DNS prefix.
fn qualified_name_problem(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if name.contains('/') {
        return Some("a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')".into());
    }
    if prefix.is_some_and(str::is_empty) {
        return Some("prefix part must be non-empty".into());
    }
    if prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        return Some(format!("prefix part {SUBDOMAIN}"));
    }
    match name.len() {
        0 => Some("name part must be non-empty".into()),
        64.. => Some("name part must be no more than 63 bytes".into()),
        _ => (!is_label_text(name)).then(|| NAME_PART.into()),
    }
}

/// What is wrong with a map of labels.
fn label_problems(labels: &Value, causes: &mut Vec<Cause>) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        if let Some(problem) = qualified_name_problem(key) {
            causes.push(Cause::invalid("metadata.labels", &json!(key), &problem));
        }
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 {
            causes.push(Cause::invalid("metadata.labels", value, "must be no more than 63 bytes"));
        } else if !is_label_text(text) {
            causes.push(Cause::invalid("metadata.labels", value, LABEL_VALUE));
        }
    }
}

fn annotation_problems(annotations: &Value, causes: &mut Vec<Cause>) {
    let mut size = 0;
    for (key, value) in annotations.as_object().into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        if let Some(problem) = qualified_name_problem(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &json!(key), &problem));
        }
    }
    if size > ANNOTATIONS_LIMIT {
        causes.push(Cause::too_long("metadata.annotations", ANNOTATIONS_LIMIT));
    }
}

fn owner_problems(owners: &Value, causes: &mut Vec<Cause>) {
    let field = |name: &str| format!("metadata.ownerReferences.{name}");
    let mut controllers = 0;
    for owner in owners.as_array().into_iter().flatten() {
        let (_, version) = crate::kinds::split_api_version(owner["apiVersion"].as_str().unwrap_or_default());
        if version.is_empty() {
            let detail = "version must not be empty";
            causes.push(Cause::invalid(field("apiVersion"), &owner["apiVersion"], detail));
        }
        for name in ["kind", "name", "uid"] {
            if owner[name].as_str().unwrap_or_default().is_empty() {
                causes.push(Cause::invalid(field(name), &json!(""), "must not be empty"));
            }
        }
        controllers += usize::from(owner["controller"] == true);
    }
    if controllers > 1 {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let names: Vec<String> = owners
            .as_array()
            .into_iter()
            .flatten()
            .filter(|owner| owner["controller"] == true)
            .map(|owner| format!("{}/{}", text(&owner["kind"]), text(&owner["name"])))
            .collect();
        let detail = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            names[0], names[1]
        );
        causes.push(Cause::invalid("metadata.ownerReferences", owners, &detail));
    }
}

fn finalizer_problems(finalizers: &Value, causes: &mut Vec<Cause>) {
    for (index, name) in finalizers.as_array().into_iter().flatten().enumerate() {
        let text = name.as_str().unwrap_or_default();
        let field = format!("metadata.finalizers[{index}]");
        if let Some(problem) = qualified_name_problem(text) {
            causes.push(Cause::invalid(field, name, &problem));
        } else if !text.contains('/') && !matches!(text, "kubernetes" | "orphan" | "foregroundDeletion") {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(field, name, detail));
        }
    }
}

/// What an update may not change about metadata.
pub(super) fn update_problems(old: &Value, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if crate::store::lifecycle::is_terminating(old) {
        let added: Vec<&str> = crate::store::lifecycle::finalizers(new)
            .filter(|name| !crate::store::lifecycle::finalizers(old).any(|present| present == *name))
            .collect();
        if !added.is_empty() {
            let shown: Vec<String> = added.iter().map(|name| format!("{name:?}")).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                shown.join(", ")
            );
            causes.push(Cause::forbidden("metadata.finalizers", &detail));
        }
    }
    causes
}
