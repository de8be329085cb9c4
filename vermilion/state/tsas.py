"""The outside TSAs of the office: as vermilion.toml names them, and as signer, verifier and doctor need them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from timestamp.client.settings import HttpSource, OwnSource
from vermilion.state.layout import Layout

_FILES = ("anchors_file", "issuers_file", "secret_file", "tls_anchors_file", "certificate_file", "key_file")


class TsaPlan(HttpSource):
    """An outside TSA in vermilion.toml. Relative files lie in the state folder.

    ``crl_urls`` are the CRLs of its CAs: verification finds none of its timestamps trusted without them.
    """

    crl_urls: tuple[str, ...] = ()


SourcePlan = Annotated[OwnSource | TsaPlan, Field(discriminator="kind")]


def resolved(layout: Layout, plan: OwnSource | TsaPlan) -> dict[str, Any]:
    """The source as the signer's settings have it: every file by its whole path."""
    values = plan.model_dump(mode="json", exclude={"crl_urls"}, exclude_none=True)
    return {name: str(_whole(layout, value)) if name in _FILES else value for name, value in values.items()}


def outside(layout: Layout, plans: Sequence[OwnSource | TsaPlan]) -> list[HttpSource]:
    """The outside TSAs alone."""
    return [HttpSource.model_validate(resolved(layout, plan)) for plan in plans if isinstance(plan, TsaPlan)]


def trust(layout: Layout, plans: Sequence[OwnSource | TsaPlan]) -> dict[str, Any]:
    """What the verifier is told of them, beside the office's own CRLs: files and CRL addresses."""
    tsas = [plan for plan in plans if isinstance(plan, TsaPlan)]
    return {
        "timestamp_anchors_files": [_whole(layout, plan.anchors_file) for plan in tsas],
        "timestamp_issuers_files": [_whole(layout, plan.issuers_file) for plan in tsas if plan.issuers_file is not None],
        "crl_urls": [url for plan in tsas for url in plan.crl_urls],
    }


def _whole(layout: Layout, file: str | Path) -> Path:
    return (layout.state / file).resolve()
