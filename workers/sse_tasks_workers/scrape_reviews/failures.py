"""Why a page didn't come, in words for a person, and whether another attempt may help."""

from __future__ import annotations

from collections.abc import Mapping

from .politeness import PageFailed, retry_after_seconds

__all__ = ["check_kind", "check_status", "failure", "first_line"]

# Errors that a second attempt can't mend. All others of the network are tried again.
_PERMANENT = {
    "ERR_TOO_MANY_REDIRECTS": "it redirects in a circle",
    "ERR_ABORTED": "it is no page: a download, or an empty answer",
    "Download is starting": "it is no page but a download",
    "ERR_CERT_": "its certificate is not valid",
    "ERR_SSL_": "no secure connection is possible",
    "ERR_UNKNOWN_URL_SCHEME": "its address is not http or https",
    "ERR_INVALID_": "its address or answer is not valid",
    "ERR_UNSAFE_PORT": "browsers refuse its port",
    "ERR_RESPONSE_HEADERS_": "its answer is not valid",
}

_STATUS_WORDS = {
    204: "it is an empty answer",
    205: "it is an empty answer",
    401: "it asks for a name and a password",
    404: "there is no such page",
    410: "the page is gone",
}


def check_status(status: int, headers: Mapping[str, str]) -> None:
    """Raises PageFailed for a status that comes with no page."""
    if status == 429 or status >= 500:
        wait = retry_after_seconds(headers.get("retry-after"))
        words = "the host wants a pause" if status == 429 else "the host fails"
        raise PageFailed(f"{words} (status {status})", attempts=3, retry_after=wait, status=status)
    if status >= 400 or status in _STATUS_WORDS:
        words = _STATUS_WORDS.get(status, "the host refuses it")
        raise PageFailed(f"{words} (status {status})", status=status)


def check_kind(status: int, headers: Mapping[str, str]) -> None:
    """Raises PageFailed for an answer that is no HTML or XML, or is meant to be saved."""
    kind = headers.get("content-type", "").split(";")[0].strip()
    if headers.get("content-disposition", "").strip().lower().startswith("attachment"):
        raise PageFailed(f"it is no page but a download ({kind[:60] or 'of no named kind'})", status=status)
    if kind and not any(word in kind.lower() for word in ("html", "xml")):
        raise PageFailed(f"it is no page but {kind[:60]}", status=status)


def failure(text: str) -> PageFailed:
    """What the browser calls an error, as a PageFailed."""
    for mark, words in _PERMANENT.items():
        if mark in text:
            return PageFailed(words)
    crashed = "crash" in text.lower() or "closed" in text.lower()
    return PageFailed("the page crashed the browser" if crashed else first_line(text), attempts=2 if crashed else 3)


def first_line(text: object) -> str:
    line = str(text).strip().split("\n")[0]
    return line.removeprefix("Page.goto: ").split(" at http")[0][:200] or "no reason given"
