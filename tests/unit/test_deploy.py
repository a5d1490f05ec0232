"""What Dockerfile, compose file and Kubernetes manifests claim, as far as it can be seen without running them."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from engine import runtime
from engine.commands.cli.app import app
from engine.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
IMAGE = "gasinsight-server"
NOTIFYING = {"PUBLIC_URL", "NOTIFICATION_NETWORKS"}
RAY_PORTS = {6379, 6380, 8265, 10001, 52365}
# What our containers are told beside our own settings.
FOREIGN = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED", "RAY_enable_metrics_collection"}
FOREIGN |= {f"RAY_health_check_{name}" for name in ("initial_delay_ms", "period_ms", "timeout_ms", "failure_threshold")}
FOREIGN |= {"RAY_worker_niceness", "RAY_timeout_ms_task_wait_for_death_info", "RAY_core_worker_internal_heartbeat_ms"}
FOREIGN |= {"POD_IP"}
FOREIGN |= {"PATH", "HOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}

dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
services: dict[str, Any] = compose["services"]
ours = {name: service for name, service in services.items() if service["image"].startswith(IMAGE + ":")}
project = tomllib.loads((ROOT / "pyproject.toml").read_text())
locked = {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
manifests = [
    document for name in kustomization["resources"] for document in yaml.safe_load_all((KUBERNETES / name).read_text())
]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod template by the name of what it is in."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        if "template" in spec:
            yield name, spec["template"]
        if manifest["kind"] == "RayCluster":
            for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
                yield f"{name} {group.get('groupName', 'head')}", group["template"]


pod_cases = pytest.mark.parametrize("template", [pytest.param(template, id=name) for name, template in pods()])


def one(kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [each for each in manifests if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def stage(name: str) -> str:
    (found,) = [each for each in re.split(r"^FROM ", dockerfile, flags=re.MULTILINE) if f" AS {name}\n" in each]
    return found


# The image


def test_the_image_is_run_by_nobody_important() -> None:
    assert re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE) == ["10001:10001"]
    assert "STOPSIGNAL SIGTERM" in dockerfile


def test_the_runtime_image_carries_no_build_tools_and_no_sources() -> None:
    runtime_stage = stage("runtime")
    assert not re.search(r"apt-get|gcc|cargo|rustup|\buv\b|COPY (?!--)", runtime_stage)


def test_the_image_is_built_from_pinned_and_locked_parts() -> None:
    bases = re.findall(r"^ARG \w+_IMAGE=(\S+)$", dockerfile, re.MULTILINE)
    assert len(bases) == 2
    assert all(re.search(r":\d+\.\d+[\w.-]*-slim-bookworm$", base) for base in bases)
    assert f"ARG UV_VERSION={locked['uv']['version']}\n" in dockerfile
    assert "uv sync --locked" in dockerfile
    assert "--require-hashes" in dockerfile
    assert not re.search(r"^ADD|curl|wget|:latest", dockerfile, re.MULTILINE)
    pinned = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    assert f"/rust:{pinned}-slim" in dockerfile
    wanted = tomllib.loads((ROOT / "native/Cargo.toml").read_text())["package"]["rust-version"]
    assert tuple(map(int, pinned.split("."))) >= tuple(map(int, wanted.split(".")))


def test_what_the_image_copies_exists_and_reaches_the_builder() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [
        line.split()[:-1] for line in re.findall(r"^COPY (.*)$", dockerfile, re.MULTILINE) if "--from" not in line
    ]
    sources = {word for arguments in copies for word in arguments if not word.startswith("--")}
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)
    assert set(project["tool"]["maturin"]["python-packages"]) <= sources


def test_the_helper_that_brings_a_raylet_is_a_shell_program() -> None:
    assert os.access(ROOT / "deploy/with-raylet", os.X_OK)
    assert subprocess.run(["sh", "-n", str(ROOT / "deploy/with-raylet")], check=False).returncode == 0


def test_the_versions_agree() -> None:
    version = project["project"]["version"]
    assert f"ARG VERSION={version}\n" in dockerfile
    assert {service["image"] for service in ours.values()} == {f"{IMAGE}:{version}"}
    assert kustomization["images"] == [{"name": IMAGE, "newTag": version}]
    assert one("RayCluster", "gasinsight")["spec"]["rayVersion"] == locked["ray"]["version"]


# What containers are told and run


def test_every_variable_is_a_setting_or_somebody_elses() -> None:
    known = {name.upper() for name in Settings.model_fields} | FOREIGN
    image = set(re.findall(r"(\w+)=", " ".join(re.findall(r"^ENV (.*)$", stage("runtime"), re.MULTILINE))))
    assert image - known == set()
    for name, service in ours.items():
        assert set(service.get("environment", {})) - known == set(), name
    for name, template in pods():
        for container in template["spec"]["containers"]:
            assert {variable["name"] for variable in container.get("env", [])} - known == set(), name
    literals = {text.partition("=")[0] for text in kustomization["configMapGenerator"][0]["literals"]}
    assert literals - known == set()


def check_command(arguments: list[str]) -> None:
    """Follow what a container runs, word by word, down to a command of ours."""
    program, *rest = arguments
    if program == "with-raylet":
        check_command(rest)
    elif program == "gasinsight":
        assert rest[0] in commands, rest
    elif program == "sh":
        check_command(shlex.split(rest[-1]))
    else:
        assert program in {"ray", "sleep", "python3"}, program


def test_every_command_exists() -> None:
    for service in ours.values():
        check_command([*service.get("entrypoint", ["gasinsight"]), *service["command"]])
        if "test" in service.get("healthcheck", {}):
            check_command(service["healthcheck"]["test"][1:])
    for name, template in pods():
        for container in template["spec"]["containers"]:
            if not name.startswith("RayCluster"):
                check_command([*container.get("command", ["gasinsight"]), *container["args"]])
            hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep"])
            check_command(hook)


def test_the_engines_probe_tells_a_living_engine(tmp_path: Path) -> None:
    (container,) = one("Deployment", "gasinsight-engine")["spec"]["template"]["spec"]["containers"]
    probe = container["livenessProbe"]["exec"]["command"]
    assert probe == services["engine"]["healthcheck"]["test"][1:]
    assert probe == container["startupProbe"]["exec"]["command"]
    code = probe[2].replace("/var/lib/gasinsight", str(tmp_path))
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 1
    runtime.claim(tmp_path, "engine")
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_a_web_pod_is_ready_when_it_can_answer_and_alive_whatever_is_away() -> None:
    (container,) = one("Deployment", "gasinsight-web")["spec"]["template"]["spec"]["containers"]
    paths = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")]
    assert paths == ["/livez", "/livez", "/readyz?part=web"]


def test_health_paths_are_routes() -> None:
    source = (ROOT / "web/api/health.py").read_text()
    texts = [dockerfile, *(path.read_text() for path in KUBERNETES.glob("*.yaml"))]
    paths = set(re.findall(r'(?:8000|path: "?)(/\w+)', " ".join(texts)))
    assert paths == {"/livez", "/readyz"}
    assert all(f'noun.get("{path}"' in source for path in paths)


# The compose file


def test_compose_images_are_pinned() -> None:
    assert all(re.search(r":\d[\w.-]*$", service["image"]) for service in services.values())


def test_compose_publishes_on_loopback_only_and_nothing_of_ray() -> None:
    published = list(itertools.chain.from_iterable(service.get("ports", []) for service in services.values()))
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert not {int(port.split(":")[1]) for port in published} & RAY_PORTS


@pytest.mark.parametrize("name", ours)
def test_our_containers_are_hardened(name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {volume.partition(":")[2] for volume in service["volumes"]} == {"/var/lib/gasinsight"}
    assert service["tmpfs"][0].startswith("/tmp")
    assert "user" not in service
    assert "privileged" not in service


def test_what_compose_names_is_there() -> None:
    volumes = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert {volume for volume in volumes if not volume.startswith(".")} == set(compose["volumes"])
    assert all((ROOT / volume).exists() for volume in volumes if volume.startswith("."))
    for service in services.values():
        for other, condition in service.get("depends_on", {}).items():
            wanted = condition["condition"]
            assert wanted != "service_healthy" or "test" in services[other]["healthcheck"]
            assert (wanted == "service_completed_successfully") == (other == "migrate")
        assert set(service["networks"]) <= set(compose["networks"])
    assert ours.keys() == {"migrate", "ray", "engine", "web"}


def test_compose_holds_no_secret() -> None:
    text = (ROOT / "compose.yaml").read_text()
    lines = (ROOT / "deploy/compose/example.env").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line[:1].isupper())
    assert {name for name, value in example.items() if value} == {"ADMIN_EMAIL"}
    required = set(re.findall(r"\$\{(\w+):\?", text))
    assert required == example.keys() - {"ADMIN_EMAIL", "CORS_ORIGINS", "TRUSTED_PROXIES", *NOTIFYING}
    ignored = subprocess.run(["git", "check-ignore", "-q", "deploy/compose/.env"], cwd=ROOT, check=False).returncode
    assert ignored in {0, 128}, "a filled-in .env must not be committed"


def test_where_notifications_go_and_lead_is_said_to_whoever_sends_them_and_whoever_takes_them() -> None:
    for name in ("engine", "web"):
        assert {each: f"${{{each}:-}}" for each in NOTIFYING}.items() <= ours[name]["environment"].items(), name
    literals = {each.partition("=")[0] for each in kustomization["configMapGenerator"][0]["literals"]}
    assert literals >= NOTIFYING
    empty = Settings(_env_file=None, **{each.lower(): "" for each in NOTIFYING})  # type: ignore[arg-type]
    assert empty.public_url is None and empty.networks_of_notifications == ()


def test_the_emulator_has_our_queues() -> None:
    (namespace,) = json.loads((ROOT / "deploy/compose/servicebus.json").read_text())["UserConfig"]["Namespaces"]
    fields = Settings.model_fields
    assert {queue["Name"] for queue in namespace["Queues"]} == {
        fields[name].default for name in fields if name.endswith("_queue")
    }
    assert all(not queue["Properties"]["RequiresSession"] for queue in namespace["Queues"])


# Kubernetes


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: nothing renders the manifests")
def test_kustomize_renders_the_manifests() -> None:
    command = ["kubectl", "kustomize", str(KUBERNETES)]
    rendered = list(yaml.safe_load_all(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert len(rendered) == len(manifests) + 1
    assert all(each["kind"] == "Namespace" or each["metadata"]["namespace"] == "gasinsight" for each in rendered)
    images = set(re.findall(r"image: (\S+)", yaml.safe_dump_all(rendered)))
    assert images == {f"{IMAGE}:{project['project']['version']}"}
    (settings,) = [each for each in rendered if each["kind"] == "ConfigMap"]
    sources = re.findall(r"configMapRef:\n\s+name: (\S+)", yaml.safe_dump_all(rendered))
    assert set(sources) == {settings["metadata"]["name"]}


@pod_cases
def test_pods_may_do_little(template: dict[str, Any]) -> None:
    spec = template["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()


@pod_cases
def test_pods_can_write_where_they_must(template: dict[str, Any]) -> None:
    volumes = {volume["name"] for volume in template["spec"]["volumes"]}
    for container in template["spec"]["containers"]:
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts.keys() == volumes
        assert {"/var/lib/gasinsight", "/tmp"} <= set(mounts.values())


@pod_cases
def test_secrets_are_those_of_the_example(template: dict[str, Any]) -> None:
    examples = yaml.safe_load_all((KUBERNETES / "secrets.example.yaml").read_text())
    held = {(each["metadata"]["name"], key): value for each in examples for key, value in each["stringData"].items()}
    assert not any(held.values())
    for container in template["spec"]["containers"]:
        for variable in container.get("env", []):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                reference = variable["valueFrom"]["secretKeyRef"]
                assert (reference["name"], reference["key"]) in held
            else:
                assert not re.search(r"KEY|TOKEN|PASSWORD|URL", variable["name"])


def test_selectors_find_their_pods() -> None:
    components = [template["metadata"]["labels"]["app.kubernetes.io/component"] for _, template in pods()]
    assert len(components) == len(set(components))
    for manifest in manifests:
        spec = manifest.get("spec", {})
        selector = spec.get("selector", spec.get("podSelector", {}))
        wanted = selector.get("matchLabels", selector).get("app.kubernetes.io/component")
        assert wanted is None or wanted in components
        if manifest["kind"] == "Deployment":
            assert spec["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == wanted
    for group in pods():
        if group[0].startswith("RayCluster"):
            assert group[1]["metadata"]["labels"]["app.kubernetes.io/part-of"] == "gasinsight"


def test_everything_that_serves_or_leads_survives_a_drained_machine() -> None:
    for name in ("gasinsight-engine", "gasinsight-web"):
        assert one("Deployment", name)["spec"]["replicas"] >= 2
        assert one("PodDisruptionBudget", name)
    assert one("RayCluster", "gasinsight")["spec"]["workerGroupSpecs"][0]["minReplicas"] >= 2


def test_ray_is_found_asks_for_a_token_and_is_closed() -> None:
    cluster = one("RayCluster", "gasinsight")
    literals = dict(text.split("=", 1) for text in kustomization["configMapGenerator"][0]["literals"])
    assert literals["RAY_ADDRESS"] == f"{cluster['metadata']['name']}-head-svc:6379"
    assert literals["RAY_AUTH_MODE"] == cluster["spec"]["authOptions"]["mode"] == "token"
    assert services["ray"]["environment"]["RAY_AUTH_MODE"] == "token"
    policy = one("NetworkPolicy", "only-each-other")["spec"]
    assert policy["podSelector"] == policy["ingress"][0]["from"][0]["podSelector"]
    assert policy["ingress"][0].keys() == {"from"}
    (outside,) = one("NetworkPolicy", "web-from-outside")["spec"]["ingress"][0]["ports"]
    assert outside["port"] not in RAY_PORTS
    assert not any(each["kind"] == "Service" and "web" not in each["metadata"]["name"] for each in manifests)
