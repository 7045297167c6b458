"""An activation every night by Airflow's SparkSubmitOperator (apache-airflow-providers-apache-spark).

The run's id is made of the logical date, so that Airflow's retry of a task goes on with the same run and sends nothing twice.
"""

from __future__ import annotations

from datetime import datetime, timedelta

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
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10)},
) as dag:
    SparkSubmitOperator(
        task_id="activate",
        conn_id="spark_yarn",  # master yarn, deploy mode cluster
        application=f"{DIST}/jobs/activate.py",
        archives=f"{DIST}/environment.tar.gz#environment",
        conf={"spark.pyspark.python": PYTHON, "spark.yarn.appMasterEnv.PYSPARK_PYTHON": PYTHON},
        application_args=[
            "activation=spring",
            "engine=spark",
            "engine.delivery=executors",
            "run_id=spring-{{ ds_nodash }}",
            "as_of={{ ts }}",
            "destination.password_secret='prod/crm#password'",
        ],
    )
