"""The log process: signs checkpoints over what the signer committed, publishes tiles, has them witnessed; and the checker."""
