//! The injected faults.

use crate::fault::{Fault, Scope};
use crate::request::Call;

#[derive(Default)]
pub(crate) struct FaultRules(Vec<FaultRule>);

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

    pub(crate) fn remove(&mut self, is_removed: impl Fn(&Scope) -> bool) {
        self.0.retain(|rule| !is_removed(&rule.scope));
    }

    /// Returns the faults that apply to this request, and counts the request.
    pub(crate) fn take_matching(&mut self, call: &Call) -> Vec<Fault> {
        let mut faults = Vec::new();
        for rule in self.0.iter_mut().filter(|rule| rule.scope.matches(call)) {
            faults.push(rule.fault.clone());
            rule.remaining = rule.remaining.map(|remaining| remaining - 1);
        }
        self.0.retain(|rule| rule.remaining != Some(0));
        faults
    }
}
