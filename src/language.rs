//! The languages of the page and of the texts in its JSON, and the messages in each language.
//!
//! The messages are in `i18n/<language>/myunisoft-exporter.ftl`. The macro [`text!`] checks at compile time that a message
//! exists and that its arguments are given.

use std::borrow::Cow;
use std::sync::LazyLock;

use i18n_embed::fluent::FluentLanguageLoader;
use i18n_embed::{I18nAssets, LanguageLoader as _};
use strum::{EnumString, IntoStaticStr, VariantArray};
use unic_langid::LanguageIdentifier;
use unic_langid::subtags::Language as Subtag;

/// A language of the texts that people read. Logs, metrics and the command line are in English only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(const_into_str)]
pub(crate) enum Language {
    #[default]
    #[strum(serialize = "en")]
    English,
    #[strum(serialize = "fr")]
    French,
}

/// A message in a language, as a `String`: `text!(language, "id", argument = value)`.
macro_rules! text {
    ($language:expr, $id:literal $(, $name:ident = $value:expr)* $(,)?) => {
        i18n_embed_fl::fl!($language.messages(), $id $(, $name = $value)*)
    };
}
pub(crate) use text;

/// The name of the file that has a language's messages.
const FILE: &str = "myunisoft-exporter.ftl";

/// The files with the messages, in the binary.
struct Files;

static ENGLISH: LazyLock<FluentLanguageLoader> = LazyLock::new(|| loader(Language::English));
static FRENCH: LazyLock<FluentLanguageLoader> = LazyLock::new(|| loader(Language::French));

impl Language {
    /// The language with this code.
    pub(crate) fn named(code: &str) -> Option<Self> {
        code.trim().parse().ok()
    }

    /// The language that the header `Accept-Language` prefers; English if it names none of them.
    pub(crate) fn negotiate(header: Option<&str>) -> Self {
        header.and_then(preferred).unwrap_or_default()
    }

    /// The messages of this language.
    pub(crate) fn messages(self) -> &'static FluentLanguageLoader {
        match self {
            Self::English => &ENGLISH,
            Self::French => &FRENCH,
        }
    }

    /// What its speakers call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::French => "Français",
        }
    }

    const fn file(self) -> &'static str {
        match self {
            Self::English => include_str!("../i18n/en/myunisoft-exporter.ftl"),
            Self::French => include_str!("../i18n/fr/myunisoft-exporter.ftl"),
        }
    }

    fn identifier(self) -> LanguageIdentifier {
        // The codes are subtags, so the default is never used.
        let subtag: Subtag = self.into_str().parse().unwrap_or_default();
        LanguageIdentifier::from_parts(subtag, None, None, &[])
    }
}

/// The known language with the highest quality in an `Accept-Language`; the first one of equal ones.
fn preferred(header: &str) -> Option<Language> {
    // One range at a time: the library sorts the ranges by quality, and a quality that is not a number has no order.
    let ranges = header.split(',').flat_map(accept_language::parse_with_quality);
    let mut best: Option<(Language, f32)> = None;
    for (range, quality) in ranges {
        let primary = range.split('-').next().unwrap_or_default().to_ascii_lowercase();
        let Ok(language) = primary.parse() else { continue };
        if quality > best.map_or(0.0, |(_, quality)| quality) {
            best = Some((language, quality));
        }
    }
    best.map(|(language, _)| language)
}

fn loader(language: Language) -> FluentLanguageLoader {
    let loader = FluentLanguageLoader::new("myunisoft-exporter", Language::English.identifier());
    // Cannot fail: the tests load these files too.
    let _ = loader.load_languages(&Files, &[language.identifier()]);
    // The marks around arguments are for text of both directions; they would get into what people copy.
    loader.set_use_isolating(false);
    loader
}

impl I18nAssets for Files {
    fn get_files(&self, path: &str) -> Vec<Cow<'_, [u8]>> {
        let of = |language: &&Language| path == format!("{}/{FILE}", language.into_str());
        Language::VARIANTS.iter().filter(of).map(|language| language.file().as_bytes().into()).collect()
    }

    fn filenames_iter(&self) -> Box<dyn Iterator<Item = String> + '_> {
        Box::new(Language::VARIANTS.iter().map(|language| format!("{}/{FILE}", language.into_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_decides_by_quality_and_then_by_order() {
        for (header, language) in [
            ("fr", Language::French),
            ("fr-FR,fr;q=0.9,en;q=0.8", Language::French),
            ("FR-ca", Language::French),
            ("en-GB,en;q=0.9,fr;q=0.8", Language::English),
            ("en;q=0.5, fr;q=0.7", Language::French),
            ("de, fr;q=0.1", Language::French),
            ("fr;q=0, en;q=0.1", Language::English),
            ("fr;q=0", Language::English),
            ("fro", Language::English),
            ("*", Language::English),
            ("", Language::English),
            ("fr;q=nan", Language::English),
        ] {
            assert_eq!(Language::negotiate(Some(header)), language, "{header}");
        }
        let hostile: Vec<_> = ["fr;q=nan", "en;q=1", "fr;q=0.1"].into_iter().cycle().take(100).collect();
        assert_eq!(Language::negotiate(Some(&hostile.join(","))), Language::English);
    }
}
