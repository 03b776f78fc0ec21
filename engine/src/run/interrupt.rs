//! Why a call does not hand a value to the script: an error that the script may catch, or an end that it
//! may not.

use crate::error::CallError;
use crate::journal::StoreError;
use crate::secret::Vault;

/// Either of the two.
#[derive(Debug, Clone)]
pub(crate) enum Interrupt {
    /// The script may catch it.
    Failed(CallError),
    /// The run stops here, whatever the script says.
    Stop(Stop),
}

impl From<CallError> for Interrupt {
    fn from(error: CallError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Interrupt {
    fn from(error: StoreError) -> Self {
        Self::Stop(Stop::Store(error))
    }
}

impl From<Stop> for Interrupt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Why a run stops without the script having a say.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    /// A person cancelled it: undo runs, and the run has ended.
    Cancelled,
    /// The process was told to leave at once: the run can be resumed.
    Abandoned,
    /// It needs a person: an approval, an unknown outcome, a lifted halt. It can be resumed.
    Waiting(CallError),
    /// A rule refuses it (capability, protected target, a limit). The run has failed.
    Refused(CallError),
    /// The script is not the one the journal was written with. Nothing was done; it can be resumed.
    Mismatch(CallError),
    /// The journal cannot be written. It can be resumed when it can.
    Store(StoreError),
    /// A replay came to the end of what was recorded.
    EndOfJournal,
}

impl Stop {
    /// True where only this branch of the script ends: others come to their own end first.
    pub(crate) const fn is_of_a_branch(&self) -> bool {
        matches!(self, Self::Waiting(_) | Self::EndOfJournal)
    }

    /// As it leaves the run: no secret in what people are told.
    pub(super) fn masked(self, vault: &Vault) -> Self {
        let masked = |error: CallError| CallError {
            message: vault.masked(&error.message),
            hint: error.hint.map(|hint| vault.masked(&hint)),
            ..error
        };
        match self {
            Self::Waiting(error) => Self::Waiting(masked(error)),
            Self::Refused(error) => Self::Refused(masked(error)),
            Self::Mismatch(error) => Self::Mismatch(masked(error)),
            other => other,
        }
    }

    /// The error as a person sees it.
    #[must_use]
    pub fn error(&self) -> CallError {
        use crate::codes;
        match self {
            Self::Cancelled => CallError::new(codes::CANCELLED, "the run was cancelled"),
            Self::Abandoned => CallError::new(codes::CANCELLED, "the run was left where it was"),
            Self::Waiting(error) | Self::Refused(error) | Self::Mismatch(error) => error.clone(),
            Self::Store(error) => {
                let told = CallError::new(error.code(), error.to_string());
                error.hint().map_or_else(|| told.clone(), |hint| told.clone().hint(hint))
            }
            Self::EndOfJournal => CallError::new(codes::MISMATCH, "the journal ends here"),
        }
    }
}
