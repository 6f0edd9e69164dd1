//! An error as a page for people: what a website answers.

use bytes::Bytes;

use super::{Error, ErrorContext};
use crate::http::reason;
use crate::s3::xml::write::Document;

/// What keeps the error's own page from being shown.
const DOCUMENT_FAILED: &str =
    "An Error Occurred While Attempting to Retrieve a Custom Error Document";

impl Error {
    /// The page of an error, and of another that came when its own page was looked for.
    pub fn to_html(&self, document_error: Option<&Self>, context: &ErrorContext<'_>) -> Bytes {
        let title = format!("{} {}", self.status(), reason(self.status()));
        let mut page = Document::html();
        page.open("html");
        page.open("head");
        page.text("title", &title);
        page.close("head");
        page.open("body");
        page.text("h1", &title);
        page.open("ul");
        self.items(&mut page);
        item(&mut page, "RequestId", context.request_id);
        item(&mut page, "HostId", context.host_id);
        page.close("ul");
        if let Some(error) = document_error {
            page.text("h3", DOCUMENT_FAILED);
            page.open("ul");
            error.items(&mut page);
            page.close("ul");
        }
        page.text("hr", "");
        page.close("body");
        page.close("html");
        page.finish()
    }

    fn items(&self, page: &mut Document) {
        item(page, "Code", self.code().name());
        item(page, "Message", self.message());
        for (name, value) in self.fields() {
            item(page, name, value);
        }
    }
}

fn item(page: &mut Document, name: &str, value: &str) {
    page.text("li", &format!("{name}: {value}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::ErrorCode;

    #[test]
    fn a_page_says_what_the_document_says_and_runs_nothing() {
        let context = ErrorContext { resource: "/", request_id: "R", host_id: "H" };
        let error = Error::no_such_key("<script>x</script>");
        let document_error = Error::new(ErrorCode::AccessDenied);
        let page = error.to_html(Some(&document_error), &context);
        assert_eq!(
            std::str::from_utf8(&page).unwrap(),
            "<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1><ul>\
             <li>Code: NoSuchKey</li><li>Message: The specified key does not exist.</li>\
             <li>Key: &lt;script&gt;x&lt;/script&gt;</li><li>RequestId: R</li><li>HostId: H</li></ul>\
             <h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\
             <ul><li>Code: AccessDenied</li><li>Message: Access Denied</li></ul><hr/></body></html>"
        );
    }
}
