//! IAM: providers of `OpenID` Connect.

use anode_net::{iam::Error, s3::xml::write::Document};

use super::scene::{Outcome, Scene, members, tags, time};
use crate::{
    iam::records::{Provider, Record as _},
    outbound::Url,
};

/// As at AWS.
const PROVIDERS_MAX: usize = 100;
/// As at AWS.
const CLIENT_IDS_MAX: usize = 100;
/// As at AWS.
const THUMBPRINTS_MAX: usize = 5;
/// Of URLs and of the ids of clients, as at AWS.
const LENGTH_MAX: usize = 255;

fn invalid(message: &'static str) -> Error {
    Error::new("InvalidInput", message)
}

/// The URL of a new one without its scheme.
fn url_of<'a>(scene: &Scene<'a>) -> Result<&'a str, Error> {
    let text = scene.call.required("Url")?;
    let wrong = || {
        invalid(
            "Url must begin with https:// and have neither a query nor a fragment, up to 255 characters.",
        )
    };
    let url = Url::parse(text).map_err(|_reason| wrong())?;
    if text.len() > LENGTH_MAX || !url.is_https() || text.contains('?') {
        return Err(wrong());
    }
    text.strip_prefix("https://").ok_or_else(wrong)
}

fn client_ids_of(scene: &Scene<'_>) -> Result<Vec<String>, Error> {
    let mut ids: Vec<String> = Vec::new();
    while let Some(id) = scene.call.get(&format!("ClientIDList.member.{}", ids.len() + 1)) {
        add_client_id(&mut ids, id)?;
    }
    Ok(ids)
}

fn add_client_id(ids: &mut Vec<String>, id: &str) -> Result<(), Error> {
    if id.len() > LENGTH_MAX {
        return Err(invalid("The id of a client has up to 255 characters."));
    }
    if ids.len() >= CLIENT_IDS_MAX {
        return Err(Error::new("LimitExceeded", "A provider has up to 100 ids of clients."));
    }
    ids.push(id.to_owned());
    Ok(())
}

fn thumbprints_of(scene: &Scene<'_>) -> Result<Vec<String>, Error> {
    let given = scene.call.list("ThumbprintList")?;
    let is_one =
        |text: &&str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if given.len() > THUMBPRINTS_MAX || !given.iter().all(is_one) {
        return Err(invalid("Thumbprints are up to 5, of 40 hex digits each."));
    }
    Ok(given.into_iter().map(str::to_owned).collect())
}

fn find(scene: &Scene<'_>) -> Result<Provider, Error> {
    let arn = scene.call.required("OpenIDConnectProviderArn")?;
    let found = scene.directory.provider(arn).filter(|one| one.account == scene.account());
    found.cloned().ok_or_else(|| {
        Error::new("NoSuchEntity", format!("OpenIDConnect Provider not found for arn {arn}"))
    })
}

pub(super) fn create(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let provider = Provider {
        account: scene.account().to_owned(),
        url: url_of(scene)?.to_owned(),
        client_ids: client_ids_of(scene)?,
        thumbprints: thumbprints_of(scene)?,
        created_ms: scene.now_ms,
        tags: scene.call.tags()?,
    };
    let providers = &scene.directory.providers;
    if providers.contains_key(&provider.key()) {
        return Err(Error::exists("Provider", &provider.issuer()));
    }
    if providers.values().filter(|one| one.account == provider.account).count() >= PROVIDERS_MAX {
        let message = "Cannot exceed quota for OpenIdConnectProvidersPerAccount: 100";
        return Err(Error::new("LimitExceeded", message));
    }
    document.text("OpenIDConnectProviderArn", &provider.arn());
    if !provider.tags.is_empty() {
        tags(document, &provider.tags);
    }
    Ok(vec![provider.put()])
}

pub(super) fn get(scene: &Scene<'_>, document: &mut Document) -> Outcome {
    let provider = find(scene)?;
    document.text("Url", &provider.url);
    time(document, "CreateDate", provider.created_ms);
    for (name, texts) in
        [("ClientIDList", &provider.client_ids), ("ThumbprintList", &provider.thumbprints)]
    {
        document.open(name);
        for text in texts {
            document.text("member", text);
        }
        document.close(name);
    }
    tags(document, &provider.tags);
    Ok(Vec::new())
}

pub(super) fn list(scene: &Scene<'_>, document: &mut Document) {
    let own = scene.directory.providers.values().filter(|one| one.account == scene.account());
    members(document, "OpenIDConnectProviderList", own, |document, provider| {
        document.text("Arn", &provider.arn());
    });
}

pub(super) fn delete(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    Ok(vec![find(scene)?.remove()])
}

pub(super) fn update_thumbprints(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let mut provider = find(scene)?;
    provider.thumbprints = thumbprints_of(scene)?;
    Ok(vec![provider.put()])
}

/// One that is there already stays.
pub(super) fn add_client(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let mut provider = find(scene)?;
    let id = scene.call.required("ClientID")?;
    if !provider.client_ids.iter().any(|known| known == id) {
        add_client_id(&mut provider.client_ids, id)?;
    }
    Ok(vec![provider.put()])
}

/// One that isn't there is no error.
pub(super) fn remove_client(scene: &Scene<'_>, _document: &mut Document) -> Outcome {
    let mut provider = find(scene)?;
    let id = scene.call.required("ClientID")?;
    provider.client_ids.retain(|known| known != id);
    Ok(vec![provider.put()])
}
