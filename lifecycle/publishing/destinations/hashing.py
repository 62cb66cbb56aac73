"""What ad platforms are sent in place of addresses: SHA-256 over a value written as the vendor wants it.

Belongs here: the vendors' published rules of writing (by version), the hash, and the key made of hashes.
Does not belong here: calls to a vendor (a file per kind beside this one), and when two records are one person
(``identity/normalize.py``; the forms there serve comparison, these serve the vendor's own matching).

All of it is pure. A rule that changes gets a new version: hashes of another writing are other people to the vendor.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from lifecycle.identity.normalize import judge_phone
from lifecycle.publishing.destinations.members import Member, Veto

Field = Literal["email", "phone", "name", "country", "postcode"]
Writer = Callable[[str, str | None], str | None]
"""Writes a value as a vendor wants it; the second argument is the country it belongs to. None: it cannot be used."""

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_DOTLESS = ("gmail.com", "googlemail.com")
"""Domains whose dots and ``+tag`` Google drops. Both stay what they are: one is not written as the other."""


@dataclass(frozen=True)
class Rules:
    """How one vendor wants values written before they are hashed."""

    version: str
    writers: Mapping[Field, Writer]
    unhashed: frozenset[Field] = frozenset()
    """Fields that the vendor wants written so, and not hashed."""

    def write(self, field: Field, text: str, country: str | None = None) -> str | None:
        """The value before it is hashed; None where the vendor could not match it."""
        # Vendors hash what people typed, which is composed: Meta's published hash of "valéry" is that of NFC.
        return self.writers[field](unicodedata.normalize("NFC", text), country)

    def send(self, field: Field, text: str, country: str | None = None) -> str | None:
        """The value as it is sent."""
        written = self.write(field, text, country)
        return written if written is None or field in self.unhashed else sha256(written)


@dataclass(frozen=True)
class Hashes:
    """What a vendor is told of one person; an empty text where nothing is known.

    A vendor finds who leaves as it found who joined, by both. A removal is given the key alone, so the key holds both.
    """

    email: str = ""
    phone: str = ""

    @property
    def key(self) -> str:
        return f"{self.email}.{self.phone}"

    @classmethod
    def of_key(cls, key: str) -> Hashes:
        return cls(*key.split("."))


def sha256(text: str) -> str:
    """SHA-256 of the text in UTF-8, as lower-case hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_hash(text: str) -> bool:
    return _HASH.fullmatch(text.strip()) is not None


def hashes_of(rules: Rules, member: Member, *, default_country: str | None, are_declared: bool) -> Hashes | Veto:
    """Email and phone of a member as hashes.

    A hash is never hashed again: the vendor would match nobody and say nothing. Where it is declared
    (``are_declared``) that identifiers may be hashes, they are sent as they are; else the member is refused.
    """
    fields: tuple[Field, Field] = ("email", "phone")
    found: dict[Field, str] = {}
    for field in fields:
        text = member.identifiers.get(field, "").strip()
        if not is_hash(text):
            found[field] = rules.send(field, text, default_country) or ""
        elif are_declared:
            found[field] = text.lower()
        else:
            return Veto("already_hashed", f"the {field} is a hash already, and the setting `hashed` does not say so")
    if any(found.values()):
        return Hashes(found["email"], found["phone"])
    if any(member.identifiers.get(field) for field in fields):
        return Veto("unusable_identifier", "the email or phone number is none that could be matched")
    return Veto("no_identifier", "people are known by their email or phone number")


# --- emails ----------------------------------------------------------------------------------------------------------


def _google_email(text: str, _: str | None = None) -> str | None:
    parts = "".join(text.split()).lower().split("@")
    if len(parts) != 2:
        return None
    local, domain = parts
    if domain in _DOTLESS:
        local = local.split("+")[0].replace(".", "")
    return f"{local}@{domain}" if local and domain else None


def _meta_email(text: str, _: str | None = None) -> str | None:
    email = text.strip().lower()
    return email if re.fullmatch(r"[^\s@]+@[^\s@]+", email) else None


# --- phones ----------------------------------------------------------------------------------------------------------


def _e164(text: str, country: str | None) -> str | None:
    """A national writing is read by the rules of its country; without a country it is nobody's."""
    phone = text.strip()
    return phone if _E164.fullmatch(phone) else judge_phone(phone, country)[0]


def _meta_phone(text: str, country: str | None) -> str | None:
    phone = _e164(text, country)
    return phone and phone.removeprefix("+")


# --- names, countries, postcodes -------------------------------------------------------------------------------------


def _google_name(text: str, _: str | None = None) -> str | None:
    return text.strip().lower() or None


def _meta_name(text: str, _: str | None = None) -> str | None:
    # Of Unicode's categories: punctuation (P) and symbols (S). Marks stay: other alphabets spell with them.
    return "".join(sign for sign in text.lower() if unicodedata.category(sign)[0] not in "PS").strip() or None


def _country(text: str, _: str | None = None) -> str | None:
    code = text.strip().upper()
    return code if re.fullmatch(r"[A-Z]{2}", code) else None


def _meta_country(text: str, _: str | None = None) -> str | None:
    code = _country(text)
    return code and code.lower()


def _google_postcode(text: str, _: str | None = None) -> str | None:
    return text.strip() or None


def _meta_postcode(text: str, country: str | None) -> str | None:
    """Five digits for the US; area, district and sector for the UK (all but the last two letters)."""
    postcode = "".join(text.split()).lower()
    if country == "US":
        postcode = postcode[:5]
    elif country == "GB" and re.fullmatch(r"[a-z]{1,2}[0-9][a-z0-9]?[0-9][a-z]{2}", postcode):
        postcode = postcode[:-2]
    return postcode or None


GOOGLE = Rules(
    "google.v1",
    {
        "email": _google_email,
        "phone": _e164,
        "name": _google_name,
        "country": _country,
        "postcode": _google_postcode,
    },
    unhashed=frozenset({"country", "postcode"}),
)
"""https://developers.google.com/data-manager/api/devguides/concepts/formatting"""

META = Rules(
    "meta.v1",
    {
        "email": _meta_email,
        "phone": _meta_phone,
        "name": _meta_name,
        "country": _meta_country,
        "postcode": _meta_postcode,
    },
)
"""https://developers.facebook.com/docs/marketing-api/audiences/guides/custom-audiences#hash"""
