"""Site profiles: declarative files that say where on a site's pages the reviews and their parts stand.

A profile is TOML or JSON of one schema (``Profile``). It holds CSS selectors and cutting rules and nothing that runs:
no code, no pattern language whose matching may take forever, no address that anything is fetched from.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from sse_tasks import TaskError

from .selectors import compiled

__all__ = [
    "DatePick", "Fields", "FlagPick", "Match", "Pick", "Profile", "RatingPick", "find_profile", "load_profiles",
    "read_profile", "shipped_profiles",
]

FILE_LIMIT_BYTES = 256 * 1024
FOLDER_LIMIT = 500
"""Files of a profile folder that are read."""

Selector = Annotated[str, Meta(max_length=400, description="A CSS selector.")]
Words = Annotated[str, Meta(max_length=200)]
Glob = Annotated[str, Meta(min_length=1, max_length=200, description="A pattern in which * is any text.")]
_Short = Annotated[list[Words], Meta(max_length=20)]


class Pick(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where a text stands: the first element that ``css`` selects within the review (the review itself where it is
    missing), its ``attribute`` or else its text without the parts that ``without`` selects, from behind the first of
    ``after`` that is in it to before the first of ``before``."""

    css: Selector = ""
    attribute: Annotated[str, Meta(pattern=r"^[A-Za-z_][\w:.-]{0,60}$")] | None = None
    without: Annotated[list[Selector], Meta(max_length=20)] = []
    after: _Short = []
    before: _Short = []


class RatingPick(Pick, kw_only=True, forbid_unknown_fields=True):
    """A rating: the text's number; ``words`` are the site's own names of ratings. ``best`` and ``worst`` are the
    site's scale, where its pages don't state it. ``stars``: a per cent or width is the lit share of so many stars.
    ``count``: the rating is how many elements this selects within ``css``."""

    words: Annotated[dict[Words, float], Meta(max_length=50)] = {}
    best: float | None = None
    worst: float | None = None
    stars: Annotated[int, Meta(ge=1, le=100)] | None = None
    count: Selector | None = None


