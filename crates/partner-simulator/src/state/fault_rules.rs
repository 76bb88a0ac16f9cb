//! The commands that hold.

use crate::fault::{Fault, Scope};
use crate::request_info::RequestInfo;

/// The commands that hold.
#[derive(Debug, Default)]
pub(crate) struct FaultRules(Vec<FaultRule>);

#[derive(Debug)]
struct FaultRule {
    scope: Scope,
    fault: Fault,
    /// How many calls it is still for; `None`: until healed.
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
            _ => true,
        });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What happens to this call; it is counted.
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
