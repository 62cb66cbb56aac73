"""Reach and money at risk, computed anew by the definitions of their page.

Belongs here: one function per mart that gives all of its rows. Does not belong here: who is at risk, which comes from
``customer_360``.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from tests.integration.metrics_oracle_data import DAY, Records, rate
from tests.integration.metrics_oracle_engagement import Engagement, Rows

NO_ANSWER = {"phone", "ads"}
"""Channels in which nobody unsubscribes by a touchpoint."""


class Reach:
    def __init__(self, records: Records) -> None:
        self.records = records
        self.engagement = Engagement(records)

    def reach_current(self) -> Rows:
        people, found = self.engagement.people, []
        kept_off = set(people[people.is_test | people.is_employee].index)
        needed = self._identifiers()
        for channel in ("email", "sms", "phone", "push", "ads", "post"):
            spans = self.engagement.consent_spans
            yes = spans[(spans.channel == channel) & (spans.purpose == "marketing") & spans.until.isna()]
            agreed, against = set(yes.customer_id), self._against(channel) | kept_off
            for stage, group in people.groupby("lifecycle_stage"):
                everybody = set(group.index)
                consenting = everybody & agreed
                named = consenting & needed[channel]
                reachable = named - against
                found.append(
                    {
                        "lifecycle_stage": stage, "channel": channel, "customer_count": len(everybody),
                        "consent_count": len(consenting), "identifier_count": len(named),
                        "suppressed_count": len(named & against), "reachable_count": len(reachable),
                        "reach_rate": rate(len(reachable), len(everybody)),
                    }
                )  # fmt: skip
        return found

    def _identifiers(self) -> dict[str, set[str]]:
        kinds = self.records.frame("select distinct customer_id, identifier_kind from marts.customer_contacts")
        by_kind = {kind: set(group.customer_id) for kind, group in kinds.groupby("identifier_kind")}
        email, phone = by_kind["email"], by_kind["phone"]
        contacts = self.records.contacts
        placed = contacts.street.notna() & (contacts.postcode.notna() | contacts.city.notna())
        return {
            "email": email, "sms": phone, "phone": phone, "push": by_kind["contact_id"], "ads": email | phone,
            "post": set(contacts[placed].customer_id.dropna()),
        }  # fmt: skip

    def _against(self, channel: str) -> set[str]:
        """Who unsubscribed or complained since their last yes, or whose last email came back."""
        if channel in NO_ANSWER:
            return set()
        tp, consents = self.records.touchpoints, self.records.consents
        yes = consents[(consents.channel == channel) & (consents.purpose == "marketing")]
        last_yes = yes[yes.consent_status == "granted"].groupby("customer_id").changed_at.max()
        left = (tp.event == "unsubscribed") & (tp.channel == channel)
        if channel == "email":
            left |= tp.event == "email_complained"
        last_no = tp[left].groupby("customer_id").occurred_at.max()
        since = last_yes.reindex(last_no.index)
        found = set(last_no[since.isna() | (last_no >= since)].index)
        if channel == "email":
            bounced = tp[tp.event == "email_bounced"].groupby("customer_id").occurred_at.max()
            arrived = tp[tp.event == "email_delivered"].groupby("customer_id").occurred_at.max().reindex(bounced.index)
            found |= set(bounced[arrived.isna() | (bounced > arrived)].index)
        return found

    def money_at_risk(self) -> Rows:
        records, found = self.records, []
        people = self.engagement.people
        shared = people.account_key.where(people.account_key.notna(), people.index.to_series())
        brought = people.net_revenue_amount.astype(float).groupby(shared).transform("sum")
        people = people.assign(brought=brought)[people.is_at_risk]
        settings = records.frame("select threshold_persona, high_value_amount from ops.lifecycle_settings")
        amounts = settings.set_index("threshold_persona").high_value_amount.astype(float)
        limit = people.persona.map(amounts).fillna(amounts["default"])
        people["group"] = (people.brought >= limit).map({True: "high", False: "low"})
        known = records.lines.groupby(["source_system", "order_id"]).cost_cents.agg(
            lambda cents: cents.sum() if cents.notna().all() else float("nan")
        )
        orders = records.orders.join(known, on=["source_system", "order_id"])
        parts: dict[str, Any] = {}
        for name, frame in (("sold", orders), ("refunded", records.refunds)):
            parts[name] = frame[(frame.day <= records.as_of) & (frame.day > records.as_of - 365 * DAY)]
        sold = parts["sold"]
        sums = pd.DataFrame(
            {
                "sold": sold.groupby("customer_id").cents.sum(),
                "refunded": parts["refunded"].groupby("customer_id").cents.sum(),
                "cost": sold.groupby("customer_id").cost_cents.sum(),
                "unknown": sold[sold.cost_cents.isna()].groupby("customer_id").cents.sum(),
            }
        )
        people = people.join(sums.fillna(0)).fillna({"sold": 0, "refunded": 0, "cost": 0, "unknown": 0})
        for (stage, value, reason), group in people.groupby(["lifecycle_stage", "group", "risk_reason"]):
            net = group.sold.sum() - group.refunded.sum()
            found.append(
                {
                    "lifecycle_stage": stage, "value_group": value, "risk_reason": reason, "currency": "USD",
                    "at_risk_customer_count": len(group), "net_revenue_12m_amount": net / 100,
                    "gross_margin_12m_amount": (net - group.cost.sum()) / 100,
                    "unknown_cost_12m_amount": group.unknown.sum() / 100,
                    "mrr_amount": group.mrr_amount.astype(float).sum(), "predicted_margin_12m_amount": None,
                }
            )  # fmt: skip
        return found
