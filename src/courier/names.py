"""Templates of names, and names that every server takes. Knows no configuration and no destination.

A macro has two spellings, which are one and the same from here on:

    {segment_name}   {datetime:yyyy-MM-dd}     {part:05d}
    %SEGMENT_NAME%   %DATETIME(yyyy-MM-dd)%
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from courier import layouts
from courier.errors import ConfigError, nearest

#: What names of files and folders can have.
PLACEHOLDERS = (
    "activation",
    "destination",
    "destination_id",
    "organization",
    "sandbox",
    "segment_id",
    "segment_name",
    "datetime",
    "date",
    "timestamp",
    "as_of",
    "run_id",
    "mode",
    "change",
    "part",
    "parts",
)
#: Adobe's macros as ours. https://experienceleague.adobe.com/en/docs/experience-platform/destinations/destination-sdk/functionality/destination-configuration/batch-configuration
ADOBE = {
    "DESTINATION": "destination",
    "DESTINATION_NAME": "destination",
    "DESTINATION_INSTANCE_NAME": "destination",
    "DESTINATION_INSTANCE_ID": "destination_id",
    "ORGANIZATION_NAME": "organization",
    "SANDBOX_NAME": "sandbox",
    "SEGMENT_ID": "segment_id",
    "SEGMENT_NAME": "segment_name",
    "DATETIME": "datetime",
    "TIMESTAMP": "timestamp",
}
#: Adobe's macros that have no value here, and what to do instead.
ELSEWHERE = {
    "CUSTOM_TEXT": "write the text itself in its place",
    "MERGE_POLICY_ID": "leave it out: profiles come here merged",
    "MERGE_POLICY_NAME": "leave it out: profiles come here merged",
}
MACRO = re.compile(r"\{([^{}]*)\}|%([A-Za-z_]+)(?:\(([^()%]*)\))?%")
WIDTH = re.compile(r"0([1-9])d")

#: Most filesystems have this limit, and Adobe has it in characters.
MAX_NAME_BYTES = 255
#: Windows and the servers on it refuse these; the slashes lead into other folders.
REFUSED = frozenset('/\\:*?"<>|')

Value = str | int | datetime


@dataclass(frozen=True)
class Macro:
    """A value's place in a template. `form` is the layout of a time, or the width of a number."""

    name: str
    form: str | None
    written: str


Template = tuple[str | Macro, ...]


def parsed(key: str, template: str, known: Collection[str] = PLACEHOLDERS) -> Template:
    """Read a template. Raises ConfigError for macros that are not `known`, and for braces that belong to none."""
    pieces: list[str | Macro] = []
    end = 0
    for match in MACRO.finditer(template):
        pieces += [template[end : match.start()], _macro(key, match, known)]
        end = match.end()
    pieces.append(template[end:])
    if any("{" in piece or "}" in piece for piece in pieces if isinstance(piece, str)):
        raise ConfigError(f"{key} has a brace that belongs to no placeholder", found=template)
    return tuple(pieces)


def _macro(key: str, match: re.Match[str], known: Collection[str]) -> Macro:
    ours, adobes, form = match[1], match[2], match[3]
    if adobes is None:
        name, colon, text = ours.partition(":")
        form = text if colon else None
        fix = nearest(name.lower(), known)
    else:
        spellings = [spelling for spelling, translated in ADOBE.items() if translated in known]
        name = ADOBE.get(adobes, "")
        fix = ELSEWHERE.get(adobes) or nearest(adobes.upper(), spellings)
    if name not in known:
        raise ConfigError(f"{key} has an unknown placeholder", found=match[0], fix=fix)
    if form is not None:
        _check_form(key, name, form, match[0])
    return Macro(name, form, match[0])


def _check_form(key: str, name: str, form: str, written: str) -> None:
    if name == "datetime":
        layouts.check(f"{key}, {written}", form)
    elif name not in ("part", "parts"):
        raise ConfigError(
            f"{key} has a placeholder that takes no format", found=written, fix=f"write {{{name}}}; {{datetime:…}} takes a layout"
        )
    elif not WIDTH.fullmatch(form):
        raise ConfigError(f"{key} has a number with an unknown format", found=written, expected=f"{{{name}:05d}}: so many digits, 1 to 9")


