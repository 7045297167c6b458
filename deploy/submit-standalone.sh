#!/usr/bin/env bash
# submit-standalone.sh MASTER [argument of the job …]: run an activation on a Spark standalone cluster, in client mode.
# Start it in an unpacked dist/. Standalone clusters have no cluster mode for Python.
set -euo pipefail
master=$1
shift
cd "$(dirname "$0")/.."
if [ ! -x environment/bin/python ]; then
  mkdir -p environment
  tar -xzf environment.tar.gz -C environment
fi
export PYSPARK_DRIVER_PYTHON=./environment/bin/python PYSPARK_PYTHON=./environment/bin/python
exec "${SPARK_HOME:?}/bin/spark-submit" --master "$master" --archives environment.tar.gz#environment \
  ${SUBMIT_OPTIONS:-} jobs/activate.py engine=spark engine.delivery=executors "$@"
