"""The state store: what runs remember. Private, small objects under keys such as `runs/<run_id>/record.json`."""

from courier.config import StateConfig
from courier.state.base import Store

__all__ = ["Store", "open_store"]


def open_store(config: StateConfig, *, make: bool = True) -> Store:
    """The store that the configuration describes. Raises ConfigError where it cannot be used.

    Without `make`, nothing is written: a folder that is not there is an error, instead of being made.
    """
    if config.kind == "local":
        from courier.state.local import LocalStore  # noqa: PLC0415  only the store in use is loaded

        return LocalStore(config, make=make)
    from courier.state.s3 import S3Store  # noqa: PLC0415

    return S3Store(config)
