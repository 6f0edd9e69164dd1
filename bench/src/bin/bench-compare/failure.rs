//! What keeps a comparison, or a part of it, from being made.

/// One variant for each reaction.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Somebody wants it to end: nothing more is measured.
    #[error("interrupted; the results so far are kept")]
    Interrupted,
    /// The operating system refused something: nothing more is measured.
    #[error("{attempt}: {source}")]
    System {
        /// What was attempted.
        attempt: String,
        /// What it said.
        source: std::io::Error,
    },
    /// Something is not installed: named as not measured.
    #[error("not installed")]
    Absent,
    /// One server or one case failed: named as not measured, the others go on.
    #[error("{0}")]
    Case(String),
    /// At the end: what must have worked did not.
    #[error("not everything of anode was measured; the results say what")]
    Incomplete,
}

impl Failure {
    /// For `map_err`: a refusal of the operating system.
    pub(crate) fn system<E: Into<std::io::Error>>(
        attempt: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::System { attempt: attempt.into(), source: source.into() }
    }

    /// Ends it the whole comparison?
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Interrupted | Self::System { .. } | Self::Incomplete)
    }
}
