"""WSGI entry of a checkout: `flask --app app run`, or any WSGI server given `app:app`."""

from newsletter import create_app

app = create_app()
