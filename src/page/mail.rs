//! A mail to the customer about a key that is lost or waits, ready to be copied. It has no token and no secret.

use maud::{Markup, html};

use super::{Reader, say};
use crate::key_state::KeyState;
use crate::status::KeyView;

/// The section is always there, because a refresh replaces the sections that exist.
pub(super) fn to_the_customer(view: &KeyView, reader: Reader) -> Markup {
    let text = text(view, reader);
    html! {
        section #mail.card hidden[text.is_none()] data-live aria-label=(say!(reader, "mail")) {
            @if let Some(text) = &text {
                details {
                    summary { (say!(reader, "mail")) }
                    pre.mail { (text) }
                }
            }
        }
    }
}

/// `None` for a state that is no problem of the customer's.
fn text(view: &KeyView, reader: Reader) -> Option<String> {
    let (key, date) = (view.key.to_string(), reader.date(view.since));
    let id = view.request_id().map_or_else(|| say!(reader, "mail-no-id"), str::to_owned);
    let body = match view.state {
        KeyState::Unknown | KeyState::Active => return None,
        KeyState::Pending => say!(reader, "mail-pending", key = key, date = date, id = id),
        KeyState::NotFound => say!(reader, "mail-not-found", key = key),
        KeyState::Revoked => say!(reader, "mail-revoked", key = key, date = date),
        KeyState::Disconnected => say!(reader, "mail-disconnected", key = key, date = date, id = id),
        KeyState::FolderNotFound => say!(reader, "mail-folder-not-found", key = key, date = date, id = id),
        KeyState::Invalid => say!(reader, "mail-invalid", key = key, date = date),
        KeyState::Forbidden => say!(reader, "mail-forbidden", key = key, date = date),
    };
    Some(format!("{}\n\n{body}\n\n{}", say!(reader, "mail-greeting"), say!(reader, "mail-end")))
}
