//! The text of a response of `/probe`. It contains no secret and no body.

use std::fmt::Write as _;

use crate::diagnosis::Verdict;
use crate::key_state::KeyState;
use crate::label::escape;
use crate::partner_api::error::ErrorCode;
use crate::partner_api::request_id::RequestId;
use crate::rfc3339;
use crate::state::{KeyStatus, LastProbe, ProbeStatus};
use strum::VariantArray as _;

/// What a request did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The results were recent enough, or no probe may run again yet.
    UpToDate,
    /// The probes that were out of date ran, for this client or for another one too.
    Ran,
    /// The probes ran longer than the client may wait.
    StillRunning,
}

/// The result of a probe, unless it was skipped when it was last due: then an older result proves nothing.
fn result(probe: &ProbeStatus) -> Option<&LastProbe> {
    probe.last.as_ref().filter(|_| probe.last_skip.is_none())
}

fn results(status: &KeyStatus) -> impl Iterator<Item = (&ProbeStatus, &LastProbe)> {
    status.probes.iter().filter_map(|probe| Some((probe, result(probe)?)))
}

/// The metrics; if no probe has a result, the reasons.
pub(super) fn metrics(
    status: &KeyStatus,
    progress: Progress,
    with_request_ids: bool,
) -> Result<String, String> {
    if results(status).next().is_none() {
        return Err(not_probed(status, progress));
    }
    let success = results(status).all(|(_, last)| last.success());
    let duration = results(status).map(|(_, last)| last.phases.total().as_secs_f64()).sum();
    let unlabelled = |value: f64| [(String::new(), value)];
    let per_probe = |value: fn(&LastProbe) -> f64| {
        results(status).map(move |(probe, last)| (format!("{{{}}}", probe_label(probe)), value(last)))
    };
    let phases = results(status).flat_map(|(probe, last)| {
        last.phases.iter().map(|(phase, duration)| {
            (format!("{{{},phase=\"{phase}\"}}", probe_label(probe)), duration.as_secs_f64())
        })
    });
    let key_states = KeyState::VARIANTS.iter().map(|state| {
        (format!("{{state=\"{state}\"}}"), f64::from(u8::from(*state == status.persisted.state)))
    });
    let failures = status.probes.iter().filter_map(|probe| failure(probe, with_request_ids));
    let families = [
        family(
            "probe_success",
            "Whether the last run of every probe of the key succeeded.",
            unlabelled(u8::from(success).into()),
        ),
        family("probe_duration_seconds", "How long the key's probes took together.", unlabelled(duration)),
        family(
            "probe_http_status_code",
            "The HTTP status of each probe, 0 if there was no response.",
            per_probe(|last| last.status.unwrap_or_default().into()),
        ),
        family("probe_http_duration_seconds", "How long each phase of each probe took.", phases),
        family(
            "probe_last_timestamp_seconds",
            "When the last run of each probe ended. It may be a scheduled run.",
            per_probe(|last| {
                let since = last.finished.duration_since(std::time::SystemTime::UNIX_EPOCH);
                since.unwrap_or_default().as_secs_f64()
            }),
        ),
        family("probe_key_state", "The state of the key: one state is 1, the others are 0.", key_states),
        family(
            "probe_failure_info",
            "Why a probe fails, as of the first failure of the episode, as in myunisoft_probe_error_info.",
            failures,
        ),
    ];
    Ok(comments(status, progress) + &families.concat())
}

fn probe_label(probe: &ProbeStatus) -> String {
    format!("probe=\"{}\"", escape(&probe.name))
}

fn failure(probe: &ProbeStatus, with_request_ids: bool) -> Option<(String, f64)> {
    result(probe)?;
    let episode = probe.episode.as_ref()?;
    let (reason, code) = (episode.failure.reason, episode.failure.code_label());
    let mut labels = format!("{{{},reason=\"{reason}\",code=\"{code}\"", probe_label(probe));
    if with_request_ids {
        let request_id = episode.request_id.as_ref().map(RequestId::as_str).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(labels, ",request_id=\"{}\"", escape(request_id));
    }
    labels.push('}');
    Some((labels, 1.0))
}

