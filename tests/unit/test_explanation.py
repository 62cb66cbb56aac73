"""Who somebody is and why: found by whatever is typed, and told as the publication has it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml

from lifecycle.errors import LifecycleError
from lifecycle.identity.decisions import Record, write_decision
from lifecycle.serving.explanation import Explanation, explain
from lifecycle.serving.lookup import (
    AmbiguousError,
    Reading,
    find_customer,
    find_record,
    looks_like_phone,
    open_current,
    review_pairs,
)
from lifecycle.serving.narration import RISKS, narrate, sureness
from lifecycle.serving.publication import current
from lifecycle.settings import PROJECT_DIR, IdentitySettings, LifecycleThresholds, Settings
from tests.integration.small_publication import (
    ADA,
    BOB,
    CAROL,
    SECOND_ADA,
    THIRD_ADA,
    TORN,
    VISITOR,
    deliver_to_earlier_ada,
    publish_people,
    settings_in,
)

CRM_42, SHOP_42 = Record("crm", "contacts", "42"), Record("shop", "contacts", "42")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The small publication; nobody changes it."""
    settings = settings_in(tmp_path_factory.mktemp("people"))
    publish_people(settings)
    return settings


@pytest.fixture
def own(published: Settings, tmp_path: Path) -> Settings:
    """A copy of it that a test may change."""
    shutil.copytree(published.folder, tmp_path / "own", symlinks=True)
    return settings_in(tmp_path / "own")


@pytest.fixture
def reading(published: Settings) -> Iterator[Reading]:
    with open_current(published) as opened:
        yield opened


def told(explanation: Explanation, settings: Settings) -> dict[str, str]:
    """Title → everything said under it."""
    return {
        section.title: "\n".join((section.note, *(f"{label}: {text}" for label, text in section.rows)))
        for section in narrate(explanation, settings.zone)
    }


# --- finding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "customer", "kind"),
    [
        (ADA, ADA, "customer id"),
        (f"  {ADA.upper()} ", ADA, "customer id"),
        (SECOND_ADA, ADA, "customer id"),
        (THIRD_ADA, ADA, "customer id"),
        ("ada.lovelace@gmail.com", ADA, "email"),
        (" ADA.Lovelace@GMAIL.com", ADA, "email"),
        ("a.d.a.lovelace+news@googlemail.com", ADA, "email"),
        ("zoë@example.com", CAROL, "email"),
        ("+44 20 7946 0000", ADA, "phone"),
        ("(020) 7946-0000", ADA, "phone"),
        ("43", BOB, "contact id"),
        ("S-17", ADA, "contact id"),
        ("crm:42", ADA, "record"),
        ("shop:42", BOB, "record"),
        ("till:S-17", ADA, "contact id"),
        ("contacts:shop:42", BOB, "record"),
        ("orders:shop:17", ADA, "record"),
        ("touchpoints:web:v1", VISITOR, "record"),
        ("17", ADA, "record"),
    ],
)
def test_a_customer_is_found_by_everything_they_are_known_by(
    typed: str, customer: str, kind: str, reading: Reading
) -> None:
    found = find_customer(reading, typed)
    assert (found.customer_id, found.kind) == (customer, kind)


def test_an_old_id_says_that_it_is_old(reading: Reading) -> None:
    assert find_customer(reading, THIRD_ADA).previous_id == THIRD_ADA
    assert find_customer(reading, ADA).previous_id is None


def test_an_id_that_is_still_there_is_not_followed_to_what_split_off_it(reading: Reading) -> None:
    assert find_customer(reading, BOB).customer_id == BOB


