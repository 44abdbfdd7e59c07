"""The processes of one training on several hosts: who they are, how they begin and end.

Each is told its seat by its environment. They meet in `join`, compute as one program,
and one that fails ends at once: the others could only wait for it. JAX is imported when
they meet.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from rdc.errors import ExitCode

SEAT_VARIABLE = "RDC_SEAT"
# Of libtpu and JAX: which processes work together. A machine may have some of its own,
# as a pod in a TPU slice, and a process that is alone would wait for the others.
_OF_OTHERS = (
    SEAT_VARIABLE,
    "TPU_WORKER_ID",
    "TPU_WORKER_HOSTNAMES",
    "TPU_PROCESS_ADDRESSES",
    "TPU_PROCESS_PORT",
    "CLOUD_TPU_TASK_ID",
    "JAX_COORDINATOR_ADDRESS",
    "JAX_COORDINATOR_BIND_ADDRESS",
    "JAX_NUM_PROCESSES",
    "JAX_PROCESS_ID",
    "JAX_LOCAL_DEVICE_IDS",
)
_OF_SLICES = "MEGASCALE_"
# All processes come to such an end at the same step, so that they can wait for each
# other; by any other, one leaves the others behind.
ENDS_OF_ALL = (ExitCode.OK, ExitCode.DIVERGED, ExitCode.PREEMPTED)
MEETING_SECONDS = 300  # from the first of them to the last
PARTING_SECONDS = 1800  # from the first to the last: the first one writes a checkpoint


@dataclass(frozen=True)
class Seat:
    """The place of one process among those of a training.

    Attributes:
      rank: from 0, which writes all that stays.
      addresses: of all, by rank, as host:port; they meet at the first.
    """

    rank: int
    addresses: tuple[str, ...]

    @classmethod
    def taken(cls) -> Self | None:
        """That of this process; None: it is alone."""
        text = os.environ.get(SEAT_VARIABLE)
        if text is None:
            return None
        rank, addresses = text.split(" ")
        return cls(int(rank), tuple(addresses.split(",")))

    def variables(self) -> dict[str, str]:
        """What tells the process of it."""
        hosts = [address.rpartition(":")[0] for address in self.addresses]
        return {
            SEAT_VARIABLE: f"{self.rank} {','.join(self.addresses)}",
            "TPU_WORKER_ID": str(self.rank),
            "TPU_WORKER_HOSTNAMES": ",".join(hosts),
        }

    def join(self) -> None:
        """Meets the others; before JAX looks at any device."""
        import jax

        # Between CPUs; JAX has it for its own SIGTERM, of which we have one.
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.config.update("jax_enable_preemption_service", False)
        jax.distributed.initialize(
            coordinator_address=self.addresses[0],
            num_processes=len(self.addresses),
            process_id=self.rank,
            cluster_detection_method="deactivate",  # nobody but us says who is who
            initialization_timeout=MEETING_SECONDS,
            shutdown_timeout_seconds=PARTING_SECONDS,
        )

    def leave(self, code: int) -> None:
        """Waits for the others, or ends this process, where they do not come to it."""
        import jax

        if code in ENDS_OF_ALL:
            jax.distributed.shutdown()
            return
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # JAX would wait for the others at the exit


def host_environment(
    inherited: Mapping[str, str], seat: Seat | None = None
) -> dict[str, str]:
    """The variables of a process with this seat, or alone: of those that say which
    processes work together, it gets its own or none."""
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in _OF_OTHERS and not name.startswith(_OF_SLICES)
    }
    return kept if seat is None else {**kept, **seat.variables()}


def is_of_another(error: Exception) -> bool:
    """Whether an error of a computation of several processes means that another one is
    gone. Out of memory is told apart before; an error of XLA's own counts so, too.
    """
    import jax

    return Seat.taken() is not None and isinstance(error, jax.errors.JaxRuntimeError)
