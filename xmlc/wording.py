"""The wording of messages: did-you-mean hints, and what other libraries say in our form."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, as a question, or None where none is close."""
    close = get_close_matches(name, list(known), n=1)
    return f"did you mean '{close[0]}'?" if close else None


def known_names(name: str, known: Iterable[str]) -> str:
    """`did_you_mean`, or else all the known names."""
    names = sorted(known)
    return did_you_mean(name, names) or ("known: " + ", ".join(names) if names else "there are none")


def in_our_words(message: str) -> str:
    """Lower case at the start, unless an abbreviation stands there, and no full stop at the end."""
    message = message.strip().rstrip("!.")
    return message if message[:2].isupper() else message[:1].lower() + message[1:]
