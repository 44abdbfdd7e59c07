"""OUT in an object store: whole objects, listed by prefix, written under conditions.

TensorStore's KvStore does what S3 and GCS have in common (docs/decisions/025). A key is
a path below the URL, as `runs/ab/abc/record.json`.
"""

from __future__ import annotations

import os
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rdc.errors import ConfigError, StorageError

if TYPE_CHECKING:
    import tensorstore

SCHEMES = ("s3", "gs")
TRIES = 6  # of one request, within three seconds; who asks waits for longer
_RETRIES = {"max_retries": TRIES, "initial_delay": "100ms", "max_delay": "1s"}
_REQUESTS_AT_ONCE = 64
_REFUSED = ("PERMISSION_DENIED", "UNAUTHENTICATED")


@dataclass(frozen=True)
class Stored:
    """An object as it was read.

    Attributes:
      generation: of this content; another one after every change of it.
    """

    data: bytes
    generation: bytes


class StoreError(StorageError):
    """The store did not do what it was asked; it may later."""


def is_url(out: str) -> bool:
    """Whether OUT is named by a URL; else it is a folder."""
    return "://" in out


class Store:
    """The objects below a URL: `s3://bucket/path` or `gs://bucket/path`.

    Credentials, region and endpoint come from the environment, as for other programs:
    `AWS_ACCESS_KEY_ID` and its kin or `~/.aws`, `AWS_REGION`, `AWS_ENDPOINT_URL`;
    `GOOGLE_APPLICATION_CREDENTIALS` and its kin, `STORAGE_EMULATOR_HOST`. All methods
    raise `StoreError` where the store does not answer or refuses.

    Raises:
      ConfigError: another scheme, or no bucket.
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in SCHEMES or not parts.netloc:
            raise ConfigError(
                "out is a folder, s3://bucket/path or gs://bucket/path",
                url,
                "for other stores, mount them as a folder that every node sees",
            )
        path = parts.path.strip("/")
        spec = {
            "driver": {"s3": "s3", "gs": "gcs"}[parts.scheme],
            "bucket": parts.netloc,
            "path": f"{path}/" if path else "",
        }
        self._spec = {**spec, **(_of_s3() if parts.scheme == "s3" else _of_gcs())}
        self._open: tensorstore.KvStore | None = None

    @property
    def _kv(self) -> tensorstore.KvStore:
        if self._open is None:
            import tensorstore

            self._open = self._done(tensorstore.KvStore.open(self._spec), "")
        return self._open

    def _done(self, future: Any, key: str) -> Any:
        try:
            return future.result()
        except (ValueError, OSError) as error:
            reason = (str(error).splitlines() or ["no reason given"])[0]
            remedy = "check the network and whether the store is up"
            if any(code in reason for code in _REFUSED):
                remedy = "check the credentials and what they allow"
            raise StoreError(
                f"the store answers for {self.url}/{key}", reason[:300], remedy
            ) from error

    def read(self, key: str) -> Stored | None:
        """An object; None where there is none."""
        found = self._done(self._kv.read(key), key)
        if found.state != "value":
            return None
        return Stored(found.value, found.stamp.generation)

    def changed(
        self, known: Mapping[str, bytes | None]
    ) -> Iterator[tuple[str, Stored]]:
        """Of objects, key -> known generation, those that have another one now.

        Objects that are gone are left out. The next ones are on their way while the
        caller works on one.
        """
        asked: deque[tuple[str, Any]] = deque()
        for key, generation in known.items():
            asked.append((key, self._kv.read(key, if_not_equal=generation)))
            if len(asked) == _REQUESTS_AT_ONCE:
                yield from self._new(*asked.popleft())
        while asked:
            yield from self._new(*asked.popleft())

    def _new(self, key: str, future: Any) -> Iterator[tuple[str, Stored]]:
        answer = self._done(future, key)
        if answer.state == "value":
            yield key, Stored(answer.value, answer.stamp.generation)

    def list(self, prefix: str = "") -> list[str]:
        """All keys that begin so, in order."""
        return sorted(
            key.decode() for key in self._done(self._kv.list(_range(prefix)), prefix)
        )

    def write(self, key: str, data: bytes) -> bytes:
        """Writes an object, whatever is there; its generation."""
        return self.begin_writing(key, data)()

    def begin_writing(self, key: str, data: bytes) -> Callable[[], bytes]:
        """The same, without waiting; who calls the result waits."""
        future = self._kv.write(key, data)
        return lambda: self._done(future, key).generation

    def create(self, key: str, data: bytes) -> bytes | None:
        """Writes an object where there is none; its generation, or None.

        Args:
          data: this writer's own: a write whose answer was lost is known by it.
        """
        return self._write_if(key, data, self._nothing)

    def replace(self, key: str, data: bytes, generation: bytes) -> bytes | None:
        """Writes an object that still has a generation; its new one, or None."""
        assert generation, "the library takes none for any"
        return self._write_if(key, data, generation)

    def _write_if(self, key: str, data: bytes, generation: bytes) -> bytes | None:
        written = self._done(self._kv.write(key, data, if_equal=generation), key)
        if written.generation:
            return written.generation
        # A request that was repeated after its answer got lost meets its own work.
        found = self.read(key)
        own = found is not None and found.data == data
        return found.generation if own and found is not None else None

    @cached_property
    def _nothing(self) -> bytes:
        """The generation of what is not there, one for all keys."""
        key = f".nothing-{uuid.uuid4().hex}"
        return self._done(self._kv.read(key), key).stamp.generation

    def delete(self, keys: Sequence[str]) -> None:
        """Removes objects, where they are there."""
        for start in range(0, len(keys), _REQUESTS_AT_ONCE):
            some = keys[start : start + _REQUESTS_AT_ONCE]
            asked = [self._kv.write(key, None) for key in some]
            for key, future in zip(some, asked, strict=True):
                self._done(future, key)

    def check(self) -> None:
        """Tries the conditions that a sweep's safety rests on.

        Raises:
          ConfigError: the store lets two writers win, or cannot be used at all.
        """
        key = f".conditions-{uuid.uuid4().hex}"
        try:
            first = self.create(key, b"first")
            second = self.create(key, b"second")
            third = first and self.replace(key, b"third", first)
            stale = first and self.replace(key, b"fourth", first)
            found = self.read(key)
            self.delete([key])
        except StoreError as error:
            raise ConfigError(
                f"{self.url} can be written and read", error.value, error.remedy
            ) from error
        whole = found is not None and found.data == b"third"
        if not (first and third and whole) or second or stale:
            wins = "two creations of one object" if second else "a stale replacement"
            raise ConfigError(
                f"the store of {self.url} writes under conditions (If-None-Match, "
                "If-Match, ifGenerationMatch)",
                f"{wins} won" if second or stale else "an object that was not kept",
                "two drivers would overwrite each other's results: choose another "
                "store, or a folder that every node sees",
            )


def _of_s3() -> dict[str, Any]:
    environment = os.environ
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get(
        "AWS_ENDPOINT_URL"
    )
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    spec: dict[str, Any] = {"context": {"s3_request_retries": _RETRIES}}
    if endpoint:
        spec |= {"endpoint": endpoint, "aws_region": region or "us-east-1"}
    elif region:
        spec["aws_region"] = region
    if "AWS_ACCESS_KEY_ID" in environment:  # no search of files, which logs errors
        spec["aws_credentials"] = {"type": "environment"}
    return spec


def _of_gcs() -> dict[str, Any]:
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if emulator:
        url = emulator if is_url(emulator) else f"http://{emulator}"
        os.environ["TENSORSTORE_GCS_HTTP_URL"] = url  # its only way to another host
    return {"context": {"gcs_request_retries": _RETRIES}}


def _range(prefix: str) -> tensorstore.KvStore.KeyRange:
    import tensorstore

    end = prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else ""
    return tensorstore.KvStore.KeyRange(prefix, end)
