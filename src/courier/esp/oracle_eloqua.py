"""Oracle Eloqua: a scheduled contact import reads the file from an SFTP server. It reads no S3."""

from __future__ import annotations

from courier.esp.base import (
    MONTH_AND_DAY,
    ByteLimit,
    DateRule,
    EmailRule,
    KeyRule,
    Note,
    NumberRule,
    PhoneRule,
    Platform,
    Setting,
    Source,
    StandardColumn,
)
from courier.patterns import BLANKS

IMPORTING = Source("docs.oracle.com eloqua-user/Help/DataImportExport/Tasks/ImportingContactsOrAccounts.htm")
UPLOADING = Source("docs.oracle.com OMCAA/Help/Contacts/Tasks/UploadingContacts.htm")
TYPES = Source("docs.oracle.com OMCAA/Help/DataTypes/DataTypes.htm")
CUSTOM_FIELDS = Source("docs.oracle.com eloqua-user/Help/ContactFields/Tasks/CreatingContactFields.htm, of fields", "our choice")
NO_EMAIL = Source("docs.oracle.com ContactsNoEmailFAQ.htm")
NOT_FOUND = Source("no document says that a scheduled import can do it", "our choice")
BULK_UTF8 = Source("docs.oracle.com op-api-bulk-2.0-contacts-imports-id-data-post: UTF-8; not said of SFTP imports", "our choice")

PLATFORM = Platform(
    name="oracle_eloqua",
    title="Oracle Eloqua",
    settings=(
        Setting(
            "file",
            "file.delimiter",
            (",", "|", ";"),
            "a scheduled import reads comma, pipe and semicolon; only the upload wizard accepts tab",
            IMPORTING,
        ),
        Setting("file", "file.header", (True,), "the first row has to be the header", IMPORTING),
        Setting("file", "file.extension", ("csv", "txt"), "files are .txt, .csv, .xls or .xlsx", IMPORTING),
        Setting("file", "file.quoting", ("minimal", "all"), "a value with a delimiter, a quote or a line end has to be quoted", IMPORTING),
        Setting("file", "file.quote", ('"',), "values are quoted with double quotes", IMPORTING),
        Setting("file", "file.escape", ("double",), "a quote inside of quotes is written twice", IMPORTING),
        Setting("file", "file.encoding", ("utf-8",), "UTF-8 is what Eloqua documents, for its API", BULK_UTF8),
        Setting("compression", "file.compression", ("none",), "no import of compressed files was found", NOT_FOUND),
        Setting("encryption", "file.encrypted", (False,), "no import of encrypted files was found", NOT_FOUND),
        Setting(
            "transport",
            "destination.kind",
            ("sftp_password", "sftp_key", "local"),
            "Eloqua imports from SFTP; no import from S3 was found",
            NOT_FOUND,
        ),
        Setting("transport", "destination.port", (22,), "Eloqua reads from SFTP servers on port 22 only", IMPORTING),
    ),
    columns=(
        StandardColumn("EmailAddress", "personalEmail.address", "text", 100, "C_EmailAddress", TYPES, role="email", required=True),
        StandardColumn("MobilePhone", "mobilePhone.number", "text", 100, "C_MobilePhone", TYPES, role="phone"),
        StandardColumn("FirstName", "person.name.firstName", "text", 100, "C_FirstName", TYPES),
        StandardColumn("LastName", "person.name.lastName", "text", 100, "C_LastName", TYPES),
        StandardColumn("City", "homeAddress.city", "text", 100, "C_City", TYPES),
        StandardColumn("StateProv", "homeAddress.stateProvince", "text", 100, "C_State_Prov", TYPES),
        StandardColumn("ZipPostal", "homeAddress.postalCode", "text", 100, "C_Zip_Postal", TYPES),
        StandardColumn("BirthDayMonth", "person.birthDayAndMonth", "text", 5, "C_Birth_Day_Month1", MONTH_AND_DAY, role="birthday"),
        StandardColumn("LoyaltyId", "loyalty.loyaltyID[0]", "text", 100, "C_Loyalty_Id1", TYPES, role="key"),
    ),
    fields=(  # their statements: public clients on GitHub, as are those of the columns
        StandardColumn("BusPhone", "", "text", 100, "C_BusPhone", TYPES),
        StandardColumn("Country", "", "text", 100, "C_Country", TYPES),
    ),
    key=KeyRule((), 1, "contacts are matched by one field, the email address or another unique one; its duplicates are rejected", NO_EMAIL),
    phone=PhoneRule("plus", Source("E.164, https://www.twilio.com/docs/glossary/what-e164", "secondary")),
    email=EmailRule(rf"^[^{BLANKS}]+$", "no blanks, of which a no-break space makes an address unusable", UPLOADING),
    dates=DateRule(
        "yyyy-MM-dd",
        "yyyy-MM-dd HH:mm:ss",
        IMPORTING,
        Note("Eloqua reads dates as YYYY-MM-DD, with or without HH:mm:ss, and leaves out a value with milliseconds", IMPORTING),
    ),
    bytes=(ByteLimit(5_000_000_000, "Eloqua takes files up to 5 GB from SFTP", IMPORTING, hard=True),),
    exits=Note(
        "rows of members who have left have the status exited: import them into a field, or as a separate file with another purpose",
        Source("an import has one purpose", "our choice"),
    ),
    text_length=(100, TYPES),
    max_columns=(250, Note("Eloqua has at most 250 custom contact fields; of an import's columns no limit was found", CUSTOM_FIELDS)),
    number=NumberRule(15, 4, TYPES),
    one_file=Note("an import reads one name: make one import for each part, or raise file.max_rows", NOT_FOUND),
    fixed_name=Note("an import reads one fixed name: no pattern with a date was found", NOT_FOUND),
)
#: A Bulk API import has at most so many fields. Source: docs.oracle.com OMCAB/Developers/BulkAPI/Reference/bulk-limits.htm
BULK_FIELDS = 100
