"""`newsletter` and `python -m newsletter`."""

from newsletter import create_app
from newsletter.cli import group, run


def main() -> None:
    """Run the command line."""
    run(lambda: group(create_app).main(prog_name="newsletter"))


if __name__ == "__main__":
    main()
