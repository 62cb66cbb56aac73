"""What the evidence says the thresholds could be, each beside today's, with what it rests on.

Belongs here: which figure decides a threshold, how much evidence it needs, and how different is different.
Does not belong here: the figures themselves (``evidence.py``, ``statistics.py``) and their layout (``rendering.py``).

Who is active, and what is kept of today's values, is decided with the proposed ones already in place. So from the same
data a second look, after a person has taken the proposals over, proposes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from lifecycle.calibration.evidence import DEFAULT, Alarm, Evidence, open_evidence
from lifecycle.calibration.statistics import (
    Returns,
    estimate_returns,
    nearest,
    round_days,
    share_from,
    written_amounts,
)
from lifecycle.errors import LifecycleError
from lifecycle.settings import LifecycleThresholds
from lifecycle.timing import progress

if TYPE_CHECKING:
    from lifecycle.settings import Settings

MIN_PEOPLE = 100
"""Below so many people a share moves by more than a hundredth with one of them."""

MIN_RETURNED = 50
"""So many of them have to have come back before a group's gap is its own."""

DIFFERENT = 1.1
"""A clock that would be this many times as long or as short is another clock."""

GROUP_DIFFERENT = 1.25
"""A persona or category needs more than that: each is one more number to look after."""

GAP = "default_order_gap_days"
LOYAL_SHARE, LOYAL_BETWEEN = 0.25, (0.2, 0.3)
EXPANDING_BETWEEN, EXPANDING_SHARE = (0.02, 0.2), 0.1
SPEND_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
HIGH_VALUE_SHARE, HIGH_VALUE_BETWEEN = 0.2, (0.1, 0.25)
NOISE = 0.8
"""An alarm of which more than this share ends by itself is noise."""

DUE_FACTORS = (1.5, 2.0, 2.5, 3.0)
FLOORS = (1.5, 2.0)
"""Multiples of ``due_min_days`` that are tried where it, and not the factor, decides."""

Place = tuple[str, ...]


@dataclass(frozen=True)
class Flow:
    """Customers who would be in another stage today."""

    from_stage: str
    to_stage: str
    customer_count: int


@dataclass(frozen=True)
class Change:
    """What thresholds would change: customers with a stage, those who would have another, and from where to where."""

    customer_count: int
    moved_count: int
    flows: tuple[Flow, ...]


