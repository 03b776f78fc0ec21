//! The routes, in one visible list: method, path, who may, what it does. `docs/api.md` is held against it.
//!
//! | file | resource |
//! |---|---|
//! | `runs` | runs, their events, decisions about them |
//! | `schedules` | schedules, their records; pause, resume, run now |
//! | `triggers` | triggers; events from outside |
//! | `halt` | the halt |
//! | `project` | what is wrong with the project as it was last read |
//! | `health` | that it lives |
//!
//! `asking` reads requests, `answer` writes answers; `paths` says what is meant by a path that there is not.

mod answer;
mod asking;
mod halt;
mod health;
mod paths;
mod project;
mod runs;
mod schedules;
mod triggers;

use std::sync::Arc;
use std::time::Duration;

use aegis_engine::codes;
use aegis_engine::error::CallError;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};

use crate::{Console, Role};
use answer::Refused;
use asking::check_query;

/// The largest body: a notification of Alertmanager with thousands of alerts.
const BODY: usize = 1 << 20;

/// How long an answer may take; streams of events go on.
const ANSWER: Duration = Duration::from_secs(60);

/// One route, as the reference page has it.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `get`, `post`, `put` or `delete`.
    pub method: &'static str,
    /// With its parameters in braces.
    pub path: &'static str,
    /// Names that its query may have.
    pub query: &'static [&'static str],
    /// Who may; `None`: everybody, or whoever signs.
    pub role: Option<Role>,
}

macro_rules! routes {
    ($($method:ident $path:literal $([$($name:ident)*])?, $role:expr, $handler:path;)*) => {
        /// Every route.
        pub const ROUTES: &[Route] = &[$(Route {
            method: stringify!($method), path: $path, query: &[$($(stringify!($name)),*)?], role: $role,
        }),*];

        fn table(console: &Arc<Console>) -> Router<Arc<Console>> {
            let mut routes = ROUTES.iter();
            let mut guarded = || {
                let route = routes.next().copied();
                middleware::from_fn_with_state((Arc::clone(console), route), guard)
            };
            Router::new()$(.route($path, $method($handler).route_layer(guarded())))*
        }
    };
}

routes! {
    get "/healthz", None, health::healthz;
    get "/metrics", None, health::metrics;
    get "/v1/runs" [limit status], Some(Role::Viewer), runs::list;
    get "/v1/runs/{run}", Some(Role::Viewer), runs::show;
    get "/v1/runs/{run}/events" [after follow], Some(Role::Viewer), runs::events;
    post "/v1/runs/{run}/decisions", Some(Role::Operator), runs::decide;
    get "/v1/schedules", Some(Role::Viewer), schedules::list;
    get "/v1/schedules/{schedule}" [limit], Some(Role::Viewer), schedules::explain;
    get "/v1/schedules/{schedule}/history" [limit], Some(Role::Viewer), schedules::history;
    put "/v1/schedules/{schedule}/pause", Some(Role::Operator), schedules::pause;
    delete "/v1/schedules/{schedule}/pause", Some(Role::Operator), schedules::resume;
    post "/v1/schedules/{schedule}/runs", Some(Role::Operator), schedules::run_now;
    get "/v1/triggers", Some(Role::Viewer), triggers::list;
    post "/v1/triggers/{trigger}", None, triggers::receive;
    get "/v1/project", Some(Role::Viewer), project::show;
    get "/v1/halt", Some(Role::Viewer), halt::show;
    put "/v1/halt", Some(Role::Operator), halt::halt;
    delete "/v1/halt", Some(Role::Operator), halt::unhalt;
}

/// Everything that is answered.
pub fn router(console: Arc<Console>) -> Router {
    table(&console)
        .fallback(paths::unknown)
        .method_not_allowed_fallback(paths::not_allowed)
        .layer(middleware::from_fn(in_time))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(console)
}

/// Lets in who may.
async fn guard(
    State((console, route)): State<(Arc<Console>, Option<Route>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let holder = bearer(&request).and_then(|token| console.tokens.holder(token));
    if let Some(needed) = route.and_then(|route| route.role) {
        let Some(holder) = &holder else {
            let error = CallError::new(codes::UNAUTHENTICATED, "this needs a token")
                .hint("send `Authorization: Bearer TOKEN`; `aegis token` makes one");
            return Refused::unauthorized(error).into_response();
        };
        if !holder.role.may(needed) {
            let message =
                format!("`{}` is {}, and this needs {}", holder.name, holder.role.word(), needed.word());
            let hint = format!("`aegis token NAME --role {}` makes one that may", needed.word());
            return Refused::from(CallError::new(codes::FORBIDDEN, message).hint(hint)).into_response();
        }
    }
    // Probes may say more than they are asked for.
    if let Some(route) = route.filter(|route| route.path.starts_with("/v1/"))
        && let Err(refused) = check_query(request.uri(), route.query)
    {
        return refused.into_response();
    }
    request.extensions_mut().insert(holder);
    next.run(request).await
}

fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn in_time(request: Request, next: Next) -> Response {
    let late = || CallError::new(codes::TIMEOUT, "no answer could be given in time");
    tokio::time::timeout(ANSWER, next.run(request))
        .await
        .unwrap_or_else(|_| Refused::from(late()).into_response())
}
