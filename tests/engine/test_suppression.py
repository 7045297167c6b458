"""Suppression lists: plain or hashed, in Parquet or CSV, of any size; whom they hold gets nothing."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from row_runs import EXPORTED, member, run_rows
from xdm_profiles import PROFILE_SCHEMA, write_profiles

from courier.config import ColumnConfig, MappingConfig, SourceConfig, SuppressionConfig
from courier.config.audience import SuppressionListConfig
from courier.engine import Engine
from courier.errors import ConfigError, CourierError, SourceError
from courier.members import suppression

COLUMNS = {"email": "personalEmail.address"}
SENT = EXPORTED


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def list_of(folder: Path, name: str, entries: list[Any], column: str = "email", form: str = "plain") -> SuppressionListConfig:
    """A list of `entries` in a file whose ending says what it is."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"id": pa.array(range(len(entries))), column: entries}), path)
    else:
        path.write_text("".join([f'id,"{column}"\n', *(f"{n},{entry}\n" for n, entry in enumerate(entries))]), encoding="utf-8")
    return SuppressionListConfig(str(path), column, form)


def outcomes(engine: Engine, tmp_path: Path, emails: list[Any], lists: dict[str, SuppressionListConfig], **keys: Any) -> list[str]:
    """What became of the addresses, in their order."""
    rows = [member(email=email, _id=f"{number:06}") for number, email in enumerate(emails)]
    columns = {"id": "_id", **COLUMNS}
    return [row[-1] for row in run_rows(engine, tmp_path, rows, columns, key=["id"], suppressed=SuppressionConfig(lists, **keys)).rows()]


EMAILS = ["jane@x.com", " Jane@X.COM ", "zoë@x.com", "other@x.com", "", None]
HELD = "excluded: suppressed_optout"


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("form", "entries"),
    [
        ("plain", [" JANE@x.com ", "jane@x.com", "ZOË@x.com", "", "nobody@x.com"]),
        ("sha256", [sha256("jane@x.com"), sha256("jane@x.com").upper(), f" {sha256('zoë@x.com')}", "", "jane@x.com"]),
        ("md5", [md5("jane@x.com"), md5("jane@x.com").upper(), md5("zoë@x.com"), ""]),
    ],
)
def test_whom_a_list_holds_gets_nothing_however_the_address_is_spelled(
    engine: Engine, tmp_path: Path, ending: str, form: str, entries: list[str]
) -> None:
    listed = list_of(tmp_path, f"list.{ending}", entries, form=form)
    assert outcomes(engine, tmp_path, EMAILS, {"optout": listed}) == [HELD, HELD, HELD, SENT, SENT, SENT]


@pytest.mark.parametrize("form", ["plain", "sha256"])
def test_blanks_of_any_kind_at_the_ends_make_no_other_address(engine: Engine, tmp_path: Path, form: str) -> None:
    """A platform takes them off, or its rules do, so what is sent is the address of the list."""
    emails = ["jane@x.com\t", "\u00a0jane@x.com", "\ufeffjane@x.com\u200b", "\n Jane@x.com\r", "ja ne@x.com", "\t"]
    entries = ["jane@x.com"] if form == "plain" else [sha256("jane@x.com")]
    listed = list_of(tmp_path, "list.parquet", entries, form=form)
    assert outcomes(engine, tmp_path, emails, {"optout": listed}) == [HELD, HELD, HELD, HELD, SENT, SENT]
    if form == "plain":
        listed = list_of(tmp_path, "other.parquet", emails, form=form)
        assert outcomes(engine, tmp_path, EMAILS, {"optout": listed}) == [HELD, HELD, SENT, SENT, SENT, SENT]


def test_nulls_in_a_list_hold_nobody_and_columns_may_have_any_name(engine: Engine, tmp_path: Path) -> None:
    listed = list_of(tmp_path, "list.parquet", [None, "jane@x.com"], column="E-Mail `of` the.customer")
    assert outcomes(engine, tmp_path, EMAILS, {"optout": listed}) == [HELD, HELD, SENT, SENT, SENT, SENT]


def test_entries_that_occur_again_multiply_no_rows(engine: Engine, tmp_path: Path) -> None:
    listed = list_of(tmp_path, "list.csv", ["jane@x.com", "JANE@x.com", " jane@x.com"] * 100)
    ran = run_rows(
        engine, tmp_path, [member(email="jane@x.com"), member(email="b@x.com")], COLUMNS, suppressed=SuppressionConfig({"l": listed})
    )
    assert (ran.counts().members, ran.counts().exported, ran.counts().excluded) == (2, 1, {"suppressed_l": 1})


