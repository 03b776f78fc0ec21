//! The kinds a cluster serves, read from aggregated discovery, and how a person's word for one (`deploy`,
//! `kafkas.kafka.strimzi.io`) finds it. Pure: `client.rs` fetches the documents and keeps them.

use aegis_engine::text;
use kube::client::{APIGroupDiscoveryList, APIResourceDiscovery};
use serde_json::{Value, json};

/// One kind of one group, in one served version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kind {
    /// API group; empty for the core group.
    pub(crate) group: String,
    /// API version: `v1`.
    pub(crate) version: String,
    /// `Deployment`.
    pub(crate) kind: String,
    /// `deployments`.
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<String>,
    pub(crate) subresources: Vec<String>,
}

impl Kind {
    /// `apps/v1`, `v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, `pods`: unambiguous, and read back by [`Kinds::named`].
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// URL path of the collection or of one object.
    pub(crate) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = if self.group.is_empty() { "/api/".to_owned() } else { "/apis/".to_owned() };
        path.push_str(&self.api_version());
        if let (true, Some(namespace)) = (self.namespaced, namespace) {
            path = format!("{path}/namespaces/{namespace}");
        }
        path = format!("{path}/{}", self.plural);
        name.map_or(path.clone(), |name| format!("{path}/{name}"))
    }

    /// Where planned objects of this kind stand in the overlay: `k8s:apps/deployments/shop/web`.
    pub(crate) fn key(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}{name}", self.keys(Some(namespace.unwrap_or_default())))
    }

    /// The prefix of all keys of this kind, or of those in one namespace.
    pub(crate) fn keys(&self, namespace: Option<&str>) -> String {
        let collection = format!("k8s:{}/{}/", self.group, self.plural);
        namespace.map_or(collection.clone(), |namespace| format!("{collection}{namespace}/"))
    }

    /// True for kinds that users define (CRDs): their groups are domain names outside of Kubernetes' own.
    pub(crate) fn is_custom(group: &str) -> bool {
        group.contains('.') && !group.ends_with(".k8s.io")
    }

    /// As it is answered to scripts.
    pub(crate) fn describe(&self) -> Value {
        json!({
            "kind": self.kind, "name": self.plural, "group": self.group, "version": self.version,
            "api_version": self.api_version(), "short_names": self.short_names,
            "namespaced": self.namespaced, "verbs": self.verbs, "subresources": self.subresources,
        })
    }

    /// The kind that a CustomResourceDefinition (planned, not yet served) will bring.
    pub(crate) fn defined_by(crd: &Value) -> Option<Self> {
        let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let versions = crd.pointer("/spec/versions").and_then(Value::as_array)?;
        let stored =
            versions.iter().find(|version| version["storage"] == true).or_else(|| versions.first())?;
        let kind = text("/spec/names/kind")?;
        let short = crd.pointer("/spec/names/shortNames").and_then(Value::as_array);
        let short = short.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        Some(Self {
            group: text("/spec/group")?,
            version: stored["name"].as_str()?.to_owned(),
            plural: text("/spec/names/plural")?,
            singular: text("/spec/names/singular").unwrap_or_else(|| kind.to_lowercase()),
            kind,
            short_names: short,
            namespaced: text("/spec/scope").is_none_or(|scope| scope == "Namespaced"),
            verbs: Vec::new(),
            subresources: Vec::new(),
        })
    }

    /// A guess at a kind nobody serves yet, for plans whose earlier steps would install it.
    pub(crate) fn assumed(api_version: &str, kind: &str, namespaced: bool) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let singular = kind.to_lowercase();
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural(&singular),
            singular,
            short_names: Vec::new(),
            namespaced,
            verbs: Vec::new(),
            subresources: Vec::new(),
        }
    }

    fn is_called(&self, word: &str) -> bool {
        let names = [&self.plural, &self.singular, &self.kind];
        names.iter().any(|name| name.eq_ignore_ascii_case(word))
            || self.short_names.iter().any(|name| name.eq_ignore_ascii_case(word))
    }
}

/// English plurals as the Kubernetes code generators form them.
fn plural(singular: &str) -> String {
    match singular.char_indices().last() {
        Some((_, 's' | 'x')) => format!("{singular}es"),
        Some((_, 'h')) if singular.ends_with("ch") || singular.ends_with("sh") => format!("{singular}es"),
        Some((at, 'y')) if !singular.ends_with("ay") && !singular.ends_with("ey") => {
            format!("{}ies", &singular[..at])
        }
        _ => format!("{singular}s"),
    }
}

/// Every kind of a cluster, in the server's order of preference.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kinds {
    all: Vec<Kind>,
}

