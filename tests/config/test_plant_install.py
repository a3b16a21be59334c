"""The plant installation as its files say it: who runs, what can be reached, where secrets stand."""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ONE_SHOT = {"migrate"}
OURS = {"migrate", "web", "inspect", "train", "sweeper", "station", "gateway"}
BESIDE_US = {"postgres", "valkey", "storage"}
SECRETS = {"SECRET_KEY", "POSTGRES_PASSWORD", "VALKEY_PASSWORD", "STORAGE_KEY_ID", "STORAGE_SECRET"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def test_every_process_of_the_plant_has_its_service(services: dict[str, Any]) -> None:
    assert set(services) == OURS | BESIDE_US


def test_only_the_web_server_can_be_reached_and_only_from_the_host_itself(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:${WEB_PORT:-8000}:8000"]}


def test_everything_but_the_one_shots_comes_back_after_a_crash(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if service["restart"] != "unless-stopped"} == ONE_SHOT


@pytest.mark.parametrize("name", ["inspect", "train"])
def test_the_processes_that_load_a_model_get_the_gpu(services: dict[str, Any], name: str) -> None:
    devices = services[name]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]


def test_our_processes_run_with_no_right_they_do_not_need(services: dict[str, Any]) -> None:
    for name in OURS:
        assert services[name]["cap_drop"] == ["ALL"], name
        assert services[name]["read_only"] is True, name
        assert services[name]["security_opt"] == ["no-new-privileges:true"], name
    assert re.findall(r"^USER (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE) == ["second-look"]


@pytest.mark.parametrize("secret", sorted(SECRETS))
def test_a_missing_secret_stops_the_start_with_a_sentence(secret: str) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    uses = re.findall(rf"(?<!\$)\$\{{{secret}([^}}]*)\}}", text)
    assert uses
    assert set(uses) == {f":?{secret} is missing in the env file"}


def test_no_secret_stands_on_a_command_line(services: dict[str, Any]) -> None:
    for name, service in services.items():
        command = json.dumps(service.get("command", ""))
        assert not re.search(
            r"(?<!\$)\$\{", command.replace("${STATION:-S01}", "").replace("${PLC:-PLC1}", "")
        ), name


def test_the_message_server_keeps_a_log_of_its_writes(services: dict[str, Any]) -> None:
    assert "--appendonly yes" in services["valkey"]["command"][-1]


def test_health_is_asked_of_the_page_that_knows_it(services: dict[str, Any]) -> None:
    assert services["web"]["healthcheck"]["test"] == ["CMD", "python", "script/healthcheck.py"]
    assert "/health/ready" in (ROOT / "script" / "healthcheck.py").read_text()


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "requirements-models.txt", "constraints.txt"]
)
def test_every_requirement_is_pinned_and_names_no_host(name: str) -> None:
    lines = [line.strip() for line in (ROOT / name).read_text().splitlines()]
    wanted = [line for line in lines if line and not line.startswith(("#", "-r ", "-c "))]
    assert wanted
    assert [line for line in wanted if not re.fullmatch(r"[\w.\[\]-]+==[\w.]+", line)] == []
    assert "://" not in "\n".join(lines)


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-models.txt"])
def test_every_requirement_has_its_reason_on_the_line_above(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    bare = [line for before, line in pairwise(lines) if "==" in line and not before.startswith("# ")]
    assert bare == []


def test_every_direct_requirement_is_what_the_constraints_say() -> None:
    def pins(name: str) -> dict[str, str]:
        found = re.findall(r"^([\w.-]+)(?:\[\w+\])?==([\w.]+)$", (ROOT / name).read_text(), re.MULTILINE)
        return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}

    direct = pins("requirements.txt") | pins("requirements-dev.txt") | pins("requirements-models.txt")
    assert direct.items() <= pins("constraints.txt").items()


def test_the_lock_of_the_javascript_tools_names_no_host() -> None:
    assert "://" not in (ROOT / "frontend" / "package-lock.json").read_text()


def has_docker_compose() -> bool:
    asked = ["docker", "compose", "version"]
    return (
        bool(shutil.which("docker"))
        and subprocess.run(asked, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not has_docker_compose(), reason="docker with its compose plug-in is not on this machine")
def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    env_file = tmp_path / "plant.env"
    env_file.write_text(
        "".join(f"{name}=x\n" for name in sorted(SECRETS)) + "ALLOWED_HOSTS=vision.plant.example\n"
    )
    command = ["docker", "compose", "--env-file", str(env_file), "--project-directory", str(ROOT)]
    answer = subprocess.run(
        [*command, "-f", str(ROOT / "docker-compose.yml"), "config"],
        capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "postgresql://secondlook:x@postgres:5432/secondlook" in answer.stdout


def test_the_deploy_check_of_a_plant_finds_nothing(tmp_path: Path) -> None:
    plant = {
        "SECONDLOOK_INSTALL": "plant",
        "SECRET_KEY": "0aZ-1bY_2cX" * 6,
        "ALLOWED_HOSTS": "vision.plant.example",
        "DATA_DIR": str(tmp_path),
    }
    checked = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level=WARNING"],
        cwd=ROOT,
        env={**os.environ, **plant},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
