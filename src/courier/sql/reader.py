"""Reads the tokens of one expression: refuses what is not on the lists, and takes the paths out."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sqlglot import Token, TokenType

from courier.config.mapping import DATE_PATTERN
from courier.errors import nearest
from courier.patterns import portable
from courier.sql.functions import FUNCTIONS, INSTEAD, PATTERNS, REGULAR, RENAMED
from courier.sql.parts import RefusedError

WORDS = frozenset("case when then else end and or not in is null true false like rlike between as distinct from".split())
#: Names of types that may stand in an expression; casts to those that `parts` does not know are refused later, with an advice.
TYPE_WORDS = frozenset("string int integer bigint smallint tinyint double float decimal date timestamp boolean".split())
#: Stands before the name of a function, so that sqlglot knows none of them and leaves each as it is.
UNKNOWN = "f_"


class Reader:
    """Goes from left to right. `literals`: each text, as it is to be written and as it is, by the number that stands in its place."""

    def __init__(self, text: str, where: str, tokens: list[Token], roots: Collection[str], alias: Callable[[str], str]) -> None:
        self.literals: list[tuple[str, str]] = []
        self._text, self._where, self._tokens, self._roots, self._alias = text, where, tokens, roots, alias
        self._lambdas = _lambda_variables(tokens)
        self._calls: list[tuple[str, int]] = []  # of each open parenthesis: its function, and how many commas there were
        self._out: list[Token] = []

    def tokens(self) -> list[Token]:
        """With columns in place of paths, and with numbers in place of texts: engines shall read these as they are written."""
        position = 0
        while position < len(self._tokens):
            position = self._word(position) if _is_word(self._tokens[position]) else self._sign(position)
        return self._out

    def _put(self, position: int, kind: TokenType, new: str) -> None:
        """Where the old one stands, so that sqlglot's errors show the expression as it was written."""
        old = self._tokens[position]
        self._out.append(Token(kind, new, old.line, old.col, old.start, old.end))

    def _kind(self, position: int) -> TokenType | None:
        return self._tokens[position].token_type if 0 <= position < len(self._tokens) else None

    def _sign(self, position: int) -> int:
        token = self._tokens[position]
        match token.token_type:
            case TokenType.L_PAREN:
                before = self._tokens[position - 1] if position else None
                self._calls.append((before.text.lower() if before and _is_word(before) else "", 0))
            case TokenType.R_PAREN if self._calls:
                self._calls.pop()
            case TokenType.COMMA if self._calls:
                function, commas = self._calls[-1]
                self._calls[-1] = (function, commas + 1)
            case TokenType.L_BRACKET:
                raise RefusedError("an index that is not part of a path", "get(ARRAY, INDEX) or try_element_at(MAP, KEY)")
            case TokenType.DCOLON:
                raise RefusedError("::", "cast(… as …)")
            case TokenType.STRING:
                return self._literal(position)
            case TokenType.STAR if self._kind(position - 1) in (None, TokenType.DOT, TokenType.L_PAREN, TokenType.COMMA):
                raise RefusedError("*")
            case kind if kind.name.endswith("_STRING"):
                raise RefusedError("a text with a letter before it", "plain quotes, and \\\\ for a backslash")
            case _:
                pass
        self._out.append(token)
        return position + 1

    def _literal(self, position: int) -> int:
        """A text. Engines disagree about a doubled quote inside, and about regular expressions."""
        end, token = position + 1, self._tokens[position]
        value, written = token.text, self._text[token.start : token.end + 1]
        while self._kind(end) == TokenType.STRING and self._tokens[end].start == self._tokens[end - 1].end + 1:
            value += self._text[self._tokens[end].start] + self._tokens[end].text
            end += 1
        function, commas = self._calls[-1] if self._calls else ("", 0)
        _check_literal(function, commas, value)
        is_regular = (function in REGULAR and commas == 1) or self._kind(position - 1) == TokenType.RLIKE
        if is_regular:
            value = portable(value, self._where)
        if is_regular or end > position + 1:
            written = quoted(value)
        self._put(position, TokenType.STRING, str(len(self.literals)))
        self.literals.append((written, value))
        return end

    def _word(self, position: int) -> int:
        token, word = self._tokens[position], self._tokens[position].text
        before = self._kind(position - 1)
        if self._kind(position + 1) == TokenType.L_PAREN:
            self._function(position)
        elif (
            before == TokenType.DOT
            or (before == TokenType.ALIAS and word.lower() in TYPE_WORDS)
            or word in self._lambdas
            or (word not in self._roots and word.lower() in WORDS | TYPE_WORDS)
        ):
            self._out.append(token)
        elif word in self._roots:
            return self._path(position)
        elif before == TokenType.ALIAS:  # a type, or the name of a column, which the mapping gives
            raise RefusedError(f"as {word}", f"after as, a type: {', '.join(sorted(TYPE_WORDS))}")
        else:
            raise RefusedError(f"'{word}', which the source has not", INSTEAD.get(word.lower()) or nearest(word, self._roots))
        return position + 1

    def _function(self, position: int) -> None:
        word = self._tokens[position].text.lower()
        if word in TYPE_WORDS - {"decimal"}:
            raise RefusedError(f"the function {word}", f"cast(… as {word})")
        if word not in FUNCTIONS.keys() | WORDS | TYPE_WORDS:
            raise RefusedError(f"the function {word}", INSTEAD.get(word) or nearest(word, FUNCTIONS))
        if word not in FUNCTIONS:
            self._out.append(self._tokens[position])
            return
        name = RENAMED.get(word, word)
        self._put(position, TokenType.VAR, name if name == "try_cast" else UNKNOWN + name)

    def _path(self, position: int) -> int:
        end = _path_end(self._tokens, position)
        path = "".join(self._text[part.start : part.end + 1] for part in self._tokens[position:end]).replace("`", "")
        for place, name in enumerate(self._alias(path).split(".")):
            if place:
                self._put(position, TokenType.DOT, ".")
            self._put(position, TokenType.VAR, name)
        return end


def quoted(text: str) -> str:
    """A text as both engines read it."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def _check_literal(function: str, place: int, value: str) -> None:
    """Refuse arguments that engines read differently."""
    if function in PATTERNS and place == 1 and not DATE_PATTERN.fullmatch(value):
        raise RefusedError(f"the pattern '{value}'", "yyyy yy MM dd HH mm ss SSS XXX and text in single quotes")
    if function == "split" and place == 1 and not value:
        raise RefusedError("split by nothing")
    if function == "regexp_replace" and place == 2 and "\\" in value:
        raise RefusedError("a backslash in what is put in", "$1 for a group")


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
