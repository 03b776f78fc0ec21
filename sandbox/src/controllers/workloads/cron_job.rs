//! CronJob: makes Jobs at the times its schedule says, in its time zone.
//!
//! Five fields or a macro (`@hourly`), as the API takes them. `@every` counts from the object's creation.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::ambient::format_seconds;
use crate::controllers::cache::{Cache, Key};
use crate::controllers::controller::{Change, Controller, Plan, World, Write};
use crate::controllers::fields::{Fields, Object, controlled_by, set, set_key};

const KIND: &str = "CronJob.batch";
const JOB: &str = "Job.batch";

/// More missed starts than this are not made up for: the controller's limit.
const MOST_MISSED: usize = 100;

/// Keeps CronJobs.
pub const CONTROLLER: Controller =
    Controller { name: "cronjob-controller", manager: "kube-controller-manager", wakes, reconcile };

fn wakes(change: &Change<'_>, _cache: &Cache) -> Vec<Key> {
    let mut keys = change.itself(KIND);
    if change.kind == JOB {
        keys.extend(change.controller(KIND));
    }
    keys
}

fn reconcile(key: &Key, world: &World<'_>) -> Plan {
    let mut plan = Plan::nothing();
    let Some(cron) = world.cache.find(key).filter(|cron| !cron.is_terminating()) else { return plan };
    let jobs = world.cache.controlled(JOB, cron.uid());
    clean_up(cron, &jobs, &mut plan);
    let mut status = observed(cron, &jobs);
    if let Err(problem) = start_due(cron, &jobs, &mut status, world, &mut plan) {
        plan.warn(cron, "UnparseableSchedule", problem);
    }
    plan.status(cron, status);
    plan
}

/// The status that follows from the Jobs there are.
fn observed(cron: &Value, jobs: &[&Object]) -> Value {
    let mut status = cron.at("/status").as_object().cloned().unwrap_or_default();
    let active: Vec<Value> = jobs.iter().filter(|job| !is_finished(job)).map(|job| reference(job)).collect();
    match active.is_empty() {
        true => status.remove("active"),
        false => status.insert("active".into(), active.into()),
    };
    let succeeded =
        jobs.iter().filter(|job| job.is("Complete")).map(|job| job.text("/status/completionTime"));
    let last = succeeded.max().unwrap_or_default().max(cron.text("/status/lastSuccessfulTime"));
    if !last.is_empty() {
        status.insert("lastSuccessfulTime".into(), last.into());
    }
    status.into()
}

fn is_finished(job: &Value) -> bool {
    job.is("Complete") || job.is("Failed")
}

fn reference(job: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job.name(),
        "namespace": job.namespace(),
        "uid": job.uid(),
        "resourceVersion": job.text("/metadata/resourceVersion"),
    })
}

/// Starts the latest due Job, and plans to come back for the next.
fn start_due(
    cron: &Object,
    jobs: &[&Object],
    status: &mut Value,
    world: &World<'_>,
    plan: &mut Plan,
) -> Result<(), String> {
    let times = Times::of(cron)?;
    let now = world.now();
    let since = match cron.text("/status/lastScheduleTime") {
        "" => cron.text("/metadata/creationTimestamp"),
        held => held,
    };
    let since: Timestamp = since.parse().unwrap_or(now);
    let next = times.after(now)?;
    plan.upkeep(Duration::try_from(next.duration_since(now)).unwrap_or_default());
    if cron.flag("/spec/suspend") {
        return Ok(());
    }
    let Some(due) = times.latest_between(since, now)? else { return Ok(()) };
    if is_too_late(cron, due, now) {
        return Ok(());
    }
    let running: Vec<&&Object> = jobs.iter().filter(|job| !is_finished(job)).collect();
    match cron.text("/spec/concurrencyPolicy") {
        "Forbid" if !running.is_empty() => {
            plan.note(
                cron,
                "JobAlreadyActive",
                "Not starting job because prior execution is running and concurrency policy is Forbid",
            );
            return Ok(());
        }
        "Replace" => {
            for job in running {
                plan.push(Write::Delete {
                    object: Value::clone(job),
                    grace: None,
                    propagation: Some("Background"),
                });
                plan.note(cron, "SuccessfulDelete", format!("Deleted job {}", job.name()));
            }
        }
        _ => {}
    }
    let job = job(cron, due);
    let name = job.name().to_owned();
    set(status, "/lastScheduleTime", format_seconds(due).into());
    if world.cache.get(JOB, cron.namespace(), &name).is_none() {
        plan.push(Write::Create(job));
        plan.note(cron, "SuccessfulCreate", format!("Created job {name}"));
    }
    Ok(())
}

