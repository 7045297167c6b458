"""For which email platform the files are: group esp."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from courier.config.limits import one_of
from courier.errors import ConfigError, nearest

#: What can be done about each rule; the first is what is done where nothing is said. `fail` refuses a configuration of which
#: the vendor's documentation says that it is not taken, and `strict` also one that others advise against; what is only from
#: memory is a warning in any case. Of rows: `fail` holds an audience that has some that break the rule, `reject` sends the
#: others, `fix` changes values, and counts them.
POLICIES: dict[str, tuple[str, ...]] = {
    "file": ("fail", "strict", "warn"),
    "compression": ("fail", "strict", "warn"),
    "encryption": ("fail", "strict", "warn"),
    "header": ("fail", "strict", "warn"),
    "columns": ("fail", "strict", "warn"),
    "key": ("fail", "strict", "warn"),
    "transport": ("fail", "strict", "warn"),
    "name": ("fail", "strict", "warn"),
    "bytes": ("fail", "strict", "warn"),
    "empty_number": ("warn", "reject", "fail"),
    "number": ("reject", "fail", "warn"),
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
