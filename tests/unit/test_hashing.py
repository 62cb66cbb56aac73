"""What ad platforms are sent in place of addresses, held against the vendors' own published examples.

Where they are from:
- Google, "Format user data": https://developers.google.com/data-manager/api/devguides/concepts/formatting
- Google, "Send audience members" (the hash of dana@example.com):
  https://developers.google.com/data-manager/api/devguides/quickstart/send-audience-members
- Google's own formatter: googleads/data-manager-python, tests/formatter_test.py, and googleads/data-manager-java,
  UserDataFormatterTest.java
- Meta, "Customer File Custom Audiences", hashing (mary@example.com, 15559876543):
  https://developers.facebook.com/docs/marketing-api/audiences/guides/custom-audiences
- Meta, "Customer information parameters" (the other hashes):
  https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/customer-information-parameters
"""

from __future__ import annotations

import unicodedata

import pytest

from lifecycle.publishing.destinations.hashing import (
    GOOGLE,
    META,
    Field,
    Hashes,
    Rules,
    hashes_of,
    is_hash,
    sha256,
)
from lifecycle.publishing.destinations.members import Member, Veto


@pytest.mark.parametrize(
    ("email", "written"),
    [
        ("cloudy.sanfrancisco+shopping@gmail.com", "cloudysanfrancisco@gmail.com"),
        ("user.name+NYC@Example.com", "user.name+nyc@example.com"),
        ("QuinnY@EXAMPLE.com", "quinny@example.com"),
        ("Jefferson.Loves.hiking@gmail.com", "jeffersonloveshiking@gmail.com"),
        ("j.e.f..ferson.Loves.hiking@gmail.com", "jeffersonloveshiking@gmail.com"),
        ("Jefferson.LOVES.Hiking@googlemail.com", "jeffersonloveshiking@googlemail.com"),
        ("Cloudy.SanFrancisco+shopping@googlemail.com", "cloudysanfrancisco@googlemail.com"),
        ("baklavainthebalkans@gmail.com ", "baklavainthebalkans@gmail.com"),
        (" Alex J@cymbal group.com", "alexj@cymbalgroup.com"),
    ],
)
def test_emails_are_written_as_google_publishes(email: str, written: str) -> None:
    assert GOOGLE.write("email", email) == written


@pytest.mark.parametrize(
    "email", ["", "  ", "quinn", "@example.com", "quinn@", " @googlemail.com", "...@gmail.com", "a@b@c"]
)
def test_what_google_calls_no_email_is_not_sent(email: str) -> None:
    assert GOOGLE.write("email", email) is None
    assert GOOGLE.send("email", email) is None


@pytest.mark.parametrize(
    ("email", "written"),
    [
        ("John_Smith@gmail.com", "john_smith@gmail.com"),
        (" Cloudy.SanFrancisco+shopping@gmail.com\t", "cloudy.sanfrancisco+shopping@gmail.com"),
        ("no at sign", None),
        ("two words@example.com", None),
    ],
)
def test_meta_keeps_dots_and_tags_of_emails(email: str, written: str | None) -> None:
    assert META.write("email", email) == written


@pytest.mark.parametrize(
    ("phone", "country", "written"),
    [
        ("(800) 555-0100", "US", "+18005550100"),
        ("1 800 555 0100", "US", "+18005550100"),
        ("+1 800-555-0100", None, "+18005550100"),
        ("441134960987", "GB", "+441134960987"),
        ("+44-113-496-0987", None, "+441134960987"),
        ("0113 496 0987", "GB", "+441134960987"),
        ("06 698 12345", "IT", "+390669812345"),
        ("+49301000000", None, "+49301000000"),
    ],
)
def test_phones_are_e164_with_a_plus_for_google_and_without_for_meta(
    phone: str, country: str | None, written: str
) -> None:
    assert GOOGLE.write("phone", phone, country) == written
    assert META.write("phone", phone, country) == written[1:]


@pytest.mark.parametrize(
    ("phone", "country"),
    [("(800) 555-0100", None), ("441134960987", None), ("+abc-DEF", "US"), ("12", "US"), ("", "US")],
)
def test_a_phone_of_no_country_is_not_guessed(phone: str, country: str | None) -> None:
    assert GOOGLE.write("phone", phone, country) is None
    assert META.write("phone", phone, country) is None


