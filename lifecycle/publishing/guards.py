"""How much a plan may change before a person has to say so.

Belongs here: the limits, their messages and approvals.
Does not belong here: whether the data is good (the gates in ``quality/``); a gate cannot be approved away.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from lifecycle.errors import GateStoppedError, LifecycleError
from lifecycle.publishing.ledger import open_ledger, utc

if TYPE_CHECKING:
    from lifecycle.publishing.plan import Plan
    from lifecycle.settings import Guards, Settings


def refusals(plan: Plan, guards: Guards) -> list[str]:
    """Every limit that the plan breaks, with figure and limit; empty when it may be sent.

    Shares are of the list as last delivered. Removals of people who withdrew consent, are test records or employees
    count for nothing.
    """
    found = []
    if plan.segment_count == 0 and (plan.delivered_count or guards.min_size):
        found.append(f"the segment is empty, the list holds {plan.delivered_count:,}")
    elif plan.desired_count < guards.min_size:
        found.append(f"the list would hold {plan.desired_count:,}, min_size is {guards.min_size:,}")
    if not plan.is_first and plan.added_count > guards.max_add * plan.delivered_count:
        found.append(_share("adds", plan.added_count, plan.delivered_count, "max_add", guards.max_add))
    removed = plan.removed_count - plan.exempt_count
    if removed > guards.max_remove * plan.delivered_count:
        found.append(_share("removes", removed, plan.delivered_count, "max_remove", guards.max_remove))
    if plan.delivered_encoder not in (None, plan.encoder):
        found.append(f"the list was written by encoder {plan.delivered_encoder} and would be written by {plan.encoder}")
    return found


def _share(verb: str, count: int, of: int, name: str, limit: float) -> str:
    share = f"{count / of:.0%} of" if of else "an empty list of"
    return f"the plan {verb} {count:,}, {share} {of:,}; {name} is {limit:.0%}"


def demand(plan: Plan) -> None:
    """Raise GateStoppedError unless the plan keeps its limits or a person approved exactly this plan."""
    if not plan.may_be_sent:
        raise GateStoppedError(
            "; ".join(plan.refusals),
            where=f"sync '{plan.sync_name}', plan {plan.plan_id}",
            remedy="The last delivery stays. If this is right:"
            f" `lifecycle publish approve {plan.plan_id} --reason WHY`, then publish again.",
        )


def approve(settings: Settings, plan_id: str, reason: str, *, now: datetime) -> None:
    """Let this very plan pass its guards; a plan with any other change is refused as before.

    Raises LifecycleError when no such plan waits or no reason is given.
    """
    if not reason.strip():
        raise LifecycleError("an approval needs a reason", where=plan_id, remedy="Say why with --reason.")
    with open_ledger(settings) as ledger:
        waiting = [
            name for (name,) in ledger.rows("select plan_id from plans where plan_state = 'planned' order by plan_id")
        ]
        if plan_id not in waiting:
            raise LifecycleError(
                f"no plan '{plan_id}' waits to be sent",
                where=str(settings.state.ledger),
                remedy=f"Waiting: {', '.join(waiting) or 'none'}. A newer plan replaces an older one.",
            )
        ledger.run(
            "update plans set approved_at = ?, approval_reason = ? where plan_id = ?", [utc(now), reason, plan_id]
        )
