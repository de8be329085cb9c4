"""The services as the command line sees them: over mTLS, with the operator's certificate."""
