"""A deployed copy of the tool beside a cluster, with servers to read from and to deliver to."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aws_server import AwsServer
from clusters import Cluster, Submitted, start
from servers import S3Server, SftpServer

STATE_BUCKET = "courier-state"
AS_OF = "2026-11-01T00:00:00Z"


@dataclass
class Site:
    """A deployed copy, its servers, and the secrets as files that all machines mount."""

    cluster: Cluster
    folder: Path
    s3: S3Server
    aws: AwsServer  # the state store: rclone makes a file of what s3a means as a folder
    server: SftpServer
    secrets: dict[str, Path]
    jars: list[str]
    inbox: Path
    remote_inbox: str
    started: list[Submitted] = field(default_factory=list)

    def keys(self, group: str) -> list[str]:
        login = {"access_key_id_file": self.secrets["id"], "secret_access_key_file": self.secrets["key"]}
        place = {"endpoint_url": self.aws.endpoint_url if group == "state" else self.s3.endpoint_url, "region": "us-east-1", **login}
        return [f"{group}.{key}={value}" for key, value in place.items()]

    def values(self) -> dict[str, str]:
        """The secrets themselves, which nothing may show. S3's access key id is no secret, but is kept as one."""
        return {name: path.read_text().strip() for name, path in self.secrets.items()}

    def arguments(self, run_id: str, *overrides: str) -> list[str]:
        """Profiles and state in the bucket; the rest as a test says, and as the scripts do: Spark, and delivery by executors."""
        source = [f"source.path=s3://{self.s3.bucket}/profiles", *self.keys("source")]
        state = ["state=s3", f"state.path=s3://{STATE_BUCKET}/{self.inbox.name}", *self.keys("state")]
        common = ["activation=demo", "checks=none", "file.max_rows=1000", f"as_of={AS_OF}", f"run_id={run_id}", "file.name=members"]
        return [*common, *source, *state, *overrides]

    def to_sftp(self, port: int | None = None) -> list[str]:
        fixed = {"host": self.server.host, "port": port or self.server.port, "username": self.server.username, "path": self.remote_inbox}
        trust = {"host_key_fingerprint": self.server.host_key_fingerprint, "password_file": self.secrets["password"]}
        return ["destination=sftp_password", *[f"destination.{key}={value}" for key, value in {**fixed, **trust}.items()]]

    def to_s3(self, prefix: str) -> list[str]:
        return ["destination=s3", f"destination.bucket={self.s3.bucket}", f"destination.path={prefix}", *self.keys("destination")]

    def submit(self, *arguments: str, master: str | None = None, hadoop: Path | None = None, **settings: str) -> Submitted:
        """With the scripts of deploy/, as a user does. `hadoop` (the folder of Hadoop's configuration) means YARN. In capitals: a
        variable; else a setting, with two underscores for a dot.
        """
        variables = {name: value for name, value in settings.items() if name.isupper()}
        wanted = {
            "spark.driver.extraClassPath": ":".join(self.jars),
            "spark.executor.extraClassPath": ":".join(self.jars),
            "spark.driver.memory": "1g",
            "spark.executor.memory": "1g",
            "spark.sql.shuffle.partitions": "4",
            "spark.ui.enabled": "false",
            **{name.replace("__", "."): value for name, value in settings.items() if name not in variables},
        }
        variables["SUBMIT_OPTIONS"] = " ".join(f"--conf {name}={value}" for name, value in wanted.items())
        script, before = ("submit-standalone.sh", [master or self.cluster.master])
        if hadoop:
            variables["HADOOP_CONF_DIR"] = str(hadoop)
            script, before = "submit-yarn.sh", []
        started = start([str(self.folder / "deploy" / script), *before, *arguments], self.folder.parent, **variables)
        self.started.append(started)
        return started

    def record(self, run_id: str) -> dict[str, Any]:
        answer = self.aws.client.get_object(Bucket=STATE_BUCKET, Key=f"{self.inbox.name}/runs/{run_id}/record.json")
        content: dict[str, Any] = json.loads(answer["Body"].read())
        return content

    def stored(self) -> list[str]:
        """The keys of all that the state store holds, without `<inbox>/`."""
        listed = self.aws.client.list_objects_v2(Bucket=STATE_BUCKET, Prefix=f"{self.inbox.name}/")
        return [each["Key"].removeprefix(f"{self.inbox.name}/") for each in listed.get("Contents", [])]

    def delivered(self) -> dict[str, bytes]:
        """All that is in the inbox, hidden files too."""
        found: dict[str, bytes] = {}
        for path in self.inbox.iterdir():
            with contextlib.suppress(FileNotFoundError):  # it has just been published, or taken away
                found[path.name] = path.read_bytes()
        return found
