"""What botocore raises, translated once."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from courier.aws_errors import CHAIN, code_of, message_of, status_of, unreadable, will_pass
from courier.errors import CourierError, DeliveryError, TerminalError, TransientError

REGION = "check destination.region: the bucket is in another one"
KEYS = "check the access key"
KMS = "check destination.kms_key_id: the KMS key must be enabled, in the bucket's region, and allow this key kms:GenerateDataKey and kms:Decrypt"
ADVICE = {
    "NoSuchBucket": "check destination.bucket and destination.region; the bucket is not created for you",
    "InvalidAccessKeyId": KEYS,
    "InvalidClientTokenId": KEYS,
    "SignatureDoesNotMatch": "check the secret access key",
    "ExpiredToken": "the session's credentials have expired: log in again, or set destination.role_arn, which renews them",
    "ExpiredTokenException": "the session's credentials have expired: log in again, or set destination.role_arn, which renews them",
    "InvalidToken": "check the session token of the credentials",
    "RequestTimeTooSkewed": "set this machine's clock: it is more than 15 minutes off the store's",
    "AccessDenied": "the key may not write here: it needs s3:PutObject, s3:AbortMultipartUpload and s3:GetObject, for destination.tags "
    "s3:PutObjectTagging, and for destination.acl s3:PutObjectAcl",
    "AccessControlListNotSupported": "unset destination.acl: the bucket has ACLs disabled",
    "InvalidStorageClass": "check destination.storage_class: the store does not have it",
    "InvalidTag": "check destination.tags",
    "NoSuchUpload": "the store has ended the upload: a lifecycle rule, a full disk, or somebody who cleaned up",
    "PermanentRedirect": REGION,
    "AuthorizationHeaderMalformed": REGION,
    "IllegalLocationConstraintException": REGION,
    "301": REGION,
    "XMinioStorageFull": "free some space at the store",
    "403": "check both keys; right ones may not look here: they need s3:GetObject and s3:ListBucket, or set destination.on_conflict=replace",
    "404": "check destination.bucket and destination.region; the bucket is not created for you",
}
#: What AccessDenied means for an operation that is not about writing.
DENIED = {
    "AssumeRole": "the credentials may not assume destination.role_arn (or the role of AWS_PROFILE): check its trust policy and destination.role_external_id",
    "ListMultipartUploads": "the key may not list uploads: it needs s3:ListBucketMultipartUploads",
    "ListParts": "the key may not list parts: it needs s3:ListMultipartUploadParts",
    "DeleteObject": "the key may not delete: it needs s3:DeleteObject",
}
#: Of roles that are assumed with a token, whatever the code is.
WEB_IDENTITY = "check AWS_ROLE_ARN, the role's trust policy, and whether the token in AWS_WEB_IDENTITY_TOKEN_FILE is a current one"
#: How AWS names the right that is missing.
MISSING_RIGHT = re.compile(r"not authorized to perform: (s3[\w-]*:\w+)")
#: What opening a file meets that is not there or may not be read.
NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


def reason(client: Any, bucket: str, exc: ClientError) -> ClientError:
    """Why a request by HEAD was refused. Its answer has no body that could say it: keys that are wrong or have expired, and a
    clock that is, look like a right that is missing. So a request is made whose answer has one.
    """
    if not code_of(exc).isdecimal():  # it was not refused by that answer: the role, say
        return exc
    try:
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except ClientError as told:
        return exc if code_of(told) == "AccessDenied" else told
    return exc


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """Most specific first. `where` is the file's address, or the bucket's."""
    try:
        yield
    except CourierError:
        raise
    except ClientError as exc:
        raise _refused(exc, where) from exc
    except (NoCredentialsError, PartialCredentialsError) as exc:
        raise TerminalError(
            "There are no AWS credentials",
            where=where,
            fix="set destination.access_key_id_env and .secret_access_key_env, or AWS's own variables",
        ) from exc
    except NoRegionError as exc:
        raise TerminalError("S3 cannot be used without a region", where=where, fix="set destination.region") from exc
    except SSLError as exc:
        raise _insecure(exc, where) from exc
    except (EndpointConnectionError, BotoConnectionError, HTTPClientError) as exc:
        raise TransientError("S3 cannot be reached", where=where, found=_met(exc), fix="check destination.endpoint_url and region") from exc
    except (ResponseParserError, KeyError) as exc:
        raise TerminalError("What answers is no S3", where=where, found=type(exc).__name__, fix="check destination.endpoint_url") from exc
    except OSError as exc:  # of a file or program that the default chain was told of: a web identity's token, a credential_process
        raise TerminalError("AWS credentials cannot be read", where=where, found=unreadable(exc), fix=CHAIN) from exc
    except (BotoCoreError, ValueError) as exc:
        raise TerminalError("S3 cannot be used", where=where, found=" ".join(str(exc).split())[:200]) from exc


def _insecure(exc: SSLError, where: str) -> DeliveryError:
    """What is wrong with certificates or their files stays so; a connection that was cut meanwhile may be made later."""
    text, cause = str(exc), exc.kwargs["error"]
    if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text:
        fix = "check destination.endpoint_url, or name the authority's certificate in AWS_CA_BUNDLE"
        return TerminalError("S3's certificate is not trusted", where=where, found=_met(exc), fix=fix)
    if "NO_CERTIFICATE" in text or any(isinstance(each, NO_FILE) for each in cause.args):
        return TerminalError("The file with authorities' certificates cannot be read", where=where, fix="check AWS_CA_BUNDLE")
    if "WRONG_VERSION_NUMBER" in text:
        fix = "check the port in destination.endpoint_url, and whether it begins with http://"
        return TerminalError("What answers speaks no TLS", where=where, found=_met(exc), fix=fix)
    return TransientError("S3 cannot be reached", where=where, found=_met(exc))


def _met(exc: BotoCoreError) -> str:
    """With the host, which need not be S3's: a role's keys come from STS, others from wherever the default chain finds them."""
    host = urlsplit(str(getattr(exc, "kwargs", {}).get("endpoint_url") or "")).netloc.rpartition("@")[2]
    return type(exc).__name__ + (f" at {host}" if host else "")


def _refused(exc: ClientError, where: str) -> DeliveryError:
    code, status, operation = code_of(exc), status_of(exc), exc.operation_name
    return (TransientError if will_pass(exc) else TerminalError)(
        f"{'STS' if operation.startswith('AssumeRole') else 'S3'} refused {operation}",
        where=where,
        found=f"{code} (HTTP {status})",
        fix=None if "Throttl" in code else _advice(code, operation, message_of(exc)),  # KMS has limits of its own
    )


def _advice(code: str, operation: str, message: str) -> str | None:
    """AccessDenied is also what S3 says where the KMS key's policy refuses; only its message tells."""
    if code.upper().startswith("KMS") or (code == "AccessDenied" and "kms:" in message.lower()):
        return KMS
    if operation == "AssumeRoleWithWebIdentity":
        return WEB_IDENTITY
    if code in ("AccessDenied", "403") and operation in DENIED:
        return DENIED[operation]
    if code == "AccessDenied" and (right := MISSING_RIGHT.search(message)):
        return f"the key needs {right.group(1)}" + (", which a policy denies it expressly" if "explicit deny" in message else "")
    if "content-md5" in message.lower():
        return "set destination.checksums=when_supported: a bucket with object lock wants a checksum with what is sent"
    return ADVICE.get(code)
