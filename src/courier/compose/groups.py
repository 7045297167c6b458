"""The groups of the configuration, and what there is to know of their keys."""

from __future__ import annotations

import re
from dataclasses import fields

from courier import config as schema

GROUPS: dict[str, type] = {
    "engine": schema.EngineConfig,
    "source": schema.SourceConfig,
    "audience": schema.AudienceConfig,
    "consent": schema.ConsentConfig,
    "suppression": schema.SuppressionConfig,
    "mapping": schema.MappingConfig,
    "dedup": schema.DedupConfig,
    "rules": schema.RulesConfig,
    "checks": schema.ChecksConfig,
    "guard": schema.GuardConfig,
    "export": schema.ExportConfig,
    "file": schema.FileConfig,
    "trigger": schema.TriggerConfig,
    "esp": schema.EspConfig,
    "state": schema.StateConfig,
}
#: Keys that refer to secrets, and those that users guess for them.
SECRETS = re.compile(r"password|passphrase|secret|token|remote|jump|_env\b|_file\b|encrypt_to")
#: The groups of which a file is chosen.
CHOSEN = {*GROUPS, "destination", "activation"}
#: Keys whose `off` YAML reads as false.
SWITCHES = ("consent.rule", "file.formula_guard")
TOP_LEVEL = {*GROUPS, "destination", "run_id", "as_of", "release"}


def destinations_with(key: str) -> list[str]:
    return [name for name, kind in schema.DESTINATIONS.items() if key in {field.name for field in fields(kind)}]
