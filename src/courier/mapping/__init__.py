"""Step map: what a row of the file is made of.

A mapping is resolved against the schema of the source once (`resolving.py`). Inside the engine the paths that are read are
columns p0, p1, …, and the columns of the file c0, c1, … (a dot or a blank in a name breaks engines and expectations in
places); the names of the header are a matter of rendering.
"""

from courier.mapping.columns import inputs, parts_read, typed, values
from courier.mapping.model import IDENTITY, MARK, SAID, STATUS, MappedColumn, Mapping, assert_fanned_out
from courier.mapping.resolving import resolve, with_status

__all__ = [
    "IDENTITY",
    "MARK",
    "SAID",
    "STATUS",
    "MappedColumn",
    "Mapping",
    "assert_fanned_out",
    "inputs",
    "parts_read",
    "resolve",
    "typed",
    "values",
    "with_status",
]