@pytest.mark.parametrize(
    ("rules", "field", "text", "country", "sent"),
    [
        (
            GOOGLE,
            "email",
            "  ALEXZ@example.com   ",
            None,
            "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a",
        ),
        (GOOGLE, "email", "dana@example.com", None, "07e2f1394b0ea80e2adca010ea8318df697001a005ba7452720edda4b0ce57b3"),
        (
            GOOGLE,
            "phone",
            "1-800-555-0100   ",
            "US",
            "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30",
        ),
        (GOOGLE, "name", "  GivenName  ", None, "128a07bfe2df877c52076e60d7774cf5baaa046c5a6c48daf30ff43ecca2f814"),
        (GOOGLE, "name", "  FamilyName ", None, "77762c287e61ce065bee5c15464012c6fbe088398b8057627d5577249430d574"),
        (GOOGLE, "country", " uS ", None, "US"),
        (GOOGLE, "postcode", " 1229-076  ", None, "1229-076"),
        (META, "email", "mary@example.com", None, "f1904cf1a9d73a55fa5de0ac823c4403ded71afd4c3248d00bdcd0866552bb79"),
        (META, "phone", "+15559876543", None, "1ef970831d7963307784fa8688e8fce101a15685d62aa765fed23f3a2c576a4e"),
        (
            META,
            "email",
            "John_Smith@gmail.com",
            None,
            "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",
        ),
        (META, "phone", "(650)555-1212", "US", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
        (META, "name", "Mary", None, "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
        (META, "name", "정", None, "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
        (META, "name", "Valéry", None, "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
        (META, "country", "US", None, "79adb2a2fce5c6ba215fe5f27f532d4e7edbac4b6a5e09e1ef3a08084a904621"),
    ],
)
def test_hashes_are_those_that_the_vendors_publish(
    rules: Rules, field: Field, text: str, country: str | None, sent: str
) -> None:
    assert rules.send(field, text, country) == sent


@pytest.mark.parametrize("name", ["정", "Valéry"])
def test_letters_typed_in_parts_are_the_same_letters(name: str) -> None:
    assert unicodedata.normalize("NFD", name) != name
    assert META.send("name", unicodedata.normalize("NFD", name)) == META.send("name", name)
    email = f"{name}@example.com"
    assert GOOGLE.send("email", unicodedata.normalize("NFD", email)) == GOOGLE.send("email", email)


@pytest.mark.parametrize(
    ("name", "written"),
    [("O'Neil-Smith", "oneilsmith"), (" F. ", "f"), ("गौरव", "गौरव"), ("Émilie", "émilie"), ("…", None)],
)
def test_meta_wants_names_without_punctuation_and_in_any_alphabet(name: str, written: str | None) -> None:
    assert META.write("name", name) == written


@pytest.mark.parametrize(
    ("postcode", "country", "written"),
    [
        ("94035-1234", "US", "94035"),
        ("SW1A 1AA", "GB", "sw1a1"),
        ("M1 1AE", "GB", "m11"),
        ("sw1a", "GB", "sw1a"),
        ("1010 LH", "NL", "1010lh"),
        (" ", "NL", None),
    ],
)
def test_meta_wants_five_digits_of_the_us_and_the_sector_of_the_uk(
    postcode: str, country: str, written: str | None
) -> None:
    assert META.write("postcode", postcode, country) == written


@pytest.mark.parametrize("country", ["", "USA", "U1", "u s"])
def test_a_country_is_two_letters(country: str) -> None:
    assert GOOGLE.write("country", country) is None
    assert META.write("country", country) is None


def test_rules_say_their_version() -> None:
    assert (GOOGLE.version, META.version) == ("google.v1", "meta.v1")


@pytest.mark.parametrize("field", ["email", "phone"])
def test_a_hash_is_refused_unless_it_was_declared_and_never_hashed_again(field: str) -> None:
    hashed = sha256("whoever@example.com").upper()
    member = Member("c", {"email": "a@example.com", "phone": "+18005550100", field: f" {hashed} "})
    refused = hashes_of(GOOGLE, member, default_country=None, are_declared=False)
    assert isinstance(refused, Veto)
    assert refused.code == "already_hashed" and hashed.lower() not in refused.message.lower()
    taken = hashes_of(GOOGLE, member, default_country=None, are_declared=True)
    assert isinstance(taken, Hashes)
    assert getattr(taken, field) == hashed.lower()
    other: Field = "phone" if field == "email" else "email"
    assert getattr(taken, other) == GOOGLE.send(other, member.identifiers[other])


@pytest.mark.parametrize(
    ("identifiers", "found"),
    [
        ({}, Veto("no_identifier", "people are known by their email or phone number")),
        ({"contact_id": "c1"}, Veto("no_identifier", "people are known by their email or phone number")),
        (
            {"email": "nobody", "phone": "12"},
            Veto("unusable_identifier", "the email or phone number is none that could be matched"),
        ),
        ({"email": "nobody", "phone": "(800) 555-0100"}, Hashes("", sha256("18005550100"))),
        ({"email": "Mary@example.com", "phone": "12"}, Hashes(sha256("mary@example.com"), "")),
    ],
)
def test_one_usable_identifier_is_enough(identifiers: dict[str, str], found: Hashes | Veto) -> None:
    assert hashes_of(META, Member("c", identifiers), default_country="US", are_declared=False) == found


@pytest.mark.parametrize("hashes", [Hashes("a" * 64, "b" * 64), Hashes("a" * 64, ""), Hashes("", "b" * 64)])
def test_a_key_gives_its_hashes_back(hashes: Hashes) -> None:
    assert Hashes.of_key(hashes.key) == hashes


def test_a_hash_has_sixty_four_digits() -> None:
    assert is_hash(sha256("x")) and is_hash(sha256("x").upper())
    assert not is_hash(sha256("x")[1:]) and not is_hash("g" * 64)
