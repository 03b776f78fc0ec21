//! Pods and what makes pods.

use super::check::{
    immutable, immutable_internal, is_zero, items, not_negative, number_or_percent, one_of, text,
};
use super::pod;
use crate::schema::cause::Cause;
use serde_json::{Value, json};

pub(super) fn pod(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    if old.is_none() {
        pod::spec(&new["spec"], "spec", &mut causes);
    }
    causes
}

pub(super) fn scale(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    not_negative(&new["spec"], "replicas", "spec", &mut causes);
    causes
}

pub(super) fn deployment(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &new["spec"];
    counters(
        spec,
        &["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"],
        &mut causes,
    );
    strategy(&spec["strategy"], &mut causes);
    always_template(spec, &mut causes);
    causes
}

fn counters(spec: &Value, fields: &[&str], causes: &mut Vec<Cause>) {
    fields.iter().for_each(|field| not_negative(spec, field, "spec", causes));
}

fn strategy(strategy: &Value, causes: &mut Vec<Cause>) {
    let rolling = &strategy["rollingUpdate"];
    match text(strategy, "type") {
        "Recreate" if rolling.is_object() => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            causes.push(Cause::forbidden("spec.strategy.rollingUpdate", detail));
        }
        "RollingUpdate" => rolling_update(rolling, "spec.strategy.rollingUpdate", causes),
        "Recreate" => {}
        other => {
            let shown = format!(r#"{{"Type":{},"RollingUpdate":{rolling}}}"#, json!(other));
            causes.push(Cause::unsupported_shown("spec.strategy", &shown, &["Recreate", "RollingUpdate"]));
        }
    }
}

fn rolling_update(rolling: &Value, path: &str, causes: &mut Vec<Cause>) {
    let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
    number_or_percent(unavailable, &format!("{path}.maxUnavailable"), causes);
    number_or_percent(surge, &format!("{path}.maxSurge"), causes);
    super::check::at_most_all(unavailable, &format!("{path}.maxUnavailable"), causes);
    if is_zero(unavailable) && is_zero(surge) {
        let path = format!("{path}.maxUnavailable");
        causes.push(Cause::invalid(path, &json!(0), "may not be 0 when `maxSurge` is 0"));
    }
}

/// A template whose pods are started again whenever they end.
fn always_template(spec: &Value, causes: &mut Vec<Cause>) {
    let template = &spec["template"];
    pod::spec(&template["spec"], "spec.template.spec", causes);
    let policy = text(&template["spec"], "restartPolicy");
    if matches!(policy, "OnFailure" | "Never") {
        let value = &template["spec"]["restartPolicy"];
        causes.push(Cause::unsupported("spec.template.spec.restartPolicy", value, &["Always"]));
    }
}

pub(super) fn replica_set(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    counters(&new["spec"], &["replicas", "minReadySeconds"], &mut causes);
    always_template(&new["spec"], &mut causes);
    causes
}

pub(super) fn daemon_set(_: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &new["spec"];
    counters(spec, &["minReadySeconds", "revisionHistoryLimit"], &mut causes);
    if text(&spec["updateStrategy"], "type") == "RollingUpdate" {
        rolling_update(
            &spec["updateStrategy"]["rollingUpdate"],
            "spec.updateStrategy.rollingUpdate",
            &mut causes,
        );
    }
    one_of(
        &spec["updateStrategy"],
        "type",
        "spec.updateStrategy",
        &["RollingUpdate", "OnDelete"],
        &mut causes,
    );
    always_template(spec, &mut causes);
    causes
}

/// Fields of a StatefulSet that may change.
const STATEFUL_SET_MUTABLE: &[&str] = &[
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub(super) fn stateful_set(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &new["spec"];
    counters(spec, &["replicas", "minReadySeconds", "revisionHistoryLimit"], &mut causes);
    one_of(spec, "podManagementPolicy", "spec", &["OrderedReady", "Parallel"], &mut causes);
    let template = template_with_claims(spec);
    always_template(&json!({"template": template}), &mut causes);
    if old.is_some_and(|old| fixed(&old["spec"], STATEFUL_SET_MUTABLE) != fixed(spec, STATEFUL_SET_MUTABLE)) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        causes.push(Cause::forbidden("spec", detail));
    }
    causes
}

