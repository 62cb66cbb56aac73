"""What a tool knows somebody by, kept so that nobody can read it in the ledger.

Belongs here: closing and opening, and the keyed hash by which equal people at a tool are found.
Does not belong here: where it is kept (``ledger.py``).

Somebody who changed their address, was merged or erased is still to be taken off a list, by the address that the tool
knows. So it is kept, closed with a key that is not in the ledger (AES-256-GCM; NIST SP 800-38D), and goes with the
member.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE = 12


@dataclass(frozen=True)
class Sealer:
    """Closes and opens what one sync's tool knows people by. ``secret`` is that of the keyed hashes."""

    secret: bytes
    sync_name: str

    def key_hash(self, key: str) -> str:
        """Equal for equal keys of this sync, and of no use without the secret."""
        return hmac.new(self._key("keys of"), key.encode(), hashlib.sha256).hexdigest()

    def close(self, key: str, remote_id: str | None) -> bytes:
        nonce = secrets.token_bytes(NONCE)
        return nonce + self._cipher.encrypt(nonce, json.dumps([key, remote_id]).encode(), self.sync_name.encode())

    def open(self, sealed: bytes) -> tuple[str, str | None]:
        """Key and remote id. Raises LifecycleError when the secret is another one than it was."""
        from cryptography.exceptions import InvalidTag

        try:
            text = self._cipher.decrypt(sealed[:NONCE], sealed[NONCE:], self.sync_name.encode())
        except InvalidTag as error:
            raise LifecycleError(
                "whom to take off cannot be read: the secret is another one than when the list was sent",
                where=f"sync '{self.sync_name}'",
                remedy="Bring hash.key of the state folder (or LIFECYCLE_HASH_KEY) back.",
            ) from error
        key, remote_id = json.loads(text)
        return key, remote_id

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key("addresses of"))

    def _key(self, purpose: str) -> bytes:
        return hmac.new(self.secret, f"{purpose} {self.sync_name}".encode(), hashlib.sha256).digest()
