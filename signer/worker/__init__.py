"""A worker of the signer: a process of its own with sessions on the token and connections to the database.

``process``      takes jobs from the channel and answers
``app``          its composition root
``channel``      messages between the front and a worker, and the memory that both see
``jobs``         the form of a job in that memory: what the front writes and a worker reads, and the answers
``messages``     documents and results as protobuf messages, as they are in a job
``in_progress``  which documents a worker is reading
``status``       what a worker answers to queries

The front uses the last five and knows nothing else of a worker.
"""
