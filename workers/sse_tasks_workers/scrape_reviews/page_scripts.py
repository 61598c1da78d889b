"""The scripts that look into a page. They run in a world of their own, whose built-ins no page's script can forge.

What they return is still the page's: untrusted, capped in size, and checked where it is used.
"""

from __future__ import annotations

import json

__all__ = ["FRAMES", "MUTATIONS", "SCROLL_AWAY", "SCROLL_DOWN", "fetch", "load_more", "look", "snapshot"]

# The whole page with its open shadow roots as declarative templates.
_SNAPSHOT = """(limit => {
  const roots = [], open = [document];
  while (open.length && roots.length < 5000) {
    const walker = document.createTreeWalker(open.pop(), NodeFilter.SHOW_ELEMENT);
    for (let node = walker.nextNode(); node; node = walker.nextNode())
      if (node.shadowRoot) { roots.push(node.shadowRoot); open.push(node.shadowRoot); }
  }
  const top = document.documentElement;
  if (!top) return {html: '', length: 0};
  const shell = top.cloneNode(false).outerHTML, cut = shell.lastIndexOf('</');
  const html = shell.slice(0, cut) + top.getHTML({shadowRoots: roots}) + shell.slice(cut);
  return {html: html.slice(0, limit), length: html.length};
})(%d)"""

# What a page says first: whether a description of a review is there, and whether scripts, or a page that it goes on to
# by itself, may still bring one. If it is there or nothing may, the snapshot comes along.
_LOOK = """(() => {
  let mark = !!document.querySelector('[itemtype*="Review"], [typeof*="Review"], .hreview, .h-review');
  let scripts = document.querySelectorAll('meta[http-equiv="refresh" i]').length;
  for (const script of document.scripts) {
    const type = (script.type || '').toLowerCase();
    if (type.includes('ld+json')) mark = mark || script.text.includes('Review');
    else if (!type || type.includes('javascript') || type === 'module') scripts++;
  }
  return {mark, scripts, page: mark || !scripts ? %s : null};
})()"""

# Where the frames of the page lead.
FRAMES = """Array.from(document.querySelectorAll('iframe, frame')).slice(0, 100).map(
  frame => frame.hasAttribute('srcdoc') ? 'about:srcdoc' : String(frame.src))"""


def snapshot(limit: int) -> str:
    """The page as ``{html, length}``: at most ``limit`` characters of so many."""
    return _SNAPSHOT % limit


def look(limit: int) -> str:
    """``{mark, scripts, page}``: whether there is a review, how many scripts, and a snapshot if it is worth one."""
    return _LOOK % snapshot(limit)


# Another page of the same host, as the server sends it; without a text where that isn't just a page of HTML.
_FETCH = """(async (url, limit, milliseconds) => {
  const over = new AbortController(), timer = setTimeout(() => over.abort(), milliseconds);
  try {
    const answer = await fetch(url, {mode: 'same-origin', redirect: 'manual', headers: {Accept: 'text/html'},
                                     referrerPolicy: 'no-referrer', signal: over.signal});
    const type = answer.headers.get('content-type') || '', found = {status: answer.status, url: answer.url,
      retryAfter: answer.headers.get('retry-after'), text: null};
    if (answer.status !== 200 || !/^text\\/html\\b/i.test(type) || answer.headers.has('content-disposition'))
      return found;
    const parts = [];
    let size = 0;
    for (const reader = answer.body.getReader();;) {
      const {done, value} = await reader.read();
      if (done) break;
      if ((size += value.length) > limit) return found;
      parts.push(value);
    }
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    const starts = mark => mark.every((byte, i) => bytes[i] === byte);
    const head = new TextDecoder('latin1').decode(bytes.subarray(0, 1024)).replace(/<!--[^]*?(-->|$)/g, '');
    const named = starts([0xEF, 0xBB, 0xBF]) ? 'utf-8' : starts([0xFE, 0xFF]) ? 'utf-16be'
      : starts([0xFF, 0xFE]) ? 'utf-16le' : (type.match(/charset\\s*=\\s*["']?([^\\s;"']+)/i)
      || head.match(/<meta\\s[^>]*?charset\\s*=\\s*["']?([^\\s;"'>\\/]+)/i) || [])[1];
    if (!named && bytes.some(byte => byte > 0x7F)) return found;
    const text = new TextDecoder(named || 'utf-8', {fatal: true}).decode(bytes);
    if (!text.includes('\\0')) found.text = text;
    return found;
  } catch (e) {
    return null;
  } finally {
    clearTimeout(timer);
    over.abort();
  }
})(%s, %d, %d)"""


