"""Where the next page of the same reviews is: a next link, a numbered link, or the ``page`` parameter.

Blogs mark the next *article* with ``rel="next"`` too. Following it would mix another thing's reviews in, so a link only
counts if its address is a page of the address that one is at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

__all__ = ["NextPage", "find_next", "is_page_of", "page_number", "with_page_number"]

PAGE_PARAMETERS = ("page", "p", "pg", "paged", "pagenumber", "page_number", "pageno", "pagenum", "reviewpage",
                   "review_page", "reviewspage", "cpage", "seite", "pagina", "página", "sida", "strona", "side")

_NEXT_WORDS = frozenset({
    "next", "next page", "next reviews", "older", "older reviews", "more reviews", "›", "»", "→", ">", ">>",
    "weiter", "nächste", "nächste seite", "suivant", "suivante", "page suivante", "siguiente", "página siguiente",
    "próximo", "próxima", "seguinte", "avanti", "successiva", "successivo", "pagina successiva", "volgende",
    "volgende pagina", "næste", "neste", "nästa", "seuraava", "następna", "dalej", "další", "következő", "sonraki",
    "след.", "следующая", "далее", "вперед", "наступна", "επόμενη", "التالي", "הבא", "次へ", "次のページ", "次",
    "下一页", "下一頁", "下页", "다음", "다음 페이지", "ถัดไป", "tiếp", "berikutnya",
})
_PAGE_WORD = r"(?:p|pg|page|seite|pagina|comment-page|cpage|reviews?|bewertungen|avis|opiniones)"
_PAGE_SUFFIX = re.compile(rf"[-_/.]{_PAGE_WORD}[-_/]?\d{{1,5}}(?=(?:\.[a-z]{{2,5}})?/?$)", re.IGNORECASE)
_CURRENT = {"current", "active", "selected", "page", "true", "is-active", "is-current"}
_OFFSET = re.compile(r"(?:^|&)(?:start|offset|from|skip|first|begin|pos)=\d+", re.IGNORECASE)
_ENDING = re.compile(r"(?:\.[a-z]{2,5})?/?$", re.IGNORECASE)


@dataclass(frozen=True)
class NextPage:
    """The next page's address, if the page links to one; ``refused`` is a next link that leads to another thing."""

    url: str | None = None
    refused: str | None = None


def find_next(root: Any, url: str, base_url: str, start_url: str) -> NextPage:
    """The next page after the one at ``url``; links are relative to ``base_url``."""
    refused = None
    for href in _next_hrefs(root):
        try:
            target = urljoin(base_url, href.strip())
            same = _without_fragment(target) == _without_fragment(url)
            belongs = is_page_of(target, url) or is_page_of(target, start_url)
        except ValueError:  # no address at all
            continue
        if same or not href.strip() or href.strip().startswith("#"):
            continue
        if belongs:
            return NextPage(_without_fragment(target))
        refused = refused or target
    return NextPage(_numbered_link(root, url, base_url), refused)


def _next_hrefs(root: Any) -> Iterator[str]:
    """Candidates, the plainest first: what says ``rel="next"``, what is called so in a page list, then anywhere."""
    relation = "contains(concat(' ', normalize-space(translate(@rel, 'NEXT', 'next')), ' '), ' next ')"
    yield from root.xpath(f"//a[@href][{relation}]/@href | //link[@href][{relation}]/@href")
    listed: list[str] = []
    anywhere: list[str] = []
    for link in root.iter("a"):
        href = link.get("href")
        if not href or not _is_called_next(link):
            continue
        (listed if _is_in_page_list(link) else anywhere).append(href)
    yield from listed
    yield from anywhere


def _is_called_next(link: Any) -> bool:
    names = [link.get("aria-label"), link.get("title")]
    if len(link) <= 3:
        names.append("".join(link.itertext()))
    for name in names:
        words = " ".join((name or "").split()).casefold()
        if words and len(words) <= 30 and (words in _NEXT_WORDS or words.strip(" ›»→>") in _NEXT_WORDS - {""}):
            return True
    return "next" in (link.get("class") or "").lower().replace("-", " ").replace("_", " ").split()


