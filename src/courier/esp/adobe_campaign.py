"""Adobe Campaign: Classic v7, v8 and Standard. A workflow fetches the file (File transfer) and reads it (Data loading, Load file)."""

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
from courier.patterns import BLANKS

PRACTICES = Source("AdobeDocs/campaign-classic.en help/platform/using/import-export-best-practices.md")
#: What is recommended there refuses nothing.
RECOMMENDED = Source(PRACTICES.document, "our choice")
LOADING = Source("AdobeDocs/campaign-classic.en help/workflow/using/data-loading-file.md")
LOADING_V8 = Source("AdobeDocs/campaign.en help/automation/workflow/data-loading-file.md")
LOADING_WEB = Source("AdobeDocs/campaign-web.en help/v8/workflows/activities/load-file.md")
#: Standard's lengths. Of v7 and v8 none is documented, so the preset only warns.
PROFILE = Source("AdobeDocs/campaign-standard.en help/developing/using/datamodel-profile.md, of Standard; none of v7 and v8", "our choice")
ONE_FILE = Source("AdobeDocs/campaign-standard.en help/automating/using/importing-data.md")
CODE_PAGE = Source("a default code page of 1252 in a published instance fixture", "secondary")
CUSTOM = Source("a field of your own, with the length that the column sheet gives it", "our choice")
ADDRESS = Source("AdobeDocs/campaign-classic.en help/integrations/using/acs-connector-principles-and-data-cycle.md")

PLATFORM = Platform(
    name="adobe_campaign",
    title="Adobe Campaign",
    settings=(
        Setting(
            "file",
            "file.delimiter",
            ("\t", ";", ","),
            "tab and semicolon are recommended, and comma is what Adobe itself sends",
            RECOMMENDED,
        ),
        Setting("file", "file.header", (True,), "a header line is recommended: the columns are learned from it", RECOMMENDED),
        Setting("file", "file.extension", ("txt", "csv"), "Campaign loads flat files, .txt and .csv", LOADING),
        Setting(
            "file", "file.encoding", ("utf-8",), "the encoding is set by hand in Campaign; keep to UTF-8, and set UTF-8 there", CODE_PAGE
        ),
        Setting("file", "file.quoting", ("none",), "the recommended format has no string delimiter", RECOMMENDED),
        Setting("compression", "file.compression", ("none", "gzip"), "Campaign's pre-processing decompresses gzip (zcat)", LOADING),
    ),
    columns=(
        StandardColumn("email", "personalEmail.address", "string", 128, "@email", PROFILE, role="email", required=True),
        StandardColumn("mobilePhone", "mobilePhone.number", "string", 32, "@mobilePhone", PROFILE, role="phone"),
        StandardColumn("firstName", "person.name.firstName", "string", 30, "@firstName", PROFILE),
        StandardColumn("lastName", "person.name.lastName", "string", 50, "@lastName", PROFILE),
        StandardColumn("city", "homeAddress.city", "string", None, "[location/@city]", ADDRESS),
        StandardColumn("stateCode", "homeAddress.stateProvince", "string", None, "[location/@stateCode]", ADDRESS),
        StandardColumn("zipCode", "homeAddress.postalCode", "string", None, "[location/@zipCode]", ADDRESS),
        StandardColumn(
            "birthDayMonth", "person.birthDayAndMonth", "string", 5, "@birthDayMonth (your own)", MONTH_AND_DAY, role="birthday"
        ),
        StandardColumn("loyaltyId", "loyalty.loyaltyID[0]", "string", 255, "@loyaltyId (your own)", CUSTOM, role="key"),
    ),
    key=KeyRule((), 16, "the reconciliation key is any field that is unique; duplicates of it are to be removed before", PRACTICES),
    phone=PhoneRule("plus", Source("E.164, https://www.twilio.com/docs/glossary/what-e164", "secondary")),
    email=EmailRule(
        rf"^[^@{BLANKS}]{{1,64}}@[^@{BLANKS}.]+(\.[^@{BLANKS}.]+)+$",
        "one @, a domain with a dot, no blanks",
        Source("RFC 5321, 4.5.3.1", "our choice"),
    ),
    dates=DateRule(
        "yyyy/MM/dd",
        "yyyy/MM/dd HH:mm:ss",
        PRACTICES,
        Note("another form is for you to choose for the column in the loading activity", Source(LOADING.document, "our choice")),
    ),
    bytes=(
        ByteLimit(4_000_000_000, "Campaign cannot decompress files above 4 GB", LOADING_V8, compressed=True, hard=True),
        ByteLimit(150_000_000, "Campaign v8 loads files up to 150 MB in the client console", LOADING_V8),
        ByteLimit(50_000_000, "Campaign's web interface loads files up to 50 MB", LOADING_WEB),
    ),
    exits=Note(
        "rows of members who have left have the status exited: branch on that column in the workflow",
        Source("the status is a column like others", "our choice"),
    ),
    compression_or_encryption=LOADING,
    empty_number=LOADING,
    one_file=Note("one Load file activity reads a single file: loop over the parts, or raise file.max_rows", ONE_FILE),
)
