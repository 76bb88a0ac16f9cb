//! The injected faults.

use crate::fault::{Fault, Scope};
use crate::request_info::RequestInfo;

#[derive(Debug, Default)]
pub(crate) struct FaultRules(Vec<FaultRule>);

#[derive(Debug)]
struct FaultRule {
    scope: Scope,
    fault: Fault,
    /// The number of requests that the fault still applies to. `None`: until it is removed.
    remaining: Option<u32>,
}

impl FaultRules {
    pub(crate) fn add(&mut self, scope: Scope, fault: Fault, times: Option<u32>) {
        self.0.push(FaultRule { scope, fault, remaining: times });
        self.0.retain(|rule| rule.remaining != Some(0));
    }

    pub(crate) fn remove(&mut self, scope: &Scope) {
        self.0.retain(|rule| rule.scope != *scope);
    }

    pub(crate) fn remove_for_key(&mut self, name: &str) {
        self.0.retain(|rule| match &rule.scope {
            Scope::Key(key) | Scope::KeyRoute { key, .. } => key != name,
            Scope::Everything | Scope::Route(_) | Scope::Partner(_) => true,
        });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns the faults that apply to this request, and counts the request.
    pub(crate) fn take_matching(&mut self, request: &RequestInfo) -> Vec<Fault> {
        let mut faults = Vec::new();
        for rule in self.0.iter_mut().filter(|rule| rule.scope.matches(request)) {
            faults.push(rule.fault.clone());
            rule.remaining = rule.remaining.map(|remaining| remaining - 1);
        }
        self.0.retain(|rule| rule.remaining != Some(0));
        faults
    }
}
