//! What happens to a call before the API sees it.

use crate::fault::{Fault, Page};
use crate::refusal::Refusal;
use crate::transport::fault_stream::Orders;

/// What happens to a call before the API sees it.
pub(crate) enum Meddling {
    None,
    Refused(Refusal),
    Answered(Page),
    /// There is no answer: what is returned to HTTP never reaches the client.
    Spoilt,
}

pub(crate) async fn meddle(faults: &[Fault], orders: &Orders) -> Meddling {
    for fault in faults {
        match fault {
            Fault::Delay(delay) => tokio::time::sleep(*delay).await,
            Fault::Silence => std::future::pending().await,
            Fault::Refuse(refusal) => return Meddling::Refused(refusal.clone()),
            Fault::Edge(page) => return Meddling::Answered(page.clone()),
            Fault::Close => {
                orders.cut();
                return Meddling::Spoilt;
            }
            Fault::Raw(bytes) => {
                orders.replace(bytes.clone());
                return Meddling::Spoilt;
            }
            _ => {}
        }
    }
    Meddling::None
}
