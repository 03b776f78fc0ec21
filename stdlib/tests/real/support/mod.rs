//! What the tests have in common: a bench on a target, and servers that live as long as a test.

pub(crate) mod seaweed;
pub(crate) mod server;
pub(crate) mod tls;
pub(crate) mod tools;

use std::collections::BTreeMap;
use std::path::Path;

use aegis_engine::testing::Bench;
use aegis_stdlib::target::{Surroundings, Target};

/// Surroundings with a state folder and an environment, and nothing of this machine's own.
pub(crate) fn surroundings(state: &Path, environment: &[(&str, &str)]) -> Surroundings {
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Surroundings {
        name: "test".to_owned(),
        state: state.to_owned(),
        project: state.to_owned(),
        environment,
        ..Surroundings::default()
    }
}

/// All modules on a target.
pub(crate) fn bench(target: &Target, surroundings: &Surroundings) -> Bench {
    aegis_stdlib::tls::install_ring();
    let services = aegis_stdlib::services(target, surroundings);
    let mut bench = Bench::new(aegis_stdlib::modules(), services);
    bench.context.project.clone_from(&surroundings.project);
    bench
}
