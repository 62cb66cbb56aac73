"""Identifiers and names in the form in which they are compared.

Belongs here: emails and phones made comparable (or found unusable, with the reason), and the SQL that folds names and
addresses. What is published or sent keeps the person's own writing; only comparisons see these forms.
Does not belong here: what equal values mean (``links.py``, ``scoring.py``).

Ordinary emails are handled in SQL; everything unusual goes through email-validator. Phones go through phonenumbers,
each different writing once: the results are kept in ``identity.phone_numbers`` and used again by later runs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from lifecycle.warehouse import Warehouse, literal

PHONE_NUMBERS = "identity.phone_numbers"
EMAIL_ADDRESSES = "identity.email_addresses"

ORDINARY_EMAIL = r"^[a-z0-9_]([a-z0-9_%+.-]*[a-z0-9_%+-])?@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$"
"""Emails of which nothing has to be looked up: ASCII, one @, a domain with a dot."""

_GMAIL = ("gmail.com", "googlemail.com")
_LOOKALIKE_SCRIPTS = frozenset({"latin", "cyrillic", "greek"})


def create_tables(warehouse: Warehouse) -> None:
    """The tables that the models read, empty before the first run."""
    warehouse.run("create schema if not exists identity")
    warehouse.run(
        f"create table if not exists {PHONE_NUMBERS} (phone varchar, country varchar, dialled_from varchar,"
        " e164 varchar, problem varchar)"
    )
    warehouse.run(f"create table if not exists {EMAIL_ADDRESSES} (email varchar, email_key varchar, problem varchar)")


# --- emails ----------------------------------------------------------------------------------------------------------


def is_ordinary(email: str) -> str:
    """SQL: whether an email (lower case, trimmed) can be compared as it is."""
    return f"(regexp_matches({email}, {literal(ORDINARY_EMAIL)}) and not contains({email}, '..'))"


def comparable(email: str) -> str:
    """SQL: the form in which an ordinary email is compared. Gmail ignores dots and what follows a plus sign."""
    local, domain = f"split_part({email}, '@', 1)", f"split_part({email}, '@', 2)"
    gmail = ", ".join(literal(name) for name in _GMAIL)
    return (
        f"(case when {domain} in ({gmail}) then replace(split_part({local}, '+', 1), '.', '') || '@gmail.com'"
        f" else {email} end)"
    )


def judge_email(email: str) -> tuple[str | None, str | None]:
    """The comparable form of an unusual email, or the reason why it is compared with nothing."""
    from email_validator import EmailNotValidError, validate_email

    try:
        valid = validate_email(email, check_deliverability=False)
    except EmailNotValidError:
        return None, "not an email address"
    for label in valid.normalized.replace("@", ".").split("."):
        scripts = {_script(character) for character in label if character.isalpha()} & _LOOKALIKE_SCRIPTS
        if len(scripts) > 1:
            # An address that only looks like somebody's: some letters are their twins of another alphabet.
            return None, f"letters of different scripts in one word ({', '.join(sorted(scripts))})"
    return valid.normalized.lower(), None


def _script(character: str) -> str:
    """The first word of a letter's Unicode name is its script: LATIN, CYRILLIC, GREEK, CJK, ..."""
    return unicodedata.name(character, "UNKNOWN").split(" ", maxsplit=1)[0].lower()


def normalize_emails(warehouse: Warehouse, emails: str) -> None:
    """Judge the unusual emails of a query (column ``email``) that were not judged before."""
    new = warehouse.rows(
        f"select distinct email from ({emails}) as given where email is not null and not {is_ordinary('email')}"
        f" and email not in (select email from {EMAIL_ADDRESSES}) order by email"
    )
    _append(warehouse, EMAIL_ADDRESSES, ("email", "email_key", "problem"), ((raw, *judge_email(raw)) for (raw,) in new))


# --- phones ----------------------------------------------------------------------------------------------------------


def judge_phone(phone: str, country: str | None) -> tuple[str | None, str | None]:
    """The number in E.164 form (ITU-T E.164), or the reason why it is compared with nothing.

    ``country`` (ISO 3166 alpha-2) says whose dialling rules hold for a number without a country code.
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(phone, country)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE and not country:
            return None, "without a country code, and no country is known"
        return None, "not a phone number"
    if not phonenumbers.is_valid_number(number):
        return None, "no such number can exist"
    return f"+{number.country_code}{phonenumbers.national_significant_number(number)}", None


def normalize_phones(warehouse: Warehouse, phones: str, default_country: str | None) -> None:
    """Judge the phones of a query (columns ``phone`` and ``country``) that were not judged before.

    ``country`` is an empty text where the record names none: ``default_country`` holds then.
    """
    warehouse.run(
        f"delete from {PHONE_NUMBERS} where country = '' and dialled_from is distinct from ?", [default_country]
    )
    new = warehouse.rows(
        f"select distinct phone, country from ({phones}) as given anti join {PHONE_NUMBERS} using (phone, country)"
        " where phone is not null order by phone, country"
    )
    _append(
        warehouse,
        PHONE_NUMBERS,
        ("phone", "country", "dialled_from", "e164", "problem"),
        (
            (phone, country, country or default_country, *judge_phone(phone, country or default_country))
            for phone, country in new
        ),
    )


def _append(warehouse: Warehouse, table: str, columns: tuple[str, ...], rows: Iterable[tuple[str | None, ...]]) -> None:
    import pyarrow as pa

    values = list(zip(*rows, strict=True))
    if values:
        data = pa.table({name: pa.array(column, pa.string()) for name, column in zip(columns, values, strict=True)})
        warehouse.append(table, data)


# --- names and addresses ---------------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    return f"lower(strip_accents(trim({text})))"


def folded_name(text: str) -> str:
    """SQL: letters and digits alone, without accents, case and a leading title; null for nothing."""
    untitled = f"regexp_replace({_plain(text)}, '^(mr|mrs|ms|miss|mx|dr|prof|sir)[. ]+', '')"
    return f"nullif(regexp_replace({untitled}, '[^\\p{{L}}\\p{{N}}]', '', 'g'), '')"


def folded(text: str) -> str:
    """SQL: letters and digits alone, without accents and case; null for nothing."""
    return f"nullif(regexp_replace({_plain(text)}, '[^\\p{{L}}\\p{{N}}]', '', 'g'), '')"


def folded_words(text: str) -> str:
    """SQL: words of letters and digits, one space between two; null for nothing."""
    return f"nullif(trim(regexp_replace({_plain(text)}, '[^\\p{{L}}\\p{{N}}]+', ' ', 'g')), '')"


def consonants(token: str) -> str:
    """SQL: the different consonants of a word in alphabetical order, which most misspellings leave as they are.

    Vowels, h, w and y are left out; a word with fewer than two consonants gives ``v`` and its first two letters.
    """
    found = " || ".join(
        f"case when contains({token}, '{letter}') then '{letter}' else '' end" for letter in "bcdfgjklmnpqrstvxz"
    )
    return f"(case when length({found}) >= 2 then {found} else 'v' || substr({token}, 1, 2) end)"


def sorted_letters(text: str) -> str:
    """SQL: the letters of a word in alphabetical order: equal for anagrams."""
    return f"list_aggregate(list_sort(string_split({text}, '')), 'string_agg', '')"


def letter_set(text: str) -> str:
    """SQL: which letters and digits a text has, one bit each (0 to 35); other signs have none."""
    bits = " + ".join(
        f"case when contains({text}, '{letter}') then {1 << place} else 0 end"
        for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz0123456789")
    )
    return f"cast({bits} as bigint)"
