//! What a request asks of S3, and how S3 answers: names, operations, conditions, headers, XML, errors.
//!
//! A request is understood in two steps, because authorization lies between them: [`route`] says
//! which operation on which bucket and key, [`Routed::operation`] reads its parameters. Nothing
//! here does I/O, knows a clock or decides who may do what.

pub mod limits;
pub mod error;
pub mod request;
pub mod query;
pub mod address;
pub mod operation;
pub mod parameters;
pub mod version;
pub mod listing;
pub mod copy;
pub mod headers;
pub mod form;
pub mod post_policy;
pub mod unsupported;
pub mod checksums;
pub mod etag;
pub mod conditions;
pub mod not_configured;
pub mod configuration;
pub mod tags;
pub mod acl;
pub mod lock;
pub mod encryption;
pub mod xml;

pub use error::{Error, ErrorCode};
pub use form::Form;
pub use operation::{Operation, Routed, route};
pub use post_policy::PostPolicy;
pub use request::{Headers, Request};
