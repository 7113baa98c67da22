"""Columns that may say who left, as many tools write them, and columns that say nothing of the kind."""

from __future__ import annotations

import pytest

from newsletter.domain.lifecycle import State
from newsletter.services.importing.judging import Unclear, judge, reading

U, B, C, P = State.UNSUBSCRIBED, State.BOUNCED, State.COMPLAINED, State.PENDING

# The name, a cell of somebody who left (or never agreed), what it says, a cell of somebody who did not. None: it
# must be asked for, and no cell says by itself what it means.
LEAVES: list[tuple[str, str, State | None, str]] = [
    # CRMs
    ("Email Opt-Out", "true", U, "false"), ("Has Opted Out of Email", "1", U, "0"), ("Opted Out", "Yes", U, "No"),
    ("HasOptedOutOfTracking", "TRUE", U, "FALSE"), ("Pardot Hard Bounced", "1", B, "0"),
    ("Email Bounced Reason", "550 no such user", B, ""), ("EmailBouncedDate", "2026-01-31T08:00:00Z", B, ""),
    ("Do Not Email", "true", U, "false"), ("donotbulkemail", "1", U, "0"), ("DoNotEMail", "Do Not Allow", U, "Allow"),
    ("Do not allow Bulk Emails", "Do Not Allow", U, "Allow"), ("IsDeleted", "true", U, "false"),
    ("Opted out of email: Marketing", "true", U, ""), ("Email Address Quarantined", "true", B, "false"),
    ("Marketing emails opt-out date", "01/31/2026", U, ""), ("Invalid email address", "true", B, "false"),
    ("Unsubscribed Mode", "Consent form", U, ""), ("Unsubscribed Time", "Jan 31, 2026 08:00 AM", U, ""),
    ("Do Not Contact", "X", U, ""), ("DNC", "1", U, "0"), ("mailable", "false", U, "true"),
    ("Is Bounceback", "Yes", B, "No"), ("C_GloballyUnsubscribed1", "1", U, "0"),
    # tools for newsletters
    ("UNSUB_TIME", "2026-01-31 08:00:00", U, ""), ("UNSUB_REASON", "NORMAL", U, ""), ("CLEAN_TIME", "2026-01-31 08:00:00", B, ""),
    ("Email Marketing Status", "Cleaned", B, "Subscribed"), ("Unsubscribe Date", "31-01-2026", U, ""),
    ("BLOCKLISTED", "yes", U, "no"), ("DOUBLE_OPT-IN", "No", P, "Yes"), ("Suppressed", "true", U, "false"),
    ("Email Suppressions", "USER_SUPPRESSED", U, "[]"), ("$consent_timestamp_revoked", "2026-01-31", U, ""),
    ("Email List Consent", "NEVER_SUBSCRIBED", U, "SUBSCRIBED"), ("can_receive_email_marketing", "False", U, "True"),
    ("Contact Status", "Bounced", B, "Active"), ("status_id", "Unsubscribed", U, "Active"), ("Stop Status", "spam", C, ""),
    ("Stop Time", "01/31/26 8:00am", U, ""), ("Email permission status", "Unsubscribed", U, "Express"),
    ("Email optout reason", "too many", U, ""), ("MemberStatus", "Removed", U, "Active"), ("deactivated", "1769846400", U, "0"),
    ("Subscriber state", "Unconfirmed", P, "Active"), ("Type", "undeliverable", B, "regular"),
    ("email_subscribe", "opted_out", U, "opted_in"), ("email_unsubscribed_at", "2026-01-31", U, ""),
    ("unsubscribedChannelIds", "[24, 31]", U, "[]"), ("Email subscriber status", "Never subscribed", U, "Subscribed"),
    ("Email Subscription", "unsubscribed", U, "subscribed"), ("Accepts Marketing", "FALSE", U, "TRUE"),
    ("accepts_newsletter", "n", U, "y"), ("delivery_status", "by_user", U, "enabled"), ("delivery_mode_bounce", "by_bounces", B, ""),
    ("nomail", "U", U, ""), ("hold", "1", U, "0"), ("disabled", "1", U, "0"), ("optedin", "0", U, "1"), ("blacklisted", "1", U, "0"),
    ("isActive", "false", U, "true"), ("enabled", "0", U, "1"), ("is_subscribed", "no", U, "yes"), ("emailoptout", "1", U, "0"),
    ("subscribedToNewsletter", "nein", U, "ja"), ("removed_at", "2026-01-31", U, ""), ("bounced_hard", "1", B, "0"),
    ("SuppressionReason", "HardBounce", B, ""), ("Suppression Reason", "SpamComplaint", C, ""),
    ("suppression_origin", "ManualSuppression", U, ""), ("UnsubscribeAll", "true", U, "false"), ("non_transactional", "true", U, "false"),
    ("Complained At", "2026-01-31", C, ""), ("spam_reported", "t", C, "f"), ("Feedback loop (FBL)", "1", C, "0"),
    ("Status", "inactive", None, "active"), ("Subscriber Status", "Hold", None, "Active"), ("Membership status", "Lapsed", None, "Active"),
    ("IsExcludedFromCampaigns", "true", U, "false"), ("is_deliverable", "false", B, "true"), ("Email valid", "no", B, "yes"),
    ("Valid", "0", B, "1"), ("Email frequency", "Never", None, "weekly"), ("Newsletter", "none", None, "all"),
    ("Marketing status", "No consent", U, "Subscribed"), ("Newsletter status", "optOut", U, "optIn"),
    ("On Hold", "Hard bounce", B, "No"), ("Has hard bounced", "true", B, "false"), ("Email preference", "No email", U, "All email"),
    ("Segment", "Unsubscribes", U, "Readers"), ("List", "Suppression list", U, "Main"), ("Receive Marketing Emails?", "No", U, "Yes"),
    ("Do not market", "1", U, "0"), ("Email Opt", "Out", U, "In"), ("Frequency", "never", None, "weekly"),
    ("Permission", "Express (revoked)", None, "Express"), ("Newsletter", "❌", U, "✅"), ("SMTP error", "550 no such user", B, ""),
    # in our languages, and in others
    ("Werbesperre", "ja", U, "nein"), ("Mailsperre", "1", U, "0"), ("Sperrvermerk", "X", U, ""), ("Robinsonliste", "ja", U, "nein"),
    ("Nicht mehr anschreiben", "ja", U, "nein"), ("E-Mail nicht zulassen", "ja", U, "nein"), ("Newslettersperre", "ja", U, "nein"),
    ("Kontaktsperre", "ja", U, "nein"), ("Mailing-Sperre", "ja", U, "nein"), ("E-Mail-Sperre", "ja", U, "nein"),
    ("Opposition", "oui", U, "non"), ("Exclu", "oui", U, "non"), ("Ne pas solliciter", "oui", U, "non"),
    ("Date de sortie", "31/01/2026", U, ""), ("Consentement", "refus", U, "oui"), ("Consentement", "retiré", U, "oui"),
    ("Exclu des mailings", "oui", U, "non"), ("Opposition mailing", "oui", U, "non"), ("STOP mail", "oui", U, "non"),
    ("Ne veut plus recevoir", "oui", U, "non"), ("Lista Robinson", "sí", U, "no"), ("Bloqueo", "sí", U, "no"),
    ("Oposición", "sí", U, "no"), ("Renuncia a los mensajes", "sí", U, "no"), ("Consentimiento", "denegado", U, "sí"),
    ("No recibir", "sí", U, "no"), ("No desea recibir", "sí", U, "no"), ("Bloqueio", "sim", U, "não"),
    ("Oposição", "sim", U, "não"), ("Data de saída", "31/01/2026", U, ""), ("Consentimento", "revogado", U, "sim"),
    ("Não receber", "sim", U, "não"), ("Não quer receber", "sim", U, "não"),
    ("Abgemeldet am", "31.01.2026", U, ""), ("Abmeldedatum", "31.01.2026", U, ""), ("Newsletter-Abmeldung", "ja", U, "nein"),
    ("Gekündigt zum", "31.01.2026", U, ""), ("Austrittsdatum", "31.01.2026", U, ""), ("Einwilligung", "Nein", U, "Ja"),
    ("Newsletter erwünscht", "nein", U, "ja"), ("Kein Newsletter", "ja", U, "nein"), ("Gesperrt", "1", U, "0"),
    ("Unzustellbar", "ja", B, "nein"), ("Anmeldestatus", "ausgetragen", U, "eingetragen"), ("Bestätigt", "nein", P, "ja"),
    ("Désabonné", "oui", U, "non"), ("Date de désinscription", "31/01/2026", U, ""), ("Consentement e-mail", "non", U, "oui"),
    ("Liste noire", "oui", U, "non"), ("Statut", "Désabonnée", U, "Abonnée"), ("Adresse injoignable", "1", B, "0"),
    ("Ne pas contacter", "oui", U, "non"), ("Plainte", "oui", C, "non"), ("Fecha de baja", "31/01/2026", U, ""),
    ("Dado de baja", "sí", U, "no"), ("Consentimiento", "no", U, "sí"), ("Estado", "Cancelado", U, "Activo"),
    ("Rebotado", "Sí", B, "No"), ("Suscrito", "no", U, "sí"), ("Descadastrado em", "31/01/2026", U, ""),
    ("Cancelou inscrição", "sim", U, "não"), ("Situação", "descadastrado", U, "ativo"), ("Aceita receber e-mails", "não", U, "sim"),
    ("Não enviar", "sim", U, "não"), ("अनसब्सक्राइब किया", "हाँ", U, "नहीं"), ("सदस्यता स्थिति", "सदस्यता समाप्त", U, "सक्रिय"),
    ("إلغاء الاشتراك", "نعم", U, "لا"), ("حالة الاشتراك", "ملغى", U, "نشط"), ("مشترك", "لا", U, "نعم"),
    ("Disiscritto il", "31/01/2026", U, ""), ("Uitgeschreven op", "31-01-2026", U, ""), ("Data wypisania", "2026-01-31", U, ""),
    # whatever the column is called
    ("Kampagne 7", "abgemeldet", U, "angemeldet"), ("X", "opted out", U, "opted in"), ("Groups", "Customers, Unsubscribed", U, "Customers"),
    ("Notes", "hard bounce", B, "nice"), ("Field 3", "désinscrite", U, "inscrite"), ("Feld", "Marked as spam", C, ""),
]  # fmt: skip