def _is_in_page_list(link: Any) -> bool:
    for distance, ancestor in enumerate(link.iterancestors()):
        if distance > 5:
            return False
        marks = f"{ancestor.get('class') or ''} {ancestor.get('id') or ''} {ancestor.get('aria-label') or ''}".lower()
        if "pagin" in marks or "pager" in marks or "page-numbers" in marks:
            return True
    return False


def _numbered_link(root: Any, url: str, base_url: str) -> str | None:
    """A link to this address with the page's number raised by one, for page lists without a word."""
    targets: dict[int, str] = {}
    for link in root.iter("a"):
        href = link.get("href")
        if not href or "=" not in href:
            continue
        try:
            target = _without_fragment(urljoin(base_url, href.strip()))
            if (number := page_number(target, -1)) >= 0 and _without_page(target) == _without_page(url):
                targets.setdefault(number, target)
        except ValueError:
            continue
    if following := targets.get(page_number(url, 0 if 0 in targets else 1) + 1):  # some count from 0
        return following
    return _by_its_text(root, url, base_url)


def _by_its_text(root: Any, url: str, base_url: str) -> str | None:
    """Of a list of pages the link that is called by the next number, for pages that are counted by their first review
    (``?start=20``) or in their path."""
    here, numbers = 0, dict[int, str]()
    for part in root.iter("a", "span", "strong", "b", "em", "li"):
        is_plain = len(part) == 0 or (len(part) == 1 and len(part[0]) == 0)  # whatever is nested deeper is no number
        text = "".join(part.itertext()).strip() if is_plain else ""
        if not (text.isdecimal() and len(text) <= 4):
            continue
        try:
            target = _without_fragment(urljoin(base_url, (part.get("href") or "").strip()))
        except ValueError:
            continue
        marks = f"{part.get('class') or ''} {part.get('aria-current') or ''}".lower().split()
        if _CURRENT & set(marks) or (part.get("href") and target == _without_fragment(url)):
            here = int(text)
        elif part.tag == "a" and part.get("href") and is_page_of(target, url) and (
                _is_in_page_list(part) or _OFFSET.search(urlsplit(target).query)):
            numbers.setdefault(int(text), target)
    if not here:  # the one that isn't linked; where all are, an address without a number is the first one's
        here = next((number for number in range(1, len(numbers) + 1) if number not in numbers),
                    0 if _OFFSET.search(urlsplit(url).query) or _PAGE_SUFFIX.search(urlsplit(url).path) else 1)
    return numbers.get(here + 1) if here else None


def is_page_of(target: str, url: str) -> bool:
    """Whether ``target`` looks like a page of what stands at ``url``: same host, same path but for a page's mark."""
    there, here = urlsplit(target), urlsplit(url)
    if there.scheme not in {"http", "https"} or there.hostname != here.hostname or there.port != here.port:
        return False
    if there.path == here.path:
        return True
    stem_there, stem_here = _stem(there.path), _stem(here.path)
    if stem_there == stem_here:
        return True
    rest = stem_there[len(stem_here):] if stem_here and stem_there.startswith(stem_here) else ""
    return rest == "/reviews" or re.fullmatch(r"[-_/]\d{1,4}", rest) is not None


def _stem(path: str) -> str:
    return _ENDING.sub("", _PAGE_SUFFIX.sub("", path))


def page_number(url: str, missing: int = 1) -> int:
    """The number in the address's page parameter, ``missing`` if it has none."""
    for name, value in parse_qsl(urlsplit(url).query):
        if name.lower() in PAGE_PARAMETERS and value.isdecimal() and len(value) < 7:
            return int(value)
    return missing


def with_page_number(url: str, number: int) -> str:
    """``url`` with its page parameter set to ``number``; ``page`` where it has none."""
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    name = next((n for n, v in pairs if n.lower() in PAGE_PARAMETERS and v.isdecimal()), None)
    if name is None:
        pairs.append(("page", str(number)))
    else:
        pairs = [(n, str(number) if n == name else v) for n, v in pairs]
    return urlunsplit(parts._replace(query=urlencode(pairs), fragment=""))


def _without_page(url: str) -> tuple[str, str, list[tuple[str, str]]]:
    parts = urlsplit(url)
    return parts.netloc, parts.path, sorted(p for p in parse_qsl(parts.query) if p[0].lower() not in PAGE_PARAMETERS)


def _without_fragment(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(fragment=""))
