"""One transport a module; base.py is their contract."""

from courier.config import DestinationConfig, LocalConfig, S3Config, SftpConfig
from courier.destinations.base import Connection, Destination, Staged

__all__ = ["Connection", "Destination", "Staged", "open_destination"]


def open_destination(config: DestinationConfig, run_id: str, attempt: str = "") -> Destination:
    """The destination that the configuration describes. Reads its secrets, and connects to nothing yet.

    `attempt`: eight hexadecimal digits where several workers, or starts of the run, may try one file at once, so that each has a place of its own.
    """
    match config:
        case LocalConfig():
            from courier.destinations.local import LocalDestination  # noqa: PLC0415  only the transport in use is loaded

            return LocalDestination(config, run_id, attempt)
        case S3Config():
            from courier.destinations.s3 import S3Destination  # noqa: PLC0415

            return S3Destination(config)
        case SftpConfig():
            from courier.destinations.sftp import SftpDestination  # noqa: PLC0415

            return SftpDestination(config, run_id, attempt)
    raise TypeError(f"no transport for {type(config).__name__}")
