"""Whether two configurations are alike, in what counts: one text for each, which is another one where they are not."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def of(content: dict[str, Any]) -> str:
    """Keys stay in their order, which means something: columns of a snapshot are known by their place, and the first rule that
    a row breaks is its reason.
    """
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()
