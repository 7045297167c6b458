"""Oracle Responsys: a Connect job imports the file from Oracle's SFTP server, or one of yours. It reads no S3."""

from __future__ import annotations

from courier.esp.base import (
    MONTH_AND_DAY,
    ByteLimit,
    DateRule,
    EmailRule,
    HeaderRule,
    KeyRule,
    Note,
    PhoneRule,
    Platform,
    Setting,
    Source,
    StandardColumn,
)
from courier.patterns import BLANKS

WIZARD = Source("docs.oracle.com OMCEA/Connect_WizardUpload.htm")
NAMES = Source("docs.oracle.com responsys-user/List_DataTypeFieldname.htm")
SYSTEM = Source("docs.oracle.com responsys-user/List_SystemFields.htm")
LOADING = Source("docs.oracle.com responsys-user/List_DataLoadHandling.htm")
MOBILE = Source("docs.oracle.com responsys-user/List_MobileNumberHandling.htm")
MATCHING = Source("docs.oracle.com responsys-develop/API/REST/profile-list-definitions-rule-parameters.htm")
PERMISSION = Source("docs.oracle.com OMCED/op-rest-api-v1.3-lists-listname-members-post: defaultPermissionStatus")
TYPES = Source("docs.oracle.com OMCEZ data-types-fieldnames.htm: text up to 500 characters")
DIALECT = Source("amperity/amperity-docs, sendto Oracle Responsys: comma, double quotes, UTF-8", "secondary")
CHOICES = Source("further delimiters, enclosures and compression of a Connect job", "memory")
CUSTOM = Source("a field of your own, with the length that the mapping sheet gives it", "our choice")
SERVER = Source("docs.oracle.com responsys-user/Help/CED/FileServer.htm")

#: The words that NAMES has, all of them, and the single letters that are no names.
RESERVED = frozenset(
    "access add admin administrator advisor all alter and any as asc audit baseurl between by byte char check cluster column comment "
    "connect compress create current data date decimal default delete desc distinct double drop else exclusive exists extends false "
    "file first float for from grant group having id identified if immediate import in increment index initial insert int integer "
    "intersect into is last level like lock long m maxextents minextents minus mlslabel mode modify noaudit nocompress nologging not "
    "nowait null number of offline on online option or order package pctfree pctused prior private privileges program protected "
    "public raw rename resource revoke row rowid rownum rows select session set share size smallint start successful synonym sysdate "
    "table test then to trigger true uid union unique update user validate values varchar varchar2 view whenever where with".split()
)
LETTERS = frozenset("aegkmptu")

