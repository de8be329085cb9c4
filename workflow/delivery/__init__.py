"""The links to the signer and the CA, and the outbox: what the database holds for others is delivered until it is taken or refused."""
