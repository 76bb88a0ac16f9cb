//! Request IDs. Users quote them to MyUnisoft's support.

/// The `n`th request ID. The three formats seen in real responses alternate, and all IDs are different.
pub(crate) fn request_id(n: u64) -> String {
    match n % 3 {
        0 => format!("req-{:016x}", permute(n)),
        1 => uuid_form(permute(n), permute(!n)),
        _ => format!("req-{}", short_form(n / 3)),
    }
}

/// A permutation of the 64-bit numbers (the last step of the generator splitmix64): different inputs have different outputs.
fn permute(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn uuid_form(high: u64, low: u64) -> String {
    format!(
        "req-{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        high >> 12 & 0xfff,
        low & 0xffff_ffff_ffff,
    )
}

/// Four digits in base 36, or more digits after all four-digit numbers have been used.
fn short_form(n: u64) -> String {
    const FOUR_DIGITS: u64 = 36 * 36 * 36 * 36;
    // 36⁴ has only the prime factors 2 and 3. The factor has neither, so the multiplication permutes the four-digit numbers.
    let permuted = (n % FOUR_DIGITS * 611_953 + 444_444) % FOUR_DIGITS;
    let overflow = if n < FOUR_DIGITS { String::new() } else { base36(n / FOUR_DIGITS) };
    format!("{overflow}{:0>4}", base36(permuted))
}

fn base36(mut n: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(u32::try_from(n % 36).ok().and_then(|digit| char::from_digit(digit, 36)));
        n /= 36;
        if n == 0 {
            return digits.iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn all_ids_are_different() {
        let ids: HashSet<_> = (0..300_000).map(request_id).collect();
        assert_eq!(ids.len(), 300_000);
    }

    #[test]
    fn each_format_has_the_length_of_a_real_id() {
        assert_eq!(request_id(0).len(), "req-44b440f90368471d".len());
        assert_eq!(request_id(1).len(), "req-06376c5d-24dd-41a1-bdcd-67873b91abf2".len());
        assert_eq!(request_id(2).len(), "req-9k4i".len());
    }
}
