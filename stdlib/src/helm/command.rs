//! Command lines of helm as values: built and tested without helm. helm 4 renamed some flags of helm 3; this is
//! the one place that knows (`helm upgrade --help` of 3.12 and 4.1).
//!
//! Charts are local paths here (`chart.rs` fetched them) and values are files: nothing secret is in a word.

use std::path::Path;
use std::time::Duration;

use semver::Version;

/// The oldest helm whose JSON output and flags are known to fit.
pub(super) const OLDEST: Version = Version::new(3, 12, 0);

/// The first helm that can be told to leave a chart's schema alone.
const SCHEMA_SKIPPED: Version = Version::new(3, 16, 0);

/// Revisions kept of a release: helm's own default.
pub(super) const HISTORY: u32 = 10;

/// A command line under construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line(Vec<String>);

impl Line {
    /// A verb with its operands.
    pub(super) fn new(words: &[&str]) -> Self {
        Self(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// Adds `--flag` when `given`.
    #[must_use]
    pub(super) fn flag(mut self, given: bool, flag: &str) -> Self {
        if given {
            self.0.push(flag.to_owned());
        }
        self
    }

    /// Adds `--flag=value`: one word, so that no value can be read as another flag.
    #[must_use]
    pub(super) fn option(mut self, flag: &str, value: impl AsRef<str>) -> Self {
        self.0.push(format!("{flag}={}", value.as_ref()));
        self
    }

    /// As [`Line::option`], where there may be no value.
    #[must_use]
    pub(super) fn maybe(self, flag: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.option(flag, value),
            None => self,
        }
    }

    /// Adds `--flag=value` for each value.
    #[must_use]
    pub(super) fn each(self, flag: &str, values: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        values.into_iter().fold(self, |line, value| line.option(flag, value))
    }

    /// The words.
    pub(super) fn words(&self) -> &[String] {
        &self.0
    }
}

/// Which release, in which namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) namespace: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` in `{}`", self.name, self.namespace)
    }
}

/// How an effect is carried out: the switches that install, rollback and uninstall share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manner {
    /// Wait until everything is ready, or gone.
    pub(super) wait: bool,
    /// Jobs must have completed, too.
    pub(super) wait_for_jobs: bool,
    /// How long one operation may take.
    pub(super) timeout: Duration,
    /// Run the chart's hooks.
    pub(super) hooks: bool,
}

/// What `upgrade --install` is told besides chart and values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upgrade<'a> {
    pub(super) place: &'a Place,
    pub(super) chart: &'a Path,
    pub(super) values: &'a [std::path::PathBuf],
    pub(super) manner: Manner,
    pub(super) atomic: bool,
    pub(super) create_namespace: bool,
    pub(super) reuse_values: bool,
    pub(super) skip_crds: bool,
    pub(super) skip_schema: bool,
    pub(super) force: bool,
    pub(super) take_ownership: bool,
    pub(super) history: u32,
    pub(super) description: Option<&'a str>,
}

/// `helm upgrade --install`.
pub(super) fn upgrade(helm: &Version, upgrade: &Upgrade<'_>) -> Line {
    let four = helm.major >= 4;
    let line = Line::new(&["upgrade", &upgrade.place.name, &upgrade.chart.to_string_lossy(), "--install"]);
    let line = with_manner(line, &upgrade.manner)
        .option("--namespace", &upgrade.place.namespace)
        .option("--output", "json")
        .each("--values", upgrade.values.iter().map(|file| file.to_string_lossy()))
        .flag(upgrade.atomic, if four { "--rollback-on-failure" } else { "--atomic" })
        .flag(upgrade.create_namespace, "--create-namespace")
        .flag(upgrade.reuse_values, "--reuse-values")
        .flag(!upgrade.reuse_values, "--reset-values")
        .flag(upgrade.skip_crds, "--skip-crds")
        .flag(upgrade.skip_schema && *helm >= SCHEMA_SKIPPED, "--skip-schema-validation")
        .flag(upgrade.force, if four { "--force-replace" } else { "--force" })
        // `--take-ownership` came with 3.17.
        .flag(upgrade.take_ownership && *helm >= Version::new(3, 17, 0), "--take-ownership");
    let line = applied_by_helm(helm, line);
    line.option("--history-max", upgrade.history.to_string()).maybe("--description", upgrade.description)
}

fn with_manner(line: Line, manner: &Manner) -> Line {
    line.flag(manner.wait, "--wait")
        .flag(manner.wait && manner.wait_for_jobs, "--wait-for-jobs")
        .flag(!manner.hooks, "--no-hooks")
        .option("--timeout", duration(manner.timeout))
}

/// Both helms compare three ways (last revision, this one, the cluster) and leave alone what others wrote since. Left to
/// itself helm 4 lets the server apply, which refuses every upgrade of a chart that states a field which an operator
/// fills in later, such as the `caBundle` of a webhook.
fn applied_by_helm(helm: &Version, line: Line) -> Line {
    if helm.major >= 4 { line.option("--server-side", "false") } else { line }
}

/// `helm rollback`.
pub(super) fn rollback(helm: &Version, place: &Place, revision: u64, manner: &Manner) -> Line {
    let line = applied_by_helm(helm, Line::new(&["rollback", &place.name, &revision.to_string()]));
    with_manner(line, manner)
        .option("--namespace", &place.namespace)
        .option("--history-max", HISTORY.to_string())
        .flag(manner.wait, "--cleanup-on-fail")
}

