"""Delivering to a tool that keeps members one by one.

Belongs here: the order in which members are sent, what stands in the ledger before and after each batch, and closing
the books.
Does not belong here: what both sorts of deliveries share (``work.py``), a batch (``batches.py``), the tool's protocol.

Who is about to be sent stands in the ledger before the tool hears of them, and leaves it only when the tool said that
they are gone. So after a kill at any moment the ledger holds all who are or may be on the list, and the next delivery,
of the same plan or of a newer one, ends with the exact list.

People are taken off first: by the key that the tool knows, which the ledger keeps sealed. Then members whose data
changed; one whose key changed is taken off under the old one before they are added under the new. Then new members.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifecycle.errors import LifecycleError
from lifecycle.publishing.batches import cut, scrub, send_batch
from lifecycle.publishing.destinations.members import (
    Encoded,
    Item,
    ListSpec,
    Member,
    Outcome,
    RemoteList,
    Veto,
    applies_later,
)
from lifecycle.publishing.ledger import UNPROVEN, open_ledger, utc
from lifecycle.publishing.plan import PII, PUBLIC, attached, desired_sql, list_sql
from lifecycle.publishing.seal import Sealer
from lifecycle.publishing.work import Delivery, Run, RunOutcome, Work
from lifecycle.warehouse import Warehouse, literal, open_duckdb

if TYPE_CHECKING:
    import pyarrow as pa

    from lifecycle.publishing.destinations.members import MemberDestination, Operation
    from lifecycle.serving.publication import Publication
    from lifecycle.settings import Settings, Sync

AT_A_TIME = 20_000
"""Members that are read from the ledger at a time: so many are in memory at once."""
POLL_SECONDS = 600.0
"""How long a tool that applies later is waited for; what is still open then is for the next delivery."""
POLL_PAUSE = 2.0
SAME_PERSON = "same_person"
"""Refused by us: another customer on the list has the same key at the tool."""

ON_LIST = frozenset({"applied", "already"})


@dataclass(frozen=True)
class _Pending:
    """A member of the plan that has no outcome yet, with what the ledger knows of them at the tool."""

    customer_id: str
    operation: str
    payload: str | None
    key_hash: str | None
    sealed: bytes | None


@dataclass(frozen=True)
class _Ready:
    """A member as they are sent."""

    pending: _Pending
    encoded: Encoded
    remote_id: str | None
    key_hash: str
    sealed: bytes


class MemberWork(Work):
    """One delivery of members."""

    def __init__(
        self,
        settings: Settings,
        sync: Sync,
        publication: Publication,
        now: datetime,
        destination: MemberDestination,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from lifecycle.settings import Environment

        super().__init__(settings, sync, publication, now)
        self.destination = destination
        self.encoder = destination.encoder
        self.sleep = sleep
        self.sealer = Sealer(settings.state.hash_key(Environment().hash_key), sync.key)
        self._remote: RemoteList | None = None
        self._mine = [sync.key, sync.destination]
        self._barred_by: Publication = publication
        self._barred: set[str] = set()

    @property
    def remote(self) -> RemoteList:
        if self._remote is None:
            raise AssertionError("prepare() comes first")
        return self._remote

    def prepare(self) -> None:
        """The list at the tool. When it is another one than before, nobody is known to be on it."""
        spec = ListSpec(self.sync.key, f"{self.settings.project}: {self.sync.segment}", self.sync.list)
        self._remote = self.destination.ensure_list(spec)
        with open_ledger(self.settings) as ledger, ledger.transaction():
            known = ledger.scalar("select list_id from lists where sync_name = ? and destination_name = ?", self._mine)
            if known == self.remote.list_id:
                return
            # Whoever is on the old list stays there: it is not ours any more, or it is gone.
            for table in ("deliveries", "rejections", "lists"):
                ledger.run(f"delete from {table} where sync_name = ? and destination_name = ?", self._mine)
            ledger.run(
                "insert into lists values (?, ?, ?, ?, ?)",
                [*self._mine, self.remote.list_id, self.remote.title, utc(self.now)],
            )
            if known is not None:
                self._abandon_for_another_list(ledger)

    def _abandon_for_another_list(self, ledger: Warehouse) -> None:
        """A plan that was made for another list is not sent on with."""
        ledger.run(
            "update plans set settings_digest = 'another list' where plan_id in"
            " (select plan_id from runs where sync_name = ? and destination_name = ? and ended_at is null)",
            self._mine,
        )

    def is_there(self) -> bool:
        # Who was taken off there by hand stays off: that is told as drift.
        return True

    def has_arrived(self, run: Run) -> bool:  # noqa: ARG002
        return False

    def may_go_on(self, run: Run) -> bool:  # noqa: ARG002
        return True

    # --- sending -----------------------------------------------------------------------------------------------------

    def send(self, run: Run) -> None:
        self._poll(run)
        self._requeue(run)
        with self._outgoing() as outgoing:
            for operations in (("remove",), ("update",), ("add",)):
                for chunk in self._chunks(run, operations):
                    if operations == ("remove",):
                        self._take_off(run, chunk)
                    else:
                        self._put_on(run, chunk, outgoing)
        self._poll(run)

    def take_off(self, run: Run) -> None:
        """Send a plan that does nothing but take people off."""
        self._poll(run)
        self._requeue(run)
        for chunk in self._chunks(run, ("remove",)):
            self._take_off(run, chunk)
        self._poll(run)

    def _requeue(self, run: Run) -> None:
        """What was on its way when a delivery ended is sent again: nothing the engine sends has a second effect."""
        with open_ledger(self.settings) as ledger:
            ledger.run(
                "update plan_items set item_state = 'pending' where plan_id = ? and item_state = 'in_flight'",
                [run.plan_id],
            )

    @contextmanager
    def _outgoing(self) -> Iterator[Warehouse]:
        """The list with identifiers and attributes, in memory and in DuckDB's own spill, for as long as it is sent."""
        state = self.settings.state
        with (
            open_duckdb(
                Path(":memory:"),
                memory_limit=self.settings.warehouse.memory_limit,
                threads=self.settings.warehouse.threads,
                spill=state.spill,
                max_spill=self.settings.warehouse.max_spill,
            ) as outgoing,
            attached(outgoing, self.publication),
        ):
            query = list_sql(self.sync, catalog=f"{PUBLIC}.", pii_catalog=f"{PII}.")
            outgoing.run(f"create temp table outgoing as {query}")
            yield outgoing

    def _chunks(self, run: Run, operations: Sequence[str]) -> Iterator[list[_Pending]]:
        """Members without an outcome, some at a time, in the order of their ids."""
        last = ""
        wanted = ", ".join(literal(operation) for operation in operations)
        while True:
            with open_ledger(self.settings) as ledger:
                rows = ledger.rows(
                    "select items.customer_id, items.operation, items.payload, deliveries.key_hash, deliveries.sealed"
                    " from plan_items as items left join deliveries on deliveries.customer_id = items.customer_id and"
                    " deliveries.sync_name = ? and deliveries.destination_name = ?"
                    f" where items.plan_id = ? and items.item_state = 'pending' and items.operation in ({wanted})"
                    f" and items.customer_id > ? order by items.customer_id limit {AT_A_TIME}",
                    [*self._mine, run.plan_id, last],
                )
            if not rows:
                return
            yield [_Pending(*row) for row in rows]
            last = rows[-1][0]

    def _take_off(self, run: Run, chunk: Sequence[_Pending]) -> None:
        known = [pending for pending in chunk if pending.sealed is not None]
        unknown = [pending for pending in chunk if pending.sealed is None]
        if unknown:
            # Never sent: the row was made by a delivery that ended before the tool could hear of them.
            self._note(run, unknown, [Outcome("already")] * len(unknown), "remove")
        ready = [self._known(pending) for pending in known]
        for batch in self._batches(ready):
            self._send(run, "remove", batch)

    def _known(self, pending: _Pending) -> _Ready:
        """Somebody under the key that the tool knows."""
        key, remote_id = self.sealer.open(pending.sealed or b"")
        return _Ready(pending, Encoded(key), remote_id, pending.key_hash or "", pending.sealed or b"")

    def _put_on(self, run: Run, chunk: Sequence[_Pending], outgoing: Warehouse) -> None:
        self._bar(outgoing)
        data = self._data(chunk, outgoing)
        ready: list[_Ready] = []
        vetoed: list[tuple[_Pending, Veto]] = []
        withdrawn: list[_Pending] = []
        for pending in chunk:
            member = None if pending.customer_id in self._barred else data.get(pending.customer_id)
            if member is None:
                withdrawn.append(pending)
                continue
            encoded = self.destination.encode(member)
            if isinstance(encoded, Veto):
                vetoed.append((pending, encoded))
                continue
            key_hash = self.sealer.key_hash(encoded.key)
            remote_id = None
            if pending.sealed is not None and pending.key_hash == key_hash:
                remote_id = self.sealer.open(pending.sealed)[1]
            sealed = self.sealer.close(encoded.key, remote_id)
            ready.append(_Ready(pending, encoded, remote_id, key_hash, sealed))
        self._withdraw(run, withdrawn)
        self._veto(run, vetoed)
        moved = {one.pending.customer_id for one in ready if one.pending.key_hash not in (None, one.key_hash)}
        gone = self._off(run, [one.pending for one in ready if one.pending.customer_id in moved])
        ready = self._only_one_each(run, [one for one in ready if one.pending.customer_id not in moved - gone])
        for operation in ("update", "add"):
            for batch in self._batches([one for one in ready if one.pending.operation == operation]):
                self._bar(outgoing)
                self._withdraw(run, [one.pending for one in batch if one.pending.customer_id in self._barred])
                allowed = [one for one in batch if one.pending.customer_id not in self._barred]
                if allowed:
                    is_update = operation == "update" and self.destination.capabilities.updates
                    self._send(run, "update" if is_update else "add", allowed)

    def _veto(self, run: Run, vetoed: Sequence[tuple[_Pending, Veto]]) -> None:
        """Members whom the destination cannot write down; who is on the list by older data leaves it."""
        gone = self._off(run, [pending for pending, _ in vetoed if pending.sealed is not None])
        refused = [one for one in vetoed if one[0].sealed is None or one[0].customer_id in gone]
        if refused:
            outcomes = [Outcome("rejected", veto.code, veto.message) for _, veto in refused]
            self._note(run, [pending for pending, _ in refused], outcomes, "add")

    def _off(self, run: Run, members: Sequence[_Pending]) -> set[str]:
        """Take people off under the keys that the tool knows, and say who is off. The others keep for the next time."""
        gone: set[str] = set()
        for batch in self._batches([self._known(one) for one in members]):
            outcomes = self._sent(run, "remove", batch)
            off: list[str] = []
            stuck: list[tuple[str, str]] = []
            for one, outcome in zip(batch, outcomes, strict=True):
                if outcome.proof in ON_LIST:
                    off.append(one.pending.customer_id)
                else:
                    stuck.append((one.pending.customer_id, outcome.code or outcome.proof))
            with open_ledger(self.settings) as ledger, ledger.transaction():
                self._delete_deliveries(ledger, off)
                self._end_attempt(ledger, run, outcomes)
                with _given(ledger, stuck, "customer_id", "error"):
                    ledger.run(
                        "update plan_items set item_state = 'pending', error = given.error from given"
                        " where plan_items.plan_id = ? and plan_items.customer_id = given.customer_id",
                        [run.plan_id],
                    )
            gone.update(off)
        return gone

    def _only_one_each(self, run: Run, ready: Sequence[_Ready]) -> list[_Ready]:
        """Of customers with one key at the tool the one who is on the list stays, else the first is taken."""
        with open_ledger(self.settings) as ledger, _given(ledger, [(one.key_hash,) for one in ready], "key_hash"):
            holders = dict(
                ledger.rows(
                    "select deliveries.key_hash, min(deliveries.customer_id) from deliveries semi join given on"
                    " deliveries.key_hash = given.key_hash where sync_name = ? and destination_name = ?"
                    " group by deliveries.key_hash",
                    self._mine,
                )
            )
        for one in ready:
            holders.setdefault(one.key_hash, one.pending.customer_id)
        twice = [one for one in ready if holders[one.key_hash] != one.pending.customer_id]
        if twice:
            refused = Outcome("rejected", SAME_PERSON, "another customer on the list is the same person at the tool")
            members, key_hashes = [one.pending for one in twice], [one.key_hash for one in twice]
            self._note(run, members, [refused] * len(twice), "add", key_hashes=key_hashes)
        return [one for one in ready if holders[one.key_hash] == one.pending.customer_id]

    def _batches(self, ready: Sequence[_Ready]) -> Iterator[list[_Ready]]:
        by_id = {one.pending.customer_id: one for one in ready}
        encoded = [(one.pending.customer_id, one.encoded) for one in ready]
        for batch in cut(encoded, self.destination.capabilities):
            yield [by_id[customer_id] for customer_id, _ in batch]

    def _send(self, run: Run, operation: Operation, batch: Sequence[_Ready]) -> None:
        outcomes = self._sent(run, operation, batch)
        self._note(
            run,
            [one.pending for one in batch],
            outcomes,
            operation,
            sealed=[self.sealer.close(one.encoded.key, outcome.remote_id or one.remote_id)
                    for one, outcome in zip(batch, outcomes, strict=True)],
            key_hashes=[one.key_hash for one in batch],
            is_attempt=True,
        )  # fmt: skip

    def _sent(self, run: Run, operation: Operation, batch: Sequence[_Ready]) -> list[Outcome]:
        """Write down who is about to be sent, then send them."""
        key = self._begin_attempt(run, operation, batch)
        items = [
            Item(one.encoded.key, {} if operation == "remove" else one.encoded.body, one.remote_id) for one in batch
        ]
        try:
            return send_batch(self.destination, self.remote, operation, items, key, sleep=self.sleep)
        except LifecycleError as error:
            with open_ledger(self.settings) as ledger:
                ledger.run(
                    "update attempts set ended_at = ?, outcome = 'failed', message = ?"
                    " where sync_run_id = ? and ended_at is null",
                    [utc(self.now), scrub(error.problem), run.sync_run_id],
                )
            raise

    # --- the ledger --------------------------------------------------------------------------------------------------

    def _begin_attempt(self, run: Run, operation: Operation, batch: Sequence[_Ready]) -> str:
        rows = [(one.pending.customer_id, one.key_hash, one.sealed) for one in batch]
        columns = ("customer_id", "key_hash", "sealed")
        with open_ledger(self.settings) as ledger, _given(ledger, rows, *columns), ledger.transaction():
            ledger.run(
                "update plan_items set item_state = 'in_flight', attempt_count = attempt_count + 1"
                " from given where plan_items.plan_id = ? and plan_items.customer_id = given.customer_id",
                [run.plan_id],
            )
            if operation != "remove":
                self._put_deliveries(ledger, run, UNPROVEN)
            number = ledger.scalar(
                "select coalesce(max(attempt_number), 0) + 1 from attempts where sync_run_id = ?", [run.sync_run_id]
            )
            ledger.run(
                "insert into attempts (sync_run_id, attempt_number, started_at, operation, member_count)"
                " values (?, ?, ?, ?, ?)",
                [run.sync_run_id, number, utc(self.now), operation, len(batch)],
            )
        return f"{run.sync_run_id}.{number}"

    def _put_deliveries(self, ledger: Warehouse, run: Run, payload: str | None) -> None:
        """A delivery for everybody in ``given``; a payload of None is that of the plan."""
        ledger.run(
            "delete from deliveries using given where deliveries.customer_id = given.customer_id"
            " and sync_name = ? and destination_name = ?",
            self._mine,
        )
        wanted = "items.payload" if payload is None else literal(payload)
        ledger.run(
            "insert into deliveries (sync_name, destination_name, customer_id, payload, encoder, plan_id,"
            f" delivered_at, key_hash, sealed) select ?, ?, given.customer_id, {wanted}, ?, ?, ?, given.key_hash,"
            " given.sealed from given inner join plan_items as items on items.customer_id = given.customer_id"
            " and items.plan_id = ?",
            [*self._mine, run.encoder, run.plan_id, utc(self.now), run.plan_id],
        )

    def _delete_deliveries(self, ledger: Warehouse, customer_ids: Sequence[str]) -> None:
        with _given(ledger, [(one,) for one in customer_ids], "customer_id"):
            ledger.run(
                "delete from deliveries using given where deliveries.customer_id = given.customer_id"
                " and sync_name = ? and destination_name = ?",
                self._mine,
            )

    def _note(
        self,
        run: Run,
        members: Sequence[_Pending],
        outcomes: Sequence[Outcome],
        operation: str,
        *,
        sealed: Sequence[bytes] | None = None,
        key_hashes: Sequence[str] | None = None,
        is_attempt: bool = False,
    ) -> None:
        """What became of members: their items, their deliveries, and refusals that are not asked for again."""
        states = {"applied": "applied", "already": "applied", "accepted": "accepted", "rejected": "rejected"}
        rows = [
            (
                one.customer_id,
                states.get(outcome.proof, "pending"),
                ": ".join(part for part in (outcome.code, outcome.message) if part) or None,
                outcome.code or "refused",
                outcome.message or None,
                outcome.handle,
                key_hashes[place] if key_hashes else None,
                sealed[place] if sealed else None,
            )
            for place, (one, outcome) in enumerate(zip(members, outcomes, strict=True))
        ]
        columns = ("customer_id", "item_state", "error", "code", "message", "handle", "key_hash", "sealed")
        with open_ledger(self.settings) as ledger, ledger.transaction():
            with _given(ledger, rows, *columns):
                ledger.run(
                    "update plan_items set item_state = given.item_state, error = given.error,"
                    " handle = given.handle from given where plan_items.plan_id = ?"
                    " and plan_items.customer_id = given.customer_id",
                    [run.plan_id],
                )
                if operation != "remove":
                    self._refuse(ledger, run)
            if is_attempt:
                self._end_attempt(ledger, run, outcomes)
            done = [row for row in rows if row[1] == "applied"]
            if operation == "remove":
                self._delete_deliveries(ledger, [row[0] for row in done])
            else:
                with _given(ledger, [(row[0], row[6], row[7]) for row in done], "customer_id", "key_hash", "sealed"):
                    self._put_deliveries(ledger, run, None)
                # Refused under a key that is new for them, they are not on the list; under the one that they had
                # they stay as they were.
                refused = [
                    row[0]
                    for row, one in zip(rows, members, strict=True)
                    if row[1] == "rejected" and (one.key_hash is None or one.key_hash != row[6])
                ]
                self._delete_deliveries(ledger, refused)

    def _refuse(self, ledger: Warehouse, run: Run) -> None:
        """Refusals of ``given``: kept with what was refused, so that the same is not sent again."""
        ledger.run(
            "delete from rejections using given where rejections.customer_id = given.customer_id"
            " and sync_name = ? and destination_name = ?",
            self._mine,
        )
        ledger.run(
            "insert into rejections select ?, ?, given.customer_id, items.payload, ?, given.code, given.message,"
            " given.key_hash, ? from given inner join plan_items as items on items.customer_id = given.customer_id"
            " and items.plan_id = ? where given.item_state = 'rejected'",
            [*self._mine, run.encoder, utc(self.now), run.plan_id],
        )

    def _end_attempt(self, ledger: Warehouse, run: Run, outcomes: Sequence[Outcome]) -> None:
        counts = Counter(outcome.proof for outcome in outcomes)
        ledger.run(
            "update attempts set ended_at = ?, outcome = ?, message = ? where sync_run_id = ? and ended_at is null",
            [
                utc(self.now),
                "applied" if set(counts) <= ON_LIST else "partial",
                ", ".join(f"{count:,} {proof}" for proof, count in sorted(counts.items())),
                run.sync_run_id,
            ],
        )

    def _withdraw(self, run: Run, members: Sequence[_Pending]) -> None:
        """Not wanted any more since the plan was made; who is on the list already leaves it with the next plan."""
        if members:
            rows = [(one.customer_id,) for one in members]
            with open_ledger(self.settings) as ledger, _given(ledger, rows, "customer_id"):
                ledger.run(
                    "update plan_items set item_state = 'withdrawn' from given"
                    " where plan_items.plan_id = ? and plan_items.customer_id = given.customer_id",
                    [run.plan_id],
                )

    # --- members -----------------------------------------------------------------------------------------------------

    def _bar(self, outgoing: Warehouse) -> None:
        """When a newer publication is out meanwhile, its consent counts: who is off its list is not added any more."""
        from lifecycle.serving.publication import current

        newest = current(self.settings.state)
        known = (self._barred_by.run_id, self._barred_by.published_at)
        if newest is None or (newest.run_id, newest.published_at) == known:
            return
        with open_duckdb(
            Path(":memory:"),
            memory_limit=self.settings.warehouse.memory_limit,
            threads=self.settings.warehouse.threads,
            spill=self.settings.state.spill,
            max_spill=self.settings.warehouse.max_spill,
        ) as later, attached(later, newest):  # fmt: skip
            query = desired_sql(self.sync, catalog=f"{PUBLIC}.", pii_catalog=f"{PII}.")
            still = {
                one for (one,) in later.rows(f"select customer_id from ({query}) as desired where taken_off is null")
            }
        self._barred = {one for (one,) in outgoing.rows("select customer_id from outgoing")} - still
        self._barred_by = newest

    def _data(self, chunk: Sequence[_Pending], outgoing: Warehouse) -> dict[str, Member]:
        with _given(outgoing, [(one.customer_id,) for one in chunk], "customer_id"):
            rows = outgoing.dicts("select outgoing.* from outgoing semi join given using (customer_id)")
        return {
            row["customer_id"]: Member(
                row["customer_id"],
                {kind: str(row[kind]) for kind in self.sync.identifiers if row[kind] is not None},
                {name: row[name] for name in self.sync.attributes},
            )
            for row in rows
        }

    # --- what is applied later ---------------------------------------------------------------------------------------

    def _poll(self, run: Run) -> None:
        """Ask what became of members that the tool accepted, until it has done with them or the time is up."""
        waited = 0.0
        while True:
            waiting = self._accepted(run)
            if not waiting:
                return
            for handle, members in waiting.items():
                known = [self.sealer.open(one.sealed or b"") for one in members]
                items = [Item(key, {}, remote_id) for key, remote_id in known]
                if not applies_later(self.destination):
                    raise LifecycleError(
                        "members were accepted for later by a tool that applies at once",
                        where=f"destination '{self.destination.name}'",
                        remedy="This is a mistake of the destination; its contract tests show it.",
                    )
                found = self.destination.poll(self.remote, handle, items)
                if found is not None:
                    operation = "remove" if members[0].operation == "remove" else "add"
                    self._note(
                        run,
                        members,
                        list(found.outcomes),
                        operation,
                        sealed=[
                            self.sealer.close(item.key, outcome.remote_id or item.remote_id)
                            for item, outcome in zip(items, found.outcomes, strict=True)
                        ],
                        key_hashes=[one.key_hash or "" for one in members],
                    )
            if not self._accepted(run) or waited >= POLL_SECONDS:
                return
            self.sleep(POLL_PAUSE)
            waited += POLL_PAUSE

    def _accepted(self, run: Run) -> dict[str, list[_Pending]]:
        with open_ledger(self.settings) as ledger:
            rows = ledger.rows(
                "select items.handle, items.customer_id, items.operation, items.payload, deliveries.key_hash,"
                " deliveries.sealed from plan_items as items inner join deliveries on deliveries.customer_id ="
                " items.customer_id and deliveries.sync_name = ? and deliveries.destination_name = ?"
                " where items.plan_id = ? and items.item_state = 'accepted' order by items.handle, items.customer_id",
                [*self._mine, run.plan_id],
            )
        found: dict[str, list[_Pending]] = {}
        for handle, *rest in rows:
            found.setdefault(handle, []).append(_Pending(*rest))
        return found

    # --- the end -----------------------------------------------------------------------------------------------------

    def close(self, run: Run, outcome: RunOutcome, *, is_resumed: bool = False) -> Delivery:
        states = self._states(run)
        left = run.changes - sum(states[state] for state in ("applied", "rejected", "withdrawn"))
        if left:
            self._demand_all_sent(run, states, left)
        missing, stray = self._drift() if run.changes and self.sync.read_back else (None, None)
        with open_ledger(self.settings) as ledger, ledger.transaction():
            ledger.run("update plans set plan_state = 'applied' where plan_id = ?", [run.plan_id])
            ledger.run(
                "update runs set ended_at = ?, outcome = ?, rejected_count = ?, missing_count = ?, stray_count = ?"
                " where sync_run_id = ?",
                [utc(self.now), outcome, states["rejected"], missing, stray, run.sync_run_id],
            )
            kept, distinct = ledger.rows(
                "select count(*), count(distinct customer_id) from deliveries"
                " where sync_name = ? and destination_name = ?",
                self._mine,
            )[0]
            planned = ledger.scalar("select count(*) from plan_items where plan_id = ?", [run.plan_id])
            self.demand_accounts(
                {
                    "planned = applied + rejected + withdrawn + pending": (run.changes, planned, sum(states.values())),
                    "desired = unchanged + added + updated + vetoed": (
                        run.desired_count,
                        run.unchanged_count + run.added_count + run.updated_count + run.vetoed_count,
                    ),
                    "one row per member": (kept, distinct),
                },
                run,
            )
        return self.delivery(
            outcome,
            run,
            is_resumed=is_resumed,
            rejected_count=states["rejected"],
            missing_count=missing,
            stray_count=stray,
        )

    def _states(self, run: Run) -> Counter[str]:
        with open_ledger(self.settings) as ledger:
            return Counter(
                dict(
                    ledger.rows(
                        "select item_state, count(*) from plan_items where plan_id = ? group by item_state",
                        [run.plan_id],
                    )
                )
            )

    def _demand_all_sent(self, run: Run, states: Counter[str], left: int) -> None:
        with open_ledger(self.settings) as ledger:
            reasons = ledger.rows(
                "select coalesce(error, 'not sent'), count(*) from plan_items where plan_id = ?"
                " and item_state in ('pending', 'in_flight', 'accepted') group by 1 order by 2 desc, 1 limit 3",
                [run.plan_id],
            )
        why = "; ".join(f"{count:,} {reason}" for reason, count in reasons)
        raise LifecycleError(
            f"{left:,} of {run.changes:,} changes are not proved yet ({why}); {states['applied']:,} are",
            where=f"sync '{self.sync.key}', run {run.sync_run_id}",
            remedy="Publish again: it goes on with these alone.",
        )

    def _drift(self) -> tuple[int | None, int | None]:
        """How the tool's list differs from the ledger: members missing there, and others who are there."""
        found = self.destination.read_back(self.remote)
        if found is None:
            return None, None
        with open_ledger(self.settings) as ledger:
            if isinstance(found, int):
                here = ledger.scalar(
                    "select count(*) from deliveries where sync_name = ? and destination_name = ?", self._mine
                )
                return max(0, here - found), max(0, found - here)
            hashes = ((self.sealer.key_hash(key),) for key in found)
            with _given(ledger, list(hashes), "key_hash"):
                here = "(select key_hash from deliveries where sync_name = ? and destination_name = ?) as here"
                missing = ledger.scalar(
                    f"select count(*) from {here} anti join given on here.key_hash = given.key_hash", self._mine
                )
                stray = ledger.scalar(
                    f"select count(*) from given anti join {here} on here.key_hash = given.key_hash", self._mine
                )
            return missing, stray


@contextmanager
def _given(warehouse: Warehouse, rows: Sequence[tuple[Any, ...]], *columns: str) -> Iterator[None]:
    """Rows as the relation ``given`` for as long as the block lasts. Texts, but for ``sealed``."""
    import pyarrow

    types: dict[str, pa.DataType] = {"sealed": pyarrow.binary()}
    arrays = [
        pyarrow.array([row[place] for row in rows], types.get(name, pyarrow.string()))
        for place, name in enumerate(columns)
    ]
    warehouse.connection.register("given", pyarrow.table(arrays, names=list(columns)))
    try:
        yield
    finally:
        warehouse.connection.unregister("given")
