//! The table of error codes: name, HTTP status, the message when there's nothing better to say.
//!
//! S3: Error Responses, List of error codes. `InsufficientStorage` and `QuotaExceeded` are Anode's own.

/// A code of an S3 error.
#[expect(missing_docs, reason = "the names are S3's; the table has their messages")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorCode {
    AccessControlListNotSupported,
    AccessDenied,
    AccessForbidden,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    BadDigest,
    BadRequest,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    ConditionalRequestConflict,
    EntityTooLarge,
    EntityTooSmall,
    ExpectationFailed,
    ExpiredToken,
    HttpVersionNotSupported,
    IllegalLocationConstraintException,
    IllegalVersioningConfigurationException,
    IncompleteBody,
    InsufficientStorage,
    InternalError,
    InvalidAccessKeyId,
    InvalidArgument,
    InvalidBucketAclWithObjectOwnership,
    InvalidBucketName,
    InvalidBucketOwnerAWSAccountID,
    InvalidBucketState,
    InvalidChunkSizeError,
    InvalidDigest,
    InvalidEncryptionAlgorithmError,
    InvalidLocationConstraint,
    InvalidObjectState,
    InvalidPart,
    InvalidPartNumber,
    InvalidPartOrder,
    InvalidPolicyDocument,
    InvalidRange,
    InvalidRequest,
    InvalidRetentionPeriod,
    InvalidSecurity,
    InvalidStorageClass,
    InvalidTag,
    InvalidTargetBucketForLogging,
    InvalidToken,
    InvalidURI,
    KMSNotFoundException,
    KeyTooLongError,
    MalformedACLError,
    MalformedPOSTRequest,
    MalformedPolicy,
    MalformedTrailerError,
    MalformedXML,
    MaxMessageLengthExceeded,
    MaxPostPreDataLengthExceeded,
    MetadataTooLarge,
    MethodNotAllowed,
    MissingContentLength,
    MissingRequestBodyError,
    MissingSecurityHeader,
    NoSuchBucket,
    NoSuchBucketPolicy,
    NoSuchCORSConfiguration,
    NoSuchKey,
    NoSuchLifecycleConfiguration,
    NoSuchObjectLockConfiguration,
    NoSuchPublicAccessBlockConfiguration,
    NoSuchTagSet,
    NoSuchUpload,
    NoSuchVersion,
    NoSuchWebsiteConfiguration,
    NotImplemented,
    ObjectLockConfigurationNotFoundError,
    OperationAborted,
    OwnershipControlsNotFoundError,
    PreconditionFailed,
    QuotaExceeded,
    ReplicationConfigurationNotFoundError,
    RequestHeaderSectionTooLarge,
    RequestTimeTooSkewed,
    RequestTimeout,
    ServerSideEncryptionConfigurationNotFoundError,
    ServiceUnavailable,
    SignatureDoesNotMatch,
    SlowDown,
    TooManyBuckets,
    UnexpectedContent,
    UnresolvableGrantByEmailAddress,
    UnsupportedSignature,
    UserKeyMustBeSpecified,
    XAmzContentSHA256Mismatch,
}

impl ErrorCode {
    /// What the `Code` element says.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        self.row().status
    }

    /// The message when there is nothing better to say.
    pub fn message(self) -> &'static str {
        self.row().message
    }

    /// The code with this name, for parts that know only names.
    pub fn from_name(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.code)
    }

    fn row(self) -> &'static Row {
        let row = &ROWS[self as usize];
        assert!(row.code == self, "the table is in the order of the codes");
        row
    }
}

struct Row {
    code: ErrorCode,
    name: &'static str,
    status: u16,
    message: &'static str,
}

const fn row(code: ErrorCode, name: &'static str, status: u16, message: &'static str) -> Row {
    Row { code, name, status, message }
}

