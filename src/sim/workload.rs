//! Clients with work to do: each with a bucket and keys of its own, and all on some keys that they share.
//!
//! A client does one thing after another and takes down what it asked for and what it was told ([`History`]). Where
//! no answer comes, or a refusal that a healthy node doesn't give, its work is over until the next life of the node.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;

use super::{
    World,
    client::{Answer, Client, Lost, Request},
    history::{History, Interval, Name, Piece, Seen, Ticket, Value},
};

/// The bucket that all clients write to.
pub const SHARED_BUCKET: &str = "shared";
/// Keys of its own that a client writes to, again and again.
const OWN_KEY_COUNT: u64 = 12;
/// Keys that all clients write to.
const SHARED_KEY_COUNT: u64 = 4;
/// All parts but the last are at least this long, in bytes.
const PART_BYTES_MIN: usize = 5 << 20;

/// What most objects of a run are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Of all sizes.
    Mixed,
    /// Inside their commands: memtables fill up and are flushed.
    Inline,
    /// Of several chunks.
    Large,
    /// Uploads in parts.
    Multipart,
}

/// What the clients of a run share.
#[derive(Debug)]
pub struct Ledger {
    /// What was written and read.
    pub history: RefCell<History>,
    /// What must not be.
    pub violations: RefCell<Vec<String>>,
    /// Refusals and endings that only a crash excuses.
    pub excuses: RefCell<Vec<String>>,
    /// Operations begun.
    pub begun_count: std::cell::Cell<u64>,
    pieces: std::cell::Cell<u64>,
    flavour: Flavour,
}

impl Ledger {
    /// An empty one.
    pub fn new(flavour: Flavour) -> Self {
        Self {
            history: RefCell::default(),
            violations: RefCell::default(),
            excuses: RefCell::default(),
            begun_count: std::cell::Cell::default(),
            pieces: std::cell::Cell::default(),
            flavour,
        }
    }

    fn piece(&self, length: usize) -> Piece {
        self.pieces.set(self.pieces.get() + 1);
        Piece { number: self.pieces.get(), length }
    }
}

/// Nothing more can be done in this life of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over;

/// A client and its notes, which outlive the node's crashes.
#[derive(Debug)]
pub struct Worker {
    world: World,
    ledger: Rc<Ledger>,
    number: u64,
    uploads: BTreeMap<String, Upload>,
}

/// An upload that was acknowledged, with its acknowledged parts.
#[derive(Clone, Debug)]
struct Upload {
    key: String,
    parts: BTreeMap<u32, (Piece, String)>,
}

impl Worker {
    /// A client with its number.
    pub fn new(world: &World, ledger: &Rc<Ledger>, number: u64) -> Self {
        let (world, ledger) = (world.clone(), Rc::clone(ledger));
        Self { world, ledger, number, uploads: BTreeMap::new() }
    }

    /// Does so many operations, or as many as this life of the node allows.
    pub async fn work(&mut self, client: &mut Client, count: u64) -> Result<(), Over> {
        for bucket in [self.own_bucket(), SHARED_BUCKET.to_owned()] {
            self.ensure_bucket(client, &bucket).await?;
        }
        for _ in 0..count {
            self.ledger.begun_count.set(self.ledger.begun_count.get() + 1);
            self.step(client).await?;
        }
        Ok(())
    }

    async fn step(&mut self, client: &mut Client) -> Result<(), Over> {
        match self.world.below(100) {
            0..45 => self.put(client).await,
            45..60 => self.delete(client).await,
            60..72 => {
                let name = self.any_name();
                self.ledger.get(client, &name).await
            }
            72..80 => {
                let bucket = self.own_bucket();
                self.ledger.list(client, &self.world, &bucket).await
            }
            80..88 => self.create(client).await,
            88..92 => self.scratch_bucket(client).await,
            _ => self.multipart(client).await,
        }
    }

    fn own_bucket(&self) -> String {
        format!("client-{}", self.number)
    }

    fn own_name(&self) -> Name {
        let key = format!("own/{:02}", self.world.below(OWN_KEY_COUNT));
        Name { bucket: self.own_bucket(), key }
    }

