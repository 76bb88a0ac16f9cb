//! Routes that are not fit as canaries, however their path is spelt.

/// Why a canary should not request this path and query, and what to do instead; `None` if nothing is known against it.
pub(super) fn reason_against(path_and_query: &str) -> Option<&'static str> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let decoded = percent_decoded(path);
    let segments = segments(&decoded);
    let ends_with = |end: &[&str]| segments.ends_with(end);
    let answers_file =
        "answers a file, but a canary's response must be JSON; choose a route that answers JSON";
    match segments.as_slice() {
        _ if ends_with(&["mad", "all"]) => Some(
            "starts an export with each request, and MyUnisoft allows one per hour; choose a route that only reads, \
             such as /api/v1/mad/exercices?version=1.0.0",
        ),
        _ if ends_with(&["mad", "movements"]) => {
            Some("answers 150 to 250 MB with each request; choose a route with a small response")
        }
        _ if ends_with(&["mad", "entry"]) => Some(
            "answers 404 where no entry matches, so the probe fails although the key works; choose a route that always \
             answers",
        ),
        [.., "document", _, "file"] => Some(answers_file),
        _ if ends_with(&["accounting", "export", "edi"]) => Some(answers_file),
        [.., "grand_livre"] if asks_for_xls(query) => Some(answers_file),
        _ => None,
    }
}

fn asks_for_xls(query: &str) -> bool {
    let is_false = |value: &str| matches!(value, "false" | "0");
    percent_decoded(query).split('&').any(|field| match field.split_once('=') {
        Some((name, value)) => name == "xls" && !is_false(value),
        None => field == "xls",
    })
}

/// The segments of the path without empty ones, and with `.` and `..` resolved as servers do.
fn segments(path: &str) -> Vec<&str> {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    segments
}

/// In lower case, with `%6d` as `m`. A broken escape is kept.
fn percent_decoded(text: &str) -> String {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let mut decoded = String::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut escape = bytes.clone();
        match (byte, digit(escape.next()), digit(escape.next())) {
            (b'%', Some(high), Some(low)) => {
                decoded.extend(char::from_u32(high * 16 + low));
                bytes = escape;
            }
            _ => decoded.push(char::from(byte)),
        }
    }
    decoded.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfit_route_is_recognized_in_every_spelling() {
        for (path, word) in [
            ("/api/v1/mad/all", "export"),
            ("/api/v1/mad/all?version=1.0.0", "export"),
            ("/api/v1/mad/all/", "export"),
            ("/API/V1/MAD/ALL", "export"),
            ("/api/v1//mad/./all//?x", "export"),
            ("/api/v1/%6dad/%41ll", "export"),
            ("/api/v1/mad/exercices/../all", "export"),
            ("/api/v2/mad/movements?version=1.0.0", "MB"),
            ("/api/v1/mad/entry?id=5", "404"),
            ("/api/v1/document/12/file", "file"),
            ("/api/v1/Document/12/File/?a=b", "file"),
            ("/api/v1/accounting/export/edi?start=1", "file"),
            ("/api/v1/grand_livre?xls=true", "file"),
            ("/api/v1/grand_livre/?a=1&XLS=True", "file"),
            ("/api/v1/grand_livre?xls", "file"),
        ] {
            assert!(reason_against(path).is_some_and(|text| text.contains(word)), "{path}");
        }
    }

    #[test]
    fn other_routes_are_fit() {
        for path in [
            "/api/v1/mad/exercices?version=1.0.0",
            "/api/v1/society?next=/mad/all",
            "/api/v1/mad/all_of_it",
            "/api/v1/small",
            "/api/v1/grand_livre",
            "/api/v1/grand_livre?xls=false",
            "/api/v1/document/12",
            "/api/v1/document/file",
            "/api/v1/users_v2?%",
            "/",
        ] {
            assert_eq!(reason_against(path), None, "{path}");
        }
    }
}
