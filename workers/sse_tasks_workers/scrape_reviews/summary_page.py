"""The summary as a page of our own, for the browser to draw: how complete, how rated, when written.

Whatever comes from a web page is escaped. There is no script, no picture and no address in it.
"""

from __future__ import annotations

from html import escape
from urllib.parse import urlsplit

from .contract import ScrapeReviewsOutput
from .counts import Counts
from .time_chart import Bar, bars_of, chart

__all__ = ["WIDTH", "summary_page"]

WIDTH = 760
"""CSS pixels."""

_FONTS = '"Segoe UI",system-ui,-apple-system,Roboto,"Helvetica Neue",Arial,"Noto Sans",sans-serif'

_STYLE = f"""
* {{ box-sizing: border-box }}
html, body {{ margin: 0; background: transparent }}
body {{ font: 14px/1.45 {_FONTS}; color: #1d2733 }}
main {{ width: {WIDTH}px; background: #fff; border: 1px solid #d9dfe6; border-radius: 12px; overflow: hidden }}
header {{ padding: 20px 26px 16px; border-bottom: 1px solid #e8ecf0 }}
h1 {{ font-size: 21px; line-height: 1.25; margin: 0; font-weight: 650 }}
h1, .said {{ overflow: hidden; display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical;
  overflow-wrap: anywhere }}
.where {{ color: #5a6675; font-size: 13px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
  margin-top: 2px }}
.how {{ display: flex; align-items: center; gap: 12px; margin-top: 13px }}
.badge {{ font-size: 12.5px; font-weight: 600; padding: 3px 10px; border-radius: 99px; white-space: nowrap }}
.whole {{ background: #dff3e6; color: #12623a }}
.partly {{ background: #fdeccb; color: #7a4a00 }}
.track {{ flex: none; width: 150px; height: 8px; border-radius: 4px; background: #e8ecf0; overflow: hidden }}
.track i, .bar i {{ display: block; height: 100%; border-radius: 4px }}
.whole + .track i {{ background: #2f9e62 }}
.partly + .track i {{ background: #e09a1a }}
.said {{ color: #3a4654; min-width: 0 }}
.charts {{ display: flex; gap: 30px; padding: 18px 26px 16px }}
.ratings {{ flex: none; width: 264px }}
.times {{ flex: 1; min-width: 0 }}
h2 {{ font-size: 12px; font-weight: 600; color: #5a6675; margin: 0 0 8px; letter-spacing: .02em }}
.mean {{ display: flex; align-items: baseline; gap: 8px; margin-bottom: 8px }}
.mean b {{ font-size: 38px; line-height: 1; font-weight: 650; letter-spacing: -.02em }}
.mean span {{ color: #5a6675; font-size: 13px }}
.row {{ display: grid; gap: 8px; align-items: center; height: 25px }}
.row.small {{ height: 17px; font-size: 12.5px }}
.name, .count {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }}
.name u {{ text-decoration: none; color: #d9970b }}
.bar {{ height: 66%; background: #eef1f4; border-radius: 4px; overflow: hidden }}
.bar i {{ background: #eab02c }}
.count {{ color: #3a4654 }}
.none {{ color: #5a6675; padding: 6px 0 26px }}
svg {{ display: block }}
text {{ font: 11.5px {_FONTS} }}
footer {{ display: flex; flex-wrap: wrap; gap: 2px 22px; padding: 11px 26px 13px; background: #f6f8fa;
  border-top: 1px solid #e8ecf0; color: #5a6675; font-size: 13px }}
footer b {{ color: #1d2733; font-weight: 600 }}
"""


def summary_page(output: ScrapeReviewsOutput, counts: Counts) -> str:
    """The whole page as HTML, ``WIDTH`` wide; ``main`` is the picture."""
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Summary</title><style>{_STYLE}</style><main>'
            f"<header>{_head(output, counts)}</header>"
            f'<div class="charts"><section class="ratings">{_ratings(counts)}</section>'
            f'<section class="times">{_times(counts)}</section></div>'
            f"<footer>{_facts(output, counts)}</footer></main></html>")