    fn any_name(&self) -> Name {
        if self.world.below(4) > 0 {
            return self.own_name();
        }
        let key = format!("hot-{}", self.world.below(SHARED_KEY_COUNT));
        Name { bucket: SHARED_BUCKET.to_owned(), key }
    }

    fn length(&self) -> usize {
        let sizes: &[usize] = match self.ledger.flavour {
            Flavour::Mixed => {
                &[0, 1, 1000, 4096, 20_000, 32 << 10, (32 << 10) + 1, 100_000, (1 << 20) + 5]
            }
            Flavour::Inline => &[0, 1000, 20_000, 30_000, 32_000, 32 << 10, 32 << 10],
            Flavour::Large => &[1, (32 << 10) + 1, 300_000, 1 << 20, (1 << 20) + 5, (5 << 20) / 2],
            Flavour::Multipart => &[0, 1000, 50_000],
        };
        let nth = usize::try_from(self.world.below(sizes.len() as u64)).expect("below a length");
        sizes[nth]
    }

    async fn ensure_bucket(&self, client: &mut Client, bucket: &str) -> Result<(), Over> {
        let name = Name { bucket: bucket.to_owned(), key: String::new() };
        let ticket = self.ledger.history.borrow_mut().begin(&name, Some(Vec::new()));
        let answer = client.send(&Request::new("PUT", &format!("/{bucket}"))).await;
        match self.ledger.expect(answer, "create a bucket", &[200, 409])? {
            Some(answer) if answer.status == 200 => {
                self.ledger.history.borrow_mut().acknowledge(ticket, None);
            }
            // It is there already.
            Some(_) => self.ledger.history.borrow_mut().refuse(ticket),
            None => return Err(Over),
        }
        Ok(())
    }

    async fn put(&self, client: &mut Client) -> Result<(), Over> {
        let name = self.any_name();
        let piece = self.ledger.piece(self.length());
        let mut request = Request::new("PUT", &path(&name)).body(piece.bytes());
        let mut statuses: &[u16] = &[200];
        // Nobody else writes to keys of one's own: what a condition does is known.
        let certain = self.ledger.history.borrow_mut().certain(&name);
        if name.bucket != SHARED_BUCKET
            && self.world.below(4) == 0
            && let Some((Some(_), Some(etag))) = certain
        {
            let matches = self.world.below(2) == 0;
            let etag = if matches { etag } else { "0123456789abcdef0123456789abcdef".to_owned() };
            request = request.header("if-match", format!("\"{etag}\""));
            statuses = if matches { &[200] } else { &[412] };
        }
        let ticket = self.ledger.history.borrow_mut().begin(&name, Some(vec![piece]));
        let answer = client.send(&request).await;
        self.ledger.ended(ticket, self.ledger.expect(answer, "put an object", statuses)?)
    }

    async fn delete(&self, client: &mut Client) -> Result<(), Over> {
        let name = self.any_name();
        if self.world.below(3) == 0 {
            return self.delete_many(client).await;
        }
        let ticket = self.ledger.history.borrow_mut().begin(&name, None);
        let answer = client.send(&Request::new("DELETE", &path(&name))).await;
        self.ledger.ended(ticket, self.ledger.expect(answer, "delete an object", &[204])?)
    }

    async fn delete_many(&self, client: &mut Client) -> Result<(), Over> {
        let mut names: Vec<Name> = (0..3).map(|_| self.own_name()).collect();
        names.sort();
        names.dedup();
        let objects: Vec<String> =
            names.iter().map(|name| format!("<Object><Key>{}</Key></Object>", name.key)).collect();
        let body = Bytes::from(format!("<Delete>{}</Delete>", objects.concat()));
        let checksum = STANDARD.encode(anode_net::checksum::Md5::of(&body));
        let request = Request::new("POST", &format!("/{}", self.own_bucket()))
            .query("delete=".to_owned())
            .header("content-md5", checksum)
            .body(body);
        let tickets: Vec<Ticket> = {
            let mut history = self.ledger.history.borrow_mut();
            names.iter().map(|name| history.begin(name, None)).collect()
        };
        let answer = client.send(&request).await;
        let answer = self.ledger.expect(answer, "delete objects", &[200])?.ok_or(Over)?;
        let text = answer.text();
        if text.contains("<Error>") {
            self.ledger.excuses.borrow_mut().push(format!("delete objects: {text}"));
            return Err(Over);
        }
        for ticket in tickets {
            self.ledger.history.borrow_mut().acknowledge(ticket, None);
        }
        Ok(())
    }

