//! What keeps a load from being run at all.

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments contradict each other or a limit.
    #[error("{0}")]
    Arguments(String),
    /// The operating system refused something.
    #[error("{attempt}: {source}")]
    System {
        /// What was attempted.
        attempt: &'static str,
        /// What it said.
        source: std::io::Error,
    },
    /// The bucket or the objects to be loaded couldn't be made.
    #[error("preparing failed: {0}")]
    Preparation(String),
    /// The connections couldn't be kept up.
    #[error("the load ended early: {0}")]
    BrokenOff(String),
    /// The report says which.
    #[error("requests have failed")]
    Requests,
}

impl Failure {
    /// For `map_err`: a refusal of the operating system.
    pub(crate) fn system<E: Into<std::io::Error>>(attempt: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System { attempt, source: source.into() }
    }
}
