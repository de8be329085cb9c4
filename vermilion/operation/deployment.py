"""The files of ``deploy/`` that follow from the table of services: ``python -m vermilion.operation.deployment .`` (``make deploy-files``)."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from sealcore.platform.service import MOST_DESCRIPTORS, REPEAT_DOES_HARM
from vermilion.operation.configuration import monitoring_targets
from vermilion.operation.ports import default_ports
from vermilion.operation.restarts import POLICY
from vermilion.services import SERVICES, Identity, ServiceSpec
from vermilion.state.office import Office

PACKAGE, STATE = "/opt/vermilion", "/var/lib/vermilion"
TARGETS, ALERTS = "deploy/monitoring/targets.json", "deploy/monitoring/alerts.yml"
OVERVIEW, ACCOUNTS = "deploy/services.md", "deploy/accounts.tsv"
_JOBS: Final = re.compile(r'(?<=up\{job=~")[^"]*')

_UNIT: Final = """\
# Written by `make deploy-files` from vermilion/services.py. Accounts come from deploy/accounts.sh.
# The package lies in {package}, the office's state in {state} (`vermilion init --state {state}`).
[Unit]
Description=Vermilion {name}: {purpose}
Documentation=file://{package}/docs/architecture.md
After={after}
# As `vermilion up` does: after so many ends in so many seconds it stays down until `systemctl reset-failed {unit} && systemctl start {unit}`.
StartLimitIntervalSec={within_s:.0f}
StartLimitBurst={deaths}

[Service]
User={account}
ExecStart={package}/.venv/bin/python -m {module} --config {state}/config/{name}.toml
Restart=always
RestartSec=5
# A PIN that the token refused must not be presented again and again.
RestartPreventExitStatus={harmful}
KillSignal=SIGTERM
TimeoutStopSec=30
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes
LockPersonality=yes
ReadWritePaths={writable}
MemoryMax={memory_max_mb}M
# A listener's connections are a quarter of it at most, so that files and workers find some whatever strangers do.
LimitNOFILE={descriptors}
# A document's sandbox that takes too much ends alone.
OOMPolicy=continue
CPUWeight={cpu_weight}
{walls}
[Install]
WantedBy=multi-user.target
"""

_WALLS: Final = """\
# What its processes shut behind themselves for each document, once more from outside. Its callers come through a socket in the file system.
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any
ProtectProc=invisible
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RemoveIPC=yes
CapabilityBoundingSet=
SystemCallArchitectures=native
InaccessiblePaths=-{state}/hsm -{state}/tls -{state}/ceremony
TasksMax=512
LimitCORE=0
"""


def files(services: Sequence[ServiceSpec] = SERVICES) -> dict[str, str]:
    """Path in the repository → content, of the files that are generated whole."""
    office = Office(name="-", name_english="-", slug="a", unit="A", ports=default_ports(services))
    made = {f"deploy/systemd/{service.unit}": unit(service, services) for service in services}
    made[ACCOUNTS] = "".join(f"{service.name}\t{service.reads_database_of or '-'}\t{service.published or '-'}\n" for service in services)
    made[TARGETS] = json.dumps(monitoring_targets(office, services), indent=1) + "\n"
    made[OVERVIEW] = overview(services)
    return made


def unit(service: ServiceSpec, services: Sequence[ServiceSpec]) -> str:
    """The systemd unit of a service. It may write its own state and token, and its mTLS certificate, which it renews by itself."""
    own = [f"{STATE}/{service.name}"]
    own += [f"-{STATE}/tls/{service.name}"] if service.identity is not Identity.NONE else []
    own += [f"-{STATE}/hsm/{service.name}"] if service.has_token else []
    return _UNIT.format(
        package=PACKAGE,
        state=STATE,
        name=service.name,
        purpose=service.purpose,
        module=service.module,
        account=service.account,
        after=" ".join(["network.target", *(other.unit for other in services if other.name in service.after)]),
        writable=" ".join(own),
        memory_max_mb=service.memory_max_mb,
        descriptors=MOST_DESCRIPTORS,
        cpu_weight=service.cpu_weight,
        walls=_WALLS.format(state=STATE) if service.walled else "",
        unit=service.unit,
        within_s=POLICY.within_s,
        deaths=POLICY.deaths,
        harmful=REPEAT_DOES_HARM,
    )


def overview(services: Sequence[ServiceSpec]) -> str:
    """A table for the operator."""
    lines = [
        "# The services of an office",
        "",
        "Written by `make deploy-files` from `vermilion/services.py`. Ports are the defaults; an office's own stand in its `vermilion.toml`.",
        "",
        "| service | what it does | listens on | monitoring | starts after | token | mTLS | database |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for service in services:
        cells = (
            f"`{service.unit}`",
            service.purpose,
            ", ".join(f"{listener.port} {listener.protocol}" for listener in service.listeners),
            str(service.metrics_port or ""),
            ", ".join(service.after),
            "own" if service.has_token else "",
            "" if service.identity is Identity.NONE else str(service.identity),
            f"reads {service.reads_database_of}'s" if service.reads_database_of else "own" if service.database else "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def alerts(text: str, services: Sequence[ServiceSpec] = SERVICES) -> str:
    """The alert rules ``text`` with the services' scrape jobs where a rule says which must be up."""
    return _JOBS.sub("|".join(service.name for service in services if service.metrics_port is not None), text)


def main(repository: Path, say: Callable[[str], object] = sys.stdout.write) -> None:
    """Writes what is stale; removes units of services that are no more."""
    made = files() | {ALERTS: alerts((repository / ALERTS).read_text("utf-8"))}
    for old in sorted((repository / "deploy" / "systemd").glob("vermilion*.service")):
        if f"deploy/systemd/{old.name}" not in made:
            old.unlink()
            say(f"removed {old}\n")
    for name, content in made.items():
        file = repository / name
        if not file.exists() or file.read_text("utf-8") != content:
            file.write_text(content, "utf-8")
            say(f"wrote {file}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
