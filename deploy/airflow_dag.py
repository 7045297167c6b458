"""An activation every night by Airflow's SparkSubmitOperator (apache-airflow-providers-apache-spark).

In DIST: environment.tar.gz and jobs/ of dist/, and conf.zip, a folder for --config-dir with activation/spring.yaml in it (or put that
file into conf/ before `make dist`, and leave conf.zip and --config-dir out). spark-submit here, and the cluster, read s3a: both need
hadoop-aws of their Hadoop's version, and its AWS SDK.

The run's id is made of the logical date: clear the task to start a run that broke off again, and it goes on and sends nothing twice.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG

DIST = "s3a://courier-dist"
PYTHON = "./environment/bin/python"

with DAG(
    dag_id="audience_courier_spring",
    schedule="30 2 * * *",
    start_date=datetime(2026, 11, 1),  # noqa: DTZ001  Airflow takes it in the zone that it is set to
    catchup=False,
    max_active_runs=1,
    # YARN says of every failure only that it was one. What is held, wrongly configured or without its source would be computed and
    # fail again; errors that pass are tried again by the run itself (destination.attempts, spark.task.maxFailures).
    default_args={"retries": 0},
) as dag:
    SparkSubmitOperator(
        task_id="activate",
        conn_id="spark_yarn",  # master yarn, deploy mode cluster
        application=f"{DIST}/jobs/activate.py",
        archives=f"{DIST}/environment.tar.gz#environment,{DIST}/conf.zip#conf",
        conf={
            "spark.pyspark.python": PYTHON,
            "spark.yarn.appMasterEnv.PYSPARK_PYTHON": PYTHON,
            "spark.yarn.maxAppAttempts": "1",  # for the same reason as no retries
        },
        application_args=[
            "activation=spring",
            "--config-dir=conf",
            "engine=spark",
            "engine.delivery=executors",
            "source.path=s3://crm/profiles",
            "state=s3",
            "state.path=s3://crm/courier-state",
            "run_id=spring-{{ ds_nodash }}",
            "as_of={{ ts }}",
            "destination.password_secret='prod/crm#password'",
        ],
    )
