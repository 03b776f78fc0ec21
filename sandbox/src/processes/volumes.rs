//! Volumes of process pods: folders below the pod's own, since a program that is not root cannot mount anything.
//!
//! ```text
//!   PODS/UID/.volumes/NAME/...        what the volume holds
//!   /etc/app in a command or variable -> PODS/UID/.volumes/config
//! ```
//!
//! A mount path is therefore a name: where a container's command, arguments, variables or working folder, or the command
//! of an exec or probe, mention it, they are given the folder. A program that has the path written into itself does not
//! see the volume. Files are written when a container starts, and not again when their source changes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::recipe::{Find, field_of, resource_of};
use crate::controllers::fields::Fields;

/// The folder of a pod's volumes; no container's name begins with a dot.
const FOLDER: &str = ".volumes";
/// The mode of files whose volume states none, as the API defaults it.
const MODE: u32 = 0o644;

/// A volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub content: Content,
}

/// What a volume holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// What the pod's containers put there; gone with the pod.
    Empty,
    /// Files of ConfigMaps, Secrets and the downward API.
    Files(Vec<File>),
    /// What a claim keeps beyond the pod, by its uid.
    Claim(String),
    /// A folder of this machine.
    Host(PathBuf),
}

/// A file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path below the volume.
    pub path: String,
    /// What is in it.
    pub bytes: Bytes,
    /// Who may do what.
    pub mode: u32,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bytes {
    /// These bytes.
    Known(Vec<u8>),
    /// A token of the pod's service account, issued when the container starts: for whom, for how many seconds.
    Token(Vec<String>, i64),
}

/// Where a container wants a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The path in the container.
    pub at: String,
    /// The volume.
    pub volume: String,
    /// The part of the volume.
    pub part: String,
}

/// Who issues tokens: for a service account of a namespace, bound to a pod.
pub type Issue<'a> = &'a dyn Fn(&[String], i64) -> Option<String>;

/// The volumes of a pod that this container mounts.
pub(super) fn volumes(pod: &Value, container: &Value, mounts: &[Mount], find: Find<'_>) -> Vec<Volume> {
    let mounted = |volume: &&Value| mounts.iter().any(|mount| mount.volume == volume.text("/name"));
    let volumes = pod.list("/spec/volumes").iter().filter(mounted);
    volumes
        .map(|volume| Volume {
            name: volume.text("/name").to_owned(),
            content: content(pod, container, volume, find),
        })
        .collect()
}

/// The mounts of a container.
pub(super) fn mounts(container: &Value) -> Vec<Mount> {
    let mounts = container.list("/volumeMounts").iter();
    mounts
        .map(|mount| Mount {
            at: mount.text("/mountPath").trim_end_matches('/').to_owned(),
            volume: mount.text("/name").to_owned(),
            part: mount.text("/subPath").to_owned(),
        })
        .filter(|mount| !mount.at.is_empty())
        .collect()
}

fn content(pod: &Value, container: &Value, volume: &Value, find: Find<'_>) -> Content {
    let claim = volume.text("/persistentVolumeClaim/claimName");
    let own = format!("{}-{}", pod.name(), volume.text("/name"));
    let claim = if volume.at("/ephemeral").is_object() { &own } else { claim };
    if !claim.is_empty() {
        let uid = find("PersistentVolumeClaim", pod.namespace(), claim).map(|claim| claim.uid().to_owned());
        return uid.map_or(Content::Empty, Content::Claim);
    }
    let host = volume.text("/hostPath/path");
    if !host.is_empty() {
        return Content::Host(PathBuf::from(host));
    }
    let source = Source { pod, container, find };
    if volume.at("/projected").is_object() {
        let mode = mode(volume.at("/projected"));
        let sources = volume.list("/projected/sources").iter();
        return Content::Files(sources.flat_map(|part| source.files(part, mode)).collect());
    }
    let files = source.files(volume, MODE);
    let holds_files =
        ["/configMap", "/secret", "/downwardAPI"].iter().any(|kind| volume.at(kind).is_object());
    if holds_files { Content::Files(files) } else { Content::Empty }
}

/// Where the files of a volume come from.
struct Source<'a> {
    pod: &'a Value,
    container: &'a Value,
    find: Find<'a>,
}

