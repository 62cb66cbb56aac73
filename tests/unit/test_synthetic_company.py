"""The demo company as files: the same bytes for the same arguments, and the shares that docs/demo-company.md names.

One company of 20,000 retail customers is generated once; everything here is read from its files and its truth.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lifecycle import cli
from lifecycle.errors import LifecycleError
from lifecycle.settings import load_settings
from lifecycle.synthetic.company import Summary, generate
from lifecycle.synthetic.layout import extracts_of
from lifecycle.synthetic.parameters import CHANNELS, GENERATOR_VERSION, PROFILES, STAR_SHARES, Arguments
from lifecycle.warehouse import Warehouse, open_duckdb

CUSTOMERS = 20_000
MESSY = "('crm', 'loyalty', 'shop', 'support')"


def arguments(out: Path, **changes: Any) -> Arguments:
    return Arguments(**{"customers": 400, "days": 150, "seed": 3, "profile": "retail", "out": out} | changes)


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Company:
    """A generated company, open for questions."""

    def __init__(self, folder: Path, summary: Summary, warehouse: Warehouse) -> None:
        self.folder, self.summary, self.warehouse = folder, summary, warehouse

    def files(self, pattern: str) -> str:
        """SQL that reads files of the company, every value as text."""
        path = f"'{self.folder}/files/{pattern}'"
        if pattern.endswith(".parquet"):
            return f"read_parquet({path})"
        if pattern.endswith(".csv"):
            delimiter = ";" if pattern.startswith("crm/") else ","
            return f"read_csv({path}, all_varchar = true, delim = '{delimiter}')"
        return f"read_json({path}, format = 'newline_delimited', ignore_errors = true)"

    def truth(self, name: str) -> str:
        return f"'{self.folder}/truth/{name}'"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.warehouse.rows(sql)

    def row(self, sql: str) -> tuple[Any, ...]:
        (found,) = self.rows(sql)
        return found


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    summary = generate(arguments(folder, customers=CUSTOMERS, days=365, seed=1))
    with open_duckdb(tmp_path_factory.mktemp("questions") / "q.duckdb") as warehouse:
        company = Company(folder, summary, warehouse)
        fields = (
            "first_name, last_name, email, phone, cast(birth_date as varchar) as birth_date, street, city, postcode"
        )
        crm = (
            "FirstName, LastName, Email, Phone, Birthdate, MailingStreet, MailingCity, MailingPostalCode"
            f" from {company.files('crm/people_2_whole.csv')} where Id != '990000001'"
        )
        nothing = "cast(null as varchar)"
        warehouse.create_as(
            "main.contacts",
            f"select 'crm' as source_system, Id as record_id, {crm}".replace("FirstName,", "FirstName as first_name,")
            .replace("LastName,", "LastName as last_name,")
            .replace("Email,", "Email as email,")
            .replace("Phone,", "Phone as phone,")
            .replace("Birthdate,", "Birthdate as birth_date,")
            .replace("MailingStreet,", "MailingStreet as street,")
            .replace("MailingCity,", "MailingCity as city,")
            .replace("MailingPostalCode from", "MailingPostalCode as postcode from")
            + f" union all select 'loyalty', card_no, {fields} from {company.files('loyalty/cards.csv')}"
            f" union all select 'shop', customer_no, {fields} from {company.files('shop/customers.jsonl')}"
            f" union all select 'web', account_no, {fields} from {company.files('web/accounts.jsonl')}"
            f" union all select 'support', requester_id, first_name, last_name, email, phone, {nothing}, {nothing},"
            f" {nothing}, {nothing} from {company.files('support/requesters.jsonl')} where requester_id is not null"
            f" union all select 'email', contact_id, first_name, last_name, email, {', '.join([nothing] * 5)}"
            f" from {company.files('email/subscribers.csv')}",
        )
        warehouse.create_as(
            "main.records",
            f"select * from {company.truth('records.parquet')} where record_table = 'contacts'",
        )
        warehouse.create_as(
            "main.known_contacts",
            "select contacts.*, person_id from main.contacts join main.records using (source_system, record_id)",
        )
        yield company


# --- arguments and bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_the_same_arguments_give_the_same_bytes(profile: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    generate(arguments(one, profile=profile))
    generate(arguments(other, profile=profile))
    assert digests(one) == digests(other)
    assert len(digests(one)) > 40


def test_another_seed_gives_other_bytes_in_every_file_about_people(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    generate(arguments(one))
    generate(arguments(other, seed=4))
    first, second = digests(one), digests(other)
    same = {name for name in first.keys() & second.keys() if first[name] == second[name]}
    # What is sold, offered and planned does not depend on chance.
    assert same <= {
        "files/shop/products.csv",
        "files/shop/offers.csv",
        "files/email/campaigns.csv",
        "files/email/fees.csv",
        "files/ads/campaigns.csv",
        "truth/attribution.csv",
    }


def test_switching_campaigns_and_seasons_off_changes_what_people_buy(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("both", "no_campaigns", "no_seasons")}
    generate(arguments(folders["both"]))
    generate(arguments(folders["no_campaigns"], has_campaigns=False))
    generate(arguments(folders["no_seasons"], has_seasons=False))
    orders = {name: digests(folder)["files/pos/receipts_2025-12.csv"] for name, folder in folders.items()}
    assert len(set(orders.values())) == 3
    campaigns = (folders["no_campaigns"] / "truth" / "campaigns.csv").read_text()
    assert "newsletter" in campaigns and "flow" not in campaigns


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"customers": -5}, "--customers"),
        ({"customers": 5_000_001}, "--customers"),
        ({"days": 10}, "--days"),
        ({"seed": -1}, "--seed"),
        ({"profile": "bank"}, "--profile"),
        ({"end": date(1999, 12, 31)}, "--end"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused_by_name(
    changes: dict[str, Any], option: str, tmp_path: Path
) -> None:
    with pytest.raises(LifecycleError) as refused:
        arguments(tmp_path / "out", **changes)
    assert refused.value.where == option
    assert refused.value.remedy
    assert not (tmp_path / "out").exists()


def test_a_folder_with_anything_in_it_is_left_alone_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LifecycleError, match="not empty") as refused:
        generate(arguments(tmp_path))
    assert "--force" in refused.value.remedy
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "of_another_company.csv").write_text("x")
    generate(arguments(tmp_path, is_forced=True))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "files" / "of_another_company.csv").exists()


@pytest.mark.parametrize("profile", PROFILES)
def test_the_settings_are_valid_and_name_exactly_the_files_that_are_there(profile: str, tmp_path: Path) -> None:
    summary = generate(arguments(tmp_path, profile=profile))
    settings = load_settings(summary.config)
    named = {path for source in settings.sources for path in tmp_path.glob(source.path)}
    assert all(list(tmp_path.glob(source.path)) for source in settings.sources)
    assert named == {path for path in (tmp_path / "files").rglob("*") if path.is_file()}
    assert len(named) == summary.file_count
    assert len(settings.sources) == len(extracts_of(has_stores=profile == "retail"))
    assert {source.table for source in settings.sources} >= {"contacts", "touchpoints", "orders", "subscriptions"}


def test_the_formats_names_and_clocks_of_the_sources_differ(tmp_path: Path) -> None:
    settings = load_settings(generate(arguments(tmp_path)).config)
    assert {Path(source.path).suffix for source in settings.sources} == {".csv", ".jsonl", ".parquet"}
    assert {source.timezone for source in settings.sources} == {"UTC", "America/New_York"}
    assert any(source.columns for source in settings.sources) and any(
        source.delimiter == ";" for source in settings.sources
    )
    assert len({source.name for source in settings.sources}) == 11


# --- who is who ------------------------------------------------------------------------------------------------------


def test_every_contact_record_has_exactly_one_person(company: Company) -> None:
    contacts, joined, with_person, records = company.row(
        "select (select count(*) from main.contacts), count(*), count(person_id), (select count(*) from main.records)"
        " from main.contacts left join main.records using (source_system, record_id)"
    )
    assert contacts == joined == with_person == records > CUSTOMERS


def test_known_people_have_one_to_six_contact_records_and_visitors_none(company: Company) -> None:
    counts = dict(
        company.rows(
            "select record_count, count(*) from (select people.person_id, count(record_id) as record_count"
            f" from {company.truth('people.parquet')} people left join main.records using (person_id)"
            " group by people.person_id) group by record_count"
        )
    )
    assert set(counts) == set(range(7))
    visitors = company.row(f"select count(*) from {company.truth('people.parquet')} where kind = 'visitor'")[0]
    assert counts[0] == visitors
    assert 0.08 < visitors / CUSTOMERS < 0.16


@pytest.mark.parametrize(
    ("field", "without"),
    [
        ("first_name", "()"),
        ("last_name", "()"),
        ("email", "()"),
        ("phone", "('email')"),
        ("birth_date", "('email', 'support')"),
        ("street", "('email', 'support')"),
    ],
)
def test_about_a_fifth_of_each_field_is_missing(company: Company, field: str, without: str) -> None:
    condition = f"source_system not in {without}" if without != "()" else "true"
    (share,) = company.row(f"select avg(cast({field} is null as integer)) from main.contacts where {condition}")
    assert 0.17 < share < 0.24


@pytest.mark.parametrize("field", ["first_name", "last_name", "email"])
def test_half_of_true_pairs_of_messy_systems_agree_exactly(company: Company, field: str) -> None:
    (share,) = company.row(
        f"select avg(cast(lower(one.{field}) = lower(other.{field}) as integer)) from main.known_contacts one"
        " join main.known_contacts other on one.person_id = other.person_id"
        " and (one.source_system, one.record_id) < (other.source_system, other.record_id)"
        f" where one.source_system in {MESSY} and other.source_system in {MESSY}"
    )
    assert 0.40 < share < 0.60


def test_one_phone_is_written_in_many_ways_and_sometimes_wrong(company: Company) -> None:
    written, digits = company.row(
        "select avg(cast(one.phone = other.phone as integer)),"
        r" avg(cast(right(regexp_replace(one.phone, '\D', '', 'g'), 10)"
        r" = right(regexp_replace(other.phone, '\D', '', 'g'), 10) as integer))"
        " from main.known_contacts one join main.known_contacts other on one.person_id = other.person_id"
        " and (one.source_system, one.record_id) < (other.source_system, other.record_id)"
    )
    assert written < 0.35
    assert 0.7 < digits < 0.9


def test_the_junk_address_is_shared_by_hundreds_and_stands_on_guest_orders(company: Company) -> None:
    assert company.row("select count(*), count(distinct phone) from main.contacts where email = 'test@test.com'") == (
        300,
        1,
    )
    (guests,) = company.row(
        f"select count(*) from {company.files('shop/orders_*.parquet')} where email = 'test@test.com'"
    )
    assert guests > 50


def test_a_company_of_a_thousand_has_thirty_junk_records() -> None:
    assert arguments(Path(), customers=1000).junk_count == 30


def test_numbers_of_different_systems_meet_and_mean_different_people(company: Company) -> None:
    (shared,) = company.row(
        "select count(*) from (select record_id from main.known_contacts group by record_id"
        " having count(distinct source_system) > 1 and count(distinct person_id) > 1)"
    )
    assert shared > 500


def test_an_address_that_changed_hands_is_used_by_the_second_only_after_the_first(company: Company) -> None:
    people = company.truth("people.parquet")
    pairs = company.rows(
        f"select old.email_given_up_at, new.acquired_at, old.person_id, new.person_id from {people} old"
        f" join {people} new on old.email = new.email and old.person_id != new.person_id"
        " where old.email_given_up_at is not null"
    )
    assert len(pairs) > 50
    assert all(given_up < acquired for given_up, acquired, _, _ in pairs)
    late = company.row(
        "select count(*) from main.known_contacts"
        f" join {people} people using (person_id) join {company.files('email/subscribers.csv')} subscribers"
        " on source_system = 'email' and record_id = contact_id"
        " where email_given_up_at is not null and cast(created_at as timestamp) >= email_given_up_at"
        " and known_contacts.email = people.email"
    )
    assert late == (0,)


def test_families_share_name_address_and_phone(company: Company) -> None:
    people = company.truth("people.parquet")
    same_name, same_city, namesakes = company.row(
        "select avg(cast(one.last_name = other.last_name as integer)), avg(cast(one.city = other.city as integer)),"
        " sum(cast(one.first_name = other.first_name and one.last_name = other.last_name as integer))"
        f" from {people} one join {people} other on one.household_id = other.household_id"
        " and one.person_id < other.person_id"
    )
    assert 0.8 < same_name < 0.98 and same_city == 1
    assert 0 < namesakes < 100
    (shared_phones,) = company.row(
        r"select count(*) from (select right(regexp_replace(phone, '\D', '', 'g'), 10) as number"
        " from main.known_contacts where phone != '0000000000' group by number having count(distinct person_id) > 1)"
    )
    assert shared_phones > 100


def test_one_cookie_serves_a_family_and_one_kiosk_serves_strangers(company: Company) -> None:
    users = dict(
        company.rows(
            "select kind, count(*) from (select case when starts_with(cookie, 'kiosk') then 'kiosk' else 'tablet' end"
            f" as kind, cookie from {company.files('web/events_*.parquet')} events"
            f" join {company.truth('records.parquet')} records on source_system = 'web'"
            " and record_table = 'touchpoints' and record_id = touchpoint_id"
            " group by kind, cookie having count(distinct person_id) > 1) group by kind"
        )
    )
    assert users["kiosk"] == 6
    assert users["tablet"] > 50


def test_people_come_without_a_name_before_they_sign_up(company: Company) -> None:
    (share,) = company.row(
        "select avg(cast(first_at < signed_up_at as integer)) from (select cookie,"
        " min(timestamp) as first_at, min(timestamp) filter (event = 'Account Created') as signed_up_at"
        f" from {company.files('web/events_*.parquet')} where not starts_with(cookie, 'kiosk') group by cookie)"
        " where signed_up_at is not null"
    )
    assert 0.3 < share < 1


# --- what people do --------------------------------------------------------------------------------------------------


def test_emails_are_opened_clicked_and_left_at_the_published_rates(company: Company) -> None:
    delivered, opened, clicked, left, machine = company.row(
        "select " + ", ".join(
            f"count(*) filter (event_name = '{name}' and is_machine = {is_machine})"
            for name, is_machine in (
                ("email_delivered", "false"), ("email_opened", "false"), ("email_clicked", "false"),
                ("unsubscribed", "false"), ("email_opened", "true"),
            )
        ) + f" from {company.files('email/events_*.parquet')}"
    )  # fmt: skip
    assert delivered > 40_000
    assert opened / delivered == pytest.approx(0.157, rel=0.04)
    assert clicked / delivered == pytest.approx(0.020, rel=0.10)
    assert left / delivered == pytest.approx(0.0027, rel=0.25)
    assert machine / delivered == pytest.approx(0.35, rel=0.03)


def test_people_who_are_gone_hardly_read_what_they_get(company: Company) -> None:
    rates = company.rows(
        "select coalesce(sent_at >= gone_at, false) as is_gone, avg(cast(opened_at is not null as integer)) from ("
        "select contact_id, message_id, min(occurred_at) filter (event_name = 'email_sent') as sent_at,"
        " min(occurred_at) filter (event_name = 'email_opened' and not is_machine) as opened_at"
        f" from {company.files('email/events_*.parquet')} where message_id is not null group by all) messages"
        f" join {company.truth('records.parquet')} records on source_system = 'email' and record_table = 'contacts'"
        f" and record_id = contact_id join {company.truth('people.parquet')} people using (person_id) group by is_gone"
    )
    gone, others = dict(rates)[True], dict(rates)[False]
    assert 0.1 < gone / others < 0.35


def test_nobody_gets_an_email_after_unsubscribing_and_each_leaves_a_withdrawal(company: Company) -> None:
    events = company.files("email/events_*.parquet")
    left = (
        f"(select contact_id, min(occurred_at) as left_at from {events} where event_name = 'unsubscribed' group by all)"
    )
    assert company.row(
        f"select count(*) from {events} sent join {left} gone using (contact_id)"
        " where event_name = 'email_sent' and occurred_at > left_at"
    ) == (0,)
    assert company.row(
        f"select count(*) from {left} gone anti join (select contact_id from {company.files('email/consents.csv')}"
        " where consent_status = 'withdrawn') withdrawn using (contact_id)"
    ) == (0,)


@pytest.mark.parametrize(("pattern", "column"), [("reviews/reviews.csv", "stars"), ("support/ratings.csv", "score")])
def test_stars_are_shaped_like_a_j(company: Company, pattern: str, column: str) -> None:
    counts = dict(
        company.rows(
            f"select try_cast({column} as integer), count(*) from {company.files(pattern)}"
            f" where try_cast({column} as integer) is not null group by all"
        )
    )
    for star, share in STAR_SHARES.items():
        assert counts[star] / sum(counts.values()) == pytest.approx(share, abs=0.035)


def test_forty_of_a_hundred_checkouts_end_at_the_payment_page(company: Company) -> None:
    reached, bought = company.row(
        "select count(distinct session_id) filter (event = 'Payment Info Entered'),"
        f" count(distinct session_id) filter (event = 'Order Completed') from {company.files('web/events_*.parquet')}"
    )
    assert 1 - bought / reached == pytest.approx(0.40, abs=0.02)


def test_people_write_to_support_more_often_when_they_are_about_to_leave(company: Company) -> None:
    words = ("ridiculous", "unacceptable", "third time")
    angry = "(" + " or ".join(f"transcript_text like '%{word}%'" for word in words) + ")"
    leaving, before, angry_leaving, angry_before = company.row(
        "with tickets as (select person_id, tickets.opened_at, transcript_text, left_on, gone_at, acquired_at"
        f" from {company.files('support/tickets.jsonl')} tickets join {company.truth('records.parquet')} records"
        " on record_table = 'tickets' and source_system = 'support' and record_id = cast(ticket_id as varchar)"
        f" join {company.truth('people.parquet')} people using (person_id) where left_on is not null)"
        " select count(*) filter (opened_at >= left_on - interval 30 day),"
        " count(*) filter (opened_at < left_on - interval 30 day),"
        f" avg(cast({angry} as integer)) filter (opened_at >= left_on - interval 30 day),"
        f" avg(cast({angry} as integer)) filter (opened_at < left_on - interval 30 day) from tickets"
    )
    days_leaving, days_before = company.row(
        "select sum(date_diff('day', greatest(acquired_at, left_on - interval 30 day), gone_at)),"
        " sum(greatest(date_diff('day', acquired_at, left_on - interval 30 day), 0))"
        f" from {company.truth('people.parquet')} where left_on is not null"
    )
    assert leaving / days_leaving > 2 * before / days_before
    assert angry_leaving > 1.5 * angry_before


def test_orders_add_up_to_the_cent(company: Company) -> None:
    lines = (
        "select order_id, sum(line_amount - discount_amount) as amount"
        f" from {company.files('shop/order_items_*.parquet')} group by order_id"
    )
    different = company.row(
        f"select count(*), count(*) filter (lines.amount - orders.discount_amount + tax_amount + shipping_amount"
        f" != total_amount) from ({lines}) lines join {company.files('shop/orders_*.parquet')} orders using (order_id)"
    )
    assert different[0] > 20_000
    assert different[1] == 0


def test_an_order_that_was_open_at_the_end_of_a_month_comes_again_as_it_ended(company: Company) -> None:
    orders = company.files("shop/orders_????-??.parquet")
    again = company.rows(
        "select count(*) as versions, list(order_status order by updated_at),"
        f" count(distinct total_amount) from {orders} group by order_id having versions > 1"
    )
    assert len(again) > 100
    assert {(tuple(statuses), amounts) for _, statuses, amounts in again} <= {
        (("processing", "completed"), 1),
        (("processing", "processing"), 1),
    }


def test_the_second_extract_of_the_crm_repeats_the_first_and_corrects_addresses(company: Company) -> None:
    first, second = company.files("crm/people_1_half.csv"), company.files("crm/people_2_whole.csv")
    in_first, in_both, moved, moved_later = company.row(
        "select count(*), count(new.Id), count(*) filter (old.MailingStreet is distinct from new.MailingStreet),"
        " count(*) filter (old.MailingStreet is distinct from new.MailingStreet"
        " and new.LastModifiedDate > old.LastModifiedDate)"
        f" from {first} old left join {second} new using (Id) where old.LastName is distinct from 'Unreadable'"
    )
    assert in_first == in_both > 2_000
    assert moved == moved_later > 50


def test_corrected_spend_has_the_same_key_and_a_later_date(company: Company) -> None:
    daily, corrections = company.files("ads/spend_1_daily.csv"), company.files("ads/spend_2_corrections.csv")
    corrected, later = company.row(
        "select count(*), count(*) filter (new.updated_at > old.updated_at and new.spend_amount != old.spend_amount)"
        f" from {corrections} new join {daily} old using (spend_date, channel, campaign_id)"
    )
    assert corrected > 20
    assert later >= corrected - 2
    (in_all,) = company.row(f"select count(*) from {corrections} where try_cast(spend_date as date) is not null")
    assert in_all == corrected


def test_one_file_is_late_and_one_comes_twice(company: Company) -> None:
    shop = company.folder / "files" / "shop"
    *in_time, late = sorted(path.stem for path in shop.glob("order_items_*"))
    # Its name, and so its place in the order of loading, is behind files of later quarters.
    assert late.startswith("order_items_late_")
    assert late[-7:] < in_time[-1][-7:]
    (twice,) = shop.glob("orders_again_*")
    assert twice.read_bytes() == (shop / twice.name.replace("again_", "")).read_bytes()


# --- the truth -------------------------------------------------------------------------------------------------------


def test_states_of_a_person_touch_and_never_overlap(company: Company) -> None:
    broken = company.row(
        "select count(*) filter (to_at is distinct from next_from), count(*) filter (to_at <= from_at),"
        " count(distinct person_id) from (select *, lead(from_at) over (partition by person_id order by from_at)"
        f" as next_from from {company.truth('stages.parquet')})"
    )
    assert broken == (0, 0, CUSTOMERS)


def test_those_who_left_buy_nothing_more_unless_a_campaign_made_them(company: Company) -> None:
    assert company.row(
        f"select count(*) from {company.truth('records.parquet')} records"
        f" join {company.files('shop/orders_*.parquet')} orders on source_system = 'shop' and record_table = 'orders'"
        f" and record_id = order_id join {company.truth('people.parquet')} people using (person_id)"
        f" anti join (select person_id, caused_order_on from {company.truth('campaign_members.parquet')}) caused"
        " on caused.person_id = people.person_id"
        " and abs(date_diff('day', cast(ordered_at as date), caused_order_on)) <= 1"
        " where left_on is not null and cast(ordered_at as date) > left_on + interval 1 day"
    ) == (0,)


def test_held_out_people_get_no_email_of_the_campaign_and_no_order_from_it(company: Company) -> None:
    members = company.truth("campaign_members.parquet")
    sent, caused = company.row(
        f"select count(touchpoint_id), count(caused_order_on) from {members} members"
        f" left join {company.truth('records.parquet')} records on records.person_id = members.person_id"
        " and record_table = 'touchpoints' and source_system = 'email'"
        f" left join {company.files('email/events_*.parquet')} events on touchpoint_id = record_id"
        " and events.campaign_id = members.campaign_id where is_held_out"
    )
    assert (sent, caused) == (0, 0)


def test_campaigns_cause_as_many_orders_as_their_uplift_says(company: Company) -> None:
    for approach, treated, expected, caused in company.rows(
        "select approach, sum(assigned_count - held_out_count), sum((assigned_count - held_out_count) * true_uplift),"
        f" sum(caused_order_count) from {company.truth('campaigns.csv')} where approach != 'newsletter' group by all"
    ):
        assert treated > 1000, approach
        # Orders on a day on which the person buys anyway are not added: a little less than the uplift.
        assert abs(caused - expected) < 3 * expected**0.5 + 0.05 * expected, approach


def test_touches_add_to_the_chance_to_buy_what_the_truth_says(company: Company) -> None:
    for channel in CHANNELS:
        with_touch, without = company.row(
            f"select avg(cast(kind = 'buyer' as integer)) filter (touched_by_{channel.name}),"
            f" avg(cast(kind = 'buyer' as integer)) filter (not touched_by_{channel.name})"
            f" from {company.truth('people.parquet')}"
        )
        # Where several touches come together the chance ends at 98 %, which takes a little from each.
        assert with_touch - without == pytest.approx(channel.weight, abs=0.06), channel.name


def test_visits_name_only_channels_that_touched_the_person_and_none_after_the_first_order(company: Company) -> None:
    was_touched = " ".join(f"when '{channel.name}' then touched_by_{channel.name}" for channel in CHANNELS)
    named, wrong, late = company.row(
        f"select count(*), count(*) filter (not case source {was_touched} end),"
        " count(*) filter (timestamp > acquired_at + interval 1 hour)"
        f" from (select * from {company.files('web/events_*.parquet')} where source is not null) events"
        f" join {company.truth('records.parquet')} records on source_system = 'web'"
        " and record_table = 'touchpoints' and record_id = touchpoint_id"
        f" join {company.truth('people.parquet')} people using (person_id)"
    )
    assert named > 2_000
    assert (wrong, late) == (0, 0)


def test_the_truth_says_with_which_parameters_it_was_made(company: Company) -> None:
    content = json.loads((company.folder / "truth" / "parameters.json").read_text())
    assert content["arguments"]["customers"] == CUSTOMERS
    assert content["profile"]["purchase"] == {"r": 0.9, "alpha": 55.0, "a": 0.7, "b": 2.6}
    assert content["unreadable_rows"] == company.summary.unreadable_count == 6


def test_requests_for_deletion_name_people_who_exist(company: Company) -> None:
    asked, found = company.row(
        f"select count(*), count(person_id) from {company.truth('deletion_requests.csv')} requests"
        f" left join {company.truth('people.parquet')} on identifier = email"
    )
    assert asked == found > 10


# --- the command -----------------------------------------------------------------------------------------------------


def typed(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit code of ``lifecycle generate`` with these arguments."""
    monkeypatch.setattr(sys, "argv", ["lifecycle", "generate", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_command_writes_what_its_arguments_say_and_tells_how_to_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--customers", 60, "--days", 100, "--seed", 9, "--profile", "platform", "--end", "2024-06-30")
    assert typed(monkeypatch, *options, "--no-seasonality", "--no-campaigns", "--out", tmp_path / "new") == 0
    shown = capsys.readouterr().out
    assert f"lifecycle run --config {tmp_path / 'new' / 'lifecycle.yml'}" in shown
    assert "people 0 to 60" in shown and "touchpoints" in shown
    made_with = json.loads((tmp_path / "new" / "truth" / "parameters.json").read_text())["arguments"]
    assert made_with == {
        "generator_version": GENERATOR_VERSION,
        "customers": 60,
        "days": 100,
        "seed": 9,
        "profile": "platform",
        "end": "2024-06-30",
        "seasonality": False,
        "campaigns": False,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--customers", "-3"), "--customers"),
        (("--customers", "100", "--days", "5"), "--days"),
        (("--customers", "100", "--profile", "bank"), "retail, platform, streaming"),
        (("--customers", "100", "--end", "soon"), "--end"),
    ],
)
def test_a_bad_argument_of_the_command_is_one_message(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert typed(monkeypatch, *words, "--out", tmp_path / "new") == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ") and said in message and "Traceback" not in message
    assert not (tmp_path / "new").exists()


def test_the_help_of_the_command_has_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(monkeypatch, "--help") == 0
    assert "Example: lifecycle generate --customers" in " ".join(capsys.readouterr().out.split())
