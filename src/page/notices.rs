//! The problems of the exporter itself: its configuration, its disk, its files.

use maud::{Markup, html};

use super::parts::{ago, since};
use super::{Reader, say};
use crate::status::{ExporterView, Overview};

/// The number of unreadable credentials in the list.
const CREDENTIALS_SHOWN: usize = 5;

/// The section is always there, because a refresh replaces the sections that exist.
pub(super) fn section(status: &Overview, reader: Reader) -> Markup {
    let (exporter, reader) = (&status.exporter, reader);
    let has_problem = exporter.reload_failure.is_some()
        || exporter.storage_failure.is_some()
        || exporter.restore_failure.is_some()
        || !exporter.unreadable_credentials.is_empty();
    html! {
        section #exporter.card.problem[has_problem] hidden[!has_problem] data-live aria-label=(say!(reader, "exporter-problems")) {
            (reload_failure(exporter, reader))
            (storage_failure(exporter, reader))
            (restore_failure(exporter, reader))
            (unreadable_credentials(exporter, reader))
        }
    }
}

fn reload_failure(exporter: &ExporterView, reader: Reader) -> Markup {
    html! {
        @if let Some(failure) = &exporter.reload_failure {
            div #reload {
                p { strong { (say!(reader, "not-reloaded")) } " " (ago(failure.at, reader)) }
                p { (say!(reader, "correct-this")) }
                // It can have a line for each key: the list scrolls, so that the keys stay in sight.
                pre #reload-errors lang="en" tabindex="0" role="region" aria-label=(say!(reader, "config-errors")) { (failure.error) }
            }
        }
    }
}

fn storage_failure(exporter: &ExporterView, reader: Reader) -> Markup {
    html! {
        @if let Some(failure) = &exporter.storage_failure {
            div #storage {
                p { strong { (say!(reader, "not-saved")) } " " (since(failure.since, true, reader)) }
                p {
                    (say!(reader, "not-saved-action")) " "
                    span lang="en" { (failure.error) } "."
                }
            }
        }
    }
}

fn restore_failure(exporter: &ExporterView, reader: Reader) -> Markup {
    html! {
        @if let Some(failure) = &exporter.restore_failure {
            div #restore {
                p { strong { (say!(reader, "not-restored")) } " " (since(failure.since, true, reader)) }
                p {
                    (say!(reader, "not-restored-action")) " "
                    span lang="en" { (failure.error) } "."
                }
            }
        }
    }
}

fn unreadable_credentials(exporter: &ExporterView, reader: Reader) -> Markup {
    let total = exporter.unreadable_credentials_total;
    html! {
        @if total > 0 {
            div #credentials {
                p { strong { (say!(reader, "credentials-unreadable", number = total)) } }
                ul {
                    @for credential in exporter.unreadable_credentials.iter().take(CREDENTIALS_SHOWN) {
                        li {
                            @match &credential.key {
                                Some(key) => {
                                    a href=(reader.link("key", &[("partner", &credential.partner), ("key", key)])) { (key) }
                                    " " span.partner { (credential.partner) }
                                }
                                None => a href=(reader.link("", &[("partner", &credential.partner)])) { (credential.partner) },
                            }
                            ": " span lang="en" { (credential.error) } ". "
                            @if credential.last_value_serves { (say!(reader, "last-value-serves")) }
                            @else { (say!(reader, "nothing-can-be-sent")) }
                        }
                    }
                }
                @let more = total.saturating_sub(CREDENTIALS_SHOWN);
                @if more > 0 { p.faint { (say!(reader, "and-more", number = more)) } }
            }
        }
    }
}
