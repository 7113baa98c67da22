"""The web: public pages, token doors, health, the newcomer's mailbox. It reads requests, renders answers."""
