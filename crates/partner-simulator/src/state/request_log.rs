//! What was asked, by whom, and what was really answered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it came, by the simulator's clock.
    pub at: SystemTime,
    /// The same as an instant.
    pub started: Instant,
    /// `GET`, …
    pub method: String,
    /// Path and query.
    pub url: String,
    /// The key whose token it carried, even a token that is no longer accepted; or whose account it logged in to.
    pub key: Option<Arc<str>>,
    /// The partner whose secret it carried.
    pub partner: Option<Arc<str>>,
    /// The `society-id` header.
    pub society_id: Option<String>,
    /// What was answered; `None` while nothing was, or where the connection was spoilt instead.
    pub response: Option<LoggedResponse>,
}

impl Call {
    /// The path, without the query.
    #[must_use]
    pub fn route(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }

    /// The request-id that the caller was given.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.response.as_ref()?.request_id.as_deref()
    }

    /// The status that the caller was given.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref().map(|response| response.status)
    }

    /// The API's error code that the caller was given.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.response.as_ref()?.code.as_deref()
    }
}

/// How a call was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedResponse {
    /// The HTTP status.
    pub status: u16,
    /// The error's code.
    pub code: Option<String>,
    /// The value of the `request-id` header; an edge answers without.
    pub request_id: Option<String>,
}

/// The last calls, up to a capacity.
#[derive(Debug)]
pub(crate) struct RequestLog {
    calls: VecDeque<Call>,
    dropped: u64,
    capacity: usize,
}

impl RequestLog {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { calls: VecDeque::new(), dropped: 0, capacity }
    }

    /// Writes a call down, and says under which number.
    pub(crate) fn push(&mut self, call: Call) -> u64 {
        self.calls.push_back(call);
        let number = self.dropped + self.calls.len() as u64 - 1;
        while self.calls.len() > self.capacity {
            self.calls.pop_front();
            self.dropped += 1;
        }
        number
    }

    /// Adds the answer, unless the call is forgotten.
    pub(crate) fn set_response(&mut self, number: u64, response: LoggedResponse) {
        let index = number.checked_sub(self.dropped).and_then(|index| usize::try_from(index).ok());
        if let Some(call) = index.and_then(|index| self.calls.get_mut(index)) {
            call.response = Some(response);
        }
    }

    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(url: &str) -> Call {
        Call {
            at: SystemTime::UNIX_EPOCH,
            started: Instant::now(),
            method: "GET".into(),
            url: url.into(),
            key: None,
            partner: None,
            society_id: None,
            response: None,
        }
    }

    #[test]
    fn an_answer_to_a_forgotten_call_changes_no_other() {
        let mut log = RequestLog::new(1);
        let first = log.push(call("/1"));
        let second = log.push(call("/2"));
        let response = |status| LoggedResponse { status, code: None, request_id: None };
        log.set_response(first, response(500));
        assert!(log.calls().all(|call| call.response.is_none()));
        log.set_response(second, response(200));
        assert_eq!(log.calls().next().and_then(Call::status), Some(200));
    }
}