@pytest.mark.parametrize(
    ("typed", "customers"),
    [("42", {ADA, BOB}), ("Family@Example.com", {BOB, CAROL}), (TORN, {BOB, CAROL})],
)
def test_several_customers_are_listed_with_what_tells_them_apart(
    typed: str, customers: set[str], reading: Reading
) -> None:
    with pytest.raises(AmbiguousError) as several:
        find_customer(reading, typed)
    assert {one.customer_id for one in several.value.candidates} == customers
    message = str(several.value)
    assert f"'{typed}' fits 2 customers" in message and "Type the customer id" in message
    assert "lead, Paris, FR, 0 orders" in message
    if typed == "42":
        assert "contact id of crm" in message and "contact id of shop" in message
        assert "customer, London, GB, 2 orders, first seen 2023-01-05, last order 2023-11-01" in message
    assert "@" not in message.replace(typed, "")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("ada.lovelace@gmail.con", "an email"),
        ("c_ffffffffffffffffffff", "a customer id"),
        ("orders:shop:99", "a record (table:source:id)"),
        ("020 7946 0001", "a phone (+442079460001)"),
        ("999999999", "not a number that can exist"),
        ("S-1", "a contact id"),
    ],
)
def test_nobody_is_shown_for_something_nearly_right(typed: str, words: str, reading: Reading) -> None:
    with pytest.raises(LifecycleError) as nobody:
        find_customer(reading, typed)
    message = str(nobody.value)
    assert f"nobody is found for '{typed}'" in message and words in message and "as of 2024-03-31" in message
    assert ADA not in message and "gmail.com" not in message.replace(typed, "")


def test_an_identifier_that_links_nobody_says_why(reading: Reading) -> None:
    with pytest.raises(LifecycleError, match=r"brings records to nobody \(junk\)"):
        find_customer(reading, "NoReply@example.com")


def test_a_phone_without_a_country_is_tried_in_the_countries_of_the_customers(own: Settings) -> None:
    abroad = own.model_copy(update={"identity": IdentitySettings()})
    with open_current(abroad) as reading:
        assert find_customer(reading, "020 7946 0000").customer_id == ADA
    elsewhere = own.model_copy(update={"identity": IdentitySettings(default_country="US")})
    with open_current(elsewhere) as reading, pytest.raises(LifecycleError, match="with its country code"):
        find_customer(reading, "020 7946 0000")


@pytest.mark.parametrize(
    ("text", "is_phone"),
    [("+1 (503) 935-0613", True), ("5039350613", True), ("42", False), ("S-17", False), ("12:34:56", False)],
)
def test_what_could_be_a_phone_is_told_by_its_signs(text: str, is_phone: bool) -> None:
    assert looks_like_phone(text) is is_phone


# --- records for decisions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("crm:42", "contacts:crm:42"),
        ("orders:shop:17", "orders:shop:17"),
        (ADA, "contacts:crm:42"),
        (SECOND_ADA, "contacts:shop:S-17"),
        ("+442079460000", "contacts:crm:42"),
        ("adalovelace@gmail.com ", None),
        ("43", "contacts:crm:43"),
        ("till:S-17", "contacts:shop:S-17"),
        ("zoë@example.com", "contacts:web:9"),
        (THIRD_ADA, None),
        ("42", None),
        ("family@example.com", None),
        ("17", None),
    ],
)
def test_a_text_stands_for_one_record_or_the_candidates_are_listed(
    typed: str, key: str | None, reading: Reading
) -> None:
    if key is not None:
        assert find_record(reading, typed).record.key == key
        return
    with pytest.raises(AmbiguousError, match="unclear") as unclear:
        find_record(reading, typed)
    assert all(":" in one.name for one in unclear.value.candidates)
    assert "contacts:" in str(unclear.value) or "orders:" in str(unclear.value)


def test_no_decision_holds_on_to_a_record_that_carries_only_a_cookie(reading: Reading) -> None:
    with pytest.raises(LifecycleError, match="by a cookie alone"):
        find_record(reading, "touchpoints:web:t3")
    with pytest.raises(LifecycleError, match="known by a cookie or phone alone"):
        find_record(reading, VISITOR)


