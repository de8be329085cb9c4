"""An office as it lies in its state folder: the plan, where everything is, keys, identities, what is trusted."""