def fetch(url: str, limit_bytes: int, seconds: float) -> str:
    """``{status, url, retryAfter, text}`` of a page that isn't shown; ``text`` is null where it has to be shown to be
    read: it redirects, isn't HTML, is too large, doesn't say its encoding or keep to it. Null where no answer came."""
    return _FETCH % (json.dumps(url), limit_bytes, seconds * 1000)


# How many changes of the document there were since this was asked first.
MUTATIONS = """(() => {
  if (!globalThis.watched) {
    globalThis.changes = 0;
    globalThis.watched = new WeakSet();
    globalThis.observer = new MutationObserver(list => { globalThis.changes += list.length; });
  }
  const roots = [document];
  for (const element of document.querySelectorAll(':not(:defined), *')) {
    if (element.shadowRoot) roots.push(element.shadowRoot);
    if (roots.length > 200) break;
  }
  for (const root of roots) if (!globalThis.watched.has(root)) {
    globalThis.watched.add(root);
    globalThis.observer.observe(root, {subtree: true, childList: true, characterData: true});
  }
  return globalThis.changes;
})()"""

# To the end of the page, and of the boxes on it that scroll by themselves; first a little away from it, since what
# waits there only notices who arrives. Gives whether there is anything to scroll.
_SCROLL = """((away) => {
  const page = document.scrollingElement || document.documentElement;
  const boxes = page && page.scrollHeight > page.clientHeight + 40 ? [page] : [];
  let looked = 0;
  for (const box of document.querySelectorAll('div, section, main, ul, ol, article')) {
    if (++looked > 5000) break;
    if (box.clientHeight > 150 && box.scrollHeight > box.clientHeight + 40
        && /auto|scroll/.test(getComputedStyle(box).overflowY)) boxes.push(box);
  }
  for (const box of boxes)
    box.scrollTop = away ? Math.max(0, box.scrollHeight - 3 * box.clientHeight) : box.scrollHeight;
  return boxes.length > 0;
})"""
SCROLL_AWAY = f"{_SCROLL}(true)"
SCROLL_DOWN = f"{_SCROLL}(false)"

# A button's whole text, without a number in brackets: "Show more reviews (12)".
_MORE_WORDS = [
    "load more", "load more reviews", "show more", "show more reviews", "more reviews", "view more",
    "view more reviews", "see more", "see more reviews", "show all reviews", "see all reviews", "view all reviews",
    "all reviews", "load next reviews", "older reviews", "load older reviews", "more comments", "load more comments",
    "load all", "mehr laden", "mehr anzeigen", "mehr bewertungen", "weitere bewertungen",
    "weitere bewertungen anzeigen", "weitere bewertungen laden", "mehr bewertungen anzeigen",
    "mehr bewertungen laden", "weitere laden", "weitere anzeigen", "alle bewertungen anzeigen", "mehr rezensionen",
    "weitere rezensionen", "voir plus", "voir plus d'avis", "afficher plus", "afficher plus d'avis", "charger plus",
    "charger plus d'avis", "plus d'avis", "voir tous les avis", "ver más", "ver más opiniones", "ver más reseñas",
    "mostrar más", "mostrar más opiniones", "mostrar más reseñas", "cargar más", "cargar más opiniones",
    "más opiniones", "más reseñas", "ver todas las opiniones", "carica altro", "carica altre recensioni",
    "mostra altro", "mostra altre recensioni", "altre recensioni", "vedi altro", "vedi altre recensioni", "ver mais",
    "ver mais avaliações", "mostrar mais", "mostrar mais avaliações", "carregar mais", "carregar mais avaliações",
    "mais avaliações", "meer laden", "meer tonen", "toon meer", "toon meer reviews", "meer reviews",
    "meer beoordelingen", "meer weergeven", "laad meer", "laad meer reviews", "pokaż więcej", "pokaż więcej opinii",
    "wczytaj więcej", "załaduj więcej", "więcej opinii", "visa fler", "visa fler recensioner", "ladda fler",
    "fler omdömen", "vis mere", "vis flere", "vis flere anmeldelser", "indlæs flere", "last inn flere",
    "vis flere omtaler", "näytä lisää", "lataa lisää", "lisää arvosteluja", "zobrazit více", "načíst další",
    "další recenze", "zobraziť viac", "továbbiak", "több vélemény", "több betöltése", "mai multe recenzii",
    "încarcă mai multe", "vezi mai multe", "περισσότερα", "περισσότερες κριτικές", "φόρτωση περισσότερων",
    "daha fazla", "daha fazla göster", "daha fazla yorum", "daha fazla yorum göster", "показать ещё", "показать еще",
    "загрузить ещё", "загрузить еще", "ещё отзывы", "еще отзывы", "больше отзывов", "показати ще", "завантажити ще",
    "більше відгуків", "もっと見る", "もっと読み込む", "さらに表示", "レビューをもっと見る", "すべてのレビューを見る",
    "加载更多", "查看更多", "更多评论", "更多评价", "載入更多", "查看更多評論", "顯示更多", "더보기", "더 보기",
    "리뷰 더보기", "리뷰 더 보기", "عرض المزيد", "تحميل المزيد", "طען עוד", "הצג עוד", "ดูเพิ่มเติม", "โหลดเพิ่ม",
    "xem thêm", "tải thêm", "muat lebih banyak", "lihat lainnya",
]
_NEXT_WORDS = [
    "next", "next page", "next reviews", "go to next page", "›", "»", "→", "weiter", "nächste seite", "suivant",
    "page suivante", "siguiente", "avanti", "successivo", "volgende", "próximo", "próxima", "następna", "nästa",
    "næste", "neste", "seuraava", "další", "sonraki", "следующая", "далее", "次へ", "下一页", "下一頁", "다음",
]

