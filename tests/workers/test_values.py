"""What raw text becomes: ratings, counts, dates, valid Unicode."""

from __future__ import annotations

import datetime as dt
import math

import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sse_tasks_workers.scrape_reviews.dates import parse_date
from sse_tasks_workers.scrape_reviews.languages import decide_language
from sse_tasks_workers.scrape_reviews.ratings import parse_count, parse_rating
from sse_tasks_workers.scrape_reviews.records import Review, clean_text, frame_dtypes

PAGE_TIME = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(("text", "value", "best", "normalised"), [
    (4, 4.0, None, 0.75),
    ("5,0", 5.0, None, 1.0),
    ("4.5 out of 5", 4.5, 5.0, 0.875),
    ("5,0 de 5", 5.0, 5.0, 1.0),
    ("8/10", 8.0, 10.0, 0.7778),
    ("5つ星のうち4.0", 4.0, 5.0, 0.75),
    ("★★★☆☆", 3.0, 5.0, 0.5),
    ("90%", 90.0, 100.0, 0.9),
    ("9", 9.0, None, None),
    ("3 of 2", None, None, None),
    ("five", 5.0, None, 1.0),
    ("★★★★½", 4.5, None, 0.875),
    ("★★½☆☆", 2.5, 5.0, 0.375),
    ("⭐️⭐️⭐️", 3.0, None, 0.5),
    ("★ ★ ★ ☆ ☆", 3.0, 5.0, 0.5),
    ("☆☆☆☆☆", None, None, None),
    ("width: 80%", 80.0, 100.0, 0.8),
    ("color: gold; width:64.5%;", 64.5, 100.0, 0.645),
    ("width: 250%", None, None, None),
    ("8.4/10", 8.4, 10.0, 0.8222),
    ("Rated 1 stars out of five stars", 1.0, 5.0, 0.0),
    ("four out of five stars", 4.0, 5.0, 0.75),
    ("vier von fünf Sternen", 4.0, 5.0, 0.75),
    ("quatre étoiles sur cinq", 4.0, 5.0, 0.75),
    ("cuatro de cinco estrellas", 4.0, 5.0, 0.75),
    ("4.0 star rating", 4.0, None, 0.75),
    ("4,5 von 5 Sternen bei 120 Bewertungen", 4.5, 5.0, 0.875),
    ("4.5 out of 5 stars, 1,204 ratings", 4.5, 5.0, 0.875),
    ("3 of 5, then 4 of 5", None, None, None),
    ("4 2 7", None, None, None),
    ("4.5 (120)", None, None, None),
    ("4.5 (100)", None, None, None),
    ("4.0 stars, 12 votes", None, None, None),
    ("4 от 5", 4.0, 5.0, 0.75),
    ("٤٫٥", 4.5, None, 0.875),
    ("٤٫٥ من ٥", 4.5, 5.0, 0.875),
    ("४.५/५", 4.5, 5.0, 0.875),
    ("1e999", None, None, None),
    (math.nan, None, None, None),
    (True, None, None, None),
    (None, None, None, None),
])
def test_rating(text: object, value: float | None, best: float | None, normalised: float | None) -> None:
    """A rating is read from numbers and words of any country, and is None where it can't be told."""
    rating = parse_rating(text)

    assert (rating.value, rating.best, rating.normalised) == (value, best, normalised)


def test_a_sites_own_words_are_numbers_where_it_says_so() -> None:
    """A word is a rating only by the profile that names it."""
    assert parse_rating("Excellent").value is None
    assert parse_rating(" excellent ", words={"Excellent": 5, "Bad": 1}).value == 5


def test_a_stated_scale_wins() -> None:
    """The scale that a page states beside the rating counts, and none is made up in its place."""
    assert parse_rating("7", best="10", worst="0").normalised == 0.7
    assert parse_rating("4").best is None


@pytest.mark.parametrize(("text", "count"), [
    (58, 58), ("1.234 avis", 1234), ("4,489", 4489), ("44 000", 44000), ("1,234,567", 1234567), ("490件", 490),
    (3.0, 3), ("١٬٢٣٤", 1234), ("One person found this helpful", 1), ("A una persona le resultó útil", 1),
    ("No one has asked", None),
    ("12 of 30", None), ("-3", None), ("3.5", None), (math.inf, None), ("9" * 5000, None), (None, None),
])
def test_count(text: object, count: int | None) -> None:
    """A count's points and commas separate thousands; what isn't one whole number is None."""
    assert parse_count(text) == count


