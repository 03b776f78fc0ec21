//! Faults of the API itself: requests that are refused, slow, or never answered, on purpose.
//!
//! Requests about faults are left alone: otherwise nobody could clear them.

use axum::response::Response;

use super::auth::Attempt;
use super::status::Status;
use super::{Api, answer};
use crate::controllers::api::Api as Door;
use crate::faults::requests::{Harm, Target};
use crate::faults::{self, GROUP, definition};

/// A response that carries this is not sent: its connection breaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reset;

impl Api {
    /// Defines faults when somebody asks about them: a cluster that has none looks like any other.
    pub(super) async fn define_faults(&self, path: &str) {
        let asked = path.strip_prefix("/apis/").and_then(|path| path.split('/').next()) == Some(GROUP);
        if asked && self.store().kinds().served(GROUP, faults::VERSION, faults::PLURAL).is_none() {
            // Somebody else may be faster.
            let _ = Door::create(self, "aegis-faults", definition::definition()).await;
        }
    }

    /// Lets a request pass, perhaps late, or answers it in its place.
    ///
    /// # Errors
    /// The refusal that a fault asks for.
    pub(super) async fn suffer(&self, attempt: &Attempt) -> Result<Option<Response>, Status> {
        let objects: Vec<_> = self.store().list(&faults::resource(), None).objects().collect();
        if objects.is_empty() || attempt.group == GROUP {
            return Ok(None);
        }
        let target = Target {
            verb: &attempt.verb,
            resource: &attempt.resource,
            group: &attempt.group,
            namespace: &attempt.namespace,
        };
        match self.dice().throw(&faults::read_all(&objects), &target) {
            None => Ok(None),
            Some(Harm::Refused(code, after)) => Err(refusal(code, after)),
            Some(Harm::TimesOut(after)) => {
                self.store().ambient().sleep(after).await;
                let message = "Timeout: request did not complete within the allotted timeout";
                Err(Status::new(504, "Timeout", message))
            }
            Some(Harm::Reset) => {
                let mut response = answer::text_response(500, "text/plain", String::new());
                response.extensions_mut().insert(Reset);
                Ok(Some(response))
            }
            Some(Harm::Slow(after)) => {
                self.store().ambient().sleep(after).await;
                Ok(None)
            }
        }
    }
}

fn refusal(code: u16, after: u32) -> Status {
    match code {
        429 => {
            let message = "the server has received too many requests and has asked us to try again later";
            Status::new(429, "TooManyRequests", message).retry_after(after)
        }
        503 => {
            let message = "the server is currently unable to handle the request";
            Status::new(503, "ServiceUnavailable", message).retry_after(after)
        }
        code => Status::new(code, "InternalError", "Internal error occurred: a fault was injected"),
    }
}