impl Kinds {
    /// Reads the two aggregated documents, `/api` first.
    pub(crate) fn parse(documents: Vec<APIGroupDiscoveryList>) -> Self {
        let mut all = Vec::new();
        for group in documents.into_iter().flat_map(|document| document.items) {
            let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
            for version in group.versions {
                let v = version.version.unwrap_or_default();
                all.extend(version.resources.into_iter().filter_map(|resource| kind(&name, &v, resource)));
            }
        }
        Self { all }
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Kind] {
        &self.all
    }

    /// By a person's word: plural, singular, kind or short name, alone or followed by `.group` or
    /// `.version.group`.
    pub(crate) fn named(&self, word: &str) -> Option<&Kind> {
        let (name, suffix) = word.split_once('.').unwrap_or((word, ""));
        let fits = |kind: &&Kind| {
            suffix.is_empty()
                || kind.group == suffix
                || suffix == format!("{}.{}", kind.version, kind.group).trim_end_matches('.')
        };
        self.all.iter().filter(fits).find(|kind| kind.is_called(name))
    }

    /// By what a manifest says.
    pub(crate) fn of(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        self.all.iter().find(|known| known.kind == kind && known.api_version() == api_version)
    }

    /// The nearest spelling of a word nobody serves.
    pub(crate) fn nearest(&self, word: &str) -> Option<String> {
        let mut names: Vec<&str> =
            self.all.iter().flat_map(|kind| [kind.plural.as_str(), kind.singular.as_str()]).collect();
        names.dedup();
        text::did_you_mean(&word.to_lowercase(), names)
    }
}

fn kind(group: &str, version: &str, resource: APIResourceDiscovery) -> Option<Kind> {
    let plural = resource.resource?;
    let kind = resource.response_kind?.kind.filter(|kind| !kind.is_empty())?;
    let singular = resource.singular_resource.filter(|name| !name.is_empty());
    Some(Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        singular: singular.unwrap_or_else(|| kind.to_lowercase()),
        kind,
        plural,
        short_names: resource.short_names,
        namespaced: resource.scope.as_deref() == Some("Namespaced"),
        verbs: resource.verbs,
        subresources: resource.subresources.into_iter().filter_map(|sub| sub.subresource).collect(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::k8s) fn deployments() -> Kind {
        Kind { short_names: vec!["deploy".to_owned()], ..Kind::assumed("apps/v1", "Deployment", true) }
    }

    fn kinds() -> Kinds {
        let node = Kind { short_names: vec!["no".to_owned()], ..Kind::assumed("v1", "Node", false) };
        Kinds { all: vec![node, deployments(), Kind::assumed("kafka.strimzi.io/v1beta2", "Kafka", true)] }
    }

    #[test]
    fn any_word_of_a_person_finds_the_kind() {
        for word in
            ["deploy", "deployment", "deployments", "Deployment", "deployments.apps", "deploy.v1.apps"]
        {
            assert_eq!(
                kinds().named(word).map(Kind::qualified).as_deref(),
                Some("deployments.apps"),
                "{word}"
            );
        }
        assert_eq!(kinds().named("kafkas.kafka.strimzi.io").map(|kind| kind.kind.as_str()), Some("Kafka"));
        assert_eq!(kinds().named("deployments.batch"), None);
    }

    #[test]
    fn a_misspelt_kind_gets_the_nearest() {
        assert_eq!(kinds().nearest("deploymnet").as_deref(), Some("did you mean `deployment`?"));
    }

    #[test]
    fn cluster_kinds_have_no_namespace_in_their_path() {
        assert_eq!(
            kinds().named("no").map(|kind| kind.path(Some("x"), Some("w1"))).as_deref(),
            Some("/api/v1/nodes/w1")
        );
        assert_eq!(deployments().path(Some("shop"), None), "/apis/apps/v1/namespaces/shop/deployments");
    }

    #[test]
    fn a_planned_definition_is_a_kind() {
        let crd = json!({"spec": {"group": "example.com", "scope": "Cluster",
            "names": {"kind": "Policy", "plural": "policies", "shortNames": ["po"]},
            "versions": [{"name": "v1alpha1", "storage": false}, {"name": "v1", "storage": true}]}});
        let kind = Kind::defined_by(&crd).unwrap();
        assert_eq!(
            (kind.api_version().as_str(), kind.namespaced, kind.singular.as_str()),
            ("example.com/v1", false, "policy")
        );
    }

    #[test]
    fn plurals_are_formed_as_the_generators_do() {
        for (one, many) in
            [("ingress", "ingresses"), ("networkpolicy", "networkpolicies"), ("gateway", "gateways")]
        {
            assert_eq!(plural(one), many);
        }
    }
}
