"""Regular expressions that all engines read alike.

Java's and Rust's differ: `\\d`, `\\w` and `\\s` take ASCII only in one and Unicode in the other, `$` and `.` see line ends
differently, and Rust has no lookaround and no backreferences. The first are written out, the rest is refused.
"""

from __future__ import annotations

import re

from courier.errors import ConfigError

CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": r" \t\n\x0B\f\r"}
#: Escapes that mean the same everywhere, besides those of punctuation.
SAME = "tnrfAz"
#: Which Rust takes for operations on classes, as Java does with the first.
OPERATIONS = ("&&", "--", "~~")
#: Blanks of any kind, and signs that nobody sees: no part of an address at its ends. From and to.
BLANK = ((0, 0x20), (0x7F, 0x7F), (0xA0, 0xA0), (0x2000, 0x200B), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF))
TIMES = re.compile(r"\{[0-9]{1,4}(,[0-9]{0,4})?\}")


def _sign(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x80 else chr(code)


#: The same inside of a class of characters, and all of them.
BLANKS = "".join(_sign(first) if first == last else f"{_sign(first)}-{_sign(last)}" for first, last in BLANK)
EVERY_BLANK = "".join(chr(code) for first, last in BLANK for code in range(first, last + 1))


class MistakenPatternError(ConfigError):
    """A pattern that no engine reads as it is meant, or each otherwise, and that is easily written so that all do."""


def portable(pattern: str, where: str) -> str:
    """The same pattern without what engines read differently. Raises ConfigError for what cannot be written otherwise."""
    out, position, in_class = [], 0, False
    while position < len(pattern):
        sign = pattern[position]
        if sign == "\\":
            out.append(_escape(pattern, position, where, in_class=in_class))
            position += 2
            continue
        if in_class:
            if sign == "[" or pattern.startswith("&&", position):
                raise _refused(pattern, where, "a class inside of a class")
            if pattern.startswith(OPERATIONS, position):
                raise _refused(pattern, where, f"{pattern[position : position + 2]} in a class: write \\- or one ~", MistakenPatternError)
            in_class = sign != "]"
            out.append(sign)
        elif sign == "[":
            in_class = True
            lead = 3 if pattern.startswith("[^]", position) else 2 if pattern.startswith(("[^", "[]"), position) else 1
            out.append(pattern[position : position + lead].replace("]", r"\]"))
            position += lead - 1
        elif pattern.startswith("(?", position) and not pattern.startswith("(?:", position):
            raise _refused(pattern, where, pattern[position : position + 4])
        elif sign == "{" and not TIMES.match(pattern, position):
            raise _refused(pattern, where, "{ that is no number of times: write \\{", MistakenPatternError)
        elif sign in "*+?}" and pattern.startswith("+", position + 1):
            raise _refused(pattern, where, pattern[position : position + 2])
        else:
            out.append({"$": r"\z", ".": r"[^\n\r]"}.get(sign, sign))
        position += 1
    rewritten = "".join(out)
    try:  # what engines would refuse when they meet the first row
        re.compile(rewritten.replace(r"\z", r"\Z"))
    except re.error as exc:
        raise _refused(pattern, where, exc.msg) from exc
    return rewritten


def _escape(pattern: str, position: int, where: str, *, in_class: bool) -> str:
    sign = pattern[position + 1 : position + 2]
    if sign in CLASSES and sign:
        return CLASSES[sign] if in_class else f"[{CLASSES[sign]}]"
    if sign.lower() in CLASSES and sign and not in_class:
        return f"[^{CLASSES[sign.lower()]}]"
    if sign == "x" and re.match(r"[0-9A-Fa-f]{2}", pattern[position + 2 :]):
        return r"\x"
    if not sign or (sign.isalnum() and sign not in SAME):
        raise _refused(pattern, where, f"\\{sign}")
    return f"\\{sign}"


def _refused(pattern: str, where: str, found: str, kind: type[ConfigError] = ConfigError) -> ConfigError:
    return kind(
        "A regular expression has what engines read differently",
        where=f"{where}: {pattern}",
        found=found,
        expected=r"letters, classes such as [a-z], \d \w \s, \x20, groups (…) and (?:…), * + ? {n,m}, ^ and $",
    )
