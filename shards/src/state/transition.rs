//! A version's bytes go to another class of segments, body by body, while everything else of it stays as it is.

use anode_disk::{Directory, Error};

use super::{
    State,
    draft::Draft,
    put::{Named, name_body},
};
use crate::{
    command::{Refusal, Transition},
    object::{Body, Object, STORAGE_CLASS, chunk_count},
};

impl<D: Directory> State<D> {
    /// Changes `object` as the transition says, if it still is the one that was read.
    pub(super) async fn transit(
        &self,
        object: &mut Object,
        transition: &Transition,
        draft: &mut Draft,
    ) -> Result<Result<(), Refusal>, Error> {
        let Transition { etag, last_modified_ms, body, staged, contents, class } = transition;
        if object.etag != *etag || object.last_modified_ms != *last_modified_ms {
            return Ok(Err(Refusal::Outdated));
        }
        if let Some(body) = *body {
            let bytes = if let Body::Inline(_) = object.body {
                let bytes = object.stored_bytes();
                object.body = Body::Whole(body);
                bytes
            } else {
                let Some((_, bytes)) = object.bodies().find(|(known, _)| *known == body) else {
                    return Ok(Err(Refusal::Outdated));
                };
                self.release_chunks(body, 0..chunk_count(bytes), draft).await?;
                bytes
            };
            if let Err(refusal) = name_body(body, (bytes, contents), Named::New, draft) {
                return Ok(Err(refusal));
            }
            for claim in &mut draft.claims {
                claim.staged = *staged;
            }
        }
        if let Some(class) = class {
            object.headers.retain(|(name, _)| name != STORAGE_CLASS);
            object.headers.push((STORAGE_CLASS.to_owned(), class.clone()));
        }
        Ok(Ok(()))
    }
}
