"""Stores and clusters for tests of sweeps."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cluster_hosts import RayCluster, network
from cluster_sweeps import ClusterSweep, small_images
from playwright.sync_api import BrowserContext
from report_pages import open_browser
from stores import CREDENTIALS, Proxy, seaweedfs

from rdc.system.store import Store
from tests.needs import needs

# Ray reads these once in a process: clusters of tests have a token, as a private Ray.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


# Of one file: Playwright keeps a loop of events, which other tests must not find.
@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    needs("browser")
    with open_browser(tmp_path_factory.mktemp("profile")) as context:
        yield context


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


@dataclass(frozen=True)
class ClusterLab:
    """Three Ray nodes and a store between which nothing else is shared.

    Attributes:
      proxy: through which all hosts reach the store; the tests go past it.
    """

    cluster: RayCluster
    proxy: Proxy
    images: Path
    sweeps: list[ClusterSweep] = field(default_factory=list)

    def sweep(self, name: str) -> ClusterSweep:
        store = Store(f"s3://bucket/{name}")
        self.sweeps.append(ClusterSweep(self.cluster, store, self.images))
        return self.sweeps[-1]

    def mend(self) -> None:
        """Two workers and a store that works."""
        self.proxy.before = self.proxy.after = lambda *_: None
        for host in self.cluster.workers:
            if host.is_cut_off or host.name not in ("one", "two"):
                self.cluster.remove(host)
        missing = [n for n in ("one", "two") if n not in self.cluster.hosts]
        self.cluster.add_workers(*missing)


@pytest.fixture(scope="session")
def one_cluster(
    s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterLab]:
    images = small_images(tmp_path_factory.mktemp("images"))
    with network() as bridge:
        proxy = Proxy(s3_endpoint, bridge.address)
        own = {**CREDENTIALS, "AWS_ENDPOINT_URL": proxy.endpoint}
        cluster = RayCluster(bridge, {**os.environ, **own})
        try:
            yield ClusterLab(cluster, proxy, images)
        finally:
            cluster.close()
            proxy.close()


@pytest.fixture
def cluster_lab(
    one_cluster: ClusterLab, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ClusterLab]:
    """The same for all tests, whole at the beginning of each."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": s3_endpoint}.items():
        monkeypatch.setenv(name, value)
    one_cluster.mend()
    yield one_cluster
    one_cluster.proxy.before = one_cluster.proxy.after = lambda *_: None
    while one_cluster.sweeps:
        one_cluster.sweeps.pop().close()


@pytest.fixture
def undisturbed_sweep(cluster_lab: ClusterLab) -> ClusterSweep:
    """A sweep that nobody disturbs; the first test that asks for it runs it."""
    sweep = cluster_lab.sweep("undisturbed")
    if sweep.store.read("tables/runs.parquet") is None:
        sweep.run()
        assert set(map(len, sweep.attempts().values())) == {1}
    return sweep
