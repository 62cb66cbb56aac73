"""What is judged in SQL is what phonenumbers says of it, writing by writing."""

from __future__ import annotations

import random
from pathlib import Path

import phonenumbers
import pyarrow as pa
import pytest

from lifecycle.identity.normalize import PHONE_NUMBERS, create_tables, judge_phone, normalize_phones
from lifecycle.warehouse import open_duckdb

COUNTRIES = ("US", "CA", "GB", "DE", "FR", "IT", "BR", "IN", "AU", "MX", "AR", "JP", "CH", "ZZ")


def writings(luck: random.Random, country: str) -> list[str]:
    """Numbers near the country's example numbers, in the ways in which people and machines write them."""
    found = []
    for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
        example = phonenumbers.example_number_for_type(country, kind)
        if example is None:
            continue
        digits = list(phonenumbers.national_significant_number(example))
        for _ in range(luck.choice([0, 1, 2, 6])):
            digits[luck.randrange(len(digits))] = str(luck.randrange(10))
        national, code = "".join(digits), str(example.country_code)
        found += [
            national,
            f"+{code}{national}",
            f"+{code} (0) {national}",
            f"0{national}",
            f"00{code}{national}",
            f"1{national}",
            f"{code}{national}",
            f"({national[:3]}) {national[3:6]}-{national[6:]}",
            f"+{code} {national[:2]}.{national[2:]}",
            f"{national} ext. 5",
            f"{national[:-1]}",
        ]
    return found


@pytest.mark.parametrize("country", COUNTRIES)
def test_a_column_of_phones_is_judged_as_each_by_itself(tmp_path: Path, country: str) -> None:
    luck = random.Random(country)  # noqa: S311 - reproducible, not secret
    source = "US" if country == "ZZ" else country
    phones = sorted({phone for _ in range(300) for phone in writings(luck, source)})
    with open_duckdb(tmp_path / "warehouse.duckdb") as warehouse:
        create_tables(warehouse)
        columns = {"phone": pa.array(phones), "country": pa.array([country] * len(phones))}
        warehouse.write("main.given", pa.table(columns))
        normalize_phones(warehouse, "from main.given", None)
        judged = {
            phone: (e164, problem)
            for phone, e164, problem in warehouse.rows(f"select phone, e164, problem from {PHONE_NUMBERS}")
        }
    assert judged == {phone: judge_phone(phone, country) for phone in phones}
    valid = sum(e164 is not None for e164, _ in judged.values())
    assert 200 < valid < len(phones) - 200, "there are good ones and bad ones"
