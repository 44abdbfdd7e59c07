"""Content hashes: what makes two architectures, runs or data sets the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

ID_HEX_DIGITS = 16

# Of what the outputs of networks mean. Model folders, checkpoints and run identities
# carry it: a change of a layer or of how its output is read changes this number, and
# what was trained before is trained again, or refused in words.
#   1  one level of scale per unit of a network's output
#   2  eight levels (docs/decisions/016)
#   3  SwinT hyper-analysis without a norm over y; exact LayerNorm of any range
NUMERICS_VERSION = 3


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no white space: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_id(kind: str, value: Any) -> str:
    """Hash of the *resolved* `value`, 16 hex digits.

    Args:
      kind: what is hashed ("architecture", "run", ...); part of the hash, so that
        two kinds never share an id.
      value: anything that JSON can hold.
    """
    text = f"{kind}\n{canonical_json(value)}"
    return hashlib.sha256(text.encode()).hexdigest()[:ID_HEX_DIGITS]
