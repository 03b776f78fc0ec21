//! The release record around a stand-in's objects, in the shape helm writes and reads. Pure.

use aegis_engine::CallError;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Provides;
use crate::helm::command::Place;
use crate::helm::manifest::{self, Identity, Origin, Rendered};
use crate::helm::release::{Release, STAND_IN};
use crate::helm::render::Rendering;

/// What a stand-in would make of the cluster, in the shape of a rendered chart.
pub(in crate::helm) fn rendering(
    place: &Place,
    chart: &str,
    version: Option<&str>,
    provides: &Provides,
) -> Result<Rendering, CallError> {
    let mut rendered = Vec::new();
    for object in provides.objects(&place.namespace)? {
        let origin =
            if object["kind"] == "CustomResourceDefinition" { Origin::Definition } else { Origin::Template };
        rendered.push(Rendered { object: marked(object, place), origin });
    }
    let metadata = json!({
        "apiVersion": "v2",
        "name": chart,
        "version": version.unwrap_or("0.0.0"),
        "appVersion": version.unwrap_or("0.0.0"),
        "description": "Stand-in made from what the component declares it provides; it runs no software.",
        "annotations": { STAND_IN: "true" },
    });
    let text = text(chart, &manifest::objects(&rendered, Origin::Template), &place.namespace);
    Ok(Rendering::from_parts(&rendered, metadata, text))
}

/// The object as helm marks what belongs to a release, and as what it is.
fn marked(mut object: Value, place: &Place) -> Value {
    let metadata = &mut object["metadata"];
    let mut add = |field: &str, key: &str, value: &str| {
        if !metadata[field].is_object() {
            metadata[field] = Value::Object(Map::new());
        }
        metadata[field][key] = json!(value);
    };
    add("labels", "app.kubernetes.io/managed-by", "Helm");
    add("labels", "app.kubernetes.io/instance", &place.name);
    add("annotations", "meta.helm.sh/release-name", &place.name);
    add("annotations", "meta.helm.sh/release-namespace", &place.namespace);
    add("annotations", STAND_IN, "true");
    object
}

fn text(chart: &str, objects: &[Value], namespace: &str) -> String {
    let document = |object: &Value| {
        let file = Identity::of(object, namespace).title().replace('/', "-");
        let yaml = serde_saphyr::to_string(object).unwrap_or_else(|_| object.to_string());
        format!("---\n# Source: {chart}/templates/{file}.yaml\n{}\n", yaml.trim_end())
    };
    objects.iter().map(document).collect()
}

/// A new revision of a stand-in.
pub(super) fn release(
    place: &Place,
    rendering: &Rendering,
    config: &Value,
    before: Option<&Release>,
    now: Timestamp,
) -> Release {
    let first = before.and_then(Release::first_deployed).unwrap_or_else(|| now.to_string());
    let status = if before.is_some() { "pending-upgrade" } else { "pending-install" };
    Release::new(json!({
        "name": place.name,
        "namespace": place.namespace,
        "version": before.map_or(0, Release::revision) + 1,
        "info": {
            "first_deployed": first,
            "last_deployed": now.to_string(),
            "status": status,
            "description": "stand-in under way",
        },
        "chart": {
            "metadata": rendering.metadata,
            "lock": null,
            "templates": [],
            "values": {},
            "schema": null,
            "files": [],
        },
        "config": config,
        "manifest": rendering.manifest,
        "hooks": [],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_a_release_that_says_what_it_is() {
        let place = Place { name: "web".to_owned(), namespace: "shop".to_owned() };
        let provides: Provides = serde_json::from_value(json!({
            "crds": ["gadgets.example.com/v1 Gadget"], "workloads": [{ "name": "web", "replicas": 2 }],
        }))
        .unwrap();
        let rendering = rendering(&place, "web", Some("v1.2.3"), &provides).unwrap();
        assert_eq!((rendering.objects.len(), rendering.definitions.len()), (1, 1));
        let release = release(&place, &rendering, &json!({ "a": 1 }), None, Timestamp::UNIX_EPOCH);
        assert!(release.is_stand_in() && release.is_pending());
        let parsed = manifest::parse(release.manifest()).unwrap();
        assert_eq!(manifest::objects(&parsed, Origin::Template), rendering.objects);
        let annotations = &rendering.objects[0]["metadata"]["annotations"];
        assert_eq!(annotations["meta.helm.sh/release-name"], "web");
        assert_eq!(rendering.objects[0]["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
    }
}
