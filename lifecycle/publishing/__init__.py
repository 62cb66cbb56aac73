"""Keeps lists at other tools equal to segments: plan, guards, gate, apply, ledger.

Belongs here: the engine. It knows members and operations, never a vendor's protocol.
Does not belong here: how one kind of destination is written to (``destinations/``).
"""
