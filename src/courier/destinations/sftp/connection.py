"""The contract of base.py over one SFTP session."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from courier.config import SftpConfig
from courier.destinations.base import ASIDE, Keep, Staged, assert_size, conflict, folder_in_the_way, hidden_name, known_by
from courier.destinations.sftp.errors import FAILURE, FILE_EXISTS, NO_SUCH_FILE, PERMISSION_DENIED, UNSUPPORTED, Refusal, translated
from courier.destinations.sftp.folder import RemoteFolder
from courier.destinations.sftp.proof import Proof, Proofs, holds, proves
from courier.destinations.sftp.protocol import Session
from courier.destinations.sftp.transfer import Upload
from courier.destinations.sftp.wire import CREATE, FOR_WRITING, POSIX_RENAME, TRUNCATE
from courier.errors import TerminalError, TransientError

#: `keep` is told about this often: a file of 1 GB is written down 128 times.
KEEP_BYTES = 8 * 1024 * 1024
RENAME_ADVICE = "allow the user to rename in this folder; where that cannot be, set destination.publish=direct"
REMOVE_ADVICE = "allow the user to remove its files in this folder"
READ_ADVICE = "allow the user to read its files in this folder, or set destination.verify=size"


@dataclass
class Memory:
    """What all connections of one destination know. `stubborn`: files that the server opened again and then wrote nothing to.
    `untouched`: those with `publish=direct` that were begun and not opened yet: what has their names is still the older file.
    """

    attempt: str = ""
    proofs: Proofs = field(default_factory=dict)
    stubborn: set[str] = field(default_factory=set)
    untouched: set[str] = field(default_factory=set)


class SftpConnection(RemoteFolder):
    """`refuses_existing`: the server is known never to replace a file by a plain rename, so it need not be asked before."""

    def __init__(self, session: Session, config: SftpConfig, run_id: str, memory: Memory, *, refuses_existing: bool) -> None:
        super().__init__(session, config, memory.proofs if config.verify == "sha256" else None)
        self._run_id, self._refuses_existing = run_id, refuses_existing
        self._direct, self._replacing = config.direct, config.on_conflict == "replace"
        self._stubborn, self._untouched, self._attempt = memory.stubborn, memory.untouched, memory.attempt

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._session.abandon()

    # A file that nobody sees

    def begin(self, name: str) -> Staged:
        """With `publish=direct` this is when a file gets its name, long after the first look for others of that name."""
        if self._direct:
            self._assert_free(name)
            self._untouched.add(self._unseen(name))
        return Staged(name, 0, {"path": self._unseen(name)})

    def _assert_free(self, name: str) -> None:
        with translated(self._where, f"'{name}' cannot be looked at"):
            if self._is_folder(self._path(name)):
                raise folder_in_the_way(name, self._where)
            if not self._replacing and self._is_taken(self._path(name)):
                raise conflict(name, self._where)

    def _unseen(self, name: str) -> str:
        return self._path(name if self._direct else hidden_name(name, self._run_id, self._attempt))

    def resumable(self, begun: Staged) -> int:
        """By trying: some servers open no file again, or only to make it empty."""
        path = begun.token["path"]
        if not begun.size or path in self._stubborn or (self._proofs is not None and not proves(self._proofs.get(path, ()), begun.size)):
            return 0
        with translated(self._where, f"'{begun.name}' cannot be looked at"):
            if (self._size(path) or 0) < begun.size:
                return 0
            try:
                self._session.close_file(self._session.open(path, FOR_WRITING))
            except Refusal:
                return 0
        return begun.size

    def send(self, begun: Staged, chunks: Iterable[bytes], keep: Keep) -> Staged:
        """A file's own errors leave the connection usable; one that is lost or stalled is hung up."""
        path, kept = begun.token["path"], begun.size
        proof = None if self._proofs is None else Proof(self._proofs, path, begun.size)

        def tell(acknowledged: int, least: int = KEEP_BYTES) -> None:
            nonlocal kept
            if acknowledged - kept >= least:
                size = proof.note(acknowledged) if proof else acknowledged
                if size > kept:
                    kept = size
                    keep(Staged(begun.name, size, begun.token))

        with translated(self._where, f"'{begun.name}' cannot be written"):
            self._untouched.discard(path)  # it may be opened, and the answer lost
            try:
                handle = self._session.open(path, FOR_WRITING if begun.size else FOR_WRITING | CREATE | TRUNCATE)
            except Refusal:
                if self._direct and not begun.size:
                    self._untouched.add(path)
                raise
            upload = Upload(self._session, handle, begun.size, tell)
            try:
                upload.write(proof.watched(chunks) if proof else chunks)
                found = upload.finish(path)
            except BaseException as error:
                upload.give_up()
                tell(upload.acknowledged, least=1)
                if begun.size and isinstance(error, Refusal) and upload.acknowledged == begun.size:
                    self._stubborn.add(path)
                    raise TransientError(
                        f"'{begun.name}' cannot be continued on this server, and starts over", where=self._where
                    ) from error
                raise
            staged = Staged(begun.name, upload.sent, begun.token)
            self._verify(staged, found, proof)
            return staged

    def _verify(self, staged: Staged, found: int | None, proof: Proof | None) -> None:
        path = staged.token["path"]
        if found is None and proof is None:
            found = self._asked_again(path)
        if found is not None:
            assert_size(staged.name, self._where, sent=staged.size, found=found)
        if proof is None:
            return
        with translated(self._where, f"'{staged.name}' cannot be read back", fix=READ_ADVICE):
            if not holds(self._read(path), proof.whole()):
                raise TerminalError(f"'{staged.name}' did not arrive whole", where=self._where, found="another SHA-256 than what was sent")

    def is_staged(self, staged: Staged) -> bool:
        with translated(self._where, f"'{staged.name}' cannot be looked at"):
            return self._size(staged.token["path"]) == staged.size

    def remains(self, staged: Staged) -> bool:
        with translated(self._where, f"'{staged.name}' cannot be looked at"):
            return self._exists(staged.token["path"])

    def discard(self, staged: Staged) -> None:
        path, final = staged.token["path"], self._path(staged.name)
        if path in self._untouched:
            return
        with translated(self._where, "A temporary file cannot be removed", fix=REMOVE_ADVICE):
            if path.endswith(ASIDE) and not self._exists(final):
                self._session.rename(path, final)
            else:
                self._remove(path)

    def unfinished(self, names: Collection[str], since: datetime) -> list[Staged]:
        """By their hidden names, which hold the run's id; `since` is not needed. With `publish=direct` nothing tells what is ours."""
        if self._direct or not names:
            return []
        hidden = {hidden_name(name, self._run_id): name for name in names}
        with translated(self._where, "The remote folder cannot be looked at"):
            there = self._session.listing(self._folder)
        own = (each for each in there.items() if each[0].startswith("."))
        ours = ((unseen, size, known_by(unseen.removesuffix(ASIDE), hidden)) for unseen, size in own)
        return [Staged(name, size or 0, {"path": self._path(unseen)}) for unseen, size, name in ours if name is not None]

    # A file that everybody sees

    def publish(self, staged: Staged, *, replace: bool) -> bool:
        if self._direct:  # it has had its name from the start
            return True
        unseen, final = staged.token["path"], self._path(staged.name)
        with translated(self._where, f"'{staged.name}' cannot be renamed to its final name", fix=RENAME_ADVICE):
            if replace:
                return self._replace(staged, unseen, final)
            if not self._refuses_existing and self._exists(final):
                raise conflict(staged.name, self._where)
            try:
                self._session.rename(unseen, final)
            except Refusal as refusal:
                if self._was_done(staged, refusal):
                    return True
                if self._is_taken(final):
                    raise conflict(staged.name, self._where) from refusal
                if refusal.code == NO_SUCH_FILE or POSIX_RENAME not in self._session.extensions:
                    raise
                self._session.posix_rename(unseen, final)
        return True

    def publish_together(self, staged: Sequence[Staged], *, replace: bool) -> dict[str, bool] | None:
        """All requests under way at once, many in a packet; with `replace=False` only where a plain rename is known to replace nothing."""
        if self._direct or not (POSIX_RENAME in self._session.extensions if replace else self._refuses_existing):
            return None
        known: dict[str, bool] = {}
        with translated(self._where, "Files cannot be renamed to their final names"):
            asked = [
                (
                    each,
                    self._session.ask_rename(each.token["path"], self._path(each.name), replace=replace, later=each is not staged[-1]),
                )
                for each in staged
            ]
            for each, number in asked:
                try:
                    self._session.done(number)
                    known[each.name] = True
                except Refusal as refusal:
                    known[each.name] = self._was_done(each, refusal)
        return known

    def _was_done(self, staged: Staged, refusal: Refusal) -> bool:
        """Some servers rename a file, and then fail at something else that they do to it, such as changing its rights."""
        return (
            refusal.code != NO_SUCH_FILE and not self._exists(staged.token["path"]) and self._size(self._path(staged.name)) == staged.size
        )

    def _replace(self, staged: Staged, unseen: str, final: str) -> bool:
        """Whether it went in one step. Elsewhere the old file is moved aside first, so that no refusal can lose it."""
        if POSIX_RENAME in self._session.extensions:
            with _refused(FAILURE, UNSUPPORTED, PERMISSION_DENIED) as refused:
                self._session.posix_rename(unseen, final)
            if not refused or self._was_done(staged, refused[0]):
                return True
        with _refused(FAILURE, FILE_EXISTS, PERMISSION_DENIED) as refused:
            self._session.rename(unseen, final)
        if not refused or self._was_done(staged, refused[0]):
            return True
        if not self._exists(final) or not self._exists(unseen):
            raise refused[0]
        if self._is_folder(final):
            raise folder_in_the_way(staged.name, self._where)
        aside = f"{unseen}{ASIDE}"
        self._remove(aside)
        self._session.rename(final, aside)
        try:
            self._session.rename(unseen, final)
        except Refusal:
            self._session.rename(aside, final)
            raise
        try:
            self._remove(aside)
        except Refusal:  # it would stay, and with it what tells that this delivery is not settled
            self._session.rename(final, unseen)
            self._session.rename(aside, final)
            raise
        return False

    def remove(self, name: str) -> None:
        with translated(self._where, f"'{name}' cannot be removed", fix=REMOVE_ADVICE):
            self._remove(self._path(name))


@contextlib.contextmanager
def _refused(*codes: int) -> Iterator[list[Refusal]]:
    """Go on after a refusal of these kinds, which is then in the list."""
    refusals: list[Refusal] = []
    try:
        yield refusals
    except Refusal as refusal:
        if refusal.code not in codes:
            raise
        refusals.append(refusal)
