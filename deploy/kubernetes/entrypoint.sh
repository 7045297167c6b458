#!/usr/bin/env bash
# What Spark asks of an image on Kubernetes: it starts a driver as `driver` with arguments for spark-submit, and an executor as
# `executor`, which has its arguments in variables. Anything else is run as it is. (The pyspark package brings Spark, and no such file.)
set -euo pipefail
case ${1:-} in
  driver)
    shift
    command=("$SPARK_HOME/bin/spark-submit" --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" --deploy-mode client "$@")
    ;;
  executor)
    options=()
    while
      option=SPARK_JAVA_OPT_${#options[@]} # one a variable: _0, _1, …
      [ -n "${!option+set}" ]
    do options+=("${!option}"); done
    classes=${SPARK_CONF_DIR:-$SPARK_HOME/conf}:${HADOOP_CONF_DIR:+$HADOOP_CONF_DIR:}${SPARK_CLASSPATH:+$SPARK_CLASSPATH:}$SPARK_HOME/jars/*
    command=(java "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" -cp "$classes"
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend
      --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES"
      --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP"
      --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME")
    ;;
  *) command=("$@") ;;
esac
# It passes signals on, ends with the command's exit code, and clears away processes that Python's workers leave.
exec tini -s -- "${command[@]}"
