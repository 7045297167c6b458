"""How a file is written: group file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar

from courier.config.dialect import DialectConfig
from courier.config.limits import at_least, check_reference, check_references, one_form, one_of, refers
from courier.errors import ConfigError


@dataclass
class FileConfig(DialectConfig):
    """How a file is written. The defaults are those of the dialect, neither compressed nor encrypted.

    The text is compressed first, and encrypted (and signed) after that.
    """

    name: str = "{activation}_{segment_name}_{datetime}"
    extension: str = "csv"
    max_rows: int = 5_000_000
    on_empty: str = "header"
    compression: str = "none"
    compression_level: int | None = None
    final_extension: str | None = None  # None: extension, and what compression and encryption add to it
    encrypt_to: list[str] = field(default_factory=list)  # files with OpenPGP public keys
    encrypt_to_env: list[str] = field(default_factory=list)  # variables that hold such keys
    armour: bool = False
    sign_key_file: str | None = None
    sign_key_env: str | None = None
    sign_key_secret: str | None = None
    sign_passphrase_env: str | None = None
    sign_passphrase_file: str | None = None
    sign_passphrase_secret: str | None = None

    GROUP: ClassVar[str] = "file"
    #: The least, the greatest and the default level of each kind of compression.
    LEVELS: ClassVar[dict[str, tuple[int, int, int]]] = {"gzip": (1, 9, 3), "zip": (1, 9, 3), "zstd": (1, 19, 3)}

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("file.on_empty", self.on_empty, ("header", "skip", "fail"))
        at_least("file.max_rows", self.max_rows, 1)
        if not re.fullmatch(r"([A-Za-z0-9]{1,16}(\.[A-Za-z0-9]{1,16})?)?", self.extension):
            raise ConfigError(
                "file.extension cannot be used", found=repr(self.extension), expected="letters and digits, such as csv or txt, or nothing"
            )
        self._check_compression()
        self._check_keys()

    def _check_compression(self) -> None:
        one_of("file.compression", self.compression, ("none", *self.LEVELS))
        if self.compression_level is not None:
            if self.compression == "none":
                raise ConfigError("file.compression_level is of no use without file.compression", found=str(self.compression_level))
            least, greatest, _ = self.LEVELS[self.compression]
            if not least <= self.compression_level <= greatest:
                raise ConfigError(
                    f"file.compression_level cannot be used with {self.compression}",
                    found=str(self.compression_level),
                    expected=f"{least} to {greatest}",
                )
        if self.final_extension is not None and not re.fullmatch(r"([A-Za-z0-9]{1,16}(\.[A-Za-z0-9]{1,16}){0,3})?", self.final_extension):
            raise ConfigError(
                "file.final_extension cannot be used", found=repr(self.final_extension), expected="such as csv.gz or pgp, or nothing"
            )

    def _check_keys(self) -> None:
        check_references(self)
        for path in self.encrypt_to:
            check_reference("file.encrypt_to", "file", path)
        if sum(map(bool, (self.sign_key_file, self.sign_key_env, self.sign_key_secret))) > 1:
            raise ConfigError("file.sign_key_file, .sign_key_env and .sign_key_secret: more than one is set", expected="one of them")
        one_form("file", self, "sign_passphrase")
        if refers(self, "sign_passphrase") and not self.signed:
            raise ConfigError("file.sign_passphrase_… is set without a key to sign with", fix="set file.sign_key_file or .sign_key_env")
        if self.signed and not self.encrypted:
            raise ConfigError("Files can be signed only where they are encrypted", fix="set file.encrypt_to, or leave out file.sign_key_…")
        if self.armour and not self.encrypted:
            raise ConfigError("file.armour is of no use without encryption", fix="set file.encrypt_to, or leave out file.armour")

    @property
    def encrypted(self) -> bool:
        return bool(self.encrypt_to or self.encrypt_to_env)

    @property
    def signed(self) -> bool:
        return refers(self, "sign_key")

    @property
    def level(self) -> int:
        """The level to compress with; 0 where nothing is compressed."""
        if self.compression == "none":
            return 0
        return self.LEVELS[self.compression][2] if self.compression_level is None else self.compression_level

    @property
    def full_extension(self) -> str:
        """What ends the name of a delivered file, without its first dot: csv, csv.gz, zip, csv.zst.gpg; nothing where nothing does."""
        if self.final_extension is not None:
            return self.final_extension
        text = [self.extension] if self.extension else []
        kinds = {"none": text, "gzip": [*text, "gz"], "zip": ["zip"], "zstd": [*text, "zst"]}
        return ".".join(kinds[self.compression] + ["gpg"] * self.encrypted)

    def member_name(self, name: str) -> str:
        """What a delivered file called `name` is called inside an archive: the name of the text that was compressed."""
        stem = name.removesuffix(f".{self.full_extension}") if self.full_extension else name
        return f"{stem}.{self.extension}" if self.extension else stem