def test_pairs_for_review_come_most_likely_first_and_each_two_customers_once(own: Settings) -> None:
    with open_current(own) as reading:
        review = review_pairs(reading, limit=10)
    assert [(pair.left.key, pair.right.key, pair.score_bits, pair.other_count) for pair in review.pairs] == [
        ("contacts:web:9", "contacts:crm:43", 5.0, 0),
        ("contacts:crm:42", "contacts:shop:42", -1.2, 1),
    ]
    with open_current(own) as reading:
        assert (review_pairs(reading, limit=1).pairs, review_pairs(reading, limit=1).customer_pair_count) == (
            review.pairs[:1],
            2,
        )
    # A decision about any two records of the two customers is one about them.
    decide(own, Record("shop", "contacts", "S-17"), SHOP_42, "different")
    with open_current(own) as reading:
        left = review_pairs(reading, limit=10)
    assert ([pair.left.key for pair in left.pairs], left.decided_count) == (["contacts:web:9"], 1)


def decide(settings: Settings, left: Record, right: Record, decision: str) -> str:
    return write_decision(
        settings,
        left,
        right,
        decision,  # type: ignore[arg-type]
        reason="she called",
        decided_by="ada",
        now=datetime(2024, 4, 2, tzinfo=UTC),
    ).decision_id


# --- words -----------------------------------------------------------------------------------------------------------


def test_every_rule_and_sign_has_a_sentence_that_people_can_read() -> None:
    """No code words, no word for time that is wrong when it is read later, and no plural that one day would break."""
    rules = yaml.safe_load((PROJECT_DIR / "dbt_project" / "dbt_project.yml").read_text())["vars"]["lifecycle_rules"]
    sentences = {
        f"{rule['id']} {case['id']}": str(case["sentence"]) for rule in rules for case in rule.get("signs", [rule])
    }
    for segment in (PROJECT_DIR / "models" / "segments").glob("seg_*.sql"):
        for number, sentence in enumerate(re.findall(r"_sentence='([^']+)'", segment.read_text())):
            sentences[f"{segment.stem} {number}"] = sentence
    assert len(sentences) > 30
    for place, sentence in sentences.items():
        words = re.sub(r"\{\w+:\w+\}", "", sentence)
        assert words.strip() and "_" not in words, place
        assert not re.search(r"\bago\b|\btoday\b|\byesterday\b|\bnow\b", words), place
        assert not re.search(r"\{(?:days_since|whole):\w+\} (?!of |so far)\w", sentence), place


def test_every_risk_has_words_and_no_others_have() -> None:
    risks = yaml.safe_load((PROJECT_DIR / "dbt_project" / "dbt_project.yml").read_text())["vars"]["lifecycle_risks"]
    assert [risk["id"] for risk in risks] == list(RISKS)
    assert all(words and "_" not in words for words in RISKS.values())


# --- telling ---------------------------------------------------------------------------------------------------------


def test_an_explanation_says_who_where_and_why(published: Settings) -> None:
    said = told(explain(published, ADA), published)
    assert "a customer since 2023-02-01" in said["Who it is"]
    assert "London, GB" in said["Who it is"] and "2 orders, 141.65 USD" in said["Who it is"]
    assert "80.00 USD expected" in said["Who it is"] and "yes to email, ads" in said["Who it is"]
    assert "lapsed: since 2024-01-29: no order for 90 days, expected after 21 days" in said["Stage"]
    assert "evidence: An order was placed on 2023-11-01" in said["Stage"].splitlines()
    assert "also: loyal" in said["Stage"] and "came as far as retention" in said["Stage"]
    assert "2023-02-01 to 2023-11-01  conversion: first purchase just before" in said["Stage"]
    assert said["Segments"].strip() == "lapsed: since 2024-01-29: no order for 90 days, expected after 21 days"
    assert "high value at risk: 2024-01-01 to 2024-01-29" in said["Left in the 90 days before"]
    assert "left: now lapsed" in said["Left in the 90 days before"]
    assert "new customers" not in said["Left in the 90 days before"]
    assert "adalovelace@gmail.com  from web" in said["Identifiers"]
    assert "S-17  from shop, till (90 % sure)" in said["Identifiers"]


