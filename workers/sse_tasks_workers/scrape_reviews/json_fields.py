"""The fields of a review that is a JSON object, by the names that the web's review services and shops give them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Any

from .dates import PageDate, parse_date
from .languages import decide_language, language_tag
from .markup import absolute
from .ratings import Rating, parse_count, parse_rating
from .records import Review, clean_text, web_address, without_markup
from .setting import PageSetting

__all__ = ["flattened", "has_body", "names_a_rating", "names_a_scale", "review_of", "tells"]

_RATING = ("rating", "ratingvalue", "score", "stars", "starrating", "overallrating", "reviewrating", "ratingscore",
           "reviewscore", "star", "rate", "overallratingvalue", "userrating", "ratingout", "ratingstar", "authorrating",
           "imrating")
_SURE_BODY = ("reviewtext", "reviewbody", "reviewcontent", "reviewmessage", "reviewcomment", "reviewdescription",
              "bodyhtml", "commenttext", "comments")
_BODY = (*_SURE_BODY, "body", "content", "text", "review", "comment", "message", "description", "summary", "snippet")
_AUTHOR = ("author", "authorname", "usernickname", "nickname", "reviewer", "reviewername", "displayname", "username",
           "user", "consumer", "customer", "customername", "userdata", "authordata", "profile", "createdby", "writer",
           "authorusername", "creator", "guestdetails")
_NAME = ("displayname", "name", "nickname", "username", "fullname", "publicname", "firstname", "text", "title")
_DATE = ("submissiontime", "datepublished", "publisheddate", "publishedat", "createdat", "createddate", "creationdate",
         "datecreated", "created", "reviewdate", "date", "dateposted", "postedat", "submittedat", "submissiondate",
         "timestamp", "time", "dates", "publishdate", "reviewsubmissiontime", "timecreated", "timestampcreated",
         "ctime", "revieweddate", "updatedat", "updated")
_TITLE = ("title", "headline", "subject", "reviewtitle", "summary", "reviewheadline", "reviewsummary")
_ID = ("id", "reviewid", "uuid", "reviewuuid", "ugcid", "legacyid", "recommendationid")
_VERIFIED = ("verified", "isverified", "verifiedbuyer", "isverifiedbuyer", "verifiedpurchase", "isverifiedpurchase",
             "verifiedpurchaser", "verifiedreviewer", "buyerverified", "reviewverifiedtype", "verifiedstatus")
_VERIFIED_BADGE = re.compile(r"verified[ _-]?(?:purchase[rd]?|buyer)", re.IGNORECASE)
_HELPFUL = ("totalpositivefeedbackcount", "helpfulvotes", "helpfulcount", "helpful", "votesup", "thumbsup",
            "thumbsupcount", "upvotes", "upvotecount", "likes", "likecount", "helpfulyes", "reviewvotesup",
            "positivefeedback", "helpfulvotescount", "helpfulnessvotes")
_REPLY = ("ownerresponse", "merchantresponse", "merchantreply", "clientresponses", "reply", "response", "companyreply",
          "businessresponse", "reviewreply", "ownerreply", "sellerreply", "developerreply", "replycontent",
          "developerresponse", "itemratingreply", "partnerreply")
_REPLY_TEXT = ("response", "message", "content", "text", "body", "comment", "reply")
_IMAGES = ("images", "photos", "pictures", "media", "imagesdata", "customerimages", "reviewimages", "reviewphotos",
           "imagesfilename", "photo", "image")
_PROS, _CONS = ("positivetext", "pros"), ("negativetext", "cons")
_VARIANT = ("variant", "productvariant", "variantname", "varianttitle", "productvarianttitle", "skuname")
_LANGUAGE = ("language", "locale", "contentlocale", "lang", "languagecode", "reviewlanguage")
_BEST = ("ratingrange", "bestrating", "maxrating", "ratingmax", "maxscore", "scale", "outof")
_WORST = ("worstrating", "minrating", "ratingmin")
_WRAPPERS = ("details", "metrics", "badges", "attributes", "labels", "node", "review", "ugc", "metadata",
             "verification", "textdetails")
"""Keys of objects that hold fields of the review itself."""


def flattened(value: dict[str, Any], depth: int = 4) -> dict[str, Any]:
    """Keys without case and marks; what stands in a wrapping object as well, if no key of its own is called so."""
    flat: dict[str, Any] = {}
    inner: list[dict[str, Any]] = []
    for key, single in value.items():
        name = re.sub(r"[\W_]+", "", str(key)).lower()
        if isinstance(single, dict) and name in _WRAPPERS and depth:
            inner.append(single)
        elif single is not None and single != "":
            flat.setdefault(name, single)
    for wrapped in inner:
        for name, single in flattened(wrapped, depth - 1).items():
            flat.setdefault(name, single)
    return flat


def tells(flat: dict[str, Any]) -> tuple[bool, bool, bool]:
    """Whether it has a rating, an author and a date."""
    return _rating(flat).value is not None, _author(flat)[0] is not None, _raw_date(flat) is not None


def names_a_rating(flat: dict[str, Any]) -> bool:
    """Whether its rating is called one: a ``score`` is any comment's."""
    return any(name in flat for name in _RATING if "rating" in name or "star" in name)


