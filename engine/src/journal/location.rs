//! Where a run executes when it is not a process that somebody started by hand: a Job in a management cluster. Whoever
//! puts it there says so before it does, the process that takes the run up says in which pod it is.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Variables by which the process in a pod knows where it is.
pub const VARIABLES: [&str; 5] =
    ["AEGIS_JOB_CLUSTER", "AEGIS_JOB_NAMESPACE", "AEGIS_JOB", "AEGIS_JOB_POD", "AEGIS_JOB_NODE"];

/// A Job, and once a process is in it, its pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Target whose cluster the Job is in.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub job: String,
    /// The pod.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pod: String,
    /// The node of the pod.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
}

impl Location {
    /// Where a process is, by its environment; `None`: in no Job.
    #[must_use]
    pub fn of(environment: &BTreeMap<String, String>) -> Option<Self> {
        let [cluster, namespace, job, pod, node] =
            VARIABLES.map(|name| environment.get(name).cloned().unwrap_or_default());
        (!job.is_empty()).then_some(Self { cluster, namespace, job, pod, node })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}/{}", self.namespace, self.job)?;
        if !self.pod.is_empty() {
            write!(f, ", pod {}", self.pod)?;
        }
        if !self.node.is_empty() {
            write!(f, " on {}", self.node)?;
        }
        Ok(())
    }
}

/// How it stands with a run in a Job, as far as whoever watches the Job can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// The Job is there, or will be in a moment.
    Expected,
    /// Something keeps the Job from executing it; it may pass by itself.
    Hindered,
    /// The Job was taken away; the run is put into another one when it may go on.
    Left,
    /// The Job was given up: a person has to look.
    GivenUp,
    /// A person has looked, and wants the run in another Job.
    Wanted,
}

impl Placement {
    /// The word as it stands in lists.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Expected => "placed",
            Self::Hindered => "hindered",
            Self::Left => "left",
            Self::GivenUp => "given up",
            Self::Wanted => "wanted",
        }
    }

    /// True as long as the Job is to execute the run.
    #[must_use]
    pub const fn is_expected(self) -> bool {
        matches!(self, Self::Expected | Self::Hindered)
    }
}
