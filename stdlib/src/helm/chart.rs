//! Where a chart comes from: a path of the project, the target's local charts folder, a repository, a registry.
//! Decides by names alone; `client.rs` looks and fetches. What comes out is always a local path, so that the plan
//! and the install of one call work on bytes whose digest is known.

use std::path::Path;

use aegis_engine::CallError;
use semver::Version;

use crate::target::HelmTarget;

/// What a call says about its chart.
#[derive(Debug, Clone, Default)]
pub(super) struct Request<'a> {
    pub(super) chart: &'a str,
    pub(super) repository: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    pub(super) digest: Option<&'a str>,
    pub(super) plain_http: bool,
}

/// Where to get a chart that is not on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    /// First operand of `helm pull`.
    pub(super) chart: String,
    /// `--repo`.
    pub(super) repository: Option<String>,
}

impl Request<'_> {
    /// Checks what would otherwise be read as a flag or compared with nothing.
    pub(super) fn check(&self) -> Result<(), CallError> {
        let words = [Some(self.chart), self.repository, self.version];
        if let Some(word) = words.into_iter().flatten().find(|word| word.is_empty() || word.starts_with('-'))
        {
            return Err(CallError::argument(format!("`{word}` names no chart, repository or version")));
        }
        match self.digest.map(hex_digest) {
            Some(None) => Err(CallError::argument("`digest` is not a SHA-256")
                .hint("write `sha256:` and 64 hex digits, as `helm::pull` answers it")),
            _ => Ok(()),
        }
    }

    /// The wanted digest as plain hex.
    pub(super) fn pinned(&self) -> Option<String> {
        self.digest.and_then(hex_digest)
    }

    /// True when it is a path: of the project, or anywhere.
    pub(super) fn is_path(&self) -> bool {
        self.chart.starts_with("./") || self.chart.starts_with("../") || Path::new(self.chart).is_absolute()
    }

    /// The chart's own name: the last word of a reference.
    pub(super) fn name(&self) -> &str {
        let last = self.chart.trim_end_matches('/').rsplit('/').next().unwrap_or(self.chart);
        let last = last.strip_suffix(".tgz").unwrap_or(last);
        last.split('@').next().unwrap_or(last)
    }

    /// Where to pull it from, with the target's mirrors in place of the repositories that components name.
    pub(super) fn remote(&self, target: &HelmTarget) -> Result<Remote, CallError> {
        let mirrored = |name: &str| target.repositories.get(name).cloned();
        if self.chart.contains("://") {
            return Ok(Remote { chart: self.chart.to_owned(), repository: None });
        }
        if let Some(named) = self.repository {
            let url = mirrored(named).unwrap_or_else(|| named.to_owned());
            return if url.contains("://") { Ok(within(&url, self.chart)) } else { Err(unknown(&url)) };
        }
        match self.chart.split_once('/') {
            Some((name, chart)) => Ok(match mirrored(name) {
                Some(url) => within(&url, chart),
                None => Remote { chart: self.chart.to_owned(), repository: None },
            }),
            None => Err(CallError::argument(format!("there is no chart `{}` on this machine", self.chart)).hint(
                "give `repository: \"https://...\"`, an `oci://` reference, or a path that starts with `./`",
            )),
        }
    }
}

fn within(repository: &str, chart: &str) -> Remote {
    let repository = repository.trim_end_matches('/');
    if repository.starts_with("oci://") {
        Remote { chart: format!("{repository}/{chart}"), repository: None }
    } else {
        Remote { chart: chart.to_owned(), repository: Some(repository.to_owned()) }
    }
}

fn unknown(repository: &str) -> CallError {
    CallError::argument(format!("there is no repository `{repository}`"))
        .hint("give its URL, or add it under `[targets.NAME.helm.repositories]`")
}

fn hex_digest(digest: &str) -> Option<String> {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest).to_ascii_lowercase();
    (hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit())).then_some(hex)
}

