"""A small shop on loopback that sells one kettle and shows what people think of it: something to scrape.

``python notebooks/demo_shop.py --port 0`` prints the address of the kettle's page and serves until it is stopped.
Three pages of twelve reviews in seven languages: the first has them as JSON-LD, the second as microdata, the third as
both. In Python, ``with DemoShop() as shop: shop.url``. Needs nothing but the standard library; all names and texts are
made up.
"""

from __future__ import annotations

import argparse
import html
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

REVIEWS_PER_PAGE = 12
RATINGS = 58  # more people gave stars than wrote a word


class Opinion(NamedTuple):
    author: str
    stars: int
    date: str
    language: str
    title: str
    body: str


OPINIONS = [
    Opinion("Marta Lindqvist", 5, "2026-09-28", "en", "Boils before I find a cup",
            "A full litre in just under three minutes, and it switches off with a soft click instead of a bang."),
    Opinion("Jonas Ahrend", 4, "2026-09-25", "de", "Leise und schnell",
            "Sehr leise, auch bei vollem Wasserstand. Ein Stern Abzug, weil der Deckel etwas schwergängig ist."),
    Opinion("Camille Roussel", 5, "2026-09-21", "fr", "Parfaite pour le thé vert",
            "Le réglage à 80 °C est précis, je l'ai vérifié au thermomètre. Mon sencha n'est plus amer."),
    Opinion("Tobias Okafor", 2, "2026-09-20", "en", "Handle gets warm",
            "Lovely to look at, but after two rounds the handle is too warm to hold comfortably."),
    Opinion("Lucía Ferrer", 5, "2026-09-17", "es", "La mejor que he tenido",
            "Llevo tres semanas usándola cada mañana y sigue como el primer día. No gotea al servir."),
    Opinion("佐藤 みのり", 4, "2026-09-15", "ja", "注ぎやすい",
            "細い注ぎ口のおかげでコーヒーのドリップがとても楽になりました。もう少し軽ければ満点です。"),
    Opinion("Pieter van Loon", 3, "2026-09-11", "nl", "Prima, maar prijzig",
            "Doet precies wat hij moet doen. Voor deze prijs had ik wel een langer snoer verwacht."),
    Opinion("Giulia Marchetti", 5, "2026-09-08", "it", "Bella e robusta",
            "Acciaio spesso, coperchio che chiude bene. L'acqua non prende nessun sapore di metallo."),
    Opinion("Ruth Abernathy", 1, "2026-09-05", "en", "Arrived dented",
            "The box was fine, the kettle inside was not. Support sent a new one within a week, but still."),
    Opinion("Beatriz Nogueira", 4, "2026-09-02", "pt", "Ferve depressa",
            "Aquece muito depressa e mantém a temperatura durante meia hora. O apito podia ser mais baixo."),
    Opinion("Friederike Mommsen", 5, "2026-08-30", "de", "Endlich kein Kalkgeschmack",
            "Der Filter lässt sich mit einem Griff herausnehmen. Das Wasser schmeckt nach nichts, wie es soll."),
    Opinion("Dev Chaudhary", 5, "2026-08-27", "en", "Survived my students",
            "It lives in a shared lab kitchen and gets used forty times a day. Five months in, nothing rattles."),
    Opinion("Élodie Garnier", 3, "2026-08-24", "fr", "Bien, sans plus",
            "Elle chauffe vite mais le couvercle s'ouvre trop brusquement, attention aux éclaboussures."),
    Opinion("Sam Whitcombe", 4, "2026-08-22", "en", "Keep-warm is the reason to buy",
            "Holding 90 degrees for an hour while I mark papers is worth the money. The beep can't be turned off."),
    Opinion("Ines Baumgartl", 5, "2026-08-19", "de", "Schönes Stück",
            "Steht bei uns auf dem Tisch und nicht im Schrank. Läuft seit dem Sommer ohne eine Macke."),
    Opinion("高橋 遼", 5, "2026-08-16", "ja", "沸くのが早い",
            "朝の忙しい時間に助かっています。カップ一杯なら五十秒ほどで沸きます。"),
    Opinion("Marco Bellini", 2, "2026-08-13", "it", "Rumorosa",
            "Scalda bene ma a metà dell'ebollizione sembra un aereo che decolla. In un monolocale si sente troppo."),
    Opinion("Aoife Brannigan", 5, "2026-08-10", "en", "A present that stayed",
            "Bought it for my mother, borrowed it for a weekend, bought a second one for myself."),
    Opinion("Diego Salvatierra", 4, "2026-08-07", "es", "Muy buena relación calidad-precio",
            "Esperaba plástico y es todo acero y vidrio. El indicador de nivel se lee mal con poca luz."),
    Opinion("Hannah Steenkamp", 5, "2026-08-04", "nl", "Giet als een droom",
            "Geen druppel naast de kop, ook niet bij een volle kan. Het handvat ligt goed in de hand."),
    Opinion("Rafael Quintela", 3, "2026-08-01", "pt", "Boa, mas pesada",
            "Cheia pesa quase dois quilos, o que não é para toda a gente. De resto, nada a apontar."),
    Opinion("Nadia Kowalczyk", 4, "2026-07-29", "en", "Honest temperature display",
            "The display and my probe never disagree by more than a degree. I wish the base had a cord winder."),
    Opinion("Bernard Tissot", 5, "2026-07-26", "fr", "Silencieuse",
            "On l'entend à peine depuis la pièce d'à côté. Le nettoyage au vinaigre prend deux minutes."),
    Opinion("Wiebke Thorsen", 1, "2026-07-23", "de", "Nach zwei Wochen defekt",
            "Die Basis erkennt die Kanne nicht mehr. Umtausch läuft, die Antwort kam immerhin am selben Tag."),
    Opinion("Oliver Penhaligon", 5, "2026-07-20", "en", "Simple, and that is the point",
            "One lever, one light, no app, no account. It makes water hot."),
    Opinion("Noemí Arriaga", 5, "2026-07-17", "es", "Perfecta para el mate",
            "Se puede parar a 75 grados exactos, que es justo lo que buscaba. El pico no salpica."),
    Opinion("山本 あかり", 3, "2026-07-14", "ja", "デザインは良い",
            "見た目はとても気に入っています。ただ、ふたの開け閉めに少し力が要ります。"),
    Opinion("Clara Vismara", 4, "2026-07-11", "it", "Comoda ogni giorno",
            "La uso per tè, tisane e pasta. La base resta ferma e i piedini non scivolano."),
    Opinion("George Mbeki-Lowe", 4, "2026-07-08", "en", "Good, with a quirk",
            "Fill it past the line and it spits a little. Below the line it behaves perfectly."),
    Opinion("Sandrine Lefort", 5, "2026-07-05", "fr", "Elle remplace deux appareils",
            "Depuis qu'elle garde l'eau chaude, j'ai rangé le thermos. Le câble est un peu court."),
    Opinion("Gerrit Hoekstra", 5, "2026-07-02", "nl", "Stevig ding",
            "Van het aanrecht gevallen en gewoon doorgegaan. Alleen een krasje op de bodem."),
    Opinion("Leonor Pacheco", 5, "2026-06-29", "pt", "Recomendo",
            "Chegou em dois dias, bem embalada, e ferve um litro mais depressa do que a minha placa."),
    Opinion("Priya Raghunathan", 4, "2026-06-26", "en", "Nearly perfect for pour-over",
            "Flow control is superb. I took off a star because the lid hides the water level from above."),
    Opinion("Konrad Zellweger", 2, "2026-06-23", "de", "Zu hell",
            "Die blaue Beleuchtung lässt sich nicht abschalten und leuchtet nachts die ganze Küche aus."),
    Opinion("Inma Caballero", 5, "2026-06-20", "es", "Repetiría sin dudar",
            "Ya van dos mudanzas con ella y funciona igual. El filtro se encuentra fácilmente de repuesto."),
    Opinion("Walter Fennimore", 5, "2026-06-17", "en", "My third, and the best of them",
            "The first lasted nine years, the second seven. If this one makes it to five I will be content."),
]
LAST_PAGE = -(-len(OPINIONS) // REVIEWS_PER_PAGE)

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;color:#222}
article{border-top:1px solid #ddd;padding:.8rem 0}h3{margin:0}small{color:#777}nav{display:flex;gap:1rem}"""


def kettle_page(number: int) -> str:
    """The HTML of page ``number`` of the kettle's reviews, from 1."""
    opinions = OPINIONS[(number - 1) * REVIEWS_PER_PAGE : number * REVIEWS_PER_PAGE]
    as_jsonld, as_microdata = number != 2, number != 1
    average = round(sum(opinion.stars for opinion in OPINIONS) / len(OPINIONS), 2)
    shop = {"@type": "Organization", "name": "The Kettle Shop",
            "aggregateRating": {"@type": "AggregateRating", "ratingValue": 4.7, "reviewCount": 4182}}
    kettle: dict[str, Any] = {
        "@type": "Product", "@id": "#kettle", "name": "Brisk kettle, 1.2 l",
        "aggregateRating": {"@type": "AggregateRating", "ratingValue": average, "bestRating": 5,
                            "reviewCount": len(OPINIONS), "ratingCount": RATINGS},
    }
    if as_jsonld:
        kettle["review"] = [_jsonld(opinion) for opinion in opinions]
    data = json.dumps({"@context": "https://schema.org", "@graph": [shop, kettle]}, ensure_ascii=False, indent=1)
    data = data.replace("</", "<\\/")  # no text may end the script
    links = []
    if number > 1:
        links.append(f'<a rel="prev" href="/kettle?page={number - 1}">Newer reviews</a>')
    if number < LAST_PAGE:
        links.append(f'<a rel="next" href="/kettle?page={number + 1}">Older reviews</a>')
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Brisk kettle, page {number} of reviews</title>
<style>{_STYLE}</style>
<script type="application/ld+json">
{data}
</script></head>
<body>
<h1>Brisk kettle, 1.2 l</h1>
<p>Brushed steel, five temperatures, keeps warm for an hour. {average} of 5 stars from {len(OPINIONS)} reviews.</p>
<section{' itemscope itemtype="https://schema.org/Product"' if as_microdata else ""}>
{'<meta itemprop="name" content="Brisk kettle, 1.2 l">' if as_microdata else ""}
{"".join(_article(opinion, as_microdata) for opinion in opinions)}
</section>
<nav aria-label="Pages of reviews">{" ".join(links)}</nav>
</body></html>"""


def _jsonld(opinion: Opinion) -> dict[str, Any]:
    return {
        "@type": "Review",
        "author": {"@type": "Person", "name": opinion.author},
        "datePublished": opinion.date,
        "inLanguage": opinion.language,
        "name": opinion.title,
        "reviewBody": opinion.body,
        "reviewRating": {"@type": "Rating", "ratingValue": opinion.stars, "bestRating": 5, "worstRating": 1},
    }


def _article(opinion: Opinion, marked: bool) -> str:
    def prop(name: str) -> str:
        return f' itemprop="{name}"' if marked else ""

    scope = ' itemprop="review" itemscope itemtype="https://schema.org/Review"' if marked else ""
    rating = ' itemprop="reviewRating" itemscope itemtype="https://schema.org/Rating"' if marked else ""
    scale = '<meta itemprop="bestRating" content="5"><meta itemprop="worstRating" content="1">' if marked else ""
    author, title, body = map(html.escape, (opinion.author, opinion.title, opinion.body))
    return f"""<article lang="{opinion.language}"{scope}>
<h3{prop("name")}>{title}</h3>
<small><span{prop("author")}>{author}</span>,
<time{prop("datePublished")} datetime="{opinion.date}">{opinion.date}</time>,
<span{rating}>{scale}<span{prop("ratingValue")}>{opinion.stars}</span> stars</span></small>
<p{prop("reviewBody")}>{body}</p>
</article>
"""


class DemoShop(ThreadingHTTPServer):
    """The shop as a context manager: it serves from a thread of its own while the block lasts.

    ``port`` 0 takes a free one. ``pause`` is how many seconds each page takes, for who likes to watch.
    """

    daemon_threads = True

    def __init__(self, port: int = 0, pause: float = 0.0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.pause = pause

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/kettle"

    def __enter__(self) -> DemoShop:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: DemoShop

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/robots.txt":
            self._answer(200, "User-agent: *\nDisallow: /checkout\n", "text/plain")
        elif parts.path == "/":
            self._answer(200, '<!doctype html><title>The Kettle Shop</title><a href="/kettle">Our one kettle</a>')
        elif parts.path == "/kettle":
            asked = parse_qs(parts.query).get("page", ["1"])[0]
            if asked.isdecimal() and 1 <= int(asked) <= LAST_PAGE:
                time.sleep(self.server.pause)
                self._answer(200, kettle_page(int(asked)))
            else:
                self._answer(404, "<!doctype html><title>No such page</title>")
        else:
            self._answer(404, "<!doctype html><title>Not sold here</title>")

    def _answer(self, status: int, text: str, kind: str = "text/html") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds that each page takes")
    options = parser.parse_args()
    with DemoShop(options.port, options.pause) as shop:
        print(shop.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
