"""XDM paths: what is read, and what a wrong one is answered with."""

from __future__ import annotations

import pytest
from xdm_profiles import PROFILE_SCHEMA

from courier import xdm
from courier.errors import ConfigError, SourceError


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("_id", ["_id"]),
        ("person.name.firstName", ["person", "name", "firstName"]),
        ("loyalty.loyaltyID[0]", ["loyalty", "loyaltyID", 0]),
        ("loyalty.loyaltyID[12]", ["loyalty", "loyaltyID", 12]),
        ("identityMap.EMAIL[0].id", ["identityMap", "EMAIL", 0, "id"]),
        ("identityMap['Phone_E.164'][0].id", ["identityMap", "Phone_E.164", 0, "id"]),
        ('identityMap["Email.home"][1].id', ["identityMap", "Email.home", 1, "id"]),
        ("_acme.first name", ["_acme", "first name"]),
    ],
)
def test_a_path_is_read_as_its_steps(path: str, steps: list[str | int]) -> None:
    assert xdm.parse(path) == steps


@pytest.mark.parametrize("path", ["", ".", "person.", ".person", "person..name", "[0].id", "a.[0]", "a[", "a[x]", "a[0]b", "a['b", "a[-1]"])
def test_a_text_that_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="is no XDM path") as caught:
        xdm.parse(path)
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("personalEmail.address", [xdm.Field("personalEmail"), xdm.Field("address")]),
        ("loyalty.loyaltyID[1]", [xdm.Field("loyalty"), xdm.Field("loyaltyID"), xdm.Index(1)]),
        ("identityMap['Phone_E.164'][0].id", [xdm.Field("identityMap"), xdm.Key("Phone_E.164"), xdm.Index(0), xdm.Field("id")]),
    ],
)
def test_the_schema_says_what_a_step_is(path: str, steps: list[xdm.Step]) -> None:
    found, kind = xdm.resolve(path, PROFILE_SCHEMA, "mapping.columns.x")
    assert found == steps
    assert xdm.is_text(kind)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "personalEmail.adress",
            "The source has no 'personalEmail.adress'. Where: mapping.columns.x: personalEmail.adress. What to do: did you mean 'personalEmail.address'?",
        ),
        (
            "persnalEmail.address",
            "The source has no 'persnalEmail'. Where: mapping.columns.x: persnalEmail.address. What to do: did you mean 'personalEmail'?",
        ),
        (
            "person.name.firstname",
            "The source has no 'person.name.firstname'. Where: mapping.columns.x: person.name.firstname. What to do: did you mean 'person.name.firstName'?",
        ),
        (
            "loyalty.loyaltyID.id",
            "'loyalty.loyaltyID' is an array. Where: mapping.columns.x: loyalty.loyaltyID.id. Expected: an index, such as loyalty.loyaltyID[0].",
        ),
        (
            "identityMap.Phone_E//.164",
            "'identityMap.Phone_E//' is an array. Where: mapping.columns.x: identityMap.Phone_E//.164. Expected: an index, such as identityMap.Phone_E//[0], or a key with a dot in brackets: identityMap['Phone_E.164'].",
        ),
        (
            "identityMap.Phone_E.164",
            "'identityMap.Phone_E' is an array. Where: mapping.columns.x: identityMap.Phone_E.164. Expected: an index, such as identityMap.Phone_E[0], or a key with a dot in brackets: identityMap['Phone_E.164'].",
        ),
        (
            "personalEmail.address.domain",
            "'personalEmail.address' has nothing inside it. Where: mapping.columns.x: personalEmail.address.domain. Found: type string.",
        ),
    ],
)
def test_a_path_that_the_source_has_not_is_answered_with_the_nearest(path: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        xdm.resolve(path, PROFILE_SCHEMA, "mapping.columns.x")
    assert str(caught.value) == message