/// The entry of a charts folder that holds a chart: `NAME-VERSION` before `NAME`, archives and folders alike;
/// without a version the newest. A versionless entry counts for any version: who put it there chose it.
pub(super) fn choose<'a>(entries: &'a [String], name: &str, version: Option<&str>) -> Option<&'a str> {
    let stem = |entry: &'a str| entry.strip_suffix(".tgz").unwrap_or(entry);
    let versioned = |entry: &'a str| stem(entry).strip_prefix(name)?.strip_prefix('-').and_then(parse);
    let wanted = version.and_then(parse);
    let found = entries.iter().map(String::as_str).filter_map(|entry| Some((versioned(entry)?, entry)));
    let found = match (&wanted, version) {
        (Some(wanted), _) => found.filter(|(version, _)| version == wanted).max(),
        (None, Some(range)) => {
            let range = semver::VersionReq::parse(range).ok()?;
            found.filter(|(version, _)| range.matches(version)).max()
        }
        (None, None) => found.max(),
    };
    let bare = || entries.iter().map(String::as_str).find(|entry| stem(entry) == name);
    found.map(|(_, entry)| entry).or_else(bare)
}

fn parse(version: &str) -> Option<Version> {
    Version::parse(version.strip_prefix('v').unwrap_or(version)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(chart: &str) -> Request<'_> {
        Request { chart, ..Request::default() }
    }

    #[test]
    fn the_charts_folder_is_looked_through_by_name_and_version() {
        let entries: Vec<String> = [
            "web",
            "cert-manager-v1.16.2.tgz",
            "cert-manager-v1.17.0",
            "cert-manager-istio-csr-0.1.0.tgz",
            "web-2.0.0.tgz",
        ]
        .map(str::to_owned)
        .into();
        let choose = |name, version| choose(&entries, name, version);
        assert_eq!(choose("cert-manager", Some("v1.16.2")), Some("cert-manager-v1.16.2.tgz"));
        assert_eq!(choose("cert-manager", Some("1.17.0")), Some("cert-manager-v1.17.0"));
        assert_eq!(choose("cert-manager", Some("^1.16")), Some("cert-manager-v1.17.0"));
        assert_eq!(choose("cert-manager", None), Some("cert-manager-v1.17.0"));
        assert_eq!(choose("cert-manager", Some("1.18.0")), None);
        assert_eq!(choose("web", Some("1.0.0")), Some("web"));
        assert_eq!(choose("web", None), Some("web-2.0.0.tgz"));
        assert_eq!(choose("manager", None), None);
    }

    #[test]
    fn a_mirror_takes_the_place_of_a_repository() {
        let repositories =
            [("jetstack", "https://mirror/charts/"), ("https://charts.example.com", "oci://mirror/oci")];
        let repositories = repositories.map(|(name, url)| (name.to_owned(), url.to_owned())).into();
        let target = HelmTarget { repositories, ..HelmTarget::default() };
        let remote = |request: Request<'_>| {
            let remote = request.remote(&target).unwrap();
            (remote.chart, remote.repository)
        };
        let mirror = || Some("https://mirror/charts".to_owned());
        assert_eq!(remote(request("jetstack/cert-manager")), ("cert-manager".to_owned(), mirror()));
        let named = Request { repository: Some("jetstack"), ..request("cert-manager") };
        assert_eq!(remote(named), ("cert-manager".to_owned(), mirror()));
        let by_url = Request { repository: Some("https://charts.example.com"), ..request("web") };
        assert_eq!(remote(by_url), ("oci://mirror/oci/web".to_owned(), None));
        assert_eq!(remote(request("added/web")), ("added/web".to_owned(), None));
        let direct = Request { repository: Some("https://other.example.com/"), ..request("web") };
        assert_eq!(remote(direct), ("web".to_owned(), Some("https://other.example.com".to_owned())));
    }

    #[test]
    fn what_names_nothing_is_refused() {
        assert!(request("--kubeconfig=/x").check().is_err());
        assert!(Request { digest: Some("sha256:abc"), ..request("web") }.check().is_err());
        assert!(request("web").remote(&HelmTarget::default()).is_err());
        let unknown = Request { repository: Some("nowhere"), ..request("web") };
        assert_eq!(
            unknown.remote(&HelmTarget::default()).unwrap_err().message,
            "there is no repository `nowhere`"
        );
    }

    #[test]
    fn the_name_is_the_last_word_of_a_reference() {
        for chart in [
            "cert-manager",
            "jetstack/cert-manager",
            "oci://quay.io/jetstack/cert-manager",
            "./x/cert-manager.tgz",
        ] {
            assert_eq!(request(chart).name(), "cert-manager");
        }
    }
}