def test_links_are_told_by_rule_with_bits_and_evidence(published: Settings) -> None:
    said = told(explain(published, ADA), published)
    why = said["Why these records are one person"]
    assert "crm contact 42: the same email as another record" in why
    assert (
        "shop contact S-17: likeness to crm contact 42, 14.2 bits, 99.99 % sure: names +18.2, birth date +13.7" in why
    )
    assert "web touchpoints: 2 by the account, 1 by a cookie seen with it" in why
    # The pair that joined a record is told there, and not again.
    assert said["Other records that were compared"].strip() == (
        "3.0 bits: web contact 7 and shop contact S-17: names +3.0"
    )
    assert f"{BOB}: 1.2 bits short of the line" in said["May be the same person"]
    assert f"{SECOND_ADA} was merged into {ADA} (3 records): names and details" in said["Changes of the customer"]
    assert f"{THIRD_ADA} is now called {SECOND_ADA}" in said["Changes of the customer"]
    bob = told(explain(published, BOB), published)
    assert "the first record; the others were joined to it" in bob["Why these records are one person"]
    assert "a steward decided" in bob["Why these records are one person"]
    assert "5.0 bits for it, but other records of the two speak against it" in bob["May be the same person"]
    carol = told(explain(published, "web:9"), published)
    assert "the only contact record" in carol["Why these records are one person"]


def test_test_people_employees_leads_and_visitors_are_told_apart(published: Settings) -> None:
    carol = told(explain(published, CAROL), published)
    assert "a lead" in carol["Who it is"]
    assert "marked as a test person; marked as an employee" in carol["Who it is"]
    assert "risk: shows signs of leaving: one purchase, and nothing heard lately" in carol["Stage"]
    visitor = told(explain(published, VISITOR), published)
    assert "a visitor, known by a cookie alone" in visitor["Who it is"]
    assert "awareness: nothing they did has a date" in visitor["Stage"]
    assert "known by a cookie alone" in visitor["Identifiers"]


def test_people_of_an_account_are_told_that_they_share_its_stage_and_whose_event_it_was(published: Settings) -> None:
    carol = explain(published, CAROL)
    assert carol.colleagues == [BOB]
    said = told(carol, published)
    assert f"account: shares an account, and with it the stage, with 1 other person: {BOB}" in said["Who it is"]
    assert f"evidence: A contact record was made on 2023-05-31, with {BOB} of the same account" in said["Stage"]
    bob = told(explain(published, BOB), published)["Stage"]
    assert "evidence: A contact record was made on 2023-05-31" in bob.splitlines()
    alone = published.model_copy(update={"lifecycle": LifecycleThresholds(per="customer")})
    assert explain(alone, CAROL).colleagues == []
    assert "account" not in told(explain(published, ADA), published)["Who it is"]


def test_an_old_id_is_told_to_be_one(published: Settings) -> None:
    assert f"{THIRD_ADA}, which became this customer" in told(explain(published, THIRD_ADA), published)["Who it is"]


def test_the_timeline_is_the_last_events_in_local_time(published: Settings) -> None:
    explanation = explain(published, ADA)
    assert (len(explanation.timeline), explanation.event_count) == (15, 23)
    said = told(explanation, published)["Timeline"]
    assert "The last 15 of 23 events, newest first, in America/New_York time." in said
    lines = said.splitlines()
    assert lines[1] == "2023-11-01 08:00: An order was placed, 70.85 USD, order 17  (store, shop)"
    assert lines[2] == "2023-10-01 22:30: A support case was opened, ticket 5  (chat, support)"


