"""What a sign-up is asked before it is taken: one more step where it looks like a machine's or comes amid a
surge, or another look at what was typed. Asked for, never refused.

A script gets a challenge to solve. A person without script gets a page of ours with everything they typed
and a button; where their browser runs scripts, the page solves its challenge and goes on by itself.
"""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response, json, render_template, url_for
from flask_babel import gettext as _

from newsletter.parts import parts
from newsletter.services.guard import Verdict
from newsletter.services.lists import ListView, origin_of
from newsletter.web.errors import for_script
from newsletter.web.forms import SignUpForm
from newsletter.web.origins import framed, is_in_frame
from newsletter.web.pages import form_token
from newsletter.web.problems import problem
from newsletter.web.proofs import proofs

# What the visitor sent is sent again with the step; but for what led to it.
_SENT = ("email", "name", "locale", "next", "way", "token")
_POLICY = (
    "default-src 'none'; {script}style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action {actions}; base-uri 'none'; frame-ancestors 'none'"
)


def one_more_step(
    mailing_list: ListView, form: SignUpForm, verdict: Verdict, *, page_token: str
) -> tuple[Response, int]:
    """The answer that asks for it: 429, with when it would not be asked for any more. `page_token` is of the
    page on which the sign-up began."""
    now = datetime.now(UTC)
    challenge = proofs().challenge(verdict.level, now=now, asked=True)
    if for_script():
        detail = _("One more step is needed, to make sure that a person sent this.")
        response = problem(429, _("One more step"), detail, challenge=challenge)
    else:
        page = render_template(
            "embed/step.html" if is_in_frame() else "public/step.html",
            list=mailing_list,
            action=url_for("public.take_sign_up", slug=mailing_list.slug),
            carried=_carried(form, _SENT, page_token),
            step=parts().forms.step(mailing_list.slug, form.address.identity, now=now),
            challenge=json.dumps(challenge),
            may_press=verdict.may_press,
            minutes=-(-verdict.seconds // 60),
        )
        response = framed(page)
        if not is_in_frame():
            response.headers["Content-Security-Policy"] = _POLICY.format(
                script="script-src 'self'; ", actions=_actions(mailing_list, form)
            )
    response.headers["Retry-After"] = str(verdict.seconds)
    return response, 429


def form_once_more(mailing_list: ListView, form: SignUpForm, *, page_token: str) -> tuple[Response, int]:
    """The form with what was typed and a message beside what is wrong: 422. What it brought along unseen
    comes with it again: where it leads on to, and the page on which the sign-up began."""
    names = () if is_in_frame() else ("next", "way")
    page = render_template(
        "embed/frame.html" if is_in_frame() else "public/list.html",
        list=mailing_list,
        form=form,
        form_token=form_token(mailing_list),
        carried=_carried(form, names, page_token),
    )
    if is_in_frame():
        return framed(page), 422
    policy = _POLICY.format(script="", actions=_actions(mailing_list, form))
    return Response(page, headers={"Content-Security-Policy": policy}), 422


def _carried(form: SignUpForm, names: tuple[str, ...], page_token: str) -> list[tuple[str, str]]:
    """What the next form brings along unseen."""
    return [*((name, form[name].data) for name in names if form[name].data), ("page", page_token)]


def _actions(mailing_list: ListView, form: SignUpForm) -> str:
    """Where the page's form may lead: browsers hold it to this even where its answer leads on (A10)."""
    urls = (url for url in mailing_list.return_urls if url == form.next.data)
    return " ".join(("'self'", *(origin_of(url) for url in urls)))
