//! The problems of the exporter itself: its configuration, its disk, its files.

use std::time::SystemTime;

use maud::{Markup, html};

use super::link;
use super::parts::{ago, since};
use crate::status::{ExporterView, Overview};

/// The number of unreadable credentials in the list.
const CREDENTIALS_SHOWN: usize = 5;

/// The section is always there, because a refresh replaces the sections that exist.
pub(super) fn section(status: &Overview) -> Markup {
    let (exporter, now) = (&status.exporter, status.now);
    let has_problem = exporter.reload_failure.is_some()
        || exporter.storage_failure.is_some()
        || !exporter.unreadable_credentials.is_empty();
    html! {
        section #exporter.card.problem[has_problem] hidden[!has_problem] data-live aria-label="Problems of this exporter" {
            (reload_failure(exporter, now))
            (storage_failure(exporter, now))
            (unreadable_credentials(exporter))
        }
    }
}

fn reload_failure(exporter: &ExporterView, now: SystemTime) -> Markup {
    html! {
        @if let Some(failure) = &exporter.reload_failure {
            div #reload {
                p { strong { "The configuration was not reloaded." } " " (ago(failure.at, now)) }
                p { "The previous configuration stays in use. Correct this:" }
                // It can have a line for each key: the list scrolls, so that the keys stay in sight.
                pre #reload-errors tabindex="0" role="region" aria-label="Errors of the configuration" { (failure.error) }
            }
        }
    }
}

fn storage_failure(exporter: &ExporterView, now: SystemTime) -> Markup {
    html! {
        @if let Some(failure) = &exporter.storage_failure {
            div #storage {
                p { strong { "The states cannot be saved to disk." } " " (since(failure.since, now)) }
                p {
                    "A restart now would forget what changed since then. Check the space and the permissions of the storage directory: "
                    (failure.error) "."
                }
            }
        }
    }
}

fn unreadable_credentials(exporter: &ExporterView) -> Markup {
    let total = exporter.unreadable_credentials_total;
    html! {
        @if total > 0 {
            div #credentials {
                p { strong { @if total == 1 { "One credential cannot be read." } @else { (total) " credentials cannot be read." } } }
                ul {
                    @for credential in exporter.unreadable_credentials.iter().take(CREDENTIALS_SHOWN) {
                        li {
                            @match &credential.key {
                                Some(key) => {
                                    a href=(link("key", &[("partner", &credential.partner), ("key", key)])) { (key) }
                                    " " span.partner { (credential.partner) }
                                }
                                None => a href=(link("", &[("partner", &credential.partner)])) { (credential.partner) },
                            }
                            ": " (credential.error)
                        }
                    }
                }
                @if total > CREDENTIALS_SHOWN { p.faint { "And " (total - CREDENTIALS_SHOWN) " more: see the JSON." } }
            }
        }
    }
}
