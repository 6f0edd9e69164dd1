//! The records of who there is, in the meta group.

use anode_disk::{
    Directory, Error,
    index::{Entry, Payload},
};
use bytes::Bytes;

use super::{
    State,
    draft::Draft,
    keys,
    read::{PAGE, corrupt},
};
use crate::{
    command::{Refusal, Reply},
    iam::{ChangeIam, ENDED_ACCOUNT_KIND, IamRecord, IamRecords},
    limits::{IAM_CHANGES_MAX, IAM_NAME_BYTES_MAX, IAM_RECORD_BYTES_MAX},
};

impl<D: Directory> State<D> {
    pub(super) async fn change_iam(
        &self,
        change: &ChangeIam,
        draft: &mut Draft,
    ) -> Result<Result<Reply, Refusal>, Error> {
        let revision = self.iam_revision().await?;
        if change.revision != revision {
            return Ok(Err(Refusal::Outdated));
        }
        if change.changes.len() > IAM_CHANGES_MAX {
            return Ok(Err(Refusal::Malformed("a change of IAM has up to 1,000 records")));
        }
        for one in &change.changes {
            let bytes = one.record.as_ref().map_or(0, Vec::len);
            if one.name.len() > IAM_NAME_BYTES_MAX || bytes > IAM_RECORD_BYTES_MAX {
                return Ok(Err(Refusal::Malformed("a record of IAM is too long")));
            }
            // Whoever decided on this may not have seen a bucket that was made a moment ago.
            if one.kind == ENDED_ACCOUNT_KIND
                && self.buckets().await?.iter().any(|bucket| bucket.account == one.name)
            {
                return Ok(Err(Refusal::Outdated));
            }
            let key = keys::iam(self.group, one.kind, &one.name);
            match &one.record {
                Some(record) => {
                    let value = Bytes::copy_from_slice(record);
                    draft.put_entry(key, Entry { value, payload: Payload::None });
                }
                None => draft.delete(key),
            }
        }
        draft.put(keys::iam_revision(self.group), &(revision + 1));
        Ok(Ok(Reply::Done))
    }

    async fn iam_revision(&self) -> Result<u64, Error> {
        Ok(self.record(&keys::iam_revision(self.group)).await?.unwrap_or_default())
    }

    /// Meta group: the records of who there is.
    pub async fn iam(&self) -> Result<IamRecords, Error> {
        let mut records = Vec::new();
        let range = keys::all_iam(self.group);
        let mut start = Some(range.start);
        while let Some(from) = start {
            let page = self.storage.index.scan(from..range.end.clone(), PAGE).await?;
            for (key, entry) in page.entries {
                let named = key.get(5..).and_then(keys::iam_of);
                let (kind, name) =
                    named.ok_or_else(|| corrupt(&key, "no record of IAM".to_owned()))?;
                let name = name.to_owned();
                records.push(IamRecord { kind, name, record: entry.value });
            }
            start = page.next;
        }
        Ok(IamRecords { revision: self.iam_revision().await?, records })
    }
}
