"""Identifiers and names in the form in which they are compared.

Belongs here: emails and phones made comparable (or found unusable, with the reason), and the SQL that folds names and
addresses. What is published or sent keeps the person's own writing; only comparisons see these forms.
Does not belong here: what equal values mean (``links.py``, ``scoring.py``).

Ordinary emails and phones are handled in SQL, a column at once; everything unusual goes through email-validator and
phonenumbers. Each different writing of a phone is judged once: the results are kept in ``identity.phone_numbers``.
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
    run = warehouse.run
    run(f"delete from {PHONE_NUMBERS} where country = '' and dialled_from is distinct from ?", [default_country])
    run(
        "create or replace temp table new_phones as select distinct phone, country,"
        " coalesce(nullif(country, ''), ?) as dialled_from, starts_with(phone, '+') as has_code,"
        f" regexp_replace(phone, '[^0-9]', '', 'g') as digits from ({phones}) as given"
        f" anti join {PHONE_NUMBERS} using (phone, country) where phone is not null",
        [default_country],
    )
    countries = warehouse.rows("select distinct dialled_from from new_phones where dialled_from is not null order by 1")
    for (country,) in countries:
        accepted = _ordinary_number(country)
        if accepted is not None:
            run(
                f"insert into {PHONE_NUMBERS} select phone, country, dialled_from, {accepted}, null from new_phones"
                f" where dialled_from = ? and {accepted} is not null",
                [country],
            )
    rest = warehouse.rows(
        f"select phone, country, dialled_from from new_phones anti join {PHONE_NUMBERS} using (phone, country)"
        " order by phone, country"
    )
    run("drop table new_phones")
    _append(
        warehouse,
        PHONE_NUMBERS,
        ("phone", "country", "dialled_from", "e164", "problem"),
        ((phone, country, dialled_from, *judge_phone(phone, dialled_from)) for phone, country, dialled_from in rest),
    )


def _ordinary_number(country: str) -> str | None:
    """SQL over ``new_phones``: the E.164 form of a number that is plainly a number of this country, else null.

    The rules are phonenumbers' own metadata, asked for a whole column at once. What they leave open (a prefix to be
    dropped, another country's number, letters) is left to phonenumbers itself. None for a country it does not know.
    """
    import phonenumbers

    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
    general = metadata.general_desc if metadata is not None else None
    if metadata is None or general is None or not general.national_number_pattern:
        return None
    national = (
        f"(case when not has_code then digits when starts_with(digits, '{metadata.country_code}')"
        f" then substr(digits, {len(str(metadata.country_code)) + 1}) end)"
    )
    kinds = [
        getattr(metadata, name)
        for name in (
            *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
            *("personal_number", "voip", "pager", "uan", "voicemail"),
        )
    ]
    lengths = ", ".join(str(length) for length in general.possible_length)
    valid = " or ".join(
        f"regexp_full_match({national}, {literal(kind.national_number_pattern)})"
        for kind in kinds
        if kind is not None and kind.national_number_pattern
    )
    # Digits that phonenumbers may read as a prefix, a way out of the country or its code.
    starts = [str(metadata.country_code), metadata.national_prefix_for_parsing, metadata.international_prefix]
    doubtful = " or ".join(f"regexp_matches({national}, {literal(f'^(?:{start})')})" for start in starts if start)
    return (
        f"(case when regexp_full_match(phone, '[+]?[0-9 ().-]+') and length({national}) in ({lengths})"
        f" and regexp_full_match({national}, {literal(general.national_number_pattern)})"
        f" and ({valid}) and not ({doubtful}) then '+{metadata.country_code}' || {national} end)"
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