def macros(template: Template) -> list[Macro]:
    return [piece for piece in template if isinstance(piece, Macro)]


def filled(template: Template, values: Mapping[str, Value]) -> str:
    """A template with values in the place of its macros."""
    return "".join(piece if isinstance(piece, str) else _text(piece, values[piece.name]) for piece in template)


def changes_in_time(key: str, template: str) -> bool:
    """Whether two runs within a day, a minute apart, have other names."""
    read = parsed(key, template)
    earlier: dict[str, Value] = {**dict.fromkeys(PLACEHOLDERS, 1), "datetime": datetime(2026, 1, 1, 0, 0, tzinfo=UTC)}
    later = earlier | {"datetime": datetime(2026, 1, 1, 0, 1, tzinfo=UTC), "timestamp": 2, "as_of": 2, "run_id": 2}
    return filled(read, earlier) != filled(read, later)


def _text(macro: Macro, value: Value) -> str:
    if isinstance(value, datetime):
        return layouts.written(macro.form or layouts.DEFAULT, value)
    width = WIDTH.fullmatch(macro.form or "")
    return str(value).zfill(int(width[1])) if width else str(value)


def split_path(path: str) -> tuple[str, str]:
    """A path's folders without a macro, and all from the first folder with one on."""
    first = MACRO.search(path)
    if first is None:
        return path, ""
    cut = path.rfind("/", 0, first.start()) + 1
    return path[:cut].rstrip("/") or path[:cut][:1], path[cut:].rstrip("/")


def joined(path: str, folder: str) -> str:
    return f"{path.rstrip('/')}/{folder}" if path and folder else path or folder


# Names that every server takes


def normal(name: str) -> str:
    """One spelling of letters with accents: a server that knows both would keep two files that look the same."""
    return unicodedata.normalize("NFC", name)


def safe(value: str) -> str:
    """A value as part of a name: what a server could refuse, or take for a folder or a hidden file, becomes `_`."""
    text = "".join("_" if _is_refused(sign) else sign for sign in normal(value))
    inner = text.strip(". ")
    start = len(text) - len(text.lstrip(". "))
    return "_" * start + inner + "_" * (len(text) - start - len(inner))


def _is_refused(sign: str) -> bool:
    return sign in REFUSED or not sign.isprintable()


def assert_usable(name: str, key: str, kind: str = "file") -> None:
    """Refuse a name of a file or folder that could lead elsewhere, be hidden, or be refused or changed by a server."""
    if not name or "/" in name or "\\" in name or name.startswith(".") or name != name.strip():
        raise ConfigError(
            f"A {kind} name could leave the target folder, or be hidden in it",
            where=key,
            found=repr(name),
            expected="no slashes, no leading dot, no blanks at the ends",
            fix="folders belong into destination.path" if kind == "file" and "/" in name else None,
        )
    refused = [sign for sign in name if _is_refused(sign)]
    if refused or name.endswith("."):
        raise ConfigError(
            f"A {kind} name has a sign that some servers refuse or leave out",
            where=key,
            found=f"{refused[0] if refused else '.'!r} in {name!r}",
            expected='none of : * ? " < > |, no control characters, no dot at the end',
        )
    size = len(name.encode())
    if size > MAX_NAME_BYTES:
        raise ConfigError(f"A {kind} name is too long", where=key, found=f"{size} bytes", expected=f"at most {MAX_NAME_BYTES}")


def repeated(names: Iterable[str]) -> str | None:
    """The first name that is there twice, or is also a folder of another, as Windows and macOS see names: in any case."""
    seen: set[str] = set()
    folders: set[str] = set()
    for name in names:
        folded = normal(name.casefold())
        above = {folded[:end] for end, sign in enumerate(folded) if sign == "/"}
        if folded in seen or folded in folders or above & seen:
            return name
        seen.add(folded)
        folders |= above
    return None


def assert_distinct(names: Iterable[str]) -> None:
    """Refuse files that would be one: the second part of an audience `spring` and an audience called `spring_2`."""
    name = repeated(names)
    if name:
        raise ConfigError("Two files would have one name", where="file.name", found=name, fix="put {segment_id} or {part} into file.name")
