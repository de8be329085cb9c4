"""The ledger outside of the pure protocol: kept in a database, published as files, followed by whoever needs its entries.

``store``     the signer's tables: entries are appended in the transaction that they tell of
``sources``   a published log over HTTP or in a folder, untrusted
``follower``  reading on: new entries count only when they continue what was read before. Used by everyone who follows the ledger
``reader``    a stranger's view of a published log: cosigned checkpoints, every entry under them, proofs

What an entry, a tile and a checkpoint are is in ``sealcore.protocol`` (``ledger_entry``, ``ledger_tiles``, ``signed_note``).
"""