def test_of_several_lists_the_first_that_holds_an_address_is_the_reason(engine: Engine, tmp_path: Path) -> None:
    lists = {
        "bounced": list_of(tmp_path, "1.csv", ["a@x.com", "b@x.com"]),
        "complaints": list_of(tmp_path, "2.parquet", [sha256("b@x.com"), sha256("c@x.com")], form="sha256"),
        "third": list_of(tmp_path, "3.csv", [md5("c@x.com"), md5("d@x.com")], form="md5"),
    }
    found = outcomes(engine, tmp_path, ["a@x.com", "b@x.com", "c@x.com", "d@x.com", "e@x.com"], lists)
    reasons = ["bounced", "bounced", "complaints", "third"]
    assert found == [*(f"excluded: suppressed_{name}" for name in reasons), SENT]


def test_a_list_may_be_a_folder_or_a_glob_of_files(engine: Engine, tmp_path: Path) -> None:
    for number, email in enumerate(["a@x.com", "b@x.com"]):
        list_of(tmp_path / "folder", f"part-{number}.parquet", [email])
        list_of(tmp_path / "csv", f"part-{number}.csv", [email])
    for path in (str(tmp_path / "folder"), str(tmp_path / "csv"), str(tmp_path / "csv" / "*.csv")):
        found = outcomes(engine, tmp_path, ["a@x.com", "b@x.com", "c@x.com"], {"optout": SuppressionListConfig(path, "email")})
        assert found == [HELD, HELD, SENT]


def test_each_file_of_a_list_is_read_by_its_own_header(engine: Engine, tmp_path: Path) -> None:
    """Engines take the first file's header for that of all, whatever order of columns and whatever packing the others have."""
    folder = tmp_path / "list"
    folder.mkdir()
    (folder / "1.csv").write_text("email,reason\na@x.com,bounce\n")
    (folder / "2.csv").write_text("reason,email\nbounce,b@x.com\n")
    (folder / "3.csv.gz").write_bytes(gzip.compress(b"email,reason\nc@x.com,bounce\n"))
    pq.write_table(pa.table({"z": [1], "email": ["d@x.com"]}), folder / "4.parquet")
    pq.write_table(pa.table({"email": pa.array(["e@x.com"], pa.large_string())}), folder / "5.parquet")
    pq.write_table(pa.table({"email": [7]}), folder / "6.parquet")
    emails = [*(f"{letter}@x.com" for letter in "abcde"), "7", "f@x.com"]
    found = outcomes(engine, tmp_path, emails, {"optout": SuppressionListConfig(str(folder), "email")})
    assert found == [*[HELD] * 6, SENT]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_of_a_list_that_lacks_the_column_is_refused_by_its_name(tmp_path: Path, ending: str) -> None:
    list_of(tmp_path / "list", f"1.{ending}", ["a@x.com"])
    list_of(tmp_path / "list", f"2.{ending}", ["b@x.com"], column="Email")
    config = SuppressionConfig({"optout": SuppressionListConfig(str(tmp_path / "list" / f"*.{ending}"), "email")})
    with pytest.raises(SourceError) as caught:
        suppression.inspect(config, SourceConfig("unused"), PROFILE_SCHEMA)
    assert str(caught.value) == (
        f"A suppression list has not its column. Where: suppression.lists.optout: {tmp_path}/list/2.{ending}. Found: email. "
        "What to do: did you mean 'Email'?"
    )


