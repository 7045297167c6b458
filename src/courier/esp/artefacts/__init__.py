"""What the import at the platform is made from, written for this mapping: definitions, samples, sheets. No profile is in them.

Only fields that are documented are written. The artefacts of a run are in its folder of the state store, and with
esp.deliver_artefacts beside the files, under names that begin with `artefact-<run_id>-`.
"""

from __future__ import annotations

from courier.config import RunConfig
from courier.esp.artefacts import adobe, oracle, salesforce
from courier.esp.artefacts.subject import Maker, Subject
from courier.esp.platforms import platform_of
from courier.mapping import Mapping

__all__ = ["MAKERS", "artefacts", "beside", "delivered", "delivered_names"]

MAKERS = {
    "adobe_campaign": adobe.MAKERS,
    "salesforce_marketing_cloud": salesforce.MAKERS,
    "oracle_eloqua": oracle.ELOQUA,
    "oracle_responsys": oracle.RESPONSYS,
}


def artefacts(config: RunConfig, mapping: Mapping) -> dict[str, bytes]:
    """The artefacts of all audiences by name, in their order; nothing without a platform."""
    platform = platform_of(config)
    return {name: maker.make(Subject(config, platform, mapping.columns, ordinal)) for name, ordinal, maker in _named(config) if platform}


def _named(config: RunConfig) -> list[tuple[str, int, Maker]]:
    platform = platform_of(config)
    of_platform = MAKERS[platform.name] if platform else {}
    return [
        (f"{maker.stem(config, ordinal)}.{ending}", ordinal, maker)
        for ordinal in range(len(config.audience.segments))
        for ending, maker in of_platform.items()
        if maker.applies(config)
    ]


def beside(run_id: str) -> str:
    """What the names of artefacts beside the files begin with."""
    return f"artefact-{run_id}-"


def delivered_names(config: RunConfig) -> list[str]:
    """The names of those that are put beside the files: of its own for each run, since a file that is there is not replaced."""
    return [beside(config.run_id) + name for name, _, _ in _named(config)] if config.esp.deliver_artefacts else []


def delivered(config: RunConfig, mapping: Mapping) -> list[bytes]:
    """The contents of `delivered_names`."""
    return list(artefacts(config, mapping).values()) if config.esp.deliver_artefacts else []
