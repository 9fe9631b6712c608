"""JSON text, written as the SDKs of other languages write it."""

from __future__ import annotations

import json
from typing import Any


def dumps(value: Any) -> str:
    """Writes a value without spaces. Half characters are escaped, because they are no UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text


loads = json.loads


def fnv(text: str) -> int:
    """Returns the 64-bit FNV-1a hash. It detects that a text was edited; it protects against nothing."""
    value = 0xCBF2_9CE4_8422_2325
    for byte in text.encode("utf-8", "replace"):
        value = ((value ^ byte) * 0x0100_0000_01B3) & 0xFFFF_FFFF_FFFF_FFFF
    return value


def hashed(text: str) -> str:
    """Returns the hash in hexadecimal."""
    return f"{fnv(text):016x}"
