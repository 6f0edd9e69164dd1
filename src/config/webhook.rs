//! Webhooks: who is told of events by HTTP, by name.

use std::{fmt, path::PathBuf, str::FromStr};

use anode_net::s3::configuration::notification::is_target_name;

use super::{Error, cli, file};
use crate::{limits, outbound::Url};

/// A target of notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// What configurations of buckets call it.
    pub name: String,
    /// Where events are sent.
    pub url: Url,
    /// What proves who sends them, where something does.
    pub token: Option<TokenSource>,
    /// How many events a group keeps for it.
    pub queue_count_max: u64,
}

/// Where a token comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// The configuration has it.
    Given(String),
    /// The first line of a file.
    File(PathBuf),
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(..)"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// `NAME=VALUE` on the command line. A URL may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Named {
    /// Of which webhook.
    pub name: String,
    /// What it is.
    pub value: String,
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Named({})", self.name)
    }
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

const SETTING: &str = "notification.webhook";

/// The webhooks of the command line and the environment, or else those of the file; tokens of either for both.
pub(super) fn merge(flags: &cli::Serve, file: Vec<file::Webhook>) -> Result<Vec<Webhook>, Error> {
    let refused = |problem: String| Error::Value { setting: SETTING, problem };
    let of_flag = |named: &Named| file::Webhook {
        name: named.name.clone(),
        url: named.value.clone(),
        ..file::Webhook::default()
    };
    let given = if flags.notification_webhook.is_empty() {
        file
    } else {
        flags.notification_webhook.iter().map(of_flag).collect()
    };
    if given.len() > limits::TARGET_COUNT_MAX {
        return Err(refused(format!("there can be {} at most", limits::TARGET_COUNT_MAX)));
    }
    let mut webhooks: Vec<Webhook> = Vec::with_capacity(given.len());
    for one in given {
        if webhooks.iter().any(|known| known.name == one.name) {
            return Err(refused(format!("{} is named twice", one.name)));
        }
        webhooks.push(webhook(flags, one).map_err(refused)?);
    }
    if let Some(stray) = flags
        .notification_token_file
        .iter()
        .find(|named| webhooks.iter().all(|webhook| webhook.name != named.name))
    {
        return Err(refused(format!("there is a token for {}, and no such webhook", stray.name)));
    }
    Ok(webhooks)
}

fn webhook(flags: &cli::Serve, one: file::Webhook) -> Result<Webhook, String> {
    let file::Webhook { name, url, auth_token, auth_token_file, queue_limit } = one;
    if !is_target_name(&name) {
        return Err(format!("{name:?} is no name: 1 to 64 letters, digits, '-' and '_'"));
    }
    let url = Url::parse(&url).map_err(|problem| format!("the url of {name}: {problem}"))?;
    let flag = flags.notification_token_file.iter().rfind(|named| named.name == name);
    let token = match (flag, auth_token, auth_token_file) {
        (Some(flag), ..) => Some(TokenSource::File(PathBuf::from(&flag.value))),
        (None, Some(_), Some(_)) => {
            return Err(format!("{name} has auth_token and auth_token_file; give one of them"));
        }
        (None, Some(token), None) => Some(TokenSource::Given(token)),
        (None, None, file) => file.map(TokenSource::File),
    };
    let queue_count_max = queue_limit.unwrap_or(limits::EVENT_QUEUE_COUNT_DEFAULT);
    if queue_count_max == 0 {
        return Err(format!("the queue_limit of {name} must be 1 or more"));
    }
    Ok(Webhook { name, url, token, queue_count_max })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(flags: &cli::Serve, text: &str) -> Result<Vec<Webhook>, String> {
        let file: file::File = toml::from_str(text).map_err(|error| error.to_string())?;
        merge(flags, file.notification.webhook).map_err(|error| error.to_string())
    }

    #[test]
    fn the_file_names_them_and_flags_win() {
        let text = "[[notification.webhook]]\nname = 'a'\nurl = 'https://a.test/h'\nauth_token = 'canary'\n\
                    [[notification.webhook]]\nname = 'b'\nurl = 'http://b.test'\nqueue_limit = 7\n";
        let named = |text: &str| text.parse::<Named>().unwrap();
        let flags = cli::Serve {
            notification_token_file: vec![named("b=/run/token")],
            ..cli::Serve::default()
        };
        let webhooks = load(&flags, text).unwrap();
        assert_eq!(webhooks[0].token, Some(TokenSource::Given("canary".to_owned())));
        assert_eq!(webhooks[0].queue_count_max, limits::EVENT_QUEUE_COUNT_DEFAULT);
        assert_eq!(webhooks[1].token, Some(TokenSource::File("/run/token".into())));
        assert_eq!(webhooks[1].queue_count_max, 7);
        assert!(!format!("{webhooks:?}").contains("canary"));
        let flags = cli::Serve {
            notification_webhook: vec![named("c=http://c.test/?x=1")],
            ..cli::Serve::default()
        };
        let webhooks = load(&flags, text).unwrap();
        assert_eq!((webhooks.len(), webhooks[0].url.target()), (1, "/?x=1"));
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for inside in [
            "name = ''\nurl = 'http://a'",
            "name = 'a b'\nurl = 'http://a'",
            "name = 'a'\nurl = 'a'",
            "name = 'a'",
            "name = 'a'\nurl = 'http://a'\nqueue_limit = 0",
            "name = 'a'\nurl = 'http://a'\nauth_token = 'x'\nauth_token_file = 'y'",
            "name = 'a'\nurl = 'http://a'\nunknown = 1",
            "name = 'a'\nurl = 'http://a'\n[[notification.webhook]]\nname = 'a'\nurl = 'http://b'",
        ] {
            let text = format!("[[notification.webhook]]\n{inside}\n");
            assert!(load(&cli::Serve::default(), &text).is_err(), "{text}");
        }
        let stray = cli::Serve {
            notification_token_file: vec!["a=b".parse().unwrap()],
            ..cli::Serve::default()
        };
        load(&stray, "").unwrap_err();
    }
}