impl Source<'_> {
    /// The files of a volume, or of one source of a projected one.
    fn files(&self, part: &Value, mode_of_all: u32) -> Vec<File> {
        let own_mode = |source: &Value| source.number("/defaultMode").map_or(mode_of_all, |_| mode(source));
        let (map, secret) = (part.at("/configMap"), part.at("/secret"));
        if map.is_object() {
            return self.of_object("ConfigMap", map.text("/name"), map, own_mode(map));
        }
        if secret.is_object() {
            let name = [secret.text("/secretName"), secret.text("/name")];
            let name = name.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
            return self.of_object("Secret", name, secret, own_mode(secret));
        }
        let (fields, token) = (part.at("/downwardAPI"), part.at("/serviceAccountToken"));
        if token.is_object() {
            let audience = token.text("/audience");
            let audiences = (!audience.is_empty()).then(|| audience.to_owned()).into_iter().collect();
            let seconds = token.number("/expirationSeconds").unwrap_or(3600);
            let path = token.text("/path").to_owned();
            return vec![File { path, bytes: Bytes::Token(audiences, seconds), mode: mode_of_all }];
        }
        let mode = own_mode(fields);
        let items = fields.list("/items").iter();
        items.map(|item| self.of_field(item, mode)).collect()
    }

    fn of_object(&self, kind: &str, name: &str, source: &Value, mode: u32) -> Vec<File> {
        let Some(object) = (self.find)(kind, self.pod.namespace(), name) else { return Vec::new() };
        let data = object.entries("/data").map(|(key, value)| {
            let text = value.as_str().unwrap_or_default();
            let plain = kind == "ConfigMap";
            (key.to_owned(), if plain { text.as_bytes().to_vec() } else { decoded(text) })
        });
        let binary = object
            .entries("/binaryData")
            .map(|(key, value)| (key.to_owned(), decoded(value.as_str().unwrap_or_default())));
        let all: Vec<(String, Vec<u8>)> = data.chain(binary).collect();
        let items = source.list("/items");
        let file = |path: &str, bytes: &[u8], mode: u32| File {
            path: path.to_owned(),
            bytes: Bytes::Known(bytes.to_vec()),
            mode,
        };
        if items.is_empty() {
            return all.iter().map(|(key, bytes)| file(key, bytes, mode)).collect();
        }
        let chosen = items.iter().filter_map(|item| {
            let (_, bytes) = all.iter().find(|(key, _)| key == item.text("/key"))?;
            Some(file(item.text("/path"), bytes, item_mode(item, mode)))
        });
        chosen.collect()
    }

    fn of_field(&self, item: &Value, mode: u32) -> File {
        let field = item.text("/fieldRef/fieldPath");
        let text = match field.is_empty() {
            false => field_of(self.pod, field),
            true => resource_of(self.container, item.at("/resourceFieldRef")),
        };
        let path = item.text("/path").to_owned();
        File { path, bytes: Bytes::Known(text.into_bytes()), mode: item_mode(item, mode) }
    }
}

fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_default()
}

fn mode(source: &Value) -> u32 {
    source.number("/defaultMode").and_then(|mode| u32::try_from(mode).ok()).unwrap_or(MODE)
}

fn item_mode(item: &Value, default: u32) -> u32 {
    item.number("/mode").and_then(|mode| u32::try_from(mode).ok()).unwrap_or(default)
}

/// Makes the volumes of a container; answers which folder each of its mount paths is.
///
/// # Errors
/// When a folder or file cannot be made.
pub(super) fn prepare(
    volumes: &[Volume],
    mounts: &[Mount],
    pod: &Path,
    issue: Issue<'_>,
) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut folders = Vec::new();
    for volume in volumes {
        let folder = place(volume, pod);
        fs::create_dir_all(&folder)?;
        if let Content::Files(files) = &volume.content {
            for file in files {
                write(&folder, file, issue)?;
            }
        }
        folders.push((&volume.name, folder));
    }
    let mut paths: Vec<(String, PathBuf)> = Vec::new();
    for mount in mounts {
        let Some((_, folder)) = folders.iter().find(|(name, _)| **name == mount.volume) else { continue };
        let folder = if mount.part.is_empty() { folder.clone() } else { folder.join(&mount.part) };
        if !folder.exists() {
            fs::create_dir_all(&folder)?;
        }
        paths.push((mount.at.clone(), folder));
    }
    // A path below another one counts first.
    paths.sort_by_key(|(at, _)| std::cmp::Reverse(at.len()));
    Ok(paths)
}

