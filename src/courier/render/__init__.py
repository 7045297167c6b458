"""Parquet slice → bytes: text, then compressed, then encrypted, as configured. Knows nothing of transports."""

from courier.render.file import Rendering, assert_writable, render
from courier.render.keys import Keys, open_keys, recipients_now

__all__ = ["Keys", "Rendering", "assert_writable", "open_keys", "recipients_now", "render"]
