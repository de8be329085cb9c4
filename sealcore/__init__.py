"""What every Vermilion service shares: HSM access, approvals, ledger arithmetic, configuration, errors, wire helpers."""