/// Mounts may name claims as if they were volumes.
fn template_with_claims(spec: &Value) -> Value {
    let mut template = spec["template"].clone();
    let mut volumes = items(&template["spec"], "volumes").to_vec();
    for claim in items(spec, "volumeClaimTemplates") {
        let name = &claim["metadata"]["name"];
        if !volumes.iter().any(|volume| volume["name"] == *name) {
            volumes.push(json!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
        }
    }
    if template["spec"].is_object() {
        template["spec"]["volumes"] = Value::Array(volumes);
    }
    template
}

fn fixed(spec: &Value, mutable: &[&str]) -> Value {
    let mut spec = spec.clone();
    if let Some(map) = spec.as_object_mut() {
        map.retain(|key, _| !mutable.contains(&key.as_str()));
    }
    for claim in
        spec["volumeClaimTemplates"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut)
    {
        claim.remove("status");
    }
    spec
}

pub(super) fn job(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &new["spec"];
    job_spec(spec, "spec", old.is_none(), &mut causes);
    immutable(old, new, "/spec/completions", "spec.completions", &mut causes);
    immutable(old, new, "/spec/completionMode", "spec.completionMode", &mut causes);
    let suspended = old.is_some_and(|old| old["spec"]["suspend"] == true);
    if !suspended {
        let template = ("/spec/template", "spec.template", "PodTemplateSpec");
        immutable_internal(old, new, template, &mut causes);
    }
    causes
}

fn job_spec(spec: &Value, path: &str, created: bool, causes: &mut Vec<Cause>) {
    for field in
        ["parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"]
    {
        not_negative(spec, field, path, causes);
    }
    one_of(spec, "completionMode", path, &["NonIndexed", "Indexed"], causes);
    if created {
        pod::spec(&spec["template"]["spec"], &format!("{path}.template.spec"), causes);
    }
    if text(&spec["template"]["spec"], "restartPolicy") == "Always" {
        let detail = "valid values: \"OnFailure\", \"Never\"";
        causes.push(Cause::required(format!("{path}.template.spec.restartPolicy"), detail));
    }
}

pub(super) fn cron_job(old: Option<&Value>, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &new["spec"];
    let name = &new["metadata"]["name"];
    if old.is_none() && name.as_str().is_some_and(|name| name.len() > 52) {
        causes.push(Cause::invalid("metadata.name", name, "must be no more than 52 characters"));
    }
    schedule(spec, &mut causes);
    one_of(spec, "concurrencyPolicy", "spec", &["Allow", "Forbid", "Replace"], &mut causes);
    counters(
        spec,
        &["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"],
        &mut causes,
    );
    job_spec(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec", true, &mut causes);
    causes
}

fn schedule(spec: &Value, causes: &mut Vec<Cause>) {
    let text_of = text(spec, "schedule");
    let mut refuse = |detail: String| causes.push(Cause::invalid("spec.schedule", &spec["schedule"], detail));
    if text_of.is_empty() {
        causes.push(Cause::required("spec.schedule", ""));
    } else if text_of.starts_with("TZ=") || text_of.starts_with("CRON_TZ=") {
        refuse("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned());
    } else if let Err(problem) = cron(text_of) {
        refuse(problem);
    }
    if let Some(zone) = spec["timeZone"].as_str() {
        let detail = match zone {
            "" => Some("timeZone must be nil or non-empty string".to_owned()),
            zone if jiff::tz::TimeZone::get(zone).is_err() => Some(format!("unknown time zone {zone}")),
            _ => None,
        };
        if let Some(detail) = detail {
            causes.push(Cause::invalid("spec.timeZone", &spec["timeZone"], detail));
        }
    }
}

/// The names that may stand in the month and weekday fields.
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Least and greatest value of the five fields of a schedule.
const RANGES: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];

/// Reads a five-field schedule as the server's cron library does; the error is its sentence.
fn cron(schedule: &str) -> Result<(), String> {
    if let Some(word) = schedule.strip_prefix('@') {
        let known =
            ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"].contains(&word);
        return if known || word.starts_with("every ") {
            Ok(())
        } else {
            Err(format!("unrecognized descriptor: {schedule}"))
        };
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != RANGES.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (at, field) in fields.iter().enumerate() {
        field.split(',').try_for_each(|part| cron_part(part, at))?;
    }
    Ok(())
}

fn cron_part(part: &str, at: usize) -> Result<(), String> {
    let (least, most) = RANGES[at];
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    if let Some(step) = step {
        match step.parse::<u32>() {
            Ok(0) => return Err(format!("step of range should be a positive number: {part}")),
            Ok(_) => {}
            Err(_) => {
                return Err(format!(
                    "failed to parse int from {step}: strconv.Atoi: parsing {step:?}: invalid syntax"
                ));
            }
        }
    }
    if matches!(range, "*" | "?") {
        return Ok(());
    }
    let (from, to) = range.split_once('-').map_or((range, range), |(from, to)| (from, to));
    let (from, to) = (cron_value(from, at)?, cron_value(to, at)?);
    match () {
        () if from < least => Err(format!("beginning of range ({from}) below minimum ({least}): {part}")),
        () if to > most => Err(format!("end of range ({to}) above maximum ({most}): {part}")),
        () if from > to => Err(format!("beginning of range ({from}) beyond end of range ({to}): {part}")),
        () => Ok(()),
    }
}

fn cron_value(text: &str, at: usize) -> Result<u32, String> {
    let names: &[&str] = match at {
        3 => &MONTHS,
        4 => &DAYS,
        _ => &[],
    };
    let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
    if let Some(position) = named {
        return Ok(u32::try_from(position).unwrap_or_default() + RANGES[at].0);
    }
    text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })
}
