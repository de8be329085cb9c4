"""The authorities' key ceremony, rollover and the root's revocations: steps of ``python -m ca.ceremony``, each in one token."""
