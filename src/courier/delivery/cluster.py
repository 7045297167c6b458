"""Delivery by the executors of Spark: one task renders and stages one planned file, and publishing stays with the driver.

Spark is only a scheduler here. Each file is a job of one task, as many at once as the destination takes connections, so
that the cap holds over the whole cluster and each result is written down when it comes. Spark starts a task again where
its executor is lost, and may run two attempts of it; each has a hidden name (or an upload) of its own, the driver knows
that of the first to end, and takes all others away before it publishes.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from courier.config import RunConfig
from courier.delivery.attempt import Task, from_here, staged
from courier.delivery.sending import Sent
from courier.destinations import open_destination
from courier.destinations.connections import assert_reachable
from courier.engine import Engine
from courier.errors import ConfigError, CourierError, TerminalError, TransientError
from courier.mapping import Mapping
from courier.plan import PlannedFile
from courier.render import open_keys
from courier.rows.snapshot import AudienceSnapshot
from courier.state import open_store

#: An executor ends the Python process of a task that is stopped after two seconds; one that does not answer is given up.
END_SECONDS = 20.0
POLL_SECONDS = 0.1


def assert_possible(engine: Engine, config: RunConfig) -> None:
    """Raise ConfigError where executors would look for what is on the driver's disk, or two of them would write one file."""
    paths = {
        "source.path": config.source.path,
        **{f"suppression.lists.{name}": each.path for name, each in config.suppression.lists.items()},
    }
    if config.state.kind == "local":
        paths["state.path"] = f"{config.state.path} (state=local)"
    if config.destination.kind == "local" and config.engine.delivery == "executors":
        paths["destination.path"] = config.destination.path
    local = [f"{key} {path}" for key, path in paths.items() if "://" not in path]
    if engine.spread and local:
        raise ConfigError(
            "The executors do not see the driver's disk",
            found="; ".join(local),
            expected="paths that begin with s3://, and state=s3",
            fix="put them into a bucket; where they are on a disk that all machines share, set engine.shared_disk=true",
        )
    if config.engine.delivery == "executors" and config.destination.direct:
        raise ConfigError(
            "Executors cannot write files under their final names, for two attempts at one may run at once",
            found="destination.publish=direct",
            fix="set destination.publish=rename, or engine.delivery=driver",
        )


def assert_ready(engine: Engine, config: RunConfig) -> None:
    """Have an executor log in at the destination and open the keys, before any work: its files and variables are not the driver's."""
    found = _on_an_executor(engine.session.sparkContext, _tried, config, "An executor cannot be used")
    if isinstance(found, CourierError):
        raise found


def _tried(configs: Iterator[RunConfig]) -> Iterator[CourierError | None]:
    for config in configs:
        try:
            open_keys(config.file, datetime.now(UTC))
            open_store(config.state, make=False)
            assert_reachable(config.destination, open_destination(config.destination, config.run_id))
        except CourierError as error:
            yield from_here(error)
        else:
            yield None


def _on_an_executor(context: Any, work: Callable[[Iterator[Any]], Iterator[Any]], item: object, what: str) -> Any:
    """What a task of its own makes of one item."""
    try:
        (found,) = context.parallelize([item], 1).mapPartitions(work).collect()
    except Exception as exc:
        if type(exc).__module__.partition(".")[0] not in ("py4j", "pyspark"):
            raise
        raise TerminalError(
            what, found=_reason(str(exc)), fix="see the logs of the executors, and whether they have enough memory"
        ) from None  # Spark's own text has many lines of other machines' tracebacks
    return found


class Executors:
    """The workers of one delivery, as `delivery.Workers`."""

    def __init__(self, engine: Engine, tasks: list[Task]) -> None:
        self._context: Any = engine.session.sparkContext
        self._tasks, self._group, self._mutex = tasks, f"courier-{uuid.uuid4().hex}", threading.Lock()
        self._ending, self._ended, self._waiting = threading.Lock(), False, 0

    def stage(self, number: int) -> Sent:
        """Wait for the job of one file. Raises what its task has met."""
        task = self._tasks[number]
        with self._mutex:
            if self._ended:
                raise TransientError(f"'{task.file.name}' was not sent, since the run has failed")
            self._waiting += 1
        try:
            # Both hold for the jobs of this thread. A task that is interrupted has its Python process killed.
            self._context.setJobGroup(self._group, f"Stage {task.file.name}", interruptOnCancel=True)
            what = f"The task that sends '{task.file.name}' failed on the cluster, and again wherever it was tried"
            found = _on_an_executor(self._context, staged, task, what)
        finally:
            with self._mutex:
                self._waiting -= 1
        if isinstance(found, CourierError):
            raise found
        return found  # type: ignore[no-any-return]  # the result of a task has no type

    def end(self) -> None:
        """Cancel what is going on, and wait until the last attempt has ended: a losing one may have just begun a file.

        Spark cancels what it knows of; a job that another thread is about to hand over is cancelled at the next turn.
        """
        with self._ending:
            if self._ended:
                return
            with self._mutex:
                self._ended = True
            self._context.cancelJobGroup(self._group)
            give_up = time.monotonic() + END_SECONDS
            while (self._waiting or self._running()) and time.monotonic() < give_up:
                time.sleep(POLL_SECONDS)
                self._context.cancelJobGroup(self._group)

    def _running(self) -> int:
        """Tasks of this application that run on executors, wanted or not."""
        return sum(executor.numRunningTasks() for executor in self._context._jsc.sc().statusTracker().getExecutorInfos())


def tasks(
    config: RunConfig, snapshots: list[AudienceSnapshot], files: list[PlannedFile], columns: Mapping, started_at: datetime
) -> list[Task]:
    """One for each file. What builds the values of expressions stays here: they are in the snapshot by now."""
    plain = replace(
        columns,
        columns=[replace(column, build=None) for column in columns.columns],
        key=[replace(column, build=None) for column in columns.key],
    )
    alone = [replace(snapshot) for snapshot in snapshots]  # without the footers that were read here
    return [Task(config, alone[file.audience], file, plain, started_at) for file in files]


def _reason(text: str) -> str:
    """What ended the task, out of Spark's many lines: our own word for an exception, or Spark's for a lost executor."""
    ours = re.search(r"courier: (\w+)", text)
    if ours:
        return ours.group(1)
    missing = re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", text)
    if missing:
        return f"the executors have no module {missing.group(1)}; see docs/cluster.md for the packed environment"
    lost = re.search(r"(ExecutorLostFailure|FetchFailed|TaskKilled|cancelled|OutOfMemory\w*)", text)
    return lost.group(1) if lost else "an error of Spark"
