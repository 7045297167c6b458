"""What comes after the data files: the manifest that proves them, and the triggers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from courier import plan
from courier.compose import load
from courier.config import AudienceConfig, LocalConfig, RunConfig, TriggerConfig
from courier.delivery.manifest import Sent, check_triggers, closing_contents, closing_names
from courier.errors import ConfigError
from courier.rows.counts import Slice

BASE = load(["activation=demo", "run_id=r1", "as_of=2026-11-01T09:30:15Z"], now=datetime(2026, 11, 1, tzinfo=UTC))


def config(trigger: TriggerConfig | None = None, *, manifest: bool = True, compression: str = "none") -> RunConfig:
    return replace(
        BASE,
        audience=AudienceConfig([{"id": "seg-a", "name": "spring"}]),
        file=replace(BASE.file, name="{segment_name}", compression=compression),
        destination=LocalConfig("local", "acme", "/exports/é", manifest=manifest),
        trigger=trigger or TriggerConfig(),
    )


def sent(run: RunConfig) -> list[Sent]:
    files = plan.planned_files(run, 0, [[Slice(0, 2), Slice(3, 1)]])
    return [Sent(files[0], 40, "aa", 90, "pa"), Sent(files[1], 25, "bb", 80, "pb")]


def closing(run: RunConfig) -> dict[str, bytes]:
    """Name → content."""
    check_triggers(run)
    names = closing_names(run, [each.planned for each in sent(run)])
    return dict(zip(names, closing_contents(run, ["email", "phone"], sent(run)), strict=True))


def test_the_manifest_says_what_was_sent() -> None:
    content = closing(config())["manifest-acme-r1.json"]
    shared = {"sinkPath": "/exports/é", "segmentId": "seg-a", "columns": ["email", "phone"], "mode": "full", "change": None, "parts": 2}
    assert json.loads(content) == {
        "flowRunId": "r1",
        "scheduledTime": "2026-11-01T09:30:15Z",
        "exportResults": [
            {**shared, "name": "spring.csv", "size": 40, "rows": 2, "sha256": "aa", "plainSize": 90, "plainSha256": "pa", "part": 1},
            {**shared, "name": "spring_2.csv", "size": 25, "rows": 1, "sha256": "bb", "plainSize": 80, "plainSha256": "pb", "part": 2},
        ],
    }
    assert content.endswith(b"}\n")


def test_the_manifest_says_in_which_folder_each_file_is_and_is_above_them() -> None:
    run = replace(config(TriggerConfig("file", "{stem}.ok")), destination=LocalConfig("local", "acme", "/exports/{segment_name}/{date}"))
    files = closing(run)
    assert list(files) == ["manifest-acme-r1.json", "spring/20261101/spring.ok", "spring/20261101/spring_2.ok"]
    results = json.loads(files["manifest-acme-r1.json"])["exportResults"]
    assert [(each["sinkPath"], each["name"]) for each in results] == [
        ("/exports/spring/20261101", "spring.csv"),
        ("/exports/spring/20261101", "spring_2.csv"),
    ]


def test_the_triggers_name_is_safe_and_its_content_is_as_it_is() -> None:
    trigger = TriggerConfig(
        "file", "%SEGMENT_NAME%-{part:03d}.ok", "%SEGMENT_NAME% {part:02d}/{parts} %DATETIME(yyyy-MM-dd'T'HH:mm:ss'Z')% {file}"
    )
    run = replace(config(trigger, manifest=False), audience=AudienceConfig([{"id": "seg-a", "name": "a/b: c"}]))
    assert closing(run) == {
        "a_b_ c-001.ok": b"a/b: c 01/2 2026-11-01T09:30:15Z a_b_ c.csv",
        "a_b_ c-002.ok": b"a/b: c 02/2 2026-11-01T09:30:15Z a_b_ c_2.csv",
    }


def test_there_may_be_no_manifest() -> None:
    assert closing(config(manifest=False)) == {}


def test_an_empty_trigger_beside_each_file() -> None:
    assert closing(config(TriggerConfig("file", "{file}.ready", ""), manifest=False)) == {
        "spring.csv.ready": b"",
        "spring_2.csv.ready": b"",
    }


def test_a_count_file_is_named_like_its_file_also_where_that_is_compressed() -> None:
    assert closing(config(TriggerConfig("file", "{stem}.count", "{rows}"), manifest=False, compression="gzip")) == {
        "spring.count": b"2",
        "spring_2.count": b"1",
    }


def test_one_trigger_for_the_run_comes_after_the_manifest() -> None:
    trigger = TriggerConfig("run", "{date}.done", "{files} files, {rows} rows, {bytes} bytes, {run_id}\n")
    files = closing(config(trigger))
    assert list(files) == ["manifest-acme-r1.json", "20261101.done"]
    assert files["20261101.done"] == b"2 files, 3 rows, 65 bytes, r1\n"


def test_a_trigger_can_prove_its_file() -> None:
    content = closing(config(TriggerConfig("file", "{segment_id}-{part}.ok", "{sha256}  {file}\n"), manifest=False))
    assert content == {"seg-a-1.ok": b"aa  spring.csv\n", "seg-a-2.ok": b"bb  spring_2.csv\n"}


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        (TriggerConfig("run", "{segment_name}.done"), "trigger.name has an unknown placeholder. Found: {segment_name}."),
        (TriggerConfig("file", "{rows}.done"), "trigger.name has an unknown placeholder. Found: {rows}."),
        (TriggerConfig("run", "a.done", "{sha256}"), "trigger.content has an unknown placeholder. Found: {sha256}."),
        (TriggerConfig("file", "{file", ""), "trigger.name has a brace that belongs to no placeholder."),
        (TriggerConfig("run", "%SEGMENT_ID%.done"), "trigger.name has an unknown placeholder. Found: %SEGMENT_ID%."),
        (TriggerConfig("file", "a.done", "{sandbox}"), "trigger.content has {sandbox}, which has no value."),
        (TriggerConfig("file", "{segment_name}:{part}"), "A file name has a sign that some servers refuse"),
        (TriggerConfig("run", "../{date}.done"), "A file name could leave the target folder"),
    ],
)
def test_a_trigger_with_a_placeholder_that_it_cannot_have_is_refused(trigger: TriggerConfig, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check_triggers(config(trigger))
    assert str(raised.value).startswith(message)


def test_a_trigger_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"trigger\.name is not set"):
        TriggerConfig("file")
