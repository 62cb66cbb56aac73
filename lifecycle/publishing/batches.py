"""Sending members in batches until each has an outcome.

Belongs here: cutting into batches, halving what was refused whole, sending again what was not done, and taking
addresses out of what tools say.
Does not belong here: the ledger and the order of a delivery (``apply.py``), the tool's protocol (``destinations/``).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from lifecycle.publishing.destinations.members import (
        BatchOutcome,
        Encoded,
        Item,
        MemberCapabilities,
        MemberDestination,
        Operation,
        Outcome,
        RemoteList,
    )

ROUNDS = 3
"""How often members are sent that were not done, or of whom it is not known."""
LONGEST_WAIT = 90.0
"""Seconds that a tool which asks for it is waited for; one that asks for more has its members at the next delivery."""
HOPELESS = 12
"""So many members refused one by one, and nobody taken: it is not the members that are at fault."""
LONGEST_MESSAGE = 200


def cut(
    encoded: Sequence[tuple[str, Encoded]], capabilities: MemberCapabilities
) -> Iterator[list[tuple[str, Encoded]]]:
    """Batches of at most ``max_batch`` members and ``max_bytes``, in the given order.

    A member that is larger than a call may be is a batch of its own: the tool then says what is wrong with it.
    """
    batch: list[tuple[str, Encoded]] = []
    size = 0
    for one in encoded:
        too_many = len(batch) >= capabilities.max_batch
        too_large = capabilities.max_bytes is not None and size + one[1].size > capabilities.max_bytes
        if batch and (too_many or too_large):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one[1].size
    if batch:
        yield batch


def send_batch(
    destination: MemberDestination,
    remote: RemoteList,
    operation: Operation,
    items: Sequence[Item],
    key: str,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Outcome]:
    """The outcome of every member of a batch, in its order.

    A batch that was refused whole is halved until the member at fault is alone. What was not done (``retry``) is sent
    again after the time that the tool asked for; what is not known is sent again where that has no second effect.
    What is still open after some rounds keeps its outcome: it is for the next delivery.

    Raises LifecycleError when the tool refuses everybody, or does not answer for everybody.
    """
    outcomes = _halved(destination, remote, operation, items, key)
    can_repeat = operation in destination.capabilities.idempotent
    for number in range(1, ROUNDS):
        again = [
            place
            for place, outcome in enumerate(outcomes)
            if outcome.proof == "retry" or (outcome.proof == "unknown" and can_repeat)
        ]
        wait = max((outcomes[place].after or 0.0 for place in again), default=0.0)
        if not again or wait > LONGEST_WAIT:
            break
        sleep(wait)
        found = _halved(destination, remote, operation, [items[place] for place in again], f"{key}.again{number}")
        for place, outcome in zip(again, found, strict=True):
            outcomes[place] = outcome
    return [_scrubbed(outcome, item) for outcome, item in zip(outcomes, items, strict=True)]


def _halved(
    destination: MemberDestination, remote: RemoteList, operation: Operation, items: Sequence[Item], key: str
) -> list[Outcome]:
    ahead = [(0, len(items))]
    found: dict[int, Outcome] = {}
    refused = taken = 0
    while ahead:
        start, end = ahead.pop()
        part = items[start:end]
        # The same members under the same key: a tool that knows keys sees a repeated call as one.
        answer: BatchOutcome = destination.send(
            remote, operation, part, key if len(part) == len(items) else f"{key}.{start}-{end}"
        )
        if len(answer.outcomes) != len(part):
            raise LifecycleError(
                f"the tool was sent {len(part):,} members and the destination answers for {len(answer.outcomes):,}",
                where=f"destination '{destination.name}'",
                remedy="This is a mistake of the destination; its contract tests show it.",
            )
        if answer.is_refused_whole and len(part) > 1:
            middle = start + len(part) // 2
            ahead += [(middle, end), (start, middle)]
            continue
        for place, outcome in enumerate(answer.outcomes, start):
            found[place] = outcome
            refused += outcome.proof == "rejected"
            taken += outcome.proof != "rejected"
        if answer.is_refused_whole and refused >= HOPELESS and not taken and len(items) > HOPELESS:
            code = found[start].code
            raise LifecycleError(
                f"the tool refuses everybody ({code})",
                where=f"destination '{destination.name}'",
                remedy="Nobody was added. Look at the list and the attributes that are sent: "
                f"`lifecycle destinations check {destination.name}`.",
            )
    return [found[place] for place in range(len(items))]


_ADDRESS = re.compile(r"[^\s<>\"']+@[^\s<>\"',;]+|\+?\d[\d\s().-]{6,}\d|\b[0-9a-fA-F]{32,}\b")
"""What looks like an email, a phone number or a hash."""


def _scrubbed(outcome: Outcome, item: Item) -> Outcome:
    """The outcome without what it says of who somebody is."""
    if not outcome.message and not outcome.code:
        return outcome
    return replace(outcome, code=scrub(outcome.code, item.key)[:60], message=scrub(outcome.message, item.key))


def scrub(text: str, *known: str) -> str:
    """A tool's text without addresses, numbers, hashes and what is known to name somebody."""
    for value in known:
        if value:
            text = re.sub(re.escape(value), "…", text, flags=re.IGNORECASE)
    return _ADDRESS.sub("…", text)[:LONGEST_MESSAGE]
