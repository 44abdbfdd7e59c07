"""Faults of one node: it gets no more jobs, is named, and the jobs run elsewhere.

Minutes each: `make bench`.
"""

import shutil

import pytest
from cluster_sweeps import small_images

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]


def ends_without(bad, cluster_lab, undisturbed_sweep, name: str) -> None:
    """A sweep beside a node that can do nothing ends as if it were not there."""
    sweep = cluster_lab.sweep(name)
    try:
        printed = sweep.run()
    finally:
        cluster_lab.cluster.remove(bad)
    print(printed)
    named = f"no more jobs for {bad.name} "
    told = [line for line in printed.splitlines() if line.startswith(named)]
    assert len(told) == 1, "it is named, and once"
    sweep.assert_ended_like(undisturbed_sweep)
    assert len(sweep.records()) == len(undisturbed_sweep.records())


def test_a_node_whose_scratch_is_full(cluster_lab, undisturbed_sweep):
    cluster = cluster_lab.cluster
    cluster.remove(cluster.hosts["two"])
    [full] = cluster.add_workers("narrow", mounts={cluster.scratch: "size=4k"})
    ends_without(full, cluster_lab, undisturbed_sweep, "narrow")


def test_a_node_with_other_images(cluster_lab, undisturbed_sweep, tmp_path):
    cluster, images = cluster_lab.cluster, cluster_lab.images
    cluster.remove(cluster.hosts["two"])
    [other] = cluster.add_workers("foreign", mounts={images: "size=8m"})
    pictures = small_images(tmp_path / "pictures")
    for kind, another in (("train", "eval"), ("eval", "train")):
        shutil.copytree(pictures / kind, other.path(images / kind))
        for path in other.path(images / kind).iterdir():
            shutil.copy(pictures / another / "0.png", path)
    ends_without(other, cluster_lab, undisturbed_sweep, "foreign")
