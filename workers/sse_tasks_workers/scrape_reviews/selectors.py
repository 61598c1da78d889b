"""CSS selectors whose time is bounded by the size of the page, whatever a profile asks for.

cssselect turns each compound (``li.review[id]``) into XPath, which lxml runs; the steps between compounds are taken
here, over sets of elements. As one XPath they take square time and worse: measured were nine minutes for nine steps
over a nested page of ten thousand elements, and one second here. Left out for the same reason are pseudo-classes that
look at whole subtrees or at all siblings: ``:has``, ``:contains``, ``:nth-of-type`` and ``:nth-child(2n)``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cssselect
from cssselect import parser as css
from cssselect.parser import parse_series
from lxml import etree

__all__ = ["Selector", "compiled"]

Element = Any

STEPS_LIMIT = 12
PLACE_LIMIT = 100
_PSEUDO_CLASSES = {
    "first-child": "not(preceding-sibling::*[1])",
    "last-child": "not(following-sibling::*[1])",
    "only-child": "not(preceding-sibling::*[1]) and not(following-sibling::*[1])",
    "empty": "not(*) and not(string-length())",
}
_SUPPORTED = (css.Element, css.Class, css.Hash, css.Attrib, css.Negation, css.Matching, css.SpecificityAdjustment)
_PLACES = {"nth-child": "preceding", "nth-last-child": "following"}


class _Translator(cssselect.HTMLTranslator):
    """Looks at no more siblings than it has to: ``count(preceding-sibling::*)`` takes square time over a long list."""

    def xpath_class(self, class_selector: Any) -> Any:
        name = self.xpath_literal(class_selector.class_name)
        spaced = self.xpath_literal(f" {class_selector.class_name} ")
        # The first condition, which is cheap, spares most elements the second.
        return self.xpath(class_selector.selector).add_condition(
            f"contains(@class, {name}) and contains(concat(' ', normalize-space(@class), ' '), {spaced})")

    def xpath_pseudo(self, pseudo: Any) -> Any:
        return self.xpath(pseudo.selector).add_condition(_PSEUDO_CLASSES[pseudo.ident])

    def xpath_function(self, function: Any) -> Any:
        place, axis = parse_series(function.arguments)[1], f"{_PLACES[function.name]}-sibling::*"
        before = f"{axis}[{place - 1}] and " if place > 1 else ""
        return self.xpath(function.selector).add_condition(f"{before}not({axis}[{place}])")


class Selector:
    """A selector, ready to be called with an element: gives what it selects within that, in page order."""

    def __init__(self, text: str) -> None:
        try:
            self._alternatives = [_steps(parsed) for parsed in css.parse(text)]
        except (cssselect.SelectorError, ValueError) as why:
            raise ValueError(f"{text!r} is no CSS selector that can be used: {why}") from None

    def __call__(self, element: Element) -> list[Element]:
        found = [_selected(steps, element) for steps in self._alternatives]
        full = [each for each in found if each]
        if len(full) < 2:
            return full[0] if full else []
        chosen = set().union(*full)
        return [part for part in element.iter() if part in chosen]

    def first(self, element: Element) -> Element | None:
        return next(iter(self(element)), None)


@lru_cache(maxsize=2000)
def compiled(text: str) -> Selector:
    """The selector. Raises ValueError for what is none, or may take too long."""
    return Selector(text)


_Step = tuple[str, Any]
"""How it hangs on the step before (`` ``, ``>``, ``+``, ``~``), and its compound as XPath."""


def _steps(parsed: Any) -> list[_Step]:
    if parsed.pseudo_element:
        raise ValueError("there are no pseudo-elements; an attribute is named beside the selector")
    steps: list[_Step] = []
    tree = parsed.parsed_tree
    while isinstance(tree, css.CombinedSelector):
        steps.append((tree.combinator, _compound(tree.subselector)))
        tree = tree.selector
    steps.append((" ", _compound(tree)))
    if len(steps) > STEPS_LIMIT:
        raise ValueError(f"it has more than {STEPS_LIMIT} steps")
    return steps[::-1]


def _compound(tree: Any) -> Any:
    _check(tree)
    return etree.XPath(f"descendant-or-self::{_Translator().xpath(tree)}")


def _check(tree: Any) -> None:
    """Raises ValueError for what isn't looked at in bounded time."""
    if isinstance(tree, css.CombinedSelector):
        raise ValueError("a selector in brackets can have no steps")
    if isinstance(tree, css.Pseudo):
        if tree.ident not in _PSEUDO_CLASSES:
            raise ValueError(f":{tree.ident} is not supported")
    elif isinstance(tree, css.Function):
        if tree.name not in _PLACES:
            raise ValueError(f":{tree.name}() is not supported")
        step, place = parse_series(tree.arguments)
        if step or not 1 <= place <= PLACE_LIMIT:
            raise ValueError(f":{tree.name}() takes a number from 1 to {PLACE_LIMIT}")
    elif not isinstance(tree, _SUPPORTED):
        raise ValueError("it has a part that is not supported")
    for name in ("selector", "subselector"):
        if (inner := getattr(tree, name, None)) is not None and not isinstance(inner, str):
            _check(inner)
    for inner in getattr(tree, "selector_list", ()):
        _check(inner)


def _selected(steps: list[_Step], element: Element) -> list[Element]:
    """Step by step, the elements that are selected by the steps so far."""
    current: list[Element] = steps[0][1](element)
    for combinator, compound in steps[1:]:
        if not current:
            return []
        hangs = _HANGS[combinator](set(current), element)
        current = [candidate for candidate in compound(element) if hangs(candidate)]
    return [found for found in current if found is not element]


def _climbing(way: Callable[[Element], Element | None]) -> Callable[[set[Element], Element], Callable[[Element], bool]]:
    """Whether one of the set is met on the way; each element of the page is passed once."""

    def over(goals: set[Element], end: Element) -> Callable[[Element], bool]:
        known: dict[Element, bool] = {}

        def meets(candidate: Element) -> bool:
            passed = []
            place = None if candidate is end else way(candidate)
            while True:
                answer = False if place is None else True if place in goals else known.get(place)
                if answer is not None:
                    break
                passed.append(place)
                place = None if place is end else way(place)
            known.update(dict.fromkeys(passed, answer))
            return answer

        return meets

    return over


def _beside(way: Callable[[Element], Element | None]) -> Callable[[set[Element], Element], Callable[[Element], bool]]:
    return lambda goals, end: lambda candidate: candidate is not end and way(candidate) in goals


def _parent(element: Element) -> Element | None:
    return element.getparent()


def _previous(element: Element) -> Element | None:
    return element.getprevious()


_HANGS = {" ": _climbing(_parent), ">": _beside(_parent), "~": _climbing(_previous), "+": _beside(_previous)}
