"""A date as a page writes it, to ISO 8601 and how precise it is. What could be two dates is none.

ISO forms and all-number dates are read here; only what holds words goes to dateparser, with the page's language and
the page's time, since left to itself it takes "5" and "on:" for dates and 11-08-2014 for whatever it likes.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

from .records import plain_digits

__all__ = ["PageDate", "parse_date"]

PageDate = tuple[str | None, str | None]
"""ISO date (or None) and its precision (or None)."""

_ISO = re.compile(
    r"(?P<y>\d{4})(?:-?(?P<m>\d{2})(?:-?(?P<d>\d{2})"
    r"(?:[T ]\s?(?P<H>\d{2})(?::?(?P<M>\d{2})(?::?(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?)?"
    r"\s?(?P<z>Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?)?)?",
    re.ASCII,
)
_CJK = re.compile(r"(\d{4})\s*[年년]\s*(\d{1,2})\s*[月월](?:\s*(\d{1,2})\s*[日일])?")
_YEAR_FIRST = re.compile(r"(?<!\d)(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?!\d)", re.ASCII)
_NUMERIC = re.compile(r"(?<!\d)(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?!\d)", re.ASCII)
_SHORT_YEAR = re.compile(r"(?:\D{0,30}[\s:])?(\d{1,2})([/.])(\d{1,2})\2(\d{2})(?:,?\s+\d{1,2}:\d\d\D*)?", re.ASCII)
_YEAR_FIRST_LANGUAGES = {"", "ja", "zh", "ko", "hu", "lt", "mn", "fa", "eu"}
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_MONTH_FIRST_TAGS = {"en-us", "en-ph", "es-us"}
_COMMON_LANGUAGES = ["en", "de", "fr", "es", "it", "pt", "nl", "pl", "sv", "da", "tr", "ru", "ja", "zh"]
_YEARS = range(1900, 2201)
"""Others are no review's: programs write year 1 or 9999 for "none", and Thailand and Iran count from elsewhere."""
_TEXT_LIMIT = 120  # characters; a date with words round it is shorter


def parse_date(raw: str, language: str | None = None, base: dt.datetime | None = None,
               order: str | None = None) -> PageDate:
    """``raw`` as an ISO date and its precision, ``(None, None)`` where it is none or could be two.

    ``language`` is the page's tag (``en-GB``), ``base`` the time of the page: needed for "2 days ago". ``order``
    (``day-month-year`` or ``month-day-year``) is what is known of the site's all-number dates.
    """
    text = " ".join(plain_digits(raw).split()).strip(" :·|,")
    if iso := _ISO.fullmatch(text):
        return _from_iso(iso)
    if len(text) > _TEXT_LIMIT:
        return None, None
    if match := _CJK.search(text) or _YEAR_FIRST.search(text):
        year, month, day = match[1], match[2], match[3]
        return _day(int(year), int(month), int(day)) if day else _padded(int(year), int(month))
    if match := _NUMERIC.search(text):
        return _from_numbers(int(match[1]), int(match[3]), int(match[4]), language, order)
    if (match := _SHORT_YEAR.fullmatch(text)) and "version" not in text.lower():
        return _from_short(int(match[1]), int(match[3]), 2000 + int(match[4]), language, order, base)
    return _from_words(text, language, base)


def _from_iso(match: re.Match[str]) -> PageDate:
    part = match.groupdict()
    if part["m"] is None:
        return _padded(int(part["y"]))
    if part["d"] is None:
        # Six digits in a row are as often a number as a month.
        return _padded(int(part["y"]), int(part["m"])) if "-" in match[0] else (None, None)
    if part["H"] is None:
        return _day(int(part["y"]), int(part["m"]), int(part["d"]))
    if int(part["y"]) not in _YEARS:
        return None, None
    try:
        moment = dt.datetime(
            int(part["y"]), int(part["m"]), int(part["d"]), int(part["H"]), int(part["M"] or 0), int(part["S"] or 0),
            int((part["f"] or "0")[:6].ljust(6, "0")), tzinfo=_zone(part["z"]),
        )
    except ValueError:  # 24:00, or no such day
        return _day(int(part["y"]), int(part["m"]), int(part["d"]))
    precision = "hour" if part["M"] is None else "minute" if part["S"] is None else "second"
    timespec = "milliseconds" if part["f"] and len(part["f"].rstrip("0")) <= 3 else "auto"
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z"), precision


def _zone(text: str | None) -> dt.tzinfo | None:
    if text is None:
        return None
    if text.upper() in {"Z", "UTC", "GMT"}:
        return dt.UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return dt.timezone(-offset if text[0] == "-" else offset)


def _day(year: int, month: int, day: int) -> PageDate:
    if year not in _YEARS:
        return None, None
    try:
        return dt.date(year, month, day).isoformat(), "day"
    except ValueError:
        return None, None


def _padded(year: int, month: int | None = None) -> PageDate:
    padded, _ = _day(year, month or 1, 1)
    return (padded, "month" if month else "year") if padded else (None, None)


def _from_numbers(first: int, second: int, year: int, language: str | None, order: str | None) -> PageDate:
    """Day and month, told apart by what can't be a month or by the language's order; else nobody knows."""
    if first > 12 or first == second:
        return _day(year, second, first)
    if second > 12:
        return _day(year, first, second)
    if order is not None:
        return _day(year, second, first) if order == "day-month-year" else _day(year, first, second)
    tag = (language or "").lower().replace("_", "-")
    if tag in _MONTH_FIRST_TAGS:
        return _day(year, first, second)
    if tag in {"", "en"}:  # plain "en" is written on both sides of the Atlantic
        return None, None
    return _day(year, second, first)