    /// Creates a shared object that other clients create, too: one of them does.
    async fn create(&self, client: &mut Client) -> Result<(), Over> {
        let key = format!("once/{}", self.world.below(40));
        let name = Name { bucket: SHARED_BUCKET.to_owned(), key };
        let piece = self.ledger.piece(self.length().min(100_000));
        let request = Request::new("PUT", &path(&name))
            .header("if-none-match", "*".to_owned())
            .body(piece.bytes());
        let start = self.ledger.history.borrow_mut().moment();
        let ticket = self.ledger.history.borrow_mut().begin_create(&name, Some(vec![piece]));
        let answer = client.send(&request).await;
        let answer = self.ledger.expect(answer, "create an object", &[200, 412])?;
        let Some(answer) = answer else { return Err(Over) };
        let mut history = self.ledger.history.borrow_mut();
        let end = history.moment();
        if answer.status == 412 {
            history.refuse(ticket);
            if !history.could_be(&name, Interval { start, end }, true) {
                let finding = format!("{} exists, says a refusal, and nobody made it", name.key);
                self.ledger.violations.borrow_mut().push(finding);
            }
        } else {
            if !history.could_be(&name, Interval { start, end }, false) {
                let finding = format!("{} was created though it existed", name.key);
                self.ledger.violations.borrow_mut().push(finding);
            }
            history.acknowledge(ticket, answer.etag());
        }
        Ok(())
    }

    /// Makes a bucket, or removes it.
    async fn scratch_bucket(&self, client: &mut Client) -> Result<(), Over> {
        let bucket = format!("scratch-{}-{}", self.number, self.world.below(2));
        let name = Name { bucket: bucket.clone(), key: String::new() };
        let certain = self.ledger.history.borrow_mut().certain(&name);
        match certain {
            Some((None, _)) => self.ensure_bucket(client, &bucket).await,
            Some((Some(_), _)) => {
                let ticket = self.ledger.history.borrow_mut().begin(&name, None);
                let answer = client.send(&Request::new("DELETE", &format!("/{bucket}"))).await;
                self.ledger.ended(ticket, self.ledger.expect(answer, "delete a bucket", &[204])?)
            }
            None => self.ledger.head_bucket(client, &bucket).await,
        }
    }

    async fn multipart(&mut self, client: &mut Client) -> Result<(), Over> {
        let waiting = self.uploads.keys().next().cloned();
        match waiting {
            Some(id) if self.world.below(3) == 0 => self.abort(client, &id).await,
            Some(id) => self.complete(client, &id).await,
            None => self.begin_upload(client).await,
        }
    }

    async fn begin_upload(&mut self, client: &mut Client) -> Result<(), Over> {
        let name = self.own_name();
        let request = Request::new("POST", &path(&name)).query("uploads=".to_owned());
        let answer = client.send(&request).await;
        let answer = self.ledger.expect(answer, "create an upload", &[200])?.ok_or(Over)?;
        let text = answer.text();
        let Some(id) = between(&text, "<UploadId>", "</UploadId>") else {
            self.ledger.violations.borrow_mut().push(format!("an upload without an id: {text}"));
            return Err(Over);
        };
        let id = id.to_owned();
        self.uploads.insert(id.clone(), Upload { key: name.key, parts: BTreeMap::new() });
        let two = self.ledger.flavour == Flavour::Multipart && self.world.below(3) == 0;
        let first = if two { PART_BYTES_MIN } else { self.length().max(1) };
        for (number, length) in [(1, first), (2, 70_000)].into_iter().take(1 + usize::from(two)) {
            self.part(client, &id, number, length).await?;
        }
        if self.world.below(2) == 0 { self.complete(client, &id).await } else { Ok(()) }
    }

