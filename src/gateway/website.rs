//! S3: a bucket as a website. Whoever asks is nobody: what is read is what everybody may read, and what goes wrong is said
//! in HTML.
//!
//! A page is a GET of an object in another dress: it asks the same policies and takes the same way to the group.

use anode_net::{
    http::{ResponseHead, target::encode_path},
    s3::{
        self, ErrorCode, Headers, Routed,
        address::{self, Address, check_key, without_port},
        configuration::website::{Asked, Pages, Website},
        error::ErrorContext,
        headers::encoded_word::encode,
        parameters::ReadObject,
        query::{Query, decode},
        version::Version,
    },
    sigv4::PayloadMode,
};

use super::{
    cors, find_bucket,
    get::{self, Found, Want},
};
use crate::{
    authorize::Caller,
    config::Websites,
    exchange::{Exchange, Response},
    host::Host,
    permission,
};

/// The header of an object that is elsewhere, as it is stored.
const REDIRECT: &str = "x-amz-website-redirect-location";

/// Why a page isn't shown.
struct Failure {
    error: s3::Error,
    /// Why the page that was to be shown instead isn't either.
    document: Option<s3::Error>,
}

impl From<s3::Error> for Failure {
    fn from(error: s3::Error) -> Self {
        Self { error, document: None }
    }
}

/// What is asked for.
struct Wanted<'a> {
    bucket: &'a str,
    headers: Headers<'a>,
    want: Want,
}

/// The bucket whose website a request is for, by its `Host`; none where it is S3's.
pub fn bucket_of<H: Host>(exchange: &Exchange<'_, H>) -> Option<String> {
    let settings = exchange.shard.settings();
    if settings.website.domain.is_none() && settings.website.hosts.is_empty() {
        return None;
    }
    website_of(settings.domain.as_deref(), &settings.website, exchange.head.header("host")?)
}

fn website_of(s3: Option<&str>, websites: &Websites, host: &str) -> Option<String> {
    let name = without_port(host).to_ascii_lowercase();
    if websites.hosts.contains(&name) {
        return Some(name);
    }
    let domain = websites.domain.as_deref()?;
    // Of two domains that fit the longer one is meant.
    let is_s3 = s3.is_some_and(|s3| {
        s3.len() > domain.len() && (name == s3 || address::label(host, s3).is_some())
    });
    if is_s3 { None } else { address::label(host, domain) }
}

/// Answers a request for a bucket's website, whatever it is.
pub async fn respond<H: Host>(exchange: &mut Exchange<'_, H>, bucket: &str) -> Response<H> {
    match perform(exchange, bucket).await {
        Ok(response) => response,
        Err(failure) => error_page(exchange, &failure),
    }
}

async fn perform<H: Host>(
    exchange: &Exchange<'_, H>,
    bucket: &str,
) -> Result<Response<H>, Failure> {
    let shard = &exchange.shard;
    shard.check_serving()?;
    let head = exchange.head.clone();
    let fields: Vec<(&str, &str)> = head.headers().collect();
    let headers = Headers::new(&fields);
    let view = find_bucket(shard, bucket)?;
    let website = view.configurations.website.as_ref().ok_or_else(|| {
        s3::Error::new(ErrorCode::NoSuchWebsiteConfiguration).field("BucketName", bucket)
    })?;
    let want = match head.method_name() {
        "GET" => Want::Body,
        "HEAD" => Want::Head,
        "OPTIONS" => {
            let address = Address::Bucket { bucket: bucket.to_owned() };
            return Ok(cors::preflight(shard, &address, headers)?);
        }
        method => {
            let refused = s3::Error::new(ErrorCode::MethodNotAllowed).field("Method", method);
            return Err(refused.field("ResourceType", "OBJECT").into());
        }
    };
    let raw = head.path().strip_prefix('/');
    let key = decode(raw.ok_or_else(|| s3::Error::new(ErrorCode::InvalidURI))?)?;
    let asked = Asked {
        protocol: if shard.settings().tls { "https" } else { "http" },
        host: head.header("host").unwrap_or_default(),
        key: &key,
        query: head.query().unwrap_or_default(),
    };
    let pages = match website {
        Website::Elsewhere(elsewhere) => return Ok(redirect(301, &elsewhere.location(&asked))),
        Website::Pages(pages) => pages,
    };
    show(exchange, pages, &asked, &Wanted { bucket, headers, want }).await
}

/// The page of a key; else where the rules send, or the page of its error.
async fn show<H: Host>(
    exchange: &Exchange<'_, H>,
    pages: &Pages,
    asked: &Asked<'_>,
    wanted: &Wanted<'_>,
) -> Result<Response<H>, Failure> {
    if let Some(rule) = pages.rule_of(asked.key) {
        return Ok(redirect(rule.status(), &rule.location(asked)));
    }
    let is_folder = asked.key.is_empty() || asked.key.ends_with('/');
    let key =
        if is_folder { asked.key.to_owned() + &pages.index_suffix } else { asked.key.to_owned() };
    let error = match page(exchange, wanted, &key).await {
        Ok(response) => return Ok(response),
        Err(error) => error,
    };
    if error.code() == ErrorCode::NoSuchKey && !is_folder {
        let index_key = format!("{key}/{}", pages.index_suffix);
        let is_there = Wanted { want: Want::Head, ..*wanted };
        if find(exchange, &is_there, &index_key).await.is_ok() {
            return Ok(redirect(302, &folder_location(asked)));
        }
    }
    let routed = Routed::get_object(wanted.bucket, &key);
    let error = permission::shown(exchange, &nobody(), &routed, error).await;
    if let Some(rule) = pages.rule_of_error(asked.key, error.status()) {
        return Ok(redirect(rule.status(), &rule.location(asked)));
    }
    match &pages.error_key {
        Some(key) if (400..500).contains(&error.status()) => {
            let shown = error_document(exchange, wanted, key, error.status()).await;
            match shown {
                Ok(mut response) => {
                    response.head = with_error(response.head, &error);
                    Ok(response)
                }
                Err(document) => Err(Failure { error, document: Some(document) }),
            }
        }
        Some(_) | None => Err(error.into()),
    }
}

