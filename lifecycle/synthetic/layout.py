"""Which files a company has: systems, tables, formats, names.

Belongs here: one entry per source of lifecycle.yml, from which files are written and the settings are made.
Does not belong here: writing (``files.py``) and what stands in the files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

HEAD_OFFICE_ZONE = "America/New_York"


@dataclass(frozen=True)
class Extract:
    """One table of one system, as files.

    ``file`` has a place for the month's name when it comes by month (``{}``). ``columns`` maps the contract's
    names to the source's own, ``constants`` are columns that the files leave out because every row has the same.
    """

    source: str
    table: str
    file: str
    format: Literal["parquet", "csv", "jsonl"]
    timezone: str = "UTC"
    delimiter: str = ","
    id_namespace: str | None = None
    columns: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    every_months: int = 1
    """How many months one file of a table that comes by month holds."""
    parts: tuple[str, ...] = ()
    """Names of the parts of a table that comes in a few extracts and not by month."""
    note: str = ""

    @property
    def pattern(self) -> str:
        """The path as lifecycle.yml names it."""
        return "files/" + self.file.replace("{}", "*")


_WEB_NAMES = {"occurred_at": "timestamp", "event_name": "event", "anonymous_id": "cookie", "page_url": "url"}

EXTRACTS = (
    Extract(
        "web", "contacts", "web/accounts.jsonl", "jsonl",
        columns={"contact_id": "account_no", "created_at": "signed_up_at", "account_closed_at": "closed_at"},
        note="Accounts of the website and the app.",
    ),
    Extract(
        "web", "touchpoints", "web/events_{}.parquet", "parquet", columns=_WEB_NAMES,
        constants={"channel": "web"}, note="The website's tracker: its own names, one file a month.",
    ),
    Extract(
        "app", "touchpoints", "app/events_{}.parquet", "parquet", columns=_WEB_NAMES,
        constants={"channel": "app"}, id_namespace="web", every_months=3, note="The app shares the website's accounts.",
    ),
    Extract(
        "crm", "contacts", "crm/people_{}.csv", "csv", timezone=HEAD_OFFICE_ZONE, delimiter=";",
        columns={
            "contact_id": "Id", "first_name": "FirstName", "last_name": "LastName", "email": "Email", "phone": "Phone",
            "birth_date": "Birthdate", "street": "MailingStreet", "city": "MailingCity", "region": "MailingState",
            "postcode": "MailingPostalCode", "country": "MailingCountry", "created_at": "CreatedDate",
            "updated_at": "LastModifiedDate", "acquisition_source": "LeadSource",
        },
        parts=("1_half", "2_whole"),
        note="Two extracts of the whole CRM; its clock is the head office's and carries no zone.",
    ),
    Extract("crm", "consents", "crm/consents.csv", "csv", timezone=HEAD_OFFICE_ZONE, delimiter=";"),
    Extract("crm", "identity_decisions", "crm/merges.csv", "csv", timezone=HEAD_OFFICE_ZONE, delimiter=";"),
    Extract("crm", "touchpoints", "crm/activities.csv", "csv", timezone=HEAD_OFFICE_ZONE, delimiter=";"),
    Extract("shop", "contacts", "shop/customers.jsonl", "jsonl", columns={"contact_id": "customer_no"}),
    Extract(
        "shop", "orders", "shop/orders_{}.parquet", "parquet",
        note="Extracts overlap: an order that was open at the end of a month comes again when it has ended.",
    ),
    Extract("shop", "order_items", "shop/order_items_{}.parquet", "parquet", every_months=3),
    Extract(
        "shop", "touchpoints", "shop/parcels_{}.parquet", "parquet", constants={"channel": "delivery"}, every_months=3,
    ),
    Extract("shop", "refunds", "shop/refunds.csv", "csv"),
    Extract("shop", "products", "shop/products.csv", "csv"),
    Extract("shop", "offers", "shop/offers.csv", "csv"),
    Extract(
        "pos", "orders", "pos/receipts_{}.csv", "csv", timezone=HEAD_OFFICE_ZONE, id_namespace="loyalty",
        columns={
            "order_id": "receipt_no", "ordered_at": "sold_at", "total_amount": "amount", "contact_id": "card_no",
            "tax_amount": "tax",
        },
        constants={"currency": "USD", "order_status": "completed", "order_channel": "store"},
        note="Tills write the head office's time; they know people by their loyalty card.",
    ),
    Extract("pos", "order_items", "pos/receipt_lines_{}.parquet", "parquet", id_namespace="loyalty",
            columns={"order_id": "receipt_no"}, every_months=3),
    Extract("pos", "refunds", "pos/returns.csv", "csv", id_namespace="loyalty"),
    Extract("support", "contacts", "support/requesters.jsonl", "jsonl", columns={"contact_id": "requester_id"}),
    Extract("support", "tickets", "support/tickets.jsonl", "jsonl", columns={"contact_id": "requester_id"}),
    Extract("support", "survey_responses", "support/ratings.csv", "csv"),
    Extract("email", "contacts", "email/subscribers.csv", "csv"),
    Extract(
        "email", "touchpoints", "email/events_{}.parquet", "parquet", constants={"channel": "email"}, every_months=3,
    ),
    Extract("email", "consents", "email/consents.csv", "csv"),
    Extract("email", "campaigns", "email/campaigns.csv", "csv"),
    Extract("email", "marketing_spend", "email/fees.csv", "csv"),
    Extract("email", "survey_responses", "email/surveys.jsonl", "jsonl"),
    Extract("reviews", "reviews", "reviews/reviews.csv", "csv", columns={"rating": "stars", "review_text": "text"}),
    Extract(
        "ads", "touchpoints", "ads/touches_{}.parquet", "parquet", id_namespace="web", every_months=3,
        note="Ads know people by the cookie that the website set.",
    ),
    Extract("ads", "campaigns", "ads/campaigns.csv", "csv"),
    Extract(
        "ads", "marketing_spend", "ads/spend_{}.csv", "csv", parts=("1_daily", "2_corrections"),
        note="The second file corrects days of the first: same key, later updated_at.",
    ),
    Extract("loyalty", "contacts", "loyalty/cards.csv", "csv", columns={"contact_id": "card_no"}),
    Extract(
        "loyalty", "loyalty_events", "loyalty/movements_{}.parquet", "parquet", columns={"contact_id": "card_no"},
        every_months=3,
    ),
    Extract("billing", "subscriptions", "billing/subscriptions.csv", "csv", id_namespace="web"),
    Extract("billing", "subscription_events", "billing/events.csv", "csv", id_namespace="web"),
    Extract("billing", "orders", "billing/invoices.csv", "csv", id_namespace="web"),
)  # fmt: skip

STORE_SOURCES = ("pos", "loyalty")


def extracts_of(*, has_stores: bool) -> tuple[Extract, ...]:
    """The extracts of a company, with or without stores and their loyalty programme."""
    return tuple(extract for extract in EXTRACTS if has_stores or extract.source not in STORE_SOURCES)
