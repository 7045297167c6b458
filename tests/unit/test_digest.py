from __future__ import annotations

import hashlib
import threading

from courier.delivery.digest import WORTH_HANDING_OVER_BYTES, Digest


def test_chunks_of_any_size_are_hashed_in_their_order() -> None:
    large = bytes(range(256)) * (WORTH_HANDING_OVER_BYTES // 256)
    chunks = [b"first", large, b"between", large[::-1], large, b"", b"last"]
    digest = Digest()
    for chunk in chunks:
        digest.update(chunk)
    assert digest.hexdigest() == hashlib.sha256(b"".join(chunks)).hexdigest()
    digest.close()


def test_its_thread_ends_with_it() -> None:
    before = threading.active_count()
    digest = Digest()
    digest.update(bytes(WORTH_HANDING_OVER_BYTES))
    assert threading.active_count() == before + 1
    digest.close()
    assert threading.active_count() == before
