//! The calls of IAM and STS: a form posted to `/`, signed for one of the two.
//!
//! An action decides on the directory as it is, and answers with what is to change. Where somebody else was first it decides
//! again on what they left.

mod accounts;
mod groups;
mod keys;
mod managed;
mod policies;
mod providers;
mod roles;
mod scene;
mod sts;
mod table;
mod users;
mod web_identity;

use std::time::Duration;

use anode_net::{
    http::{Head, ResponseHead},
    iam::{BODY_BYTES_MAX, Call, Error, Service},
    policy::{Decision, Facts, Question},
    s3::{self, Headers, query::Query},
    sigv4::{self, Authentication, BodyCheck, Expected, RequestParts},
};
use anode_shards::{
    command::{Command, Refusal, Reply},
    iam::ChangeIam,
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use scene::Scene;
use table::Action;
use web_identity::Identity;

use crate::{
    authorize,
    exchange::{Exchange, Response},
    host::Host,
    iam::{Directory, Principal},
    permission,
    shard::META_GROUP,
};

/// How often an action is decided again because somebody else was first.
const TRIES_MAX: usize = 100;
/// How long a view of the meta group that is behind is waited for.
const WAIT: Duration = Duration::from_millis(5);

/// Whether a request is a call.
pub fn is_asked(head: &Head) -> bool {
    let is_form = |value: &str| value.starts_with("application/x-www-form-urlencoded");
    head.method_name() == "POST"
        && head.path() == "/"
        && head.header("content-type").is_some_and(is_form)
}

/// Answers a call.
pub async fn respond<H: Host>(exchange: &mut Exchange<'_, H>) -> Response<H> {
    let mut service = Service::Iam;
    match perform(exchange, &mut service).await {
        Ok(body) => Response::full(ResponseHead::new(200), "text/xml", body),
        Err(error) => {
            let mut head = ResponseHead::new(error.status());
            if error.status() == 503 {
                head = head.header("Retry-After", "1");
            }
            Response::full(head, "text/xml", service.refusal(&error, &exchange.request_id))
        }
    }
}

async fn perform<H: Host>(
    exchange: &mut Exchange<'_, H>,
    service: &mut Service,
) -> Result<Bytes, Error> {
    exchange.shard.check_serving()?;
    let body = read_body(exchange).await?;
    if let Some(call) = web_identity::asked(&body) {
        *service = Service::Sts;
        return Box::pin(web_identity::perform(exchange, &call)).await;
    }
    let head = exchange.head.clone();
    let fields: Vec<(&str, &str)> = head.headers().collect();
    let (method, path, query) = (head.method_name(), head.path(), head.query().unwrap_or_default());
    let parts = RequestParts { method, path, query, headers: &fields };
    let signed = match sigv4::parse_with_body(&parts, Sha256::digest(&body).into())
        .map_err(s3::Error::from)?
    {
        Authentication::Signed(signed) => signed,
        Authentication::Anonymous(_) => {
            let message = "Request is missing Authentication Token";
            return Err(Error::new("MissingAuthenticationToken", message));
        }
    };
    *service = if signed.scope.service() == "sts" { Service::Sts } else { Service::Iam };
    let shard = exchange.shard.clone();
    let caller =
        authorize::principal_of(&shard, &signed.access_key, signed.session_token.as_deref())?;
    // IAM is everywhere; its clients sign for a region of their own choice.
    let now_seconds = authorize::now_seconds(&shard);
    let expected = Expected { now_seconds, region: None, service: service.name() };
    let verified = shard.verify(&signed, &parts, &caller.secret.0, &expected);
    verified.map_err(s3::Error::from)?;
    let mut check = BodyCheck::new(&signed.payload);
    check.update(&body);
    check.finish().map_err(s3::Error::from)?;
    let call = Call::parse(&body)?;
    let action = table::find(*service, call.action()?)?;
    decide(exchange, Asker { caller: &caller, identity: None }, action, &call).await
}

async fn read_body<H: Host>(exchange: &mut Exchange<'_, H>) -> Result<Bytes, Error> {
    let mut body = Vec::new();
    while let Some(piece) = exchange.next().await.map_err(s3::Error::from)? {
        if body.len() + piece.len() > BODY_BYTES_MAX {
            return Err(Error::new("RequestEntityTooLarge", "A call has up to 128 KiB."));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Bytes::from(body))
}

/// Refuses an action that the caller's policies don't allow.
fn permit(
    caller: &Principal,
    facts: &Facts<'_>,
    action: &Action,
    (directory, call): (&Directory, &Call),
) -> Result<(), Error> {
    let name = format!("{}:{}", action.service.name(), action.name);
    // AWS: what GetSessionToken gives is for neither IAM nor STS, but for these two.
    let is_for_all = matches!(action.name, "AssumeRole" | "GetCallerIdentity");
    if caller.is_temporary && !is_for_all {
        return Err(Error::denied(caller.arn(), &name, "*"));
    }
    let Some(resource) = action.resource(directory, call, caller) else { return Ok(()) };
    let renamed = action.new_resource(directory, call, caller);
    for resource in [Some(resource), renamed].into_iter().flatten() {
        let question = Question { action: &name, resource: &resource, facts };
        match caller.decide(&question) {
            Decision::Allowed => {}
            Decision::AllowedToAccount | Decision::Denied | Decision::Silent => {
                return Err(Error::denied(caller.arn(), &name, &resource));
            }
        }
    }
    Ok(())
}

/// Who makes a call.
#[derive(Clone, Copy)]
struct Asker<'a> {
    caller: &'a Principal,
    /// Whom a provider says it is, where nobody has signed.
    identity: Option<&'a Identity>,
}

/// Decides an action, and has what it changes kept.
async fn decide<H: Host>(
    exchange: &Exchange<'_, H>,
    Asker { caller, identity }: Asker<'_>,
    action: &Action,
    call: &Call,
) -> Result<Bytes, Error> {
    let shard = &exchange.shard;
    let fields: Vec<(&str, &str)> = exchange.head.headers().collect();
    let query = Query::default();
    let facts = permission::facts(exchange, Some(caller), (Headers::new(&fields), &query));
    for _ in 0..TRIES_MAX {
        let meta = shard.meta();
        permit(caller, &facts, action, (&meta.iam, call))?;
        let mut outcome = Ok(Vec::new());
        let body = action.service.answer(action.name, &exchange.request_id, |document| {
            let scene = Scene {
                directory: &meta.iam,
                buckets: &meta.buckets,
                call,
                caller,
                identity,
                facts: &facts,
                first: shard.account(),
                now_ms: shard.now_ms(),
                random: &|| shard.host().random(),
            };
            outcome = (action.run)(&scene, document);
        });
        let changes = outcome?;
        if changes.is_empty() {
            return Ok(body);
        }
        let names: Vec<&str> = changes.iter().map(|change| change.name.as_str()).collect();
        tracing::info!(action = action.name, by = caller.arn(), ?names, "IAM is changed");
        let change = Command::ChangeIam(ChangeIam { revision: meta.iam.revision, changes });
        let reply = shard.propose(META_GROUP, change, None).await.map_err(s3::Error::from)?;
        if reply == Reply::Done {
            return Ok(body);
        }
        if reply != Reply::Refused(Refusal::Outdated) {
            tracing::error!(action = action.name, ?reply, "a change of IAM was refused");
            return Err(Error::new("ServiceFailure", "The change could not be kept."));
        }
        shard.host().sleep(WAIT).await;
    }
    Err(Error::new("ServiceUnavailable", "Others change IAM all the time; try again."))
}
