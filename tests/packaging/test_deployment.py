"""What operators copy (image, Compose, units, proxies, documents) says only what the service knows."""

from __future__ import annotations

import configparser
import ipaddress
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from newsletter import create_app
from newsletter.cli import group
from newsletter.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
UNITS = ("newsletter-web.service", "newsletter-worker.service")
GIVEN = {"NEWSLETTER_SECRET_KEYS": "k" * 40, "POSTGRES_PASSWORD": "secret"}


# Reading what is there


def parse(arguments: list[str]) -> click.Context:
    """Parse `newsletter …` as the command itself does, and run nothing. Raises click's UsageError."""
    command: click.Command = group(create_app)
    context = click.Context(command, info_name="newsletter")
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
        if not isinstance(command, click.Group):
            return command.make_context(name, arguments, parent=context)
        context = click.Context(command, info_name=name, parent=context)
    raise AssertionError("never without a command")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text()).replace("\\\n", " ")
    return [
        (line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in text.splitlines() if line.strip()
    ]


def last_stage() -> list[tuple[str, str]]:
    """What makes the image itself."""
    every = instructions()
    starts = [number for number, (word, _) in enumerate(every) if word == "FROM"]
    return every[starts[-1] :]


def compose() -> dict[str, Any]:
    """compose.yaml with its variables filled in as Compose does it."""
    loaded = _fill(yaml.safe_load((ROOT / "compose.yaml").read_text()))
    assert isinstance(loaded, dict)
    return loaded


def _fill(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _fill(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+):[-?]([^}]*)\}", lambda found: GIVEN.get(found[1], found[2]), value)
    return value


def our_services() -> dict[str, dict[str, Any]]:
    """The services that run our image."""
    return {
        name: service for name, service in compose()["services"].items() if service["image"] == "newsletter"
    }


def unit(name: str) -> configparser.SectionProxy:
    """The [Service] section of a systemd unit."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read(EXAMPLES / name)
    return parser["Service"]


def assignments(text: str) -> dict[str, str]:
    """The lines NAME=value of an environment file, those commented out included."""
    found = re.findall(r"(?m)^(?:# )?(NEWSLETTER_\w+)=(.+)$", text)
    return {name: shlex.split(value)[0] for name, value in found}


def code_lines(document: Path) -> Iterator[str]:
    """The lines of a document's code blocks."""
    for block in re.findall(r"(?ms)^```\w*\n(.*?)^```", document.read_text()):
        yield from block.replace("\\\n", " ").splitlines()


def commands(document: Path) -> list[str]:
    """The arguments of the `newsletter …` commands in a document's code blocks."""
    found = [re.match(r"(?:\S*/)?newsletter ([^>|;&]*)", line) for line in code_lines(document)]
    return [match[1] for match in found if match]


def documented() -> dict[str, str]:
    """The variables of docs/settings.md, each with its example."""
    rows = re.findall(r"(?m)^\| `(NEWSLETTER_\w+)` \|.*\| `([^`]+)` \|$", (DOCS / "settings.md").read_text())
    return dict(rows)


def events() -> set[str]:
    """The events that the code logs."""
    sources = "".join(path.read_text() for path in (ROOT / "newsletter").rglob("*.py"))
    return set(re.findall(r'\b(?:log\.(?:info|warning|error|exception)|Seldom)\(\s*"(\w+)"', sources))


