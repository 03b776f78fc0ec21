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
    known(
        "openid",
        "tokens are signed with an Ed25519 key here, which is made at once, and with an RSA key there",
    ),
    known(
        "spec.v3.v1.0|/openapi/v3/.*(status|etag)",
        "schemas of the third version are written as JSON, which every client reads",
    ),
    known("/log ", "the recorded cluster had no kubelet to ask for a log; here there is one"),
    known(
        "impersonate-on",
        "a user of the recording is the administrator acting as them, who may act as others",
    ),
    known(
        "events.fieldSelector=type%3DWarning&limit=1",
        "the first Event there is one of the recorded build's own",
    ),
    known("endpointslices.watch=1.*targetRef", "which of two pods is ready first is chance"),
    known(
        "/events.*involvedObject",
        "which of the pods that came and went is which cannot be told by their Events",
    ),
    known(
        r"/pods/.*@@ -",
        "how a pod differs is not shown; the recorded lines are counted with a volume of the recorded build",
    ),
    known(
        r"\\?\x22Name\\?\x22:",
        "a definition's versions are shown as they were sent; there with Go's names and every field of a schema",
    ),
    known(
        "replicasets.*(generation|observedGeneration)",
        "a rolling update takes as many steps as pods get ready one by one",
    ),
    known(
        "kube-scheduler Update v1 status|nominatedNodeName",
        "whether the scheduler looks before or after a volume is bound is timing",
    ),
    known("other pods", "which pods are there depends on when a refused controller tried again"),
    known("tick-", "the minute turned at another moment"),
    known("namespaces/crud/configmaps.limit=8", "the state was left by an earlier scenario"),
];
