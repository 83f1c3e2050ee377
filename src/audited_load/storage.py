"""An S3-compatible store: objects under one root → listed, read, put, put if absent, deleted.

Its faults are errors that an operator can act on, and a store that is away is waited for: a restart of it fails
nothing. A store is made after a fork, as clients of S3 hold threads and connections.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypeVar

from audited_load.errors import PipelineError, RefusedError, UnavailableError, UnusableFileError
from audited_load.shown import show_text

WAIT_SECONDS = 60.0
"""For how long one request waits for a store that is away."""
LONGEST_PAUSE = 5.0
RANGE_BYTES = 2**26
"""What is read again when a connection breaks."""
SPAN_BYTES = 2**23
"""What is held in memory of an object that is read without a copy."""
COPY_BYTES = 2**20
DELETED_AT_ONCE = 1000
_ROOT = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[\w.=+-]+)*)/?")
_AWAY = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "ConditionalRequestConflict"}
_NO_RIGHT, _GONE, _CHANGED, _NOT_MADE = {401, 403}, 404, 412, 501
_SERVERS_FAULT = 500

_Given = TypeVar("_Given")


@dataclass(frozen=True)
class Access:
    """Where a store is, and who asks it.

    Attributes:
        endpoint: Its address, such as `https://s3.example.com`; blank for Amazon's own.
        region: Blank for the usual one.
        key_id: Access key; blank to ask as the machine may (its role, its environment). Secret.
        secret: That goes with it. Secret.
    """

    endpoint: str = ""
    region: str = ""
    key_id: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)


@dataclass(frozen=True)
class Stored:
    """An object.

    Attributes:
        key: Below the root.
        size: In bytes.
        etag: Names its content: another content under the same key has another.
        modified: When it was put.
    """

    key: str
    size: int
    etag: str
    modified: datetime


def split_root(root: str) -> tuple[str, str]:
    """Split `s3://bucket/prefix` into the bucket and what all keys begin with.

    Raises:
        RefusedError: It is another text.
    """
    found = _ROOT.fullmatch(root)
    if not found:
        raise RefusedError(
            f"STORAGE_ROOT is {show_text(root, 200)!r}, which is no place in a store.",
            "Set it to s3://BUCKET/PREFIX, or leave it out: then files lie in the data folder.",
        )
    return found[1], f"{found[2]}/".lstrip("/")


class Store:
    """The objects below one root.

    Args:
        root: `s3://bucket/prefix`.
        access: Where it is, and who asks.
        wait_seconds: For how long a request waits for a store that is away.

    Raises:
        RefusedError: The root is no place in a store.
    """

    def __init__(self, root: str, access: Access, wait_seconds: float = WAIT_SECONDS) -> None:
        self._bucket, self._prefix = split_root(root)
        self.root = f"s3://{self._bucket}/{self._prefix}".rstrip("/")
        self._place = f"{self.root} at {access.endpoint}" if access.endpoint else self.root
        self._wait_seconds = wait_seconds
        self._client = _make_client(access)
        self._keeps_conditions = False

    def find(self, under: str) -> list[Stored]:
        """List the objects whose keys begin with some text, in order of their keys."""
        found: list[Stored] = []
        more: dict[str, str] = {}
        while True:
            page = self._ask(lambda more=more: self._client.list_objects_v2(  # type: ignore[misc]
                Bucket=self._bucket, Prefix=self._prefix + under, **more))  # fmt: skip
            found += [
                Stored(one["Key"][len(self._prefix) :], one["Size"], one["ETag"], one["LastModified"])
                for one in page.get("Contents", ())
            ]
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def look(self, key: str) -> Stored | None:
        """Return what is known of an object; None if there is none."""

        def head() -> Stored | None:
            try:
                said = self._client.head_object(**self._named(key))
            except self._client.exceptions.ClientError as error:
                if _status(error) == _GONE:
                    return None
                raise
            return Stored(key, said["ContentLength"], said["ETag"], said["LastModified"])

        return self._ask(head)

    def read(self, key: str) -> bytes | None:
        """Read a small object; None if there is none."""

        def get() -> bytes | None:
            try:
                return bytes(self._client.get_object(**self._named(key))["Body"].read())
            except self._client.exceptions.NoSuchKey:
                return None

        return self._ask(get)

    def download(self, stored: Stored, path: Path) -> None:
        """Read an object into a file, by ranges, of which each is read again if it breaks off.

        Raises:
            UnavailableError: The object was replaced meanwhile, or the file can't be written.
            UnusableFileError: It is gone.
        """
        try:
            with path.open("wb") as file:
                for start in range(0, stored.size, RANGE_BYTES):
                    self._ask(lambda start=start: self._copy_range(stored, start, file))  # type: ignore[misc]
        except OSError as error:
            raise UnavailableError(
                f"{show_text(stored.key)} can't be copied to {path.parent}: {error.strerror}.",
                "See whether the disk is full, then run again.",
            ) from error

    def read_span(self, stored: Stored, start: int, end: int) -> Iterator[bytes]:
        """Read a part of an object by ranges, of which each is read again if it breaks off.

        Args:
            stored: The object; another one that has taken its place is not read.
            start: First byte.
            end: First byte after the part.

        Yields:
            Chunks of at most 8 MiB.

        Raises:
            UnavailableError: The object was replaced meanwhile.
            UnusableFileError: It is gone.
        """
        for first in range(start, end, SPAN_BYTES):
            last = min(first + SPAN_BYTES, end) - 1
            yield self._ask(lambda first=first, last=last: self._get_range(stored, first, last).read())  # type: ignore[misc]

    def put(self, key: str, content: bytes) -> None:
        """Put a small object, in place of what is there."""
        self._ask(lambda: self._client.put_object(**self._named(key), Body=content))

    def put_if_absent(self, key: str, content: bytes) -> bytes:
        """Put a small object unless there is one: of two who do so at once, one wins.

        Returns:
            What is there now: this content, or what somebody else had put.

        Raises:
            RefusedError: The store knows no conditional puts, or takes no notice of the condition.
        """

        def put() -> bytes | None:
            try:
                self._client.put_object(**self._named(key), Body=content, IfNoneMatch="*")
            except self._client.exceptions.ClientError as error:
                if _status(error) != _CHANGED:
                    raise
                return None
            return content

        while True:
            put_by_us = self._ask(put)
            if put_by_us is not None and not self._keeps_conditions:
                self._require_conditions(put)
            there = put_by_us or self.read(key)
            if there is not None:  # else somebody has deleted it in between
                return there

    def _require_conditions(self, put: Callable[[], bytes | None]) -> None:
        """Put again what is there by now: a store that takes it takes no notice of the condition.

        Raises:
            RefusedError: It takes it, and once more: the object was not just deleted in between.
        """
        for _ in range(2):
            if self._ask(put) is None:
                self._keeps_conditions = True
                return
        raise RefusedError(
            f"The store {self._place} takes no notice of If-None-Match.",
            "Use a store that knows conditional puts (If-None-Match). Nothing was loaded.",
        )

    def upload(self, path: Path, key: str) -> Stored:
        """Put a file, in parts if it is large; return what is known of the object."""

        def put() -> None:
            with path.open("rb") as file:
                self._client.upload_fileobj(file, self._bucket, self._prefix + key)

        self._ask(put)
        there = self.look(key)
        if there is None:
            raise UnavailableError(f"{self.root}/{show_text(key)} was deleted meanwhile.", "Run again.")
        return there

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there are no fault."""
        for start in range(0, len(keys), DELETED_AT_ONCE):
            names = [{"Key": self._prefix + key} for key in keys[start : start + DELETED_AT_ONCE]]
            done = self._ask(lambda names=names: self._client.delete_objects(  # type: ignore[misc]
                Bucket=self._bucket, Delete={"Objects": names, "Quiet": True}))  # fmt: skip
            if faults := done.get("Errors"):
                raise UnavailableError(
                    f"{len(faults)} objects of {self._place} can't be deleted: {faults[0].get('Code')}.",
                    "Let the connection's user delete objects, then run again.",
                )

    def keeps_versions(self) -> bool:
        """Return whether what is replaced or deleted is kept as a version of before."""
        return "Status" in self._ask(lambda: self._client.get_bucket_versioning(Bucket=self._bucket))

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _copy_range(self, stored: Stored, start: int, file: IO[bytes]) -> None:
        body = self._get_range(stored, start, min(start + RANGE_BYTES, stored.size) - 1)
        file.seek(start)
        file.truncate()
        for chunk in body.iter_chunks(COPY_BYTES):
            file.write(chunk)

    def _get_range(self, stored: Stored, first: int, last: int) -> Any:  # noqa: ANN401 - a stream of botocore
        place = self._named(stored.key)
        return self._client.get_object(**place, Range=f"bytes={first}-{last}", IfMatch=stored.etag)["Body"]

    def _ask(self, request: Callable[[], _Given]) -> _Given:
        """Make a request, again and again while the store is away."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - nobody else pays for it

        pauses, deadline = _pauses(), 0.0
        while True:
            try:
                return request()
            except (BotoCoreError, ClientError) as error:
                fault, is_away = self._explain(error)
                deadline = deadline or time.monotonic() + self._wait_seconds
                pause = next(pauses)
                if not is_away or time.monotonic() + pause > deadline:
                    raise fault from error
            time.sleep(pause)

    def _explain(self, error: Exception) -> tuple[PipelineError, bool]:
        """Say what a fault means, and whether to wait for its end."""
        from botocore import exceptions  # noqa: PLC0415

        no_key = exceptions.NoCredentialsError, exceptions.PartialCredentialsError
        broken = exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError
        status, said = _status(error), show_text(_code(error), 60)
        if status in _NO_RIGHT or isinstance(error, no_key):
            return RefusedError(
                f"The store {self._place} refuses the credentials of the connection storage ({said}).",
                "Correct its login and password, or the rights of that user, then run again. Nothing was loaded.",
            ), False
        if said == "NoSuchBucket":
            return RefusedError(
                f"There is no bucket {self._bucket} in the store {self._place}.",
                "Make it, or correct STORAGE_ROOT. Nothing was loaded.",
            ), False
        if status == _GONE:
            return UnusableFileError(
                f"An object of {self._place} is gone: it was there when the run began.",
                "Put it there, then run again.",
            ), False
        if status == _CHANGED:
            return UnavailableError(
                f"An object of {self._place} was replaced while it was read.",
                "Run again when the delivery is complete.",
            ), False
        if status == _NOT_MADE:
            return RefusedError(
                f"The store {self._place} does not know a request that is needed ({said}).",
                "Use a store that knows conditional puts (If-None-Match). Nothing was loaded.",
            ), False
        is_away = isinstance(error, broken) or said in _AWAY or (status or 0) >= _SERVERS_FAULT
        return UnavailableError(
            f"The store {self._place} does not answer as it should ({said}).",
            "See whether it runs and can be reached, then run again.",
        ), is_away


def _pauses() -> Iterator[float]:
    pause = 0.25
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def _status(error: Exception) -> int | None:
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode") if "Error" in response else None


def _code(error: Exception) -> str:
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


def _make_client(access: Access) -> Any:  # noqa: ANN401 - botocore makes its classes at run time
    import boto3  # noqa: PLC0415 - only where there is a store
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"total_max_attempts": 1},  # `Store` itself waits
        # Other stores than Amazon's have no name for each bucket, and some no checksums beside their own.
        s3={"addressing_style": "path" if access.endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=access.endpoint or None,
            region_name=access.region or ("us-east-1" if access.endpoint else None),
            aws_access_key_id=access.key_id or None,
            aws_secret_access_key=access.secret or None,
            config=config,
        )
    except ValueError as error:
        raise RefusedError(
            f"{show_text(access.endpoint, 200)!r} is no address of a store.",
            "Correct endpoint_url in the extra of the connection storage. Nothing was loaded.",
        ) from error