class Asked(dict[str, str]):
    """An environment that remembers what was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return default


# The image


def test_everything_that_the_image_copies_exists_and_reaches_the_build() -> None:
    let_in = re.findall(r"(?m)^!(\S+)$", (ROOT / ".dockerignore").read_text())
    copies = [shlex.split(rest) for word, rest in instructions() if word == "COPY" and "--from" not in rest]

    assert copies
    for *sources, _target in copies:
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in let_in, source


def test_the_image_installs_nothing_whose_hash_is_not_known() -> None:
    installs = re.findall(r"pip (?:install|wheel) ([^&\n]*)", "\n".join(rest for _, rest in instructions()))

    assert len(installs) == 4
    assert all(
        "--require-hashes -r requirements/" in line or "--no-index --no-deps" in line for line in installs
    )


def test_the_image_runs_as_a_user_that_is_not_root() -> None:
    (user,) = [rest for word, rest in last_stage() if word == "USER"]

    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", user)


def test_the_image_runs_a_real_command_without_a_shell_that_would_swallow_signals() -> None:
    (command,) = [json.loads(rest) for word, rest in last_stage() if word == "CMD"]

    assert command[0] == "newsletter"
    assert parse(command[1:]).params["host"] == "0.0.0.0"
    assert not [rest for word, rest in last_stage() if word in ("ENTRYPOINT", "STOPSIGNAL")]


def test_the_image_asks_for_its_health_where_it_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (check,) = [rest for word, rest in last_stage() if word == "HEALTHCHECK"]
    url = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", check)
    assert url
    monkeypatch.setenv("NEWSLETTER_DATA_DIR", str(tmp_path))

    assert int(url[1]) == parse(["serve"]).params["port"]
    assert ("EXPOSE", url[1]) in last_stage()
    assert url[2] in {rule.rule for rule in create_app().url_map.iter_rules()}


def test_the_image_keeps_its_data_in_a_volume() -> None:
    (variables,) = [rest for word, rest in last_stage() if word == "ENV"]
    settings = Settings.from_environment(dict(re.findall(r"(NEWSLETTER_\w+)=(\S+)", variables)))

    assert ("VOLUME", str(settings.data_dir)) in last_stage()


# Compose


@pytest.mark.parametrize("name", ["migrate", "web", "worker"])
def test_compose_runs_commands_and_settings_that_the_service_knows(name: str) -> None:
    service = our_services()[name]
    settings = Settings.from_environment(service["environment"])

    assert service["command"][0] == "newsletter"
    parse(service["command"][1:])
    assert not settings.needs_data_dir  # else a read-only container could not start
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]


def test_compose_sends_mail_from_one_place_and_only_after_the_migration() -> None:
    services = our_services()

    assert parse(services["web"]["command"][1:]).params["without_worker"]
    for name in ("web", "worker"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_compose_publishes_ports_to_this_machine_only() -> None:
    ports = [port for service in compose()["services"].values() for port in service.get("ports", [])]

    assert ports
    for port in ports:
        address, _published, _own = port.rsplit(":", 2)
        assert ipaddress.ip_address(address).is_loopback, port


def test_compose_holds_no_secret_and_says_which_ones_it_needs() -> None:
    text = (ROOT / "compose.yaml").read_text()

    for variable in GIVEN:
        uses = re.findall(rf"\$\{{{variable}\b[^}}]*", text)
        assert uses
        assert all(re.fullmatch(rf"\$\{{{variable}:\?\w.+", use) for use in uses)


# Units and proxies


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_runs_a_real_command_as_an_ordinary_user(name: str) -> None:
    service = unit(name)
    program, *arguments = shlex.split(service["ExecStart"])

    assert Path(program).name == "newsletter"
    parse(arguments)
    assert service["User"] == "newsletter"
    assert service["EnvironmentFile"] == "/etc/newsletter.env"
    assert service["StateDirectory"] == "newsletter"


def test_exactly_one_of_the_two_units_sends_mail() -> None:
    web, worker = (parse(shlex.split(unit(name)["ExecStart"])[1:]) for name in UNITS)

    assert (web.info_name, web.params["without_worker"]) == ("serve", True)
    assert worker.info_name == "worker"


def test_the_settings_file_of_the_units_is_one_the_service_starts_with() -> None:
    given = assignments((EXAMPLES / "newsletter.env").read_text())
    settings = Settings.from_environment(given)

    assert str(settings.data_dir) == "/var/lib/newsletter"
    assert settings.trusted_proxies == 1


@pytest.mark.parametrize("name", ["nginx.conf", "Caddyfile"])
def test_a_proxy_reaches_the_port_that_is_served_and_redirects_no_unsubscribing(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    plain = text[re.search(r"listen 80;|http://news", text).start() :]  # type: ignore[union-attr]
    block = re.search(r"/unsubscribe/\*? \{(.*?)\n\s*\}", plain, re.DOTALL)

    assert block
    assert "proxy" in block[1]
    assert not re.search(r"\b(return|redir|rewrite)\b", block[1])
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", text)) == {str(parse(["serve"]).params["port"])}


# Documents


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    asked = Asked()
    Settings.from_environment(asked)

    assert set(documented()) == {name for name in asked.names if name.startswith(PREFIX)}


def test_every_example_of_a_setting_is_accepted() -> None:
    for name, example in documented().items():
        # One setting needs this one beside it.
        Settings.from_environment({"NEWSLETTER_INBOUND_DOMAIN": "back.news.example", name: example})


@pytest.mark.parametrize("document", ["docs/production.md", "docs/deliverability.md", "CONTRIBUTING.md"])
def test_the_documents_name_only_commands_that_exist(document: str) -> None:
    named = commands(ROOT / document)

    assert named
    for arguments in named:
        parse(shlex.split(arguments))


def test_production_names_every_event_of_the_log_and_no_other() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| (?:info|warning|error) \|", (DOCS / "production.md").read_text())

    assert set(rows) == events()


def test_the_documents_name_only_files_that_exist() -> None:
    for document in [*DOCS.glob("*.md"), ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if not re.match(r"https?:|\.\./\.\./security", target):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_a_misspelt_setting_in_compose_would_be_noticed() -> None:
    environment: Mapping[str, str] = our_services()["web"]["environment"]

    with pytest.raises(Exception, match="NEWSLETTER_SMPT_URL is not a setting"):
        Settings.from_environment({**environment, "NEWSLETTER_SMPT_URL": "smtp://mail"})
