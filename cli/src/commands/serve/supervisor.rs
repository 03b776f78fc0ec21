//! What systemd is told (sd_notify(3)): that it serves, that it lives, that it stops. Without `NOTIFY_SOCKET` nothing is.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use aegis_console::Metrics;

use crate::context::Context;

/// The way to the supervisor. Cheap to clone.
#[derive(Clone)]
pub(super) struct Supervisor {
    socket: Option<Arc<(UnixDatagram, SocketAddr)>>,
}

impl Supervisor {
    /// The one that started this process, if any.
    pub(super) fn of(context: &Context) -> Self {
        let found = || {
            let name = context.environment.get("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
            // A name that begins with `@` is no file.
            let address = match name.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name).ok()?,
                None => SocketAddr::from_pathname(name).ok()?,
            };
            Some(Arc::new((UnixDatagram::unbound().ok()?, address)))
        };
        Self { socket: found() }
    }

    /// Tells it something. One that does not listen changes nothing here.
    pub(super) fn tell(&self, state: &str) {
        if let Some(way) = &self.socket {
            let _ = way.0.send_to_addr(state.as_bytes(), &way.1);
        }
    }

    /// Tells it twice in the time it has set that the loop goes round: as soon as it does not, it is started again.
    pub(super) fn watch(&self, context: &Context, metrics: &Arc<Metrics>) {
        let number = |name: &str| context.environment.get(name)?.parse::<u64>().ok();
        let mine = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(std::process::id()));
        let Some(wanted) =
            number("WATCHDOG_USEC").filter(|wanted| *wanted > 0 && mine && self.socket.is_some())
        else {
            return;
        };
        let (supervisor, metrics) = (self.clone(), Arc::clone(metrics));
        context.runtime.spawn(async move {
            loop {
                if metrics.lives() {
                    supervisor.tell("WATCHDOG=1");
                }
                tokio::time::sleep(Duration::from_micros(wanted / 2)).await;
            }
        });
    }
}
