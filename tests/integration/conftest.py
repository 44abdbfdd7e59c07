"""Stores for tests of sweeps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stores import CREDENTIALS, Proxy, seaweedfs


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a SeaweedFS with a bucket named `bucket`."""
    with seaweedfs(tmp_path_factory.mktemp("weed")) as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before it, which the environment names as the S3 of all processes."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    proxy = Proxy(s3_endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    yield proxy
    proxy.close()
