"""Notifications: whatever happens to objects is told to a webhook, once at least, in order, whatever crashes when."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from clients import aws_version_2, bucket_name, code_of, environment, run, s3_client
from content import content
from forms import Form
from node import SECRET_KEY, Node, credentials_environment
from webhook import Webhook, key_of

PART_BYTES = 5 << 20
TOKEN = "canary-token-9d1e"
PAST = "2020-01-01T00:00:00Z"


def arn(name: str = "one", whose: str = "anode", region: str = "") -> str:
    return f"arn:{whose}:sqs:{region}:{name}:webhook"


def rule(*events: str, target: str = "one", **more: object) -> dict:
    return {"Id": "rule", "QueueArn": arn(target), "Events": list(events)} | more


def filters(prefix: str | None = None, suffix: str | None = None) -> dict:
    pairs = [("Prefix", prefix), ("Suffix", suffix)]
    return {"Key": {"FilterRules": [{"Name": name, "Value": value} for name, value in pairs if value is not None]}}


def put_rules(s3: BaseClient, bucket: str, *rules: dict, **more: object) -> None:
    configuration = {"QueueConfigurations": list(rules)}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration, **more)


ALL = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put", "s3:LifecycleExpiration:*")


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    with Webhook() as webhook:
        yield webhook


@pytest.fixture(scope="module")
def told(workspace: Path, hook: Webhook) -> Iterator[Node]:
    """A node with a target that is there and one that isn't."""
    absent = f"http://127.0.0.1:{hook.port + 1 if hook.port < 65535 else 1}/"
    node = Node(workspace / "told", ["--notification-webhook", f"one={hook.url}", "--lifecycle-period", "1s"])
    node.arguments += ["--notification-webhook", f"absent={absent}", "--object-ownership", "ObjectWriter"]
    node.start()
    yield node
    assert node.stop() == 0, node.log_tail()
    assert "panicked" not in node.log(), node.log_tail()


@pytest.fixture(scope="module")
def s3(told: Node) -> BaseClient:
    return s3_client(told)


@pytest.fixture
def bucket(s3: BaseClient, hook: Webhook) -> str:
    """A bucket that tells everything; nothing was told yet."""
    name = bucket_name()
    s3.create_bucket(Bucket=name)
    put_rules(s3, name, rule(*ALL))
    hook.events.clear()
    return name


def make_authority(directory: Path) -> tuple[Path, tuple[Path, Path]]:
    """The certificate of an authority, and a certificate for 127.0.0.1 that it has signed, with its key."""
    authority, authority_key = directory / "authority.pem", directory / "authority.key"
    certificate, key, request = (directory / f"hook.{end}" for end in ("pem", "key", "csr"))
    extensions = directory / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for command in (
        ["req", "-x509", *new_key, "-days", "2", "-subj", "/CN=authority", "-keyout", authority_key, "-out", authority],
        ["req", *new_key, "-subj", "/CN=hook", "-keyout", key, "-out", request],
        ["x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-days", "2"]
        + ["-extfile", extensions, "-out", certificate],
    ):
        subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True, timeout=60)
    return authority, (certificate, key)