/// In the order of [`ErrorCode`].
static ROWS: [Row; 90] = [
    row(
        ErrorCode::AccessControlListNotSupported,
        "AccessControlListNotSupported",
        400,
        "The bucket does not allow ACLs",
    ),
    row(ErrorCode::AccessDenied, "AccessDenied", 403, "Access Denied"),
    row(
        ErrorCode::AccessForbidden,
        "AccessForbidden",
        403,
        "CORSResponse: CORS is not enabled for this bucket.",
    ),
    row(
        ErrorCode::AuthorizationHeaderMalformed,
        "AuthorizationHeaderMalformed",
        400,
        "The authorization header that you provided is not valid.",
    ),
    row(
        ErrorCode::AuthorizationQueryParametersError,
        "AuthorizationQueryParametersError",
        400,
        "The authorization query parameters that you provided are not valid.",
    ),
    row(
        ErrorCode::BadDigest,
        "BadDigest",
        400,
        "The Content-MD5 or checksum value that you specified did not match what the server received.",
    ),
    row(
        ErrorCode::BadRequest,
        "BadRequest",
        400,
        "An error occurred when parsing the HTTP request.",
    ),
    row(
        ErrorCode::BucketAlreadyExists,
        "BucketAlreadyExists",
        409,
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.",
    ),
    row(
        ErrorCode::BucketAlreadyOwnedByYou,
        "BucketAlreadyOwnedByYou",
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    row(
        ErrorCode::BucketNotEmpty,
        "BucketNotEmpty",
        409,
        "The bucket you tried to delete is not empty",
    ),
    row(
        ErrorCode::ConditionalRequestConflict,
        "ConditionalRequestConflict",
        409,
        "The conditional request cannot succeed due to a conflicting operation against this resource.",
    ),
    row(
        ErrorCode::EntityTooLarge,
        "EntityTooLarge",
        400,
        "Your proposed upload exceeds the maximum allowed size",
    ),
    row(
        ErrorCode::EntityTooSmall,
        "EntityTooSmall",
        400,
        "Your proposed upload is smaller than the minimum allowed size",
    ),
    row(
        ErrorCode::ExpectationFailed,
        "ExpectationFailed",
        417,
        "The expectation of the request cannot be met.",
    ),
    row(ErrorCode::ExpiredToken, "ExpiredToken", 400, "The provided token has expired."),
    row(
        ErrorCode::HttpVersionNotSupported,
        "HttpVersionNotSupported",
        505,
        "The HTTP version of the request is not supported.",
    ),
    row(
        ErrorCode::IllegalLocationConstraintException,
        "IllegalLocationConstraintException",
        400,
        "The specified location-constraint is not valid",
    ),
    row(
        ErrorCode::IllegalVersioningConfigurationException,
        "IllegalVersioningConfigurationException",
        400,
        "The versioning configuration specified in the request is invalid.",
    ),
    row(
        ErrorCode::IncompleteBody,
        "IncompleteBody",
        400,
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    ),
    row(
        ErrorCode::InsufficientStorage,
        "InsufficientStorage",
        507,
        "There is not enough free space to complete the request.",
    ),
    row(
        ErrorCode::InternalError,
        "InternalError",
        500,
        "We encountered an internal error. Please try again.",
    ),
    row(
        ErrorCode::InvalidAccessKeyId,
        "InvalidAccessKeyId",
        403,
        "The AWS Access Key Id you provided does not exist in our records.",
    ),
    row(ErrorCode::InvalidArgument, "InvalidArgument", 400, "Invalid Argument"),
    row(
        ErrorCode::InvalidBucketAclWithObjectOwnership,
        "InvalidBucketAclWithObjectOwnership",
        400,
        "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    ),
    row(
        ErrorCode::InvalidBucketName,
        "InvalidBucketName",
        400,
        "The specified bucket is not valid.",
    ),
    row(
        ErrorCode::InvalidBucketOwnerAWSAccountID,
        "InvalidBucketOwnerAWSAccountID",
        400,
        "The value of the expected bucket owner parameter must be an AWS account ID",
    ),
    row(
        ErrorCode::InvalidBucketState,
        "InvalidBucketState",
        409,
        "The request is not valid with the current state of the bucket.",
    ),
    row(
        ErrorCode::InvalidChunkSizeError,
        "InvalidChunkSizeError",
        403,
        "Only the last chunk is allowed to have a size less than 8192 bytes",
    ),
    row(
        ErrorCode::InvalidDigest,
        "InvalidDigest",
        400,
        "The Content-MD5 you specified was invalid.",
    ),
    row(
        ErrorCode::InvalidEncryptionAlgorithmError,
        "InvalidEncryptionAlgorithmError",
        400,
        "The encryption request you specified is not valid. The valid value is AES256.",
    ),
    row(
        ErrorCode::InvalidLocationConstraint,
        "InvalidLocationConstraint",
        400,
        "The specified location-constraint is not valid",
    ),
    row(
        ErrorCode::InvalidObjectState,
        "InvalidObjectState",
        403,
        "The operation is not valid for the current state of the object.",
    ),
    row(
        ErrorCode::InvalidPart,
        "InvalidPart",
        400,
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
    ),
    row(
        ErrorCode::InvalidPartNumber,
        "InvalidPartNumber",
        416,
        "The requested partnumber is not satisfiable",
    ),
    row(
        ErrorCode::InvalidPartOrder,
        "InvalidPartOrder",
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    ),
    row(
        ErrorCode::InvalidPolicyDocument,
        "InvalidPolicyDocument",
        400,
        "The content of the form does not meet the conditions specified in the policy document.",
    ),
    row(ErrorCode::InvalidRange, "InvalidRange", 416, "The requested range is not satisfiable"),
    row(ErrorCode::InvalidRequest, "InvalidRequest", 400, "Invalid Request"),
    row(
        ErrorCode::InvalidRetentionPeriod,
        "InvalidRetentionPeriod",
        400,
        "The retention period must be a positive integer value.",
    ),
    row(
        ErrorCode::InvalidSecurity,
        "InvalidSecurity",
        403,
        "The provided security credentials are not valid.",
    ),
    row(
        ErrorCode::InvalidStorageClass,
        "InvalidStorageClass",
        400,
        "The storage class you specified is not valid",
    ),
    row(ErrorCode::InvalidTag, "InvalidTag", 400, "The tag provided was not a valid tag."),
    row(
        ErrorCode::InvalidTargetBucketForLogging,
        "InvalidTargetBucketForLogging",
        400,
        "The target bucket for logging does not exist",
    ),
    row(
        ErrorCode::InvalidToken,
        "InvalidToken",
        400,
        "The provided token is malformed or otherwise invalid.",
    ),
    row(ErrorCode::InvalidURI, "InvalidURI", 400, "Couldn't parse the specified URI."),
    row(
        ErrorCode::KMSNotFoundException,
        "KMS.NotFoundException",
        400,
        "There is no encryption key of this name.",
    ),
    row(ErrorCode::KeyTooLongError, "KeyTooLongError", 400, "Your key is too long"),
    row(
        ErrorCode::MalformedACLError,
        "MalformedACLError",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    row(
        ErrorCode::MalformedPOSTRequest,
        "MalformedPOSTRequest",
        400,
        "The body of your POST request is not well-formed multipart/form-data.",
    ),
    row(ErrorCode::MalformedPolicy, "MalformedPolicy", 400, "Policies must be valid JSON"),
    row(
        ErrorCode::MalformedTrailerError,
        "MalformedTrailerError",
        400,
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    ),
    row(
        ErrorCode::MalformedXML,
        "MalformedXML",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    row(
        ErrorCode::MaxMessageLengthExceeded,
        "MaxMessageLengthExceeded",
        400,
        "Your request was too big.",
    ),
    row(
        ErrorCode::MaxPostPreDataLengthExceeded,
        "MaxPostPreDataLengthExceeded",
        400,
        "Your POST request fields preceding the upload file were too large.",
    ),
    row(
        ErrorCode::MetadataTooLarge,
        "MetadataTooLarge",
        400,
        "Your metadata headers exceed the maximum allowed metadata size",
    ),
    row(
        ErrorCode::MethodNotAllowed,
        "MethodNotAllowed",
        405,
        "The specified method is not allowed against this resource.",
    ),
    row(
        ErrorCode::MissingContentLength,
        "MissingContentLength",
        411,
        "You must provide the Content-Length HTTP header.",
    ),
    row(
        ErrorCode::MissingRequestBodyError,
        "MissingRequestBodyError",
        400,
        "Request body is empty.",
    ),
    row(
        ErrorCode::MissingSecurityHeader,
        "MissingSecurityHeader",
        400,
        "Your request was missing a required header",
    ),
    row(ErrorCode::NoSuchBucket, "NoSuchBucket", 404, "The specified bucket does not exist"),
    row(
        ErrorCode::NoSuchBucketPolicy,
        "NoSuchBucketPolicy",
        404,
        "The bucket policy does not exist",
    ),
    row(
        ErrorCode::NoSuchCORSConfiguration,
        "NoSuchCORSConfiguration",
        404,
        "The CORS configuration does not exist",
    ),
    row(ErrorCode::NoSuchKey, "NoSuchKey", 404, "The specified key does not exist."),
    row(
        ErrorCode::NoSuchLifecycleConfiguration,
        "NoSuchLifecycleConfiguration",
        404,
        "The lifecycle configuration does not exist",
    ),
    row(
        ErrorCode::NoSuchObjectLockConfiguration,
        "NoSuchObjectLockConfiguration",
        404,
        "The specified object does not have a ObjectLock configuration",
    ),
    row(
        ErrorCode::NoSuchPublicAccessBlockConfiguration,
        "NoSuchPublicAccessBlockConfiguration",
        404,
        "The public access block configuration was not found",
    ),
    row(ErrorCode::NoSuchTagSet, "NoSuchTagSet", 404, "The TagSet does not exist"),
    row(
        ErrorCode::NoSuchUpload,
        "NoSuchUpload",
        404,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
    ),
    row(ErrorCode::NoSuchVersion, "NoSuchVersion", 404, "The specified version does not exist."),
    row(
        ErrorCode::NoSuchWebsiteConfiguration,
        "NoSuchWebsiteConfiguration",
        404,
        "The specified bucket does not have a website configuration",
    ),
    row(
        ErrorCode::NotImplemented,
        "NotImplemented",
        501,
        "A header you provided implies functionality that is not implemented",
    ),
    row(
        ErrorCode::ObjectLockConfigurationNotFoundError,
        "ObjectLockConfigurationNotFoundError",
        404,
        "Object Lock configuration does not exist for this bucket",
    ),
    row(
        ErrorCode::OperationAborted,
        "OperationAborted",
        409,
        "A conflicting conditional operation is currently in progress against this resource. Try again.",
    ),
    row(
        ErrorCode::OwnershipControlsNotFoundError,
        "OwnershipControlsNotFoundError",
        404,
        "The bucket ownership controls were not found",
    ),
    row(
        ErrorCode::PreconditionFailed,
        "PreconditionFailed",
        412,
        "At least one of the pre-conditions you specified did not hold",
    ),
    row(ErrorCode::QuotaExceeded, "QuotaExceeded", 403, "The quota of the bucket is used up."),
    row(
        ErrorCode::ReplicationConfigurationNotFoundError,
        "ReplicationConfigurationNotFoundError",
        404,
        "The replication configuration was not found",
    ),
    row(
        ErrorCode::RequestHeaderSectionTooLarge,
        "RequestHeaderSectionTooLarge",
        400,
        "Your request header section exceeds the maximum allowed size.",
    ),
    row(
        ErrorCode::RequestTimeTooSkewed,
        "RequestTimeTooSkewed",
        403,
        "The difference between the request time and the current time is too large.",
    ),
    row(
        ErrorCode::RequestTimeout,
        "RequestTimeout",
        400,
        "Your socket connection to the server was not read from or written to within the timeout period.",
    ),
    row(
        ErrorCode::ServerSideEncryptionConfigurationNotFoundError,
        "ServerSideEncryptionConfigurationNotFoundError",
        404,
        "The server side encryption configuration was not found",
    ),
    row(
        ErrorCode::ServiceUnavailable,
        "ServiceUnavailable",
        503,
        "Service is unable to handle request.",
    ),
    row(
        ErrorCode::SignatureDoesNotMatch,
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    ),
    row(ErrorCode::SlowDown, "SlowDown", 503, "Please reduce your request rate."),
    row(
        ErrorCode::TooManyBuckets,
        "TooManyBuckets",
        400,
        "You have attempted to create more buckets than allowed",
    ),
    row(
        ErrorCode::UnexpectedContent,
        "UnexpectedContent",
        400,
        "This request contains unsupported content.",
    ),
    row(
        ErrorCode::UnresolvableGrantByEmailAddress,
        "UnresolvableGrantByEmailAddress",
        400,
        "The e-mail address you provided does not match any account on record.",
    ),
    row(
        ErrorCode::UnsupportedSignature,
        "UnsupportedSignature",
        400,
        "The provided request is signed with an unsupported signature version or is missing it.",
    ),
    row(
        ErrorCode::UserKeyMustBeSpecified,
        "UserKeyMustBeSpecified",
        400,
        "The bucket POST must contain the specified field name. If it is specified, check the order of the fields.",
    ),
    row(
        ErrorCode::XAmzContentSHA256Mismatch,
        "XAmzContentSHA256Mismatch",
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_finds_its_row_and_its_name() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.code as usize, index, "{}", row.name);
            // KMS puts its name before its codes.
            assert_eq!(format!("{:?}", row.code), row.name.replace('.', ""));
            assert_eq!(ErrorCode::from_name(row.name), Some(row.code));
            assert!((400..=599).contains(&row.status), "{}", row.name);
            assert!(!row.message.is_empty());
        }
        assert_eq!(ErrorCode::from_name("NoSuchCode"), None);
    }

    #[test]
    fn statuses_are_those_of_aws() {
        for (code, status) in [
            (ErrorCode::AccessDenied, 403),
            (ErrorCode::BucketNotEmpty, 409),
            (ErrorCode::InvalidRange, 416),
            (ErrorCode::MethodNotAllowed, 405),
            (ErrorCode::MissingContentLength, 411),
            (ErrorCode::NoSuchBucket, 404),
            (ErrorCode::NotImplemented, 501),
            (ErrorCode::PreconditionFailed, 412),
            (ErrorCode::SlowDown, 503),
        ] {
            assert_eq!(code.status(), status, "{}", code.name());
        }
    }
}