# Names with cells that are no concern of anybody's leaving.
HARMLESS: list[tuple[str, str]] = [
    ("Name", "Ann Example|Bob Example"), ("First name", "Ann|Bob"), ("City", "Basel|Holden|Active Town"),
    ("Comment", "likes cancelled trains|met at the fair|no spam please"), ("Phone", "+41 61 000 00 00|0"),
    ("Company", "Inactive Volcano Tours|Blocked Drains Ltd|Active Sports"), ("Country", "CH|NO|DE"), ("ZIP", "4051|00000"),
    ("Street", "Left Lane 3|Holdenstr. 5"), ("Birthday", "1980-01-31|"), ("Gender", "f|m|x|n"), ("Language", "de|no|en"),
    ("Tags", "vip, customer|speaker"), ("Groups", "Choir|Board"), ("Plan", "gold|free"), ("Amount", "0|1|25.50"),
    ("Orders", "0|1|3"), ("Total spent", "0.00|12.50"), ("Rating", "1|2|5"), ("Score", "0|1"), ("Emails sent", "0|1|4"),
    ("Email opens", "0|2|9"), ("Email type", "html|text"), ("Mailing street", "Spam Street 1"), ("Mailing City", "Basel"),
    ("Mail client", "Thunderbird|Outlook"), ("Email domain", "example.org|example.com"), ("IP address", "192.0.2.1"),
    ("Opt-in IP", "192.0.2.1"), ("Opt-in date", "2026-01-31|"), ("Consent timestamp", "2026-01-31T08:00:00Z"),
    ("Consent text", "I agree to get the newsletter"), ("Subscribed on", "2026-01-31|2026-02-01"), ("Signup source", "web|fair"),
    ("Subscription type", "print|online"), ("Newsletter edition", "daily|weekly"), ("Marketing channel", "fair|web"),
    ("Lead Status", "Open|Contacted|Qualified"), ("Order status", "paid|shipped"), ("Marital status", "single|married"),
    ("Robinet", "oui|non"), ("Operator", "Ann|Bob"), ("Saison", "2025|2026"), ("Sperrgut", "ja|nein"), ("Marketplace", "a|b"),
    ("Frequency", "daily|weekly"), ("Adoption date", "2026-01-31"), ("Error rate", "0.1|0.5"), ("Option", "A|B (small)"),
    ("Familienstand", "ledig|verheiratet"), ("State/Province", "CA|NY"), ("Bundesland", "Bayern|Hessen"), ("Last activity", "2026-01-31"),
    ("Last active", "2026-01-31|2026-02-01"), ("Activity", "swimming|chess"), ("Membership number", "17|18"), ("Member since", "2020|2021"),
    ("Household", "1|2"), ("Stakeholder", "yes|no"), ("Volunteer", "yes|no"), ("VIP", "1|0"), ("Tax exempt", "yes|no"), ("Vegetarian", "ja|nein"),
    ("Contact No", "061 000 00 00"), ("No. of emails", "3|0"), ("Number of children", "0|1|2"), ("Resilience score", "0|1"),
    ("SMS opt out", "yes|no"), ("DoNotCall", "1|0"), ("Accepts SMS Marketing", "yes|no"), ("Fax Opt Out", "1|0"), ("Push enabled", "true|false"),
    ("Reason for joining", "friends|work"), ("Title", "Dr|Mr"), ("Website", "https://example.org"), ("UTM campaign", "spring|active"),
    ("Referrer", "https://example.com"), ("Latitude", "47.5|0"), ("Time zone", "Europe/Zurich"), ("Notes", "invalid card in May|"),
    ("Anrede", "Frau|Herr"), ("Ort", "Basel|Aktivstadt"), ("Firma", "Spamfilter AG"), ("Bemerkung", "kommt später|"),
    ("Ville", "Bâle|Genève"), ("Commentaire", "rien"), ("Entreprise", "Exemple SA"), ("Ciudad", "Madrid|Baja California"),
    ("Teléfono", "0|600 000 000"), ("Empresa", "Ejemplo SL"), ("Cidade", "Lisboa|Porto"), ("Telefone", "0|1"), ("शहर", "दिल्ली|मुंबई"),
    ("टिप्पणी", "अच्छा"), ("المدينة", "القاهرة|دبي"), ("ملاحظات", "لا شيء"), ("Order 17", "cancelled|shipped|packed|paid out|returned by post"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "leaves", "said", "stays"), LEAVES)
