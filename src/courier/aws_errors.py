"""What AWS and stores like it answer where they refuse: which codes there are, and which will pass."""

from __future__ import annotations

from botocore.exceptions import ClientError

#: Codes below HTTP 500 that may go well when tried again. The last four: what arrived is not what was sent.
TRANSIENT_CODES = {
    "SlowDown",
    "SlowDownWrite",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "RequestTimeout",
    "RequestTimeoutException",
    "OperationAborted",
    "IDPCommunicationError",
    "408",
    "429",
    "BadDigest",
    "IncompleteBody",
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
}
#: Codes of HTTP 500 and above that nothing but a change can help.
TERMINAL_CODES = {"NotImplemented", "501", "XMinioStorageFull", "InsufficientStorage", "507"}
#: Refusals that may also come in an answer that began as 200, as that to CompleteMultipartUpload: botocore then says HTTP 500.
LATE_REFUSALS = {
    "AccessDenied",
    "EntityTooLarge",
    "EntityTooSmall",
    "InvalidPart",
    "InvalidPartOrder",
    "InvalidRequest",
    "NoSuchBucket",
    "NoSuchUpload",
    "PreconditionFailed",
}
#: What to do where a file or a program is missing that AWS's default chain of credentials was told of.
CHAIN = "check AWS_PROFILE, AWS_WEB_IDENTITY_TOKEN_FILE and what else tells AWS's default chain where keys are"


def code_of(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", "unknown"))


def message_of(exc: ClientError) -> str:
    """The server's own words: to be looked into, and never shown."""
    return str(exc.response.get("Error", {}).get("Message", ""))


def status_of(exc: ClientError) -> int:
    return int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def will_pass(exc: ClientError) -> bool:
    """Whether the same may go well when it is tried again."""
    code, status = code_of(exc), status_of(exc)
    refused = code in TERMINAL_CODES or code in LATE_REFUSALS or code.startswith("KMS.")
    return code in TRANSIENT_CODES or "Throttl" in code or (status >= 500 and not refused)


def unreadable(exc: OSError) -> str:
    """A file of credentials, or a program that gives some, which botocore lets fail as they do."""
    return f"{exc.filename or 'a file'}: {exc.strerror or type(exc).__name__}"
