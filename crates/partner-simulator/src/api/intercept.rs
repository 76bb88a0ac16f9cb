//! Faults that apply before the API handles a request.

use bytes::Bytes;

use crate::fault::{Fault, Page};
use crate::fault_stream::ConnectionControl;
use crate::refusal::Refusal;

/// What happens to a request instead of its handling by the API.
pub(crate) enum Intercept {
    Continue,
    Refuse(Refusal),
    Respond(Page),
    /// There is no response: what the middleware returns to hyper never reaches the client.
    NoResponse,
}

pub(crate) async fn intercept(faults: &[Fault], connection: &ConnectionControl) -> Intercept {
    for fault in faults {
        match fault {
            Fault::Delay(delay) => tokio::time::sleep(*delay).await,
            Fault::Silence => std::future::pending().await,
            Fault::Refuse(refusal) => return Intercept::Refuse(refusal.clone()),
            Fault::Edge(page) => return Intercept::Respond(page.clone()),
            Fault::Close => {
                connection.replace_output(Bytes::new());
                return Intercept::NoResponse;
            }
            Fault::Raw(bytes) => {
                connection.replace_output(bytes.clone());
                return Intercept::NoResponse;
            }
            _ => {}
        }
    }
    Intercept::Continue
}
