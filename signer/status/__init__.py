"""Whether the certificates of an outside CA are in force: asked of that CA, kept as it signed it, judged at the gate.

``answers``  one OCSP response or CRL, verified
``sources``  whom to ask, and asking, within bounds
``store``    the newest answer about each certificate, in the database that all replicas share
``watch``    asks again and again, in the front
``judge``    what the gate asks: may this seal be used?
"""
