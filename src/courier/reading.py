"""Step read: all that can be known, or refused, before any profile is read."""

from __future__ import annotations

from dataclasses import dataclass

from courier import checks, esp, mapping, plan, runs
from courier.config import RunConfig, in_the_clear
from courier.delivery import manifest
from courier.destinations import Destination, open_destination
from courier.destinations.connections import assert_reachable
from courier.members import audience, consent, suppression
from courier.render import Keys, assert_writable, open_keys
from courier.rows import outcomes, rules
from courier.runs import baseline, likeness
from courier.source import profiles


@dataclass(frozen=True)
class Ready:
    """What is known before any profile is read."""

    source: profiles.ProfileSource
    columns: mapping.Mapping
    consent: consent.Consent
    suppressed: suppression.Files
    rules: dict[str, mapping.MappedColumn]
    suite: checks.Suite
    baselines: dict[str, baseline.Baseline]
    keys: Keys | None


def check_templates(config: RunConfig, attempt: str = "") -> Destination:
    """Refuse names and secrets that cannot be, and give the destination, which is not connected yet. `attempt`: see there."""
    plan.check_names(config)
    manifest.check_triggers(config)
    return open_destination(config.destination, config.run_id, attempt)


def read(run: runs.Run, destination: Destination) -> Ready:
    """Everything that can be known, or refused, before any profile is read."""
    config = run.config
    with run.step("read"):
        source = profiles.inspect(config.source)
        with profiles.told_of_others(source):
            audience.assert_memberships(source.schema)
            columns = mapping.resolve(config.mapping, config.dedup, config.export, source.schema)
            asked = consent.resolve(config.consent, source.schema, source.others, columns.fan_out)
            _assert_alike(config, source, [*columns.inputs.values(), *asked.paths.values(), *suppression.needed_paths(config.suppression)])
            lists = suppression.inspect(config.suppression, config.source, source.schema, columns.fan_out)
        assert_writable(config.file, columns)
        keys = open_keys(config.file, run.started_at)
        suite = checks.resolve(config.checks, columns)
        run.profiles, run.columns, run.consent, run.shape = source.profiles, columns.header, asked.describe(), likeness.of_files(config)
        ready = Ready(
            source,
            columns,
            asked,
            lists,
            rules.resolve(esp.row_rules(config, columns), columns),
            suite,
            baseline.to_compare(config, run.history),
            keys,
        )
        run.warnings += suppression.warnings(config.suppression, config.mapping, asked.paths.values())
        run.warnings += [*plan.warnings(config), *consent.warnings(asked), *esp.check_configuration(config)]
        for group in ("source", "destination", "state"):
            run.warnings += in_the_clear(f"{group}.endpoint_url", getattr(getattr(config, group), "endpoint_url", None))
        assert_reachable(config.destination, destination)
    return ready


def _assert_alike(config: RunConfig, source: profiles.ProfileSource, paths: list[str]) -> None:
    """All files have what is read of them: `paths`, memberships, and identities where these are compared."""
    for file, schema in source.others.items():
        audience.assert_memberships(schema, file)
    if outcomes.needs_identities(config.dedup, config.export):
        paths = [*paths, "identityMap"]
    profiles.assert_alike(source, paths)
    if config.engine.kind == "sail":
        profiles.assert_read_by_sail(source, [*audience.READ, *paths])
    if config.engine.kind == "spark":
        profiles.assert_read_by_spark(source, [*audience.READ, *paths])


def artefacts(run: runs.Run, ready: Ready) -> list[bytes]:
    """Keep what the import at the platform is made from, and give those that are to be put beside the files."""
    for name, content in esp.artefacts(run.config, ready.columns).items():
        key = f"runs/{run.config.run_id}/artefacts/{name}"
        run.store.write(key, content)
        run.artefacts.append(run.store.shown(key))
    return esp.delivered(run.config, ready.columns)
