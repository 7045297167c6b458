"""Who may be written to: XDM's consents, and the legacy opt-outs.

Sources: XDM data type Consents and Preferences (`consents.marketing.any` wins when it says no, and stands in for a channel
that says nothing; `consents.idSpecific` counts only where the channel has not said no); XDM's older `optInOut`
(a channel's URI → in, out, pending, not_provided; `globalOptout`), which is asked only where consents say nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa

from courier import expressions, xdm
from courier.config import ConsentConfig
from courier.errors import SourceError, nearest
from courier.mapping import SAID

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

DENIED, UNKNOWN = "no_consent", "consent_unknown"
ADDRESS = "personalEmail.address"
#: Names under which the identities of a channel are kept in idSpecific.
NAMESPACES = {"email": ("Email", "email")}
ANSWER_OF_ADDRESS = "consents.idSpecific['namespace']['identity'].marketing.{}.val"
LEGACY = "https://ns.adobe.com/xdm/channels/{}"
#: Channels of consents.marketing: those of XDM's data type, and those that Adobe's products add to it.
CHANNELS = ("email", "sms", "push", "call", "commercialEmail", "fax", "postalMail", "whatsApp")
#: Channels of optInOut, by XDM's schema OptInOut.
LEGACY_CHANNELS = (
    "adm apns application baidu direct-mail email facebook-feed fax gcm line mobile-app mpns phone sms twitter-feed web webpage wechat wns"
).split()
WITHOUT = "consent=off sends without asking"


@dataclass(frozen=True)
class Consent:
    """The paths of consent that the source has: what they tell → XDM path. None at all: nobody can be asked.

    `fan_out`: the namespace of the identities that rows are fanned out over. Each is an address as well.
    """

    config: ConsentConfig
    paths: dict[str, str]
    fan_out: str | None = None

    @property
    def applies(self) -> bool:
        return bool(self.paths)

    def describe(self) -> dict[str, str]:
        """For the run's record."""
        if self.config.rule == "off":
            return {"rule": "off"}
        return {"rule": self.config.channel, "unknown": self.config.unknown} if self.applies else {"rule": "the source has no consents"}


def resolve(config: ConsentConfig, schema: pa.Schema, others: Mapping[str, pa.Schema] | None = None, fan_out: str | None = None) -> Consent:
    """Find what the source has of consents. `others`: its files whose schema is another one.

    Raises SourceError where consent is required and there is none, and where the source has consents of which none would be asked:
    the channel is nobody's, nothing decides about it, or only some files have what does.
    """
    if config.rule == "off":
        return Consent(config, {})
    paths = _paths(config, schema, fan_out)
    if "consents" in schema.names or "optInOut" in schema.names:
        _assert_asked(config, schema, paths)
    for file, other in (others or {}).items():
        more = [path for name, path in _paths(config, other, fan_out).items() if name not in paths]
        if more:
            raise SourceError(
                f"Files of the source disagree about consents: not all have '{more[0]}'", where=file, expected="the same in all files"
            )
    if not paths and config.rule == "required":
        raise SourceError("The source has no consents", where="consent.rule=required", expected=f"consents.marketing.{config.channel}.val")
    return Consent(config, paths, fan_out)


def warnings(consent: Consent) -> list[str]:
    """What a user has to know of a source that nobody can be asked by."""
    if consent.applies or consent.config.rule == "off":
        return []
    return ["The source has no consents, so nobody was excluded for want of one; consent=off says that this is meant"]


def _paths(config: ConsentConfig, schema: pa.Schema, fan_out: str | None) -> dict[str, str]:
    """What the source has of all that can decide: what it tells → XDM path."""
    candidates = {
        "any": "consents.marketing.any.val",
        "channel": f"consents.marketing.{config.channel}.val",
        "specific": "consents.idSpecific",
        "global": "optInOut.globalOptout",
        "legacy": f"optInOut['{LEGACY.format(config.channel)}']",
    }
    paths = {name: path for name, path in candidates.items() if xdm.exists(path, schema)}
    if "specific" in paths:
        addressed = xdm.exists(ADDRESS, schema)
        if not ((addressed or fan_out) and _tells_of_addresses(config, schema)):
            del paths["specific"]
        elif addressed:
            paths["address"] = ADDRESS
    return paths


def _assert_asked(config: ConsentConfig, schema: pa.Schema, paths: dict[str, str]) -> None:
    """Raise SourceError unless the channel is one, something decides about it, and what would decide can be read."""
    channel, fields = config.channel, _fields("consents.marketing", schema)
    legacy = [name.removeprefix(LEGACY.format("")) for name in _fields("optInOut", schema) if name != "globalOptout"]
    for name in (each for each in ("any", channel) if each in fields):
        answer = f"consents.marketing.{name}.val"
        if not (xdm.exists(answer, schema) and xdm.is_text(xdm.resolve(answer, schema, "consent")[1])):
            raise SourceError(
                f"'consents.marketing.{name}' has not the shape of XDM",
                where="consent.channel",
                found=xdm.describe(fields[name]),
                expected="a struct with a text 'val'",
                fix=WITHOUT,
            )
    in_map = LEGACY_CHANNELS if "legacy" in paths and not legacy else []
    _assert_readable(channel, schema, paths)
    if paths and channel in {*fields, *legacy, *CHANNELS, *in_map}:
        return
    known = [*(name for name in fields if name != "preferred"), *legacy]
    hint = f"{nearest(channel, known or CHANNELS)} " if known or channel not in CHANNELS else ""
    place = "consents.marketing has" if fields else "The source's consents have"
    raise SourceError(f"{place} no '{channel}'", where="consent.channel", fix=hint + WITHOUT)


