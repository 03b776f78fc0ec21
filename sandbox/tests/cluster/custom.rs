//! Custom kinds: served as soon as they are defined, checked by their schema, gone with it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;

use crate::{Cluster, refusal};

fn definition() -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "lamps.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "lamps", "singular": "lamp", "kind": "Lamp"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {"type": "object", "required": ["watts"], "properties": {
                            "watts": {"type": "integer", "maximum": 100},
                            "color": {"type": "string", "default": "white"},
                        }},
                        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    },
                }},
            }],
        },
    }))
    .unwrap()
}

#[tokio::test]
async fn a_definition_is_served_checked_and_takes_its_objects_with_it() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.create(&PostParams::default(), &definition()).await.unwrap();
    await_condition(definitions.clone(), "lamps.example.com", conditions::is_crd_established())
        .await
        .unwrap();

    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Lamp"));
    let lamps: Api<DynamicObject> = Api::namespaced_with(client, "default", &resource);
    let lamp = |watts: i64| {
        serde_json::from_value(json!({
            "apiVersion": "example.com/v1", "kind": "Lamp", "metadata": {"name": "desk"},
            "spec": {"watts": watts}, "status": {"lit": true},
        }))
    };
    let too_bright: DynamicObject = lamp(500).unwrap();
    assert_eq!(refusal(lamps.create(&PostParams::default(), &too_bright).await), (422, "Invalid".into()));
    let desk = lamps.create(&PostParams::default(), &lamp(10).unwrap()).await.unwrap();
    assert_eq!(desk.data["spec"], json!({"watts": 10, "color": "white"}));
    assert!(desk.data.get("status").is_none(), "a new object has no status of its writer");

    let lit = Patch::Merge(json!({"status": {"lit": true}, "spec": {"watts": 99}}));
    let desk = lamps.patch_status("desk", &PatchParams::default(), &lit).await.unwrap();
    assert_eq!((&desk.data["spec"]["watts"], &desk.data["status"]["lit"]), (&json!(10), &json!(true)));

    definitions.delete("lamps.example.com", &DeleteParams::default()).await.unwrap();
    assert_eq!(definitions.get_opt("lamps.example.com").await.unwrap(), None);
    assert_eq!(refusal(lamps.get("desk").await).0, 404);
}
