"""The configuration: one dataclass per folder of conf/, and the only schema there is.

Unknown keys and wrong types are refused when Hydra's result is merged into these classes; limits are checked when an
object is constructed. Secrets are never values here: a key ending in `_env` holds the name of an environment variable.
"""

from courier.config.audience import (
    AudienceConfig,
    ConsentConfig,
    GuardConfig,
    SegmentConfig,
    SuppressionConfig,
    SuppressionListConfig,
)
from courier.config.destination import DestinationConfig, LocalConfig, S3Config
from courier.config.esp import POLICIES, EspConfig
from courier.config.file import FileConfig
from courier.config.limits import in_the_clear, on_this_machine
from courier.config.mapping import ColumnConfig, DedupConfig, ExportConfig, MappingConfig, RowRuleConfig, RulesConfig
from courier.config.profiles import ChecksConfig, ExpectationConfig, SourceConfig
from courier.config.run import EngineConfig, RunConfig, StateConfig, TriggerConfig, parse_as_of, parse_release, parse_run_id
from courier.config.sftp import JumpConfig, SftpConfig, SftpKeyConfig, SftpPasswordConfig

__all__ = [
    "DESTINATIONS",
    "POLICIES",
    "AudienceConfig",
    "ChecksConfig",
    "ColumnConfig",
    "ConsentConfig",
    "DedupConfig",
    "DestinationConfig",
    "EngineConfig",
    "EspConfig",
    "ExpectationConfig",
    "ExportConfig",
    "FileConfig",
    "GuardConfig",
    "JumpConfig",
    "LocalConfig",
    "MappingConfig",
    "RowRuleConfig",
    "RulesConfig",
    "RunConfig",
    "S3Config",
    "SegmentConfig",
    "SftpConfig",
    "SftpKeyConfig",
    "SftpPasswordConfig",
    "SourceConfig",
    "StateConfig",
    "SuppressionConfig",
    "SuppressionListConfig",
    "TriggerConfig",
    "in_the_clear",
    "on_this_machine",
    "parse_as_of",
    "parse_release",
    "parse_run_id",
]

DESTINATIONS: dict[str, type[DestinationConfig]] = {
    "local": LocalConfig,
    "s3": S3Config,
    "sftp_password": SftpPasswordConfig,
    "sftp_key": SftpKeyConfig,
}