/// The text of one metric. A sample consists of its labels and its value.
fn family(name: &str, help: &str, samples: impl IntoIterator<Item = (String, f64)>) -> String {
    let head = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
    let lines = samples.into_iter().map(|(labels, value)| format!("{name}{labels} {value}\n"));
    std::iter::once(head).chain(lines).collect()
}

/// For people. Prometheus ignores them, so the request ID of each run makes no new series.
fn comments(status: &KeyStatus, progress: Progress) -> String {
    let mut text = format!("# state: {}\n", status.persisted.state);
    if progress == Progress::StillRunning {
        text.push_str("# the probes still run; these are the results of the runs before\n");
    }
    for probe in &status.probes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# {}", line(probe));
    }
    text
}

fn not_probed(status: &KeyStatus, progress: Progress) -> String {
    let mut text = match progress {
        Progress::StillRunning => "no result yet: the probes still run; ask again\n".to_owned(),
        Progress::UpToDate | Progress::Ran => "not probed: no probe of this key has a result\n".to_owned(),
    };
    let _ = writeln!(text, "state: {}", status.persisted.state);
    if status.probes.is_empty() {
        text.push_str("no probe is configured for this key\n");
    }
    for probe in &status.probes {
        let _ = writeln!(text, "{}", line(probe));
    }
    text
}

/// What is known of a probe, in one line.
fn line(probe: &ProbeStatus) -> String {
    let name = single_line(&probe.name);
    if let Some(skip) = probe.last_skip {
        return format!("{name}: skipped, reason {skip}");
    }
    let Some(last) = &probe.last else { return format!("{name}: has not run yet") };
    let mut text = match &last.failure {
        None => format!("{name}: success"),
        Some(failure) => {
            let code = failure.code.as_ref().map(|code| format!(", code {}", code.as_str()));
            format!("{name}: failure, reason {}{}", failure.reason, code.unwrap_or_default())
        }
    };
    if let Some(code) = last.status {
        let _ = write!(text, ", HTTP {code}");
    }
    if let Some(request_id) = &last.request_id {
        let _ = write!(text, ", request_id {}", request_id.as_str());
    }
    text
}

/// Names come from the configuration and may contain line breaks, which would end a comment.
fn single_line(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// The run step by step, for `debug=true`.
pub(super) fn steps(
    status: &KeyStatus,
    progress: Progress,
    verdict: &Verdict,
    credential: Option<&str>,
) -> String {
    let progress = match progress {
        Progress::UpToDate => "No probe ran for this request: the results below are recent enough.",
        Progress::Ran => "The probes whose results were out of date ran.",
        Progress::StillRunning => "The probes still run; these are the results of the runs before.",
    };
    let mut text = format!("{progress}\n");
    let credential = credential.unwrap_or("in use by a probe that runs now");
    let _ = writeln!(text, "Credential: {}", single_line(credential));
    if let Some(problem) = &status.credential_problem {
        let _ = writeln!(text, "Credential problem: {}", single_line(&problem.text));
    }
    for probe in &status.probes {
        let _ = writeln!(text, "\n{}", line(probe));
        if let Some(last) = &probe.last {
            write_run(&mut text, last);
        }
    }
    let _ = writeln!(text, "\nKey state: {}", status.persisted.state);
    let _ = writeln!(text, "Verdict: {}", single_line(&verdict.summary));
    if let Some(action) = &verdict.action {
        let _ = writeln!(text, "To do: {}", single_line(action));
    }
    text
}

fn write_run(text: &mut String, last: &LastProbe) {
    let _ = writeln!(text, "  ended {}", rfc3339::millis(last.finished));
    if last.phases.total().is_zero() {
        text.push_str("  nothing was sent\n");
    }
    let reached = last.phases.last_reached();
    for (phase, duration) in last.phases.iter().filter(|(phase, _)| Some(*phase) <= reached) {
        let _ = writeln!(text, "  {phase}: {:.6} s", duration.as_secs_f64());
    }
    if let Some(failure) = &last.failure {
        let code = failure.code.as_ref().map_or("none", ErrorCode::as_str);
        let _ = writeln!(text, "  failed: {} (code: {code})", single_line(&failure.detail));
    }
}
