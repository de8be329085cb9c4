"""The holder of each mTLS certificate's SAN URI. Existing certificates with the same URI are taken to have one holder."""

import sqlalchemy as sa
from alembic import op
from cryptography import x509

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("certificates", sa.Column("uri", sa.String(300)))
    op.add_column("certificates", sa.Column("holder", sa.String(40)))
    op.create_index("certificates_uri", "certificates", ["uri"])
    op.create_index("certificates_holder", "certificates", ["holder"])
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT serial, certificate FROM certificates WHERE certificate IS NOT NULL ORDER BY recorded_at, serial")
    ).all()
    holders: dict[str, str] = {}
    for serial, der in rows:
        uri = _uri(bytes(der))
        if uri is not None:
            holder = holders.setdefault(uri, serial)
            change = sa.text("UPDATE certificates SET uri = :uri, holder = :holder WHERE serial = :serial")
            connection.execute(change, {"uri": uri, "holder": holder, "serial": serial})


def _uri(der: bytes) -> str | None:
    try:
        names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    # an identity has one URI; case does not distinguish two (ca.issuance.holders)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0].lower() if uris else None
