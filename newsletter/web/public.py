"""The pages of a list: its front page, its form, the sign-up itself, its code, and «send me my link»."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, g, jsonify, render_template, request
from flask_babel import gettext as _
from werkzeug.exceptions import TooManyRequests

from newsletter import counted
from newsletter.domain import codes
from newsletter.domain.typos import suggest
from newsletter.extensions import csrf, db
from newsletter.parts import parts
from newsletter.services import lists
from newsletter.services.enter_code import Code, Entered, enter_code
from newsletter.services.evidence import Seen
from newsletter.services.guard import Answer
from newsletter.services.lists import ListView
from newsletter.services.send_links import LinkRequest, send_links
from newsletter.services.sign_ups import SignUp
from newsletter.services.subscribe import subscribe
from newsletter.web.errors import NoSuchList, for_script
from newsletter.web.finding import find_list
from newsletter.web.forms import AddressForm, CodeForm, SignUpForm, submitted
from newsletter.web.languages import accepted, asked_for, speak_for
from newsletter.web.limiting import limits
from newsletter.web.origins import about, framed, in_frame, is_in_frame
from newsletter.web.pacing import on_the_beat
from newsletter.web.pages import check_inbox, form_page, kept
from newsletter.web.problems import problem
from newsletter.web.proofs import proofs
from newsletter.web.seeing import carried, network, page_token, seen, wider_network
from newsletter.web.steps import form_once_more, one_more_step
from newsletter.web.surges import surges
from newsletter.web.writer import writer

public = Blueprint("public", __name__)

_WAYS = frozenset({"element", "frame"})


@public.get("/")
def front() -> str:
    """The front page of the default list."""
    mailing_list = lists.default(db.session())
    if mailing_list is None:
        raise NoSuchList
    speak_for(mailing_list)
    return form_page("public/front.html", mailing_list)


@public.get("/lists/<slug>")
def show_list(slug: str) -> str:
    """A list's own page."""
    return form_page("public/list.html", find_list(slug))


@public.post("/lists/<slug>/subscriptions")
@csrf.exempt
@on_the_beat
def take_sign_up(slug: str) -> Response | tuple[Response | str, int]:
    """Take a sign-up. The answer depends on what was sent, never on what is known (law 5, A7)."""
    form = SignUpForm(submitted(request))
    evidence = carried(seen(request, _way(form)), form.page.data, slug)
    if form.way.data == "frame":
        in_frame(page_token(evidence, slug))
    if not form.validate():
        return _refuse(slug, form, evidence)
    outcome = writer().run(subscribe, limits().judged(_sign_up(slug, form, evidence)))
    mailing_list, verdict = outcome.list, outcome.verdict
    if mailing_list is None:
        raise NoSuchList
    speak_for(about(mailing_list), form.locale.data)
    surges().note(verdict.level, datetime.now(UTC))
    counted.judged(form.way.data if form.way.data in _WAYS else "form", verdict.answer.value)
    if verdict.answer is Answer.WAIT:
        raise TooManyRequests(retry_after=verdict.seconds)
    if verdict.answer is Answer.STEP:
        return one_more_step(mailing_list, form, verdict, page_token=page_token(evidence, slug))
    if for_script():
        return jsonify(status="check_inbox"), 202
    if form.next.data in mailing_list.return_urls:
        return Response(status=303, headers={"Location": form.next.data})
    address = form.address.text
    if is_in_frame():
        return framed(check_inbox(mailing_list, address, page_token=g.page_token, framed=True)), 200
    suggestion = suggest(address)
    began = page_token(evidence, slug) if suggestion is not None else None
    return check_inbox(mailing_list, address, page_token=began, suggestion=suggestion), 200


def _way(form: SignUpForm) -> str:
    way = form.way.data
    return way if way in _WAYS else "script" if for_script() else "form"


def _sign_up(slug: str, form: SignUpForm, evidence: Seen) -> SignUp:
    now, forms = datetime.now(UTC), parts().forms
    return SignUp(
        slug,
        form.address,
        form.name.data or None,
        asked_for(form.locale.data),
        evidence,
        speaks=accepted(),
        wider_network=wider_network(request.remote_addr),
        form=forms.read_form(form.token.data, slug, now=now),
        proof=proofs().read(form.altcha.data),
        pressed=forms.read_step(form.step.data, slug, form.address.identity, now=now),
        trapped=form.is_trapped,
    )


def _refuse(slug: str, form: SignUpForm, evidence: Seen) -> tuple[Response | str, int]:
    mailing_list = find_list(slug, locale=form.locale.data)
    form.validate()  # once more, for its messages in that language
    if for_script():
        errors = {name: " ".join(messages) for name, messages in form.errors.items()}
        return problem(422, _("The form needs a change"), " ".join(errors.values()), errors=errors), 422
    return form_once_more(mailing_list, form, page_token=page_token(evidence, slug))


@public.post("/lists/<slug>/code")
@csrf.exempt
@on_the_beat
def take_code(slug: str) -> tuple[Response | str, int]:
    """Confirm by the code of the mail, on the page where the sign-up was made."""
    form = CodeForm(submitted(request))
    evidence = carried(seen(request, "code"), form.page.data, slug)
    in_frame(page_token(evidence, slug))
    if not form.validate():
        return _wrong_code(find_list(slug, locale=form.locale.data), form, Entered.WRONG)
    answer = writer().run(enter_code, Code(slug, form.address, form.code.data or "", evidence))
    if answer.list is None:
        raise NoSuchList
    speak_for(about(answer.list), form.locale.data)
    if answer.entered is not Entered.CONFIRMED:
        return _wrong_code(answer.list, form, answer.entered)
    if for_script():
        return jsonify(status="confirmed"), 200
    return framed(kept("embed/confirmed.html", list=answer.list)), 200


def _wrong_code(mailing_list: ListView, form: CodeForm, entered: Entered) -> tuple[Response, int]:
    """The code was not right, or there were too many: the link in the mail works in any case."""
    if entered is Entered.TOO_OFTEN:
        status, headers = 429, {"Retry-After": str(int(codes.LIFE.total_seconds()))}
        message = _("That was too often. Please use the link in the email instead.")
    else:
        status, headers = 422, {}
        message = _(
            "That code isn’t right, or no longer good. Please check it, or press the button in the email."
        )
    if for_script():
        response = problem(status, _("The code was not taken"), message, errors={"code": message})
    else:
        page = check_inbox(
            mailing_list, form.email.data or "", page_token=g.page_token, framed=True, error=message
        )
        response = framed(page)
    response.headers.extend(headers)
    return response, status


@public.get("/unsubscribe")
def ask_for_link() -> str:
    """The form for those who have no mail of ours at hand."""
    speak_for(None)
    return render_template("public/find_link.html", form=None, damaged=False, outdated=False)


@public.post("/unsubscribe")
@csrf.exempt
@on_the_beat
def send_link() -> tuple[str, int]:
    """Send the links of an address to it: the same answer for every address."""
    speak_for(None)
    form = AddressForm(submitted(request))
    if not form.validate():
        return render_template("public/find_link.html", form=form, damaged=False, outdated=False), 422
    waits = writer().run(send_links, LinkRequest(form.address, network(request.remote_addr)))
    if waits is not None:
        raise TooManyRequests(retry_after=waits)
    return render_template("public/link_sent.html", address=form.address.text), 200
