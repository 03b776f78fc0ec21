//! What a call still has to do after it was dropped: end a child process, abort an upload. The gate drops a
//! call when its run is cancelled or its time is up; a run is not over before its calls have cleaned up, so
//! nothing of them outlives the run's process or meets its next one.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// Work that is finished whatever happens to the call that began it.
#[derive(Clone, Default)]
pub struct Cleanup {
    tasks: TaskTracker,
}

impl Cleanup {
    /// Begins `work` on the runtime of the caller. Who drops the handle leaves it to finish by itself.
    /// `None` outside of a runtime, where nothing can be waited for.
    pub fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        Some(self.tasks.spawn_on(work, &runtime))
    }

    /// Waits until all is done; false when that takes longer than `at_most`.
    pub(crate) async fn is_done_within(&self, at_most: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(at_most, self.tasks.wait()).await.is_ok()
    }
}
