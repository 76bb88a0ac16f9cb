//! The filter of the keys. It is at the same place on every view, so that a filter moves nothing.

use maud::{Markup, html};
use strum::VariantArray as _;

use super::parts::{Tone, badge};
use super::{Reader, say, words};
use crate::key_state::KeyState;
use crate::status::{Filter, Overview, Standing};

pub(super) fn bar(status: &Overview, filter: &Filter, reader: Reader) -> Markup {
    html! {
        section #filter.bar aria-label=(say!(reader, "filter-the-keys")) {
            (form(filter, reader))
            div #states data-live { (states(status, filter, reader)) }
        }
    }
}

fn form(filter: &Filter, reader: Reader) -> Markup {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    html! {
        form.filter action="./" method="get" role="search" aria-label=(say!(reader, "filter-the-keys")) {
            label { (say!(reader, "state"))
                select #filter-state name="state" {
                    option value="" { (say!(reader, "any")) }
                    @for state in KeyState::VARIANTS {
                        option value=(state) selected[filter.state == Some(*state)] { (words::key_state(*state, reader)) }
                    }
                }
            }
            label { (say!(reader, "partner")) input #filter-partner type="search" name="partner" value=(text(&filter.partner)); }
            label { (say!(reader, "key-or-label")) input #filter-name type="search" name="name" value=(text(&filter.name)); }
            @if reader.is_chosen { input type="hidden" name="lang" value=(reader.language.into_str()); }
            button type="submit" { (say!(reader, "filter")) }
            @if *filter != Filter::default() { a href=(reader.link("", &[])) { (say!(reader, "clear")) } }
        }
    }
}

/// The numbers of keys, as links that filter by them.
fn states(status: &Overview, filter: &Filter, reader: Reader) -> Markup {
    let with = |state: Option<KeyState>, standing: Option<Standing>| {
        place(&Filter { state, standing, ..filter.clone() }, 1, reader)
    };
    let is_all = filter.state.is_none() && filter.standing.is_none();
    let needs = Some(Standing::NeedsSomeone);
    html! {
        nav.states aria-label=(say!(reader, "keys-by-state")) {
            a href=(with(None, None)) aria-current=[is_all.then_some("true")] {
                (status.key_states.values().sum::<usize>()) " " (say!(reader, "in-total"))
            }
            a href=(with(None, needs)) aria-current=[(filter.standing == needs).then_some("true")] {
                (say!(reader, "need-someone", keys = status.needing))
            }
            @for (state, count) in &status.key_states {
                a href=(with(Some(*state), None)) aria-current=[(filter.state == Some(*state)).then_some("true")] {
                    (count) " " (badge(Tone::of_key(*state), &words::key_state(*state, reader)))
                }
            }
        }
    }
}

/// A link to the list with this filter, or to another page of it.
pub(super) fn place(filter: &Filter, page: usize, reader: Reader) -> String {
    let page = if page > 1 { page.to_string() } else { String::new() };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let state = filter.state.map_or("", |state| state.into_str());
    let standing = filter.standing.map_or("", |standing| standing.into_str());
    let (partner, name) = (text(&filter.partner), text(&filter.name));
    reader.link(
        "",
        &[("state", state), ("standing", standing), ("partner", &partner), ("name", &name), ("page", &page)],
    )
}
