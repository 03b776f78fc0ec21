//! `storage` against SeaweedFS and a folder: content, parts, checksums, preconditions, versions, presigned
//! URLs, credentials, and paths that want out.

use std::path::Path;
use std::time::Duration;

use aegis_engine::function::Probe;
use aegis_engine::run::Mode;
use aegis_engine::testing::Bench;
use aegis_stdlib::target::Target;
use serde_json::{Value, json};

use crate::support::seaweed::{BUCKET, KEY, SECRET, Seaweed};
use crate::support::server::{Server, plain};
use crate::support::{self, surroundings};

const LOGIN: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_EC2_METADATA_DISABLED", "true")];

fn bench(seaweed: &Seaweed, project: &Path) -> Bench {
    support::bench(&seaweed.target(), &surroundings(project, &LOGIN))
}

/// SHA-256 of "hello", as `sha256sum` gives it.
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[tokio::test]
async fn an_object_goes_its_whole_way() {
    let (seaweed, project) = (Seaweed::start().await, tempfile::tempdir().unwrap());
    let bench = bench(&seaweed, project.path());
    let url = format!("s3://{BUCKET}/a b/ä+1.txt");
    let put = json!({ "url": url, "text": "hello", "if_none_match": true });
    assert_eq!(bench.call("storage::exists", json!({ "url": url })).await, Ok(json!(false)));

    let plan = bench.plan("storage::put", put.clone()).await.unwrap();
    assert_eq!(plan.summary, format!("store 5 bytes at `{url}`"));
    assert!(plan.diff.unwrap().contains("+hello"));
    assert_eq!(plan.undo.unwrap().arguments, json!({ "url": url, "if_sha256": HELLO }));
    assert_eq!(bench.probe("storage::put", put.clone(), None).await, Ok(Probe::DidNotHappen));

    let stored = bench.call("storage::put", put.clone()).await.unwrap();
    assert_eq!((&stored["size"], &stored["sha256"]), (&json!(5), &json!(HELLO)));
    assert!(matches!(bench.probe("storage::put", put.clone(), None).await, Ok(Probe::Happened(_))));
    assert!(bench.plan("storage::put", put.clone()).await.unwrap().unchanged);
    let again = bench.call("storage::put", put).await.unwrap_err();
    assert_eq!(again.code, "A0307", "{again:?}");
    assert!(again.message.contains("`PreconditionFailed` (412)"), "{}", again.message);

    let got = bench.call("storage::get", json!({ "url": url })).await.unwrap();
    assert_eq!((&got["text"], &got["content_type"]), (&json!("hello"), &json!("text/plain; charset=utf-8")));
    let head = bench.call("storage::head", json!({ "url": url })).await.unwrap();
    assert_eq!((&head["sha256"], &head["etag"]), (&json!(HELLO), &stored["etag"]));

    let copy = format!("s3://{BUCKET}/copy.txt");
    bench.call("storage::copy", json!({ "from": url, "to": copy })).await.unwrap();
    let file = json!({ "from": copy, "to": "file:///out/copy.txt" });
    assert_eq!(bench.call("storage::copy", file).await.unwrap()["size"], 5);
    assert_eq!(std::fs::read_to_string(project.path().join("out/copy.txt")).unwrap(), "hello");

    let other = bench.call("storage::delete", json!({ "url": copy, "if_sha256": "0000" })).await.unwrap_err();
    assert_eq!(other.code, "A0307");
    for deleted in [true, false] {
        let answer = bench.call("storage::delete", json!({ "url": copy, "if_sha256": HELLO })).await.unwrap();
        assert_eq!(answer, json!({ "deleted": deleted }));
    }
    let gone = bench.call("storage::get", json!({ "url": copy })).await.unwrap_err();
    assert_eq!(gone.code, "A0306");
    assert!(gone.message.contains("`NoSuchKey` (404)"), "{}", gone.message);
}

