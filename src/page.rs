//! Renders the views of the status as HTML pages.
//!
//! `maud` escapes every text: names come from the configuration and details from the network, and neither is
//! trusted. The pages have no inline style and no inline script, so that the content security policy can forbid
//! both.

mod api;
mod attention;
mod changes;
mod chart;
mod filter;
mod headline;
mod key;
mod keys;
mod notices;
mod overview;
mod partners;
mod parts;
#[cfg(test)]
mod tests;

use maud::{DOCTYPE, Markup, html};

pub(crate) use key::key;
pub(crate) use overview::{Listing, overview};

/// A file that the pages load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asset {
    /// The name below `/static/`.
    pub name: &'static str,
    pub media_type: &'static str,
    pub content: &'static str,
}

const STYLE: Asset = Asset {
    name: "style.css",
    media_type: "text/css; charset=utf-8",
    content: include_str!("page/style.css"),
};
/// Refreshes the pages and copies request IDs. The pages work without it.
const SCRIPT: Asset = Asset {
    name: "status.js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("page/status.js"),
};
/// The icon in the browser's tab.
const ICON: Asset =
    Asset { name: "icon.svg", media_type: "image/svg+xml", content: include_str!("page/icon.svg") };

pub(crate) const ASSETS: [Asset; 3] = [STYLE, SCRIPT, ICON];

/// The frame of every page: head, header and footer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Changes whenever an asset changes, so that browsers do not use an old one.
    pub edition: &'static str,
}

/// A link with the parameters that have a value. It is relative, so that it works below any path prefix, also
/// one that a proxy adds: all pages are in the same directory.
fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    let separator = if query.is_empty() { "" } else { "?" };
    format!("./{path}{separator}{query}")
}

impl Frame {
    fn asset(self, asset: Asset) -> String {
        format!("./static/{}?v={}", asset.name, self.edition)
    }

    fn page(self, title: &str, content: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) " · myunisoft-exporter" }
                    link rel="icon" href=(self.asset(ICON)) type="image/svg+xml";
                    link rel="stylesheet" href=(self.asset(STYLE));
                    script src=(self.asset(SCRIPT)) defer {}
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    (self.header())
                    main #content { (content) }
                    (Self::footer())
                }
            }
        }
    }

    fn header(self) -> Markup {
        html! {
            header {
                a.brand href=(link("", &[])) {
                    img src=(self.asset(ICON)) alt="" width="24" height="24";
                    "myunisoft-exporter"
                }
                // Hidden until the script shows it: it is useless without JavaScript.
                div #refresh hidden {
                    span #refreshed role="status" {}
                    button #pause type="button" aria-pressed="false" { "Pause" }
                }
            }
        }
    }

    fn footer() -> Markup {
        let links = [
            ("metrics", "Metrics"),
            ("api/v1/status", "JSON"),
            ("sd", "Service discovery"),
            ("-/healthy", "Health"),
            ("-/ready", "Readiness"),
        ];
        html! {
            footer {
                nav aria-label="Endpoints" {
                    @for (path, name) in links { a href=(link(path, &[])) { (name) } }
                }
                p { "myunisoft-exporter " (crate::version::VERSION) }
            }
        }
    }
}

/// A page with an error message only.
pub(crate) fn error_page(frame: Frame, text: &str) -> Markup {
    frame.page(
        "Error",
        &html! {
            section.card {
                h1 { "This page cannot be shown" }
                p { (text) }
                p { a href=(link("", &[])) { "All keys" } }
            }
        },
    )
}