/// An object as everybody may read it.
async fn page<H: Host>(
    exchange: &Exchange<'_, H>,
    wanted: &Wanted<'_>,
    key: &str,
) -> Result<Response<H>, s3::Error> {
    let found = find(exchange, wanted, key).await?;
    if let Some(location) = elsewhere(&found) {
        return Ok(redirect(301, location));
    }
    let routed = Routed::get_object(wanted.bucket, key);
    let read = ReadObject::parse(&routed.address, &routed.query, wanted.headers)?;
    get::answer(&exchange.shard, &nobody(), &read, (found, wanted.want)).await
}

/// The page that is shown with an error, and with its status.
async fn error_document<H: Host>(
    exchange: &Exchange<'_, H>,
    wanted: &Wanted<'_>,
    key: &str,
    status: u16,
) -> Result<Response<H>, s3::Error> {
    let routed = Routed::get_object(wanted.bucket, key);
    let found = match find(exchange, wanted, key).await {
        Ok(found) => found,
        Err(error) => return Err(permission::shown(exchange, &nobody(), &routed, error).await),
    };
    if let Some(location) = elsewhere(&found) {
        return Ok(redirect(301, location));
    }
    // Conditions and ranges are about what was asked for, not about this.
    let read = ReadObject::parse(&routed.address, &Query::default(), Headers::default())?;
    get::page(&exchange.shard, &read, found, (status, wanted.want)).await
}

/// An object, where everybody may read it.
async fn find<H: Host>(
    exchange: &Exchange<'_, H>,
    wanted: &Wanted<'_>,
    key: &str,
) -> Result<Found<H>, s3::Error> {
    check_key(key)?;
    let routed = Routed::get_object(wanted.bucket, key);
    let nobody = nobody();
    permission::check(exchange, &nobody, (&routed, wanted.headers)).await?;
    let name = (wanted.bucket, key);
    let found = get::find(&exchange.shard, name, &Version::Current, wanted.want).await?;
    nobody.judged.check(&found.object)?;
    Ok(found)
}

/// Where an object says that its page is.
fn elsewhere<H: Host>(found: &Found<H>) -> Option<&str> {
    let headers = &found.object.headers;
    headers.iter().find(|(name, _)| name == REDIRECT).map(|(_, location)| location.as_str())
}

/// A folder as its pages name it. One that begins with a slash would be read as the name of a host.
fn folder_location(asked: &Asked<'_>) -> String {
    let path = encode_path(asked.key);
    if asked.key.starts_with('/') {
        return format!("{}://{}/{path}/", asked.protocol, asked.host);
    }
    format!("/{path}/")
}

fn redirect<H: Host>(status: u16, location: &str) -> Response<H> {
    Response::empty(ResponseHead::new(status).header("Location", location))
}

fn nobody() -> Caller {
    Caller::anonymous(PayloadMode::Unsigned)
}

/// What AWS tells programs of an error whose page is for people.
fn with_error(head: ResponseHead, error: &s3::Error) -> ResponseHead {
    let head = head
        .header("x-amz-error-code", error.code().name())
        .header("x-amz-error-message", error.message());
    error.fields().iter().fold(head, |head, (name, value)| {
        head.header(&format!("x-amz-error-detail-{name}"), &encode(value))
    })
}

fn error_page<H: Host>(exchange: &Exchange<'_, H>, failure: &Failure) -> Response<H> {
    let context = ErrorContext {
        resource: exchange.head.path(),
        request_id: &exchange.request_id,
        host_id: exchange.shard.host_id(),
    };
    let error = &failure.error;
    let mut head = with_error(super::error_head(exchange, error), error);
    if error.code() == ErrorCode::MethodNotAllowed {
        head = head.header("Allow", "GET, HEAD, OPTIONS");
    }
    let body = error.to_html(failure.document.as_ref(), &context);
    Response::full(head, "text/html; charset=utf-8", body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_names_a_website_or_none() {
        let websites = Websites {
            domain: Some("example.test".to_owned()),
            hosts: vec!["www.elsewhere.test".to_owned()],
        };
        for (domain, host, expected) in [
            (None, "b.example.test", Some("b")),
            (None, "B.Example.Test:9000", Some("b")),
            (None, "a.b.example.test", Some("a.b")),
            (None, "example.test", None),
            (None, "127.0.0.1:9000", None),
            (None, "www.elsewhere.test:80", Some("www.elsewhere.test")),
            (None, "b.www.elsewhere.test", None),
            // The longer domain counts, so S3's own requests stay S3's.
            (Some("s3.example.test"), "s3.example.test", None),
            (Some("s3.example.test"), "b.s3.example.test", None),
            (Some("s3.example.test"), "b.example.test", Some("b")),
            (Some("test"), "b.example.test", Some("b")),
        ] {
            let found = website_of(domain, &websites, host);
            assert_eq!(found.as_deref(), expected, "{host} beside {domain:?}");
        }
    }
}
