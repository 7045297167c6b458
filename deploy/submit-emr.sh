#!/usr/bin/env bash
# submit-emr.sh CLUSTER_ID s3://bucket/dist [argument of the job …]: copy dist/ to S3 and add a step to an EMR cluster.
# EMR's nodes need the Python that the environment was built with, at the same path: build dist/ on a node of that release.
set -euo pipefail
cluster=$1 place=$2
shift 2
cd "$(dirname "$0")/.."
aws s3 cp environment.tar.gz "$place/environment.tar.gz"
aws s3 cp jobs/activate.py "$place/jobs/activate.py"
arguments=(spark-submit --deploy-mode cluster --archives "$place/environment.tar.gz#environment"
  --conf spark.pyspark.python=./environment/bin/python
  --conf spark.yarn.appMasterEnv.PYSPARK_PYTHON=./environment/bin/python
  "$place/jobs/activate.py" engine=spark engine.delivery=executors "$@")
step=$(printf '%s\0' "${arguments[@]}" | python3 -c '
import json, sys
arguments = sys.stdin.read().split("\0")[:-1]
print(json.dumps([{"Type": "CUSTOM_JAR", "Name": "audience-courier", "ActionOnFailure": "CONTINUE", "Jar": "command-runner.jar", "Args": arguments}]))')
exec aws emr add-steps --cluster-id "$cluster" --steps "$step"
