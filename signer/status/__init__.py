"""Whether certificates that an outside CA issued are still valid: its answers are fetched, stored as it signed them, and judged at the gate.

``answers``     one OCSP response or CRL, verified
``sources``     where to ask, within limits of time and size
``store``       the newest answer about each certificate, in the database that all replicas share
``watch``       asks periodically, in the front
``judge``       what the gate asks: may this seal be used?
``revocation``  what resuming a seal asks of our own CA
"""
