//! The commands that hold.

use crate::fault::{Fault, Scope};
use crate::request_info::Asked;

/// The commands that hold.
#[derive(Debug, Default)]
pub(crate) struct Commands(Vec<Command>);

#[derive(Debug)]
struct Command {
    scope: Scope,
    fault: Fault,
    /// How many calls it is still for; `None`: until healed.
    left: Option<u32>,
}

impl Commands {
    pub(crate) fn give(&mut self, scope: Scope, fault: Fault, times: Option<u32>) {
        self.0.push(Command { scope, fault, left: times });
        self.0.retain(|command| command.left != Some(0));
    }

    pub(crate) fn withdraw(&mut self, scope: &Scope) {
        self.0.retain(|command| command.scope != *scope);
    }

    pub(crate) fn withdraw_of_key(&mut self, name: &str) {
        self.0.retain(|command| match &command.scope {
            Scope::Key(key) | Scope::KeyRoute { key, .. } => key != name,
            _ => true,
        });
    }

    pub(crate) fn withdraw_all(&mut self) {
        self.0.clear();
    }

    /// What happens to this call; it is counted.
    pub(crate) fn for_call(&mut self, call: &Asked) -> Vec<Fault> {
        let mut faults = Vec::new();
        for command in self.0.iter_mut().filter(|command| command.scope.concerns(call)) {
            faults.push(command.fault.clone());
            command.left = command.left.map(|left| left - 1);
        }
        self.0.retain(|command| command.left != Some(0));
        faults
    }
}