def test_a_past_day_clips_stage_segments_and_timeline(published: Settings) -> None:
    explanation = explain(published, ADA, as_of=date(2023, 10, 1))
    assert explanation.stage is not None
    assert (explanation.stage.stage, explanation.stage.until_at, explanation.flags) == ("conversion", None, None)
    # The ticket of half past ten in the evening is of that day, the stage that ended later has not ended.
    assert [event.event_id for event in explanation.timeline[:2]] == ["ticket:support:5", "order:shop:16"]
    assert (explanation.segments, explanation.left_segments) == ([], [])
    said = told(explanation, published)
    assert "As published, of 2024-03-31" in said["Who it is"]
    assert "Links as they are known today." in said["Why these records are one person"]
    assert "conversion: since 2023-02-01" in said["Stage on 2023-10-01"]
    inside = explain(published, ADA, as_of=date(2023, 2, 20))
    assert [(one.segment_name, one.until_at, one.exit_reason) for one in inside.segments] == [
        ("new_customers", None, None)
    ]
    before = explain(published, ADA, as_of=date(2022, 12, 31))
    assert (before.stage, before.timeline, before.event_count) == (None, [], 0)
    assert "nobody knew them yet" in told(before, published)["Stage on 2022-12-31"]


def test_a_day_that_is_not_published_is_refused(published: Settings) -> None:
    with pytest.raises(LifecycleError, match="2024-04-01 is not published yet: the publication is as of 2024-03-31"):
        explain(published, ADA, as_of=date(2024, 4, 1))


def test_lists_say_what_was_sent_under_whatever_id_and_what_is_held_back(own: Settings) -> None:
    before = explain(own, ADA)
    assert [(one.sync_name, one.is_wanted, one.held_back, one.listed_since_at) for one in before.lists.standing] == [
        ("lapsed_to_drop", True, None, None),
        ("lapsed_by_number", False, "no_consent", None),
    ]
    assert "wanted; not delivered before the publication" in told(before, own)["Lists"]
    deliver_to_earlier_ada(own)
    after = told(explain(own, ADA), own)["Lists"]
    assert "lapsed_to_drop: on the list at drop, as sent on 2024-02-05" in after
    assert "lapsed_by_number: held back: no consent for the list's channel" in after
    assert "2024-02-05 01:00: added · lapsed_to_drop · entered the segment: no order for 90 days" in after
    assert "held back: a test person" in told(explain(own, CAROL), own)["Lists"]
    assert "on none" in told(explain(own, BOB), own)["Lists"]


def test_without_the_ledger_lists_are_as_the_publication_knows_them(own: Settings) -> None:
    deliver_to_earlier_ada(own)
    shutil.rmtree(own.state.serving)
    publish_people(own)
    own.state.ledger.unlink()
    explanation = explain(own, ADA)
    assert explanation.basis.lists_from == "publication"
    said = told(explanation, own)["Lists"]
    assert "what was delivered after it is not in it" in said
    assert "lapsed_to_drop: on the list at drop, as sent on 2024-02-05" in said


def test_decisions_about_the_customer_are_told_with_what_became_of_them(own: Settings) -> None:
    file = own.folder / "identity_decisions.csv"
    decide(own, CRM_42, SHOP_42, "different")
    lines = file.read_text().splitlines()
    lines[1:] = [
        "d_held,crm,contacts,42,web,contacts,7,same,2024-01-01,ada,called",
        "d_stray,crm,contacts,42,web,contacts,9,different,2024-01-01,,",
        *lines[1:],
        "d_others,web,contacts,9,crm,contacts,43,same,2024-01-01,,",
        "d_older,shop,contacts,42,crm,contacts,42,same,2023-01-01,,undone",
    ]
    file.write_text("\n".join(lines))
    said = told(explain(own, ADA), own)["What stewards decided"]
    assert "contacts:crm:42 and contacts:web:7 are the same person, decided by ada: called (holds)" in said
    assert "no reason given (does not hold: other decisions contradict it)" in said
    assert "contacts:shop:42 are different people, decided by ada: she called (holds from the next run)" in said
    assert "undone" not in said and "contacts:crm:43" not in said


def test_a_broken_decisions_file_does_not_keep_anybody_from_being_explained(own: Settings) -> None:
    (own.folder / "identity_decisions.csv").write_text('decision_id\n"')
    explanation = explain(own, ADA)
    assert explanation.links.decisions == []
    assert "no valid CSV" in told(explanation, own)["What stewards decided"]


