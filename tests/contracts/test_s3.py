"""Lists in an S3 bucket, against moto's server: a real socket, S3's answers, conditional writes."""

from __future__ import annotations

import hashlib
import json
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr, ValidationError

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import s3
from lifecycle.publishing.destinations.s3 import S3Destination
from lifecycle.publishing.destinations.snapshots import SnapshotDestination
from lifecycle.settings import Settings, Source
from lifecycle.warehouse import Warehouse
from tests.contracts.snapshot_contract import SECRET, SYNC, SnapshotContract

PREFIX = "lists/marketing"


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Bucket:
    """A bucket as its owner sees it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = f"bucket-{uuid4().hex[:12]}"
        self.client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
        )
        self.client.create_bucket(Bucket=self.name)

    def destination(self, **changes: Any) -> S3Destination:
        given: dict[str, Any] = {
            "prefix": PREFIX,
            "region": "us-east-1",
            "endpoint_url": self.url,
            "access_key_id": SecretStr("AKIAEXAMPLE"),
            "secret_access_key": SecretStr(SECRET),
        }
        return S3Destination("drop", self.name, **(given | changes))

    def names(self) -> set[str]:
        return {found["Key"] for found in self.client.list_objects_v2(Bucket=self.name).get("Contents", [])}

    def read(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def put(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)


@pytest.fixture
def bucket(store: str) -> Bucket:
    return Bucket(store)


class S3Lists(SnapshotContract):
    prefix = PREFIX

    @pytest.fixture(autouse=True)
    def _bucket(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def make_destination(self) -> SnapshotDestination:
        return self.bucket.destination(prefix=self.prefix)

    def key(self, *parts: str) -> str:
        return "/".join(part for part in (self.prefix, *parts) if part)

    def seen(self, sync_name: str = SYNC) -> dict[str, bytes] | None:
        pointer = self.key(sync_name, "current.json")
        if pointer not in self.bucket.names():
            return None
        start = self.key(sync_name, json.loads(self.bucket.read(pointer))["folder"])
        return {key.removeprefix(start): self.bucket.read(key) for key in self.bucket.names() if key.startswith(start)}

    def everything(self) -> set[str]:
        return self.bucket.names()

    def kept(self) -> set[str]:
        start = self.key(SYNC, "deliveries/")
        return {key.removeprefix(start).split("/")[0] for key in self.bucket.names() if key.startswith(start)}

    def lose(self, file: str) -> None:
        (found,) = (key for key in self.bucket.names() if key.endswith(f"/{file}"))
        self.bucket.client.delete_object(Bucket=self.bucket.name, Key=found)

    def occupy(self) -> None:
        self.bucket.put(self.key(SYNC, "current.json"), b'{"mine": true}')


class TestS3WithoutPrefix(S3Lists):
    prefix = ""


class TestS3(S3Lists):
    def test_the_pointer_describes_the_delivery_that_it_names(
        self, destination: S3Destination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1", "c2")
        pointer = json.loads(self.bucket.read(self.key(SYNC, "current.json")))
        seen = self.seen()
        assert seen is not None
        assert pointer.pop("folder") == "deliveries/run-000001/"
        assert pointer == json.loads(seen["manifest.json"])

    def test_a_pointer_of_another_sync_is_not_overwritten(
        self, destination: S3Destination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        self.bucket.put(self.key("stranger", "current.json"), self.bucket.read(self.key(SYNC, "current.json")))
        with pytest.raises(LifecycleError, match="no delivery of this sync"):
            destination.ensure_list("stranger")

    @pytest.mark.parametrize("uploaded", [1, 3, 4])
    def test_a_delivery_killed_before_the_swap_is_not_seen_and_ends_with_the_exact_list(
        self, destination: S3Destination, warehouse: Warehouse, uploaded: int
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        before = self.seen()
        # What a kill leaves: some objects of the delivery, perhaps not what they should be, and the old pointer.
        for name in ("members.csv", "members.parquet", "changes.csv", "manifest.json")[:uploaded]:
            self.bucket.put(self.key(SYNC, "deliveries", "run-000002", name), b"half")
        found = destination.read_back(SYNC)
        assert found is not None and found.key == "run-000001"
        assert self.seen() == before
        assert self.deliver(destination, warehouse, "run-000002", "c2").key == "run-000002"
        assert self.members() == ["c2"]

    def test_a_delivery_killed_while_it_uploads_is_sent_again(
        self, destination: S3Destination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        with pytest.raises(KeyboardInterrupt):
            self.deliver(
                self.hooked("changes.csv", lambda _: (_ for _ in ()).throw(KeyboardInterrupt)),
                warehouse,
                "run-000002",
                "c2",
            )
        assert self.members() == ["c1"]
        assert list(self.temporary.iterdir()) == []
        self.deliver(self.make_destination(), warehouse, "run-000002", "c2")
        assert self.members() == ["c2"]

    @pytest.mark.parametrize("is_first", [True, False])
    def test_of_two_writers_at_once_one_wins_and_the_other_is_told(self, warehouse: Warehouse, is_first: bool) -> None:
        if not is_first:
            self.deliver(self.make_destination(), warehouse, "run-000001", "c0")
        other = self.make_destination()

        def overtaken(_: Any) -> None:
            self.deliver(other, warehouse, "theirs-000001", "c7")

        loser = self.hooked("manifest.json", overtaken)
        with pytest.raises(LifecycleError, match="race was lost") as raised:
            self.deliver(loser, warehouse, "ours-000001", "c1")
        assert raised.value.remedy and raised.value.where.endswith("current.json")
        assert self.members() == ["c7"]
        # The next delivery begins from what is there now.
        self.deliver(loser, warehouse, "ours-000001", "c1")
        assert self.members() == ["c1"]

    def test_a_pointer_that_vanishes_meanwhile_is_a_lost_race_too(self, warehouse: Warehouse) -> None:
        self.deliver(self.make_destination(), warehouse, "run-000001", "c0")
        pointer = self.key(SYNC, "current.json")
        loser = self.hooked(
            "manifest.json", lambda _: self.bucket.client.delete_object(Bucket=self.bucket.name, Key=pointer)
        )
        with pytest.raises(LifecycleError, match="race was lost"):
            self.deliver(loser, warehouse, "run-000002", "c1")
        assert self.seen() is None

    def test_a_swap_whose_answer_was_lost_is_no_lost_race(self, warehouse: Warehouse) -> None:
        destination = self.bucket.destination()

        def put_before(params: dict[str, Any]) -> None:
            # The first try arrives, its answer does not: boto3 tries again.
            content = params["body"]
            self.bucket.put(self.key(SYNC, "current.json"), content if isinstance(content, bytes) else content.read())

        self.hook(destination, "current.json", put_before)
        assert self.deliver(destination, warehouse, "run-000001", "c1").key == "run-000001"
        assert self.members() == ["c1"]

    @pytest.mark.parametrize("damage", [lambda body: body[:-1], lambda body: b"?" + body[1:]])
    def test_a_file_that_arrives_otherwise_than_it_was_sent_is_never_pointed_to(
        self, warehouse: Warehouse, damage: Callable[[bytes], bytes]
    ) -> None:
        self.deliver(self.make_destination(), warehouse, "run-000001", "c1")

        def damaged(params: dict[str, Any]) -> None:
            params["body"] = damage(params["body"].read())
            # The store of this test computes the checksum and does not compare: AWS refuses by itself.
            del params["headers"]["x-amz-checksum-sha256"]

        with pytest.raises(LifecycleError, match=r"does not hold members\.csv as it was sent"):
            self.deliver(self.hooked("members.csv", damaged), warehouse, "run-000002", "c2")
        assert self.members() == ["c1"]

    def test_the_store_is_told_the_checksum_of_every_file(self, warehouse: Warehouse) -> None:
        destination = self.bucket.destination()
        told: dict[str, Any] = {}
        for name in ("members.csv", "members.parquet", "changes.csv", "manifest.json"):
            self.hook(
                destination,
                name,
                lambda params, name=name: told.__setitem__(name, params["headers"]["x-amz-checksum-sha256"]),
            )
        self.deliver(destination, warehouse, "run-000001", "c1")
        seen = self.seen()
        assert seen is not None
        assert told == {name: b64encode(hashlib.sha256(content).digest()).decode() for name, content in seen.items()}

    def test_a_very_large_file_is_put_in_parts(
        self, destination: S3Destination, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3, "LARGEST_PUT", 100)
        receipt = self.deliver(destination, warehouse, "run-000001", *(f"c{number:04d}" for number in range(500)))
        assert receipt.member_count == 500
        assert len(self.members()) == 500

    def test_a_file_that_was_changed_at_the_store_is_no_list_to_go_on_from(
        self, destination: S3Destination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        (key,) = (key for key in self.bucket.names() if key.endswith("members.parquet"))
        content = self.bucket.read(key)
        self.bucket.put(key, content[:-1] + b"?")
        receipt = destination.read_back(SYNC)
        assert receipt is not None
        with pytest.raises(LifecycleError, match="not the one that was delivered"):
            _ = receipt.members

    @pytest.mark.parametrize("sse", ["AES256", "aws:kms"])
    def test_encryption_that_is_asked_for_is_asked_of_the_store(self, warehouse: Warehouse, sse: str) -> None:
        self.deliver(self.bucket.destination(sse=sse), warehouse, "run-000001", "c1")
        for key in self.bucket.names():
            head = self.bucket.client.head_object(Bucket=self.bucket.name, Key=key)
            assert head["ServerSideEncryption"] == sse

    def test_a_bucket_that_is_gone_is_told_with_what_to_do(
        self, destination: S3Destination, warehouse: Warehouse
    ) -> None:
        self.deliver(destination, warehouse, "run-000001", "c1")
        for key in self.bucket.names():
            self.bucket.client.delete_object(Bucket=self.bucket.name, Key=key)
        self.bucket.client.delete_bucket(Bucket=self.bucket.name)
        health = destination.check()
        assert not health.is_ready and self.bucket.name in health.problem and health.remedy
        for call in (
            lambda: destination.ensure_list(SYNC),
            lambda: destination.read_back(SYNC),
            lambda: destination.send(SYNC, self.snapshot(warehouse, "c1"), "run-000002"),
        ):
            with pytest.raises(LifecycleError, match="there is no bucket") as raised:
                call()
            assert raised.value.remedy

    def test_bad_credentials_are_told_with_what_to_do(self, destination: S3Destination, warehouse: Warehouse) -> None:
        self.demand_credentials("0")
        try:
            health = destination.check()
            assert not health.is_ready and "refuses the credentials" in health.problem and health.remedy
            with pytest.raises(LifecycleError, match="refuses the credentials") as raised:
                self.deliver(destination, warehouse, "run-000001", "c1")
        finally:
            self.demand_credentials("inf")
        for value in (SECRET, "AKIAEXAMPLE"):
            assert value not in f"{raised.value} {health}"

    def test_credentials_that_do_not_suffice_are_told_with_what_is_needed(
        self, destination: S3Destination, warehouse: Warehouse
    ) -> None:
        owner = boto3.client(
            "iam",
            endpoint_url=self.bucket.url,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="y",
        )
        owner.create_user(UserName="reader")
        key = owner.create_access_key(UserName="reader")["AccessKey"]
        allowed = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}
        owner.put_user_policy(
            UserName="reader",
            PolicyName="reads",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
        )
        reader = self.bucket.destination(
            access_key_id=SecretStr(key["AccessKeyId"]), secret_access_key=SecretStr(key["SecretAccessKey"])
        )
        self.demand_credentials("0")
        try:
            assert reader.check().is_ready
            with pytest.raises(LifecycleError, match="do not suffice") as raised:
                self.deliver(reader, warehouse, "run-000001", "c1")
            assert "s3:PutObject" in raised.value.remedy
        finally:
            self.demand_credentials("inf")

    def test_a_store_that_is_not_there_is_told(self, warehouse: Warehouse) -> None:
        nowhere = self.bucket.destination(endpoint_url="http://127.0.0.1:1")
        health = nowhere.check()
        assert not health.is_ready and "cannot be worked with" in health.problem and health.remedy

    def test_a_store_without_conditional_writes_is_refused(
        self, destination: S3Destination, warehouse: Warehouse
    ) -> None:
        def not_implemented(_: dict[str, Any]) -> None:
            raise destination._client.exceptions.ClientError({"Error": {"Code": "NotImplemented"}}, "PutObject")

        self.hook(destination, "current.json", not_implemented)
        with pytest.raises(LifecycleError, match="conditional writes"):
            self.deliver(destination, warehouse, "run-000001", "c1")
        assert self.seen() is None

    def hook(self, destination: S3Destination, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
        """Have ``change`` see (and alter) the request that puts the file, once, before it goes out."""
        done: list[str] = []

        def before_call(params: dict[str, Any], **_: Any) -> None:
            if params["url_path"].endswith(f"/{name}") and not done:
                done.append(name)
                change(params)

        destination._client.meta.events.register("before-call.s3.PutObject", before_call)

    def hooked(self, name: str, change: Callable[[dict[str, Any]], Any]) -> S3Destination:
        destination = self.bucket.destination()
        self.hook(destination, name, change)
        return destination

    def demand_credentials(self, after: str) -> None:
        """Have the store look at credentials after so many calls."""
        request = urllib.request.Request(  # noqa: S310
            f"{self.bucket.url}/moto-api/reset-auth",
            data=after.encode(),
            headers={"Content-Type": "text/plain"},
            method="POST",
        )
        with urllib.request.urlopen(request):  # noqa: S310
            pass


def options(**given: Any) -> S3Destination.Options:
    return S3Destination.Options.model_validate({"bucket": "lists", **given})


def settings(folder: Path) -> Settings:
    return Settings(
        project="small",
        sources=[Source(name="shop", table="contacts", path="none.csv")],
        config_file=folder / "lifecycle.yml",
    )


def test_half_a_pair_of_keys_is_refused() -> None:
    for half in ("access_key_id", "secret_access_key"):
        with pytest.raises(ValidationError, match="go together"):
            options(**{half: SECRET})
    assert options().access_key_id is None


def test_a_list_is_not_sent_over_an_open_line(tmp_path: Path) -> None:
    with pytest.raises(LifecycleError, match="open line"):
        S3Destination.from_options("drop", options(endpoint_url="http://minio.example.com"), settings(tmp_path))
    made = S3Destination.from_options(
        "drop",
        options(
            endpoint_url="https://minio.example.com", prefix="/lists/", access_key_id="k", secret_access_key=SECRET
        ),
        settings(tmp_path),
    )
    assert (made.prefix, made.endpoint_url) == ("lists", "https://minio.example.com")
    assert SECRET not in repr(made)


def test_without_keys_the_environment_is_asked(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = bucket.destination(access_key_id=None, secret_access_key=None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    health = destination.check()
    assert not health.is_ready and "no credentials" in health.problem and health.remedy
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "fromenvironment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert bucket.destination(access_key_id=None, secret_access_key=None).check().is_ready


def test_a_missing_package_is_told_with_how_to_install_it(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    health = bucket.destination().check()
    assert not health.is_ready and "pip install lifecycle[s3]" in health.remedy