def test_a_csv_list_may_have_a_byte_order_mark_and_quotes_and_crlf(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(b'\xef\xbb\xbfemail,note\r\n"a@x.com","one, two"\r\nb@x.com,\r\n')
    found = outcomes(engine, tmp_path, ["a@x.com", "b@x.com", "c@x.com"], {"optout": SuppressionListConfig(str(path), "email")})
    assert found == [HELD, HELD, SENT]


def test_an_empty_list_holds_nobody(engine: Engine, tmp_path: Path) -> None:
    lists = {"a": list_of(tmp_path, "1.csv", []), "b": list_of(tmp_path, "2.parquet", pa.array([], pa.string()))}
    assert outcomes(engine, tmp_path, ["a@x.com"], lists) == [SENT]


def test_another_value_can_be_looked_up(engine: Engine, tmp_path: Path) -> None:
    listed = list_of(tmp_path, "list.parquet", [46701234567, 1], column="phone")
    rows = [member(_id=str(n), phone=phone) for n, phone in enumerate(["46701234567", "1 ", None, "2"])]
    suppressed = SuppressionConfig({"l": listed}, "mobilePhone.number")
    found = run_rows(engine, tmp_path, rows, {"id": "_id"}, key=["id"], suppressed=suppressed).rows()
    assert [row[-1] for row in found] == ["excluded: suppressed_l", "excluded: suppressed_l", SENT, SENT]


IDENTIFIED = [
    member(_id="1", email="a@x.com", identities={"Email": ["a@x.com", " B@x.com"]}),
    member(_id="2", email="c@x.com", identities={"Email": ["c@x.com", "d@x.com"]}),
    member(_id="3", email="b@x.com"),
    member(_id="4", email=None, identities={"Email": ["e@x.com"]}),
]


@pytest.mark.parametrize("form", ["plain", "sha256"])
@pytest.mark.parametrize("keys", [{}, {"source": "identity.id"}])
def test_where_rows_are_fanned_out_the_identity_of_the_row_is_looked_up_too(
    engine: Engine, tmp_path: Path, form: str, keys: dict[str, str]
) -> None:
    entries = ["b@x.com", "c@x.com"]
    listed = list_of(tmp_path, "list.csv", [sha256(each) for each in entries] if form == "sha256" else entries, form=form)
    suppressed = SuppressionConfig({"optout": listed}, **keys)
    columns = {"id": "_id", "email": "identity.id"}
    ran = run_rows(engine, tmp_path, IDENTIFIED, columns, suppressed=suppressed, fan_out="Email")
    of_profile = "source" not in keys
    assert {row[:2]: row[2] for row in ran.rows()} == {
        ("1", "a@x.com"): SENT,
        ("1", " B@x.com"): HELD,
        ("2", "c@x.com"): HELD,
        ("2", "d@x.com"): HELD if of_profile else SENT,
        ("3", None): HELD if of_profile else SENT,
        ("4", "e@x.com"): SENT,
    }
    counted = ran.counts()
    assert counted.members == 6 == counted.exported + sum(counted.excluded.values())
    assert counted.excluded == {"suppressed_optout": 4 if of_profile else 2}


def test_an_identity_can_be_looked_up_only_where_rows_are_fanned_out(tmp_path: Path) -> None:
    config = SuppressionConfig({"l": list_of(tmp_path, "list.csv", ["a@x.com"])}, "identity.id")
    with pytest.raises(ConfigError, match=r"identity\.id wants rows fanned out"):
        suppression.inspect(config, SourceConfig("unused"), PROFILE_SCHEMA)


@pytest.mark.parametrize(
    ("column", "source", "warned"),
    [
        (ColumnConfig(identity="Email"), "personalEmail.address", True),
        (ColumnConfig(identity="Email", take="all"), "identityMap.Email[0].id", True),
        (ColumnConfig("identityMap.email[0].id"), "personalEmail.address", True),
        (ColumnConfig("identityMap.Email[1].id"), "identityMap['Email'][0].id", True),
        (ColumnConfig("identityMap.Email[0].id"), "identityMap['Email'][0].id", False),
        (ColumnConfig(identity="Email"), "identityMap.Email[0].id", False),
        (ColumnConfig(identity="ECID"), "personalEmail.address", False),
        (ColumnConfig("personalEmail.address"), "personalEmail.address", False),
        (ColumnConfig(expression="upper(_id)"), "personalEmail.address", False),
        (ColumnConfig("membership.status"), "personalEmail.address", False),
    ],
)
def test_addresses_that_are_shown_and_not_looked_up_are_a_warning(column: ColumnConfig, source: str, warned: bool) -> None:
    lists = {"l": SuppressionListConfig("x", "y")}
    found = suppression.warnings(SuppressionConfig(lists, source), MappingConfig({"mail": column}), [])
    assert [warning.partition(":")[0] for warning in found] == (
        [f"Column 'mail' shows addresses of identityMap, and suppression lists look at {source}"] if warned else []
    )
    assert suppression.warnings(SuppressionConfig(), MappingConfig({"mail": column}), []) == []
    (asked,) = suppression.warnings(SuppressionConfig(), MappingConfig({"mail": ColumnConfig(identity="Email")}), ["personalEmail.address"])
    assert "consents.idSpecific look at personalEmail.address" in asked


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (ColumnConfig("workEmail.address"), "workEmail.address"),
        (ColumnConfig(expression="coalesce(workEmail.address, lower(personalEmail.address))"), "workEmail.address"),
        (ColumnConfig("_acme.emailAddress", hash="sha256_email"), "_acme.emailAddress"),
        (ColumnConfig(expression="trim(personalEmail.address)"), None),
        (ColumnConfig(expression="case when consents.marketing.email.val = 'y' then personalEmail.status end"), None),
        (ColumnConfig("homeAddress.city"), None),
    ],
)
def test_another_address_of_the_profile_than_the_one_that_is_looked_up_is_a_warning(column: ColumnConfig, shown: str | None) -> None:
    lists = {"l": SuppressionListConfig("x", "y")}
    found = suppression.warnings(SuppressionConfig(lists), MappingConfig({"mail": column}), [])
    told = f"Column 'mail' shows {shown}, and suppression lists look at personalEmail.address: an address that is sent may be one that must not be"
    assert found == ([f"{told}; suppression.source={shown} looks at it"] if shown else [])


