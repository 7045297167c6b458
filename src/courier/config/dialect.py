"""How rows become text and text becomes bytes: the part of group file that is about the dialect."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import ClassVar

from courier.config.limits import one_of
from courier.errors import ConfigError

#: In file.null_text and file.empty_text, an empty quoted field, whatever the quote is.
EMPTY_QUOTED = '""'
MOST_DELIMITER_CHARACTERS = 16


@dataclass
class DialectConfig:
    """The defaults are RFC 4180 with a header, in UTF-8, and every value as it is."""

    delimiter: str = ","
    quoting: str = "minimal"
    quote: str = '"'
    escape: str = "double"
    header: bool = True
    encoding: str = "utf-8"
    line_ending: str = "lf"
    null_text: str = ""
    empty_text: str = EMPTY_QUOTED
    newlines: str = "keep"
    newline_text: str = " "
    on_special: str = "fail"
    special_text: str = " "
    on_unencodable: str = "fail"
    formula_guard: str = "off"

    LINE_ENDINGS: ClassVar[dict[str, str]] = {"lf": "\n", "crlf": "\r\n"}
    #: What a file begins with, and Python's name of the encoding of what follows. Python calls the whole by the key.
    ENCODINGS: ClassVar[dict[str, tuple[bytes, str]]] = {
        "utf-8": (b"", "utf-8"),
        "utf-8-sig": (codecs.BOM_UTF8, "utf-8"),
        "utf-16": (codecs.BOM_UTF16_LE, "utf-16-le"),
        "utf-16-le": (b"", "utf-16-le"),
        "utf-16-be": (b"", "utf-16-be"),
        "iso-8859-1": (b"", "iso-8859-1"),
        "cp1252": (b"", "cp1252"),
    }
    ESCAPES: ClassVar[dict[str, str]] = {"double": "", "backslash": "\\", "apostrophe": "'"}

    def __post_init__(self) -> None:
        if self.delimiter == r"\t":  # as the command line, and YAML without double quotes, give it
            self.delimiter = "\t"
        one_of("file.quoting", self.quoting, ("minimal", "all", "none", "spark"))
        one_of("file.escape", self.escape, tuple(self.ESCAPES))
        one_of("file.encoding", self.encoding, tuple(self.ENCODINGS), meant=self._meant_encoding())
        one_of("file.line_ending", self.line_ending, tuple(self.LINE_ENDINGS))
        one_of("file.newlines", self.newlines, ("keep", "replace", "fail"))
        one_of("file.on_special", self.on_special, ("fail", "replace"))
        one_of("file.on_unencodable", self.on_unencodable, ("fail", "replace", "transliterate"))
        one_of("file.formula_guard", self.formula_guard, ("off", "report", "prefix"))
        self._check_quote()
        self._check_delimiter()
        for key in ("null_text", "empty_text"):
            self._check_shown(key, getattr(self, key))
        self._check_replacements()
        for key in ("delimiter", "null_text", "empty_text", "newline_text", "special_text"):
            self._check_encodable(key, getattr(self, key))

    @property
    def mark(self) -> bytes:
        """The byte order mark that each file begins with, or nothing."""
        return self.ENCODINGS[self.encoding][0]

    @property
    def codec(self) -> str:
        """Python's name of the encoding of what follows the byte order mark."""
        return self.ENCODINGS[self.encoding][1]

    @property
    def escape_character(self) -> str:
        """What stands before a quote inside of quotes; doubled itself there."""
        return self.ESCAPES[self.escape] or self.quote

    @property
    def early_ends(self) -> list[str]:
        """What a bare value may not end with, since a reader would find the delimiter too early: with `||` it is `|`."""
        text = self.delimiter
        return [text[:length] for length in range(1, len(text)) if text[length:] == text[:-length]]

    @property
    def quoted_empty(self) -> str:
        """What EMPTY_QUOTED looks like. Spark knows no such thing: it writes both texts as they are."""
        return EMPTY_QUOTED if self.quoting == "spark" else self.quote * 2

    def _meant_encoding(self) -> str | None:
        """What is called so here, where Python knows another name of it: latin1, utf8, windows-1252."""
        try:
            codec = codecs.lookup(self.encoding).name
        except LookupError:
            return None
        return next((name for name in self.ENCODINGS if codecs.lookup(name).name == codec), None)

    def _check_quote(self) -> None:
        if self.quoting == "none":
            if self.on_special == "replace" and self.quote and self.quote in self.special_text:
                raise ConfigError("file.special_text has the quote that it is to replace", found=repr(self.special_text))
            if self.escape != "double":
                raise ConfigError(
                    "file.escape is of no use with file.quoting=none",
                    found=self.escape,
                    fix="leave out file.escape: what is special in a value is a matter of file.on_special",
                )
        elif self.on_special != "fail":
            raise ConfigError(
                "file.on_special is of use only with file.quoting=none",
                found=self.on_special,
                fix="leave it out: a value with a delimiter or a line end is quoted. For line ends there is file.newlines",
            )
        unquoted = self.quote == "" and self.quoting == "none"
        if not unquoted and (len(self.quote) != 1 or not self.quote.isascii() or self.quote in "\r\n"):
            raise ConfigError(
                "file.quote cannot be used",
                found=repr(self.quote),
                expected="one ASCII character other than line ends; for no quotes file.quoting=none",
            )
        if self.quoting != "none" and self.quote == self.ESCAPES[self.escape]:
            raise ConfigError("file.quote and file.escape are the same character", found=repr(self.quote), fix="file.escape=double")

    def _check_delimiter(self) -> None:
        forbidden = "\r\n\\\0" + self.quote + (self.escape_character if self.quoting != "none" else "")
        if not 0 < len(self.delimiter) <= MOST_DELIMITER_CHARACTERS or any(character in forbidden for character in self.delimiter):
            raise ConfigError(
                "file.delimiter cannot be used",
                found=repr(self.delimiter),
                expected=f"1 to {MOST_DELIMITER_CHARACTERS} characters other than \\, line ends, NUL, file.quote and file.escape",
            )
        if self.delimiter.isascii() and self.delimiter.isalnum():
            raise ConfigError(
                "file.delimiter is made of letters and digits, which values have, too",
                found=repr(self.delimiter),
                expected="a sign such as , or ; or |",
                fix=r"a tab is written '\t': file.delimiter='\t'; for tabs and .txt choose file=txt",
            )
        if self.quoting == "spark" and len(self.delimiter) != 1:
            raise ConfigError("file.quoting=spark takes a delimiter of one character", found=repr(self.delimiter))

    def _check_shown(self, key: str, text: str) -> None:
        """What stands for null or empty must be read as that."""
        if text == EMPTY_QUOTED and self.quoting == "spark":
            return
        if text == EMPTY_QUOTED and self.quoting == "none":
            raise ConfigError(
                f"file.{key} would be read as something else",
                found="two quotes, while there are none with file.quoting=none",
                fix=f"set file.{key}, to nothing or to a text: \"file.{key}=''\"",
            )
        special = "\r\n" + self.quote + (self.ESCAPES[self.escape] if self.quoting != "none" else "")
        if text == EMPTY_QUOTED or not (any(c in special for c in text) or self.delimiter in text or text.endswith(tuple(self.early_ends))):
            return
        raise ConfigError(
            f"file.{key} would be read as something else",
            found=repr(text),
            expected='text without quotes, line ends, the delimiter and the escape character; or two quotes (""), an empty quoted field',
        )

    def _check_replacements(self) -> None:
        if any(end in self.newline_text for end in "\r\n"):
            raise ConfigError("file.newline_text is to replace line ends, and has one itself", found=repr(self.newline_text))
        if self.on_special == "replace":
            special = "\r\n" + self.delimiter
            if not self.special_text or any(character in special for character in self.special_text):
                raise ConfigError(
                    "file.special_text cannot be used",
                    found=repr(self.special_text),
                    expected="one character or more, none of them a line end or of the delimiter",
                )

    def _check_encodable(self, key: str, text: str) -> None:
        try:
            text.encode(self.codec)
        except UnicodeEncodeError as exc:
            raise ConfigError(
                f"file.{key} cannot be written in this encoding", found=repr(text), expected=f"characters that {self.encoding} has"
            ) from exc
