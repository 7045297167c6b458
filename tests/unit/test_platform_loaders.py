"""The readers of the tests refuse what the platforms' documentation says is refused; else they would prove nothing."""

from __future__ import annotations

from typing import Any

import pytest
from platform_loaders import LOADERS, Refused

FIELDS = [
    {"Name": "SubscriberKey", "FieldType": "Text", "MaxLength": 5, "IsPrimaryKey": True, "IsRequired": True},
    {"Name": "EmailAddress", "FieldType": "EmailAddress", "MaxLength": 254, "IsPrimaryKey": False, "IsRequired": True},
    {"Name": "MobilePhone", "FieldType": "Phone", "IsPrimaryKey": False, "IsRequired": False},
]
HEAD = b"SubscriberKey,EmailAddress,MobilePhone\n"


def read(name: str, content: bytes) -> list[dict[str, str]]:
    arguments: list[Any] = [{"Fields": FIELDS}] if name == "salesforce_marketing_cloud" else []
    return LOADERS[name](content, *arguments)


@pytest.mark.parametrize(
    ("name", "content", "row"),
    [
        ("adobe_campaign", b"email\tfirstName\na@b.se\tx, y\n", {"email": "a@b.se", "firstName": "x, y"}),
        (
            "salesforce_marketing_cloud",
            HEAD + b'1,a@b.se,"4""6\n"\n',
            {"SubscriberKey": "1", "EmailAddress": "a@b.se", "MobilePhone": '4"6\n'},
        ),
        ("oracle_eloqua", b'EmailAddress;City\na@b.se;"x;""y"""\n', {"EmailAddress": "a@b.se", "City": 'x;"y"'}),
        ("oracle_responsys", b'"EMAIL_ADDRESS_","CITY_"\n"a@b.se","x,""y"""\n', {"EMAIL_ADDRESS_": "a@b.se", "CITY_": 'x,"y"'}),
    ],
)
def test_a_reader_reads(name: str, content: bytes, row: dict[str, str]) -> None:
    assert read(name, content) == [row]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("adobe_campaign", b"email\tcity\na@b.se\tx\ty\n"),
        ("adobe_campaign", b'email\tcity\na@b.se\t"x"\n'),
        ("adobe_campaign", b"email\tcity\na@b.se\tx\na@b.se\ty\n"),
        ("adobe_campaign", b"email\tcity\na@b.se\tx"),
        ("salesforce_marketing_cloud", b"SubscriberKey,emailaddress,MobilePhone\n1,a@b.se,\n"),
        ("salesforce_marketing_cloud", HEAD + b"123456,a@b.se,\n"),
        ("salesforce_marketing_cloud", HEAD + b"1,a@b.se,+46\n"),
        ("salesforce_marketing_cloud", HEAD + b"1,a@b,\n"),
        ("salesforce_marketing_cloud", HEAD + "1,å@b.se,\n".encode()),
        ("salesforce_marketing_cloud", HEAD + b"1,a@b.se,\n1,c@b.se,\n"),
        ("salesforce_marketing_cloud", HEAD + b",a@b.se,\n"),
        ("salesforce_marketing_cloud", HEAD + b'1,a@b.se,x"y\n'),
        ("oracle_eloqua", b"EmailAddress\tCity\na@b.se\tx\n"),
        ("oracle_eloqua", b"EmailAddress,City\na@b.se," + b"x" * 101 + b"\n"),
        ("oracle_eloqua", "EmailAddress,City\na\u00a0@b.se,x\n".encode()),
        ("oracle_eloqua", b"EmailAddress,Joined\na@b.se,2026-05-01 10:20:30.123\n"),
        ("oracle_eloqua", b"EmailAddress,City\na@b.se,x\na@b.se,y\n"),
        ("oracle_responsys", b'"EMAIL_ADDRESS_","CITY_"\na@b.se,"x"\n'),
        ("oracle_responsys", b'"EMAIL_ADDRESS_","date"\n"a@b.se","x"\n'),
        ("oracle_responsys", b'"EMAIL_ADDRESS_","OWN_"\n"a@b.se","x"\n'),
        ("oracle_responsys", b'"EMAIL_ADDRESS_","EMAIL_PERMISSION_STATUS_"\n"a@b.se","y"\n'),
        ("oracle_responsys", b'"EMAIL_ADDRESS_","CITY_"\n"a@b.se","' + b"x" * 51 + b'"\n'),
    ],
)
def test_a_reader_refuses(name: str, content: bytes) -> None:
    with pytest.raises(Refused):
        read(name, content)
