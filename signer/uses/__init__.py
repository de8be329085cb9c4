"""Uses of approval tokens: each counted once; its sealed bytes are stored until the client has them, then deleted."""
