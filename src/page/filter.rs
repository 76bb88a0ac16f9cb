//! The filter of the keys. It is at the same place on every view, so that a filter moves nothing.

use maud::{Markup, html};
use strum::VariantArray as _;

use super::link;
use super::parts::{Tone, badge};
use crate::key_state::KeyState;
use crate::status::{Filter, Overview, Standing};

pub(super) fn bar(status: &Overview, filter: &Filter) -> Markup {
    html! {
        section #filter.bar aria-label="Filter the keys" {
            (form(filter))
            div #states data-live { (states(status, filter)) }
        }
    }
}

fn form(filter: &Filter) -> Markup {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    html! {
        form.filter action=(link("", &[])) method="get" role="search" aria-label="Filter the keys" {
            label { "State"
                select #filter-state name="state" {
                    option value="" { "any" }
                    @for state in KeyState::VARIANTS {
                        option value=(state) selected[filter.state == Some(*state)] { (state) }
                    }
                }
            }
            label { "Partner" input #filter-partner type="search" name="partner" value=(text(&filter.partner)); }
            label { "Key or label" input #filter-name type="search" name="name" value=(text(&filter.name)); }
            button type="submit" { "Filter" }
            @if *filter != Filter::default() { a href=(link("", &[])) { "Clear" } }
        }
    }
}

/// The numbers of keys, as links that filter by them.
fn states(status: &Overview, filter: &Filter) -> Markup {
    let with = |state: Option<KeyState>, standing: Option<Standing>| {
        place(&Filter { state, standing, ..filter.clone() }, 1)
    };
    let is_all = filter.state.is_none() && filter.standing.is_none();
    let needs = Some(Standing::NeedsSomeone);
    html! {
        nav.states aria-label="Keys by state" {
            a href=(with(None, None)) aria-current=[is_all.then_some("true")] {
                (status.key_states.values().sum::<usize>()) " in total"
            }
            a href=(with(None, needs)) aria-current=[(filter.standing == needs).then_some("true")] { "need someone" }
            @for (state, count) in &status.key_states {
                a href=(with(Some(*state), None)) aria-current=[(filter.state == Some(*state)).then_some("true")] {
                    (count) " " (badge(Tone::of_key(*state), state.into_str()))
                }
            }
        }
    }
}

/// A link to the list with this filter, or to another page of it.
pub(super) fn place(filter: &Filter, page: usize) -> String {
    let page = if page > 1 { page.to_string() } else { String::new() };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let state = filter.state.map_or("", |state| state.into_str());
    let standing = filter.standing.map_or("", |standing| standing.into_str());
    let (partner, name) = (text(&filter.partner), text(&filter.name));
    link(
        "",
        &[("state", state), ("standing", standing), ("partner", &partner), ("name", &name), ("page", &page)],
    )
}
