"""What everyone writes with PySpark: filter, deduplicate, order, `df.write.csv`, then paramiko's `put`; or koheesio's writer.

python pyspark_sftp.py JSON      keys: profiles as_of segments out koheesio; host port username key password inbox
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from columns import COLUMNS
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812  as everyone writes it


def rows(profiles: DataFrame, segment: str, as_of: str) -> DataFrame:
    membership = F.col("segmentMembership")["ups"][segment]
    shown = profiles.select(*[F.col(path).alias(name) for name, path in COLUMNS.items()], membership.alias("membership"))
    valid = F.col("membership.validUntil").isNull() | (F.col("membership.validUntil") > F.lit(as_of).cast("timestamp"))
    members = shown.where(F.col("membership.status").isin("realized", "existing") & valid & (F.trim("email") != ""))
    others = [F.col(name).asc_nulls_last() for name in COLUMNS if name != "email"]
    latest = Window.partitionBy("email").orderBy(F.col("membership.lastQualificationTime").desc_nulls_last(), *others)
    return members.withColumn("n", F.row_number().over(latest)).where("n = 1").select(*COLUMNS).orderBy("email")


def put(asked: dict, frame: DataFrame, number: int) -> None:
    import paramiko

    folder = Path(asked["out"]) / f"spark-{number}"
    frame.coalesce(1).write.csv(f"file://{folder}", header=True, escape='"')
    (part,) = folder.glob("part-*.csv")
    transport = paramiko.Transport((asked["host"], asked["port"]))
    transport.connect(username=asked["username"], pkey=paramiko.Ed25519Key.from_private_key_file(asked["key"]))
    paramiko.SFTPClient.from_transport(transport).put(str(part), f"{asked['inbox']}/{number}.csv")
    transport.close()


def send_with_koheesio(asked: dict, frame: DataFrame, number: int) -> None:
    from koheesio.integrations.spark.sftp import SendCsvToSftp

    SendCsvToSftp(
        df=frame,
        host=asked["host"],
        port=asked["port"],
        username=asked["username"],
        password=asked["password"],
        path=asked["inbox"],
        file_name=f"{number}.csv",
        header=True,
        sep=",",
        quote='"',
    ).execute()


def main() -> None:
    asked = json.loads(sys.argv[1])
    builder = SparkSession.builder.master("local[*]").config("spark.driver.memory", os.environ.get("SPARK_MEMORY", "4g"))
    builder = builder.config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
    # Without these two, toPandas takes minutes, or refuses.
    builder = builder.config("spark.sql.execution.arrow.pyspark.enabled", "true").config("spark.driver.maxResultSize", "0")
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    profiles = spark.read.parquet(asked["profiles"])
    deliver = send_with_koheesio if asked["koheesio"] else put
    for number, segment in enumerate(asked["segments"]):
        deliver(asked, rows(profiles, segment, asked["as_of"]), number)
    spark.stop()


if __name__ == "__main__":
    main()
