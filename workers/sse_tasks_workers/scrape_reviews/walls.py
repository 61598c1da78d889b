"""What a page without reviews looks like: a login, a check for robots, a page that isn't there. It is said, no more."""

from __future__ import annotations

import re

from .markup import element_text, parse_page

__all__ = ["EMPTY", "KEPT_AWAY", "MISSING", "what_is_shown"]

_TEXT_LIMIT = 20_000
_SHORT = 3000
"""Characters of a page that shows nothing but its wall."""

ROBOT_CHECK, MISSING = "a check that keeps robots out", "a page that says that it isn't there"
LOGIN, FAILED = "a page that asks to log in first", "a page that says that something went wrong"
EMPTY = "an empty page"
KEPT_AWAY = frozenset({ROBOT_CHECK, LOGIN, FAILED})
"""Behind these there may well be reviews."""

_FAILED = re.compile(r"something (?:went|has gone) wrong|an (?:unexpected )?error (?:has )?occurred|try again later|"
                     r"temporarily unavailable|service unavailable|internal server error|bad gateway|too many requests|"
                     r"fehler (?:ist )?aufgetreten|erreur (?:s'est produite|est survenue)|ha ocurrido un error|"
                     r"verificato un errore|ocorreu um erro|wystąpił błąd|произошла ошибка|エラーが発生", re.IGNORECASE)
_LOGIN = re.compile(r"\b(?:log ?in|sign ?in|anmelden|einloggen|se connecter|connexion|iniciar sesión|accedi|inloggen|"
                    r"entrar|zaloguj|logga in|войти)\b|ログイン|登录|로그인", re.IGNORECASE)
_ROBOT = re.compile(r"just a moment|are you (?:a )?(?:human|robot)|verify (?:that )?you(?:'re| are) (?:a )?human|"
                    r"captcha|unusual traffic|checking your browser|access (?:to this page has been )?denied|"
                    r"attention required|"
                    r"pardon our interruption|bot detection|bist du ein mensch|je ne suis pas un robot|"
                    r"enable javascript and cookies to continue", re.IGNORECASE)
_MISSING = re.compile(r"\b404\b|(?:page|product|article) (?:was |could )?(?:not|n't|can't be|cannot be) (?:be )?found|"
                      r"page (?:doesn't|does not|no longer) exist|seite (?:wurde )?nicht gefunden|page introuvable|"
                      r"página no encontrada|pagina non trovata|pagina niet gevonden|no longer available|nothing here|"
                      r"страница не найдена|ページが見つかりません|页面不存在", re.IGNORECASE)
_CONSENT = re.compile(r"cookie|consent|einwilligung|zustimm|gdpr|dsgvo|rgpd", re.IGNORECASE)
_NO_REVIEWS = re.compile(
    r"no (?:customer )?reviews (?:yet|found)|there are no reviews|be the first to (?:write a )?review|\b0 reviews|"
    r"noch keine (?:bewertungen|rezensionen)|keine bewertungen|aucun avis|(?:no hay|sin) (?:opiniones|reseñas)|"
    r"nessuna recensione|nog geen (?:reviews|beoordelingen)|ainda não há avaliações|brak opinii|"
    r"レビューはまだありません|暂无评价|리뷰가 없습니다", re.IGNORECASE)


def what_is_shown(html: str, title: str | None) -> str | None:
    """What such a page seems to be, in words that follow "It looks like"; None where it is just a page."""
    root = parse_page(html[: 40 * _TEXT_LIMIT])
    if root is None:
        return EMPTY
    text = element_text(root)[:_TEXT_LIMIT].strip()
    head = f"{title or ''}\n{' '.join(''.join(h.itertext())[:300] for h in root.xpath('//h1')[:3])}"
    short = len(text) < _SHORT
    if _ROBOT.search(head) or (short and _ROBOT.search(text)):
        return ROBOT_CHECK
    if _MISSING.search(head):
        return MISSING
    if root.xpath("//input[@type='password']") and (_LOGIN.search(head) or (short and _LOGIN.search(text))):
        return LOGIN
    if _FAILED.search(head) or (short and _FAILED.search(text)):
        return FAILED
    if _NO_REVIEWS.search(text):
        return "a page that has no reviews yet"
    if short and _CONSENT.search(text) and root.xpath("//button | //*[@role='button'] | //input[@type='submit']"):
        return "a page that asks for consent first"
    if not text:
        return EMPTY
    return None