def test_a_column_that_may_say_who_left_is_asked_about(
    column: str, leaves: str, said: State | None, stays: str
) -> None:
    question = judge(column, [stays, leaves])

    assert question is not None
    assert question.cells[leaves] is said
    assert repr(column) in str(question)
    assert repr(leaves) in str(question)
    # The cell is found whoever is beside it, and nobody who stays is taken for one who left.
    assert judge(column, [leaves]) is not None
    assert question.cells.get(stays, State.CONFIRMED) in (State.CONFIRMED, None)


@pytest.mark.parametrize(("column", "cells"), HARMLESS)
def test_a_column_that_says_nothing_of_the_kind_is_not_asked_about(column: str, cells: str) -> None:
    assert judge(column, cells.split("|")) is None


@pytest.mark.parametrize(
    ("column", "cell", "given", "said"),
    [
        ("Status", "inactive", {"inactive": "unsubscribed"}, U),
        ("Status", " INACTIVE ", {"inactive": "pending"}, P),
        ("Status", "Lapsed", {"*": "unsubscribed"}, U),
        ("Status", "unsubscribed", {"inactive": "unsubscribed", "*": "confirmed"}, U),
        ("Consent", "", {"": "unsubscribed"}, U),
        ("Opted out", "no", {"no": "unsubscribed"}, U),
        ("cancelled_at", "0000-00-00 00:00:00", {}, None),
        ("cancelled_at", "NULL", {}, None),
        ("Bounce reason", "x" * 5000, {}, B),
        ("Bounce reason", "Spam complaint", {}, C),
        ("Unsubscribe reason", "Regular", {}, U),
        ("Opted out", "Subscribed", {}, None),
    ],
)
def test_what_the_operator_says_of_a_cell_counts_before_what_it_seems_to_say(
    column: str, cell: str, given: dict[str, str], said: State | None
) -> None:
    assert reading(column, given)(cell) is said


@pytest.mark.parametrize(
    ("column", "cell"), [("Status", "Lapsed"), ("Status", "inactive"), ("Consent", ""), ("Consent", "2")]
)
def test_what_nobody_can_tell_is_not_guessed(column: str, cell: str) -> None:
    with pytest.raises(Unclear):
        reading(column)(cell)
