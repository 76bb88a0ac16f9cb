//! A series selector of `PromQL`, as `--restore.match` has it.

/// Reads `{job="myunisoft",cluster=~"a|b"}`, with or without the braces. Returns the matchers as they go into a query.
///
/// # Errors
/// If it is not a list of matchers, or if no matcher says which job: the series of another job are about another exporter.
pub(super) fn matchers(text: &str) -> Result<String, String> {
    let wrong = || "write a selector of series, such as `{job=\"myunisoft\"}`".to_owned();
    let text = text.trim();
    let inner = match (text.strip_prefix('{'), text.strip_suffix('}')) {
        (Some(_), Some(_)) => text.get(1..text.len() - 1).ok_or_else(wrong)?,
        (None, None) => text,
        (Some(_), None) | (None, Some(_)) => return Err(wrong()),
    };
    let (mut rest, mut matchers, mut names_job) = (inner.trim(), Vec::new(), false);
    while !rest.is_empty() {
        let (matcher, after) = matcher(rest).ok_or_else(wrong)?;
        names_job |= matcher.label == "job" && matcher.operator == "=" && matcher.quoted != "\"\"";
        matchers.push(format!("{}{}{}", matcher.label, matcher.operator, matcher.quoted));
        rest = match after.trim_start().strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if after.trim().is_empty() => "",
            None => return Err(wrong()),
        };
    }
    if names_job {
        return Ok(matchers.join(","));
    }
    Err(format!("{}: it must name the job of the exporters, with `job=\"…\"`", wrong()))
}

struct Matcher<'a> {
    label: &'a str,
    operator: &'a str,
    /// In double quotes.
    quoted: &'a str,
}

/// The first matcher of the text, and what follows it.
fn matcher(text: &str) -> Option<(Matcher<'_>, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (label, rest) = text.split_at(text.find(|c| !is_name(c))?);
    if label.is_empty() || label.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim_start();
    let operator = ["=~", "!~", "!=", "="].into_iter().find(|operator| rest.starts_with(operator))?;
    let rest = rest.get(operator.len()..)?.trim_start();
    let (quoted, rest) = rest.split_at(end_of_string(rest)?);
    Some((Matcher { label, operator, quoted }, rest))
}

/// The length of the string in double quotes at the beginning of the text.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    let mut characters = text.char_indices();
    characters.next().filter(|(_, first)| *first == '"')?;
    for (index, character) in characters {
        match character {
            '"' if !escaped => return Some(index + 1),
            '\n' => return None,
            _ => escaped = character == '\\' && !escaped,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_a_list_of_matchers_that_names_a_job() {
        for (text, expected) in [
            (r#"{job="m"}"#, r#"job="m""#),
            (r#" job = "m" "#, r#"job="m""#),
            (r#"{ job="m", cluster=~"a|b" ,env!="x",}"#, r#"job="m",cluster=~"a|b",env!="x""#),
            (r#"{job="a\"},{b"}"#, r#"job="a\"},{b""#),
        ] {
            assert_eq!(matchers(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_an_example() {
        for wrong in [
            "",
            "{}",
            "m",
            "{job=\"m\"",
            "job=\"m\"}",
            "{job='m'}",
            "{job=\"m}",
            "{job=\"m\" x=\"y\"}",
            "{1=\"m\"}",
            "up{job=\"m\"}",
            "{job=\"m\"} or up",
            "{job=\"\"}",
            "{job=~\".*\"}",
            "{cluster=\"a\"}",
            "{job==\"m\"}",
            "{job=\"m\n\"}",
            "é=\"m\"",
            "}",
            "{",
        ] {
            assert!(matchers(wrong).unwrap_err().contains("{job=\"myunisoft\"}"), "{wrong}");
        }
    }
}
