"""The header Retry-After, by which a server asks to be left alone for a while."""

import email.utils
import time


def retry_after_s(text: str) -> float:
    """Return the seconds that a server asks to be left alone; 0 where it says nothing that can be read."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0
