//! What the serving process does: wait for the lock, open the store, serve, run the controllers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;

use super::directory::Directory;
use super::{Error, Options, Phase, Stop, genesis, listener};
use crate::ambient::Ambient;
use crate::api::{Api, Identity};
use crate::controllers::{self, Manager, Settings};
use crate::kinds::Kinds;
use crate::processes::Processes;
use crate::store::Store;

/// Runs on a thread of its own until the handle is dropped.
pub(super) fn run(directory: &Directory, options: Options, phase: &watch::Sender<Phase>, stop: &Stop) {
    if let Err(error) = hold(directory, options, phase, stop) {
        let mut sentence = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            sentence = format!("{sentence}: {inner}");
            cause = inner.source();
        }
        phase.send_replace(Phase::Failed(sentence));
    }
}

fn hold(
    directory: &Directory,
    options: Options,
    phase: &watch::Sender<Phase>,
    stop: &Stop,
) -> Result<(), Error> {
    let lock = directory.lock_file()?;
    lock.lock().map_err(|source| super::directory::file_error(&directory.store(), source))?;
    if stop.asked.load(Ordering::Acquire) {
        return Ok(());
    }
    let failed = |error: &dyn std::fmt::Display| Error::Serve(error.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sandbox-worker")
        .enable_all()
        .build()
        .map_err(|error| failed(&error))?;
    runtime.block_on(serve(directory, options, phase, stop))
    // The lock is released here, after the last write.
}

async fn serve(
    directory: &Directory,
    options: Options,
    phase: &watch::Sender<Phase>,
    stop: &Stop,
) -> Result<(), Error> {
    let ambient = match options.seed {
        Some(seed) => Ambient::scaled(options.time_scale).seeded(seed),
        None => Ambient::scaled(options.time_scale),
    };
    std::fs::create_dir_all(directory.store())
        .map_err(|source| super::directory::file_error(&directory.store(), source))?;
    let store = Store::open(&directory.store(), Kinds::builtin(), ambient)
        .map_err(|error| Error::Serve(chain(&error)))?;
    store.ambient().resume(store.version());
    let credentials = &directory.credentials;
    let tls = directory.has_tls().then(|| credentials.server_config(&directory.store())).transpose()?;
    let authority = credentials.authority().to_owned();
    let settings = Settings { certificate_authority: authority.clone(), ..options.settings };
    let identity = Identity::new(credentials.token.clone(), &credentials.signing_key, authority);
    let processes = match options.allow_processes {
        true => Processes::allowed(&directory.processes()),
        false => Processes::default(),
    };
    let api = Api::new(store.clone(), identity).with_processes(processes.clone());
    let issuer = api.clone();
    processes.issue_tokens(move |account, audiences, seconds| issuer.token_of(account, audiences, seconds));
    genesis::begin(&api, &options.topology).map_err(|error| Error::Serve(error.to_string()))?;
    let listener = bind(directory, tls.is_some()).await?;
    let manager = Manager::new(controllers::ALL, store.clone(), Arc::new(api.clone()), settings);
    let manager = manager.with_processes(processes.clone());
    phase.send_replace(Phase::Serving);
    tokio::select! {
        () = listener::serve(listener, tls, api) => {}
        () = manager.run() => {}
        () = stop.notify.notified() => {}
    }
    processes.end_all();
    store.close();
    Ok(())
}

/// Listens at the recorded address, or at another when a stranger has taken it.
async fn bind(directory: &Directory, tls: bool) -> Result<tokio::net::TcpListener, Error> {
    let address = directory.address();
    let failed = |error: std::io::Error| Error::Serve(format!("cannot listen on `{address}`: {error}"));
    match listener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let listener = listener::bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).await.map_err(failed)?;
            directory.record_endpoint(tls, listener.local_addr().map_err(failed)?.port())?;
            Ok(listener)
        }
        Err(error) => Err(failed(error)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        None => error.to_string(),
        Some(source) => format!("{error}: {}", chain(source)),
    }
}
