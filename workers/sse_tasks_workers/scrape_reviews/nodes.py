"""What all graph syntaxes (JSON-LD, microdata, RDFa) come down to: typed nodes with named values, in page order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Node", "Value", "local_name"]

Value = Any
"""A ``Node``, or a str, int, float or bool."""

# Names of older vocabularies (data-vocabulary.org, hReview) for what schema.org calls otherwise.
_ALIASES = {
    "reviewer": "author",
    "creator": "author",
    "dtreviewed": "datepublished",
    "summary": "name",
    "rating": "reviewrating",
    "value": "ratingvalue",
    "best": "bestrating",
    "worst": "worstrating",
    "count": "reviewcount",
    "votes": "ratingcount",
    "reviews": "review",
}


@dataclass(slots=True, eq=False)
class Node:
    """One described thing. Type and property names are local and in lower case, old names as their modern ones.

    ``text`` is what a person reads where the thing is described in the page itself, ``language`` the element's.
    """

    types: set[str] = field(default_factory=set)
    id: str | None = None
    properties: dict[str, list[Value]] = field(default_factory=dict)
    text: str | None = None
    language: str | None = None

    def add(self, name: str, value: Value) -> None:
        self.properties.setdefault(name, []).append(value)

    def all(self, *names: str) -> list[Value]:
        """The values of the first of ``names`` that has any."""
        return next((self.properties[name] for name in names if self.properties.get(name)), [])

    def first(self, *names: str) -> Value | None:
        values = self.all(*names)
        return values[0] if values else None

    def children(self) -> Iterator[tuple[str, Node]]:
        for name, values in self.properties.items():
            for value in values:
                if isinstance(value, Node):
                    yield name, value


def local_name(term: str) -> str:
    """``http://schema.org/Review``, ``schema:Review`` and ``Review`` are all ``review``; old names become new ones."""
    name = re.split(r"[/#:]", term.strip().rstrip("/#"))[-1].lower()
    return _ALIASES.get(name, name)