# Clicks the control for more, at most one: of the given selector, else by its words, else the "next" of a page list
# that is a button and no link. Never a link that leads elsewhere, nor what sends a form.
_MORE = """((selector, wordList, nextList) => {
  const words = new Set(wordList), next = new Set(nextList);
  const plain = text => (text || '').trim().replace(/\\s+/g, ' ').replace(/’/g, "'").toLowerCase()
    .replace(/[\\s(\\[]*[+]?\\d[\\d.,\\s]*(?:(?:\\/|of|von|de|sur|di|van|из)\\s*\\d[\\d.,]*)?[)\\]]*$/, '')
    .replace(/^[+⌄↓▾▼\\s]+|[\\s.…⌄↓▾▼+]+$/g, '').replace(/^(load|show|view|see) \\d+ more/, '$1 more');
  const shown = e => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== 'hidden';
  const off = e => e.disabled || e.getAttribute('aria-disabled') === 'true' || e.closest('[inert]')
    || /(^|[\\s_-])disabled($|[\\s_-])/.test(e.className.toString());
  const leads = e => { const link = e.closest('a[href]'); if (!link) return false;
    const href = link.getAttribute('href').trim();
    return !(href === '' || href.startsWith('#') || /^javascript:/i.test(href)); };
  const sends = e => { const form = e.closest('form'); return form && (e.type || 'button') !== 'button'
    && /^(BUTTON|INPUT)$/.test(e.tagName); };
  const roots = [document];
  for (let i = 0; i < roots.length && roots.length < 200; i++)
    for (const e of roots[i].querySelectorAll('*')) if (e.shadowRoot) roots.push(e.shadowRoot);
  const press = e => { e.scrollIntoView({block: 'center'}); e.click(); return 'clicked'; };
  let seen = null;
  if (selector) {
    for (const root of roots) for (const e of root.querySelectorAll(selector)) {
      if (!shown(e) || leads(e)) continue;
      if (off(e)) { seen = 'off'; continue; }
      return press(e);
    }
    return seen || 'none';
  }
  let looked = 0;
  const rest = [];
  for (const root of roots) for (const e of root.querySelectorAll(
      'button, [role="button"], a, input[type="button"], summary, [onclick], [class*="load-more" i],'
      + '[class*="loadmore" i], [class*="show-more" i], [data-load-more]')) {
    if (++looked > 5000) break;
    const names = [plain(e.innerText || e.value), plain(e.getAttribute('aria-label'))];
    const more = names.some(n => words.has(n));
    const turns = !more && names.some(n => next.has(n)) && !!e.closest(
      'nav, [class*="pagin" i], [class*="pager" i], [aria-label*="pag" i], [class*="review" i], [id*="review" i]');
    if (!(more || turns) || !shown(e) || leads(e) || sends(e)) continue;
    if (off(e)) { seen = 'off'; continue; }
    if (more && e.tagName !== 'SUMMARY') return press(e);
    rest.push(e);
  }
  return rest.length ? press(rest[0]) : seen || 'none';
})(%s, %s, %s)"""


def load_more(selector: str | None) -> str:
    """Presses the control that shows more; gives ``clicked``, ``off`` (it can't be pressed any more) or ``none``."""
    return _MORE % (json.dumps(selector), json.dumps(_MORE_WORDS), json.dumps(_NEXT_WORDS))
