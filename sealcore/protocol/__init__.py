"""The protocol: what people approve, what is signed, what the ledger says. Pure: no clock, no files, no network, no other part of ours.

Start with docs/protocol.md, whose chapters these modules follow field by field; whoever wants to check an office with a program of their
own needs nothing else from here. Times, keys and bytes come in as arguments; what is wrong raises a typed error, nothing returns False.

What people approve, in the order in which it comes about:

``leaf``         one document, and exactly how it is to be sealed
``manifest``     all documents of a form under one Merkle root
``actions``      the actions that people approve, and who carries each out
``covers``       what an approval is about: a manifest, a bounded grant, or the parameters of an act
``decision``     one person's signature over exactly one request
``token``        the approval token that carries it all to whoever acts on it
``token_checks`` what every receiver of a token checks in the same way
``stop``         one officer's signature that suspends at once

What it would bring about, for people to read: ``effect``, ``act_effects`` for each kind of act (``act_facts`` for what
several have in common), ``effect_model`` for what they are made of.

The ledger: ``merkle`` (trees and proofs), ``ledger_entry`` (what is public for ever), ``ledger_tiles`` (how entries are published),
``signed_note`` (checkpoints and cosignatures).

Below all of it: ``labels`` (what each signed or hashed structure begins with), ``canonical`` (the one encoding of each value), ``p256`` (the one form of keys and signatures), ``json_objects``
(placement and request as JSON).
"""