fn is_too_late(cron: &Value, due: Timestamp, now: Timestamp) -> bool {
    cron.number("/spec/startingDeadlineSeconds")
        .is_some_and(|seconds| now.duration_since(due).as_secs() > seconds)
}

/// The Job of one scheduled instant, named by its minute.
fn job(cron: &Value, due: Timestamp) -> Value {
    let template = cron.at("/spec/jobTemplate");
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": format!("{}-{}", cron.name(), due.as_second() / 60),
            "namespace": cron.namespace(),
            "ownerReferences": controlled_by(cron),
        },
        "spec": template.at("/spec"),
    });
    for field in ["labels", "annotations"] {
        for (key, value) in template.entries(&format!("/metadata/{field}")) {
            set_key(&mut job, &format!("/metadata/{field}"), key, value.clone());
        }
    }
    let scheduled = "batch.kubernetes.io/cronjob-scheduled-timestamp";
    set_key(&mut job, "/metadata/annotations", scheduled, format_seconds(due));
    job
}

/// Deletes the oldest finished Jobs beyond the history limits.
fn clean_up(cron: &Value, jobs: &[&Object], plan: &mut Plan) {
    for (kind, field, default) in
        [("Complete", "/spec/successfulJobsHistoryLimit", 3), ("Failed", "/spec/failedJobsHistoryLimit", 1)]
    {
        let limit = cron.number(field).unwrap_or(default);
        let mut ended: Vec<&&Object> =
            jobs.iter().filter(|job| job.is(kind) && !job.is_terminating()).collect();
        ended.sort_by_key(|job| job.text("/status/startTime").to_owned());
        let surplus = usize::try_from(ended.len() as i64 - limit).unwrap_or_default();
        for job in ended.into_iter().take(surplus) {
            plan.push(Write::Delete {
                object: Value::clone(job),
                grace: None,
                propagation: Some("Background"),
            });
            plan.note(cron, "SuccessfulDelete", format!("Deleted job {}", job.name()));
        }
    }
}

/// The instants of a schedule.
enum Times {
    Fields(Box<cronexpr::Crontab>),
    Every(Timestamp, Duration),
}

impl Times {
    fn of(cron: &Value) -> Result<Self, String> {
        let text = cron.text("/spec/schedule");
        if let Some(span) = text.strip_prefix("@every ") {
            let span: jiff::SignedDuration =
                span.trim().parse().map_err(|error| format!("unparseable schedule: {text}: {error}"))?;
            let start = cron.text("/metadata/creationTimestamp").parse().unwrap_or(Timestamp::UNIX_EPOCH);
            let span = Duration::try_from(span).unwrap_or_default().max(Duration::from_secs(1));
            return Ok(Self::Every(start, span));
        }
        let zone = match cron.text("/spec/timeZone") {
            "" => "UTC",
            zone => zone,
        };
        let fields = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            fields => fields,
        };
        cronexpr::parse_crontab(&format!("{fields} {zone}"))
            .map(|fields| Self::Fields(Box::new(fields)))
            .map_err(|error| format!("unparseable schedule: {text}: {error}"))
    }

    fn after(&self, moment: Timestamp) -> Result<Timestamp, String> {
        match self {
            Self::Fields(fields) => {
                fields.find_next(moment).map(|next| next.timestamp()).map_err(|error| error.to_string())
            }
            Self::Every(start, span) => {
                let passed = Duration::try_from(moment.duration_since(*start)).unwrap_or_default();
                let rounds = passed.as_secs() / span.as_secs() + 1;
                let ahead =
                    jiff::SignedDuration::from_secs((rounds * span.as_secs()).try_into().unwrap_or(i64::MAX));
                start.checked_add(ahead).map_err(|error| error.to_string())
            }
        }
    }

    /// The latest instant after `since` up to `now`. After more than a hundred missed ones, none: the
    /// real controller gives up there as well.
    fn latest_between(&self, since: Timestamp, now: Timestamp) -> Result<Option<Timestamp>, String> {
        let mut latest = None;
        let mut moment = since;
        for _ in 0..MOST_MISSED {
            moment = self.after(moment)?;
            if moment > now {
                return Ok(latest);
            }
            latest = Some(moment);
        }
        Ok(None)
    }
}
