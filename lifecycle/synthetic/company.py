"""A demo company from end to end.

Belongs here: the order in which the parts are drawn and written, block by block, and the summary of what was written.
Does not belong here: any of the parts.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError
from lifecycle.synthetic import catalogue as sold
from lifecycle.synthetic import vocabulary as words
from lifecycle.synthetic.accounts import NEVER, draw_accounts, note_requesters
from lifecycle.synthetic.calendar import Calendar, Clocks
from lifecycle.synthetic.campaigns import FADING_DAYS, Campaign, assign, plan_campaigns
from lifecycle.synthetic.catalogue import Catalogue
from lifecycle.synthetic.columns import DAY_SECONDS
from lifecycle.synthetic.contacts import contact_rows
from lifecycle.synthetic.files import Files, open_files
from lifecycle.synthetic.loyalty import loyalty_rows
from lifecycle.synthetic.messages import consent_rows, draw_messages
from lifecycle.synthetic.orders import draw_orders, order_rows
from lifecycle.synthetic.parameters import BLOCK_PEOPLE
from lifecycle.synthetic.people import BUYER, draw_people
from lifecycle.synthetic.purchases import draw_purchases, draw_spend_rates
from lifecycle.synthetic.randomness import stream
from lifecycle.synthetic.settings_file import settings_text
from lifecycle.synthetic.subscriptions import draw_subscriptions, subscription_rows, use_rows
from lifecycle.synthetic.support import activity_rows, draw_tickets, review_rows, survey_rows, ticket_rows
from lifecycle.synthetic.truth import (
    Latent,
    attribution_table,
    campaigns_table,
    decision_rows,
    members_table,
    people_table,
    requests_table,
    stages_table,
)
from lifecycle.synthetic.visits import ad_rows, draw_sessions, parcel_rows, session_rows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from lifecycle.synthetic.parameters import Arguments
    from lifecycle.synthetic.people import People

FAR_DAY = 2**31
"""The day on which those who have not left are gone."""

MADE = ("files", "truth", "lifecycle.yml", ".lifecycle", "out")
"""What a generated company has in its folder, the state and lists of its runs included: another company's state is of
no use. With force these are replaced, and nothing else is touched."""


@dataclass(frozen=True)
class Summary:
    """What was written: rows per source and table, files, seconds."""

    folder: Path
    row_counts: dict[tuple[str, str], int]
    file_count: int
    unreadable_count: int
    seconds: float

    @property
    def rows(self) -> int:
        return sum(self.row_counts.values())

    @property
    def config(self) -> Path:
        return self.folder / "lifecycle.yml"


def generate(arguments: Arguments, progress: Callable[[str], None] = lambda _: None) -> Summary:
    """Write a company into ``arguments.out``. The same arguments give the same bytes.

    Raises LifecycleError when the folder holds anything and the arguments do not force.
    """
    import numpy as np
    import pyarrow as pa

    started = time.monotonic()
    folder = arguments.out
    _make_room(folder, is_forced=arguments.is_forced)
    calendar = Calendar(arguments.end, arguments.days, arguments.has_seasons)
    clocks = Clocks(calendar, words.ZONES)
    catalogue = Catalogue(arguments.settings)
    campaigns = plan_campaigns(arguments, calendar)
    with open_files(folder, calendar, clocks, has_stores=arguments.settings.store_share > 0) as files:
        files.write(
            [
                catalogue.product_rows(),
                sold.offer_rows(calendar),
                *sold.campaign_rows(calendar, campaigns),
                *sold.spend_rows(arguments, calendar),
            ]
        )
        counts, requests = [], []
        for block in range(arguments.block_count):
            progress(f"people {block * BLOCK_PEOPLE:,} to {min((block + 1) * BLOCK_PEOPLE, arguments.customers):,}")
            count, asked = _write_block(arguments, calendar, clocks, catalogue, campaigns, files, block)
            counts.append(count)
            requests.append(asked)
        files.write_small_truth("campaigns", campaigns_table(campaigns, np.sum(counts, axis=0)))
        files.write_small_truth("attribution", attribution_table())
        files.write_small_truth("deletion_requests", pa.concat_tables(requests))
    (folder / "truth" / "parameters.json").write_text(
        json.dumps(arguments.parameters() | {"unreadable_rows": files.unreadable_count}, indent=1) + "\n",
        encoding="utf-8",
    )
    (folder / "lifecycle.yml").write_text(settings_text(arguments), encoding="utf-8")
    return Summary(folder, dict(files.row_counts), files.file_count, files.unreadable_count, time.monotonic() - started)


def _make_room(folder: Path, *, is_forced: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise LifecycleError(
            "this is a file, not a folder", where=str(folder), remedy="Name another folder with --out."
        )
    if folder.exists() and any(folder.iterdir()):
        if not is_forced:
            raise LifecycleError(
                "the folder is not empty",
                where=str(folder),
                remedy=f"Name another with --out, or say --force to replace {', '.join(MADE)} in it.",
            )
        for name in MADE:
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def _write_block(
    arguments: Arguments,
    calendar: Calendar,
    clocks: Clocks,
    catalogue: Catalogue,
    campaigns: list[Campaign],
    files: Files,
    block: int,
) -> tuple[NDArray[np.int64], pa.Table]:
    """Draw and write everything about the people of one block.

    Gives what is added up over blocks: per campaign assigned, held out and caused orders; and requests for deletion.
    """
    import numpy as np

    people = draw_people(arguments, calendar, block)
    latent, seen_at = _latent(arguments, calendar, clocks, people, block)
    gone_day = np.where(latent.left_day >= 0, (latent.gone_at - calendar.start_second) // DAY_SECONDS, FAR_DAY)
    accounts = draw_accounts(arguments, calendar, clocks, people, seen_at, block)
    assignments = assign(arguments, calendar, campaigns, people, accounts, latent.purchases, gone_day, block)
    orders = draw_orders(
        arguments, clocks, catalogue, campaigns, people, accounts, latent.buyers, seen_at, latent.purchases,
        latent.spend_rate, assignments, block,
    )  # fmt: skip
    held = draw_subscriptions(arguments, calendar, people, accounts, seen_at, block)
    tickets = draw_tickets(arguments, calendar, clocks, people, orders, held, latent.left_day, gone_day, block)
    note_requesters(accounts, tickets.person, tickets.opened)
    sessions = draw_sessions(arguments, calendar, clocks, people, accounts, orders, gone_day, block)
    messages = draw_messages(
        arguments, calendar, clocks, campaigns, people, accounts, assignments, latent.gone_at, block
    )
    files.write_truth("people", people_table(arguments, calendar, people, latent, seen_at))
    files.write_truth("stages", stages_table(calendar, people, latent, orders, held, seen_at))
    files.write_truth("campaign_members", members_table(people, campaigns, assignments, calendar))
    files.write(
        [
            *order_rows(arguments, calendar, catalogue, people, accounts, orders, block),
            *session_rows(arguments, calendar, catalogue, people, accounts, orders, sessions, seen_at, block),
            *parcel_rows(calendar, people, accounts, orders),
            *ad_rows(arguments, calendar, people, seen_at, block),
            *messages.rows,
            *consent_rows(arguments, calendar, accounts, messages.withdrawn_at, block),
            *ticket_rows(arguments, calendar, catalogue, people, accounts, orders, tickets, block),
            *survey_rows(arguments, calendar, clocks, people, accounts, orders, latent.left_day, gone_day, block),
            *review_rows(arguments, calendar, catalogue, people, orders, block),
            *activity_rows(arguments, calendar, clocks, people, accounts, gone_day, block),
            *loyalty_rows(arguments, calendar, people, accounts, orders, block),
            *subscription_rows(arguments, calendar, people, accounts, held, block),
            *use_rows(arguments, calendar, clocks, people, accounts, held, block),
            *contact_rows(arguments, calendar, people, accounts, latent.gone_at, block),
            *decision_rows(arguments, calendar, people, accounts, block),
        ]
    )
    number = assignments.campaign
    counts = [
        np.bincount(number[mask], minlength=len(campaigns))
        for mask in (np.ones(len(number), bool), assignments.is_held_out, assignments.caused)
    ]
    return np.array(counts), requests_table(arguments, calendar, people, block)


def _latent(
    arguments: Arguments, calendar: Calendar, clocks: Clocks, people: People, block: int
) -> tuple[Latent, NDArray[np.int64]]:
    """What people will do, and when each was first seen (buyers: the moment of their first order)."""
    import numpy as np

    random = stream(arguments.seed, "purchases", block)
    buyers = np.flatnonzero(people.kind == BUYER)
    purchases = draw_purchases(random, people.arrived[buyers], arguments.settings.purchase, calendar)
    purchases.buyer = buyers[purchases.buyer]
    spend_rate = np.ones(len(people))
    spend_rate[buyers] = draw_spend_rates(random, len(buyers), arguments.settings.spend)
    left_day = np.full(len(people), -1)
    left_day[buyers] = purchases.left_day
    moments = stream(arguments.seed, "arrivals", block)
    seen_at = np.where(
        people.shops_in_stores & (people.kind == BUYER),
        clocks.daytime(moments, people.arrived, np.zeros(len(people), int), opens=9, closes=21),
        clocks.daytime(moments, people.arrived, people.zone),
    )
    fading = np.rint(moments.gamma(2.0, FADING_DAYS / 2, len(people))).astype(np.int64)
    gone_at = np.where(left_day >= 0, calendar.start_second + (left_day + fading) * DAY_SECONDS, NEVER)
    return Latent(buyers, purchases, spend_rate, left_day, gone_at), seen_at
