"""Take each protection of a delivery away, one at a time, and see a test fail: what no test misses is not protected.

    python tests/mutations.py [WORD …] [--list]

Works on a copy of this tree in a temporary folder. For each protection: the tests named beside it pass as the code is,
and at least one fails (or does not end in time) once the protection is removed. WORDs choose protections by their text.
A protection that nobody misses, and a change that does not apply any more, end this with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("src", "tests", "conf", "jobs", "pyproject.toml")
#: A test that waits for ever is a test that fails.
PATIENCE_SECONDS = 60
FAULTS, DELIVERY, RECOVERY = "integration/test_faults.py", "integration/test_delivery.py", "integration/test_recovery.py"
BACK, RESUMING = "integration/test_taking_back.py", "integration/test_resuming.py"
WORKERS = "integration/test_workers.py"
HOLDING, REMEMBERING, STARTS = (f"e2e/test_{kind}.py" for kind in ("holding", "remembering", "starts"))
LIKENESS, STATE = "configuration/test_likeness.py", "integration/test_state.py"
SFTP, S3, TRUST, LOCAL, LOCK = (
    f"{kind}.py"
    for kind in ("integration/test_sftp", "integration/test_s3", "integration/test_sftp_trust", "integration/test_local", "unit/test_lock")
)


@dataclass(frozen=True)
class Mutation:
    """`test` is a file and what pytest's `-k` is to choose in it. `old` becomes `new` wherever it is in `file`."""

    fault: str
    protection: str
    file: str
    old: str
    new: str
    test: tuple[str, str]