#[tokio::test]
async fn a_large_file_goes_in_checked_parts_and_a_broken_upload_leaves_nothing() {
    let (seaweed, project) = (Seaweed::start().await, tempfile::tempdir().unwrap());
    let bench = bench(&seaweed, project.path());
    let mut bytes: Vec<u8> = (0..40 * 1024 * 1024_u32).map(|i| (i % 251) as u8).collect();
    std::fs::write(project.path().join("big"), &bytes).unwrap();
    let url = format!("s3://{BUCKET}/big");
    let upload = json!({ "url": url, "path": "big" });
    let stored = bench.call("storage::upload", upload.clone()).await.unwrap();
    assert_eq!(stored["size"], bytes.len());
    assert!(stored["etag"].as_str().unwrap().contains("-3"), "three parts: {}", stored["etag"]);
    assert!(matches!(bench.probe("storage::upload", upload, None).await, Ok(Probe::Happened(_))));

    let down = bench.call("storage::download", json!({ "url": url, "path": "back/big" })).await.unwrap();
    assert_eq!(down["sha256"], stored["sha256"]);
    assert!(std::fs::read(project.path().join("back/big")).unwrap() == bytes);

    // Somebody replaces the bytes but keeps the metadata: the checksum tells.
    bytes[0] ^= 1;
    let client = seaweed.client();
    let sha256 = stored["sha256"].as_str().unwrap();
    let forged =
        client.put_object().bucket(BUCKET).key("big").metadata("aegis-sha256", sha256).body(bytes.into());
    forged.send().await.unwrap();
    let error =
        bench.call("storage::download", json!({ "url": url, "path": "back/forged" })).await.unwrap_err();
    assert_eq!(error.code, "A0502");
    assert!(!project.path().join("back/forged").exists());

    // An upload that is given up in the middle is aborted at the server.
    let given_up =
        bench.call("storage::upload", json!({ "url": format!("s3://{BUCKET}/lost"), "path": "big" }));
    let under_way = async {
        while client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap().uploads().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = given_up => panic!("the upload ended before it was given up: {ended:?}"),
        () = under_way => {}
    }
    tokio::time::timeout(Duration::from_secs(20), async {
        while !client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap().uploads().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the server keeps parts of an upload that was given up");
}

#[tokio::test]
async fn lists_page_fold_and_stop_at_the_limit() {
    let (seaweed, project) = (Seaweed::start().await, tempfile::tempdir().unwrap());
    let bench = bench(&seaweed, project.path());
    for key in ["a/1", "a/2", "a/deep/3", "b"] {
        for url in [format!("s3://{BUCKET}/{key}"), format!("file:///{key}")] {
            bench.call("storage::put", json!({ "url": url, "text": key })).await.unwrap();
        }
    }
    for root in [format!("s3://{BUCKET}/"), "file:///".to_owned()] {
        let list = async |prefix: &str, options: Value| {
            let mut arguments = json!({ "url": format!("{root}{prefix}") });
            arguments.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
            let listing = bench.call("storage::list", arguments).await.unwrap();
            let urls = listing["objects"].as_array().unwrap().iter().map(|object| object["url"].clone());
            let shown = |url: &Value| url.as_str().unwrap().trim_start_matches(&root).to_owned();
            let objects: Vec<String> = urls.map(|url| shown(&url)).collect();
            let prefixes: Vec<String> = listing["prefixes"].as_array().unwrap().iter().map(shown).collect();
            (objects.join(" "), prefixes.join(" "), listing["truncated"] == true)
        };
        let told =
            |objects: &str, prefixes: &str, truncated| (objects.to_owned(), prefixes.to_owned(), truncated);
        assert_eq!(list("", json!({})).await, told("a/1 a/2 a/deep/3 b", "", false));
        assert_eq!(list("a/", json!({ "delimiter": "/" })).await, told("a/1 a/2", "a/deep/", false));
        assert_eq!(list("", json!({ "limit": 3 })).await, told("a/1 a/2 a/deep/3", "", true));
        assert_eq!(list("none", json!({})).await, told("", "", false));
    }
}

#[tokio::test]
async fn undo_brings_kept_versions_back() {
    let (seaweed, project) = (Seaweed::start().await, tempfile::tempdir().unwrap());
    seaweed.keep_versions().await;
    let bench = bench(&seaweed, project.path());
    let url = format!("s3://{BUCKET}/state.json");
    let put = |text: &str| json!({ "url": url, "text": text });
    bench.call("storage::put", put("one")).await.unwrap();
    let plan = bench.plan("storage::put", put("two")).await.unwrap();
    assert_eq!(plan.summary, format!("replace 3 bytes at `{url}` by 3, keeping the old version"));
    assert!(plan.diff.unwrap().contains("-one\n"));
    bench.call("storage::put", put("two")).await.unwrap();
    let text =
        async || bench.call("storage::get", json!({ "url": url })).await.map(|got| got["text"].clone());
    let back = plan.undo.unwrap();
    bench.call(&back.function, back.arguments).await.unwrap();
    assert_eq!(text().await, Ok(json!("one")));

    let plan = bench.plan("storage::delete", json!({ "url": url })).await.unwrap();
    bench.call("storage::delete", json!({ "url": url })).await.unwrap();
    assert_eq!(text().await.unwrap_err().code, "A0306");
    let back = plan.undo.unwrap();
    bench.call(&back.function, back.arguments).await.unwrap();
    assert_eq!(text().await, Ok(json!("one")));
}

#[tokio::test]
async fn presigned_urls_work_without_credentials() {
    let (seaweed, project) = (Seaweed::start().await, tempfile::tempdir().unwrap());
    let bench = bench(&seaweed, project.path());
    let url = format!("s3://{BUCKET}/signed.txt");
    let upload = bench.call("storage::presign_upload", json!({ "url": url })).await.unwrap();
    let sent = json!({ "method": "PUT", "url": upload, "body": "by url" });
    bench.call("http::send", sent).await.unwrap();
    let fetch = bench.call("storage::presign", json!({ "url": url, "expires": "1h" })).await.unwrap();
    assert_eq!(bench.call("http::get", json!({ "url": fetch })).await.unwrap()["body"], "by url");
    let forged = fetch.as_str().unwrap().replace("signed.txt", "other.txt");
    assert_eq!(bench.call("http::get", json!({ "url": forged })).await.unwrap_err().code, "A0304");
    let long = bench.call("storage::presign", json!({ "url": url, "expires": "8d" })).await.unwrap_err();
    assert_eq!(long.message, "a presigned URL cannot be good for 8d");
}

#[tokio::test]
async fn credentials_are_found_by_the_conventions_and_their_absence_says_where_was_looked() {
    let (seaweed, project) = (Seaweed::start().await, tempfile::tempdir().unwrap());
    let aws = project.path().join(".aws");
    std::fs::create_dir(&aws).unwrap();
    let profile = format!("[other]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n");
    std::fs::write(aws.join("credentials"), profile).unwrap();
    let home = project.path().to_str().unwrap();
    let exists = async |environment: &[(&str, &str)]| {
        let bench = support::bench(&seaweed.target(), &surroundings(project.path(), environment));
        bench.call("storage::exists", json!({ "url": format!("s3://{BUCKET}/x") })).await
    };
    let list = async |environment: &[(&str, &str)]| {
        let bench = support::bench(&seaweed.target(), &surroundings(project.path(), environment));
        bench.call("storage::list", json!({ "url": format!("s3://{BUCKET}/") })).await
    };
    let no_instance = ("AWS_EC2_METADATA_DISABLED", "true");
    assert_eq!(exists(&[("HOME", home), ("AWS_PROFILE", "other"), no_instance]).await, Ok(json!(false)));

    let none = exists(&[("HOME", home), no_instance]).await.unwrap_err();
    assert_eq!(none.code, "A0303");
    let hint = none.hint.unwrap();
    assert!(hint.contains("profile `default` in ") && hint.contains(".aws/credentials"), "{hint}");

    let wrong = [("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", "wrong"), no_instance];
    let refused = list(&wrong).await.unwrap_err();
    assert_eq!(refused.code, "A0303");
    assert!(refused.message.contains("`SignatureDoesNotMatch` (403)"), "{}", refused.message);
    assert!(refused.hint.unwrap().contains("`AWS_ACCESS_KEY_ID` in the environment"));
}

#[tokio::test]
async fn a_server_that_is_away_or_refuses_is_told_with_its_code() {
    let project = tempfile::tempdir().unwrap();
    let target = |endpoint: String| -> Target {
        serde_json::from_value(json!({ "storage": { "s3": { "endpoint": endpoint, "path-style": true } } }))
            .unwrap()
    };
    let list = async |endpoint: String| {
        let bench = support::bench(&target(endpoint), &surroundings(project.path(), &LOGIN));
        bench.call("storage::list", json!({ "url": "s3://b/" })).await.unwrap_err()
    };
    let away = list("http://127.0.0.1:1".to_owned()).await;
    assert_eq!((away.code.as_str(), away.retryable), ("A0302", true), "{away:?}");
    assert!(away.message.starts_with("cannot reach `http://127.0.0.1:1`: "), "{}", away.message);

    let refusing = Server::start(|_, seen| {
        let code = if seen.uri.path().starts_with("/b") { "InvalidArgument" } else { "" };
        plain(400, format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
    })
    .await;
    let refused = list(refusing.url("")).await;
    assert_eq!(refused.code, "A0501");
    assert_eq!(refused.message, "cannot list `s3://b/`: S3 answers `InvalidArgument` (400): no");

    let seaweed = Seaweed::start().await;
    let bench = bench(&seaweed, project.path());
    let bucket = bench.call("storage::get", json!({ "url": "s3://no-such-bucket/k" })).await.unwrap_err();
    assert_eq!(bucket.code, "A0306", "{bucket:?}");
    assert_eq!(bucket.hint.as_deref(), Some("create the bucket, or check its name and region"));
}

#[tokio::test]
async fn files_stay_below_their_root() {
    let (project, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(outside.path().join("secret"), "x").unwrap();
    std::os::unix::fs::symlink(outside.path(), project.path().join("link")).unwrap();
    let bench = support::bench(&Target::default(), &surroundings(project.path(), &[]));
    for path in ["../secret", "a/../../secret", "link/secret", "link/new/file"] {
        let url = format!("file:///{path}");
        let read = bench.call("storage::get", json!({ "url": url })).await.unwrap_err();
        assert!(read.message.contains("leaves the storage folder"), "{path}: {}", read.message);
        assert!(bench.call("storage::put", json!({ "url": url, "text": "x" })).await.is_err(), "{path}");
        let upload = json!({ "url": "file:///copy", "path": path });
        assert!(bench.call("storage::upload", upload).await.is_err(), "{path}");
    }
    assert_eq!(std::fs::read_to_string(outside.path().join("secret")).unwrap(), "x");
    assert!(!project.path().join("copy").exists());
}

#[tokio::test]
async fn files_are_replaced_whole_and_only_when_asked() {
    let project = tempfile::tempdir().unwrap();
    let bench = support::bench(&Target::default(), &surroundings(project.path(), &[]));
    let put =
        |text: &str, new: bool| json!({ "url": "file:///deep/er/a.txt", "text": text, "if_none_match": new });
    bench.call("storage::put", put("one\n", true)).await.unwrap();
    assert_eq!(bench.call("storage::put", put("two\n", true)).await.unwrap_err().code, "A0307");
    let plan = bench.plan("storage::put", put("two\n", false)).await.unwrap();
    assert_eq!(plan.summary, "replace 4 bytes at `file:///deep/er/a.txt` by 4; the old ones are gone then");
    assert!(plan.undo.is_none() && plan.diff.unwrap().contains("-one\n+two\n"));
    bench.call("storage::put", put("two\n", false)).await.unwrap();
    let got = bench.call("storage::get", json!({ "url": "file:///deep/er/a.txt" })).await.unwrap();
    assert_eq!(got["text"], "two\n");
    let left = std::fs::read_dir(project.path().join("deep/er")).unwrap().count();
    assert_eq!(left, 1, "no temporary files stay");
    let presigned =
        bench.call("storage::presign", json!({ "url": "file:///deep/er/a.txt" })).await.unwrap_err();
    assert_eq!(presigned.hint.unwrap(), "only `s3://` objects can be presigned");
}

#[tokio::test]
async fn a_plan_reads_what_it_would_write() {
    let project = tempfile::tempdir().unwrap();
    let mut bench = support::bench(&Target::default(), &surroundings(project.path(), &[]));
    std::fs::write(project.path().join("old"), "old").unwrap();
    bench.context.mode = Mode::Plan;
    bench.plan("storage::put", json!({ "url": "file:///new", "text": "planned" })).await.unwrap();
    bench.plan("storage::delete", json!({ "url": "file:///old" })).await.unwrap();
    let got = bench.call("storage::get", json!({ "url": "file:///new" })).await.unwrap();
    assert_eq!(got["text"], "planned");
    assert_eq!(bench.call("storage::exists", json!({ "url": "file:///old" })).await, Ok(json!(false)));
    let listing = bench.call("storage::list", json!({ "url": "file:///" })).await.unwrap();
    let urls: Vec<&Value> =
        listing["objects"].as_array().unwrap().iter().map(|object| &object["url"]).collect();
    assert_eq!(urls, ["file:///new"]);
    assert!(!project.path().join("new").exists() && project.path().join("old").exists());
}
