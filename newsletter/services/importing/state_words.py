"""What the cells of a file say about who left: the words that other tools, and people, write for the states,
for yes, no and nothing, in the languages of this service and a few others. Add a word where its like
stands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from newsletter.domain.lifecycle import State
from newsletter.services.importing.column_names import fold

_WORDS = {
    State.CONFIRMED: (
        "confirmed, active, subscribed, enabled, confirmed opt-in, double opt-in, opted in, opt-in, "
        "regular, premium, paid, gift, gifted, trialed, unpaid, churning, paused, past_due, current, "
        "resubscribed, normal, explicit, express, implied, allow, allowed, accepted, granted, aktiv, "
        "aktiviert, angemeldet, abonniert, bestätigt, eingetragen, zugestimmt, actif, active, abonné, "
        "abonnée, inscrit, inscrite, confirmé, confirmée, activo, activa, suscrito, suscrita, suscripto, "
        "confirmado, confirmada, ativo, ativa, inscrito, inscrita, assinante, attivo, iscritto, actief, "
        "ingeschreven, aktywny, सक्रिय, सदस्य, पुष्ट, نشط, مشترك, مؤكد"
    ),
    State.PENDING: (
        "pending, unconfirmed, unactivated, not confirmed, waiting, awaiting confirmation, "
        "pending confirmation, confirmation pending, unverified, not verified, validating, new, "
        "opt-in pending, pending opt-in, unbestätigt, nicht bestätigt, ausstehend, wartend, wartet, "
        "non confirmé, en attente, no confirmado, sin confirmar, pendiente, não confirmado, pendente, "
        "in attesa, in afwachting, लंबित, अपुष्ट, معلق, غير مؤكد, قيد الانتظار"
    ),
    State.UNSUBSCRIBED: (
        "unsubscribed, unsubscribe, unsubscribed by user, list unsubscribe, unsubscribe link, "
        "globally unsubscribed, never subscribed, not subscribed, non subscribed, nonsubscribed, "
        "opted out, opt-out, opt_out, optout, opt out, cancelled, canceled, removed, disabled, "
        "blocklisted, blacklisted, blocked, suppressed, manual suppression, user suppressed, "
        "manually suppressed, archived, deleted, by user, by moderator, do not contact, do not mail, "
        "do not email, do not allow, deactivated, denied, declined, refused, rejected, withdrawn, "
        "revoked, churned, banned, left, excluded, no consent, no email, no mail, nomail, unsubscribes, "
        "unsubscribers, opt outs, suppression list, blocklist, blacklist, abgelehnt, refusé, refusée, "
        "rechazado, recusado, abgemeldet, abbestellt, ausgetragen, gekündigt, gesperrt, blockiert, "
        "gelöscht, deaktiviert, widerrufen, widersprochen, nicht angemeldet, nicht abonniert, désabonné, "
        "désabonnée, désinscrit, désinscrite, non abonné, non inscrit, liste noire, bloqué, bloquée, "
        "supprimé, supprimée, désactivé, désactivée, résilié, annulé, dado de baja, dada de baja, baja, "
        "desuscrito, desuscripto, cancelado, cancelada, no suscrito, anulado, bloqueado, bloqueada, "
        "eliminado, eliminada, desactivado, descadastrado, descadastrada, cancelou, cancelou inscrição, "
        "desinscrito, desinscrita, não inscrito, inscrição cancelada, removido, removida, excluído, "
        "desativado, disiscritto, disiscritta, cancellato, uitgeschreven, afgemeld, wypisany, wypisana, "
        "avregistrerad, avmeldt, अनसब्सक्राइब, अनसब्सक्राइब्ड, सदस्यता समाप्त, सदस्यता रद्द, हटाया गया, "
        "अवरुद्ध, ऑप्ट आउट, ملغى, ألغى الاشتراك, ملغى الاشتراك, إلغاء الاشتراك, تم إلغاء الاشتراك, "
        "غير مشترك, محظور, محذوف, out, refus, retiré, retirée, opposé, opposée, denegado, denegada, "
        "revocado, revocada, revogado, revogada, retirado, retirada, negado, negada"
    ),
    State.BOUNCED: (
        "bounced, bounce, bounces, bouncing, hard bounces, hard bounce, hard bounced, hardbounce, "
        "hardbounced, soft bounced, softbounced, softbounce, soft bounce, bounced hard, bounced soft, "
        "bounce rule, by bounces, cleaned, undeliverable, undelivered, unreachable, invalid, "
        "invalid email, invalid address, mailbox not found, returned, quarantined, unzustellbar, "
        "nicht zustellbar, unerreichbar, nicht erreichbar, ungültig, bereinigt, gebounced, "
        "zurückgekommen, rejeté, non distribué, non distribuable, injoignable, invalide, nettoyé, npai, "
        "rebotado, rebotada, rebotó, devuelto, no entregable, inválido, inválida, limpiado, devolvido, "
        "devolvida, não entregue, rimbalzato, onbestelbaar, बाउंस, बाउंस हुआ, अमान्य, مرتد, مرتجع, "
        "غير صالح, تعذر التسليم"
    ),
    State.COMPLAINED: (
        "complained, complaint, complaints, spam complaints, complaining, reported, spam, spammy, "
        "spam complaint, spam report, spam reported, reported spam, reported as spam, marked as spam, "
        "marked spam, junk, abuse, abused, abuse report, abuse complaint, fbl, beschwerde, "
        "spam-beschwerde, beschwert, als spam markiert, spam gemeldet, plainte, plainte pour spam, "
        "marqué comme spam, signalé comme spam, queja, queja de spam, marcado como spam, denunciado, "
        "reclamou, reclamação, denúncia de spam, शिकायत, स्पैम, शिकायत की, شكوى, بريد مزعج, اشتكى"
    ),
}
# Who left, in some tools, and something else in others: the operator must say which.
_UNCLEAR = (
    "inactive, inactivo, inactiva, inaktiv, inactif, inactive, inativo, inativa, inattivo, inactief, "
    "nieaktywny, hold, on hold, expired, abgelaufen, expiré, expirado, vencido, suspended, suspendido, "
    "suspenso, suspendu, stopped, not active, nicht aktiv, निष्क्रिय, غير نشط"
)
# Words of leaving that mean something else in other columns, such as the state of an order.
_ELSEWHERE = (
    "cancelled, canceled, removed, disabled, blocked, archived, deleted, denied, revoked, withdrawn, "
    "left, invalid, returned, spam, junk, abuse, spammy, reported, excluded, declined, refused, rejected, "
    "abgelehnt, refusé, refusée, rechazado, recusado, bouncing, by user, by moderator, deactivated, "
    "banned, churned, gelöscht, gesperrt, blockiert, gekündigt, ungültig, deaktiviert, widerrufen, "
    "supprimé, annulé, bloqué, invalide, rejeté, cancelado, cancelada, anulado, eliminado, bloqueado, "
    "baja, devuelto, inválido, removido, excluído, devolvido, cancellato, अमान्य, अवरुद्ध, हटाया गया, "
    "غير صالح, محظور, محذوف, مرتجع, out, refus, retiré, retirée, opposé, opposée, denegado, denegada, "
    "revocado, revocada, revogado, revogada, retirado, retirada, negado, negada"
)
# Words for who is subscribed that are something else where a column says who left, such as a reason.
_KINDS = (
    "confirmed, regular, premium, paid, gift, gifted, trialed, unpaid, churning, paused, past_due, "
    "current, normal, explicit, express, implied, granted, double opt-in, confirmed opt-in, confirmé, "
    "confirmado, bestätigt"
)
_YES = (
    "true, yes, y, t, 1, on, ja, j, oui, o, si, sí, s, sim, wahr, vrai, verdadero, verdadeiro, vero, x, "
    "✓, ✔, हाँ, हां, نعم"
)
_NO = "false, no, n, f, 0, off, nein, non, não, falsch, faux, falso, nee, नहीं, لا"
_SIGNS = dict.fromkeys("✓✔✅☑", "yes") | dict.fromkeys("✗✘❌✕✖☒", "no")
_NOTHING = "null, nan, n/a, na, undefined, not set, not applicable"
_NEVER = "never, none, nie, jamais, nunca, mai, nooit, aucun, keine, ninguno, nenhum, कभी नहीं, أبدا"


def _each(words: str) -> Iterable[str]:
    return (word_of(word) for word in words.split(", "))


@lru_cache(4096)
def word_of(cell: str) -> str:
    """A cell as the tables have it: without case, accents and signs. Nothing is left of one that says
    nothing, such as `-`, `[]` or `0000-00-00`."""
    if (sign := cell.strip().rstrip("\ufe0f")) in _SIGNS:
        return _SIGNS[sign]
    word = fold(cell)
    return "" if re.fullmatch("[0 ]{2,}", word) else word


# `SpamComplaint` and `hardbounced` are words, too.
STATES: dict[str, State] = {
    key: state
    for state, words in _WORDS.items()
    for word in _each(words)
    for key in (word, word.replace(" ", ""))
}
UNCLEAR = frozenset(_each(_UNCLEAR))
YES = frozenset(_each(_YES))
NO = frozenset(_each(_NO))
NEVER = frozenset(_each(_NEVER))
NOTHING = frozenset(_each(_NOTHING)) | NEVER | {""}
LEAVING = (State.UNSUBSCRIBED, State.BOUNCED, State.COMPLAINED)
# In a column that says who left, such a word says who did not.
STAYING = frozenset(word for word, state in STATES.items() if state is State.CONFIRMED) - set(_each(_KINDS))
# In any column at all, such a word speaks of who left.
SURE = frozenset(word for word, state in STATES.items() if state in LEAVING) - set(_each(_ELSEWHERE))


def in_any_case() -> frozenset[str]:
    """The sure words as files write them: what is looked for in columns that hold too much to be read."""
    written = {
        sign.join(word.split())
        for words in _WORDS.values()
        for plain in words.split(", ")
        for word in {plain, fold(plain)}
        if word_of(plain) in SURE
        for sign in (" ", "_", "-", "")
    }
    return frozenset(
        case for word in written for case in (word, word.upper(), word.title(), word[:1].upper() + word[1:])
    )
