"""Python's search for garbage, of which a job makes hardly any: it takes a quarter of the time of a start, and most of a second at the end."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

#: Python looks for garbage after so many new objects; at 700, if it is not told.
OBJECTS_BEFORE_COLLECTION = 500_000


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """For a whole process: it ends soon after this. What is alive then is not searched any more."""
    gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
    try:
        yield
    finally:
        gc.freeze()
