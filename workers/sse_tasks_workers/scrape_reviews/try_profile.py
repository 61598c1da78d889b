"""Tries a site profile on a saved page and shows what it finds.

``python -m sse_tasks_workers.scrape_reviews.try_profile PROFILE PAGE.html [--url URL] [--folder FOLDER] [--json]``

PROFILE is a ``.toml`` or ``.json`` file, the name of a profile that ships or stands in FOLDER, or the profile itself as
JSON. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from sse_tasks import TaskError

from .addresses import is_web_address
from .extraction import Page, read_page
from .markup import capped, page_language, parse_page
from .profile_reading import fits, next_control, page_count, read_by_profile
from .profiles import Fields, Profile, find_profile
from .records import Review
from .setting import PageSetting

__all__ = ["main"]

_COLUMNS = {"author": 18, "rating": 14, "date": 25, "title": 24, "body": 44}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Gives 0 where reviews were found, 1 where none were, 2 where the profile or page can't be used."""
    parser = argparse.ArgumentParser(prog="try_profile", description="Try a site profile on a saved page.")
    parser.add_argument("profile", help="a .toml or .json file, a profile's name, or the profile as JSON")
    parser.add_argument("page", type=Path, help="the saved page")
    parser.add_argument("--url", default="http://page.example/", help="the page's address: links are relative to it")
    parser.add_argument("--folder", help="a folder with profiles of one's own")
    parser.add_argument("--json", action="store_true", help="one review a line, all fields")
    given = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that hasn't all letters shows the others as their codes
        sys.stdout.reconfigure(errors="backslashreplace")
    if not is_web_address(given.url):
        print(f"--url {given.url!r} is no web address. It has to begin with http:// or https://.", file=sys.stderr)
        return 2
    try:
        profile = find_profile(given.profile, given.folder)
        html = given.page.read_bytes().decode("utf-8", "replace")
    except TaskError as why:
        print(why, file=sys.stderr)
        return 2
    except OSError as why:
        print(f"The page {given.page} can't be read: {why.strerror}.", file=sys.stderr)
        return 2
    html, _ = capped(html)
    root = parse_page(html)
    if root is None:
        print(f"The page {given.page} is empty.", file=sys.stderr)
        return 2
    setting = PageSetting(given.url, given.url, 1, dt.datetime.now(dt.UTC), page_language(root))
    reviews = read_by_profile(profile, root, setting)
    if given.json:
        for review in reviews:
            print(json.dumps(msgspec.to_builtins(review), ensure_ascii=not _shows_all_letters()))
    else:
        _report(profile, root, setting, html, reviews)
        _beside(read_page(html, given.url, base=setting.base, profiles=[msgspec.structs.replace(profile, match=[])]))
    return 0 if reviews else 1


def _shows_all_letters() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def _report(profile: Profile, root: Any, setting: PageSetting, html: str, reviews: Sequence[Review]) -> None:
    print(f"Profile {profile.name}: {len(reviews)} review{'' if len(reviews) == 1 else 's'}")
    if profile.match:
        answer = "yes" if fits(profile, root, setting.url, html) else "no"
        print(f"Would it be taken for {setting.url} by itself? {answer}")
    target, more = next_control(profile, root, setting)
    told = {"next page": target, "load more": more, "says that there are": page_count(root, profile.total),
            "ratings": page_count(root, profile.total_ratings)}
    for name, value in told.items():
        if value is not None:
            print(f"{name}: {value}")
    if not reviews:
        print(f"Its review selector {profile.review!r} gives no block with words or a rated author on this page.")
        return
    print("\n  #  " + "  ".join(name.ljust(width) for name, width in _COLUMNS.items()).rstrip())
    for number, review in enumerate(reviews, 1):
        cells = (_cut(_cell(review, name), width).ljust(width) for name, width in _COLUMNS.items())
        print(f"{number:3}  " + "  ".join(cells).rstrip())
    _report_fields(profile, reviews)


def _report_fields(profile: Profile, reviews: Sequence[Review]) -> None:
    """A selector that finds nothing, or something that can't be read, shows itself here."""
    print("\nHow often each field was found:")
    for name in Fields.__struct_fields__:
        asked = getattr(profile.fields, name) is not None or (name == "item" and profile.item is not None)
        found = sum(getattr(review, name) is not None for review in reviews)
        if not asked and not found:
            continue
        unread = sum(getattr(review, name + "_raw") is not None and getattr(review, name) is None
                     for review in reviews) if name in {"date", "rating"} else 0
        remark = f", {unread} can't be read" if unread else "" if asked else " (not by the profile)"
        print(f"  {name:14} {found:4} of {len(reviews)}{remark}")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[:width - 1] + "…"


def _cell(review: Review, name: str) -> str:
    if name == "rating":
        text = "–" if review.rating is None else f"{review.rating:g}" + (
            f" of {review.rating_best:g}" if review.rating_best is not None else "")
    elif name == "date":
        text = review.date or (f"? {review.date_raw}" if review.date_raw else "–")
    else:
        text = getattr(review, name) or "–"
    return " ".join(text.split())


def _beside(page: Page) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in page.sources.items()) or "nothing"
    print(f"\nAll that the scraper finds on this page with it: {len(page.reviews)} ({counts}).")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # "| head" has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
