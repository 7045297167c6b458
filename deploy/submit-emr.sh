#!/usr/bin/env bash
# submit-emr.sh CLUSTER_ID s3://bucket/dist [argument of the job …]: copy dist/ to S3 and add a step to an EMR cluster.
# Not tried on EMR. By its release notes, 7.1 and later have Spark 3.5 and, beside Python 3.9, Python 3.11; emr-spark-8.0.0 has
# Spark 4.0 and Python 3.11 to 3.13. The environment has no Python of its own, so build dist/ on a node of that release:
# make dist PYTHON=python3.11
# CONF_ARCHIVE: a .zip or .tar.gz of a folder for --config-dir, copied to S3, too: give `--config-dir conf`.
# SUBMIT_OPTIONS: further options of spark-submit, without blanks in their values, and no --archives: only the last one counts.
# JOB=preflight.py tries the activation out instead.
set -euo pipefail
set -f # a * in SUBMIT_OPTIONS is Spark's
cluster=$1 place=$2 conf=${CONF_ARCHIVE:-} job=jobs/${JOB:-activate.py}
shift 2
[ ! -f "$conf" ] || conf=$(realpath "$conf") # else it is an address, such as s3://…
cd "$(dirname "$0")/.."
aws s3 cp environment.tar.gz "$place/environment.tar.gz"
aws s3 cp "$job" "$place/$job"
if [ -f "$conf" ]; then
  aws s3 cp "$conf" "$place/${conf##*/}"
  conf=$place/${conf##*/}
fi
# One attempt: YARN would start a driver that ended with any code but 0 a second time, and compute a held run twice.
arguments=(spark-submit --deploy-mode cluster
  --archives "$place/environment.tar.gz#environment${conf:+,$conf#conf}"
  --conf spark.pyspark.python=./environment/bin/python
  --conf spark.yarn.appMasterEnv.PYSPARK_PYTHON=./environment/bin/python
  --conf spark.yarn.maxAppAttempts=1
  ${SUBMIT_OPTIONS:-} "$place/$job" engine=spark engine.delivery=executors "$@")
step=$(printf '%s\0' "${arguments[@]}" | python3 -c '
import json, sys
arguments = sys.stdin.read().split("\0")[:-1]
print(json.dumps([{"Type": "CUSTOM_JAR", "Name": "audience-courier", "ActionOnFailure": "CONTINUE", "Jar": "command-runner.jar", "Args": arguments}]))')
exec aws emr add-steps --cluster-id "$cluster" --steps "$step"