PLATFORM = Platform(
    name="oracle_responsys",
    title="Oracle Responsys",
    settings=(
        Setting(
            "file",
            "file.delimiter",
            (",",),
            "comma is confirmed by partners; tab, semicolon and pipe are for you to confirm in the job's form",
            CHOICES,
        ),
        Setting("file", "file.quote", ('"',), "double quotes are confirmed by partners", DIALECT),
        Setting("file", "file.escape", ("double",), "a quote inside of quotes is written twice", DIALECT),
        Setting("file", "file.header", (True,), "fields are mapped by the names in the first line", WIZARD),
        Setting("file", "file.encoding", ("utf-8",), "UTF-8 is confirmed by partners; emoji want it", DIALECT),
        Setting("compression", "file.compression", ("none",), "compression is for you to confirm in the job's form", CHOICES),
        Setting(
            "transport",
            "destination.kind",
            ("sftp_password", "sftp_key", "local"),
            "a Connect job reads from SFTP; no import from S3 was found",
            Source(SERVER.document, "our choice"),
        ),
    ),
    columns=(
        StandardColumn("EMAIL_ADDRESS_", "personalEmail.address", "STR500", 500, "EMAIL_ADDRESS_", SYSTEM, role="email", required=True),
        StandardColumn(
            "EMAIL_PERMISSION_STATUS_", "consents.marketing.email.val", "CHAR", 1, "EMAIL_PERMISSION_STATUS_", SYSTEM, allowed=("I", "O")
        ),
        StandardColumn("MOBILE_NUMBER_", "mobilePhone.number", "STR50", 50, "MOBILE_NUMBER_", SYSTEM, role="phone"),
        StandardColumn("FIRST_NAME", "person.name.firstName", "STR100", 100, "FIRST_NAME (your own)", CUSTOM),
        StandardColumn("LAST_NAME", "person.name.lastName", "STR100", 100, "LAST_NAME (your own)", CUSTOM),
        StandardColumn("CITY_", "homeAddress.city", "STR50", 50, "CITY_", SYSTEM),
        StandardColumn("STATE_", "homeAddress.stateProvince", "STR50", 50, "STATE_", SYSTEM),
        StandardColumn("POSTAL_CODE_", "homeAddress.postalCode", "STR25", 25, "POSTAL_CODE_", SYSTEM),
        StandardColumn("BIRTH_MMDD", "person.birthDayAndMonth", "STR25", 5, "BIRTH_MMDD (your own)", MONTH_AND_DAY, role="birthday"),
        StandardColumn("CUSTOMER_ID_", "loyalty.loyaltyID[0]", "STR255", 255, "CUSTOMER_ID_", SYSTEM, role="key"),
    ),
    fields=(
        StandardColumn("RIID_", "", "INTEGER", None, "RIID_", SYSTEM),
        StandardColumn("EMAIL_FORMAT_", "", "CHAR", 1, "EMAIL_FORMAT_", SYSTEM, allowed=("H", "T", "U")),
        StandardColumn("EMAIL_DELIVERABILITY_STATUS_", "", "CHAR", 1, "EMAIL_DELIVERABILITY_STATUS_", SYSTEM, allowed=("D", "U")),
        StandardColumn("EMAIL_PERMISSION_REASON_", "", "STR255", 255, "EMAIL_PERMISSION_REASON_", SYSTEM),
        StandardColumn("EMAIL_MD5_HASH_", "", "STR50", 50, "EMAIL_MD5_HASH_", SYSTEM, role="key"),
        StandardColumn("EMAIL_SHA256_HASH_", "", "STR100", 100, "EMAIL_SHA256_HASH_", SYSTEM, role="key"),
        StandardColumn("MOBILE_COUNTRY_", "", "STR25", 25, "MOBILE_COUNTRY_", SYSTEM),
        StandardColumn("POSTAL_STREET_1_", "", "STR255", 255, "POSTAL_STREET_1_", SYSTEM),
        StandardColumn("POSTAL_STREET_2_", "", "STR255", 255, "POSTAL_STREET_2_", SYSTEM),
        StandardColumn("COUNTRY_", "", "STR50", 50, "COUNTRY_", SYSTEM),
    ),
    key=KeyRule(
        ("RIID_", "CUSTOMER_ID_", "EMAIL_ADDRESS_", "MOBILE_NUMBER_", "EMAIL_MD5_HASH_", "EMAIL_SHA256_HASH_"),
        2,
        "rows are matched by at most two of these fields, and not by an address and its hash together",
        MATCHING,
        (frozenset({"EMAIL_ADDRESS_", "EMAIL_MD5_HASH_", "EMAIL_SHA256_HASH_"}),),
    ),
    phone=PhoneRule("digits", MOBILE),
    email=EmailRule(
        rf"^[^@{BLANKS}]{{1,64}}@[^@{BLANKS}.]+(\.[^@{BLANKS}.]+)+$",
        "one @, a domain with a dot, no blanks",
        Source("RFC 5321, 4.5.3.1", "our choice"),
        LOADING,  # so that two addresses which differ in them are one key
    ),
    dates=DateRule(
        "yyyy-MM-dd HH:mm:ss",
        "yyyy-MM-dd HH:mm:ss",
        LOADING,
        Note("Responsys reads timestamps as yyyy-mm-dd hh:mi:ss, and cuts off what comes after the seconds, such as a zone", LOADING),
    ),
    bytes=(
        ByteLimit(
            1_000_000_000,
            "no limit of a Connect job was found; very large files are imported slowly",
            Source("a round number", "our choice"),
        ),
    ),
    exits=Note(
        "rows of members who have left have the status exited: import it into a field and select by that",
        Source("the status is a field like others", "our choice"),
    ),
    header=HeaderRule(
        r"[A-Za-z][A-Za-z0-9$#_]*[A-Za-z0-9$#]|[A-Za-z]",
        30,
        RESERVED | LETTERS,
        frozenset(
            "RIID_ CUSTOMER_ID_ EMAIL_ADDRESS_ EMAIL_FORMAT_ EMAIL_PERMISSION_STATUS_ EMAIL_DELIVERABILITY_STATUS_ EMAIL_PERMISSION_REASON_ "
            "EMAIL_MD5_HASH_ EMAIL_SHA256_HASH_ MOBILE_NUMBER_ MOBILE_COUNTRY_ POSTAL_STREET_1_ POSTAL_STREET_2_ CITY_ STATE_ POSTAL_CODE_ COUNTRY_".split()
        ),
        "at most 30 letters, digits, $ # _, a letter first, no _ at the end but in system fields, no reserved word",
        NAMES,
    ),
    text_length=(500, TYPES),
    expected_columns=(("EMAIL_PERMISSION_STATUS_", Note("new rows without a permission are opted out, and get no mail", PERMISSION)),),
    one_file=Note(
        "a job reads one file: make one job for each part, or raise file.max_rows", Source("no pattern of names was found", "our choice")
    ),
    fixed_name=Note("a job reads one name: no pattern with a date was found", Source("no pattern of names was found", "our choice")),
)
