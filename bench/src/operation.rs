//! What is asked for, the steps it takes, and what the answers must be.

use anode_net::http::Method;

use crate::listing::{Listing, Scrutiny};
use crate::response::Answer;

/// What a load measures as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Operation {
    /// `PutObject`
    Put,
    /// `PutObject` of a new key
    Insert,
    /// `GetObject`
    Get,
    /// `HeadObject`
    Head,
    /// `DeleteObject`
    Delete,
    /// `ListObjectsV2`
    List,
    /// A page of a listing from the beginning to the end
    #[value(skip)]
    ListAll,
    /// A whole multipart upload
    Multipart,
}

impl Operation {
    /// As in a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Insert => "insert",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::List => "list",
            Self::ListAll => "list-all",
            Self::Multipart => "multipart",
        }
    }
}

/// One operation on one key.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) operation: Operation,
    /// Which key.
    pub(crate) number: u64,
    /// The object's size in bytes.
    pub(crate) size: u64,
    pub(crate) step: Step,
}

/// Which request of an operation.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// `CreateBucket`, before a load.
    Bucket,
    /// The only request.
    Only,
    /// `CreateMultipartUpload`.
    Create,
    /// `UploadPart`.
    Part(Upload),
    /// `CompleteMultipartUpload`.
    Complete(Upload),
    /// `ListObjectsV2`, page after page.
    Page(Listing),
}

/// An upload under way.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) id: String,
    /// Of the parts so far.
    pub(crate) etags: Vec<String>,
}

/// What answers are judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The part size of uploads, in bytes.
    pub(crate) part_bytes: u64,
    /// May the key of a GET or HEAD be absent?
    pub(crate) absence_allowed: bool,
    /// Of full listings.
    pub(crate) scrutiny: Scrutiny,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The operation has the next request to send.
    Continue(Box<Job>),
    /// The operation succeeded.
    Done,
    /// It was a page of so many entries, and there is perhaps a next one.
    Listed {
        /// Keys and common prefixes.
        entry_count: u64,
        /// The next page's request.
        next: Option<Box<Job>>,
    },
    /// GET or HEAD of a key that may be absent and is.
    Absent,
    /// The operation failed, by this kind of failure.
    Failed(String),
}

impl Job {
    /// The method of its request.
    pub(crate) fn method(&self) -> Method {
        match (&self.step, self.operation) {
            (Step::Create | Step::Complete(_), _) => Method::Post,
            (Step::Bucket | Step::Part(_), _)
            | (Step::Only, Operation::Put | Operation::Insert | Operation::Multipart) => {
                Method::Put
            }
            (Step::Page(_), _)
            | (Step::Only, Operation::Get | Operation::List | Operation::ListAll) => Method::Get,
            (Step::Only, Operation::Head) => Method::Head,
            (Step::Only, Operation::Delete) => Method::Delete,
        }
    }

    /// Judges the answer.
    pub(crate) fn judge(&self, answer: &Answer, rules: &Rules) -> Verdict {
        let status = answer.response.status;
        let expected = match (&self.step, self.operation) {
            // Our own bucket, from an earlier load.
            (Step::Bucket, _) => status == 200 || status == 409,
            (Step::Only, Operation::Delete) => status == 204,
            (Step::Only, Operation::Get | Operation::Head)
                if status == 404 && rules.absence_allowed =>
            {
                return Verdict::Absent;
            }
            _ => status == 200,
        };
        if !expected {
            return Verdict::Failed(format!("{} {status} {}", self.what(), answer.error_code()));
        }
        self.follow(answer, rules)
    }

    fn follow(&self, answer: &Answer, rules: &Rules) -> Verdict {
        let failed = |why: &str| Verdict::Failed(format!("{} {why}", self.what()));
        match &self.step {
            Step::Only if !answer.matches => failed("has the wrong content"),
            Step::Bucket | Step::Only => Verdict::Done,
            Step::Create => match answer.element("UploadId") {
                Some(id) => self.continued(Step::Part(Upload { id, etags: Vec::new() })),
                None => failed("answered without an UploadId"),
            },
            Step::Part(upload) => {
                let Some(etag) = answer.response.header("etag") else {
                    return failed("answered without an ETag");
                };
                let mut upload = upload.clone();
                upload.etags.push(etag.to_owned());
                let done = upload.etags.len() as u64 * rules.part_bytes >= self.size;
                self.continued(if done { Step::Complete(upload) } else { Step::Part(upload) })
            }
            // S3: CompleteMultipartUpload may answer 200 and then an error in the body.
            Step::Complete(_) if answer.element("ETag").is_some() => Verdict::Done,
            Step::Complete(_) => failed(&format!("200 {}", answer.error_code())),
            Step::Page(listing) => match listing.follow(&answer.body, rules.scrutiny) {
                Ok(page) => Verdict::Listed {
                    entry_count: page.entry_count,
                    next: page.next.map(|next| Box::new(Self { step: Step::Page(next), ..*self })),
                },
                Err(why) => failed(why),
            },
        }
    }

    fn continued(&self, step: Step) -> Verdict {
        Verdict::Continue(Box::new(Self { step, ..*self }))
    }

    /// Names its request in a failure.
    pub(crate) fn what(&self) -> &'static str {
        match &self.step {
            Step::Bucket => "CreateBucket",
            Step::Create => "CreateMultipartUpload",
            Step::Part(_) => "UploadPart",
            Step::Complete(_) => "CompleteMultipartUpload",
            Step::Only | Step::Page(_) => self.operation.name(),
        }
    }
}
