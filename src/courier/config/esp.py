"""For which email platform the files are: group esp."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from courier.config.limits import one_of
from courier.errors import ConfigError, nearest

#: What can be done about each rule; the first is what is done where nothing is said. `fail` refuses a configuration, and
#: holds an audience whose rows break the rule; `reject` sends the other rows; `fix` changes values, and counts them.
POLICIES: dict[str, tuple[str, ...]] = {
    "file": ("fail", "warn"),
    "compression": ("fail", "warn"),
    "encryption": ("fail", "warn"),
    "header": ("fail", "warn"),
    "columns": ("fail", "warn"),
    "key": ("fail", "warn"),
    "transport": ("fail", "warn"),
    "name": ("fail", "warn"),
    "bytes": ("fail", "warn"),
    "empty_number": ("warn", "fail"),
    "date": ("fix", "fail", "warn"),
    "length": ("fix", "reject", "fail", "warn"),
    "email": ("fix", "reject", "fail", "warn"),
    "phone": ("fix", "reject", "fail", "warn"),
    "value": ("reject", "fail", "warn"),
    "birthday": ("fix", "reject", "fail", "warn"),
}


@dataclass
class EspConfig:
    """The platform, what is done about each of its rules, and whether its import artefacts are delivered beside the files."""

    platform: str = "none"
    deliver_artefacts: bool = False
    policies: dict[str, str] = field(default_factory=dict)

    #: Those that there are are modules of courier.esp.
    PLATFORMS: ClassVar[tuple[str, ...]] = ("none", "adobe_campaign", "salesforce_marketing_cloud", "oracle_eloqua", "oracle_responsys")

    def __post_init__(self) -> None:
        one_of("esp.platform", self.platform, self.PLATFORMS)
        if self.platform == "none" and self.deliver_artefacts:
            raise ConfigError("esp.deliver_artefacts is of no use without a platform", fix="choose one: esp=adobe_campaign")
        for rule, policy in self.policies.items():
            if rule not in POLICIES:
                raise ConfigError("esp.policies has an unknown rule", found=rule, fix=nearest(rule, POLICIES))
            one_of(f"esp.policies.{rule}", policy, POLICIES[rule])

    def policy(self, rule: str) -> str:
        return self.policies.get(rule, POLICIES[rule][0])
