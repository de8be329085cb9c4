"""What would harm the record of the CA."""

from __future__ import annotations

HARM = (
    "UPDATE certificates SET state = 'issued', revoked_at = NULL",
    "DELETE FROM certificates",
    "INSERT INTO restores (act, restored_at) VALUES ('x', '2099-01-01T00:00:00Z')",
    "UPDATE crls SET number = number + 1",
    "DELETE FROM outbox",
    "DELETE FROM acts",
    "DROP TABLE issuers",
)
