"""The errors that users meet, and the exit codes that scripts rely on."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the commands and of one job's process."""

    OK = 0
    CRASHED = 1  # a defect: a traceback is in the log
    BAD_INPUT = 2  # configuration, data or bitstream refused
    SWEEP_HAS_FAILED_RUNS = 3
    SWEEP_BUDGET_REACHED = 4
    # Codes of one job's process, read by the sweep driver:
    DIVERGED = 10
    OUT_OF_MEMORY = 11
    DISK_FULL = 12  # of a sweep, too; its state is kept
    PREEMPTED = 13  # SIGTERM: a checkpoint was written
    NODE_FAULT = 14  # of the machine, not of the job
    PEER_LOST = 15  # another process of the same training is gone
    INTERRUPTED = 130


class RdcError(Exception):
    """An expected failure: the rule, the offending value, the remedy.

    Args:
      rule: what must hold, as a full clause.
      value: what was found instead.
      remedy: what to do about it.
    """

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, rule: str, value: object = "", remedy: str = ""):
        self.rule, self.value, self.remedy = rule, value, remedy
        message = rule
        if value != "":
            message += f"; got {value}"
        message += "."
        if remedy:
            message += f" {remedy[0].upper()}{remedy[1:]}."
        super().__init__(message)

    def __reduce__(self) -> tuple:
        """From its parts: the message alone would be composed twice."""
        return type(self), (self.rule, self.value, self.remedy)


class ConfigError(RdcError, ValueError):
    """A configuration that cannot work: unknown name or key, impossible value."""


class DataError(RdcError, ValueError):
    """Images that are missing, unreadable or too small."""


class StorageError(RdcError, OSError):
    """A record or a file that cannot be written or fails its checksum."""


class DiskFullError(StorageError):
    """No space left where the outputs go."""

    exit_code = ExitCode.DISK_FULL


class UnreadableError(StorageError):
    """Something that is there and cannot be read now; later it may be."""

    exit_code = ExitCode.PREEMPTED  # nothing is lost: another attempt tries again


class NodeError(RdcError):
    """A machine that cannot work as planned; another one may."""

    exit_code = ExitCode.NODE_FAULT


class DivergedError(RdcError, ArithmeticError):
    """Training met a non-finite loss that it could not recover from."""

    exit_code = ExitCode.DIVERGED


class PreemptedError(RdcError):
    """The process was asked to stop; its state was saved."""

    exit_code = ExitCode.PREEMPTED


class BitstreamError(RdcError, ValueError):
    """A stream that is damaged, foreign, or made for another model."""
