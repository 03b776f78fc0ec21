//! Ways into a container: exec, attach and port-forward, over WebSocket or SPDY.
//!
//! ```text
//!   kubectl >= 1.30, kube, browsers -- WebSocket, a channel byte first --+
//!   kubectl >= 1.31 port-forward ---- SPDY in WebSocket messages --------+-> Session -> exec | attach
//!   kubectl before, and as fallback - SPDY over the upgraded connection -+-> Forward -> a port here
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `session` | what exec and attach read and write, whatever carries it |
//! | `exec` | running a command beside a container, or joining its own |
//! | `forward` | ports |
//! | `websocket` | channels in WebSocket messages |
//! | `spdy` | streams in SPDY/3.1 frames |
//!
//! Only containers that run as processes can be entered; the others say so.

mod exec;
mod forward;
mod session;
mod spdy;
mod websocket;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use self::exec::Entry;
use super::log::{container, is_process, status_of};
use crate::admission::Operation;
use crate::api::admit::admit_sent;
use crate::api::status::Status;
use crate::api::{Api, Call};
use crate::controllers::fields::Fields;
use crate::processes::Place;

/// The newest version of the protocol that SPDY carries for exec and attach.
const REMOTE_COMMAND: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
const PORT_FORWARD: &str = "portforward.k8s.io";
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

impl Api {
    /// Answers `exec`, `attach` and `portforward`.
    pub(super) async fn connect(&self, call: &Call, way: &str) -> Result<Response, Status> {
        let pod = self.find(call)?;
        self.store().rehearse(|t| admit_sent(t, call, Operation::Connect, &mut options(call, way), false))?;
        if way == "portforward" {
            check_entrance(&pod, way, None)?;
            return self.forward(call, &pod).await;
        }
        let container = container(call, &pod)?;
        let wish = wish(call)?;
        check_entrance(&pod, way, Some(&container))?;
        let place = Place::new(pod.uid(), &container);
        let process = self.processes().find(&place).filter(|process| process.outcome().is_none());
        let Some(process) = process else {
            return Err(Status::internal(format!("container not found ({container:?})")));
        };
        let entry = Entry::read(call, way, process, pod.uid())?;
        match wish {
            Wish::WebSocket => {
                websocket::upgrade(call, &REMOTE_COMMAND, |socket, _| websocket::run(socket, entry)).await
            }
            Wish::Spdy => spdy_upgrade(call, &REMOTE_COMMAND, |io| spdy::run_session(io, entry)),
        }
    }

    async fn forward(&self, call: &Call, pod: &Value) -> Result<Response, Status> {
        let pod = pod.name().to_owned();
        match wish(call)? {
            Wish::WebSocket => {
                let ports: Vec<u16> =
                    call.query.all("ports").flat_map(|ports| ports.split(',')).flat_map(str::parse).collect();
                let protocols = [TUNNEL, "v5.channel.k8s.io", "v4.channel.k8s.io"];
                websocket::upgrade(call, &protocols, |socket, protocol| async move {
                    match protocol == TUNNEL {
                        true => forward::run(websocket::as_bytes(socket), pod).await,
                        false => websocket::forward(socket, ports).await,
                    }
                })
                .await
            }
            Wish::Spdy => spdy_upgrade(call, &[PORT_FORWARD], |io| forward::run(io, pod)),
        }
    }
}

/// What is asked for, as the object that admission is shown.
fn options(call: &Call, way: &str) -> Value {
    if way == "portforward" {
        let ports: Vec<u16> =
            call.query.all("ports").flat_map(|ports| ports.split(',')).flat_map(str::parse).collect();
        return json!({"kind": "PodPortForwardOptions", "apiVersion": "v1", "ports": ports});
    }
    let mut options = json!({"apiVersion": "v1"});
    options["kind"] = if way == "exec" { "PodExecOptions" } else { "PodAttachOptions" }.into();
    for stream in ["stdin", "stdout", "stderr", "tty"] {
        if call.query.flag(stream) {
            options[stream] = true.into();
        }
    }
    if let Some(container) = call.query.get("container") {
        options["container"] = container.into();
    }
    let command: Vec<&str> = call.query.all("command").collect();
    if !command.is_empty() {
        options["command"] = command.into();
    }
    options
}

/// What a client wants to speak.
enum Wish {
    WebSocket,
    Spdy,
}

fn wish(call: &Call) -> Result<Wish, Status> {
    let wanted = call.headers.get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match wanted.to_ascii_lowercase().as_str() {
        "websocket" => Ok(Wish::WebSocket),
        "spdy/3.1" => Ok(Wish::Spdy),
        "" => Err(Status::bad_request("Upgrade request required")),
        other => Err(Status::bad_request(format!("unable to upgrade: unable to upgrade to {other:?}"))),
    }
}

/// Refuses what has no program behind it.
fn check_entrance(pod: &Value, way: &str, container: Option<&str>) -> Result<(), Status> {
    let containers = pod.list("/spec/containers").iter().map(|container| container.text("/name"));
    let runs = match container {
        Some(container) => is_process(pod, container),
        None => containers.clone().any(|container| is_process(pod, container)),
    };
    if !runs {
        let what = format!("`{way}` into a simulated container: it runs no program");
        return Err(Status::not_implemented(&format!(
            "{what} (a pod annotated `{}: \"true\"` does)",
            crate::processes::ANNOTATION
        )));
    }
    let is_running = |name: &str| status_of(pod, name).at("/state/running").is_object();
    let up = container.map_or_else(|| containers.clone().any(is_running), is_running);
    match up {
        true => Ok(()),
        false => Err(Status::bad_request(format!("pod {} does not run the container", pod.name()))),
    }
}

/// Answers 101 and speaks SPDY over the connection.
fn spdy_upgrade<F>(
    call: &Call,
    protocols: &[&'static str],
    run: impl FnOnce(TokioIo<hyper::upgrade::Upgraded>) -> F + Send + 'static,
) -> Result<Response, Status>
where
    F: Future<Output = ()> + Send,
{
    let offered = call.headers.get_all("x-stream-protocol-version");
    let offered: Vec<&str> = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let Some(protocol) = protocols.iter().find(|protocol| offered.contains(protocol)) else {
        let problem =
            format!("unable to upgrade: no protocol of {offered:?} is spoken here, but {protocols:?}");
        return Err(Status::new(403, "Forbidden", problem));
    };
    let upgrade = call.upgrade.clone().ok_or_else(|| Status::bad_request("Upgrade request required"))?;
    tokio::spawn(async move {
        if let Ok(connection) = upgrade.await {
            run(TokioIo::new(connection)).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert("x-stream-protocol-version", HeaderValue::from_static(protocol));
    Ok(response)
}
