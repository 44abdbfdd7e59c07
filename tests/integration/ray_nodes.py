"""A real Ray cluster whose nodes come and go, for tests."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

JOINING_SECONDS = 300.0  # far beyond what any machine needs


class Nodes:
    """A cluster whose head runs no jobs, and one node that does.

    Attributes:
      address: of the head.
      started: what operators started, of each node.
    """

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.started: list[subprocess.Popen] = []
        self.address = self._cluster.address
        self.add()
        deadline = time.monotonic() + JOINING_SECONDS
        while self._living() < 2:  # a sweep on a cluster without cores is refused
            assert time.monotonic() < deadline, "the node does not join"
            time.sleep(0.1)

    def _living(self) -> int:
        from ray._raylet import GcsClient
        from ray.core.generated.gcs_pb2 import GcsNodeInfo

        nodes = GcsClient(address=self.address).get_all_node_info().values()
        return sum(node.state == GcsNodeInfo.ALIVE for node in nodes)

    def add(self) -> None:
        """A node with one core, as operators start it."""
        ray = str(Path(sys.executable).with_name("ray"))
        command = [ray, "start", f"--address={self.address}", "--num-cpus=1", "--block"]
        self.started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))

    def sigterm(self) -> None:
        """To what operators started."""
        self.started[-1].send_signal(signal.SIGTERM)

    def kill_raylet(self) -> None:
        """SIGTERM to the heart of the node, which ends it at once."""
        self.raylet().terminate()

    def kill(self, node: subprocess.Popen) -> None:
        """All of a node at once."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(node.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        node.kill()
        node.wait()

    def raylet(self) -> psutil.Process:
        started = psutil.Process(self.started[-1].pid).children()
        [raylet] = [process for process in started if process.name() == "raylet"]
        return raylet

    def drain(self) -> None:
        """As an autoscaler does, before it takes the node away."""
        import ray
        from ray.core.generated import autoscaler_pb2

        [node] = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
        accepted, reason = ray._raylet.GcsClient(address=self.address).drain_node(
            node["NodeID"],
            autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"),
            "the machine goes",
            int(1000 * (time.time() + 600)),
        )
        assert accepted, reason

    def close(self) -> None:
        for process in self.started:
            self.kill(process)
        self._cluster.shutdown()