fn place(volume: &Volume, pod: &Path) -> PathBuf {
    let claims = || pod.parent().unwrap_or(pod).join(".claims");
    match &volume.content {
        Content::Host(path) => path.clone(),
        Content::Claim(uid) => claims().join(uid),
        Content::Empty | Content::Files(_) => pod.join(FOLDER).join(&volume.name),
    }
}

fn write(folder: &Path, file: &File, issue: Issue<'_>) -> std::io::Result<()> {
    // What leaves the volume is no path in it.
    let inside =
        Path::new(&file.path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if !inside {
        return Ok(());
    }
    let bytes = match &file.bytes {
        Bytes::Known(bytes) => bytes.clone(),
        Bytes::Token(audiences, seconds) => issue(audiences, *seconds).unwrap_or_default().into_bytes(),
    };
    let path = folder.join(&file.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // One that may not be written to is replaced.
    let _ = fs::remove_file(&path);
    fs::write(&path, bytes)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(file.mode))
}

/// Gives a text that mentions mount paths their folders.
pub(super) fn located(text: &str, paths: &[(String, PathBuf)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let begins = out.chars().last().is_none_or(|before| !belongs_to_path(before) && before != '/');
        let found = paths.iter().filter(|_| begins).find_map(|(at, folder)| {
            let after = rest.strip_prefix(at.as_str())?;
            let ends = after.chars().next().is_none_or(|next| next == '/' || !belongs_to_path(next));
            ends.then_some((folder, after))
        });
        match (found, rest.chars().next()) {
            (Some((folder, after)), _) => {
                out.push_str(&folder.to_string_lossy());
                rest = after;
            }
            (None, Some(next)) => {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
            (None, None) => {}
        }
    }
    out
}

/// Whether a character goes on a path's last name.
fn belongs_to_path(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_found_where_they_are_whole() {
        let paths =
            [("/data/hot".to_owned(), PathBuf::from("/v/h")), ("/data".to_owned(), PathBuf::from("/v/d"))];
        let cases = [
            ("cat /data/a /data", "cat /v/d/a /v/d"),
            ("ls '/data/hot/x':/database", "ls '/v/h/x':/database"),
            ("http://host/data/a x/data", "http://host/data/a x/data"),
            ("--dir=/data;", "--dir=/v/d;"),
        ];
        for (text, expected) in cases {
            assert_eq!(located(text, &paths), expected);
        }
    }

    #[test]
    fn files_come_from_everywhere_a_kubelet_looks() {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "shop", "labels": {"app": "web"}},
            "spec": {"volumes": [
                {"name": "all", "projected": {"defaultMode": 0o600, "sources": [
                    {"configMap": {"name": "map", "items": [{"key": "a", "path": "deep/a"}]}},
                    {"secret": {"name": "login"}},
                    {"downwardAPI": {"items": [{"path": "app", "fieldRef": {"fieldPath": "metadata.labels['app']"}}]}},
                    {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
                ]}},
                {"name": "scratch", "emptyDir": {}},
                {"name": "unused", "emptyDir": {}},
            ]},
        });
        let container = json!({"volumeMounts": [
            {"name": "all", "mountPath": "/all/"}, {"name": "scratch", "mountPath": "/tmp/x", "subPath": "sub"}]});
        let find = |kind: &str, _: &str, _: &str| match kind {
            "ConfigMap" => Some(Arc::new(json!({"data": {"a": "1", "b": "2"}}))),
            "Secret" => Some(Arc::new(json!({"data": {"user": "a2lt"}}))),
            _ => None,
        };
        let mounts = mounts(&container);
        let volumes = volumes(&pod, &container, &mounts, &find);
        let folder = tempfile::tempdir().unwrap();
        let issue = |_: &[String], seconds: i64| Some(format!("token for {seconds}"));
        let paths = prepare(&volumes, &mounts, &folder.path().join("uid"), &issue).unwrap();
        assert_eq!(paths.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(), ["/tmp/x", "/all"]);
        assert!(paths[0].1.is_dir());
        let read = |name: &str| fs::read_to_string(paths[1].1.join(name)).unwrap();
        assert_eq!(["deep/a", "user", "app", "token"].map(read), ["1", "kim", "web", "token for 600"]);
        let mode = fs::metadata(paths[1].1.join("user")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!paths[1].1.join("b").exists());
    }
}
