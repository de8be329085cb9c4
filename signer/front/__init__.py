"""The front of the signer: takes calls, lets clients take turns, and hands documents to the workers. Holds no key.

``intake``    what arrives on a stream, cut into parcels (``framing``, ``arriving``), within a ``budget`` of bytes
``parcel``    documents of one call that travel together, and their answers
``turns``     whose parcel is next
``desk``      brings parcels and workers together
``workers``   the worker processes: start, watch, replace
"""
