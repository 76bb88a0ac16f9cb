//! The request log.

use std::collections::VecDeque;

use crate::request::{Call, LoggedResponse};

/// The most recent requests, up to `capacity`.
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

    /// Adds a request and returns its number.
    pub(crate) fn push(&mut self, call: Call) -> u64 {
        self.calls.push_back(call);
        let number = self.dropped + self.calls.len() as u64 - 1;
        while self.calls.len() > self.capacity {
            self.calls.pop_front();
            self.dropped += 1;
        }
        number
    }

    /// Adds the response, unless the request has left the log.
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
    use std::time::SystemTime;

    use tokio::time::Instant;

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
            society: None,
            schema: None,
            response: None,
        }
    }

    #[test]
    fn a_response_to_a_dropped_request_changes_no_other_request() {
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