/// `helm uninstall`.
pub(super) fn uninstall(place: &Place, manner: &Manner, keep_history: bool) -> Line {
    let manner = Manner { wait_for_jobs: false, ..manner.clone() };
    with_manner(Line::new(&["uninstall", &place.name]), &manner)
        .option("--namespace", &place.namespace)
        .flag(keep_history, "--keep-history")
}

/// `helm test`.
pub(super) fn test(place: &Place, timeout: Duration, only: &[String], logs: bool) -> Line {
    Line::new(&["test", &place.name])
        .flag(logs, "--logs")
        .option("--namespace", &place.namespace)
        .option("--timeout", duration(timeout))
        .each("--filter", only.iter().map(|name| format!("name={name}")))
}

/// What `template` is told besides chart and values.
#[derive(Debug, Clone, Default)]
pub(super) struct Render<'a> {
    pub(super) values: &'a [std::path::PathBuf],
    pub(super) upgrade: bool,
    pub(super) skip_crds: bool,
    pub(super) skip_schema: bool,
    pub(super) kube_version: Option<String>,
    pub(super) api_versions: Vec<String>,
}

/// `helm template`: renders without asking the cluster anything.
pub(super) fn template(helm: &Version, place: &Place, chart: &Path, render: &Render<'_>) -> Line {
    Line::new(&["template", &place.name, &chart.to_string_lossy()])
        .option("--namespace", &place.namespace)
        .each("--values", render.values.iter().map(|file| file.to_string_lossy()))
        .flag(render.upgrade, "--is-upgrade")
        .flag(!render.skip_crds, "--include-crds")
        .flag(render.skip_schema && *helm >= SCHEMA_SKIPPED, "--skip-schema-validation")
        .maybe("--kube-version", render.kube_version.as_deref())
        .each("--api-versions", &render.api_versions)
}

/// `helm pull` into a folder that exists.
pub(super) fn pull(
    chart: &str,
    repository: Option<&str>,
    version: Option<&str>,
    plain: bool,
    to: &Path,
) -> Line {
    Line::new(&["pull", chart])
        .option("--destination", to.to_string_lossy())
        .maybe("--repo", repository)
        .maybe("--version", version)
        .flag(plain, "--plain-http")
}

/// A duration as Go reads it.
pub(super) fn duration(period: Duration) -> String {
    format!("{}ms", period.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { name: "web".to_owned(), namespace: "shop".to_owned() }
    }

    fn manner() -> Manner {
        Manner { wait: true, wait_for_jobs: false, timeout: Duration::from_secs(300), hooks: true }
    }

    fn line(version: Version, change: impl FnOnce(&mut Upgrade<'_>)) -> String {
        let (place, values) = (place(), [std::path::PathBuf::from("/tmp/v.json")]);
        let mut wanted = Upgrade {
            place: &place,
            chart: Path::new("/charts/web"),
            values: &values,
            manner: manner(),
            atomic: true,
            create_namespace: true,
            reuse_values: false,
            skip_crds: false,
            skip_schema: false,
            force: false,
            take_ownership: false,
            history: HISTORY,
            description: None,
        };
        change(&mut wanted);
        upgrade(&version, &wanted).words().join(" ")
    }

    #[test]
    fn each_helm_gets_the_flags_it_knows() {
        let common = "upgrade web /charts/web --install --wait --timeout=300000ms --namespace=shop --output=json \
                      --values=/tmp/v.json";
        let rest = "--create-namespace --reset-values --history-max=10";
        assert_eq!(line(Version::new(3, 12, 0), |_| ()), format!("{common} --atomic {rest}"));
        let rest_of_4 = "--create-namespace --reset-values --server-side=false --history-max=10";
        assert_eq!(
            line(Version::new(4, 1, 4), |_| ()),
            format!("{common} --rollback-on-failure {rest_of_4}")
        );
        let take = |upgrade: &mut Upgrade<'_>| upgrade.take_ownership = true;
        assert!(!line(Version::new(3, 16, 0), take).contains("ownership"));
        assert!(line(Version::new(3, 17, 0), take).contains("--take-ownership"));
        let lax = |upgrade: &mut Upgrade<'_>| upgrade.skip_schema = true;
        assert!(!line(Version::new(3, 15, 0), lax).contains("schema"));
        assert!(line(Version::new(3, 16, 0), lax).contains("--skip-schema-validation"));
        let force = |upgrade: &mut Upgrade<'_>| upgrade.force = true;
        assert!(line(Version::new(3, 17, 0), force).contains(" --force "));
        assert!(line(Version::new(4, 0, 0), force).contains("--force-replace --server-side=false"));
    }

    #[test]
    fn a_value_stays_in_the_word_of_its_flag() {
        let line = Line::new(&["x"]).option("--namespace", "--kube-token").maybe("--repo", None::<&str>);
        assert_eq!(line.words(), ["x", "--namespace=--kube-token"]);
    }

    #[test]
    fn rollback_and_uninstall_wait_by_the_same_switches() {
        assert_eq!(
            rollback(&Version::new(4, 1, 4), &place(), 3, &manner()).words().join(" "),
            "rollback web 3 --server-side=false --wait --timeout=300000ms --namespace=shop --history-max=10 --cleanup-on-fail"
        );
        let hasty = Manner { wait: false, hooks: false, ..manner() };
        assert_eq!(
            uninstall(&place(), &hasty, true).words().join(" "),
            "uninstall web --no-hooks --timeout=300000ms --namespace=shop --keep-history"
        );
    }
}
