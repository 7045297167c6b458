"""The platforms by name."""

from __future__ import annotations

from courier.config import RunConfig
from courier.esp import adobe_campaign, oracle_eloqua, oracle_responsys, salesforce_marketing_cloud
from courier.esp.base import Platform

PLATFORMS: dict[str, Platform] = {
    module.PLATFORM.name: module.PLATFORM for module in (adobe_campaign, salesforce_marketing_cloud, oracle_eloqua, oracle_responsys)
}


def platform_of(config: RunConfig) -> Platform | None:
    """The platform that the files are for; None with esp=none."""
    return PLATFORMS.get(config.esp.platform)