def _from_short(first: int, second: int, year: int, language: str | None, order: str | None,
                base: dt.datetime | None) -> PageDate:
    """With a year of two digits, which may be the first ones as well."""
    if base is not None and year > base.year:
        return None, None
    primary = (language or "").lower().replace("_", "-").split("-")[0]
    if order is None and second <= 12 and primary in _YEAR_FIRST_LANGUAGES:
        return None, None
    return _from_numbers(first, second, year, language, order)


def _from_words(text: str, language: str | None, base: dt.datetime | None) -> PageDate:
    tokens = text.split(" ")
    digit = next((i for i, token in enumerate(tokens) if any(c.isdigit() for c in token)), None)
    absolute = _YEAR.search(text) is not None
    if absolute and digit is not None:
        # "Reviewed in Spain on 8 April 2016", "el 25 de agosto de 2017", "on May 5, 2016": words before it confuse.
        year = max(i for i, token in enumerate(tokens) if _YEAR.search(token)) + 1
        for end in dict.fromkeys((len(tokens), year)):  # and so may words behind it: "… 2016 by Ann"
            for start in range(max(digit - 2, 0), digit + 1):
                found = _dateparser(" ".join(tokens[start:end]), language, True, None)
                if found and (found[1] != "day" or re.search(rf"(?<!\d)0?{int(str(found[0])[8:])}(?!\d)", text)):
                    return found  # with no day that the text doesn't have
        return None, None
    if base is None or not any(c.isalpha() for c in text):
        return None, None
    spans = [(0, len(tokens))] if digit is None else [(0, len(tokens)), (digit, len(tokens)), (digit, digit + 3)]
    for start, end in dict.fromkeys(spans):  # "Posted 2 weeks ago by Ann"
        if found := _dateparser(" ".join(tokens[start:end]), language, False, base):
            return found
    counted = _counted(text.casefold(), language)
    return (counted and _dateparser(counted, language, False, base)) or (None, None)


# How a language says "one" unit ago where dateparser only knows its digits. Whole texts only: nothing else is touched.
_ONE_UNIT = {
    "it": (("un'", "1 "), ("un ", "1 "), ("una ", "1 "), ("uno ", "1 ")),
    "nl": (("een ", "1 "),),
    "pl": (("miesiąc temu", "1 miesiąc temu"), ("tydzień temu", "1 tydzień temu"), ("rok temu", "1 rok temu"),
           ("dzień temu", "1 dzień temu"), ("godzinę temu", "1 godzinę temu")),
    "fi": (("kuukausi sitten", "1 kuukausi sitten"), ("viikko sitten", "1 viikko sitten"),
           ("vuosi sitten", "1 vuosi sitten")),
    "tr": (("bir ", "1 "),),
    "uk": (("місяць тому", "1 місяць тому"), ("тиждень тому", "1 тиждень тому"), ("рік тому", "1 рік тому")),
    "ro": (("acum o ", "acum 1 "), ("acum un ", "acum 1 ")),
    "el": (("πριν από ένα ", "πριν από 1 "), ("πριν από ένας ", "πριν από 1 "), ("πριν από μία ", "πριν από 1 "),
           ("χρόνια", "έτη")),
    "zh": (("一", "1"), ("两", "2"), ("三", "3")),
    "ko": (("한 달", "1개월"), ("두 달", "2개월"), ("일주일", "1주")),
    "he": (("לפני חודש", "לפני 1 חודש"), ("לפני שבוע", "לפני 1 שבוע"), ("לפני שנה", "לפני 1 שנה")),
    "hi": (("एक महीने", "1 माह"), ("एक ", "1 ")),
    "ar": (("شهرين", "2 شهر"), ("منذ شهر", "منذ 1 شهر"), ("منذ سنتين", "منذ 2 سنة"), ("منذ سنة", "منذ 1 سنة"),
           ("منذ أسبوع", "منذ 1 أسبوع"), ("سنوات", "سنة")),
}


def _counted(text: str, language: str | None) -> str | None:
    """The text with its "one" as a digit, None where it holds none."""
    primary = (language or "").lower().replace("_", "-").split("-")[0]
    for words, digits in _ONE_UNIT.get(primary, ()):
        if text.startswith(words) or (primary in {"ar", "el"} and words in text):
            return text.replace(words, digits, 1)
    return None


@lru_cache(maxsize=4096)
def _dateparser(text: str, language: str | None, absolute: bool, base: dt.datetime | None) -> PageDate | None:
    from dateparser.date import DateDataParser

    settings = {
        "PARSERS": ["absolute-time"] if absolute else ["relative-time"],
        "REQUIRE_PARTS": ["month", "year"] if absolute else [],
        "PREFER_DAY_OF_MONTH": "first",
        "RETURN_AS_TIMEZONE_AWARE": False,
    }
    if base is not None:
        settings["RELATIVE_BASE"] = base.replace(tzinfo=None)
    primary = (language or "").lower().replace("_", "-").split("-")[0]
    for languages in ([primary], _COMMON_LANGUAGES) if primary else (_COMMON_LANGUAGES,):
        try:
            data = DateDataParser(languages=languages, settings=settings).get_date_data(text)
        except (ValueError, TypeError, OverflowError, RecursionError):  # an unknown language, or a surprise
            continue
        if data.date_obj is not None:
            return _truncated(data.date_obj, data.period)
    return None


def _truncated(moment: dt.datetime, period: str) -> PageDate:
    day = moment.date()
    if period == "year":
        return day.replace(month=1, day=1).isoformat(), "year"
    if period == "month":
        return day.replace(day=1).isoformat(), "month"
    return day.isoformat(), "week" if period == "week" else "day"
