"""An authority is revoked by the root: the root's token is opened in one process, for that alone."""

from __future__ import annotations

from ca.names import IssuerName, role_of
from ca.pki import load_hierarchy
from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, VermilionError
from vermilion.ceremony.alone import alone
from vermilion.ceremony.authorities import settings_file
from vermilion.ceremony.context import Ceremony
from vermilion.operation.programs import run
from vermilion.state import trust_files
from vermilion.state.layout import Layout
from vermilion.state.office import Office


def revoke(layout: Layout, office: Office, name: IssuerName, reason: str, *, invalid_since: str = "", clock: Clock | None = None) -> None:
    """Every certificate of this authority gets onto the CRL of the root that issued it, for good.

    CONFLICT while no other infrastructure CA could take its place: without one no service could be reached.
    """
    with alone(layout):
        ceremony = Ceremony(layout, office, clock or SystemClock())
        if role_of(name) == "infrastructure":
            _require_another(ceremony, name)
        since = ("--invalid-since", invalid_since) if invalid_since else ()
        run("ca.ceremony", "revoke", "--config", settings_file(ceremony, "root"), "--authority", name, "--reason", reason, *since)
        trust_files.write_all(layout, ceremony.clock.now())


def _require_another(ceremony: Ceremony, name: IssuerName) -> None:
    hierarchy = load_hierarchy(ceremony.layout.pki)
    others = [one for one in trust_files.in_force(hierarchy, "infrastructure", ceremony.clock.now()) if one != name]
    if all(trust_files.is_revoked(ceremony.layout, hierarchy.authorities[one]) for one in others):
        rule = "Give it a successor first: `vermilion ca rollover infrastructure`."
        raise VermilionError(Code.CONFLICT, f"all services are certified by {name}, and there is no other such CA", rule=rule)
