"""What the name of a column says about who left, in the languages of this service and a few others: one
table, tried from above, in which the first row that fits counts. Add a word where its like stands.

A name is split into words (`EMAIL_BLACKLISTED`, `hasOptedOut`, `Désinscrit le`), without case and accents.
What stands under `anywhere` may be within a word, because many tools glue them (`emailoptout`); what stands
under `words` begins at a word and ends with one, and `*` is any ending."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from newsletter.domain.lifecycle import State


class Tells(StrEnum):
    """Which cells of a column say that somebody left."""

    FILLED = "filled"  # those that are true, or hold anything: `Opted out`, `bounced_at`
    FALSE = "false"  # those that are false: `Consent`, `Subscribed`
    WORD = "word"  # those with a word for it: `Status`


@dataclass(frozen=True)
class Meaning:
    """What columns with such names mean: `state` is that of those whose cells tell."""

    tells: Tells
    state: State
    anywhere: str
    words: str

    def fits(self, plain: str, glued: str) -> bool:
        """Whether a name has one of these words."""
        return bool(_within(self.anywhere).search(glued) or _beginning(self.words).search(plain))


MEANINGS = (
    Meaning(
        Tells.FILLED,
        State.COMPLAINED,
        "complain|beschwerde|spamreport|markedasspam|abusereport|شكوى|शिकायत",
        "spam|spammed|spammer|junk|abuse|abused|abuse report*|fbl|plainte*|plaignant|queja*|denuncia*|"
        "reclamacao|reclamo",
    ),
    Meaning(
        Tells.FILLED,
        State.BOUNCED,
        "bounc|undeliver|unzustell|nichtzustell|unreach|unerreich|nichterreich|injoignable|rebotad|"
        "rucklauf|invalidemail|emailinvalid|imbalzat|مرتد|बाउंस",
        "cleaned|clean time|clean date|clean campaign*|invalid|is invalid|invalid address*|invalid since|"
        "ungultig*|ungueltig*|invalide*|invalido*|non delivrable*|npai|rebote*|devuelto*|devolvid*|"
        "quarantin*|returned mail|smtp error*|smtp code*|diagnostic*",
    ),
    Meaning(
        Tells.FILLED,
        State.UNSUBSCRIBED,
        "unsub|nonsubscri|unabonn|optout|optedout|optingout|optsout|blacklist|blocklist|listenoire|listanegra|"
        "denylist|suppress|donotmail|donotemail|donotcontact|donotbulk|donotsend|donotprocess|dontmail|"
        "dontsend|abgemeld|abmeld|ausgetragen|austragen|austritt|gekundigt|gekuendigt|kundigung|"
        "kuendigung|abbestell|sperrliste|sperre|sperrvermerk|robinson|nichtmehr|nichtzulassen|neveutplus|"
        "nodesea|norecibir|naoreceb|naoquer|desinscri|desabon|desuscri|dessubscri|descadastr|desiscri|"
        "disiscri|cancellat|widerspr|widerruf|resiliation|uitgeschreven|afgemeld|uitschrij|wypisan|rezygn|"
        "avregistr|avprenumer|avmeld|afmeld|frameld|отпис|退订|配信停止|退会|수신거부|nontransactional|deactivat|"
        "inactiv|inaktiv|inattiv|desactiv|desativ|inativ|deaktiv|अनसब्सक्राइब|सदस्यतासमाप्त|सदस्यतारद्द|"
        "ऑप्टआउट|الغاءالاشتراك|إلغاءالاشتراك|ألغىالاشتراك|الغىالاشتراك|ملغى|محظور|غيرمشترك",
        "opt out*|opted out*|opting out|opts out|out opt|cancel|cancelled*|canceled*|cancelad*|cancelou|"
        "cancelacion|cancelamento|cancellation*|annul*|baja|dado de baja|de baja|removed*|removal|"
        "removid*|retire|deleted*|is deleted|deletion*|geloscht*|geloescht*|loschdatum|supprim*|eliminad*|"
        "borrad*|excluid*|excluded|disabled*|blocked*|blockiert*|bloque|bloquead*|gesperrt*|banned|"
        "suspended*|suspendid*|suspendu*|expired*|hold|on hold|held|stopped|stop status|stop time|"
        "stop date|left|left at|left on|quit|exit date|ended at|churn*|archived*|archiviert*|resilie|"
        "erased*|forgotten|anonymi*|revoked*|revoque*|revocad*|revogad*|withdrawn*|withdrew|withdrawal*|"
        "opposition*|oposicion*|oposicao*|exclu|exclue|exclus|bloqueo*|bloqueio*|renuncia*|date de sortie|"
        "data de saida|stop mail*|stop email*|stop e mail*|deceased|verstorben*|decede*|fallecid*|"
        "falecid*|rejected*|refuse|refused|rechazad*|nomail|dnc|"
        "dne|iptal|unlist*|हटाया*|हटाए*|रद्द|ब्लॉक*|حذف|محذوف|الغاء|إلغاء",
    ),
    Meaning(
        Tells.WORD,
        State.UNSUBSCRIBED,
        "status|subscribertype|स्थिति|حالة",
        "state|statut*|estado*|stato|zustand|situacao|etat|reason|grund|motif|motivo|type",
    ),
    Meaning(
        Tells.FALSE,
        State.PENDING,
        "doubleopt",
        "doi|confirm|confirmed|confirmation|is confirmed|verified|is verified|validated|bestatigt|"
        "bestaetigt|confirme|verifie|confirmad*|verificad*|validad*|पुष्टि*|مؤكد",
    ),
    Meaning(
        Tells.FALSE,
        State.BOUNCED,
        "deliverable|zustellbar|erreichbar",
        "valid|is valid|gultig|gueltig|valide|valido|valida",
    ),
    Meaning(
        Tells.FALSE,
        State.UNSUBSCRIBED,
        "optin|optedin|consent|einwillig|zustimm|subscri|abonn|inscri|suscri|newsletter|marketing|mailing|"
        "gdpr|dsgvo|rgpd|lgpd|mailable|emailable|contactable|reachable|sendable|permission|erlaubnis|"
        "angemeld|eingetragen|iscritt|prenumer|सदस्य|सहमति|ग्राहक|مشترك|اشتراك|موافق|نشط|सक्रिय",
        "opt in*|opted in*|accept*|akzeptier*|allow*|agree*|accord|acuerdo|active|is active|"
        "currently active|aktiv|actif|activo|activa|ativo|ativa|attivo|activated*|aktiviert*|enabled|"
        "is enabled|enable|mail|mails|email|emails|e mail|e mails|receive*|recibir|receber|recevoir|"
        "empfang*|promo*|einverstanden*|kontakt*|contact|contacter|wants*|opt|frequency|frequence|frecuencia|"
        "frequencia|haufigkeit",
    ),
)
_LEFT = MEANINGS[2]
# `Do not email`, `No bulk mail`, `Kein Newsletter`, `ne pas contacter`: as the third row.
_NEGATED = re.compile(
    " (?:no|non|not|dont|don t|never|kein[^ ]*|nicht|pas|ne|sin|nao|nie) (?:(?!of |de )[^ ]+ )?(?:e ?mail|"
    "contact|kontakt|newsletter|bulk|marketing|werbung|promo|send|process|subscri|abon|suscri|inscri|"
    "enviar|solicit|sollicit|recibir|receb|recevoir|anschreib|market|confirm|verif|activ|aktiv|bestatigt)"
)
# Other ways than mail: who does not want to be called may well want to be written to.
_OTHER_WAYS = (
    "sms|mms|text message*|texts|phone*|call*|fax|whatsapp|push*|telefon*|telephone|postal|mobile|web push"
)
_ALL_WAYS = "mail*|email*|e mail*|all|any|everything|alle*|tout*|todo*"
# By these names alone a column that tells by what is false may say who left, whatever its cells are.
_ALONE = frozenset(
    [
        "active",
        "isactive",
        "aktiv",
        "actif",
        "activo",
        "ativo",
        "enabled",
        "isenabled",
        "optedin",
        "optin",
        "subscribed",
        "issubscribed",
    ]
)
# By these, what the cells hold is about the subscription, and not the state of an order or of a country.
_OF_SUBSCRIPTIONS = re.compile(
    "mail|subscri|abonn|suscri|inscri|inscrit|member|mitglied|list|contact|kontakt|global|consent|opt|"
    "newsletter|empfang|destinat|market|deliver|सदस्य|اشتراك"
)
_STATES = re.compile("status|state|statut|estado|stato|zustand|situacao|etat|subscribertype|स्थिति|حالة")


def split(name: str) -> str:
    """The words of a name, each after a space: `hasOptedOut` is ` has opted out `."""
    name = re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return f" {fold(name)} "


def fold(text: str) -> str:
    """A text without case, accents and signs, one space between its words."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(character for character in apart if not "\u0300" <= character <= "\u036f")
    kept = "".join(
        character if unicodedata.category(character)[0] in "LMN" else " "
        for character in unicodedata.normalize("NFC", letters)
    )
    return " ".join(kept.split())


