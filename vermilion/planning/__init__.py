"""The plan of an office (`vermilion init --plan office.toml`): what a person writes, judged whole before the first key is made."""
