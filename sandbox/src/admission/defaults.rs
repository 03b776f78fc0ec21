//! Small defaults that depend on the cluster: classes, tolerations, protection, taints.

use super::{Denial, Request, items, name_of};
use crate::store::Object;
use serde_json::{Value, json};

type Admitted = Result<(), Denial>;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// How long a pod stays on a node in trouble, in seconds.
const PATIENCE: u32 = 300;

/// A node takes no pods before its kubelet reported it ready.
pub(super) fn new_nodes_are_not_ready(
    request: &Request<'_>,
    node: &mut Value,
    _: &mut Vec<String>,
) -> Admitted {
    let ready = |node: &Value| {
        items(node, "/status/conditions").iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    let tainted = |node: &Value| items(node, "/spec/taints").iter().any(|taint| taint["key"] == NOT_READY);
    if request.creates("", "Node") && !ready(node) && !tainted(node) {
        push(node, "spec", "taints", json!({"key": NOT_READY, "effect": "NoSchedule"}));
    }
    Ok(())
}

fn push(object: &mut Value, part: &str, field: &str, item: Value) {
    if !object[part][field].is_array() {
        object[part][field] = json!([]);
    }
    if let Some(list) = object[part][field].as_array_mut() {
        list.push(item);
    }
}

/// Pods leave a node that is not ready or not reachable after five minutes, unless they say otherwise.
pub(super) fn pods_outlive_node_trouble(
    request: &Request<'_>,
    pod: &mut Value,
    _: &mut Vec<String>,
) -> Admitted {
    if !request.creates("", "Pod") {
        return Ok(());
    }
    for key in [NOT_READY, UNREACHABLE] {
        let tolerates = items(pod, "/spec/tolerations").iter().any(|toleration| covers(toleration, key));
        if !tolerates {
            let toleration = json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": PATIENCE});
            push(pod, "spec", "tolerations", toleration);
        }
    }
    Ok(())
}

fn covers(toleration: &Value, key: &str) -> bool {
    let text = |field: &str| toleration[field].as_str().unwrap_or_default();
    matches!(text("effect"), "" | "NoExecute") && (text("key") == key || text("key").is_empty())
}

/// Claims that name no class get the default one.
pub(super) fn claims_have_a_class(request: &Request<'_>, claim: &mut Value, _: &mut Vec<String>) -> Admitted {
    let old_style = claim["metadata"]["annotations"].get("volume.beta.kubernetes.io/storage-class").is_some();
    if !request.creates("", "PersistentVolumeClaim")
        || !claim["spec"]["storageClassName"].is_null()
        || old_style
    {
        return Ok(());
    }
    let classes = request.all("storage.k8s.io", "storageclasses");
    let defaults = marked(&classes, "storageclass.kubernetes.io/is-default-class");
    // The newest wins, then the first by name.
    let created =
        |class: &&Object| class["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
    let newest = defaults.iter().map(created).max();
    if let Some(class) = defaults.into_iter().find(|class| Some(created(class)) == newest) {
        claim["spec"]["storageClassName"] = json!(name_of(class));
    }
    Ok(())
}

fn marked<'a>(classes: &'a [Object], annotation: &str) -> Vec<&'a Object> {
    classes.iter().filter(|class| class["metadata"]["annotations"][annotation] == "true").collect()
}

/// Ingresses that name no class get the default one.
pub(super) fn ingresses_have_a_class(
    request: &Request<'_>,
    ingress: &mut Value,
    _: &mut Vec<String>,
) -> Admitted {
    let old_style = ingress["metadata"]["annotations"].get("kubernetes.io/ingress.class").is_some();
    let named = !ingress["spec"]["ingressClassName"].is_null();
    if !request.creates("networking.k8s.io", "Ingress") || named || old_style {
        return Ok(());
    }
    let classes = request.all("networking.k8s.io", "ingressclasses");
    match marked(&classes, "ingressclass.kubernetes.io/is-default-class").as_slice() {
        [] => {}
        [class] => ingress["spec"]["ingressClassName"] = json!(name_of(class)),
        many => {
            let count = many.len();
            return Err(Denial::Forbidden(format!(
                "{count} default IngressClasses were found, only 1 allowed"
            )));
        }
    }
    Ok(())
}

/// Claims and volumes are not removed while something uses them.
pub(super) fn volumes_in_use_are_kept(
    request: &Request<'_>,
    object: &mut Value,
    _: &mut Vec<String>,
) -> Admitted {
    let finalizer = match () {
        () if request.creates("", "PersistentVolumeClaim") => "kubernetes.io/pvc-protection",
        () if request.creates("", "PersistentVolume") => "kubernetes.io/pv-protection",
        () => return Ok(()),
    };
    if !items(object, "/metadata/finalizers").iter().any(|name| name == finalizer) {
        push(object, "metadata", "finalizers", json!(finalizer));
    }
    Ok(())
}
