"""Processes that tests start."""

import signal


def hear_sigint() -> None:
    """For `preexec_fn`: SIGINT reaches the process, also where whoever runs the tests
    ignores it, as shells have their background jobs do."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