    async fn part(
        &mut self,
        client: &mut Client,
        id: &str,
        number: u32,
        length: usize,
    ) -> Result<(), Over> {
        let piece = self.ledger.piece(length);
        let upload = self.uploads.get_mut(id).expect("the caller has just made it");
        let name = Name { bucket: format!("client-{}", self.number), key: upload.key.clone() };
        let request = Request::new("PUT", &path(&name))
            .query(format!("partNumber={number}&uploadId={id}"))
            .body(piece.bytes());
        let answer = client.send(&request).await;
        let answer = self.ledger.expect(answer, "upload a part", &[200])?.ok_or(Over)?;
        upload.parts.insert(number, (piece, answer.etag().unwrap_or_default()));
        Ok(())
    }

    async fn complete(&mut self, client: &mut Client, id: &str) -> Result<(), Over> {
        // Whatever comes of it, it isn't completed twice.
        let upload = self.uploads.remove(id).expect("the caller has found it");
        if upload.parts.is_empty() {
            self.uploads.insert(id.to_owned(), upload);
            return self.abort(client, id).await;
        }
        let parts: Vec<String> = upload
            .parts
            .iter()
            .map(|(number, (_, etag))| {
                format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>")
            })
            .collect();
        let body = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.concat());
        let name = Name { bucket: self.own_bucket(), key: upload.key.clone() };
        let request = Request::new("POST", &path(&name))
            .query(format!("uploadId={id}"))
            .body(Bytes::from(body));
        let value: Value = Some(upload.parts.values().map(|(piece, _)| *piece).collect());
        let ticket = self.ledger.history.borrow_mut().begin(&name, value);
        let answer = client.send(&request).await;
        let answer = self.ledger.expect(answer, "complete an upload", &[200])?.ok_or(Over)?;
        let text = answer.text();
        if text.contains("<Error>") {
            self.ledger.excuses.borrow_mut().push(format!("complete an upload: {text}"));
            return Err(Over);
        }
        self.ledger.history.borrow_mut().acknowledge(ticket, etag_of(&text));
        Ok(())
    }

    async fn abort(&mut self, client: &mut Client, id: &str) -> Result<(), Over> {
        let upload = self.uploads.remove(id).expect("the caller has found it");
        let name = Name { bucket: self.own_bucket(), key: upload.key };
        let request = Request::new("DELETE", &path(&name)).query(format!("uploadId={id}"));
        let answer = client.send(&request).await;
        self.ledger.expect(answer, "abort an upload", &[204])?.map(drop).ok_or(Over)
    }
}

impl Ledger {
    /// Takes an answer with one of these statuses; `None` where none came, or a refusal that only a crash excuses.
    fn expect(
        &self,
        answer: Result<Answer, Lost>,
        attempted: &str,
        statuses: &[u16],
    ) -> Result<Option<Answer>, Over> {
        match answer {
            Ok(answer) if statuses.contains(&answer.status) => Ok(Some(answer)),
            Ok(answer) if answer.status >= 500 => {
                let text = answer.text();
                self.excuses.borrow_mut().push(format!("{attempted}: {} {text}", answer.status));
                Ok(None)
            }
            Ok(answer) => {
                let text = answer.text();
                self.violations.borrow_mut().push(format!("{attempted}: {} {text}", answer.status));
                Err(Over)
            }
            Err(Lost(reason)) => {
                self.excuses.borrow_mut().push(format!("{attempted}: {reason}"));
                Ok(None)
            }
        }
    }

    /// Ends a write: acknowledged with a success, refused with 412, and else unknown.
    fn ended(&self, ticket: Ticket, answer: Option<Answer>) -> Result<(), Over> {
        let Some(answer) = answer else { return Err(Over) };
        let mut history = self.history.borrow_mut();
        match answer.status {
            412 => history.refuse(ticket),
            _ => history.acknowledge(ticket, answer.etag()),
        }
        Ok(())
    }

