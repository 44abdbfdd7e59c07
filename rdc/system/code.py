"""Which code runs: its commit, and a hash of its files."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
COMMIT_FILE = "COMMIT"  # of a copy of the source tree, in place of its repository


@cache
def code_sha256() -> str:
    """Of the files of this package, 16 hex digits: equal for equal code, wherever."""
    return hash_of_files(PACKAGE, sorted(PACKAGE.rglob("*.py")))


def hash_of_files(root: Path, files: list[Path]) -> str:
    """Of paths and contents, 16 hex digits."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


@cache
def git_sha() -> str | None:
    """Commit of this source tree, with `-dirty` where it was changed; else None."""
    root = PACKAGE.parent
    if (root / COMMIT_FILE).is_file():
        return (root / COMMIT_FILE).read_text().strip() or None
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--match="],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