def test_two_hundred_thousand_entries_are_joined(engine: Engine, tmp_path: Path) -> None:
    listed = list_of(tmp_path, "list.parquet", [f"{n}@x.com" for n in range(0, 400_000, 2)])
    found = outcomes(engine, tmp_path, [f"{n}@x.com" for n in range(1_000)], {"optout": listed})
    assert found == [HELD, SENT] * 500


@pytest.mark.parametrize(
    ("name", "column", "words"),
    [
        ("list.csv", "e_mail", "did you mean 'email'?"),
        ("list.parquet", "e_mail", "did you mean 'email'?"),
        ("absent.csv", "email", "absent.csv"),
        ("absent.parquet", "email", "absent.parquet"),
        ("empty", "email", "empty"),
        ("utf-16.csv", "email", "cannot be read"),
        ("open.csv", "email", "a quote is not closed"),
        ("long.csv", "email", "cannot be read"),
        ("lines.csv", "email", "a value goes on in another line"),
    ],
)
def test_a_list_without_its_file_or_column_is_refused_before_an_engine_starts(tmp_path: Path, name: str, column: str, words: str) -> None:
    list_of(tmp_path, "list.csv", ["a@x.com"])
    list_of(tmp_path, "list.parquet", ["a@x.com"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "open.csv").write_text('email,why\na@x.com,"complaint\nb@x.com,bounce\nc@x.com,bounce\n')
    (tmp_path / "long.csv").write_text("email\n" + '"a@x.com"\n' * 200_000 + '"b@x.com\n' + "c@x.com\n" * 200_000)
    (tmp_path / "lines.csv").write_text('why,email\n"two\nlines",a@x.com\n')
    (tmp_path / "utf-16.csv").write_text("email\na@x.com\n", encoding="utf-16")
    config = SuppressionConfig({"optout": SuppressionListConfig(str(tmp_path / name), column)})
    with pytest.raises(SourceError) as caught:
        suppression.inspect(config, SourceConfig("unused"), PROFILE_SCHEMA)
    assert words in str(caught.value)
    assert "suppression.lists.optout" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("secret@x.com\nb@x.com\n", "begin the file with the names of its columns: email."),
        ("Secret,Ann,+46701234567\nB,Bea,+46701234568\n", "begin the file with the names of its columns: email."),
        ("email,why\na@x.com,bounce\nsecret@x.com\n", "Expected 2 columns, got 1."),
        ("why,email\nbounce,a@x.com\nbounce,secret@x.com,\n", "Expected 2 columns, got 3."),
    ],
)
def test_a_list_without_a_header_or_with_a_line_cut_short_is_refused_and_shows_nobody(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    config = SuppressionConfig({"optout": SuppressionListConfig(str(tmp_path / "list.csv"), "email")})
    with pytest.raises(SourceError) as caught:
        suppression.inspect(config, SourceConfig("unused"), PROFILE_SCHEMA)
    assert str(caught.value).endswith(words)
    assert "ecret" not in str(caught.value)
    assert "+46" not in str(caught.value)


@pytest.mark.parametrize("name", ["more.CSV", "more.txt", "more.tsv.gz", "more"])
def test_a_file_beside_those_of_a_list_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever is in it would get mail."""
    list_of(tmp_path / "lists", "list.csv", ["a@x.com"])
    (tmp_path / "lists" / name).write_text("email\nb@x.com\n")
    config = SuppressionConfig({"optout": SuppressionListConfig(str(tmp_path / "lists"), "email")})
    with pytest.raises(SourceError) as caught:
        suppression.inspect(config, SourceConfig("unused"), PROFILE_SCHEMA)
    assert str(caught.value).startswith(f"The suppression list has a file that would not be read. Where: {tmp_path}/lists/{name}.")


@pytest.mark.parametrize(
    ("entries", "form", "taken"),
    [
        (pa.array(["jane@x.com"]).dictionary_encode(), "plain", True),
        (pa.array(["jane@x.com"], pa.large_string()), "plain", True),
        (pa.array([b"jane@x.com"]), "plain", True),
        (pa.array([5]), "plain", True),
        (pa.nulls(1), "plain", True),
        (pa.array([["jane@x.com"]]), "plain", False),
        (pa.array([{"address": "jane@x.com"}]), "plain", False),
        (pa.array([5.0]), "plain", False),
        (pa.array([hashlib.sha256(b"jane@x.com").digest()]), "sha256", False),
        (pa.array([hashlib.sha256(b"jane@x.com").digest()], pa.binary(32)), "sha256", False),
    ],
)
def test_a_list_whose_column_would_hold_nobody_is_refused(tmp_path: Path, entries: pa.Array, form: str, taken: bool) -> None:
    """Arrays, and digests as bytes, were compared as texts, and everybody was sent mail."""
    pq.write_table(pa.table({"email": entries}), tmp_path / "list.parquet")
    config = SuppressionConfig({"x": SuppressionListConfig(str(tmp_path / "list.parquet"), "email", form)})
    if taken:
        assert suppression.inspect(config, SourceConfig("unused"), PROFILE_SCHEMA)
        return
    with pytest.raises(
        SourceError, match=r"^A suppression list has a column that is no text\. Where: suppression\.lists\.x: .*list\.parquet"
    ):
        suppression.inspect(config, SourceConfig("unused"), PROFILE_SCHEMA)


def test_what_is_looked_up_must_be_text_that_the_source_has(tmp_path: Path) -> None:
    listed = {"l": list_of(tmp_path, "list.csv", ["a@x.com"])}
    for source, words in (("loyalty.points", "must be text"), ("personalEmail.adress", "did you mean 'personalEmail.address'?")):
        with pytest.raises(CourierError) as caught:
            suppression.inspect(SuppressionConfig(listed, source), SourceConfig("unused"), PROFILE_SCHEMA)
        assert words in str(caught.value)


def test_a_list_that_is_no_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.parquet").write_bytes(b"no Parquet")
    config = SuppressionConfig({"l": SuppressionListConfig(str(tmp_path / "list.parquet"), "email")})
    with pytest.raises(SourceError):
        suppression.inspect(config, SourceConfig("unused"), PROFILE_SCHEMA)


@pytest.mark.parametrize("name", ["with blank", "a/b", ""])
def test_the_name_of_a_list_must_be_able_to_be_a_reason(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a reason"):
        SuppressionConfig({name: SuppressionListConfig("x", "y")})


def test_a_list_changes_nothing_for_those_whom_it_does_not_hold(engine: Engine, tmp_path: Path) -> None:
    """The order of the rows, and so the file, is the same with a list as without."""
    folder = write_profiles(
        tmp_path / "profiles", [member(email=f"{n * 7919 % 1000}@x.com", first_name=str(n)) for n in range(2000)], files=3
    )
    columns = {**COLUMNS, "first": "person.name.firstName"}
    without = run_rows(engine, tmp_path / "1", folder, columns, key=["email"]).file()
    listed = list_of(tmp_path, "list.csv", ["nobody@x.com"])
    assert run_rows(engine, tmp_path / "2", folder, columns, key=["email"], suppressed=SuppressionConfig({"l": listed})).file() == without


def test_a_column_and_an_expression_may_ask_which_list_has_the_member(engine: Engine, tmp_path: Path) -> None:
    permission = "case when membership.suppressed is not null then 'O' else 'I' end"
    columns = {**COLUMNS, "list": "membership.suppressed", "permission": ColumnConfig(expression=permission)}
    rows = [member(email="a@x.com"), member(email="b@x.com")]
    listed = SuppressionConfig({"complaints": list_of(tmp_path, "list.csv", ["b@x.com"])})
    found = run_rows(engine, tmp_path / "1", rows, columns, key=["email"], suppressed=listed).rows()
    assert found == [("a@x.com", None, "I", SENT), ("b@x.com", "complaints", "O", "excluded: suppressed_complaints")]
    without = run_rows(engine, tmp_path / "2", rows, columns, key=["email"]).rows()
    assert without == [("a@x.com", None, "I", SENT), ("b@x.com", None, "I", SENT)]