def glue(name: str) -> str:
    """A name without spaces and signs, by which it is looked up: `E-Mail Address` is `emailaddress`."""
    return fold(name).replace(" ", "")


@lru_cache(4096)
def meaning_of(name: str) -> Meaning | None:
    """What a column of this name may say about who left; None where its name says nothing of it."""
    plain = split(name)
    if _beginning(_OTHER_WAYS).search(plain) and not _beginning(_ALL_WAYS).search(plain):
        return None
    glued = plain.replace(" ", "")
    found = next((meaning for meaning in MEANINGS if meaning.fits(plain, glued)), None)
    if (found is None or found.tells is not Tells.FILLED) and _NEGATED.search(plain):
        return _LEFT
    return found


def tells_alone(name: str) -> bool:
    """Whether a column of this name may say who left, whatever its cells are."""
    meaning = meaning_of(name)
    return meaning is not None and (meaning.tells is Tells.FILLED or glue(name) in _ALONE)


def is_about_subscriptions(name: str) -> bool:
    """Whether a column holds the states of subscriptions: any word in it may say who left."""
    glued = glue(name)
    return bool(_STATES.fullmatch(glued) or (_STATES.search(glued) and _OF_SUBSCRIPTIONS.search(glued)))


@lru_cache
def _within(parts: str) -> re.Pattern[str]:
    return re.compile("|".join(fold(part).replace(" ", "") for part in parts.split("|")))


@lru_cache
def _beginning(words: str) -> re.Pattern[str]:
    """Any of the words, or of some in a row."""
    folded = (fold(word) + ("[^ ]*" if word.endswith("*") else "") for word in words.split("|"))
    return re.compile(f" (?:{'|'.join(folded)}) ")
