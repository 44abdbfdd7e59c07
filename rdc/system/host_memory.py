"""Settings of the C library's allocator for long computations on the CPU."""

from __future__ import annotations

import ctypes

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Lets this process keep freed memory for its next arrays.

    By default glibc gives large blocks back to the kernel, so that every training
    step has its working memory zeroed and mapped again, page by page: a fifth of the
    step on CPU. Call it once, before the first computation; the memory of the process
    no longer shrinks. Does nothing where the C library is another.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    # Blocks of one arena alone grow without bound; other arenas fall back to mmap.
    for parameter, value in (
        (_M_ARENA_MAX, 1),
        (_M_MMAP_MAX, 0),
        (_M_TRIM_THRESHOLD, -1),  # never
    ):
        mallopt(parameter, value)
