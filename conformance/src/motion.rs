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
}

impl Motion {
    /// Finds them by what later lines show.
    pub(crate) fn of(recording: &Recording) -> Self {
        let mut motion = Self::default();
        let mut seen: HashMap<String, (String, Vec<u64>)> = HashMap::new();
        let mut shown: HashMap<String, Vec<u64>> = HashMap::new();
        let mut lists: HashMap<(String, String), (Vec<String>, Vec<u64>)> = HashMap::new();
        for line in &recording.lines {
            if !line.is_read() {
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
        let is_held = object["metadata"]["finalizers"].is_array();
        let is_terminating = object["metadata"]["deletionTimestamp"].is_string();
        is_terminating && !is_held
            || identity(object).0.is_some_and(|uid| self.going.contains(&(line, uid.to_owned())))
    }

    /// Whether an object says itself that pods of it are still stopping.
    pub(crate) fn is_draining(object: &Value) -> bool {
        object["status"]["terminatingReplicas"].as_i64().is_some_and(|count| count > 0)
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
        is_behind || is_short
    }

    /// Whether objects came or went while a line listed them.
    pub(crate) fn list_moves(&self, line: u64) -> bool {
        self.lists.contains(&line)
    }
}

fn identity(object: &Value) -> (Option<&str>, Option<&str>) {
    let metadata = &object["metadata"];
    (metadata["uid"].as_str(), metadata["resourceVersion"].as_str())
}