def _head(output: ScrapeReviewsOutput, counts: Counts) -> str:
    share = 1.0 if not output.declared else min(output.found / output.declared, 1)
    if output.declared is None and output.partial:
        track = ""  # how much is missing, nobody knows
    else:
        track = f'<span class="track"><i style="width:{100 * share:.1f}%"></i></span>'
    kind, word = ("partly", "partial") if output.partial else ("whole", "complete")
    return (f'<h1 dir="auto">{escape(_title(output, counts))}</h1><div class="where">{escape(_where(output))}</div>'
            f'<div class="how"><span class="badge {kind}">{word}</span>{track}'
            f'<span class="said" dir="auto">{escape(output.message)}</span></div>')


def _title(output: ScrapeReviewsOutput, counts: Counts) -> str:
    """What most of the reviews are about, if one thing is."""
    (name, count), = counts.items.most_common(1) or [("", 0)]
    if name and 2 * count > counts.count:
        return name[:200]
    parts = urlsplit(output.url)
    return f"Reviews at {parts.netloc}" if parts.netloc else "Reviews"


def _where(output: ScrapeReviewsOutput) -> str:
    address = output.url.split("://", 1)[-1]
    return address if len(output.urls) <= 1 else f"{address} and others: {len(output.urls):,} addresses"


def _ratings(counts: Counts) -> str:
    histogram, mean = counts.rating_histogram(), counts.rating_mean()
    if mean is None:
        return '<h2>Ratings</h2><div class="none">None of them has a rating.</div>'
    most = max(histogram.values())
    size = "row small" if len(histogram) > 6 else "row"
    columns = f"grid-template-columns:30px 1fr {len(f'{most:,}') + 0.5}ch"
    rows = "".join(
        f'<div class="{size}" style="{columns}"><span class="name">{rating} <u>★</u></span><span class="bar">'
        f'<i style="width:{100 * count / most:.1f}%"></i></span><span class="count">{count:,}</span></div>'
        for rating, count in reversed(histogram.items()))
    return (f'<h2>Ratings</h2><div class="mean"><b>{mean:.1f}</b><span>of {counts.scale[1]}, the mean of '
            f"{counts.rated():,}</span></div>{rows}")


def _times(counts: Counts) -> str:
    bars: list[Bar]
    unit, bars = bars_of(counts.per_month, counts.per_year)
    if not bars:
        return '<h2>Written</h2><div class="none">None of them has a date.</div>'
    dated = sum(bar.reviews for bar in bars)
    rest = counts.count - dated
    said = f", {rest:,} are undated or older" if rest else ""
    return f"<h2>Written, by {unit}{said}</h2>{chart(bars, 416, 196)}"


def _facts(output: ScrapeReviewsOutput, counts: Counts) -> str:
    reviews = "review" if counts.count == 1 else "reviews"
    facts = [(f"{counts.count:,}", reviews if output.compared is None else f"new or changed {reviews}"),
             (f"{output.pages:,}", "page" if output.pages == 1 else "pages"),
             (f"{counts.with_text:,}", "with text")]
    if counts.verified:
        facts.append((f"{counts.verified:,}", "verified"))
    if counts.replies:
        facts.append((f"{counts.replies:,}", "answered"))
    if counts.languages:
        named = [f"{name} {count:,}" for name, count in counts.languages.most_common(4)]
        more = len(counts.languages) - len(named)
        facts.append((", ".join(named), f"and {more} more" if more else ""))
    if output.errors:
        facts.append((f"{len(output.errors):,}", "problem" if len(output.errors) == 1 else "problems"))
    return "".join(f"<span><b>{escape(number)}</b> {escape(words)}</span>" for number, words in facts)
