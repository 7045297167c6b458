"""What a platform declares of itself: one object per platform, made of rules that each carry their source.

A rule without a document behind it (`memory`) is a warning and never more. `our choice`: where documents leave one,
such as the length of a field that the artefacts tell the user to create. `secondary`: partners, vendor-derived
code and the like. Documents are named by repository and path, or by site and page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Confidence = Literal["documented", "secondary", "our choice", "memory"]


@dataclass(frozen=True)
class Source:
    """Where a rule comes from, and how sure it is."""

    document: str
    confidence: Confidence = "documented"

    @property
    def documented(self) -> bool:
        return self.confidence == "documented"

    def refuses(self, policy: str) -> bool:
        """Whether what breaks a rule of this source is refused: never from memory. What `fix` cannot mend is as with `fail`."""
        return self.documented if policy in ("fail", "fix") else policy == "strict" and self.confidence != "memory"

    def __str__(self) -> str:
        return f"{self.document} ({self.confidence})"


@dataclass(frozen=True)
class Note:
    """What a user must know, for guides and warnings."""

    text: str
    source: Source


@dataclass(frozen=True)
class Setting:
    """A key of the configuration that has to have one of these values. `why` says what happens otherwise."""

    rule: str
    key: str
    allowed: tuple[Any, ...]
    why: str
    source: Source


@dataclass(frozen=True)
class StandardColumn:
    """A field of the platform for an XDM path: header, type and length there, and where the import puts it.

    `source` of the length; None where it has none.
    """

    name: str
    path: str
    kind: str
    length: int | None
    target: str
    source: Source
    role: str = ""  # email | phone | birthday | key: which rules about values are for it
    required: bool = False
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeaderRule:
    """What names of columns have to be. `system`: the platform's own, which need not keep `pattern`."""

    pattern: str
    max_length: int
    reserved: frozenset[str]
    system: frozenset[str]
    expected: str
    source: Source


@dataclass(frozen=True)
class KeyRule:
    """What a row can be found by. `columns`: headers, or nothing where it can be any unique field. At most `most` of them, and of
    each set in `apart` one.
    """

    columns: tuple[str, ...]
    most: int
    why: str
    source: Source
    apart: tuple[frozenset[str], ...] = ()


@dataclass(frozen=True)
class ByteLimit:
    """The size of one file. `compressed`: only of compressed files. A limit that is not `hard` is a warning."""

    most: int
    what: str
    source: Source
    compressed: bool = False
    hard: bool = False

    def refuses(self, policy: str) -> bool:
        """Whether a file above it holds the run. With `strict` limits hold that are not known to be final, too."""
        return (self.hard or policy == "strict") and self.source.refuses(policy)


@dataclass(frozen=True)
class EmailRule:
    """What an address has to look like: a pattern that all engines read alike. Its length is its column's. `blanks`: who says that
    blanks at its ends are nothing, where that is another document.
    """

    pattern: str
    expected: str
    source: Source
    blanks: Source | None = None


@dataclass(frozen=True)
class PhoneRule:
    """`plus`: E.164, such as +46701234567; `digits`: the same without its plus."""

    form: Literal["plus", "digits"]
    source: Source

    @property
    def pattern(self) -> str:
        return r"^\+[1-9][0-9]{6,14}$" if self.form == "plus" else r"^[1-9][0-9]{6,14}$"


@dataclass(frozen=True)
class DateRule:
    """Patterns for dates and timestamps. `own`: why a column's own format is to be one of them."""

    date: str
    timestamp: str
    source: Source
    own: Note

    def reads(self, pattern: str) -> bool:
        return pattern in (self.date, self.timestamp)


@dataclass(frozen=True)
class NumberRule:
    """The most digits before the point, and after it, of fields that are numbers."""

    integer_digits: int
    decimals: int
    source: Source


@dataclass(frozen=True)
class Platform:
    """All that is declared of one platform. The presets of group file, mapping and trigger have the platform's name."""

    name: str
    title: str
    settings: tuple[Setting, ...]
    columns: tuple[StandardColumn, ...]
    key: KeyRule
    phone: PhoneRule
    email: EmailRule
    dates: DateRule
    bytes: tuple[ByteLimit, ...]
    exits: Note
    header: HeaderRule | None = None
    text_length: tuple[int, Source] | None = None  # of fields that are not standard
    max_columns: tuple[int, Note] | None = None
    exact_header: Source | None = None  # names must be those of the fields, in upper and lower case
    compression_or_encryption: Source | None = None  # one of the two, never both
    empty_number: Source | None = None  # the platform takes an empty number for an error
    number: NumberRule | None = None
    one_file: Note | None = None  # an import reads a single file
    fixed_name: Note | None = None  # an import reads one name
    name_on_s3: Note | None = None  # what an import from S3 finds a file by: no time but the day
    expected_columns: tuple[tuple[str, Note], ...] = ()  # headers that a file is to have
    fields: tuple[StandardColumn, ...] = ()  # further fields of the platform, which are no columns of the preset
    digest: int = 0  # the artefacts make a field of digests at least so long

    def column(self, name: str, path: str, *, hashed: bool) -> StandardColumn | None:
        """The standard column that a column of the mapping is: by its name, in any case, else by its path. A digest of an address is no
        address, so that its path says nothing.
        """
        by_name = next((each for each in (*self.columns, *self.fields) if each.name.casefold() == name.casefold()), None)
        return by_name or next((each for each in self.columns if each.path == path and not hashed), None)

    def length(self, standard: StandardColumn | None, *, hashed: bool) -> tuple[int, Source] | None:
        """The most characters of a text, and who says so."""
        found = (standard.length, standard.source) if standard and standard.length else None if standard else self.text_length
        return found and (max(found[0], self.digest if hashed else 0), found[1])


XDM = Source("AdobeDocs/experience-platform.en help/destinations/catalog/email-marketing/overview.md")
MONTH_AND_DAY = Source("adobe/xdm, data type Person: birthDayAndMonth matches [0-1][0-9]-[0-9][0-9]")
