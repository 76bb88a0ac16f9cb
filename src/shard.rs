//! Divides the keys of a fleet among several exporters; pure.
//!
//! The exporters do not talk to each other: each one computes the same division from the names of the keys and from the
//! number of shards. With one shard more, only the keys of the new shard move (rendezvous hashing).

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// More shards than this are a mistake in the flag.
const MAX_SHARDS: u32 = 1_000;

/// The place of one exporter among those that divide the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 0, and below `total`.
    pub ordinal: u32,
    /// At least 1.
    pub total: u32,
}

/// `--shard`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardFlag {
    Fixed(Shard),
    /// The ordinal is at the end of the host name.
    FromHostName {
        total: u32,
    },
}

/// What decides the shard of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShardHash(u64);

impl Shard {
    /// Not divided.
    pub(crate) const WHOLE: Self = Self { ordinal: 0, total: 1 };
}

impl Default for Shard {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ordinal, self.total)
    }
}

impl FromStr for ShardFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "write I/N: the number of this shard, from 0, and how many there are, such as `0/3`; or `auto/N`, if the \
                 host name ends with the number; N is at most {MAX_SHARDS}"
            )
        };
        let (ordinal, total) = text.trim().split_once('/').ok_or_else(wrong)?;
        let total = number(total).filter(|total| (1..=MAX_SHARDS).contains(total)).ok_or_else(wrong)?;
        if ordinal == "auto" {
            return Ok(Self::FromHostName { total });
        }
        let ordinal = number(ordinal).ok_or_else(wrong)?;
        if ordinal < total {
            return Ok(Self::Fixed(Shard { ordinal, total }));
        }
        Err(format!("there is no shard {ordinal} of {total}; the last one is {}/{total}", total - 1))
    }
}

/// Without the sign that Rust's own parser accepts.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl ShardFlag {
    /// The shard of this exporter. `host_ordinal` is the number at the end of the host name, if there is one.
    ///
    /// # Errors
    /// If the host name has to say the number, and does not.
    pub(crate) fn resolve(self, host_ordinal: Option<u32>) -> Result<Shard, String> {
        match (self, host_ordinal) {
            (Self::Fixed(shard), _) => Ok(shard),
            (Self::FromHostName { total }, Some(ordinal)) if ordinal < total => Ok(Shard { ordinal, total }),
            (Self::FromHostName { total }, Some(ordinal)) => Err(format!(
                "--shard=auto/{total}: the host name ends with {ordinal}, and the last shard is {}; set N to the number of \
                 exporters",
                total - 1
            )),
            (Self::FromHostName { total }, None) => Err(format!(
                "--shard=auto/{total}: the host name (the variable HOSTNAME) does not end with a number, as in exporter-0; \
                 write the number of this shard: --shard=I/{total}"
            )),
        }
    }
}

impl ShardHash {
    /// Of a key with a token.
    pub(crate) fn of_key(partner: &str, key: &str) -> Self {
        Self::of(&["key", partner, key])
    }

    /// Of all keys of an account, because one exporter must send all its log-ins. Upper and lower case in the mail make no
    /// difference.
    pub(crate) fn of_account(auth_url: &str, mail: &str) -> Self {
        Self::of(&["account", auth_url, &mail.to_lowercase()])
    }

    /// The same on every machine and in every version: it decides where a key is.
    fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix("myunisoft-exporter shard 1");
        for part in parts {
            // The length keeps ("a", "bc") and ("ab", "c") apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: [u8; 32] = hash.finalize().into();
        Self(digest.first_chunk().map_or(0, |head| u64::from_be_bytes(*head)))
    }

    /// The shard with the highest weight for this hash. A new shard takes only the keys for which its own weight is the
    /// highest.
    pub(crate) fn shard_of(self, total: u32) -> u32 {
        (0..total).max_by_key(|ordinal| mix(self.0 ^ mix(u64::from(*ordinal) + 1))).unwrap_or(0)
    }
}