def told_of(hook: Webhook, bucket: str, count: int) -> list[dict]:
    """What was told of a bucket, so many events."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [event for event in hook.events if event["s3"]["bucket"]["name"] == bucket]
        if len(found) >= count:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{count} were to come: {hook.seen()}")


def pairs(events: list[dict]) -> list[tuple[str, str]]:
    return [(event["eventName"], key_of(event)) for event in events]


def complete(s3: BaseClient, bucket: str, key: str) -> dict:
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts = []
    for number, size in ((1, PART_BYTES), (2, 7)):
        part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=b"x" * size)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    return s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


def test_a_record_says_what_happened(s3: BaseClient, bucket: str, hook: Webhook) -> None:
    put = s3.put_object(Bucket=bucket, Key="red flower/ü+1.jpg", Body=b"seven b")
    (event,) = told_of(hook, bucket, 1)
    request_id = put["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"]
    assert event["eventVersion"] == "2.1" and event["eventSource"] == "aws:s3"
    assert event["awsRegion"] == "us-east-1" and event["eventName"] == "ObjectCreated:Put"
    assert event["eventTime"].endswith("Z") and event["userIdentity"]["principalId"].startswith("AWS:")
    assert event["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    assert event["responseElements"]["x-amz-request-id"] == request_id
    about = event["s3"]
    assert about["configurationId"] == "rule" and about["s3SchemaVersion"] == "1.0"
    assert about["bucket"]["arn"] == f"arn:aws:s3:::{bucket}"
    assert about["bucket"]["ownerIdentity"]["principalId"] == s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    assert about["object"]["key"] == "red+flower/%C3%BC%2B1.jpg"
    assert about["object"]["size"] == 7 and about["object"]["eTag"] == put["ETag"].strip('"')
    assert "versionId" not in about["object"] and len(about["object"]["sequencer"]) == 16


def test_each_way_of_changing_an_object_has_its_event(
    told: Node, s3: BaseClient, bucket: str, hook: Webhook, home: Path
) -> None:
    s3.put_object(Bucket=bucket, Key="small", Body=b"x")
    s3.put_object(Bucket=bucket, Key="large", Body=content("large", 3 << 20))
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/small")
    complete(s3, bucket, "parts")
    assert Form(bucket).send(told.port).status == 204
    (home / "file").write_bytes(b"from the command line")
    endpoint = ["--endpoint-url", told.endpoint]
    run([aws_version_2(), *endpoint, "s3", "cp", home / "file", f"s3://{bucket}/cli"], environment(home))
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    s3.put_object_tagging(Bucket=bucket, Key="small", Tagging=tags)
    s3.delete_object_tagging(Bucket=bucket, Key="small")
    s3.put_object_acl(Bucket=bucket, Key="small", ACL="public-read")
    s3.delete_object(Bucket=bucket, Key="small")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "copy"}, {"Key": "absent"}, {"Key": "large"}]})
    expected = {
        ("ObjectCreated:Put", "small"),
        ("ObjectCreated:Put", "large"),
        ("ObjectCreated:Copy", "copy"),
        ("ObjectCreated:CompleteMultipartUpload", "parts"),
        ("ObjectCreated:Post", "k"),
        ("ObjectCreated:Put", "cli"),
        ("ObjectTagging:Put", "small"),
        ("ObjectTagging:Delete", "small"),
        ("ObjectAcl:Put", "small"),
        ("ObjectRemoved:Delete", "small"),
        ("ObjectRemoved:Delete", "copy"),
        ("ObjectRemoved:Delete", "large"),
    }
    events = told_of(hook, bucket, len(expected))
    assert sorted(pairs(events)) == sorted(expected)
    of_parts = next(event for event in events if key_of(event) == "parts")
    assert of_parts["s3"]["object"]["size"] == PART_BYTES + 7 and of_parts["s3"]["object"]["eTag"].endswith("-2")
    small = [event for event in events if key_of(event) == "small"]
    sequencers = [event["s3"]["object"]["sequencer"] for event in small]
    assert sequencers == sorted(set(sequencers)), "events of a key come in their order"
    assert [event["eventVersion"] for event in small] == ["2.1", "2.3", "2.3", "2.3", "2.1"]
    assert "size" not in small[-1]["s3"]["object"]


def test_what_did_not_happen_is_not_told(s3: BaseClient, bucket: str, hook: Webhook) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"y", IfNoneMatch="*") == "PreconditionFailed"
    wrong = "AAAAAAAAAAAAAAAAAAAAAA=="
    assert code_of(s3.put_object, Bucket=bucket, Key="k", Body=b"y", ContentMD5=wrong) == "BadDigest"
    s3.delete_object(Bucket=bucket, Key="absent")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    s3.get_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="last", Body=b"x")
    told_of(hook, bucket, 2)
    # Of another group may come later: whatever is to come has been recorded before the last PUT was answered.
    s3.delete_object(Bucket=bucket, Key="k")
    events = told_of(hook, bucket, 3)
    expected = [("ObjectCreated:Put", "k"), ("ObjectCreated:Put", "last"), ("ObjectRemoved:Delete", "k")]
    assert sorted(pairs(events)) == expected


def test_versions_are_named_and_markers_told_apart(s3: BaseClient, bucket: str, hook: Webhook) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    s3.put_object_tagging(Bucket=bucket, Key="k", VersionId=first, Tagging={"TagSet": []})
    s3.delete_object(Bucket=bucket, Key="k", VersionId=first)
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": marker}]})
    events = told_of(hook, bucket, 6)
    assert [(event["eventName"], event["s3"]["object"]["versionId"]) for event in events] == [
        ("ObjectCreated:Put", first),
        ("ObjectCreated:Put", second),
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectTagging:Put", first),
        ("ObjectRemoved:Delete", first),
        ("ObjectRemoved:Delete", marker),
    ]


def test_expiry_is_told_as_lifecycles(s3: BaseClient, bucket: str, hook: Webhook) -> None:
    versioned = bucket_name()
    s3.create_bucket(Bucket=versioned, ObjectLockEnabledForBucket=True)
    put_rules(s3, versioned, rule("s3:LifecycleExpiration:*"))
    for each in (bucket, versioned):
        s3.put_object(Bucket=each, Key="old/1", Body=b"x")
        s3.put_object(Bucket=each, Key="new", Body=b"x")
        due = {"ID": "due", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Date": PAST}}
        s3.put_bucket_lifecycle_configuration(Bucket=each, LifecycleConfiguration={"Rules": [due]})
    plain = told_of(hook, bucket, 3)
    expired = [event for event in plain if event["eventName"].startswith("LifecycleExpiration")]
    assert pairs(expired) == [("LifecycleExpiration:Delete", "old/1")]
    assert expired[0]["userIdentity"]["principalId"] == "s3.amazonaws.com"
    (hidden,) = told_of(hook, versioned, 1)
    assert pairs([hidden]) == [("LifecycleExpiration:DeleteMarkerCreated", "old/1")]
    marker = s3.list_object_versions(Bucket=versioned, Prefix="old/")["DeleteMarkers"][0]
    assert hidden["s3"]["object"]["versionId"] == marker["VersionId"]


def test_filters_choose(s3: BaseClient, bucket: str, hook: Webhook) -> None:
    put_rules(
        s3,
        bucket,
        rule("s3:ObjectCreated:*", Id="jpg", Filter=filters("in/", ".jpg")),
        rule("s3:ObjectCreated:Copy", Id="out", Filter=filters("out/")),
        rule("s3:ObjectRemoved:Delete", Id="gone", Filter=filters(suffix=".png")),
    )
    for key in ("in/a.jpg", "in/a.png", "out/a.jpg", "a.jpg"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.copy_object(Bucket=bucket, Key="out/copy", CopySource=f"{bucket}/a.jpg")
    for key in ("in/a.jpg", "in/a.png"):
        s3.delete_object(Bucket=bucket, Key=key)
    events = told_of(hook, bucket, 3)
    found = sorted((event["s3"]["configurationId"], key_of(event)) for event in events)
    assert found == [("gone", "in/a.png"), ("jpg", "in/a.jpg"), ("out", "out/copy")]


def test_a_configuration_comes_back_and_goes(s3: BaseClient, hook: Webhook) -> None:
    bucket = bucket_name()
    s3.create_bucket(Bucket=bucket)
    get = s3.get_bucket_notification_configuration
    tests = len(hook.tests)
    configuration = {
        "QueueConfigurations": [rule("s3:ObjectCreated:Put", "s3:ObjectRemoved:*", Filter=filters("a", "b"))],
        "TopicConfigurations": [{"Id": "topic", "TopicArn": arn(whose="minio"), "Events": ["s3:ObjectRestore:*"]}],
        "LambdaFunctionConfigurations": [
            {"Id": "function", "LambdaFunctionArn": arn(), "Events": ["s3:Replication:*", "s3:IntelligentTiering"]}
        ],
    }
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    shown = get(Bucket=bucket)
    del shown["ResponseMetadata"]
    assert shown == configuration
    assert [test["Bucket"] for test in hook.tests[tests:]] == [bucket], "each target is tested once"
    unnamed = rule("s3:ObjectCreated:Put")
    del unnamed["Id"]
    put_rules(s3, bucket, unnamed)
    assert len(get(Bucket=bucket)["QueueConfigurations"][0]["Id"]) == 32
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert "QueueConfigurations" not in get(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert code_of(get, Bucket=bucket_name()) == "NoSuchBucket"


@pytest.mark.parametrize(
    ("rules", "code", "says"),
    [
        ([rule("s3:ObjectCreated:Nothing")], "InvalidArgument", "not supported for notifications"),
        ([rule("s3:TestEvent")], "InvalidArgument", "not supported for notifications"),
        ([rule(ALL[0], target="stranger")], "InvalidArgument", "Unable to validate the following destination"),
        ([rule(ALL[0], target="absent")], "InvalidArgument", "Unable to validate the following destination"),
        ([rule(ALL[0], QueueArn="arn:aws:sqs:us-east-1:1:q")], "InvalidArgument", "Unable to validate"),
        ([rule(ALL[0]), rule("s3:ObjectCreated:Put", Id="b")], "InvalidArgument", "Configurations overlap"),
        (
            [rule(ALL[0], Filter=filters("a")), rule("s3:ObjectCreated:Put", Id="b", Filter=filters("ab"))],
            "InvalidArgument",
            "Cannot have overlapping suffixes in two rules if the prefixes are overlapping",
        ),
        ([rule(ALL[0]), rule(ALL[1])], "InvalidArgument", "IDs must be unique"),
        ([rule(ALL[0], Id="x" * 256)], "InvalidArgument", "ID"),
        ([rule(ALL[0], Filter=filters("x" * 1025))], "InvalidArgument", "1024"),
        (
            [rule(ALL[0], Filter={"Key": {"FilterRules": [{"Name": "infix", "Value": "a"}]}})],
            "InvalidArgument",
            "prefix",
        ),
    ],
)
def test_what_cannot_be_is_refused(s3: BaseClient, bucket: str, rules: list[dict], code: str, says: str) -> None:
    before = s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]
    with pytest.raises(ClientError) as refusal:
        put_rules(s3, bucket, *rules)
    error = refusal.value.response["Error"]
    assert error["Code"] == code and says in error["Message"]
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"] == before


def test_eventbridge_is_refused_clearly(s3: BaseClient, bucket: str) -> None:
    configuration = {"EventBridgeConfiguration": {}}
    put = s3.put_bucket_notification_configuration
    assert code_of(put, Bucket=bucket, NotificationConfiguration=configuration) == "NotImplemented"


def test_validation_can_be_skipped_and_a_silent_target_holds_nothing_up(
    told: Node, s3: BaseClient, bucket: str, hook: Webhook
) -> None:
    absent = rule("s3:ObjectRemoved:*", target="absent", Id="absent")
    put_rules(s3, bucket, rule("s3:ObjectCreated:*"), absent, SkipDestinationValidation=True)
    stranger = rule(ALL[0], target="stranger")
    assert code_of(put_rules, s3, bucket, stranger, SkipDestinationValidation=True) == "InvalidArgument"
    for nth in range(20):
        s3.put_object(Bucket=bucket, Key=f"{nth}", Body=b"x")
        s3.delete_object(Bucket=bucket, Key=f"{nth}")
    events = told_of(hook, bucket, 20)
    assert {event["eventName"] for event in events} == {"ObjectCreated:Put"}
    assert figure(told, "queued_events", "absent") == 20
    assert figure(told, "oldest_event_age_seconds", "absent") >= 0
    wait_for(lambda: figure(told, "failed_attempts_total", "absent") > 0)
    # Their rule is gone, and they with it.
    put_rules(s3, bucket, rule("s3:ObjectCreated:*"))
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"][0]["Id"] == "rule"
    wait_for(lambda: figure(told, "queued_events", "absent") == 0)
    assert figure(told, "forgotten_events_total", "absent") == 20


def figure(node: Node, name: str, target: str) -> float:
    """The sum over the shards of what they tell of a target."""
    connection = node.connection()
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    lines = [line for line in text.splitlines() if line.startswith(f"anode_notification_{name}{{")]
    return sum(float(line.split()[-1]) for line in lines if f'target="{target}"' in line)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def test_a_target_that_was_away_gets_everything_in_order(make_node: Callable[..., Node]) -> None:
    with Webhook() as hook:
        # By its name, which has to be looked up.
        node = make_node("--notification-webhook", f"one={hook.url.replace('127.0.0.1', 'localhost')}")
        node.start()
        s3, bucket = s3_client(node), bucket_name()
        s3.create_bucket(Bucket=bucket)
        put_rules(s3, bucket, rule(*ALL))
        hook.down()
        for nth in range(30):
            s3.put_object(Bucket=bucket, Key=f"{nth % 3}", Body=b"x" * nth)
        wait_for(lambda: figure(node, "failed_attempts_total", "one") > 0)
        assert figure(node, "queued_events", "one") == 30
        hook.status = 503
        hook.up()
        wait_for(lambda: hook.refused > 0)
        hook.status = 200
        hook.wait(30)
        for key in ("0", "1", "2"):
            mine = [event for event in hook.events if key_of(event) == key]
            assert [event["s3"]["object"]["size"] % 3 for event in mine] == [int(key)] * 10
            sizes = [event["s3"]["object"]["size"] for event in mine]
            assert sizes == sorted(sizes)
            sequencers = [event["s3"]["object"]["sequencer"] for event in mine]
            assert sequencers == sorted(set(sequencers))
        wait_for(lambda: figure(node, "queued_events", "one") == 0)
        assert figure(node, "delivered_events_total", "one") == 30
        log = node.log()
        assert "a target takes no events" in log and "a target takes events again" in log
        assert log.count("a target takes no events") <= 4, "said once by each shard"


def test_no_acknowledged_change_is_untold_after_kill_9(make_node: Callable[..., Node]) -> None:
    with Webhook() as hook:
        node = make_node("--notification-webhook", f"one={hook.url}")
        node.start()
        s3, bucket = s3_client(node, max_pool_connections=8), bucket_name()
        s3.create_bucket(Bucket=bucket)
        put_rules(s3, bucket, rule(*ALL))
        acknowledged: set[str] = set()

        def write(turn: int, writer: int) -> None:
            for nth in range(100_000):
                key = f"{turn}-{writer}-{nth}"
                try:
                    s3.put_object(Bucket=bucket, Key=key, Body=b"x" * (1 + nth % 7))
                except Exception:
                    return
                acknowledged.add(key)

        for turn in range(3):
            if turn == 1:
                hook.down()
            writers = [threading.Thread(target=write, args=(turn, writer)) for writer in range(4)]
            for each in writers:
                each.start()
            before = len(acknowledged)
            wait_for(lambda before=before: len(acknowledged) > before + 60)
            node.kill()
            for each in writers:
                each.join()
            if turn == 1:
                hook.up()
            node.start()
        wait_for(lambda: acknowledged <= {key_of(event) for event in hook.events})
        # What was told is there: nothing is told of a write that was not.
        listed = set()
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            listed |= {entry["Key"] for entry in page.get("Contents", [])}
        wait_for(lambda: figure(node, "queued_events", "one") == 0)
        assert {key_of(event) for event in hook.events} == listed
        assert len(acknowledged) > 180
        assert node.stop() == 0


def test_too_many_events_are_dropped_and_counted(make_node: Callable[..., Node], tmp_path: Path) -> None:
    with Webhook() as hook:
        hook.protocol = "HTTP/1.0"
        hook.down()
        hook.up()
        config = tmp_path / "anode.toml"
        config.write_text(f"[[notification.webhook]]\nname = 'one'\nurl = '{hook.url}'\nqueue_limit = 2\n")
        node = make_node("--config", str(config))
        node.start()
        s3, bucket = s3_client(node), bucket_name()
        s3.create_bucket(Bucket=bucket)
        put_rules(s3, bucket, rule(*ALL))
        hook.down()
        for nth in range(7):
            s3.put_object(Bucket=bucket, Key="same", Body=b"x" * nth)
        assert figure(node, "queued_events", "one") == 2
        assert figure(node, "dropped_events_total", "one") == 5
        wait_for(lambda: "too many events wait for a target" in node.log())
        hook.up()
        hook.wait(2)
        assert [event["s3"]["object"]["size"] for event in hook.events] == [0, 1], "the older ones are kept"
        wait_for(lambda: figure(node, "queued_events", "one") == 0)
        s3.put_object(Bucket=bucket, Key="same", Body=b"x" * 9)
        assert hook.wait(3)[2]["s3"]["object"]["size"] == 9
        # The count is as durable as the events.
        node.kill()
        node.start()
        assert figure(node, "dropped_events_total", "one") == 5


def test_https_with_its_own_authority_and_a_token(make_node: Callable[..., Node], tmp_path: Path) -> None:
    authority, certificate = make_authority(tmp_path)
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    with Webhook(certificate) as hook:
        hook.token = TOKEN
        settings = ["--notification-webhook", f"one={hook.url}", "--notification-token-file", f"one={token}"]
        stranger = make_node(*settings)
        stranger.start()
        s3, bucket = s3_client(stranger), bucket_name()
        s3.create_bucket(Bucket=bucket)
        assert code_of(put_rules, s3, bucket, rule(*ALL)) == "InvalidArgument", "nobody vouches for the certificate"
        assert not hook.tests
        node = make_node(*settings, "--ca-file", str(authority), "--log", "debug")
        node.start()
        s3 = s3_client(node)
        s3.create_bucket(Bucket=bucket)
        put_rules(s3, bucket, rule(*ALL))
        for nth in range(30):
            s3.put_object(Bucket=bucket, Key=f"{nth}", Body=b"x")
        hook.wait(30)
        assert len(hook.tests) == 1 and hook.refused == 0
        assert hook.connections < 25, "connections are kept"
        hook.token = "another"
        s3.put_object(Bucket=bucket, Key="refused", Body=b"x")
        wait_for(lambda: "it answered 401" in node.log())
        for secret in (TOKEN, SECRET_KEY, "from=anode"):
            assert secret not in node.log()


def test_events_go_with_their_target(make_node: Callable[..., Node]) -> None:
    with Webhook() as hook:
        node = make_node("--notification-webhook", f"one={hook.url}")
        node.start()
        s3, bucket = s3_client(node), bucket_name()
        s3.create_bucket(Bucket=bucket)
        put_rules(s3, bucket, rule(*ALL))
        hook.down()
        for nth in range(20):
            s3.put_object(Bucket=bucket, Key=f"{nth}", Body=b"x")
        assert node.stop() == 0
        before, node.arguments = node.arguments, []
        node.start()
        wait_for(lambda: "their target is gone" in node.log() and figure(node, "forgotten_events_total", "one") == 20)
        # Nobody can be told, and nothing is kept for them.
        s3_client(node).put_object(Bucket=bucket, Key="untold", Body=b"x")
        assert node.stop() == 0
        node.arguments = before
        hook.up()
        node.start()
        s3_client(node).put_object(Bucket=bucket, Key="told", Body=b"x")
        hook.wait(1)
        assert pairs(hook.events) == [("ObjectCreated:Put", "told")]


def test_what_was_recorded_is_told_though_the_bucket_is_gone(make_node: Callable[..., Node]) -> None:
    with Webhook() as hook:
        node = make_node("--notification-webhook", f"one={hook.url}")
        node.start()
        s3, bucket = s3_client(node), bucket_name()
        s3.create_bucket(Bucket=bucket)
        put_rules(s3, bucket, rule(*ALL))
        hook.down()
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
        s3.delete_object(Bucket=bucket, Key="k")
        s3.delete_bucket(Bucket=bucket)
        hook.up()
        hook.wait(2)
        assert hook.seen() == [("ObjectCreated:Put", "k"), ("ObjectRemoved:Delete", "k")]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["--notification-webhook", "one"], "NAME=VALUE"),
        (["--notification-webhook", "one=ftp://x"], "http://"),
        (["--notification-webhook", "o ne=http://x"], "is no name"),
        (["--notification-webhook", "one=http://x", "--notification-webhook", "one=http://y"], "named twice"),
        (["--notification-webhook", "one=http://x", "--notification-token-file", "one=/nowhere"], "/nowhere"),
        (["--notification-webhook", "one=https://x", "--ca-file", "/nowhere"], "/nowhere"),
    ],
)
def test_settings_that_cannot_be_used_refuse_the_start(
    make_node: Callable[..., Node], settings: list[str], says: str
) -> None:
    node = make_node(*settings, environment=credentials_environment())
    node.launch()
    assert node.wait() != 0
    assert says in node.log() + node.output()
