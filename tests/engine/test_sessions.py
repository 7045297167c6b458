"""Engines that are opened and closed: what they are given, and what they leave alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from courier.config import EngineConfig, SourceConfig
from courier.engine import open_engine

#: For new processes: as it was before any engine was open in this one, which sets variables of its own.
SHELL = dict(os.environ)


def test_sail_sees_the_keys_of_the_source_and_nothing_of_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "id of the source")
    monkeypatch.setenv("SECRET", "secret of the source")
    own = {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "mine", "AWS_SESSION_TOKEN": "mine", "AWS_PROFILE": "mine"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    source = SourceConfig("s3://profiles/daily", access_key_id_env="KEY", secret_access_key_env="SECRET")
    with open_engine(EngineConfig(), source):
        assert [os.environ.get(name) for name in own] == ["id of the source", "secret of the source", None, None]
    assert {name: os.environ.get(name) for name in own} == own


@pytest.mark.skipif(shutil.which("java") is None and "JAVA_HOME" not in os.environ, reason="Spark needs Java")
def test_no_secret_is_on_the_command_line_that_starts_java_and_spark_has_it_all_the_same() -> None:
    environment = {**SHELL, "KEY": "Hunter2-id", "SECRET": "Hunter2-of-the-source"}
    program = """
from contextlib import suppress
from pathlib import Path
from courier.config import EngineConfig, SourceConfig
from courier.engine import open_engine
source = SourceConfig("s3://profiles/daily", access_key_id_env="KEY", secret_access_key_env="SECRET")
config = EngineConfig("spark", master="local[1]", driver_memory="613m", settings={"spark.ssl.keyPassword": "Hunter2-of-mine"})
with open_engine(config, source) as engine:
    java = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            java += [line for line in [path.read_bytes()] if b"spark.driver.memory=613m" in line]
    print(len(java), any(b"Hunter2" in line for line in java))
    conf = engine.session.sparkContext.getConf()
    for name in ("hadoop.fs.s3a.bucket.profiles.secret.key", "ssl.keyPassword", "master", "driver.memory"):
        print(conf.get(f"spark.{name}"))
