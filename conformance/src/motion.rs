//! What was in motion: objects and lists that changed in the recording although no client had written.
//!
//! A controller was at work on them, so a read met them at an arbitrary moment. The recordings' rule for
//! such reads: compare the specification, and the status only where it is the eventual one.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::recording::Recording;

/// Which objects and lists were in motion when.
#[derive(Debug, Default)]
pub(crate) struct Motion {
    objects: HashSet<(u64, String)>,
    lists: HashSet<u64>,
    /// Objects that went later.
    going: HashSet<(u64, String)>,
    /// Reads that came within a moment of a client's change.
    early: HashSet<u64>,
}

/// How long after a client's change controllers are surely at work.
const MOMENT: f64 = 1.0;

impl Motion {
    /// Finds them by what later lines show.
    pub(crate) fn of(recording: &Recording) -> Self {
        let mut motion = Self::default();
        let mut seen: HashMap<String, (String, Vec<u64>)> = HashMap::new();
        let mut shown: HashMap<String, Vec<u64>> = HashMap::new();
        let mut lists: HashMap<(String, String), (Vec<String>, Vec<u64>)> = HashMap::new();
        let mut changed = f64::NEG_INFINITY;
        for line in &recording.lines {
            if line.is_read() && line.t < changed + MOMENT {
                motion.early.insert(line.seq);
            }
            if !line.is_read() {
                changed = line.end();
                seen.clear();
                shown.clear();
                lists.clear();
            }
            for event in line.watch_events.iter().flatten().filter(|event| event.kind == "DELETED") {
                let Some(uid) = identity(&event.object).0 else { continue };
                let lines = shown.get(uid).into_iter().flatten();
                motion.going.extend(lines.map(|&line| (line, uid.to_owned())));
                motion.going.insert((line.seq, uid.to_owned()));
            }
            for object in line.objects() {
                if let (Some(uid), Some(version)) = identity(object) {
                    shown.entry(uid.to_owned()).or_default().push(line.seq);
                    let (last, lines) = seen.entry(uid.to_owned()).or_default();
                    if !lines.is_empty() && last != version {
                        motion.objects.extend(lines.drain(..).map(|line| (line, uid.to_owned())));
                    }
                    version.clone_into(last);
                    lines.push(line.seq);
                }
            }
            if line.is_read() && !line.is_watch() && line.body.is_some() {
                let mut members: Vec<String> =
                    line.objects().iter().filter_map(|object| Some(identity(object).0?.to_owned())).collect();
                members.sort();
                let (last, lines) = lists.entry((line.path.clone(), line.query.clone())).or_default();
                if !lines.is_empty() && *last != members {
                    motion.lists.extend(lines.drain(..));
                }
                *last = members;
                lines.push(line.seq);
            }
        }
        motion
    }

    /// Whether an object was in motion when a line showed it.
    pub(crate) fn moves(&self, line: u64, object: &Value) -> bool {
        identity(object).0.is_some_and(|uid| self.objects.contains(&(line, uid.to_owned())))
    }

    /// Whether an object that a line shows was about to go.
    pub(crate) fn goes(&self, line: u64, object: &Value) -> bool {
        // Finalizers that the server itself takes off.
        let passing = ["foregroundDeletion", "orphan", "customresourcecleanup.apiextensions.k8s.io"];
        let is_passing = |name: &Value| name.as_str().is_some_and(|name| passing.contains(&name));
        let finalizers = object["metadata"]["finalizers"].as_array();
        let is_held = finalizers.is_some_and(|names| !names.iter().all(is_passing));
        let is_terminating = object["metadata"]["deletionTimestamp"].is_string();
        is_terminating && !is_held
            || identity(object).0.is_some_and(|uid| self.going.contains(&(line, uid.to_owned())))
    }

    /// Whether a line is a read so soon after a client's change that controllers were at work on what it brought: on
    /// the objects they make and name, too.
    pub(crate) fn is_early(&self, line: u64) -> bool {
        self.early.contains(&line)
    }

    /// Whether an object that its controller has not finished was read so soon after a client's change that the
    /// controller was at work on it.
    pub(crate) fn is_read_early(&self, line: u64, object: &Value) -> bool {
        self.early.contains(&line) && Self::is_unfinished(object)
    }

    /// The same of an object of which a table shows cells only: `0/1` of something is there.
    pub(crate) fn is_row_read_early(&self, line: u64, cells: &[Value]) -> bool {
        let is_part = |cell: &Value| {
            let parts = cell.as_str().and_then(|text| text.split_once('/'));
            parts.is_some_and(|(part, whole)| {
                part != whole && [part, whole].iter().all(|count| count.parse::<u32>().is_ok())
            })
        };
        self.early.contains(&line) && cells.iter().any(is_part)
    }

    /// Whether an object says itself that something of it is on its way: pods that are stopping, runs that are not
    /// over, a pod that has a place and no container yet, or no place and nobody has refused it one.
    pub(crate) fn is_under_way(object: &Value) -> bool {
        let status = &object["status"];
        let count = |value: &Value| value.as_i64().unwrap_or_default();
        let has_runs = status["active"].as_array().is_some_and(|runs| !runs.is_empty());
        count(&status["terminatingReplicas"]) > 0 || has_runs || is_starting(object)
    }

    /// Whether an object says itself that its controller has not done what it wishes.
    pub(crate) fn is_unfinished(object: &Value) -> bool {
        let (spec, status) = (&object["spec"], &object["status"]);
        let count = |value: &Value| value.as_i64().unwrap_or_default();
        let is_behind = status["observedGeneration"].is_i64()
            && count(&status["observedGeneration"]) + 1 < count(&object["metadata"]["generation"]);
        let wanted = count(&spec["replicas"]);
        let is_short = status["replicas"].is_i64()
            && ["replicas", "updatedReplicas", "availableReplicas"].iter().any(|part| {
                (status[*part].is_i64() || *part != "updatedReplicas") && count(&status[*part]) != wanted
            });
        let lags =
            |part: &str, whole: &str| status[whole].is_i64() && count(&status[part]) != count(&status[whole]);
        let is_running = count(&status["active"]) > 0 && status["conditions"].is_null();
        is_behind
            || is_short
            || is_running
            || lags("numberReady", "desiredNumberScheduled")
            || lags("currentHealthy", "expectedPods")
    }

    /// Whether objects came or went while a line listed them.
    pub(crate) fn list_moves(&self, line: u64) -> bool {
        self.lists.contains(&line)
    }
}

/// Whether a pod is on its way to its first container, and nothing is in its way.
fn is_starting(object: &Value) -> bool {
    let status = &object["status"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let is_refused = list(&status["conditions"])
        .iter()
        .any(|held| held["type"] == "PodScheduled" && held["status"] == "False");
    let waits_long = list(&status["containerStatuses"]).iter().any(|container| {
        let waiting = &container["state"]["waiting"]["reason"];
        waiting.is_string() && waiting != "ContainerCreating" && waiting != "PodInitializing"
    });
    status["phase"] == "Pending" && object["spec"]["containers"].is_array() && !is_refused && !waits_long
}

fn identity(object: &Value) -> (Option<&str>, Option<&str>) {
    let metadata = &object["metadata"];
    (metadata["uid"].as_str(), metadata["resourceVersion"].as_str())
}
