//! Who proves to be somebody: the root of an account, a user, or a session.

use std::sync::Arc;

use anode_net::policy::{Decision, Policy, Question, Sender, SenderKind};
use anode_shards::object::Secret;

use super::records::{Account, Named, User};

/// Who an access key is of.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The access key.
    pub access_key: String,
    /// Its secret half.
    pub secret: Secret,
    /// The account.
    pub account: Arc<Account>,
    /// Who of it.
    pub who: Who,
    /// Whether the key lets anybody in.
    pub is_active: bool,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// Whether these are credentials of `GetSessionToken`, which are of a user or a root and not for IAM.
    pub is_temporary: bool,
    arn: String,
    user_id: String,
}

/// Who of an account.
#[derive(Clone, Debug)]
pub enum Who {
    /// The account itself.
    Root,
    /// A user, and what it may do.
    User(Arc<User>, Arc<Rights>),
    /// A role, assumed for a while.
    Session(Arc<Session>),
}

/// A session: what `AssumeRole` and the like give.
#[derive(Clone, Debug)]
pub struct Session {
    /// The role.
    pub role: Named,
    /// What it is called.
    pub name: String,
    /// What the role may do.
    pub rights: Arc<Rights>,
    /// What narrows that.
    pub policies: SessionPolicies,
}

/// What a session was narrowed to when it began: what one of these allows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionPolicies {
    /// The one that was written for it.
    pub inline: Option<Arc<Policy>>,
    /// Managed ones.
    pub attached: Vec<Arc<Policy>>,
}

/// What somebody may do by policies of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rights {
    /// Their own, attached ones, and those of their groups.
    pub policies: Vec<Arc<Policy>>,
    /// What bounds them.
    pub boundary: Option<Arc<Policy>>,
}

impl Principal {
    /// Somebody with an access key that lets in.
    pub fn new(access_key: &str, secret: Secret, account: Arc<Account>, who: Who) -> Self {
        let (arn, user_id) = match &who {
            Who::Root => (account.arn(), account.id.clone()),
            Who::User(user, _) => (user.named.arn("user"), user.named.id.clone()),
            Who::Session(session) => {
                let Session { role, name, .. } = session.as_ref();
                let arn = format!("arn:aws:sts::{}:assumed-role/{}/{name}", account.id, role.name);
                (arn, format!("{}:{name}", role.id))
            }
        };
        let access_key = access_key.to_owned();
        Self {
            access_key,
            secret,
            account,
            who,
            is_active: true,
            expires_ms: None,
            is_temporary: false,
            arn,
            user_id,
        }
    }

    /// Who it is, for people.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Who it is, for good.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Whether nothing but an explicit deny keeps it from what its account has.
    pub fn is_root(&self) -> bool {
        match &self.who {
            Who::Root => true,
            Who::User(..) | Who::Session(_) => false,
        }
    }

    /// What conditions ask about it.
    pub fn sender(&self) -> Sender<'_> {
        let (kind, user_name) = match &self.who {
            Who::Root => (SenderKind::Root, None),
            Who::User(user, _) => (SenderKind::User, Some(user.named.name.as_str())),
            Who::Session(_) => (SenderKind::Session, None),
        };
        let (arn, user_id) = (self.arn.as_str(), self.user_id.as_str());
        let (account, canonical) = (self.account.id.as_str(), self.account.canonical_id.as_str());
        Sender { account, canonical, arn, user_id, user_name, kind }
    }

    fn rights(&self) -> Option<&Rights> {
        match &self.who {
            Who::Root => None,
            Who::User(_, rights) => Some(rights),
            Who::Session(session) => Some(&session.rights),
        }
    }

    fn narrowing(&self) -> Option<&SessionPolicies> {
        let Who::Session(session) = &self.who else { return None };
        Some(&session.policies).filter(|policies| policies.all().next().is_some())
    }

    /// Whether its policies ask for the tags of an object.
    pub fn asks_for_tags(&self) -> bool {
        let own = self.rights().into_iter().flat_map(Rights::all).map(Arc::as_ref);
        let narrowing = self.narrowing().into_iter().flat_map(SessionPolicies::all);
        own.chain(narrowing).any(Policy::asks_for_tags)
    }

    /// What its own policies say to a question. A root may do everything.
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        let decision = match self.rights() {
            None => Decision::Allowed,
            Some(rights) => rights.decide(question),
        };
        match self.narrowing() {
            Some(policies) => decision.narrowed(policies.decide(question)),
            None => decision,
        }
    }

    /// Whether the policies of its session let it do something that another's policy allows.
    pub fn session_lets(&self, question: &Question<'_>) -> bool {
        let narrowing = self.narrowing();
        narrowing.is_none_or(|policies| policies.decide(question) == Decision::Allowed)
    }
}

impl SessionPolicies {
    fn all(&self) -> impl Iterator<Item = &Policy> {
        self.inline.iter().chain(&self.attached).map(Arc::as_ref)
    }

    fn decide(&self, question: &Question<'_>) -> Decision {
        let each = self.all().map(|policy| policy.decide(question));
        each.fold(Decision::Silent, Decision::joined)
    }
}

impl Rights {
    fn all(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.iter().chain(&self.boundary)
    }

    fn decide(&self, question: &Question<'_>) -> Decision {
        let mut decision = Decision::Silent;
        for policy in &self.policies {
            decision = decision.joined(policy.decide(question));
        }
        match &self.boundary {
            Some(boundary) => decision.narrowed(boundary.decide(question)),
            None => decision,
        }
    }
}