MUTATIONS = [
    Mutation(
        "a shared target folder",
        "a link in the place of a hidden file is not followed",
        "destinations/local.py",
        "flags | os.O_NOFOLLOW",
        "flags",
        (LOCAL, "not_written_through"),
    ),
    Mutation(
        "others on the machine",
        "no secret is on Java's command line",
        "engine/spark.py",
        " if not SECRET_SETTING.search(name)",
        "",
        ("unit/test_engine_config.py", "command_line_that_starts_java"),
    ),
    Mutation(
        "others on the machine",
        "the process that encrypts inherits no secret",
        "render/encryption.py",
        " if NEEDED.match(name)",
        "",
        ("unit/test_encryption.py", "nothing_secret_is_on"),
    ),
    Mutation(
        "another spelling of an activation",
        "it has one lock and one memory",
        "compose/loading.py",
        "    written.check_name(name)\n",
        "",
        ("configuration/test_config.py", "has_one_name"),
    ),
    Mutation(
        "connection dropped mid-file",
        "a lost connection is tried again",
        "destinations/sftp/errors.py",
        "        raise TransientError(\n            what, where=where, found=_network(exc)",
        "        raise TerminalError(\n            what, where=where, found=_network(exc)",
        (FAULTS, "drops_in_the_middle"),
    ),
    Mutation(
        "connection dropped mid-file",
        "an upload goes on where it ended",
        "delivery/staging.py",
        "if file.repeatable and before.size and",
        "if False and",
        (FAULTS, "drops_in_the_middle"),
    ),
    Mutation(
        "connection dropped mid-file",
        "what has arrived counts only without a gap",
        "destinations/sftp/transfer.py",
        "            self._refused = True\n",
        "",
        (SFTP, "holds_no_gap"),
    ),
    Mutation(
        "server restarts",
        "a dead connection is thrown away",
        "destinations/connections.py",
        "            self._forget(connection, error)\n            raise\n",
        "            with self._changed:\n                self._idle.append(connection)\n                self._changed.notify()\n            raise\n",
        (FAULTS, "restarted_is_waited_for"),
    ),
    Mutation(
        "server restarts",
        "so are those that lie idle",
        "destinations/connections.py",
        "                dead += self._idle\n                self._idle.clear()\n",
        "",
        (FAULTS, "lay_idle"),
    ),
    Mutation(
        "server restarts",
        "how many it bears is learned anew",
        "destinations/connections.py",
        "                self._cap = self._config.connections\n",
        "",
        (FAULTS, "not_taken_for"),
    ),
    Mutation(
        "slow server, time-outs",
        "SFTP: a limit on each answer",
        "destinations/sftp/protocol.py",
        "channel.settimeout(timeout_seconds)",
        "channel.settimeout(30)",
        (FAULTS, "stops_answering"),
    ),
    Mutation(
        "a server that answers oddly",
        "SFTP: a listing ends with an answer without names",
        "destinations/sftp/protocol.py",
        "if not count:",
        "if False:",
        (SFTP, "no_names"),
    ),
    Mutation(
        "a server that answers oddly",
        "S3: a refusal in an answer that began as 200 does not pass",
        "aws_errors.py",
        " or code in LATE_REFUSALS",
        "",
        (S3, "no_passing_error"),
    ),
    Mutation(
        "a server that answers oddly",
        "S3: an empty answer to a completion is not believed",
        "destinations/s3/connection.py",
        'if "ETag" not in answer:',
        "if False:",
        (S3, "says_nothing"),
    ),
    Mutation(
        "the line drops",
        "a value of the state store that is cut is read again",
        "state/s3.py",
        "                    if attempts == ATTEMPTS:\n                        raise\n",
        "                    raise\n",
        (STATE, "cut_on_its_way"),
    ),
    Mutation(
        "keys",
        "a secret key that is only named is not signed with",
        "render/keys.py",
        "packets.append(shown if shown and is_stub else packet)",
        "packets.append(packet)",
        ("unit/test_encryption.py", "kept_offline"),
    ),
    Mutation(
        "a lost file",
        "a refusal that the state store did not take is written down later",
        "delivery/delivery.py",
        "            self._write_refusals()\n",
        "",
        (BACK, "did_not_take_at_once"),
    ),
    Mutation(
        "slow server, time-outs",
        "SFTP: a limit on a write that nobody takes",
        "destinations/sftp/packets.py",
        "if self.closed or time.monotonic() > give_up:",
        "if self.closed:",
        (SFTP, "takes_no_bytes"),
    ),
    Mutation(
        "slow server, time-outs",
        "SFTP: a limit on the greeting",
        "destinations/sftp/connect.py",
        "transport.banner_timeout = patience",
        "transport.banner_timeout = 3600",
        (TRUST, "says_nothing"),
    ),
    Mutation(
        "slow server, time-outs",
        "SFTP: a limit on opening the session",
        "destinations/sftp/connect.py",
        "with limited(config.operation_timeout_seconds, close):",
        "with contextlib.nullcontext():",
        (SFTP, "never_starts_the_session"),
    ),
    Mutation(
        "slow server, time-outs",
        "S3: a limit on each answer",
        "destinations/s3/client.py",
        "read_timeout=config.timeout_seconds,\n        retries",
        "read_timeout=60,\n        retries",
        (S3, "says_nothing or does_not_say"),
    ),
    Mutation(
        "disk full",
        "SFTP: a refused write is an error",
        "destinations/sftp/transfer.py",
        "        if refusal:\n            raise refusal\n",
        "",
        (SFTP, "refusal_of_the_last_byte"),
    ),
    Mutation(
        "disk full",
        "a failed delivery is undone",
        "delivery/delivery.py",
        "            left = undoing.undo()\n",
        "            left = []\n",
        (DELIVERY, "full_disk"),
    ),
    Mutation(
        "disk full",
        "SFTP: it is named",
        "destinations/sftp/errors.py",
        '    NO_SPACE: "its disk is full",\n',
        "",
        (FAULTS, "full_disk_or_quota"),
    ),
    Mutation(
        "disk full",
        "local: it is an error that names it",
        "destinations/local.py",
        'fix="free some space" if exc.errno in (errno.ENOSPC, errno.EDQUOT) else',
        'fix="" if False else',
        (DELIVERY, "full_disk_leaves"),
    ),
    Mutation(
        "quota",
        "it is named",
        "destinations/sftp/errors.py",
        '    QUOTA_EXCEEDED: "the quota is used up",\n',
        "",
        (FAULTS, "full_disk_or_quota"),
    ),
    Mutation(
        "quota",
        "it is not tried again",
        "destinations/sftp/errors.py",
        '    return TerminalError(what, where=where, found=f"the server answered',
        '    return TransientError(what, where=where, found=f"the server answered',
        (FAULTS, "full_disk_or_quota"),
    ),
    Mutation(
        "permission lost after the first file",
        "SFTP: it is terminal",
        "destinations/sftp/errors.py",
        'return TerminalError(what, where=where, found="permission denied"',
        'return TransientError(what, where=where, found="permission denied"',
        (FAULTS, "the_right_to"),
    ),
    Mutation(
        "permission lost after the first file",
        "what cannot be taken back is told",
        "delivery/delivery.py",
        'advice = f"Could not be taken back, and will be by the next run: {_some(left)}"',
        'advice = ""',
        (FAULTS, "the_right_to or local_folder"),
    ),
    Mutation(
        "permission lost after the first file",
        "the next start takes it back",
        "delivery/undoing.py",
        "                connection.remove(state.name)\n",
        "                pass\n",
        (FAULTS, "the_right_to or local_folder"),
    ),
    Mutation(
        "permission lost after the first file",
        "local: it is terminal",
        "destinations/local.py",
        "kind = TransientError if exc.errno in TRANSIENT else otherwise",
        "kind = TransientError",
        (FAULTS, "local_folder"),
    ),
    Mutation(
        "a network disk",
        "local: what fails when the file is visible is no refusal",
        "destinations/local.py",
        "with _translated(final, TransientError):",
        "with _translated(final):",
        (LOCAL, "fails_to_sync_once or hidden_name_that_cannot"),
    ),
    Mutation(
        "a network disk",
        "local: a folder that cannot be synced is no failure",
        "destinations/local.py",
        "                if exc.errno not in NO_SYNC:\n                    raise\n",
        "                raise\n",
        (LOCAL, "cannot_be_synced"),
    ),
    Mutation(
        "rename refused",
        "without posix-rename, a plain one",
        "destinations/sftp/connection.py",
        "with _refused(FAILURE, UNSUPPORTED, PERMISSION_DENIED) as refused:",
        "with _refused() as refused:",
        (SFTP, "refuses_posix_rename"),
    ),
    Mutation(
        "rename refused",
        "without a plain one, posix-rename",
        "destinations/sftp/connection.py",
        "if refusal.code == NO_SUCH_FILE or POSIX_RENAME not in self._session.extensions:",
        "if True:",
        (SFTP, "refuses_a_plain_rename"),
    ),
    Mutation(
        "rename refused",
        "without replacing, in two steps",
        "destinations/sftp/connection.py",
        "with _refused(FAILURE, FILE_EXISTS, PERMISSION_DENIED) as refused:",
        "with _refused() as refused:",
        (SFTP, "without_posix_rename"),
    ),
    Mutation(
        "rename refused",
        "the older file gets its name back",
        "destinations/sftp/connection.py",
        "            self._session.rename(aside, final)\n            raise\n",
        "            raise\n",
        (SFTP, "its_name_back"),
    ),
    Mutation(
        "rename refused",
        "a server that replaces unasked is not let",
        "destinations/sftp/connection.py",
        "if not self._refuses_existing and self._exists(final):",
        "if False:",
        (SFTP, "replaces_unasked"),
    ),
    Mutation(
        "rename refused",
        "what was done all the same is done",
        "destinations/sftp/connection.py",
        "            refusal.code != NO_SUCH_FILE and not",
        "            False and not",
        (FAULTS, "refused_all_the_same"),
    ),
    Mutation(
        "published directly",
        "a file that has appeared since the first look is not written over",
        "destinations/sftp/connection.py",
        "if not self._replacing and self._is_taken(self._path(name)):",
        "if False:",
        (SFTP, "appeared_since"),
    ),
    Mutation(
        "rename refused",
        "two steps are told",
        "destinations/sftp/connection.py",
        "            raise\n        return False\n",
        "            raise\n        return True\n",
        (SFTP, "without_posix_rename"),
    ),
    Mutation(
        "the server moves the file away at once",
        "what is staged no more was published",
        "delivery/publishing.py",
        "            if asked and not connection.is_staged(staged):\n",
        "            if False:\n",
        (FAULTS, "renaming_that_is_done or whose_completion"),
    ),
    Mutation(
        "the server moves the file away at once",
        "it is marked as unconfirmed",
        "delivery/publishing.py",
        "        return state.staged is not None and found == state.staged.size\n",
        "        return True\n",
        (FAULTS, "renaming_that_is_done or whose_completion"),
    ),
    Mutation(
        "the server moves the file away at once",
        "the next start looks before it publishes",
        "delivery/publishing.py",
        "asked = (self._repeated and state.asked) or number in self._tried",
        "asked = number in self._tried",
        (RECOVERY, "between_two_publications or took_before"),
    ),
    Mutation(
        "the server moves the file away at once",
        "undoing does not take it for unsent",
        "delivery/undoing.py",
        "                if replacing or not there:",
        "                if replacing:",
        (RECOVERY, "what_the_platform_took"),
    ),
    Mutation(
        "the server lies about size",
        "SFTP: the size is compared",
        "destinations/sftp/connection.py",
        "assert_size(staged.name, self._where, sent=staged.size, found=found)",
        "pass",
        (FAULTS, "wrong_size"),
    ),
    Mutation(
        "the server lies about size",
        "S3: the sizes are compared",
        "destinations/s3/connection.py",
        "assert_size(upload.name, where, sent=upload.size, found=sum(size for _, size in found.values()))",
        "pass",
        (S3, "has_something_else"),
    ),
    Mutation(
        "the server lies about size",
        "S3: the parts are compared",
        "destinations/s3/connection.py",
        "if not self._holds(upload, found):",
        "if False:",
        (S3, "has_something_else"),
    ),
    Mutation(
        "a password that has expired",
        "it is given once, and never as the new one",
        "destinations/sftp/questions.py",
        "            raise WantsMoreError(WANTS_MORE)\n",
        "            left.extend([password] * len(questions))\n",
        (SFTP, "expired or another_secret"),
    ),
    Mutation(
        "the server lies about size",
        "sftp: it may have looked too early",
        "destinations/sftp/transfer.py",
        "        return self._looked_for(path)\n",
        "        return size\n",
        (SFTP, "looks_before"),
    ),
    Mutation(
        "the server lies about size",
        "local: the size is compared",
        "destinations/local.py",
        "assert_size(begun.name, str(self._folder), sent=sent, found=_size(path))",
        "pass",
        (FAULTS, "loses_its_end"),
    ),
    Mutation(
        "the server lies about size",
        "SFTP: read back, where asked for",
        "destinations/sftp/connection.py",
        "if not holds(self._read(path), proof.whole()):",
        "if False:",
        (SFTP, "reading_back"),
    ),
    Mutation(
        "too many connections",
        "the cap is lowered",
        "destinations/connections.py",
        "            if not bears_fewer or not self._open:\n",
        "            if True:\n",
        (FAULTS, "bears_fewer"),
    ),
    Mutation(
        "too many connections",
        "what lies idle is closed before a run is taken back",
        "delivery/delivery.py",
        "        self._context.connections.close()  # what lies idle there may be all that the server bears\n",
        "",
        (FAULTS, "lies_idle"),
    ),
    Mutation(
        "keys renewed in mid-transfer",
        "no sign of life is sent meanwhile",
        "destinations/sftp/packets.py",
        "lambda: None if self._agreeing else callback()",
        "callback",
        (SFTP, "sign_of_life and size"),
    ),
    Mutation(
        "too many connections",
        "a server that hangs up is tried again",
        "destinations/sftp/errors.py",
        "    except paramiko.SSHException as exc:\n        raise TransientError(",
        "    except paramiko.SSHException as exc:\n        raise TerminalError(",
        (DELIVERY, "dropped_connection_is_tried_again"),
    ),
    Mutation(
        "too many connections",
        "never more than configured",
        "destinations/connections.py",
        "self._idle or self._open < self._cap",
        "True",
        (FAULTS, "more_threads"),
    ),
    Mutation(
        "expired or changed host key",
        "it is checked before the login",
        "destinations/sftp/connect.py",
        "        self._trust.check(shown[-1], self.where, shown[:-1])\n",
        "",
        (FAULTS, "another_key"),
    ),
    Mutation(
        "expired or changed host key",
        "a changed key of known_hosts is refused",
        "destinations/sftp/trust.py",
        "elif key.get_base64() not in self._expected.get(key.get_name(), set()):",
        "elif False:",
        (TRUST, "changed"),
    ),
    Mutation(
        "expired or changed host key",
        "a revoked key is refused",
        "destinations/sftp/trust.py",
        "elif key.get_base64() in self._revoked:",
        "elif False:",
        (SFTP, "revoked"),
    ),
    Mutation(
        "S3 503 SlowDown, 500s",
        "delivery tries again",
        "aws_errors.py",
        '    return code in TRANSIENT_CODES or "Throttl" in code or (status >= 500 and not refused)',
        "    return False",
        (FAULTS, "fails_at_any_step and (slow or 500)"),
    ),
    Mutation(
        "S3 503 SlowDown, 500s",
        "one part is tried again, not the file",
        "destinations/s3/client.py",
        "for attempts in (1, PART_ATTEMPTS)",
        "for attempts in (1, 1)",
        (S3, "no_other"),
    ),
    Mutation(
        "S3 503 SlowDown, 500s",
        "an error in an answer that began well is an error",
        "aws_errors.py",
        "(status >= 500 and not refused)",
        "(status > 500 and not refused)",
        (S3, "began_well"),
    ),
    Mutation(
        "time-out with the request done",
        "S3: a lost answer is tried again",
        "destinations/s3/errors.py",
        'raise TransientError("S3 cannot be reached", where=where, found=_met(exc), fix="check',
        'raise TerminalError("S3 cannot be reached", where=where, found=_met(exc), fix="check',
        (FAULTS, "fails_at_any_step and (answer or silence)"),
    ),
    Mutation(
        "time-out with the request done",
        "look before publishing again",
        "delivery/publishing.py",
        "            asked_before, asked = asked, True\n",
        "            asked_before = asked\n",
        (FAULTS, "renaming_that_is_done or (fails_at_any_step and complete)"),
    ),
    Mutation(
        "time-out with the request done",
        "what is done late, after it was asked for again, is no conflict",
        "delivery/publishing.py",
        "                elif not connection.remains(staged) and connection.size(state.name) == staged.size:",
        "                elif False:",
        (FAULTS, "done_late"),
    ),
    Mutation(
        "time-out with the request done",
        "look before publishing again what was published together",
        "delivery/publishing.py",
        "asked = (self._repeated and state.asked) or number in self._tried",
        "asked = self._repeated and state.asked",
        (FAULTS, "many_renamings or one_of_many"),
    ),
    Mutation(
        "time-out with the request done",
        "many are not published together a second time",
        "delivery/publishing.py",
        "if self._tried.issuperset(states.values()):",
        "if False:",
        (FAULTS, "many_renamings"),
    ),
    Mutation(
        "time-out with the request done",
        "what was begun and not answered is discarded",
        "delivery/staging.py",
        "            self._context.unsure = True  # it may have been done, and the answer lost\n",
        "",
        (FAULTS, "fails_at_any_step and begin"),
    ),
    Mutation(
        "killed",
        "the intent is written down before the first file is visible",
        "delivery/delivery.py",
        '            self._context.enter("publishing")\n            publishing.publish_all()\n',
        '            publishing.publish_all()\n            self._context.enter("publishing")\n',
        (RECOVERY, "between_two_publications"),
    ),
    Mutation(
        "killed",
        "what is staged is written down",
        "delivery/staging.py",
        "self._context.journal.update(number, complete=True, **vars(sent))",
        "self._context.journal.note(number, complete=True, **vars(sent))",
        (RECOVERY, "only_what_is_missing"),
    ),
    Mutation(
        "killed",
        "a start finishes or discards what the last one began",
        "delivery/delivery.py",
        "        self._context.unsure = bool(self._context.journal.header.epoch)",
        "        self._context.unsure = False",
        (RECOVERY, "not_written_down"),
    ),
    Mutation(
        "killed",
        "what a dead run left is discarded",
        "runs/recovery.py",
        "    left = delivery.undo(others)\n",
        "    left = list[str]()\n",
        (RECOVERY, "takes_back_what_a_dead_one_left"),
    ),
    Mutation(
        "killed",
        "discarded is only what this run began",
        "destinations/base.py",
        'start, end = f".courier-{mark_of(run_id)}-", ".part"',
        'start, end = ".courier-", ".part"',
        ("integration/test_contract.py", "unfinished_finds and local"),
    ),
    Mutation(
        "killed",
        "removing is written down before it is done",
        "delivery/undoing.py",
        "                self._context.journal.update(number, removing=True)\n",
        "                self._context.journal.note(number, removing=True)\n",
        (RECOVERY, "while_taking_back"),
    ),
    Mutation(
        "killed",
        "discarding is written down before it is done",
        "delivery/undoing.py",
        "                self._context.journal.update(number, complete=False)  # so",
        "                self._context.journal.note(number, complete=False)  # so",
        (RECOVERY, "while_taking_back"),
    ),
    Mutation(
        "killed",
        "local: between its two names it is one file",
        "destinations/local.py",
        "            if self._same(hidden, final):\n",
        "            if False:\n",
        (LOCAL, "between_the_two_names"),
    ),
    Mutation(
        "two runs at once",
        "the lock is asked before publishing",
        "delivery/context.py",
        "        self.lock.assert_held()\n        self.journal.enter",
        "        self.journal.enter",
        (DELIVERY, "lost_its_lock"),
    ),
    Mutation(
        "two runs at once",
        "and before it is said that all is published",
        "delivery/publishing.py",
        '        self._context.enter("published")',
        '        self._context.journal.enter("published")',
        (DELIVERY, "after_its_last_file"),
    ),
    Mutation(
        "two runs at once",
        "and before anything visible is taken back",
        "delivery/undoing.py",
        "                self._context.lock.assert_held()  # or",
        "                pass  # or",
        (DELIVERY, "while_it_takes_back"),
    ),
    Mutation(
        "two runs at once",
        "who has lost the lock remembers nothing",
        "runs/recovery.py",
        "    lock.assert_held()\n    header = journal.header\n",
        "    header = journal.header\n",
        (RESUMING, "remembers_nothing"),
    ),
    Mutation(
        "two runs at once",
        "who has lost the lock takes nothing back",
        "delivery/delivery.py",
        "            self._context.lock.assert_held()\n        except BusyError:\n",
        "            pass\n        except BusyError:\n",
        (DELIVERY, "another_start"),
    ),
    Mutation(
        "two runs at once",
        "a later start gives its files other places than one that sleeps",
        "delivery/journal.py",
        "return self.header.epoch[:8]",
        'return ""',
        (DELIVERY, "still_writes"),
    ),
    Mutation(
        "two runs at once",
        "a sleeper discards what it begins when it wakes",
        "delivery/delivery.py",
        "            self._discard_own()\n",
        "",
        (DELIVERY, "discarded_by_itself"),
    ),
    Mutation(
        "two runs at once",
        "sending ends with the lock",
        "delivery/context.py",
        "                    if self.lock.lost:\n",
        "                    if False:\n",
        (DELIVERY, "ends_the_sending"),
    ),
    Mutation(
        "two runs at once",
        "a lock that was taken over is lost",
        "state/lock.py",
        "self.lost = not self._is_ours(before) or (self._is_over and not self._set(before))",
        "self.lost = False",
        (LOCK, "taken_over"),
    ),
    Mutation(
        "two runs at once",
        "a lease that has ended is begun anew before anything is done",
        "state/lock.py",
        " or (self._is_over and not self._set(before))",
        "",
        (LOCK, "begins_anew"),
    ),
    Mutation(
        "a lost file",
        "what was refused is not taken for published where that cannot be written down",
        "delivery/publishing.py",
        "                    asked = False  # first",
        "                    pass  # first",
        (DELIVERY, "was_lost"),
    ),
    Mutation(
        "two runs at once",
        "no file is published after the lease",
        "delivery/publishing.py",
        "            self._context.lock.assert_live()\n            asked_before",
        "            asked_before",
        (DELIVERY, "between_two_publications"),
    ),
    Mutation(
        "two runs at once",
        "nor many at once",
        "delivery/publishing.py",
        "            self._context.lock.assert_live()\n            self._tried",
        "            self._tried",
        (DELIVERY, "sleeps_before_many"),
    ),
    Mutation(
        "two runs at once",
        "nothing stale is removed after the lease",
        "delivery/publishing.py",
        "        self._context.lock.assert_live()  # or",
        "        pass  # or",
        (DELIVERY, "what_was_stale"),
    ),
    Mutation(
        "two runs at once",
        "a file that is visible from the start is not written to after the lease",
        "delivery/staging.py",
        "                self._context.lock.assert_live()\n",
        "                pass\n",
        (DELIVERY, "written_to_directly"),
    ),
    Mutation(
        "two runs at once",
        "a release takes away no lock of another run",
        "state/lock.py",
        "self._store.swap(self._key, before, self._owner.as_bytes())",
        "self._store.delete(self._key)",
        (LOCK, "taken_over_a_moment_before"),
    ),
    Mutation(
        "two runs at once",
        "a lock is refused while its owner lives",
        "state/lock.py",
        "if owner is not None and not owner.is_over(time.time()):",
        "if False:",
        (LOCK, "second_run or another_machine"),
    ),
    Mutation(
        "two runs at once",
        "the lock of a dead process is free",
        "state/lock.py",
        "or (self.machine == _machine() and not _alive(self.process))",
        "",
        (LOCK, "killed_owner"),
    ),
    Mutation(
        "two runs at once",
        "the lease is renewed",
        "state/lock.py",
        "                lock.renew()\n",
        "                pass\n",
        (LOCK, "renewed"),
    ),
    Mutation(
        "killed",
        "a journal that begins anew believes nothing that an earlier one wrote",
        "delivery/journal.py",
        "epoch=uuid.uuid4().hex)",
        'epoch=f"{len(self.header.epoch) + 1}")',
        (BACK, "begins_anew"),
    ),
    Mutation(
        "rename refused",
        "what was refused when it was first asked for was not published",
        "delivery/publishing.py",
        "                    self._context.journal.update(number, asked=False)\n",
        "                    pass\n",
        (BACK, "gone_when_it_was_first"),
    ),
    Mutation(
        "rename refused",
        "nor what was refused among many",
        "delivery/publishing.py",
        "                self._tried.discard(states[name])\n",
        "",
        (BACK, "among_many"),
    ),
    Mutation(
        "the server lies about size",
        "what is not whole any more is not taken for published",
        "delivery/publishing.py",
        "                if not connection.remains(staged):\n",
        "                if True:\n",
        (BACK, "damaged_before"),
    ),
    Mutation(
        "the server moves the file away at once",
        "what is taken stays so when a later start fails",
        "delivery/undoing.py",
        "(replacing or not state.confirmed)",
        "replacing",
        (BACK, "second_failure"),
    ),
    Mutation(
        "killed",
        "a file of another size is not ours",
        "delivery/undoing.py",
        " and connection.size(state.name) == staged.size\n",
        " and connection.size(state.name) is not None\n",
        (BACK, "another_file_of_the_name"),
    ),
    Mutation(
        "failed",
        "what was never published is not looked for under its final name",
        "delivery/undoing.py",
        "(self._context.direct or not connection.remains(staged))",
        "connection.size(state.name) is not None",
        (DELIVERY, "same_size_as_ours"),
    ),
    Mutation(
        "killed",
        "a file of a later run is not taken back",
        "delivery/undoing.py",
        "state.name not in others and ",
        "",
        (BACK, "of_a_later_run"),
    ),
    Mutation(
        "killed",
        "a file that has two names for a moment loses both",
        "destinations/local.py",
        " and not self._same(hidden, self._folder / staged.name)",
        "",
        (BACK, "between_its_two_names"),
    ),
    Mutation(
        "killed",
        "files are taken back where they were sent to",
        "runs/recovery.py",
        "    if all(getattr(then, key",
        "    if not likeness.PLACE or any(getattr(then, key",
        (BACK, "where_they_were_sent_to"),
    ),
    Mutation(
        "killed",
        "nothing is sent before what a dead run has published is remembered",
        "runs/recovery.py",
        "        remember_published(store, journal, lock, lambda: runs.write(store, run_id, record))\n        return [",
        "        try:\n            remember_published(store, journal, lock, lambda: runs.write(store, run_id, record))\n        except CourierError as error:\n            return [_left(run_id, error)]\n        return [",
        (REMEMBERING, "until_it_is_remembered"),
    ),
    Mutation(
        "a full disk",
        "a value of the state that is cut does not replace the whole one",
        "state/local.py",
        'with os.fdopen(descriptor, "wb") as file:',
        'with os.fdopen(descriptor, "wb", buffering=0) as file:',
        (STATE, "takes_half"),
    ),
    Mutation(
        "killed",
        "what took the place of an older file is remembered",
        "runs/recovery.py",
        "    if header.replace and left:\n",
        "    if False:\n",
        (BACK, "remembered_for_the_next_run"),
    ),
    Mutation(
        "killed",
        "an older file that was moved aside gets its name back",
        "destinations/sftp/connection.py",
        "            if path.endswith(ASIDE) and not self._exists(final):\n",
        "            if False:\n",
        (BACK, "gets_its_name_back"),
    ),
    Mutation(
        "time-out with the request done",
        "an older file that was moved aside is looked for",
        "delivery/publishing.py",
        "                self._context.unsure = True  # an older file",
        "                pass  # an older file",
        (BACK, "is_removed_when_the_answer"),
    ),
    Mutation(
        "killed",
        "published directly, the trigger comes last",
        "delivery/delivery.py",
        "            if self._context.direct:  # where staging",
        "            if False:  # where staging",
        (BACK, "published_directly"),
    ),
    Mutation(
        "started again",
        "what is delivered is not mixed with another configuration",
        "runs/recovery.py",
        "    if committed and not same:\n",
        "    if False:\n",
        (RESUMING, "not_mixed"),
    ),
    Mutation(
        "started again",
        "what was begun under another configuration is taken back",
        "runs/recovery.py",
        ' or (journal.header.phase == "staging" and not same)',
        "",
        (RESUMING, "begins_anew"),
    ),
    Mutation(
        "started again",
        "another place is another configuration",
        "runs/likeness.py",
        '"place": place, ',
        "",
        (RESUMING, "another_place or not_mixed"),
    ),
    Mutation(
        "started again",
        "so is a run that has published since",
        "runs/recovery.py",
        "    same = likeness.of_delivery(config) == journal.header.fingerprint and _last",
        "    same = likeness.of_delivery(config) == journal.header.fingerprint or _last",
        (RESUMING, "published_since or begins_anew"),
    ),
    Mutation(
        "the server moves the file away at once",
        "published directly, what is gone is not sent again",
        "delivery/staging.py",
        "        if state.complete and self._context.direct:",
        "        if False:",
        (BACK, "under_its_final_name"),
    ),
    Mutation(
        "the server moves the file away at once",
        "published directly, half a file is not taken for none",
        "delivery/staging.py",
        "if self._context.direct and before.size and connection.size(before.name) is None:",
        "if False:",
        (BACK, "before_it_was_whole"),
    ),
    Mutation(
        "started again",
        "columns in another order are another configuration",
        "runs/likeness.py",
        "json.dumps(content, default=str)",
        "json.dumps(content, default=str, sort_keys=True)",
        (LIKENESS, "another_order_are_another or row_rules"),
    ),
    Mutation(
        "started again",
        "another key under the same name is another configuration",
        "runs/likeness.py",
        '        content["recipients"] = recipients_now(config.file)\n',
        "        pass\n",
        (RESUMING, "another_key"),
    ),
    Mutation(
        "released",
        "a held run is released once",
        "runs/release.py",
        '    if runs.released_by(store, str(config.release)) is not None:\n        raise ConfigError("This run has been released already", where=where)\n',
        "",
        (HOLDING, "after_another_one_has_published"),
    ),
    Mutation(
        "released",
        "that it was is written down",
        "runs/recovery.py",
        '        runs.mark_released(store, header.record["released"], header.run_id)\n',
        "        pass\n",
        (HOLDING, "after_another_one_has_published"),
    ),
    Mutation(
        "released",
        "and is not started anew after that",
        "runs/release.py",
        "    if runs.released_by(store, config.run_id) is not None:\n",
        "    if False:\n",
        (HOLDING, "released_once"),
    ),
    Mutation(
        "released",
        "a release that was killed is remembered before the held run may start anew",
        "pipeline.py",
        "            if run.held_before:  # one of them may have released it\n                release.assert_not_released(store, config)\n",
        "",
        (REMEMBERING, "killed_when_it_had_published"),
    ),
    Mutation(
        "released",
        "not after a newer run of the audience",
        "runs/release.py",
        '        if audience["held"] and before is not None and _is_newer(store, before.run_id, record, audience):\n',
        "        if False:\n",
        (REMEMBERING, "after_a_newer_run"),
    ),
    Mutation(
        "stale parts",
        "only those that an earlier record says are ours",
        "runs/intent.py",
        "itertools.takewhile(lambda name: name in ours and name not in known, later)",
        "itertools.islice(later, 9)",
        (STARTS, "shorter_run_under_static or older_version"),
    ),
    Mutation(
        "stale parts",
        "only those whose names this run would give, too",
        "runs/intent.py",
        "if part_name(config, audience, part) == name]",
        "if True]",
        (STARTS, "earlier_day"),
    ),
    Mutation(
        "stale parts",
        "with their own triggers",
        "runs/intent.py",
        "for name in [*triggers, *left]})",
        "for name in left})",
        (STARTS, "trigger_of_a_part"),
    ),
    Mutation(
        "stale parts",
        "only at the place where they were sent to",
        "runs/intent.py",
        'if config.destination.on_conflict != "replace" or last.get("sink") != config.destination.address:',
        'if config.destination.on_conflict != "replace":',
        (STARTS, "at_another_place"),
    ),
    Mutation(
        "stale parts",
        "a file of another size stays",
        "delivery/publishing.py",
        "        if found == size:\n            connection.remove(name)\n",
        "        if found is not None:\n            connection.remove(name)\n",
        (DELIVERY, "stale_parts"),
    ),
    Mutation(
        "killed",
        "what a later run has published there is known",
        "runs/recovery.py",
        "    left = delivery.undo(others)\n",
        "    left = delivery.undo()\n",
        (BACK, "of_a_later_run"),
    ),
    Mutation(
        "two runs at once",
        "a run_id is the activation's that was first",
        "runs/claims.py",
        "        if store.swap(where, None, mine) or",
        "        if True or",
        (STATE, "activation_that_was_first"),
    ),
    Mutation(
        "two runs at once",
        "of two that claim a run_id at one moment, one has it",
        "runs/claims.py",
        "        if store.swap(where, None, mine) or",
        "        store.write(where, mine)\n        if",
        (STATE, "activation_that_was_first"),
    ),
    Mutation(
        "two runs at once",
        "a claim that was refused for another one under way is made again",
        "runs/claims.py",
        "CLAIMS = 5",
        "CLAIMS = 1",
        (STATE, "under_way"),
    ),
    Mutation(
        "the state store fails",
        "what is all published is left to the next start",
        "delivery/delivery.py",
        'if header.phase == "publishing" and all(state.delivered for state in self._context.journal.states):',
        "if False:",
        (DELIVERY, "state_store_that_fails"),
    ),
    Mutation(
        "two runs at once",
        "a start claims its run_id",
        "pipeline.py",
        "        runs.claim(store, config)\n",
        "",
        (STARTS, "was_claimed"),
    ),
    Mutation(
        "executors deliver",
        "an attempt has a place of its own",
        "delivery/attempt.py",
        "open_destination(config, task.config.run_id, attempt)",
        "open_destination(config, task.config.run_id)",
        (WORKERS, "places_of_their_own"),
    ),
    Mutation(
        "executors deliver",
        "an attempt asks at its beginning whether its run goes on",
        "delivery/attempt.py",
        "            self._assert_wanted()\n            begun = ",
        "            begun = ",
        (WORKERS, "begins_after"),
    ),
    Mutation(
        "executors deliver",
        "an attempt asks on its way",
        "delivery/attempt.py",
        "            self._asked = staged.size\n            self._assert_wanted()\n",
        "            self._asked = staged.size\n",
        (WORKERS, "before_the_end"),
    ),
    Mutation(
        "executors deliver",
        "an attempt asks at its end",
        "delivery/attempt.py",
        "        self._begun = sent.staged\n        self._assert_wanted()\n",
        "        self._begun = sent.staged\n",
        (WORKERS, "while_it_sends"),
    ),
    Mutation(
        "executors deliver",
        "an attempt that fails takes away what it began",
        "delivery/attempt.py",
        "            connections.retrying(upload.discard)\n",
        "            pass\n",
        (WORKERS, "that_fails"),
    ),
    Mutation(
        "executors deliver",
        "what cannot be continued is taken away before it is begun anew",
        "delivery/attempt.py",
        "            self.discard(connection)\n",
        "",
        (WORKERS, "loses_its_connection"),
    ),
    Mutation(
        "executors deliver",
        "an encrypted file is not continued",
        "delivery/attempt.py",
        "if begun is None or not (self._content.repeatable and begun.size",
        "if begun is None or not (begun.size",
        (WORKERS, "loses_its_connection"),
    ),
    Mutation(
        "executors deliver",
        "a job that begins after the others were cancelled is cancelled, too",
        "delivery/cluster.py",
        "                time.sleep(POLL_SECONDS)\n                self._context.cancelJobGroup(self._group)\n",
        "                time.sleep(POLL_SECONDS)\n",
        (WORKERS, "begins_a_moment_after"),
    ),
]


