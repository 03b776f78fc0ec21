//! Every kind of fault, and every parameter: one row each. The definition, the command line and the
//! reference page are made from these.

/// One kind of fault.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// Parameters of which it needs at least one; none are needed when empty.
    pub needs: &'static [&'static str],
    /// Parameters it takes besides those, and besides `lasts`.
    pub takes: &'static [&'static str],
}

/// Every kind.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    Kind { name: "node-kill", needs: &["node", "zone"], takes: &[],
        about: "Nodes go down; when they come back their containers start again." },
    Kind { name: "node-freeze", needs: &["node", "zone"], takes: &[],
        about: "Nodes stand still; when they go on their containers do as well." },
    Kind { name: "node-slow", needs: &["node", "zone"], takes: &["factor"],
        about: "Containers take `factor` times as long (10) to start, to become ready and to stop." },
    Kind { name: "partition", needs: &["node", "zone"], takes: &[],
        about: "Nodes cannot reach the API; their containers run on." },
    Kind { name: "pod-kill", needs: &["namespace", "selector"], takes: &["count", "seed"],
        about: "`count` pods (1) are deleted at once, without grace." },
    Kind { name: "crash", needs: &["namespace", "selector", "image"], takes: &["exitCode"],
        about: "Containers end with `exitCode` (1) soon after they start." },
    Kind { name: "unready", needs: &["namespace", "selector", "image"], takes: &[],
        about: "Containers run and are not ready." },
    Kind { name: "slow-start", needs: &["namespace", "selector", "image"], takes: &["delay"],
        about: "Containers become ready only after `delay` (30s)." },
    Kind { name: "image-pull", needs: &["image", "namespace", "selector"], takes: &[],
        about: "Images cannot be pulled." },
    Kind { name: "quota-full", needs: &["namespace"], takes: &[],
        about: "Every quota of the namespace is used up; without one, no pod can be created." },
    Kind { name: "storage", needs: &[], takes: &["class", "namespace"],
        about: "Volumes can be neither made nor mounted." },
    Kind { name: "certificate-expired", needs: &["namespace", "certificate"], takes: &[],
        about: "Certificates of cert-manager and those in their Secrets have expired; they are new again afterwards." },
    Kind { name: "api-error", needs: &["error"], takes: &["verbs", "resources", "namespace", "rate", "seed", "delay", "retryAfter"],
        about: "Requests get `error`; `delay` is how long `slow` (1s) and `timeout` (60s) take." },
];

/// What a parameter's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Text,
    /// A length of time, as `10m`.
    Span,
    /// A whole number.
    Whole,
    /// A number between 0 and 1.
    Share,
    /// A number above 0.
    Number,
    /// Texts.
    List,
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// Every parameter: name, shape, meaning.
pub const PARAMETERS: &[(&str, Shape, &str)] = &[
    ("node", Shape::Text, "name of a node"),
    ("zone", Shape::Text, "name of a zone: every node in it"),
    ("namespace", Shape::Text, "a namespace; all of them when it is not given"),
    ("selector", Shape::Text, "a label selector of pods, as `app=web`"),
    ("image", Shape::Text, "a part of an image's name"),
    ("class", Shape::Text, "a StorageClass; all of them when it is not given"),
    ("certificate", Shape::Text, "name of a Certificate"),
    ("verbs", Shape::List, "get, list, watch, create, update, patch, delete, deletecollection"),
    ("resources", Shape::List, "resources as `pods` or `deployments.apps`"),
    ("error", Shape::OneOf(&["429", "500", "503", "timeout", "reset", "slow"]), "what requests get"),
    ("rate", Shape::Share, "the share of requests it happens to; 1 is all"),
    ("seed", Shape::Whole, "which ones: the same seed chooses the same"),
    ("count", Shape::Whole, "how many pods"),
    ("factor", Shape::Number, "how many times as long"),
    ("delay", Shape::Span, "how long something takes"),
    ("retryAfter", Shape::Whole, "after how many seconds a refused client shall come back"),
    ("exitCode", Shape::Whole, "with which code containers end"),
    ("lasts", Shape::Span, "how long the fault holds; until it is cleared when it is not given"),
];

/// The kinds that take a parameter.
pub fn kinds_with(parameter: &str) -> Vec<&'static str> {
    let takes = |kind: &&Kind| {
        parameter == "lasts" || kind.needs.contains(&parameter) || kind.takes.contains(&parameter)
    };
    KINDS.iter().filter(takes).map(|kind| kind.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_of_a_kind_is_in_the_list_and_every_one_in_the_list_is_used() {
        let known: Vec<&str> = PARAMETERS.iter().map(|(name, ..)| *name).collect();
        for kind in KINDS {
            for parameter in kind.needs.iter().chain(kind.takes) {
                assert!(known.contains(parameter), "{} takes `{parameter}`", kind.name);
            }
        }
        for name in known {
            assert!(!kinds_with(name).is_empty(), "nothing takes `{name}`");
        }
    }
}
