"""Microdata and RDFa, read from the page's elements in their order.

Own readers rather than a library's, for three reasons that were measured: names in links (``<a itemprop="author"
href=…>Jane</a>``) and dates in a ``<time>`` without ``datetime`` get lost by the letter of the specification; the
order of RDFa's graph is random, and resuming needs the same order each time; and a graph library took up to 200 ms a
page. They walk with a stack of their own, so depth is no danger.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any
from urllib.parse import urljoin

import lxml.etree

from .nodes import Node, local_name

__all__ = [
    "absolute", "capped", "element_language", "element_text", "given_id", "is_too_deep", "microdata", "page_language",
    "parse_page", "rdfa",
]

Element = Any  # lxml's stubs are not part of the project

_HIDDEN = {"script", "style", "noscript", "template", "svg", "head"}
_BREAKING = {
    "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figure", "footer", "h1", "h2", "h3",
    "h4", "h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul",
}
_LINKS = {"a": "href", "area": "href", "link": "href", "img": "src", "iframe": "src", "object": "data", "source": "src"}
_ID_ATTRIBUTES = ("data-review-id", "data-reviewid")
_VOCABULARIES = ("schema.org", "data-vocabulary.org")


TAGS_LIMIT = 500_000
"""Tags, opening and closing, that are read: some 250,000 elements, thirty times a large shop's page."""
CHARACTERS_LIMIT = 30_000_000


def capped(html: str) -> tuple[str, bool]:
    """The page up to the limits, and whether it was cut. Structured data behind the cut is kept: it is cheap."""
    cut = min(len(html), CHARACTERS_LIMIT)
    if html.count("<", 0, cut) > TAGS_LIMIT:
        cut = next(islice(re.finditer("<", html), TAGS_LIMIT, None)).start()
    if cut == len(html):
        return html, False
    return html[:cut] + "".join(_data_blocks(html, cut)), True


def _data_blocks(html: str, start: int) -> Iterator[str]:
    end = min(len(html), start + CHARACTERS_LIMIT)
    while (mark := html.find("application/ld+json", start, end)) >= 0:
        opened = html.find(">", mark, mark + 500)
        closed = html.find("</script", mark, end)
        if closed < 0:
            return
        if 0 <= opened < closed:
            yield f'<script type="application/ld+json">{html[opened + 1:closed]}</script>'
        start = closed


def parse_page(html: str) -> Element:
    """The page's root element, or None where there is no markup at all."""
    # Not lxml.html's: for each element that is looked at it would choose a class, in Python.
    parser = lxml.etree.HTMLParser(huge_tree=True, remove_pis=True, remove_comments=True, encoding="utf-8")
    try:
        return lxml.etree.fromstring(html.encode("utf-8", "replace"), parser)
    except lxml.etree.XMLSyntaxError:  # nothing but blanks
        return None


DEPTH_LIMIT = 400
"""Levels of nesting up to which profiles are tried and lists looked for. Real pages have some thirty."""


def is_too_deep(root: Element) -> bool:
    return bool(root.xpath(f"boolean(descendant::*[ancestor::*[{DEPTH_LIMIT}]])"))


def element_text(element: Element, without: Collection[Element] = ()) -> str:
    """What a person reads in an element: no scripts, blanks joined, blocks and ``<br>`` as line breaks.

    ``without`` are parts of it that are left out.
    """
    parts: list[str] = []
    hidden: Element | None = None
    for event, part in lxml.etree.iterwalk(element, events=("start", "end")):
        tag = part.tag
        if event == "start":
            if hidden is None and (tag in _HIDDEN or part in without):
                hidden = part
            if hidden is None:
                if tag in _BREAKING:
                    parts.append("\n")
                if part.text:
                    parts.append(_joined(part.text))
        else:
            if hidden is part:
                hidden = None
            elif hidden is None and tag in _BREAKING:
                parts.append("\n")
            if hidden is None and part is not element and part.tail:
                parts.append(_joined(part.tail))
    lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)


def _joined(text: str) -> str:
    return text.replace("\n", " ")  # only elements break lines; blanks are joined line by line


_LANG = ("lang", "{http://www.w3.org/XML/1998/namespace}lang")


def page_language(root: Element) -> str | None:
    """What the page as a whole is marked with."""
    body = root.find("body")
    return next((str(language) for element in (root, body) if element is not None
                 for name in _LANG if (language := element.get(name))), None)


def element_language(element: Element) -> str | None:
    """What the element, or one round it but the page's own, is marked with."""
    for ancestor in (element, *element.iterancestors()):
        if ancestor.tag in {"html", "body"}:
            return None
        if language := ancestor.get("lang") or ancestor.get(_LANG[1]):
            return str(language)
    return None


def _leaf(element: Element, base_url: str) -> Any:
    """The value of a property on ``element`` that opens no thing of its own: a link keeps its words as well."""
    tag = element.tag
    if tag == "meta":
        return element.get("content", "")
    for attribute in ("content", "datetime"):
        if element.get(attribute):
            return element.get(attribute)
    if tag in {"data", "meter"} and element.get("value"):
        return element.get("value")
    if tag in _LINKS and (target := element.get(_LINKS[tag])):
        link = Node(text=element_text(element) or element.get("alt") or element.get("title"))
        link.add("url", absolute(target, base_url))
        return link
    return element_text(element)


def absolute(target: str, base_url: str) -> str:
    try:
        return urljoin(base_url, target.strip())
    except ValueError:  # "http://[": no address
        return target