def _assert_readable(channel: str, schema: pa.Schema, paths: dict[str, str]) -> None:
    """Raise SourceError for an answer that would be compared with texts and is none: a 1 that says no would say nothing."""
    answers = {**paths, "specific": ANSWER_OF_ADDRESS.format(channel)}
    for name, path in ((name, answers[name]) for name in paths if name != "address"):
        kind = xdm.resolve(path, schema, "consent")[1]
        if not (xdm.is_text(kind) or (name == "global" and pa.types.is_boolean(kind))):
            raise SourceError(
                f"'{path}' has not the shape of XDM",
                where="consent.channel",
                found=xdm.describe(kind),
                expected="a boolean" if name == "global" else "text",
                fix=WITHOUT,
            )


def _fields(path: str, schema: pa.Schema) -> dict[str, pa.DataType]:
    """The fields of a struct; none where there is no such struct."""
    kind = xdm.resolve(path, schema, "consent")[1] if xdm.exists(path, schema) else None
    return {field.name: field.type for field in kind} if kind is not None and pa.types.is_struct(kind) else {}


def _tells_of_addresses(config: ConsentConfig, schema: pa.Schema) -> bool:
    """Whether idSpecific can say something of the channel: a map by namespace of maps by identity."""
    if config.channel not in NAMESPACES:
        return False
    kind = xdm.resolve("consents.idSpecific", schema, "consent")[1]
    if not (pa.types.is_map(kind) and pa.types.is_map(kind.item_type)):
        raise SourceError(
            "'consents.idSpecific' has not the shape of XDM", found=xdm.describe(kind), expected="a map of maps", fix="consent=off"
        )
    return xdm.exists(ANSWER_OF_ADDRESS.format(config.channel), schema)


def inputs(consent: Consent, schema: pa.Schema) -> list[Column]:
    """What is read of a profile for the verdict."""
    built = []
    for name, path in consent.paths.items():
        steps, _ = xdm.resolve(path, schema, "consent")
        built.append(expressions.value(str(xdm.parse(path)[0]), steps[1:]).alias(f"consent_{name}"))
    return built


def heard(members: DataFrame, consent: Consent) -> DataFrame:
    """Add `said`: `yes`, `no`, or null where a member has said neither or nobody is asked."""
    return members.withColumn(SAID, _said(consent))


def excluded(config: ConsentConfig) -> Column:
    """The reason why a member of `heard` gets nothing, or null."""
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    unknown = [F.lit(UNKNOWN)] if config.unknown == "exclude" else []
    reasons = [F.when(F.col(SAID) == "no", F.lit(DENIED)), *(F.when(F.col(SAID).isNull(), each) for each in unknown)]
    return F.coalesce(*reasons)


def _said(consent: Consent) -> Column:
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    config, found = consent.config, {name: F.col(f"consent_{name}") for name in consent.paths}

    def says(name: str, codes: list[str]) -> Column:
        return F.coalesce(found[name].isin(*codes), F.lit(False)) if name in found else F.lit(False)

    address_denies, address_grants = _said_by_address(consent, found)
    denied = says("any", config.denied) | says("channel", config.denied) | address_denies
    granted = says("channel", config.granted) | says("any", config.granted) | address_grants
    everything = F.coalesce(F.lower(found["global"].cast("string")) == "true", F.lit(False)) if "global" in found else F.lit(False)
    out = says("legacy", ["out"]) | everything
    no, yes = F.lit("no"), F.lit("yes")
    return F.when(denied, no).when(granted, yes).when(out, no).when(says("legacy", ["in"]), yes).otherwise(F.lit(None).cast("string"))


def _said_by_address(consent: Consent, found: dict[str, Column]) -> tuple[Column, Column]:
    """Whether an address of the row says no, and whether the one that it is for says yes.

    An address may have several entries: in either namespace, and spelled in several ways, as upper case and blanks at the ends
    make no other address.
    """
    from pyspark.sql import functions as F  # noqa: PLC0415, N812  engines are loaded only by the steps that need one

    config = consent.config
    if "specific" not in found:
        return F.lit(False), F.lit(False)
    namespaces = NAMESPACES[config.channel]
    known = [found["address"]] if "address" in found else []
    addresses = [*known, *([F.col("identity")] if consent.fan_out else [])]
    of_row = [F.coalesce(*reversed(addresses))] if consent.fan_out in namespaces else known
    entries = [F.map_entries(expressions.entry(found["specific"], namespace)) for namespace in namespaces]

    def said(entry: Column) -> Column:
        code = entry["value"]["marketing"][config.channel]["val"]
        verdict = F.when(code.isin(*config.denied), F.lit("-")).when(code.isin(*config.granted), F.lit("+"))
        return F.concat(verdict, expressions.normalized(entry["key"]))

    answers = [F.transform(each, said) for each in entries]  # `+address` or `-address`: the entries are looked through once

    def one_says(verdict: str, asked: list[Column]) -> Column:
        # By its name: the function of Spark 3.5's client looks for plain values only.
        wanted = [F.concat(F.lit(verdict), expressions.normalized(address)) for address in asked]
        places = [F.call_function("array_position", each, answer) for each in answers for answer in wanted]
        return reduce(operator.or_, [F.coalesce(place > 0, F.lit(False)) for place in places], F.lit(False))

    return one_says("-", addresses), one_says("+", of_row)
