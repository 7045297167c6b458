"""Salesforce Marketing Cloud Engagement: an automation imports the file into a data extension."""

from __future__ import annotations

from courier.esp.base import (
    MONTH_AND_DAY,
    ByteLimit,
    DateRule,
    EmailRule,
    KeyRule,
    Note,
    PhoneRule,
    Platform,
    Setting,
    Source,
    StandardColumn,
)

REQUIREMENTS = Source("help.salesforce.com mc_es_subscriber_import_file_requirements")
IMPORT_ACTIVITY = Source("help.salesforce.com mc_es_import_activity")
QUOTES = Source("successjp.salesforce.com NAI-001090")
ENCODING = Source("Accenture/sfmc-devtools test resources: encodingName utf-8", "secondary")
EMAIL = Source("help.salesforce.com 005226498")
MOBILE = Source("help.salesforce.com mc_moc_prepare_file_for_import, of MobileConnect; not documented for data extensions", "our choice")
FIELDS = Source("developer.salesforce.com ssjs_dataExtensionFieldsAdd: Text has 1 to 4000 characters")
KEY_LENGTH = Source("a subscriber key has at most 254 characters, gettectonic.com", "secondary")
OURS = Source("a field of the data extension in the artefacts, with the length that it has there", "our choice")
PHONE_FIELD = Source("a Phone field has 50 characters", "memory")
DATES = Source("dates in ISO 8601 are read in any locale, cameronrobert.com.au", "secondary")
DROP = Source("file-drop automations do not start on a rename, gortonington.com/sfmc-file-drop-automations", "secondary")
NAMES = Source("help.salesforce.com 000389700, 000388775")

PLATFORM = Platform(
    name="salesforce_marketing_cloud",
    title="Salesforce Marketing Cloud",
    settings=(
        Setting(
            "file",
            "file.header",
            (True,),
            "a header is recommended: columns are found by its names",
            Source(REQUIREMENTS.document, "our choice"),
        ),
        Setting("file", "file.extension", ("csv", "txt"), "files are .csv, or .txt with tabs", REQUIREMENTS),
        Setting("file", "file.quoting", ("minimal", "all"), "a comma in a value needs the double quotes that the import respects", QUOTES),
        Setting("file", "file.quote", ('"',), "the import respects double quotes as text qualifier, and no others", QUOTES),
        Setting("file", "file.escape", ("double",), "a quote inside of quotes is written twice", QUOTES),
        Setting("file", "file.encoding", ("utf-8",), "the import definition in the artefacts says UTF-8", ENCODING),
        Setting(
            "compression",
            "file.compression",
            ("none",),
            "compressed files need a File Transfer activity before the import",
            IMPORT_ACTIVITY,
        ),
        Setting(
            "encryption", "file.encrypted", (False,), "encrypted files need a File Transfer activity before the import", IMPORT_ACTIVITY
        ),
        Setting(
            "transport",
            "destination.publish",
            ("direct",),
            "a file-drop automation does not start on a rename; a scheduled one reads both",
            DROP,
        ),
    ),
    columns=(
        StandardColumn("SubscriberKey", "loyalty.loyaltyID[0]", "Text", 254, "SubscriberKey", KEY_LENGTH, role="key", required=True),
        StandardColumn("MobilePhone", "mobilePhone.number", "Phone", 50, "MobilePhone", PHONE_FIELD, role="phone"),
        StandardColumn("FirstName", "person.name.firstName", "Text", 100, "FirstName", OURS),
        StandardColumn("LastName", "person.name.lastName", "Text", 100, "LastName", OURS),
        StandardColumn("City", "homeAddress.city", "Text", 100, "City", OURS),
        StandardColumn("State", "homeAddress.stateProvince", "Text", 50, "State", OURS),
        StandardColumn("PostalCode", "homeAddress.postalCode", "Text", 20, "PostalCode", OURS),
        StandardColumn("BirthDayMonth", "person.birthDayAndMonth", "Text", 5, "BirthDayMonth", MONTH_AND_DAY, role="birthday"),
        StandardColumn("EmailAddress", "personalEmail.address", "EmailAddress", 254, "EmailAddress", EMAIL, role="email", required=True),
    ),
    key=KeyRule((), 16, "without a primary key only Overwrite is allowed", IMPORT_ACTIVITY),
    phone=PhoneRule("digits", MOBILE),
    email=EmailRule(
        r"^[\x21-\x3f\x41-\x7e]{1,100}@[\x21-\x2d\x2f-\x3f\x41-\x7e]+(\.[\x21-\x2d\x2f-\x3f\x41-\x7e]+)*\.[\x21-\x2d\x2f-\x3f\x41-\x7e]{2,}$",
        "one @, at most 100 characters before it, a top-level domain of two characters or more, ASCII without blanks",
        EMAIL,
    ),
    dates=DateRule(
        "yyyy-MM-dd",
        "yyyy-MM-dd HH:mm:ssXXX",
        DATES,
        Note("another form is read as the locale of the import has it, and a time without a zone as that of the server", DATES),
    ),
    bytes=(
        ByteLimit(
            1_000_000_000,
            "no limit of imported files was found; very large ones are imported slowly",
            Source("a round number", "our choice"),
        ),
    ),
    exits=Note(
        "rows of members who have left have the status exited: import with ColumnBased and that column, mapped to Delete",
        Source("WSDL of the SOAP API: ImportDefinition.ControlColumn", "secondary"),
    ),
    text_length=(4000, FIELDS),
    digest=64,  # of SHA-256, the longest
    exact_header=Source(REQUIREMENTS.document, "our choice"),  # exactly those of your data extension, whose names may be others
    name_on_s3=Note(
        "a scheduled import finds a file by year, month and day, and file drops, which find other names, are of the Enhanced SFTP only",
        Source(f"{NAMES.document}; {DROP.document}", "secondary"),
    ),
    one_file=Note(
        "an import reads one file, unless several are allowed in its definition (HasMultipleFiles)",
        Source("WSDL of the SOAP API", "secondary"),
    ),
)

#: File names of a scheduled import are static, or have these three. Where no file of the day is there, the nearest is taken.
PATTERNS = ("%%Year%%", "%%Month%%", "%%Day%%")
