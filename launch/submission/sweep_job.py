"""A sweep as a job: its name, its command, and which jobs of a cluster are its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from launch.config.app import Call
from launch.config.composing import quoted
from launch.config.roots import SweepConfig
from launch.staging import OWN_OPTIONS
from rdc.errors import ConfigError
from rdc.system.code import git_sha

# Keys that are given anew, for the cluster.
_OWN_KEYS = (
    "cluster",
    "cluster.address",
    "cluster.autoscales",
    "cluster.python",
    "cluster.scratch",
    "out",
    "data.train",
    "data.eval",
)
# What `ray job stop` waits for beyond the grace that jobs have to save their state:
# the driver notes how they ended.
_STOP_SECONDS_BEYOND_GRACE = 15
STOP_SECONDS_VARIABLE = "RAY_JOB_STOP_WAIT_TIME_S"


@dataclass(frozen=True)
class SweepJob:
    """A sweep that is submitted under a name made of its configuration.

    The same configuration has the same name; each job of it is a generation, for Ray
    takes no name twice.

    Attributes:
      name: `rdc-GRID-HASH`.
      sha256: of the resolved configuration; the name has its begin.
      out: folder or URL, as the cluster sees it.
      options: of `launch/sweep.py` on the cluster.
      python: an interpreter there.
      environment: variables of the job.
    """

    name: str
    sha256: str
    out: str
    options: tuple[str, ...]
    python: str
    environment: Mapping[str, str]

    @classmethod
    def of(cls, call: Call[SweepConfig]) -> SweepJob:
        config = call.config
        data, cluster = config.data, config.cluster
        places = {
            "out": config.out_place(),
            "data.train": data.absolute("train"),
            "data.eval": data.absolute("eval"),
        }
        # Where the sweep runs does not make it another one.
        values = {k: v for k, v in call.values.items() if k not in ("cluster", "out")}
        values["data"] = {**values["data"], "train": "", "eval": ""}
        text = json.dumps([values, places], sort_keys=True, default=str)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        options = [
            o for o in call.overrides if o.split("=")[0].lstrip("+") not in _OWN_KEYS
        ]
        if call.config_dir is not None:
            options = ["--config-dir", OWN_OPTIONS, *options]
        options += [
            "cluster.address=auto",
            f"cluster.autoscales={str(cluster.autoscales).lower()}",
            f"cluster.scratch={quoted(cluster.scratch)}",
            *(f"{key}={quoted(place)}" for key, place in places.items()),
        ]
        # `${oc.env:NAME}` keeps what is secret out of the command.
        named = re.findall(r"oc\.env:(\w+)", " ".join(call.overrides))
        environment = {name: os.environ[name] for name in named if name in os.environ}
        seconds = int(config.limits.grace_seconds) + _STOP_SECONDS_BEYOND_GRACE
        return cls(
            f"rdc-{config.chosen_grid().name}-{sha256[:12]}",
            sha256,
            places["out"],
            tuple(options),
            cluster.python,
            environment | {STOP_SECONDS_VARIABLE: str(seconds)},
        )

    @property
    def entrypoint(self) -> str:
        """The shell command of the job, whose process is the sweep's own: a signal for
        the job reaches nothing else, and it ends when the sweep does.
        """
        return command(self.python, "launch.submission.run_sweep", *self.options)

    @property
    def metadata(self) -> dict[str, str]:
        """What the cluster keeps with the job."""
        return {
            "rdc_sweep": self.sha256,
            "rdc_out": self.out,
            "rdc_commit": git_sha() or "unknown",
        }

    def job_id(self, generation: int) -> str:
        return f"{self.name}-{generation}"

    def newest(self, jobs: Iterable[Any]) -> tuple[int, Any | None]:
        """(number of the newest job of this sweep, the job); (0, None): there is none.

        Args:
          jobs: all that the cluster knows, of `JobServer.jobs`.

        Raises:
          ConfigError: another sweep has an id of this one, or works in this OUT.
        """
        newest: tuple[int, Any | None] = (0, None)
        for job in jobs:
            known = job.metadata or {}
            name, _, generation = (job.submission_id or "").rpartition("-")
            if name == self.name and generation.isdigit():
                if known.get("rdc_sweep") != self.sha256:
                    raise ConfigError(
                        "a job with the id of a sweep is one of this sweep",
                        f"{job.submission_id} of another one",
                        f"remove it: ray job delete {job.submission_id}",
                    )
                newest = max(newest, (int(generation), job), key=lambda one: one[0])
            elif known.get("rdc_out") == self.out and not job.has_ended:
                raise ConfigError(
                    "one job at a time works in an OUT",
                    f"{self.out}, where {job.submission_id} is at work",
                    f"stop it: ray job stop {job.submission_id}; or take another out",
                )
        return newest


def command(python: str, module: str, *arguments: str) -> str:
    """A shell command that becomes the Python process."""
    return "exec " + shlex.join([python, "-m", module, *arguments])
