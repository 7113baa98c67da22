"""`newsletter` and `python -m newsletter`."""

from newsletter import create_core
from newsletter.cli import group, run


def main() -> None:
    """Run the command line."""
    run(lambda: group(create_core).main(prog_name="newsletter"))


if __name__ == "__main__":
    main()