class DatePick(Pick, kw_only=True, forbid_unknown_fields=True):
    """A date. ``language`` is that of its words, where it isn't the page's; ``order`` that of an all-number date."""

    language: Annotated[str, Meta(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$")] | None = None
    order: Literal["day-month-year", "month-day-year"] | None = None


class FlagPick(Pick, kw_only=True, forbid_unknown_fields=True):
    """Something that is so where the element is there, or its text is one of ``yes``; not so if one of ``no``."""

    yes: _Short = []
    no: _Short = []


_Pick = Selector | Pick | Annotated[list[Selector | Pick], Meta(max_length=20)]
_Rating = Selector | RatingPick | Annotated[list[Selector | RatingPick], Meta(max_length=20)]
_Date = Selector | DatePick | Annotated[list[Selector | DatePick], Meta(max_length=20)]
_Flag = Selector | FlagPick


class Fields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where each field of a review stands in its block. Of a list, the first that gives something counts."""

    id: _Pick | None = None
    author: _Pick | None = None
    author_url: _Pick | None = None
    rating: _Rating | None = None
    date: _Date | None = None
    title: _Pick | None = None
    body: _Pick | None = None
    language: _Pick | None = None
    verified: _Flag | None = None
    helpful_votes: _Pick | None = None
    reply: _Pick | None = None
    reply_author: _Pick | None = None
    reply_date: _Date | None = None
    images: _Pick | None = None
    variant: _Pick | None = None
    item: _Pick | None = None
    url: _Pick | None = None


class Match(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A kind of page: all that is given has to hold. ``hosts`` and ``paths`` are patterns with ``*`` of which one has
    to fit; ``has`` are selectors of which each has to select something."""

    hosts: Annotated[list[Glob], Meta(max_length=200)] = []
    paths: Annotated[list[Glob], Meta(max_length=50)] = []
    has: Annotated[list[Selector], Meta(max_length=20)] = []


class Profile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One site's or one review service's layout.

    ``match`` says which pages it is for (one of them has to fit; none at all is every page), ``review`` selects the
    block of each review. ``next`` selects the link to the next page, ``load_more`` the control that shows more,
    ``total`` and ``total_ratings`` where the page says how many there are, ``item`` the name of what is reviewed.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$")]
    about: Annotated[str, Meta(max_length=1000)] = ""
    match: Annotated[list[Match], Meta(max_length=20)] = []
    review: Annotated[str, Meta(min_length=1, max_length=400)]
    fields: Fields
    next: Selector | None = None
    load_more: Selector | None = None
    total: _Pick | None = None
    total_ratings: _Pick | None = None
    item: _Pick | None = None


# msgspec learns a type when it first meets it, and two threads in which it does at once crash the process.
msgspec.json.Decoder(Profile)


class _Faulty(ValueError):
    """What is wrong with a profile, with its place in it."""


def read_profile(value: Any, where: str) -> Profile:
    """``value`` (plain dicts and lists) as a profile. Raises TaskError with the place of the fault; ``where`` names
    what it was read from."""
    try:
        profile = msgspec.convert(value, Profile)
        for place, selector in _selectors(profile, "$"):
            try:
                compiled(selector)
            except ValueError as why:
                raise _Faulty(f"{why} - at `{place}`") from None
        for index, match in enumerate(profile.match):
            if not (match.hosts or match.has):
                raise _Faulty(f"Expected hosts or has, else it would match any site - at `$.match[{index}]`")
    except (msgspec.ValidationError, _Faulty) as why:
        raise _bad(where, str(why)) from None
    return profile


def _selectors(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Each selector in the profile with its place."""
    if isinstance(value, Profile):
        for name in ("review", "next", "load_more"):
            if getattr(value, name):
                yield f"{place}.{name}", getattr(value, name)
        for index, match in enumerate(value.match):
            yield from ((f"{place}.match[{index}].has[{n}]", text) for n, text in enumerate(match.has))
        for name in ("total", "total_ratings", "item"):
            yield from _selectors(getattr(value, name), f"{place}.{name}")
        for name in Fields.__struct_fields__:
            yield from _selectors(getattr(value.fields, name), f"{place}.fields.{name}")
    elif isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        for index, single in enumerate(value):
            yield from _selectors(single, f"{place}[{index}]")
    elif isinstance(value, Pick):
        if value.css:
            yield f"{place}.css", value.css
        yield from ((f"{place}.without[{n}]", text) for n, text in enumerate(value.without))
        if isinstance(value, RatingPick) and value.count:
            yield f"{place}.count", value.count


def _bad(where: str, why: str) -> TaskError:
    return TaskError(f"The site profile {where} can't be used: {why.rstrip('.')}.", code="bad_profile")


# --- where profiles come from ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def shipped_profiles() -> tuple[Profile, ...]:
    """The profiles that come with the worker, by name."""
    folder = Path(__file__).with_name("site_profiles")
    texts = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".toml")}
    return tuple(read_profile(tomllib.loads(texts[name]), name) for name in sorted(texts))


def load_profiles(given: str | dict[str, Any] | None = None, folder: str | None = None) -> list[Profile]:
    """The user's own profiles, the one that counts most first.

    ``given`` holds for every page, whatever its ``match`` says. It is the profile itself (a dict, or JSON text), the
    name of one that stands in ``folder`` or ships, or the path of a ``.toml`` or ``.json`` file. The profiles of
    ``folder`` count for the pages that they match. Raises TaskError (``bad_profile``) with what is wrong and where.
    """
    own = _folder_profiles(folder) if folder else []
    if given is None:
        return own
    chosen = msgspec.structs.replace(_chosen(given, own, folder), match=[])
    return [chosen, *(profile for profile in own if profile.name != chosen.name)]


def find_profile(given: str | dict[str, Any], folder: str | None = None) -> Profile:
    """The profile that ``load_profiles`` would take for every page, with its own ``match``."""
    return _chosen(given, _folder_profiles(folder) if folder else [], folder)


def _chosen(given: str | dict[str, Any], own: list[Profile], folder: str | None) -> Profile:
    if not isinstance(given, str):
        return read_profile(given, "given as an object")
    text = given.strip()
    if text.startswith("{"):
        return read_profile(_parsed(text, "given as JSON", ".json"), "given as JSON")
    known = [*own, *shipped_profiles()]
    if profile := next((profile for profile in known if profile.name == text), None):
        return profile
    if text.endswith((".toml", ".json")):
        path = Path(text).expanduser()
        if folder and not path.is_absolute() and not path.is_file():
            path = Path(folder).expanduser() / path
        return _file_profile(path)
    names = ", ".join(dict.fromkeys(profile.name for profile in known))
    raise TaskError(f"There is no site profile {text[:100]!r}. There are {names}; another one is given as the path of "
                    "its .toml or .json file.", code="bad_profile")


def _folder_profiles(folder: str) -> list[Profile]:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise TaskError(f"The profile folder {folder} is no folder that can be read.", code="bad_profile")
    found: list[Profile] = []
    for file in sorted(path.iterdir())[:FOLDER_LIMIT]:
        if file.suffix not in {".toml", ".json"} or file.name.startswith("."):
            continue
        profile = _file_profile(file)
        if not profile.match:
            raise _bad(str(file), "in a folder it has to say for which pages it is - at `$.match`")
        if any(other.name == profile.name for other in found):
            raise _bad(str(file), f"another file of the folder has the name {profile.name!r} too - at `$.name`")
        found.append(profile)
    return found


def _file_profile(path: Path) -> Profile:
    try:
        with open(path, "rb") as file:
            data = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as why:
        raise _bad(str(path), why.strerror or str(why)) from None
    if len(data) > FILE_LIMIT_BYTES:
        raise _bad(str(path), f"it is larger than {FILE_LIMIT_BYTES // 1024} kB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as why:
        raise _bad(str(path), f"it is no UTF-8 text: {why}") from None
    return read_profile(_parsed(text, str(path), path.suffix), str(path))


def _parsed(text: str, where: str, suffix: str) -> Any:
    try:
        return json.loads(text) if suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as why:  # both kinds of decoding errors are ValueErrors, with line and column
        raise _bad(where, f"it is no {'JSON' if suffix == '.json' else 'TOML'}: {why or 'nested too deeply'}") from None
