"""Expressions of a mapping: Spark SQL over XDM paths, with a checked list of functions.

A path inside an expression is read as the paths of columns are (null where a profile has less), so it is taken out and
computed first; the engine sees the expression over plain columns. What is not on the lists is refused before any work:
aggregates and windows would change the grain of rows, and clocks, random numbers and the like the bytes from run to run.
What engines read differently is rewritten, or refused with an advice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import pyarrow as pa
from sqlglot import parse_one
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from courier import alike
from courier.config.mapping import DATE_PATTERN
from courier.errors import ConfigError, nearest
from courier.patterns import portable

#: Functions that both engines compute alike.
FUNCTIONS = frozenset(
    "abs add_months array array_distinct array_join array_sort cast ceil coalesce concat concat_ws crc32 date_add "
    "date_format date_sub datediff day exists filter flatten floor from_utc_timestamp get greatest if ifnull least left "
    "length lower lpad ltrim map_keys map_values md5 month nullif nvl regexp_extract regexp_replace replace reverse right "
    "rpad rtrim sha1 sha2 size slice sort_array split substring to_timestamp transform translate trim "
    "try_cast try_element_at try_to_timestamp upper year".split()
)
#: A value that cannot be read is null: one bad value must not fail a run, nor show itself in an error.
RENAMED = {"cast": "try_cast", "to_timestamp": "try_to_timestamp"}
#: Functions on which engines differ, and what to write instead.
INSTEAD = {
    "array_contains": "exists(ARRAY, x -> x = VALUE)",
    "arrays_zip": "transform(ARRAY, (x, i) -> …)",
    "current_date": "a run has as_of and no clock",
    "current_timestamp": "a run has as_of and no clock",
    "element_at": "get(ARRAY, INDEX) or try_element_at(MAP, KEY)",
    "initcap": "the value as it is, or upper(left(…, 1))",
    "named_struct": "json: true on a column whose source is a struct",
    "now": "a run has as_of and no clock",
    "round": "format: '0.00' for the column, or cast(… as decimal(18,2))",
    "to_date": "cast(… as date), or cast(to_timestamp(…, 'dd.MM.yyyy') as date)",
    "to_json": "json: true on a column with a source",
}
WORDS = frozenset("case when then else end and or not in is null true false like rlike between as distinct from".split())
TYPES = frozenset("string int integer bigint smallint tinyint double float decimal date timestamp boolean".split())
#: Functions whose second argument is a pattern of dates, and those whose is a regular expression.
PATTERNS = ("date_format", "to_timestamp", "try_to_timestamp")
REGULAR = ("regexp_extract", "regexp_replace", "split")


def parse(
    text: str, where: str, roots: Collection[str], alias: Callable[[str], str], kind_of: Callable[[str], pa.DataType | None]
) -> tuple[str, pa.DataType | None]:
    """Check an expression and give it as engines compute it alike, with its paths replaced, and its type where it is known.

    `roots` are the columns that a path may begin with; `alias` names a path's column, and `kind_of` gives that one's type.
    Raises ConfigError with the name of what is not allowed.
    """
    from sqlglot.dialects.spark import Spark  # noqa: PLC0415  dialects load slowly

    try:
        parse_one(text, read="spark")
        tokens = Spark().tokenize(text)
    except SqlglotError as exc:
        raise _refused(where, text, str(exc).splitlines()[0][:200]) from exc
    plain = _Reader(text, where, tokens, roots, alias).read()
    return alike.rewritten(plain, FUNCTIONS, kind_of, lambda found, fix: _refused(where, text, found, fix))


def _refused(where: str, text: str, found: str, fix: str | None = None) -> ConfigError:
    return ConfigError("An expression cannot be used", where=f"{where}: {text}", found=found, fix=fix)


class _Reader:
    """Reads the tokens of one expression from left to right."""

    def __init__(self, text: str, where: str, tokens: list[Token], roots: Collection[str], alias: Callable[[str], str]) -> None:
        self._text, self._where, self._tokens, self._roots, self._alias = text, where, tokens, roots, alias
        self._lambdas = _lambda_variables(tokens)
        self._calls: list[list[object]] = []  # of each open parenthesis: its function, and how many commas there were
        self._out, self._at = "", 0

    def read(self) -> str:
        position = 0
        while position < len(self._tokens):
            position = self._word(position) if _is_word(self._tokens[position]) else self._sign(position)
        return self._out + self._text[self._at :]

    def _put(self, first: Token, last: Token, new: str) -> None:
        self._out += self._text[self._at : first.start] + new
        self._at = last.end + 1

    def _kind(self, position: int) -> TokenType | None:
        return self._tokens[position].token_type if 0 <= position < len(self._tokens) else None

    def _sign(self, position: int) -> int:
        token = self._tokens[position]
        match token.token_type:
            case TokenType.L_PAREN:
                before = self._tokens[position - 1] if position else None
                self._calls.append([before.text.lower() if before and _is_word(before) else "", 0])
            case TokenType.R_PAREN if self._calls:
                self._calls.pop()
            case TokenType.COMMA if self._calls:
                self._calls[-1][1] = int(str(self._calls[-1][1])) + 1
            case TokenType.L_BRACKET:
                raise _refused(
                    self._where, self._text, "an index that is not part of a path", "get(ARRAY, INDEX) or try_element_at(MAP, KEY)"
                )
            case TokenType.DCOLON:
                raise _refused(self._where, self._text, "::", "cast(… as …)")
            case TokenType.STRING:
                return self._literal(position)
            case TokenType.STAR if self._kind(position - 1) in (None, TokenType.DOT, TokenType.L_PAREN, TokenType.COMMA):
                raise _refused(self._where, self._text, "*")
            case kind if kind.name.endswith("_STRING"):
                raise _refused(self._where, self._text, "a text with a letter before it", "plain quotes, and \\\\ for a backslash")
            case _:
                pass
        return position + 1

    def _literal(self, position: int) -> int:
        """A text. Engines disagree about a doubled quote inside, and about regular expressions."""
        end, value = position + 1, self._tokens[position].text
        while self._kind(end) == TokenType.STRING and self._tokens[end].start == self._tokens[end - 1].end + 1:
            value += self._text[self._tokens[end].start] + self._tokens[end].text
            end += 1
        function, commas = self._calls[-1] if self._calls else ("", 0)
        self._check_literal(str(function), int(str(commas)), value)
        if (function in REGULAR and commas == 1) or self._kind(position - 1) == TokenType.RLIKE:
            pattern = portable(value, self._where)
        elif end == position + 1:
            return end
        else:
            pattern = value
        quoted = pattern.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        self._put(self._tokens[position], self._tokens[end - 1], f"'{quoted}'")
        return end

    def _check_literal(self, function: str, place: int, value: str) -> None:
        """Refuse arguments that engines read differently."""
        if function in PATTERNS and place == 1 and not DATE_PATTERN.fullmatch(value):
            raise _refused(self._where, self._text, f"the pattern '{value}'", "yyyy yy MM dd HH mm ss SSS XXX and text in single quotes")
        if function == "split" and place == 1 and not value:
            raise _refused(self._where, self._text, "split by nothing")
        if function == "regexp_replace" and place == 2 and "\\" in value:
            raise _refused(self._where, self._text, "a backslash in what is put in", "$1 for a group")

    def _word(self, position: int) -> int:
        token, word = self._tokens[position], self._tokens[position].text
        before = self._kind(position - 1)
        if self._kind(position + 1) == TokenType.L_PAREN:
            self._check_function(word.lower())
            if word.lower() in RENAMED:
                self._put(token, token, RENAMED[word.lower()])
            return position + 1
        if before == TokenType.DOT or (before == TokenType.ALIAS and word.lower() in TYPES):
            return position + 1
        if word in self._lambdas or (word not in self._roots and word.lower() in WORDS | TYPES):
            return position + 1
        if word not in self._roots:
            instead = INSTEAD.get(word.lower())
            raise _refused(self._where, self._text, f"'{word}', which the source has not", instead or nearest(word, self._roots))
        end = _path_end(self._tokens, position)
        path = "".join(self._text[part.start : part.end + 1] for part in self._tokens[position:end]).replace("`", "")
        self._put(token, self._tokens[end - 1], self._alias(path))
        return end

    def _check_function(self, word: str) -> None:
        if word in TYPES - {"decimal"}:
            raise _refused(self._where, self._text, f"the function {word}", f"cast(… as {word})")
        if word not in FUNCTIONS | WORDS | TYPES:
            raise _refused(self._where, self._text, f"the function {word}", INSTEAD.get(word) or nearest(word, FUNCTIONS))


def _is_word(token: Token) -> bool:
    return not token.token_type.name.endswith("STRING") and (token.text[:1].isalpha() or token.text[:1] == "_")


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
