"""The signer's own register: people, pinned issuers, seals, templates; as a value, in the database, and checked at start."""
