//! Where to click in MyUnisoft, in the words of its screens.

use crate::language::{Language, text};
use crate::partner_api::Access;

/// Where the key's token comes from. It decides where a new one is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenOrigin {
    /// A permanent token for one society.
    Society,
    /// A permanent token for a whole firm.
    Firm,
    /// A log-in of an API Cabinet account.
    Login,
}

impl TokenOrigin {
    pub(crate) const fn new(access: Access, has_login: bool) -> Self {
        match (access, has_login) {
            (_, true) => Self::Login,
            (Access::Society, false) => Self::Society,
            (Access::Firm, false) => Self::Firm,
        }
    }

    /// The screen with the partner's card, on which keys are made and ended.
    pub(super) const fn screen(self) -> &'static str {
        match self {
            Self::Society => "Paramètres > Connecteurs dossier",
            Self::Firm | Self::Login => "Paramètres > Connecteurs cabinet",
        }
    }

    /// How to get another token; the end of a sentence.
    pub(super) fn new_token(self, language: Language) -> String {
        match self {
            Self::Society | Self::Firm => text!(language, "new-token", screen = self.screen()),
            Self::Login => text!(language, "new-token-of-login"),
        }
    }

    /// Where MyUnisoft shows the key's own requests; a whole sentence.
    pub(super) fn journal(self, language: Language) -> String {
        text!(language, "journal", screen = self.screen())
    }
}
