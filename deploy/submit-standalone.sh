#!/usr/bin/env bash
# submit-standalone.sh MASTER [argument of the job …]: run an activation on a Spark standalone cluster, in client mode.
# Start it in an unpacked dist/. Standalone clusters have no cluster mode for Python. The driver is this machine, and alone reads
# --config-dir. The exit code is the job's own. SUBMIT_OPTIONS: further options of spark-submit, without blanks in their values.
# JOB=preflight.py tries the activation out instead.
set -euo pipefail
set -f # a * in SUBMIT_OPTIONS is Spark's
master=$1
shift
cd "$(dirname "$0")/.."
# The driver's own copy is named after what it was made of: after an upgrade it is another, and a driver that still runs keeps
# its files. It has that name only when it is whole.
sum=$(sha256sum environment.tar.gz)
environment=environment-${sum:0:16}
if [ ! -d "$environment" ]; then
  new=$(mktemp -d "$PWD/.environment-XXXXXX")
  trap 'rm -rf "$new"' EXIT
  tar -xzf environment.tar.gz -C "$new"
  chmod 755 "$new"
  mv -T "$new" "$environment" 2>/dev/null || [ -d "$environment" ] # or another submission was faster
  rm -rf "$new"
  trap - EXIT
fi
export PYSPARK_DRIVER_PYTHON=./$environment/bin/python PYSPARK_PYTHON=./environment/bin/python
exec "${SPARK_HOME:?}/bin/spark-submit" --master "$master" --archives environment.tar.gz#environment \
  ${SUBMIT_OPTIONS:-} "jobs/${JOB:-activate.py}" engine=spark engine.delivery=executors "$@"