def given_id(element: Element) -> str | None:
    return next((element.get(name) for name in _ID_ATTRIBUTES if element.get(name)), None)


# --- microdata ---------------------------------------------------------------------------------------------------


def microdata(root: Element, base_url: str) -> list[Node]:
    """The top-level items of the page."""
    items: dict[Element, Node] = {}
    references: dict[str, list[Node]] = {}
    for element in root.xpath("descendant-or-self::*[@itemscope]"):
        node = items[element] = Node(
            types={local_name(t) for t in element.get("itemtype", "").split()},
            id=element.get("itemid") or given_id(element),
            language=element_language(element),
        )
        for name in element.get("itemref", "").split():
            references.setdefault(name, []).append(node)
    if not items:
        return []
    top: list[Node] = []
    owners: list[list[Node]] = [[]]  # per open element: the items that its properties belong to
    for event, element in lxml.etree.iterwalk(root, events=("start", "end")):
        if event == "end":
            owners.pop()
            continue
        owner = owners[-1]
        if references and (names := references.get(element.get("id", ""))):
            owner = [*owner, *(node for node in names if node not in owner)]
        item = items.get(element)
        properties = element.get("itemprop")
        if properties and owner and not (properties == "name" and _names_the_author(element)):
            value = _leaf(element, base_url) if item is None else item
            language = element.get("lang")
            for name in properties.split():
                for node in owner:
                    if value is not node:
                        node.add(local_name(name), value)
                        if language and local_name(name) in {"reviewbody", "description"}:
                            node.language = language
        elif item is not None:
            top.append(item)
        if item is not None and element.find(".//*[@itemprop]") is None:
            item.text = element_text(element)
        owners.append(owner if item is None else [item])
    return top


def _names_the_author(element: Element) -> bool:
    """``<span itemprop="author"><b itemprop="name">Ann</b></span>``: the name isn't the review's."""
    for above in islice(element.iterancestors(), 6):
        if above.get("itemscope") is not None:
            return False
        if "author" in map(local_name, above.get("itemprop", "").split()):
            return True
    return False


# --- RDFa --------------------------------------------------------------------------------------------------------


class _Scope:
    """What an element hands down: whose properties follow, the pending relation, the vocabulary."""

    __slots__ = ("relation", "subject", "vocabulary")

    def __init__(self, subject: Node | None, relation: tuple[Node, list[str]] | None, vocabulary: str) -> None:
        self.subject = subject
        self.relation = relation
        self.vocabulary = vocabulary


def rdfa(root: Element, base_url: str) -> list[Node]:
    """The things of schema.org or data-vocabulary.org that no other thing of the page has as a property."""
    if not root.xpath("boolean(descendant-or-self::*[@typeof])"):
        return []
    prefixes = _prefixes(root)
    by_id: dict[str, Node] = {}
    top: list[Node] = []
    scopes = [_Scope(None, None, "")]
    for event, element in lxml.etree.iterwalk(root, events=("start", "end")):
        if event == "end":
            scopes.pop()
            continue
        outer = scopes[-1]
        vocabulary = element.get("vocab", outer.vocabulary)
        types, properties, relations = (
            [local_name(term) for term in element.get(attribute, "").split() if _is_known(term, vocabulary, prefixes)]
            for attribute in ("typeof", "property", "rel")
        )
        subject, relation = outer.subject, outer.relation if not types else None
        if types:
            name = element.get("about") or element.get("resource")
            node = by_id.setdefault(name, Node()) if name else Node()
            node.types.update(types)
            node.id = (None if name and name.startswith("_:") else name) or given_id(element)
            node.language = element_language(element)
            if outer.subject is not None and (properties or relations):
                for name in (*properties, *relations):
                    outer.subject.add(name, node)
            elif outer.relation is not None:
                for name in outer.relation[1]:
                    outer.relation[0].add(name, node)
            elif node not in top:
                top.append(node)
            subject = node
            if element.find(".//*[@property]") is None and element.find(".//*[@rel]") is None:
                node.text = element_text(element)
        elif subject is not None:
            for name in properties:
                subject.add(name, _leaf(element, base_url))
            if relations:
                if element.get("href"):
                    for name in relations:
                        subject.add(name, _leaf(element, base_url))
                else:
                    relation = (subject, relations)
        scopes.append(_Scope(subject, relation, vocabulary))
    return top


def _prefixes(root: Element) -> dict[str, str]:
    """``schema`` → its address, from ``prefix`` and ``xmlns:`` alike; the first two need no declaration."""
    found = {"schema": "http://schema.org/", "v": "http://rdf.data-vocabulary.org/#"}
    for text in root.xpath("descendant-or-self::*/@prefix"):
        words = text.split()
        found.update((p.rstrip(":"), iri) for p, iri in zip(words[::2], words[1::2], strict=False) if p.endswith(":"))
    for element in root.xpath("descendant-or-self::*[@*[starts-with(name(), 'xmlns:')]]"):
        for name, iri in element.attrib.items():
            if name.startswith("xmlns:"):
                found[name[6:]] = iri
    return found


def _is_known(term: str, vocabulary: str, prefixes: dict[str, str]) -> bool:
    if term.startswith(("http://", "https://")):
        address = term
    elif ":" in term:
        address = prefixes.get(term.split(":")[0], "")
    else:
        address = vocabulary
    return any(name in address for name in _VOCABULARIES)
