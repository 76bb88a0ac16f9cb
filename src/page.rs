//! Renders the views of the status as HTML pages.
//!
//! `maud` escapes every text: names come from the configuration and details from the network, and neither is
//! trusted. The pages have no inline style and no inline script, so that the content security policy can forbid
//! both.

mod api;
mod attention;
mod changes;
mod chart;
mod demo;
mod filter;
mod headline;
mod key;
mod keys;
mod mail;
mod notices;
mod overview;
mod partners;
mod parts;
#[cfg(test)]
mod tests;
mod words;

use std::time::{Duration, SystemTime};

use maud::{DOCTYPE, Markup, html};
use strum::VariantArray as _;

use crate::format;
use crate::language::{Language, text};

pub(crate) use demo::{Announcement, Moment};
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
    /// What the demo announces; `None` for every exporter that is not the demo.
    pub announcement: Option<Announcement>,
    pub language: Language,
    /// Whether the address of the page names the language. Then its links name it too.
    pub is_chosen: bool,
}

/// For whom and when a page is made.
#[derive(Clone, Copy, Debug)]
struct Reader {
    language: Language,
    /// Whether the links name the language.
    is_chosen: bool,
    now: SystemTime,
}

/// A message in the reader's language: `say!(reader, "id", argument = value)`.
macro_rules! say {
    ($reader:expr, $($message:tt)*) => { $crate::page::text!($reader.language, $($message)*) };
}
use say;

impl Reader {
    #[cfg(test)]
    const fn english() -> Self {
        Self { language: Language::English, is_chosen: false, now: SystemTime::UNIX_EPOCH }
    }

    #[cfg(test)]
    const fn french() -> Self {
        Self { language: Language::French, ..Self::english() }
    }

    /// A link with the parameters that have a value. It is relative, so that it works below any path prefix, also
    /// one that a proxy adds: all pages are in the same directory.
    fn link(self, path: &str, parameters: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters.iter().filter(|(_, value)| !value.is_empty()));
        if self.is_chosen {
            query.append_pair("lang", self.language.into_str());
        }
        let query = query.finish();
        let separator = if query.is_empty() { "" } else { "?" };
        format!("./{path}{separator}{query}")
    }

    /// A figure as this language writes it.
    fn number(self, text: String) -> String {
        match self.language {
            Language::English => text,
            Language::French => text.replace(',', " ").replace('.', ",").replace(' ', "\u{a0}"),
        }
    }

    fn percent(self, ratio: f64) -> String {
        self.number(format::percent(ratio))
    }

    fn latency(self, duration: Duration) -> String {
        self.number(format::latency(duration))
    }

    fn span(self, duration: Duration) -> String {
        let span = self.number(format::span(duration));
        match self.language {
            Language::English => span,
            Language::French => span.replace("\u{a0}d", "\u{a0}j"),
        }
    }

    /// How long something has lasted.
    fn since(self, start: SystemTime) -> String {
        self.span(self.now.duration_since(start).unwrap_or_default())
    }

    /// How long ago a time was, or how long it is until then.
    fn relative(self, time: SystemTime) -> String {
        match self.now.duration_since(time) {
            Ok(past) if past < Duration::from_secs(1) => say!(self, "just-now"),
            Ok(past) => say!(self, "ago", span = self.span(past)),
            Err(future) => say!(self, "in", span = self.span(future.duration())),
        }
    }

    fn time(self, time: SystemTime) -> String {
        format::localized_time(time, self.language)
    }

    fn date(self, time: SystemTime) -> String {
        match self.language {
            Language::English => format::date(time),
            Language::French => format::date(time).rsplit('-').collect::<Vec<_>>().join("/"),
        }
    }
}

impl Frame {
    fn asset(self, asset: Asset) -> String {
        format!("./static/{}?v={}", asset.name, self.edition)
    }

    const fn reader(self, now: SystemTime) -> Reader {
        Reader { language: self.language, is_chosen: self.is_chosen, now }
    }

    /// `path` and `parameters` are those of this page, for the links to it in the other languages.
    fn page(self, title: &str, content: &Markup, path: &str, parameters: &[(&str, &str)]) -> Markup {
        let reader = self.reader(SystemTime::UNIX_EPOCH);
        html! {
            (DOCTYPE)
            html lang=(self.language.into_str()) {
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
                    a.skip href="#content" { (say!(reader, "skip")) }
                    (self.header(reader, path, parameters))
                    @if let Some(announcement) = &self.announcement { (demo::banner(announcement, reader)) }
                    main #content { (content) }
                    (Self::footer(reader))
                }
            }
        }
    }

    fn header(self, reader: Reader, path: &str, parameters: &[(&str, &str)]) -> Markup {
        html! {
            header {
                a.brand href=(reader.link("", &[])) {
                    img src=(self.asset(ICON)) alt="" width="24" height="24";
                    "myunisoft-exporter"
                }
                nav.languages aria-label=(say!(reader, "languages")) {
                    @for language in Language::VARIANTS.iter().filter(|language| **language != self.language) {
                        a href=(Reader { language: *language, is_chosen: true, ..reader }.link(path, parameters))
                            lang=(language.into_str()) hreflang=(language.into_str()) { (language.name()) }
                    }
                }
                // Hidden until the script shows it: it is useless without JavaScript.
                div #refresh hidden {
                    span #refreshed role="status" {}
                    button #pause type="button" aria-pressed="false" { (say!(reader, "pause")) }
                }
            }
        }
    }

    fn footer(reader: Reader) -> Markup {
        let links = [
            ("metrics", say!(reader, "metrics")),
            ("api/v1/status", "JSON".to_owned()),
            ("sd", say!(reader, "service-discovery")),
            ("-/healthy", say!(reader, "health")),
            ("-/ready", say!(reader, "readiness")),
        ];
        html! {
            footer {
                nav aria-label=(say!(reader, "endpoints")) {
                    @for (path, name) in links { a href=(format!("./{path}")) { (name) } }
                }
                p { "myunisoft-exporter " (crate::version::VERSION) }
            }
        }
    }
}

/// A page with an error message only.
pub(crate) fn error_page(frame: Frame, text: &str) -> Markup {
    let reader = frame.reader(SystemTime::UNIX_EPOCH);
    frame.page(
        &say!(reader, "error"),
        &html! {
            section.card {
                h1 { (say!(reader, "not-shown")) }
                p { (text) }
                p { a href=(reader.link("", &[])) { (say!(reader, "all-keys")) } }
            }
        },
        "",
        &[],
    )
}
