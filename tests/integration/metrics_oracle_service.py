"""The metrics of support and experience, computed anew from raw records by the definitions of their pages.

Belongs here: one function per mart that gives all of its rows. Does not belong here: anything read from the SQL of the
marts, or from what the project computed beside identities.
"""

from __future__ import annotations

import itertools
import math
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tests.integration.metrics_oracle_data import DAY, ZONE, Month, Records, local_days, local_months, rate

NONE = "(none)"
USUAL_SCALES = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7)}
Z = 1.959963984540054
Rows = list[dict[str, Any]]


class Support:
    def __init__(self, records: Records) -> None:
        self.records = records

    @cached_property
    def tickets(self) -> pd.DataFrame:
        """Tickets that count, with what became of them."""
        records = self.records
        statuses = records.frame("select * from seeds.ticket_statuses").set_index("ticket_status")
        frame = records.tickets.copy()
        for column in ("solved_at", "first_replied_at"):
            frame[column] = frame[column].where(frame[column] < records.end)
        status = frame.ticket_status.str.strip().str.lower()
        known = status.isin(statuses.index)

        def said(name: str) -> pd.Series:
            return status.map(statuses[name]).astype("boolean").fillna(False).astype(bool)

        is_open = np.where(known, said("is_open"), frame.solved_at.isna())
        frame["is_solved"] = np.where(known, said("is_solution"), frame.solved_at.notna())
        frame["is_reopened"] = (frame.reopened_count.fillna(0) > 0) | (is_open & frame.solved_at.notna())
        frame["from_bot"] = frame.handed_over_from_bot.astype("boolean").fillna(False).astype(bool)
        frame["reason"] = frame.reason.str.strip().str.lower()
        frame["month"] = local_months(frame.opened_at)
        frame["reply"] = _minutes(frame.first_replied_at - frame.opened_at)
        frame["resolution"] = _minutes(frame.solved_at - frame.opened_at).where(frame.is_solved)
        frame = frame[~known | said("is_counted")]
        settled = frame.solved_at.fillna(frame.opened_at)
        until = settled + float(records.setting("first_contact_days")) * DAY
        repeat = float(records.setting("repeat_contact_days")) * DAY
        frame["is_eligible"] = (
            frame.is_solved & frame.customer_id.notna() & frame.reason.notna() & (until <= records.end)
        )
        followed, repeated = pd.Series(False, index=frame.index), pd.Series(False, index=frame.index)
        for _, group in frame[frame.customer_id.notna() & frame.reason.notna()].groupby(["customer_id", "reason"]):
            for row in group.index:
                others = group.opened_at.drop(row)
                opened = group.opened_at[row]
                followed[row] = ((others >= opened) & (others < until[row])).any()
                repeated[row] = ((others < opened) & (others > opened - repeat)).any()
        frame["is_repeat"] = repeated
        frame["is_resolved"] = frame.is_eligible & ~frame.is_reopened & ~followed
        return frame

    def _support(self, tickets: pd.DataFrame, month: Month) -> dict[str, Any]:
        orders = int((self.records.orders.month == month.first).sum())
        known = tickets[tickets.customer_id.notna()]
        eligible, touched = int(tickets.is_eligible.sum()), tickets[tickets.is_solved & tickets.reply_count.notna()]
        one, repeats = int((touched.reply_count <= 1).sum()), known[known.is_repeat].customer_id.nunique()
        resolved, people = int(tickets.is_resolved.sum()), known.customer_id.nunique()
        return {
            "is_complete": month.is_complete, "ticket_count": len(tickets),
            "unidentified_ticket_count": len(tickets) - len(known), "customer_count": people,
            "solved_count": int(tickets.is_solved.sum()), "reopened_count": int(tickets.is_reopened.sum()),
            "handed_over_from_bot_count": int(tickets.from_bot.sum()), **_percentiles(tickets),
            "first_contact_eligible_count": eligible, "first_contact_resolved_count": resolved,
            "first_contact_resolution_rate": rate(resolved, eligible), "one_touch_eligible_count": len(touched),
            "one_touch_count": one, "one_touch_rate": rate(one, len(touched)), "repeat_customer_count": repeats,
            "repeat_contact_rate": rate(repeats, people), "order_count": orders,
            "contacts_per_1000_orders": rate(1000 * len(tickets), orders),
        }  # fmt: skip

    def support_monthly(self) -> Rows:
        return [
            {"support_month": first, "ticket_channel": channel, **self._support(group, self.records.month(first))}
            for (first, channel), group in self.tickets.groupby(["month", "ticket_channel"])
        ]

    def support_total_monthly(self) -> Rows:
        tickets = self.tickets
        return [
            {"support_month": month.first, **self._support(tickets[tickets.month == month.first], month)}
            for month in self.records.all_months
        ]

    def support_agents_monthly(self) -> Rows:
        solved = self.tickets[self.tickets.is_solved & self.tickets.solved_at.notna()].copy()
        solved["solved_month"] = local_months(solved.solved_at)
        answers = scored(self.records)
        answers = answers[(answers.survey_kind == "csat") & answers.points.notna()]
        cases = self.tickets[["id_namespace", "ticket_id", "agent_id"]].rename(columns={"agent_id": "case_agent"})
        months = solved[["id_namespace", "ticket_id", "solved_month"]]
        rated = answers.merge(cases, how="left", on=["id_namespace", "ticket_id"])
        rated = rated.merge(months, how="left", on=["id_namespace", "ticket_id"])
        rated["agent_id"] = rated.agent_id.fillna(rated.case_agent)
        rated["solved_month"] = rated.solved_month.fillna(local_months(rated.responded_at))
        keys = ["solved_month", "id_namespace", "agent_id"]
        works = dict(list(solved[solved.agent_id.notna()].groupby(keys)))
        ratings = dict(list(rated[rated.agent_id.notna()].groupby(keys)))
        found = []
        for key in works.keys() | ratings.keys():
            work, rating = works.get(key, solved[:0]), ratings.get(key, rated[:0])
            again, satisfied = int(work.is_reopened.sum()), int((rating.points >= 4).sum())
            found.append(
                {
                    **dict(zip(keys, key, strict=True)), "is_complete": self.records.month(key[0]).is_complete,
                    "solved_count": len(work), "reopened_count": again, "reopen_rate": rate(again, len(work)),
                    "csat_response_count": len(rating), "satisfied_count": satisfied,
                    "csat_rate": rate(satisfied, len(rating)), **_percentiles(work),
                }
            )  # fmt: skip
        return found

    # --- reasons -----------------------------------------------------------------------------------------------------

    def _revenue(self, month: Month) -> pd.Series:
        """Cents of net revenue of each customer in the 365 days that end with the month's last."""
        parts = []
        for frame, sign in ((self.records.orders, 1), (self.records.refunds, -1)):
            inside = frame[(frame.day <= month.last) & (frame.day > month.last - 365 * DAY)]
            parts.append(inside.groupby("customer_id").cents.sum() * sign)
        return parts[0].add(parts[1], fill_value=0)

    def contact_reasons_monthly(self) -> Rows:
        tickets, orders, found = self.tickets.copy(), self.records.orders, []
        tickets["reason"] = tickets.reason.fillna(NONE)
        tickets["product_id"] = tickets.product_id.fillna(NONE)
        lines = self.records.lines[~self.records.lines.is_return]
        held = orders.merge(lines, on=["source_system", "order_id"])
        held = held[["month", "product_id", "source_system", "order_id"]].drop_duplicates()
        holding = held.groupby(["month", "product_id"]).size()
        counts = tickets.groupby(["month", "reason", "product_id"]).size()
        for first, here in tickets.groupby("month"):
            month, previous = self.records.month(first), first - pd.offsets.MonthBegin(1)
            revenue, whole, rows = self._revenue(month), {}, []

            def brought(group: pd.DataFrame, revenue: pd.Series = revenue) -> int:
                return int(revenue.reindex(group.customer_id.dropna().unique()).fillna(0).sum())

            for reason, group in here.groupby("reason"):
                whole[reason] = (group.customer_id.nunique(), brought(group), len(group))
            for (reason, product), group in here.groupby(["reason", "product_id"]):
                before = int(counts.get((previous, reason, product), 0)) if first > tickets.month.min() else None
                ordered = int((orders.month == first).sum()) if product == NONE else holding.get((first, product), 0)
                change = rate(len(group), before) if month.is_complete else None
                rows.append(
                    {
                        "contact_month": first, "contact_reason": reason, "product_id": product,
                        "is_complete": month.is_complete, "ticket_count": len(group),
                        "customer_count": group.customer_id.nunique(), "previous_ticket_count": before,
                        "change_rate": None if change is None else change - 1, "order_count": int(ordered),
                        "contacts_per_1000_orders": rate(1000 * len(group), ordered), "currency": "USD",
                        "net_revenue_amount": brought(group) / 100, "reason_ticket_count": whole[reason][2],
                        "reason_customer_count": whole[reason][0],
                        "reason_net_revenue_amount": whole[reason][1] / 100,
                        "reason_rank": 1 + sum(other > whole[reason] for other in whole.values()),
                    }
                )  # fmt: skip
            for row in rows:
                place = (row["ticket_count"], row["customer_count"])
                places = [(other["ticket_count"], other["customer_count"]) for other in rows]
                row["ticket_rank"] = 1 + sum(other > place for other in places)
                row["revenue_rank"] = 1 + sum(other["net_revenue_amount"] > row["net_revenue_amount"] for other in rows)
            found += rows
        return found

    # --- contacts ----------------------------------------------------------------------------------------------------

    def contact_volume_hourly(self) -> Rows:
        tp, as_of = self.records.touchpoints, self.records.as_of
        calls = tp[tp.event.isin(["call", "chat", "bot_session"]) & ~tp.is_machine]
        contacts = pd.concat(
            [
                calls[["event", "channel", "occurred_at"]].set_axis(["kind", "channel", "at"], axis=1),
                self.tickets[["ticket_channel", "opened_at"]].set_axis(["channel", "at"], axis=1).assign(kind="ticket"),
            ]
        )
        contacts["day"] = local_days(contacts["at"])
        weeks = min(12, ((as_of - contacts.day.min()).days + 1) // 7)
        first, found = as_of - (7 * weeks - 1) * DAY, []
        local = contacts["at"].dt.tz_localize("UTC").dt.tz_convert(ZONE)
        contacts["weekday"], contacts["hour"] = local.dt.day_of_week + 1, local.dt.hour
        inside = contacts[(contacts.day >= first) & (contacts.day <= as_of)]
        for (kind, channel), group in inside.groupby(["kind", "channel"]):
            counts = group.groupby(["weekday", "hour"]).size()
            hours = {(d, h): int(counts.get((d, h), 0)) for d in range(1, 8) for h in range(24)}
            found += [
                {
                    "contact_kind": kind, "contact_channel": channel, "weekday_number": weekday, "hour_number": hour,
                    "contact_count": count, "week_count": weeks, "mean_per_week": rate(count, weeks),
                    "peak_rank": 1 + sum(other > count for other in hours.values()),
                    "first_date": first, "last_date": as_of,
                }
                for (weekday, hour), count in hours.items()
            ]  # fmt: skip
        return found

    def deflection_monthly(self) -> Rows:
        records, tp = self.records, self.records.touchpoints
        hours = pd.Timedelta(hours=float(records.setting("deflection_hours")))
        seen = tp[tp.event.isin(["help_viewed", "bot_session"]) & ~tp.is_machine & tp.customer_id.notna()]
        name = seen.session_id.where(seen.session_id.notna(), "day " + seen.day.astype(str))
        sessions = (
            seen.assign(name=name, bot=seen.event == "bot_session")
            .groupby(["customer_id", "source_system", "name"])
            .agg(begins=("occurred_at", "min"), last=("occurred_at", "max"), bot=("bot", "any"))
            .reset_index()
        )
        sessions = sessions[sessions.begins >= sessions.customer_id.map(records.identified)]
        written = dict(iter(self.tickets.groupby("customer_id")))
        outcomes = []
        for row in sessions.itertuples(index=False):
            until, tickets = row.last + hours, written.get(row.customer_id, self.tickets[:0])
            of = tickets[(tickets.opened_at >= row.begins) & (tickets.opened_at < until)]
            outcome = "handed_over" if of.from_bot.any() else "ticket" if len(of) else "deflected"
            outcomes.append(outcome if until <= records.end else "pending")
        sessions["outcome"], sessions["month"] = outcomes, local_months(sessions.begins)
        sessions["kind"], found = np.where(sessions.bot, "bot", "help"), []
        for (first, kind), group in sessions.groupby(["month", "kind"]):
            count = {name: int((group.outcome == name).sum()) for name in _OUTCOMES}
            judged = len(group) - count["pending"]
            found.append(
                {
                    "deflection_month": first, "session_kind": kind, "session_count": judged,
                    "is_complete": records.month(first).is_complete,
                    **{f"{name}_count": number for name, number in count.items()},
                    "deflection_rate": rate(count["deflected"], judged),
                }
            )  # fmt: skip
        return found


_OUTCOMES = ("deflected", "ticket", "handed_over", "pending")


def _minutes(gaps: pd.Series) -> pd.Series:
    minutes = gaps.dt.total_seconds() / 60
    return minutes.where(minutes >= 0).round(3)


def _percentiles(tickets: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {"replied_count": int(tickets.reply.notna().sum())}
    for name, column in (("first_reply", "reply"), ("resolution", "resolution")):
        known = tickets[column].dropna()
        found[f"median_{name}_minutes"] = known.median() if len(known) else None
        found[f"p90_{name}_minutes"] = known.quantile(0.9) if len(known) else None
    return found


def scored(records: Records) -> pd.DataFrame:
    """Answers with ``points`` on the usual scale of their kind, and their basis."""
    frame = records.answers.copy()
    low = frame.scale_min.astype(float).fillna(frame.survey_kind.map(lambda kind: USUAL_SCALES[kind][0]))
    high = frame.scale_max.astype(float).fillna(frame.survey_kind.map(lambda kind: USUAL_SCALES[kind][1]))
    least = frame.survey_kind.map(lambda kind: USUAL_SCALES[kind][0])
    most = frame.survey_kind.map(lambda kind: USUAL_SCALES[kind][1])
    share = (frame.score.astype(float) - low) / (high - low).where(high > low)
    share = share.where((share >= 0) & (share <= 1))
    share = (1 - share).where(frame.scale_direction.fillna("").str.startswith("low"), share)
    frame["points"] = least + share * (most - least)
    triggers = dict(records.rows("select survey_trigger, survey_basis from seeds.survey_triggers"))
    names = frame[["order_id", "ticket_id", "agent_id"]].notna().any(axis=1)
    occasion = frame.survey_trigger.map(triggers) == "transactional"
    frame["basis"] = np.where(names | occasion, "transactional", "relational")
    frame["month"] = local_months(frame.responded_at)
    return frame


def _latest(answers: pd.DataFrame) -> pd.DataFrame:
    """The latest answer of each customer, and every one of nobody known."""
    ordered = answers.sort_values(["responded_at", "source_system", "response_id"])
    known = ordered[ordered.customer_id.notna()].groupby("customer_id").tail(1)
    return pd.concat([known, ordered[ordered.customer_id.isna()]])


class Experience:
    def __init__(self, records: Records) -> None:
        self.records = records

    @cached_property
    def answers(self) -> pd.DataFrame:
        return scored(self.records)

    @cached_property
    def sends(self) -> pd.DataFrame:
        """Surveys sent whose kind is known: month, kind and basis (``None`` where it cannot be told)."""
        tp, answers, rows = self.records.touchpoints, self.answers, []
        kinds = answers.groupby("survey_kind").basis.agg(set).to_dict()
        surveys = answers[answers.survey_id.notna()].groupby("survey_id")
        of_survey = {name: (group.survey_kind.iloc[0], set(group.basis)) for name, group in surveys}
        for row in tp[(tp.event == "survey_sent") & ~tp.is_machine].itertuples(index=False):
            key = row.content_key
            kind, bases = of_survey.get(key, (key, kinds.get(key, set())))
            if kind not in USUAL_SCALES:
                continue
            bases = {"transactional"} if isinstance(row.order_id, str) else bases
            rows.append((row.occurred_at, kind, next(iter(bases)) if len(bases) == 1 else None))
        frame = pd.DataFrame(rows, columns=["at", "kind", "basis"])
        return frame.assign(month=local_months(pd.to_datetime(frame["at"])))

    def experience_monthly(self) -> Rows:
        answers, sends, found = self.answers, self.sends, []
        asked = answers.assign(asked_month=local_months(answers.sent_at.fillna(answers.responded_at)))
        keys = set(zip(answers.month, answers.survey_kind, answers.basis, strict=True))
        keys |= {key for key in zip(sends.month, sends.kind, sends.basis, strict=True) if key[2] is not None}
        for first, kind, basis in keys:
            here = answers[(answers.month == first) & (answers.survey_kind == kind) & (answers.basis == basis)]
            of = sends[(sends.month == first) & (sends.kind == kind)]
            answered = int(((asked.asked_month == first) & (asked.survey_kind == kind) & (asked.basis == basis)).sum())
            sent: int | None = int((of.basis == basis).sum())
            if not sent or of.basis.isna().any() or answered > sent:
                sent = None
            on_scale = here[here.points.notna()]
            points = (_latest(on_scale) if kind == "nps" else on_scale).points
            row: dict[str, Any] = {
                "experience_month": first, "survey_kind": kind, "survey_basis": basis,
                "is_complete": self.records.month(first).is_complete, "response_count": len(here),
                "respondent_count": here.customer_id.nunique(),
                "unidentified_response_count": int(here.customer_id.isna().sum()), "sent_count": sent,
                "answered_count": answered, "response_rate": rate(answered, sent), "scored_count": len(points),
                **dict.fromkeys(_OF_KINDS),
            }  # fmt: skip
            count = len(points)
            if kind == "nps":
                p, d = int((points >= 9).sum()), int((points <= 6).sum())
                row |= {"promoter_count": p, "passive_count": count - p - d, "detractor_count": d}
                if count:
                    middle, spread = _adjusted(p, d, count)
                    row["nps"] = 100 * (p - d) / count
                    row["nps_low"] = round(max(-100.0, 100 * (middle - Z * math.sqrt(spread))), 6)
                    row["nps_high"] = round(min(100.0, 100 * (middle + Z * math.sqrt(spread))), 6)
            elif kind == "csat":
                row["satisfied_count"] = satisfied = int((points >= 4).sum())
                if count:
                    p = satisfied / count
                    half = Z * math.sqrt(p * (1 - p) / count + Z**2 / (4 * count**2))
                    row["csat_rate"] = p
                    row["csat_low"] = round((p + Z**2 / (2 * count) - half) / (1 + Z**2 / count), 6)
                    row["csat_high"] = round((p + Z**2 / (2 * count) + half) / (1 + Z**2 / count), 6)
            else:
                row |= {"ces_score_sum": points.sum(), "ces_mean": rate(points.sum(), count)}
            found.append(row)
        return found

    def satisfaction_trend_monthly(self) -> Rows:
        answers, found = self.answers[self.answers.points.notna()], []
        for month in self.records.all_months:
            edges = [month.ends, month.ends - 90 * DAY, month.ends - 180 * DAY]
            for (kind, basis), group in answers.groupby(["survey_kind", "basis"]):
                sides = [
                    group[(group.responded_at < end) & (group.responded_at >= begin)]
                    for end, begin in itertools.pairwise(edges)
                ]
                if not any(len(side) for side in sides):
                    continue
                points = [(_latest(side) if kind == "nps" else side).points for side in sides]
                values = [_values(str(kind), side) for side in points]
                low, high = _change(str(kind), *values)
                row: dict[str, Any] = {
                    "trend_month": month.first, "survey_kind": kind, "survey_basis": basis,
                    "is_complete": month.is_complete, "change_low": low, "change_high": high,
                    "is_significant": None if low is None or high is None else low > 0 or high < 0,
                }  # fmt: skip
                for prefix, value in zip(("", "previous_"), values, strict=True):
                    row[f"{prefix}answer_count"] = len(value)
                    row[f"{prefix}score_sum"] = float(value.sum())
                    row[f"{prefix}score"] = rate(value.sum(), len(value))
                both = row["score"] is not None and row["previous_score"] is not None
                row["score_change"] = row["score"] - row["previous_score"] if both else None
                found.append(row)
        return found

    def advocacy_monthly(self) -> Rows:
        records, tp = self.records, self.records.touchpoints
        reviews = records.reviews.copy()
        reviews["day"], reviews["month"] = local_days(reviews.reviewed_at), local_months(reviews.reviewed_at)
        reviews["praise"] = reviews.is_testimonial.astype("boolean").fillna(False).astype(bool)
        scale = reviews.scale_max.astype(float).fillna(5)
        rating = reviews.rating.astype(float)
        reviews["five"] = (rating * 5 / scale).where((rating >= 0) & (rating <= scale) & (scale > 0))
        reviews["stars"] = np.floor(reviews.five + 0.5).clip(lower=1, upper=5)
        told = tp[~tp.is_machine].copy()
        told["month"] = local_months(told.occurred_at)

        def untold(event: str, records_of_it: pd.DataFrame) -> pd.DataFrame:
            known = set(zip(records_of_it.customer_id, records_of_it.day, strict=True))
            of = told[told.event == event]
            here = [key in known and isinstance(key[0], str) for key in zip(of.customer_id, of.day, strict=True)]
            return of[~np.array(here, dtype=bool)]

        more_reviews, more_praise = (
            untold("review_submitted", reviews),
            untold("testimonial_given", reviews[reviews.praise]),
        )
        found = []
        for month in records.all_months:

            def of(frame: pd.DataFrame, first: Any = month.first) -> pd.DataFrame:
                return frame[frame.month == first]

            here = of(reviews)
            events = of(told).event.value_counts()
            sent, converted = int(events.get("referral_sent", 0)), int(events.get("referral_converted", 0))
            rated, total = int(here.five.notna().sum()), float(here.five.sum())
            row = {
                "advocacy_month": month.first, "is_complete": month.is_complete,
                "review_count": len(here) + len(of(more_reviews)), "rated_count": rated, "rating_sum": total,
                "average_rating": rate(total, rated),
                "testimonial_count": int(here.praise.sum()) + len(of(more_praise)),
                "referral_sent_count": sent, "referral_converted_count": converted,
                "referral_conversion_rate": rate(converted, sent) if converted <= sent else None,
                "share_count": int(events.get("content_shared", 0)),
            }  # fmt: skip
            row |= {f"rating_{stars}_count": int((here.stars == stars).sum()) for stars in range(1, 6)}
            found.append(row)
        return found


_OF_KINDS = (
    "promoter_count", "passive_count", "detractor_count", "nps", "nps_low", "nps_high", "satisfied_count", "csat_rate",
    "csat_low", "csat_high", "ces_score_sum", "ces_mean",
)  # fmt: skip


def _adjusted(promoters: int, detractors: int, count: int) -> tuple[float, float]:
    """Middle and variance of the adjusted Wald interval of NPS."""
    p, d = (promoters + 0.75) / (count + 3), (detractors + 0.75) / (count + 3)
    return p - d, (p + d - (p - d) ** 2) / (count + 3)


def _values(kind: str, points: pd.Series) -> pd.Series:
    if kind == "nps":
        return pd.Series(np.where(points >= 9, 100.0, np.where(points <= 6, -100.0, 0.0)))
    return (points >= 4).astype(float) if kind == "csat" else points


def _change(kind: str, now: pd.Series, before: pd.Series) -> tuple[float | None, float | None]:
    if not len(now) or not len(before):
        return None, None
    if kind == "nps":
        (a, v), (b, w) = (_adjusted(int((s > 0).sum()), int((s < 0).sum()), len(s)) for s in (now, before))
        middle, half = 100 * (a - b), 100 * Z * math.sqrt(v + w)
    elif kind == "csat":
        a, b = ((s.sum() + 1) / (len(s) + 2) for s in (now, before))
        middle = a - b
        half = Z * math.sqrt(a * (1 - a) / (len(now) + 2) + b * (1 - b) / (len(before) + 2))
    else:
        if len(now) < 2 or len(before) < 2:
            return None, None
        v, w = now.var() / len(now), before.var() / len(before)
        if not v + w:
            return None, None
        freedom = (v + w) ** 2 / (v**2 / (len(now) - 1) + w**2 / (len(before) - 1))
        middle, half = now.mean() - before.mean(), _student(freedom) * math.sqrt(v + w)
    widest = {"nps": 200, "csat": 1, "ces": 6}[kind]
    return round(max(-widest, middle - half), 6), round(min(widest, middle + half), 6)


def _student(freedom: float) -> float:
    """The 97.5 % quantile of Student's t (Abramowitz and Stegun 26.7.5)."""
    terms = (
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
        (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
    )
    return Z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
