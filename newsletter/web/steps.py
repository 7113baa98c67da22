"""One more step for a sign-up that looks like a machine's or comes amid a surge: asked for, never refused.

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
from newsletter.web.problems import problem
from newsletter.web.proofs import proofs

# What the visitor sent is sent again with the step.
_KEPT = ("email", "name", "locale", "next", "way", "token", "website")
_OWN_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action {actions}; base-uri 'none'; frame-ancestors 'none'"
)


def one_more_step(mailing_list: ListView, form: SignUpForm, verdict: Verdict) -> tuple[Response, int]:
    """The answer that asks for it: 429, with when it would not be asked for any more."""
    now = datetime.now(UTC)
    challenge = proofs().challenge(verdict.level, now=now, asked=True)
    if for_script():
        detail = _("One more step is needed, because there are many sign-ups at the moment.")
        response = problem(429, _("One more step"), detail, challenge=challenge)
    else:
        page = render_template(
            "embed/step.html" if is_in_frame() else "public/step.html",
            list=mailing_list,
            action=url_for("public.take_sign_up", slug=mailing_list.slug),
            kept={name: form[name].data for name in _KEPT if form[name].data},
            step=parts().forms.step(mailing_list.slug, form.address.identity, now=now),
            challenge=json.dumps(challenge),
            may_press=verdict.may_press,
            minutes=-(-verdict.seconds // 60),
        )
        response = framed(page)
        if not is_in_frame():
            # Browsers hold a form to this policy even where its answer leads on (A10).
            actions = " ".join(
                ("'self'", *(origin_of(url) for url in mailing_list.return_urls if url == form.next.data))
            )
            response.headers["Content-Security-Policy"] = _OWN_PAGE.format(actions=actions)
    response.headers["Retry-After"] = str(verdict.seconds)
    return response, 429
