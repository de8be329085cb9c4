"""``get`` and ``post`` of httpx for addresses without TLS, each call over a connection of its own.

httpx itself reads its list of authorities at every such call, which costs more than the call.
"""

from __future__ import annotations

import ssl
from functools import partial
from typing import Final

import httpx

_TRUSTS_NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

get = partial(httpx.get, verify=_TRUSTS_NOBODY)
post = partial(httpx.post, verify=_TRUSTS_NOBODY)
