//! The players: what operators would do for the custom kinds of the platform.
//!
//! An operator's code does not run in a simulated cluster, so its part is played. Most of it is data,
//! one short YAML file an operator in `operators/`, in the visible list [`OPERATORS`]; what does not
//! fit that form is one small Rust file each.
//!
//! | file | what |
//! |---|---|
//! | `operators/*.yaml` | kinds, the workloads they lead to, the status they get |
//! | `rule` | the form of these files |
//! | `render` | filling in `${...}` |
//! | `objects` | short forms of workloads, Services and Secrets |
//! | `custom` | the controller that plays the rules |
//! | `hooks` | Jobs whose output is needed: certificates, labels |
//! | `webhooks` | `caBundle` of webhooks whose server is there |
//! | `seal` | vaults that unseal themselves |
//! | `certificates` | keys and certificates |
//! | `injection` | what Istio's injector does to a pod |
//!
//! Nothing is played unless the operator's own pod is ready: a custom resource without its operator
//! stays without status, as in a real cluster.

pub mod certificates;
pub mod custom;
pub mod hooks;
pub mod injection;
mod objects;
mod render;
mod rule;
pub mod seal;
pub mod webhooks;

use std::sync::LazyLock;

pub use self::rule::Operator;

/// The operators that are played, one file each.
const OPERATORS: &[(&str, &str)] = &[
    ("apicurio", include_str!("operators/apicurio.yaml")),
    ("argo-cd", include_str!("operators/argo-cd.yaml")),
    ("argo-rollouts", include_str!("operators/argo-rollouts.yaml")),
    ("calico", include_str!("operators/calico.yaml")),
    ("cert-manager", include_str!("operators/cert-manager.yaml")),
    ("cloudnative-pg", include_str!("operators/cloudnative-pg.yaml")),
    ("eck", include_str!("operators/eck.yaml")),
    ("external-secrets", include_str!("operators/external-secrets.yaml")),
    ("flagger", include_str!("operators/flagger.yaml")),
    ("gatekeeper", include_str!("operators/gatekeeper.yaml")),
    ("gitlab", include_str!("operators/gitlab.yaml")),
    ("istio", include_str!("operators/istio.yaml")),
    ("kargo", include_str!("operators/kargo.yaml")),
    ("keda", include_str!("operators/keda.yaml")),
    ("kyverno", include_str!("operators/kyverno.yaml")),
    ("longhorn", include_str!("operators/longhorn.yaml")),
    ("metallb", include_str!("operators/metallb.yaml")),
    ("milvus", include_str!("operators/milvus.yaml")),
    ("openbao", include_str!("operators/openbao.yaml")),
    ("opensearch", include_str!("operators/opensearch.yaml")),
    ("prometheus", include_str!("operators/prometheus.yaml")),
    ("redis", include_str!("operators/redis.yaml")),
    ("snapshot-controller", include_str!("operators/snapshot-controller.yaml")),
    ("strimzi", include_str!("operators/strimzi.yaml")),
    ("system-upgrade", include_str!("operators/system-upgrade.yaml")),
    ("velero", include_str!("operators/velero.yaml")),
    ("vertical-pod-autoscaler", include_str!("operators/vertical-pod-autoscaler.yaml")),
];

/// Every operator, read once. A file that does not parse plays nothing and fails a test.
pub(crate) fn operators() -> &'static [Operator] {
    static READ: LazyLock<Vec<Operator>> = LazyLock::new(|| {
        let read = OPERATORS.iter().map(|(name, text)| (name, Operator::read(text)));
        read.filter_map(|(name, operator)| match operator {
            Ok(operator) => Some(operator),
            Err(problem) => {
                tracing::error!(name, problem, "an operator's file cannot be read");
                None
            }
        })
        .collect()
    });
    &READ
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_reads_and_says_what_it_plays() {
        for (name, text) in OPERATORS {
            let operator = Operator::read(text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            assert!(!operator.rules.is_empty(), "{name} plays nothing");
            assert!(
                operator.rules.iter().all(|rule| !rule.kind.is_empty()),
                "{name} has a rule without kind"
            );
        }
    }

    #[test]
    fn every_file_of_the_folder_is_on_the_list() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/players/operators");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        assert_eq!(files, OPERATORS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
