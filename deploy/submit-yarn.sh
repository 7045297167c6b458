#!/usr/bin/env bash
# submit-yarn.sh [argument of the job …]: run an activation on YARN, driver and all.
# Start it in an unpacked dist/. Secrets are files that every node mounts, or secrets of AWS Secrets Manager.
# CONF_ARCHIVE: a .zip or .tar.gz of a folder for --config-dir, unpacked beside the driver: give `--config-dir conf`, too.
# SUBMIT_OPTIONS: further options of spark-submit, without blanks in their values, and no --archives: only the last one counts.
# JOB=preflight.py tries the activation out instead.
set -euo pipefail
set -f # a * in SUBMIT_OPTIONS is Spark's
conf=${CONF_ARCHIVE:-}
[ ! -f "$conf" ] || conf=$(realpath "$conf") # else it is an address, such as hdfs://…
cd "$(dirname "$0")/.."
# One attempt: YARN would start a driver that ended with any code but 0 a second time, and compute a held run twice.
exec "${SPARK_HOME:?}/bin/spark-submit" --master yarn --deploy-mode cluster \
  --archives "environment.tar.gz#environment${conf:+,$conf#conf}" \
  --conf spark.pyspark.python=./environment/bin/python \
  --conf spark.yarn.appMasterEnv.PYSPARK_PYTHON=./environment/bin/python \
  --conf spark.yarn.maxAppAttempts=1 \
  ${SUBMIT_OPTIONS:-} "jobs/${JOB:-activate.py}" engine=spark engine.delivery=executors "$@"
