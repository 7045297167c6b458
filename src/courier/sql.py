"""Expressions of a mapping: Spark SQL over XDM paths, with a checked list of functions.

A path inside an expression is read as the paths of columns are (null where a profile has less), so it is taken out and
computed first; the engine sees the expression over plain columns. What is not on the lists is refused before any work:
aggregates and windows would change the grain of rows, and clocks, random numbers and the like the bytes from run to run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlglot import parse_one
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from courier.errors import ConfigError, nearest

#: Functions that both engines compute alike.
FUNCTIONS = frozenset(
    "abs add_months array array_contains array_distinct array_join array_sort arrays_zip cast ceil coalesce concat concat_ws crc32 date_add "
    "date_format date_sub datediff day exists filter flatten floor from_utc_timestamp get greatest if ifnull initcap least left "
    "length lower lpad ltrim map_keys map_values md5 month named_struct nullif nvl regexp_extract regexp_replace replace reverse right round "
    "rpad rtrim sha1 sha2 size slice sort_array split substring to_date to_json to_timestamp transform translate trim "
    "try_element_at upper year".split()
)
WORDS = frozenset("case when then else end and or not in is null true false like rlike between as distinct from".split())
TYPES = frozenset("string int integer bigint smallint tinyint double float decimal date timestamp boolean".split())


@dataclass(frozen=True)
class Expression:
    """An expression whose paths have been replaced. `paths`: column of the engine → XDM path."""

    text: str
    paths: dict[str, str]


def parse(text: str, where: str, roots: Collection[str], alias: Callable[[str], str]) -> Expression:
    """Check an expression and take its paths out. `roots` are the columns that a path may begin with; `alias` names a
    path's column. Raises ConfigError with the name of what is not allowed.
    """
    from sqlglot.dialects.spark import Spark  # noqa: PLC0415  dialects load slowly

    try:
        parse_one(text, read="spark")
        tokens = Spark().tokenize(text)
    except SqlglotError as exc:
        raise _refused(where, text, str(exc).splitlines()[0][:200]) from exc
    lambdas = _lambda_variables(tokens)
    paths: dict[str, str] = {}
    out, at, position = "", 0, 0
    while position < len(tokens):
        token = tokens[position]
        if not _is_word(token):
            position += 1
            continue
        following = tokens[position + 1] if position + 1 < len(tokens) else None
        word = token.text
        if following is not None and following.token_type == TokenType.L_PAREN and word not in roots:
            if word.lower() not in FUNCTIONS | WORDS | TYPES:
                raise _refused(where, text, f"the function {word}", nearest(word.lower(), FUNCTIONS))
            position += 1
            continue
        end = _path_end(tokens, position)
        if word in lambdas or (word not in roots and word.lower() in WORDS | TYPES):
            position = end if word in lambdas else position + 1
            continue
        if word not in roots:
            raise _refused(where, text, f"'{word}', which the source has not", nearest(word, roots))
        path = text[token.start : tokens[end - 1].end + 1].replace("`", "")
        name = alias(path)
        paths[name] = path
        out += text[at : token.start] + name
        at, position = tokens[end - 1].end + 1, end
    return Expression(out + text[at:], paths)


def _refused(where: str, text: str, found: str, fix: str | None = None) -> ConfigError:
    return ConfigError("An expression cannot be used", where=f"{where}: {text}", found=found, fix=fix)


def _is_word(token: Token) -> bool:
    return token.token_type != TokenType.STRING and (token.text[:1].isalpha() or token.text[:1] == "_")


def _lambda_variables(tokens: list[Token]) -> set[str]:
    """`x -> …` and `(x, i) -> …`."""
    names: set[str] = set()
    for position, token in enumerate(tokens):
        if token.token_type != TokenType.ARROW or position == 0:
            continue
        before = position - 1
        if tokens[before].token_type != TokenType.R_PAREN:
            names.add(tokens[before].text)
            continue
        while before > 0 and tokens[before].token_type != TokenType.L_PAREN:
            before -= 1
            if _is_word(tokens[before]):
                names.add(tokens[before].text)
    return names


def _path_end(tokens: list[Token], position: int) -> int:
    """The place after a path: names after dots, and indices or keys in brackets."""
    end = position + 1
    while end < len(tokens):
        kinds = [token.token_type for token in tokens[end : end + 3]]
        if kinds[:1] == [TokenType.DOT] and len(kinds) > 1 and _is_word(tokens[end + 1]):
            end += 2
        elif kinds[0] == TokenType.L_BRACKET and kinds[1:] in (
            [TokenType.NUMBER, TokenType.R_BRACKET],
            [TokenType.STRING, TokenType.R_BRACKET],
        ):
            end += 3
        else:
            break
    return end
