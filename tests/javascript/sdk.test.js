// The JavaScript SDK as applications use it: bodies as streams with trailing checksums, multipart uploads, paging.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { test } from "node:test";
import {
  CopyObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";

const Bucket = process.env.BUCKET;
const MEBIBYTE = 1 << 20;

const client = new S3Client({
  endpoint: process.env.ENDPOINT,
  region: "us-east-1",
  forcePathStyle: true,
  maxAttempts: 1,
  credentials: { accessKeyId: process.env.ACCESS_KEY, secretAccessKey: process.env.SECRET_KEY },
});

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

const fetched = async (Key, rest = {}) => {
  const got = await client.send(new GetObjectCommand({ Bucket, Key, ...rest }));
  return Buffer.from(await got.Body.transformToByteArray());
};

// A stream of known length that comes in pieces that fit no chunk.
const streamOf = (bytes) => {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += 40_009) pieces.push(bytes.subarray(at, at + 40_009));
  return Readable.from(pieces, { objectMode: false });
};

for (const algorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
  test(`a stream with a trailing ${algorithm} is stored without its frames`, async () => {
    const bytes = randomBytes(3 * MEBIBYTE + 77);
    const Key = `stream/${algorithm}`;
    const put = await client.send(
      new PutObjectCommand({
        Bucket,
        Key,
        Body: streamOf(bytes),
        ContentLength: bytes.length,
        ChecksumAlgorithm: algorithm,
        Metadata: { color: "blue" },
      }),
    );
    assert.ok(put[`Checksum${algorithm}`]);
    assert.equal(digest(await fetched(Key, { ChecksumMode: "ENABLED" })), digest(bytes));
    const head = await client.send(new HeadObjectCommand({ Bucket, Key }));
    assert.equal(head.ContentLength, bytes.length);
    assert.equal(head.ContentEncoding, undefined);
    assert.deepEqual(head.Metadata, { color: "blue" });
  });
}

test("bodies of every kind are stored", async () => {
  const bodies = { text: "grüße", empty: "", buffer: randomBytes(100_000), bytes: new Uint8Array([1, 2, 3]) };
  for (const [Key, Body] of Object.entries(bodies)) {
    await client.send(new PutObjectCommand({ Bucket, Key: `kind/${Key}`, Body }));
    assert.deepEqual(await fetched(`kind/${Key}`), Buffer.from(Body));
  }
});

test("lib-storage uploads 20 MiB in parts", async () => {
  const bytes = randomBytes(20 * MEBIBYTE);
  const upload = new Upload({ client, params: { Bucket, Key: "upload", Body: streamOf(bytes) }, queueSize: 3 });
  const done = await upload.done();
  assert.match(done.ETag, /-4"$/);
  assert.equal(digest(await fetched("upload")), digest(bytes));
  const range = await fetched("upload", { Range: `bytes=${5 * MEBIBYTE - 3}-${5 * MEBIBYTE + 2}` });
  assert.deepEqual(range, bytes.subarray(5 * MEBIBYTE - 3, 5 * MEBIBYTE + 3));
});

test("an aborted upload leaves nothing", async () => {
  const upload = new Upload({ client, params: { Bucket, Key: "aborted", Body: streamOf(randomBytes(11 * MEBIBYTE)) } });
  const done = upload.done();
  await upload.abort();
  await assert.rejects(done);
  await assert.rejects(fetched("aborted"), NoSuchKey);
});

test("pages are walked and keys deleted", async () => {
  const keys = Array.from({ length: 23 }, (_, number) => `page/${String(number).padStart(2, "0")} ü&+`);
  await Promise.all(keys.map((Key) => client.send(new PutObjectCommand({ Bucket, Key, Body: Key }))));
  const found = [];
  for await (const page of paginateListObjectsV2({ client, pageSize: 5 }, { Bucket, Prefix: "page/" })) {
    found.push(...page.Contents.map((each) => each.Key));
  }
  assert.deepEqual(found, keys);
  const grouped = await client.send(new ListObjectsV2Command({ Bucket, Delimiter: "/", Prefix: "pa" }));
  assert.deepEqual(grouped.CommonPrefixes, [{ Prefix: "page/" }]);
  const Delete = { Objects: keys.map((Key) => ({ Key })) };
  const deleted = await client.send(new DeleteObjectsCommand({ Bucket, Delete }));
  assert.equal(deleted.Deleted.length, keys.length);
  const left = await client.send(new ListObjectsV2Command({ Bucket, Prefix: "page/" }));
  assert.equal(left.KeyCount, 0);
});

test("conditions and copies", async () => {
  const Key = "condition";
  const put = await client.send(new PutObjectCommand({ Bucket, Key, Body: "1", IfNoneMatch: "*" }));
  await assert.rejects(client.send(new PutObjectCommand({ Bucket, Key, Body: "2", IfNoneMatch: "*" })), {
    name: "PreconditionFailed",
  });
  const unchanged = client.send(new GetObjectCommand({ Bucket, Key, IfNoneMatch: put.ETag }));
  await assert.rejects(unchanged, (error) => error.$metadata.httpStatusCode === 304);
  await client.send(new CopyObjectCommand({ Bucket, Key: "copy ü", CopySource: `${Bucket}/${Key}` }));
  assert.equal(String(await fetched("copy ü")), "1");
});
