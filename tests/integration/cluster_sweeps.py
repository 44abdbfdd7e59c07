"""Sweeps of real trainings on a cluster, and ways to meet their jobs at a moment."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from cluster_hosts import Host, Program, RayCluster, wait_until

from rdc.data.bundled import bundled_images
from rdc.data.images import read_image
from rdc.jobs.layout import CHECKPOINT_FOLDER, METRICS_FILE, RECORD_FILE
from rdc.jobs.parcel import MANIFEST_FILE
from rdc.system.files import parsed_json
from rdc.system.store import Store
from tests.conftest import REPOSITORY
from tests.integration.whole_sweep import assert_same_results

TRAININGS = 8
STEPS = 40
SAVED = 20  # the step of the one checkpoint in the middle; metrics have its period, too
WORKER = ["-m", "rdc.jobs.worker"]
_SEEDS = ",".join(map(str, range(TRAININGS)))
_BLOCK = "{transform:conv,entropy_model:mean_scale_hyperprior}"
_LOOK_SECONDS = 0.003  # a training has a fifth of a second left after its checkpoint


def small_images(folder: Path) -> Path:
    """Crops of photographs, so that all but the start of a process takes no time."""
    from PIL import Image

    for name, places, side in (
        ("train", ((0, 0), (128, 128), (256, 64)), 128),
        ("eval", ((192, 128),), 64),
    ):
        (folder / name).mkdir(parents=True)
        pixels = read_image(bundled_images(name)[0])
        for number, (x, y) in enumerate(places):
            crop = pixels[y : y + side, x : x + side]
            Image.fromarray(crop).save(folder / name / f"{number}.png")
    return folder


@dataclass(frozen=True)
class Held:
    """A training that was stopped (SIGSTOP) in its middle.

    Attributes:
      host: where it runs.
      process: which trains; its porter still takes its checkpoints to the store.
      attempt: key of its folder.
    """

    host: Host
    process: psutil.Process
    attempt: str

    @property
    def job_id(self) -> str:
        return self.attempt.split("/")[2]


class ClusterSweep:
    """The same command, again and again.

    Args:
      store: OUT.
      images: with folders `train` and `eval`.
    """

    def __init__(self, cluster: RayCluster, store: Store, images: Path):
        self.cluster, self.store, self._images = cluster, store, images
        self._starts: list[Program] = []

    def start(self, *options: str, host: Host | None = None) -> Program:
        """The driver, on the head or another host."""
        number = len(self._starts) + 1
        name = f"sweep-{self.store.url.rsplit('/', 1)[-1]}-{number}.txt"
        command = [
            *(sys.executable, REPOSITORY / "launch/sweep.py", "+grid=rdc_smoke"),
            f"grid.blocks=[{{base:{_BLOCK},product:{{train.seed:[{_SEEDS}]}}}}]",
            f"grid.expect.jobs={TRAININGS}",
            f"out={self.store.url}",
            f"cluster.address={self.cluster.address}",
            f"cluster.scratch={self.cluster.scratch}",
            f"data.train={self._images / 'train'}",
            f"data.eval={self._images / 'eval'}",
            "codecs=[]",
            "hardware=cpu",
            f"train.steps={STEPS}",
            f"checkpoint.every_steps={SAVED}",
            "checkpoint.every_seconds=null",
            "stages=[plan,complexity,train,evaluate,gather]",
            *options,
        ]
        where = host or self.cluster.head
        self._starts.append(where.start(command, self.cluster.logs / name))
        return self._starts[-1]

    def run(self, *options: str, code: int = 0, seconds: float = 900.0) -> str:
        """Its whole output."""
        driver = self.start(*options)
        assert driver.wait(seconds) == code, driver.text()
        return driver.text()

    def close(self) -> None:
        """Kills drivers that a test left at work."""
        for driver in self._starts:
            if driver.poll() is None:
                driver.kill()

    def read(self, key: str) -> Any:
        found = self.store.read(key)
        assert found is not None, key
        return parsed_json(found.data, key)

    def table(self, name: str) -> pd.DataFrame:
        found = self.store.read(f"tables/{name}.parquet")
        assert found is not None, name
        return pd.read_parquet(io.BytesIO(found.data))

    def records(self) -> dict[str, dict]:
        """Those that were promoted, by key of the job's folder."""
        keys = [k for k in self.store.list() if k.endswith(f"/{RECORD_FILE}")]
        promoted = [key for key in keys if key.count("/") == 3]
        return {key.removesuffix(f"/{RECORD_FILE}"): self.read(key) for key in promoted}

    def attempts(self) -> dict[str, list[int]]:
        """Numbers of the attempts that were begun, by key of the job's folder."""
        found: dict[str, set[int]] = {}
        for key in self.store.list():
            job, attempts, rest = key.partition("/attempts/")
            if attempts:
                found.setdefault(job, set()).add(int(rest.split("/")[0]))
        return {job: sorted(numbers) for job, numbers in found.items()}

    def jobs(self) -> list[tuple[Host, psutil.Process, Path]]:
        """All processes of attempts on workers; see `jobs_on`."""
        return [
            (host, process, folder)
            for host in self.cluster.workers
            for process, folder in jobs_on(host)
        ]

    def saved(self, attempt: str) -> bool:
        """Whether the checkpoint in the middle is in the store."""
        key = f"{attempt}/{CHECKPOINT_FOLDER}/{SAVED}/{MANIFEST_FILE}"
        return self.store.read(key) is not None

    def hold(self, count: int = 1) -> list[Held]:
        """Stops so many trainings right after their checkpoint, which comes to the
        store.
        """
        found: list[Held] = []
        seen: dict[int, tuple[Host, psutil.Process, Path]] = {}
        looked = 0.0

        def look() -> bool:
            nonlocal looked
            if time.monotonic() - looked > 0.2:
                looked = time.monotonic()
                for host, process, folder in self.jobs():
                    if "/runs/" in str(folder):
                        seen.setdefault(process.pid, (host, process, folder))
            for pid, (host, process, folder) in seen.items():
                here = Path(f"/proc/{pid}/root") / str(folder).lstrip("/")
                if not (here / CHECKPOINT_FOLDER / str(SAVED)).exists():
                    continue
                if pid in {held.process.pid for held in found} or len(found) == count:
                    continue
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
                    if (here / RECORD_FILE).exists():
                        process.resume()
                    else:
                        found.append(Held(host, process, attempt_key(folder)))
            return len(found) == count

        wait_until(look, "a training in its middle", pause=_LOOK_SECONDS)
        for held in found:
            wait_until(partial(self.saved, held.attempt), "its checkpoint")
        return found

    def assert_ended_like(self, reference: ClusterSweep) -> None:
        """All records are there, the results are the same to the bit, and what was
        done again began at a checkpoint.
        """
        records = self.records()
        assert len(records) == 2 * TRAININGS
        assert {record["status"] for record in records.values()} == {"ok"}
        assert_same_results(reference.table, self.table)
        for job, record in records.items():
            if not job.startswith("runs/"):
                continue
            key = f"{job}/attempts/{record['attempt']}/{METRICS_FILE}"
            found = self.store.read(key)
            assert found is not None
            logged = [json.loads(line)["step"] for line in found.data.splitlines()]
            first = record["result"]["resumed_from_step"] + SAVED
            assert logged == list(range(first, STEPS + 1, SAVED))

    def assert_again_starts_nothing(self) -> None:
        before, attempts = self.records(), self.attempts()
        assert "(0 jobs started)" in self.run()
        assert (self.records(), self.attempts()) == (before, attempts)


def jobs_on(host: Host) -> list[tuple[psutil.Process, Path]]:
    """Processes of attempts, each with its folder as that host names it."""
    found = []
    for process in host.processes():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            if line[1:3] == WORKER:
                found.append((process, Path(line[3])))
    return found


def attempt_key(folder: Path) -> str:
    """`runs/ab/abc/attempts/1`, of a folder on scratch."""
    return "/".join(folder.parts[-5:])


def resume(jobs: Iterable[Held]) -> None:
    for held in jobs:
        with contextlib.suppress(psutil.NoSuchProcess):
            held.process.send_signal(signal.SIGCONT)
