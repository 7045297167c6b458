"""What a data engineer writes with DuckDB: one COPY for each audience, then OpenSSH's `sftp`. With "checks", it is judged before.

python duckdb_sftp.py JSON      keys: profiles as_of segments out checks; host port username key known_hosts inbox
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
from columns import COLUMNS

OTHERS = ", ".join(name for name in COLUMNS if name != "email")
# The expectations of conf/checks/email.yaml.
CHECKS = r"""
select count(*) >= 1,
       count(*) = count(email),
       count(distinct email) = count(email),
       count(*) filter (not regexp_matches(email, '^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$')) = 0,
       count(*) filter (length(email) not between 3 and 254) = 0,
       count(*) filter (not regexp_matches(birthday, '^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$')) = 0,
       count(*) filter (not regexp_matches(phone, '^\+?[0-9][0-9 ().x/-]{4,30}$')) = 0,
       count(*) filter (length(first_name) > 100) = 0,
       count(*) filter (length(last_name) > 100) = 0
from audience
"""


def rows(profiles: str, segment: str, as_of: str) -> str:
    shown = ", ".join(f"{path} as {name}" for name, path in COLUMNS.items())
    return f"""
      select {", ".join(COLUMNS)}
      from (select {shown}, segmentMembership['ups']['{segment}'] as membership from '{profiles}/*.parquet')
      where membership.status in ('realized', 'existing')
        and (membership.validUntil is null or membership.validUntil > timestamptz '{as_of}')
        and trim(email) <> ''
      qualify row_number() over (partition by email order by membership.lastQualificationTime desc nulls last, {OTHERS}) = 1
      order by email
    """


def main() -> None:
    asked = json.loads(sys.argv[1])
    out = Path(asked["out"])
    connection = duckdb.connect()
    connection.sql(f"set threads = {os.cpu_count()}")
    for number, segment in enumerate(asked["segments"]):
        query = rows(asked["profiles"], segment, asked["as_of"])
        if asked["checks"]:
            connection.sql(f"create or replace temp table audience as {query}")
            verdicts = connection.sql(CHECKS).fetchall()[0]
            if not all(verdicts):
                sys.exit(f"checks failed: {verdicts}")
            query = "from audience"
        connection.sql(f"copy ({query}) to '{out / f'{number}.csv'}' (header, delimiter ',')")
    batch = out / "batch"
    batch.write_text("".join(f"put {out / f'{number}.csv'} {asked['inbox']}\n" for number in range(len(asked["segments"]))))
    options = ["-o", f"UserKnownHostsFile={asked['known_hosts']}", "-o", "StrictHostKeyChecking=yes", "-i", asked["key"]]
    where = f"{asked['username']}@{asked['host']}"
    subprocess.run(["sftp", "-q", "-P", str(asked["port"]), *options, "-b", str(batch), where], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