@pytest.mark.parametrize(("raw", "language", "date", "precision"), [
    ("2011-04-01", None, "2011-04-01", "day"),
    ("20050418T2300-0700", None, "2005-04-18T23:00:00-07:00", "minute"),
    ("2024-03-01T23:02:55.425Z", None, "2024-03-01T23:02:55.425Z", "second"),
    ("2024-03-01 23:02:55", None, "2024-03-01T23:02:55", "second"),
    ("2014", None, "2014-01-01", "year"),
    ("2014-05", None, "2014-05-01", "month"),
    ("Reviewed in the United Kingdom on 8 April 2016", "en-GB", "2016-04-08", "day"),
    ("el 25 de agosto de 2017", "es", "2017-08-25", "day"),
    ("May 5, 2016", "en", "2016-05-05", "day"),
    ("1. Mai 2020", "de", "2020-05-01", "day"),
    ("2016年4月8日に日本でレビュー済み", "ja", "2016-04-08", "day"),
    ("11-08-2014", "de", "2014-08-11", "day"),
    ("11-08-2014", "en-US", "2014-11-08", "day"),
    ("25/12/2014", "en", "2014-12-25", "day"),
    ("2 days ago", "en", "2026-11-22", "day"),
    ("vor 3 Wochen", "de", "2026-11-03", "week"),
    ("il y a 2 mois", "fr", "2026-09-01", "month"),
    ("Reviewed in the United States on May 5, 2016 by Ann", "en", "2016-05-05", "day"),
    ("Posted 2 weeks ago by Ann", "en", "2026-11-10", "week"),
    ("Sept. 3, 2020", "en", "2020-09-03", "day"),
    ("12.03.24", "de", "2024-03-12", "day"),
    ("Posted on 03/14/24", "en", "2024-03-14", "day"),
    ("03/04/24 10:11 PM", "en-US", "2024-03-04", "day"),
    ("03/04/24", "en", None, None),
    ("24/03/12", "ja", None, None),
    ("24/03/12", None, None, None),
    ("12.03.99", "de", None, None),
    ("Version 2.10.24", "de", None, None),
    ("Q3 2023", "en", None, None),
    ("an hour ago", "en", "2026-11-24", "day"),
    ("Bewertet am 3. März 2021 von Max", "de", "2021-03-03", "day"),
    ("11-08-2014", "en", None, None),
    ("11-08-2014", None, None, None),
    ("201405", None, None, None),
    ("2011-13-01", None, None, None),
    ("٥ مارس ٢٠٢٤", "ar", "2024-03-05", "day"),
    ("0001-01-01T00:00:00", "en", None, None),
    ("9999-12-31", "en", None, None),
    ("05/03/2567", "th", None, None),
    ("5", "en", None, None),
    ("on:", "en", None, None),
    ("may", "en", None, None),
    ("2 stars", "en", None, None),
    ("Version 2016 is great", "en", None, None),
    ("x" * 5000, "en", None, None),
])
def test_date(raw: str, language: str | None, date: str | None, precision: str | None) -> None:
    """A date is read by the page's language and time, with its precision; what could be two dates, or none, is None."""
    assert parse_date(raw, language, PAGE_TIME) == (date, precision)


@pytest.mark.parametrize(("language", "absolute", "days", "month", "years"), [
    ("en", "April 8, 2016", "3 days ago", "a month ago", "2 years ago"),
    ("de", "8. April 2016", "vor 3 Tagen", "vor einem Monat", "vor 2 Jahren"),
    ("fr", "8 avril 2016", "il y a 3 jours", "il y a un mois", "il y a 2 ans"),
    ("es", "8 de abril de 2016", "hace 3 días", "hace un mes", "hace 2 años"),
    ("it", "8 aprile 2016", "3 giorni fa", "un mese fa", "2 anni fa"),
    ("pt", "8 de abril de 2016", "há 3 dias", "há um mês", "há 2 anos"),
    ("nl", "8 april 2016", "3 dagen geleden", "een maand geleden", "2 jaar geleden"),
    ("pl", "8 kwietnia 2016", "3 dni temu", "miesiąc temu", "2 lata temu"),
    ("sv", "8 april 2016", "för 3 dagar sedan", "för en månad sedan", "för 2 år sedan"),
    ("da", "8. april 2016", "for 3 dage siden", "for en måned siden", "for 2 år siden"),
    ("nb", "8. april 2016", "for 3 dager siden", "for en måned siden", "for 2 år siden"),
    ("fi", "8. huhtikuuta 2016", "3 päivää sitten", "kuukausi sitten", "2 vuotta sitten"),
    ("tr", "8 Nisan 2016", "3 gün önce", "bir ay önce", "2 yıl önce"),
    ("ru", "8 апреля 2016 г.", "3 дня назад", "месяц назад", "2 года назад"),
    ("uk", "8 квітня 2016", "3 дні тому", "місяць тому", "2 роки тому"),
    ("cs", "8. dubna 2016", "před 3 dny", "před měsícem", "před 2 lety"),
    ("hu", "2016. április 8.", "3 napja", "egy hónapja", "2 éve"),
    ("ro", "8 aprilie 2016", "acum 3 zile", "acum o lună", "acum 2 ani"),
    ("el", "8 Απριλίου 2016", "πριν από 3 ημέρες", "πριν από ένα μήνα", "πριν από 2 χρόνια"),
    ("ja", "2016年4月8日", "3日前", "1か月前", "2年前"),
    ("zh", "2016年4月8日", "3天前", "一个月前", "2年前"),
    ("ko", "2016년 4월 8일", "3일 전", "한 달 전", "2년 전"),
    ("ar", "8 أبريل 2016", "قبل 3 أيام", "منذ شهر", "منذ 2 سنوات"),
    ("he", "8 באפריל 2016", "לפני 3 ימים", "לפני חודש", "לפני 2 שנים"),
    ("hi", "8 अप्रैल 2016", "3 दिन पहले", "एक महीने पहले", "2 वर्ष पहले"),
    ("id", "8 April 2016", "3 hari yang lalu", "sebulan yang lalu", "2 tahun lalu"),
    ("vi", "8 tháng 4, 2016", "3 ngày trước", "1 tháng trước", "2 năm trước"),
])
def test_dates_in_many_languages(language: str, absolute: str, days: str, month: str, years: str) -> None:
    """Dates in words and relative ones, these against the page's time, are read with their precision."""
    read = [parse_date(raw, language, PAGE_TIME) for raw in (absolute, days, month, years)]

    assert read == [("2016-04-08", "day"), ("2026-11-21", "day"), ("2026-10-01", "month"), ("2024-01-01", "year")]


