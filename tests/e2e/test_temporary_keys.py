"""Keys that expire bring a session token along: whoever asks S3, for profiles, state or files, sends it with each request."""

from __future__ import annotations

from pathlib import Path

from activation import activate
from aws_server import aws_server
from faulty_proxy import faulty_proxy
from xdm_profiles import profile, write_profiles

KEYS = {"TEMPORARY_ID": "ASIA1", "TEMPORARY_KEY": "a secret key", "TEMPORARY_TOKEN": "a token that expires"}


def test_every_request_of_a_run_has_the_session_token(tmp_path: Path) -> None:
    rows = [profile(email="ann@example.com", segments={"ups": {"a": ("realized", "2026-01-01T00:00:00Z", None)}})]
    (file,) = write_profiles(tmp_path / "rows", rows).glob("*.parquet")
    with aws_server("everything") as server, faulty_proxy(server.endpoint_url) as proxy:
        server.client.upload_file(str(file), "everything", "profiles/part.parquet")
        places = ["source.path=s3://everything/profiles", "state=s3", "state.path=s3://everything/state"]
        places += ["destination=s3", "destination.bucket=everything", "destination.path=out"]
        for group in ("source", "state", "destination"):
            places += [f"{group}.endpoint_url={proxy.url}", f"{group}.region=us-east-1", f"{group}.session_token_env=TEMPORARY_TOKEN"]
            places += [f"{group}.access_key_id_env=TEMPORARY_ID", f"{group}.secret_access_key_env=TEMPORARY_KEY"]
        job = activate(tmp_path, *places, "audience.segments=[a]", "file.name=members", **KEYS).succeeded()
        assert server.client.get_object(Bucket="everything", Key="out/members.csv")["Body"].read().startswith(b"email")
    asked = {folder for folder in ("profiles/", "state/", "out/") if any(folder in request for request in proxy.requests)}
    assert asked == {"profiles/", "state/", "out/"}
    without = [request for request, token in zip(proxy.requests, proxy.session_tokens, strict=True) if token != KEYS["TEMPORARY_TOKEN"]]
    assert without == []
    assert KEYS["TEMPORARY_TOKEN"] not in job.stdout + job.stderr
