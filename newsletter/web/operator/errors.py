"""What goes wrong in the console, said on a page of the console."""

from __future__ import annotations

from flask import Response, make_response, render_template
from werkzeug.exceptions import HTTPException

from newsletter.web.operator.access import operator, why_logged_out
from newsletter.web.problems import about_size
from newsletter.web.uploads import CutOff

_SAYS = {
    400: (
        "That form has expired",
        "Nothing was changed. Please go back, load the page again, and send it once more.",
    ),
    401: ("You are logged out", "Nothing was changed. Please log in and do it once more."),
    404: (
        "There is nothing here",
        "It was removed, or you may not see it, or the link was used or cut short.",
    ),
    413: ("That is too large", "Nothing was changed. Please send less at once."),
    429: (
        "Too many attempts",
        "For safety, no more are taken here for now, whatever is typed. Please try again in {wait}.",
    ),
}


@operator.errorhandler(HTTPException)
def _say(error: HTTPException) -> Response | HTTPException:
    if error.response is not None or error.code is None or error.code < 400:
        return error
    title, words = _SAYS.get(error.code) or (error.name, "Nothing was changed. Please go back and try again.")
    if isinstance(error, CutOff):
        title = "That did not arrive whole"
    words = (about_size(error) or words).format(wait=_in_words(getattr(error, "retry_after", None)))
    why = why_logged_out() if error.code == 401 else None
    page = render_template("operator/error.html", title=title, words=words, code=error.code, why=why)
    response = make_response(page, error.code)
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response


def _in_words(seconds: object) -> str:
    minutes = -(-seconds // 60) if isinstance(seconds, int) else 1
    return "a minute" if minutes <= 1 else f"{minutes} minutes"