/// The finalizer of `SplitMix64`: each bit of the result depends on each bit of the argument.
const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(count: u32) -> impl Iterator<Item = ShardHash> {
        (0..count).map(|number| ShardHash::of_key("acme", &format!("customer-{number}")))
    }

    #[test]
    fn the_flag_names_the_shard_from_zero_and_the_number_of_shards() {
        let parse = |text: &str| text.parse::<ShardFlag>();
        assert_eq!(parse("0/1"), Ok(ShardFlag::Fixed(Shard::WHOLE)));
        assert_eq!(parse("2/3"), Ok(ShardFlag::Fixed(Shard { ordinal: 2, total: 3 })));
        assert_eq!(parse("auto/3"), Ok(ShardFlag::FromHostName { total: 3 }));
        for wrong in ["", "1", "/3", "a/3", "-1/3", "+1/3", "1/", "1/+3", "0/0", "0/1001", "1/3/4", "1 of 3"]
        {
            assert!(parse(wrong).unwrap_err().contains("such as `0/3`"), "{wrong}");
        }
        assert!(parse("3/3").unwrap_err().contains("the last one is 2/3"));
    }

    #[test]
    fn the_host_name_can_say_the_shard() {
        let auto = ShardFlag::FromHostName { total: 3 };
        assert_eq!(auto.resolve(Some(2)), Ok(Shard { ordinal: 2, total: 3 }));
        assert!(auto.resolve(Some(3)).unwrap_err().contains("ends with 3"));
        assert!(auto.resolve(None).unwrap_err().contains("--shard=I/3"));
        let fixed = Shard { ordinal: 1, total: 2 };
        assert_eq!(ShardFlag::Fixed(fixed).resolve(Some(0)), Ok(fixed));
    }

    #[test]
    fn the_shards_have_about_the_same_number_of_keys() {
        for total in [2_u32, 3, 7, 16] {
            let mut counts = vec![0_u32; total as usize];
            hashes(10_000).for_each(|hash| counts[hash.shard_of(total) as usize] += 1);
            let fair = 10_000 / total;
            assert!(counts.iter().all(|count| count.abs_diff(fair) < fair / 5), "{counts:?}");
        }
    }

    #[test]
    fn a_new_shard_takes_its_part_of_the_keys_and_no_other_key_moves() {
        for total in [1, 2, 3, 9] {
            let mut moved = 0;
            for hash in hashes(10_000) {
                let (before, after) = (hash.shard_of(total), hash.shard_of(total + 1));
                assert!(after == before || after == total, "a key moves to the new shard or stays");
                moved += u32::from(after != before);
            }
            let fair = 10_000 / (total + 1);
            assert!(moved.abs_diff(fair) < fair / 5, "{moved} of 10,000 moved to shard {total}");
        }
    }

    #[test]
    fn the_division_is_the_same_in_every_version_and_on_every_machine() {
        // These literals must never change: a key that moves loses what its exporter remembers of it.
        let shards = |total| hashes(12).map(|hash| hash.shard_of(total)).collect::<Vec<_>>();
        assert_eq!(shards(3), [0, 2, 0, 1, 0, 1, 0, 1, 0, 1, 2, 0]);
        assert_eq!(shards(10), [5, 9, 8, 8, 8, 3, 0, 6, 5, 3, 5, 6]);
        let account = ShardHash::of_account("https://app.example/log-in", "api@durand.example");
        assert_eq!(account.shard_of(10), 7);
    }

    #[test]
    fn all_keys_of_an_account_are_in_one_shard() {
        let of = |mail| ShardHash::of_account("https://app.example/log-in", mail);
        assert_eq!(of("api@durand.example"), of("API@Durand.example"));
        assert_ne!(of("api@durand.example"), of("api@petit.example"));
        assert_ne!(ShardHash::of_key("a", "bc"), ShardHash::of_key("ab", "c"));
    }
}
