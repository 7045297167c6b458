#!/usr/bin/env bash
# submit-yarn.sh [argument of the job …]: run an activation on YARN, driver and all.
# Start it in an unpacked dist/. Secrets are files that every node mounts, or secrets of AWS Secrets Manager.
set -euo pipefail
cd "$(dirname "$0")/.."
exec "${SPARK_HOME:?}/bin/spark-submit" --master yarn --deploy-mode cluster --archives environment.tar.gz#environment \
  --conf spark.pyspark.python=./environment/bin/python \
  --conf spark.yarn.appMasterEnv.PYSPARK_PYTHON=./environment/bin/python \
  ${SUBMIT_OPTIONS:-} jobs/activate.py engine=spark engine.delivery=executors "$@"