def names_a_scale(flat: dict[str, Any]) -> bool:
    """Whether it says out of how many its rating is."""
    return _rating(flat).best is not None


def has_body(flat: dict[str, Any], plain: bool) -> bool:
    """Whether it has words; ``plain``: also under names that other things have for theirs (``description``)."""
    sure = (*_SURE_BODY, "body", "content", "comment", "review", "text", *_PROS)
    return _text(flat, (*_BODY, *_PROS, *_CONS) if plain else sure) is not None


def review_of(flat: dict[str, Any], setting: PageSetting) -> Review:
    """The record of a flattened object."""
    body = _text(flat, _BODY) or "\n".join(filter(None, (_text(flat, _PROS), _text(flat, _CONS)))) or None
    title = _text(flat, [name for name in _TITLE if name != "summary" or _text(flat, ["summary"]) != body])
    stated = language_tag(_text(flat, _LANGUAGE))
    language, language_source = decide_language(stated, setting.language, title, body)
    author, author_url = _author(flat)
    rating = _rating(flat)
    date_raw = _raw_date(flat)
    date, precision = _date(date_raw, setting)
    reply, reply_author, reply_date = _reply(flat, setting)
    url = _text(flat, ("url", "reviewurl", "permalink", "link"))
    return Review(
        id=_text(flat, _ID, 1000),
        author=author,
        author_url=web_address(absolute(author_url, setting.address)) if author_url else None,
        rating=rating.value,
        rating_raw=rating.raw,
        rating_best=rating.best,
        rating_worst=rating.worst,
        rating_normalised=rating.normalised,
        date=date,
        date_raw=clean_text(date_raw, 200),
        date_precision=precision,
        title=title,
        body=body,
        language=language,
        language_source=language_source,
        verified=_verified(flat),
        helpful_votes=next((count for name in _HELPFUL if (count := _votes(flat.get(name))) is not None), None),
        reply=reply,
        reply_author=reply_author,
        reply_date=reply_date,
        images=_images(flat),
        variant=_text(flat, _VARIANT, 500),
        item=_text(flat, ("productname", "producttitle", "itemname", "originalproductname"), 500),
        url=web_address(absolute(url, setting.address)) if url else None,
        source="json",
        page=setting.number,
        page_url=setting.url,
    )


def _text(flat: dict[str, Any], names: Iterable[str], limit: int = 100_000) -> str | None:
    for name in names:
        value = flat.get(name)
        if isinstance(value, dict):  # {"text": "…", "language": "en"}
            value = next((inner for key in ("text", "value", "content", "html", "label")
                          if isinstance(inner := value.get(key), str)), None)
        if isinstance(value, str | int) and (text := clean_text(without_markup(value), limit)):
            return text
    return None


def _rating(flat: dict[str, Any]) -> Rating:
    for name in _RATING:
        value = flat.get(name)
        best, worst = (next((flat[key] for key in keys if isinstance(flat.get(key), int | float | str)), None)
                       for keys in (_BEST, _WORST))
        if isinstance(value, dict):
            inner = flattened(value)
            best = next((inner[key] for key in (*_BEST, "best", "max", "range") if key in inner), best)
            worst = next((inner[key] for key in (*_WORST, "worst", "min") if key in inner), worst)
            value = next((inner[key] for key in ("ratingvalue", "value", "rating", "score", "stars", "label")
                          if key in inner), None)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            rating = parse_rating(value, best, worst)
            if rating.value is not None and 0 <= rating.value <= 100:
                return rating
    return Rating()


