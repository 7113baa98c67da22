"""The web: public pages, token doors, health, the newcomer's mailbox. Thin: it reads requests and renders answers."""
