//! Notifications: the rules of a bucket say who is told of what happens to its objects, and they are told.
//!
//! The gateway looks for the rule while it makes a command, and sends along whom to tell ([`notice`]); apply records the event
//! with the change itself ([`anode_shards::event`]); `delivery` sends what waits, in order, until it was taken. So an event is
//! lost by no crash, and delivered once at least. A bucket without rules costs one look at its configuration.

mod delivery;
mod record;
mod target;

use anode_net::s3::{
    self,
    configuration::notification::{Notification, Occurrence, unvalidated},
};
use anode_shards::event::{Notice, Route};
use futures::future::join_all;

pub use delivery::{TargetFigures, Work};
pub(crate) use delivery::{figures, start};
pub use target::{Target, Targets};

use crate::{
    authorize::Caller,
    exchange::Exchange,
    gateway::ownership::bucket_owner,
    host::Host,
    meta::BucketView,
    shard::{Shard, address_of},
};

/// Whom S3 names as the one who expires objects.
const LIFECYCLE: &str = "s3.amazonaws.com";

/// What may come of a command: what it is for, and what becomes of it where it makes a delete marker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chances {
    done: Occurrence,
    hidden: Option<Occurrence>,
}

impl Chances {
    /// A deletion by a client.
    pub(crate) const DELETION: Self =
        Self { done: Occurrence::Delete, hidden: Some(Occurrence::DeleteMarkerCreated) };
    /// A deletion by lifecycle.
    const EXPIRY: Self =
        Self { done: Occurrence::Expired, hidden: Some(Occurrence::ExpiredMarkerCreated) };
}

impl From<Occurrence> for Chances {
    fn from(done: Occurrence) -> Self {
        Self { done, hidden: None }
    }
}

/// Whom a command of a request has to tell, if anybody.
pub(crate) fn notice<H: Host>(
    exchange: &Exchange<'_, H>,
    caller: &Caller,
    (bucket, key): (&BucketView, &str),
    chances: impl Into<Chances>,
) -> Option<Box<Notice>> {
    let routes = routes(&exchange.shard, (bucket, key), chances.into())?;
    let principal = caller.principal();
    let principal = match principal {
        Some(known) => format!("AWS:{}", known.user_id()),
        None => "Anonymous".to_owned(),
    };
    let source = address_of(&exchange.peer());
    Some(Box::new(Notice {
        principal,
        source: source.map(|address| address.to_string()).unwrap_or_default(),
        request_id: exchange.request_id.clone(),
        ..routes
    }))
}

/// Whom an expiry has to tell, if anybody.
pub(crate) fn notice_of_expiry<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    key: &str,
) -> Option<Box<Notice>> {
    notice_of_lifecycle(shard, (bucket, key), Chances::EXPIRY)
}

/// Whom a move to another storage class has to tell, if anybody.
pub(crate) fn notice_of_transition<H: Host>(
    shard: &Shard<H>,
    bucket: &BucketView,
    key: &str,
) -> Option<Box<Notice>> {
    notice_of_lifecycle(shard, (bucket, key), Occurrence::Transition.into())
}

fn notice_of_lifecycle<H: Host>(
    shard: &Shard<H>,
    place: (&BucketView, &str),
    chances: Chances,
) -> Option<Box<Notice>> {
    let routes = routes(shard, place, chances)?;
    Some(Box::new(Notice {
        principal: LIFECYCLE.to_owned(),
        source: LIFECYCLE.to_owned(),
        request_id: format!("{:016X}", shard.random_u64()),
        ..routes
    }))
}

fn routes<H: Host>(
    shard: &Shard<H>,
    (bucket, key): (&BucketView, &str),
    chances: Chances,
) -> Option<Notice> {
    let rules = bucket.configurations.notification.as_ref()?;
    let route = |occurrence: Occurrence| {
        let rule = rules.rule_of(occurrence, key)?;
        // Nobody would ever take an event for a target that the node doesn't have.
        let target = shard.settings().targets.get(&rule.target.name)?;
        Some(Route {
            event: occurrence.name().to_owned(),
            rule: rule.id.clone(),
            target: target.name.clone(),
            queue_count_max: target.queue_count_max,
        })
    };
    let (if_done, if_hidden) = (route(chances.done), chances.hidden.and_then(route));
    if if_done.is_none() && if_hidden.is_none() {
        return None;
    }
    Some(Notice {
        if_done,
        if_hidden,
        bucket: bucket.record.name.clone(),
        owner: bucket_owner(bucket).to_owned(),
        now_ms: shard.now_ms(),
        ..Notice::default()
    })
}

/// Refuses rules whose targets the node doesn't have, or, unless that is to be skipped, that don't take a test.
pub(crate) async fn check<H: Host>(
    exchange: &Exchange<'_, H>,
    bucket: &str,
    rules: &Notification,
) -> Result<(), s3::Error> {
    let shard = &exchange.shard;
    let mut targets: Vec<(&str, &Target)> = Vec::new();
    for rule in &rules.rules {
        let arn = rule.target.arn.as_str();
        let own = shard.settings().region.as_deref();
        if own.is_some_and(|own| !rule.target.region.is_empty() && rule.target.region != own) {
            return Err(unvalidated(
                arn,
                "The destination is in a different region than the bucket",
            ));
        }
        let Some(target) = shard.settings().targets.get(&rule.target.name) else {
            return Err(unvalidated(arn, "The settings of this node have no such target"));
        };
        if targets.iter().all(|(_, known)| known.name != target.name) {
            targets.push((arn, target));
        }
    }
    let skips = exchange.head.header("x-amz-skip-destination-validation");
    if skips.is_some_and(|skips| skips.eq_ignore_ascii_case("true")) {
        return Ok(());
    }
    let test = record::test(&record::Test {
        bucket,
        request_id: &exchange.request_id,
        host_id: shard.host_id(),
        time_ms: shard.now_ms(),
    });
    let tests = targets.iter().map(async |(arn, target)| {
        let sent = target.sender(shard).send(&test).await;
        sent.map_err(|reason| unvalidated(arn, &reason.to_string()))
    });
    join_all(tests).await.into_iter().collect()
}

#[cfg(test)]
mod tests;
