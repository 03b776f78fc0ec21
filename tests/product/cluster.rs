//! An embedded cluster as a process of its own, and a proxy in front of its API that remembers every request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response, StatusCode, header};

use crate::process::Project;

/// The sandbox of a project, served in the background until the test ends.
pub(crate) struct Cluster<'a> {
    project: &'a Project,
    /// As `aegis sandbox kubeconfig` prints it.
    pub(crate) kubeconfig: String,
}

impl<'a> Cluster<'a> {
    pub(crate) fn of(project: &'a Project) -> Self {
        let up = project.output(&["sandbox", "up"]);
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        let printed = project.output(&["sandbox", "kubeconfig"]);
        let kubeconfig = String::from_utf8(printed.stdout).unwrap();
        Self { project, kubeconfig }
    }

    /// A value of the kubeconfig, which has each of them once.
    pub(crate) fn value(&self, key: &str) -> &str {
        let mut lines = self.kubeconfig.lines().map(str::trim);
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).unwrap()
    }

    /// The kubeconfig with other values.
    pub(crate) fn kubeconfig_with(&self, changes: &[(&str, &str)]) -> String {
        changes
            .iter()
            .fold(self.kubeconfig.clone(), |text, (key, value)| text.replace(self.value(key), value))
    }

    /// Lets everything that works on the sandbox target come by a proxy: the file says where the API is.
    pub(crate) fn is_reached_through(&self, proxy: &Proxy) {
        let endpoint = self.project.path().join("state/clusters/sandbox/endpoint");
        std::fs::write(endpoint, format!("http://{}\n", proxy.address)).unwrap();
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        let endpoint = self.project.path().join("state/clusters/sandbox/endpoint");
        let _ = std::fs::write(endpoint, format!("{}\n", self.value("server")));
        let _ = self.project.command(&["sandbox", "down"]).status();
    }
}

/// One request that came by.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    method: Method,
    path: String,
    query: String,
}

impl Seen {
    /// True unless it only reads, is a dry run, or asks what somebody may do (reviews are POSTs that keep nothing).
    pub(crate) fn mutates(&self) -> bool {
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&self.method);
        let dry = self.query.split('&').any(|pair| pair == "dryRun=All");
        let review = self.path.starts_with("/apis/authorization.k8s.io/") && self.method == Method::POST;
        !(reads || dry || review)
    }
}

#[derive(Clone)]
struct Shared {
    api: String,
    client: reqwest::Client,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// Plain HTTP on loopback before the TLS of a cluster; the client's credentials go through.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Proxy {
    pub(crate) fn before(cluster: &Cluster<'_>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared =
            Shared { api: cluster.value("server").to_owned(), client: client(), seen: Arc::default() };
        let seen = Arc::clone(&shared.seen);
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(pass).with_state(shared);
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, seen, _runtime: runtime }
    }

    /// What came by since the last time.
    pub(crate) fn taken(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// A client that does not care who signed the cluster's certificate.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap()
}

async fn pass(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
    let url = format!("{}{path}?{query}", shared.api);
    shared.seen.lock().unwrap().push(Seen { method: parts.method.clone(), path, query });
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let answer = shared.client.request(parts.method, url).headers(headers).body(body).send().await;
    let Ok(answer) = answer else {
        return Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap();
    };
    let mut response = Response::builder().status(answer.status());
    // The body is framed anew.
    for (name, value) in answer.headers().iter().filter(|(name, _)| *name != header::TRANSFER_ENCODING) {
        response = response.header(name, value);
    }
    response.body(Body::from_stream(answer.bytes_stream())).unwrap()
}
