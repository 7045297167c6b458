"""The shipped activations for platforms compose, and break no rule of their platform."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from courier import compose, esp
from courier.config import EspConfig
from courier.delivery.manifest import check_triggers
from courier.plan import check_names

SHIPPED = sorted(file.stem for file in (compose.conf_folder() / "activation").glob("*.yaml") if file.stem != "demo")


def test_each_platform_has_one_for_each_transport_that_makes_sense() -> None:
    sftp = {f"{name}_{kind}" for name in EspConfig.PLATFORMS if name != "none" for kind in ("sftp_password", "sftp_key")}
    assert set(SHIPPED) == {*sftp, "adobe_campaign_s3", "salesforce_marketing_cloud_s3"}


@pytest.mark.parametrize("name", SHIPPED)
def test_it_composes_without_a_warning(name: str) -> None:
    config = compose.load([f"activation={name}"], now=datetime(2026, 11, 1, tzinfo=UTC))
    assert config.activation == name == f"{config.esp.platform}_{config.destination.kind}"
    assert esp.check_configuration(config) == []
    check_names(config)
    check_triggers(config)
