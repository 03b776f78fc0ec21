//! The Rhai libraries inside the binary, in one visible list: `std/NAME` from `stdlib/lib/`, `std/platform/NAME`
//! from `stdlib/platform/`. A test fails when a file is missing here.

use std::collections::BTreeMap;

macro_rules! libraries {
    ($($name:literal = $file:literal;)*) => {
        const LIBRARIES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../", $file, ".rhai")))),*];
    };
}

libraries! {
    "std/backup" = "lib/backup";
    "std/check" = "lib/check";
    "std/component" = "lib/component";
    "std/lane" = "lib/lane";
    "std/manifest" = "lib/manifest";
    "std/order" = "lib/order";
    "std/rehearsal" = "lib/rehearsal";
    "std/removal" = "lib/removal";
    "std/settings" = "lib/settings";
    "std/platform/argo_cd" = "platform/argo_cd";
    "std/platform/baseline" = "platform/baseline";
    "std/platform/calico" = "platform/calico";
    "std/platform/catalog" = "platform/catalog";
    "std/platform/cert_manager" = "platform/cert_manager";
    "std/platform/cloudnative_pg" = "platform/cloudnative_pg";
    "std/platform/gatekeeper" = "platform/gatekeeper";
    "std/platform/gateway_api" = "platform/gateway_api";
    "std/platform/istio" = "platform/istio";
    "std/platform/metrics_server" = "platform/metrics_server";
    "std/platform/monitoring" = "platform/monitoring";
    "std/platform/openbao" = "platform/openbao";
    "std/platform/prometheus_crds" = "platform/prometheus_crds";
    "std/platform/storage" = "platform/storage";
    "std/platform/strimzi" = "platform/strimzi";
    "std/platform/velero" = "platform/velero";
}

/// Every embedded library: the name that scripts import, and its text.
#[must_use]
pub fn libraries() -> BTreeMap<String, String> {
    LIBRARIES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_file_is_in_the_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = BTreeSet::new();
        for (folder, prefix) in [("lib", "std/"), ("platform", "std/platform/")] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                files.extend(name.strip_suffix(".rhai").map(|name| format!("{prefix}{name}")));
            }
        }
        let listed: BTreeSet<String> = super::libraries().into_keys().collect();
        assert_eq!(listed, files);
    }
}
