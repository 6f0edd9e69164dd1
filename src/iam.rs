//! Who there is, and what they may do: accounts, their users, groups, roles and policies, and who proves to be one of them.
//!
//! The meta group keeps [`records`]; every shard's view of it has the [`directory`] that they make, ready for use.

pub mod api;
pub mod directory;
pub mod principal;
pub(crate) mod provider_keys;
pub mod records;
pub mod session;

pub use directory::Directory;
pub use principal::{Principal, Who};