def test_without_the_file_of_personal_data_ids_are_hashes_and_the_reason_is_said(own: Settings) -> None:
    publication = current(own.state)
    assert publication is not None
    publication.pii_database.unlink()
    explanation = explain(own, SECOND_ADA)
    assert explanation.basis.personal_data_problem == "lifecycle_pii.duckdb is not there"
    said = told(explanation, own)
    assert "not shown: lifecycle_pii.duckdb is not there. Record ids below are hashes." in said["Identifiers"]
    assert "likeness to crm contact" in said["Why these records are one person"]
    assert "14.2 bits, 99.99 % sure: names +18.2" in said["Why these records are one person"]
    everything = json.dumps(explanation.as_json())
    assert "gmail.com" not in everything and "S-17" not in everything
    with pytest.raises(LifecycleError, match="only customer ids can be looked up"):
        explain(own, "ada.lovelace@gmail.com")
    with open_current(own) as reading, pytest.raises(LifecycleError, match="decisions name records"):
        find_record(reading, ADA)
    with open_current(own) as reading, pytest.raises(LifecycleError, match="name records"):
        review_pairs(reading, limit=1)


def test_a_file_of_personal_data_that_cannot_be_read_is_as_good_as_none(own: Settings) -> None:
    publication = current(own.state)
    assert publication is not None
    publication.pii_database.unlink()
    publication.pii_database.write_bytes(b"no database at all")
    assert explain(own, ADA).basis.personal_data_problem == "lifecycle_pii.duckdb cannot be read"


def test_before_the_first_publication_the_remedy_is_a_run(tmp_path: Path) -> None:
    with pytest.raises(LifecycleError, match="nothing is published yet") as unpublished:
        explain(settings_in(tmp_path), ADA)
    assert "lifecycle run" in str(unpublished.value)


def test_a_publication_whose_folder_is_gone_is_a_message(own: Settings) -> None:
    publication = current(own.state)
    assert publication is not None
    shutil.rmtree(publication.folder)
    with pytest.raises(LifecycleError, match="cannot be read: No such file"):
        explain(own, ADA)


JSON_KEYS = {
    "": {
        "looked_for", "found_by", "found_in", "previous_id", "basis", "profile", "stage", "flags", "earlier_stages",
        "segments", "left_segments", "identifiers", "links", "timeline", "event_count", "lists", "colleagues",
    },
    "basis": {
        "run_id", "published_as_of", "published_at", "as_of", "is_past_day", "timezone", "personal_data_problem",
        "lists_from",
    },
    "stage": {
        "stage", "since_at", "until_at", "reason_code", "reason", "evidence_event_id", "evidence_event_name",
        "evidence_at", "evidence_customer_id", "evidence_description",
    },
    "links": {
        "contacts", "others", "linked_pairs", "review_pairs", "changes", "decisions", "decisions_problem",
    },
    "lists": {"standing", "changes"},
}  # fmt: skip


def test_the_json_has_its_promised_keys_and_plain_values(published: Settings) -> None:
    content = json.loads(json.dumps(explain(published, "ada.lovelace@gmail.com").as_json()))
    for part, keys in JSON_KEYS.items():
        assert set(content[part] if part else content) == keys, part
    assert content["stage"]["since_at"] == "2024-01-30T00:00:00Z"
    assert content["basis"]["published_at"] == "2024-04-01T06:00:00Z"
    assert content["profile"]["net_revenue_amount"] == 141.65
    assert content["links"]["contacts"][2]["evidence"].startswith("names +18.2")
    assert content["links"]["review_pairs"][0]["missing_bits"] == 1.2
    documented = Path("docs/explaining.md").read_text()
    for keys in JSON_KEYS.values():
        assert all(f"`{key}`" in documented for key in keys)


@pytest.mark.parametrize(
    ("bits", "words"),
    [(14.2, "99.99 % sure"), (60.0, "more than 99.99 % sure"), (0.0, "50 % sure"), (6.7, "99.04 % sure")],
)
def test_sureness_is_never_rounded_up_to_certainty(bits: float, words: str) -> None:
    assert sureness(1 / (1 + 2**-bits)) == words
