"""Lists as files in an S3 bucket, at AWS or at any store that speaks its protocol.

Belongs here: putting, swapping and reading back the deliveries of a sync.
Does not belong here: what the files of a delivery are (``delivery_files.py``) and what is in the list.

A delivery lies under ``<prefix>/<sync>/deliveries/<key>/``. The object ``<prefix>/<sync>/current.json`` names it: it is
put last, and only if it is still the one that was there at the beginning, so that two writers never overwrite one
another. A reader takes ``current.json`` first, and has one whole delivery.
"""

from __future__ import annotations

import base64
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr, model_validator

from lifecycle.errors import LifecycleError
from lifecycle.publishing.destinations import Health
from lifecycle.publishing.destinations.delivery_files import (
    FILES,
    KEPT,
    MANIFEST,
    MEMBERS,
    Downloads,
    Manifest,
    RemoteReceipt,
    as_json,
    read_manifest,
    sha256_of,
    write_delivery,
)
from lifecycle.publishing.destinations.snapshots import Receipt, Snapshot, SnapshotCapabilities
from lifecycle.settings import Part, Settings

POINTER = "current.json"
LARGEST_PUT = 4 * 2**30
"""Bytes up to which a file is put in one call, whose checksum the store compares as a whole; S3 takes 5 GiB."""
ALLOWED = "s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject below the prefix"
REFUSED_CREDENTIALS = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
)


@dataclass(frozen=True)
class _Pointer:
    """``current.json`` as it was found. ``manifest`` is None where something else has put it there."""

    etag: str
    manifest: Manifest | None


