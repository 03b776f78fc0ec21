//! Ending what a sandbox that was killed left running: nobody else would.
//!
//! Each process leaves its id in a file, and carries its pod in its environment. Both must agree before
//! anything is ended, since the system gives ids away again.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process_group};

/// The variable that says which pod a process belongs to.
pub(super) const POD: &str = "AEGIS_SANDBOX_POD_UID";
/// The file with the id of a running process, in its container's folder.
pub(super) const PID_FILE: &str = "pid";

/// Ends every process that a file below `root` names.
pub(super) fn end_all(root: &Path) {
    for pod in entries(root) {
        let uid = pod.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for container in entries(&pod) {
            let file = container.join(PID_FILE);
            let pid = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<i32>().ok());
            if let Some(pid) = pid.filter(|pid| is_ours(*pid, &uid)).and_then(Pid::from_raw) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            let _ = fs::remove_file(&file);
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Whether a process carries the pod it should. Where the system does not show that, nothing is ended.
fn is_ours(pid: i32, uid: &str) -> bool {
    let wanted = format!("{POD}={uid}");
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|pair| pair == wanted.as_bytes()))
}
