"""Keyed hashes computed in SQL are HMAC-SHA-256."""

from __future__ import annotations

import hashlib
import hmac

import duckdb

from lifecycle.serving.publication import keyed_hash, keyed_hash_parameters


def test_the_sql_agrees_with_pythons_hmac() -> None:
    key, texts = b"a secret", ["", "shop\x1f17", "Größe 4", "x" * 1_000]
    derived = hmac.new(key, b"links", hashlib.sha256).digest()
    for text in texts:
        found = duckdb.execute(
            f"select {keyed_hash('v')} from (values (?)) as texts(v)", [*keyed_hash_parameters(key, "links"), text]
        ).fetchall()
        assert found == [(hmac.new(derived, text.encode(), hashlib.sha256).hexdigest(),)]


def test_two_purposes_cannot_be_joined() -> None:
    assert keyed_hash_parameters(b"key", "links") != keyed_hash_parameters(b"key", "deliveries")
