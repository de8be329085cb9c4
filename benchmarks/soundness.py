"""Before anything is measured: what the load seals is really sealed. One document of each class and variant is verified as strangers do."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.documents import KINDS
from vermilion.use_cases.verifying import Verifier

VARIANTS = 4  # classic or streams, visible or not


def assert_sound(bench: Bench) -> None:
    """RuntimeError naming the first sealed file that the office's public verification does not call valid."""
    office = bench.office
    files: list[Path] = []
    with bench.client(office) as client:
        for algorithm in ("rsa2048", "p256"):
            folder = office.layout.state / "soundness" / algorithm
            folder.mkdir(parents=True)
            for kind in KINDS:
                order = client.order(algorithm, kind.name, VARIANTS)
                files += client.remote.call("sealed_files", order, folder)
    with Verifier(office.layout, office.office) as verifier:
        for file in files:
            answer = verifier.report(file)
            if answer["verdict"] != "valid":
                raise RuntimeError(f"{file.name} was sealed but is {answer['verdict']}: {answer['sentence']}")
    bench.say(f"{len(files)} sealed documents of all classes and variants verified: valid")
