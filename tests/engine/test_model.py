"""Random profiles in successive states, exported run by run: files, counts and what is remembered are as a plain model has them.

`COURIER_EXAMPLES=500 pytest tests/engine/test_model.py` looks longer than the normal test run does.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from export_model import ADDED, CHANGED, REMOVED, How, Model, Outcome, Settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdm_profiles import profile, write_profiles

from courier import compose, computing, pipeline
from courier.config import ExportConfig, GuardConfig
from courier.engine import Engine
from courier.errors import HeldError

EXAMPLES = int(os.environ.get("COURIER_EXAMPLES", "30"))
SEGMENTS = ("a", "b")
FIRST_DAY = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", None]
#: Before all runs, between them, and after them.
UNTIL = [None, None, None, "2026-05-01T00:00:00Z", "2026-06-02T00:00:00Z", "2026-06-02T12:00:00Z", "2026-07-01T00:00:00Z"]
MAPPING = {
    "email": "personalEmail.address",
    "first_name": "person.name.firstName",
    "last_name": "person.name.lastName",
    "city": "homeAddress.city",
    "since": "membership.lastQualificationTime",
}

memberships = st.none() | st.tuples(
    st.sampled_from(["realized", "realized", "existing", "exited", None]), *map(st.sampled_from, (DAYS, UNTIL))
)
people = st.builds(
    profile,
    email=st.sampled_from(["a", "b", "c", "d", "A", " a ", "", " ", None]),
    first_name=st.sampled_from(["x", "y", "7", None]),
    last_name=st.sampled_from(["l", "m", " ", "", None]),
    city=st.sampled_from(["p", None]),
    consent=st.sampled_from(["y", "y", "y", "y", "y", "n", None]),
    segments=st.fixed_dictionaries({"ups": st.fixed_dictionaries(dict.fromkeys(SEGMENTS, memberships))}),
    identities=st.sampled_from([None, {"ECID": ["1"]}, {"ECID": ["1", "2"]}, {"ECID": ["2", "1"]}, {"Email": ["1"], "ECID": ["2"]}]),
)
states = st.lists(st.lists(people, max_size=8), min_size=2, max_size=4)
activations = st.builds(
    Settings,
    normalize=st.booleans(),
    mandatory=st.booleans(),
    rule=st.booleans(),
    suppressed=st.sampled_from([frozenset(), frozenset({"b"})]),
    skip_empty=st.booleans(),
)
hows = st.builds(
    How,
    incremental=st.sampled_from([True, True, True, False]),
    separate=st.booleans(),
    triggers=st.sampled_from([("membership", "attributes"), ("membership", "attributes"), ("membership",)]),
    reset=st.sampled_from([False, False, False, False, True]),
    least=st.sampled_from([None, None, 1, 3]),
)


class Activation:
    """Runs one after another in a folder of their own, with an engine that is open already."""

    def __init__(self, folder: Path, setup: Settings) -> None:
        self.folder, self.runs = folder, 0
        columns: dict[str, Any] = {name: {"source": source} for name, source in MAPPING.items()}
        columns["email"]["mandatory"], columns["last_name"]["mandatory"] = True, setup.mandatory
        columns["since"]["format"] = "yyyy-MM-dd"
        own = folder / "own"
        for group in ("mapping", "activation"):
            (own / group).mkdir(parents=True)
        (own / "mapping" / "small.yaml").write_text(json.dumps({"columns": columns, "deduplication_key": ["email"]}))
        (own / "activation" / "small.yaml").write_text(
            f"# @package _global_\naudience: {{segments: {json.dumps(SEGMENTS)}}}\nsource: {{path: {folder}/profiles}}\n"
            f"state: {{path: {folder}/state}}\ndestination: {{path: {folder}/out, manifest: false}}\n"
            "file: {name: '{segment_id}', delimiter: ';', header: false, null_text: '~', empty_text: '-'}\n"
        )
        (folder / "stop.csv").write_text("address\n" + "".join(f"{each}\n" for each in sorted(setup.suppressed)))
        overrides = ["activation=small", "mapping=small", "checks=none", f"dedup.normalize={str(setup.normalize).lower()}"]
        if setup.suppressed:
            overrides.append(f"++suppression.lists={{stop: {{path: '{folder}/stop.csv', column: address}}}}")
        if setup.rule:
            overrides.append("++rules.rows={letters: {column: first_name, regex: '^[a-z]+$'}}")
        if setup.skip_empty:
            overrides.append("file.on_empty=skip")
        self.config = compose.load(overrides, now=FIRST_DAY, config_dir=str(own))

    def run(self, profiles: list[dict[str, Any]], how: How, as_of: datetime) -> tuple[dict[str, list[bytes]], dict[str, Any]]:
        """The lines of the files by name, and the record."""
        self.runs += 1
        shutil.rmtree(self.folder / "profiles", ignore_errors=True)
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        write_profiles(self.folder / "profiles", profiles, files=2)
        mode, layout = "incremental" if how.incremental else "full", "separate" if how.separate else "single"
        config = replace(
            self.config,
            run_id=f"run-{self.runs}",
            as_of=as_of,
            export=ExportConfig(mode, layout, list(how.triggers), how.reset),
            guard=GuardConfig(min_rows=how.least or 0),  # which also says that an audience may vanish
        )
        with contextlib.suppress(HeldError):
            pipeline.activate(config)
        record = json.loads((self.folder / "state" / "runs" / config.run_id / "record.json").read_text())
        out = self.folder / "out"
        return {path.stem: path.read_bytes().splitlines() for path in sorted(out.glob("*.csv"))}, record


@contextlib.contextmanager
def activation(engine: Engine, setup: Settings) -> Iterator[Activation]:
    """Without a session of its own for each run, which would take most of the time."""
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as folder:
        patched.setattr(computing, "open_engine", lambda *_: contextlib.nullcontext(engine))
        yield Activation(Path(folder), setup)


def line(values: tuple[str | None, ...], *more: str) -> bytes:
    return ";".join(["~" if value is None else value or "-" for value in values] + [*more]).encode()


def expected(model: Model, outcomes: dict[str, Outcome], how: How) -> dict[str, list[bytes]]:
    files: dict[str, list[bytes]] = {}
    for segment, outcome in outcomes.items():
        if outcome.files is None:
            continue
        if how.incremental and how.separate:
            found = {f"{segment}_{kind}": [line(values) for values in lines] for kind, lines in outcome.files.items()}
        elif how.incremental:
            sent = [
                (model.compared(values[0]), line(values, "exited" if kind == REMOVED else "realized"))
                for kind in outcome.files
                for values in outcome.files[kind]
            ]
            found = {segment: [text for _, text in sorted(sent)]}
        else:
            found = {segment: [line(values) for values in outcome.files[ADDED]]}
        files |= {name: lines for name, lines in found.items() if lines or not model.settings.skip_empty}
    return files


def assert_alike(found: tuple[dict[str, list[bytes]], dict[str, Any]], model: Model, outcomes: dict[str, Outcome], how: How) -> None:
    files, record = found
    assert files == expected(model, outcomes, how), record["error"]
    for audience in record["audiences"]:
        outcome = outcomes[audience["segment_id"]]
        counts = {key: value for key, value in audience["counts"].items() if key in outcome.counts}
        assert counts == outcome.counts
        assert (audience["held"] is None) == (outcome.files is not None)


@pytest.mark.parametrize("engine", ["sail"], indirect=True)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES <= 30, print_blob=True)
@given(states, activations, st.booleans(), st.data())
def test_every_run_sends_and_counts_what_the_model_does(
    engine: Engine, successive: Any, setup: Settings, identity: bool, data: st.DataObject
) -> None:
    model = Model(setup, SEGMENTS)
    triggers = (*data.draw(hows).triggers, *(["identity"] if identity else []))  # others would ask for a reset
    with activation(engine, setup) as real:
        for number, people_now in enumerate(successive):
            how = replace(data.draw(hows), triggers=triggers)
            as_of = FIRST_DAY + timedelta(days=number)
            assert_alike(real.run(people_now, how, as_of), model, model.run(people_now, how, as_of), how)


@pytest.mark.parametrize("engine", ["sail"], indirect=True)
@settings(max_examples=max(1, EXAMPLES // 3), suppress_health_check=list(HealthCheck), derandomize=EXAMPLES <= 30, print_blob=True)
@given(states, activations, st.booleans())
def test_the_files_of_all_runs_applied_in_order_give_the_last_full_export(
    engine: Engine, successive: Any, setup: Settings, separate: bool
) -> None:
    """But for columns of the membership, whose change alone sends nothing. The files are all that is known here, not the model."""
    keys = Model(setup, SEGMENTS)
    lists: dict[str, dict[str | None, list[bytes]]] = {segment: {} for segment in SEGMENTS}
    with activation(engine, setup) as real, activation(engine, setup) as fresh:
        for number, people_now in enumerate(successive):
            as_of = FIRST_DAY + timedelta(days=number)
            files, _ = real.run(people_now, How(separate=separate), as_of)
            for name, lines in sorted(files.items(), reverse=True):  # any order does: a key is in one file only
                for text in lines:
                    values = text.split(b";")
                    key, gone = keys.compared(values[0].decode()), name.endswith(REMOVED) or values[-1] == b"exited"
                    known = lists[name.partition("_")[0]]
                    assert key in known or (not gone and not name.endswith(CHANGED))
                    assert key not in known or not name.endswith(ADDED)
                    known.pop(key, None) if gone else known.update({key: values[:4]})
        full, _ = fresh.run(successive[-1], How(incremental=False), as_of)
    for segment, known in lists.items():
        assert sorted(known.values()) == sorted(text.split(b";")[:4] for text in full.get(segment, []))


def person(email: str, a: str | None, b: str | None = None, **keys: Any) -> dict[str, Any]:
    """`a`, `b`: the status in each audience, with the day of qualification after a blank: `realized 2026-01-01`."""
    entries: dict[str, Any] = {
        segment: text and (text.split()[0], f"{text.split()[1]}T00:00:00Z", None) for segment, text in (("a", a), ("b", b))
    }
    return profile(email=email, segments={"ups": entries}, **keys)


IN, LATER, OUT = "realized 2026-01-01", "existing 2026-02-01", "exited 2026-02-01"
MONDAY = [person("a", IN, IN), person("A", LATER, first_name="x"), person("b", IN), person("c", IN, IN, city="p"), person("", IN)]
TUESDAY = [
    person("a", IN, OUT),
    person("A ", LATER, first_name="y"),
    person("b", OUT, LATER, consent="n"),
    person("c", IN, IN, last_name=" "),
    person("d", LATER),
]
WEDNESDAY = [
    person("a", OUT, IN, identities={"ECID": ["2", "1"]}),
    person("b", IN, first_name="7"),
    person("d", LATER, last_name=None),
    person("e", IN, IN),
]


@pytest.mark.parametrize(
    ("setup", "how"),
    [
        (Settings(normalize=True), How()),
        (Settings(mandatory=True, rule=True, suppressed=frozenset({"b"}), skip_empty=True), How(separate=True)),
        (Settings(normalize=True, mandatory=True), How(triggers=("membership", "identity"))),
    ],
    ids=["keys in lower case", "rules and files by change", "identities"],
)
def test_three_days_on_each_engine(engine: Engine, setup: Settings, how: How) -> None:
    model = Model(setup, SEGMENTS)
    with activation(engine, setup) as real:
        for number, people_now in enumerate((MONDAY, TUESDAY, WEDNESDAY)):
            as_of = FIRST_DAY + timedelta(days=number)
            assert_alike(real.run(people_now, how, as_of), model, model.run(people_now, how, as_of), how)
