//! Divides the fleet among several exporters: each takes its shard of the keys, or its turns at the probes.

use std::sync::Arc;

use super::partners::share_probes;
use super::{Config, Credential, Key, Partner};
use crate::shard::{Shard, ShardHash};

/// Which part of the fleet this exporter monitors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Division {
    pub shard: Shard,
    /// The number of keys in the configuration: those of all shards together.
    pub fleet_keys: usize,
    /// The shards of the other keys, by the hash of their names, sorted. Sixteen bytes for each key, because a shard of a
    /// large fleet has far more keys elsewhere than of its own.
    elsewhere: Vec<(ShardHash, u32)>,
}

impl Division {
    /// Whether there are other shards.
    pub(crate) const fn is_divided(&self) -> bool {
        self.shard.total > 1
    }

    /// The other shard that monitors this key; `None` if no configured key of another shard has these names.
    pub(crate) fn elsewhere(&self, partner: &str, key: &str) -> Option<u32> {
        let name = ShardHash::of_key(partner, key);
        let found = self.elsewhere.binary_search_by_key(&name, |(name, _)| *name).ok()?;
        self.elsewhere.get(found).map(|(_, shard)| *shard)
    }
}

impl Config {
    /// Keeps the keys of this shard. A partner leaves with its last key, because its secret is then used elsewhere only.
    pub(crate) fn divide(&mut self, shard: Shard) {
        let fleet_keys = self.partners.iter().map(|partner| partner.keys.len()).sum();
        let mut elsewhere = Vec::new();
        let auth_url = self.settings.api.auth_url.as_str();
        self.partners.retain_mut(|Partner { name, keys, .. }| {
            let had_keys = !keys.is_empty();
            keys.retain(|key| {
                let owner = hash(auth_url, name, key).shard_of(shard.total);
                if owner != shard.ordinal {
                    elsewhere.push((ShardHash::of_key(name, &key.name), owner));
                }
                owner == shard.ordinal
            });
            !keys.is_empty() || !had_keys
        });
        elsewhere.sort_unstable();
        self.settings.division = Arc::new(Division { shard, fleet_keys, elsewhere });
    }

    /// Makes each key's probes so many times rarer: the other replicas send the ones in between. The health probe stays as it
    /// is, because it uses no customer's budget.
    pub(crate) fn take_turns(&mut self, replicas: u32) {
        if replicas == 1 {
            return;
        }
        for key in self.partners.iter_mut().flat_map(|partner| &mut partner.keys) {
            for probe in Arc::make_mut(&mut key.probes) {
                probe.timing.interval *= replicas;
            }
        }
        share_probes(&mut self.partners);
    }
}

fn hash(auth_url: &str, partner: &str, key: &Key) -> ShardHash {
    match &key.credential {
        Credential::Token(_) => ShardHash::of_key(partner, &key.name),
        Credential::Login(login) => ShardHash::of_account(auth_url, &login.mail),
    }
}
