"""Parquet slice → bytes. Knows nothing of transports."""

from courier.render.file import assert_writable, render

__all__ = ["assert_writable", "render"]