@dataclass(frozen=True)
class Proposal:
    """One threshold: today's value, the proposed one (null: it stays), why, and on what that rests.

    ``place`` is where it stands under ``lifecycle:``. ``because`` is one sentence, ``rests_on`` pairs of a label and a
    text, ``figures`` the same as numbers.
    """

    place: Place
    today: float | None
    proposed: float | None
    because: str
    rests_on: tuple[tuple[str, str], ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The setting under ``lifecycle:`` that it belongs to: its gap for each persona is one kind."""
        return self.place[0]

    @property
    def name(self) -> str:
        return ".".join(self.place)

    @property
    def is_change(self) -> bool:
        return self.proposed is not None and self.proposed != self.today


@dataclass(frozen=True)
class Calibration:
    """All proposals from one publication, and what the due clock's alarms are worth (with an advice, or null).

    ``moves`` says for each kind of proposal what it would change, ``together`` what all would; both are empty until the
    stages were built with them, or where no stage depends on them. ``moves_problem`` says why they are not known.
    """

    project: str
    run_id: str
    as_of: date
    currency: str
    customer_count: int
    buyer_count: int
    subscriber_count: int
    active_count: int
    proposals: tuple[Proposal, ...]
    alarms: tuple[Alarm, ...]
    today_alarm: Alarm
    advice: str | None
    moves: Mapping[str, Change] = field(default_factory=dict)
    together: Change | None = None
    moves_problem: str | None = None

    @property
    def changes(self) -> tuple[Proposal, ...]:
        return tuple(proposal for proposal in self.proposals if proposal.is_change)


def calibrate(settings: Settings) -> Calibration:
    """Propose thresholds from the current publication.

    Raises LifecycleError when there is none, or when fewer than ``MIN_PEOPLE`` people have bought.
    """
    with open_evidence(settings) as evidence:
        _require_buyers(evidence)
        progress.info("looking for thresholds")
        return _propose(evidence)


def _require_buyers(evidence: Evidence) -> None:
    buyers = evidence.buyer_count()
    if buyers >= MIN_PEOPLE:
        return
    known = f"{evidence.customer_count():,} people are known"
    where = f"publication as of {evidence.publication.as_of}, run {evidence.publication.run_id}"
    if buyers == 0:
        raise LifecycleError(
            f"{known}, and none of them has bought anything: there are no gaps, orders or amounts to learn from",
            where=where,
            remedy="Add a source of orders or subscription events (docs/adding-a-source.md); until then the defaults"
            " serve.",
        )
    raise LifecycleError(
        f"{known}, {buyers:,} of them have bought; {MIN_PEOPLE} are needed, else single people decide",
        where=where,
        remedy="Choose the thresholds by what you know of your customers (docs/calibrating.md says what each does).",
    )


def _propose(evidence: Evidence) -> Calibration:
    thresholds = evidence.settings.lifecycle
    alone = _default_gap(evidence, thresholds)
    default_days = _effective(alone, thresholds.default_order_gap_days)
    personas = _group_gaps(evidence, thresholds, "persona", default_days)
    flat = thresholds.flat() | {GAP: default_days}
    sets: dict[str, dict[str, float]] = {DEFAULT: flat} | {
        persona: dict(overrides) for persona, overrides in thresholds.personas.items()
    }
    for proposal in personas:
        if proposal.proposed is not None:
            sets.setdefault(proposal.place[1], {})[GAP] = proposal.proposed
    evidence.set_clocks(sets, {})
    expansion = _expansion(evidence, thresholds)
    level = next(
        (int(one.proposed) for one in expansion if one.place[-1] == "category_level" and one.proposed is not None),
        thresholds.expansion.category_level,
    )
    evidence.set_first_categories(level)
    categories = _group_gaps(evidence, thresholds, "first_category", default_days)
    gaps = thresholds.first_category_gaps | {
        proposal.place[1]: proposal.proposed for proposal in categories if proposal.proposed is not None
    }
    evidence.set_clocks(sets, gaps)
    alarms, today_alarm, advice = _alarms(evidence, thresholds)
    return Calibration(
        project=evidence.settings.project,
        run_id=evidence.publication.run_id,
        as_of=evidence.publication.as_of,
        currency=evidence.settings.currency,
        customer_count=evidence.customer_count(),
        buyer_count=evidence.buyer_count(),
        subscriber_count=evidence.subscriber_count(),
        active_count=evidence.active_count(),
        proposals=(
            alone,
            *personas,
            *categories,
            _loyalty(evidence, thresholds),
            *expansion,
            _high_value(evidence, thresholds),
        ),
        alarms=alarms,
        today_alarm=today_alarm,
        advice=advice,
    )


def _effective(proposal: Proposal, today: float) -> float:
    return today if proposal.proposed is None else proposal.proposed


# --- gaps ------------------------------------------------------------------------------------------------------------


def first_clocks(thresholds: LifecycleThresholds, gap_days: float) -> tuple[float, float]:
    """Due and lapse of somebody who has bought once, in days."""
    due = min(max(thresholds.due_factor * gap_days, thresholds.due_min_days), thresholds.due_max_days)
    return due, min(max(thresholds.lapse_factor * due, thresholds.lapse_min_days), thresholds.lapse_max_days)


def _are_different(thresholds: LifecycleThresholds, one: float, other: float, factor: float) -> bool:
    """Whether two gaps give somebody who has bought once clocks that differ by so much."""
    pairs = zip(first_clocks(thresholds, one), first_clocks(thresholds, other), strict=True)
    return any(max(pair) >= factor * min(pair) for pair in pairs)


def _default_gap(evidence: Evidence, thresholds: LifecycleThresholds) -> Proposal:
    place, today = (GAP,), thresholds.default_order_gap_days
    waiting = evidence.first_gaps().get(DEFAULT, [])
    back = sum(entry.returned_count for entry in waiting)
    people = back + sum(entry.still_waiting_count for entry in waiting)
    returns = estimate_returns(waiting)
    if returns is None or people < MIN_PEOPLE or back < MIN_RETURNED:
        subscribers = evidence.subscriber_count()
        left_out = f" ({subscribers:,} who pay by subscription left out)" if subscribers else ""
        return Proposal(
            place,
            today,
            None,
            f"{people:,} people have bought{left_out} and {back:,} of them bought again; {MIN_PEOPLE} and"
            f" {MIN_RETURNED} are needed",
        )
    days = round_days(returns.median_days)
    other = evidence.other_gaps()
    rests_on = [
        *_returns_texts(returns),
        (
            "other figures",
            f"{other['first_gaps_seen']:.0f} days if only gaps that have ended counted (recent customers can have"
            f" short ones alone), {other['own_medians']:.0f} as the half of people's own medians,"
            f" {other['all_gaps']:.0f} as the half of all gaps (mostly those of frequent buyers)",
        ),
        *_clock_texts(thresholds, today, days, "today"),
    ]
    stays = _why_it_stays(thresholds, today, days, returns, DIFFERENT, f"today's {today:g} days are")
    return Proposal(
        place,
        today,
        None if stays else float(days),
        stays or _returned_sentence(returns),
        tuple(rests_on),
        _returns_figures(returns) | {"other_medians": other},
    )


def _group_gaps(
    evidence: Evidence, thresholds: LifecycleThresholds, column: str, default_days: float
) -> tuple[Proposal, ...]:
    """The gap of every persona or first category with enough people, beside its own of today or that of everybody."""
    proposals = []
    for name, waiting in sorted(evidence.first_gaps(column, min_people=MIN_PEOPLE).items()):
        place: Place = ("personas", name, GAP) if column == "persona" else ("first_category_gaps", name)
        own = (
            thresholds.personas.get(name, {}).get(GAP)
            if column == "persona"
            else thresholds.first_category_gaps.get(name)
        )
        returns = estimate_returns(waiting)
        if returns is None or returns.returned_count < MIN_RETURNED or name == DEFAULT:
            continue
        today = default_days if own is None else own
        days = round_days(returns.median_days)
        has_own = own is not None
        words = f"today's {today:g} days are" if has_own else f"the {today:g} days of everybody are"
        stays = _why_it_stays(thresholds, today, days, returns, GROUP_DIFFERENT, words)
        proposals.append(
            Proposal(
                place,
                own,
                None if stays else float(days),
                stays or _returned_sentence(returns),
                (
                    *_returns_texts(returns),
                    *_clock_texts(thresholds, today, days, "today" if has_own else "like everybody"),
                ),
                _returns_figures(returns),
            )
        )
    return tuple(proposals)


def _why_it_stays(
    thresholds: LifecycleThresholds, today: float, days: int, returns: Returns, factor: float, words: str
) -> str | None:
    low, high = returns.interval
    if low <= today <= high:
        return f"{words} within what the data says ({low} to {high} days)"
    if not _are_different(thresholds, today, days, factor):
        due, lapse = first_clocks(thresholds, days)
        return (
            f"{days} days would make nearly no difference: somebody who has bought once would be due after {due:g} days"
            f" and lapse after {lapse:g}"
        )
    return None


def _returned_sentence(returns: Returns) -> str:
    sentence = (
        f"of {returns.people_count:,} people with a first purchase {returns.returned_count:,} are back; half of those"
        f" who come back do so within {returns.median_days} days"
    )
    if returns.is_cut_short:
        sentence += ", or later: the history is too short to tell"
    return sentence


def _returns_texts(returns: Returns) -> list[tuple[str, str]]:
    quarter, half, three_quarters = returns.quantiles
    texts = [
        (
            "rests on",
            f"{returns.people_count:,} first purchases, {returns.returned_count:,} of them followed by another so far;"
            f" {returns.return_share:.0%} come back within {returns.seen_days} days, those still waited for included",
        ),
        (
            "of those",
            f"a quarter within {quarter} days, half within {half} (between {returns.interval[0]} and"
            f" {returns.interval[1]}, 99 % sure), three quarters within {three_quarters}",
        ),
    ]
    if returns.is_cut_short:
        texts.append(
            (
                "beware",
                f"{returns.late_share:.0%} of the returns came in the last quarter of the time that the history shows:"
                " more are still to come, and the true gap may be longer",
            )
        )
    if three_quarters > 8 * max(quarter, 1):
        texts.append(
            (
                "beware",
                "the gaps of different people are far apart: one number fits few of them; personas and first categories"
                " can have their own",
            )
        )
    return texts


def _clock_texts(thresholds: LifecycleThresholds, today: float, days: int, words: str) -> list[tuple[str, str]]:
    (due, lapse), (new_due, new_lapse) = first_clocks(thresholds, today), first_clocks(thresholds, days)
    return [
        (
            "the clocks",
            f"after one purchase somebody would be due after {new_due:g} days and lapse after {new_lapse:g}"
            f" ({words} {due:g} and {lapse:g})",
        )
    ]


def _returns_figures(returns: Returns) -> dict[str, Any]:
    return {
        "people_count": returns.people_count,
        "returned_count": returns.returned_count,
        "return_share": returns.return_share,
        "seen_days": returns.seen_days,
        "quantile_days": list(returns.quantiles),
        "interval_days": list(returns.interval),
        "late_share": returns.late_share,
        "is_cut_short": returns.is_cut_short,
    }


# --- loyalty, expansion, value ---------------------------------------------------------------------------------------


def _loyalty(evidence: Evidence, thresholds: LifecycleThresholds) -> Proposal:
    place, today, min_days = ("loyalty", "min_orders"), thresholds.loyalty.min_orders, thresholds.loyalty.min_days
    own = [persona for persona, overrides in thresholds.personas.items() if "loyalty_min_orders" in overrides]
    counts = evidence.kept_counts(min_days, without=own)
    people, active = sum(count for _, count in counts), evidence.active_count()
    if people < MIN_PEOPLE:
        return Proposal(
            place,
            today,
            None,
            f"{people:,} active customers first bought {min_days:g} days ago or earlier; {MIN_PEOPLE} are needed",
        )
    candidates = sorted({max(2.0, kept) for kept, _ in counts})
    best = nearest(candidates, LOYAL_SHARE, lambda kept: share_from(counts, kept))
    share_today, share_best = share_from(counts, today), share_from(counts, best)
    stays = LOYAL_BETWEEN[0] <= share_today <= LOYAL_BETWEEN[1]

    def loyal_of_all(share: float) -> str:
        return f"{share * people / active:.0%} of all active customers" if active else "nobody"

    because = (
        f"{share_today:.0%} of the {people:,} active customers of {min_days:g} days or more have {today:g} or more kept"
        " purchases"
    )
    if not stays:
        because = (
            f"of the {people:,} active customers of {min_days:g} days or more, {share_best:.0%} have {best:g} or more"
            f" kept purchases ({share_today:.0%} have today's {today:g})"
        )
    return Proposal(
        place,
        float(today),
        None if stays else best,
        because,
        (
            ("rests on", f"{people:,} of {active:,} active customers, by the proposed clocks"),
            (
                "loyal would be",
                f"{loyal_of_all(share_today if stays else share_best)} (today {loyal_of_all(share_today)})",
            ),
        ),
        {
            "people_count": people,
            "active_count": active,
            "share_today": share_today,
            "share_proposed": share_today if stays else share_best,
        },
    )


def _expansion(evidence: Evidence, thresholds: LifecycleThresholds) -> tuple[Proposal, ...]:
    """The least change of level and share that makes expansion neither everybody's nor nobody's."""
    level, share = thresholds.expansion.category_level, thresholds.expansion.min_spend_share
    places: tuple[Place, Place] = (("expansion", "category_level"), ("expansion", "min_spend_share"))

    def unchanged(because: str, figures: Mapping[str, Any] | None = None) -> tuple[Proposal, ...]:
        return (Proposal(places[1], share, None, because, (), figures or {}),)

    if evidence.lines_problem is not None:
        return unchanged(f"{evidence.lines_problem}, so that first purchases in a category are not known")
    active = evidence.active_count()
    if active < MIN_PEOPLE:
        return unchanged(f"{active:,} customers are active; {MIN_PEOPLE} are needed")
    categories = evidence.category_counts()
    shares = sorted({*SPEND_SHARES, share})
    low, high = EXPANDING_BETWEEN
    found: dict[tuple[int, float], float] = {}
    for at in sorted({*range(1, len(categories) + 1), level}):
        counts = evidence.expansions(
            at,
            shares=shares,
            expanding_days=thresholds.expanding_days,
            window_days=thresholds.expansion.window_days,
            min_history_days=thresholds.expansion.min_history_days,
        )
        found |= {(at, of): count / active for of, count in zip(shares, counts, strict=True)}
    now = found[(level, share)]
    days = f"{thresholds.expanding_days:g} days"
    figures = {
        "active_count": active,
        "category_counts": categories,
        "share_today": now,
        "shares": [
            {"category_level": at, "min_spend_share": of, "share": value} for (at, of), value in sorted(found.items())
        ],
    }
    if low <= now <= high:
        return unchanged(
            f"{now:.1%} of {active:,} active customers expanded within the last {days}: neither everybody nor nobody",
            figures,
        )
    # Values that somebody may have chosen for good reason are left alone where the other can do it.
    fitting = {
        key: value
        for key, value in found.items()
        if low <= value <= high and (key[1] in SPEND_SHARES or key[0] != level)
    }
    if not fitting:
        return unchanged(
            f"{now:.1%} of {active:,} active customers expanded within the last {days}, and no level and share make it"
            f" {low:.0%} to {high:.0%}: do not rely on this stage here",
            figures,
        )
    best = min(
        fitting, key=lambda key: ((key[0] != level) + (key[1] != share), abs(fitting[key] - EXPANDING_SHARE), key)
    )
    rests_on = (
        (
            "rests on",
            f"{active:,} active customers; {fitting[best]:.1%} of them would have expanded within the last {days}"
            f" (today {now:.1%})",
        ),
        (
            "categories",
            ", ".join(f"{count:,} at level {at}" for at, count in enumerate(categories, start=1)),
        ),
    )
    because = (
        f"{fitting[best]:.1%} of {active:,} active customers would have expanded within the last {days}, instead of"
        f" {now:.1%}"
    )
    values = {places[0]: (float(level), float(best[0])), places[1]: (share, best[1])}
    return tuple(
        Proposal(place, today, proposed, because, rests_on, figures)
        for place, (today, proposed) in values.items()
        if today != proposed
    )


def _high_value(evidence: Evidence, thresholds: LifecycleThresholds) -> Proposal:
    place, today = ("high_value_amount",), thresholds.high_value_amount
    people, amounts = evidence.revenues((0.5, 0.75, 0.8, 0.9))
    if people < MIN_PEOPLE:
        return Proposal(place, today, None, f"{people:,} customers have brought money so far; {MIN_PEOPLE} are needed")
    candidates = written_amounts(amounts[1], amounts[3])
    shares = dict(zip([*candidates, today], evidence.revenue_from([*candidates, today]), strict=True))
    best = nearest(candidates, HIGH_VALUE_SHARE, lambda amount: shares[amount][0])
    now = shares[today]
    stays = HIGH_VALUE_BETWEEN[0] <= now[0] <= HIGH_VALUE_BETWEEN[1]
    chosen = now if stays else shares[best]
    currency = evidence.settings.currency

    def described(amount: float, of: tuple[float, float]) -> str:
        return f"{of[0]:.0%} of {people:,} paying customers have brought {amount:,g} {currency} or more"

    return Proposal(
        place,
        today,
        None if stays else best,
        described(today, now)
        if stays
        else described(best, chosen) + f", {chosen[1]:.0%} of the revenue ({now[0]:.0%} today's {today:,g})",
        (
            (
                "rests on",
                f"net revenue of {people:,} customers: half below {amounts[0]:,.0f} {currency}, a fifth above"
                f" {amounts[2]:,.0f}, a tenth above {amounts[3]:,.0f}",
            ),
        ),
        {
            "people_count": people,
            "quantile_amounts": {"0.5": amounts[0], "0.8": amounts[2], "0.9": amounts[3]},
            "share_today": now[0],
            "share_proposed": chosen[0],
            "revenue_share_proposed": chosen[1],
        },
    )


# --- alarms ----------------------------------------------------------------------------------------------------------


def _alarms(evidence: Evidence, thresholds: LifecycleThresholds) -> tuple[tuple[Alarm, ...], Alarm, str | None]:
    """What ``at_risk`` by the due clock is worth, for other factors and, where it decides, for other floors."""
    factor, floor = thresholds.due_factor, thresholds.due_min_days
    clocks = [(other, floor) for other in sorted({*DUE_FACTORS, factor})]
    longer = [(factor, times * floor) for times in FLOORS]
    everything = evidence.alarms([*clocks, *longer])
    today = everything[clocks.index((factor, floor))]
    is_floor = today.floor_share > 0.5
    shown = tuple(everything if is_floor else everything[: len(clocks)])
    return shown, today, _advice(today, shown, by_floor=is_floor)


def _advice(today: Alarm, others: Iterable[Alarm], *, by_floor: bool) -> str | None:
    if today.decided_count < MIN_PEOPLE:
        return f"{today.decided_count:,} alarms are decided; {MIN_PEOPLE} are needed to judge them"
    if today.back_share <= NOISE:
        return None
    said = f"{today.back_share:.0%} of those who become due come back by themselves: the alarm is mostly noise"
    setting, of = ("due_min_days", "floors") if by_floor else ("due_factor", "factors")
    better = [
        alarm
        for alarm in others
        if alarm.back_share <= NOISE
        and alarm.decided_count
        and (
            alarm.due_min_days > today.due_min_days
            if by_floor
            else alarm.due_factor > today.due_factor and alarm.due_min_days == today.due_min_days
        )
    ]
    if not better:
        return f"{said}, with all {of} that were tried"
    best = min(better, key=lambda alarm: (alarm.due_factor, alarm.due_min_days))
    value = best.due_min_days if by_floor else best.due_factor
    return (
        f"{said}. With {setting} {value:g} it would be {best.back_share:.0%}, of {best.per_customer_year:.1f} alarms"
        f" per customer and year instead of {today.per_customer_year:.1f}. A longer due clock makes the lapse clock"
        " longer too"
    )


# --- taking over -----------------------------------------------------------------------------------------------------


def with_changes(thresholds: LifecycleThresholds, changes: Sequence[Proposal]) -> LifecycleThresholds:
    """The thresholds after a person has taken these proposals over."""
    content = thresholds.model_dump()
    for proposal in changes:
        if proposal.proposed is None:
            continue
        inner = content
        for part in proposal.place[:-1]:
            inner = inner.setdefault(part, {})
        is_whole = proposal.place[-1] in ("min_orders", "category_level")
        inner[proposal.place[-1]] = int(proposal.proposed) if is_whole else proposal.proposed
    return LifecycleThresholds.model_validate(content)