def _author(flat: dict[str, Any]) -> tuple[str | None, str | None]:
    for name in _AUTHOR:
        value = flat.get(name)
        if isinstance(value, str) and (text := clean_text(value, 500)):
            return text, _text(flat, ("authorurl", "authorlink"), 2000)
        if isinstance(value, dict):
            inner = flattened(value)
            if text := _text(inner, _NAME, 500):
                return text, _text(inner, ("url", "profileurl", "link"), 2000)
    return None, None


def _raw_date(flat: dict[str, Any]) -> str | int | float | None:
    for name in _DATE:
        value = flat.get(name)
        if isinstance(value, dict):
            inner = flattened(value)
            value = next((inner[key] for key in (*_DATE, "label") if isinstance(inner.get(key), str | int | float)),
                         None)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, int | float) and not isinstance(value, bool) and _moment(value) is not None:
            return value
    return None


def _moment(number: float) -> dt.datetime | None:
    """Seconds or milliseconds since 1970, of the years 2000 to 2100; None for any other number."""
    if not 0 < number < 1e14:
        return None
    seconds = number / 1000 if number > 1e11 else number
    return dt.datetime.fromtimestamp(seconds, dt.UTC) if 946_684_800 <= seconds < 4_102_444_800 else None


def _date(raw: str | int | float | None, setting: PageSetting) -> PageDate:
    if isinstance(raw, str) and re.fullmatch(r"\d{10}|\d{13}", raw.strip()):
        raw = int(raw)
    if isinstance(raw, int | float):
        moment = _moment(raw)
        if moment is None:
            return None, None
        timespec = "milliseconds" if moment.microsecond else "seconds"
        return moment.isoformat(timespec=timespec).replace("+00:00", "Z"), "second"
    return parse_date(raw, setting.language, setting.base) if raw else (None, None)


def _votes(value: Any) -> int | None:
    if isinstance(value, dict):
        value = next((inner for name, inner in flattened(value).items() if name in _HELPFUL), None)
    return parse_count(value)


def _verified(flat: dict[str, Any]) -> bool | None:
    for name in _VERIFIED:
        value = flat.get(name)
        if isinstance(value, dict):
            inner = flattened(value)  # Bazaarvoice's badge says so by being there
            value = next((inner[key] for key in _VERIFIED if key in inner), name == "verifiedpurchaser" or None)
        if isinstance(value, bool):
            return value
        if isinstance(value, int) and value in (0, 1):
            return bool(value)
        if isinstance(value, str):
            word = value.strip().lower()
            if word in {"true", "yes", "1", "buyer", "verified", "verified-purchase", "verified_buyer", "2"}:
                return True
            if word in {"false", "no", "0", "nothing", "unverified", "none"}:
                return False
    badges = flat.get("badges")
    names = (name for badge in badges[:50] for name in (badge.values() if isinstance(badge, dict) else [badge])
             ) if isinstance(badges, list) else ()
    return True if any(isinstance(name, str) and _VERIFIED_BADGE.fullmatch(name) for name in names) else None


def _reply(flat: dict[str, Any], setting: PageSetting) -> tuple[str | None, str | None, str | None]:
    candidates = [flat.get(name) for name in _REPLY]
    if isinstance(flat.get("comment"), dict) and _text(flat, [n for n in _BODY if n != "comment"]):
        candidates.append(flat["comment"])  # Yotpo's; of a shop, since people can't comment there
    for value in candidates:
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, str) and (text := clean_text(value)):
            return text, None, None
        if isinstance(value, dict):
            inner = flattened(value)
            if text := _text(inner, _REPLY_TEXT):
                author = _author(inner)[0] or _text(inner, ("name", "department"), 500)
                return text, author, _date(_raw_date(inner), setting)[0]
    return None, None, None


def _images(flat: dict[str, Any]) -> list[str] | None:
    """The first address of each image: the others are its other sizes."""
    found: list[str] = []
    for name in _IMAGES:
        value = flat.get(name)
        for single in (value if isinstance(value, list) else [value])[:50]:
            if target := _first_address(single, 4):
                found.append(target)
    return list(dict.fromkeys(found)) or None


def _first_address(value: Any, depth: int) -> str | None:
    if isinstance(value, str):
        return web_address(value) if re.match(r"(?:https?:)?//", value) else None
    if isinstance(value, dict | list) and depth:
        inner = value.values() if isinstance(value, dict) else value
        return next((target for single in inner if (target := _first_address(single, depth - 1))), None)
    return None
