//! Completion indexes: each pod of an Indexed Job works on one number.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Run, label_pod};
use crate::controllers::fields::{Fields, set, set_key};
use crate::controllers::pods;

const INDEX: &str = "batch.kubernetes.io/job-completion-index";

fn index(pod: &Value) -> Option<i64> {
    pod.annotation(INDEX).parse().ok()
}

/// The indexes that have succeeded, those in the status and those of pods that ended since.
pub(super) fn completed(run: &Run<'_>) -> BTreeSet<i64> {
    let mut done = parse(run.job.text("/status/completedIndexes"));
    let ended = run.pods.iter().filter(|pod| pod.text("/status/phase") == "Succeeded");
    done.extend(ended.filter_map(|pod| index(pod)));
    done
}

/// The indexes that nobody works on and that are not done, lowest first.
pub(super) fn missing(run: &Run<'_>) -> Vec<i64> {
    let done = completed(run);
    let busy: BTreeSet<i64> =
        run.pods.iter().filter(|pod| pods::is_active(pod)).filter_map(|pod| index(pod)).collect();
    let all = 0..run.job.count("/spec/completions");
    all.filter(|number| !done.contains(number) && !busy.contains(number)).collect()
}

/// Writes an index into a pod: annotation, label, host name, and the environment of its containers.
pub(super) fn mark(pod: &mut Value, job: &str, index: i64) {
    set_key(pod, "/metadata/annotations", INDEX, index.to_string());
    label_pod(pod, INDEX, index.to_string());
    set(pod, "/spec/hostname", format!("{job}-{index}").into());
    let variable = json!({
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": { "fieldRef": { "fieldPath": format!("metadata.labels['{INDEX}']") } },
    });
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            let mut environment = container.list("/env").to_vec();
            environment.push(variable.clone());
            container["env"] = environment.into();
        }
        if pod["spec"][list].is_null()
            && let Some(spec) = pod["spec"].as_object_mut()
        {
            spec.remove(list);
        }
    }
}

/// Indexes as the status holds them: `0-2,4`.
pub(super) fn print(indexes: &BTreeSet<i64>) -> String {
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for number in indexes {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let text = |(first, last): &(i64, i64)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

fn parse(text: &str) -> BTreeSet<i64> {
    let ranges = text.split(',').filter(|part| !part.is_empty());
    ranges
        .flat_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.parse::<i64>().unwrap_or_default();
            number(first)..=number(last)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_print_and_read_back() {
        let indexes: BTreeSet<i64> = [0, 1, 2, 4, 6, 7].into();
        assert_eq!(print(&indexes), "0-2,4,6,7");
        assert_eq!(parse("0-2,4,6,7"), indexes);
        assert_eq!(parse(""), BTreeSet::new());
    }
}
