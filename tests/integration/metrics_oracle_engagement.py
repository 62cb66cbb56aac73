"""The metrics of engagement and reach, computed anew from raw records by the definitions of their pages.

Belongs here: one function per mart that gives all of its rows. Does not belong here: anything read from the SQL of the
marts, or from what the project computed beside identities, stages and the profiles of people.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tests.integration.metrics_oracle_data import DAY, Records, local_days, local_months, rate

NONE = "(none)"
MESSAGE_EVENTS = {
    "email_sent": "sent", "email_delivered": "delivered", "email_bounced": "bounced", "email_opened": "opened",
    "email_clicked": "clicked", "email_complained": "complained", "unsubscribed": "unsubscribed",
    "message_sent": "sent", "message_clicked": "clicked",
}  # fmt: skip
WRITTEN_CHANNELS = {"email", "sms", "whatsapp", "push", "post"}
Rows = list[dict[str, Any]]


class Engagement:
    def __init__(self, records: Records) -> None:
        self.records = records

    def engagement_monthly(self) -> Rows:
        records, found = self.records, []
        days = records.activity[["customer_id", "day"]].drop_duplicates()
        visits = self.visits
        for month in records.all_months:

            def active(length: int, month: Any = month) -> set[str]:
                inside = (days.day <= month.last) & (days.day > month.last - length * DAY)
                return set(days[inside].customer_id)

            window = active(28)
            here = days[(days.day >= month.first) & (days.day <= month.last)]
            visited = visits[(visits["at"] >= month.begins) & (visits["at"] < month.ends)]
            day_count = (month.last - month.first).days + 1
            people, mean = here.customer_id.nunique(), len(here) / day_count
            identified, paid = records.identified, records.first_paid
            found.append(
                {
                    "engagement_month": month.first, "is_complete": month.is_complete,
                    "active_1d_count": len(active(1)), "active_7d_count": len(active(7)),
                    "active_28d_count": len(window),
                    "anonymous_active_28d_count": len(window - set(identified[identified < month.ends].index)),
                    "buyer_active_28d_count": len(window & set(paid[paid < month.ends].index)),
                    "active_day_count": len(here), "day_count": day_count, "mean_daily_active_count": mean,
                    "monthly_active_count": people, "stickiness_rate": rate(mean, people),
                    "visit_count": len(visited), "visitor_count": visited.customer_id.nunique(),
                }
            )  # fmt: skip
        return found

    @cached_property
    def visits(self) -> pd.DataFrame:
        """Visits to website or app: customer and moment of the beginning."""
        tp = self.records.touchpoints
        seen = tp[tp.event.map(self.records.types.is_visit).astype(bool) & ~tp.is_machine & tp.customer_id.notna()]
        name = seen.session_id.where(seen.session_id.notna(), "day " + seen.day.astype(str))
        keyed = seen.assign(visit=name).groupby(["customer_id", "source_system", "visit"]).occurred_at.min()
        return keyed.rename("at").reset_index()

    # --- messages ----------------------------------------------------------------------------------------------------

    @cached_property
    def message_events(self) -> pd.DataFrame:
        """What became of messages, every event with the ``message`` that it belongs to."""
        tp = self.records.touchpoints
        told = tp[tp.event.isin(MESSAGE_EVENTS.keys()) & tp.customer_id.notna()].copy()
        told["what"] = told.event.map(MESSAGE_EVENTS)
        is_email = told.event.str.startswith("email_")
        told["channel"] = told.channel.where(~is_email, "email")
        told = told[(told.event != "unsubscribed") | told.channel.isin(WRITTEN_CHANNELS)]
        told["campaign"] = told.campaign_id.fillna(NONE)
        told = told.sort_values(["occurred_at", "touchpoint_id"])
        tells = told.groupby(["id_namespace", "channel"]).what.agg(set)
        names: list[Any] = []
        last_send: dict[Any, Any] = {}
        for row in told.itertuples(index=False):
            who = (row.customer_id, row.id_namespace, row.channel)
            if isinstance(row.message_id, str):
                names.append((*who, row.message_id))
                continue
            group = (*who, row.campaign)
            send = "sent" if "sent" in tells[(row.id_namespace, row.channel)] else "delivered"
            if row.what == send:
                last_send[group] = row.day
            names.append((*group, str(last_send.get(group, row.day))))
        return told.assign(message=pd.Series(names, index=told.index, dtype=object))

    @cached_property
    def messages(self) -> pd.DataFrame:
        """One row per message."""
        events = self.message_events
        frame = events.groupby("message").agg(
            customer_id=("customer_id", "first"), namespace=("id_namespace", "first"), channel=("channel", "first"),
            campaign_id=("campaign", "first"), heard_at=("occurred_at", "min"),
        )  # fmt: skip
        for what in ("sent", "delivered", "bounced", "clicked", "unsubscribed", "complained", "opened"):
            of = events[events.what == what]
            person = of if what not in ("opened", "clicked") else of[~of.is_machine]
            frame[what] = frame.index.isin(set(person.message))
            frame[f"any_{what}"] = frame.index.isin(set(of.message))
        frame["machine_opened"] = frame.index.isin(set(events[(events.what == "opened") & events.is_machine].message))
        frame["told_sent_at"] = events[events.what == "sent"].groupby("message").occurred_at.min()
        tells = events.groupby(["id_namespace", "channel"]).what.agg(set)
        keys = list(zip(frame.namespace, frame.channel, strict=True))
        tells_sends = np.array(["sent" in tells[key] for key in keys])
        tells_deliveries = np.array(["delivered" in tells[key] for key in keys])
        answered = frame[["any_opened", "any_clicked", "any_unsubscribed", "any_complained"]].any(axis=1)
        knows = tells_sends | tells_deliveries
        delivered = (frame.delivered | answered) & knows
        sent = (frame.sent | delivered | frame.bounced) & knows
        frame["is_delivered"] = np.where(tells_deliveries, delivered, sent & ~frame.bounced)
        frame["is_sent"] = sent
        frame["sent_at"] = frame.told_sent_at.fillna(frame.heard_at)
        frame["month"] = local_months(frame.sent_at)
        return frame

    @cached_property
    def conversions(self) -> pd.DataFrame:
        """Counted orders within ``click_days`` after a click: the message with the last click before each."""
        events = self.message_events
        clicks = events[(events.what == "clicked") & ~events.is_machine][["customer_id", "occurred_at", "message"]]
        orders = self.records.orders
        placed = orders[orders.customer_id.notna() & ~orders.is_renewal][["customer_id", "ordered_at", "cents"]]
        both = pd.merge_asof(
            placed.sort_values("ordered_at"), clicks.sort_values("occurred_at"), by="customer_id",
            left_on="ordered_at", right_on="occurred_at", direction="backward",
        )  # fmt: skip
        window = pd.Timedelta(days=float(self.records.setting("click_days")))
        return both[both.occurred_at.notna() & (both.ordered_at < both.occurred_at + window)]

    def _converted(self, frame: pd.DataFrame) -> tuple[int, int]:
        hit = self.conversions[self.conversions.message.isin(set(frame.index))]
        return len(hit), int(hit.cents.sum())

    def email_engagement_monthly(self) -> Rows:
        emails = self.messages[self.messages.channel == "email"]
        window, found = pd.Timedelta(days=float(self.records.setting("click_days"))), []
        for (first, campaign), group in emails.groupby(["month", "campaign_id"]):
            month = self.records.month(first)
            sent, delivered = int(group.is_sent.sum()), int(group.is_delivered.sum())
            row: dict[str, Any] = {
                "sent_month": first, "campaign_id": campaign, "is_complete": month.is_complete, "currency": "USD",
                "sent_count": sent, "delivered_count": delivered, "bounced_count": int(group.bounced.sum()),
                "unique_open_count": int(group.opened.sum()), "machine_open_count": int(group.machine_opened.sum()),
                "unique_click_count": int(group.clicked.sum()), "unsubscribed_count": int(group.unsubscribed.sum()),
                "complaint_count": int(group.complained.sum()),
            }  # fmt: skip
            count, cents = self._converted(group)
            has_passed = month.whole_ends + window <= self.records.end
            row["conversion_count"] = count if has_passed else None
            row["conversion_revenue_amount"] = cents / 100 if has_passed else None
            row["bounce_rate"] = rate(row["bounced_count"], sent)
            parts = {"open": "unique_open", "click": "unique_click", "unsubscribe": "unsubscribed",
                     "complaint": "complaint", "conversion": "conversion"}  # fmt: skip
            for name, part in parts.items():
                row[f"{name}_rate"] = rate(row[f"{part}_count"], delivered)
            found.append(row)
        return found

    def message_engagement_monthly(self) -> Rows:
        others, found = self.messages[self.messages.channel != "email"], []
        for (first, channel), group in others.groupby(["month", "channel"]):
            sent = int(group.is_sent.sum())
            clicked, unsubscribed = int(group.clicked.sum()), int(group.unsubscribed.sum())
            found.append(
                {
                    "sent_month": first, "channel": channel, "is_complete": self.records.month(first).is_complete,
                    "sent_count": sent, "unique_click_count": clicked, "unsubscribed_count": unsubscribed,
                    "click_rate": rate(clicked, sent), "unsubscribe_rate": rate(unsubscribed, sent),
                }
            )  # fmt: skip
        return found

    def message_response_by_stage(self) -> Rows:
        records = self.records
        last = records.end - pd.Timedelta(days=float(records.setting("click_days")))
        messages = self.messages[self.messages.is_sent]
        messages = messages[(messages.sent_at < last) & (messages.sent_at >= last - 365 * DAY)]
        stages = pd.merge_asof(
            messages.reset_index().sort_values("sent_at"), records.history.sort_values("valid_from_at"),
            by="customer_id", left_on="sent_at", right_on="valid_from_at", direction="backward",
        ).set_index("message")  # fmt: skip
        purposes = {
            (namespace, campaign): purpose.strip().lower() if purpose else NONE
            for namespace, campaign, purpose in records.rows(
                "select id_namespace, campaign_id, purpose from raw.campaigns"
            )
        }
        keys = zip(stages.namespace, stages.campaign_id, strict=True)
        stages["purpose"] = [purposes.get(key, NONE) for key in keys]
        found = []
        for (stage, channel, purpose), group in stages.groupby(["stage", "channel", "purpose"]):
            clicked, (converted, _) = int(group.clicked.sum()), self._converted(group)
            found.append(
                {
                    "lifecycle_stage": stage, "channel": channel, "campaign_purpose": purpose,
                    "sent_count": len(group), "clicked_count": clicked, "conversion_count": converted,
                    "click_rate": rate(clicked, len(group)), "conversion_rate": rate(converted, len(group)),
                }
            )  # fmt: skip
        return found

    # --- lists -------------------------------------------------------------------------------------------------------

    @cached_property
    def consent_spans(self) -> pd.DataFrame:
        """When somebody's consent holds: from, to (``NaT``: still), and whether it ran out."""
        spans: list[tuple[Any, ...]] = []
        for key, told in self.records.consents.groupby(["customer_id", "channel", "purpose"]):
            moments = []
            for at, same in told.groupby("changed_at"):
                is_yes = bool((same.consent_status == "granted").all())
                until = same.expires_at.max() if same.expires_at.notna().all() else pd.NaT
                moments.append((at, is_yes, until))
            since = None
            for number, (at, is_yes, until) in enumerate(moments):
                after = moments[number + 1][0] if number + 1 < len(moments) else None
                if not is_yes:
                    if since is not None:
                        spans.append((*key, since, at, False))
                    since = None
                    continue
                since = at if since is None else since
                if until is not pd.NaT and until < self.records.end and (after is None or until < after):
                    if until > since:
                        spans.append((*key, since, until, True))
                    since = None
            if since is not None:
                spans.append((*key, since, pd.NaT, False))
        return pd.DataFrame(spans, columns=["customer_id", "channel", "purpose", "since", "until", "ran_out"])

    def list_health_monthly(self) -> Rows:
        records, spans, found = self.records, self.consent_spans, []
        agreed = spans.assign(first=local_months(spans.since))[["channel", "purpose", "first"]]
        sent = self.messages[["channel", "month"]].set_axis(["channel", "first"], axis=1).assign(purpose="marketing")
        firsts = pd.concat([agreed, sent]).groupby(["channel", "purpose"])["first"].min()
        for (channel, purpose), first in firsts.items():
            here = spans[(spans.channel == channel) & (spans.purpose == purpose)]
            messages = self.messages[self.messages.channel == channel]
            for month in records.months(first):

                def standing(moment: pd.Timestamp, here: pd.DataFrame = here) -> int:
                    return int(((here.since < moment) & (here.until.isna() | (here.until >= moment))).sum())

                left = here[(here.until >= month.begins) & (here.until < month.ends)]
                granted = int(((here.since >= month.begins) & (here.since < month.ends)).sum())
                opening, of = standing(month.begins), messages[messages.month == month.first]
                is_marketing, is_email = purpose == "marketing", purpose == "marketing" and channel == "email"
                unsubscribed = int(of.unsubscribed.sum()) if is_marketing else None
                complaints = int(of.complained.sum()) if is_email else None
                delivered = int(of.is_delivered.sum()) if is_email else None
                found.append(
                    {
                        "list_month": month.first, "channel": channel, "purpose": purpose,
                        "is_complete": month.is_complete, "opening_count": opening, "granted_count": granted,
                        "withdrawn_count": len(left), "expired_count": int(left.ran_out.sum()),
                        "closing_count": standing(month.ends), "growth_rate": rate(granted - len(left), opening),
                        "unsubscribed_count": unsubscribed, "complaint_count": complaints,
                        "delivered_count": delivered, "unsubscribe_rate": rate(unsubscribed, delivered),
                        "complaint_rate": rate(complaints, delivered),
                    }
                )  # fmt: skip
        return found

    # --- use ---------------------------------------------------------------------------------------------------------

    @cached_property
    def key_features(self) -> dict[str, str]:
        """Names under which a key feature goes, and which one it is."""
        names: dict[str, str] = {}
        for namespace, product, name in self.records.rows(
            "select id_namespace, product_id, product_name from raw.products where is_key_feature"
        ):
            for text in (product, name):
                if text:
                    names[_plain(text)] = f"{namespace}|{product}"
        return names

    def feature_usage_monthly(self) -> Rows:
        tp, found = self.records.touchpoints, []
        used = tp[(tp.event == "feature_used") & ~tp.is_machine & tp.customer_id.notna()].copy()
        used["feature"], used["month"] = used.feature_name.fillna(NONE), local_months(used.occurred_at)
        for (first, feature), group in used.groupby(["month", "feature"]):
            found.append(
                {
                    "usage_month": first, "feature_name": feature,
                    "is_complete": self.records.month(first).is_complete,
                    "is_key_feature": _plain(str(feature)) in self.key_features,
                    "user_count": group.customer_id.nunique(), "event_count": len(group),
                    "use_day_count": len(group[["customer_id", "day"]].drop_duplicates()),
                }
            )  # fmt: skip
        return found

    def product_usage_monthly(self) -> Rows:
        records, found = self.records, []
        length = int(records.setting("usage_days"))
        tp = records.touchpoints
        used = tp[tp.event.map(records.types.is_usage).astype(bool) & ~tp.is_machine & tp.customer_id.notna()].copy()
        used["key"] = used.feature_name.map(
            lambda name: self.key_features.get(_plain(name)) if isinstance(name, str) else None
        )
        keys = len(set(self.key_features.values()))
        for month in records.all_months:
            window = used[(used.day <= month.last) & (used.day > month.last - length * DAY)]
            users, subscribers = set(window.customer_id), records.subscribed(month.ends)
            of_key = window[(window.event == "feature_used") & window.key.notna()][["customer_id", "key"]]
            breadth, days = len(of_key.drop_duplicates()), len(window[["customer_id", "day"]].drop_duplicates())
            per_user = rate(days, len(users))
            found.append(
                {
                    "usage_month": month.first, "is_complete": month.is_complete, "usage_days": length,
                    "subscriber_count": len(subscribers), "user_count": len(users),
                    "subscriber_user_count": len(users & subscribers),
                    "subscriber_use_rate": rate(len(users & subscribers), len(subscribers)),
                    "key_feature_count": keys, "key_feature_use_count": breadth,
                    "mean_breadth": rate(breadth, len(users) * keys), "active_day_count": days,
                    "mean_active_days_per_week": None if per_user is None else per_user / (length / 7),
                }
            )  # fmt: skip
        return found

    # --- index -------------------------------------------------------------------------------------------------------

    @cached_property
    def people(self) -> pd.DataFrame:
        return self.records.frame("select * from marts.customer_360").set_index("customer_id")

    @cached_property
    def indexes(self) -> pd.Series:
        records = self.records
        weights = records.frame("select * from seeds.engagement_weights").set_index("component")
        tp, activity = records.touchpoints, records.activity
        person = tp[~tp.is_machine & tp.customer_id.notna()]
        paid = records.orders[(records.orders.total_cents > 0) & records.orders.customer_id.notna()]
        told = person[person.event.isin(["review_submitted", "testimonial_given"])]
        opinions = pd.concat(
            frame[["customer_id", at]].set_axis(["customer_id", "at"], axis=1)
            for frame, at in (
                (records.answers, "responded_at"), (records.reviews, "reviewed_at"), (told, "occurred_at"),
            )
        )  # fmt: skip
        opinions["day"] = local_days(opinions["at"])
        visits = self.visits.assign(day=local_days(self.visits["at"]))

        def counted(frame: pd.DataFrame, component: str, *, days: bool = True) -> pd.Series:
            first = records.as_of - int(weights.window_days[component]) * DAY
            inside = frame[(frame.day > first) & (frame.day <= records.as_of)][["customer_id", "day"]]
            return (inside.drop_duplicates() if days else inside).groupby("customer_id").size()

        counts = {
            "active_days": counted(activity, "active_days"),
            "visits": counted(visits, "visits", days=False),
            "clicks": counted(person[person.event.isin(["email_clicked", "message_clicked"])], "clicks"),
            "used_days": counted(person[person.event.map(records.types.is_usage).astype(bool)], "used_days"),
            "orders": counted(paid, "orders"),
            "opinions": counted(opinions, "opinions"),
        }
        total = pd.Series(0.0, index=self.people.index)
        for component, count in counts.items():
            part = count.reindex(total.index).fillna(0) / float(weights.saturation[component])
            total += float(weights.weight[component]) * part.clip(upper=1)
        gap = (records.as_of - activity.groupby("customer_id").day.max().reindex(total.index)).dt.days
        total += float(weights.weight["recency"]) * (0.5 ** (gap / float(weights.saturation["recency"]))).fillna(0)
        exact = 100 * total / float(weights.weight.sum())
        return (np.floor(exact * 100 + 0.5 + 1e-9) / 100).rename("engagement_index")

    def engagement_index(self) -> Rows:
        return [{"customer_id": who, "engagement_index": value} for who, value in self.indexes.items()]

    def engagement_index_distribution(self) -> Rows:
        frame, found = pd.DataFrame({"index": self.indexes, "stage": self.people.lifecycle_stage}), []
        frame["step"] = (frame["index"] // 10 * 10).clip(upper=90).astype(int)
        for (stage, step), group in frame.groupby(["stage", "step"]):
            found.append(
                {
                    "lifecycle_stage": stage, "index_from": step, "index_to": step + 10, "customer_count": len(group),
                    "engagement_index_sum": group["index"].sum(), "mean_engagement_index": group["index"].mean(),
                }
            )  # fmt: skip
        return found


def _plain(text: str) -> str:
    return text.strip().lower().replace(" ", "_")
