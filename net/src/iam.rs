//! The Query protocol of IAM and STS: a form names an action and its parameters, XML answers.
//!
//! "Making query requests" of the IAM User Guide; "Common errors" of both API references.

mod call;
mod error;

use bytes::Bytes;

pub use call::{Call, Tags};
pub use error::Error;

use crate::s3::xml::write::Document;

/// The longest body of a call: a policy of the longest, escaped, and what stands beside it.
pub const BODY_BYTES_MAX: usize = 128 << 10;

/// Which of the two an action is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// IAM: who there is.
    Iam,
    /// STS: sessions.
    Sts,
}

impl Service {
    /// Its name in the scopes of signatures and in actions.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }

    /// The namespace of its documents.
    fn namespace(self) -> &'static str {
        match self {
            Self::Iam => "https://iam.amazonaws.com/doc/2010-05-08/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }

    /// The body of an answer; `write` writes what is in the result.
    pub fn answer(
        self,
        action: &str,
        request_id: &str,
        write: impl FnOnce(&mut Document),
    ) -> Bytes {
        let (root, result) = (format!("{action}Response"), format!("{action}Result"));
        let mut document = Document::new();
        document.open_with(&root, &[("xmlns", self.namespace())]);
        document.open(&result);
        write(&mut document);
        document.close(&result);
        document.open("ResponseMetadata");
        document.text("RequestId", request_id);
        document.close("ResponseMetadata");
        document.close(&root);
        document.finish()
    }

    /// The body of a refusal.
    pub fn refusal(self, error: &Error, request_id: &str) -> Bytes {
        let mut document = Document::new();
        document.open_with("ErrorResponse", &[("xmlns", self.namespace())]);
        document.open("Error");
        document.text("Type", if error.status() < 500 { "Sender" } else { "Receiver" });
        document.text("Code", error.code());
        document.text("Message", error.message());
        document.close("Error");
        document.text("RequestId", request_id);
        document.close("ErrorResponse");
        document.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_refusals_are_the_protocol_s() {
        let answer = Service::Sts.answer("GetX", "r1", |document| document.text("A", "<b>"));
        assert_eq!(
            answer,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<GetXResponse \
             xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetXResult><A>&lt;b&gt;</A></GetXResult>\
             <ResponseMetadata><RequestId>r1</RequestId></ResponseMetadata></GetXResponse>"
        );
        let refusal = Service::Iam.refusal(&Error::no_such("user", "bob"), "r2");
        let text = std::str::from_utf8(&refusal).unwrap();
        assert!(text.contains("<Type>Sender</Type><Code>NoSuchEntity</Code>"), "{text}");
        assert!(text.contains("The user with name bob cannot be found."), "{text}");
    }
}
