//! The result of one probe.

use std::time::{Duration, SystemTime};
use strum::{Display, IntoStaticStr, VariantArray};

use crate::partner_api::error::ErrorCode;
use crate::partner_api::failure::Failure;
use crate::partner_api::judge::Judgement;
use crate::partner_api::request_id::RequestId;

/// The five phases of a probe, in order: the `phase` label. Their durations add up to the duration of the
/// probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display, IntoStaticStr, VariantArray)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub(crate) enum Phase {
    /// Resolving the host name. It does not happen if the host is an IP address, or if recent addresses are used.
    Resolve,
    /// Opening the TCP connection. With a proxy, this includes its CONNECT.
    Connect,
    /// The TLS handshake, which is always a full one. It does not happen for plain HTTP.
    Tls,
    /// From the moment when the connection is ready to the headers of the response.
    Processing,
    /// Reading the body, up to a size limit.
    Transfer,
}

/// The duration of each phase. Zero for a phase that did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Phases {
    /// In nanoseconds: half the size of durations, and the state of each probe has them.
    nanos: [u64; 5],
    /// Whether each phase happened. One that did not has no sample in the histograms.
    happened: [bool; 5],
}

impl Phases {
    /// One duration per phase, in the order of [`Phase::VARIANTS`].
    pub(crate) fn new(durations: [Duration; 5]) -> Self {
        Self { nanos: durations.map(nanoseconds), happened: [true; 5] }
    }

    /// As [`Self::new`], with `None` for a phase that did not happen.
    pub(crate) fn measured(durations: [Option<Duration>; 5]) -> Self {
        Self {
            nanos: durations.map(|duration| nanoseconds(duration.unwrap_or_default())),
            happened: durations.map(|duration| duration.is_some()),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        Phase::VARIANTS.iter().copied().zip(self.nanos.map(Duration::from_nanos))
    }

    /// The phases that happened.
    pub(crate) fn samples(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        self.iter().zip(self.happened).filter_map(|(sample, happened)| happened.then_some(sample))
    }

    /// The last phase with a duration; `None` if no request was sent.
    pub(crate) fn last_reached(&self) -> Option<Phase> {
        self.iter().filter(|(_, duration)| !duration.is_zero()).last().map(|(phase, _)| phase)
    }

    /// The duration of the whole probe.
    pub(crate) fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos.iter().fold(0, |sum: u64, nanos| sum.saturating_add(*nanos)))
    }
}

/// No probe takes as long as 64 bits of nanoseconds: 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The result of one probe.
#[derive(Clone, Debug)]
pub(crate) struct ProbeReport {
    /// When the probe ended, by the wall clock.
    pub finished: SystemTime,
    pub phases: Phases,
    /// `None` if no response came.
    pub status: Option<u16>,
    /// `None` if no response came, or it has no request ID.
    pub request_id: Option<RequestId>,
    /// `None` if the response was not received far enough to be judged.
    pub judgement: Option<Judgement>,
    /// Success, or why the probe failed.
    pub outcome: Result<(), Failure>,
    /// The earliest expiry in the certificate chain that the server sent, verified or not.
    pub certificate_expiry: Option<SystemTime>,
}

impl ProbeReport {
    /// A probe whose request was not sent, because the token or the secret could not be obtained.
    pub(crate) fn unsent(failure: Failure, request_id: Option<RequestId>) -> Self {
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

    /// Makes the probe fail with `failure`: its response, a refusal, says nothing about the key and the secret.
    pub(crate) fn discount(&mut self, failure: Failure) {
        let code = self.outcome.as_ref().err().and_then(|refusal| refusal.code.clone());
        self.outcome = Err(Failure { code: failure.code.clone().or(code), ..failure });
        if let Some(judgement) = &mut self.judgement {
            judgement.outcome.clone_from(&self.outcome);
            (judgement.key, judgement.secret) = (None, None);
        }
    }

    /// Whether the probe was sent. The phases of an unsent one have no duration.
    pub(crate) fn was_sent(&self) -> bool {
        !self.phases.total().is_zero()
    }

    /// The API's error code, if the probe failed and the response has one.
    pub(crate) fn code(&self) -> Option<&str> {
        self.outcome.as_ref().err()?.code.as_ref().map(ErrorCode::as_str)
    }
}
