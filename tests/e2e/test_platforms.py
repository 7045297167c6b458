"""Hostile profiles to each platform: exact bytes, which a reader of the platform's documented format takes, and what is told of them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from activation import Job, activate, command, run_job
from platform_loaders import LOADERS, Refused, Row
from xdm_profiles import PROFILE_SCHEMA, profile, write_profiles

GOLDEN = Path(__file__).parents[1] / "fixtures" / "platforms"
MEMBER = {"ups": {"seg-a": ("realized", "2026-01-01T00:00:00Z", None)}}
SEGMENT = "audience.segments=[{id: seg-a, name: vip}]"
NAMES = {
    "adobe_campaign": "vip_20261101_000000.txt",
    "salesforce_marketing_cloud": "vip_20261101.csv",
    "oracle_eloqua": "vip.csv",
    "oracle_responsys": "vip.csv",
}
LONG_ADDRESS = f"{'a' * 60}@{'b' * 60}.{'c' * 30}.com"


def member(email: str | None, number: int | None, **columns: Any) -> dict[str, Any]:
    return profile(email=email, segments=MEMBER, loyalty_ids=None if number is None else [f"{number:04d}"], **columns)


HOSTILE = [
    member("a@example.com", 1, first_name='Comma, "quote"\ttab', last_name="line\r\nend", city="é😀, \u00a0x", postal_code="01234"),
    member("b@example.com", 2, first_name="å" * 300, last_name="=SUM(A1)", phone="+46 (0)70-123 45 67", birthday="02-29"),
    member("\u00a0c@example.com ", 3, first_name="-1", last_name="@x", phone="0046701234567", birthday="13-01"),
    member("d\u00a0d@example.com", 4),
    member("e@example.com", 5, first_name="", last_name=None, phone="0701234567", postal_code="00501", state="A;B|C"),
    member(LONG_ADDRESS, 6),
    member("g@example.com", None, first_name="No id", consent="LI"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_profiles(tmp_path / "profiles", HOSTILE)
    return tmp_path


def loaded(job: Job, name: str) -> list[Row]:
    content = job.delivered()[NAMES[name]]
    if name != "salesforce_marketing_cloud":
        return LOADERS[name](content)
    definition = json.loads((job.folder / "state/runs/run-1/artefacts/vip.dataExtension-meta.json").read_text())
    return LOADERS[name](content, definition)


@pytest.mark.parametrize("engine", ["sail", "spark"])
@pytest.mark.parametrize("name", NAMES)
def test_hostile_profiles_become_exactly_these_bytes(folder: Path, name: str, engine: str) -> None:
    job = activate(folder, SEGMENT, f"esp={name}", f"engine={engine}").succeeded(quiet=False)
    assert job.delivered()[NAMES[name]] == (GOLDEN / name / NAMES[name]).read_bytes()
    rows = loaded(job, name)
    assert len(rows) == job.record()["audiences"][0]["counts"]["exported"]


@pytest.mark.parametrize(
    ("name", "exported", "findings"),
    [
        (
            "adobe_campaign",
            7,
            {("email", "sent as they are"): 2, ("length", "sent as they are"): 2, ("phone", "changed"): 2}
            | {("phone", "sent as they are"): 1, ("birthday", "changed"): 1},
        ),
        (
            "salesforce_marketing_cloud",
            5,
            {("email", "changed"): 1, ("email", "left out"): 1, ("length", "changed"): 1, ("phone", "changed"): 2}
            | {("phone", "sent as they are"): 1, ("birthday", "changed"): 1},
        ),
        (
            "oracle_eloqua",
            5,
            {("email", "changed"): 1, ("email", "left out"): 1, ("length", "left out"): 1, ("length", "changed"): 1}
            | {("phone", "changed"): 2, ("phone", "sent as they are"): 1, ("birthday", "changed"): 1},
        ),
        (
            "oracle_responsys",
            7,
            {("email", "changed"): 1, ("email", "sent as they are"): 1, ("length", "changed"): 1, ("phone", "changed"): 2}
            | {("phone", "sent as they are"): 1, ("birthday", "changed"): 1},
        ),
    ],
)
def test_the_record_says_of_each_rule_how_many_rows_and_what_happened(
    folder: Path, name: str, exported: int, findings: dict[tuple[str, str], int]
) -> None:
    job = activate(folder, SEGMENT, f"esp={name}").succeeded()
    record = job.record()
    assert record["audiences"][0]["counts"]["exported"] == exported
    found: dict[tuple[str, str], int] = {}
    for entry in record["esp"]["rules"]:
        assert entry["source"]
        if entry["rows"]:
            key = (entry["rule"], entry["happened"])
            found[key] = found.get(key, 0) + entry["rows"]
            assert f"{entry['rule']} of {entry['column']}" in job.stdout
            assert entry["source"] in job.stdout
    assert found == findings
    assert record["esp"]["platform"] == name


def test_values_are_what_they_should_be_on_the_other_side(folder: Path) -> None:
    job = activate(folder, SEGMENT, "esp=salesforce_marketing_cloud").succeeded()
    rows = {row["SubscriberKey"]: row for row in loaded(job, "salesforce_marketing_cloud")}
    assert sorted(rows) == ["0001", "0002", "0003", "0005", "0006"]
    assert (rows["0001"]["FirstName"], rows["0001"]["LastName"]) == ('Comma, "quote"\ttab', "line\r\nend")
    assert (rows["0001"]["PostalCode"], rows["0001"]["City"]) == ("01234", "é😀, \u00a0x")
    assert (rows["0002"]["FirstName"], rows["0002"]["MobilePhone"], rows["0002"]["BirthDayMonth"]) == ("å" * 100, "46701234567", "02-29")
    assert (rows["0003"]["EmailAddress"], rows["0003"]["MobilePhone"], rows["0003"]["BirthDayMonth"]) == (
        "c@example.com",
        "46701234567",
        "",
    )


def test_the_permission_of_responsys_is_what_the_profile_has_said(folder: Path) -> None:
    job = activate(folder, SEGMENT, "esp=oracle_responsys").succeeded()
    rows = {row["CUSTOMER_ID_"]: row["EMAIL_PERMISSION_STATUS_"] for row in loaded(job, "oracle_responsys")}
    assert rows == {"0001": "I", "0002": "I", "0003": "I", "0004": "I", "0005": "I", "0006": "I", "": ""}
    assert job.delivered()["vip.csv.ready"] == b"7"


def test_a_permission_that_is_neither_is_left_out(folder: Path) -> None:
    other = [
        "mapping.columns.EMAIL_PERMISSION_STATUS_.expression=null",
        "mapping.columns.EMAIL_PERMISSION_STATUS_.source=consents.marketing.email.val",
    ]
    job = activate(
        folder, SEGMENT, "esp=oracle_responsys", other[0].replace("null", "''"), f"+{other[1]}", "file.on_empty=header"
    ).succeeded()
    assert job.record()["audiences"][0]["counts"]["rejected_by"] == {"esp_value_EMAIL_PERMISSION_STATUS_": 7}
    assert loaded(job, "oracle_responsys") == []


def test_policies_decide_what_happens_to_rows_that_break_a_rule(folder: Path) -> None:
    rejecting = ["esp.policies.length=reject", "esp.policies.phone=reject", "esp.policies.birthday=reject"]
    job = activate(folder, SEGMENT, "esp=oracle_eloqua", *rejecting).succeeded()
    assert [row["EmailAddress"] for row in loaded(job, "oracle_eloqua")] == ["a@example.com", "g@example.com"]
    held = activate(folder, SEGMENT, "esp=oracle_eloqua", "esp.policies.length=fail", run_id="run-2", as_of="2026-11-02T00:00:00Z")
    assert held.code == 3
    assert "esp_length_FirstName by 1 rows" in held.stderr
    warned = activate(
        folder, SEGMENT, "esp=oracle_eloqua", "esp.policies.length=warn", run_id="run-3", as_of="2026-11-03T00:00:00Z"
    ).succeeded()
    with pytest.raises(Refused, match="more than 100 characters"):
        LOADERS["oracle_eloqua"](warned.delivered()["vip.csv"])


def test_dates_are_written_as_the_platform_reads_them(tmp_path: Path) -> None:
    joined: dict[str, Any] = {"loyaltyID": ["1"], "tier": None, "points": 7, "joinDate": "2026-05-01T10:20:30.123000+00:00"}
    joined["joinDate"] = datetime.fromisoformat(str(joined["joinDate"]))
    write_profiles(tmp_path / "profiles", [profile(email="a@example.com", segments=MEMBER, loyalty=joined)])
    for name, written in {
        "adobe_campaign": b"2026/05/01 10:20:30",
        "salesforce_marketing_cloud": b"2026-05-01 10:20:30Z",
        "oracle_eloqua": b"2026-05-01 10:20:30",
        "oracle_responsys": b"2026-05-01 10:20:30",
    }.items():
        added = ["+mapping.columns.Joined.source=loyalty.joinDate", "+mapping.columns.Points.source=loyalty.points"]
        job = activate(tmp_path, SEGMENT, f"esp={name}", *added, run_id=name, as_of="2026-11-01T00:00:00Z").succeeded()
        (content,) = (text for file, text in job.files().items() if file == NAMES[name])
        line = content.splitlines()[1].replace(b'"', b"")
        assert written in line.split(b"\t" if name == "adobe_campaign" else b",")
        assert ("empty number" in job.stdout) == (name == "adobe_campaign")
        for path in (tmp_path / "out").iterdir():
            path.unlink()


@pytest.mark.parametrize("name", NAMES)
def test_a_column_that_is_no_text_is_not_counted_as_changed(tmp_path: Path, name: str) -> None:
    joined: dict[str, Any] = {
        "loyaltyID": ["1"],
        "tier": None,
        "points": 7,
        "joinDate": datetime.fromisoformat("2026-05-01T10:20:30+00:00"),
    }
    write_profiles(tmp_path / "profiles", [profile(email="a@example.com", segments=MEMBER, loyalty=joined, consent="y")])
    expressions = {
        "POINTS": "loyalty.points",
        "HALF": "cast(loyalty.points * 0.5 as double)",
        "MANY": "loyalty.points > 5",
        "JOINED": "loyalty.joinDate",
        "DAY": "cast(loyalty.joinDate as date)",
    }
    added = [f'+mapping.columns.{column}.expression="{expression}"' for column, expression in expressions.items()]
    job = activate(tmp_path, SEGMENT, f"esp={name}", *added).succeeded()
    assert [entry["row_rule"] for entry in job.record()["esp"]["rules"] if entry["rows"]] == []
    assert job.record()["audiences"][0]["counts"]["noted"] == {}


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    """Members a to e with points, and what a tenth of a tenth of them is."""
    points = [7, None, 10**15 - 1, 10**15, -(10**15)]
    rows = [
        profile(
            email=f"{letter}@example.com", segments=MEMBER, loyalty={"loyaltyID": [letter], "tier": None, "points": each, "joinDate": None}
        )
        for letter, each in zip("abcde", points, strict=True)
    ]
    write_profiles(tmp_path / "profiles", rows)
    return tmp_path


POINTS = "+mapping.columns.Points.source=loyalty.points"


def test_a_number_with_more_digits_than_eloqua_has_is_left_out(numbers: Path) -> None:
    job = activate(numbers, SEGMENT, "esp=oracle_eloqua", POINTS).succeeded()
    assert [(row["EmailAddress"], row["Points"]) for row in loaded(job, "oracle_eloqua")] == [
        ("a@example.com", "7"),
        ("b@example.com", ""),
        ("c@example.com", "999999999999999"),
    ]
    assert job.record()["audiences"][0]["counts"]["rejected_by"] == {"esp_number_Points": 2}
    assert "number of Points (a number of at most 15 digits before the point, and 4 after it): 2 rows left out" in job.stdout


def test_decimals_beyond_eloquas_four_are_left_out_unless_a_format_rounds_them(numbers: Path) -> None:
    share = "cast(cast(loyalty.points as decimal(20,5)) * 0.00001 as decimal(30,5))"
    added = f"+mapping.columns.Share.expression='{share}'"
    job = activate(numbers, SEGMENT, "esp=oracle_eloqua", added).succeeded()
    assert [row["EmailAddress"][0] for row in loaded(job, "oracle_eloqua")] == ["b", "d", "e"]  # 0.00007 and 9999999999.99999 are out
    rounded = activate(numbers, SEGMENT, "esp=oracle_eloqua", added, "+mapping.columns.Share.format='0.0000'", run_id="run-2").succeeded()
    assert [row["EmailAddress"][0] for row in loaded(rounded, "oracle_eloqua")] == ["a", "b", "c", "d", "e"]


def test_a_member_without_a_number_is_left_out_where_campaign_would_take_it_for_an_error(numbers: Path) -> None:
    policy = "esp.policies.empty_number"
    job = activate(numbers, SEGMENT, "esp=adobe_campaign", POINTS, f"{policy}=reject").succeeded()
    assert [row["email"][0] for row in loaded(job, "adobe_campaign")] == ["a", "c", "d", "e"]
    assert job.record()["audiences"][0]["counts"]["rejected_by"] == {"esp_empty_number_Points": 1}
    assert "allows NULL" not in job.stdout
    warned = activate(numbers, SEGMENT, "esp=adobe_campaign", POINTS, run_id="run-2", as_of="2026-11-02T00:00:00Z").succeeded()
    assert "column 'Points': an empty number is an error, unless the column allows NULL in the import" in warned.stdout
    refused = activate(numbers, SEGMENT, "esp=adobe_campaign", POINTS, f"{policy}=fail", run_id="run-3", as_of="2026-11-03T00:00:00Z")
    assert refused.code == 2
    assert "an empty number is an error" in refused.stderr


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("adobe_campaign", "fields|string delimiter"),
        ("salesforce_marketing_cloud", "more than|no address"),
        ("oracle_eloqua", "more than 100|cannot be used"),
        ("oracle_responsys", "without quotes"),
    ],
)
def test_the_same_profiles_without_the_platform_are_what_its_import_refuses(folder: Path, name: str, refusal: str) -> None:
    """The columns alone do not make a file that is taken."""
    plain = "txt" if name == "adobe_campaign" else "csv"
    job = activate(folder, SEGMENT, f"mapping={name}", f"file={plain}", "file.name=vip")
    content = job.succeeded().delivered()[f"vip.{plain}"]
    arguments: list[Any] = [content]
    if name == "salesforce_marketing_cloud":
        made = activate(folder, SEGMENT, f"esp={name}", run_id="run-2").succeeded()
        arguments.append(json.loads((made.folder / "state/runs/run-2/artefacts/vip.dataExtension-meta.json").read_text()))
    with pytest.raises(Refused, match=refusal):
        LOADERS[name](*arguments)


def test_a_preflight_tells_of_the_rules_and_writes_nothing(folder: Path) -> None:
    job = run_job("preflight.py", folder, SEGMENT, "esp=oracle_eloqua", "file.compression=gzip").succeeded()
    assert "length of FirstName (at most 100 characters): 1 rows changed" in job.stdout
    assert "warning: Oracle Eloqua: no import of compressed files was found" in job.stdout
    assert job.delivered() == {}


def test_an_empty_audience_holds_the_run_where_an_import_would_take_yesterdays_file(folder: Path) -> None:
    job = activate(folder, "audience.segments=[no-such]", "esp=salesforce_marketing_cloud")
    job.refused(3, "it is empty")


def test_a_run_of_changes_has_the_status_and_says_what_becomes_of_leavers(folder: Path) -> None:
    asked = [SEGMENT, "esp=oracle_eloqua", "export=incremental", "destination.on_conflict=fail"]
    first = activate(folder, *asked, as_of="2026-11-01T00:00:00Z").succeeded()
    assert "rows of members who have left have the status exited" in first.stdout
    write_profiles(folder / "profiles", HOSTILE[1:])
    (folder / "out" / "vip.csv").unlink()  # Eloqua's import is over
    second = activate(folder, *asked, run_id="run-2", as_of="2026-11-02T00:00:00Z").succeeded()
    rows = LOADERS["oracle_eloqua"](second.delivered()["vip.csv"])
    assert [(row["EmailAddress"], row["status"]) for row in rows] == [("a@example.com", "exited")]


SMALL = """
import sys
from dataclasses import replace
from courier import cli, esp
eloqua = esp.PLATFORMS["oracle_eloqua"]
esp.PLATFORMS["oracle_eloqua"] = replace(eloqua, bytes=(replace(eloqua.bytes[0], most=100),))
sys.exit(cli.run_activation(sys.argv[1:]))
"""


def with_a_small_limit(folder: Path, *overrides: str, run_id: str) -> Job:
    """As if Eloqua took 100 bytes."""
    arguments = command(SEGMENT, "esp=oracle_eloqua", "checks=none", *overrides, run_id=run_id)
    done = subprocess.run([sys.executable, "-c", SMALL, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return Job(folder, done.returncode, done.stdout, done.stderr)


def test_a_file_above_a_hard_limit_is_not_published(folder: Path) -> None:
    held = with_a_small_limit(folder, run_id="run-1")
    assert held.code == 3
    assert "A file is too large for Oracle Eloqua" in held.stderr
    assert held.delivered() == {}
    done = with_a_small_limit(folder, "esp.policies.bytes=warn", run_id="run-2").succeeded()
    assert [text for text in done.record("run-2")["warnings"] if "5 GB" in text]
    assert set(done.files()) == {"vip.csv"}


def test_several_parts_are_told_where_an_import_reads_one_file(folder: Path) -> None:
    job = activate(folder, SEGMENT, "esp=oracle_eloqua", "file.max_rows=2").succeeded()
    assert "3 files of 1 audiences: an import reads one name" in job.stdout


def test_artefacts_are_kept_and_delivered_where_asked_for(folder: Path) -> None:
    job = activate(folder, SEGMENT, "esp=oracle_eloqua", "esp.deliver_artefacts=true").succeeded()
    kept = {path.name: path.read_bytes() for path in (folder / "state/runs/run-1/artefacts").iterdir()}
    assert set(kept) == {"vip.bulk-import.json", "vip.mapping.csv"}
    beside = {name: content for name, content in job.delivered().items() if name.startswith("artefact-")}
    assert beside == {f"artefact-run-1-{name}": content for name, content in kept.items()}
    listed = job.record()["esp"]["artefacts"]
    assert [Path(each).name for each in listed] == [*kept, *beside] or sorted(Path(each).name for each in listed) == sorted(
        [*kept, *beside]
    )
    assert job.record()["triggers"] == []
    assert "@example.com" not in "".join(content.decode() for content in kept.values())
    again = activate(folder, SEGMENT, "esp=oracle_eloqua", "esp.deliver_artefacts=true", run_id="run-2").succeeded()
    assert "artefact-run-2-vip.mapping.csv" in again.delivered()


def test_a_path_that_the_source_has_not_can_be_left_out_with_its_column(folder: Path) -> None:
    without = pa.schema([field for field in PROFILE_SCHEMA if field.name != "loyalty"])
    write_profiles(folder / "profiles", [profile(email="a@example.com", segments=MEMBER)], schema=without)
    job = activate(folder, SEGMENT, "esp=oracle_eloqua")
    job.refused(4, "The source has no 'loyalty'", "leave the column out: '~mapping.columns.LoyaltyId'")
    assert activate(folder, SEGMENT, "esp=oracle_eloqua", "~mapping.columns.LoyaltyId", run_id="run-2").succeeded().files()
    key = activate(folder, SEGMENT, "esp=salesforce_marketing_cloud", run_id="run-3")
    assert "'loyalty'" in key.stderr
    assert "leave the column out" not in key.stderr