@dataclass(frozen=True)
class S3Destination:
    name: str
    bucket: str
    prefix: str = ""
    region: str | None = None
    endpoint_url: str | None = None
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    sse: str | None = None
    _downloads: Downloads = field(default_factory=Downloads, repr=False, compare=False)

    vendor: ClassVar[str] = "S3 bucket"
    encoder: ClassVar[str] = "s3.v1"

    class Options(Part):
        # A message about a wrong setting shows what was set, and that may be the secret.

        bucket: str
        """The bucket; it has to be there."""
        prefix: str = ""
        """What the keys of all objects begin with, as a folder: ``lists/marketing``."""
        region: str | None = None
        """The bucket's region; without it the environment's."""
        endpoint_url: str | None = None
        """Address of a store that is not AWS: ``https://minio.example.com``."""
        access_key_id: SecretStr | None = None
        """Without keys the AWS chain is asked: environment variables, profile, role of the machine."""
        secret_access_key: SecretStr | None = None
        """Goes with ``access_key_id``."""
        sse: Literal["AES256", "aws:kms"] | None = None
        """Encryption that the store is asked for; without it the bucket's own."""

        @model_validator(mode="after")
        def _keys_come_in_pairs(self) -> S3Destination.Options:
            if (self.access_key_id is None) != (self.secret_access_key is None):
                raise ValueError("access_key_id and secret_access_key go together: set both or none")
            return self

    @classmethod
    def from_options(cls, name: str, options: Options, settings: Settings) -> S3Destination:
        address = urlsplit(options.endpoint_url or "https://")
        if address.scheme != "https" and address.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise LifecycleError(
                "lists are not sent over an open line",
                where=f"destination '{name}'",
                remedy="Begin `endpoint_url:` with https://; http:// is taken for this machine alone.",
            )
        return cls(
            name,
            options.bucket,
            options.prefix.strip("/"),
            options.region,
            options.endpoint_url,
            options.access_key_id,
            options.secret_access_key,
            options.sse,
        )

    @property
    def capabilities(self) -> SnapshotCapabilities:
        return SnapshotCapabilities(identifiers=frozenset({"contact_id", "email", "phone"}))

    @cached_property
    def _client(self) -> Any:
        try:
            boto3 = import_module("boto3")
        except ImportError as error:
            raise LifecycleError(
                "the package boto3 is missing",
                where=f"destination '{self.name}'",
                remedy="Install it: `pip install lifecycle[s3]`.",
            ) from error
        for name in ("boto3", "botocore", "s3transfer", "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)
        config = import_module("botocore.config").Config(
            retries={"mode": "standard", "max_attempts": 5},
            # Names of buckets are no names of hosts outside of AWS.
            s3={"addressing_style": "path"} if self.endpoint_url else None,
        )
        session = boto3.session.Session(
            aws_access_key_id=self.access_key_id and self.access_key_id.get_secret_value(),
            aws_secret_access_key=self.secret_access_key and self.secret_access_key.get_secret_value(),
            region_name=self.region,
        )
        return session.client("s3", endpoint_url=self.endpoint_url, config=config)

    def check(self) -> Health:
        try:
            with self._told(self._place()):
                self._client.list_objects_v2(Bucket=self.bucket, Prefix=self._key(""), MaxKeys=1)
        except LifecycleError as error:
            return Health(False, error.problem, error.remedy)
        return Health(True)

    def ensure_list(self, sync_name: str) -> None:
        with self._told(self._place(sync_name)):
            pointer = self._pointer(sync_name)
        if pointer is not None and (pointer.manifest is None or pointer.manifest.sync_name != sync_name):
            raise LifecycleError(
                "there is something that no delivery of this sync has put there",
                where=self._place(sync_name, POINTER),
                remedy="Move it away, or give the sync another `name:`, or the destination another `prefix:`.",
            )

    def send(self, sync_name: str, snapshot: Snapshot, key: str) -> Receipt:
        import duckdb

        place = self._place(sync_name)
        try:
            with self._told(place):
                before = self._pointer(sync_name)
                receipt = self._receipt(sync_name, before)
                if receipt is not None and receipt.key == key:
                    return receipt
                with tempfile.TemporaryDirectory(prefix="lifecycle-") as name:
                    folder = Path(name)
                    described = write_delivery(folder, sync_name, snapshot, key)
                    for file in (*FILES, MANIFEST):
                        self._upload(folder / file, self._key(sync_name, "deliveries", key, file))
                self._point(sync_name, described, before)
                self._prune(sync_name, key)
                receipt = self._receipt(sync_name, self._pointer(sync_name))
        except (OSError, duckdb.Error) as error:
            raise LifecycleError(
                f"the list could not be written: {str(error).splitlines()[0]}",
                where=place,
                remedy="The last delivery stays. Make room or mend the cause, then publish again: it is resumed.",
            ) from error
        finally:
            self._downloads.clear()
        if receipt is None:
            raise LifecycleError("the list vanished while it was delivered", where=place)
        return receipt

    def read_back(self, sync_name: str) -> Receipt | None:
        with self._told(self._place(sync_name)):
            return self._receipt(sync_name, self._pointer(sync_name))

    def _key(self, *parts: str) -> str:
        return "/".join(part for part in (self.prefix, *parts) if part)

    def _place(self, *parts: str) -> str:
        return f"s3://{self.bucket}/{self._key(*parts)}"

    def _pointer(self, sync_name: str) -> _Pointer | None:
        try:
            found = self._client.get_object(Bucket=self.bucket, Key=self._key(sync_name, POINTER))
        except self._client.exceptions.NoSuchKey:
            return None
        return _Pointer(found["ETag"], read_manifest(found["Body"].read()))

    def _receipt(self, sync_name: str, pointer: _Pointer | None) -> Receipt | None:
        if pointer is None or pointer.manifest is None:
            return None
        manifest = pointer.manifest
        for name in FILES:
            head = self._head(self._key(sync_name, "deliveries", manifest.key, name))
            if head is None or head["ContentLength"] != manifest.size(name):
                return None
        return RemoteReceipt(manifest.key, manifest.member_count, lambda: self._fetched(sync_name, manifest))

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
        except self._client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return None
            raise
        return found

    def _fetched(self, sync_name: str, manifest: Manifest) -> Path:
        path = self._downloads.path(manifest.key)
        key = self._key(sync_name, "deliveries", manifest.key, MEMBERS)
        with self._told(self._place(sync_name)):
            self._client.download_file(self.bucket, key, str(path))
        if sha256_of(path) != manifest.sha256(MEMBERS):
            raise LifecycleError(
                "the file is not the one that was delivered",
                where=f"s3://{self.bucket}/{key}",
                remedy="Remove current.json of this sync; the next delivery writes the whole list.",
            )
        return path

    def _upload(self, path: Path, key: str) -> None:
        """Put a file; the store compares its SHA-256, and is asked afterwards what it holds."""
        size = path.stat().st_size
        checksum = _base64(sha256_of(path))
        if size > LARGEST_PUT:
            extra = {"ChecksumAlgorithm": "SHA256", **self._encryption}
            self._client.upload_file(str(path), self.bucket, key, ExtraArgs=extra)
        else:
            with path.open("rb") as body:
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=checksum,
                    **self._encryption,
                )
        head = self._head(key)
        held = (head or {}).get("ChecksumSHA256", checksum)
        # The checksum of an object that was put in parts is of other checksums, and ends with the number of parts.
        if head is None or head["ContentLength"] != size or ("-" not in held and held != checksum):
            raise LifecycleError(
                f"the store does not hold {path.name} as it was sent",
                where=f"s3://{self.bucket}/{key}",
                remedy="The last delivery stays. Publish again; if it happens again, look at what lies between.",
            )

    def _point(self, sync_name: str, described: dict[str, Any], before: _Pointer | None) -> None:
        """Swap the list: one call, and only if nobody else has swapped it since ``before``."""
        key = described["sync_run_id"]
        condition = {"IfNoneMatch": "*"} if before is None else {"IfMatch": before.etag}
        try:
            self._client.put_object(
                Bucket=self.bucket,
                Key=self._key(sync_name, POINTER),
                Body=as_json({**described, "folder": f"deliveries/{key}/"}),
                **condition,
                **self._encryption,
            )
        except self._client.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "NotImplemented":
                raise LifecycleError(
                    "the store does not know conditional writes, without which two writers overwrite one another",
                    where=self._place(sync_name, POINTER),
                    remedy="Use a store that does (AWS, MinIO, Cloudflare R2, Ceph), in a newer version perhaps.",
                ) from None
            if code not in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409", "NoSuchKey"):
                raise
            now = self._pointer(sync_name)
            if now is not None and now.manifest is not None and now.manifest.key == key:
                # Put by this very call, whose answer was lost before it was made again.
                return
            raise LifecycleError(
                "the race was lost: another delivery has put its list there meanwhile",
                where=self._place(sync_name, POINTER),
                remedy="Theirs stays. See that one project alone delivers this sync to this place, then publish again.",
            ) from None

    @property
    def _encryption(self) -> dict[str, str]:
        return {"ServerSideEncryption": self.sse} if self.sse else {}

    def _prune(self, sync_name: str, key: str) -> None:
        start = f"{self._key(sync_name, 'deliveries')}/"
        objects: dict[str, list[str]] = {}
        newest: dict[str, datetime] = {}
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start):
            for found in page.get("Contents", []):
                delivery = found["Key"].removeprefix(start).split("/")[0]
                objects.setdefault(delivery, []).append(found["Key"])
                newest[delivery] = max(newest.get(delivery, found["LastModified"]), found["LastModified"])
        others = sorted((name for name in objects if name != key), key=lambda name: (newest[name], name), reverse=True)
        for stale in others[KEPT - 1 :]:
            for one in objects[stale]:
                self._client.delete_object(Bucket=self.bucket, Key=one)

    @contextmanager
    def _told(self, place: str) -> Iterator[None]:
        """What the store says, as a person can mend it. No text of the store is repeated: it may name a key."""
        _ = self._client
        exceptions = import_module("botocore.exceptions")
        boto3_exceptions = import_module("boto3.exceptions")
        try:
            yield
        except exceptions.ClientError as error:
            problem, remedy = self._said(str(error.response["Error"]["Code"]))
            raise LifecycleError(problem, where=place, remedy=remedy) from None
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError):
            raise LifecycleError(
                "there are no credentials",
                where=place,
                remedy="Set `access_key_id:` and `secret_access_key:`, or what the AWS chain reads.",
            ) from None
        except (exceptions.BotoCoreError, boto3_exceptions.Boto3Error) as error:
            raise LifecycleError(
                f"the store cannot be worked with ({type(error).__name__})",
                where=place,
                remedy="Look at `endpoint_url:`, `region:` and the network, then publish again: it is resumed.",
            ) from None

    def _said(self, code: str) -> tuple[str, str]:
        if code in ("NoSuchBucket", "404"):
            return f"there is no bucket '{self.bucket}'", "Make it, or mend `bucket:`, `region:` or `endpoint_url:`."
        if code in REFUSED_CREDENTIALS:
            return f"the store refuses the credentials ({code})", "Mend the keys, then publish again: it is resumed."
        if code in ("AccessDenied", "AllAccessDisabled", "403"):
            return f"the credentials do not suffice ({code})", f"Allow {ALLOWED}."
        return f"the store refuses ({code})", "The last delivery stays. Mend the cause, then publish again."


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()
