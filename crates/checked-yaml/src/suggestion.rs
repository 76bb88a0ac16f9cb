//! Names in error messages: quoted safely, and the name that was probably meant.

/// Quotes a name: escapes control characters and shortens it to 64 characters.
pub fn quoted(name: &str) -> String {
    const MAX_CHARACTERS: usize = 64;
    let cut: String = name.chars().take(MAX_CHARACTERS).collect();
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("\"{}{more}\"", cut.escape_debug())
}

/// Returns the known name that is closest to `name`, if one is close enough to be a typing error.
pub fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Longer than any field name, so not a typing error. It also bounds the cost of the comparison.
    if name.len() > 48 {
        return None;
    }
    let normalised = name.to_lowercase().replace(['-', ' '], "_");
    known
        .map(|candidate| (strsim::osa_distance(&normalised, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