    /// Reads an object and compares all its bytes.
    pub async fn get(&self, client: &mut Client, name: &Name) -> Result<(), Over> {
        let start = self.history.borrow_mut().moment();
        let answer = client.send(&Request::new("GET", &path(name))).await;
        let answer = self.expect(answer, "get an object", &[200, 404])?.ok_or(Over)?;
        let seen = match answer.status {
            404 => Seen::Nothing,
            _ => Seen::Object {
                length: answer.body.len(),
                etag: answer.etag().unwrap_or_default(),
                bytes: Some(answer.body.clone()),
            },
        };
        self.read(name, start, &seen);
        Ok(())
    }

    /// Looks whether a bucket is there.
    pub async fn head_bucket(&self, client: &mut Client, bucket: &str) -> Result<(), Over> {
        let start = self.history.borrow_mut().moment();
        let answer = client.send(&Request::new("HEAD", &format!("/{bucket}"))).await;
        let answer = self.expect(answer, "head a bucket", &[200, 404])?.ok_or(Over)?;
        let seen = match answer.status {
            404 => Seen::Nothing,
            _ => Seen::Object { length: 0, etag: String::new(), bytes: None },
        };
        let name = Name { bucket: bucket.to_owned(), key: String::new() };
        self.read(&name, start, &seen);
        Ok(())
    }

    /// Lists a bucket, page by page: each key of it was read, listed or not.
    pub async fn list(&self, client: &mut Client, world: &World, bucket: &str) -> Result<(), Over> {
        let known = self.history.borrow().names(bucket);
        let start = self.history.borrow_mut().moment();
        let page_size = [2, 5, 1000][usize::try_from(world.below(3)).expect("below three")];
        let mut listed: BTreeMap<String, Seen> = BTreeMap::new();
        let mut token = String::new();
        loop {
            let query = format!("{token}list-type=2&max-keys={page_size}");
            let request = Request::new("GET", &format!("/{bucket}")).query(query);
            let answer = client.send(&request).await;
            let answer = self.expect(answer, "list a bucket", &[200])?.ok_or(Over)?;
            let text = answer.text();
            for entry in text.split("<Contents>").skip(1) {
                let key = between(entry, "<Key>", "</Key>").unwrap_or_default().to_owned();
                let size = between(entry, "<Size>", "</Size>").unwrap_or_default();
                let length = size.parse().unwrap_or(usize::MAX);
                let etag = etag_of(entry).unwrap_or_default();
                let last = listed.last_key_value().map(|(last, _)| last.clone());
                if last.is_some_and(|last| last >= key) {
                    let finding = format!("{bucket}: the list goes back to {key}");
                    self.violations.borrow_mut().push(finding);
                }
                listed.insert(key, Seen::Object { length, etag, bytes: None });
            }
            match between(&text, "<NextContinuationToken>", "</NextContinuationToken>") {
                Some(next) => {
                    let next = anode_net::http::target::encode_component(next);
                    token = format!("continuation-token={next}&");
                }
                None => break,
            }
        }
        for name in &known {
            let seen = listed.remove(&name.key).unwrap_or(Seen::Nothing);
            self.read(name, start, &seen);
        }
        // Keys that were first written to while the list was under way.
        let later = self.history.borrow().names(bucket);
        for key in listed.into_keys() {
            if !later.iter().any(|name| name.key == key) {
                let finding = format!("{bucket}/{key} is listed and was never written");
                self.violations.borrow_mut().push(finding);
            }
        }
        Ok(())
    }

    fn read(&self, name: &Name, start: u64, seen: &Seen) {
        let mut history = self.history.borrow_mut();
        let end = history.moment();
        if let Err(finding) = history.read(name, Interval { start, end }, seen) {
            self.violations.borrow_mut().push(finding);
        }
    }
}

fn path(name: &Name) -> String {
    format!("/{}/{}", name.bucket, name.key)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(start)?;
    after.split_once(end).map(|(found, _)| found)
}

fn etag_of(text: &str) -> Option<String> {
    let etag = between(text, "<ETag>", "</ETag>")?;
    Some(etag.replace("&quot;", "").trim_matches('"').to_owned())
}
