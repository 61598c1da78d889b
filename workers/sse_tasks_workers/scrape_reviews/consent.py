"""Banners that ask for consent: it is refused, by the buttons of the common makers of such banners or by their words.

Nothing is ever accepted: a banner without a way to refuse stays where it is.
"""

from __future__ import annotations

import json

__all__ = ["REJECT"]

# The "reject all" of each maker's banner, as its own pages have it.
_BUTTONS = [
    "#onetrust-reject-all-handler", ".ot-pc-refuse-all-handler",  # OneTrust
    "#CybotCookiebotDialogBodyButtonDecline", "#CybotCookiebotDialogBodyLevelButtonLevelOptinDeclineAll",  # Cookiebot
    "#didomi-notice-disagree-button", ".didomi-continue-without-agreeing",  # Didomi
    "[data-testid='uc-deny-all-button']", "#uc-btn-deny-banner", "button.uc-deny-button",  # Usercentrics
    "#truste-consent-required", ".trustarc-declineall-btn",  # TrustArc
    ".klaro .cn-decline", ".klaro .cm-btn-decline",  # Klaro
    ".cmplz-btn.cmplz-deny",  # Complianz
    ".cky-btn-reject", "#wt-cli-reject-btn", "[data-cky-tag='reject-button']",  # CookieYes
    ".iubenda-cs-reject-btn",  # iubenda
    ".osano-cm-denyAll", ".osano-cm-button--type_denyAll",  # Osano
    "[data-tid='banner-decline']",  # Termly
    "#axeptio_btn_dismiss",  # Axeptio
    "#tarteaucitronAllDenied2", "#tarteaucitronAllDenied",  # tarteaucitron
    "[data-cookiefirst-action='reject']",  # CookieFirst
    "#ccc-reject-settings", "#ccc-notify-reject",  # Civic
    "#cmpwelcomebtnno a", ".cmpboxbtnno",  # consentmanager
    "#shopify-pc__banner__btn-decline",  # Shopify
    ".fc-cta-do-not-consent",  # Funding Choices
    "#cn-refuse-cookie",  # Cookie Notice
    ".moove-gdpr-infobar-reject-btn",  # Moove
    ".brlbs-btn-accept-only-essential", "a._brlbs-refuse-btn", "[data-cookie-refuse]",  # Borlabs
    "#hs-eu-decline-button",  # HubSpot
    ".cc-window .cc-deny", ".cc_btn_deny",  # Cookie Consent
    "#sp-cc-rejectall-link",
    "#reject-all", "[data-action='reject-all']", "[data-consent='reject']",
]

# A button's whole text. "Only necessary" is a refusal of all that can be refused.
_WORDS = [
    "reject", "reject all", "reject all cookies", "reject cookies", "reject optional cookies", "decline",
    "decline all", "decline cookies", "deny", "deny all", "refuse", "refuse all", "disagree", "i disagree",
    "do not accept", "don't accept", "no, thanks", "no thanks", "continue without accepting",
    "continue without agreeing", "only necessary", "necessary only", "necessary cookies only",
    "use necessary cookies only", "only essential", "essential only", "essential cookies only",
    "only required cookies", "required only", "reject non-essential", "reject non-essential cookies",
    "reject additional cookies", "ablehnen", "alle ablehnen", "alles ablehnen", "cookies ablehnen", "nur notwendige",
    "nur notwendige cookies", "nur erforderliche", "nur erforderliche cookies", "nur essenzielle cookies akzeptieren",
    "nicht zustimmen", "weiter ohne einwilligung", "ohne zustimmung fortfahren", "refuser", "tout refuser",
    "refuser tout", "je refuse", "continuer sans accepter", "cookies essentiels uniquement", "rechazar",
    "rechazar todo", "rechazar todas", "rechazar cookies", "rechazar todas las cookies", "solo necesarias",
    "sólo necesarias", "continuar sin aceptar", "denegar", "rifiuta", "rifiuta tutto", "rifiuta tutti", "rifiuto",
    "solo necessari", "continua senza accettare", "rejeitar", "rejeitar tudo", "rejeitar todos", "recusar",
    "recusar tudo", "apenas necessários", "weigeren", "alles weigeren", "alle weigeren", "afwijzen", "alles afwijzen",
    "alleen noodzakelijk", "alleen noodzakelijke cookies", "odrzuć", "odrzuć wszystkie", "odrzuć wszystko",
    "tylko niezbędne", "avvisa", "avvisa alla", "neka", "neka alla", "endast nödvändiga", "afvis", "afvis alle",
    "kun nødvendige", "avvis", "avvis alle", "hylkää", "hylkää kaikki", "vain välttämättömät", "odmítnout",
    "odmítnout vše", "odmietnuť", "elutasítom", "összes elutasítása", "respinge", "respinge tot", "απόρριψη",
    "απόρριψη όλων", "reddet", "tümünü reddet", "отклонить", "отклонить все", "отказаться", "відхилити",
    "відхилити всі", "拒否", "すべて拒否", "同意しない", "拒绝", "全部拒绝", "拒絕", "全部拒絕", "거부", "모두 거부",
    "رفض", "رفض الكل", "דחה", "דחה הכל",
]
_ABOUT = ("cookie|consent|einwilligung|datenschutz|privacy|privacidad|confidentialit|gdpr|dsgvo|rgpd|"
          "同意|隐私|隱私|개인정보")

# Looks once and clicks at most one button; gives what it clicked, or null. Only a short text in or round a banner that
# speaks of cookies or consent counts, so that no other "Decline" of the page is touched.
_REJECT = """((selectors, wordList, aboutWords) => {
  const words = new Set(wordList), about = new RegExp(aboutWords, 'i');
  const roots = [document];
  for (const host of document.querySelectorAll('[id*="usercentrics" i], [id*="consent" i], [id*="cookie" i], '
      + '[id^="cmp" i], [class*="consent" i], [class*="cookie" i]'))
    if (host.shadowRoot) roots.push(host.shadowRoot);
  const shown = e => e.getClientRects().length > 0;
  for (const root of roots) for (const button of root.querySelectorAll(selectors.join(',')))
    if (shown(button)) { button.click(); return button.id || button.className || 'button'; }
  let looked = 0;
  const buttons = 'button, [role="button"], a, input[type="button"]';
  for (const root of roots) for (const button of root.querySelectorAll(buttons)) {
    if (++looked > 3000) return null;
    const text = (button.innerText || button.value || button.textContent || '').trim().replace(/\\s+/g, ' ');
    if (text.length > 60 || !words.has(text.toLowerCase()) || !shown(button)) continue;
    if (button.tagName === 'A' && /^https?:/.test(button.getAttribute('href') || '')) continue;
    let banner = button;
    for (let up = 0; up < 8 && banner; up++, banner = banner.parentElement || (banner.getRootNode() || {}).host) {
      const named = `${banner.id || ''} ${banner.className || ''}`;
      const spoken = (banner.textContent || '').length < 6000 ? banner.textContent : '';
      if (banner !== document.body && (about.test(named) || about.test(spoken))) { button.click(); return text; }
    }
  }
  return null;
})"""
REJECT = f"{_REJECT}({json.dumps(_BUTTONS)}, {json.dumps(_WORDS)}, {json.dumps(_ABOUT)})"