def test_a_sites_order_of_numbers() -> None:
    """Where it is known which of the numbers is the month, an ambiguous date is one."""
    assert parse_date("11-08-2014", "en", order="day-month-year") == ("2014-08-11", "day")
    assert parse_date("11-08-2014", "en", order="month-day-year") == ("2014-11-08", "day")


@pytest.mark.parametrize(("stated", "page", "text", "language", "source"), [
    ("pt-BR", "en", "The sound is fine and the battery lasts for two days of work.", "pt-BR", "stated"),
    (None, "en-GB", "The sound is fine and the battery lasts for two days of work.", "en-GB", "detected"),
    (None, None, "Der Klang ist gut, und der Akku hält zwei Tage Arbeit durch.", "de", "detected"),
    (None, "en", "Der Klang ist gut, und der Akku hält zwei Tage Arbeit durch.", "de", "detected"),
    (None, "en", "音質が良く、バッテリーも二日間持ちます。", "ja", "detected"),
    (None, "it", "ok", "it", "page"),
    (None, "de", "5/5 https://shop.example/the-sound-is-fine-and-the-battery-lasts", "de", "page"),
    (None, None, "Ok!", None, None),
    ("no tag at all", "fr", None, "fr", "page"),
    (None, None, None, None, None),
])
def test_language(stated: str | None, page: str | None, text: str | None, language: str | None,
                  source: str | None) -> None:
    """What a review is marked with counts first, then what its words plainly are, then the page; a handful of letters
    says nothing."""
    assert decide_language(stated, page, text) == (language, source)


@given(st.text(max_size=200))
def test_any_text_has_a_language_or_none(text: str) -> None:
    """Whatever a body holds, finding out its language doesn't raise, and says how it is known."""
    language, source = decide_language(None, None, text)

    assert (language is None) == (source is None)


@given(st.one_of(st.text(), st.datetimes().map(str), st.dates().map(str)))
def test_any_text_is_a_date_or_none(raw: str) -> None:
    """Whatever stands in a date's place, parsing it doesn't raise, and what comes out pandas can read."""
    date, precision = parse_date(raw, "en", PAGE_TIME)

    assert (date is None) == (precision is None)
    if date is not None:
        assert dt.datetime.fromisoformat(date)


@given(st.text(st.characters(exclude_categories=[])))
def test_text_is_valid_unicode(text: str) -> None:
    """No lone surrogate and no NUL comes through, whatever a page holds."""
    cleaned = clean_text(text)

    assert cleaned is None or ("\x00" not in cleaned and cleaned.encode("utf-8").strip())


def test_a_frame_has_sensible_types() -> None:
    """Reviews make a frame whose columns have the types that frame_dtypes names, also where all is missing."""
    reviews = [Review(source="json-ld", rating=4.0, date="2024-03-01T23:02:55.425Z"),
               Review(source="rdfa", date="2011-04-01")]
    rows = [{name: getattr(review, name) for name in Review.__struct_fields__} for review in reviews]
    dtypes = frame_dtypes()

    frame = pandas.DataFrame(rows)
    for name, dtype in dtypes.items():
        frame[name] = (pandas.to_datetime(frame[name], utc=True, format="ISO8601").astype(dtype)
                       if dtype.startswith("datetime") else frame[name].astype(dtype))

    assert list(frame.columns) == list(dtypes)
    assert {name: str(frame[name].dtype) for name in ("rating", "verified", "date", "author", "page")} == {
        "rating": "Float64", "verified": "boolean", "date": "datetime64[ns, UTC]", "author": "string", "page": "Int64",
    }
    assert frame["date"].dt.year.tolist() == [2024, 2011]
