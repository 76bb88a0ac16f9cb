//! What one probe found.

use serde_with::SerializeDisplay;
use std::time::{Duration, SystemTime};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::partner_api::error::ErrorCode;
use crate::partner_api::failure::Failure;
use crate::partner_api::judge::Judgement;
use crate::partner_api::request_id::RequestId;

/// The five parts of a probe, in their order: the `phase` label. They add up to its duration.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
    SerializeDisplay,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum Phase {
    /// Looking up the host name. Zero where the host is an address, or the proxy looks it up.
    Resolve,
    /// Opening the TCP connection (through a proxy: its CONNECT too).
    Connect,
    /// The TLS handshake, always a full one. Zero on plain HTTP.
    Tls,
    /// From the connection's being ready to the answer's headers.
    Processing,
    /// Reading the body, up to the cap.
    Transfer,
}

/// How long each phase took; a phase that was not reached took none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases([Duration; 5]);

impl Phases {
    /// One duration a phase, in the order of [`Phase::VARIANTS`].
    #[must_use]
    pub const fn new(durations: [Duration; 5]) -> Self {
        Self(durations)
    }

    /// Each phase with its duration.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        Phase::VARIANTS.iter().copied().zip(self.0)
    }

    /// The last phase that took any time; `None` where nothing was sent.
    #[must_use]
    pub fn last_reached(&self) -> Option<Phase> {
        self.iter().filter(|(_, took)| !took.is_zero()).last().map(|(phase, _)| phase)
    }

    /// The whole probe.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }
}

/// One probe, done.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// When it ended, by the wall clock.
    pub finished: SystemTime,
    /// Where its time went.
    pub phases: Phases,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
    /// The request-id to quote, if an answer came with one.
    pub request_id: Option<RequestId>,
    /// What the answer means, if one came whole enough to be judged.
    pub judgement: Option<Judgement>,
    /// Success, or the one reason it is none.
    pub outcome: Result<(), Failure>,
    /// The earliest end of the certificate chain that the server showed, verified or not.
    pub certificate_expiry: Option<SystemTime>,
}

impl ProbeReport {
    /// A probe that could not be sent, for want of a token or a secret.
    #[must_use]
    pub fn unsent(failure: Failure, request_id: Option<RequestId>) -> Self {
        Self {
            finished: SystemTime::now(),
            phases: Phases::default(),
            status: None,
            request_id,
            judgement: None,
            outcome: Err(failure),
            certificate_expiry: None,
        }
    }

    /// The API's own code for the failure, if it gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.outcome.as_ref().err()?.code.as_ref().map(ErrorCode::as_str)
    }
}
