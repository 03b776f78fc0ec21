//! Differences that stay, with their reasons. They count as differences all the same.

/// One kind of difference that stays.
pub(crate) struct Known {
    /// A regular expression that finds it in `REQUEST PLACE RECORDED HERE`.
    pub(crate) pattern: &'static str,
    /// Why it stays.
    pub(crate) reason: &'static str,
}

const fn known(pattern: &'static str, reason: &'static str) -> Known {
    Known { pattern, reason }
}

/// All of them; the first that fits explains a difference.
pub(crate) const KNOWN: &[Known] = &[
    known("openid", "tokens are signed with a secret key here, so there is no public one to show"),
    known(
        "vnd.kubernetes.protobuf|spec.v3.v1.0",
        "objects are answered as JSON, which every client reads; protobuf is read, not written",
    ),
    known("/log ", "the recorded cluster had no kubelet to ask for a log; here there is one"),
    known(
        "impersonate-on",
        "a user of the recording is the administrator acting as them, who may act as others",
    ),
    known("apiserver-[a-z0-9]{20}", "the lease by which several API servers know each other is not played"),
    known("/apiservices", "built-in groups have no APIService objects here"),
    known(
        "/clusterroles.*bootstrapping",
        "of the roles of a new cluster, the four that people bind are there",
    ),
    known(
        "/certificatesigningrequests.*description",
        "column descriptions come from today's types, there from older ones",
    ),
    known("yaml: line", "the words of another YAML parser"),
    known("openshift-kube-apiserver", "an Event of the recorded build's own"),
    known(
        r"@@ -|\\?\x22Spec\\?\x22:|\\?\x22Name\\?\x22:",
        "messages show Go's internal types, which exist there only",
    ),
    known(
        "aggregation-controller Apply|admissionpolicy-status",
        "this controller updates here what it applies there",
    ),
    known("/resourcequotas", "what a quota has used is written by its controller here, by admission there"),
    known("last-change-trigger-time", "when an endpoint's change began is told by slices only"),
    known(
        "replicasets.*(generation|observedGeneration)",
        "a rolling update takes as many steps as pods get ready one by one",
    ),
    known(
        "kube-scheduler Update v1 status|nominatedNodeName",
        "whether the scheduler looks before or after a volume is bound is timing",
    ),
    known("limit=[123](&| |$)|chunk-size", "a page ends between generated names, whose order is chance"),
    known("tick-", "the minute turned at another moment"),
    known(
        "/nodes.*annotations/a|namespaces/crud/configmaps.limit=8",
        "the state was left by an earlier scenario",
    ),
    known("service-account.uid|/certificatesigningrequests ", "not played yet"),
];
