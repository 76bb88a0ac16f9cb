//! The pages that people look at: views of the status in, HTML out. Pure.
//!
//! Every text goes through `maud`, which escapes it: names come from the configuration and details from
//! the network, and none of them is trusted. No style and no script stands in a page itself, so that the
//! policy of [`door`](crate::door) can forbid both.

mod api;
mod chart;
mod key;
mod overview;
mod parts;

use maud::{DOCTYPE, Markup, html};

pub use key::key;
pub use overview::{Listing, overview};

/// A file that the pages load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its name below `/static/`.
    pub name: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// The file.
    pub content: &'static str,
}

/// How the pages look, in daylight and in the dark, on a desk and on a phone.
const STYLE: Asset = Asset {
    name: "style.css",
    media_type: "text/css; charset=utf-8",
    content: include_str!("page/style.css"),
};
/// What they do with JavaScript: refresh themselves, and copy.
const SCRIPT: Asset = Asset {
    name: "status.js",
    media_type: "text/javascript; charset=utf-8",
    content: include_str!("page/status.js"),
};
/// The sign in the browser's tab.
const ICON: Asset =
    Asset { name: "icon.svg", media_type: "image/svg+xml", content: include_str!("page/icon.svg") };

/// All of them.
pub const ASSETS: [Asset; 3] = [STYLE, SCRIPT, ICON];

/// What all pages of a site share.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// What tells this version's assets from the next one's.
    pub edition: &'static str,
}

/// Where something is, with parameters; those without a value are left out. `path` is relative: all pages
/// stand side by side, wherever they are mounted and whatever a proxy before them calls that place.
fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("./{path}{mark}{query}")
}

impl Frame {
    fn asset(self, asset: Asset) -> String {
        format!("./static/{}?v={}", asset.name, self.edition)
    }

    /// A whole page.
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
                // Of use with JavaScript alone, which shows it.
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
                p { "myunisoft-exporter " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
}

/// A page that says what can't be shown.
pub fn error_page(frame: Frame, text: &str) -> Markup {
    frame.page(
        "Nothing to show",
        &html! {
            section.card {
                h1 { "This can't be shown" }
                p { (text) }
                p { a href=(link("", &[])) { "All keys" } }
            }
        },
    )
}
