"""One planned file: a slice of the snapshot → chunks of bytes."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import polars as pl

from courier.config import FileConfig, RunConfig
from courier.errors import ConfigError, CourierError
from courier.mapping import Mapping
from courier.plan import PlannedFile
from courier.prefetch import prefetched
from courier.render.compression import compressed
from courier.render.dialect import Dialect
from courier.render.encryption import encrypted
from courier.render.keys import Keys
from courier.render.policies import Notes, Policies
from courier.rows.counts import Slice
from courier.rows.outcomes import EXPORTED
from courier.rows.snapshot import AudienceSnapshot, LastRead

BATCHES_AT_ONCE = 3


class Rendering:
    """The bytes of one file as they are sent, once: text, compressed and encrypted as configured.

    They are made in threads, a few chunks ahead of whoever takes them. `close` ends these; so does taking all, or an error.
    `plain_bytes` and `plain_sha256` are of the text before compression and encryption, and `notes` says in how many rows of
    which column what was changed or found (column → what → rows). They are right when all is taken.
    """

    def __init__(
        self,
        snapshot: AudienceSnapshot,
        file: PlannedFile,
        mapping: Mapping,
        config: RunConfig,
        keys: Keys | None,
        shared: LastRead | None = None,
    ) -> None:
        if config.file.encrypted and keys is None:
            raise CourierError("A file that is to be encrypted has no keys")  # it must never go out as plain text
        self.plain_bytes = 0
        self.plain_sha256 = ""
        self.notes: dict[str, dict[str, int]] = {}
        text = self._measured(render(snapshot, file.slice, mapping, config.file, self._note, shared))
        member = config.file.member_name(file.own_name)
        final = compressed(text, config.file.compression, config.file.level, member, config.as_of)
        self._chunks = prefetched(final if keys is None else encrypted(final, keys))

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._chunks.close()

    def _note(self, notes: Notes) -> None:
        for (column, what), rows in notes.items():
            of_column = self.notes.setdefault(column, {})
            of_column[what] = of_column.get(what, 0) + rows

    def _measured(self, text: Generator[bytes]) -> Generator[bytes]:
        digest = hashlib.sha256()
        with closing(text):
            for chunk in text:
                digest.update(chunk)
                self.plain_bytes += len(chunk)
                yield chunk
        self.plain_sha256 = digest.hexdigest()


def render(
    snapshot: AudienceSnapshot,
    cut: Slice,
    mapping: Mapping,
    config: FileConfig,
    note: Callable[[Notes], None] = lambda _: None,
    shared: LastRead | None = None,
) -> Generator[bytes]:
    """Yield the text of one file. Raises CourierError when the snapshot holds other rows than were planned, and HeldError
    for a value that cannot be written. `note` is called for each batch, before its text is yielded. `shared` is that of all
    files of a run.

    Batches become text in threads beside the reading of the next ones, and are yielded in their order. Peak memory: one
    row group of the snapshot and `BATCHES_AT_ONCE` batches with their text, whatever the size of the file.
    """
    dialect = Dialect(config, mapping.header)
    yield dialect.opening()
    running: deque[Future[tuple[bytes, Notes]]] = deque()

    def next_text() -> bytes:
        text, notes = running.popleft().result()
        note(notes)
        return text

    with ThreadPoolExecutor(BATCHES_AT_ONCE) as pool:
        for rows in _exported(snapshot, cut, mapping, shared):
            running.append(pool.submit(dialect.lines, rows))
            if len(running) == BATCHES_AT_ONCE:
                yield next_text()
        while running:
            yield next_text()


def _exported(snapshot: AudienceSnapshot, cut: Slice, mapping: Mapping, shared: LastRead | None) -> Iterator[pl.DataFrame]:
    """The rows of one file, batch by batch."""
    names = [column.engine_name for column in mapping.columns]
    missing = cut.rows
    wanted = pl.col("outcome") == EXPORTED
    marks = ["outcome"]
    if cut.change is not None:
        wanted &= pl.col("change") == cut.change
        marks.append("change")
    for read in snapshot.frames([*names, *marks], cut.first_row, cut.rows, shared) if missing else ():
        rows = read.filter(wanted).select(names).head(missing)
        missing -= len(rows)
        if len(rows):
            yield rows
        if not missing:
            return
    if missing:
        raise CourierError("The snapshot has fewer rows than were planned", found=f"{missing} rows are missing")


def assert_writable(config: FileConfig, mapping: Mapping) -> None:
    """Refuse a file that could not be read back: one column that shows null or empty as nothing makes blank lines, which
    readers skip. And a header that cannot be written as it is.
    """
    if config.header:
        Policies(config).assert_header(mapping.header)
    if len(mapping.columns) > 1:
        return
    only = mapping.columns[0]
    emptied = config.on_unencodable == "transliterate" or (config.newlines == "replace" and not config.newline_text)
    for what, text, possible in (
        ("null", config.null_text, only.default is None and not only.mandatory),
        ("empty", config.empty_text, only.may_be_empty and (emptied or not only.mandatory)),
    ):
        if possible and text == "":
            raise ConfigError(
                f"A file of one column cannot show {what} as an empty line",
                where=f"file.{what}_text",
                fix=f"set file.{what}_text, or make the column mandatory",
            )
