"""Becomes another program that dies with its parent and keeps to given cores.

Run as `python -I -S guard.py PARENT_PID CORES PROGRAM ARGUMENT...`, which `guarded`
begins; CORES is a list as `0,3` or `-` for all. It is a program of its own because the
same steps between fork and exec (`preexec_fn`) are unsafe in processes with threads, as
those of Ray.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def guarded(cores: str = "-") -> tuple[str, ...]:
    """The beginning of a command that this process starts."""
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), cores)


def main(parent: str, cores: str, *command: str) -> None:
    """Replaces this process by `command`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent):  # it died before the request was made
            os.kill(os.getpid(), signal.SIGKILL)
        if cores != "-":
            os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
