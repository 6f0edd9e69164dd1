//! What is asked for, the steps it takes, and what the answers must be.

use anode_net::http::Method;

use crate::response::Answer;

/// What a load measures as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    /// `PutObject`
    Put,
    /// `GetObject`
    Get,
    /// `HeadObject`
    Head,
    /// `DeleteObject`
    Delete,
    /// `ListObjectsV2`
    List,
    /// A whole multipart upload
    Multipart,
}

impl Operation {
    /// As in a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::List => "list",
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
}

/// An upload under way.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) id: String,
    /// Of the parts so far.
    pub(crate) etags: Vec<String>,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The operation has the next request to send.
    Continue(Box<Job>),
    /// The operation succeeded.
    Done,
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
            | (Step::Only, Operation::Put | Operation::Multipart) => Method::Put,
            (Step::Only, Operation::Get | Operation::List) => Method::Get,
            (Step::Only, Operation::Head) => Method::Head,
            (Step::Only, Operation::Delete) => Method::Delete,
        }
    }

    /// Judges the answer. `part_bytes` is the part size of uploads; `absence_allowed` whether a key may be absent.
    pub(crate) fn judge(&self, answer: &Answer, part_bytes: u64, absence_allowed: bool) -> Verdict {
        let status = answer.response.status;
        let expected = match (&self.step, self.operation) {
            // Our own bucket, from an earlier load.
            (Step::Bucket, _) => status == 200 || status == 409,
            (Step::Only, Operation::Delete) => status == 204,
            (Step::Only, Operation::Get | Operation::Head) if status == 404 && absence_allowed => {
                return Verdict::Absent;
            }
            _ => status == 200,
        };
        if !expected {
            return Verdict::Failed(format!("{} {status} {}", self.what(), answer.error_code()));
        }
        self.follow(answer, part_bytes)
    }

    fn follow(&self, answer: &Answer, part_bytes: u64) -> Verdict {
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
                let done = upload.etags.len() as u64 * part_bytes >= self.size;
                self.continued(if done { Step::Complete(upload) } else { Step::Part(upload) })
            }
            // S3: CompleteMultipartUpload may answer 200 and then an error in the body.
            Step::Complete(_) if answer.element("ETag").is_some() => Verdict::Done,
            Step::Complete(_) => failed(&format!("200 {}", answer.error_code())),
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
            Step::Only => self.operation.name(),
        }
    }
}
