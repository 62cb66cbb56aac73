"""The input contract: every table and column that a company can bring.

Belongs here: names, types, keys, allowed values and descriptions, once. The loader's casts, the quarantine rules, the
raw tables, the dbt source YAML (``models/staging/_sources.yml``) and ``docs/input-contract.md`` are made from it.
Does not belong here: how a file or vendor is read.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property

from pydantic import BaseModel, ConfigDict


class Kind(StrEnum):
    """What a value is. The text is the kind's name in the docs."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    MONEY = "money"
    PRICE = "price"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DAY = "day"
    CURRENCY = "currency"
    JSON = "json"


SQL_TYPE = {
    Kind.TEXT: "varchar",
    Kind.INTEGER: "bigint",
    Kind.DECIMAL: "decimal(18,4)",
    Kind.MONEY: "decimal(18,4)",
    Kind.PRICE: "decimal(18,4)",
    Kind.BOOLEAN: "boolean",
    Kind.TIMESTAMP: "timestamp",
    Kind.DAY: "date",
    Kind.CURRENCY: "varchar",
    Kind.JSON: "varchar",
}
"""Type in ``raw``. Money keeps four decimals: some currencies have three, prices per unit are finer than a coin."""


class Column(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    kind: Kind
    description: str
    required: bool = False
    pii: str | None = None
    allowed: tuple[str, ...] = ()

    @property
    def sql_type(self) -> str:
        return SQL_TYPE[self.kind]


class Table(BaseModel):
    """One table of the contract.

    ``key`` are the columns that, with ``source_system``, name a record. ``event_at`` is when the thing happened (null
    for records without a date of their own). ``one_of`` are columns of which at least one must be filled.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    description: str
    key: tuple[str, ...]
    event_at: str | None
    columns: tuple[Column, ...]
    one_of: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @property
    def required(self) -> list[str]:
        return [column.name for column in self.columns if column.required]


LOAD_COLUMNS = (
    Column(name="source_system", kind=Kind.TEXT, description="The source that sent the record.", required=True),
    Column(name="id_namespace", kind=Kind.TEXT, description="Whose ids the record carries.", required=True),
    Column(name="batch_id", kind=Kind.TEXT, description="The batch that brought this version.", required=True),
    Column(name="loaded_at", kind=Kind.TIMESTAMP, description="When this version was loaded.", required=True),
)
"""What the loader itself adds to every table."""

_PII = {
    "email": "email",
    "phone": "phone",
    "first_name": "name",
    "last_name": "name",
    "birth_date": "birth_date",
    "street": "address",
    "postcode": "address",
    "transcript_text": "free_text",
    "comment_text": "free_text",
    "review_text": "free_text",
    "proof": "free_text",
}
"""Columns that say directly who somebody is, or may."""


def _columns(required: str, optional: str, allowed: dict[str, tuple[str, ...]]) -> tuple[Column, ...]:
    """Columns from one line each: ``name kind description``."""
    columns = []
    for block, is_required in ((required, True), (optional, False)):
        for line in block.strip().splitlines():
            if not line.strip():
                continue
            name, kind, description = line.strip().split(maxsplit=2)
            columns.append(
                Column(
                    name=name,
                    kind=Kind(kind),
                    description=description,
                    required=is_required,
                    pii=_PII.get(name),
                    allowed=allowed.get(name, ()),
                )
            )
    known = {column.name for column in columns}
    for name, kind_, description in (
        ("updated_at", Kind.TIMESTAMP, "When the source last changed the record; the latest version wins."),
        ("deleted_at", Kind.TIMESTAMP, "When the source deleted the record; from then on it does not exist."),
    ):
        if name not in known:
            columns.append(Column(name=name, kind=kind_, description=description))
    return tuple(columns)


def _table(
    name: str,
    description: str,
    *,
    key: str,
    event_at: str | None,
    required: str,
    optional: str = "",
    one_of: str = "",
    **allowed: tuple[str, ...],
) -> Table:
    return Table(
        name=name,
        description=description,
        key=tuple(key.split()),
        event_at=event_at,
        columns=_columns(required, optional, allowed),
        one_of=tuple(one_of.split()),
    )


_ALL = (
    _table(
        "contacts",
        "People as a source knows them: one row per contact record.",
        key="contact_id",
        event_at="created_at",
        required="contact_id text The contact's id in its namespace.",
        optional="""
        email text Email address.
        phone text Phone number, as written.
        first_name text First name.
        last_name text Last name.
        birth_date day Date of birth.
        street text Street and house number.
        city text City.
        region text State, province or region.
        postcode text Postal code.
        country text Country, ISO 3166 alpha-2.
        company text Company the person works for.
        account_id text Account (company) in business-to-business.
        household_id text Household the person belongs to.
        gender text Gender, as recorded.
        language text Preferred language, ISO 639-1.
        timezone text Time zone of the person.
        preferred_channel text Channel the person asked for.
        topics text Topics of interest, comma separated.
        max_frequency integer Messages a week the person accepts.
        onboarding_goal text What the person wants to achieve.
        acquisition_source text Where the person came from, as recorded.
        persona text Persona the company assigned.
        brand text Brand the record belongs to.
        is_employee boolean Works for the company.
        is_test boolean Test record.
        account_closed_at timestamp When the account was closed.
        created_at timestamp When the contact was first recorded.
        """,
    ),
    _table(
        "touchpoints",
        "What people did and what was sent to them: one row per event.",
        key="touchpoint_id",
        event_at="occurred_at",
        required="""
        touchpoint_id text The event's id in its source.
        occurred_at timestamp When it happened.
        event_name text What happened, in the vocabulary of seeds/touchpoint_types.csv or a vendor's name it maps.
        channel text Where it happened (web, app, email, store, ...).
        """,
        optional="""
        contact_id text Contact, in the namespace of the source.
        user_id text Account id of a signed-in person.
        anonymous_id text Cookie or device id.
        email text Email address.
        phone text Phone number, as written.
        session_id text Visit the event belongs to.
        campaign_id text Campaign behind it.
        source text Traffic source (utm_source).
        medium text Traffic medium (utm_medium).
        referrer text Referring address.
        page_url text Page.
        device text Device class.
        product_id text Product it is about.
        order_id text Order it is about.
        step text Step of a funnel or onboarding.
        value money Value of the event.
        currency currency Currency of the value.
        message_id text Message it belongs to.
        content_key text Content block or template.
        offer_id text Offer shown or used.
        rating decimal Rating given.
        feature_name text Feature used.
        click_id text Ad click id.
        utm_content text Ad content.
        utm_term text Ad term.
        referred_contact_id text Contact who was referred.
        is_machine boolean Done by a machine (a mail scanner's open).
        brand text Brand it belongs to.
        properties json Everything else, as a JSON object.
        """,
    ),
    _table(
        "products",
        "What is sold.",
        key="product_id",
        event_at=None,
        required="product_id text The product's id in its source.",
        optional="""
        product_name text Name.
        category text Category path, levels separated by ' > '.
        brand text Brand.
        unit_cost_amount price Cost of one unit.
        list_price_amount price List price of one unit.
        currency currency Currency of cost and price.
        is_key_feature boolean A key feature of the product (software).
        """,
    ),
    _table(
        "orders",
        "Purchases: one row per order.",
        key="order_id",
        event_at="ordered_at",
        required="""
        order_id text The order's id in its source.
        ordered_at timestamp When it was placed.
        order_status text Status; cancelled and voided orders count nowhere.
        total_amount money Charged: after discounts, with tax and shipping.
        currency currency Currency of all amounts of the order.
        """,
        optional="""
        contact_id text Contact, in the namespace of the source.
        user_id text Account id of a signed-in person.
        email text Email address.
        phone text Phone number, as written.
        discount_amount money Discount on the order as a whole, beside those of its lines.
        shipping_amount money Shipping charged.
        tax_amount money Tax charged.
        gift_card_amount money Part paid by gift card.
        coupon_code text Coupon used.
        order_channel text Channel of the order.
        store_id text Store.
        brand text Brand.
        subscription_id text Subscription it belongs to.
        is_renewal boolean Renewal of a subscription.
        is_gift boolean Bought as a gift.
        paid_at timestamp When it was paid.
        promised_delivery_at timestamp Delivery promised for.
        delivered_at timestamp When it was delivered.
        cancelled_at timestamp When it was cancelled.
        is_test boolean Test order.
        """,
    ),
    _table(
        "order_items",
        "Lines of orders.",
        key="order_id line_number",
        event_at=None,
        required="""
        order_id text The order.
        line_number integer Position within the order.
        quantity decimal Units; negative is a return.
        line_amount money Price of the line before its discount, without tax.
        """,
        optional="""
        product_id text Product.
        discount_amount money Discount on this line.
        unit_cost_amount price Cost of one unit at the time.
        """,
    ),
    _table(
        "refunds",
        "Money given back.",
        key="refund_id",
        event_at="refunded_at",
        required="""
        refund_id text The refund's id in its source.
        order_id text The order refunded.
        refunded_at timestamp When.
        refund_amount money Given back in all.
        currency currency Currency, that of the order.
        """,
        optional="""
        product_id text Product given back.
        quantity decimal Units given back.
        item_refund_amount money Part for items.
        tax_refund_amount money Part for tax.
        shipping_refund_amount money Part for shipping.
        reason text Why.
        """,
    ),
    _table(
        "subscriptions",
        "Subscriptions: who holds them.",
        key="subscription_id",
        event_at=None,
        required="subscription_id text The subscription's id in its source.",
        optional="""
        contact_id text Contact, in the namespace of the source.
        email text Email address.
        user_id text Account id.
        account_id text Account (company).
        trial_ends_at timestamp End of the trial.
        brand text Brand.
        """,
    ),
    _table(
        "subscription_events",
        "What happened to subscriptions.",
        key="subscription_event_id",
        event_at="occurred_at",
        required="""
        subscription_event_id text The event's id in its source.
        subscription_id text The subscription.
        occurred_at timestamp When.
        event_kind text What happened.
        plan_name text Plan after the event.
        mrr_amount price Monthly recurring revenue after the event.
        currency currency Currency.
        """,
        optional="""
        quantity decimal Seats or units.
        billing_interval text Month or year.
        paid_through_at timestamp Paid until.
        reason text Why.
        """,
        event_kind=(
            "trial_started",
            "started",
            "renewed",
            "upgraded",
            "downgraded",
            "paused",
            "resumed",
            "payment_failed",
            "payment_recovered",
            "cancel_requested",
            "cancel_revoked",
            "ended",
        ),
    ),
    _table(
        "tickets",
        "Support cases.",
        key="ticket_id",
        event_at="opened_at",
        required="""
        ticket_id text The ticket's id in its source.
        opened_at timestamp When it was opened.
        ticket_channel text Channel it came by.
        ticket_status text Status.
        """,
        optional="""
        contact_id text Contact, in the namespace of the source.
        email text Email address.
        phone text Phone number, as written.
        reason text Reason of contact.
        product_id text Product it is about.
        order_id text Order it is about.
        priority text Priority.
        agent_id text Agent.
        first_replied_at timestamp First reply by an agent.
        solved_at timestamp Last solved.
        reopened_count integer Times reopened.
        reply_count integer Replies.
        handed_over_from_bot boolean A bot handed it over.
        transcript_text text What was said.
        """,
    ),
    _table(
        "survey_responses",
        "Answers to surveys.",
        key="response_id",
        event_at="responded_at",
        required="""
        response_id text The answer's id in its source.
        responded_at timestamp When.
        survey_kind text Kind of survey.
        score decimal Score on the survey's scale.
        """,
        optional="""
        contact_id text Contact, in the namespace of the source.
        email text Email address.
        order_id text Order it is about.
        ticket_id text Ticket it is about.
        agent_id text Agent it is about.
        survey_id text Survey.
        survey_trigger text What triggered the survey.
        sent_at timestamp When it was sent.
        scale_min decimal Lowest score possible.
        scale_max decimal Highest score possible.
        scale_direction text Whether high is good.
        comment_text text Comment.
        """,
        survey_kind=("nps", "csat", "ces"),
    ),
    _table(
        "reviews",
        "Reviews and testimonials.",
        key="review_id",
        event_at="reviewed_at",
        required="""
        review_id text The review's id in its source.
        reviewed_at timestamp When.
        rating decimal Rating.
        """,
        optional="""
        contact_id text Contact, in the namespace of the source.
        email text Email address.
        product_id text Product.
        order_id text Order.
        scale_max decimal Highest rating possible; 5 when absent.
        review_text text Text.
        is_testimonial boolean A testimonial.
        """,
    ),
    _table(
        "consents",
        "What people agreed to, and withdrew.",
        key="contact_id email phone channel purpose changed_at",
        event_at="changed_at",
        required="""
        channel text Channel (email, sms, ads, phone, post, push).
        purpose text Purpose (marketing, analytics, sale_or_sharing, ...).
        consent_status text granted, withdrawn or denied.
        changed_at timestamp When.
        """,
        optional="""
        contact_id text Contact, in the namespace of the source.
        email text Email address.
        phone text Phone number, as written.
        legal_basis text Legal basis.
        consent_source text Where it was given.
        confirmed_at timestamp Double opt-in confirmed.
        region text Region whose law applies.
        expires_at timestamp When it lapses.
        proof text Proof, as recorded.
        """,
        one_of="contact_id email phone",
        consent_status=("granted", "withdrawn", "denied"),
    ),
    _table(
        "marketing_spend",
        "What marketing cost, per day, channel and campaign.",
        key="spend_date channel campaign_id",
        event_at=None,
        required="""
        spend_date day Day.
        channel text Channel.
        spend_amount money Spent.
        currency currency Currency.
        """,
        optional="""
        campaign_id text Campaign.
        spend_purpose text What for.
        impressions integer Impressions.
        clicks integer Clicks.
        """,
        spend_purpose=("acquire", "retain", "mixed"),
    ),
    _table(
        "campaigns",
        "Campaigns.",
        key="campaign_id",
        event_at="started_at",
        required="""
        campaign_id text The campaign's id in its source.
        campaign_name text Name.
        channel text Channel.
        """,
        optional="""
        purpose text acquire, retain or another word.
        started_at timestamp Start.
        ended_at timestamp End.
        cost_amount money Cost in all.
        currency currency Currency.
        """,
    ),
    _table(
        "offers",
        "Offers that messages and pages can carry.",
        key="offer_id",
        event_at="started_at",
        required="""
        offer_id text The offer's id in its source.
        offer_kind text Kind.
        """,
        optional="""
        value money Value (amount or per cent, by kind).
        code text Code.
        started_at timestamp Start.
        ended_at timestamp End.
        minimum_margin_rate decimal Margin that must remain.
        """,
    ),
    _table(
        "loyalty_events",
        "What happened in the loyalty programme.",
        key="loyalty_event_id",
        event_at="occurred_at",
        required="""
        loyalty_event_id text The event's id in its source.
        occurred_at timestamp When.
        event_kind text What happened.
        """,
        optional="""
        contact_id text Contact, in the namespace of the source.
        email text Email address.
        phone text Phone number, as written.
        points decimal Points gained or used.
        tier_name text Tier reached.
        """,
        one_of="contact_id email phone",
        event_kind=("join", "earn", "redeem", "tier"),
    ),
    _table(
        "identity_decisions",
        "Stewards' decisions on who is the same person.",
        key="decision_id",
        event_at="decided_at",
        required="""
        decision_id text The decision's id.
        left_source_system text Source of the left record.
        left_record_table text Table of the left record.
        left_record_id text The left record.
        right_source_system text Source of the right record.
        right_record_table text Table of the right record.
        right_record_id text The right record.
        decision text Same person or different people.
        decided_at timestamp When.
        """,
        optional="""
        decided_by text Who decided.
        reason text Why.
        """,
        decision=("same", "different"),
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in _ALL}
"""Every table of the contract by name."""


def create_raw_tables_sql() -> list[str]:
    """Statements that make every raw table, empty, where it does not exist yet."""
    statements = ["create schema if not exists raw"]
    for table in TABLES.values():
        columns = ", ".join(f'"{column.name}" {column.sql_type}' for column in (*LOAD_COLUMNS, *table.columns))
        statements.append(f"create table if not exists raw.{table.name} ({columns})")
    return statements
