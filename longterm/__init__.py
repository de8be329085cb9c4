"""Augmentation (ETSI EN 319 102-1 §7): what keeps signatures provable after their certificates have ended and their CAs are gone.

``reading`` (signatures and validation data of a PDF) → ``proofs`` (are they whole, when were they made) → ``chains`` and
``collecting`` (certificates, CRLs, OCSP answers, from ``sources``) → ``writing`` (the DSS and a document timestamp, as an incremental
update). ``augmenter`` puts them together. No seal key is needed for any of it.
"""