"""
    done = subprocess.run([sys.executable, "-"], input=program, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False", "Hunter2-of-the-source", "Hunter2-of-mine", "local[1]", "613m"]


def test_ctrl_c_ends_a_run_while_sail_computes_and_not_sail_before_it() -> None:
    """Without its server the client would try for ten minutes to end the session."""
    code = """if True:
        import os, signal, time
        from courier.config import EngineConfig, SourceConfig
        from courier.engine import open_engine
        try:
            with open_engine(EngineConfig(), SourceConfig("profiles")) as engine:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(10)
        except KeyboardInterrupt:
            with open_engine(EngineConfig(), SourceConfig("profiles")) as engine:  # as in a notebook's next cell
                try:
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(10)
                except KeyboardInterrupt:
                    time.sleep(1)
                    print(engine.session.range(3).count())
    """
    done = subprocess.run([sys.executable, "-c", code], env=SHELL, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "3\n", done.stderr


def test_a_session_of_the_notebook_is_neither_used_nor_stopped() -> None:
    code = """if True:
        from pysail.spark import SparkConnectServer
        from pyspark.sql import SparkSession
        from courier.config import EngineConfig, SourceConfig
        from courier.engine import open_engine
        server = SparkConnectServer("127.0.0.1", 0)
        server.start(background=True)
        mine = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
        mine.conf.set("spark.sql.session.timeZone", "Europe/Paris")
        for _ in range(2):
            with open_engine(EngineConfig(), SourceConfig("profiles")) as engine:
                print(engine.session is mine, engine.session.conf.get("spark.sql.session.timeZone"), engine.session.range(3).count())
        print(mine.is_stopped, mine.conf.get("spark.sql.session.timeZone"), mine.range(2).count())
    """
    done = subprocess.run([sys.executable, "-c", code], env=SHELL, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["False UTC 3", "False UTC 3", "False Europe/Paris 2"], done.stderr


@pytest.mark.skipif(shutil.which("java") is None and "JAVA_HOME" not in os.environ, reason="Spark needs Java")
def test_a_spark_that_a_notebook_has_open_is_used_in_a_session_of_its_own_and_goes_on() -> None:
    code = """if True:
        from pyspark.sql import SparkSession
        from courier.config import EngineConfig, SourceConfig
        from courier.engine import open_engine
        mine = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
        mine.conf.set("spark.sql.session.timeZone", "Europe/Paris")
        for _ in range(2):
            with open_engine(EngineConfig("spark"), SourceConfig("s3://crm/daily", "eu-north-1")) as engine:
                print(engine.session is mine, engine.session.conf.get("spark.sql.session.timeZone"), engine.session.range(3).count())
                hadoop = engine.session._jsparkSession.sessionState().newHadoopConf()
                print(hadoop.get("fs.s3a.bucket.crm.endpoint.region"))
        print(mine.conf.get("spark.sql.session.timeZone"), mine.range(2).count())
    """
    done = subprocess.run([sys.executable, "-c", code], env=SHELL, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout.splitlines() == [*["False UTC 3", "eu-north-1"] * 2, "Europe/Paris 2"], done.stderr


@pytest.mark.parametrize(
    "variables",
    [{"http_proxy": "http://127.0.0.1:9", "no_proxy": "example.com"}, {"SPARK_CONNECT_AUTHENTICATE_TOKEN": "of-another-server"}],
    ids=["a proxy", "a token"],
)
def test_what_a_shell_has_for_other_servers_does_not_keep_the_client_from_sail(variables: dict[str, str]) -> None:
    """It would try for ten minutes, by the proxy or with TLS."""
    code = """if True:
        import os
        from courier.config import EngineConfig, SourceConfig
        from courier.engine import open_engine
        with open_engine(EngineConfig(), SourceConfig("profiles")) as engine:
            print(engine.session.range(3).count())
        print(os.environ.get("no_grpc_proxy"), os.environ.get("SPARK_CONNECT_AUTHENTICATE_TOKEN"))
    """
    environment = {**SHELL, **variables}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["3", f"None {variables.get('SPARK_CONNECT_AUTHENTICATE_TOKEN')}"], done.stderr


def test_two_threads_open_sail_one_after_the_other_each_with_its_own_keys() -> None:
    """Sail is told by variables of the process; who opened it between them would read with the other's, and leave them behind."""
    code = """if True:
        import os, threading
        from courier.config import EngineConfig, SourceConfig
        from courier.engine import open_engine
        os.environ.update({"A": "of a", "B": "of b"})
        both, seen = threading.Barrier(2, timeout=5), {}
        def opens(name):
            with open_engine(EngineConfig(), SourceConfig("profiles", access_key_id_env=name, secret_access_key_env=name)) as engine:
                try:
                    both.wait()  # in vain, but where both are open at once
                except threading.BrokenBarrierError:
                    pass
                seen[name] = os.environ["AWS_ACCESS_KEY_ID"], engine.session.range(3).count()
        threads = [threading.Thread(target=opens, args=(name,)) for name in "AB"]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(sorted(seen.items()), "AWS_SECRET_ACCESS_KEY" in os.environ)
    """
    done = subprocess.run([sys.executable, "-c", code], env=SHELL, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "[('A', ('of a', 3)), ('B', ('of b', 3))] False\n", done.stderr


@pytest.mark.skipif(shutil.which("java") is None and "JAVA_HOME" not in os.environ, reason="Spark needs Java")
def test_files_of_this_machine_are_read_where_hadoop_is_configured_for_hdfs(tmp_path: Path) -> None:
    """As on a node of a cluster, where HADOOP_CONF_DIR is set; the same path may be another file there."""
    file = tmp_path / "hour=10%3A00" / "a b.parquet"
    file.parent.mkdir()
    pq.write_table(pa.table({"n": [1, 2, 3]}), file)
    (tmp_path / "core-site.xml").write_text(
        "<configuration><property><name>fs.defaultFS</name><value>hdfs://nowhere.invalid:8020</value></property></configuration>"
    )
    code = f"""if True:
        from courier.config import EngineConfig, SourceConfig
        from courier.engine import open_engine
        with open_engine(EngineConfig("spark", master="local[1]"), SourceConfig("profiles")) as engine:
            print(engine.session.read.parquet(engine.path({str(file)!r})).count())
    """
    environment = {**SHELL, "HADOOP_CONF_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout == "3\n", done.stderr


def test_a_spark_that_does_not_start_is_answered_with_the_variables_that_may_be_of_another() -> None:
    environment = {**{name: value for name, value in SHELL.items() if name != "JAVA_HOME"}, "SPARK_HOME": "/nowhere"}
    code = """if True:
        from courier.config import EngineConfig, SourceConfig
        from courier.engine import open_engine
        try:
            with open_engine(EngineConfig("spark"), SourceConfig("profiles")):
                pass
        except Exception as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "unset SPARK_HOME" in done.stdout, done.stderr
    assert "JAVA_HOME" not in done.stdout
