"""The declared keys are the keys that exist: each one, as declared, and no other."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hsm_config.inventory import DeclaredKey, FoundKey, Inventory, load
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import TokenSettings

PERSON = "person.01890b5e-7c0f-7d3a-9b1e-0123456789ab"


def keygen(settings: TokenSettings, token: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "hsm_config.keygen",
        "--token",
        token,
        "--settings",
        settings.pin_file.with_name("token.toml"),
    ]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False)


def refusal(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    assert (done.returncode, done.stdout) == (1, "")
    error = json.loads(done.stderr)
    return error["code"], error["reason"]


def test_the_office_declares_its_tokens_and_keys() -> None:
    inventory = load()
    assert inventory.tokens == ("root", "ca", "ocsp", "signer", "timestamp", "workflow", "ledger", "witness", "people")
    algorithms = {(key.token, key.label): key.algorithm for key in inventory.keys}
    assert algorithms == {
        ("root", "ca.root"): "rsa-4096",
        ("ca", "ca.seals"): "rsa-3072",
        ("ca", "ca.infrastructure"): "p-256",
        ("ocsp", "ocsp.seals.1"): "p-256",
        ("ocsp", "ocsp.infrastructure.1"): "p-256",
        ("signer", "seal.contract.1"): "rsa-2048",
        ("signer", "seal.invoice.1"): "p-256",
        ("signer", "seal.official.1"): "rsa-3072",
        ("signer", "tsa.signer.1"): "p-256",
        ("timestamp", "tsa.public.1"): "p-256",
        ("workflow", "approval.issuer.1"): "p-256",
        ("ledger", "ledger.checkpoint.1"): "ed25519",
        ("witness", "witness.cosign.1"): "ed25519",
    }
    assert inventory.declaration("people", PERSON) is inventory.patterns[0]
    for stranger in ("person.", "person.zhang", PERSON + "x", "x" + PERSON, PERSON.upper()):
        assert inventory.declaration("people", stranger) is None


def test_exactly_the_declared_keys_are_made_and_a_second_run_makes_none(settings: TokenSettings) -> None:
    first = keygen(settings, "signer")
    assert first.returncode == 0, first.stderr
    said = json.loads(first.stdout)
    with Token.open(settings) as token:
        keys = token.keys()
    assert {key.label: key.algorithm for key in keys} == {key.label: key.algorithm for key in load().keys_of("signer")}
    assert said == {key.label: base64.b64encode(key.spki_der).decode() for key in keys}
    assert not any(key.extractable or not key.sensitive for key in keys)
    for again in (keygen(settings, "signer"), keygen(settings, "signer", "--check")):
        assert (again.returncode, json.loads(again.stdout)) == (0, said)


def test_a_missing_key_is_reported_and_made_only_when_asked(settings: TokenSettings) -> None:
    assert keygen(settings, "ledger").returncode == 0
    with Token.open(settings) as token:
        token.destroy("ledger.checkpoint.1")
    assert refusal(keygen(settings, "ledger", "--check")) == ("HSM_KEY_MISSING", "the token ledger lacks ledger.checkpoint.1")
    assert keygen(settings, "ledger").returncode == 0


@pytest.mark.parametrize("arguments", [(), ("--check",), ("--add", PERSON)])
def test_an_undeclared_key_is_reported_and_nothing_is_made(settings: TokenSettings, arguments: tuple[str, ...]) -> None:
    with Token.open(settings) as token:
        token.generate("seal.private.1", Algorithm.P256)
    assert refusal(keygen(settings, "ledger", *arguments)) == ("CONFLICT", "the token ledger holds undeclared keys: seal.private.1")
    with Token.open(settings) as token:
        held = token.keys()
    assert [key.label for key in held] == ["seal.private.1"]


def test_a_key_of_another_algorithm_is_reported(settings: TokenSettings) -> None:
    with Token.open(settings) as token:
        token.generate("ledger.checkpoint.1", Algorithm.P256)
    assert refusal(keygen(settings, "ledger")) == ("CONFLICT", "keys of the token ledger are not as declared: ledger.checkpoint.1")


def test_keys_of_people_are_added_by_pattern_and_no_others(settings: TokenSettings) -> None:
    assert json.loads(keygen(settings, "people").stdout) == {}
    said = [keygen(settings, "people", "--add", PERSON) for _ in range(2)]
    assert [done.returncode for done in said] == [0, 0]
    assert said[0].stdout == said[1].stdout
    assert list(json.loads(said[0].stdout)) == [PERSON]
    assert refusal(keygen(settings, "people", "--add", "person.zhang"))[0] == "PERMISSION_DENIED"
    assert json.loads(keygen(settings, "people", "--check").stdout).keys() == {PERSON}


def test_two_runs_at_once_make_each_key_once(settings: TokenSettings) -> None:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "hsm_config.keygen",
        "--token",
        "ca",
        "--settings",
        settings.pin_file.with_name("token.toml"),
    ]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert said[0] == said[1]
    assert len(said[0]) == 2


def test_an_unknown_token_is_refused_before_any_is_opened(settings: TokenSettings) -> None:
    settings.pin_file.write_text("wrong")
    assert refusal(keygen(settings, "attic"))[0] == "NOT_FOUND"


def test_a_key_that_could_leave_its_token_deviates() -> None:
    key = DeclaredKey("t", Algorithm.P256, "a test", 1, "nobody", label="key")
    inventory = Inventory((key,), ())
    assert inventory.compare("t", [FoundKey("key", Algorithm.P256, False, True)]).deviating == ()
    assert inventory.compare("t", [FoundKey("key", Algorithm.P256, True, True)]).deviating == ("key",)
    assert inventory.compare("t", [FoundKey("key", Algorithm.P256, False, False)]).deviating == ("key",)
    assert inventory.compare("t", [FoundKey("key", Algorithm.P256, False, True)] * 2).undeclared == ("key",)


GOOD = 'token = "t"\nlabel = "k"\nalgorithm = "p-256"\npurpose = "a test"\nrotation_days = 1\nowner = "nobody"\n'


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[[key]]\n" + GOOD.replace("p-256", "rsa-1024"), "k: "),
        ("[[key]]\n" + GOOD.replace("rotation_days = 1", "rotation_days = 0"), "rotation_days"),
        ("[[key]]\n" + GOOD.replace('purpose = "a test"', 'purpose = ""'), "purpose"),
        ("[[key]]\n" + GOOD.replace('owner = "nobody"\n', ""), "owner"),
        ("[[key]]\n" + GOOD + 'extra = "x"\n', "extra"),
        (("[[key]]\n" + GOOD) * 2, "declared twice"),
        ("[[pattern]]\n" + GOOD.replace('label = "k"', 'label_pattern = "("'), "label_pattern"),
        ("[[keys]]\n" + GOOD, "keys"),
        ("[[key]\n", "cannot be read"),
    ],
)
def test_a_wrong_inventory_is_refused_and_the_error_names_what_is_wrong(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "inventory.toml").write_text(content)
    with pytest.raises(VermilionError) as refused:
        load(tmp_path / "inventory.toml")
    assert refused.value.code is Code.CONFIGURATION_INVALID
    assert told in refused.value.reason
