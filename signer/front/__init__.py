"""The front of the signer: takes calls, schedules clients fairly, and hands documents to the workers. Holds no key.

``stream``      what arrives on a stream, divided into groups (``framing``, ``arriving``), within a ``budget`` of bytes
``group``       documents of one call that are worked on together, and their answers
``fair_queue``  whose group is next
``dispatcher``  hands groups to workers
``workers``     the worker processes: starts, watches and replaces them
``fatal``       documents that are refused because workers died over them
"""
