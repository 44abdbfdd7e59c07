"""Hosts of a cluster on one machine: Linux namespaces, and a Ray node in each.

    this machine        a store and its proxy; a bridge
    host head, one, ... each with processes, mounts, a name and a network of its own;
                        a cable to the bridge that can be pulled

All hosts see the code and the images, under the same paths, and nothing of what another
one writes: over `HOME` of a cluster lies a file system of each host's own, with Ray's
files, the scratch folder, the user's cache and temporary files. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from rdc.system.guard import guarded

HANG_SECONDS = 300.0  # far beyond what any machine needs
RAY = Path(sys.executable).with_name("ray")
PORT = 6379
_SPACES = ("mount", "uts", "net", "pid")
# Of the head: a node that does not answer for so long is dead to it.
HEALTH = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "5",
}
# The first process of a host: it reaps what dies there, and with it the host ends.
_INIT = """
import os, signal, socket, subprocess, sys
name, *mounts = sys.argv[1:]
run = lambda *command: subprocess.run(command, check=True)
socket.sethostname(name)
for folder, options in zip(mounts[::2], mounts[1::2]):
    os.makedirs(folder, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", options, "none", folder)
run("ip", "link", "set", "lo", "up")
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""


class NamespacesRefusedError(AssertionError):
    """This machine allows no hosts of this kind."""


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NamespacesRefusedError(
            f"tests of clusters need the program {command[0]}: "
            "apt-get install iproute2 util-linux"
        ) from None
    if done.returncode != 0:
        raise NamespacesRefusedError(
            f"tests of clusters make networks as root; {' '.join(command)} says: "
            f"{done.stderr.strip()}"
        )
    return done.stdout


def wait_until(condition, what: str, seconds: float = HANG_SECONDS, pause=0.05):
    """The first true value of `condition()`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(pause)
    return value


class Network:
    """A bridge of this machine.

    Attributes:
      address: of this machine on it.
    """

    def __init__(self) -> None:
        taken = _run("ip", "-o", "-4", "addr")
        third = next(
            n
            for n in (os.getpid() + i for i in range(250))
            if f" 10.213.{n % 250}." not in taken
        )
        self.prefix = f"10.213.{third % 250}."
        self.name = f"rdc{os.getpid()}"
        self.address = f"{self.prefix}1"
        _run("ip", "link", "add", self.name, "type", "bridge")
        _run("ip", "addr", "add", f"{self.address}/24", "dev", self.name)
        _run("ip", "link", "set", self.name, "up")

    def close(self) -> None:
        _run("ip", "link", "del", self.name)


class Host:
    """A machine of its own, as far as its processes can tell.

    Args:
      number: from 2, in its address.
      network: that it is on.
      mounts: folder -> options of a file system of its own there, as `size=4m`.
      environment: of its processes.

    Attributes:
      pid: of its first process, as this machine counts.

    Raises:
      NamespacesRefusedError: the machine does not allow it.
    """

    def __init__(
        self,
        name: str,
        number: int,
        network: Network,
        mounts: Mapping[Path, str],
        environment: Mapping[str, str],
    ):
        self.name, self.address = name, f"{network.prefix}{number}"
        self._network, self._environment = network, dict(environment)
        self.cable = f"{network.name}-{number}"
        self.is_cut_off = False  # or was
        own = [text for path, how in mounts.items() for text in (str(path), how)]
        self._unshare = subprocess.Popen(
            [
                *guarded(),
                "unshare",
                *(f"--{space}" for space in _SPACES),
                "--fork",
                "--kill-child",
                "--mount-proc",
                "--propagation=private",
                *(sys.executable, "-I", "-S", "-c", _INIT, name, *own),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._unshare.stdout is not None
        assert self._unshare.stderr is not None
        if self._unshare.stdout.readline() != "ready\n":
            raise NamespacesRefusedError(
                "tests of clusters make mount, network and process namespaces as root; "
                f"unshare says: {self._unshare.stderr.read().strip()}"
            )
        [init] = psutil.Process(self._unshare.pid).children()
        self.pid = init.pid
        self._space = os.readlink(f"/proc/{self.pid}/ns/pid")
        cable = ("ip", "link", "add", self.cable, "type", "veth")
        _run(*cable, "peer", "name", "eth0", "netns", str(self.pid))
        _run("ip", "link", "set", self.cable, "master", network.name, "up")
        inside = ("nsenter", "-t", str(self.pid), "--net", "ip")
        _run(*inside, "addr", "add", f"{self.address}/24", "dev", "eth0")
        _run(*inside, "link", "set", "eth0", "up")

    def start(
        self, command: Sequence[object], log: Path, **environment: str
    ) -> Program:
        """Starts a program on this host; what it prints goes to `log`, outside."""
        return Program(self, command, log, {**self._environment, **environment})

    def cut_off(self) -> None:
        """Pulls the cable."""
        self.is_cut_off = True
        _run("ip", "link", "set", self.cable, "down")

    def come_back(self) -> None:
        """Puts the cable back. To Ray the node stays dead, if it noticed."""
        _run("ip", "link", "set", self.cable, "up")

    def processes(self) -> list[psutil.Process]:
        found = []
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.Error):
                if os.readlink(f"/proc/{pid}/ns/pid") == self._space:
                    found.append(psutil.Process(pid))
        return found

    def path(self, path: Path | str) -> Path:
        """Where a path of this host is seen from outside."""
        return Path(f"/proc/{self.pid}/root") / str(path).lstrip("/")

    def kill(self) -> None:
        """Power off: nothing on it says good-bye, and what it wrote is lost."""
        self.cut_off()
        self.close()

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # and so ends all of its processes
        self._unshare.kill()
        self._unshare.communicate()
        with contextlib.suppress(NamespacesRefusedError):  # it went with its host
            _run("ip", "link", "del", self.cable)
        wait_until(lambda: not self.processes(), f"the end of host {self.name}")


class Program:
    """A process on a host.

    Attributes:
      process: the program itself; what this machine started only stands before it.
    """

    def __init__(
        self, host: Host, command: Sequence[object], log: Path, environment: dict
    ):
        self.log = log
        with open(log, "a") as file:
            self._before = subprocess.Popen(
                [
                    *guarded(),
                    *("nsenter", "-t", str(host.pid)),
                    *(f"--{space}" for space in _SPACES),
                    *map(str, command),
                ],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        self.process: psutil.Process | None = None
        while self.process is None and self._before.poll() is None:
            with contextlib.suppress(psutil.Error):
                inside = psutil.Process(self._before.pid).children()
                self.process = inside[0] if inside else None
            time.sleep(0.005)

    def text(self) -> str:
        return self.log.read_text()

    def poll(self) -> int | None:
        return self._before.poll()

    def wait(self, seconds: float = HANG_SECONDS) -> int:
        try:
            return self._before.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still at work: {self.text()[-3000:]}") from None

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        if number == signal.SIGCONT:  # what stands before it stops and goes on with it
            self._before.send_signal(number)

    def kill(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self.send(signal.SIGKILL)
        self._before.send_signal(signal.SIGCONT)
        self._before.wait()


class RayCluster:
    """A head that runs no jobs, and workers; each Ray node a host.

    Args:
      environment: of every process on every host.
      cpus: of each worker.

    Attributes:
      home: over which each host has a file system of its own.
      hosts: by name, those that are up.
    """

    def __init__(self, network: Network, environment: Mapping[str, str], cpus: int = 2):
        self.network, self._cpus = network, cpus
        # A short path: those of Ray's sockets are bounded.
        self.home = Path(tempfile.mkdtemp(prefix="rdc-c-", dir="/tmp"))
        self.scratch = self.home / "scratch"
        self.logs = Path(tempfile.mkdtemp(prefix="rdc-l-", dir="/tmp"))
        self._environment = {
            **environment,
            **HEALTH,
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "TMPDIR": str(self.home),
        }
        self.hosts: dict[str, Host] = {}
        self._spaces: set[str] = set()
        self._number = 1
        try:
            self.head = self._add("head", {})
            self.address = f"{self.head.address}:{PORT}"
            first = ("--head", f"--port={PORT}", "--include-dashboard=false")
            self._started(self._ray(self.head, *first, "--num-cpus=0"))
        except BaseException:
            self.close()
            raise

    def _add(self, name: str, mounts: Mapping[Path, str]) -> Host:
        self._number += 1
        own = {self.home: "size=1g", **mounts}
        host = Host(name, self._number, self.network, own, self._environment)
        self.hosts[name] = host
        self._spaces.add(host._space)
        return host

    def _ray(self, host: Host, *options: str) -> Program:
        command = [RAY, "start", *options, f"--node-ip-address={host.address}"]
        command += [f"--temp-dir={self.home / 'ray'}", "--disable-usage-stats"]
        command += ["--object-store-memory=80000000"]
        return host.start(command, self.logs / f"ray-{host.name}.txt")

    def _started(self, ray: Program) -> None:
        assert ray.wait() == 0, ray.text()

    def add_workers(
        self, *names: str, mounts: Mapping[Path, str] | None = None
    ) -> list[Host]:
        """Hosts with Ray nodes that join the cluster."""
        hosts = [self._add(name, mounts or {}) for name in names]
        options = (f"--address={self.address}", f"--num-cpus={self._cpus}")
        for ray in [self._ray(host, *options) for host in hosts]:
            self._started(ray)
        return hosts

    def remove(self, host: Host) -> None:
        """Kills a node with its machine."""
        del self.hosts[host.name]
        host.kill()

    @property
    def workers(self) -> list[Host]:
        return [host for name, host in self.hosts.items() if name != "head"]

    def close(self) -> None:
        """Ends all of it, and makes sure that nothing is left."""
        for host in list(self.hosts.values()):
            host.close()
        self.hosts.clear()
        assert not list(self.home.iterdir()), "hosts write to their own disks only"
        for folder in (self.home, self.logs):
            shutil.rmtree(folder)
        mounts = Path("/proc/self/mounts").read_text()
        assert str(self.home) not in mounts, mounts
        wait_until(lambda: not self._spaces & _spaces_in_use(), "the end of all hosts")


def _spaces_in_use() -> set[str]:
    found = set()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            found.add(os.readlink(f"/proc/{pid}/ns/pid"))
    return found


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A bridge, which is gone afterwards with all cables."""
    bridge = Network()
    try:
        yield bridge
    finally:
        bridge.close()
        own = f" {bridge.name}"
        wait_until(lambda: own not in _run("ip", "-o", "link"), "the end of all cables")