def pytest(tree: Path, test: tuple[str, str]) -> tuple[bool | None, str]:
    """Whether the tests pass (None: there are none of these, or they were skipped), and the first that does not."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-rfEs", "-p", "no:cacheprovider", "--tb=no", f"tests/{test[0]}", "-k", test[1]]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    process = subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False, f"no end within {PATIENCE_SECONDS} seconds"
    if process.returncode not in (0, 1) or (" passed" not in out and " failed" not in out):
        return None, out[-300:]
    failed = [line.partition("::")[2].partition(" - ")[0] for line in out.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return not failed, failed[0] if failed else ""


def removed(tree: Path, mutation: Mutation) -> str:
    """What came of it: empty where a test has failed, as it should."""
    path = tree / "src" / "courier" / mutation.file
    before = path.read_text()
    if mutation.old not in before:
        return "the change does not apply any more"
    path.write_text(before.replace(mutation.old, mutation.new))
    try:
        passed, first = pytest(tree, mutation.test)
    finally:
        path.write_text(before)
    if passed is None:
        return f"no such test: {first}"
    if passed:
        return "NOBODY MISSES IT"
    print(f"  without it fails  {first}", flush=True)
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--list", action="store_true", help="name the protections, and remove none")
    options = parser.parse_args()
    chosen = [each for each in MUTATIONS if all(word in f"{each.fault}: {each.protection}" for word in options.words)]
    bad, sound = 0, dict[tuple[str, str], str]()
    with tempfile.TemporaryDirectory(prefix="courier-mutations-") as folder:
        tree = Path(folder)
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tree / name)
        for each in chosen:
            print(f"{each.fault}: {each.protection}", flush=True)
            if options.list:
                continue
            if each.test not in sound:
                passed, first = pytest(tree, each.test)
                sound[each.test] = "" if passed else f"fails as the code is, or is not there: {each.test} {first}"
            problem = sound[each.test] or removed(tree, each)
            if problem:
                print(f"  !! {problem}", flush=True)
                bad += 1
    print(f"{len(chosen)} protections, {bad} without a test that misses them")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
